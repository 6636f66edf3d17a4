//! Checks that every name in the store resolves, and on request that every byte opens.
//!
//! Without reading data: each record opens and follows its parent, each pack that a record names is there with its
//! length, and the index knows the same snapshots and packs. With data: each pack's directory and each of its chunks
//! opens and decodes, and each version that the index names is found there with its fingerprint. A flipped bit anywhere is
//! found, and the objects, types and snapshots that it concerns are named, as far as the index can tell.
//!
//! Versions that an earlier [`repair`](crate::repair) could not save are no problem any more: they are counted as lost.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalogue::ObjectType;
use crate::id::{DomainId, SnapshotId};
use crate::keys::KeyProvider;
use crate::monitor::{Monitor, Progress};
use crate::store::{DomainStore, Store, StoreError, StoreProblem};

/// What a problem is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemKind {
    /// A snapshot's record: its snapshot is readable while the index has it, and cannot be read in again.
    Record,
    /// A checkpoint: nothing is lost while all records are there. One that is gone is no problem: an interrupted backup or a prune may leave
    /// none where one is due, just the same, and the next backup writes it.
    Checkpoint,
    /// That a snapshot is pinned or removed.
    Marker,
    /// Where versions lie that have been moved.
    Moves,
    /// A whole pack, or the directory of one.
    Pack,
    /// One chunk of a pack.
    Chunk,
    /// The domain's wrapped keys.
    Keys,
    /// The index says otherwise than the blobs do.
    Index,
    /// A blob that is none of the store's.
    Foreign,
}

impl ProblemKind {
    /// The stable word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Checkpoint => "checkpoint",
            Self::Marker => "marker",
            Self::Moves => "moves",
            Self::Pack => "pack",
            Self::Chunk => "chunk",
            Self::Keys => "keys",
            Self::Index => "index",
            Self::Foreign => "foreign",
        }
    }

    /// What a blob is, by its name.
    pub(crate) fn of_blob(name: &str) -> Self {
        match name.split('/').nth(1) {
            Some("records" | "merged") => Self::Record,
            Some("checkpoints") => Self::Checkpoint,
            Some("markers") => Self::Marker,
            Some("moves") => Self::Moves,
            Some("packs") => Self::Pack,
            Some("keys") => Self::Keys,
            _ => Self::Foreign,
        }
    }
}

/// One problem that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What it is about.
    pub kind: ProblemKind,
    /// The domain it is about; `None` for a blob that belongs to none.
    pub domain: Option<DomainId>,
    /// The blob it is about; empty when it is the index.
    pub blob: String,
    /// What is wrong, in words that hold no profile value.
    pub what: String,
    /// The objects of which a version is concerned, as far as the index can tell.
    pub objects: Vec<(ObjectType, String)>,
    /// The types that are concerned; those of the objects, and those of which only what moves by itself is.
    pub types: BTreeSet<ObjectType>,
    /// The snapshots that are concerned, removed ones left out, as far as the index can tell.
    pub snapshots: Vec<SnapshotId>,
}

impl Problem {
    /// A problem with a blob, of which nothing else is known.
    pub(crate) fn of(domain: Option<DomainId>, blob: &str, what: impl Into<String>) -> Self {
        Self {
            kind: ProblemKind::of_blob(blob),
            domain,
            blob: blob.to_owned(),
            what: what.into(),
            objects: Vec::new(),
            types: BTreeSet::new(),
            snapshots: Vec::new(),
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckReport {
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Snapshots whose records were read.
    pub snapshots: u64,
    /// Packs that were looked at.
    pub packs: u64,
    /// Chunks that were opened.
    pub chunks: u64,
    /// Versions whose bodies were compared with the index.
    pub versions: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Versions that are recorded as lost by an earlier repair.
    pub lost: u64,
    /// Packs that no record names, by their bytes: what an interrupted backup left, garbage for prune.
    pub orphans: BTreeMap<String, u64>,
}

impl CheckReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Checks the store and the given domains of it.
///
/// A backup or a reader may run beside it; a prune or a rebuilding of the index is waited for.
///
/// # Errors
///
/// When the storage or the index fails as a whole, or the monitor asks to stop. What is damaged is no error: it is in the report.
pub fn check(
    store: &Store,
    domains: &[DomainStore],
    read_data: bool,
    monitor: &dyn Monitor,
) -> Result<CheckReport, StoreError> {
    // What prune deletes is not missing.
    let _alone = store.inner.maintenance();
    let mut report = CheckReport::default();
    monitor.report(Progress::Phase {
        name: "checking",
        total: None,
    });
    report.problems = foreign(store, domains)?;
    for domain in domains {
        domain.check(read_data, monitor, &mut report)?;
    }
    Ok(report)
}

/// What a blob is, by its name.
#[must_use]
pub fn kind_of(blob: &str) -> ProblemKind {
    ProblemKind::of_blob(blob)
}

/// Blobs that are none of the store's.
pub(crate) fn foreign(store: &Store, domains: &[DomainStore]) -> Result<Vec<Problem>, StoreError> {
    let found = store.foreign_blobs(domains)?;
    let problem = |found: StoreProblem| Problem {
        kind: ProblemKind::Foreign,
        ..Problem::of(None, &found.blob, found.what)
    };
    Ok(found.into_iter().map(problem).collect())
}

/// Checks that the keys which the store keeps for a domain are those that it was opened with.
///
/// # Errors
///
/// When the storage or the key provider fails. Keys that are damaged or missing are no error: they are the problem that is given back.
pub fn check_keys(
    domain: &DomainStore,
    provider: &dyn KeyProvider,
) -> Result<Option<Problem>, StoreError> {
    domain.check_keys(provider)
}
