//! Writes one snapshot.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;

use super::domain::{DomainStore, NAME_SEAL, bucket, chain, ids_hold_parent, recent};
use super::names::Interned;
use super::types::{Loss, SnapshotInfo};
use super::usage::Holding;
use super::{Inner, StoreError, to_millis};
use crate::catalogue::{IdRule, ObjectType};
use crate::chunk::{ChunkBuilder, Compressor, Key, Names};
use crate::id::{DomainId, PackId, SnapshotId};
use crate::index::{
    self, AppliedType, IndexError, NameText, NewVersion, PackRow, SnapshotRow, Space, Version,
};
use crate::keys::{EpochKeys, KeyError};
use crate::monitor::{Monitor, Progress};
use crate::object::{Batch, Canonical, Coverage, Keys, Object, Sink};
use crate::pack::{Kind, PackWriter};
use crate::record::{KeyList, Observations, Parts, Record, Run, put_delta};

mod log;
mod numbers;
mod pending;

use log::{Content, Entry, Log, What};
use numbers::Numbers;
use pending::Pending;

/// Rows that are handed to the index at once.
const ROWS_AT_ONCE: usize = 4096;

/// After this many relations of one parent, given one by one, all that the parent snapshot has under it are looked up.
const SINGLES_MAX: u32 = 64;

/// Writes one snapshot: takes the objects of an org as a [`Sink`], keeps what differs from the newest snapshot.
///
/// Memory: one chunk per type being read, one pack, two to eleven bytes for each object that changed (see `Log`), some 60 for each new
/// id, and what moves by itself of the types that are listed as a whole, compressed. The record and the rows of the index are written
/// from these as they stand, type by type. Measured with the objects of
/// 100,000 users in files: a first backup takes 42 MiB above what the process had (109 MiB with a list of entries of 28 bytes,
/// boxed ids and a record of structures), one without changes 18 MiB. Dropped without [`finish`](Self::finish), nothing is recorded; packs written so far are
/// garbage that no record names.
///
/// A type that is never ended is carried forward, and has no coverage in the snapshot.
pub struct SnapshotWriter<'m> {
    store: DomainStore,
    monitor: &'m dyn Monitor,
    id: SnapshotId,
    created_at: i64,
    parent: Option<SnapshotRow>,
    ids: NewIds,
    types: BTreeMap<ObjectType, TypeState>,
    /// Where each chunk of this snapshot lies: pack by its place in `packs`, and place in it. `None` until it is sealed.
    chunks: Vec<Option<(usize, usize)>>,
    /// The chunks of earlier snapshots that this one names again: pack, and place in it.
    earlier: Vec<(PackId, usize)>,
    pack: Option<PackWriter>,
    packs: Vec<PackRow>,
    compressor: Compressor,
    singles: Option<Singles>,
    /// The packs that prune must leave alone.
    holding: Holding,
    _writing: Writing,
}

impl fmt::Debug for SnapshotWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SnapshotWriter({})", self.id)
    }
}

/// The ids that this snapshot adds to those of the domain.
#[derive(Debug, Default)]
struct NewIds {
    first: u32,
    ids: Interned,
    /// The places of those that are names.
    names: HashSet<usize>,
}

impl NewIds {
    /// The ids with whether they are names, in the order of their numbers.
    fn iter(&self) -> impl Iterator<Item = (&str, bool)> {
        let ids = self.ids.iter().enumerate();
        ids.map(|(place, id)| (id, self.names.contains(&place)))
    }
}

/// A bucket of observations is written as a whole when more than one in so many of its rows are otherwise than when it last was.
const RECENT_SHARE: usize = 4;

/// The rows that are otherwise than in a bucket as it was written, in order of the keys; those that are no longer there have no bytes.
fn changed_since<'a>(
    whole: &BTreeMap<Key, Vec<u8>>,
    rows: &[(Key, &'a [u8])],
) -> Vec<(Key, &'a [u8])> {
    let there: BTreeMap<Key, &[u8]> = rows.iter().copied().collect();
    let gone = whole.keys().filter(|key| !there.contains_key(key));
    let mut changed: Vec<(Key, &[u8])> = rows
        .iter()
        .filter(|(key, observed)| whole.get(key).is_none_or(|whole| whole != observed))
        .copied()
        .chain(gone.map(|key| (*key, &[][..])))
        .collect();
    changed.sort_unstable_by_key(|(key, _)| *key);
    changed
}

/// What a relation says beyond the numbers of its two ends.
#[derive(Debug, Clone, Copy, Default)]
struct Said<'a> {
    text: Text<'a>,
    observed: &'a [u8],
}

/// A body, with the ids that may stand in it: its object's own, or its key under the parent, and the parent's.
#[derive(Debug, Clone, Copy, Default)]
struct Text<'a> {
    own_id: &'a str,
    parent_id: &'a str,
    body: &'a [u8],
}

/// Relations of one parent that are given one by one.
#[derive(Debug)]
struct Singles {
    object_type: ObjectType,
    parent: u32,
    given: u32,
    /// What the parent snapshot has under the parent, in order of the keys; once enough were given.
    before: Option<Vec<(u32, Option<i64>)>>,
}

/// The fingerprint of a version; the outer `None`: there is no version, the inner: it has no body.
type KnownFingerprint = Option<Option<i64>>;

/// A version of the parent snapshot, as far as it is compared. There is one for each object of a type that is listed as a whole: 12 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Before {
    parent: u32,
    fingerprint: [u8; 8],
}

/// What has been read of one type.
#[derive(Debug, Default)]
struct TypeState {
    space: Option<Space>,
    /// For types whose ids do not hold their parent: all objects of the parent snapshot, by their numbers.
    before: HashMap<u32, Before>,
    /// For those types: the objects that were given, or are known to be gone.
    decided: Numbers,
    /// For types whose ids hold their parent: the parents of which something was given, and those that were listed.
    touched: HashSet<u32>,
    listed: HashSet<u32>,
    log: Log,
    builder: Option<(u32, ChunkBuilder)>,
    /// What moves by itself, of types that are listed as a whole.
    observed: Pending,
    /// The buckets of observations that changed: the chunk of this snapshot, and the digest.
    buckets: BTreeMap<u32, (u32, [u8; 16])>,
    coverage: Option<Coverage>,
}

/// The right to write snapshots of one domain: there is at most one in a store.
#[derive(Debug)]
struct Writing {
    inner: Arc<Inner>,
    domain: DomainId,
}

impl Writing {
    fn take(inner: &Arc<Inner>, domain: DomainId) -> Result<Self, StoreError> {
        let mut writing = inner.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if writing.insert(domain) {
            Ok(Self {
                inner: Arc::clone(inner),
                domain,
            })
        } else {
            Err(StoreError::Busy)
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let writing = self.inner.writing.lock();
        writing
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.domain);
    }
}

impl<'m> SnapshotWriter<'m> {
    pub(super) fn begin(
        store: DomainStore,
        monitor: &'m dyn Monitor,
        created_at: Timestamp,
    ) -> Result<Self, StoreError> {
        let writing = Writing::take(&store.shared.inner, store.shared.domain)?;
        let first = store.shared.names().next();
        let mut writer = Self {
            id: SnapshotId::random().map_err(KeyError::from)?,
            created_at: to_millis(created_at),
            parent: None,
            ids: NewIds {
                first,
                ..NewIds::default()
            },
            types: BTreeMap::new(),
            chunks: Vec::new(),
            earlier: Vec::new(),
            pack: None,
            packs: Vec::new(),
            compressor: Compressor::new().map_err(StoreError::Compress)?,
            singles: None,
            holding: Holding::new(&store.shared.inner),
            store,
            monitor,
            _writing: writing,
        };
        writer.take_up()?;
        Ok(writer)
    }

    /// Takes up where the newest snapshot ended, also if the index had not seen it yet.
    fn take_up(&mut self) -> Result<(), StoreError> {
        self.store.shared.load_names()?;
        self.store.catch_up()?;
        let shared = &self.store.shared;
        self.ids.first = shared.names().next();
        self.parent = index::newest_snapshot(&shared.inner.index.read(), shared.domain)?;
        if let Some(parent) = &self.parent {
            self.created_at = self.created_at.max(parent.created_at + 1);
        }
        Ok(())
    }

    /// The id that the snapshot will have.
    #[must_use]
    pub fn id(&self) -> SnapshotId {
        self.id
    }

    fn epoch(&self) -> Result<&EpochKeys, StoreError> {
        self.store
            .shared
            .keys
            .newest()
            .ok_or(StoreError::Key(KeyError::NotSealed))
    }

    fn number(&self, id: &str) -> Option<u32> {
        self.store.shared.names().number(id).or_else(|| {
            let place = u32::try_from(self.ids.ids.find(id)?).ok()?;
            self.ids.first.checked_add(place)
        })
    }

    /// The number of an id, which is a new one if the id is.
    fn intern(&mut self, id: &str, is_name: bool) -> Result<u32, StoreError> {
        if let Some(number) = self.number(id) {
            return Ok(number);
        }
        let place = self.ids.ids.len();
        let count = u32::try_from(place).ok();
        let number = count.and_then(|count| self.ids.first.checked_add(count));
        let number = number
            .filter(|number| *number < u32::MAX && self.ids.ids.has_room(id))
            .ok_or(StoreError::TooMany { what: "ids" })?;
        if is_name || !looks_like_an_id(id) {
            self.ids.names.insert(place);
        }
        self.ids.ids.push(id);
        Ok(number)
    }

    fn key(&mut self, object: Object<'_>) -> Result<Key, StoreError> {
        let object_type = object.object_type;
        let is_name = matches!(object_type.entry().id, IdRule::Nested(_));
        if ids_hold_parent(object_type) {
            let (parent, key) = object
                .id
                .split_once('/')
                .ok_or(StoreError::BadId { object_type })?;
            return Ok(Key {
                parent: self.intern(parent, false)?,
                key: self.intern(key, false)?,
            });
        }
        let parent = if object_type.has_parent() {
            let parent = object.parent.ok_or(StoreError::BadId { object_type })?;
            self.intern(parent, false)?
        } else {
            0
        };
        Ok(Key {
            parent,
            key: self.intern(object.id, is_name)?,
        })
    }

    /// Whether an id was not known before this snapshot.
    fn is_new(&self, number: u32) -> bool {
        number >= self.ids.first
    }

    /// What has been read of a type; made when it is first given.
    fn state(&mut self, object_type: ObjectType) -> Result<&mut TypeState, StoreError> {
        if !self.types.contains_key(&object_type) {
            let shared = &self.store.shared;
            let mut state = TypeState::default();
            let count = self.count_before(object_type);
            let read = shared.inner.index.read();
            state.space = index::space(&read, shared.domain, object_type.code())?;
            if let Some(space) = state.space.filter(|_| !ids_hold_parent(object_type)) {
                state
                    .before
                    .reserve(usize::try_from(count).unwrap_or_default());
                index::open_versions(&read, space, &mut |version| {
                    // Only relations are without a body, and their ids hold their parents.
                    let before = Before {
                        parent: version.key.parent,
                        fingerprint: fingerprint(&version).unwrap_or_default().to_le_bytes(),
                    };
                    state.before.insert(version.key.key, before);
                })?;
            }
            drop(read);
            self.types.insert(object_type, state);
        }
        Ok(self.types.entry(object_type).or_default())
    }

    /// Takes an object of a type whose ids do not hold their parent.
    fn whole(&mut self, object: Object<'_>) -> Result<(), StoreError> {
        let object_type = object.object_type;
        let key = self.key(object)?;
        let state = self.state(object_type)?;
        let again = !state.decided.insert(key.key);
        state
            .observed
            .put(bucket(object_type, key), key, object.observed)
            .map_err(StoreError::Compress)?;
        let before = state.before.get(&key.key).copied();
        let here = before.filter(|before| before.parent == key.parent);
        if let (Some(before), None) = (before, here) {
            state.log.push(Entry::of(
                Key {
                    parent: before.parent,
                    key: key.key,
                },
                What::Gone,
                true,
            ));
        }
        self.compare_and_put(
            object_type,
            key,
            here.map(|before| Some(i64::from_le_bytes(before.fingerprint))),
            Text {
                own_id: object.id,
                parent_id: object
                    .parent
                    .filter(|_| key.parent != 0)
                    .unwrap_or_default(),
                body: object.body,
            },
            again,
        )
    }

    /// Notes what became of an object: nothing if it is as before, unless `again` says that it was given before.
    fn compare_and_put(
        &mut self,
        object_type: ObjectType,
        key: Key,
        before: KnownFingerprint,
        text: Text<'_>,
        again: bool,
    ) -> Result<(), StoreError> {
        let had = before.is_some();
        let keys = &self.store.shared.keys;
        let has_body = !text.body.is_empty();
        let fingerprint = has_body.then(|| keys.content_id(text.body).fingerprint());
        let (what, content) = match fingerprint {
            _ if before == Some(fingerprint) => (What::Same, Content::default()),
            None => (What::Related, Content::default()),
            Some(fingerprint) => {
                let (what, (chunk, ordinal)) =
                    match self.known_content(object_type, key, fingerprint)? {
                        Some(place) => (What::Back, place),
                        None => (What::Put, self.put_body(object_type, key, text)?),
                    };
                let content = Content {
                    chunk,
                    ordinal,
                    fingerprint,
                };
                (what, content)
            }
        };
        if what != What::Same || again {
            self.state(object_type)?.log.push(Entry {
                key,
                what,
                had,
                content,
            });
        }
        Ok(())
    }

    /// Where the store has the same content of the same object from an earlier time: the place in `earlier`, and the row.
    ///
    /// Chunks are kept by their packs' ids: the index may be rebuilt, and number them anew, before this snapshot is finished.
    fn known_content(
        &mut self,
        object_type: ObjectType,
        key: Key,
        fingerprint: i64,
    ) -> Result<Option<(u32, u16)>, StoreError> {
        if self.is_new(key.key) || self.is_new(key.parent) {
            return Ok(None);
        }
        let Some(space) = self.state(object_type)?.space else {
            return Ok(None);
        };
        let found = {
            let read = self.store.shared.inner.index.read();
            let place = index::versions_of(&read, space, key)?
                .iter()
                .filter_map(|version| version.body)
                .find(|(_, known)| *known == fingerprint)
                .map(|(place, _)| place);
            match place {
                Some(place) => index::chunk(&read, place.chunk())?
                    .map(|row| ((row.pack, row.place), place.ordinal())),
                None => None,
            }
        };
        let Some((chunk, ordinal)) = found else {
            return Ok(None);
        };
        // Mostly the same chunk again, or none at all.
        let known = self.earlier.iter().rposition(|known| *known == chunk);
        let at = known.unwrap_or(self.earlier.len());
        if known.is_none() {
            if !self.holding.hold(chunk.0) {
                return Ok(None);
            }
            self.earlier.push(chunk);
        }
        let at = u32::try_from(at).map_err(|_| StoreError::TooMany { what: "chunks" })?;
        Ok(Some((at, ordinal)))
    }

    fn put_body(
        &mut self,
        object_type: ObjectType,
        key: Key,
        text: Text<'_>,
    ) -> Result<(u32, u16), StoreError> {
        if self.state(object_type)?.builder.is_none() {
            let chunk = self.new_chunk()?;
            self.state(object_type)?.builder = Some((chunk, ChunkBuilder::default()));
        }
        let state = self.state(object_type)?;
        let (chunk, builder) = state.builder.get_or_insert_default();
        let ordinal = u16::try_from(builder.rows().len())
            .map_err(|_| StoreError::TooMany { what: "rows" })?;
        builder.push(key, text.own_id, text.parent_id, text.body);
        let (chunk, is_full) = (*chunk, builder.is_full());
        if is_full && let Some((chunk, builder)) = state.builder.take() {
            self.seal_chunk(chunk, builder, Kind::Objects, object_type)?;
        }
        Ok((chunk, ordinal))
    }

    fn push_row(&self, builder: &mut ChunkBuilder, key: Key, body: &[u8]) {
        let names = self.store.shared.names();
        let name = |number: u32| {
            names.name(number).or_else(|| {
                let place = usize::try_from(number.checked_sub(self.ids.first)?).ok()?;
                self.ids.ids.get(place)
            })
        };
        builder.push(
            key,
            name(key.key).unwrap_or_default(),
            name(key.parent).unwrap_or_default(),
            body,
        );
    }

    /// Takes a number for a chunk that is still to be sealed.
    fn new_chunk(&mut self) -> Result<u32, StoreError> {
        let number =
            u32::try_from(self.chunks.len()).map_err(|_| StoreError::TooMany { what: "chunks" })?;
        self.chunks.push(None);
        Ok(number)
    }

    fn seal_chunk(
        &mut self,
        number: u32,
        builder: ChunkBuilder,
        kind: Kind,
        object_type: ObjectType,
    ) -> Result<(), StoreError> {
        let rows = builder.rows().len();
        let bytes = builder.finish_by(&mut self.compressor);
        let bytes = bytes.map_err(StoreError::Compress)?;
        let mut pack = match self.pack.take() {
            Some(pack) => pack,
            None => PackWriter::new(self.store.shared.domain, self.epoch()?.number)?,
        };
        let place = pack.add(self.epoch()?, kind, object_type.code(), rows, &bytes)?;
        let pack_place = self.packs.len();
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        if let Some(chunk) = self.chunks.get_mut(at) {
            *chunk = Some((pack_place, place));
        }
        if pack.is_full() {
            return self.put_pack(pack);
        }
        self.pack = Some(pack);
        Ok(())
    }

    fn put_pack(&mut self, pack: PackWriter) -> Result<(), StoreError> {
        let id = pack.id();
        self.holding.hold(id);
        let (blob, entries) = pack.finish(self.epoch()?)?;
        let bytes = blob.as_bytes().len() as u64;
        self.store
            .shared
            .inner
            .blobs
            .put(&self.store.shared.pack_name(id), &blob)?;
        self.packs.push(PackRow {
            id,
            epoch: self.epoch()?.number,
            bytes,
            entries,
        });
        self.monitor.report(Progress::BytesNew(bytes));
        Ok(())
    }

    /// Takes all objects under one parent, of a type whose ids hold their parent.
    fn relations<'o>(
        &mut self,
        object_type: ObjectType,
        parent: &'o str,
        children: impl ExactSizeIterator<Item = Object<'o>>,
    ) -> Result<(), StoreError> {
        let parent_number = self.intern(parent, false)?;
        let mut keys = Vec::with_capacity(children.len());
        let mut said = Vec::with_capacity(children.len());
        for child in children {
            let rest = child.id.strip_prefix(parent);
            let key = rest.and_then(|rest| rest.strip_prefix('/'));
            let key = key.filter(|_| child.object_type == object_type);
            let key = key.ok_or(StoreError::BadId { object_type })?;
            keys.push(key);
            said.push(Said {
                text: Text {
                    own_id: key,
                    parent_id: parent,
                    body: child.body,
                },
                observed: child.observed,
            });
        }
        let numbers = self.intern_all(&keys)?;
        let mut given: Vec<(u32, usize)> = numbers.into_iter().zip(0..).collect();
        // Of what is given twice the last one counts.
        given.sort_unstable_by(|(a, at), (b, bt)| a.cmp(b).then(bt.cmp(at)));
        given.dedup_by_key(|(key, _)| *key);
        let given = given
            .into_iter()
            .map(|(key, at)| (key, said.get(at).copied().unwrap_or_default()))
            .collect();
        self.relations_under(object_type, parent_number, given)
    }

    /// The numbers of many ids that are no names; new ones for those that are new.
    fn intern_all(&mut self, ids: &[&str]) -> Result<Vec<u32>, StoreError> {
        let mut numbers = self.store.shared.names().numbers(ids);
        let first = self.ids.first;
        self.ids.ids.find_all(ids, |at, place| {
            if let Some(number @ None) = numbers.get_mut(at) {
                let place = u32::try_from(place).ok();
                *number = place.and_then(|place| first.checked_add(place));
            }
        });
        let all = numbers.into_iter().zip(ids);
        all.map(|(number, id)| number.map_or_else(|| self.intern(id, false), Ok))
            .collect()
    }

    /// As [`relations`](Self::relations), by numbers: each once, in order.
    fn relations_under(
        &mut self,
        object_type: ObjectType,
        parent: u32,
        given: Vec<(u32, Said<'_>)>,
    ) -> Result<(), StoreError> {
        let new_parent = self.is_new(parent);
        let state = self.state(object_type)?;
        let again = !state.touched.insert(parent);
        state.listed.insert(parent);
        let space = state.space.filter(|_| !new_parent);
        let mut gone: BTreeMap<u32, bool> = BTreeMap::new();
        if again {
            let earlier = state.log.under(parent);
            gone.extend(earlier.map(|entry| (entry.key.key, entry.had)));
        }
        let before = match space {
            Some(space) => index::open_under(&self.store.shared.inner.index.read(), space, parent)?,
            None => Vec::new(),
        };
        let mut left = given.iter().map(|(key, _)| *key).peekable();
        for version in &before {
            while left.next_if(|key| *key < version.key.key).is_some() {}
            if left.peek() != Some(&version.key.key) {
                gone.insert(version.key.key, true);
            }
        }
        let is_given = |key: &u32| given.binary_search_by_key(key, |(given, _)| *given).is_ok();
        let state = self.state(object_type)?;
        for (key, had) in gone.into_iter().filter(|(key, _)| !is_given(key)) {
            state
                .log
                .push(Entry::of(Key { parent, key }, What::Gone, had));
        }
        let rows: Vec<(Key, &[u8])> = given
            .iter()
            .filter(|(_, said)| !said.observed.is_empty())
            .map(|(key, said)| (Key { parent, key: *key }, said.observed))
            .collect();
        self.observe(object_type, parent, &rows)?;
        let mut before = before.iter().peekable();
        for (key, said) in given {
            while before.next_if(|version| version.key.key < key).is_some() {}
            let known = before.next_if(|version| version.key.key == key);
            self.compare_and_put(
                object_type,
                Key { parent, key },
                known.map(fingerprint),
                said.text,
                again,
            )?;
        }
        Ok(())
    }

    /// Takes one object of a type whose ids hold their parent. What moves by itself is left as it was.
    fn relation(&mut self, object: Object<'_>) -> Result<(), StoreError> {
        let key = self.key(object)?;
        let before = self.open_relation(object.object_type, key)?;
        let state = self.state(object.object_type)?;
        state.touched.insert(key.parent);
        let (parent_id, own_id) = object.id.split_once('/').unwrap_or_default();
        let text = Text {
            own_id,
            parent_id,
            body: object.body,
        };
        self.compare_and_put(object.object_type, key, before, text, true)
    }

    fn open_relation(
        &mut self,
        object_type: ObjectType,
        key: Key,
    ) -> Result<KnownFingerprint, StoreError> {
        let Some(space) = self.state(object_type)?.space else {
            return Ok(None);
        };
        let read = self.store.shared.inner.index.read();
        let of_parent = |singles: &&mut Singles| {
            (singles.object_type, singles.parent) == (object_type, key.parent)
        };
        let Some(singles) = self.singles.as_mut().filter(of_parent) else {
            self.singles = Some(Singles {
                object_type,
                parent: key.parent,
                given: 1,
                before: None,
            });
            let version = index::open_one(&read, space, key)?;
            return Ok(version.as_ref().map(fingerprint));
        };
        singles.given = singles.given.saturating_add(1);
        if singles.given == SINGLES_MAX {
            let under = index::open_under(&read, space, key.parent)?;
            let under = under
                .iter()
                .map(|found| (found.key.key, fingerprint(found)));
            singles.before = Some(under.collect());
        }
        if let Some(before) = &singles.before {
            let found = before.binary_search_by_key(&key.key, |(key, _)| *key);
            return Ok(found.ok().and_then(|at| before.get(at)).map(|(_, of)| *of));
        }
        let version = index::open_one(&read, space, key)?;
        Ok(version.as_ref().map(fingerprint))
    }

    /// Keeps the observations of a bucket, in order of the keys, if they are not those that the store has.
    ///
    /// Where few of them are otherwise than when the bucket was last written as a whole, only those are written, in the bucket beside it.
    fn observe(
        &mut self,
        object_type: ObjectType,
        bucket: u32,
        rows: &[(Key, &[u8])],
    ) -> Result<(), StoreError> {
        let digest = self.digest(rows);
        let beside = recent(bucket);
        let space = self.state(object_type)?.space;
        let known = |bucket: Option<u32>| -> Result<Option<[u8; 16]>, StoreError> {
            let (Some(space), Some(bucket)) = (space, bucket) else {
                return Ok(None);
            };
            let read = self.store.shared.inner.index.read();
            Ok(index::observation(&read, space, bucket)?.map(|(_, digest)| digest))
        };
        let base = known(Some(bucket))?;
        let newer = known(beside)?;
        let buckets = &mut self.state(object_type)?.buckets;
        let mut pending = vec![(Some(bucket), buckets.remove(&bucket))];
        pending.push((beside, beside.and_then(|beside| buckets.remove(&beside))));
        let unchanged = match base {
            Some(base) => newer.unwrap_or(base) == digest,
            None => rows.is_empty(),
        };
        if unchanged {
            return Ok(());
        }
        let is_pending = |(_, pending): &(_, Option<(u32, [u8; 16])>)| {
            pending.is_some_and(|(_, pending)| pending == digest)
        };
        if pending.iter().any(is_pending) {
            let pending = pending.into_iter().filter_map(|(at, what)| at.zip(what));
            buckets.extend(pending);
            return Ok(());
        }
        if let (Some(space), Some(beside), Some(_)) = (space, beside, base) {
            let whole = self.store.shared.observed_base(space, bucket)?;
            let changed = changed_since(&whole, rows);
            if changed.len() * RECENT_SHARE <= rows.len() {
                return self.write_bucket(object_type, beside, &changed, digest);
            }
        }
        self.write_bucket(object_type, bucket, rows, digest)?;
        match beside.filter(|_| newer.is_some()) {
            Some(beside) => self.write_bucket(object_type, beside, &[], digest),
            None => Ok(()),
        }
    }

    /// Writes these rows as those of a bucket; the digest is that of all that is observed with them.
    fn write_bucket(
        &mut self,
        object_type: ObjectType,
        bucket: u32,
        rows: &[(Key, &[u8])],
        digest: [u8; 16],
    ) -> Result<(), StoreError> {
        let mut builder = ChunkBuilder::default();
        for (key, observed) in rows {
            self.push_row(&mut builder, *key, observed);
        }
        let chunk = self.new_chunk()?;
        self.seal_chunk(chunk, builder, Kind::Observations, object_type)?;
        self.state(object_type)?
            .buckets
            .insert(bucket, (chunk, digest));
        Ok(())
    }

    fn digest(&self, rows: &[(Key, &[u8])]) -> [u8; 16] {
        let mut bytes = Vec::new();
        for (key, observed) in rows {
            bytes.extend_from_slice(&key.parent.to_le_bytes());
            bytes.extend_from_slice(&key.key.to_le_bytes());
            bytes.extend_from_slice(observed);
        }
        self.store.shared.keys.digest(&bytes)
    }

    /// Keeps the observations of the types that are listed as a whole, by buckets.
    fn observe_whole(&mut self, object_type: ObjectType) -> Result<(), StoreError> {
        let state = self.state(object_type)?;
        let observed = std::mem::take(&mut state.observed);
        let firsts = state.decided.firsts();
        let decided: BTreeSet<u32> = firsts
            .map(|key| bucket(object_type, Key { parent: 0, key }))
            .collect();
        let space = state.space;
        let mut buckets = observed.buckets();
        buckets.extend(decided);
        for bucket in buckets {
            let mut rows = observed.rows(bucket).map_err(StoreError::Compress)?;
            if let Some(space) = space {
                let shared = &self.store.shared;
                let kept = shared.observations(space, bucket)?.all(shared);
                let state = self.state(object_type)?;
                rows.extend(kept.into_iter().filter(|(key, _)| {
                    state.before.contains_key(&key.key) && !state.decided.contains(key.key)
                }));
            }
            let rows: Vec<(Key, &[u8])> = rows
                .iter()
                .map(|(key, bytes)| (*key, bytes.as_slice()))
                .collect();
            self.observe(object_type, bucket, &rows)?;
        }
        Ok(())
    }

    /// Takes one object.
    fn take(&mut self, object: Object<'_>) -> Result<(), StoreError> {
        if ids_hold_parent(object.object_type) {
            self.relation(object)
        } else {
            self.whole(object)
        }
    }

    /// Takes all objects of a type under one parent.
    fn take_list<'o>(
        &mut self,
        object_type: ObjectType,
        parent: &'o str,
        children: impl ExactSizeIterator<Item = Object<'o>>,
    ) -> Result<(), StoreError> {
        if ids_hold_parent(object_type) {
            return self.relations(object_type, parent, children);
        }
        let parent = self.intern(parent, false)?;
        let mut given = HashSet::new();
        for child in children {
            let key = self.key(child)?;
            if child.object_type != object_type || key.parent != parent {
                return Err(StoreError::BadId { object_type });
            }
            given.insert(key.key);
            self.whole(child)?;
        }
        let state = self.state(object_type)?;
        let before = state
            .before
            .iter()
            .filter(|(_, before)| before.parent == parent)
            .map(|(key, _)| (*key, true));
        let earlier = state.log.under(parent);
        let earlier = earlier.map(|entry| (entry.key.key, entry.had));
        let gone: BTreeMap<u32, bool> = earlier
            .chain(before)
            .filter(|(key, _)| !given.contains(key))
            .collect();
        for (key, had) in gone {
            state.decided.insert(key);
            let forgotten = state
                .observed
                .forget(bucket(object_type, Key { parent, key }), key);
            forgotten.map_err(StoreError::Compress)?;
            state
                .log
                .push(Entry::of(Key { parent, key }, What::Gone, had));
        }
        Ok(())
    }

    /// Ends what lives under objects that are gone, of the types that were read completely.
    ///
    /// An object may go after its children were listed. Of a type that was not read completely, children are carried
    /// forward even where their parent is gone.
    fn end_orphans(&mut self) -> Result<(), StoreError> {
        let mut parents: Vec<ObjectType> = self.types.keys().copied().collect();
        while let Some(parent) = parents.pop() {
            let mut gone = HashSet::new();
            let state = self.types.get(&parent);
            let state = state.filter(|_| parent.children().next().is_some());
            if let Some(state) = state.filter(|state| state.log.has_gone()) {
                let words = || state.log.last_words();
                let is_gone = |entry: &Entry| entry.what == What::Gone;
                gone.extend(words().filter(is_gone).map(|entry| entry.key.key));
                for entry in words().filter(|entry| !is_gone(entry)) {
                    gone.remove(&entry.key.key);
                }
            }
            if gone.is_empty() {
                continue;
            }
            for child in parent.children() {
                let state = self.types.get(&child);
                if state.is_some_and(|state| state.coverage == Some(Coverage::Complete))
                    && self.end_under(child, &gone)?
                {
                    parents.push(child);
                }
            }
        }
        Ok(())
    }

    /// Ends what lives under some parents, of one type; whether there was something.
    fn end_under(
        &mut self,
        object_type: ObjectType,
        parents: &HashSet<u32>,
    ) -> Result<bool, StoreError> {
        let store = self.store.clone();
        let state = self.state(object_type)?;
        let mut open: BTreeMap<Key, bool> = BTreeMap::new();
        if ids_hold_parent(object_type) {
            if let Some(space) = state.space {
                let read = store.shared.inner.index.read();
                for parent in parents {
                    let versions = index::open_under(&read, space, *parent)?;
                    open.extend(versions.iter().map(|version| (version.key, true)));
                }
            }
        } else {
            let before = state.before.iter();
            open.extend(
                before
                    .filter(|(_, before)| parents.contains(&before.parent))
                    .map(|(key, before)| {
                        let parent = before.parent;
                        (Key { parent, key: *key }, true)
                    }),
            );
        }
        let under = |entry: &Entry| parents.contains(&entry.key.parent);
        for entry in state.log.last_words().filter(under) {
            if entry.what == What::Gone {
                open.remove(&entry.key);
            } else {
                open.insert(entry.key, entry.had);
            }
        }
        for parent in parents {
            let forgotten = state.observed.forget_under(*parent);
            forgotten.map_err(StoreError::Compress)?;
        }
        let ended = !open.is_empty();
        for (key, had) in open {
            if !ids_hold_parent(object_type) {
                state.decided.insert(key.key);
            }
            state.log.push(Entry::of(key, What::Gone, had));
        }
        Ok(ended)
    }

    /// What this snapshot loses against its parent, by type: what is to be known before it is finished.
    ///
    /// # Errors
    ///
    /// When the index fails.
    pub fn losses(&mut self) -> Result<Vec<Loss>, StoreError> {
        self.end_orphans()?;
        let mut losses = Vec::new();
        let with_gone = |(_, state): &(_, &TypeState)| state.log.has_gone();
        for (object_type, state) in self.types.iter().filter(with_gone) {
            let gone = state
                .log
                .last_words()
                .filter(|entry| entry.had && entry.what == What::Gone)
                .count() as u64;
            if gone > 0 {
                losses.push(Loss {
                    object_type: *object_type,
                    before: self.count_before(*object_type),
                    gone,
                });
            }
        }
        Ok(losses)
    }

    /// The ids that the parent snapshot has of a type that has no parent, and that were neither given nor said to be gone.
    ///
    /// # Errors
    ///
    /// When the index fails.
    pub fn missing(&mut self, object_type: ObjectType) -> Result<Vec<String>, StoreError> {
        let store = self.store.clone();
        let state = self.state(object_type)?;
        let before = state.before.keys().copied();
        let mut missing: Vec<u32> = before.filter(|key| !state.decided.contains(*key)).collect();
        missing.sort_unstable();
        let names = store.shared.names();
        let ids = missing.into_iter().filter_map(|key| names.name(key));
        Ok(ids.map(str::to_owned).collect())
    }

    fn count_before(&self, object_type: ObjectType) -> u64 {
        let counts = self.parent.as_ref().map(|parent| &parent.counts);
        counts
            .and_then(|counts| counts.get(&object_type.code()))
            .copied()
            .unwrap_or_default()
    }

    /// Ends the snapshot: when this returns, it exists and is durable.
    ///
    /// `as_of` is the moment whose state it is; `watermark` is opaque and given back by [`DomainStore::log_position`].
    ///
    /// # Errors
    ///
    /// When the storage or the index fails. Where the record had become durable before, the snapshot exists all the same, and is read in
    /// when the domain is next opened or written to.
    pub fn finish(
        mut self,
        as_of: Timestamp,
        watermark: Vec<u8>,
    ) -> Result<SnapshotInfo, StoreError> {
        self.end_orphans()?;
        let object_types: Vec<ObjectType> = self.types.keys().copied().collect();
        for object_type in object_types {
            self.observe_whole(object_type)?;
            if let Some((chunk, builder)) = self.state(object_type)?.builder.take() {
                self.seal_chunk(chunk, builder, Kind::Objects, object_type)?;
            }
        }
        if let Some(pack) = self.pack.take() {
            self.put_pack(pack)?;
        }
        let mut packs = PackTable {
            packs: self
                .packs
                .iter()
                .map(|pack| (pack.id, pack.bytes))
                .collect(),
        };
        let mut counts = self
            .parent
            .as_ref()
            .map(|parent| parent.counts.clone())
            .unwrap_or_default();
        let mut coverage = BTreeMap::new();
        let mut changed = Vec::new();
        let mut types = Vec::new();
        let mut changes = 0;
        for (object_type, state) in std::mem::take(&mut self.types) {
            let code = object_type.code();
            let tally = self.put_type(code, &state, &mut packs, &mut types)?;
            changes += tally.changes;
            let read = state.coverage == Some(Coverage::Complete) || tally.added > 0;
            if read || counts.contains_key(&code) {
                let count = counts.entry(code).or_default();
                *count = (*count + tally.added).saturating_sub(tally.gone);
            }
            if let Some(found) = state.coverage {
                coverage.insert(code, found);
            }
            if tally.changes > 0 || !state.buckets.is_empty() {
                changed.push((code, state.log, state.buckets));
            }
        }
        let record = Record {
            sequence: self.parent.as_ref().map_or(0, |parent| parent.sequence) + 1,
            parent: self.parent.as_ref().map(|parent| parent.id),
            created_at: self.created_at,
            as_of: to_millis(as_of),
            watermark,
            ids_first: self.ids.first,
            ids: Vec::new(),
            packs: packs.packs,
            bytes_new: self.packs.iter().map(|pack| pack.bytes).sum(),
            coverage,
            counts,
            types: Vec::new(),
        };
        let shared = &self.store.shared;
        let blob = {
            let parts = Parts {
                ids_count: self.ids.ids.len(),
                ids: &|see| self.ids.iter().for_each(|(id, is_name)| see(id, is_name)),
                types_count: changed.len(),
                types: &types,
            };
            record.seal_parts(&shared.keys, shared.domain, self.id, &parts)?
        };
        drop(types);
        let record_bytes = blob.as_bytes().len() as u64;
        let row = shared.snapshot_row(self.id, &record, record_bytes, changes)?;
        {
            let _recording = shared.inner.recording();
            shared
                .inner
                .blobs
                .put(&format!("{}/records/{}", shared.domain, self.id), &blob)?;
            drop(blob);
            self.apply(&row, changed)?;
            let NewIds { first, ids, .. } = std::mem::take(&mut self.ids);
            shared.append_names(first, ids);
        }
        let info = SnapshotInfo::from(row);
        let shared = &self.store.shared;
        self.monitor.report(Progress::BytesNew(record_bytes));
        // The snapshot is there. A checkpoint makes it safer and can be written after the next one as well.
        match shared.put_checkpoint_if_due() {
            Ok(bytes) => self.monitor.report(Progress::BytesNew(bytes)),
            Err(error) => self.monitor.report(Progress::Warning(format!(
                "no checkpoint could be written after snapshot {}: {}",
                self.id,
                chain(&error)
            ))),
        }
        Ok(info)
    }

    fn chunk_place(&self, chunk: u32) -> Result<(PackId, usize), StoreError> {
        let place = usize::try_from(chunk)
            .ok()
            .and_then(|at| self.chunks.get(at).copied().flatten());
        place
            .and_then(|(pack, place)| Some((self.packs.get(pack)?.id, place)))
            .ok_or_else(|| StoreError::Mismatch {
                what: "a chunk that was not sealed".to_owned(),
            })
    }

    /// Where the content of an entry lies: the pack, the chunk by its place in it, the row.
    fn place(&self, entry: &Entry) -> Result<(PackId, usize, u16), StoreError> {
        let Content { chunk, ordinal, .. } = entry.content;
        let place = match entry.what {
            What::Put => Some(self.chunk_place(chunk)?),
            What::Back => usize::try_from(chunk)
                .ok()
                .and_then(|at| self.earlier.get(at).copied()),
            What::Related | What::Same | What::Gone => None,
        };
        let (pack, chunk) = place.ok_or_else(|| StoreError::Mismatch {
            what: "content that is nowhere".to_owned(),
        })?;
        Ok((pack, chunk, ordinal))
    }

    /// Adds what changed of a type to the record, if anything did.
    fn put_type(
        &self,
        type_code: u16,
        state: &TypeState,
        packs: &mut PackTable,
        out: &mut Vec<Vec<u8>>,
    ) -> Result<Tally, StoreError> {
        let mut tally = Tally::default();
        let (mut removed, mut related) = (KeyList::default(), KeyList::default());
        let mut runs = Runs::default();
        for entry in state.log.last_words().filter(is_change) {
            tally.changes += 1;
            match entry.what {
                What::Gone => {
                    tally.gone += 1;
                    removed.push(entry.key);
                }
                What::Related => {
                    tally.added += 1;
                    related.push(entry.key);
                }
                _ => {
                    tally.added += u64::from(!entry.had);
                    runs.add(self.place(&entry)?);
                }
            }
        }
        if tally.changes == 0 && state.buckets.is_empty() {
            return Ok(tally);
        }
        let runs = runs.finish();
        let runs = runs
            .into_iter()
            .map(|((pack, chunk, first), rows)| {
                Ok(Run {
                    pack: packs.place(pack, self)?,
                    chunk,
                    first,
                    rows,
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        let mut observations = Vec::with_capacity(state.buckets.len());
        for (bucket, (chunk, digest)) in &state.buckets {
            let (pack, chunk) = self.chunk_place(*chunk)?;
            observations.push(Observations {
                bucket: *bucket,
                pack: packs.place(pack, self)?,
                chunk,
                digest: *digest,
            });
        }
        put_delta(out, type_code, &runs, [removed, related], &observations);
        Ok(tally)
    }

    /// Writes the snapshot, whose record is durable, into the index: one transaction, some thousand rows at a time.
    fn apply(&self, row: &SnapshotRow, changed: Vec<Changed>) -> Result<(), StoreError> {
        let shared = &self.store.shared;
        let mut sealed = BTreeMap::new();
        for place in &self.ids.names {
            let text = self.ids.ids.get(*place).unwrap_or_default();
            sealed.insert(
                *place,
                shared.keys.seal_for_index(NAME_SEAL, text.as_bytes())?,
            );
        }
        // Where everything lies was found when the record was made.
        let nowhere = |_| IndexError::Broken {
            what: "no place for content that a record names",
        };
        Ok(shared.inner.index.transact(|transaction| {
            index::apply_head(transaction, row, self.ids.first, &[], &self.packs)?;
            let mut ids = self.ids.ids.iter().enumerate();
            let mut first = self.ids.first;
            loop {
                let names: Vec<NameText> = ids
                    .by_ref()
                    .take(ROWS_AT_ONCE)
                    .map(|(place, text)| match sealed.remove(&place) {
                        Some(sealed) => NameText::Sealed(sealed),
                        None => NameText::Clear(text.to_owned()),
                    })
                    .collect();
                if names.is_empty() {
                    break;
                }
                index::apply_names(transaction, shared.domain, first, &names)?;
                first = u32::try_from(names.len()).map_or(u32::MAX, |count| first + count);
            }
            for (code, log, buckets) in changed {
                let mut applied = AppliedType::of(code);
                for (bucket, (chunk, digest)) in buckets {
                    let (pack, chunk) = self.chunk_place(chunk).map_err(nowhere)?;
                    applied.observations.push((bucket, pack, chunk, digest));
                }
                let mut rows = 0;
                for entry in log.last_words().filter(is_change) {
                    match entry.what {
                        What::Gone => applied.removed.push(entry.key),
                        What::Related => applied.related.push(entry.key),
                        _ => {
                            let (pack, chunk, ordinal) = self.place(&entry).map_err(nowhere)?;
                            applied.put.push(NewVersion {
                                key: entry.key,
                                pack,
                                chunk,
                                ordinal,
                                fingerprint: entry.content.fingerprint,
                            });
                        }
                    }
                    rows += 1;
                    if rows % ROWS_AT_ONCE == 0 {
                        index::apply_type(transaction, shared.domain, row.sequence, &mut applied)?;
                        applied = AppliedType::of(code);
                    }
                }
                index::apply_type(transaction, shared.domain, row.sequence, &mut applied)?;
            }
            Ok(())
        })?)
    }
}

/// What changed of one type, once its part of the record is written: its code, its log and its buckets of observations.
type Changed = (u16, Log, BTreeMap<u32, (u32, [u8; 16])>);

/// How many objects of a type changed.
#[derive(Debug, Default)]
struct Tally {
    added: u64,
    gone: u64,
    changes: u64,
}

/// Whether the last word on an object is a change against the parent snapshot.
fn is_change(entry: &Entry) -> bool {
    match entry.what {
        What::Same => false,
        What::Related => !entry.had,
        What::Gone => entry.had,
        What::Put | What::Back => true,
    }
}

/// Rows of chunks, collected into runs: a pack, a chunk and the first row, with the number of rows.
#[derive(Debug, Default)]
struct Runs(Vec<((PackId, usize, usize), usize)>);

impl Runs {
    /// Adds a row: mostly it is the one after the last.
    fn add(&mut self, (pack, chunk, ordinal): (PackId, usize, u16)) {
        let row = (pack, chunk, usize::from(ordinal));
        match self.0.last_mut() {
            Some(((last, in_chunk, first), rows)) if (*last, *in_chunk, *first + *rows) == row => {
                *rows += 1;
            }
            _ => self.0.push((row, 1)),
        }
    }

    /// The runs in order, each as long as can be.
    fn finish(mut self) -> Vec<((PackId, usize, usize), usize)> {
        self.0.sort_unstable();
        self.0.dedup_by(|next, run| {
            let ((pack, chunk, first), rows) = run;
            let follows = next.0 == (*pack, *chunk, *first + *rows);
            if follows {
                *rows += next.1;
            }
            follows
        });
        self.0
    }
}

/// The packs that a record names, by their places in it.
struct PackTable {
    packs: Vec<(PackId, u64)>,
}

impl PackTable {
    fn place(&mut self, pack: PackId, writer: &SnapshotWriter<'_>) -> Result<usize, StoreError> {
        if let Some(place) = self.packs.iter().position(|(known, _)| *known == pack) {
            return Ok(place);
        }
        let shared = &writer.store.shared;
        let bytes = shared.inner.blobs.size(&shared.pack_name(pack))?;
        self.packs.push((pack, bytes));
        Ok(self.packs.len() - 1)
    }
}

fn fingerprint(version: &Version) -> Option<i64> {
    version.body.map(|(_, fingerprint)| fingerprint)
}

/// Whether a text has the form of the ids that Okta gives (20 letters and digits, some of them digits), and so is no name.
fn looks_like_an_id(text: &str) -> bool {
    text.len() == 20
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().any(|byte| byte.is_ascii_digit())
}

impl Sink for SnapshotWriter<'_> {
    type Error = StoreError;

    fn object(&mut self, object: Canonical) -> Result<(), StoreError> {
        self.take(object.as_object())
    }

    fn objects(&mut self, batch: &Batch) -> Result<(), StoreError> {
        batch.iter().try_for_each(|object| self.take(object))
    }

    fn list(&mut self, parent: &str, batch: &Batch) -> Result<(), StoreError> {
        self.take_list(batch.object_type(), parent, batch.iter())
    }

    fn children(
        &mut self,
        object_type: ObjectType,
        parent: &str,
        children: Vec<Canonical>,
    ) -> Result<(), StoreError> {
        self.take_list(
            object_type,
            parent,
            children.iter().map(Canonical::as_object),
        )
    }

    fn related(
        &mut self,
        object_type: ObjectType,
        parent: &str,
        keys: &Keys,
    ) -> Result<(), StoreError> {
        let parent = self.intern(parent, false)?;
        let keys: Vec<&str> = keys.iter().collect();
        let mut numbers = self.intern_all(&keys)?;
        numbers.sort_unstable();
        numbers.dedup();
        let given = numbers.into_iter().map(|key| (key, Said::default()));
        self.relations_under(object_type, parent, given.collect())
    }

    fn gone(&mut self, object_type: ObjectType, id: &str) -> Result<(), StoreError> {
        if ids_hold_parent(object_type) {
            let numbers = id
                .split_once('/')
                .and_then(|(parent, key)| Some((self.number(parent)?, self.number(key)?)));
            let Some((parent, key)) = numbers else {
                return Ok(());
            };
            let key = Key { parent, key };
            let had = self.open_relation(object_type, key)?.is_some();
            let state = self.state(object_type)?;
            state.touched.insert(key.parent);
            state.log.push(Entry::of(key, What::Gone, had));
            return Ok(());
        }
        let number = match self.number(id) {
            Some(number) => number,
            // Its children may still come.
            None if object_type.children().next().is_some() => self.intern(id, false)?,
            None => return Ok(()),
        };
        let state = self.state(object_type)?;
        state.decided.insert(number);
        let in_bucket = Key {
            parent: 0,
            key: number,
        };
        let forgotten = state
            .observed
            .forget(bucket(object_type, in_bucket), number);
        forgotten.map_err(StoreError::Compress)?;
        let before = state
            .before
            .get(&number)
            .map(|before| (before.parent, true));
        let earlier = state
            .log
            .iter()
            .filter(|entry| entry.key.key == number)
            .map(|entry| (entry.key.parent, entry.had));
        let mut gone: BTreeMap<u32, bool> = earlier.chain(before).collect();
        if gone.is_empty() && !object_type.has_parent() {
            gone.insert(0, false);
        }
        for (parent, had) in gone {
            state.log.push(Entry::of(
                Key {
                    parent,
                    key: number,
                },
                What::Gone,
                had,
            ));
        }
        Ok(())
    }

    fn end_type(&mut self, object_type: ObjectType, coverage: Coverage) -> Result<(), StoreError> {
        let complete = coverage == Coverage::Complete;
        let state = self.state(object_type)?;
        state.coverage = Some(coverage);
        if !complete {
            return Ok(());
        }
        if !ids_hold_parent(object_type) {
            for (key, before) in &state.before {
                if state.decided.insert(*key) {
                    let key = Key {
                        parent: before.parent,
                        key: *key,
                    };
                    state.log.push(Entry::of(key, What::Gone, true));
                }
            }
            return Ok(());
        }
        let Some(space) = state.space else {
            return Ok(());
        };
        let store = self.store.clone();
        let read = store.shared.inner.index.read();
        let state = self.types.entry(object_type).or_default();
        let given = state.log.iter().map(|entry| entry.key);
        let given: HashSet<Key> = given
            .filter(|key| !state.listed.contains(&key.parent))
            .collect();
        let mut parent = 0;
        while let Some(next) = index::next_parent(&read, space, parent)? {
            parent = next;
            if state.listed.contains(&parent) {
                continue;
            }
            state.touched.insert(parent);
            for version in index::open_under(&read, space, parent)? {
                if !given.contains(&version.key) {
                    state.log.push(Entry::of(version.key, What::Gone, true));
                }
            }
        }
        Ok(())
    }
}
