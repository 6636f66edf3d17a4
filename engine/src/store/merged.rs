//! Merges the records of removed snapshots into that of the next one that stays, and closes the gaps that they leave in the index.
//!
//! To the index, removed snapshots between two that stay are a gap: versions that were there only within it are dropped, and
//! what began or ended within it begins or ends with the later one. So after prune everything that can be read is as if
//! the removed snapshots had never been taken, and the index is the same as one that is rebuilt from the records that are left. An object's
//! `changed_at` is accordingly that of the first snapshot that is still there with it.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::StoreError;
use super::checkpoint::{Places, runs_of};
use super::domain::{Shared, chain};
use super::moves::{MoveMap, Resolved};
use super::reindex::StoreProblem;
use crate::blobs::BlobError;
use crate::chunk::Key;
use crate::codec::DecodeError;
use crate::id::{PackId, SnapshotId};
use crate::index::{self, SnapshotRow, Space, prune as sql};
use crate::record::{Merged, NewId, Observations, Record, RecordError, TypeDelta};

/// What stands for the base in the name of a merged record that needs none.
const WHOLE: &str = "first";

/// A merged record that is there.
#[derive(Debug, Clone)]
pub(super) struct MergedBlob {
    pub(super) name: String,
    pub(super) snapshot: SnapshotId,
    pub(super) number: u64,
    pub(super) base: Option<SnapshotId>,
    pub(super) bytes: u64,
}

impl MergedBlob {
    /// What tells of its snapshot by it.
    pub(super) fn served(&self) -> Served {
        Served {
            name: self.name.clone(),
            bytes: self.bytes,
            merged: Some(self.clone()),
        }
    }
}

/// A record, merged or not, that tells of a snapshot.
#[derive(Debug, Clone)]
pub(super) struct Served {
    pub(super) name: String,
    pub(super) bytes: u64,
    /// Set if it is merged.
    pub(super) merged: Option<MergedBlob>,
}

impl Shared {
    /// The merged records, snapshot by snapshot, the one that counts first.
    pub(super) fn merged_blobs(
        &self,
        problems: &mut Vec<StoreProblem>,
    ) -> Result<Vec<MergedBlob>, StoreError> {
        let prefix = format!("{}/merged/", self.domain);
        let mut found = Vec::new();
        for blob in self.inner.blobs.list(&prefix)? {
            let parsed = blob.name.strip_prefix(&prefix).and_then(|rest| {
                let (snapshot, rest) = rest.split_once('/')?;
                let (number, base) = rest.split_once('-')?;
                let base = match base {
                    WHOLE => None,
                    base => Some(base.parse().ok()?),
                };
                Some((snapshot.parse().ok()?, number.parse().ok()?, base))
            });
            match parsed {
                Some((snapshot, number, base)) => found.push(MergedBlob {
                    name: blob.name,
                    snapshot,
                    number,
                    base,
                    bytes: blob.bytes,
                }),
                None => problems.push(StoreProblem::new(&blob.name, "it has no business here")),
            }
        }
        found.sort_by_key(|blob| (blob.snapshot, std::cmp::Reverse(blob.number)));
        Ok(found)
    }

    pub(super) fn read_merged(&self, blob: &MergedBlob) -> Result<Merged, StoreError> {
        let damaged = |source| StoreError::Record {
            record: blob.name.clone(),
            source,
        };
        let bytes = self.inner.blobs.get(&blob.name)?;
        let merged =
            Merged::open(&self.keys, self.domain, blob.snapshot, &bytes).map_err(damaged)?;
        if merged.base == blob.base {
            Ok(merged)
        } else {
            let what = "a merged record whose name says otherwise what it needs";
            Err(damaged(RecordError::Decode(DecodeError::Broken { what })))
        }
    }

    /// Puts a merged record durably, in place of whatever tells of its snapshot so far; gives its name and bytes.
    pub(super) fn put_merged(
        &self,
        snapshot: SnapshotId,
        merged: &Merged,
    ) -> Result<(String, u64), StoreError> {
        let _numbering = self.inner.numbering();
        let last = self
            .merged_blobs(&mut Vec::new())?
            .into_iter()
            .find(|blob| blob.snapshot == snapshot);
        let number = last.map_or(1, |blob| blob.number + 1);
        let base = merged
            .base
            .map_or_else(|| WHOLE.to_owned(), |base| base.to_string());
        let name = format!("{}/merged/{snapshot}/{number}-{base}", self.domain);
        let blob = merged.seal(&self.keys, self.domain, snapshot)?;
        self.inner.blobs.put(&name, &blob)?;
        Ok((name, blob.as_bytes().len() as u64))
    }

    pub(super) fn read_served(
        &self,
        snapshot: SnapshotId,
        served: &Served,
    ) -> Result<(Option<SnapshotId>, Record), StoreError> {
        match &served.merged {
            Some(blob) => {
                let merged = self.read_merged(blob)?;
                Ok((merged.base, merged.record))
            }
            None => {
                let record = self.read_record(snapshot, &served.name)?;
                Ok((record.parent, record))
            }
        }
    }

    /// The snapshots, oldest first, and the sequence numbers of those that need what they have: those that are not removed, those that are being read,
    /// and the newest, after which the next one will be written.
    pub(super) fn anchors(&self) -> Result<(Vec<SnapshotRow>, BTreeSet<u32>), StoreError> {
        let snapshots = index::snapshots(&self.inner.index.read(), self.domain)?;
        // After the look whether they are removed: who begins to read looks the other way round.
        let read = self.inner.usage.snapshots_read();
        let newest = snapshots.last().map(|row| row.sequence);
        let anchors = snapshots
            .iter()
            .filter(|row| !row.removed || read.contains(&row.id) || Some(row.sequence) == newest)
            .map(|row| row.sequence)
            .collect();
        Ok((snapshots, anchors))
    }

    /// Closes the gaps that removed snapshots leave in the index; gives how many versions were dropped.
    pub(super) fn close_gaps(&self) -> Result<u64, StoreError> {
        let (snapshots, anchors) = self.anchors()?;
        let gaps = gaps(&snapshots, &anchors);
        if gaps.is_empty() {
            return Ok(0);
        }
        Ok(self.inner.index.transact(|transaction| {
            let mut dropped = 0;
            for gap in &gaps {
                dropped += sql::close_gap(transaction, self.domain, gap.after, gap.to)?;
            }
            Ok(dropped)
        })?)
    }

    /// Lets an index that is older than the merged records forget what these stand for.
    pub(super) fn forget_merged(&self, problems: &mut Vec<StoreProblem>) -> Result<(), StoreError> {
        let snapshots = index::timeline(&self.inner.index.read(), self.domain)?;
        let sequence = |id: SnapshotId| {
            snapshots
                .iter()
                .find(|moment| moment.id == id)
                .map(|moment| moment.sequence)
        };
        let mut seen = None;
        for blob in self.merged_blobs(problems)? {
            if seen.replace(blob.snapshot) == Some(blob.snapshot) {
                continue;
            }
            let after = blob.base.map_or(Some(0), sequence);
            let (Some(after), Some(to)) = (after, sequence(blob.snapshot)) else {
                continue;
            };
            let between = |sequence| sequence > after && sequence < to;
            // The name alone is not to be trusted.
            if !snapshots.iter().any(|moment| between(moment.sequence)) {
                continue;
            }
            match self.read_merged(&blob) {
                Ok(_) => self.inner.index.transact(|transaction| {
                    sql::close_gap(transaction, self.domain, after, to)?;
                    sql::forget_snapshots(transaction, self.domain, after, to)
                })?,
                // A later one took its place just now.
                Err(StoreError::Blob(BlobError::NotFound { .. })) => continue,
                Err(error @ StoreError::Record { .. }) => {
                    problems.push(StoreProblem::new(&blob.name, chain(&error)));
                    continue;
                }
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }

    /// What changed with a snapshot since `base`, from the index and from the records of all snapshots since, its own last.
    ///
    /// `None` if the content of something of it is lost: only the records that are there say of what.
    pub(super) fn merge(
        &self,
        read: &Connection,
        base: Option<&SnapshotRow>,
        target: &SnapshotRow,
        records: &[(SnapshotId, Served)],
        moves: &MoveMap,
    ) -> Result<Option<Merged>, StoreError> {
        let mut ids = Ids::default();
        let mut observed = BTreeMap::new();
        let mut last = None;
        for (snapshot, served) in records {
            let (_, mut record) = self.read_served(*snapshot, served)?;
            ids.add(record.ids_first, std::mem::take(&mut record.ids));
            for delta in std::mem::take(&mut record.types) {
                for found in delta.observations {
                    let pack = record.packs.get(found.pack).map(|(pack, _)| *pack);
                    observed.insert(
                        (delta.type_code, found.bucket),
                        (pack, found.chunk, found.digest),
                    );
                }
            }
            last = Some(record);
        }
        let mut record = last.ok_or_else(|| StoreError::Mismatch {
            what: "a snapshot without a record".to_owned(),
        })?;
        let mut places = Places::new(read, self.domain)?;
        let after = base.map_or(0, |row| row.sequence);
        for (type_code, space) in index::spaces(read, self.domain)? {
            let delta = changes_between(read, type_code, space, after, target, &mut places)?;
            let Some(mut delta) = delta else {
                return Ok(None);
            };
            let of_type = observed.range((type_code, 0)..=(type_code, u32::MAX));
            for ((_, bucket), (pack, chunk, digest)) in of_type {
                let Some(pack) = pack else { continue };
                // What a later snapshot observed stands in that one's record.
                if let Some((no, known)) = index::observation(read, space, *bucket)?
                    && known == *digest
                    && let Some(row) = index::chunk(read, no)?
                    && is_at(moves.resolve(*pack, *chunk, 0), row.pack, row.place)
                {
                    let (pack, chunk) = places.of(no)?;
                    delta.observations.push(Observations {
                        bucket: *bucket,
                        pack,
                        chunk,
                        digest: *digest,
                    });
                }
            }
            if !delta.is_empty() {
                record.types.push(delta);
            }
        }
        record.packs = places.table;
        record.ids_first = ids.first.unwrap_or(record.ids_first);
        record.ids = ids.ids;
        Ok(Some(Merged {
            base: base.map(|row| row.id),
            changes: target.changes,
            record_bytes: target.record_bytes,
            record,
        }))
    }
}

fn is_at(found: Resolved, pack: PackId, chunk: usize) -> bool {
    matches!(found, Resolved::At(at, place, _) if (at, place) == (pack, chunk))
}

/// The ids of several records, one after another.
#[derive(Debug, Default)]
struct Ids {
    first: Option<u32>,
    ids: Vec<NewId>,
}

impl Ids {
    fn add(&mut self, first: u32, ids: Vec<NewId>) {
        if ids.is_empty() {
            return;
        }
        let start = *self.first.get_or_insert(first);
        let place = usize::try_from(first.saturating_sub(start)).unwrap_or(usize::MAX);
        while self.ids.len() < place {
            self.ids.push(NewId {
                text: String::new(),
                is_name: false,
            });
        }
        let known = self.ids.len() - place;
        self.ids.extend(ids.into_iter().skip(known));
    }
}

/// Removed snapshots between two that stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    /// The sequence number of the one before, or 0.
    pub(super) after: u32,
    /// The sequence number of the one behind.
    pub(super) to: u32,
}

/// The gaps between anchors in which there are snapshots.
pub(super) fn gaps(snapshots: &[SnapshotRow], anchors: &BTreeSet<u32>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let (mut after, mut any) = (0, false);
    for row in snapshots {
        if !anchors.contains(&row.sequence) {
            any = true;
            continue;
        }
        if any {
            gaps.push(Gap {
                after,
                to: row.sequence,
            });
        }
        (after, any) = (row.sequence, false);
    }
    gaps
}

/// How a type differs between two snapshots, by the versions of the index; `None` if content that is new since is lost.
fn changes_between(
    read: &Connection,
    type_code: u16,
    space: Space,
    after: u32,
    target: &SnapshotRow,
    places: &mut Places,
) -> Result<Option<TypeDelta>, StoreError> {
    let to = target.sequence;
    let mut bodies = Vec::new();
    let mut put = BTreeSet::new();
    let mut related = BTreeSet::new();
    let mut ended: BTreeSet<Key> = BTreeSet::new();
    let mut see = |version: index::Version| {
        let there = version.last.is_none_or(|last| last > to);
        if version.first > after && version.first <= to && there {
            match version.body {
                Some((place, _)) => {
                    if put.insert(version.key) {
                        bodies.push(place);
                    }
                }
                None => {
                    related.insert(version.key);
                }
            }
        } else if version.first <= after && !there {
            ended.insert(version.key);
        }
    };
    if after == 0 {
        sql::each_version(read, space, &mut see)?;
    } else {
        for version in index::versions_between(read, space, after, to)? {
            see(version);
        }
    }
    if bodies.contains(&index::Place::LOST) {
        return Ok(None);
    }
    ended.retain(|key| !put.contains(key));
    Ok(Some(TypeDelta {
        type_code,
        runs: runs_of(bodies, places)?,
        removed: ended.into_iter().collect::<Vec<Key>>(),
        related: related.into_iter().collect(),
        observations: Vec::new(),
    }))
}
