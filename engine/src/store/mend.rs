//! Mends one domain's blobs: writes anew what the index still has, and moves aside what is damaged.
//!
//! A damaged blob is copied below `DOMAIN/damaged/` before it is deleted, and nothing ever deletes the copy. A crash in between leaves the
//! blob missing, which the next repair mends in the same way.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::census::Census;
use super::checkpoint::{Places, runs_of};
use super::domain::{NAME_SEAL, WATERMARK_SEAL, damaged};
use super::{DomainStore, StoreError};
use crate::blobs::{BlobError, SealedBlob};
use crate::chunk::Key;
use crate::id::{PackId, SnapshotId};
use crate::index::{self, NameText, SnapshotRow, Space, mend};
use crate::keys::KeyProvider;
use crate::record::{Merged, NewId, Record, TypeDelta};

/// The kinds of blobs that tell of a snapshot.
const TELLING: [&str; 3] = ["records", "merged", "checkpoints"];

/// What the intact records of a domain say that the index does not keep.
#[derive(Default)]
struct Told {
    /// By sequence number: the first of the new ids, and the first that is not among them.
    ids: BTreeMap<u32, (u32, u32)>,
    /// The last word on each bucket's observations: type, bucket, pack, chunk.
    observations: HashMap<(u16, u32), (PackId, usize)>,
}

impl DomainStore {
    /// Copies a blob below `DOMAIN/damaged/`; `None` if there is no such blob. The blob itself stays.
    pub(crate) fn copy_aside(&self, name: &str) -> Result<Option<String>, StoreError> {
        let shared = &self.shared;
        let bytes = match shared.inner.blobs.get(name) {
            Ok(bytes) => bytes,
            Err(BlobError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let domain = format!("{}/", shared.domain);
        let rest = name.strip_prefix(&domain).unwrap_or(name);
        let prefix = format!("{domain}damaged/{rest}/");
        let copies = shared.inner.blobs.list(&prefix)?;
        for copy in &copies {
            if shared.inner.blobs.get(&copy.name)? == bytes {
                return Ok(Some(copy.name.clone()));
            }
        }
        let numbers = copies
            .iter()
            .filter_map(|copy| copy.name.strip_prefix(&prefix)?.parse::<u64>().ok());
        let copy = format!("{prefix}{}", numbers.max().unwrap_or(0) + 1);
        shared.inner.blobs.put(&copy, &SealedBlob::new(bytes))?;
        Ok(Some(copy))
    }

    /// Moves a blob below `DOMAIN/damaged/`; `None` if there is no such blob.
    pub(crate) fn set_aside(&self, name: &str) -> Result<Option<String>, StoreError> {
        let copy = self.copy_aside(name)?;
        if copy.is_some() {
            self.shared.inner.blobs.delete(name)?;
        }
        Ok(copy)
    }

    /// Gives up those of `snapshots` of which nothing is there: they count as removed. Gives them.
    pub(crate) fn give_up_missing(
        &self,
        snapshots: &BTreeSet<SnapshotId>,
    ) -> Result<Vec<SnapshotId>, StoreError> {
        let shared = &self.shared;
        let known = shared.known_snapshots()?;
        let (markers, _) = shared.markers()?;
        let mut told = BTreeSet::new();
        for kind in TELLING {
            let prefix = format!("{}/{kind}/", shared.domain);
            let blobs = shared.inner.blobs.list(&prefix)?;
            let ids = blobs.iter().filter_map(|blob| {
                let rest = blob.name.strip_prefix(&prefix)?;
                rest.split('/').next()?.parse::<SnapshotId>().ok()
            });
            told.extend(ids);
        }
        let mut lost = Vec::new();
        for snapshot in snapshots.difference(&known) {
            let removed = markers.get(snapshot).is_some_and(|(_, removed)| *removed);
            if !removed && !told.contains(snapshot) {
                self.put_marker(*snapshot, false, true)?;
                lost.push(*snapshot);
            }
        }
        Ok(lost)
    }

    /// Copies damaged packs aside, as far as they can be read; gives the names of the packs and of their copies.
    pub(crate) fn copy_packs_aside(
        &self,
        packs: &BTreeSet<PackId>,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let shared = &self.shared;
        let mut copied = Vec::new();
        for pack in packs {
            let name = shared.pack_name(*pack);
            match self.copy_aside(&name) {
                Ok(Some(copy)) => copied.push((name, copy)),
                Ok(None) => {}
                // It cannot be read at all, and stays where it is.
                Err(StoreError::Blob(error)) if shared.inner.blobs.get(&name).is_err() => {
                    tracing::warn!(%pack, %error, "A damaged pack could not be copied");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(copied)
    }

    /// Whether types of the newest snapshot are said to be incomplete because something of them is damaged in the store.
    pub(crate) fn newest_is_damaged(&self) -> Result<bool, StoreError> {
        let newest = index::newest_snapshot(&self.shared.inner.index.read(), self.shared.domain)?;
        Ok(newest.is_some_and(|row| row.coverage.values().any(|found| *found == damaged())))
    }

    /// Reads in what the index has not seen, then gives up the snapshots that still cannot be read in, because their records, or records
    /// before them, are damaged: whatever tells of them is moved aside, and they count as removed. Gives them, and where it was moved to.
    pub(crate) fn give_up_unreadable(&self) -> Result<(Vec<SnapshotId>, Vec<String>), StoreError> {
        self.catch_up()?;
        let shared = &self.shared;
        let known = shared.known_snapshots()?;
        let (markers, _) = shared.markers()?;
        let removed = |id: &SnapshotId| markers.get(id).is_some_and(|(_, removed)| *removed);
        let (mut lost, mut aside) = (BTreeSet::new(), Vec::new());
        for kind in TELLING {
            let prefix = format!("{}/{kind}/", shared.domain);
            for blob in shared.inner.blobs.list(&prefix)? {
                let id = blob.name.strip_prefix(&prefix);
                let id = id.and_then(|rest| rest.split('/').next()?.parse::<SnapshotId>().ok());
                let Some(snapshot) = id.filter(|id| !known.contains(id) && !removed(id)) else {
                    continue;
                };
                // Noted first: a crash must not leave it as one that is merely missing.
                if lost.insert(snapshot) {
                    self.put_marker(snapshot, false, true)?;
                }
                aside.extend(self.set_aside(&blob.name)?);
            }
        }
        Ok((lost.into_iter().collect(), aside))
    }

    /// Writes all records anew by where rows lie now, so that a list of moves that is damaged is needed no more; moves that one aside. Gives what was
    /// written, and where the damaged list is.
    pub(crate) fn do_without_moves(
        &self,
        name: &str,
    ) -> Result<(Vec<String>, Vec<String>), StoreError> {
        let shared = &self.shared;
        let all = shared.known_snapshots()?;
        let (mut written, mut aside) = self.rewrite_records(&all)?;
        let checkpoints = self.checkpoints()?.into_iter().collect();
        let (checkpoints, old) = self.rewrite_checkpoints(&checkpoints)?;
        written.extend(checkpoints);
        aside.extend(old);
        aside.extend(self.set_aside(name)?);
        Ok((written, aside))
    }

    /// Writes the records anew that name a pack of which the index knows nothing, by where rows lie now: the list that says where those of the pack went is
    /// gone, or they were lost before the index was rebuilt. Only then may the pack be given up. Gives what was written, and where the old ones are.
    pub(crate) fn do_without_unknown(
        &self,
        packs: &BTreeSet<PackId>,
    ) -> Result<(Vec<String>, Vec<String>), StoreError> {
        let shared = &self.shared;
        let mut unknown = BTreeSet::new();
        for pack in packs {
            if index::chunks_of(&shared.inner.index.read(), *pack)?.is_empty() {
                unknown.insert(*pack);
            }
        }
        if unknown.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let moves = shared.moves(&mut Vec::new())?;
        let names_one = |record: &Record| {
            let mut packs = record.packs.iter();
            packs.any(|(id, _)| unknown.contains(id))
                || !moves.packs_of(record).is_disjoint(&unknown)
        };
        let mut records = BTreeSet::new();
        for snapshot in shared.known_snapshots()? {
            if self
                .intact_record(snapshot)?
                .is_some_and(|record| names_one(&record))
            {
                records.insert(snapshot);
            }
        }
        let mut checkpoints = BTreeSet::new();
        for snapshot in self.checkpoints()? {
            match shared.read_checkpoint(snapshot) {
                Ok(checkpoint) if names_one(&checkpoint.state) => {
                    checkpoints.insert(snapshot);
                }
                Ok(_) | Err(StoreError::Record { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let (mut written, mut aside) = self.rewrite_records(&records)?;
        let (checkpoints, old) = self.rewrite_checkpoints(&checkpoints)?;
        written.extend(checkpoints);
        aside.extend(old);
        Ok((written, aside))
    }

    /// The snapshots that have a checkpoint.
    fn checkpoints(&self) -> Result<Vec<SnapshotId>, StoreError> {
        let prefix = format!("{}/checkpoints/", self.shared.domain);
        let blobs = self.shared.inner.blobs.list(&prefix)?.into_iter();
        Ok(blobs
            .filter_map(|blob| blob.name.strip_prefix(&prefix)?.parse().ok())
            .collect())
    }

    /// Writes the records of snapshots anew from what the index has of them; the old ones are moved aside first. Gives what was written, and where the old ones are.
    ///
    /// No snapshot of the domain may be written meanwhile.
    pub(crate) fn rewrite_records(
        &self,
        snapshots: &BTreeSet<SnapshotId>,
    ) -> Result<(Vec<String>, Vec<String>), StoreError> {
        let shared = &self.shared;
        let _recording = shared.inner.recording();
        let rows = index::snapshots(&shared.inner.index.read(), shared.domain)?;
        let all: BTreeSet<SnapshotId> = rows.iter().map(|row| row.id).collect();
        // Prune drops from the index what only removed snapshots had, while their records still tell of it: a record that is written by what the
        // index has follows only others that are.
        let some_removed = rows.iter().any(|row| row.removed);
        let snapshots = if !snapshots.is_empty() && some_removed && self.has_all_told(&rows)? {
            &all
        } else {
            snapshots
        };
        let mut told = self.told(&rows, snapshots)?;
        let (mut written, mut aside) = (Vec::new(), Vec::new());
        // What no intact record says of observations, the newest of the others did.
        let newest = rows.iter().rev().find(|row| snapshots.contains(&row.id));
        let newest = newest.map(|row| row.id);
        // Oldest first: each takes the ids that none before it names.
        for (place, row) in rows.iter().enumerate() {
            if !snapshots.contains(&row.id) {
                continue;
            }
            let before = place.checked_sub(1).and_then(|place| rows.get(place));
            let mut record = self.record_of(before, row, &told)?;
            if newest != Some(row.id) {
                for delta in &mut record.types {
                    delta.observations.clear();
                }
                record.types.retain(|delta| !delta.is_empty());
            }
            let end = record.ids_first + u32::try_from(record.ids.len()).unwrap_or(u32::MAX);
            told.ids.insert(row.sequence, (record.ids_first, end));
            let damaged: Vec<String> = shared
                .merged_blobs(&mut Vec::new())?
                .into_iter()
                .filter(|blob| blob.snapshot == row.id)
                .map(|blob| blob.name)
                .collect();
            let base = before.map(|row| row.id);
            if damaged.is_empty() && base == row.parent {
                let (name, old) = self.put_record(row, &record)?;
                written.push(name);
                aside.extend(old);
                continue;
            }
            // The snapshots between were pruned, and its own record with them.
            let merged = Merged {
                base,
                changes: row.changes,
                record_bytes: row.record_bytes,
                record,
            };
            let (name, _) = shared.put_merged(row.id, &merged)?;
            for damaged in damaged {
                aside.extend(self.set_aside(&damaged)?);
            }
            aside.extend(self.set_aside(&format!("{}/records/{}", shared.domain, row.id))?);
            written.push(name);
        }
        Ok((written, aside))
    }

    /// Whether the index has as many objects of each snapshot as it and the intact records say: one that was rebuilt beside damaged packs has not.
    fn has_all_told(&self, rows: &[SnapshotRow]) -> Result<bool, StoreError> {
        let shared = &self.shared;
        let (_, anchors) = shared.anchors()?;
        let census = Census::take(&shared.inner.index.read(), shared.domain, &anchors)?;
        for row in rows.iter().filter(|row| !row.removed) {
            let record = self.intact_record(row.id)?;
            let differs = record.is_some_and(|record| record.counts != row.counts);
            if differs || census.corrected(row).is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Puts a snapshot's record in place of the one that is there; gives its name, and where the old one is.
    fn put_record(
        &self,
        row: &SnapshotRow,
        record: &Record,
    ) -> Result<(String, Option<String>), StoreError> {
        let shared = &self.shared;
        let blob = record.seal(&shared.keys, shared.domain, row.id)?;
        let name = format!("{}/records/{}", shared.domain, row.id);
        let aside = self.set_aside(&name)?;
        shared.inner.blobs.put(&name, &blob)?;
        let bytes = blob.as_bytes().len() as u64;
        shared
            .inner
            .index
            .transact(|transaction| mend::set_record_bytes(transaction, row.id, bytes))?;
        Ok((name, aside))
    }

    /// The snapshots whose records say otherwise than the index how completely types are there.
    pub(crate) fn stale_records(&self) -> Result<BTreeSet<SnapshotId>, StoreError> {
        let rows = index::snapshots(&self.shared.inner.index.read(), self.shared.domain)?;
        let mut stale = BTreeSet::new();
        for row in &rows {
            if let Some(record) = self.intact_record(row.id)?
                && record.coverage != row.coverage
            {
                stale.insert(row.id);
            }
        }
        Ok(stale)
    }

    /// What tells of a snapshot, if it opens.
    pub(super) fn intact_record(&self, snapshot: SnapshotId) -> Result<Option<Record>, StoreError> {
        let shared = &self.shared;
        let merged = shared.merged_blobs(&mut Vec::new())?;
        let found = match merged.iter().find(|blob| blob.snapshot == snapshot) {
            Some(blob) => shared.read_merged(blob).map(|merged| merged.record),
            None => {
                let name = format!("{}/records/{snapshot}", shared.domain);
                shared.read_record(snapshot, &name)
            }
        };
        match found {
            Ok(record) => Ok(Some(record)),
            Err(StoreError::Record { .. } | StoreError::Blob(BlobError::NotFound { .. })) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the intact records.
    fn told(
        &self,
        rows: &[SnapshotRow],
        damaged: &BTreeSet<SnapshotId>,
    ) -> Result<Told, StoreError> {
        let mut told = Told::default();
        for row in rows.iter().filter(|row| !damaged.contains(&row.id)) {
            let Some(record) = self.intact_record(row.id)? else {
                continue;
            };
            let count = u32::try_from(record.ids.len()).unwrap_or(u32::MAX);
            let end = record.ids_first.saturating_add(count);
            told.ids.insert(row.sequence, (record.ids_first, end));
            for delta in &record.types {
                for found in &delta.observations {
                    if let Some((pack, _)) = record.packs.get(found.pack) {
                        let place = (*pack, found.chunk);
                        let bucket = (delta.type_code, found.bucket);
                        told.observations.insert(bucket, place);
                    }
                }
            }
        }
        Ok(told)
    }

    /// What changed with a snapshot since the one before it, from what the index has of it.
    fn record_of(
        &self,
        since: Option<&SnapshotRow>,
        row: &SnapshotRow,
        told: &Told,
    ) -> Result<Record, StoreError> {
        let shared = &self.shared;
        let read = shared.inner.index.read();
        let before = told.ids.range(..row.sequence).next_back();
        let ids_first = before.map_or(1, |(_, (_, end))| *end);
        let after = told.ids.range(row.sequence + 1..).next();
        let ids_end = after.map(|(_, (first, _))| *first);
        let mut places = Places::new(&read, shared.domain)?;
        let mut types = Vec::new();
        for (type_code, space) in index::spaces(&read, shared.domain)? {
            let delta = delta_of(&read, type_code, space, (since, row), &mut places, told)?;
            if !delta.is_empty() {
                types.push(delta);
            }
        }
        let mut ids = Vec::new();
        let mut failed = None;
        index::names(
            &read,
            shared.domain,
            ids_first,
            usize::MAX,
            &mut |number, text| {
                if ids_end.is_some_and(|end| number >= end) {
                    return;
                }
                let place = usize::try_from(number - ids_first).unwrap_or(usize::MAX);
                while ids.len() < place {
                    ids.push(NewId {
                        text: String::new(),
                        is_name: false,
                    });
                }
                match text {
                    NameText::Clear(text) => ids.push(NewId {
                        text,
                        is_name: false,
                    }),
                    NameText::Sealed(sealed) => {
                        match shared.keys.open_for_index(NAME_SEAL, &sealed) {
                            Ok(text) => ids.push(NewId {
                                text: String::from_utf8_lossy(&text).into_owned(),
                                is_name: true,
                            }),
                            Err(error) => failed = Some(error),
                        }
                    }
                }
            },
        )?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        Ok(Record {
            sequence: row.sequence,
            parent: row.parent,
            created_at: row.created_at,
            as_of: row.as_of,
            watermark: shared
                .keys
                .open_for_index(WATERMARK_SEAL, &row.watermark)?
                .to_vec(),
            ids_first,
            ids,
            packs: places.table,
            bytes_new: row.bytes_new,
            coverage: row.coverage.clone(),
            counts: row.counts.clone(),
            types,
        })
    }

    /// Moves damaged checkpoints aside, and writes one of the newest snapshot where one is due; gives what was written, and where the damaged ones are.
    ///
    /// The records that are there make up for older ones.
    pub(crate) fn rewrite_checkpoints(
        &self,
        snapshots: &BTreeSet<SnapshotId>,
    ) -> Result<(Vec<String>, Vec<String>), StoreError> {
        let shared = &self.shared;
        let newest = index::newest_snapshot(&shared.inner.index.read(), shared.domain)?;
        let (mut written, mut aside) = (Vec::new(), Vec::new());
        for snapshot in snapshots {
            let name = format!("{}/checkpoints/{snapshot}", shared.domain);
            aside.extend(self.set_aside(&name)?);
            if newest.as_ref().is_some_and(|row| row.id == *snapshot) {
                shared.put_checkpoint_of_newest()?;
                written.push(name);
            }
        }
        shared.put_checkpoint_if_due()?;
        Ok((written, aside))
    }

    /// Writes a snapshot's marker anew as the index has it; the damaged one is copied aside first. `None`: the index does not know the
    /// snapshot, and the marker was only moved aside.
    pub(crate) fn rewrite_marker(
        &self,
        snapshot: SnapshotId,
        name: &str,
    ) -> Result<Option<(bool, bool)>, StoreError> {
        let shared = &self.shared;
        let row = index::snapshot(&shared.inner.index.read(), snapshot)?;
        // A name that ends so is that of all its markers: there is none.
        let is_missing = name.ends_with('/');
        let Some(row) = row else {
            if !is_missing {
                self.set_aside(name)?;
            }
            return Ok(None);
        };
        if !is_missing {
            self.copy_aside(name)?;
        }
        self.put_marker(snapshot, row.pinned, row.removed)?;
        Ok(Some((row.pinned, row.removed)))
    }

    /// Puts the keys anew that the domain was opened with; what stood there is copied aside first.
    ///
    /// # Errors
    ///
    /// When the provider or the storage fails.
    pub(crate) fn rewrite_keys(&self, provider: &dyn KeyProvider) -> Result<(), StoreError> {
        let shared = &self.shared;
        let _keying = shared.inner.keying();
        let prefix = format!("{}/keys/", shared.domain);
        if let Some((name, _)) = shared.inner.newest_numbered_named(&prefix)? {
            self.copy_aside(&name)?;
        }
        let wrapped = shared.keys.wrap(shared.domain, provider)?;
        shared
            .inner
            .put_numbered(&prefix, SealedBlob::from_sealed(wrapped)?)
    }
}

/// What a snapshot changed of a type, by the versions that begin and end with it.
fn delta_of(
    read: &rusqlite::Connection,
    type_code: u16,
    space: Space,
    (since, row): (Option<&SnapshotRow>, &SnapshotRow),
    places: &mut Places,
    told: &Told,
) -> Result<TypeDelta, StoreError> {
    let begun = match since {
        Some(_) => mend::versions_beginning(read, space, row.sequence)?,
        None => index::versions_at(read, space, row.sequence, None, usize::MAX)?,
    };
    let ended = match since {
        Some(_) => mend::versions_ending(read, space, row.sequence)?,
        None => Vec::new(),
    };
    // Content that is put ends what was there before; a relation that is there again has to be said to have gone.
    let with_body = begun.iter().filter(|version| version.body.is_some());
    let again: BTreeSet<Key> = with_body.map(|version| version.key).collect();
    let removed = ended
        .iter()
        .map(|version| version.key)
        .filter(|key| !again.contains(key));
    let related = begun
        .iter()
        .filter(|version| version.body.is_none())
        .map(|version| version.key);
    let bodies = begun
        .iter()
        .filter_map(|version| version.body.map(|(place, _)| place));
    let is_told = |bucket: u32, place: Option<(PackId, usize)>| {
        place.is_some() && told.observations.get(&(type_code, bucket)).copied() == place
    };
    Ok(TypeDelta {
        type_code,
        removed: removed.collect(),
        related: related.collect(),
        runs: runs_of(bodies.collect(), places)?,
        observations: places.observations(read, space, is_told)?,
    })
}
