//! Restore plans, restore journals and id maps. What stands in them comes sealed.

use jiff::Timestamp;
use orgkeep_engine::id::{DomainId, JobId, PlanId};
use rusqlite::OptionalExtension;

use super::{State, StateError, moment, text};

/// A saved plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlanRecord {
    /// Its id.
    pub(crate) id: PlanId,
    /// The domain it restores.
    pub(crate) domain_id: DomainId,
    /// The snapshot it restores from.
    pub(crate) snapshot: String,
    /// When it was computed.
    pub(crate) created_at: Timestamp,
    /// When it goes out of date.
    pub(crate) expires_at: Timestamp,
    /// What it is approved by.
    pub(crate) digest: String,
    /// The job that applies it, once there is one.
    pub(crate) job: Option<JobId>,
    /// The plan, sealed.
    pub(crate) body: Vec<u8>,
}

impl State {
    /// Keeps a plan.
    pub(crate) fn insert_plan(&self, plan: &PlanRecord) -> Result<(), StateError> {
        self.db()
            .prepare_cached(
                "INSERT OR REPLACE INTO plans (id, domain_id, snapshot, created_at, expires_at, digest, job, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(rusqlite::params![
                plan.id.to_string(),
                plan.domain_id.to_string(),
                plan.snapshot,
                text(plan.created_at),
                text(plan.expires_at),
                plan.digest,
                plan.job.map(|id| id.to_string()),
                plan.body,
            ])?;
        Ok(())
    }

    /// One plan.
    pub(crate) fn plan(&self, id: PlanId) -> Result<Option<PlanRecord>, StateError> {
        const BAD: StateError = StateError::Damaged("a plan");
        type Row = (
            String,
            String,
            String,
            String,
            String,
            Option<String>,
            Vec<u8>,
        );
        let row: Option<Row> = self
            .db()
            .prepare_cached(
                "SELECT domain_id, snapshot, created_at, expires_at, digest, job, body FROM plans WHERE id = ?1",
            )?
            .query_row([id.to_string()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?))
            })
            .optional()?;
        let Some((domain_id, snapshot, created_at, expires_at, digest, job, body)) = row else {
            return Ok(None);
        };
        Ok(Some(PlanRecord {
            id,
            domain_id: domain_id.parse().map_err(|_| BAD)?,
            snapshot,
            created_at: moment(&created_at)?,
            expires_at: moment(&expires_at)?,
            digest,
            job: job.map(|job| job.parse()).transpose().map_err(|_| BAD)?,
            body,
        }))
    }

    /// Lets go of plans that were never applied and went out of date before `moment`.
    pub(crate) fn drop_plans_before(&self, moment: Timestamp) -> Result<usize, StateError> {
        Ok(self
            .db()
            .prepare_cached("DELETE FROM plans WHERE job IS NULL AND expires_at < ?1")?
            .execute([text(moment)])?)
    }

    /// A restore's journal so far, each record sealed.
    pub(crate) fn journal(&self, job: JobId) -> Result<Vec<Vec<u8>>, StateError> {
        let db = self.db();
        let mut statement =
            db.prepare_cached("SELECT record FROM journal WHERE job = ?1 ORDER BY n")?;
        let rows = statement.query_map([job.to_string()], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Appends to a restore's journal; with `mapping`, also to the domain's id map, in the same transaction.
    pub(crate) fn append_journal(
        &self,
        job: JobId,
        record: &[u8],
        mapping: Option<&Mapping>,
    ) -> Result<(), StateError> {
        let mut db = self.db();
        let transaction = db.transaction()?;
        transaction.execute(
            "INSERT INTO journal (job, n, record)
             SELECT ?1, coalesce(max(n), 0) + 1, ?2 FROM journal WHERE job = ?1",
            (job.to_string(), record),
        )?;
        if let Some(mapping) = mapping {
            transaction.execute(
                "INSERT OR REPLACE INTO id_map (domain_id, name, pair) VALUES (?1, ?2, ?3)",
                (mapping.domain_id.to_string(), mapping.name, &mapping.pair),
            )?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// A domain's id map, each pair sealed.
    pub(crate) fn id_map(&self, domain: DomainId) -> Result<Vec<Vec<u8>>, StateError> {
        let db = self.db();
        let mut statement = db.prepare_cached("SELECT pair FROM id_map WHERE domain_id = ?1")?;
        let rows = statement.query_map([domain.to_string()], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds to a domain's id map.
    pub(crate) fn insert_mapping(&self, mapping: &Mapping) -> Result<(), StateError> {
        self.db()
            .prepare_cached(
                "INSERT OR REPLACE INTO id_map (domain_id, name, pair) VALUES (?1, ?2, ?3)",
            )?
            .execute((mapping.domain_id.to_string(), mapping.name, &mapping.pair))?;
        Ok(())
    }
}

/// One entry of an id map, ready to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// The domain.
    pub(crate) domain_id: DomainId,
    /// Keyed hash of type and old id.
    pub(crate) name: [u8; 16],
    /// Type, old id and new id, sealed.
    pub(crate) pair: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use orgkeep_api::job::JobKind;

    #[test]
    fn a_journal_keeps_its_order_and_brings_the_id_map_along() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(&directory.path().join("state.db")).unwrap();
        let (job, other) = (JobId::random().unwrap(), JobId::random().unwrap());
        let domain_id = DomainId::random().unwrap();
        let mapping = Mapping {
            domain_id,
            name: [1; 16],
            pair: b"pair".to_vec(),
        };
        state.append_journal(job, b"a", None).unwrap();
        state.append_journal(other, b"x", None).unwrap();
        state.append_journal(job, b"b", Some(&mapping)).unwrap();
        assert_eq!(state.journal(job).unwrap(), [b"a".to_vec(), b"b".to_vec()]);
        assert_eq!(state.id_map(domain_id).unwrap(), [b"pair".to_vec()]);
    }

    #[test]
    fn plans_go_out_of_date_unless_they_were_applied() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(&directory.path().join("state.db")).unwrap();
        let plan = |byte| PlanRecord {
            id: PlanId::from_bytes([byte; 8]),
            domain_id: DomainId::from_bytes([0; 8]),
            snapshot: "s".to_owned(),
            created_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::UNIX_EPOCH,
            digest: String::new(),
            job: None,
            body: Vec::new(),
        };
        state.insert_plan(&plan(1)).unwrap();
        state.insert_plan(&plan(2)).unwrap();
        let applied = crate::state::jobs::tests::job(JobKind::Restore, None);
        state
            .insert_job(&applied, Some(PlanId::from_bytes([2; 8])))
            .unwrap();
        let later = Timestamp::from_second(60).unwrap();
        assert_eq!(state.drop_plans_before(later).unwrap(), 1);
        assert!(state.plan(PlanId::from_bytes([1; 8])).unwrap().is_none());
        let kept = state.plan(PlanId::from_bytes([2; 8])).unwrap().unwrap();
        assert_eq!(kept.job, Some(applied.id));
    }
}
