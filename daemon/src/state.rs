//! The daemon's own database, `state.db`: domains, jobs, plans, restore journals, id maps, the audit log.
//!
//! One connection behind a lock, write-ahead log, `synchronous=FULL`: what a method (but for notes of reads) has returned from
//! is durable. What could hold a name or another profile value is sealed by the caller before it comes here.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use orgkeep_engine::{clock, index};
use rusqlite::{Connection, OptionalExtension};

pub(crate) mod audit;
pub(crate) mod domains;
pub(crate) mod jobs;
pub(crate) mod plans;

mod embedded {
    refinery::embed_migrations!("src/state/migrations");
}

/// Versions before this one lose commits in write-ahead-log mode.
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// How long to wait for a lock that a backup tool or an operator's shell holds, in milliseconds.
const BUSY_MS: u64 = 5_000;

/// Why the state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    #[error("SQLite {found} is too old: it can lose commits")]
    Sqlite { found: &'static str },
    #[error("{} was written by a newer version of the program", path.display())]
    Newer { path: PathBuf },
    #[error("could not prepare {}", path.display())]
    Migrate {
        path: PathBuf,
        source: Box<refinery::Error>,
    },
    #[error("could not open {}", path.display())]
    Open {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error("the state database failed")]
    Sql(#[from] rusqlite::Error),
    #[error("a row of the state database cannot be read: {0}")]
    Damaged(&'static str),
}

impl StateError {
    /// Whether starting without the state would only hide the mistake.
    pub(crate) fn is_fatal(&self) -> bool {
        matches!(self, Self::Sqlite { .. } | Self::Newer { .. })
    }

    /// Whether the disk is full.
    pub(crate) fn is_no_space(&self) -> bool {
        match self {
            Self::Sql(error) | Self::Open { source: error, .. } => index::is_no_space(error),
            _ => false,
        }
    }
}

/// The open database.
#[derive(Debug)]
pub(crate) struct State {
    connection: Mutex<Connection>,
}

impl State {
    /// Opens the database, making or upgrading it where need be.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or was written by a newer program (it is left untouched then).
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        if rusqlite::version_number() < SQLITE_VERSION_MIN {
            return Err(StateError::Sqlite {
                found: rusqlite::version(),
            });
        }
        let open_error = |source| StateError::Open {
            path: path.to_owned(),
            source,
        };
        let mut connection = Connection::open(path).map_err(open_error)?;
        connection
            .busy_timeout(std::time::Duration::from_millis(BUSY_MS))
            .map_err(open_error)?;
        refuse_newer(&connection, path)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;
                 PRAGMA foreign_keys=ON;",
            )
            .map_err(open_error)?;
        embedded::migrations::runner()
            .run(&mut connection)
            .map_err(|source| StateError::Migrate {
                path: path.to_owned(),
                source: Box::new(source),
            })?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// The connection. A panic elsewhere leaves no half-done transaction: those roll back when dropped.
    fn db(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when everything that was written is durable.
    pub(crate) fn settle(&self) -> Result<(), StateError> {
        // Any commit syncs the log up to itself.
        self.set_fact("settled", b"")
    }

    /// A single fact, if it was ever set.
    pub(crate) fn fact(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self
            .db()
            .prepare_cached("SELECT value FROM facts WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()?)
    }

    /// Sets a single fact.
    pub(crate) fn set_fact(&self, name: &str, value: &[u8]) -> Result<(), StateError> {
        self.db()
            .prepare_cached("INSERT OR REPLACE INTO facts (name, value) VALUES (?1, ?2)")?
            .execute((name, value))?;
        Ok(())
    }

    /// Counts this start, from 1: later starts have larger numbers.
    pub(crate) fn count_start(&self) -> Result<u64, StateError> {
        let before = self.fact("starts")?.unwrap_or_default();
        let before = std::str::from_utf8(&before)
            .ok()
            .and_then(|text| text.parse().ok());
        let now = before.unwrap_or(0u64) + 1;
        self.set_fact("starts", now.to_string().as_bytes())?;
        Ok(now)
    }

    /// Moves the write-ahead log into the database and cuts it to nothing.
    pub(crate) fn checkpoint(&self) -> Result<(), StateError> {
        self.db()
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

/// Refuses a database whose newest migration this program does not know.
fn refuse_newer(connection: &Connection, path: &Path) -> Result<(), StateError> {
    let known = embedded::migrations::runner()
        .get_migrations()
        .iter()
        .map(|migration| i64::from(migration.version()))
        .max();
    let has_history: bool = connection
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'refinery_schema_history')",
            [],
            |row| row.get(0),
        )
        .map_err(|source| StateError::Open {
            path: path.to_owned(),
            source,
        })?;
    if !has_history {
        return Ok(());
    }
    let applied: Option<i64> = connection.query_row(
        "SELECT max(version) FROM refinery_schema_history",
        [],
        |row| row.get(0),
    )?;
    if applied > known {
        Err(StateError::Newer {
            path: path.to_owned(),
        })
    } else {
        Ok(())
    }
}

/// A moment as it stands in the database.
fn moment(text: &str) -> Result<Timestamp, StateError> {
    text.parse().map_err(|_| StateError::Damaged("a moment"))
}

/// A moment for the database.
fn text(moment: Timestamp) -> String {
    clock::to_text(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_survive_reopening_and_starts_count_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let state = State::open(&path).unwrap();
        assert_eq!(state.count_start().unwrap(), 1);
        drop(state);
        let state = State::open(&path).unwrap();
        assert_eq!(state.count_start().unwrap(), 2);
        assert_eq!(state.fact("absent").unwrap(), None);
    }

    #[test]
    fn a_newer_database_is_refused_and_left_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        drop(State::open(&path).unwrap());
        let connection = Connection::open(&path).unwrap();
        connection
            .execute(
                "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
                 VALUES (9999, 'later', '2030-01-01T00:00:00Z', '1')",
                [],
            )
            .unwrap();
        drop(connection);
        let error = State::open(&path).unwrap_err();
        assert!(error.is_fatal(), "{error}");
    }

    #[test]
    fn the_log_is_cut_by_a_checkpoint() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let state = State::open(&path).unwrap();
        state.set_fact("x", &[0; 5000]).unwrap();
        state.checkpoint().unwrap();
        let wal = std::fs::metadata(directory.path().join("state.db-wal")).unwrap();
        assert_eq!(wal.len(), 0);
    }
}
