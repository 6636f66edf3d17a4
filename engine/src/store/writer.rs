//! Writes one snapshot.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;

use super::domain::{DomainStore, bucket, chain, ids_hold_parent};
use super::types::{Loss, SnapshotInfo};
use super::usage::Holding;
use super::{Inner, StoreError, to_millis};
use crate::catalogue::{IdRule, ObjectType};
use crate::chunk::{ChunkBuilder, Key, Names};
use crate::id::{DomainId, PackId, SnapshotId};
use crate::index::{self, AppliedType, NewVersion, PackRow, SnapshotRow, Space, Version};
use crate::keys::{EpochKeys, KeyError};
use crate::monitor::{Monitor, Progress};
use crate::object::{Canonical, Coverage, Sink};
use crate::pack::{Kind, PackWriter};
use crate::record::{NewId, Observations, Record, Run, TypeDelta};

/// Writes one snapshot: takes the objects of an org as a [`Sink`], keeps what differs from the newest snapshot.
///
/// Memory: one chunk per type being read, one pack, some bytes for each object that changed, and what moves by itself
/// of the types that are listed as a whole. Dropped without [`finish`](Self::finish), nothing is recorded; packs written so far are
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
#[derive(Debug)]
struct NewIds {
    first: u32,
    ids: Vec<NewId>,
    by_text: HashMap<Box<str>, u32>,
}

/// What happened to one object, as it was given. There is one for each new object of a first backup: 28 bytes.
#[derive(Debug, Clone, Copy)]
struct Entry {
    key: Key,
    what: What,
    /// Whether the parent snapshot has a version of it.
    had: bool,
    /// Where its content lies, if there is any.
    content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// It has new content, in a chunk of this snapshot.
    Put,
    /// It has content again that the store has from before, in a chunk by its place in [`SnapshotWriter::earlier`].
    Back,
    /// It is a relation without a body.
    Related,
    /// It is as the parent snapshot has it.
    Same,
    /// It is gone.
    Gone,
}

/// Where content lies, and its fingerprint: packed, so that an [`Entry`] stays small.
#[derive(Debug, Clone, Copy, Default)]
struct Content {
    chunk: u32,
    ordinal: u16,
    fingerprint: [u8; 8],
}

impl Entry {
    /// An entry without content.
    fn of(key: Key, what: What, had: bool) -> Self {
        Self {
            key,
            what,
            had,
            content: Content::default(),
        }
    }
}

/// The fingerprint of a version; the outer `None`: there is no version, the inner: it has no body.
type KnownFingerprint = Option<Option<i64>>;

/// A version of the parent snapshot, as far as it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Before {
    parent: u32,
    fingerprint: Option<i64>,
}

/// What has been read of one type.
#[derive(Debug, Default)]
struct TypeState {
    space: Option<Space>,
    /// For types whose ids do not hold their parent: all objects of the parent snapshot, by their numbers.
    before: HashMap<u32, Before>,
    /// For those types: the objects that were given, or are known to be gone.
    decided: HashSet<u32>,
    /// For types whose ids hold their parent: the parents of which something was given, those that were listed, and the
    /// objects given one by one.
    touched: HashSet<u32>,
    listed: HashSet<u32>,
    single: BTreeSet<Key>,
    entries: Vec<Entry>,
    /// New relations without a body, given once: most of a first backup, at a third of an entry. An entry of the same key overrules.
    related: Vec<Key>,
    builder: Option<(u32, ChunkBuilder)>,
    /// What moves by itself, of types that are listed as a whole.
    observed: BTreeMap<Key, Vec<u8>>,
    /// The buckets of observations that changed: the chunk of this snapshot, and the digest.
    buckets: BTreeMap<u32, (u32, [u8; 16])>,
    coverage: Option<Coverage>,
}

impl TypeState {
    /// The last entry of each object, in order of the keys.
    fn last_words(&self) -> impl Iterator<Item = Entry> {
        let mut entries: Vec<&Entry> = self.entries.iter().collect();
        entries.sort_by_key(|entry| entry.key);
        let mut related = self.related.clone();
        related.sort_unstable();
        let mut entries = entries.into_iter().copied().peekable();
        let mut related = related.into_iter().peekable();
        std::iter::from_fn(move || {
            loop {
                let relation = related.peek().copied();
                let Some(entry) = entries.peek() else {
                    return related
                        .next()
                        .map(|key| Entry::of(key, What::Related, false));
                };
                if relation.is_some_and(|key| key < entry.key) {
                    return related
                        .next()
                        .map(|key| Entry::of(key, What::Related, false));
                }
                if relation == Some(entry.key) {
                    related.next();
                    continue;
                }
                let entry = entries.next()?;
                if entries.peek().is_none_or(|next| next.key != entry.key) {
                    return Some(entry);
                }
            }
        })
    }
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
                ids: Vec::new(),
                by_text: HashMap::new(),
            },
            types: BTreeMap::new(),
            chunks: Vec::new(),
            earlier: Vec::new(),
            pack: None,
            packs: Vec::new(),
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
        self.store
            .shared
            .names()
            .number(id)
            .or_else(|| self.ids.by_text.get(id).copied())
    }

    /// The number of an id, which is a new one if the id is.
    fn intern(&mut self, id: &str, is_name: bool) -> Result<u32, StoreError> {
        if let Some(number) = self.number(id) {
            return Ok(number);
        }
        let count = u32::try_from(self.ids.ids.len()).ok();
        let number = count.and_then(|count| self.ids.first.checked_add(count));
        let number = number
            .filter(|number| *number < u32::MAX)
            .ok_or(StoreError::TooMany { what: "ids" })?;
        self.ids.ids.push(NewId {
            text: id.to_owned(),
            is_name: is_name || !looks_like_an_id(id),
        });
        self.ids.by_text.insert(id.into(), number);
        Ok(number)
    }

    fn key(&mut self, object: &Canonical) -> Result<Key, StoreError> {
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
            let parent = object
                .parent
                .as_deref()
                .ok_or(StoreError::BadId { object_type })?;
            self.intern(parent, false)?
        } else {
            0
        };
        Ok(Key {
            parent,
            key: self.intern(&object.id, is_name)?,
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
            let read = shared.inner.index.read();
            state.space = index::space(&read, shared.domain, object_type.code())?;
            if let Some(space) = state.space.filter(|_| !ids_hold_parent(object_type)) {
                index::open_versions(&read, space, &mut |version| {
                    let before = Before {
                        parent: version.key.parent,
                        fingerprint: fingerprint(&version),
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
    fn whole(&mut self, object: Canonical) -> Result<(), StoreError> {
        let object_type = object.object_type;
        let key = self.key(&object)?;
        let state = self.state(object_type)?;
        let again = !state.decided.insert(key.key);
        if object.observed.is_empty() {
            state.observed.remove(&key);
        } else {
            state.observed.insert(key, object.observed);
        }
        let before = state.before.get(&key.key).copied();
        let here = before.filter(|before| before.parent == key.parent);
        if let (Some(before), None) = (before, here) {
            state.entries.push(Entry::of(
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
            here.map(|before| before.fingerprint),
            &object.body,
            again,
        )
    }

    /// Notes what became of an object: nothing if it is as before, unless `again` says that it was given before.
    fn compare_and_put(
        &mut self,
        object_type: ObjectType,
        key: Key,
        before: KnownFingerprint,
        body: &[u8],
        again: bool,
    ) -> Result<(), StoreError> {
        let had = before.is_some();
        let shared = &self.store.shared;
        let fingerprint = (!body.is_empty()).then(|| shared.keys.content_id(body).fingerprint());
        let (what, content) = match fingerprint {
            _ if before == Some(fingerprint) => (What::Same, Content::default()),
            None => (What::Related, Content::default()),
            Some(fingerprint) => {
                let (what, (chunk, ordinal)) =
                    match self.known_content(object_type, key, fingerprint)? {
                        Some(place) => (What::Back, place),
                        None => (What::Put, self.put_body(object_type, key, body)?),
                    };
                let fingerprint = fingerprint.to_le_bytes();
                let content = Content {
                    chunk,
                    ordinal,
                    fingerprint,
                };
                (what, content)
            }
        };
        let state = self.state(object_type)?;
        match what {
            What::Related if !had && !again => state.related.push(key),
            What::Same if !again => {}
            _ => state.entries.push(Entry {
                key,
                what,
                had,
                content,
            }),
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
        body: &[u8],
    ) -> Result<(u32, u16), StoreError> {
        let (chunk, mut builder) = match self.state(object_type)?.builder.take() {
            Some(building) => building,
            None => (self.new_chunk()?, ChunkBuilder::default()),
        };
        let ordinal = u16::try_from(builder.rows().len())
            .map_err(|_| StoreError::TooMany { what: "rows" })?;
        self.push_row(&mut builder, key, body);
        if builder.is_full() {
            self.seal_chunk(chunk, builder, Kind::Objects, object_type)?;
        } else {
            self.state(object_type)?.builder = Some((chunk, builder));
        }
        Ok((chunk, ordinal))
    }

    fn push_row(&self, builder: &mut ChunkBuilder, key: Key, body: &[u8]) {
        let names = self.store.shared.names();
        let name = |number: u32| {
            names.name(number).or_else(|| {
                let place = usize::try_from(number.checked_sub(self.ids.first)?).ok()?;
                self.ids.ids.get(place).map(|id| id.text.as_str())
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
        let bytes = builder.finish().map_err(StoreError::Compress)?;
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
    fn relations(
        &mut self,
        object_type: ObjectType,
        parent: &str,
        children: Vec<Canonical>,
    ) -> Result<(), StoreError> {
        let parent = self.intern(parent, false)?;
        let mut given: BTreeMap<u32, Canonical> = BTreeMap::new();
        for child in children {
            let key = self.key(&child)?;
            if child.object_type != object_type || key.parent != parent {
                return Err(StoreError::BadId { object_type });
            }
            given.insert(key.key, child);
        }
        let new_parent = self.is_new(parent);
        let state = self.state(object_type)?;
        let again = !state.touched.insert(parent);
        state.listed.insert(parent);
        let space = state.space.filter(|_| !new_parent);
        let earlier: BTreeMap<u32, bool> = if again {
            let related = state.related.iter().map(|key| (*key, false));
            let entries = state.entries.iter().map(|entry| (entry.key, entry.had));
            related
                .chain(entries)
                .filter(|(key, _)| key.parent == parent)
                .map(|(key, had)| (key.key, had))
                .collect()
        } else {
            BTreeMap::new()
        };
        let before: BTreeMap<u32, Option<i64>> = match space {
            Some(space) => index::open_under(&self.store.shared.inner.index.read(), space, parent)?
                .iter()
                .map(|version| (version.key.key, fingerprint(version)))
                .collect(),
            None => BTreeMap::new(),
        };
        let gone_before = before.keys().map(|key| (*key, true));
        for (key, had) in earlier
            .iter()
            .map(|(key, had)| (*key, *had))
            .chain(gone_before)
        {
            if !given.contains_key(&key) {
                self.state(object_type)?.entries.push(Entry::of(
                    Key { parent, key },
                    What::Gone,
                    had,
                ));
            }
        }
        self.observe_parent(object_type, parent, &given)?;
        for (key, child) in given {
            let known = before.get(&key).copied();
            self.compare_and_put(object_type, Key { parent, key }, known, &child.body, again)?;
        }
        Ok(())
    }

    /// Takes one object of a type whose ids hold their parent. What moves by itself is left as it was.
    fn relation(&mut self, object: &Canonical) -> Result<(), StoreError> {
        let key = self.key(object)?;
        let before = self.open_relation(object.object_type, key)?;
        let state = self.state(object.object_type)?;
        state.single.insert(key);
        state.touched.insert(key.parent);
        self.compare_and_put(object.object_type, key, before, &object.body, true)
    }

    fn open_relation(
        &mut self,
        object_type: ObjectType,
        key: Key,
    ) -> Result<KnownFingerprint, StoreError> {
        let Some(space) = self.state(object_type)?.space else {
            return Ok(None);
        };
        let version = index::open_one(&self.store.shared.inner.index.read(), space, key)?;
        Ok(version.as_ref().map(fingerprint))
    }

    /// Keeps what moves by itself of the objects under one parent, if it has moved.
    fn observe_parent(
        &mut self,
        object_type: ObjectType,
        parent: u32,
        given: &BTreeMap<u32, Canonical>,
    ) -> Result<(), StoreError> {
        let rows: BTreeMap<Key, &[u8]> = given
            .iter()
            .filter(|(_, child)| !child.observed.is_empty())
            .map(|(key, child)| (Key { parent, key: *key }, child.observed.as_slice()))
            .collect();
        self.observe(object_type, parent, &rows)
    }

    /// Keeps the observations of a bucket, if they are not those that the store has.
    fn observe(
        &mut self,
        object_type: ObjectType,
        bucket: u32,
        rows: &BTreeMap<Key, &[u8]>,
    ) -> Result<(), StoreError> {
        let digest = self.digest(rows);
        let space = self.state(object_type)?.space;
        let known = match space {
            Some(space) => {
                index::observation(&self.store.shared.inner.index.read(), space, bucket)?
            }
            None => None,
        };
        let pending = self.state(object_type)?.buckets.remove(&bucket);
        let unchanged = match known {
            Some((_, known)) => known == digest,
            None => rows.is_empty(),
        };
        if unchanged {
            return Ok(());
        }
        if let Some(pending) = pending.filter(|(_, pending)| *pending == digest) {
            self.state(object_type)?.buckets.insert(bucket, pending);
            return Ok(());
        }
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

    fn digest(&self, rows: &BTreeMap<Key, &[u8]>) -> [u8; 16] {
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
        let decided: BTreeSet<u32> = state
            .decided
            .iter()
            .map(|key| {
                bucket(
                    object_type,
                    Key {
                        parent: 0,
                        key: *key,
                    },
                )
            })
            .collect();
        let space = state.space;
        let mut by_bucket: BTreeMap<u32, BTreeMap<Key, &[u8]>> = decided
            .iter()
            .map(|bucket| (*bucket, BTreeMap::new()))
            .collect();
        for (key, bytes) in &observed {
            by_bucket
                .entry(bucket(object_type, *key))
                .or_default()
                .insert(*key, bytes);
        }
        for (bucket, mut rows) in by_bucket {
            let kept = match space {
                Some(space) => self.store.shared.observations(space, bucket)?,
                None => Default::default(),
            };
            let state = self.state(object_type)?;
            for (key, bytes) in kept.iter() {
                if state.before.contains_key(&key.key) && !state.decided.contains(&key.key) {
                    rows.insert(key, bytes);
                }
            }
            self.observe(object_type, bucket, &rows)?;
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
            if let Some(state) = self.types.get(&parent) {
                let mut there = HashSet::new();
                for entry in state.last_words() {
                    let of = match entry.what {
                        What::Gone => &mut gone,
                        _ => &mut there,
                    };
                    of.insert(entry.key.key);
                }
                gone.retain(|key| !there.contains(key));
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
        for entry in state.last_words().filter(under) {
            if entry.what == What::Gone {
                open.remove(&entry.key);
            } else {
                open.insert(entry.key, entry.had);
            }
        }
        state
            .observed
            .retain(|key, _| !parents.contains(&key.parent));
        let ended = !open.is_empty();
        for (key, had) in open {
            if !ids_hold_parent(object_type) {
                state.decided.insert(key.key);
            }
            state.entries.push(Entry::of(key, What::Gone, had));
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
        for (object_type, state) in &self.types {
            let gone = state
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
        let mut applied = Vec::new();
        let mut deltas = Vec::new();
        let mut changes = 0;
        for (object_type, mut state) in std::mem::take(&mut self.types) {
            let code = object_type.code();
            let mut of_type = AppliedType::of(code);
            of_type.put.reserve_exact(state.entries.len());
            of_type.related.reserve_exact(state.related.len());
            let (mut added, mut gone) = (0u64, 0u64);
            for entry in state.last_words() {
                match entry.what {
                    What::Same => continue,
                    What::Related if entry.had => continue,
                    What::Gone if !entry.had => continue,
                    What::Gone => {
                        gone += 1;
                        of_type.removed.push(entry.key);
                    }
                    What::Related => {
                        added += 1;
                        of_type.related.push(entry.key);
                    }
                    What::Put | What::Back => {
                        added += u64::from(!entry.had);
                        of_type.put.push(self.new_version(&entry)?);
                    }
                }
                changes += 1;
            }
            state.entries = Vec::new();
            state.related = Vec::new();
            for (bucket, (chunk, digest)) in &state.buckets {
                let (pack, place) = self.chunk_place(*chunk)?;
                of_type.observations.push((*bucket, pack, place, *digest));
            }
            let read = state.coverage == Some(Coverage::Complete) || added > 0;
            if read || counts.contains_key(&code) {
                let count = counts.entry(code).or_default();
                *count = (*count + added).saturating_sub(gone);
            }
            if let Some(found) = state.coverage {
                coverage.insert(code, found);
            }
            let delta = packs.delta(&of_type, &self)?;
            if !delta.is_empty() {
                deltas.push(delta);
                applied.push(of_type);
            }
        }
        let record = Record {
            sequence: self.parent.as_ref().map_or(0, |parent| parent.sequence) + 1,
            parent: self.parent.as_ref().map(|parent| parent.id),
            created_at: self.created_at,
            as_of: to_millis(as_of),
            watermark,
            ids_first: self.ids.first,
            ids: std::mem::take(&mut self.ids.ids),
            packs: packs.packs,
            bytes_new: self.packs.iter().map(|pack| pack.bytes).sum(),
            coverage,
            counts,
            types: deltas,
        };
        let shared = &self.store.shared;
        let blob = record.seal(&shared.keys, shared.domain, self.id)?;
        let record_bytes = blob.as_bytes().len() as u64;
        let row = shared.snapshot_row(self.id, &record, record_bytes, changes)?;
        let info = {
            let _recording = shared.inner.recording();
            shared
                .inner
                .blobs
                .put(&format!("{}/records/{}", shared.domain, self.id), &blob)?;
            shared.apply(&row, record.ids_first, &record.ids, &self.packs, applied)?
        };
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

    fn new_version(&self, entry: &Entry) -> Result<NewVersion, StoreError> {
        let unsealed = || StoreError::Mismatch {
            what: "content that is nowhere".to_owned(),
        };
        let Content {
            chunk,
            ordinal,
            fingerprint,
        } = entry.content;
        let (pack, chunk) = match entry.what {
            What::Put => self.chunk_place(chunk)?,
            What::Back => usize::try_from(chunk)
                .ok()
                .and_then(|at| self.earlier.get(at).copied())
                .ok_or_else(unsealed)?,
            What::Related | What::Same | What::Gone => return Err(unsealed()),
        };
        Ok(NewVersion {
            key: entry.key,
            pack,
            chunk,
            ordinal,
            fingerprint: i64::from_le_bytes(fingerprint),
        })
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

    /// What a type's changes look like in the record.
    fn delta(
        &mut self,
        applied: &AppliedType,
        writer: &SnapshotWriter<'_>,
    ) -> Result<TypeDelta, StoreError> {
        let mut places: Vec<(PackId, usize, usize)> = applied
            .put
            .iter()
            .map(|put| (put.pack, put.chunk, usize::from(put.ordinal)))
            .collect();
        places.sort_unstable();
        let mut runs = Vec::new();
        let consecutive =
            |a: &(PackId, usize, usize), b: &(PackId, usize, usize)| (a.0, a.1, a.2 + 1) == *b;
        for run in places.chunk_by(consecutive) {
            if let Some((pack, chunk, first)) = run.first() {
                runs.push(Run {
                    pack: self.place(*pack, writer)?,
                    chunk: *chunk,
                    first: *first,
                    rows: run.len(),
                });
            }
        }
        let mut observations = Vec::new();
        for (bucket, pack, chunk, digest) in &applied.observations {
            let pack = self.place(*pack, writer)?;
            observations.push(Observations {
                bucket: *bucket,
                pack,
                chunk: *chunk,
                digest: *digest,
            });
        }
        Ok(TypeDelta {
            type_code: applied.type_code,
            runs,
            removed: applied.removed.clone(),
            related: applied.related.clone(),
            observations,
        })
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
        if ids_hold_parent(object.object_type) {
            self.relation(&object)
        } else {
            self.whole(object)
        }
    }

    fn children(
        &mut self,
        object_type: ObjectType,
        parent: &str,
        children: Vec<Canonical>,
    ) -> Result<(), StoreError> {
        if ids_hold_parent(object_type) {
            return self.relations(object_type, parent, children);
        }
        let parent = self.intern(parent, false)?;
        let mut given = HashSet::new();
        for child in children {
            let key = self.key(&child)?;
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
        let earlier = state
            .entries
            .iter()
            .filter(|entry| entry.key.parent == parent)
            .map(|entry| (entry.key.key, entry.had));
        let gone: BTreeMap<u32, bool> = earlier
            .chain(before)
            .filter(|(key, _)| !given.contains(key))
            .collect();
        for (key, had) in gone {
            state.decided.insert(key);
            state.observed.remove(&Key { parent, key });
            state
                .entries
                .push(Entry::of(Key { parent, key }, What::Gone, had));
        }
        Ok(())
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
            state.single.insert(key);
            state.touched.insert(key.parent);
            state.entries.push(Entry::of(key, What::Gone, had));
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
        state.observed.retain(|key, _| key.key != number);
        let before = state
            .before
            .get(&number)
            .map(|before| (before.parent, true));
        let earlier = state
            .entries
            .iter()
            .filter(|entry| entry.key.key == number)
            .map(|entry| (entry.key.parent, entry.had));
        let mut gone: BTreeMap<u32, bool> = earlier.chain(before).collect();
        if gone.is_empty() && !object_type.has_parent() {
            gone.insert(0, false);
        }
        for (parent, had) in gone {
            state.entries.push(Entry::of(
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
                    state.entries.push(Entry::of(key, What::Gone, true));
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
        let mut parent = 0;
        while let Some(next) = index::next_parent(&read, space, parent)? {
            parent = next;
            if state.listed.contains(&parent) {
                continue;
            }
            state.touched.insert(parent);
            for version in index::open_under(&read, space, parent)? {
                if !state.single.contains(&version.key) {
                    state.entries.push(Entry::of(version.key, What::Gone, true));
                }
            }
        }
        Ok(())
    }
}
