//! Who reads and writes in this process, so that prune takes nothing from under them.
//!
//! A snapshot that is being read stays whole although it was removed. A pack that a running writer names or has written is not
//! doomed; the contents of a doomed one are unknown to writers. A doomed pack is deleted once nobody reads who began before its rows were moved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Inner;
use crate::id::{PackId, SnapshotId};

#[derive(Debug, Default)]
pub(super) struct Usage {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Grows whenever rows were moved.
    generation: u64,
    /// How many read who began in a generation.
    readers: BTreeMap<u64, usize>,
    /// How many read a snapshot.
    reading: BTreeMap<SnapshotId, usize>,
    /// The packs that running writers name or have written.
    held: BTreeMap<PackId, usize>,
    /// The packs whose rows are not to be named any more, and the generation from which on nobody looks for them.
    doomed: BTreeMap<PackId, Option<u64>>,
}

impl Usage {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The snapshots that are being read.
    pub(super) fn snapshots_read(&self) -> BTreeSet<SnapshotId> {
        self.state().reading.keys().copied().collect()
    }

    /// Dooms those packs that no running writer holds; gives them.
    pub(super) fn doom(&self, packs: &BTreeSet<PackId>) -> BTreeSet<PackId> {
        let mut state = self.state();
        let free: BTreeSet<PackId> = packs
            .iter()
            .filter(|pack| !state.held.contains_key(pack))
            .copied()
            .collect();
        for pack in &free {
            state.doomed.entry(*pack).or_default();
        }
        free
    }

    /// Takes back that packs are doomed, as nothing has been moved.
    pub(super) fn spare(&self, packs: &BTreeSet<PackId>) {
        let mut state = self.state();
        for pack in packs {
            state.doomed.remove(pack);
        }
    }

    /// Notes that the rows of packs have been moved: who begins to read from now on does not look for them.
    pub(super) fn moved(&self, packs: &BTreeSet<PackId>) {
        let mut state = self.state();
        state.generation += 1;
        let generation = state.generation;
        for pack in packs {
            state.doomed.insert(*pack, Some(generation));
        }
    }

    /// Whether nobody can still look for rows in a pack that the index no longer names.
    pub(super) fn is_free(&self, pack: PackId) -> bool {
        let state = self.state();
        let since = match state.doomed.get(&pack) {
            None => return !state.held.contains_key(&pack),
            Some(since) => since.unwrap_or(u64::MAX),
        };
        let oldest = state.readers.keys().next();
        !state.held.contains_key(&pack) && oldest.is_none_or(|oldest| *oldest >= since)
    }
}

/// Someone who reads.
#[derive(Debug)]
pub(super) struct Reading {
    inner: Arc<Inner>,
    generation: u64,
    snapshot: Option<SnapshotId>,
}

impl Reading {
    /// Begins to read, a snapshot or whatever the index names.
    pub(super) fn begin(inner: &Arc<Inner>, snapshot: Option<SnapshotId>) -> Self {
        let mut state = inner.usage.state();
        let generation = state.generation;
        *state.readers.entry(generation).or_default() += 1;
        if let Some(snapshot) = snapshot {
            *state.reading.entry(snapshot).or_default() += 1;
        }
        Self {
            inner: Arc::clone(inner),
            generation,
            snapshot,
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut state = self.inner.usage.state();
        release(&mut state.readers, &self.generation);
        if let Some(snapshot) = self.snapshot {
            release(&mut state.reading, &snapshot);
        }
    }
}

/// The packs that one writer names or has written.
#[derive(Debug)]
pub(super) struct Holding {
    inner: Arc<Inner>,
    packs: BTreeSet<PackId>,
}

impl Holding {
    pub(super) fn new(inner: &Arc<Inner>) -> Self {
        Self {
            inner: Arc::clone(inner),
            packs: BTreeSet::new(),
        }
    }

    /// Holds a pack until this is dropped; `false` if it is doomed, and its contents must count as unknown.
    pub(super) fn hold(&mut self, pack: PackId) -> bool {
        if self.packs.contains(&pack) {
            return true;
        }
        let mut state = self.inner.usage.state();
        if state.doomed.contains_key(&pack) {
            return false;
        }
        *state.held.entry(pack).or_default() += 1;
        self.packs.insert(pack);
        true
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let mut state = self.inner.usage.state();
        for pack in &self.packs {
            release(&mut state.held, pack);
        }
    }
}

fn release<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
