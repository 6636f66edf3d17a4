//! Jobs as they are kept: durable before their id is told, and after every change of state.

use jiff::Timestamp;
use orgkeep_api::job::{BackupMode, JobKind, JobState, Trigger};
use orgkeep_engine::id::{DomainId, JobId, PlanId};
use rusqlite::{OptionalExtension, Row, params_from_iter};

use super::{State, StateError, moment, text};

/// A job's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobRecord {
    /// Its place among all jobs, from 1; 0 until it is kept.
    pub(crate) n: i64,
    /// Its id.
    pub(crate) id: JobId,
    /// The domain it concerns.
    pub(crate) domain_id: Option<DomainId>,
    /// The domain's name when it was made.
    pub(crate) domain: Option<String>,
    /// What it does.
    pub(crate) kind: JobKind,
    /// Who started it.
    pub(crate) trigger: Trigger,
    /// Where it stands.
    pub(crate) state: JobState,
    /// When it was accepted.
    pub(crate) created_at: Timestamp,
    /// When it began.
    pub(crate) started_at: Option<Timestamp>,
    /// When it ended.
    pub(crate) finished_at: Option<Timestamp>,
    /// How often it was begun.
    pub(crate) attempts: u32,
    /// For a backup: how much it reads.
    pub(crate) mode: Option<BackupMode>,
    /// What was asked for, sealed.
    pub(crate) params: Option<Vec<u8>>,
    /// Progress when it was last written, JSON.
    pub(crate) progress: Option<String>,
    /// The code of its error.
    pub(crate) error_code: Option<String>,
    /// The error's words, sealed.
    pub(crate) error_detail: Option<Vec<u8>>,
    /// Its result, JSON, sealed.
    pub(crate) result: Option<Vec<u8>>,
    /// Remarks, a JSON list, sealed.
    pub(crate) warnings: Option<Vec<u8>>,
}

/// Which jobs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct JobFilter {
    /// Of this domain.
    pub(crate) domain_id: Option<DomainId>,
    /// Of this kind.
    pub(crate) kind: Option<JobKind>,
    /// In this state.
    pub(crate) state: Option<JobState>,
}

const COLUMNS: &str = "n, id, domain_id, domain, kind, \"trigger\", state, created_at, started_at, \
                       finished_at, attempts, mode, params, progress, error_code, error_detail, \
                       result, warnings";

impl State {
    /// Keeps a new job; gives its place. With `plan`, also notes that it applies this plan, in the same transaction.
    pub(crate) fn insert_job(
        &self,
        job: &JobRecord,
        plan: Option<PlanId>,
    ) -> Result<i64, StateError> {
        let mut db = self.db();
        let transaction = db.transaction()?;
        transaction.execute(
            "INSERT INTO jobs (id, domain_id, domain, kind, \"trigger\", state, created_at, started_at,
                finished_at, attempts, mode, params, error_code, error_detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            rusqlite::params![
            job.id.to_string(),
            job.domain_id.map(|id| id.to_string()),
            job.domain,
            job.kind.as_str(),
            job.trigger.as_str(),
            job.state.as_str(),
            text(job.created_at),
            job.started_at.map(text),
            job.finished_at.map(text),
            job.attempts,
            job.mode.map(BackupMode::as_str),
            job.params,
            job.error_code,
            job.error_detail,
        ])?;
        let n = transaction.last_insert_rowid();
        if let Some(plan) = plan {
            transaction.execute(
                "UPDATE plans SET job = ?2 WHERE id = ?1",
                (plan.to_string(), job.id.to_string()),
            )?;
        }
        transaction.commit()?;
        Ok(n)
    }

    /// Writes where a job stands: everything that can change, but its report.
    pub(crate) fn update_job(&self, job: &JobRecord) -> Result<(), StateError> {
        self.db()
            .prepare_cached(
                "UPDATE jobs SET state = ?2, started_at = ?3, finished_at = ?4, attempts = ?5,
                    progress = ?6, error_code = ?7, error_detail = ?8, result = ?9, warnings = ?10
                 WHERE id = ?1",
            )?
            .execute(rusqlite::params![
                job.id.to_string(),
                job.state.as_str(),
                job.started_at.map(text),
                job.finished_at.map(text),
                job.attempts,
                job.progress,
                job.error_code,
                job.error_detail,
                job.result,
                job.warnings,
            ])?;
        Ok(())
    }

    /// Keeps a job's report, sealed.
    pub(crate) fn set_job_report(&self, id: JobId, report: &[u8]) -> Result<(), StateError> {
        self.db()
            .prepare_cached("UPDATE jobs SET report = ?2 WHERE id = ?1")?
            .execute((id.to_string(), report))?;
        Ok(())
    }

    /// A job's report, sealed.
    pub(crate) fn job_report(&self, id: JobId) -> Result<Option<Vec<u8>>, StateError> {
        let report = self
            .db()
            .prepare_cached("SELECT report FROM jobs WHERE id = ?1")?
            .query_row([id.to_string()], |row| row.get(0))
            .optional()?;
        Ok(report.flatten())
    }

    /// One job.
    pub(crate) fn job(&self, id: JobId) -> Result<Option<JobRecord>, StateError> {
        let db = self.db();
        let mut statement =
            db.prepare_cached(&format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1"))?;
        let raw = statement.query_row([id.to_string()], read_raw).optional()?;
        raw.map(Raw::checked).transpose()
    }

    /// Up to `limit` jobs before place `before`, newest first.
    pub(crate) fn jobs(
        &self,
        filter: &JobFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<JobRecord>, StateError> {
        let mut sql = format!("SELECT {COLUMNS} FROM jobs WHERE 1");
        let mut values: Vec<rusqlite::types::Value> = Vec::new();
        let mut condition = |column: &str, value: rusqlite::types::Value| {
            values.push(value);
            sql.push_str(&format!(" AND {column} ?{}", values.len()));
        };
        if let Some(id) = filter.domain_id {
            condition("domain_id =", id.to_string().into());
        }
        if let Some(kind) = filter.kind {
            condition("kind =", kind.as_str().to_owned().into());
        }
        if let Some(state) = filter.state {
            condition("state =", state.as_str().to_owned().into());
        }
        if let Some(before) = before {
            condition("n <", before.into());
        }
        sql.push_str(&format!(" ORDER BY n DESC LIMIT {limit}"));
        self.select_jobs(&sql, values)
    }

    /// Every job that has not ended, oldest first.
    pub(crate) fn unfinished_jobs(&self) -> Result<Vec<JobRecord>, StateError> {
        let sql =
            format!("SELECT {COLUMNS} FROM jobs WHERE state IN ('queued', 'running') ORDER BY n");
        self.select_jobs(&sql, Vec::new())
    }

    /// The backup of a domain that ended last; runs that were skipped do not count.
    pub(crate) fn last_backup(&self, domain: DomainId) -> Result<Option<JobRecord>, StateError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM jobs WHERE domain_id = ?1 AND kind = 'backup'
             AND finished_at IS NOT NULL AND started_at IS NOT NULL ORDER BY finished_at DESC, n DESC LIMIT 1"
        );
        Ok(self
            .select_jobs(&sql, vec![domain.to_string().into()])?
            .pop())
    }

    fn select_jobs(
        &self,
        sql: &str,
        values: Vec<rusqlite::types::Value>,
    ) -> Result<Vec<JobRecord>, StateError> {
        let db = self.db();
        let mut statement = db.prepare_cached(sql)?;
        let rows = statement.query_map(params_from_iter(values), read_raw)?;
        rows.map(|raw| raw?.checked()).collect()
    }
}

/// A row before its words were checked.
struct Raw {
    n: i64,
    id: String,
    domain_id: Option<String>,
    domain: Option<String>,
    kind: String,
    trigger: String,
    state: String,
    created_at: String,
    started_at: Option<String>,
    finished_at: Option<String>,
    attempts: u32,
    mode: Option<String>,
    params: Option<Vec<u8>>,
    progress: Option<String>,
    error_code: Option<String>,
    error_detail: Option<Vec<u8>>,
    result: Option<Vec<u8>>,
    warnings: Option<Vec<u8>>,
}

fn read_raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok(Raw {
        n: row.get(0)?,
        id: row.get(1)?,
        domain_id: row.get(2)?,
        domain: row.get(3)?,
        kind: row.get(4)?,
        trigger: row.get(5)?,
        state: row.get(6)?,
        created_at: row.get(7)?,
        started_at: row.get(8)?,
        finished_at: row.get(9)?,
        attempts: row.get(10)?,
        mode: row.get(11)?,
        params: row.get(12)?,
        progress: row.get(13)?,
        error_code: row.get(14)?,
        error_detail: row.get(15)?,
        result: row.get(16)?,
        warnings: row.get(17)?,
    })
}

impl Raw {
    fn checked(self) -> Result<JobRecord, StateError> {
        const BAD: StateError = StateError::Damaged("a job");
        let time = |text: Option<String>| text.map(|text| moment(&text)).transpose();
        Ok(JobRecord {
            n: self.n,
            id: self.id.parse().map_err(|_| BAD)?,
            domain_id: self
                .domain_id
                .map(|id| id.parse())
                .transpose()
                .map_err(|_| BAD)?,
            domain: self.domain,
            kind: self.kind.parse().map_err(|_| BAD)?,
            trigger: self.trigger.parse().map_err(|_| BAD)?,
            state: self.state.parse().map_err(|_| BAD)?,
            created_at: moment(&self.created_at)?,
            started_at: time(self.started_at)?,
            finished_at: time(self.finished_at)?,
            attempts: self.attempts,
            mode: self
                .mode
                .map(|mode| mode.parse())
                .transpose()
                .map_err(|_| BAD)?,
            params: self.params,
            progress: self.progress,
            error_code: self.error_code,
            error_detail: self.error_detail,
            result: self.result,
            warnings: self.warnings,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn job(kind: JobKind, domain_id: Option<DomainId>) -> JobRecord {
        JobRecord {
            n: 0,
            id: JobId::random().unwrap(),
            domain_id,
            domain: domain_id.map(|_| "acme".to_owned()),
            kind,
            trigger: Trigger::Manual,
            state: JobState::Queued,
            created_at: Timestamp::UNIX_EPOCH,
            started_at: None,
            finished_at: None,
            attempts: 0,
            mode: None,
            params: None,
            progress: None,
            error_code: None,
            error_detail: None,
            result: None,
            warnings: None,
        }
    }

    #[test]
    fn jobs_are_listed_newest_first_and_by_what_is_asked() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(&directory.path().join("state.db")).unwrap();
        let domain = DomainId::random().unwrap();
        let mut first = job(JobKind::Backup, Some(domain));
        first.n = state.insert_job(&first, None).unwrap();
        let mut second = job(JobKind::Check, None);
        second.n = state.insert_job(&second, None).unwrap();
        let all = state.jobs(&JobFilter::default(), None, 10).unwrap();
        assert_eq!(all, [second.clone(), first.clone()]);
        let page = state
            .jobs(&JobFilter::default(), Some(second.n), 10)
            .unwrap();
        assert_eq!(page, [first.clone()]);
        let filter = JobFilter {
            domain_id: Some(domain),
            ..JobFilter::default()
        };
        assert_eq!(state.jobs(&filter, None, 10).unwrap(), [first.clone()]);

        first.state = JobState::Failed;
        first.started_at = Some(Timestamp::UNIX_EPOCH);
        first.finished_at = Some(Timestamp::UNIX_EPOCH);
        state.update_job(&first).unwrap();
        assert_eq!(state.unfinished_jobs().unwrap(), [second]);
        assert_eq!(state.last_backup(domain).unwrap(), Some(first));
    }
}
