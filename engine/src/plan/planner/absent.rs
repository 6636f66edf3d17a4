//! What is absent, what it is now, and what of it can come back.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use crate::canonical::Json;
use crate::catalogue::{self, ObjectType, ReferenceForm, RestoreClass};
use crate::plan::refs::Found;
use crate::plan::{Held, ObjectName, Presence, StateError, body, refs, values};

use super::{Added, Fate, Keys, Planner, Resolved, far_type, is_not_written, is_soft, types};

impl Planner<'_> {
    pub(super) fn find_absent(&mut self) -> Result<(), StateError> {
        for object_type in catalogue::all().filter(|t| t.entry().class != RestoreClass::Relation) {
            for id in self.request.live.gone(object_type)? {
                if self.request.selection.takes(object_type, &id) {
                    self.consider(object_type, &id)?;
                }
            }
        }
        Ok(())
    }

    /// Decides about one absent object: matched, created, or listed. True if it is now created.
    pub(super) fn consider(
        &mut self,
        object_type: ObjectType,
        id: &str,
    ) -> Result<bool, StateError> {
        let name = ObjectName::new(object_type, id);
        if self.creating.contains_key(&name) || self.renewed.contains_key(&name) {
            return Ok(false);
        }
        let Some(held) = self.request.target.get(object_type, id)? else {
            return Ok(false);
        };
        let entry = object_type.entry();
        let json = values::parse(&held.body);
        if let Some(live_id) = self.mapped(object_type, id)? {
            self.taken.insert(ObjectName::new(object_type, &live_id));
            self.renewed.insert(name, live_id);
            return Ok(false);
        }
        let candidates = self.same_key(object_type, &held, &json)?;
        match candidates.as_slice() {
            [] => {}
            [one] => {
                self.taken.insert(ObjectName::new(object_type, one));
                self.renewed.insert(name, one.clone());
                return Ok(false);
            }
            many => {
                let text = format!(
                    "{} live objects could be it: {}",
                    many.len(),
                    many.join(", ")
                );
                self.hold_back(
                    &name,
                    &json,
                    text,
                    Some("Delete or rename the ones that are not it, then plan again."),
                );
                return Ok(false);
            }
        }
        if entry.class == RestoreClass::UpdateOnly {
            if !entry.parents.is_empty() || entry.name == "profile_mapping" {
                return Ok(false); // comes with its parent, or with its two ends
            }
            let text = "Okta makes such objects itself, and the org no longer has it".to_owned();
            self.hold_back(&name, &json, text, None);
            return Ok(false);
        }
        if values::system_mark(entry, &json).is_some()
            && let Some(parent) = &held.parent
            && !matches!(
                self.parent_fate(object_type, parent)?,
                Some((_, Fate::Live(_)))
            )
        {
            return Ok(false); // comes with its parent
        }
        if let Some(loss) = body::cannot_create(object_type, &json) {
            self.list_loss(&name, &json, loss);
            return Ok(false);
        }
        self.creating.insert(name, held);
        Ok(true)
    }

    /// The live object that an earlier restore made of this one.
    pub(super) fn mapped(
        &mut self,
        object_type: ObjectType,
        id: &str,
    ) -> Result<Option<String>, StateError> {
        for new in self
            .request
            .id_map
            .follow(object_type, id)
            .into_iter()
            .rev()
        {
            if self.request.target.contains(object_type, &new)? {
                continue;
            }
            if self.is_there(object_type, &new)? == Some(true) {
                return Ok(Some(new));
            }
        }
        Ok(None)
    }

    /// Live objects that the snapshot does not have, with the same natural key.
    pub(super) fn same_key(
        &mut self,
        object_type: ObjectType,
        held: &Held,
        json: &Json,
    ) -> Result<Vec<String>, StateError> {
        let entry = object_type.entry();
        let parent = match &held.parent {
            Some(parent) => match self.parent_fate(object_type, parent)? {
                Some((_, Fate::Live(id))) => Some(id),
                _ => return Ok(Vec::new()),
            },
            None => None,
        };
        let system = values::system_mark(entry, json).is_some();
        let added = self.added(object_type)?;
        let places: Vec<usize> = match body::key_of(entry, json) {
            _ if system => (0..added.all.len()).collect(),
            Some(key) => added.by_key.get(&key).cloned().unwrap_or_default(),
            None => Vec::new(),
        };
        let mut found = Vec::new();
        for (candidate, other) in places.iter().filter_map(|place| added.all.get(*place)) {
            let same_system = values::system_mark(entry, other).is_some() == system;
            let taken = self
                .taken
                .contains(&ObjectName::new(object_type, &candidate.id));
            if candidate.parent == parent
                && !taken
                && same_system
                && (!system || body::same_system_object(entry, json, other))
            {
                found.push(candidate.id.clone());
            }
        }
        Ok(found)
    }

    /// What the org has of a type and the snapshot does not, read once.
    pub(super) fn added(&mut self, object_type: ObjectType) -> Result<Rc<Added>, StateError> {
        if let Some(known) = self.added.get(&object_type) {
            return Ok(Rc::clone(known));
        }
        let mut added = Added {
            all: Vec::new(),
            by_key: HashMap::new(),
        };
        for held in self.request.live.added(object_type)? {
            let json = values::parse(&held.body);
            if let Some(key) = body::key_of(object_type.entry(), &json) {
                added.by_key.entry(key).or_default().push(added.all.len());
            }
            added.all.push((held, json));
        }
        let added = Rc::new(added);
        self.added.insert(object_type, Rc::clone(&added));
        Ok(added)
    }

    /// The snapshot's ids of a type by natural key, read once.
    pub(super) fn keys(&mut self, object_type: ObjectType) -> Result<Rc<Keys>, StateError> {
        if let Some(known) = self.keys.get(&object_type) {
            return Ok(Rc::clone(known));
        }
        let mut keys = Keys::new();
        self.request.target.for_each(object_type, &mut |held| {
            if let Some(key) = body::key_of(object_type.entry(), &values::parse(&held.body)) {
                keys.entry(key).or_default().push(held.id);
            }
            Ok(())
        })?;
        let keys = Rc::new(keys);
        self.keys.insert(object_type, Rc::clone(&keys));
        Ok(keys)
    }

    /// The type of a parent and what became of it.
    pub(super) fn parent_fate(
        &mut self,
        child: ObjectType,
        parent: &str,
    ) -> Result<Option<(ObjectType, Fate)>, StateError> {
        for parent_type in child.parents() {
            if self.request.target.contains(parent_type, parent)? {
                return Ok(Some((parent_type, self.fate(parent_type, parent)?)));
            }
        }
        Ok(None)
    }

    /// What an object of the snapshot is now.
    pub(super) fn fate(&mut self, object_type: ObjectType, id: &str) -> Result<Fate, StateError> {
        let name = ObjectName::new(object_type, id);
        if self.creating.contains_key(&name) || self.adopting.contains_key(&name) {
            return Ok(Fate::Made);
        }
        if let Some(new) = self.renewed.get(&name) {
            return Ok(Fate::Live(new.clone()));
        }
        Ok(match self.is_there(object_type, id)? {
            Some(true) => Fate::Live(id.to_owned()),
            None => Fate::Unknown,
            Some(false) => match self.mapped(object_type, id)? {
                Some(new) => Fate::Live(new),
                None => Fate::Gone,
            },
        })
    }

    /// Whether an object is in the org, asked once.
    pub(super) fn is_there(
        &mut self,
        object_type: ObjectType,
        id: &str,
    ) -> Result<Option<bool>, StateError> {
        let name = ObjectName::new(object_type, id);
        if let Some(known) = self.there.get(&name) {
            return Ok(*known);
        }
        let there = self.request.live.is_there(object_type, id)?;
        self.there.insert(name, there);
        Ok(there)
    }

    /// The object as the org has it now.
    pub(super) fn look(&self, object_type: ObjectType, id: &str) -> Result<Presence, StateError> {
        self.request.live.presence(object_type, id)
    }

    /// Children of created parents come back with them.
    pub(super) fn add_descendants(&mut self) -> Result<(), StateError> {
        let mut parents: Vec<ObjectName> = self.creating.keys().cloned().collect();
        while let Some(parent) = parents.pop() {
            for child_type in parent.object_type.children() {
                if child_type.entry().class == RestoreClass::Relation {
                    continue;
                }
                for child in self.request.target.children(child_type, &parent.id)? {
                    let name = ObjectName::new(child_type, &child.id);
                    let json = values::parse(&child.body);
                    let system = values::system_mark(child_type.entry(), &json);
                    if child_type.entry().class == RestoreClass::UpdateOnly || system == Some(true)
                    {
                        self.adopting.insert(name.clone(), child);
                        parents.push(name);
                    } else if system.is_none() && !self.creating.contains_key(&name) {
                        self.creating.insert(name.clone(), child);
                        parents.push(name);
                    }
                }
            }
        }
        Ok(())
    }

    /// What the created objects, and the relations that were asked for, refer to comes back too.
    pub(super) fn add_dependencies(&mut self) -> Result<(), StateError> {
        let mut open: Vec<(ObjectName, Held)> = self
            .creating
            .iter()
            .map(|(name, held)| (name.clone(), held.clone()))
            .collect();
        for object in &self.request.selection.objects {
            if let Some(held) = self.request.target.get(object.object_type, &object.id)? {
                open.push((object.clone(), held));
            }
        }
        let mut seen = BTreeSet::new();
        while let Some((name, held)) = open.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let json = values::parse(&held.body);
            let mut wanted: Vec<(ObjectType, String)> = Vec::new();
            for found in refs::find(name.object_type.entry(), &json) {
                wanted.extend(types(found.reference.to).map(|to| (to, found.value.clone())));
            }
            for (reference, _, id) in refs::links(name.object_type.entry(), &json) {
                wanted.extend(types(reference.to).map(|to| (to, id.clone())));
            }
            if let Some((_, key)) = held.id.split_once('/')
                && name.object_type.entry().class == RestoreClass::Relation
            {
                wanted.extend(far_type(name.object_type).map(|to| (to, key.to_owned())));
            }
            if let Some(parent) = &held.parent {
                wanted.extend(name.object_type.parents().map(|to| (to, parent.clone())));
            }
            for (to, id) in wanted {
                let Some(needed) = self.request.target.get(to, &id)? else {
                    continue;
                };
                if self.fate(to, &id)? == Fate::Gone && self.consider(to, &id)? {
                    open.push((ObjectName::new(to, &id), needed));
                }
            }
            if open.is_empty() {
                self.add_descendants()?;
                open.extend(
                    self.creating
                        .iter()
                        .filter(|(name, _)| !seen.contains(*name))
                        .map(|(name, held)| (name.clone(), held.clone())),
                );
            }
        }
        Ok(())
    }

    /// Takes out of the plan whatever needs something that is not there, until nothing more does.
    pub(super) fn hold_back_the_unresolvable(&mut self) -> Result<(), StateError> {
        loop {
            let mut blocked = Vec::new();
            let names: Vec<(ObjectName, Held)> = self
                .creating
                .iter()
                .chain(&self.adopting)
                .map(|(name, held)| (name.clone(), held.clone()))
                .collect();
            for (name, held) in names {
                if let Some(reason) = self.obstacle(&name, &held)? {
                    blocked.push((name, held, reason));
                }
            }
            if blocked.is_empty() {
                return Ok(());
            }
            for (name, held, reason) in blocked {
                self.creating.remove(&name);
                self.adopting.remove(&name);
                self.hold_back(
                    &name,
                    &values::parse(&held.body),
                    reason,
                    Some("Select what it refers to as well, or plan with dependencies."),
                );
            }
        }
    }

    /// Why the object cannot be created as it was, if so.
    pub(super) fn obstacle(
        &mut self,
        name: &ObjectName,
        held: &Held,
    ) -> Result<Option<String>, StateError> {
        if let Some(parent) = &held.parent {
            match self.parent_fate(name.object_type, parent)? {
                Some((_, Fate::Live(_) | Fate::Made)) => {}
                Some((parent_type, Fate::Gone)) => {
                    return Ok(Some(format!(
                        "its parent {parent_type}/{parent} is not in the org"
                    )));
                }
                Some((parent_type, Fate::Unknown)) => {
                    return Ok(Some(format!(
                        "{parent_type} could not be read, so its parent may or may not be there"
                    )));
                }
                None => return Ok(Some(format!("its parent {parent} is in no snapshot"))),
            }
        }
        let json = values::parse(&held.body);
        self.unresolved(name.object_type, &json)
    }

    /// The first reference of an object that stands for nothing now.
    pub(super) fn unresolved(
        &mut self,
        object_type: ObjectType,
        json: &Json,
    ) -> Result<Option<String>, StateError> {
        for found in refs::find(object_type.entry(), json) {
            if is_soft(object_type, &found) || is_not_written(object_type, &found) {
                continue;
            }
            match self.resolve(&found)? {
                Resolved::Nothing | Resolved::To(_, _, Fate::Live(_) | Fate::Made) => {}
                Resolved::To(to, id, Fate::Gone) => {
                    return Ok(Some(format!(
                        "it refers to {to}/{id}, which is not in the org"
                    )));
                }
                Resolved::To(to, id, Fate::Unknown) => {
                    return Ok(Some(format!(
                        "it refers to {to}/{id}, and {to} could not be read"
                    )));
                }
            }
        }
        Ok(None)
    }

    /// What a reference stands for.
    pub(super) fn resolve(&mut self, found: &Found) -> Result<Resolved, StateError> {
        let mut first = None;
        for to in types(found.reference.to) {
            if self.request.target.contains(to, &found.value)? {
                let fate = self.fate(to, &found.value)?;
                return Ok(Resolved::To(to, found.value.clone(), fate));
            }
            first = first.or(Some(to));
        }
        let Some(first) = first else {
            return Ok(Resolved::Nothing); // points outside of what is backed up
        };
        if !refs::looks_like_id(&found.value) {
            return Ok(Resolved::Nothing); // ALL_ZONES, EVERYONE …
        }
        let mut unknown = false;
        for to in types(found.reference.to) {
            match self.is_there(to, &found.value)? {
                Some(true) => {
                    return Ok(Resolved::To(
                        to,
                        found.value.clone(),
                        Fate::Live(found.value.clone()),
                    ));
                }
                None => unknown = true,
                Some(false) => {}
            }
        }
        if found.reference.form == ReferenceForm::Expression {
            return Ok(Resolved::Nothing); // a word of the form of an id that no org has ever had
        }
        let fate = if unknown { Fate::Unknown } else { Fate::Gone };
        Ok(Resolved::To(first, found.value.clone(), fate))
    }
}
