//! Checks that every name in the store resolves, and on request that every byte opens.
//!
//! Without reading data: each record opens and follows its parent, each pack that a record names is there with its
//! length, and the index knows the same snapshots and packs. With data: each pack's directory and each of its chunks
//! opens and decodes, and each version that the index names is found there with its fingerprint. A flipped bit anywhere is
//! found, and the objects that it concerns are named.

use std::collections::BTreeMap;

use crate::catalogue::ObjectType;
use crate::monitor::{Monitor, Progress};
use crate::store::{DomainStore, Store, StoreError};

/// One problem that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The blob it is about; empty when it is the index.
    pub blob: String,
    /// What is wrong, in words that hold no profile value.
    pub what: String,
    /// The objects of which a version is concerned, as far as the index can tell.
    pub objects: Vec<(ObjectType, String)>,
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
    for problem in store.foreign_blobs(domains)? {
        report.problems.push(Problem {
            blob: problem.blob,
            what: problem.what,
            objects: Vec::new(),
        });
    }
    for domain in domains {
        domain.check(read_data, monitor, &mut report)?;
    }
    Ok(report)
}
