//! Versions of which the index knows nothing, although intact records name them: what they lie in could not be read when the index was rebuilt, and
//! only there stands whose they are.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::domain::{Shared, damaged};
use super::moves::Resolved;
use super::{DomainStore, StoreError};
use crate::catalogue::ObjectType;
use crate::chunk::ChunkView;
use crate::id::{PackId, SnapshotId};
use crate::index::{self, ChunkRow, PackRow};
use crate::record::Record;

/// Versions of the index that are read at once.
const ROWS_AT_ONCE: usize = 64 * 1024;

/// How many versions, by the snapshot that they began with and their type.
pub(crate) type Untold = BTreeMap<(SnapshotId, ObjectType), u64>;

/// A chunk: its pack, and its place in it.
type ChunkName = (PackId, usize);

/// The rows of one chunk that were seen: a bit for each.
#[derive(Default)]
struct Seen(Vec<u64>);

impl Seen {
    /// Whether it was not seen before.
    fn insert(&mut self, row: usize) -> bool {
        let (word, bit) = (row / 64, 1 << (row % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let Some(word) = self.0.get_mut(word) else {
            return false;
        };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

/// What can be read of the chunks that hold rows which the index does not know.
struct Chunks<'a> {
    shared: &'a Shared,
    packs: BTreeMap<PackId, Option<PackRow>>,
    /// The one that was looked at last.
    last: Option<(ChunkName, Option<ChunkView>)>,
}

impl Chunks<'_> {
    /// Whether a row cannot be read. One that can be was left out of the index on purpose: only removed snapshots had it.
    fn is_lost(&mut self, name: ChunkName, row: usize) -> Result<bool, StoreError> {
        if self.last.as_ref().is_none_or(|(known, _)| *known != name) {
            self.last = Some((name, self.open(name)?));
        }
        let view = self.last.as_ref().and_then(|(_, view)| view.as_ref());
        let key = view.and_then(|view| view.rows().get(row));
        Ok(!key.is_some_and(|key| self.shared.knows(*key)))
    }

    fn open(&mut self, (pack, place): ChunkName) -> Result<Option<ChunkView>, StoreError> {
        let pack = match self.packs.entry(pack) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(readable(self.shared.read_pack(pack))?),
        };
        let Some((pack, entry)) = pack
            .as_ref()
            .and_then(|pack| Some((pack, pack.entries.get(place)?)))
        else {
            return Ok(None);
        };
        readable(self.shared.open_view(&ChunkRow {
            pack: pack.id,
            epoch: pack.epoch,
            place,
            entry: *entry,
        }))
    }
}

/// `None` for what is damaged or cannot be read.
fn readable<T>(found: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::Pack { .. } | StoreError::Record { .. } | StoreError::Blob(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl DomainStore {
    /// Counts the versions that intact records and checkpoints name, the index does not know, and cannot be read.
    ///
    /// Among those in damaged packs can be some that nothing needed any more.
    pub(crate) fn untold(&self) -> Result<Untold, StoreError> {
        let shared = &self.shared;
        let rows = index::snapshots(&shared.inner.index.read(), shared.domain)?;
        let coverages = rows.iter().flat_map(|row| &row.coverage);
        let doubtful: BTreeSet<u16> = coverages
            .filter(|(_, coverage)| **coverage == damaged())
            .map(|(code, _)| *code)
            .collect();
        let mut untold = Untold::new();
        if doubtful.is_empty() {
            return Ok(untold);
        }
        let mut seen = self.seen_rows(&doubtful)?;
        let moves = shared.moves(&mut Vec::new())?;
        let mut chunks = Chunks {
            shared,
            packs: BTreeMap::new(),
            last: None,
        };
        // Oldest first: each row is counted where it is named first.
        for row in &rows {
            let Some(record) = self.told_of(row.id)? else {
                continue;
            };
            for delta in &record.types {
                let object_type = ObjectType::from_code(delta.type_code);
                let object_type = object_type.filter(|_| doubtful.contains(&delta.type_code));
                let Some(object_type) = object_type else {
                    continue;
                };
                let mut count = 0;
                for run in &delta.runs {
                    let Some((pack, _)) = record.packs.get(run.pack) else {
                        continue;
                    };
                    for (found, rows) in moves.resolve_run(*pack, run.chunk, run.first, run.rows) {
                        let Resolved::At(pack, chunk, first) = found else {
                            continue;
                        };
                        let seen = seen.entry((pack, chunk)).or_default();
                        for row in first..first.saturating_add(rows) {
                            if seen.insert(row) && chunks.is_lost((pack, chunk), row)? {
                                count += 1;
                            }
                        }
                    }
                }
                if count > 0 {
                    *untold.entry((row.id, object_type)).or_default() += count;
                }
            }
        }
        Ok(untold)
    }

    /// What tells of a snapshot, or the checkpoint of it, if one of them opens.
    fn told_of(&self, snapshot: SnapshotId) -> Result<Option<Record>, StoreError> {
        if let Some(record) = readable(self.intact_record(snapshot))?.flatten() {
            return Ok(Some(record));
        }
        let checkpoint = readable(self.shared.read_checkpoint(snapshot))?;
        Ok(checkpoint.map(|checkpoint| checkpoint.state))
    }

    /// The rows in which the index has versions of these types.
    fn seen_rows(&self, types: &BTreeSet<u16>) -> Result<HashMap<ChunkName, Seen>, StoreError> {
        let shared = &self.shared;
        let mut seen: HashMap<ChunkName, Seen> = HashMap::new();
        let places = index::chunk_places(&shared.inner.index.read(), shared.domain)?;
        let spaces = index::spaces(&shared.inner.index.read(), shared.domain)?;
        for (_, space) in spaces.into_iter().filter(|(code, _)| types.contains(code)) {
            let mut after = None;
            loop {
                let read = shared.inner.index.read();
                let versions = index::bodies(&read, space, after, ROWS_AT_ONCE)?;
                drop(read);
                let Some(last) = versions.last() else { break };
                after = Some((last.key, last.first));
                for (place, _) in versions.iter().filter_map(|version| version.body) {
                    if let Some(chunk) = places.get(&place.chunk()) {
                        seen.entry(*chunk)
                            .or_default()
                            .insert(place.ordinal().into());
                    }
                }
            }
        }
        Ok(seen)
    }
}
