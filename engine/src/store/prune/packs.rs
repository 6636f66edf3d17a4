//! Which packs go, and the moving of what is needed of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::Connection;

use super::super::StoreError;
use super::super::domain::{Shared, chain};
use super::super::moves::MovesBuilder;
use super::super::reindex::StoreProblem;
use super::Prune;
use crate::chunk::{ChunkBuilder, ChunkView, Cursor, Key, Names};
use crate::id::PackId;
use crate::index::prune::{self as sql, PackState, Target};
use crate::index::{self, ChunkRow, PackRow};
use crate::keys::KeyError;
use crate::monitor::Progress;
use crate::pack::{Kind, PackError, PackWriter, open_chunk};

/// What is moved in one go, in bytes of packs: a bound for the memory that it takes.
const BATCH_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Packs below this size count as small.
const SMALL_PACK_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Small packs are of about one size when they differ by less than this factor.
const SIZE_STEP: u64 = 4;

/// A chunk of at least so many bytes, all of which is needed, is sealed anew as it is, without taking it apart.
const WHOLE_CHUNK_BYTES_MIN: usize = 64 * 1024;

/// Which packs go.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// Of which nothing is needed.
    pub(super) unneeded: BTreeSet<PackId>,
    /// Of which something is to be moved.
    pub(super) rewrite: BTreeSet<PackId>,
}

/// The rows of some packs that are needed: by the chunk's number, the ordinals in order, with what should lie there.
type Needed = HashMap<i64, BTreeMap<u16, (Key, i64)>>;

/// Where a chunk lies, with what is needed of it.
struct Source {
    no: i64,
    row: ChunkRow,
}

impl Prune<'_> {
    /// Which packs go: those of which nothing is needed, too little, or that are many and small.
    pub(super) fn choose(&self) -> Choice {
        let mut choice = Choice::default();
        let mut sizes: BTreeMap<u32, Vec<PackId>> = BTreeMap::new();
        let newest = self.store.shared.keys.newest().map(|keys| keys.number);
        for state in self.survey.packs.iter().filter(|state| !state.doomed) {
            let live = self.survey.live_bytes(state.id);
            let won = state.bytes.saturating_sub(live);
            let share = u64::from(self.options.live_share_pct_min);
            if live == 0 {
                choice.unneeded.insert(state.id);
            } else if (won >= self.options.bytes_min
                && live.saturating_mul(100) < state.bytes.saturating_mul(share))
                || (self.options.reseal && Some(state.epoch) != newest)
            {
                choice.rewrite.insert(state.id);
            } else if state.bytes < SMALL_PACK_BYTES_MAX {
                let size = state.bytes.max(1).ilog(SIZE_STEP);
                sizes.entry(size).or_default().push(state.id);
            }
        }
        for packs in sizes.into_values() {
            let many = self.options.small_packs_min;
            if many > 0 && packs.len() >= many {
                choice.rewrite.extend(packs);
            }
        }
        choice
    }

    /// Deletes the packs of which nothing is needed, and those of which something was moved.
    pub(super) fn prune_packs(&mut self) -> Result<(), StoreError> {
        let choice = self.choose();
        let states: Vec<PackState> = self.survey.packs.clone();
        let mut batch: Vec<PackState> = Vec::new();
        let mut bytes = 0;
        for state in states {
            let rewrite = choice.rewrite.contains(&state.id);
            if !rewrite && !choice.unneeded.contains(&state.id) {
                continue;
            }
            batch.push(state);
            bytes += if rewrite { state.bytes } else { 0 };
            if bytes >= BATCH_BYTES_MAX {
                self.retire(std::mem::take(&mut batch))?;
                bytes = 0;
            }
        }
        if !batch.is_empty() {
            self.retire(batch)?;
        }
        let deleted = self.store.shared.delete_doomed()?;
        self.report.packs.deleted += deleted.packs;
        self.report.packs.kept_in_use += deleted.left;
        self.report.bytes_freed += deleted.bytes;
        Ok(())
    }

    /// Moves what is needed of some packs, and dooms them.
    fn retire(&mut self, batch: Vec<PackState>) -> Result<(), StoreError> {
        self.stop()?;
        let usage = &self.store.shared.inner.usage;
        let chosen: BTreeSet<PackId> = batch.iter().map(|state| state.id).collect();
        let mut doomed = usage.doom(&chosen);
        self.report.packs.kept_in_use += (chosen.len() - doomed.len()) as u64;
        let mut sure = false;
        let done = self.retire_doomed(&batch, &mut doomed, &mut sure);
        if !sure {
            // Nothing says that anything has been moved.
            usage.spare(&doomed);
        }
        done
    }

    fn retire_doomed(
        &mut self,
        batch: &[PackState],
        doomed: &mut BTreeSet<PackId>,
        sure: &mut bool,
    ) -> Result<(), StoreError> {
        let shared = &self.store.shared;
        let (moves, written, rewritten) = loop {
            if doomed.is_empty() {
                return Ok(());
            }
            // After they were doomed, so that no one can name their rows anew.
            let read = shared.inner.index.read_apart()?;
            let packs = batch.iter().map(|state| state.id);
            let packs: Vec<PackId> = packs.filter(|pack| doomed.contains(pack)).collect();
            let mut mover = Mover::new(shared, &read, &packs)?;
            match mover.run(&packs, self.monitor) {
                Ok(()) => {
                    let rewritten = mover.rewritten.len() as u64;
                    break (mover.moves, mover.written, rewritten);
                }
                Err(Failed::At(pack, why)) => {
                    // What is damaged is for repair; the others are moved without it.
                    for row in &mover.written {
                        shared.inner.blobs.delete(&shared.pack_name(row.id))?;
                    }
                    let name = shared.pack_name(pack);
                    self.report.problems.push(StoreProblem::new(&name, why));
                    self.report.packs.kept_in_doubt += 1;
                    doomed.remove(&pack);
                    shared.inner.usage.spare(&BTreeSet::from([pack]));
                }
                Err(Failed::Store(error)) => return Err(error),
            }
        };
        let new_bytes: u64 = written.iter().map(|row| row.bytes).sum();
        self.monitor.report(Progress::BytesNew(new_bytes));
        let _recording = shared.inner.recording();
        if !self.knows_all_records()? {
            // A snapshot was finished that the index does not know yet; what it needs is not known either.
            self.report.packs.kept_in_use += doomed.len() as u64;
            for row in &written {
                shared.inner.blobs.delete(&shared.pack_name(row.id))?;
            }
            return Ok(());
        }
        *sure = true;
        let bytes = shared.put_moves(&moves.finish())?;
        let map = shared.moves(&mut Vec::new())?;
        let old: Vec<PackId> = doomed.iter().copied().collect();
        let target = |pack, chunk, ordinal| -> Target { map.target(pack, chunk, ordinal) };
        shared.follow_into_index(&old, &written, &old, true, &target)?;
        self.report.bytes_rewritten += new_bytes + bytes;
        self.report.packs.written += written.len() as u64;
        self.report.packs.rewritten += rewritten;
        Ok(())
    }
}

/// Why rows could not be moved.
enum Failed {
    /// Of one pack, because it is damaged.
    At(PackId, String),
    Store(StoreError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Moves rows to new packs.
struct Mover<'a> {
    shared: &'a Shared,
    /// By type, in the order of the packs and of their chunks.
    sources: BTreeMap<(u16, Kind), Vec<Source>>,
    needed: Needed,
    moves: MovesBuilder,
    pack: Option<PackWriter>,
    /// The chunk that is being filled, with where its rows come from.
    builder: ChunkBuilder,
    rows: Vec<(PackId, usize, usize)>,
    written: Vec<PackRow>,
    rewritten: BTreeSet<PackId>,
}

impl<'a> Mover<'a> {
    fn new(shared: &'a Shared, read: &Connection, packs: &[PackId]) -> Result<Self, StoreError> {
        let mut sources: BTreeMap<(u16, Kind), Vec<Source>> = BTreeMap::new();
        let mut chunks = BTreeSet::new();
        for pack in packs {
            for (no, row) in index::chunks_of(read, *pack)? {
                chunks.insert(no);
                let of_type = (row.entry.type_code, row.entry.kind);
                sources.entry(of_type).or_default().push(Source { no, row });
            }
        }
        let mut needed = Needed::new();
        for (_, space) in index::spaces(read, shared.domain)? {
            sql::each_version(read, space, &mut |version| {
                if let Some((place, fingerprint)) = version.body
                    && chunks.contains(&place.chunk())
                {
                    let of_chunk = needed.entry(place.chunk()).or_default();
                    of_chunk.insert(place.ordinal(), (version.key, fingerprint));
                }
            })?;
            for (_, chunk, _) in index::observations(read, space)? {
                if chunks.contains(&chunk) {
                    needed.entry(chunk).or_default();
                }
            }
        }
        let mut moves = MovesBuilder::default();
        for pack in packs {
            moves.retire(*pack);
        }
        Ok(Self {
            shared,
            sources,
            needed,
            moves,
            pack: None,
            builder: ChunkBuilder::default(),
            rows: Vec::new(),
            written: Vec::new(),
            rewritten: BTreeSet::new(),
        })
    }

    fn run(
        &mut self,
        packs: &[PackId],
        monitor: &dyn crate::monitor::Monitor,
    ) -> Result<(), Failed> {
        for ((type_code, kind), sources) in std::mem::take(&mut self.sources) {
            for source in sources {
                if monitor.is_cancelled() {
                    return Err(StoreError::Cancelled.into());
                }
                let Some(needed) = self.needed.remove(&source.no) else {
                    continue;
                };
                self.rewritten.insert(source.row.pack);
                self.take(&source.row, type_code, kind, &needed)?;
            }
            self.seal_rows(type_code)?;
        }
        if let Some(pack) = self.pack.take() {
            self.put(pack)?;
        }
        self.rewritten.retain(|pack| packs.contains(pack));
        Ok(())
    }

    /// Moves what is needed of one chunk.
    fn take(
        &mut self,
        row: &ChunkRow,
        type_code: u16,
        kind: Kind,
        needed: &BTreeMap<u16, (Key, i64)>,
    ) -> Result<(), Failed> {
        let plain = self.plain(row)?;
        let all = needed.len() == row.entry.rows;
        if kind == Kind::Observations || (all && row.entry.bytes >= WHOLE_CHUNK_BYTES_MIN) {
            self.seal_rows(type_code)?;
            let (pack, chunk) = self.add(kind, type_code, row.entry.rows, &plain)?;
            let rows = row.entry.rows.max(1);
            self.moves
                .moved((row.pack, row.place, 0), (pack, chunk, 0), rows);
            return Ok(());
        }
        let failed = |why: String| Failed::At(row.pack, why);
        let view =
            ChunkView::decode(&plain).map_err(|error| failed(chain(&PackError::Decode(error))))?;
        let mut cursor = Cursor::default();
        let mut body = Vec::new();
        for (ordinal, (key, fingerprint)) in needed {
            let ordinal = usize::from(*ordinal);
            body.clear();
            let found = view
                .get(ordinal, &mut cursor, &*self.shared.names(), &mut body)
                .map_err(|error| failed(chain(&PackError::Decode(error))))?;
            let content = self.shared.keys.content_id(&body);
            if found != Some(*key) || content.fingerprint() != *fingerprint {
                return Err(failed("the index expects something else in it".to_owned()));
            }
            {
                let names = self.shared.names();
                self.builder.push(
                    *key,
                    names.name(key.key).unwrap_or_default(),
                    names.name(key.parent).unwrap_or_default(),
                    &body,
                );
            }
            self.rows.push((row.pack, row.place, ordinal));
            if self.builder.is_full() {
                self.seal_rows(type_code)?;
            }
        }
        Ok(())
    }

    /// A chunk's bytes before sealing.
    fn plain(&self, row: &ChunkRow) -> Result<Vec<u8>, Failed> {
        let shared = self.shared;
        let name = shared.pack_name(row.pack);
        let sealed = shared
            .inner
            .blobs
            .get_range(&name, row.entry.offset, row.entry.bytes)
            .map_err(|error| Failed::At(row.pack, chain(&error)))?;
        open_chunk(
            &shared.keys,
            row.epoch,
            shared.domain,
            row.pack,
            row.place,
            &row.entry,
            &sealed,
        )
        .map_err(|error| Failed::At(row.pack, chain(&error)))
    }

    /// Ends the chunk that is being filled.
    fn seal_rows(&mut self, type_code: u16) -> Result<(), StoreError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.builder)
            .finish()
            .map_err(StoreError::Compress)?;
        let rows = std::mem::take(&mut self.rows);
        let (pack, chunk) = self.add(Kind::Objects, type_code, rows.len(), &bytes)?;
        for (ordinal, from) in rows.into_iter().enumerate() {
            self.moves.moved(from, (pack, chunk, ordinal), 1);
        }
        Ok(())
    }

    /// Adds a chunk to the pack that is being filled; gives the pack, and the chunk's place in it.
    fn add(
        &mut self,
        kind: Kind,
        type_code: u16,
        rows: usize,
        plain: &[u8],
    ) -> Result<(PackId, usize), StoreError> {
        let keys = self.shared.keys.newest().ok_or(KeyError::NotSealed)?;
        let mut pack = match self.pack.take() {
            Some(pack) => pack,
            None => PackWriter::new(self.shared.domain, keys.number)?,
        };
        let place = pack.add(keys, kind, type_code, rows, plain)?;
        let id = pack.id();
        if pack.is_full() {
            self.put(pack)?;
        } else {
            self.pack = Some(pack);
        }
        Ok((id, place))
    }

    fn put(&mut self, pack: PackWriter) -> Result<(), StoreError> {
        let keys = self.shared.keys.newest().ok_or(KeyError::NotSealed)?;
        let id = pack.id();
        let (blob, entries) = pack.finish(keys)?;
        self.shared
            .inner
            .blobs
            .put(&self.shared.pack_name(id), &blob)?;
        self.written.push(PackRow {
            id,
            epoch: keys.number,
            bytes: blob.as_bytes().len() as u64,
            entries,
        });
        Ok(())
    }
}
