//! What is read from records into the index.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::StoreError;
use super::domain::{CACHE_BYTES_MAX, Shared, chain};
use super::moves::MoveMap;
use super::reindex::StoreProblem;
use crate::chunk::ChunkView;
use crate::id::{PackId, SnapshotId};
use crate::index::{self, PackRow};
use crate::record::Record;

/// A record that the index has not seen, merged or not.
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) snapshot: SnapshotId,
    /// The snapshot since which it tells.
    pub(super) base: Option<SnapshotId>,
    /// Of a merged record: the changes of the snapshot and the bytes of its own record.
    pub(super) told: Option<(u64, u64)>,
    pub(super) bytes: u64,
    pub(super) record: Record,
}

/// What is remembered while records are read in one after another.
pub(super) struct ReadIn {
    pub(super) moves: Arc<MoveMap>,
    /// The packs that were looked at; `None` for those that cannot be read.
    packs: HashMap<PackId, Option<PackRow>>,
    /// Those of the record at hand that the index has to know.
    used: BTreeSet<PackId>,
    chunks: VecDeque<((PackId, usize), Arc<ChunkView>)>,
    bytes: usize,
    /// Whether something could not be read.
    pub(super) damaged: bool,
}

impl ReadIn {
    pub(super) fn new(moves: Arc<MoveMap>) -> Self {
        Self {
            moves,
            packs: HashMap::new(),
            used: BTreeSet::new(),
            chunks: VecDeque::new(),
            bytes: 0,
            damaged: false,
        }
    }

    /// A pack that a record names; `None` with a problem if it cannot be read.
    pub(super) fn pack(
        &mut self,
        shared: &Shared,
        pack: PackId,
        problems: &mut Vec<StoreProblem>,
    ) -> Result<Option<&PackRow>, StoreError> {
        if let Entry::Vacant(free) = self.packs.entry(pack) {
            free.insert(match shared.read_pack(pack) {
                Ok(row) => Some(row),
                Err(error @ (StoreError::Pack { .. } | StoreError::Blob(_))) => {
                    problems.push(StoreProblem::new(&shared.pack_name(pack), chain(&error)));
                    None
                }
                Err(error) => return Err(error),
            });
        }
        let found = self.packs.get(&pack).and_then(Option::as_ref);
        if found.is_some() {
            self.used.insert(pack);
        }
        Ok(found)
    }

    /// Looks at all packs that a record names, but for those of which prune left nothing.
    pub(super) fn all_of(
        &mut self,
        shared: &Shared,
        packs: &[(PackId, u64)],
        problems: &mut Vec<StoreProblem>,
    ) -> Result<(), StoreError> {
        for (pack, _) in packs {
            if !self.moves.is_retired(*pack) {
                self.pack(shared, *pack, problems)?;
            }
        }
        Ok(())
    }

    /// A chunk that a record names; `None` with a problem if it cannot be read.
    ///
    /// Prune moves rows of several snapshots into one chunk, and ids stand in the record of the first snapshot that names them: so only the rows that
    /// a record names can be put together when it is read in.
    pub(super) fn chunk(
        &mut self,
        shared: &Shared,
        pack: PackId,
        place: usize,
        problems: &mut Vec<StoreProblem>,
    ) -> Result<Option<Arc<ChunkView>>, StoreError> {
        let mut named = |what: &str| {
            problems.push(StoreProblem::new(&shared.pack_name(pack), what));
        };
        if matches!(self.packs.get(&pack), Some(None)) {
            named("a chunk of it is named by a record");
            return Ok(None);
        }
        let Some(row) = self.pack(shared, pack, problems)? else {
            return Ok(None);
        };
        let Some(entry) = row.entries.get(place) else {
            problems.push(StoreProblem::new(
                &shared.pack_name(pack),
                "it lacks a chunk that a record names",
            ));
            return Ok(None);
        };
        let row = index::ChunkRow {
            pack,
            epoch: row.epoch,
            place,
            entry: *entry,
        };
        let known = self.chunks.iter().find(|(at, _)| *at == (pack, place));
        if let Some((_, chunk)) = known {
            return Ok(Some(Arc::clone(chunk)));
        }
        let chunk = match shared.open_view(&row) {
            Ok(chunk) => Arc::new(chunk),
            Err(error @ (StoreError::Pack { .. } | StoreError::Blob(_))) => {
                problems.push(StoreProblem::new(&shared.pack_name(pack), chain(&error)));
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        self.bytes += chunk.bytes();
        self.chunks.push_back(((pack, place), Arc::clone(&chunk)));
        while self.bytes > CACHE_BYTES_MAX && self.chunks.len() > 1 {
            let Some((_, oldest)) = self.chunks.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes();
        }
        Ok(Some(chunk))
    }

    /// The packs that the index has to know for the record that was read.
    pub(super) fn take_packs(&mut self) -> Vec<PackRow> {
        let used = std::mem::take(&mut self.used);
        used.iter()
            .filter_map(|pack| self.packs.get(pack).cloned().flatten())
            .collect()
    }
}
