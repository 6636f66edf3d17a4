//! Rebuilds the index from blobs and keys alone.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::{DomainStore, Store, StoreError, number_of};
use crate::id::DomainId;
use crate::index::{self, Index};
use crate::monitor::{Monitor, Progress};

/// A part of the store that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreProblem {
    /// The blob's name.
    pub blob: String,
    /// What is wrong with it, in words that fit after “the blob:”.
    pub what: String,
}

impl StoreProblem {
    pub(super) fn new(blob: &str, what: impl Into<String>) -> Self {
        Self {
            blob: blob.to_owned(),
            what: what.into(),
        }
    }
}

/// What rebuilding the index found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReindexReport {
    /// How many snapshots were read in.
    pub snapshots: u64,
    /// What could not be read: damaged and foreign blobs.
    pub problems: Vec<StoreProblem>,
}

impl Store {
    /// Rebuilds the index from the blobs, for the given domains, and puts it in the place of the old one.
    ///
    /// Readers and a backup that runs beside it keep working; the old index serves until the new one is whole. Only finishing
    /// a snapshot waits, while those that were finished meanwhile are read in and the new index takes the place of the old one.
    ///
    /// Where a record is lost, the snapshots from the next checkpoint on are read in, and those before it are named in the report.
    ///
    /// # Errors
    ///
    /// When the storage or the index fails, or the monitor asks to stop. Damaged and foreign blobs are no error: they are in the report.
    pub fn reindex(
        &self,
        domains: &[DomainStore],
        monitor: &dyn Monitor,
    ) -> Result<ReindexReport, StoreError> {
        let _alone = self.inner.maintenance();
        let path = self.inner.index.path();
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let beside = PathBuf::from(name);
        remove_index(&beside)?;
        let fresh = Self::open(Arc::clone(&self.inner.blobs), &beside)?;
        fresh
            .inner
            .index
            .transact(|transaction| index::copy_numbers(&self.inner.index.read(), transaction))?;
        monitor.report(Progress::Phase {
            name: "reindexing",
            total: Some(domains.len() as u64),
        });
        let mut report = ReindexReport::default();
        for domain in domains {
            if monitor.is_cancelled() {
                drop(fresh);
                remove_index(&beside)?;
                return Err(StoreError::Cancelled);
            }
            report.problems.extend(domain.rebuilt_in(&fresh)?.0);
            monitor.report(Progress::Done {
                object_type: None,
                count: 1,
            });
        }
        let _recording = self.inner.recording();
        for domain in domains {
            let (problems, snapshots) = domain.rebuilt_in(&fresh)?;
            for problem in problems {
                if !report.problems.contains(&problem) {
                    report.problems.push(problem);
                }
            }
            report.snapshots += snapshots;
            for lost in domain.known_only_to(self, &fresh)? {
                let blob = format!("{}/records/{lost}", domain.domain());
                if !report.problems.iter().any(|problem| problem.blob == blob) {
                    let what = "it is missing, and its snapshot cannot be read without it";
                    report.problems.push(StoreProblem::new(&blob, what));
                }
            }
        }
        report.problems.extend(self.foreign_blobs(domains)?);
        fresh.inner.index.settle()?;
        drop(fresh);
        self.inner.index.replace_by(&beside)?;
        remove_index(&beside)?;
        Ok(report)
    }

    /// Blobs that are none of the store's.
    pub(crate) fn foreign_blobs(
        &self,
        domains: &[DomainStore],
    ) -> Result<Vec<StoreProblem>, StoreError> {
        let domains: BTreeSet<DomainId> = domains.iter().map(DomainStore::domain).collect();
        const KNOWN: [&str; 9] = [
            "keys",
            "merged",
            "moves",
            "packs",
            "records",
            "checkpoints",
            "markers",
            "damaged",
            "registration",
        ];
        let mut problems = Vec::new();
        for blob in self.inner.blobs.list("")? {
            let mut segments = blob.name.split('/');
            let (first, second) = (
                segments.next().unwrap_or_default(),
                segments.next().unwrap_or_default(),
            );
            let foreign = match first.parse::<DomainId>() {
                Ok(domain) if domains.contains(&domain) => {
                    let numbered = ["keys", "registration"].contains(&second);
                    let number = blob.name.splitn(3, '/').last().and_then(number_of);
                    !KNOWN.contains(&second) || (numbered && number.is_none())
                }
                Ok(_) => false,
                Err(_) => {
                    let number = blob.name.rsplit('/').next().and_then(number_of);
                    first != "meta" || number.is_none()
                }
            };
            if foreign {
                problems.push(StoreProblem::new(&blob.name, "it has no business here"));
            }
        }
        Ok(problems)
    }
}

fn remove_index(path: &std::path::Path) -> Result<(), StoreError> {
    Index::remove_files(path).map_err(StoreError::from)
}
