//! Looks at all that a domain has, and says what is in doubt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::StoreError;
use super::super::census::Census;
use super::super::domain::{DomainStore, Shared, chain};
use super::super::merged::{MergedBlob, Served};
use super::super::moves::MoveMap;
use super::super::reindex::StoreProblem;
use crate::blobs::BlobInfo;
use crate::id::{PackId, SnapshotId};
use crate::index::prune::{self as sql, PackState};
use crate::index::{self, SnapshotRow};
use crate::pack::Kind;

/// What a domain has.
pub(super) struct Survey {
    /// Oldest first, the removed ones included.
    pub(super) snapshots: Vec<SnapshotRow>,
    /// The sequence numbers of those that need what they have.
    pub(super) anchors: BTreeSet<u32>,
    /// What tells of each snapshot.
    pub(super) served: BTreeMap<SnapshotId, Served>,
    /// The checkpoints that are still of use: name and bytes.
    pub(super) checkpoints: BTreeMap<SnapshotId, (String, u64)>,
    /// The snapshots that each checkpoint names as those before it.
    pub(super) before: BTreeMap<SnapshotId, Vec<SnapshotId>>,
    /// The markers of each snapshot: names and bytes.
    pub(super) markers: BTreeMap<SnapshotId, Vec<(String, u64)>>,
    /// Snapshots that were forgotten, and whose markers may go.
    pub(super) forgotten: BTreeSet<SnapshotId>,
    /// Removed snapshots that the index has forgotten.
    pub(super) unneeded: BTreeSet<SnapshotId>,
    /// Records and checkpoints that are not needed: names and bytes.
    pub(super) garbage: Vec<(String, u64)>,
    /// The packs that each record and each checkpoint names.
    pub(super) named: BTreeMap<String, Vec<PackId>>,
    pub(super) moves: Arc<MoveMap>,
    /// The packs of the index, oldest first.
    pub(super) packs: Vec<PackState>,
    /// Packs that the index does not know, and their bytes.
    pub(super) unknown: Vec<(PackId, u64)>,
    live: BTreeMap<PackId, u64>,
    /// Why nothing may be deleted.
    pub(super) problems: Vec<StoreProblem>,
}

impl Survey {
    /// Looks, after the index has caught up; `problems` are those that came up then.
    pub(super) fn take(
        store: &DomainStore,
        problems: Vec<StoreProblem>,
    ) -> Result<Self, StoreError> {
        let shared = &store.shared;
        let mut found = Vec::new();
        // No record may become durable between the look at the index and the look at the blobs.
        let recording = shared.inner.recording();
        let moves = shared.moves(&mut found)?;
        let (snapshots, anchors) = shared.anchors()?;
        let mut survey = Self {
            snapshots,
            anchors,
            served: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            before: BTreeMap::new(),
            markers: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            unneeded: BTreeSet::new(),
            garbage: Vec::new(),
            named: BTreeMap::new(),
            moves,
            packs: sql::pack_states(&shared.inner.index.read(), shared.domain)?,
            unknown: Vec::new(),
            live: BTreeMap::new(),
            problems: found,
        };
        let blobs = Blobs::list(shared, &mut survey)?;
        drop(recording);
        survey.look_at_records(shared, &blobs)?;
        survey.look_at_checkpoints(shared, &blobs)?;
        survey.look_at_packs(shared, &blobs);
        survey.count(shared)?;
        // What is not needed may be damaged.
        for problem in problems {
            let needed = !survey.garbage.iter().any(|(name, _)| *name == problem.blob);
            if needed && !survey.problems.contains(&problem) {
                survey.problems.push(problem);
            }
        }
        Ok(survey)
    }

    fn doubt(&mut self, blob: &str, what: impl Into<String>) {
        self.problems.push(StoreProblem::new(blob, what));
    }

    /// How many bytes of a pack are needed.
    pub(super) fn live_bytes(&self, pack: PackId) -> u64 {
        self.live.get(&pack).copied().unwrap_or_default()
    }

    /// Finds what tells of each snapshot, and that each follows the one before it.
    fn look_at_records(&mut self, shared: &Shared, blobs: &Blobs) -> Result<(), StoreError> {
        let mut before = None;
        for row in self.snapshots.clone() {
            let candidates = blobs.telling_of(row.id);
            let mut chosen = None;
            let mut why = Vec::new();
            for served in candidates {
                if chosen.is_some() {
                    self.garbage.push((served.name, served.bytes));
                    continue;
                }
                match shared.read_served(row.id, &served) {
                    Ok((base, record)) => {
                        if base != before {
                            let what = "it does not follow the snapshot before its own";
                            self.doubt(&served.name, what);
                        }
                        let packs = record.packs.iter().map(|(pack, _)| *pack).collect();
                        self.named.insert(served.name.clone(), packs);
                        chosen = Some(served);
                    }
                    Err(StoreError::Record { source, .. }) => {
                        why.push(StoreProblem::new(&served.name, chain(&source)));
                    }
                    Err(StoreError::Blob(source)) => {
                        why.push(StoreProblem::new(&served.name, chain(&source)));
                    }
                    Err(error) => return Err(error),
                }
            }
            self.problems.append(&mut why);
            match chosen {
                Some(served) => {
                    self.served.insert(row.id, served);
                }
                None => self.doubt(
                    &format!("{}/records/{}", shared.domain, row.id),
                    "no record tells of a snapshot that the index knows",
                ),
            }
            before = Some(row.id);
        }
        let known: BTreeSet<SnapshotId> = self.snapshots.iter().map(|row| row.id).collect();
        let (markers, _) = shared.markers()?;
        let removed = |id: &SnapshotId| markers.get(id).is_some_and(|(_, removed)| *removed);
        for (snapshot, served) in blobs.telling() {
            if known.contains(&snapshot) {
                continue;
            }
            if removed(&snapshot) {
                self.garbage.push((served.name, served.bytes));
            } else {
                self.doubt(&served.name, "the index does not know this snapshot");
            }
        }
        let gone = markers
            .keys()
            .filter(|id| removed(id) && !known.contains(id));
        self.forgotten = gone.copied().collect();
        self.unneeded.clone_from(&self.forgotten);
        Ok(())
    }

    fn look_at_checkpoints(&mut self, shared: &Shared, blobs: &Blobs) -> Result<(), StoreError> {
        for (snapshot, blob) in &blobs.checkpoints {
            if !self.snapshots.iter().any(|row| row.id == *snapshot) {
                if self.forgotten.contains(snapshot) {
                    self.garbage.push((blob.name.clone(), blob.bytes));
                } else {
                    self.doubt(&blob.name, "the index does not know its snapshot");
                }
                continue;
            }
            match shared.read_checkpoint(*snapshot) {
                Ok(checkpoint) => {
                    let packs = checkpoint.state.packs.iter().map(|(pack, _)| *pack);
                    self.named.insert(blob.name.clone(), packs.collect());
                    let before = checkpoint.before.into_iter().map(|(_, id)| id).collect();
                    self.before.insert(*snapshot, before);
                    self.checkpoints
                        .insert(*snapshot, (blob.name.clone(), blob.bytes));
                }
                Err(StoreError::Record { source, .. }) => self.doubt(&blob.name, chain(&source)),
                Err(StoreError::Blob(source)) => self.doubt(&blob.name, chain(&source)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// That every pack that is named is there, whole by its length.
    fn look_at_packs(&mut self, shared: &Shared, blobs: &Blobs) {
        let known: BTreeSet<PackId> = self.packs.iter().map(|state| state.id).collect();
        for state in self.packs.clone() {
            let there = blobs.packs.get(&state.id).copied();
            if !state.doomed && there != Some(state.bytes) {
                let what = match there {
                    None => "it is missing".to_owned(),
                    Some(bytes) => {
                        format!("it has {bytes} bytes and should have {}", state.bytes)
                    }
                };
                self.doubt(&shared.pack_name(state.id), what);
            }
        }
        let named: BTreeSet<PackId> = self.named.values().flatten().copied().collect();
        for pack in named {
            if !known.contains(&pack) && !self.moves.is_retired(pack) {
                let what = "a record names it, and the index does not know it";
                self.doubt(&shared.pack_name(pack), what);
            }
        }
        let unknown = blobs.packs.iter().filter(|(pack, _)| !known.contains(pack));
        self.unknown = unknown.map(|(pack, bytes)| (*pack, *bytes)).collect();
    }

    /// That the index has what the records say, and what is needed of each pack.
    fn count(&mut self, shared: &Shared) -> Result<(), StoreError> {
        let read = shared.inner.index.read_apart()?;
        let census = Census::take(&read, shared.domain, &self.anchors)?;
        for row in self.snapshots.clone() {
            if self.anchors.contains(&row.sequence) && census.corrected(&row).is_some() {
                let blob = format!("{}/records/{}", shared.domain, row.id);
                self.doubt(&blob, "the index counts other objects than it says");
            }
        }
        let mut observed = BTreeSet::new();
        for (_, space) in index::spaces(&read, shared.domain)? {
            let chunks = index::observations(&read, space)?.into_iter();
            observed.extend(chunks.map(|(_, chunk, _)| chunk));
        }
        for state in &self.packs {
            let mut bytes = 0;
            for (no, chunk) in index::chunks_of(&read, state.id)? {
                let entry = chunk.entry;
                bytes += match entry.kind {
                    Kind::Objects => sql::share(entry.bytes, census.live(no), entry.rows),
                    Kind::Observations if observed.contains(&no) => entry.bytes as u64,
                    Kind::Observations => 0,
                };
            }
            self.live.insert(state.id, bytes);
        }
        Ok(())
    }
}

/// The blobs of a domain by what they are.
#[derive(Default)]
struct Blobs {
    records: BTreeMap<SnapshotId, BlobInfo>,
    merged: Vec<MergedBlob>,
    checkpoints: BTreeMap<SnapshotId, BlobInfo>,
    packs: BTreeMap<PackId, u64>,
}

impl Blobs {
    /// Lists them; notes markers in the survey, and doubts about what is none of ours.
    fn list(shared: &Shared, survey: &mut Survey) -> Result<Self, StoreError> {
        let mut blobs = Self {
            merged: shared.merged_blobs(&mut survey.problems)?,
            ..Self::default()
        };
        survey.problems.extend(shared.markers()?.1);
        let prefix = format!("{}/", shared.domain);
        for blob in shared.inner.blobs.list(&prefix)? {
            let Some((kind, name)) = blob
                .name
                .strip_prefix(&prefix)
                .and_then(|rest| rest.split_once('/'))
            else {
                survey.doubt(&blob.name, "it has no business here");
                continue;
            };
            let known = match kind {
                "records" | "checkpoints" => match name.parse() {
                    Ok(snapshot) => {
                        let of_kind = if kind == "records" {
                            &mut blobs.records
                        } else {
                            &mut blobs.checkpoints
                        };
                        of_kind.insert(snapshot, blob.clone());
                        true
                    }
                    Err(_) => false,
                },
                "packs" => match name.parse() {
                    Ok(pack) => {
                        blobs.packs.insert(pack, blob.bytes);
                        true
                    }
                    Err(_) => false,
                },
                "markers" => match name.split_once('/').map(|(id, _)| id.parse()) {
                    Some(Ok(snapshot)) => {
                        let of = survey.markers.entry(snapshot).or_default();
                        of.push((blob.name.clone(), blob.bytes));
                        true
                    }
                    _ => false,
                },
                // What is no name of these was found when they were read. Damaged blobs are kept aside by repair.
                "merged" | "moves" | "keys" | "registration" | "damaged" => true,
                _ => false,
            };
            if !known {
                survey.doubt(&blob.name, "it has no business here");
            }
        }
        Ok(blobs)
    }

    /// What tells of a snapshot, what counts most first.
    fn telling_of(&self, snapshot: SnapshotId) -> Vec<Served> {
        let merged = self.merged.iter().filter(|blob| blob.snapshot == snapshot);
        let record = self.records.get(&snapshot);
        merged
            .map(served)
            .chain(record.map(|blob| Served {
                name: blob.name.clone(),
                bytes: blob.bytes,
                merged: None,
            }))
            .collect()
    }

    /// Everything that tells of a snapshot.
    fn telling(&self) -> Vec<(SnapshotId, Served)> {
        let snapshots: BTreeSet<SnapshotId> = self
            .records
            .keys()
            .copied()
            .chain(self.merged.iter().map(|blob| blob.snapshot))
            .collect();
        snapshots
            .into_iter()
            .flat_map(|snapshot| {
                let told = self.telling_of(snapshot).into_iter();
                told.map(move |served| (snapshot, served))
            })
            .collect()
    }
}

fn served(blob: &MergedBlob) -> Served {
    Served {
        name: blob.name.clone(),
        bytes: blob.bytes,
        merged: Some(blob.clone()),
    }
}
