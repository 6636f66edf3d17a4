//! When a checkpoint is written, what stands in it, and how the index goes on from one.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::Connection;

use super::StoreError;
use super::domain::{NAME_SEAL, Shared, WATERMARK_SEAL, chain, damaged};
use super::readin::ReadIn;
use super::reindex::StoreProblem;
use crate::blobs::BlobError;
use crate::chunk::Key;
use crate::id::{DomainId, PackId, SnapshotId};
use crate::index::{self, AppliedType, NameText, SnapshotRow, Space};
use crate::record::{Checkpoint, NewId, Observations, Record, Run, TypeDelta};

/// The chunks of a domain by their numbers in the index, and the packs that a checkpoint names, in the order of its table.
pub(super) struct Places {
    chunks: HashMap<i64, (PackId, usize)>,
    bytes: BTreeMap<PackId, u64>,
    pub(super) table: Vec<(PackId, u64)>,
    in_table: HashMap<PackId, usize>,
}

impl Places {
    pub(super) fn new(read: &Connection, domain: DomainId) -> Result<Self, StoreError> {
        Ok(Self {
            chunks: index::chunk_places(read, domain)?,
            bytes: index::packs(read, domain)?.into_iter().collect(),
            table: Vec::new(),
            in_table: HashMap::new(),
        })
    }

    /// A chunk's pack, and its place in it.
    fn place(&self, chunk: i64) -> Option<(PackId, usize)> {
        self.chunks.get(&chunk).copied()
    }

    /// A chunk's pack by its place in the table, and its place in the pack.
    pub(super) fn of(&mut self, chunk: i64) -> Result<(usize, usize), StoreError> {
        let known = self.chunks.get(&chunk);
        let (pack, place) = *known.ok_or_else(|| StoreError::Mismatch {
            what: "a chunk that it does not name".to_owned(),
        })?;
        if let Some(at) = self.in_table.get(&pack) {
            return Ok((*at, place));
        }
        let at = self.table.len();
        let bytes = self.bytes.get(&pack).copied().unwrap_or_default();
        self.table.push((pack, bytes));
        self.in_table.insert(pack, at);
        Ok((at, place))
    }

    /// Where a type's observations lie, without the buckets for which `is_told` says so, by the bucket and the chunk's place.
    pub(super) fn observations(
        &mut self,
        read: &Connection,
        space: Space,
        is_told: impl Fn(u32, Option<(PackId, usize)>) -> bool,
    ) -> Result<Vec<Observations>, StoreError> {
        let mut found = Vec::new();
        for (bucket, chunk, digest) in index::observations(read, space)? {
            if is_told(bucket, self.place(chunk)) {
                continue;
            }
            let (pack, chunk) = self.of(chunk)?;
            found.push(Observations {
                bucket,
                pack,
                chunk,
                digest,
            });
        }
        Ok(found)
    }
}

impl Shared {
    fn checkpoint_prefix(&self) -> String {
        format!("{}/checkpoints/", self.domain)
    }

    /// Writes a checkpoint of the newest snapshot, if the records since the last one take more than half of its bytes; gives the bytes written.
    ///
    /// The first record counts as a checkpoint. So all checkpoints together stay below some three times the records, and what must be
    /// read to go on from one stays below one and a half. No snapshot of the domain may be written meanwhile.
    ///
    /// [`put_checkpoint_of_newest`](Self::put_checkpoint_of_newest) writes it in any case.
    pub(super) fn put_checkpoint_if_due(&self) -> Result<u64, StoreError> {
        let prefix = self.checkpoint_prefix();
        let mut sizes: BTreeMap<SnapshotId, u64> = self
            .inner
            .blobs
            .list(&prefix)?
            .iter()
            .filter_map(|blob| Some((blob.name.strip_prefix(&prefix)?.parse().ok()?, blob.bytes)))
            .collect();
        // A merged record without a base is as good as a checkpoint.
        let merged = self.merged_blobs(&mut Vec::new())?.into_iter();
        sizes.extend(
            merged
                .filter(|blob| blob.base.is_none())
                .map(|blob| (blob.snapshot, blob.bytes)),
        );
        let (newest, checkpoint) = {
            // One guard for all that is read: numbers of chunks mean something in one index only.
            let read = self.inner.index.read();
            let snapshots = index::snapshots(&read, self.domain)?;
            let Some(newest) = snapshots.last() else {
                return Ok(0);
            };
            if !is_due(&snapshots, &sizes) {
                return Ok(0);
            }
            (newest.id, self.gather(&read, &snapshots, newest)?)
        };
        let blob = checkpoint.seal(&self.keys, self.domain, newest)?;
        self.inner.blobs.put(&format!("{prefix}{newest}"), &blob)?;
        Ok(blob.as_bytes().len() as u64)
    }

    /// Writes a checkpoint of the newest snapshot, which has none. No snapshot of the domain may be written meanwhile.
    pub(super) fn put_checkpoint_of_newest(&self) -> Result<(), StoreError> {
        let (newest, checkpoint) = {
            let read = self.inner.index.read();
            let snapshots = index::snapshots(&read, self.domain)?;
            let Some(newest) = snapshots.last() else {
                return Ok(());
            };
            (newest.id, self.gather(&read, &snapshots, newest)?)
        };
        let blob = checkpoint.seal(&self.keys, self.domain, newest)?;
        let name = format!("{}{newest}", self.checkpoint_prefix());
        Ok(self.inner.blobs.put(&name, &blob)?)
    }

    /// The state as of the newest snapshot.
    fn gather(
        &self,
        read: &Connection,
        snapshots: &[SnapshotRow],
        newest: &SnapshotRow,
    ) -> Result<Checkpoint, StoreError> {
        let mut places = Places::new(read, self.domain)?;
        let mut types = Vec::new();
        for (type_code, space) in index::spaces(read, self.domain)? {
            types.push(gather_type(read, type_code, space, &mut places)?);
        }
        let before = snapshots
            .iter()
            .filter(|row| row.id != newest.id)
            .map(|row| (row.sequence, row.id));
        Ok(Checkpoint {
            before: before.collect(),
            changes: newest.changes,
            record_bytes: newest.record_bytes,
            state: Record {
                sequence: newest.sequence,
                parent: newest.parent,
                created_at: newest.created_at,
                as_of: newest.as_of,
                watermark: self
                    .keys
                    .open_for_index(WATERMARK_SEAL, &newest.watermark)?
                    .to_vec(),
                ids_first: 1,
                ids: self.gather_ids(read)?,
                packs: places.table,
                bytes_new: newest.bytes_new,
                coverage: newest.coverage.clone(),
                counts: newest.counts.clone(),
                types,
            },
        })
    }

    fn gather_ids(&self, read: &Connection) -> Result<Vec<NewId>, StoreError> {
        let mut found = Vec::new();
        index::names(read, self.domain, 1, usize::MAX, &mut |number, text| {
            found.push((number, text));
        })?;
        let mut ids = Vec::with_capacity(found.len());
        for (number, text) in found {
            let place = usize::try_from(number).unwrap_or(usize::MAX);
            while ids.len() + 1 < place {
                ids.push(NewId {
                    text: String::new(),
                    is_name: false,
                });
            }
            ids.push(match text {
                NameText::Clear(text) => NewId {
                    text,
                    is_name: false,
                },
                NameText::Sealed(sealed) => {
                    let text = self.keys.open_for_index(NAME_SEAL, &sealed)?;
                    NewId {
                        text: String::from_utf8_lossy(&text).into_owned(),
                        is_name: true,
                    }
                }
            });
        }
        Ok(ids)
    }

    /// The checkpoints of snapshots that the index does not know, by their sequence numbers; of those that do not open, the problem.
    pub(super) fn unseen_checkpoints(
        &self,
        problems: &mut Vec<StoreProblem>,
    ) -> Result<Vec<(u32, SnapshotId)>, StoreError> {
        let known = self.known_snapshots()?;
        let prefix = self.checkpoint_prefix();
        let mut found = Vec::new();
        for blob in self.inner.blobs.list(&prefix)? {
            let name = blob.name.strip_prefix(&prefix);
            let Some(snapshot) = name.and_then(|id| id.parse::<SnapshotId>().ok()) else {
                problems.push(StoreProblem::new(&blob.name, "it has no business here"));
                continue;
            };
            if known.contains(&snapshot) {
                continue;
            }
            // One at a time: each holds the state of a whole org.
            match self.read_checkpoint(snapshot) {
                Ok(checkpoint) => found.push((checkpoint.state.sequence, snapshot)),
                // Prune deletes those of removed snapshots.
                Err(StoreError::Blob(BlobError::NotFound { .. })) => {}
                Err(StoreError::Record { source, .. }) => {
                    problems.push(StoreProblem::new(&blob.name, chain(&source)));
                }
                Err(error) => return Err(error),
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    pub(super) fn read_checkpoint(&self, snapshot: SnapshotId) -> Result<Checkpoint, StoreError> {
        let name = format!("{}{snapshot}", self.checkpoint_prefix());
        let blob = self.inner.blobs.get(&name)?;
        Checkpoint::open(&self.keys, self.domain, snapshot, &blob).map_err(|source| {
            StoreError::Record {
                record: name,
                source,
            }
        })
    }

    /// Moves the index on to a checkpoint's snapshot, whatever lies between; gives what could not be read of it.
    ///
    /// A version that the index has with the same content stays open; others begin and end here.
    pub(super) fn read_in_checkpoint(
        &self,
        snapshot: SnapshotId,
        checkpoint: Checkpoint,
        reading: &mut ReadIn,
    ) -> Result<Vec<StoreProblem>, StoreError> {
        let mut problems = Vec::new();
        let mut state = checkpoint.state;
        self.add_ids(state.ids_first, &state.ids);
        let mut types = Vec::new();
        for delta in std::mem::take(&mut state.types) {
            let found = self.read_in_type(&delta, &state.packs, reading, &mut types)?;
            if !found.is_empty() {
                state.coverage.insert(delta.type_code, damaged());
            }
            if let Some(applied) = types.last_mut() {
                self.against_open(applied, found.is_empty())?;
            }
            problems.extend(found);
        }
        reading.all_of(self, &state.packs, &mut problems)?;
        let packs = reading.take_packs();
        let row = self.snapshot_row(
            snapshot,
            &state,
            checkpoint.record_bytes,
            checkpoint.changes,
        )?;
        self.apply(&row, state.ids_first, &state.ids, &packs, types)?;
        Ok(problems)
    }

    /// Turns the whole state of a type into what changes against the versions that are open in the index.
    ///
    /// What is open and not in the state has ended, unless the state could not be read `whole`.
    fn against_open(&self, applied: &mut AppliedType, whole: bool) -> Result<(), StoreError> {
        let read = self.inner.index.read();
        let Some(space) = index::space(&read, self.domain, applied.type_code)? else {
            return Ok(());
        };
        let put: HashMap<Key, i64> = applied
            .put
            .iter()
            .map(|put| (put.key, put.fingerprint))
            .collect();
        let related: HashSet<Key> = applied.related.iter().copied().collect();
        let lost: HashMap<Key, i64> = applied.lost.iter().copied().collect();
        let mut same = HashSet::new();
        index::open_versions(&read, space, &mut |version| {
            let key = version.key;
            let open = version.body.map(|(_, fingerprint)| fingerprint);
            let is_same = match open {
                Some(fingerprint) => put.get(&key).or_else(|| lost.get(&key)) == Some(&fingerprint),
                None => related.contains(&key),
            };
            if is_same {
                same.insert(key);
            } else if whole && !put.contains_key(&key) && !lost.contains_key(&key) {
                applied.removed.push(key);
            }
        })?;
        applied.put.retain(|put| !same.contains(&put.key));
        applied.lost.retain(|(key, _)| !same.contains(key));
        applied.related.retain(|key| !same.contains(key));
        Ok(())
    }
}

/// Whether the records since the last checkpoint take more than half of its bytes.
fn is_due(snapshots: &[SnapshotRow], sizes: &BTreeMap<SnapshotId, u64>) -> bool {
    let mut since = 0;
    for row in snapshots.iter().rev() {
        if let Some(bytes) = sizes.get(&row.id) {
            return since * 2 > *bytes;
        }
        if row.parent.is_none() {
            return since * 2 > row.record_bytes;
        }
        since += row.record_bytes;
    }
    true
}

fn gather_type(
    read: &Connection,
    type_code: u16,
    space: Space,
    places: &mut Places,
) -> Result<TypeDelta, StoreError> {
    let mut bodies = Vec::new();
    let mut related = Vec::new();
    index::open_versions(read, space, &mut |version| match version.body {
        Some((place, _)) => bodies.push(place),
        None => related.push(version.key),
    })?;
    Ok(TypeDelta {
        type_code,
        runs: runs_of(bodies, places)?,
        removed: Vec::new(),
        related,
        observations: places.observations(read, space, |_, _| false)?,
    })
}

/// Rows that lie next to each other as runs. Rows whose content is lost are left out.
pub(super) fn runs_of(
    mut bodies: Vec<index::Place>,
    places: &mut Places,
) -> Result<Vec<Run>, StoreError> {
    bodies.retain(|place| *place != index::Place::LOST);
    bodies.sort_unstable();
    let mut runs = Vec::new();
    let next_to = |a: &index::Place, b: &index::Place| {
        a.chunk() == b.chunk() && a.ordinal().checked_add(1) == Some(b.ordinal())
    };
    for run in bodies.chunk_by(next_to) {
        if let Some(first) = run.first() {
            let (pack, chunk) = places.of(first.chunk())?;
            runs.push(Run {
                pack,
                chunk,
                first: first.ordinal().into(),
                rows: run.len(),
            });
        }
    }
    Ok(runs)
}
