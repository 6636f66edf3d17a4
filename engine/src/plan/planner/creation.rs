//! Drafting what is created, and what belongs to it.

use std::collections::{BTreeMap, BTreeSet};

use crate::canonical::Json;
use crate::catalogue::{Lifecycle, ObjectType};
use crate::plan::path::{at, set, text_at};
use crate::plan::values::Difference;
use crate::plan::{
    ActionKind, CannotRestore, Held, Mode, Now, ObjectName, Operation, Presence, Reason,
    ReferenceTo, StateError, Work, body, order, refs, values,
};

use super::{Draft, Fate, Planner, Resolved, is_soft, reference, text, types};

impl Planner<'_> {
    pub(super) fn draft_creations(&mut self) -> Result<(), StateError> {
        let creating: Vec<(ObjectName, Held)> = self
            .creating
            .iter()
            .map(|(name, held)| (name.clone(), held.clone()))
            .collect();
        for (name, held) in creating {
            self.draft_creation(&name, &held)?;
        }
        Ok(())
    }

    pub(super) fn draft_creation(
        &mut self,
        name: &ObjectName,
        held: &Held,
    ) -> Result<(), StateError> {
        let entry = name.object_type.entry();
        let json = values::parse(&held.body);
        let mut wanted = body::for_creation(name.object_type, &json);
        self.leave_out_unknown_attributes(name, &json, &mut wanted)?;
        for loss in body::losses(name.object_type, &json) {
            self.list_loss(name, &json, loss);
        }
        let (references, needs) =
            self.references(name.object_type, &wanted, held.parent.as_deref(), true)?;
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
    pub(super) fn leave_out_unknown_attributes(
        &mut self,
        name: &ObjectName,
        json: &Json,
        wanted: &mut Json,
    ) -> Result<(), StateError> {
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
            set(wanted, &["profile", key], None);
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
    pub(super) fn live_attributes(
        &mut self,
        user: &Json,
    ) -> Result<Option<BTreeSet<String>>, StateError> {
        let (Ok(schema), Some(type_id)) = (
            "user_schema".parse::<ObjectType>(),
            text_at(user, "type.id"),
        ) else {
            return Ok(None);
        };
        let Some(held) = self.request.target.children(schema, type_id)?.pop() else {
            return Ok(None);
        };
        let rewritten =
            self.request.mode == Mode::Additive && self.request.selection.takes(schema, &held.id);
        let Fate::Live(id) = self.fate(schema, &held.id)? else {
            return Ok(None);
        };
        let Presence::Here(live) = self.look(schema, &id)? else {
            return Ok(None);
        };
        if rewritten {
            return Ok(None);
        }
        let live = values::parse(&live.body);
        let mut known = BTreeSet::new();
        for part in [
            "definitions.base.properties",
            "definitions.custom.properties",
        ] {
            if let Some(Json::Object(properties)) = at(&live, part) {
                known.extend(properties.keys().cloned());
            }
        }
        Ok((!known.is_empty()).then_some(known))
    }

    /// Live objects with the object's natural key: none of them is ever taken for a new one.
    pub(super) fn known_with_key(
        &mut self,
        object_type: ObjectType,
        held: &Held,
        json: &Json,
    ) -> Result<Vec<String>, StateError> {
        let entry = object_type.entry();
        if matches!(entry.name, "user" | "group") {
            return Ok(Vec::new()); // Okta itself lets no two of them have the same
        }
        let Some(key) = body::key_of(entry, json) else {
            return Ok(Vec::new());
        };
        let mut known = Vec::new();
        for other in self.keys(object_type)?.get(&key).into_iter().flatten() {
            if *other != held.id
                && let Fate::Live(id) = self.fate(object_type, other)?
            {
                known.push(id);
            }
        }
        let added = self.added(object_type)?;
        for place in added.by_key.get(&key).into_iter().flatten() {
            known.extend(added.all.get(*place).map(|(other, _)| other.id.clone()));
        }
        known.sort();
        known.dedup();
        Ok(known)
    }

    /// Brings a created object into the state it had.
    pub(super) fn draft_first_state(
        &mut self,
        name: &ObjectName,
        json: &Json,
    ) -> Result<(), StateError> {
        let entry = name.object_type.entry();
        let (Some(lifecycle), Some(status)) = (entry.lifecycle, values::status(entry, json)) else {
            return Ok(());
        };
        if entry.name == "user" {
            if values::is_in_use(status) {
                self.draft_state(name, json, Operation::Activate, "ACTIVE", order::USER_STATE)?;
            } else if status == "SUSPENDED" {
                self.list_loss(name, json, body::SUSPENSION_OF_A_NEW_USER);
            }
            return Ok(());
        }
        let first = lifecycle.created_as.unwrap_or("ACTIVE");
        match status {
            "ACTIVE" if first != "ACTIVE" => self.draft_state(
                name,
                json,
                Operation::Activate,
                "ACTIVE",
                order::after(entry),
            ),
            "INACTIVE" if first == "ACTIVE" => {
                let order = if entry.name == "app" {
                    order::APP_AT_REST
                } else {
                    order::after(entry)
                };
                self.draft_state(name, json, Operation::DeactivateCreated, "INACTIVE", order)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn draft_state(
        &mut self,
        name: &ObjectName,
        json: &Json,
        operation: Operation,
        to: &str,
        order: u32,
    ) -> Result<(), StateError> {
        let entry = name.object_type.entry();
        let path = entry
            .lifecycle
            .map_or("status", |lifecycle: Lifecycle| lifecycle.path);
        let parent = self.creating.get(name).and_then(|held| held.parent.clone());
        let grandparent = self.grandparent(name.object_type, parent.as_deref())?;
        let (references, mut needs) =
            self.references(name.object_type, &Json::Null, parent.as_deref(), false)?;
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
    pub(super) fn grandparent(
        &self,
        object_type: ObjectType,
        parent: Option<&str>,
    ) -> Result<Option<String>, StateError> {
        let Some(parent) = parent else {
            return Ok(None);
        };
        for parent_type in object_type.parents() {
            if let Some(held) = self.request.target.get(parent_type, parent)? {
                return Ok(held.parent);
            }
        }
        Ok(None)
    }

    /// The same for a live object, by live ids.
    pub(super) fn live_grandparent(
        &mut self,
        object_type: ObjectType,
        parent: Option<&str>,
    ) -> Result<Option<String>, StateError> {
        let Some(parent) = parent else {
            return Ok(None);
        };
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
    pub(super) fn parent_reference(
        &mut self,
        child: ObjectType,
        parent: &str,
    ) -> Option<(ReferenceTo, Option<ObjectName>)> {
        let (parent_type, fate) = self.parent_fate(child, parent).ok()??;
        let name = ObjectName::new(parent_type, parent);
        match fate {
            Fate::Live(id) => Some((reference(&name, Now::Live(id)), None)),
            Fate::Made => Some((reference(&name, Now::Made(0)), Some(name))),
            Fate::Gone | Fate::Unknown => None,
        }
    }

    /// References that may be filled in later (a manager): where they name a created object, a second step writes them.
    pub(super) fn draft_soft_references(
        &mut self,
        name: &ObjectName,
        json: &Json,
    ) -> Result<(), StateError> {
        let entry = name.object_type.entry();
        for found in refs::find(entry, json) {
            if !is_soft(name.object_type, &found) {
                continue;
            }
            let Resolved::To(to, id, fate) = self.resolve(&found)? else {
                continue;
            };
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
    pub(super) fn draft_link(
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
                self.hold_back(
                    name,
                    json,
                    text,
                    Some("Select the policy as well, or plan with dependencies."),
                );
                return Ok(());
            }
        };
        let own = self.fate(name.object_type, &name.id)?;
        let mut needs = Vec::new();
        let mut references = Vec::new();
        match &own {
            Fate::Made => needs.push(name.clone()),
            Fate::Live(id) if *id != name.id => {
                references.push(reference(name, Now::Live(id.clone())))
            }
            _ => {}
        }
        if matches!(now, Now::Made(_)) {
            needs.push(far.clone());
        }
        references.push(reference(&far, now));
        let created = own == Fate::Made;
        self.drafts.push(Draft {
            kind: if created {
                ActionKind::Relate
            } else {
                ActionKind::Update
            },
            object: name.clone(),
            name: values::name_in(entry, json),
            changes: vec![Difference {
                path: vec![to.name().to_owned()],
                from: None,
                to: Some(Json::String(end.to_owned())),
            }],
            reason: if created {
                Reason::Relation
            } else {
                Reason::Repoint
            },
            work: Work {
                operation: Operation::Link {
                    call: put.to_owned(),
                    end: end.to_owned(),
                },
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
    pub(super) fn references(
        &mut self,
        object_type: ObjectType,
        body: &Json,
        parent: Option<&str>,
        creating: bool,
    ) -> Result<(Vec<ReferenceTo>, Vec<ObjectName>), StateError> {
        let mut references = BTreeMap::new();
        let mut needs = BTreeSet::new();
        for found in refs::find(object_type.entry(), body) {
            let Resolved::To(to, id, fate) = self.resolve(&found)? else {
                continue;
            };
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
        let references = references
            .into_iter()
            .map(|(name, now)| reference(&name, now))
            .collect();
        Ok((references, needs.into_iter().collect()))
    }
}
