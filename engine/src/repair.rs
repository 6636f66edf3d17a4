//! Makes a damaged store whole again, as far as its index and the orgs still have what was lost.
//!
//! For each domain: everything is [checked](crate::check), to the last byte. Then
//!
//! 1. records, checkpoints, markers and wrapped keys that are damaged or missing are written anew from what the index and the open domain
//!    know; where the blobs know more than the index, it is rebuilt. A record that the index does not know either costs its snapshot, and those
//!    that can be read only after it;
//! 2. intact chunks of damaged packs are moved to new packs. In the place of each version of a damaged chunk a tombstone is put, which says
//!    that its content is lost, so that it is told apart from new damage, and never read as something else;
//! 3. the org is backed up once more. This makes the newest state whole, and shows what of the lost contents the org still has: a version whose
//!    content is there again gets it back, for all snapshots that hold it.
//!
//! Where the index was lost as well, it was rebuilt without what lay in damaged packs. The records still tell how many versions that were, of
//! which type, and since when: this is counted, and a warning, before records are written anew by what the index has, and the old ones are kept aside. The
//! same holds for snapshots of which nothing is left. A repair that goes on after an interruption does not count them again.
//!
//! Damaged blobs are moved below `DOMAIN/damaged/` and never deleted. Every step can be interrupted and run again. Where the org cannot be
//! read, the first two steps are done, and what may still come back is pending until the next repair. A repair of a store
//! without damage, without pending versions and whose newest snapshots are whole changes nothing and asks no org.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::backup::{self, BackupError, BackupOptions};
use crate::catalogue::ObjectType;
use crate::check::{self, CheckReport, Problem, ProblemKind};
use crate::clock::Clock;
use crate::id::{DomainId, PackId, SnapshotId};
use crate::keys::KeyProvider;
use crate::monitor::{Monitor, Progress, Silent};
use crate::okta::OktaApi;
use crate::store::{DomainStore, Store, StoreError};

/// Reaches a domain's org; the text says why that is not possible, and holds no secret.
pub type Connect<'a> = Box<dyn Fn() -> Result<Box<dyn OktaApi>, String> + 'a>;

/// A domain that is to be repaired.
pub struct Patient<'a> {
    /// The domain.
    pub domain: DomainStore,
    /// The provider of its keys.
    pub provider: &'a dyn KeyProvider,
    /// The way to its org, taken only where something was lost.
    pub connect: Connect<'a>,
    /// What the backup reads that follows a loss.
    pub backup: BackupOptions,
}

impl fmt::Debug for Patient<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Patient({:?})", self.domain)
    }
}

/// A version of an object whose content is not there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LostVersion {
    /// The object's type.
    pub object_type: ObjectType,
    /// The object's id, as the interface writes it.
    pub id: String,
    /// The snapshots that hold the version, removed ones left out.
    pub snapshots: Vec<SnapshotId>,
    /// Whether the org could not be read since the loss was found, so that it may still come back.
    pub pending: bool,
}

/// What the repair of one domain did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainRepair {
    /// The domain.
    pub domain: DomainId,
    /// What was wrong.
    pub found: Vec<Problem>,
    /// Blobs that were written anew from what the index and the open domain know.
    pub rewritten: Vec<String>,
    /// Where damaged blobs were moved to.
    pub set_aside: Vec<String>,
    /// Intact chunks that were moved out of damaged packs.
    pub chunks_salvaged: u64,
    /// Versions whose content was lost and is there again.
    pub versions_recovered: u64,
    /// Versions whose content this repair found lost, and those still pending from an earlier one.
    pub lost: Vec<LostVersion>,
    /// How many versions are lost whose objects nobody can name any more, because the index was lost as well: by the snapshot that they began with (or, where
    /// its record is merged or gone, the first that still tells of them) and their type.
    pub lost_unnamed: BTreeMap<(SnapshotId, ObjectType), u64>,
    /// Snapshots that are gone, because their records are, and the index does not know them.
    pub snapshots_lost: Vec<SnapshotId>,
    /// The snapshot that holds the newest state, if one was made.
    pub snapshot: Option<SnapshotId>,
    /// What to know besides; ids and numbers only.
    pub notes: Vec<String>,
    /// What a check still finds.
    pub remaining: Vec<Problem>,
}

impl DomainRepair {
    fn of(domain: DomainId) -> Self {
        Self {
            domain,
            found: Vec::new(),
            rewritten: Vec::new(),
            set_aside: Vec::new(),
            chunks_salvaged: 0,
            versions_recovered: 0,
            lost: Vec::new(),
            lost_unnamed: BTreeMap::new(),
            snapshots_lost: Vec::new(),
            snapshot: None,
            notes: Vec::new(),
            remaining: Vec::new(),
        }
    }

    /// Whether nothing was damaged, or everything came back.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.lost.is_empty()
            && self.lost_unnamed.is_empty()
            && self.snapshots_lost.is_empty()
            && self.notes.is_empty()
            && self.remaining.is_empty()
    }
}

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepairReport {
    /// By domain.
    pub domains: Vec<DomainRepair>,
    /// Whether the index was rebuilt.
    pub reindexed: bool,
    /// Blobs that are none of the store's; they were left alone.
    pub foreign: Vec<Problem>,
}

impl RepairReport {
    /// Whether nothing was damaged, or everything came back.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.foreign.is_empty() && self.domains.iter().all(DomainRepair::is_whole)
    }
}

/// Repairs the store and the given domains of it; all domains that the store has keys for should be among them.
///
/// No snapshot may be written meanwhile, and nothing be pruned. A domain that cannot be repaired does not keep the others from it: it has a note.
///
/// # Errors
///
/// When the storage or the index fails as a whole, or the monitor asks to stop.
pub fn repair(
    store: &Store,
    patients: &[Patient<'_>],
    clock: &dyn Clock,
    monitor: &dyn Monitor,
) -> Result<RepairReport, StoreError> {
    let stores: Vec<DomainStore> = patients.iter().map(|one| one.domain.clone()).collect();
    let mut report = RepairReport {
        foreign: check::foreign(store, &stores)?,
        ..RepairReport::default()
    };
    phase(monitor, "checking");
    let mut wards = Vec::new();
    for patient in patients {
        wards.push(Ward::admit(patient, monitor)?);
    }
    phase(monitor, "mending");
    for ward in &mut wards {
        ward.try_to(monitor, |ward| ward.mend_names(monitor))?;
    }
    if wards.iter().any(|ward| ward.needs_reindex()) {
        store.reindex(&stores, monitor)?;
        report.reindexed = true;
        for ward in &mut wards {
            ward.look_again(monitor)?;
            ward.try_to(monitor, |ward| ward.mend_names(monitor))?;
        }
    }
    phase(monitor, "salvaging");
    for ward in &mut wards {
        ward.try_to(monitor, |ward| ward.salvage(monitor))?;
    }
    for ward in &mut wards {
        ward.try_to(monitor, |ward| ward.refetch(clock, monitor))?;
    }
    phase(monitor, "verifying");
    for ward in wards {
        report.domains.push(ward.discharge(monitor)?);
    }
    Ok(report)
}

fn phase(monitor: &dyn Monitor, name: &'static str) {
    monitor.report(Progress::Phase { name, total: None });
}

/// A domain while it is being repaired.
struct Ward<'a> {
    patient: &'a Patient<'a>,
    /// What was found when it was last looked at.
    problems: Vec<Problem>,
    /// Whether there are versions recorded as lost.
    has_lost: bool,
    /// Whether the newest state may be incomplete.
    needs_backup: bool,
    done: DomainRepair,
}

impl<'a> Ward<'a> {
    fn admit(patient: &'a Patient<'a>, monitor: &dyn Monitor) -> Result<Self, StoreError> {
        let mut ward = Self {
            done: DomainRepair::of(patient.domain.domain()),
            patient,
            problems: Vec::new(),
            has_lost: false,
            needs_backup: false,
        };
        // An earlier repair may have ended before the index followed what it had moved.
        patient.domain.catch_up()?;
        ward.look_again(monitor)?;
        ward.done.found.clone_from(&ward.problems);
        Ok(ward)
    }

    fn examine(&self, monitor: &dyn Monitor) -> Result<CheckReport, StoreError> {
        let mut report = CheckReport::default();
        self.patient.domain.check(true, monitor, &mut report)?;
        match self.patient.domain.check_keys(self.patient.provider) {
            Ok(found) => report.problems.extend(found),
            // A provider that does not answer keeps nobody from repairing the rest.
            Err(StoreError::Key(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(report)
    }

    fn look_again(&mut self, monitor: &dyn Monitor) -> Result<(), StoreError> {
        let report = self.examine(monitor)?;
        self.has_lost = report.lost > 0;
        self.problems = report.problems;
        Ok(())
    }

    /// Takes a step; where it fails, the domain has a note, and the others go on.
    fn try_to(
        &mut self,
        monitor: &dyn Monitor,
        step: impl FnOnce(&mut Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if monitor.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        match step(self) {
            Ok(()) => Ok(()),
            Err(error @ (StoreError::Cancelled | StoreError::NoSpace)) => Err(error),
            Err(error) => {
                self.done.notes.push(crate::store::chain(&error));
                Ok(())
            }
        }
    }

    fn of_kind(&self, kind: ProblemKind) -> impl Iterator<Item = &Problem> {
        self.problems
            .iter()
            .filter(move |problem| problem.kind == kind)
    }

    /// Whether the blobs know something that the index does not. Where a pack is damaged, a rebuilt index would know less.
    fn needs_reindex(&self) -> bool {
        self.of_kind(ProblemKind::Index).next().is_some()
    }

    /// Mends whatever is small and known to the index: records, checkpoints, markers, keys.
    fn mend_names(&mut self, monitor: &dyn Monitor) -> Result<(), StoreError> {
        let domain = &self.patient.domain;
        if self.of_kind(ProblemKind::Keys).next().is_some() {
            domain.rewrite_keys(self.patient.provider)?;
            self.done
                .rewritten
                .push(format!("{}/keys", domain.domain()));
        }
        let markers: Vec<(SnapshotId, String)> = self
            .of_kind(ProblemKind::Marker)
            .filter_map(|found| Some((*found.snapshots.first()?, found.blob.clone())))
            .collect();
        for (snapshot, name) in markers {
            if let Some((_, removed)) = domain.rewrite_marker(snapshot, &name)? {
                let state = if removed { "removed" } else { "kept" };
                tracing::info!(%snapshot, state, "A marker was written anew");
            }
            self.done.rewritten.push(name);
        }
        if !self.problems.is_empty() {
            self.count_untold(monitor)?;
        }
        let moves: Vec<String> = self
            .of_kind(ProblemKind::Moves)
            .map(|found| found.blob.clone())
            .collect();
        for name in moves {
            let (written, aside) = domain.do_without_moves(&name)?;
            self.done.rewritten.extend(written);
            self.done.set_aside.extend(aside);
        }
        if self.of_kind(ProblemKind::Record).next().is_some()
            || self.of_kind(ProblemKind::Checkpoint).next().is_some()
            || self.of_kind(ProblemKind::Index).next().is_some()
        {
            self.mend_records(monitor)?;
        }
        let checkpoints: BTreeSet<SnapshotId> = self
            .of_kind(ProblemKind::Checkpoint)
            .flat_map(|found| found.snapshots.iter().copied())
            .collect();
        if !checkpoints.is_empty() {
            let (written, aside) = domain.rewrite_checkpoints(&checkpoints)?;
            self.done.rewritten.extend(written);
            self.done.set_aside.extend(aside);
        }
        Ok(())
    }

    /// Counts what only the records still tell of, before they are written anew without it. Said at once: no later repair counts it.
    fn count_untold(&mut self, monitor: &dyn Monitor) -> Result<(), StoreError> {
        for ((snapshot, object_type), count) in self.patient.domain.untold()? {
            let known = self.done.lost_unnamed.entry((snapshot, object_type));
            let known = known.or_default();
            if count > *known {
                *known = count;
                let what = format!(
                    "{count} versions of {object_type} that began with the snapshot {snapshot} are lost, and their ids with them."
                );
                monitor.report(Progress::Warning(what));
            }
        }
        Ok(())
    }

    /// Notes snapshots that are lost. Said at once: once they are marked, no later repair finds them.
    fn give_up(&mut self, lost: Vec<SnapshotId>, monitor: &dyn Monitor) {
        self.needs_backup |= !lost.is_empty();
        for snapshot in &lost {
            let what = format!("The snapshot {snapshot} is lost: its record is.");
            monitor.report(Progress::Warning(what));
        }
        self.done.snapshots_lost.extend(lost);
    }

    fn mend_records(&mut self, monitor: &dyn Monitor) -> Result<(), StoreError> {
        let domain = &self.patient.domain;
        let damaged: BTreeSet<SnapshotId> = self
            .of_kind(ProblemKind::Record)
            .flat_map(|found| found.snapshots.iter().copied())
            .collect();
        // Noted before the records are written anew that still show it.
        let unknown = self.of_kind(ProblemKind::Index);
        let unknown = unknown.flat_map(|found| found.snapshots.iter().copied());
        let named: BTreeSet<SnapshotId> = unknown.chain(damaged.iter().copied()).collect();
        let lost = domain.give_up_missing(&named)?;
        self.give_up(lost, monitor);
        let (written, aside) = domain.rewrite_records(&damaged)?;
        self.done.rewritten.extend(written);
        self.done.set_aside.extend(aside);
        // What is still not read in cannot be: it, or one before it, is damaged, and the index knows neither.
        let (lost, aside) = domain.give_up_unreadable()?;
        self.give_up(lost, monitor);
        self.done.set_aside.extend(aside);
        // Those after a lost one follow another now.
        let mut report = CheckReport::default();
        domain.check(false, &Silent, &mut report)?;
        let torn: BTreeSet<SnapshotId> = report
            .problems
            .iter()
            .filter(|found| found.kind == ProblemKind::Record)
            .flat_map(|found| found.snapshots.iter().copied())
            .collect();
        let (written, aside) = domain.rewrite_records(&torn)?;
        self.done.rewritten.extend(written);
        self.done.set_aside.extend(aside);
        Ok(())
    }

    /// Moves what is intact out of damaged packs, and notes what is not.
    fn salvage(&mut self, monitor: &dyn Monitor) -> Result<(), StoreError> {
        let prefix = format!("{}/packs/", self.patient.domain.domain());
        let packs: BTreeSet<PackId> = self
            .problems
            .iter()
            .filter(|found| matches!(found.kind, ProblemKind::Pack | ProblemKind::Chunk))
            .filter_map(|found| found.blob.strip_prefix(&prefix)?.parse().ok())
            .collect();
        if packs.is_empty() {
            return Ok(());
        }
        // Before the records are written anew that name them.
        self.patient.domain.copy_packs_aside(&packs)?;
        self.count_untold(monitor)?;
        let (written, aside) = self.patient.domain.do_without_unknown(&packs)?;
        self.done.rewritten.extend(written);
        self.done.set_aside.extend(aside);
        let salvaged = self.patient.domain.salvage(&packs, monitor)?;
        self.done.set_aside.extend(salvaged.set_aside);
        self.done.chunks_salvaged += salvaged.chunks;
        self.has_lost |= salvaged.lost > 0;
        self.needs_backup |= salvaged.lost > 0 || salvaged.is_doubtful;
        // Where the index knows nothing of what was lost, the records must say that the types are not complete.
        let stale = self.patient.domain.stale_records()?;
        self.needs_backup |= !stale.is_empty();
        let (written, aside) = self.patient.domain.rewrite_records(&stale)?;
        self.done.rewritten.extend(written);
        self.done.set_aside.extend(aside);
        Ok(())
    }

    /// Backs the org up, if the newest state may not be whole or something may come back; then gives versions their content back.
    fn refetch(&mut self, clock: &dyn Clock, monitor: &dyn Monitor) -> Result<(), StoreError> {
        let patient = self.patient;
        let types: BTreeSet<ObjectType> = patient.backup.collect.types.iter().copied().collect();
        self.needs_backup |= patient.domain.newest_is_damaged()?;
        let mut pending = false;
        if self.has_lost {
            // An ordinary backup may have stored again what was lost.
            self.done.versions_recovered += patient.domain.recover_lost(monitor)?;
            let lost = patient.domain.lost_versions(&types, monitor)?;
            pending = lost.iter().any(|version| version.pending);
        }
        if !pending && !self.needs_backup {
            return Ok(());
        }
        match (patient.connect)() {
            Err(why) => self
                .done
                .notes
                .push(format!("the org could not be read: {why}")),
            Ok(api) => self.back_up(&*api, clock, monitor)?,
        }
        if self.has_lost {
            self.done.versions_recovered += patient.domain.recover_lost(monitor)?;
            self.done.lost = patient.domain.lost_versions(&types, monitor)?;
        }
        Ok(())
    }

    fn back_up(
        &mut self,
        api: &dyn OktaApi,
        clock: &dyn Clock,
        monitor: &dyn Monitor,
    ) -> Result<(), StoreError> {
        let patient = self.patient;
        match backup::backup(api, &patient.domain, &patient.backup, clock, monitor) {
            Ok(report) => {
                self.done.snapshot = Some(report.snapshot.id);
                Ok(())
            }
            Err(BackupError::Cancelled) => Err(StoreError::Cancelled),
            Err(BackupError::Store(error)) => Err(error),
            Err(error @ BackupError::Okta(_)) => {
                self.done.notes.push(crate::store::chain(&error));
                Ok(())
            }
        }
    }

    /// Says how it is now.
    fn discharge(mut self, monitor: &dyn Monitor) -> Result<DomainRepair, StoreError> {
        if !self.done.found.is_empty() {
            self.look_again(monitor)?;
            self.done.remaining = self.problems;
        }
        Ok(self.done)
    }
}
