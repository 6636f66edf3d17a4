//! The org as it is now, compared with a snapshot while it is read.
//!
//! [`LiveView`] takes an org's objects as they are collected and keeps only what differs from the
//! snapshot: bodies of what was added or changed, names of what is gone. Beside those it remembers
//! eight bytes for each object listed as a whole, to know what was not given.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use crate::catalogue::ObjectType;
use crate::object::{Canonical, Coverage, Sink};
use crate::plan::{Held, ObjectName, State, StateError};
use crate::store::{Comparison, SnapshotReader, StoreError, Stored};

/// What an org, as collected, has otherwise than a snapshot.
#[derive(Debug)]
pub struct LiveView<'a> {
    reader: &'a SnapshotReader,
    hasher: RandomState,
    seen: HashMap<ObjectType, HashSet<u64>>,
    listed_parents: HashMap<ObjectType, HashSet<u64>>,
    added: BTreeMap<ObjectName, Held>,
    changed: BTreeMap<ObjectName, Held>,
    removed: BTreeMap<ObjectType, Vec<String>>,
    coverage: BTreeMap<ObjectType, Coverage>,
}

impl<'a> LiveView<'a> {
    /// A view that has seen nothing yet.
    #[must_use]
    pub fn new(reader: &'a SnapshotReader) -> Self {
        Self {
            reader,
            hasher: RandomState::new(),
            seen: HashMap::new(),
            listed_parents: HashMap::new(),
            added: BTreeMap::new(),
            changed: BTreeMap::new(),
            removed: BTreeMap::new(),
            coverage: BTreeMap::new(),
        }
    }

    /// How completely each type was read.
    #[must_use]
    pub fn coverage(&self) -> &BTreeMap<ObjectType, Coverage> {
        &self.coverage
    }

    /// What the org has and the snapshot does not.
    pub fn added(&self, object_type: ObjectType) -> impl Iterator<Item = &Held> {
        of(&self.added, object_type)
    }

    /// What both have, as the org has it, with other values than the snapshot.
    pub fn changed(&self, object_type: ObjectType) -> impl Iterator<Item = &Held> {
        of(&self.changed, object_type)
    }

    /// What the snapshot has and the org does not; empty for a type that was not read completely.
    #[must_use]
    pub fn removed(&self, object_type: ObjectType) -> &[String] {
        self.removed
            .get(&object_type)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The object as the org has it. Right only for a type that was read completely.
    ///
    /// # Errors
    ///
    /// When the snapshot cannot be read.
    pub fn get(&self, object_type: ObjectType, id: &str) -> Result<Option<Held>, StoreError> {
        let name = ObjectName::new(object_type, id);
        if let Some(held) = self.added.get(&name).or_else(|| self.changed.get(&name)) {
            return Ok(Some(held.clone()));
        }
        if self
            .removed(object_type)
            .binary_search_by(|gone| gone.as_str().cmp(id))
            .is_ok()
        {
            return Ok(None);
        }
        Ok(self.reader.get(object_type, id)?.map(held))
    }

    /// Whether the org has the object. Right only for a type that was read completely. Opens no chunk.
    ///
    /// # Errors
    ///
    /// When the snapshot cannot be read.
    pub fn contains(&self, object_type: ObjectType, id: &str) -> Result<bool, StoreError> {
        if self.added.contains_key(&ObjectName::new(object_type, id)) {
            return Ok(true);
        }
        let gone = self
            .removed(object_type)
            .binary_search_by(|gone| gone.as_str().cmp(id))
            .is_ok();
        Ok(!gone && self.reader.contains(object_type, id)?)
    }

    fn hash(&self, id: &str) -> u64 {
        self.hasher.hash_one(id)
    }

    fn take(&mut self, object: Canonical) -> Result<(), StoreError> {
        let name = ObjectName::new(object.object_type, &object.id);
        self.added.remove(&name);
        self.changed.remove(&name);
        let comparison = self.reader.compare(&object)?;
        let now = Held {
            id: object.id,
            parent: object.parent,
            body: object.body,
        };
        match comparison {
            Comparison::Same => {}
            Comparison::Differs => drop(self.changed.insert(name, now)),
            Comparison::Absent => drop(self.added.insert(name, now)),
        }
        Ok(())
    }

    fn find_removed(&self, object_type: ObjectType) -> Result<Vec<String>, StoreError> {
        let nothing = HashSet::new();
        let seen = self.seen.get(&object_type).unwrap_or(&nothing);
        let mut removed = Vec::new();
        self.reader.ids(object_type, &mut |id, _| {
            if !seen.contains(&self.hash(id)) {
                removed.push(id.to_owned());
            }
            Ok(())
        })?;
        removed.sort_unstable();
        Ok(removed)
    }
}

impl Sink for LiveView<'_> {
    type Error = StoreError;

    fn object(&mut self, object: Canonical) -> Result<(), StoreError> {
        let hash = self.hash(&object.id);
        self.seen
            .entry(object.object_type)
            .or_default()
            .insert(hash);
        self.take(object)
    }

    fn children(
        &mut self,
        object_type: ObjectType,
        parent: &str,
        children: Vec<Canonical>,
    ) -> Result<(), StoreError> {
        let parent_hash = self.hash(parent);
        let again = !self
            .listed_parents
            .entry(object_type)
            .or_default()
            .insert(parent_hash);
        if again {
            // The list was read once more: what only the earlier one had is gone.
            let of_parent = |name: &ObjectName, held: &Held| {
                name.object_type == object_type && held.parent.as_deref() == Some(parent)
            };
            let earlier: Vec<ObjectName> = self
                .added
                .iter()
                .chain(&self.changed)
                .filter(|(name, held)| of_parent(name, held))
                .map(|(name, _)| name.clone())
                .collect();
            for name in earlier {
                self.added.remove(&name);
                self.changed.remove(&name);
            }
            for id in self.reader.child_ids(object_type, parent)? {
                let hash = self.hash(&id);
                self.seen.entry(object_type).or_default().remove(&hash);
            }
        }
        for child in children {
            self.object(child)?;
        }
        Ok(())
    }

    fn gone(&mut self, object_type: ObjectType, id: &str) -> Result<(), StoreError> {
        let name = ObjectName::new(object_type, id);
        self.added.remove(&name);
        self.changed.remove(&name);
        let hash = self.hash(id);
        self.seen.entry(object_type).or_default().remove(&hash);
        Ok(())
    }

    fn end_type(&mut self, object_type: ObjectType, coverage: Coverage) -> Result<(), StoreError> {
        if coverage == Coverage::Complete {
            let removed = self.find_removed(object_type)?;
            self.removed.insert(object_type, removed);
        }
        self.seen.remove(&object_type);
        self.listed_parents.remove(&object_type);
        self.coverage.insert(object_type, coverage);
        Ok(())
    }
}

fn of(
    objects: &BTreeMap<ObjectName, Held>,
    object_type: ObjectType,
) -> impl Iterator<Item = &Held> {
    objects
        .range(ObjectName::new(object_type, "")..)
        .take_while(move |(name, _)| name.object_type == object_type)
        .map(|(_, held)| held)
}

/// A stored object as a plan sees it.
pub(crate) fn held(stored: Stored) -> Held {
    Held {
        id: stored.id,
        parent: stored.parent,
        body: stored.body,
    }
}

/// A store's error as a state's.
pub(crate) fn state_error(error: impl std::error::Error + Send + Sync + 'static) -> StateError {
    StateError(Box::new(error))
}

impl State for SnapshotReader {
    fn contains(&self, object_type: ObjectType, id: &str) -> Result<bool, StateError> {
        Self::contains(self, object_type, id).map_err(state_error)
    }

    fn get(&self, object_type: ObjectType, id: &str) -> Result<Option<Held>, StateError> {
        Ok(Self::get(self, object_type, id)
            .map_err(state_error)?
            .map(held))
    }

    fn for_each(
        &self,
        object_type: ObjectType,
        take: &mut dyn FnMut(Held) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let mut failed = None;
        let read = Self::for_each(self, object_type, &mut |stored| {
            if failed.is_none() {
                failed = take(held(stored)).err();
            }
            Ok(())
        });
        match failed {
            Some(error) => Err(error),
            None => read.map_err(state_error),
        }
    }

    fn ids(
        &self,
        object_type: ObjectType,
        take: &mut dyn FnMut(&str, Option<&str>),
    ) -> Result<(), StateError> {
        Self::ids(self, object_type, &mut |id, parent| {
            take(id, parent);
            Ok(())
        })
        .map_err(state_error)
    }

    fn children(&self, object_type: ObjectType, parent: &str) -> Result<Vec<Held>, StateError> {
        let children = Self::children(self, object_type, parent).map_err(state_error)?;
        Ok(children.into_iter().map(held).collect())
    }
}

#[cfg(test)]
mod tests;
