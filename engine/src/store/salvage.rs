//! Moves what is intact out of damaged packs, puts tombstones in the place of what is not, and gives lost versions their content back.
//!
//! New packs are durable before the moves that name them, the moves before the index is changed, and the index before a damaged pack is
//! moved aside. A crash leaves at most packs that nothing names; or an index that has yet to follow, for which the next
//! repair rebuilds it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::domain::{LastChunk, Shared};
use super::moves::MovesBuilder;
use super::tombstone::Tombstone;
use super::{DomainStore, StoreError};
use crate::chunk::{ChunkBuilder, ChunkView, Key, Names};
use crate::id::PackId;
use crate::index::prune::Target;
use crate::index::{self, ChunkRow, PackRow, Place, Space, Version, mend};
use crate::keys::{EpochKeys, KeyError};
use crate::monitor::{Monitor, Progress};
use crate::pack::{Kind, PackWriter, open_chunk};

/// What was saved of damaged packs.
#[derive(Debug, Default)]
pub(crate) struct Salvaged {
    /// Intact chunks that were moved.
    pub(crate) chunks: u64,
    /// Rows of damaged chunks, each of one or more versions.
    pub(crate) lost: u64,
    /// Whether the newest state may lack something that the index does not know of.
    pub(crate) is_doubtful: bool,
    /// Where the damaged packs were moved to.
    pub(crate) set_aside: Vec<String>,
}

/// A row's place: pack, chunk by its place in it, ordinal.
type Row = (PackId, usize, usize);

/// Versions whose fingerprint changes because other content lies in their place now.
struct Changed {
    space: Space,
    key: Key,
    first: u32,
    fingerprint: i64,
}

/// What one operation moves.
#[derive(Default)]
struct Moving {
    moves: MovesBuilder,
    to: HashMap<Row, Row>,
    changed: Vec<Changed>,
}

impl Moving {
    fn moved(&mut self, from: Row, to: Row) {
        if self.to.insert(from, to).is_none() {
            self.moves.moved(from, to, 1);
        }
    }
}

impl DomainStore {
    /// Moves what is intact out of these packs, and notes as lost what is not; then moves the packs aside.
    ///
    /// No snapshot of the domain may be written meanwhile.
    pub(crate) fn salvage(
        &self,
        packs: &BTreeSet<PackId>,
        monitor: &dyn Monitor,
    ) -> Result<Salvaged, StoreError> {
        let shared = &self.shared;
        let newest = index::newest_snapshot(&shared.inner.index.read(), shared.domain)?;
        let since = newest.map_or(0, |row| row.sequence);
        let mut salvaged = Salvaged::default();
        let mut moving = Moving::default();
        let mut new = NewPacks::new(shared);
        for pack in packs {
            if monitor.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            self.salvage_pack(*pack, since, &mut new, &mut moving, &mut salvaged)?;
            moving.moves.retire(*pack);
        }
        let targets = new.finish(monitor)?;
        let old: Vec<PackId> = packs.iter().copied().collect();
        let copied = self.copy_packs_aside(packs)?;
        self.carry_out(moving, &old, &targets, true)?;
        for (name, copy) in copied {
            shared.inner.blobs.delete(&name)?;
            salvaged.set_aside.push(copy);
        }
        Ok(salvaged)
    }

    /// Copies a pack's intact chunks, and puts tombstones for the rows of the others.
    fn salvage_pack(
        &self,
        pack: PackId,
        since: u32,
        new: &mut NewPacks<'_>,
        moving: &mut Moving,
        salvaged: &mut Salvaged,
    ) -> Result<(), StoreError> {
        let shared = &self.shared;
        let bytes = shared.inner.blobs.get(&shared.pack_name(pack)).ok();
        let rows = index::chunks_of(&shared.inner.index.read(), pack)?;
        // A pack that the index could not read in: whatever lay there is in no snapshot that can be read.
        salvaged.is_doubtful |= rows.is_empty();
        for (no, row) in rows {
            if let Some(plain) = bytes.as_deref().and_then(|bytes| self.intact(&row, bytes)) {
                let to = new.add(row.entry.kind, row.entry.type_code, row.entry.rows, &plain)?;
                // Observations are moved by row 0, also where there are none.
                for ordinal in 0..row.entry.rows.max(1) {
                    moving.moved((pack, row.place, ordinal), (to.0, to.1, ordinal));
                }
                salvaged.chunks += 1;
                continue;
            }
            if row.entry.kind == Kind::Objects {
                salvaged.lost += self.bury(pack, no, &row, since, new, moving)?;
            } else {
                // They are read again by the next backup.
                salvaged.is_doubtful = true;
            }
        }
        Ok(())
    }

    /// The bytes of a chunk before sealing, if it opens and decodes.
    fn intact(&self, row: &ChunkRow, bytes: &[u8]) -> Option<Vec<u8>> {
        let shared = &self.shared;
        let start = usize::try_from(row.entry.offset).ok()?;
        let sealed = bytes.get(start..start.checked_add(row.entry.bytes)?)?;
        let plain = open_chunk(
            &shared.keys,
            row.epoch,
            shared.domain,
            row.pack,
            row.place,
            &row.entry,
            sealed,
        )
        .ok()?;
        let view = ChunkView::decode(&plain).ok()?;
        (view.rows().len() == row.entry.rows).then_some(plain)
    }

    /// Puts a tombstone for each row of a chunk that a version needs; gives how many.
    fn bury(
        &self,
        pack: PackId,
        no: i64,
        row: &ChunkRow,
        since: u32,
        new: &mut NewPacks<'_>,
        moving: &mut Moving,
    ) -> Result<u64, StoreError> {
        let shared = &self.shared;
        let versions: Vec<(Space, Version)> = {
            let read = shared.inner.index.read();
            match index::space(&read, shared.domain, row.entry.type_code)? {
                Some(space) => mend::versions_in_chunk(&read, space, no)?
                    .into_iter()
                    .map(|version| (space, version))
                    .collect(),
                None => Vec::new(),
            }
        };
        let mut by_ordinal: BTreeMap<u16, Vec<(Space, Version)>> = BTreeMap::new();
        for (space, version) in versions {
            if let Some((place, _)) = version.body {
                by_ordinal
                    .entry(place.ordinal())
                    .or_default()
                    .push((space, version));
            }
        }
        let buried = by_ordinal.len() as u64;
        let mut builder = ChunkBuilder::default();
        let mut ordinals: Vec<usize> = Vec::new();
        let mut waiting = by_ordinal.into_iter().peekable();
        while let Some((ordinal, of_row)) = waiting.next() {
            let Some((_, first)) = of_row.first() else {
                continue;
            };
            let tombstone = Tombstone {
                fingerprint: first.body.map_or(0, |(_, fingerprint)| fingerprint),
                since,
            };
            let body = tombstone.body();
            let names = shared.names();
            let name = |number| names.name(number).unwrap_or_default();
            builder.push(
                first.key,
                name(first.key.key),
                name(first.key.parent),
                &body,
            );
            drop(names);
            ordinals.push(ordinal.into());
            let fingerprint = shared.keys.content_id(&body).fingerprint();
            for (space, version) in of_row {
                moving.changed.push(Changed {
                    space,
                    key: version.key,
                    first: version.first,
                    fingerprint,
                });
            }
            if builder.is_full() || waiting.peek().is_none() {
                let rows = ordinals.len();
                let plain = std::mem::take(&mut builder)
                    .finish()
                    .map_err(StoreError::Compress)?;
                let to = new.add(Kind::Objects, row.entry.type_code, rows, &plain)?;
                for (at, ordinal) in std::mem::take(&mut ordinals).into_iter().enumerate() {
                    moving.moved((pack, row.place, ordinal), (to.0, to.1, at));
                }
            }
        }
        Ok(buried)
    }

    /// Makes moves durable, and lets the index follow them. `retired`: nothing but what was moved is needed of `old`.
    fn carry_out(
        &self,
        moving: Moving,
        old: &[PackId],
        targets: &[PackRow],
        retired: bool,
    ) -> Result<(), StoreError> {
        let shared = &self.shared;
        let _recording = shared.inner.recording();
        let Moving { moves, to, changed } = moving;
        shared.put_moves(&moves.finish())?;
        let target = |pack, chunk, ordinal: u16| match to.get(&(pack, chunk, ordinal.into())) {
            Some((pack, chunk, ordinal)) => u16::try_from(*ordinal)
                .map_or(Target::Stay, |ordinal| Target::To(*pack, *chunk, ordinal)),
            None if retired => Target::Dropped,
            None => Target::Stay,
        };
        shared.inner.index.transact_durably(|transaction| {
            index::prune::follow(transaction, shared.domain, old, targets, &target)?;
            for one in &changed {
                mend::set_fingerprint(transaction, one.space, one.key, one.first, one.fingerprint)?;
            }
            if retired {
                index::prune::forget_packs(transaction, old)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Gives lost versions their content back, where another version of the same object has the same content; gives how many.
    ///
    /// No snapshot of the domain may be written meanwhile.
    pub(crate) fn recover_lost(&self, monitor: &dyn Monitor) -> Result<u64, StoreError> {
        let shared = &self.shared;
        let mut moving = Moving::default();
        let mut old = BTreeSet::new();
        let mut last = LastChunk::default();
        for lost in self.lost_rows(monitor)? {
            let others = {
                let read = shared.inner.index.read();
                index::versions_of(&read, lost.space, lost.version.key)?
            };
            let whole = others.into_iter().find(|other| {
                other
                    .body
                    .is_some_and(|(_, found)| found == lost.tombstone.fingerprint)
            });
            let (Some(whole), Some((from, _))) = (whole, lost.version.body) else {
                continue;
            };
            let Some((to, fingerprint)) = whole.body else {
                continue;
            };
            // It must be there, or the version stays lost.
            if shared.body(&whole, &mut last).is_err() {
                continue;
            }
            let (Some(from), Some(to)) = (self.row_of(from)?, self.row_of(to)?) else {
                continue;
            };
            old.insert(from.0);
            moving.moved(from, to);
            moving.changed.push(Changed {
                space: lost.space,
                key: lost.version.key,
                first: lost.version.first,
                fingerprint,
            });
        }
        let recovered = moving.changed.len() as u64;
        if recovered > 0 {
            let old: Vec<PackId> = old.into_iter().collect();
            self.carry_out(moving, &old, &[], false)?;
        }
        Ok(recovered)
    }

    fn row_of(&self, place: Place) -> Result<Option<Row>, StoreError> {
        let found = index::chunk(&self.shared.inner.index.read(), place.chunk())?;
        Ok(found.map(|row| (row.pack, row.place, place.ordinal().into())))
    }
}

/// Writes chunks into new packs.
struct NewPacks<'a> {
    shared: &'a Shared,
    pack: Option<PackWriter>,
    written: Vec<PackRow>,
}

impl<'a> NewPacks<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            pack: None,
            written: Vec::new(),
        }
    }

    fn epoch(&self) -> Result<&'a EpochKeys, StoreError> {
        let newest = self.shared.keys.newest();
        newest.ok_or(StoreError::Key(KeyError::NotSealed))
    }

    /// Adds a chunk; gives its pack and its place in it.
    fn add(
        &mut self,
        kind: Kind,
        type_code: u16,
        rows: usize,
        plain: &[u8],
    ) -> Result<(PackId, usize), StoreError> {
        let epoch = self.epoch()?;
        let mut pack = match self.pack.take() {
            Some(pack) => pack,
            None => PackWriter::new(self.shared.domain, epoch.number)?,
        };
        let place = (pack.id(), pack.add(epoch, kind, type_code, rows, plain)?);
        if pack.is_full() {
            self.put(pack)?;
        } else {
            self.pack = Some(pack);
        }
        Ok(place)
    }

    fn put(&mut self, pack: PackWriter) -> Result<(), StoreError> {
        let epoch = self.epoch()?;
        let id = pack.id();
        let (blob, entries) = pack.finish(epoch)?;
        self.shared
            .inner
            .blobs
            .put(&self.shared.pack_name(id), &blob)?;
        self.written.push(PackRow {
            id,
            epoch: epoch.number,
            bytes: blob.as_bytes().len() as u64,
            entries,
        });
        Ok(())
    }

    /// Puts what is left; gives all packs that were written.
    fn finish(mut self, monitor: &dyn Monitor) -> Result<Vec<PackRow>, StoreError> {
        if let Some(pack) = self.pack.take() {
            self.put(pack)?;
        }
        let bytes = self.written.iter().map(|pack| pack.bytes).sum();
        monitor.report(Progress::BytesNew(bytes));
        Ok(self.written)
    }
}
