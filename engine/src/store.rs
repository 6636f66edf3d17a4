//! Binds blobs, index and keys together: snapshots are written, read, compared and removed here.
//!
//! The blobs are the truth, the index a disposable view of them. A name is written only after what it names is
//! durable: packs first, then the snapshot's record, then the index. A crash leaves at most packs that no record
//! names, which [`DomainStore::prune`] deletes, and a record that the index has not seen, which [`Store::open_domain`] reads in.
//!
//! # Blobs
//!
//! | name | content |
//! | --- | --- |
//! | `DOMAIN/keys/N` | the domain's keys, wrapped ([`keys`](crate::keys)); the highest `N` counts |
//! | `DOMAIN/packs/PACK` | chunks ([`pack`](crate::pack), [`chunk`](crate::chunk)) |
//! | `DOMAIN/records/SNAPSHOT` | what changed with a snapshot ([`record`](crate::record)) |
//! | `DOMAIN/checkpoints/SNAPSHOT` | the whole state as of a snapshot, so that it can be read without the records before it |
//! | `DOMAIN/merged/SNAPSHOT/N-BASE` | what changed with a snapshot since `BASE` (a snapshot, or `first`: the whole), in place of its record and of those between, which were removed (`record/merged.rs`); the highest `N` counts |
//! | `DOMAIN/moves/N` | where rows lie now that were moved to other packs, and which packs are retired (`record/moves.rs`); all count |
//! | `DOMAIN/markers/SNAPSHOT/N` | that it is pinned or removed; the highest `N` counts |
//! | `DOMAIN/registration/N` | what the daemon keeps about the domain, sealed by it; the highest `N` counts |
//! | `DOMAIN/damaged/…` | damaged blobs that [`repair`](crate::repair) moved aside, below what was their name; nothing reads them |
//! | `meta/NAME/N` | what else the daemon keeps, sealed by it; the highest `N` counts |
//!
//! # Where something is lost
//!
//! A record can be read into the index only after the one before it. Where one is lost or damaged, the index goes on from the next
//! checkpoint: the snapshots between are named, and are no longer there. A checkpoint is written when the records since the last
//! one (or since the first record) together exceed half of its bytes, after its snapshot's record is durable and in the index;
//! that it could not be written is a warning, for the snapshot is there without it. A damaged chunk costs its objects, and makes their type incomplete
//! in the snapshots that are read in again.
//!
//! One snapshot of a domain is written at a time, however often the domain is opened. Records that no process has read in are read in
//! when the domain is opened or written to; never while one is between its becoming durable and its rows.
//!
//! # Measured
//!
//! 100,000 users, 812,000 memberships and 596,000 app users (325 MB of canonical JSON, from 473 MB as Okta sends it without the
//! memberships), one thread, canonical form included: the first backup takes 7.7 s of CPU and leaves 16.3 MB of blobs and 43.2 MB of index; a
//! backup without changes 5.4 s and one record of 116 bytes; one with 7,400 changes 5.5 s and 0.5 MB. Reading everything back takes
//! 1.9 s, rebuilding the index 2.9 s. The first record takes 1.5 MB of it (ids and memberships), and one with 34,000 changes, half
//! of them memberships that moved, 30 KB: so at 1 % of changes a day a checkpoint is due about once a month.
//!
//! Measured again at 20,000 users on a busy machine, before and after the writer kept compact logs and readers put single rows
//! together (seconds of CPU, then MiB above what was resident): the first backup 2.27 and 30, then 2.01 and 16; one without changes
//! 1.50, then 1.02; an export with its sizes 1.77, then 0.66; an object 1.8 to 2.9 ms, then 0.9 ms; the ids and kinds of 2,300 changes
//! 524 ms, then 6 ms, their attributes 760 ms, then 124 ms. At 100,000 users the first backup takes 42 MiB instead of 109, and 12,200
//! changes given as such 0.48 to 0.65 s. A full check costs what it did: hashing each body is a quarter of it.
//!
//! A marker, version 1: `ORGKMRK\x01`, the epoch of the data key (4 bytes, little-endian), then nonce and sealed bytes of two bytes: pinned,
//! removed (0 or 1). Associated data: `orgkeep marker 1`, domain, snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::blobs::{BlobError, BlobStore, SealedBlob};
use crate::catalogue::ObjectType;
use crate::id::{DomainId, PackId, SnapshotId};
use crate::index::{self, Index, IndexError, SnapshotRow};
use crate::keys::{DomainKeys, KeyError, KeyProvider};
use crate::object::Coverage;
use crate::pack::PackError;
use crate::record::RecordError;
use usage::Usage;

mod audit;
mod census;
mod checkpoint;
mod domain;
mod lost;
mod mend;
mod merged;
mod moves;
mod names;
mod prune;
mod reader;
mod readin;
mod reindex;
mod salvage;
mod tombstone;
mod types;
mod untold;
mod usage;
mod writer;

#[cfg(test)]
mod tests;

pub use domain::DomainStore;
pub(crate) use domain::{Sides, chain};
pub use prune::{PackTally, PruneOptions, PruneReport};
pub(crate) use reader::Row;
pub use reader::{SeeId, SeeLost, SeeStored, SnapshotReader};
pub use reindex::{ReindexReport, StoreProblem};
pub use types::{
    Change, ChangeKind, Comparison, DomainStats, Loss, SnapshotInfo, StoreStats, Stored,
    VersionInfo,
};
pub use writer::SnapshotWriter;

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full.
    #[error("there is no space left on the disk that holds the store")]
    NoSpace,
    /// A blob could not be put, read or deleted.
    #[error("a blob could not be used")]
    Blob(#[source] BlobError),
    /// The index failed.
    #[error("the index could not be used")]
    Index(#[source] IndexError),
    /// Keys could not be had, or sealed bytes not be opened.
    #[error("the keys could not be used")]
    Key(#[source] KeyError),
    /// A pack or a chunk is damaged.
    #[error("the pack {pack} is damaged")]
    Pack {
        /// The pack's blob.
        pack: String,
        /// What is wrong.
        source: PackError,
    },
    /// A snapshot record is damaged.
    #[error("the record {record} is damaged")]
    Record {
        /// The record's blob.
        record: String,
        /// What is wrong.
        source: RecordError,
    },
    /// What was found is not what the index says should be there.
    #[error("the store holds something else than its index says: {what}")]
    Mismatch {
        /// What does not fit.
        what: String,
    },
    /// The domain's keys are not in the store.
    #[error("key management is not enabled for this domain")]
    NoDomainKeys {
        /// The domain.
        domain: DomainId,
    },
    /// The domain's keys are gone, while what they sealed is there.
    #[error("the domain's keys are gone from the store: without them nothing of it can be read")]
    KeysGone {
        /// The domain.
        domain: DomainId,
    },
    /// The version was damaged in the store, and could not be had again.
    #[error(
        "this version is lost: it was damaged in the store, and could not be read from the org again"
    )]
    Lost,
    /// There is no such snapshot.
    #[error("there is no snapshot {snapshot}")]
    UnknownSnapshot {
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// The snapshots are of different domains.
    #[error("the snapshots are of different domains")]
    DifferentDomains,
    /// Another snapshot of the domain is being written.
    #[error("another snapshot of this domain is being written")]
    Busy,
    /// An object names no parent, or an id that does not fit its type.
    #[error("an object of type {object_type} has an id that does not fit its type")]
    BadId {
        /// Its type.
        object_type: ObjectType,
    },
    /// Compressing failed.
    #[error("compressing failed")]
    Compress(#[source] std::io::Error),
    /// There are more ids, rows or chunks than the formats can count.
    #[error("there are too many {what}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
    },
    /// It was asked to stop.
    #[error("it was asked to stop")]
    Cancelled,
    /// Whoever took the objects failed; the text says why.
    #[error("the reader of the objects stopped: {reason}")]
    Stopped {
        /// Why, in words that hold no profile value.
        reason: String,
    },
}

impl StoreError {
    /// What the operator can do about it, as one sentence; `None` if nothing is known to help.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoSpace => Some(
                "Free some space on the disk that holds the store, then run it again.".to_owned(),
            ),
            Self::Blob(error) => error.hint(),
            Self::Index(error) => error.hint(),
            Self::Key(error) => error.hint(),
            Self::Pack { .. } | Self::Record { .. } => Some(
                "Run `orgkeepctl store check --read-data` to see which objects are concerned."
                    .to_owned(),
            ),
            Self::Mismatch { .. } => Some("Run `orgkeepctl store reindex`.".to_owned()),
            Self::Lost => Some(
                "`orgkeepctl objects history` lists the versions of the object that are whole."
                    .to_owned(),
            ),
            Self::NoDomainKeys { .. } => Some("Run `orgkeepctl keys enable`.".to_owned()),
            Self::KeysGone { domain } => Some(format!(
                "Put the newest file of `{domain}/keys/` back from a copy of the store."
            )),
            _ => None,
        }
    }
}

impl From<BlobError> for StoreError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::NoSpace { .. } => Self::NoSpace,
            error => Self::Blob(error),
        }
    }
}

impl From<IndexError> for StoreError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::NoSpace => Self::NoSpace,
            error => Self::Index(error),
        }
    }
}

impl From<KeyError> for StoreError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

pub(crate) struct Inner {
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) index: Index,
    /// Held while the next number of a versioned name is found and put.
    numbering: Mutex<()>,
    /// The domains of which a snapshot is being written.
    writing: Mutex<BTreeSet<DomainId>>,
    /// Held while a domain's keys are read, changed and put.
    keying: Mutex<()>,
    /// Held from a record's becoming durable until it is in the index, and while unseen records are looked for, so that none is read in twice.
    recording: Mutex<()>,
    /// Held while the store is pruned or its index rebuilt: one at a time.
    maintenance: Mutex<()>,
    /// Who reads and writes in this process.
    usage: Usage,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {}", self.blobs, self.index.path().display())
    }
}

/// The store: blobs, and the index over them.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({:?})", self.inner)
    }
}

impl Store {
    /// Opens the store over `blobs`, with its index at `index_path`, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// When the index cannot be opened, or was written by a newer program.
    pub fn open(blobs: Arc<dyn BlobStore>, index_path: &Path) -> Result<Self, StoreError> {
        let index = Index::open(index_path)?;
        Ok(Self {
            inner: Arc::new(Inner {
                blobs,
                index,
                numbering: Mutex::default(),
                writing: Mutex::default(),
                keying: Mutex::default(),
                recording: Mutex::default(),
                maintenance: Mutex::default(),
                usage: Usage::default(),
            }),
        })
    }

    /// Makes a domain's keys, if it has none, and puts them durably, wrapped by the provider.
    ///
    /// # Errors
    ///
    /// When the provider or the storage fails.
    pub fn create_domain_keys(
        &self,
        domain: DomainId,
        provider: &dyn KeyProvider,
    ) -> Result<(), StoreError> {
        let _keying = self.inner.keying();
        if self.has_domain_keys(domain)? {
            return Ok(());
        }
        if self.has_sealed(domain)? {
            return Err(StoreError::KeysGone { domain });
        }
        let wrapped = DomainKeys::generate()?.wrap(domain, provider)?;
        self.inner.put_numbered(
            &format!("{domain}/keys/"),
            SealedBlob::from_sealed(wrapped)?,
        )
    }

    /// Adds a data key in a new epoch to a domain's keys, and puts them durably; gives the epoch. What was sealed before stays as it is.
    ///
    /// A [`DomainStore`] that is open knows nothing of it: open the domain again, and write and read with that one alone.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoDomainKeys`] when there are none; else when the provider or the storage fails.
    pub fn rotate_domain_keys(
        &self,
        domain: DomainId,
        provider: &dyn KeyProvider,
    ) -> Result<u32, StoreError> {
        let _keying = self.inner.keying();
        let keys = self.unwrap_domain_keys(domain, provider)?.rotated()?;
        let wrapped = SealedBlob::from_sealed(keys.wrap(domain, provider)?)?;
        self.inner
            .put_numbered(&format!("{domain}/keys/"), wrapped)?;
        Ok(keys.newest_epoch())
    }

    /// Wraps a domain's keys anew, by the provider's newest key, and puts them durably. The keys themselves stay.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoDomainKeys`] when there are none; else when the provider or the storage fails.
    pub fn rewrap_domain_keys(
        &self,
        domain: DomainId,
        provider: &dyn KeyProvider,
    ) -> Result<(), StoreError> {
        let _keying = self.inner.keying();
        let keys = self.unwrap_domain_keys(domain, provider)?;
        let wrapped = SealedBlob::from_sealed(keys.wrap(domain, provider)?)?;
        self.inner.put_numbered(&format!("{domain}/keys/"), wrapped)
    }

    fn unwrap_domain_keys(
        &self,
        domain: DomainId,
        provider: &dyn KeyProvider,
    ) -> Result<DomainKeys, StoreError> {
        let Some(wrapped) = self.inner.newest_numbered(&format!("{domain}/keys/"))? else {
            return Err(if self.has_sealed(domain)? {
                StoreError::KeysGone { domain }
            } else {
                StoreError::NoDomainKeys { domain }
            });
        };
        Ok(DomainKeys::unwrap(domain, provider, &wrapped)?)
    }

    /// Whether the store holds keys of the domain.
    ///
    /// # Errors
    ///
    /// When the storage fails.
    pub fn has_domain_keys(&self, domain: DomainId) -> Result<bool, StoreError> {
        Ok(!self
            .inner
            .blobs
            .list(&format!("{domain}/keys/"))?
            .is_empty())
    }

    /// Whether there is anything that only the domain's keys open.
    fn has_sealed(&self, domain: DomainId) -> Result<bool, StoreError> {
        for kind in ["records", "merged", "checkpoints", "packs", "markers"] {
            let blobs = self.inner.blobs.list(&format!("{domain}/{kind}/"))?;
            if !blobs.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Unwraps a domain's keys, and reads into the index what it has not seen of the domain's records.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoDomainKeys`] when there are none, [`StoreError::KeysGone`] when there were; else when the provider, the storage or the index fails.
    pub fn open_domain(
        &self,
        domain: DomainId,
        provider: &dyn KeyProvider,
    ) -> Result<DomainStore, StoreError> {
        let keys = self.unwrap_domain_keys(domain, provider)?;
        DomainStore::open(Arc::clone(&self.inner), domain, keys)
    }

    /// Keeps what the daemon has sealed about a domain, in place of what it kept before.
    ///
    /// # Errors
    ///
    /// When the bytes are not sealed, or the storage fails.
    pub fn put_registration(&self, domain: DomainId, sealed: Vec<u8>) -> Result<(), StoreError> {
        self.inner.put_numbered(
            &format!("{domain}/registration/"),
            SealedBlob::from_sealed(sealed)?,
        )
    }

    /// What the daemon keeps about each domain.
    ///
    /// # Errors
    ///
    /// When the storage fails.
    pub fn registrations(&self) -> Result<Vec<(DomainId, Vec<u8>)>, StoreError> {
        let mut domains: Vec<DomainId> = self
            .inner
            .blobs
            .list("")?
            .iter()
            .filter_map(|blob| blob.name.split_once("/registration/")?.0.parse().ok())
            .collect();
        domains.dedup();
        let mut found = Vec::new();
        for domain in domains {
            if let Some(sealed) = self
                .inner
                .newest_numbered(&format!("{domain}/registration/"))?
            {
                found.push((domain, sealed));
            }
        }
        Ok(found)
    }

    /// Forgets what the daemon keeps about a domain. Its snapshots stay.
    ///
    /// # Errors
    ///
    /// When the storage fails.
    pub fn remove_registration(&self, domain: DomainId) -> Result<(), StoreError> {
        self.inner.delete_all(&format!("{domain}/registration/"))
    }

    /// Keeps something the daemon has sealed under a name (segments of `[a-z0-9][a-z0-9._-]*`), in place of what it kept there before.
    ///
    /// # Errors
    ///
    /// When the bytes are not sealed, the name is none, or the storage fails.
    pub fn put_meta(&self, name: &str, sealed: Vec<u8>) -> Result<(), StoreError> {
        self.inner
            .put_numbered(&format!("meta/{name}/"), SealedBlob::from_sealed(sealed)?)
    }

    /// What the daemon keeps under a name.
    ///
    /// # Errors
    ///
    /// When the storage fails.
    pub fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.newest_numbered(&format!("meta/{name}/"))
    }

    /// Destroys a domain's keys, then its data and its rows of the index. Safe to run again.
    ///
    /// # Errors
    ///
    /// When the storage or the index fails; the keys are gone first.
    pub fn erase_domain(&self, domain: DomainId) -> Result<(), StoreError> {
        self.inner.delete_all(&format!("{domain}/keys/"))?;
        self.inner.index.erase(domain)?;
        self.inner.delete_all(&format!("{domain}/"))
    }

    /// The domain's snapshots, newest first. Needs no keys.
    ///
    /// # Errors
    ///
    /// When the index fails.
    pub fn snapshots(&self, domain: DomainId) -> Result<Vec<SnapshotInfo>, StoreError> {
        let rows = index::snapshots(&self.inner.index.read(), domain)?;
        Ok(rows
            .into_iter()
            .rev()
            .filter(|row| !row.removed)
            .map(SnapshotInfo::from)
            .collect())
    }

    /// One snapshot; `None` if there is none, or it was removed.
    ///
    /// # Errors
    ///
    /// When the index fails.
    pub fn snapshot_info(&self, id: SnapshotId) -> Result<Option<SnapshotInfo>, StoreError> {
        let row = index::snapshot(&self.inner.index.read(), id)?;
        Ok(row.filter(|row| !row.removed).map(SnapshotInfo::from))
    }

    /// The snapshots of all domains whose ids begin with `prefix`.
    ///
    /// # Errors
    ///
    /// When the index fails.
    pub fn resolve_prefix(&self, prefix: &str) -> Result<Vec<SnapshotId>, StoreError> {
        let ids = index::snapshot_ids(&self.inner.index.read())?;
        Ok(ids
            .into_iter()
            .filter(|id| id.to_string().starts_with(prefix))
            .collect())
    }

    /// What the store weighs.
    ///
    /// # Errors
    ///
    /// When the storage or the index fails.
    pub fn stats(&self) -> Result<StoreStats, StoreError> {
        let mut stats = StoreStats::default();
        let mut domains: BTreeMap<DomainId, DomainStats> = BTreeMap::new();
        let mut known: BTreeSet<PackId> = BTreeSet::new();
        let blobs = self.inner.blobs.list("")?;
        let read = self.inner.index.read();
        for domain in index::domains(&read)? {
            let found = domains.entry(domain).or_default();
            let rows = index::snapshots(&read, domain)?;
            let live: Vec<u32> = rows
                .iter()
                .filter(|row| !row.removed)
                .map(|row| row.sequence)
                .collect();
            found.snapshots = live.len() as u64;
            found.removed_snapshots = (rows.len() - live.len()) as u64;
            if found.removed_snapshots > 0 {
                found.reclaimable_bytes = index::mend::reclaimable_bytes(&read, domain, &live)?;
            }
            known.extend(index::packs(&read, domain)?.iter().map(|(pack, _)| *pack));
        }
        for blob in &blobs {
            stats.blobs += 1;
            stats.blob_bytes += blob.bytes;
            let mut segments = blob.name.split('/');
            let Some(domain) = segments
                .next()
                .and_then(|segment| segment.parse::<DomainId>().ok())
            else {
                continue;
            };
            let found = domains.entry(domain).or_default();
            match segments.next() {
                Some("packs") => {
                    found.packs += 1;
                    found.pack_bytes += blob.bytes;
                    let pack = segments.next().and_then(|id| id.parse().ok());
                    if pack.is_none_or(|pack| !known.contains(&pack)) {
                        found.orphan_packs += 1;
                        found.orphan_bytes += blob.bytes;
                    }
                }
                Some("records" | "checkpoints" | "merged" | "moves") => {
                    found.record_bytes += blob.bytes;
                }
                Some("damaged") => stats.damaged_bytes += blob.bytes,
                _ => {}
            }
        }
        (stats.index_bytes, stats.wal_bytes) = self.inner.index.bytes();
        stats.domains = domains;
        Ok(stats)
    }

    /// Moves the index's write-ahead log into its file and empties it; before a job is reported ended.
    ///
    /// # Errors
    ///
    /// When the index fails.
    pub fn checkpoint_wal(&self) -> Result<(), StoreError> {
        Ok(self.inner.index.checkpoint()?)
    }
}

impl Inner {
    pub(crate) fn recording(&self) -> MutexGuard<'_, ()> {
        self.recording
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no one else prunes the store or rebuilds its index.
    pub(crate) fn maintenance(&self) -> MutexGuard<'_, ()> {
        self.maintenance
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Held while the next number of a versioned name is found and put.
    pub(crate) fn numbering(&self) -> MutexGuard<'_, ()> {
        self.numbering
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn keying(&self) -> MutexGuard<'_, ()> {
        self.keying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a blob under the next number below `prefix`, then deletes those of lower numbers.
    pub(crate) fn put_numbered(&self, prefix: &str, blob: SealedBlob) -> Result<(), StoreError> {
        let _numbering = self.numbering();
        let older = self.numbered(prefix)?;
        let next = older.last().map_or(1, |(number, _)| number + 1);
        self.blobs.put(&format!("{prefix}{next}"), &blob)?;
        for (_, name) in older {
            self.blobs.delete(&name)?;
        }
        Ok(())
    }

    /// The blob with the highest number below `prefix`.
    pub(crate) fn newest_numbered(&self, prefix: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let newest = self.newest_numbered_named(prefix)?;
        Ok(newest.map(|(_, blob)| blob))
    }

    /// The blob with the highest number below `prefix`, with its name.
    pub(crate) fn newest_numbered_named(
        &self,
        prefix: &str,
    ) -> Result<Option<(String, Vec<u8>)>, StoreError> {
        let _numbering = self.numbering();
        match self.numbered(prefix)?.pop() {
            Some((_, name)) => {
                let blob = self.blobs.get(&name)?;
                Ok(Some((name, blob)))
            }
            None => Ok(None),
        }
    }

    /// The names below `prefix` by their numbers, lowest first.
    pub(crate) fn numbered(&self, prefix: &str) -> Result<Vec<(u64, String)>, StoreError> {
        let mut found: Vec<(u64, String)> = self
            .blobs
            .list(prefix)?
            .into_iter()
            .filter_map(|blob| Some((number_of(blob.name.strip_prefix(prefix)?)?, blob.name)))
            .collect();
        found.sort();
        Ok(found)
    }

    fn delete_all(&self, prefix: &str) -> Result<(), StoreError> {
        for blob in self.blobs.list(prefix)? {
            self.blobs.delete(&blob.name)?;
        }
        Ok(())
    }
}

/// The number that the last part of a name is, as the store writes it.
pub(crate) fn number_of(text: &str) -> Option<u64> {
    text.parse()
        .ok()
        .filter(|number: &u64| number.to_string() == text)
}

/// A moment as the store keeps it, in milliseconds since 1970.
pub(crate) fn to_millis(moment: Timestamp) -> i64 {
    moment.as_millisecond()
}

/// What [`to_millis`] gave.
pub(crate) fn from_millis(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or_default()
}

impl From<SnapshotRow> for SnapshotInfo {
    fn from(row: SnapshotRow) -> Self {
        let complete = !row.coverage.values().any(|coverage| {
            matches!(
                coverage,
                Coverage::MissingScope { .. } | Coverage::Incomplete { .. }
            )
        });
        Self {
            id: row.id,
            domain: row.domain,
            created_at: from_millis(row.created_at),
            as_of: from_millis(row.as_of),
            parent: row.parent,
            complete,
            pinned: row.pinned,
            objects: row.counts.values().sum(),
            changes: row.changes,
            bytes_new: row.bytes_new + row.record_bytes,
            coverage: by_type(row.coverage),
            counts: by_type(row.counts),
        }
    }
}

/// From codes to types; those of a newer catalogue are left out.
fn by_type<T>(by_code: BTreeMap<u16, T>) -> BTreeMap<ObjectType, T> {
    by_code
        .into_iter()
        .filter_map(|(code, value)| Some((ObjectType::from_code(code)?, value)))
        .collect()
}
