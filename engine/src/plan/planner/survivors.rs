//! Drafting what brings surviving objects back to the snapshot's values and states.

use std::collections::BTreeMap;

use crate::canonical::Json;
use crate::catalogue::{self, ObjectType};
use crate::plan::path::{at, set, text_at};
use crate::plan::refs::Fates;
use crate::plan::values::Difference;
use crate::plan::{
    ActionKind, Held, ObjectName, Operation, Presence, Reason, StateError, Work, body, order, refs,
    values,
};

use super::{Draft, Planner, is_not_written};

impl Planner<'_> {
    pub(super) fn draft_updates(&mut self) -> Result<(), StateError> {
        let fates = self.fates();
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
                self.draft_survivor(object_type, &snapshot, &live, &fates)?;
            }
        }
        Ok(())
    }

    pub(super) fn draft_survivor(
        &mut self,
        object_type: ObjectType,
        snapshot: &Held,
        live: &Held,
        fates: &Fates,
    ) -> Result<(), StateError> {
        let entry = object_type.entry();
        let name = ObjectName::new(object_type, &snapshot.id);
        let before = values::parse(&snapshot.body);
        let now = values::parse(&live.body);
        let mut wanted = before.clone();
        refs::rewrite(entry, &mut wanted, &fates.renewed);
        self.repoint_links(&name, &before, &now, fates)?;
        let writable = values::system_mark(entry, &now) != Some(false);
        let assigned_by_group =
            entry.name == "app_user" && text_at(&before, "scope") != Some("USER");
        let mut changes = if assigned_by_group {
            Vec::new()
        } else {
            let mut changes = values::additions(entry, &now, &wanted);
            name_what_is_made(object_type, &wanted, &now, fates, &mut changes);
            changes
        };
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
        if entry.name == "user"
            && let (Some(had), Some(has)) = (text_at(&wanted, "type.id"), text_at(&now, "type.id"))
            && had != has
        {
            let text = format!(
                "its user type was {had} and is {has}, and changing it would erase attributes"
            );
            self.hold_back(
                &name,
                &now,
                text,
                Some("Change its type in the Admin Console, then plan again."),
            );
        }
        if entry.name == "custom_role" {
            let count = changes.len();
            changes.retain(|change| change.path.first().is_none_or(|key| key != "permissions"));
            if changes.len() != count {
                let text =
                    "its permissions differ, and they are not written by an update".to_owned();
                self.hold_back(
                    &name,
                    &now,
                    text,
                    Some("Delete the role and plan again, or set its permissions by hand."),
                );
            }
        }
        if !changes.is_empty() {
            if !writable {
                self.hold_back(
                    &name,
                    &now,
                    "its values differ, and Okta does not let it be changed".to_owned(),
                    None,
                );
            } else if entry.name == "user" && values::status(entry, &now) == Some("DEPROVISIONED") {
                let text = "its values differ, and a deactivated user cannot be changed".to_owned();
                self.hold_back(
                    &name,
                    &now,
                    text,
                    Some("Plan again after it has been reactivated."),
                );
            } else if let Some(reason) = self.unresolved_changes(object_type, &changes)? {
                self.hold_back(
                    &name,
                    &now,
                    reason,
                    Some("Select what it refers to as well."),
                );
            } else {
                self.draft_update(&name, live, &now, changes, Reason::Differs, Some(&before))?;
            }
        }
        if writable {
            self.draft_survivor_state(&name, live, &before, &now)?;
        }
        Ok(())
    }

    pub(super) fn unresolved_changes(
        &mut self,
        object_type: ObjectType,
        changes: &[Difference],
    ) -> Result<Option<String>, StateError> {
        let mut only = Json::Object(BTreeMap::new());
        for change in changes {
            let keys: Vec<&str> = change.path.iter().map(String::as_str).collect();
            set(&mut only, &keys, change.to.clone());
        }
        self.unresolved(object_type, &only)
    }

    pub(super) fn draft_survivor_state(
        &mut self,
        name: &ObjectName,
        live: &Held,
        before: &Json,
        now: &Json,
    ) -> Result<(), StateError> {
        let entry = name.object_type.entry();
        let (Some(wanted), Some(has)) = (values::status(entry, before), values::status(entry, now))
        else {
            return Ok(());
        };
        if values::same_status(name.object_type, wanted, has) {
            return Ok(());
        }
        let is_user = entry.name == "user";
        let mut step: Option<(Operation, &str)> = None;
        match (is_user, wanted, has) {
            (true, "DEPROVISIONED" | "STAGED", _) => {}
            (true, "SUSPENDED", "ACTIVE") => step = Some((Operation::Suspend, "SUSPENDED")),
            (true, "SUSPENDED", _) => self.list_loss(name, now, body::SUSPENSION),
            (true, _, "SUSPENDED") => step = Some((Operation::Unsuspend, "ACTIVE")),
            (true, _, "DEPROVISIONED" | "STAGED") => step = Some((Operation::Activate, "ACTIVE")),
            (false, "ACTIVE", _) => {
                // A rule that is written anyway is activated by that.
                let written = self.drafts.iter().any(|draft| {
                    draft.object == *name
                        && matches!(
                            draft.work.operation,
                            Operation::Update { activate: true }
                                | Operation::Recreate { activate: true }
                        )
                }) && entry
                    .lifecycle
                    .is_some_and(|lifecycle| lifecycle.update_only_inactive);
                if !written {
                    step = Some((Operation::Activate, "ACTIVE"));
                }
            }
            _ => {}
        }
        if is_user && has == "DEPROVISIONED" && step.is_some() {
            self.warnings.insert(format!(
                "{name}: reactivating it starts a new activation; its password, factors, groups and assignments are gone."
            ));
        }
        if let Some((operation, to)) = step {
            let order = if is_user {
                order::USER_STATE
            } else {
                order::after(entry) + 2
            };
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
}

/// Adds the places that are the same in both and name an object that the plan creates: they need its new id.
fn name_what_is_made(
    object_type: ObjectType,
    wanted: &Json,
    now: &Json,
    fates: &Fates,
    changes: &mut Vec<Difference>,
) {
    for found in refs::find(object_type.entry(), wanted) {
        if !fates.made.contains(&found.value) || is_not_written(object_type, &found) {
            continue;
        }
        let (keys, _) = refs::place(found.reference.path);
        let path: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let written =
            |change: &Difference| path.starts_with(&change.path) || change.path.starts_with(&path);
        if changes.iter().any(written) {
            continue;
        }
        let place = keys.join(".");
        changes.push(Difference {
            from: at(now, &place).cloned(),
            to: at(wanted, &place).cloned(),
            path,
        });
    }
}
