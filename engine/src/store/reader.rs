//! Reads one snapshot.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::domain::{DomainStore, LastChunk, Observed, Shared, bucket, ids_hold_parent};
use super::types::{Comparison, SnapshotInfo, Stored};
use super::usage::Reading;
use super::{StoreError, from_millis};
use crate::catalogue::ObjectType;
use crate::chunk::Key;
use crate::id::SnapshotId;
use crate::index::{self, Space, Version};
use crate::object::Canonical;

/// Rows of the index that are read at once: enough to be quick, few enough to hold.
const ROWS_AT_ONCE: usize = 16 * 1024;
/// Rows that are sorted by their places together, some 6 MB.
const ROWS_SORTED: usize = 8 * ROWS_AT_ONCE;

/// Reads one snapshot. Valid while others are written; what it gives never changes.
#[derive(Debug)]
pub struct SnapshotReader {
    store: DomainStore,
    info: SnapshotInfo,
    sequence: u32,
    /// The `as_of` of each snapshot that is not removed, by sequence number.
    moments: BTreeMap<u32, i64>,
    _reading: Reading,
    compared: Mutex<HashMap<ObjectType, Compared>>,
}

/// What [`SnapshotReader::compare`] remembers of a type: all of it, or what stands under one parent.
#[derive(Debug)]
struct Compared {
    under: Option<u32>,
    fingerprints: HashMap<Key, Option<i64>>,
}

/// Takes objects one by one, and may stop the reading.
pub type SeeStored<'a> = &'a mut dyn FnMut(Stored) -> Result<(), StoreError>;

/// Takes ids of objects whose content is lost one by one, and may stop the reading.
pub type SeeLost<'a> = &'a mut dyn FnMut(&str, Timestamp) -> Result<(), StoreError>;

/// Takes ids and the parents' ids one by one, and may stop the reading.
pub type SeeId<'a> = &'a mut dyn FnMut(&str, Option<&str>) -> Result<(), StoreError>;

impl SnapshotReader {
    pub(super) fn open(store: DomainStore, snapshot: SnapshotId) -> Result<Self, StoreError> {
        let shared = &store.shared;
        // Before the look whether it is there: prune looks the other way round.
        let reading = Reading::begin(&shared.inner, Some(snapshot));
        shared.load_names()?;
        let (row, moments) = {
            let read = shared.inner.index.read();
            let row = index::snapshot(&read, snapshot)?
                .filter(|row| !row.removed && row.domain == shared.domain)
                .ok_or(StoreError::UnknownSnapshot { snapshot })?;
            let moments = index::timeline(&read, shared.domain)?;
            (
                row,
                moments
                    .into_iter()
                    .filter(|moment| !moment.removed)
                    .map(|moment| (moment.sequence, moment.as_of))
                    .collect(),
            )
        };
        let sequence = row.sequence;
        Ok(Self {
            info: SnapshotInfo::from(row),
            store,
            sequence,
            moments,
            _reading: reading,
            compared: Mutex::default(),
        })
    }

    /// The snapshot, without its objects.
    #[must_use]
    pub fn info(&self) -> &SnapshotInfo {
        &self.info
    }

    /// The domain it belongs to.
    #[must_use]
    pub fn domain_store(&self) -> &DomainStore {
        &self.store
    }

    /// How many objects of a type it holds.
    #[must_use]
    pub fn count(&self, object_type: ObjectType) -> u64 {
        self.info
            .counts
            .get(&object_type)
            .copied()
            .unwrap_or_default()
    }

    fn space(&self, object_type: ObjectType) -> Result<Option<Space>, StoreError> {
        let shared = &self.store.shared;
        Ok(index::space(
            &shared.inner.index.read(),
            shared.domain,
            object_type.code(),
        )?)
    }

    fn find(
        &self,
        object_type: ObjectType,
        id: &str,
    ) -> Result<Option<(Space, Version)>, StoreError> {
        let shared = &self.store.shared;
        let Some(space) = self.space(object_type)? else {
            return Ok(None);
        };
        let read = shared.inner.index.read();
        for key in shared.locate(&read, space, object_type, id)? {
            if let Some(version) = index::version_at(&read, space, key, self.sequence)? {
                return Ok(Some((space, version)));
            }
        }
        Ok(None)
    }

    /// One object by its id, as the interface writes it; `None` if the snapshot does not have it.
    ///
    /// # Errors
    ///
    /// When the storage or the index fails, or its data are damaged.
    pub fn get(&self, object_type: ObjectType, id: &str) -> Result<Option<Stored>, StoreError> {
        let Some((space, version)) = self.find(object_type, id)? else {
            return Ok(None);
        };
        let shared = &self.store.shared;
        let mut observed = shared.observations(space, bucket(object_type, version.key))?;
        let mut last = LastChunk::default();
        self.stored(object_type, &version, &mut observed, &mut last)
            .map(Some)
    }

    /// Whether the snapshot has an object. Opens no chunk.
    ///
    /// # Errors
    ///
    /// When the index fails.
    pub fn contains(&self, object_type: ObjectType, id: &str) -> Result<bool, StoreError> {
        Ok(self.find(object_type, id)?.is_some())
    }

    /// Calls `see` with each object of a type, chunk by chunk.
    ///
    /// # Errors
    ///
    /// When the storage or the index fails, data are damaged or lost, or `see` fails.
    pub fn for_each(&self, object_type: ObjectType, see: SeeStored<'_>) -> Result<(), StoreError> {
        self.for_each_or_lost(object_type, see, &mut |_, _| Err(StoreError::Lost))
    }

    /// The same; `lost` is called with the id of each object whose content is lost, and the `as_of` of the first snapshot that had it.
    ///
    /// # Errors
    ///
    /// When the storage or the index fails, data are damaged, or `see` or `lost` fails.
    pub fn for_each_or_lost(
        &self,
        object_type: ObjectType,
        see: SeeStored<'_>,
        lost: SeeLost<'_>,
    ) -> Result<(), StoreError> {
        let Some(space) = self.space(object_type)? else {
            return Ok(());
        };
        let shared = &self.store.shared;
        let mut observed = (None, Observed::default());
        let mut last = LastChunk::default();
        self.batches(space, &mut |versions| {
            versions.sort_unstable_by_key(|version| {
                (version.body.map(|(place, _)| place), version.key)
            });
            for version in versions.iter() {
                let bucket = bucket(object_type, version.key);
                if observed.0 != Some(bucket) {
                    observed = (Some(bucket), shared.observations(space, bucket)?);
                }
                match self.stored(object_type, version, &mut observed.1, &mut last) {
                    Ok(stored) => see(stored)?,
                    Err(StoreError::Lost) => {
                        let id = shared.id_text(object_type, version.key)?;
                        lost(&id, self.changed_at(version))?;
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
    }

    /// Calls `see` with the id of each object of a type, and its parent's where it has one. Opens no chunk.
    ///
    /// # Errors
    ///
    /// When the index fails, or `see` does.
    pub fn ids(&self, object_type: ObjectType, see: SeeId<'_>) -> Result<(), StoreError> {
        let Some(space) = self.space(object_type)? else {
            return Ok(());
        };
        let shared = &self.store.shared;
        self.batches(space, &mut |versions| {
            for version in versions.iter() {
                let id = shared.id_text(object_type, version.key)?;
                see(&id, shared.parent_text(version.key).as_deref())?;
            }
            Ok(())
        })
    }

    /// The objects of a type under one parent.
    ///
    /// # Errors
    ///
    /// When the storage or the index fails, or data are damaged.
    pub fn children(
        &self,
        object_type: ObjectType,
        parent: &str,
    ) -> Result<Vec<Stored>, StoreError> {
        let shared = &self.store.shared;
        let Some(space) = self.space(object_type)? else {
            return Ok(Vec::new());
        };
        let Some(parent) = shared.names().number(parent) else {
            return Ok(Vec::new());
        };
        let versions =
            index::versions_under_at(&shared.inner.index.read(), space, parent, self.sequence)?;
        let mut observed = (None, Observed::default());
        let mut last = LastChunk::default();
        let mut children = Vec::with_capacity(versions.len());
        for version in &versions {
            let bucket = bucket(object_type, version.key);
            if observed.0 != Some(bucket) {
                observed = (Some(bucket), shared.observations(space, bucket)?);
            }
            children.push(self.stored(object_type, version, &mut observed.1, &mut last)?);
        }
        Ok(children)
    }

    /// The ids of the objects of a type under one parent, as the interface writes them. Opens no chunk.
    ///
    /// # Errors
    ///
    /// When the index fails.
    pub fn child_ids(
        &self,
        object_type: ObjectType,
        parent: &str,
    ) -> Result<Vec<String>, StoreError> {
        let shared = &self.store.shared;
        let Some(space) = self.space(object_type)? else {
            return Ok(Vec::new());
        };
        let Some(parent) = shared.names().number(parent) else {
            return Ok(Vec::new());
        };
        let versions =
            index::versions_under_at(&shared.inner.index.read(), space, parent, self.sequence)?;
        versions
            .iter()
            .map(|version| shared.id_text(object_type, version.key))
            .collect()
    }

    /// How a live object stands to the snapshot, by its content's fingerprint. Opens no chunk.
    ///
    /// Quick when objects come type by type and parent by parent.
    ///
    /// # Errors
    ///
    /// When the index fails.
    pub fn compare(&self, object: &Canonical) -> Result<Comparison, StoreError> {
        let shared = &self.store.shared;
        let object_type = object.object_type;
        let names = shared.names();
        let numbers = if ids_hold_parent(object_type) {
            object
                .id
                .split_once('/')
                .and_then(|(parent, key)| Some((names.number(parent)?, names.number(key)?)))
        } else {
            let parent = match (&object.parent, object_type.has_parent()) {
                (Some(parent), true) => names.number(parent),
                _ => Some(0),
            };
            parent.zip(names.number(&object.id))
        };
        drop(names);
        let Some((parent, key)) = numbers else {
            return Ok(Comparison::Absent);
        };
        let key = Key { parent, key };
        let under = ids_hold_parent(object_type).then_some(parent);
        let mut compared = self.compared();
        let known = compared
            .get(&object_type)
            .is_some_and(|known| known.under == under);
        if !known {
            let Some(space) = self.space(object_type)? else {
                return Ok(Comparison::Absent);
            };
            let fingerprints = self.fingerprints(space, under)?;
            compared.insert(
                object_type,
                Compared {
                    under,
                    fingerprints,
                },
            );
        }
        let found = compared
            .get(&object_type)
            .and_then(|known| known.fingerprints.get(&key));
        Ok(match found {
            None => Comparison::Absent,
            Some(None) if object.body.is_empty() => Comparison::Same,
            Some(fingerprint) => {
                let live = (!object.body.is_empty())
                    .then(|| shared.keys.content_id(&object.body).fingerprint());
                if live == *fingerprint {
                    Comparison::Same
                } else {
                    Comparison::Differs
                }
            }
        })
    }

    fn compared(&self) -> MutexGuard<'_, HashMap<ObjectType, Compared>> {
        self.compared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fingerprints(
        &self,
        space: Space,
        under: Option<u32>,
    ) -> Result<HashMap<Key, Option<i64>>, StoreError> {
        let mut found = HashMap::new();
        let mut keep = |versions: &[Version]| {
            for version in versions {
                found.insert(
                    version.key,
                    version.body.map(|(_, fingerprint)| fingerprint),
                );
            }
        };
        match under {
            Some(parent) => {
                let read = self.store.shared.inner.index.read();
                keep(&index::versions_under_at(
                    &read,
                    space,
                    parent,
                    self.sequence,
                )?);
            }
            None => self.batches(space, &mut |versions| {
                keep(versions);
                Ok(())
            })?,
        }
        Ok(found)
    }

    /// Calls `see` with each object of a type, in the order in which they lie: what is asked of one is read then.
    ///
    /// Many are sorted together, because a chunk of a later day holds objects from all over the type: it is opened once for each
    /// such part, and with as few rows as come from the index at once there would be some forty parts of 600,000 assignments.
    pub(crate) fn rows(
        &self,
        object_type: ObjectType,
        see: &mut dyn FnMut(&mut Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Some(space) = self.space(object_type)? else {
            return Ok(());
        };
        let mut last = LastChunk::default();
        let mut id = LastId::default();
        let mut show = |versions: &mut Vec<Version>| {
            versions.sort_unstable_by_key(|version| {
                (version.body.map(|(place, _)| place), version.key)
            });
            versions.iter().try_for_each(|version| {
                see(&mut Row {
                    shared: &self.store.shared,
                    object_type,
                    version,
                    last: &mut last,
                    id: &mut id,
                })
            })?;
            versions.clear();
            Ok(())
        };
        let most = usize::try_from(self.count(object_type)).unwrap_or(usize::MAX);
        let mut held = Vec::with_capacity(most.min(ROWS_SORTED + ROWS_AT_ONCE));
        self.batches(space, &mut |versions| {
            held.append(versions);
            if held.len() < ROWS_SORTED {
                return Ok(());
            }
            show(&mut held)
        })?;
        show(&mut held)
    }

    /// Calls `see` with some thousand versions at a time, in order of their keys.
    fn batches(
        &self,
        space: Space,
        see: &mut dyn FnMut(&mut Vec<Version>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let mut versions = {
                let read = self.store.shared.inner.index.read();
                index::versions_at(&read, space, self.sequence, after, ROWS_AT_ONCE)?
            };
            let Some(last) = versions.last() else {
                return Ok(());
            };
            after = Some(last.key);
            see(&mut versions)?;
        }
    }

    /// The `as_of` of the first snapshot with a version.
    fn changed_at(&self, version: &Version) -> Timestamp {
        let mut since = self.moments.range(version.first..);
        from_millis(since.next().map_or(0, |(_, as_of)| *as_of))
    }

    fn stored(
        &self,
        object_type: ObjectType,
        version: &Version,
        observed: &mut Observed,
        last: &mut LastChunk,
    ) -> Result<Stored, StoreError> {
        let shared = &self.store.shared;
        let (body, content_id) = shared.body(version, last)?;
        Ok(Stored {
            object_type,
            id: shared.id_text(object_type, version.key)?,
            parent: if object_type.has_parent() {
                shared.parent_text(version.key)
            } else {
                None
            },
            content_id,
            body,
            observed: observed.get(shared, version.key),
            changed_at: self.changed_at(version),
        })
    }
}

/// One object of a snapshot, of which nothing has been read yet but where it lies.
pub(crate) struct Row<'a> {
    shared: &'a Shared,
    object_type: ObjectType,
    version: &'a Version,
    last: &'a mut LastChunk,
    id: &'a mut LastId,
}

impl Row<'_> {
    /// Its id, as the interface writes it.
    pub(crate) fn id(&mut self) -> Result<&str, StoreError> {
        let key = self.version.key;
        if self.id.key != Some(key) {
            let of = self.id.key.filter(|last| last.parent == key.parent);
            self.id.key = None;
            let kept = of.map_or(0, |_| self.id.parent_bytes);
            self.id.parent_bytes =
                self.shared
                    .put_id(self.object_type, key, &mut self.id.text, kept)?;
            self.id.key = Some(key);
        }
        Ok(&self.id.text)
    }

    /// How many bytes its body has (0 for a relation without one), which costs far less than the body; its content is not looked at.
    ///
    /// [`StoreError::Lost`] where its content is lost.
    pub(crate) fn length(&mut self) -> Result<usize, StoreError> {
        self.shared.body_length(self.version, self.last)
    }

    /// Appends its body to `out`, checked against what the index says of it; nothing for a relation without one.
    ///
    /// [`StoreError::Lost`] where its content is lost; `out` is then as it was.
    pub(crate) fn put_body(&mut self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        self.shared.put_body(self.version, self.last, out)
    }
}

/// The id that was put together last: the next one mostly stands under the same parent.
#[derive(Debug, Default)]
struct LastId {
    key: Option<Key>,
    text: String,
    /// How many of its bytes are its parent's id and what follows that.
    parent_bytes: usize,
}
