//! Two orgs in memory, as the planner sees them.

use std::collections::BTreeMap;

use crate::catalogue::ObjectType;
use crate::plan::{Held, Knowledge, Live, ObjectName, Presence, State, StateError};

/// Every object of an org.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) objects: BTreeMap<ObjectName, Held>,
}

impl Model {
    fn of(&self, object_type: ObjectType) -> impl Iterator<Item = &Held> {
        self.objects
            .iter()
            .filter(move |(name, _)| name.object_type == object_type)
            .map(|(_, held)| held)
    }
}

impl State for Model {
    fn contains(&self, object_type: ObjectType, id: &str) -> Result<bool, StateError> {
        Ok(self.objects.contains_key(&ObjectName::new(object_type, id)))
    }

    fn get(&self, object_type: ObjectType, id: &str) -> Result<Option<Held>, StateError> {
        Ok(self.objects.get(&ObjectName::new(object_type, id)).cloned())
    }

    fn for_each(
        &self,
        object_type: ObjectType,
        take: &mut dyn FnMut(Held) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        self.of(object_type).cloned().try_for_each(take)
    }

    fn ids(
        &self,
        object_type: ObjectType,
        take: &mut dyn FnMut(&str, Option<&str>),
    ) -> Result<(), StateError> {
        self.of(object_type)
            .for_each(|held| take(&held.id, held.parent.as_deref()));
        Ok(())
    }

    fn children(&self, object_type: ObjectType, parent: &str) -> Result<Vec<Held>, StateError> {
        Ok(self
            .of(object_type)
            .filter(|held| held.parent.as_deref() == Some(parent))
            .cloned()
            .collect())
    }
}

/// An org compared with a snapshot of it, by looking at everything.
#[derive(Debug)]
pub(crate) struct Compared<'a> {
    pub(crate) target: &'a Model,
    pub(crate) live: &'a Model,
    pub(crate) unreadable: Vec<ObjectType>,
}

impl Compared<'_> {
    fn knows(&self, object_type: ObjectType) -> bool {
        !self.unreadable.contains(&object_type)
    }
}

impl Live for Compared<'_> {
    fn knowledge(&self, object_type: ObjectType) -> Knowledge {
        match self.knows(object_type) {
            true => Knowledge::Complete,
            false => Knowledge::Unreadable("a test".to_owned()),
        }
    }

    fn presence(&self, object_type: ObjectType, id: &str) -> Result<Presence, StateError> {
        if !self.knows(object_type) {
            return Ok(Presence::Unknown);
        }
        Ok(self
            .live
            .get(object_type, id)?
            .map_or(Presence::Gone, Presence::Here))
    }

    fn gone(&self, object_type: ObjectType) -> Result<Vec<String>, StateError> {
        if !self.knows(object_type) {
            return Ok(Vec::new());
        }
        let gone = |held: &&Held| !self.live.contains(object_type, &held.id).unwrap_or(true);
        Ok(self
            .target
            .of(object_type)
            .filter(gone)
            .map(|held| held.id.clone())
            .collect())
    }

    fn added(&self, object_type: ObjectType) -> Result<Vec<Held>, StateError> {
        let added = |held: &&Held| !self.target.contains(object_type, &held.id).unwrap_or(true);
        Ok(self.live.of(object_type).filter(added).cloned().collect())
    }

    fn changed(&self, object_type: ObjectType) -> Result<Vec<Held>, StateError> {
        let changed = |held: &&Held| {
            let before = self.target.get(object_type, &held.id).unwrap_or(None);
            before.is_some_and(|before| before.body != held.body)
        };
        Ok(self.live.of(object_type).filter(changed).cloned().collect())
    }
}
