//! Registered domains, and those that were removed while their data is kept.

use jiff::Timestamp;
use orgkeep_api::domain::{AppStatus, Scopes, Settings};
use orgkeep_engine::id::{DomainId, DomainName};
use rusqlite::{OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use super::{State, StateError};

/// Everything that is kept of a domain. Its JSON form is also what the store keeps, sealed, as the registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DomainRecord {
    /// Names the domain for good.
    #[serde(with = "by_text")]
    pub(crate) id: DomainId,
    /// The name it is called by.
    #[serde(with = "by_text")]
    pub(crate) name: DomainName,
    /// `https://HOST`.
    pub(crate) okta_domain: String,
    /// The org's own id.
    pub(crate) org_id: String,
    /// When it was registered.
    pub(crate) added_at: Timestamp,
    /// The credentials' sealed envelope, as hex digits; empty once the domain was removed.
    pub(crate) credentials: String,
    /// Whether they are an API token, which knows no scopes.
    pub(crate) api_token: bool,
    /// Whether scheduled backups run.
    pub(crate) backup_enabled: bool,
    /// Whether key management was enabled.
    pub(crate) keys_enabled: bool,
    /// The backup settings.
    pub(crate) settings: Settings,
    /// Due times after this moment have not been handled yet.
    pub(crate) schedule_from: Timestamp,
    /// How the org answered last.
    pub(crate) app_status: AppStatus,
    /// What that means.
    pub(crate) app_status_detail: Option<String>,
    /// Backup scopes.
    pub(crate) scopes: ScopesRecord,
    /// `.manage` scopes that a restore would need.
    pub(crate) restore_scopes_missing: Vec<String>,
    /// Whether it was removed, its data kept.
    #[serde(default)]
    pub(crate) removed: bool,
}

/// Backup scopes, granted and missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScopesRecord {
    /// Granted.
    pub(crate) granted: Vec<String>,
    /// Missing.
    pub(crate) missing: Vec<String>,
}

impl From<ScopesRecord> for Scopes {
    fn from(record: ScopesRecord) -> Self {
        Self {
            granted: record.granted,
            missing: record.missing,
        }
    }
}

impl State {
    /// All registered domains, by name.
    pub(crate) fn domains(&self) -> Result<Vec<DomainRecord>, StateError> {
        let db = self.db();
        let mut statement = db.prepare_cached("SELECT record FROM domains ORDER BY name")?;
        let rows = statement.query_map([], json_text)?;
        rows.map(|row| parse(&row?)).collect()
    }

    /// The domain with this name.
    pub(crate) fn domain(&self, name: &str) -> Result<Option<DomainRecord>, StateError> {
        self.one_domain("SELECT record FROM domains WHERE name = ?1", name)
    }

    /// The domain with this id.
    pub(crate) fn domain_by_id(&self, id: DomainId) -> Result<Option<DomainRecord>, StateError> {
        self.one_domain("SELECT record FROM domains WHERE id = ?1", &id.to_string())
    }

    /// The domain of this org.
    pub(crate) fn domain_by_org(&self, org_id: &str) -> Result<Option<DomainRecord>, StateError> {
        self.one_domain("SELECT record FROM domains WHERE org_id = ?1", org_id)
    }

    /// A removed domain of this org.
    pub(crate) fn forgotten_by_org(
        &self,
        org_id: &str,
    ) -> Result<Option<DomainRecord>, StateError> {
        self.one_domain("SELECT record FROM forgotten WHERE org_id = ?1", org_id)
    }

    /// All removed domains.
    pub(crate) fn forgotten(&self) -> Result<Vec<DomainRecord>, StateError> {
        let db = self.db();
        let mut statement = db.prepare_cached("SELECT record FROM forgotten ORDER BY id")?;
        let rows = statement.query_map([], json_text)?;
        rows.map(|row| parse(&row?)).collect()
    }

    fn one_domain(&self, sql: &str, key: &str) -> Result<Option<DomainRecord>, StateError> {
        let text = self
            .db()
            .prepare_cached(sql)?
            .query_row([key], json_text)
            .optional()?;
        text.map(|text| parse(&text)).transpose()
    }

    /// Registers a domain; a removed one with the same id is forgotten no more.
    pub(crate) fn insert_domain(&self, record: &DomainRecord) -> Result<(), StateError> {
        let json = print(record)?;
        let mut db = self.db();
        let transaction = db.transaction()?;
        transaction.execute("DELETE FROM forgotten WHERE org_id = ?1", [&record.org_id])?;
        transaction.execute(
            "INSERT INTO domains (id, name, org_id, record) VALUES (?1, ?2, ?3, ?4)",
            (
                record.id.to_string(),
                record.name.as_str(),
                &record.org_id,
                json,
            ),
        )?;
        transaction.commit()?;
        Ok(())
    }

    /// Changes a domain under the lock; `None` if it is not registered any more.
    pub(crate) fn update_domain(
        &self,
        id: DomainId,
        change: &mut dyn FnMut(&mut DomainRecord),
    ) -> Result<Option<DomainRecord>, StateError> {
        let mut db = self.db();
        let transaction = db.transaction()?;
        let text = transaction
            .query_row(
                "SELECT record FROM domains WHERE id = ?1",
                [id.to_string()],
                json_text,
            )
            .optional()?;
        let Some(text) = text else { return Ok(None) };
        let mut record = parse(&text)?;
        change(&mut record);
        transaction.execute(
            "UPDATE domains SET name = ?2, org_id = ?3, record = ?4 WHERE id = ?1",
            (
                id.to_string(),
                record.name.as_str(),
                &record.org_id,
                print(&record)?,
            ),
        )?;
        transaction.commit()?;
        Ok(Some(record))
    }

    /// Removes a domain; with `kept`, what is kept of it so that its org can be taken up again.
    pub(crate) fn remove_domain(
        &self,
        id: DomainId,
        kept: Option<&DomainRecord>,
    ) -> Result<(), StateError> {
        let mut db = self.db();
        let transaction = db.transaction()?;
        let id = id.to_string();
        transaction.execute("DELETE FROM domains WHERE id = ?1", [&id])?;
        transaction.execute("DELETE FROM forgotten WHERE id = ?1", [&id])?;
        transaction.execute("DELETE FROM plans WHERE domain_id = ?1", [&id])?;
        match kept {
            Some(record) => transaction.execute(
                "INSERT INTO forgotten (id, org_id, record) VALUES (?1, ?2, ?3)",
                (&id, &record.org_id, print(record)?),
            )?,
            None => transaction.execute("DELETE FROM id_map WHERE domain_id = ?1", [&id])?,
        };
        transaction.commit()?;
        Ok(())
    }
}

fn json_text(row: &Row<'_>) -> rusqlite::Result<String> {
    row.get(0)
}

fn parse(text: &str) -> Result<DomainRecord, StateError> {
    serde_json::from_str(text).map_err(|_| StateError::Damaged("a domain"))
}

fn print(record: &DomainRecord) -> Result<String, StateError> {
    serde_json::to_string(record).map_err(|_| StateError::Damaged("a domain"))
}

/// Identifiers as their text forms.
mod by_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr,
        T::Err: Display,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn record(name: &str, org_id: &str) -> DomainRecord {
        DomainRecord {
            id: DomainId::random().unwrap(),
            name: name.parse().unwrap(),
            okta_domain: format!("https://{name}.okta.com"),
            org_id: org_id.to_owned(),
            added_at: Timestamp::UNIX_EPOCH,
            credentials: String::new(),
            api_token: false,
            backup_enabled: true,
            keys_enabled: false,
            settings: crate::settings::builtin(),
            schedule_from: Timestamp::UNIX_EPOCH,
            app_status: AppStatus::Connected,
            app_status_detail: None,
            scopes: ScopesRecord::default(),
            restore_scopes_missing: Vec::new(),
            removed: false,
        }
    }

    #[test]
    fn a_removed_domain_is_taken_up_again_by_its_org() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(&directory.path().join("state.db")).unwrap();
        let acme = record("acme", "00o1");
        state.insert_domain(&acme).unwrap();
        assert!(
            state.insert_domain(&record("acme", "00o2")).is_err(),
            "a name is taken once"
        );
        assert!(
            state.insert_domain(&record("acme2", "00o1")).is_err(),
            "an org is taken once"
        );
        state.remove_domain(acme.id, Some(&acme)).unwrap();
        assert_eq!(state.domain("acme").unwrap(), None);
        assert_eq!(state.forgotten_by_org("00o1").unwrap(), Some(acme.clone()));
        state.insert_domain(&acme).unwrap();
        assert_eq!(state.forgotten_by_org("00o1").unwrap(), None);
        let changed = state.update_domain(acme.id, &mut |record| record.keys_enabled = true);
        assert!(changed.unwrap().unwrap().keys_enabled);
        assert!(state.domain_by_id(acme.id).unwrap().unwrap().keys_enabled);
    }
}
