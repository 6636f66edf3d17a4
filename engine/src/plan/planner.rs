//! The decisions: two states in, a plan out. No side effects.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::canonical::Json;
use crate::catalogue::{self, Entry, Lifecycle, ObjectType, ReferenceForm, RestoreClass, UpdateStyle};
use crate::id::SnapshotId;

use super::body::{self, Loss};
use super::order;
use super::path::{at, text_at};
use super::refs::{self, Fates, Found, Repoint};
use super::state::{Held, Knowledge, Live, Presence, State, StateError};
use super::values::{self, Difference};
use super::{
    ActionKind, CannotRestore, HeldBack, IdMap, JsonText, Mode, Now, ObjectName, Operation, PLAN_VERSION, Reason,
    ReferenceTo, RestorePlan, Selection, Work,
};

/// What a plan is made from.
pub struct PlanRequest<'a> {
    /// The snapshot's id, for the record.
    pub snapshot: SnapshotId,
    /// What is to be restored.
    pub target: &'a dyn State,
    /// The org as it is now.
    pub live: &'a dyn Live,
    /// What earlier restores made of ids.
    pub id_map: &'a IdMap,
    /// Which objects are taken.
    pub selection: &'a Selection,
    /// How far the plan goes.
    pub mode: Mode,
}

impl std::fmt::Debug for PlanRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlanRequest")
            .field("snapshot", &self.snapshot)
            .field("selection", self.selection)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// Plans a restore.
///
/// Matching goes by Okta id, then by the id map, then by natural key; two candidates hold the object
/// back. What cannot be resolved holds back what needs it: nothing is ever widened silently.
///
/// # Errors
///
/// When one of the states cannot be read.
pub fn plan(request: &PlanRequest<'_>) -> Result<RestorePlan, StateError> {
    let mut planner = Planner::new(request);
    planner.find_absent()?;
    planner.add_descendants()?;
    if request.selection.with_dependencies {
        planner.add_dependencies()?;
    }
    planner.hold_back_the_unresolvable()?;
    planner.draft_creations()?;
    planner.draft_relations()?;
    planner.draft_adoptions()?;
    planner.draft_repointing()?;
    if request.mode == Mode::Additive {
        planner.draft_updates()?;
    }
    planner.note_unreadable();
    Ok(planner.finish())
}

/// What an object of the snapshot is now.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// A live object with this id.
    Live(String),
    /// This plan creates it, or finds it made by Okta with its parent.
    Made,
    /// It is not there, and this plan does not bring it back.
    Gone,
    /// It could not be found out.
    Unknown,
}

/// An action before it has its number.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) kind: ActionKind,
    pub(crate) object: ObjectName,
    pub(crate) name: Option<String>,
    pub(crate) changes: Vec<Difference>,
    pub(crate) reason: Reason,
    pub(crate) work: Work,
    /// Whether other drafts may refer to what this one makes.
    pub(crate) makes: bool,
    /// What this draft refers to that other drafts make.
    pub(crate) needs: Vec<ObjectName>,
    /// Where it stands among those that need nothing of each other.
    pub(crate) order: (u32, i64, String),
}

struct Planner<'a> {
    request: &'a PlanRequest<'a>,
    /// Absent objects that this plan creates, with their bodies in the snapshot.
    creating: BTreeMap<ObjectName, Held>,
    /// Objects that Okta makes with a created parent, and into which values are written.
    adopting: BTreeMap<ObjectName, Held>,
    /// Absent objects that live on under another id.
    renewed: BTreeMap<ObjectName, String>,
    /// Parents of objects, by the snapshot's ids.
    drafts: Vec<Draft>,
    held_back: Vec<HeldBack>,
    cannot_restore: Vec<CannotRestore>,
    warnings: BTreeSet<String>,
    presence: HashMap<ObjectName, Presence>,
}

impl<'a> Planner<'a> {
    fn new(request: &'a PlanRequest<'a>) -> Self {
        Self {
            request,
            creating: BTreeMap::new(),
            adopting: BTreeMap::new(),
            renewed: BTreeMap::new(),
            drafts: Vec::new(),
            held_back: Vec::new(),
            cannot_restore: Vec::new(),
            warnings: BTreeSet::new(),
            presence: HashMap::new(),
        }
    }

    // ---- what is absent ----

    fn find_absent(&mut self) -> Result<(), StateError> {
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
    fn consider(&mut self, object_type: ObjectType, id: &str) -> Result<bool, StateError> {
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
            self.renewed.insert(name, live_id);
            return Ok(false);
        }
        let candidates = self.same_key(object_type, &held, &json)?;
        match candidates.as_slice() {
            [] => {}
            [one] => {
                self.renewed.insert(name, one.clone());
                return Ok(false);
            }
            many => {
                let text = format!("{} live objects could be it: {}", many.len(), many.join(", "));
                self.hold_back(&name, &json, text, Some("Delete or rename the ones that are not it, then plan again."));
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
            && !matches!(self.parent_fate(object_type, parent)?, Some((_, Fate::Live(_))))
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
    fn mapped(&mut self, object_type: ObjectType, id: &str) -> Result<Option<String>, StateError> {
        for new in self.request.id_map.follow(object_type, id).into_iter().rev() {
            if self.request.target.contains(object_type, &new)? {
                continue;
            }
            if matches!(self.look(object_type, &new)?, Presence::Here(_)) {
                return Ok(Some(new));
            }
        }
        Ok(None)
    }

    /// Live objects that the snapshot does not have, with the same natural key.
    fn same_key(&mut self, object_type: ObjectType, held: &Held, json: &Json) -> Result<Vec<String>, StateError> {
        let entry = object_type.entry();
        let taken: BTreeSet<String> = self
            .renewed
            .iter()
            .filter(|(name, _)| name.object_type == object_type)
            .map(|(_, new)| new.clone())
            .collect();
        let parent = match &held.parent {
            Some(parent) => match self.parent_fate(object_type, parent)? {
                Some((_, Fate::Live(id))) => Some(id),
                _ => return Ok(Vec::new()),
            },
            None => None,
        };
        let system = values::system_mark(entry, json).is_some();
        let mut found = Vec::new();
        for candidate in self.request.live.added(object_type)? {
            let other = values::parse(&candidate.body);
            let same_system = values::system_mark(entry, &other).is_some() == system;
            if candidate.parent == parent
                && !taken.contains(&candidate.id)
                && same_system
                && if system {
                    body::same_system_object(entry, json, &other)
                } else {
                    body::same_key(entry, json, &other)
                }
            {
                found.push(candidate.id);
            }
        }
        Ok(found)
    }

    /// The type of a parent and what became of it.
    fn parent_fate(&mut self, child: ObjectType, parent: &str) -> Result<Option<(ObjectType, Fate)>, StateError> {
        for parent_type in child.parents() {
            if self.request.target.contains(parent_type, parent)? {
                return Ok(Some((parent_type, self.fate(parent_type, parent)?)));
            }
        }
        Ok(None)
    }

    /// What an object of the snapshot is now.
    fn fate(&mut self, object_type: ObjectType, id: &str) -> Result<Fate, StateError> {
        let name = ObjectName::new(object_type, id);
        if self.creating.contains_key(&name) || self.adopting.contains_key(&name) {
            return Ok(Fate::Made);
        }
        if let Some(new) = self.renewed.get(&name) {
            return Ok(Fate::Live(new.clone()));
        }
        Ok(match self.look(object_type, id)? {
            Presence::Here(_) => Fate::Live(id.to_owned()),
            Presence::Unknown => Fate::Unknown,
            Presence::Gone => match self.mapped(object_type, id)? {
                Some(new) => Fate::Live(new),
                None => Fate::Gone,
            },
        })
    }

    fn look(&mut self, object_type: ObjectType, id: &str) -> Result<Presence, StateError> {
        let name = ObjectName::new(object_type, id);
        if let Some(known) = self.presence.get(&name) {
            return Ok(known.clone());
        }
        let presence = self.request.live.presence(object_type, id)?;
        self.presence.insert(name, presence.clone());
        Ok(presence)
    }

    /// Children of created parents come back with them.
    fn add_descendants(&mut self) -> Result<(), StateError> {
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
                    if child_type.entry().class == RestoreClass::UpdateOnly || system == Some(true) {
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
    fn add_dependencies(&mut self) -> Result<(), StateError> {
        let mut open: Vec<(ObjectName, Held)> =
            self.creating.iter().map(|(name, held)| (name.clone(), held.clone())).collect();
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
                let Some(needed) = self.request.target.get(to, &id)? else { continue };
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
    fn hold_back_the_unresolvable(&mut self) -> Result<(), StateError> {
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
    fn obstacle(&mut self, name: &ObjectName, held: &Held) -> Result<Option<String>, StateError> {
        if let Some(parent) = &held.parent {
            match self.parent_fate(name.object_type, parent)? {
                Some((_, Fate::Live(_) | Fate::Made)) => {}
                Some((parent_type, Fate::Gone)) => {
                    return Ok(Some(format!("its parent {parent_type}/{parent} is not in the org")));
                }
                Some((parent_type, Fate::Unknown)) => {
                    return Ok(Some(format!("{parent_type} could not be read, so its parent may or may not be there")));
                }
                None => return Ok(Some(format!("its parent {parent} is in no snapshot"))),
            }
        }
        let json = values::parse(&held.body);
        self.unresolved(name.object_type, &json)
    }

    /// The first reference of an object that stands for nothing now.
    fn unresolved(&mut self, object_type: ObjectType, json: &Json) -> Result<Option<String>, StateError> {
        for found in refs::find(object_type.entry(), json) {
            if is_soft(object_type, &found) || is_not_written(object_type, &found) {
                continue;
            }
            match self.resolve(&found)? {
                Resolved::Nothing | Resolved::To(_, _, Fate::Live(_) | Fate::Made) => {}
                Resolved::To(to, id, Fate::Gone) => {
                    return Ok(Some(format!("it refers to {to}/{id}, which is not in the org")));
                }
                Resolved::To(to, id, Fate::Unknown) => {
                    return Ok(Some(format!("it refers to {to}/{id}, and {to} could not be read")));
                }
            }
        }
        Ok(None)
    }

    /// What a reference stands for.
    fn resolve(&mut self, found: &Found) -> Result<Resolved, StateError> {
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
            match self.look(to, &found.value)? {
                Presence::Here(_) => return Ok(Resolved::To(to, found.value.clone(), Fate::Live(found.value.clone()))),
                Presence::Unknown => unknown = true,
                Presence::Gone => {}
            }
        }
        if found.reference.form == ReferenceForm::Expression {
            return Ok(Resolved::Nothing); // a word of the form of an id that no org has ever had
        }
        let fate = if unknown { Fate::Unknown } else { Fate::Gone };
        Ok(Resolved::To(first, found.value.clone(), fate))
    }

    // ---- drafting ----

    fn draft_creations(&mut self) -> Result<(), StateError> {
        let creating: Vec<(ObjectName, Held)> =
            self.creating.iter().map(|(name, held)| (name.clone(), held.clone())).collect();
        for (name, held) in creating {
            self.draft_creation(&name, &held)?;
        }
        Ok(())
    }

    fn draft_creation(&mut self, name: &ObjectName, held: &Held) -> Result<(), StateError> {
        let entry = name.object_type.entry();
        let json = values::parse(&held.body);
        let mut wanted = body::for_creation(name.object_type, &json);
        self.leave_out_unknown_attributes(name, &json, &mut wanted)?;
        for loss in body::losses(name.object_type, &json) {
            self.list_loss(name, &json, loss);
        }
        let (references, needs) = self.references(name.object_type, &wanted, held.parent.as_deref(), true)?;
        let same_key = self.known_with_key(name.object_type, held, &json)?;
        self.drafts.push(Draft {
            kind: ActionKind::Create,
            object: name.clone(),
            name: values::name_in(entry, &json),
            changes: Vec::new(),
            reason: Reason::Missing,
            work: Work {
                operation: Operation::Create,
                target: None,
                parent: held.parent.clone(),
                grandparent: self.grandparent(name.object_type, held.parent.as_deref())?,
                body: Some(text(&wanted)),
                references,
                seen: None,
                same_key,
            },
            makes: true,
            needs,
            order: order::create(entry, &json),
        });
        self.draft_first_state(name, &json)?;
        self.draft_soft_references(name, &json)?;
        for (reference, put, end) in refs::links(entry, &json) {
            self.draft_link(name, &json, types(reference.to).next(), put, &end, None)?;
        }
        Ok(())
    }

    /// Takes out of a new user what the live schema of its type does not have: Okta refuses a profile with it.
    ///
    /// A type that is created again, or a schema that this plan writes, has everything.
    fn leave_out_unknown_attributes(&mut self, name: &ObjectName, json: &Json, wanted: &mut Json) -> Result<(), StateError> {
        if name.object_type.name() != "user" {
            return Ok(());
        }
        let Some(known) = self.live_attributes(json)? else {
            return Ok(());
        };
        let Some(Json::Object(profile)) = at(json, "profile") else {
            return Ok(());
        };
        for (key, value) in profile {
            if known.contains(key) || *value == Json::Null {
                continue;
            }
            super::path::set(wanted, &["profile", key], None);
            self.cannot_restore.push(CannotRestore {
                object_type: name.object_type,
                id: name.id.clone(),
                name: values::name_in(name.object_type.entry(), json),
                what: format!("profile.{key}"),
                instead: "The schema no longer has the attribute: restore user_schema with mode additive first."
                    .to_owned(),
            });
        }
        Ok(())
    }

    /// The attributes that the live schema of a user's type has; `None` where that is not known or will be written.
    fn live_attributes(&mut self, user: &Json) -> Result<Option<BTreeSet<String>>, StateError> {
        let (Ok(schema), Some(type_id)) = ("user_schema".parse::<ObjectType>(), text_at(user, "type.id")) else {
            return Ok(None);
        };
        let Some(held) = self.request.target.children(schema, type_id)?.pop() else {
            return Ok(None);
        };
        let rewritten = self.request.mode == Mode::Additive && self.request.selection.takes(schema, &held.id);
        let Fate::Live(id) = self.fate(schema, &held.id)? else { return Ok(None) };
        let Presence::Here(live) = self.look(schema, &id)? else { return Ok(None) };
        if rewritten {
            return Ok(None);
        }
        let live = values::parse(&live.body);
        let mut known = BTreeSet::new();
        for part in ["definitions.base.properties", "definitions.custom.properties"] {
            if let Some(Json::Object(properties)) = at(&live, part) {
                known.extend(properties.keys().cloned());
            }
        }
        Ok((!known.is_empty()).then_some(known))
    }

    /// Live objects with the object's natural key: none of them is ever taken for a new one.
    fn known_with_key(&mut self, object_type: ObjectType, held: &Held, json: &Json) -> Result<Vec<String>, StateError> {
        let entry = object_type.entry();
        if matches!(entry.name, "user" | "group") {
            return Ok(Vec::new()); // Okta itself lets no two of them have the same
        }
        let mut known = Vec::new();
        let mut same: Vec<Held> = Vec::new();
        self.request.target.for_each(object_type, &mut |other| {
            if other.id != held.id && body::same_key(entry, json, &values::parse(&other.body)) {
                same.push(other);
            }
            Ok(())
        })?;
        for other in same {
            if let Fate::Live(id) = self.fate(object_type, &other.id)? {
                known.push(id);
            }
        }
        for other in self.request.live.added(object_type)? {
            if body::same_key(entry, json, &values::parse(&other.body)) && !known.contains(&other.id) {
                known.push(other.id);
            }
        }
        known.sort();
        Ok(known)
    }

    /// Brings a created object into the state it had.
    fn draft_first_state(&mut self, name: &ObjectName, json: &Json) -> Result<(), StateError> {
        let entry = name.object_type.entry();
        let (Some(lifecycle), Some(status)) = (entry.lifecycle, values::status(entry, json)) else {
            return Ok(());
        };
        if entry.name == "user" {
            if values::is_in_use(status) || status == "SUSPENDED" {
                self.draft_state(name, json, Operation::Activate, "ACTIVE", order::user_state(0))?;
            }
            if status == "SUSPENDED" {
                self.draft_state(name, json, Operation::Suspend, "SUSPENDED", order::user_state(1))?;
            }
            return Ok(());
        }
        let first = lifecycle.created_as.unwrap_or("ACTIVE");
        match status {
            "ACTIVE" if first != "ACTIVE" => {
                self.draft_state(name, json, Operation::Activate, "ACTIVE", order::after(entry))
            }
            "INACTIVE" if first == "ACTIVE" => {
                let order = if entry.name == "app" { order::APP_AT_REST } else { order::after(entry) };
                self.draft_state(name, json, Operation::DeactivateCreated, "INACTIVE", order)
            }
            _ => Ok(()),
        }
    }

    fn draft_state(
        &mut self,
        name: &ObjectName,
        json: &Json,
        operation: Operation,
        to: &str,
        order: u32,
    ) -> Result<(), StateError> {
        let entry = name.object_type.entry();
        let path = entry.lifecycle.map_or("status", |lifecycle: Lifecycle| lifecycle.path);
        let parent = self.creating.get(name).and_then(|held| held.parent.clone());
        let grandparent = self.grandparent(name.object_type, parent.as_deref())?;
        let (references, mut needs) = self.references(name.object_type, &Json::Null, parent.as_deref(), false)?;
        needs.push(name.clone());
        self.drafts.push(Draft {
            kind: ActionKind::Lifecycle,
            object: name.clone(),
            name: values::name_in(entry, json),
            changes: vec![Difference {
                path: vec![path.to_owned()],
                from: None,
                to: Some(Json::String(to.to_owned())),
            }],
            reason: Reason::Lifecycle,
            work: Work {
                operation,
                target: None,
                parent,
                grandparent,
                body: None,
                references,
                seen: None,
                same_key: Vec::new(),
            },
            makes: false,
            needs,
            order: (order, 0, name.id.clone()),
        });
        Ok(())
    }

    /// The parent's own parent, for types whose paths name it.
    fn grandparent(&self, object_type: ObjectType, parent: Option<&str>) -> Result<Option<String>, StateError> {
        let Some(parent) = parent else { return Ok(None) };
        for parent_type in object_type.parents() {
            if let Some(held) = self.request.target.get(parent_type, parent)? {
                return Ok(held.parent);
            }
        }
        Ok(None)
    }

    /// The same for a live object, by live ids.
    fn live_grandparent(&mut self, object_type: ObjectType, parent: Option<&str>) -> Result<Option<String>, StateError> {
        let Some(parent) = parent else { return Ok(None) };
        for parent_type in object_type.parents() {
            if parent_type.has_parent()
                && let Presence::Here(held) = self.look(parent_type, parent)?
            {
                return Ok(held.parent);
            }
        }
        Ok(None)
    }

    /// The reference to a parent, for drafts that have to name it again.
    fn parent_reference(&mut self, child: ObjectType, parent: &str) -> Option<(ReferenceTo, Option<ObjectName>)> {
        let (parent_type, fate) = self.parent_fate(child, parent).ok()??;
        let name = ObjectName::new(parent_type, parent);
        match fate {
            Fate::Live(id) => Some((reference(&name, Now::Live(id)), None)),
            Fate::Made => Some((reference(&name, Now::Made(0)), Some(name))),
            Fate::Gone | Fate::Unknown => None,
        }
    }

    /// References that may be filled in later (a manager): where they name a created object, a second step writes them.
    fn draft_soft_references(&mut self, name: &ObjectName, json: &Json) -> Result<(), StateError> {
        let entry = name.object_type.entry();
        for found in refs::find(entry, json) {
            if !is_soft(name.object_type, &found) {
                continue;
            }
            let Resolved::To(to, id, fate) = self.resolve(&found)? else { continue };
            let far = ObjectName::new(to, &id);
            let now = match fate {
                Fate::Made => Now::Made(0),
                Fate::Live(new) if new != id => Now::Live(new),
                _ => continue,
            };
            let (keys, _) = refs::place(found.reference.path);
            let difference = Difference {
                path: keys.iter().map(|key| (*key).to_owned()).collect(),
                from: at(json, found.reference.path).cloned(),
                to: at(json, found.reference.path).cloned(),
            };
            let body = values::update_body(entry, &Json::Null, std::slice::from_ref(&difference));
            let mut needs = vec![name.clone()];
            if matches!(now, Now::Made(_)) {
                needs.push(far.clone());
            }
            self.drafts.push(Draft {
                kind: ActionKind::Update,
                object: name.clone(),
                name: values::name_in(entry, json),
                changes: vec![difference],
                reason: Reason::Repoint,
                work: Work {
                    operation: Operation::Update { activate: false },
                    target: None,
                    parent: None,
                    grandparent: None,
                    body: Some(text(&body)),
                    references: vec![reference(&far, now)],
                    seen: None,
                    same_key: Vec::new(),
                },
                makes: false,
                needs,
                order: (order::after(entry), 0, name.id.clone()),
            });
        }
        Ok(())
    }

    /// Sets a link of an object by its own call.
    fn draft_link(
        &mut self,
        name: &ObjectName,
        json: &Json,
        to: Option<ObjectType>,
        put: &str,
        end: &str,
        seen: Option<&str>,
    ) -> Result<(), StateError> {
        let Some(to) = to else { return Ok(()) };
        let entry = name.object_type.entry();
        if !self.request.target.contains(to, end)? {
            return Ok(()); // a policy that was not backed up: Okta gives its default
        }
        let far = ObjectName::new(to, end);
        let now = match self.fate(to, end)? {
            Fate::Live(id) => Now::Live(id),
            Fate::Made => Now::Made(0),
            Fate::Gone | Fate::Unknown => {
                let text = format!("its link to {far} is not set, as that is not in the org");
                self.hold_back(name, json, text, Some("Select the policy as well, or plan with dependencies."));
                return Ok(());
            }
        };
        let own = self.fate(name.object_type, &name.id)?;
        let mut needs = Vec::new();
        let mut references = Vec::new();
        match &own {
            Fate::Made => needs.push(name.clone()),
            Fate::Live(id) if *id != name.id => references.push(reference(name, Now::Live(id.clone()))),
            _ => {}
        }
        if matches!(now, Now::Made(_)) {
            needs.push(far.clone());
        }
        references.push(reference(&far, now));
        let created = own == Fate::Made;
        self.drafts.push(Draft {
            kind: if created { ActionKind::Relate } else { ActionKind::Update },
            object: name.clone(),
            name: values::name_in(entry, json),
            changes: vec![Difference {
                path: vec![to.name().to_owned()],
                from: None,
                to: Some(Json::String(end.to_owned())),
            }],
            reason: if created { Reason::Relation } else { Reason::Repoint },
            work: Work {
                operation: Operation::Link { call: put.to_owned(), end: end.to_owned() },
                target: match own {
                    Fate::Live(id) => Some(id),
                    Fate::Made | Fate::Gone | Fate::Unknown => None,
                },
                parent: None,
                grandparent: None,
                body: None,
                references,
                seen: seen.map(str::to_owned),
                same_key: Vec::new(),
            },
            makes: false,
            needs,
            order: (order::after(entry), 0, name.id.clone()),
        });
        Ok(())
    }

    /// What the ids in a body (and a parent) stand for, and which drafts that needs.
    fn references(
        &mut self,
        object_type: ObjectType,
        body: &Json,
        parent: Option<&str>,
        creating: bool,
    ) -> Result<(Vec<ReferenceTo>, Vec<ObjectName>), StateError> {
        let mut references = BTreeMap::new();
        let mut needs = BTreeSet::new();
        for found in refs::find(object_type.entry(), body) {
            let Resolved::To(to, id, fate) = self.resolve(&found)? else { continue };
            let name = ObjectName::new(to, &id);
            match fate {
                Fate::Live(new) if new != id => drop(references.insert(name, Now::Live(new))),
                // A reference that may be filled in later never delays a creation.
                Fate::Made if !(is_soft(object_type, &found) && creating) => {
                    needs.insert(name.clone());
                    references.insert(name, Now::Made(0));
                }
                _ => {}
            }
        }
        if let Some(parent) = parent
            && let Some((to, need)) = self.parent_reference(object_type, parent)
        {
            needs.extend(need);
            let parent_type = to.object_type;
            references.insert(ObjectName::new(parent_type, &to.id), to.now);
            // The parent's own parent stands in the paths of some types.
            if let Some(grandparent) = self.grandparent(object_type, Some(parent))?
                && let Some((to, need)) = self.parent_reference(parent_type, &grandparent)
            {
                needs.extend(need);
                references.insert(ObjectName::new(to.object_type, &to.id), to.now);
            }
        }
        let references = references.into_iter().map(|(name, now)| reference(&name, now)).collect();
        Ok((references, needs.into_iter().collect()))
    }

    // ---- relations ----

    fn draft_relations(&mut self) -> Result<(), StateError> {
        for relation in catalogue::all().filter(|t| t.entry().class == RestoreClass::Relation) {
            let mut wanted = Vec::new();
            let created: BTreeSet<&ObjectName> = self.creating.keys().chain(self.renewed.keys()).collect();
            let parents: Vec<ObjectType> = relation.parents().collect();
            let Some(far) = far_type(relation) else { continue };
            let asked: BTreeSet<String> = self.asked_relations(relation)?;
            self.request.target.ids(relation, &mut |id, parent| {
                let Some(parent) = parent else { return };
                let key = id.split_once('/').map_or(id, |(_, key)| key);
                let near_new = parents.iter().any(|t| created.contains(&ObjectName::new(*t, parent)));
                let far_new = created.contains(&ObjectName::new(far, key));
                if near_new || far_new || asked.contains(id) {
                    wanted.push((id.to_owned(), parent.to_owned(), key.to_owned()));
                }
            })?;
            for (id, parent, key) in wanted {
                self.draft_relation(relation, far, &id, &parent, &key)?;
            }
        }
        Ok(())
    }

    /// Relations that are missing between survivors and are to be restored.
    fn asked_relations(&self, relation: ObjectType) -> Result<BTreeSet<String>, StateError> {
        let selection = self.request.selection;
        let additive = self.request.mode == Mode::Additive;
        Ok(self
            .request
            .live
            .gone(relation)?
            .into_iter()
            .filter(|id| selection.names(relation, id) || (additive && selection.takes(relation, id)))
            .collect())
    }

    fn draft_relation(
        &mut self,
        relation: ObjectType,
        far: ObjectType,
        id: &str,
        parent: &str,
        key: &str,
    ) -> Result<(), StateError> {
        let entry = relation.entry();
        let name = ObjectName::new(relation, id);
        let Some((near, near_fate)) = self.parent_fate(relation, parent)? else {
            return Ok(());
        };
        let far_fate = self.fate(far, key)?;
        let near_name = ObjectName::new(near, parent);
        let far_name = ObjectName::new(far, key);
        for (end, fate) in [(&near_name, &near_fate), (&far_name, &far_fate)] {
            match fate {
                Fate::Live(_) | Fate::Made => {}
                Fate::Gone => {
                    let text = format!("{end} is not in the org");
                    self.hold_back(&name, &Json::Null, text, Some("Select it as well."));
                    return Ok(());
                }
                Fate::Unknown => {
                    let text = format!("{} could not be read", end.object_type);
                    self.hold_back(&name, &Json::Null, text, None);
                    return Ok(());
                }
            }
        }
        if !self.can_relate(&near_name)? {
            return Ok(()); // imported and built-in groups fill themselves
        }
        if let Fate::Live(id) = &far_fate
            && far.name() == "user"
            && let Presence::Here(user) = self.look(far, id)?
            && values::status(far.entry(), &values::parse(&user.body)) == Some("DEPROVISIONED")
        {
            let text = format!("{far_name} is deactivated");
            self.hold_back(&name, &Json::Null, text, Some("Reactivate the user, then plan again."));
            return Ok(());
        }
        // An object restored earlier, under another id, may have the relation already.
        if let (Fate::Live(near_id), Fate::Live(far_id)) = (&near_fate, &far_fate)
            && (near_id != parent || far_id != key)
        {
            match self.look(relation, &format!("{near_id}/{far_id}"))? {
                Presence::Gone => {}
                Presence::Here(_) => return Ok(()),
                Presence::Unknown => return Ok(()),
            }
        }
        let Some(held) = self.request.target.get(relation, id)? else {
            return Ok(());
        };
        let json = values::parse(&held.body);
        if entry.name == "app_user" && text_at(&json, "scope") != Some("USER") {
            return Ok(()); // comes with the group's assignment
        }
        let mut needs = Vec::new();
        let mut references = Vec::new();
        for (end, fate) in [(near_name, near_fate), (far_name, far_fate)] {
            match fate {
                Fate::Made => {
                    references.push(reference(&end, Now::Made(0)));
                    needs.push(end);
                }
                Fate::Live(new) if new != end.id => references.push(reference(&end, Now::Live(new))),
                _ => {}
            }
        }
        let body = body::for_relation(relation, &json);
        self.drafts.push(Draft {
            kind: ActionKind::Relate,
            object: name.clone(),
            name: None,
            changes: Vec::new(),
            reason: Reason::Relation,
            work: Work {
                operation: Operation::Relate,
                target: None,
                parent: Some(parent.to_owned()),
                grandparent: None,
                body: body.as_ref().map(text),
                references,
                seen: None,
                same_key: Vec::new(),
            },
            makes: false,
            needs,
            order: order::create(entry, &json),
        });
        Ok(())
    }

    /// Whether relations under this object are ours to write.
    fn can_relate(&mut self, near: &ObjectName) -> Result<bool, StateError> {
        if near.object_type.name() != "group" {
            return Ok(true);
        }
        let Some(held) = self.request.target.get(near.object_type, &near.id)? else {
            return Ok(false);
        };
        Ok(values::system_mark(near.object_type.entry(), &values::parse(&held.body)).is_none())
    }

    // ---- what Okta makes with a parent ----

    fn draft_adoptions(&mut self) -> Result<(), StateError> {
        self.find_mappings()?;
        let adopting: Vec<(ObjectName, Held)> =
            self.adopting.iter().map(|(name, held)| (name.clone(), held.clone())).collect();
        for (name, held) in adopting {
            let entry = name.object_type.entry();
            let json = values::parse(&held.body);
            let Some(wanted) = body::for_adoption(name.object_type, &json) else {
                continue; // nothing of it is anyone's own
            };
            let mut scanned = wanted.clone();
            if entry.name == "profile_mapping" {
                scanned = json.clone();
            }
            let (references, needs) = self.references(name.object_type, &scanned, held.parent.as_deref(), false)?;
            self.drafts.push(Draft {
                kind: ActionKind::Update,
                object: name.clone(),
                name: values::name_in(entry, &json),
                changes: mapping_ends(entry, &json),
                reason: Reason::MadeByParent,
                work: Work {
                    operation: Operation::Adopt,
                    target: None,
                    parent: held.parent.clone(),
                    grandparent: self.grandparent(name.object_type, held.parent.as_deref())?,
                    body: Some(text(&wanted)),
                    references,
                    seen: None,
                    same_key: Vec::new(),
                },
                makes: true,
                needs,
                order: (order::after(entry), order::priority(&json), name.id.clone()),
            });
        }
        Ok(())
    }

    /// Mappings of which an end is created appear by themselves; their properties are written.
    fn find_mappings(&mut self) -> Result<(), StateError> {
        let Ok(mapping) = "profile_mapping".parse::<ObjectType>() else {
            return Ok(());
        };
        let made: BTreeSet<&str> = self.creating.keys().map(|name| name.id.as_str()).collect();
        let mut found = Vec::new();
        if !made.is_empty() {
            self.request.target.for_each(mapping, &mut |held| {
                let json = values::parse(&held.body);
                let ends = [text_at(&json, "source.id"), text_at(&json, "target.id")];
                if ends.iter().flatten().any(|id| made.contains(id)) {
                    found.push(held);
                }
                Ok(())
            })?;
        }
        for held in found {
            let name = ObjectName::new(mapping, &held.id);
            let json = values::parse(&held.body);
            if let Some(reason) = self.unresolved_mapping(&json)? {
                self.hold_back(&name, &json, reason, Some("Restore both of its ends."));
            } else {
                self.adopting.insert(name, held);
            }
        }
        Ok(())
    }

    fn unresolved_mapping(&mut self, json: &Json) -> Result<Option<String>, StateError> {
        let Ok(mapping) = "profile_mapping".parse::<ObjectType>() else {
            return Ok(None);
        };
        for found in refs::find(mapping.entry(), json) {
            if let Resolved::To(to, id, Fate::Gone | Fate::Unknown) = self.resolve(&found)? {
                return Ok(Some(format!("it refers to {to}/{id}, which is not in the org")));
            }
        }
        Ok(None)
    }

    // ---- repointing ----

    fn draft_repointing(&mut self) -> Result<(), StateError> {
        let fates = self.fates();
        if fates.is_empty() {
            return Ok(());
        }
        let concerned: BTreeSet<ObjectType> =
            self.creating.keys().chain(self.renewed.keys()).map(|name| name.object_type).collect();
        for object_type in catalogue::all() {
            let entry = object_type.entry();
            if entry.class == RestoreClass::Relation {
                continue;
            }
            let points = entry
                .references
                .iter()
                .any(|reference| types(reference.to).any(|to| concerned.contains(&to)));
            if !points {
                continue;
            }
            for (snapshot, live) in self.repoint_candidates(object_type, &fates)? {
                self.draft_repoint(object_type, snapshot.as_ref(), &live, &fates)?;
            }
        }
        Ok(())
    }

    fn fates(&self) -> Fates {
        Fates {
            renewed: self.renewed.iter().map(|(name, new)| (name.id.clone(), new.clone())).collect(),
            made: self.creating.keys().map(|name| name.id.clone()).collect(),
        }
    }

    /// Surviving objects that name an old id, in the snapshot or live: `(snapshot's, live's)`.
    fn repoint_candidates(
        &mut self,
        object_type: ObjectType,
        fates: &Fates,
    ) -> Result<Vec<(Option<Held>, Held)>, StateError> {
        let entry = object_type.entry();
        let names_old = |held: &Held| {
            let json = values::parse(&held.body);
            refs::find(entry, &json).iter().any(|found| fates.is_old(&found.value))
                || refs::links(entry, &json).iter().any(|(_, _, id)| fates.is_old(id))
        };
        let mut naming = BTreeMap::new();
        self.request.target.for_each(object_type, &mut |held| {
            if names_old(&held) {
                naming.insert(held.id.clone(), held);
            }
            Ok(())
        })?;
        let mut candidates = Vec::new();
        let mut seen = BTreeSet::new();
        for live in self.request.live.changed(object_type)?.into_iter().chain(self.request.live.added(object_type)?) {
            if !naming.contains_key(&live.id) && names_old(&live) {
                seen.insert(live.id.clone());
                let snapshot = self.request.target.get(object_type, &live.id)?;
                candidates.push((snapshot, live));
            }
        }
        for (id, snapshot) in naming {
            let name = ObjectName::new(object_type, &id);
            if self.creating.contains_key(&name) || self.adopting.contains_key(&name) || seen.contains(&id) {
                continue;
            }
            if let Fate::Live(live_id) = self.fate(object_type, &id)?
                && let Presence::Here(live) = self.look(object_type, &live_id)?
            {
                candidates.push((Some(snapshot), live));
            }
        }
        Ok(candidates)
    }

    fn draft_repoint(
        &mut self,
        object_type: ObjectType,
        snapshot: Option<&Held>,
        live: &Held,
        fates: &Fates,
    ) -> Result<(), StateError> {
        let entry = object_type.entry();
        let id = snapshot.map_or(live.id.as_str(), |held| held.id.as_str());
        if self.request.mode == Mode::Additive && snapshot.is_some() && self.request.selection.takes(object_type, id) {
            return Ok(()); // brought back as a whole
        }
        let name = ObjectName::new(object_type, id);
        let before = snapshot.map_or(Json::Null, |held| values::parse(&held.body));
        let now = values::parse(&live.body);
        let mut changes: Vec<Difference> = Vec::new();
        let mut places = BTreeSet::new();
        for reference in entry.references {
            if matches!(reference.form, ReferenceForm::Link { .. } | ReferenceForm::Key) || is_read_only(entry, reference.path) {
                continue;
            }
            let (keys, rest) = refs::place(reference.path);
            let place = keys.join(".");
            match refs::repoint(reference.form, &rest, at(&before, &place), at(&now, &place), fates) {
                Repoint::Nothing => {}
                Repoint::Set(value) => {
                    if places.insert(place.clone()) {
                        changes.push(Difference {
                            path: keys.iter().map(|key| (*key).to_owned()).collect(),
                            from: at(&now, &place).cloned(),
                            to: value,
                        });
                    }
                }
                Repoint::Conflict => {
                    self.warnings.insert(format!(
                        "{name}: `{place}` lost a reference and was changed otherwise since; it is left as it is."
                    ));
                }
            }
        }
        self.repoint_links(&name, &before, &now, fates)?;
        if changes.is_empty() {
            return Ok(());
        }
        if values::system_mark(entry, &now) == Some(false) {
            self.hold_back(&name, &now, "Okta does not let it be changed".to_owned(), None);
            return Ok(());
        }
        if entry.name == "user" && values::status(entry, &now) == Some("DEPROVISIONED") {
            self.warnings.insert(format!("{name} names an old id, and a deactivated user cannot be changed."));
            return Ok(());
        }
        self.draft_update(&name, live, &now, changes, Reason::Repoint, snapshot.map(|_| &before))
    }

    /// Links that pointed to what is created again, and now point nowhere or to what Okta put there instead.
    fn repoint_links(&mut self, name: &ObjectName, before: &Json, now: &Json, fates: &Fates) -> Result<(), StateError> {
        let entry = name.object_type.entry();
        for (reference, put, end) in refs::links(entry, before) {
            if !fates.is_old(&end) {
                continue;
            }
            let live_end = refs::links(entry, now)
                .into_iter()
                .find(|(other, _, _)| other.path == reference.path)
                .map(|(_, _, id)| id);
            if let Some(live_end) = &live_end
                && !fates.is_old(live_end)
            {
                if fates.renewed.get(&end) == Some(live_end) {
                    continue;
                }
                let Some(to) = types(reference.to).next() else { continue };
                let default = match self.look(to, live_end)? {
                    Presence::Here(held) => {
                        values::system_mark(to.entry(), &values::parse(&held.body)).is_some()
                    }
                    Presence::Gone => true,
                    Presence::Unknown => false,
                };
                if !default {
                    self.warnings.insert(format!(
                        "{name}: its link to {to}/{end} was set to another one since; it is left as it is."
                    ));
                    continue;
                }
            }
            let seen = live_end.as_deref().unwrap_or_default();
            self.draft_link(name, before, types(reference.to).next(), put, &end, Some(seen))?;
        }
        Ok(())
    }

    /// An update of a surviving object, in the way its type wants.
    fn draft_update(
        &mut self,
        name: &ObjectName,
        live: &Held,
        now: &Json,
        changes: Vec<Difference>,
        reason: Reason,
        before: Option<&Json>,
    ) -> Result<(), StateError> {
        let entry = name.object_type.entry();
        let live_status = values::status(entry, now).unwrap_or("ACTIVE");
        let wanted_status = before.and_then(|json| values::status(entry, json)).unwrap_or(live_status);
        let activate = live_status == "ACTIVE"
            || (wanted_status == "ACTIVE" && (live_status == "INVALID" || reason == Reason::Differs));
        // A rule that lost a target stays invalid whatever is written into it, and its actions never change.
        let immutable = entry.name == "group_rule"
            && (live_status == "INVALID"
                || changes.iter().any(|change| change.path.first().is_some_and(|key| key == "actions")));
        if entry.update == UpdateStyle::Never {
            let text = "Okta has no call that changes it".to_owned();
            self.hold_back(name, now, text, Some("Delete it, then plan again: it is created as it was."));
            return Ok(());
        }
        let body = if immutable {
            let whole = values::update_body(entry, now, &changes);
            body::for_creation(name.object_type, &whole)
        } else {
            values::update_body(entry, now, &changes)
        };
        let (mut references, needs) = self.references(name.object_type, &body, None, false)?;
        references.retain(|to| to.id != live.id);
        let grandparent = self.live_grandparent(name.object_type, live.parent.as_deref())?;
        self.drafts.push(Draft {
            kind: ActionKind::Update,
            object: name.clone(),
            name: values::name_in(entry, now),
            changes,
            reason,
            work: Work {
                operation: if immutable { Operation::Recreate { activate } } else { Operation::Update { activate } },
                target: Some(live.id.clone()),
                parent: live.parent.clone(),
                grandparent,
                body: Some(text(&body)),
                references,
                seen: Some(values::fingerprint(name.object_type, &live.body)),
                same_key: Vec::new(),
            },
            makes: false,
            needs,
            order: (order::after(entry) + 1, order::priority(now), name.id.clone()),
        });
        Ok(())
    }

    // ---- values of survivors (additive) ----

    fn draft_updates(&mut self) -> Result<(), StateError> {
        for object_type in catalogue::all().filter(|t| !t.entry().bare_relation) {
            let mut pairs: Vec<(Held, Held)> = Vec::new();
            for live in self.request.live.changed(object_type)? {
                if self.request.selection.takes(object_type, &live.id)
                    && let Some(snapshot) = self.request.target.get(object_type, &live.id)?
                {
                    pairs.push((snapshot, live));
                }
            }
            let renewed: Vec<(ObjectName, String)> = self
                .renewed
                .iter()
                .filter(|(name, _)| name.object_type == object_type)
                .map(|(name, new)| (name.clone(), new.clone()))
                .collect();
            for (name, new) in renewed {
                if let Some(snapshot) = self.request.target.get(object_type, &name.id)?
                    && let Presence::Here(live) = self.look(object_type, &new)?
                {
                    pairs.push((snapshot, live));
                }
            }
            for (snapshot, live) in pairs {
                self.draft_survivor(object_type, &snapshot, &live)?;
            }
        }
        Ok(())
    }

    fn draft_survivor(&mut self, object_type: ObjectType, snapshot: &Held, live: &Held) -> Result<(), StateError> {
        let entry = object_type.entry();
        let name = ObjectName::new(object_type, &snapshot.id);
        let before = values::parse(&snapshot.body);
        let now = values::parse(&live.body);
        let fates = self.fates();
        let mut wanted = before.clone();
        refs::rewrite(entry, &mut wanted, &fates.renewed);
        self.repoint_links(&name, &before, &now, &fates)?;
        let writable = values::system_mark(entry, &now) != Some(false);
        let assigned_by_group = entry.name == "app_user" && text_at(&before, "scope") != Some("USER");
        let mut changes = if assigned_by_group { Vec::new() } else { values::additions(entry, &now, &wanted) };
        if entry.name == "group_rule"
            && changes.is_empty()
            && values::status(entry, &now) == Some("INVALID")
            && values::status(entry, &before) == Some("ACTIVE")
        {
            changes.push(Difference {
                path: vec!["status".to_owned()],
                from: at(&now, "status").cloned(),
                to: at(&before, "status").cloned(),
            });
        }
        if entry.name == "custom_role" {
            let count = changes.len();
            changes.retain(|change| change.path.first().is_none_or(|key| key != "permissions"));
            if changes.len() != count {
                let text = "its permissions differ, and they are not written by an update".to_owned();
                self.hold_back(&name, &now, text, Some("Delete the role and plan again, or set its permissions by hand."));
            }
        }
        if !changes.is_empty() {
            if !writable {
                self.hold_back(&name, &now, "its values differ, and Okta does not let it be changed".to_owned(), None);
            } else if entry.name == "user" && values::status(entry, &now) == Some("DEPROVISIONED") {
                let text = "its values differ, and a deactivated user cannot be changed".to_owned();
                self.hold_back(&name, &now, text, Some("Plan again after it has been reactivated."));
            } else if let Some(reason) = self.unresolved_changes(object_type, &changes)? {
                self.hold_back(&name, &now, reason, Some("Select what it refers to as well."));
            } else {
                self.draft_update(&name, live, &now, changes, Reason::Differs, Some(&before))?;
            }
        }
        if writable {
            self.draft_survivor_state(&name, live, &before, &now)?;
        }
        Ok(())
    }

    fn unresolved_changes(&mut self, object_type: ObjectType, changes: &[Difference]) -> Result<Option<String>, StateError> {
        let mut only = Json::Object(BTreeMap::new());
        for change in changes {
            let keys: Vec<&str> = change.path.iter().map(String::as_str).collect();
            super::path::set(&mut only, &keys, change.to.clone());
        }
        self.unresolved(object_type, &only)
    }

    fn draft_survivor_state(
        &mut self,
        name: &ObjectName,
        live: &Held,
        before: &Json,
        now: &Json,
    ) -> Result<(), StateError> {
        let entry = name.object_type.entry();
        let (Some(wanted), Some(has)) = (values::status(entry, before), values::status(entry, now)) else {
            return Ok(());
        };
        if values::same_status(name.object_type, wanted, has) {
            return Ok(());
        }
        let is_user = entry.name == "user";
        let mut steps: Vec<(Operation, &str)> = Vec::new();
        match (is_user, wanted, has) {
            (true, "DEPROVISIONED" | "STAGED", _) => {}
            (true, "SUSPENDED", "DEPROVISIONED" | "STAGED") => {
                steps.push((Operation::Activate, "ACTIVE"));
                steps.push((Operation::Suspend, "SUSPENDED"));
            }
            (true, "SUSPENDED", _) => steps.push((Operation::Suspend, "SUSPENDED")),
            (true, _, "SUSPENDED") => steps.push((Operation::Unsuspend, "ACTIVE")),
            (true, _, "DEPROVISIONED" | "STAGED") => steps.push((Operation::Activate, "ACTIVE")),
            (false, "ACTIVE", _) => {
                // A rule that is written anyway is activated by that.
                let written = self.drafts.iter().any(|draft| {
                    draft.object == *name
                        && matches!(
                            draft.work.operation,
                            Operation::Update { activate: true } | Operation::Recreate { activate: true }
                        )
                }) && entry.lifecycle.is_some_and(|lifecycle| lifecycle.update_only_inactive);
                if !written {
                    steps.push((Operation::Activate, "ACTIVE"));
                }
            }
            _ => {}
        }
        if is_user && has == "DEPROVISIONED" && !steps.is_empty() {
            self.warnings.insert(format!(
                "{name}: reactivating it starts a new activation; its password, factors, groups and assignments are gone."
            ));
        }
        for (place, (operation, to)) in steps.into_iter().enumerate() {
            let order = if is_user { order::user_state(place) } else { order::after(entry) + 2 };
            let grandparent = self.live_grandparent(name.object_type, live.parent.as_deref())?;
            self.drafts.push(Draft {
                kind: ActionKind::Lifecycle,
                object: name.clone(),
                name: values::name_in(entry, now),
                changes: vec![Difference {
                    path: vec!["status".to_owned()],
                    from: Some(Json::String(has.to_owned())),
                    to: Some(Json::String(to.to_owned())),
                }],
                reason: Reason::Lifecycle,
                work: Work {
                    operation,
                    target: Some(live.id.clone()),
                    parent: live.parent.clone(),
                    grandparent,
                    body: None,
                    references: Vec::new(),
                    seen: None,
                    same_key: Vec::new(),
                },
                makes: false,
                needs: Vec::new(),
                order: (order, 0, name.id.clone()),
            });
        }
        Ok(())
    }

    // ---- the end ----

    fn note_unreadable(&mut self) {
        for object_type in catalogue::all() {
            if let Knowledge::Unreadable(reason) = self.request.live.knowledge(object_type) {
                self.warnings.insert(format!(
                    "{object_type} could not be read ({reason}): nothing of it counts as missing, and what refers to it is held back."
                ));
            }
        }
    }

    fn finish(self) -> RestorePlan {
        let (actions, circles) = order::number(self.drafts);
        let mut held_back = self.held_back;
        for (object, name) in circles {
            held_back.push(HeldBack {
                object_type: object.object_type,
                id: object.id,
                name,
                reason: "it and another object of the plan need each other".to_owned(),
                hint: Some("Restore one of them alone first.".to_owned()),
            });
        }
        let scopes: BTreeSet<&str> = actions.iter().map(|action| action.object_type.entry().manage_scope).collect();
        RestorePlan {
            version: PLAN_VERSION,
            snapshot: self.request.snapshot,
            mode: self.request.mode,
            selection: self.request.selection.clone(),
            requests_estimated: order::requests(&actions),
            scopes: scopes.into_iter().map(str::to_owned).collect(),
            actions,
            held_back,
            cannot_restore: self.cannot_restore,
            warnings: self.warnings.into_iter().collect(),
        }
    }

    fn hold_back(&mut self, name: &ObjectName, json: &Json, reason: String, hint: Option<&str>) {
        let held = HeldBack {
            object_type: name.object_type,
            id: name.id.clone(),
            name: values::name_in(name.object_type.entry(), json),
            reason,
            hint: hint.map(str::to_owned),
        };
        if !self.held_back.contains(&held) {
            self.held_back.push(held);
        }
    }

    fn list_loss(&mut self, name: &ObjectName, json: &Json, loss: Loss) {
        self.cannot_restore.push(CannotRestore {
            object_type: name.object_type,
            id: name.id.clone(),
            name: values::name_in(name.object_type.entry(), json),
            what: loss.what.to_owned(),
            instead: loss.instead.to_owned(),
        });
    }
}

/// What a reference leads to.
enum Resolved {
    /// To nothing that could be missing.
    Nothing,
    /// To this object.
    To(ObjectType, String, Fate),
}

fn types(names: &'static [&'static str]) -> impl Iterator<Item = ObjectType> {
    names.iter().filter_map(|name| name.parse().ok())
}

/// The type of a relation's far end: the one its key names.
fn far_type(relation: ObjectType) -> Option<ObjectType> {
    relation
        .entry()
        .references
        .iter()
        .find(|reference| reference.path == "id")
        .and_then(|reference| types(reference.to).next())
}

/// References that are free text as well: they never hold anything back, and are filled in later.
fn is_soft(object_type: ObjectType, found: &Found) -> bool {
    object_type.name() == "user" && found.reference.path.starts_with("profile.")
}

/// References inside what is never written.
fn is_not_written(object_type: ObjectType, found: &Found) -> bool {
    is_read_only(object_type.entry(), found.reference.path)
}

fn is_read_only(entry: &Entry, path: &str) -> bool {
    entry.read_only.iter().any(|read_only| {
        path == *read_only || path.strip_prefix(read_only).is_some_and(|rest| rest.starts_with(['.', '[']))
    })
}

/// The two ends of a mapping, by which it is found once Okta has made it.
fn mapping_ends(entry: &Entry, json: &Json) -> Vec<Difference> {
    let ends = if entry.name == "profile_mapping" { ["source.id", "target.id"].as_slice() } else { &[] };
    ends.iter()
        .map(|end| Difference {
            path: end.split('.').map(str::to_owned).collect(),
            from: at(json, end).cloned(),
            to: at(json, end).cloned(),
        })
        .collect()
}

fn reference(name: &ObjectName, now: Now) -> ReferenceTo {
    ReferenceTo { object_type: name.object_type, id: name.id.clone(), now }
}

fn text(json: &Json) -> JsonText {
    JsonText::from_bytes(&json.to_bytes())
}
