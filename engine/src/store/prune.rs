//! Deletes what no snapshot needs, and moves together what is left.
//!
//! Removing a snapshot is a marker alone. Prune then
//!
//! 1. looks at all that the domain has (`prune/survey.rs`): every record that is still needed must open and follow the one before it,
//!    every checkpoint and every list of moves must open, every pack must be there with its length, and the index must count the same objects as the records.
//!    Where anything is in doubt, it deletes nothing and says why;
//! 2. closes the gaps that removed snapshots leave in the index ([`merged`](super::merged));
//! 3. merges their records into that of the next snapshot that stays, where that pays, and deletes them;
//! 4. deletes packs of which nothing is needed, and moves what is needed of others to new packs where that pays (`prune/packs.rs`);
//! 5. deletes what crashes have left: packs that nothing names and that are old enough, and lists of moves that nobody needs any more.
//!
//! What is new is durable before the index changes, and the index before anything is deleted: merged record, index, old records; new packs, moves,
//! index, old packs. A crash at any point leaves every snapshot that is not removed readable, and the next prune goes on.
//!
//! It runs beside backups and readers of the same process (`usage.rs`). The snapshot after which a running backup writes, and those that are being
//! read, keep all they have although they are removed.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::domain::DomainStore;
use super::merged::{Gap, Served, gaps};
use super::reindex::StoreProblem;
use super::types::SnapshotInfo;
use super::{Inner, StoreError};
use crate::id::{DomainId, PackId, SnapshotId};
use crate::index::{self, SnapshotRow, prune as sql};
use crate::monitor::{Monitor, Progress};
use crate::retention::{self, Retention};

mod packs;
mod survey;

use survey::Survey;

/// Records are merged when the smaller ones hold at least this share of the largest one's bytes: so each byte is written again only a few times,
/// and what removed snapshots leave behind stays below it.
const MERGE_SHARE: u64 = 4;

/// How to prune.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneOptions {
    /// The present moment.
    pub now: Timestamp,
    /// Packs that nothing names are left alone until they are so old: another program may still be writing what names them.
    pub min_pack_age: SignedDuration,
    /// What is needed of a pack is moved when it is less than this share of its bytes, in percent …
    pub live_share_pct_min: u8,
    /// … and at least so many bytes are won.
    pub bytes_min: u64,
    /// So many small packs of about one size are moved together into one; 0: never.
    pub small_packs_min: usize,
    /// Also move what is sealed with an older key than the newest.
    pub reseal: bool,
    /// Change nothing, and say what would be done.
    pub dry_run: bool,
}

impl PruneOptions {
    /// The defaults, at a moment: a day, 60 %, 16 KiB, 8 packs.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            min_pack_age: SignedDuration::from_hours(24),
            live_share_pct_min: 60,
            bytes_min: 16 * 1024,
            small_packs_min: 8,
            reseal: false,
            dry_run: false,
        }
    }
}

/// What became of packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PackTally {
    /// Deleted, those included of which something was moved.
    pub deleted: u64,
    /// Of which something was moved to new packs.
    pub rewritten: u64,
    /// New ones that were written.
    pub written: u64,
    /// Left alone because nothing names them, but they are young.
    pub kept_young: u64,
    /// Left alone because a backup or a reader of this process uses them; the next prune goes on.
    pub kept_in_use: u64,
    /// Left alone because something is damaged, unknown or disagrees: all packs of the domain.
    pub kept_in_doubt: u64,
}

/// What a prune did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PruneReport {
    /// Removed snapshots of which nothing is left.
    pub snapshots_removed: u64,
    /// Removed snapshots whose records are still needed by later ones.
    pub snapshots_linked: u64,
    /// Versions that were only in removed snapshots.
    pub versions_dropped: u64,
    /// Records that were deleted.
    pub records_deleted: u64,
    /// Merged records that were written.
    pub records_merged: u64,
    /// Checkpoints of removed snapshots that were deleted.
    pub checkpoints_deleted: u64,
    /// What became of packs.
    pub packs: PackTally,
    /// Bytes of all blobs that were deleted.
    pub bytes_freed: u64,
    /// Bytes of all blobs that were written.
    pub bytes_rewritten: u64,
    /// What is in doubt, so that nothing was deleted; or what could not be moved.
    pub problems: Vec<StoreProblem>,
}

impl PruneReport {
    /// The same of another domain as well.
    pub fn add(&mut self, other: Self) {
        self.snapshots_removed += other.snapshots_removed;
        self.snapshots_linked += other.snapshots_linked;
        self.versions_dropped += other.versions_dropped;
        self.records_deleted += other.records_deleted;
        self.records_merged += other.records_merged;
        self.checkpoints_deleted += other.checkpoints_deleted;
        self.packs.deleted += other.packs.deleted;
        self.packs.rewritten += other.packs.rewritten;
        self.packs.written += other.packs.written;
        self.packs.kept_young += other.packs.kept_young;
        self.packs.kept_in_use += other.packs.kept_in_use;
        self.packs.kept_in_doubt += other.packs.kept_in_doubt;
        self.bytes_freed += other.bytes_freed;
        self.bytes_rewritten += other.bytes_rewritten;
        self.problems.extend(other.problems);
    }
}

impl DomainStore {
    /// Removes the snapshots that a retention policy does not keep at `now`; gives them. Their data go with the next [`prune`](Self::prune).
    ///
    /// Pinned snapshots and the newest complete one are always kept.
    ///
    /// # Errors
    ///
    /// When the storage or the index fails; what was removed before stays removed.
    pub fn apply_retention(
        &self,
        policy: &Retention,
        timezone: &TimeZone,
        now: Timestamp,
    ) -> Result<Vec<SnapshotId>, StoreError> {
        let rows = index::snapshots(&self.shared.inner.index.read(), self.shared.domain)?;
        let snapshots: Vec<SnapshotInfo> = rows
            .into_iter()
            .filter(|row| !row.removed)
            .map(SnapshotInfo::from)
            .collect();
        let plan = retention::plan(&snapshots, policy, timezone, now);
        for snapshot in &plan.remove {
            self.remove_snapshot(*snapshot)?;
        }
        Ok(plan.remove)
    }

    /// Deletes what no snapshot of the domain needs, and moves together what is left where that pays.
    ///
    /// Backups and readers of this process may run beside it. It waits while another prune runs, or the index is being rebuilt. Safe to interrupt, and to
    /// run again: it goes on where it ended.
    ///
    /// # Errors
    ///
    /// When the storage or the index fails, or the monitor asks to stop. What is damaged is no error: it is in the report, and nothing is deleted.
    pub fn prune(
        &self,
        options: &PruneOptions,
        monitor: &dyn Monitor,
    ) -> Result<PruneReport, StoreError> {
        let _alone = self.shared.inner.maintenance();
        monitor.report(Progress::Phase {
            name: "pruning",
            total: None,
        });
        let problems = self.catch_up()?;
        let survey = Survey::take(self, problems)?;
        let mut prune = Prune {
            store: self,
            options,
            monitor,
            survey,
            report: PruneReport::default(),
        };
        if !prune.survey.problems.is_empty() {
            prune.report.packs.kept_in_doubt = prune.survey.packs.len() as u64;
            prune.report.problems = prune.survey.problems;
            return Ok(prune.report);
        }
        let merges = prune.merges();
        if options.dry_run {
            prune.foresee(&merges);
            return Ok(prune.report);
        }
        prune.report.versions_dropped = self.shared.close_gaps()?;
        prune.merge_records(&merges)?;
        prune.delete_records()?;
        prune.prune_packs()?;
        prune.delete_moves()?;
        prune.delete_orphans()?;
        Ok(prune.report)
    }
}

struct Prune<'a> {
    store: &'a DomainStore,
    options: &'a PruneOptions,
    monitor: &'a dyn Monitor,
    survey: Survey,
    report: PruneReport,
}

/// Records that become one.
struct Merge {
    gap: Gap,
    /// The snapshots after the gap's first, the last of which stays, with what tells of them.
    records: Vec<(SnapshotId, Served)>,
}

impl Prune<'_> {
    fn stop(&self) -> Result<(), StoreError> {
        if self.monitor.is_cancelled() {
            Err(StoreError::Cancelled)
        } else {
            Ok(())
        }
    }

    fn delete(&mut self, name: &str, bytes: u64) -> Result<(), StoreError> {
        self.store.shared.inner.blobs.delete(name)?;
        self.report.bytes_freed += bytes;
        Ok(())
    }

    fn row(&self, sequence: u32) -> Option<&SnapshotRow> {
        let mut rows = self.survey.snapshots.iter();
        rows.find(|row| row.sequence == sequence)
    }

    /// The gaps whose records are to be merged.
    fn merges(&mut self) -> Vec<Merge> {
        let mut merges = Vec::new();
        for gap in gaps(&self.survey.snapshots, &self.survey.anchors) {
            let within = |row: &&SnapshotRow| row.sequence > gap.after && row.sequence <= gap.to;
            let records: Vec<(SnapshotId, Served)> = self
                .survey
                .snapshots
                .iter()
                .filter(within)
                .filter_map(|row| Some((row.id, self.survey.served.get(&row.id)?.clone())))
                .collect();
            let bytes = records.iter().map(|(_, served)| served.bytes);
            let (largest, all) = (bytes.clone().max().unwrap_or_default(), bytes.sum::<u64>());
            if (all - largest).saturating_mul(MERGE_SHARE) >= largest {
                merges.push(Merge { gap, records });
            } else {
                self.report.snapshots_linked += records.len().saturating_sub(1) as u64;
            }
        }
        merges
    }

    /// Says what would be done, without doing it.
    fn foresee(&mut self, merges: &[Merge]) {
        for merge in merges {
            self.report.snapshots_removed += merge.records.len().saturating_sub(1) as u64;
            self.report.records_deleted += merge.records.len() as u64;
            self.report.records_merged += 1;
        }
        let garbage = self.survey.garbage.iter();
        self.report.bytes_freed += garbage.map(|(_, bytes)| *bytes).sum::<u64>();
        let choice = self.choose();
        for state in &self.survey.packs {
            let rewritten = choice.rewrite.contains(&state.id);
            if rewritten || choice.unneeded.contains(&state.id) {
                self.report.packs.deleted += 1;
                self.report.packs.rewritten += u64::from(rewritten);
                self.report.bytes_freed += state.bytes;
                self.report.bytes_rewritten += self.survey.live_bytes(state.id);
            }
        }
    }

    /// Writes the merged records, lets the index forget what they stand for, and notes what is to be deleted for it.
    fn merge_records(&mut self, merges: &[Merge]) -> Result<(), StoreError> {
        let shared = &self.store.shared;
        let mut forgotten: BTreeSet<SnapshotId> = BTreeSet::new();
        let mut gaps = Vec::new();
        for merge in merges {
            self.stop()?;
            let Some(target) = self.row(merge.gap.to).cloned() else {
                continue;
            };
            let base = self.row(merge.gap.after).cloned();
            let read = shared.inner.index.read_apart()?;
            let merged = shared.merge(
                &read,
                base.as_ref(),
                &target,
                &merge.records,
                &self.survey.moves,
            )?;
            drop(read);
            let Some(merged) = merged else {
                self.report.snapshots_linked += merge.records.len().saturating_sub(1) as u64;
                continue;
            };
            let (name, bytes) = shared.put_merged(target.id, &merged)?;
            self.report.bytes_rewritten += bytes;
            self.report.records_merged += 1;
            let packs = merged.record.packs.iter().map(|(pack, _)| *pack).collect();
            for (snapshot, served) in &merge.records {
                self.survey.named.remove(&served.name);
                self.survey
                    .garbage
                    .push((served.name.clone(), served.bytes));
                self.report.records_deleted += 1;
                if *snapshot != target.id {
                    forgotten.insert(*snapshot);
                }
            }
            self.survey.named.insert(name, packs);
            gaps.push(merge.gap);
        }
        if gaps.is_empty() {
            return Ok(());
        }
        let domain = shared.domain;
        self.report.snapshots_removed += shared.inner.index.transact_durably(|transaction| {
            let mut forgotten = 0;
            for gap in &gaps {
                forgotten += sql::forget_snapshots(transaction, domain, gap.after, gap.to)?;
            }
            Ok(forgotten)
        })?;
        for snapshot in &forgotten {
            if let Some((name, bytes)) = self.survey.checkpoints.remove(snapshot) {
                self.survey.named.remove(&name);
                self.survey.garbage.push((name, bytes));
                self.report.checkpoints_deleted += 1;
            }
        }
        self.survey.unneeded.extend(forgotten.iter().copied());
        self.survey.forgotten.extend(forgotten);
        Ok(())
    }

    /// Deletes records and checkpoints that are no longer needed, then the markers of the snapshots that nothing names any more.
    fn delete_records(&mut self) -> Result<(), StoreError> {
        for (name, bytes) in std::mem::take(&mut self.survey.garbage) {
            self.stop()?;
            self.delete(&name, bytes)?;
        }
        // As long as a checkpoint names a snapshot, its marker says why its record is not there; and the one that is being written may name any.
        if self.store.shared.inner.is_written(self.store.shared.domain) {
            return Ok(());
        }
        for snapshot in std::mem::take(&mut self.survey.forgotten) {
            let before = |(checkpoint, named): (&SnapshotId, &Vec<SnapshotId>)| {
                self.survey.checkpoints.contains_key(checkpoint) && named.contains(&snapshot)
            };
            if self.survey.before.iter().any(before) {
                continue;
            }
            for (name, bytes) in self.survey.markers.remove(&snapshot).unwrap_or_default() {
                self.delete(&name, bytes)?;
            }
        }
        Ok(())
    }

    /// Deletes the lists of moves that were there before and that nothing needs any more.
    ///
    /// Not while a snapshot is being written: its checkpoint may name what was moved just now.
    fn delete_moves(&mut self) -> Result<(), StoreError> {
        if self.store.shared.inner.is_written(self.store.shared.domain) {
            return Ok(());
        }
        let mut named: BTreeSet<PackId> = self.survey.named.values().flatten().copied().collect();
        let mut unneeded = self.survey.moves.blobs.clone();
        loop {
            let needed: Vec<u64> = unneeded
                .iter()
                .filter(|(_, (old, _))| old.iter().any(|pack| named.contains(pack)))
                .map(|(number, _)| *number)
                .collect();
            if needed.is_empty() {
                break;
            }
            for number in needed {
                if let Some((_, targets)) = unneeded.remove(&number) {
                    named.extend(targets);
                }
            }
        }
        let prefix = self.store.shared.moves_prefix();
        for number in unneeded.into_keys() {
            let name = format!("{prefix}{number}");
            let bytes = self.store.shared.inner.blobs.size(&name)?;
            self.delete(&name, bytes)?;
        }
        Ok(())
    }

    /// Whether the index knows every record that is needed. Only while no record is written does that stay so.
    fn knows_all_records(&self) -> Result<bool, StoreError> {
        let shared = &self.store.shared;
        let known = shared.known_snapshots()?;
        let prefix = format!("{}/records/", shared.domain);
        let records = shared.inner.blobs.list(&prefix)?;
        let mut records = records.iter().map(|blob| {
            let name = blob.name.strip_prefix(&prefix).unwrap_or_default();
            name.parse::<SnapshotId>()
        });
        Ok(records.all(|snapshot| {
            snapshot.is_ok_and(|id| known.contains(&id) || self.survey.unneeded.contains(&id))
        }))
    }

    /// Deletes packs that nothing names, if no writer of this process has written them and they are old enough.
    fn delete_orphans(&mut self) -> Result<(), StoreError> {
        for (pack, bytes) in self.orphans()? {
            self.stop()?;
            self.delete(&self.store.shared.pack_name(pack), bytes)?;
            self.report.packs.deleted += 1;
        }
        Ok(())
    }

    /// The packs that nothing names nor will name: whoever wrote them is gone, and has left no record that the index does not know. None while there is no
    /// snapshot.
    fn orphans(&mut self) -> Result<Vec<(PackId, u64)>, StoreError> {
        let shared = &self.store.shared;
        let _recording = shared.inner.recording();
        let mut orphans = Vec::new();
        if !self.knows_all_records()? {
            return Ok(orphans);
        }
        // Where there is no snapshot at all, records and index may be lost together; one that comes back from a copy needs its packs.
        if self.survey.snapshots.is_empty() {
            self.report.packs.kept_in_doubt += self.survey.unknown.len() as u64;
            return Ok(orphans);
        }
        let moves = shared.moves(&mut Vec::new())?;
        let targets: BTreeSet<PackId> = moves
            .blobs
            .values()
            .flat_map(|(_, targets)| targets.iter().copied())
            .collect();
        for (pack, bytes) in std::mem::take(&mut self.survey.unknown) {
            // Who wrote it lets go of it only after the index knows it.
            if !shared.inner.usage.is_free(pack) {
                self.report.packs.kept_in_use += 1;
                continue;
            }
            let known = index::packs(&shared.inner.index.read(), shared.domain)?;
            if known.iter().any(|(known, _)| *known == pack) {
                continue;
            }
            if !moves.is_retired(pack) {
                if targets.contains(&pack) {
                    continue;
                }
                let name = shared.pack_name(pack);
                let old = shared.inner.blobs.put_at(&name)?.is_some_and(|at| {
                    self.options.now.duration_since(at) >= self.options.min_pack_age
                });
                if !old {
                    self.report.packs.kept_young += 1;
                    continue;
                }
            }
            orphans.push((pack, bytes));
        }
        Ok(orphans)
    }
}

impl Inner {
    /// Whether a snapshot of the domain is being written.
    fn is_written(&self, domain: DomainId) -> bool {
        let writing = self.writing.lock();
        writing
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .contains(&domain)
    }
}
