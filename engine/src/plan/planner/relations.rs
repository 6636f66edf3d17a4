//! Drafting the relations of what comes back, and those that were asked for.

use std::collections::BTreeSet;

use crate::canonical::Json;
use crate::catalogue::{self, ObjectType, RestoreClass};
use crate::plan::body::Loss;
use crate::plan::path::text_at;
use crate::plan::{
    ActionKind, Mode, Now, ObjectName, Operation, Presence, Reason, StateError, Work, body, order,
    values,
};

use super::{Draft, Fate, Planner, far_type, reference, text};

impl Planner<'_> {
    pub(super) fn draft_relations(&mut self) -> Result<(), StateError> {
        for relation in catalogue::all().filter(|t| t.entry().class == RestoreClass::Relation) {
            let mut wanted = Vec::new();
            let created: BTreeSet<&ObjectName> =
                self.creating.keys().chain(self.renewed.keys()).collect();
            let parents: Vec<ObjectType> = relation.parents().collect();
            let Some(far) = far_type(relation) else {
                continue;
            };
            let asked: BTreeSet<String> = self.asked_relations(relation)?;
            self.request.target.ids(relation, &mut |id, parent| {
                let Some(parent) = parent else { return };
                let key = id.split_once('/').map_or(id, |(_, key)| key);
                let near_new = parents
                    .iter()
                    .any(|t| created.contains(&ObjectName::new(*t, parent)));
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
    pub(super) fn asked_relations(
        &self,
        relation: ObjectType,
    ) -> Result<BTreeSet<String>, StateError> {
        let selection = self.request.selection;
        let additive = self.request.mode == Mode::Additive;
        Ok(self
            .request
            .live
            .gone(relation)?
            .into_iter()
            .filter(|id| {
                selection.names(relation, id) || (additive && selection.takes(relation, id))
            })
            .collect())
    }

    pub(super) fn draft_relation(
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
        if let Some(kind) = self.fills_itself(&near_name)? {
            if kind == "APP_GROUP" {
                let loss = Loss {
                    what: "object",
                    instead: "It comes back when its app or directory is imported again.",
                };
                self.list_loss(&name, &Json::Null, loss);
            }
            return Ok(());
        }
        if let Fate::Live(id) = &far_fate
            && self.is_deactivated(far, id)?
        {
            let text = format!("{far_name} is deactivated");
            self.hold_back(
                &name,
                &Json::Null,
                text,
                Some("Reactivate the user, then plan again."),
            );
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
                Fate::Live(new) if new != end.id => {
                    references.push(reference(&end, Now::Live(new)))
                }
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

    /// Whether a live user is deactivated: such a one can be put into nothing.
    fn is_deactivated(&mut self, far: ObjectType, id: &str) -> Result<bool, StateError> {
        if far.name() != "user" {
            return Ok(false);
        }
        if let Some(known) = self.deactivated.get(id) {
            return Ok(*known);
        }
        let deactivated = match self.look(far, id)? {
            Presence::Here(user) => {
                values::status(far.entry(), &values::parse(&user.body)) == Some("DEPROVISIONED")
            }
            Presence::Gone | Presence::Unknown => false,
        };
        self.deactivated.insert(id.to_owned(), deactivated);
        Ok(deactivated)
    }

    /// The type of a group whose members are not ours to write: an imported or a built-in one.
    pub(super) fn fills_itself(&mut self, near: &ObjectName) -> Result<Option<String>, StateError> {
        if near.object_type.name() != "group" {
            return Ok(None);
        }
        let Some(held) = self.request.target.get(near.object_type, &near.id)? else {
            return Ok(None);
        };
        let json = values::parse(&held.body);
        let marked = values::system_mark(near.object_type.entry(), &json).is_some();
        Ok(marked.then(|| text_at(&json, "type").unwrap_or_default().to_owned()))
    }
}
