//! Follows rows that were moved to other packs, and writes down what was moved.
//!
//! `DOMAIN/moves/N` are read in the order of their numbers; each stays until no record, checkpoint or later blob names a pack
//! of which it tells. Whoever reads a record or a checkpoint asks the [`MoveMap`] where the rows lie; the index is made to follow as soon as it is opened,
//! so that an index from before the moves is as good as one from after them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};

use super::domain::{Shared, chain};
use super::reindex::StoreProblem;
use super::{StoreError, number_of, usage::Reading};
use crate::blobs::BlobError;
use crate::chunk::Key;
use crate::id::PackId;
use crate::index::prune::{self as sql, Followed, Target};
use crate::index::{self, IndexError, PackRow};
use crate::record::{LostRow, MovedPack, MovedRun, Moves, Record};

/// More moves of one row than this are a circle.
const STEPS_MAX: usize = 10_000;

/// Where a row lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// In a pack: the chunk by its place in it, and the row.
    At(PackId, usize, usize),
    /// Nowhere, on purpose: no snapshot that is still there has it.
    Dropped,
    /// Nowhere: its content is lost. What is known of it is whose it was, and its fingerprint.
    Lost(Key, i64),
}

/// All moves of a domain.
#[derive(Debug, Default)]
pub(crate) struct MoveMap {
    packs: HashMap<PackId, Old>,
    /// The blobs it was read from: number, the packs of which it tells, and those rows were moved to.
    pub(crate) blobs: BTreeMap<u64, (Vec<PackId>, Vec<PackId>)>,
}

#[derive(Debug, Default)]
struct Old {
    retired: bool,
    /// In order of chunk and ordinal.
    runs: Vec<MovedRun>,
    lost: Vec<LostRow>,
}

impl MoveMap {
    fn add(&mut self, number: u64, moves: Moves) {
        let targets = moves.targets();
        let old = moves.packs.iter().map(|pack| pack.pack).collect();
        self.blobs.insert(number, (old, targets));
        for pack in moves.packs {
            let known = self.packs.entry(pack.pack).or_default();
            known.retired |= pack.retired;
            known.runs.extend(pack.runs);
            known.runs.sort_by_key(|run| (run.chunk, run.first));
            known.lost.extend(pack.lost);
        }
    }

    /// Whether nothing of a pack is needed any more.
    pub(crate) fn is_retired(&self, pack: PackId) -> bool {
        self.packs.get(&pack).is_some_and(|old| old.retired)
    }

    /// Where a row lies that a record names.
    pub(crate) fn resolve(&self, pack: PackId, chunk: usize, ordinal: usize) -> Resolved {
        self.resolve_run(pack, chunk, ordinal, 1)
            .first()
            .map_or(Resolved::Dropped, |(found, _)| *found)
    }

    /// Where rows of a chunk lie that a record names: runs of so many rows, in their order.
    pub(crate) fn resolve_run(
        &self,
        pack: PackId,
        chunk: usize,
        first: usize,
        rows: usize,
    ) -> Vec<(Resolved, usize)> {
        let mut found = Vec::new();
        self.follow(pack, chunk, first, rows, 0, &mut found);
        found
    }

    fn follow(
        &self,
        pack: PackId,
        chunk: usize,
        first: usize,
        rows: usize,
        steps: usize,
        found: &mut Vec<(Resolved, usize)>,
    ) {
        let Some(old) = self.packs.get(&pack).filter(|_| steps < STEPS_MAX) else {
            found.push((Resolved::At(pack, chunk, first), rows));
            return;
        };
        let end = first.saturating_add(rows);
        let mut at = first;
        let start = old
            .runs
            .partition_point(|run| (run.chunk, run.first + run.rows) <= (chunk, at));
        let mut runs = old.runs.get(start..).unwrap_or_default().iter();
        while at < end {
            let next = runs
                .next()
                .filter(|run| run.chunk == chunk && run.first < end);
            let until = next.map_or(end, |run| run.first.max(at));
            old.stay(pack, chunk, at, until, found);
            at = until;
            let Some(run) = next else { break };
            let upto = end.min(run.first + run.rows);
            if at < upto {
                let to_first = run.to_first + (at - run.first);
                self.follow(run.to, run.to_chunk, to_first, upto - at, steps + 1, found);
                at = upto;
            }
        }
    }

    /// The list by which rows are moved to a pack, if the index still has one of the packs where they were before: it has not followed yet.
    pub(super) fn leads_to(&self, pack: PackId, indexed: &BTreeMap<PackId, u64>) -> Option<u64> {
        let mut lists = self.blobs.iter();
        let list = lists.find(|(_, (old, targets))| {
            targets.contains(&pack) && old.iter().any(|old| indexed.contains_key(old))
        });
        list.map(|(number, _)| *number)
    }

    /// The packs in which what a record names lies now.
    pub(super) fn packs_of(&self, record: &Record) -> BTreeSet<PackId> {
        let mut packs = BTreeSet::new();
        for delta in &record.types {
            let runs = delta.runs.iter();
            let runs = runs.map(|run| (run.pack, run.chunk, run.first, run.rows));
            let observed = delta.observations.iter();
            let observed = observed.map(|found| (found.pack, found.chunk, 0, 1));
            for (pack, chunk, first, rows) in runs.chain(observed) {
                let Some((pack, _)) = record.packs.get(pack) else {
                    continue;
                };
                let lie = self.resolve_run(*pack, chunk, first, rows);
                packs.extend(lie.iter().filter_map(|(found, _)| match found {
                    Resolved::At(pack, ..) => Some(*pack),
                    Resolved::Dropped | Resolved::Lost(..) => None,
                }));
            }
        }
        packs
    }

    /// Where a row of the index is to go.
    pub(super) fn target(&self, pack: PackId, chunk: usize, ordinal: u16) -> Target {
        match self.resolve(pack, chunk, ordinal.into()) {
            Resolved::At(found, ..) if found == pack => Target::Stay,
            Resolved::At(found, chunk, ordinal) => u16::try_from(ordinal)
                .map_or(Target::Dropped, |ordinal| Target::To(found, chunk, ordinal)),
            Resolved::Dropped => Target::Dropped,
            Resolved::Lost(..) => Target::Lost,
        }
    }
}

impl Old {
    /// What became of rows that no run names.
    fn stay(
        &self,
        pack: PackId,
        chunk: usize,
        from: usize,
        until: usize,
        found: &mut Vec<(Resolved, usize)>,
    ) {
        if from >= until {
            return;
        }
        if self.lost.is_empty() {
            let what = if self.retired {
                Resolved::Dropped
            } else {
                Resolved::At(pack, chunk, from)
            };
            return found.push((what, until - from));
        }
        for ordinal in from..until {
            let lost = self
                .lost
                .iter()
                .find(|row| (row.chunk, row.ordinal) == (chunk, ordinal));
            let what = match lost {
                Some(row) => Resolved::Lost(row.key, row.fingerprint),
                None if self.retired => Resolved::Dropped,
                None => Resolved::At(pack, chunk, ordinal),
            };
            found.push((what, 1));
        }
    }
}

/// Collects moves row by row, in any order.
#[derive(Debug, Default)]
pub(crate) struct MovesBuilder {
    retired: BTreeSet<PackId>,
    runs: BTreeMap<PackId, Vec<MovedRun>>,
}

impl MovesBuilder {
    /// Nothing of the pack is needed but what is moved.
    pub(crate) fn retire(&mut self, pack: PackId) {
        self.retired.insert(pack);
    }

    /// Rows lie elsewhere now: pack, chunk and first ordinal, before and now. A chunk of observations is moved as a whole.
    pub(crate) fn moved(
        &mut self,
        from: (PackId, usize, usize),
        to: (PackId, usize, usize),
        rows: usize,
    ) {
        let runs = self.runs.entry(from.0).or_default();
        match runs.last_mut() {
            Some(run)
                if (run.chunk, run.first + run.rows) == (from.1, from.2)
                    && (run.to, run.to_chunk, run.to_first + run.rows) == to =>
            {
                run.rows += rows;
            }
            _ => runs.push(MovedRun {
                chunk: from.1,
                first: from.2,
                rows,
                to: to.0,
                to_chunk: to.1,
                to_first: to.2,
            }),
        }
    }

    pub(crate) fn finish(self) -> Moves {
        let mut packs: BTreeMap<PackId, MovedPack> = BTreeMap::new();
        let of = |pack: PackId| MovedPack {
            pack,
            retired: false,
            runs: Vec::new(),
            lost: Vec::new(),
        };
        for pack in self.retired {
            packs.entry(pack).or_insert_with(|| of(pack)).retired = true;
        }
        for (pack, mut runs) in self.runs {
            runs.sort_by_key(|run| (run.chunk, run.first));
            packs.entry(pack).or_insert_with(|| of(pack)).runs = runs;
        }
        Moves {
            packs: packs.into_values().collect(),
        }
    }
}

impl Shared {
    pub(super) fn moves_prefix(&self) -> String {
        format!("{}/moves/", self.domain)
    }

    /// Puts moves durably, under the next number; gives the blob's bytes.
    ///
    /// The new packs must be durable. Nothing may be deleted and no row of the index be changed before this returns.
    pub(crate) fn put_moves(&self, moves: &Moves) -> Result<u64, StoreError> {
        let prefix = self.moves_prefix();
        let _numbering = self.inner.numbering();
        let last = self.inner.numbered(&prefix)?.pop();
        let number = last.map_or(1, |(number, _)| number + 1);
        let blob = moves.seal(&self.keys, self.domain, number)?;
        self.inner.blobs.put(&format!("{prefix}{number}"), &blob)?;
        Ok(blob.as_bytes().len() as u64)
    }

    /// All moves, and the problem with each blob of them that cannot be read.
    pub(crate) fn moves(
        &self,
        problems: &mut Vec<StoreProblem>,
    ) -> Result<Arc<MoveMap>, StoreError> {
        let prefix = self.moves_prefix();
        let blobs = self.inner.blobs.list(&prefix)?;
        let mut numbers = BTreeSet::new();
        for blob in &blobs {
            match blob.name.strip_prefix(&prefix).and_then(number_of) {
                Some(number) => {
                    numbers.insert(number);
                }
                None => problems.push(StoreProblem::new(&blob.name, "it has no business here")),
            }
        }
        {
            let known = self.known_moves();
            if known.blobs.keys().copied().eq(numbers.iter().copied()) {
                return Ok(Arc::clone(&known));
            }
        }
        let mut map = MoveMap::default();
        for number in numbers {
            let name = format!("{prefix}{number}");
            let blob = match self.inner.blobs.get(&name) {
                // Prune found just now that nobody needs it.
                Err(BlobError::NotFound { .. }) => continue,
                blob => blob?,
            };
            match Moves::open(&self.keys, self.domain, number, &blob) {
                Ok(moves) => map.add(number, moves),
                Err(error) => problems.push(StoreProblem::new(&name, chain(&error))),
            }
        }
        let map = Arc::new(map);
        *self.known_moves() = Arc::clone(&map);
        Ok(map)
    }

    /// Lets the next who asks for moves read them again, whatever was read before.
    pub(super) fn forget_moves(&self) {
        *self.known_moves() = Arc::default();
    }

    fn known_moves(&self) -> std::sync::MutexGuard<'_, Arc<MoveMap>> {
        self.moves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the index follow all moves that it does not know yet; gives what could not be read.
    ///
    /// No record may be read in meanwhile.
    pub(crate) fn follow_moves(&self, map: &MoveMap) -> Result<Vec<StoreProblem>, StoreError> {
        let states = sql::pack_states(&self.inner.index.read(), self.domain)?;
        let old: Vec<PackId> = states
            .iter()
            .filter(|state| !state.doomed && map.is_retired(state.id))
            .map(|state| state.id)
            .collect();
        if old.is_empty() {
            return Ok(Vec::new());
        }
        let known: BTreeSet<PackId> = states.iter().map(|state| state.id).collect();
        let mut problems = Vec::new();
        let mut targets: Vec<PackRow> = Vec::new();
        let mut unread = BTreeSet::new();
        for pack in self.targets_of(&old, map)? {
            if known.contains(&pack) {
                continue;
            }
            match self.read_pack(pack) {
                Ok(row) => targets.push(row),
                Err(error @ (StoreError::Pack { .. } | StoreError::Blob(_))) => {
                    unread.insert(pack);
                    problems.push(StoreProblem::new(&self.pack_name(pack), chain(&error)));
                }
                Err(error) => return Err(error),
            }
        }
        // A row stays where it was if its new place cannot be read: its old pack may still be there.
        let target = |pack, chunk, ordinal| match map.target(pack, chunk, ordinal) {
            Target::To(to, ..) if unread.contains(&to) => Target::Stay,
            target => target,
        };
        let done: &[PackId] = if unread.is_empty() { &old } else { &[] };
        self.follow_into_index(&old, &targets, done, false, &target)?;
        Ok(problems)
    }

    /// The packs in which the rows of the index lie that lie in `old` by now.
    fn targets_of(&self, old: &[PackId], map: &MoveMap) -> Result<BTreeSet<PackId>, StoreError> {
        let read = self.inner.index.read();
        let mut targets = BTreeSet::new();
        for pack in old {
            for (_, row) in index::chunks_of(&read, *pack)? {
                for (found, _) in map.resolve_run(*pack, row.place, 0, row.entry.rows.max(1)) {
                    if let Resolved::At(pack, ..) = found {
                        targets.insert(pack);
                    }
                }
            }
        }
        Ok(targets)
    }

    /// Points the rows of the index that lie in `old` to where they lie now, and dooms `done`: one durable transaction.
    ///
    /// With `all`, it fails and changes nothing if a row would be dropped.
    pub(crate) fn follow_into_index(
        &self,
        old: &[PackId],
        targets: &[PackRow],
        done: &[PackId],
        all: bool,
        target: &dyn Fn(PackId, usize, u16) -> Target,
    ) -> Result<Followed, StoreError> {
        let followed = self.inner.index.transact_durably(|transaction| {
            let followed = sql::follow(transaction, self.domain, old, targets, target)?;
            if all && followed.dropped > 0 {
                return Err(IndexError::Broken {
                    what: "rows in a pack that was to be deleted",
                });
            }
            sql::doom(transaction, done)?;
            Ok(followed)
        })?;
        self.inner.usage.moved(&done.iter().copied().collect());
        Ok(followed)
    }

    /// Deletes the doomed packs that nobody can still look into; gives how many there were and are left, and the bytes of those deleted.
    pub(crate) fn delete_doomed(&self) -> Result<Deleted, StoreError> {
        let states = sql::pack_states(&self.inner.index.read(), self.domain)?;
        let mut deleted = Deleted::default();
        let mut gone = Vec::new();
        for state in states.iter().filter(|state| state.doomed) {
            if !self.inner.usage.is_free(state.id) {
                deleted.left += 1;
                continue;
            }
            self.inner.blobs.delete(&self.pack_name(state.id))?;
            deleted.packs += 1;
            deleted.bytes += state.bytes;
            gone.push(state.id);
        }
        if !gone.is_empty() {
            self.inner
                .index
                .transact(|transaction| sql::forget_packs(transaction, &gone))?;
        }
        Ok(deleted)
    }

    /// Begins to read whatever the index names: packs that it names now stay until this is dropped.
    pub(super) fn reading(&self) -> Reading {
        Reading::begin(&self.inner, None)
    }
}

/// What became of doomed packs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deleted {
    pub(crate) packs: u64,
    pub(crate) bytes: u64,
    /// How many someone may still look into.
    pub(crate) left: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Row = (u8, usize, usize);

    fn pack(number: u8) -> PackId {
        PackId::from_bytes([number; 8])
    }

    proptest! {
        /// Packs of 3 chunks of 6 rows; each step moves some rows of one pack, or retires it, to fresh packs.
        #[test]
        fn rows_are_found_wherever_they_were_moved(
            steps in proptest::collection::vec((0u8..4, any::<bool>(), proptest::collection::vec((0usize..3, 0usize..6), 0..12)), 0..6),
        ) {
            let mut map = MoveMap::default();
            // Where each row of packs 0 to 3 lies.
            let mut model: BTreeMap<Row, Option<Row>> = (0..4u8)
                .flat_map(|pack| (0..3).flat_map(move |chunk| (0..6).map(move |row| (pack, chunk, row))))
                .map(|row| (row, Some(row)))
                .collect();
            let mut left: BTreeSet<u8> = (0..4).collect();
            let mut next = 10u8;
            for (number, (of, retire, rows)) in (1..).zip(steps) {
                let from = left.iter().copied().nth(usize::from(of) % left.len()).unwrap();
                let mut builder = MovesBuilder::default();
                let rows: BTreeSet<(usize, usize)> = rows.into_iter().collect();
                let mut to = BTreeMap::new();
                for (place, (chunk, row)) in rows.iter().enumerate() {
                    // Rows that were moved away before are not moved again.
                    if !model.values().any(|found| *found == Some((from, *chunk, *row))) {
                        continue;
                    }
                    let target = (next, place / 4 % 3, place % 4);
                    builder.moved((pack(from), *chunk, *row), (pack(target.0), target.1, target.2), 1);
                    to.insert((from, *chunk, *row), target);
                }
                if retire {
                    builder.retire(pack(from));
                    left.remove(&from);
                }
                left.insert(next);
                next += 1;
                for found in model.values_mut() {
                    *found = match *found {
                        Some(row) if row.0 == from => match to.get(&row) {
                            Some(target) => Some(*target),
                            None if retire => None,
                            None => Some(row),
                        },
                        found => found,
                    };
                }
                map.add(number, builder.finish());
            }
            for of in 0..4u8 {
                for chunk in 0..3 {
                    let found: Vec<Option<Row>> = map
                        .resolve_run(pack(of), chunk, 0, 6)
                        .into_iter()
                        .flat_map(|(found, rows)| (0..rows).map(move |row| match found {
                            Resolved::At(pack, chunk, first) => Some((pack.as_bytes()[0], chunk, first + row)),
                            _ => None,
                        }))
                        .collect();
                    let wanted: Vec<Option<Row>> = (0..6).map(|row| model[&(of, chunk, row)]).collect();
                    prop_assert_eq!(found, wanted);
                }
            }
        }
    }
}
