//! Owns every SQL statement and migration of the index.
//!
//! The index is disposable: everything in it can be read again from records and packs. It holds ids and numbers in the
//! clear, and keyed fingerprints; no name and no profile value (an id that is a name is sealed).
//!
//! It is temporal: it says of each version of an object the first snapshot that has it and the first that no longer
//! does. A state as of a snapshot is a scan of `first <= s and (last is null or last > s)`, the difference of two
//! snapshots a scan of the two partial indexes. Rows are written in one transaction per snapshot, after its record is
//! durable, so no unfinished snapshot is ever seen.
//!
//! Measured at 100,000 users (812 k memberships, 596 k app users): 14.2 MB, where a row for each version took 42.8 MB. What is there since the
//! first snapshot and still is lies many to a row (`index/lasting.rs`); any other version is a row, with a body of about 31 bytes, a relation of 21.
//! Beginnings are indexed only after a domain's first snapshot (a partial index), and ends only where there is one.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Row, Statement, Transaction, ffi, params,
};

use crate::chunk::Key;
use crate::durable;
use crate::id::{DomainId, PackId, SnapshotId};
use crate::object::Coverage;
use crate::pack::{ChunkEntry, Kind};

pub(crate) mod mend;

#[cfg(test)]
pub(crate) mod faults;
pub(crate) mod lasting;
pub(crate) mod prune;

/// The migrations, oldest first; the first makes version 1 of the index.
const MIGRATIONS: &[&str] = &[
    include_str!("index/migrations/0001_temporal_index.sql"),
    include_str!("index/migrations/0002_doomed_packs.sql"),
    include_str!("index/migrations/0003_lasting_versions.sql"),
    include_str!("index/migrations/0004_short_coverage.sql"),
];

/// Pages of 1 KiB that a connection may keep in memory.
const CACHE_KIB: i32 = 4 * 1024;

/// Why the index could not be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A newer program wrote it.
    #[error("the index has version {found}, this program knows {known}")]
    Newer {
        /// The version found.
        found: usize,
        /// The newest version known.
        known: usize,
    },
    /// The disk is full.
    #[error("there is no space left to write the index")]
    NoSpace,
    /// SQLite failed.
    #[error("the index failed")]
    Sqlite(#[source] rusqlite::Error),
    /// The file could not be made, renamed or removed.
    #[error("could not {what} the index's file")]
    File {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// Another process reads it.
    #[error("another program uses the index")]
    Busy,
    /// A row cannot be what it is.
    #[error("the index holds {what}")]
    Broken {
        /// What it holds.
        what: &'static str,
    },
}

impl IndexError {
    /// What the operator can do about it, as one sentence; `None` if nothing is known to help.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Newer { .. } => Some("Use the newer program that wrote it, or delete `index.db`: it is rebuilt from the store.".to_owned()),
            Self::NoSpace => Some("Free some space on the disk that holds the index, then run it again.".to_owned()),
            Self::File { .. } => Some("Check the data directory and its permissions.".to_owned()),
            Self::Busy => Some("End the program that has `index.db` open, then run it again.".to_owned()),
            Self::Sqlite(_) | Self::Broken { .. } => Some("Run `orgkeepctl store reindex`: the index is rebuilt from the store.".to_owned()),
        }
    }
}

impl From<rusqlite::Error> for IndexError {
    fn from(error: rusqlite::Error) -> Self {
        if is_no_space(&error) {
            Self::NoSpace
        } else {
            Self::Sqlite(error)
        }
    }
}

/// Whether SQLite failed because the disk is full. Of the memory that its connections share it says so in another way.
#[must_use]
pub fn is_no_space(error: &rusqlite::Error) -> bool {
    let shared = matches!(error, rusqlite::Error::SqliteFailure(failure, _)
        if failure.extended_code == ffi::SQLITE_IOERR_SHMSIZE);
    shared || error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

type Result<T> = std::result::Result<T, IndexError>;

/// The index's file, with one connection for writing and one for reading.
#[derive(Debug)]
pub(crate) struct Index {
    path: PathBuf,
    write: Mutex<Connection>,
    read: Mutex<Connection>,
}

/// One type of one domain, as the index numbers it.
pub(crate) type Space = i64;

/// A version's place: chunk and ordinal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(i64);

impl Place {
    /// Where content is that is lost for good: no chunk has the number 0.
    pub(crate) const LOST: Self = Self(0);

    pub(crate) fn new(chunk: i64, ordinal: u16) -> Self {
        Self(chunk << 16 | i64::from(ordinal))
    }

    pub(crate) fn chunk(self) -> i64 {
        self.0 >> 16
    }

    pub(crate) fn ordinal(self) -> u16 {
        let [low, high, ..] = self.0.to_le_bytes();
        u16::from_le_bytes([low, high])
    }
}

/// A version that is there at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) key: Key,
    pub(crate) first: u32,
    pub(crate) last: Option<u32>,
    /// Where its body lies, and the body's fingerprint; `None` for a relation without a body.
    pub(crate) body: Option<(Place, i64)>,
}

const VERSION_COLUMNS: &str = "parent, key, first, last, place, fingerprint";

impl Version {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let place: Option<i64> = row.get(4)?;
        let fingerprint: Option<i64> = row.get(5)?;
        Ok(Self {
            key: Key {
                parent: row.get(0)?,
                key: row.get(1)?,
            },
            first: row.get(2)?,
            last: row.get(3)?,
            body: place.map(Place).zip(fingerprint),
        })
    }
}

/// Where a chunk lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChunkRow {
    pub(crate) pack: PackId,
    pub(crate) epoch: u32,
    pub(crate) place: usize,
    pub(crate) entry: ChunkEntry,
}

/// A snapshot as the index knows it.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotRow {
    pub(crate) domain: DomainId,
    pub(crate) sequence: u32,
    pub(crate) id: SnapshotId,
    pub(crate) parent: Option<SnapshotId>,
    pub(crate) created_at: i64,
    pub(crate) as_of: i64,
    pub(crate) pinned: bool,
    pub(crate) removed: bool,
    pub(crate) changes: u64,
    pub(crate) bytes_new: u64,
    pub(crate) record_bytes: u64,
    pub(crate) coverage: BTreeMap<u16, Coverage>,
    pub(crate) counts: BTreeMap<u16, u64>,
    /// Sealed.
    pub(crate) watermark: Vec<u8>,
}

const SNAPSHOT_COLUMNS: &str = "d.id, s.sequence, s.id, s.parent, s.created_at, s.as_of, s.pinned, s.removed, s.changes, \
     s.bytes_new, s.record_bytes, s.coverage, s.counts, s.watermark";

impl SnapshotRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let parent: Option<[u8; 8]> = row.get(3)?;
        let json = |column, error| {
            rusqlite::Error::FromSqlConversionFailure(
                column,
                rusqlite::types::Type::Text,
                Box::new(error),
            )
        };
        let coverage: String = row.get(11)?;
        let counts: String = row.get(12)?;
        Ok(Self {
            domain: DomainId::from_bytes(row.get(0)?),
            sequence: row.get(1)?,
            id: SnapshotId::from_bytes(row.get(2)?),
            parent: parent.map(SnapshotId::from_bytes),
            created_at: row.get(4)?,
            as_of: row.get(5)?,
            pinned: row.get(6)?,
            removed: row.get(7)?,
            changes: unsigned(row, 8)?,
            bytes_new: unsigned(row, 9)?,
            record_bytes: unsigned(row, 10)?,
            coverage: coverage_from(&coverage).map_err(|error| json(11, error))?,
            counts: serde_json::from_str(&counts).map_err(|error| json(12, error))?,
            watermark: row.get(13)?,
        })
    }
}

/// Coverage as the index keeps it: mostly all types are complete, which takes a fifth of the bytes so, and a snapshot's row no
/// overflow page of its own.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ShortCoverage {
    complete: Vec<u16>,
    others: BTreeMap<u16, Coverage>,
}

fn coverage_text(coverage: &BTreeMap<u16, Coverage>) -> serde_json::Result<String> {
    let (complete, others) = coverage
        .iter()
        .partition::<Vec<_>, _>(|(_, coverage)| **coverage == Coverage::Complete);
    serde_json::to_string(&ShortCoverage {
        complete: complete.into_iter().map(|(code, _)| *code).collect(),
        others: others
            .into_iter()
            .map(|(code, coverage)| (*code, coverage.clone()))
            .collect(),
    })
}

/// Reads what [`coverage_text`] wrote, and what versions of the index below 4 held: each type with its coverage.
fn coverage_from(text: &str) -> serde_json::Result<BTreeMap<u16, Coverage>> {
    if !text.starts_with("{\"complete\"") {
        return serde_json::from_str(text);
    }
    let short: ShortCoverage = serde_json::from_str(text)?;
    let complete = short.complete.into_iter();
    let mut coverage = short.others;
    coverage.extend(complete.map(|code| (code, Coverage::Complete)));
    Ok(coverage)
}

/// An id as the index keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NameText {
    /// As it is.
    Clear(String),
    /// It is a name, and sealed.
    Sealed(Vec<u8>),
}

/// A pack that a snapshot added.
#[derive(Debug, Clone)]
pub(crate) struct PackRow {
    pub(crate) id: PackId,
    pub(crate) epoch: u32,
    pub(crate) bytes: u64,
    pub(crate) entries: Vec<ChunkEntry>,
}

/// Where a new version lies: the pack, the chunk by its place in it, and the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewVersion {
    pub(crate) key: Key,
    pub(crate) pack: PackId,
    pub(crate) chunk: usize,
    pub(crate) ordinal: u16,
    pub(crate) fingerprint: i64,
}

/// What a snapshot changes of one type.
#[derive(Debug)]
pub(crate) struct AppliedType {
    pub(crate) type_code: u16,
    /// Whether the parent is kept in `parentage`.
    pub(crate) own_ids_under_parents: bool,
    pub(crate) put: Vec<NewVersion>,
    pub(crate) removed: Vec<Key>,
    pub(crate) related: Vec<Key>,
    /// New versions whose content is lost, with its fingerprint.
    pub(crate) lost: Vec<(Key, i64)>,
    /// Bucket, pack, chunk, digest.
    pub(crate) observations: Vec<(u32, PackId, usize, [u8; 16])>,
}

impl Index {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        create_private(path)?;
        let write = open_write(path)?;
        migrate(&write)?;
        prepare(&write)?;
        let read = open_read(path)?;
        Ok(Self {
            path: path.to_owned(),
            write: Mutex::new(write),
            read: Mutex::new(read),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn read(&self) -> MutexGuard<'_, Connection> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> MutexGuard<'_, Connection> {
        self.write.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `act` in one transaction of the writing connection.
    pub(crate) fn transact<T>(&self, act: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut connection = self.write();
        let transaction = connection.transaction()?;
        let done = act(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// As [`transact`](Self::transact), and when this returns it is durable: what is forgotten may be deleted.
    pub(crate) fn transact_durably<T>(
        &self,
        act: impl FnOnce(&Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut connection = self.write();
        connection.pragma_update(None, "synchronous", "FULL")?;
        let done = (|| {
            let transaction = connection.transaction()?;
            let done = act(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })();
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        done
    }

    /// A connection of its own for reading much without keeping others waiting.
    pub(crate) fn read_apart(&self) -> Result<Connection> {
        open_read(&self.path)
    }

    /// Replaces the index's file by another index, which must be closed.
    pub(crate) fn replace_by(&self, other: &Path) -> Result<()> {
        let mut write = self.write();
        let mut read = self.read();
        // Whatever happens from here on, the old file is whole without its log.
        empty_log(&write)?;
        drop(std::mem::replace(&mut *read, Connection::open_in_memory()?));
        drop(std::mem::replace(
            &mut *write,
            Connection::open_in_memory()?,
        ));
        let replaced = ["-wal", "-shm"]
            .iter()
            .try_for_each(|suffix| durable::remove(&with_suffix(&self.path, suffix)))
            .and_then(|()| durable::replace_durably(other, &self.path));
        *write = open_write(&self.path)?;
        prepare(&write)?;
        *read = open_read(&self.path)?;
        replaced.map_err(|source| IndexError::File {
            what: "replace",
            source,
        })
    }

    /// Removes an index that is not open, its write-ahead log included.
    pub(crate) fn remove_files(path: &Path) -> Result<()> {
        for file in [
            path.to_owned(),
            with_suffix(path, "-wal"),
            with_suffix(path, "-shm"),
        ] {
            durable::remove(&file).map_err(|source| IndexError::File {
                what: "remove",
                source,
            })?;
        }
        Ok(())
    }

    /// Moves the write-ahead log into the file and empties it, as far as readers allow.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        match empty_log(&self.write()) {
            Err(IndexError::Busy) => Ok(()),
            done => done,
        }
    }

    /// Moves the write-ahead log into the file and empties it, or fails: then the file alone is whole.
    pub(crate) fn settle(&self) -> Result<()> {
        empty_log(&self.write())
    }

    /// The bytes of the file and of its write-ahead log.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let size = |path: PathBuf| fs::metadata(path).map_or(0, |found| found.len());
        (
            size(self.path.clone()),
            size(with_suffix(&self.path, "-wal")),
        )
    }

    /// Deletes every row of a domain, overwriting what they held.
    pub(crate) fn erase(&self, domain: DomainId) -> Result<()> {
        let mut connection = self.write();
        connection.pragma_update(None, "secure_delete", true)?;
        let done = erase_rows(&mut connection, domain);
        connection.pragma_update(None, "secure_delete", false)?;
        done?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

fn erase_rows(connection: &mut Connection, domain: DomainId) -> Result<()> {
    let transaction = connection.transaction()?;
    if let Some(no) = domain_no(&transaction, domain)? {
        for sql in [
            "DELETE FROM version WHERE space IN (SELECT no FROM space WHERE domain = ?1)",
            "DELETE FROM lasting WHERE space IN (SELECT no FROM space WHERE domain = ?1)",
            "DELETE FROM parentage WHERE space IN (SELECT no FROM space WHERE domain = ?1)",
            "DELETE FROM observation WHERE space IN (SELECT no FROM space WHERE domain = ?1)",
            "DELETE FROM chunk WHERE pack IN (SELECT no FROM pack WHERE domain = ?1)",
            "DELETE FROM pack WHERE domain = ?1",
            "DELETE FROM name WHERE domain = ?1",
            "DELETE FROM snapshot WHERE domain = ?1",
            "DELETE FROM space WHERE domain = ?1",
            "DELETE FROM domain WHERE no = ?1",
        ] {
            transaction.execute(sql, [no])?;
        }
    }
    transaction.commit()?;
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes the file, if it is missing, so that only its owner can read it; SQLite gives its log the same mode.
fn create_private(path: &Path) -> Result<()> {
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Err(IndexError::NoSpace),
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(IndexError::File {
            what: "make",
            source: error,
        }),
        _ => Ok(()),
    }
}

fn migrate(connection: &Connection) -> Result<()> {
    let found: usize =
        connection.pragma_query_value(None, "user_version", |row| unsigned(row, 0))?;
    if found > MIGRATIONS.len() {
        return Err(IndexError::Newer {
            found,
            known: MIGRATIONS.len(),
        });
    }
    for (version, sql) in MIGRATIONS.iter().enumerate().skip(found) {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {sql} PRAGMA user_version = {}; COMMIT;",
            version + 1
        ))?;
    }
    Ok(())
}

fn prepare(connection: &Connection) -> Result<()> {
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Else SQLite, built as it is, parses and plans a range search anew each time another value is bound: most of what a lookup cost.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn open_write(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    #[cfg(test)]
    let connection = faults::watched(connection, path);
    Ok(connection)
}

/// Moves the write-ahead log into the file and empties it.
fn empty_log(connection: &Connection) -> Result<()> {
    let busy: bool =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy { Err(IndexError::Busy) } else { Ok(()) }
}

fn open_read(path: &Path) -> Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.pragma_update(None, "query_only", true)?;
    prepare(&connection)?;
    Ok(connection)
}

/// A number that is never negative.
fn unsigned<T: TryFrom<i64>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let value: i64 = row.get(column)?;
    T::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// A number as SQLite keeps it; none of ours comes near its limit.
fn integer<T>(value: T) -> i64
where
    i64: TryFrom<T>,
{
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The number of a domain.
pub(crate) fn domain_no(connection: &Connection, domain: DomainId) -> Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT no FROM domain WHERE id = ?1")?;
    Ok(statement
        .query_row([domain.as_bytes()], |row| row.get(0))
        .optional()?)
}

fn ensure_domain(transaction: &Transaction<'_>, domain: DomainId) -> Result<i64> {
    transaction.execute(
        "INSERT OR IGNORE INTO domain (id) VALUES (?1)",
        [domain.as_bytes()],
    )?;
    domain_no(transaction, domain)?.ok_or(IndexError::Broken {
        what: "no row for a domain",
    })
}

/// The space of a type; `None` if the domain has never had an object of it.
pub(crate) fn space(
    connection: &Connection,
    domain: DomainId,
    type_code: u16,
) -> Result<Option<Space>> {
    let mut statement = connection.prepare_cached(
        "SELECT s.no FROM space s JOIN domain d ON d.no = s.domain WHERE d.id = ?1 AND s.type = ?2",
    )?;
    Ok(statement
        .query_row(params![domain.as_bytes(), type_code], |row| row.get(0))
        .optional()?)
}

/// All spaces of a domain, with the codes of their types.
pub(crate) fn spaces(connection: &Connection, domain: DomainId) -> Result<Vec<(u16, Space)>> {
    let mut statement = connection.prepare_cached(
        "SELECT s.type, s.no FROM space s JOIN domain d ON d.no = s.domain WHERE d.id = ?1 ORDER BY s.type",
    )?;
    collect(statement.query_map([domain.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

fn ensure_space(transaction: &Transaction<'_>, domain_no: i64, type_code: u16) -> Result<Space> {
    transaction.execute(
        "INSERT OR IGNORE INTO space (domain, type) VALUES (?1, ?2)",
        params![domain_no, type_code],
    )?;
    Ok(transaction.query_row(
        "SELECT no FROM space WHERE domain = ?1 AND type = ?2",
        params![domain_no, type_code],
        |row| row.get(0),
    )?)
}

fn collect<T>(rows: impl Iterator<Item = rusqlite::Result<T>>) -> Result<Vec<T>> {
    rows.collect::<rusqlite::Result<Vec<T>>>()
        .map_err(IndexError::from)
}

/// Calls `see` with the first `limit` ids whose numbers are at least `from`, in order of the numbers.
pub(crate) fn names(
    connection: &Connection,
    domain: DomainId,
    from: u32,
    limit: usize,
    see: &mut dyn FnMut(u32, NameText),
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT n.number, n.text FROM name n JOIN domain d ON d.no = n.domain WHERE d.id = ?1 AND n.number >= ?2 ORDER BY n.number LIMIT ?3",
    )?;
    let mut rows = statement.query(params![domain.as_bytes(), from, integer(limit)])?;
    while let Some(row) = rows.next()? {
        let text = match row.get_ref(1)? {
            rusqlite::types::ValueRef::Text(text) => {
                NameText::Clear(String::from_utf8_lossy(text).into_owned())
            }
            rusqlite::types::ValueRef::Blob(sealed) => NameText::Sealed(sealed.to_vec()),
            _ => {
                return Err(IndexError::Broken {
                    what: "an id that is neither text nor sealed",
                });
            }
        };
        see(row.get(0)?, text);
    }
    Ok(())
}

/// The snapshots of a domain, oldest first, the removed ones included.
pub(crate) fn snapshots(connection: &Connection, domain: DomainId) -> Result<Vec<SnapshotRow>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {SNAPSHOT_COLUMNS} FROM snapshot s JOIN domain d ON d.no = s.domain WHERE d.id = ?1 ORDER BY s.sequence"
    ))?;
    collect(statement.query_map([domain.as_bytes()], SnapshotRow::read)?)
}

/// A snapshot in the order of its domain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) sequence: u32,
    pub(crate) id: SnapshotId,
    pub(crate) as_of: i64,
    pub(crate) removed: bool,
}

/// All snapshots of a domain in their order, the removed ones included.
pub(crate) fn timeline(connection: &Connection, domain: DomainId) -> Result<Vec<Moment>> {
    let mut statement = connection.prepare_cached(
        "SELECT s.sequence, s.id, s.as_of, s.removed FROM snapshot s JOIN domain d ON d.no = s.domain \
         WHERE d.id = ?1 ORDER BY s.sequence",
    )?;
    collect(statement.query_map([domain.as_bytes()], |row| {
        Ok(Moment {
            sequence: row.get(0)?,
            id: SnapshotId::from_bytes(row.get(1)?),
            as_of: row.get(2)?,
            removed: row.get(3)?,
        })
    })?)
}

/// The newest snapshot of a domain, also if it was removed.
pub(crate) fn newest_snapshot(
    connection: &Connection,
    domain: DomainId,
) -> Result<Option<SnapshotRow>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {SNAPSHOT_COLUMNS} FROM snapshot s JOIN domain d ON d.no = s.domain WHERE d.id = ?1 ORDER BY s.sequence DESC LIMIT 1"
    ))?;
    Ok(statement
        .query_row([domain.as_bytes()], SnapshotRow::read)
        .optional()?)
}

/// One snapshot, also if it was removed.
pub(crate) fn snapshot(connection: &Connection, id: SnapshotId) -> Result<Option<SnapshotRow>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {SNAPSHOT_COLUMNS} FROM snapshot s JOIN domain d ON d.no = s.domain WHERE s.id = ?1"
    ))?;
    Ok(statement
        .query_row([id.as_bytes()], SnapshotRow::read)
        .optional()?)
}

/// The ids of all snapshots that are not removed.
pub(crate) fn snapshot_ids(connection: &Connection) -> Result<Vec<SnapshotId>> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM snapshot WHERE removed = 0 ORDER BY id")?;
    collect(statement.query_map([], |row| row.get(0).map(SnapshotId::from_bytes))?)
}

/// Notes what a marker says.
pub(crate) fn mark(
    transaction: &Transaction<'_>,
    id: SnapshotId,
    pinned: bool,
    removed: bool,
) -> Result<()> {
    transaction.execute(
        "UPDATE snapshot SET pinned = ?2, removed = ?3 WHERE id = ?1",
        params![id.as_bytes(), pinned, removed],
    )?;
    Ok(())
}

/// The domains that the index knows.
pub(crate) fn domains(connection: &Connection) -> Result<Vec<DomainId>> {
    let mut statement = connection.prepare_cached("SELECT id FROM domain ORDER BY no")?;
    collect(statement.query_map([], |row| row.get(0).map(DomainId::from_bytes))?)
}

/// The packs of a domain, with their bytes.
pub(crate) fn packs(connection: &Connection, domain: DomainId) -> Result<Vec<(PackId, u64)>> {
    let mut statement = connection
        .prepare_cached("SELECT p.id, p.bytes FROM pack p JOIN domain d ON d.no = p.domain WHERE d.id = ?1 ORDER BY p.no")?;
    collect(statement.query_map([domain.as_bytes()], |row| {
        Ok((PackId::from_bytes(row.get(0)?), unsigned(row, 1)?))
    })?)
}

fn read_chunk_row(row: &Row<'_>) -> rusqlite::Result<(ChunkRow, u8)> {
    let kind: u8 = row.get(3)?;
    let entry = ChunkEntry {
        kind: if kind == 2 {
            Kind::Observations
        } else {
            Kind::Objects
        },
        type_code: row.get(4)?,
        offset: unsigned(row, 5)?,
        bytes: unsigned(row, 6)?,
        rows: unsigned(row, 7)?,
    };
    Ok((
        ChunkRow {
            pack: PackId::from_bytes(row.get(0)?),
            epoch: row.get(1)?,
            place: unsigned(row, 2)?,
            entry,
        },
        kind,
    ))
}

const CHUNK_COLUMNS: &str =
    "p.id, p.epoch, c.place, c.kind, c.type, c.\"offset\", c.bytes, c.\"rows\"";

/// Where a chunk lies.
pub(crate) fn chunk(connection: &Connection, no: i64) -> Result<Option<ChunkRow>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {CHUNK_COLUMNS} FROM chunk c JOIN pack p ON p.no = c.pack WHERE c.no = ?1"
    ))?;
    Ok(statement
        .query_row([no], |row| read_chunk_row(row).map(|(chunk, _)| chunk))
        .optional()?)
}

/// Where the chunks of a domain lie, by their numbers: pack, and place in it.
pub(crate) fn chunk_places(
    connection: &Connection,
    domain: DomainId,
) -> Result<HashMap<i64, (PackId, usize)>> {
    let mut statement = connection.prepare_cached(
        "SELECT c.no, p.id, c.place FROM chunk c JOIN pack p ON p.no = c.pack JOIN domain d ON d.no = p.domain WHERE d.id = ?1",
    )?;
    let places = statement.query_map([domain.as_bytes()], |row| {
        let pack = PackId::from_bytes(row.get(1)?);
        Ok((row.get(0)?, (pack, unsigned(row, 2)?)))
    })?;
    places
        .collect::<rusqlite::Result<_>>()
        .map_err(IndexError::from)
}

/// The chunks of a pack, with their numbers, in order of their places.
pub(crate) fn chunks_of(connection: &Connection, pack: PackId) -> Result<Vec<(i64, ChunkRow)>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {CHUNK_COLUMNS}, c.no FROM chunk c JOIN pack p ON p.no = c.pack WHERE p.id = ?1 ORDER BY c.place"
    ))?;
    collect(statement.query_map([pack.as_bytes()], |row| {
        let (chunk, _) = read_chunk_row(row)?;
        Ok((row.get(8)?, chunk))
    })?)
}

/// The open versions of a space, in order of their keys.
pub(crate) fn open_versions(
    connection: &Connection,
    space: Space,
    see: &mut dyn FnMut(Version),
) -> Result<()> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {VERSION_COLUMNS} FROM version WHERE space = ?1 AND last IS NULL ORDER BY parent, key"
    ))?;
    each_merged(connection, space, &mut statement, see)
}

/// Calls `see` with the versions that a statement gives for a space in order of their keys, and with the lasting ones among them.
fn each_merged(
    connection: &Connection,
    space: Space,
    statement: &mut Statement<'_>,
    see: &mut dyn FnMut(Version),
) -> Result<()> {
    let mut lasting = lasting::Each::statement(connection)?;
    let mut lasting = lasting::Each::new(&mut lasting, space)?;
    let mut rows = statement.query([space])?;
    while let Some(row) = rows.next()? {
        let version = Version::read(row)?;
        lasting.show_before(Some(version.key), see)?;
        see(version);
    }
    lasting.show_before(None, see)
}

/// The open versions under one parent, in order of their keys.
pub(crate) fn open_under(
    connection: &Connection,
    space: Space,
    parent: u32,
) -> Result<Vec<Version>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {VERSION_COLUMNS} FROM version WHERE space = ?1 AND parent = ?2 AND last IS NULL ORDER BY key"
    ))?;
    let lasting = lasting::under(connection, space, parent)?;
    let versions = collect(statement.query_map(params![space, parent], Version::read)?)?;
    Ok(lasting::merged(versions, lasting))
}

/// The open version of one object.
pub(crate) fn open_one(connection: &Connection, space: Space, key: Key) -> Result<Option<Version>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {VERSION_COLUMNS} FROM version WHERE space = ?1 AND parent = ?2 AND key = ?3 AND last IS NULL"
    ))?;
    let lasting = lasting::find(connection, space, key)?;
    let found = statement
        .query_row(params![space, key.parent, key.key], Version::read)
        .optional()?;
    Ok(found.or(lasting))
}

/// The first parent above `after` that has rows of any time in the space.
pub(crate) fn next_parent(
    connection: &Connection,
    space: Space,
    after: u32,
) -> Result<Option<u32>> {
    let mut statement = connection.prepare_cached(
        "SELECT parent FROM version WHERE space = ?1 AND parent > ?2 ORDER BY parent LIMIT 1",
    )?;
    let of_lasting = lasting::next_parent(connection, space, after)?;
    let of_versions: Option<u32> = statement
        .query_row(params![space, after], |row| row.get(0))
        .optional()?;
    Ok(of_versions.into_iter().chain(of_lasting).min())
}

/// All versions of one object, oldest first.
pub(crate) fn versions_of(connection: &Connection, space: Space, key: Key) -> Result<Vec<Version>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {VERSION_COLUMNS} FROM version WHERE space = ?1 AND parent = ?2 AND key = ?3 ORDER BY first"
    ))?;
    let lasting = lasting::find(connection, space, key)?;
    let versions =
        collect(statement.query_map(params![space, key.parent, key.key], Version::read)?)?;
    // What is there from the first snapshot on has no other version.
    if versions.is_empty() {
        return Ok(lasting.into_iter().collect());
    }
    Ok(versions)
}

/// The parents that an object with an id of its own has had.
pub(crate) fn parents_of(connection: &Connection, space: Space, key: u32) -> Result<Vec<u32>> {
    let mut statement = connection.prepare_cached(
        "SELECT parent FROM parentage WHERE space = ?1 AND key = ?2 ORDER BY parent",
    )?;
    collect(statement.query_map(params![space, key], |row| row.get(0))?)
}

/// The version of one object as of a snapshot.
pub(crate) fn version_at(
    connection: &Connection,
    space: Space,
    key: Key,
    sequence: u32,
) -> Result<Option<Version>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {VERSION_COLUMNS} FROM version WHERE space = ?1 AND parent = ?2 AND key = ?3 AND first <= ?4 \
         AND (last IS NULL OR last > ?4)"
    ))?;
    let lasting = lasting::find(connection, space, key)?;
    let found = statement
        .query_row(params![space, key.parent, key.key, sequence], Version::read)
        .optional()?;
    Ok(found.or(lasting))
}

/// Up to `limit` versions of a space as of a snapshot, in order of their keys, those after `after`.
pub(crate) fn versions_at(
    connection: &Connection,
    space: Space,
    sequence: u32,
    after: Option<Key>,
    limit: usize,
) -> Result<Vec<Version>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {VERSION_COLUMNS} FROM version WHERE space = ?1 AND (parent, key) > (?2, ?3) AND (parent, key) <= (?6, ?7) \
         AND first <= ?4 AND (last IS NULL OR last > ?4) ORDER BY parent, key LIMIT ?5"
    ))?;
    let (parent, key) = after.map_or((-1, -1), |after| {
        (i64::from(after.parent), i64::from(after.key))
    });
    let lasting = lasting::after(connection, space, after, limit)?;
    // What comes behind the last of them is for the next call: most versions last, so that it would be read many times.
    let bound = lasting.last().filter(|_| lasting.len() == limit);
    let (parent_max, key_max) = bound.map_or((i64::MAX, i64::MAX), |bound| {
        (i64::from(bound.key.parent), i64::from(bound.key.key))
    });
    let rows = statement.query_map(
        params![
            space,
            parent,
            key,
            sequence,
            integer(limit),
            parent_max,
            key_max
        ],
        Version::read,
    )?;
    let mut versions = lasting::merged(collect(rows)?, lasting);
    versions.truncate(limit);
    Ok(versions)
}

/// The versions under one parent as of a snapshot, in order of their keys.
pub(crate) fn versions_under_at(
    connection: &Connection,
    space: Space,
    parent: u32,
    sequence: u32,
) -> Result<Vec<Version>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {VERSION_COLUMNS} FROM version WHERE space = ?1 AND parent = ?2 AND first <= ?3 \
         AND (last IS NULL OR last > ?3) ORDER BY key"
    ))?;
    let lasting = lasting::under(connection, space, parent)?;
    let versions = collect(statement.query_map(params![space, parent, sequence], Version::read)?)?;
    Ok(lasting::merged(versions, lasting))
}

/// Up to `limit` versions of all times that have a body, in order of their keys, those after `after` (a key and the first snapshot).
pub(crate) fn bodies(
    connection: &Connection,
    space: Space,
    after: Option<(Key, u32)>,
    limit: usize,
) -> Result<Vec<Version>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {VERSION_COLUMNS} FROM version WHERE space = ?1 AND (parent, key, first) > (?2, ?3, ?4) \
         AND place IS NOT NULL ORDER BY parent, key, first LIMIT ?5"
    ))?;
    let (parent, key, first) = after.map_or((-1, -1, -1), |(after, first)| {
        (
            i64::from(after.parent),
            i64::from(after.key),
            i64::from(first),
        )
    });
    // Of what lasts there is no other version, and either all of a type have bodies or none.
    let mut lasting = lasting::after(connection, space, after.map(|(key, _)| key), limit)?;
    lasting.retain(|version| version.body.is_some());
    let rows = statement.query_map(
        params![space, parent, key, first, integer(limit)],
        Version::read,
    )?;
    let mut versions = lasting::merged(collect(rows)?, lasting);
    versions.truncate(limit);
    Ok(versions)
}

/// The versions that began or ended after `from` and at or before `to`; `from` is at least 1. Some may come twice.
pub(crate) fn versions_between(
    connection: &Connection,
    space: Space,
    from: u32,
    to: u32,
) -> Result<Vec<Version>> {
    let mut began = connection.prepare_cached(&began_between())?;
    let mut ended = connection.prepare_cached(&ended_between())?;
    let mut found = collect(began.query_map(params![space, from, to], Version::read)?)?;
    found.extend(collect(
        ended.query_map(params![space, from, to], Version::read)?,
    )?);
    Ok(found)
}

/// The index holds only what began after the first snapshot, so that has to be said; said without `likely`, it is taken for the lower
/// bound, and all that began before `?2` is looked through.
fn began_between() -> String {
    format!(
        "SELECT {VERSION_COLUMNS} FROM version WHERE space = ?1 AND first > ?2 AND first <= ?3 AND likely(first > 1)"
    )
}

fn ended_between() -> String {
    format!(
        "SELECT {VERSION_COLUMNS} FROM version WHERE space = ?1 AND last > ?2 AND last <= ?3 AND last IS NOT NULL"
    )
}

/// Where the observations of a bucket lie, and their digest.
pub(crate) fn observation(
    connection: &Connection,
    space: Space,
    bucket: u32,
) -> Result<Option<(i64, [u8; 16])>> {
    let mut statement = connection
        .prepare_cached("SELECT chunk, digest FROM observation WHERE space = ?1 AND bucket = ?2")?;
    Ok(statement
        .query_row(params![space, bucket], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// Where the observations of all buckets lie, in their order: bucket, chunk, digest.
pub(crate) fn observations(
    connection: &Connection,
    space: Space,
) -> Result<Vec<(u32, i64, [u8; 16])>> {
    let mut statement = connection.prepare_cached(
        "SELECT bucket, chunk, digest FROM observation WHERE space = ?1 ORDER BY bucket",
    )?;
    let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    collect(statement.query_map([space], row)?)
}

/// Keeps the numbers that another index gave to domains and spaces, so that they mean the same in both.
pub(crate) fn copy_numbers(from: &Connection, to: &Transaction<'_>) -> Result<()> {
    let mut domains = from.prepare("SELECT no, id FROM domain")?;
    for row in collect(domains.query_map([], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 8]>(1)?))
    })?)? {
        to.execute(
            "INSERT INTO domain (no, id) VALUES (?1, ?2)",
            params![row.0, row.1],
        )?;
    }
    let mut spaces = from.prepare("SELECT no, domain, type FROM space")?;
    let numbers = |row: &Row<'_>| Ok([row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?]);
    for row in collect(spaces.query_map([], numbers)?)? {
        to.execute(
            "INSERT INTO space (no, domain, type) VALUES (?1, ?2, ?3)",
            row,
        )?;
    }
    Ok(())
}

/// Begins to write a snapshot into the index: its row, the ids that are new with it and its packs.
pub(crate) fn apply_head(
    transaction: &Transaction<'_>,
    snapshot: &SnapshotRow,
    names_first: u32,
    names: &[NameText],
    packs: &[PackRow],
) -> Result<()> {
    let domain = ensure_domain(transaction, snapshot.domain)?;
    apply_names(transaction, snapshot.domain, names_first, names)?;
    insert_packs(transaction, domain, packs)?;
    let json = |_| IndexError::Broken {
        what: "a coverage that cannot be written",
    };
    transaction.execute(
        "INSERT INTO snapshot (domain, sequence, id, parent, created_at, as_of, pinned, removed, changes, bytes_new, \
         record_bytes, coverage, counts, watermark) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            domain,
            snapshot.sequence,
            snapshot.id.as_bytes(),
            snapshot.parent.as_ref().map(SnapshotId::as_bytes),
            snapshot.created_at,
            snapshot.as_of,
            snapshot.pinned,
            snapshot.removed,
            integer(snapshot.changes),
            integer(snapshot.bytes_new),
            integer(snapshot.record_bytes),
            coverage_text(&snapshot.coverage).map_err(json)?,
            serde_json::to_string(&snapshot.counts).map_err(json)?,
            snapshot.watermark,
        ],
    )?;
    Ok(())
}

/// Takes up packs and their chunks, if they are not known.
fn insert_packs(transaction: &Transaction<'_>, domain: i64, packs: &[PackRow]) -> Result<()> {
    let mut insert_chunk = transaction.prepare_cached(
        "INSERT INTO chunk (pack, place, kind, type, \"offset\", bytes, \"rows\") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for pack in packs {
        let inserted = transaction.execute(
            "INSERT OR IGNORE INTO pack (domain, id, epoch, bytes) VALUES (?1, ?2, ?3, ?4)",
            params![domain, pack.id.as_bytes(), pack.epoch, integer(pack.bytes)],
        )?;
        if inserted == 0 {
            continue;
        }
        let no = transaction.last_insert_rowid();
        for (place, entry) in pack.entries.iter().enumerate() {
            let kind = match entry.kind {
                Kind::Objects => 1,
                Kind::Observations => 2,
            };
            insert_chunk.execute(params![
                no,
                integer(place),
                kind,
                entry.type_code,
                integer(entry.offset),
                integer(entry.bytes),
                integer(entry.rows)
            ])?;
        }
    }
    Ok(())
}

/// Writes more of the ids that are new with a snapshot.
pub(crate) fn apply_names(
    transaction: &Transaction<'_>,
    domain: DomainId,
    first: u32,
    names: &[NameText],
) -> Result<()> {
    let domain = ensure_domain(transaction, domain)?;
    let mut insert = transaction
        .prepare_cached("INSERT OR REPLACE INTO name (domain, number, text) VALUES (?1, ?2, ?3)")?;
    for (number, name) in (first..).zip(names) {
        match name {
            NameText::Clear(text) => insert.execute(params![domain, number, text])?,
            NameText::Sealed(sealed) => insert.execute(params![domain, number, sealed])?,
        };
    }
    Ok(())
}

/// Writes what a snapshot changes of one type: ends versions and begins others, in order of their keys.
pub(crate) fn apply_type(
    transaction: &Transaction<'_>,
    domain: DomainId,
    sequence: u32,
    applied: &mut AppliedType,
) -> Result<()> {
    let domain = ensure_domain(transaction, domain)?;
    let space = ensure_space(transaction, domain, applied.type_code)?;
    let mut chunk_no = ChunkNumbers::new(transaction)?;
    let mut end = End::new(transaction, space, sequence)?;
    let mut begin = Begin::new(transaction, space, sequence)?;
    let mut parentage = transaction.prepare_cached(
        "INSERT OR IGNORE INTO parentage (space, key, parent) VALUES (?1, ?2, ?3)",
    )?;
    for key in &applied.removed {
        end.version(*key)?;
    }
    applied.put.sort_unstable_by_key(|put| put.key);
    for put in &applied.put {
        end.version(put.key)?;
        let place = Place::new(chunk_no.of(put.pack, put.chunk)?, put.ordinal);
        begin.version(put.key, Some((place, put.fingerprint)))?;
        if applied.own_ids_under_parents {
            parentage.execute(params![space, put.key.key, put.key.parent])?;
        }
    }
    for (key, fingerprint) in &applied.lost {
        end.version(*key)?;
        begin.version(*key, Some((Place::LOST, *fingerprint)))?;
        if applied.own_ids_under_parents {
            parentage.execute(params![space, key.key, key.parent])?;
        }
    }
    for key in &applied.related {
        end.version(*key)?;
        begin.version(*key, None)?;
    }
    end.finish()?;
    begin.finish()?;
    let mut observe = transaction.prepare_cached(
        "INSERT OR REPLACE INTO observation (space, bucket, chunk, digest) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (bucket, pack, chunk, digest) in &applied.observations {
        observe.execute(params![space, bucket, chunk_no.of(*pack, *chunk)?, digest])?;
    }
    Ok(())
}

/// Ends versions of one space with one snapshot.
struct End<'a> {
    transaction: &'a Transaction<'a>,
    update: rusqlite::CachedStatement<'a>,
    lasting: lasting::Editor<'a>,
    space: Space,
    sequence: u32,
}

impl<'a> End<'a> {
    fn new(transaction: &'a Transaction<'_>, space: Space, sequence: u32) -> Result<Self> {
        Ok(Self {
            transaction,
            update: transaction.prepare_cached(
                "UPDATE version SET last = ?4 WHERE space = ?1 AND parent = ?2 AND key = ?3 AND last IS NULL",
            )?,
            lasting: lasting::Editor::new(transaction, space),
            space,
            sequence,
        })
    }

    /// Ends the open version of an object, if it has one.
    fn version(&mut self, key: Key) -> Result<()> {
        // Before a first snapshot there is none.
        if self.sequence == 1 {
            return Ok(());
        }
        let found = params![self.space, key.parent, key.key, self.sequence];
        if self.update.execute(found)? == 0
            && let Some(version) = self.lasting.take(key)?
        {
            let ended = Version {
                last: Some(self.sequence),
                ..version
            };
            insert_version(self.transaction, self.space, &ended)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        self.lasting.finish()
    }
}

/// Writes a version as a row of its own.
fn insert_version(transaction: &Transaction<'_>, space: Space, version: &Version) -> Result<()> {
    let (place, fingerprint) = version.body.unzip();
    transaction
        .prepare_cached(
            "INSERT INTO version (space, parent, key, first, last, place, fingerprint) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            space,
            version.key.parent,
            version.key.key,
            version.first,
            version.last,
            place.map(|place| place.0),
            fingerprint
        ])?;
    Ok(())
}

/// Begins versions of one space with one snapshot.
struct Begin<'a> {
    transaction: &'a Transaction<'a>,
    /// Of the first snapshot.
    lasting: Option<lasting::Begin<'a>>,
    space: Space,
    sequence: u32,
}

impl<'a> Begin<'a> {
    fn new(transaction: &'a Transaction<'_>, space: Space, sequence: u32) -> Result<Self> {
        let lasting = if sequence == 1 {
            Some(lasting::Begin::new(transaction, space)?)
        } else {
            None
        };
        Ok(Self {
            transaction,
            lasting,
            space,
            sequence,
        })
    }

    fn version(&mut self, key: Key, body: Option<(Place, i64)>) -> Result<()> {
        if let Some(lasting) = &mut self.lasting
            && lasting.take_up(key, body)?
        {
            return Ok(());
        }
        let begun = Version {
            key,
            first: self.sequence,
            last: None,
            body,
        };
        insert_version(self.transaction, self.space, &begun)
    }

    fn finish(self) -> Result<()> {
        self.lasting.map_or(Ok(()), lasting::Begin::finish)
    }
}

/// Finds the numbers of chunks, remembering the last.
struct ChunkNumbers<'a> {
    find: rusqlite::CachedStatement<'a>,
    last: Option<((PackId, usize), i64)>,
}

impl<'a> ChunkNumbers<'a> {
    fn new(transaction: &'a Transaction<'_>) -> Result<Self> {
        let find = transaction
            .prepare_cached("SELECT c.no FROM chunk c JOIN pack p ON p.no = c.pack WHERE p.id = ?1 AND c.place = ?2")?;
        Ok(Self { find, last: None })
    }

    fn of(&mut self, pack: PackId, place: usize) -> Result<i64> {
        if let Some((known, no)) = self.last
            && known == (pack, place)
        {
            return Ok(no);
        }
        let no = self
            .find
            .query_row(params![pack.as_bytes(), integer(place)], |row| row.get(0))
            .optional()?
            .ok_or(IndexError::Broken {
                what: "no row for a chunk that a record names",
            })?;
        self.last = Some(((pack, place), no));
        Ok(no)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn coverage_is_read_as_it_is_written_now_and_as_it_was_before() {
        let incomplete = Coverage::Incomplete {
            reason: "it \"stopped\"".to_owned(),
        };
        let mut coverage: BTreeMap<u16, Coverage> =
            (1..50).map(|code| (code, Coverage::Complete)).collect();
        let before = serde_json::to_string(&coverage).unwrap();
        assert_eq!(coverage_from(&before).unwrap(), coverage);
        let short = coverage_text(&coverage).unwrap();
        assert!(short.len() * 5 < before.len(), "{short}");
        assert_eq!(coverage_from(&short).unwrap(), coverage);
        coverage.insert(7, Coverage::NotAvailable);
        coverage.insert(9, incomplete);
        let text = coverage_text(&coverage).unwrap();
        assert_eq!(coverage_from(&text).unwrap(), coverage);
        assert_eq!(coverage_from("{}").unwrap(), BTreeMap::new());
        let none = coverage_text(&BTreeMap::new()).unwrap();
        assert_eq!(coverage_from(&none).unwrap(), BTreeMap::new());
        assert!(coverage_from("{\"complete\":[1],\"more\":1}").is_err());
    }

    #[test]
    fn what_began_between_two_snapshots_is_found_without_a_look_at_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(&dir.path().join("index.db")).unwrap();
        let versions = (1..=40u32).flat_map(|first| (0..50u32).map(move |key| (first, key)));
        index
            .transact(|transaction| {
                for (first, key) in versions {
                    transaction.execute(
                        "INSERT INTO version (space, parent, key, first, last) VALUES (7, 0, ?1, ?2, ?2 + 1)",
                        params![key, first],
                    )?;
                }
                Ok(())
            })
            .unwrap();
        let read = index.read();
        for between in [began_between(), ended_between()] {
            let mut statement = read.prepare(&between).unwrap();
            let found = statement.query_map(params![7, 30, 32], Version::read);
            assert_eq!(collect(found.unwrap()).unwrap().len(), 100, "{between}");
            let steps = statement.get_status(StatementStatus::VmStep);
            assert!(steps < 30 * 100, "{steps} steps for 100 rows: {between}");
        }
        assert_eq!(versions_between(&read, 7, 30, 32).unwrap().len(), 200);
    }
}
