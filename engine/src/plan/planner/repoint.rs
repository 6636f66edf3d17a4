//! Drafting what surviving objects need in order to name what comes back.

use std::collections::{BTreeMap, BTreeSet};

use crate::canonical::Json;
use crate::catalogue::{self, ObjectType, ReferenceForm, RestoreClass, UpdateStyle};
use crate::plan::path::at;
use crate::plan::refs::{Fates, Repoint};
use crate::plan::values::Difference;
use crate::plan::{
    ActionKind, Held, Mode, ObjectName, Operation, Presence, Reason, StateError, Work, body, order,
    refs, values,
};

use super::{Draft, Fate, Planner, is_read_only, text, types};

impl Planner<'_> {
    pub(super) fn draft_repointing(&mut self) -> Result<(), StateError> {
        let fates = self.fates();
        if fates.is_empty() {
            return Ok(());
        }
        let concerned: BTreeSet<ObjectType> = self
            .creating
            .keys()
            .chain(self.renewed.keys())
            .map(|name| name.object_type)
            .collect();
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

    pub(super) fn fates(&self) -> Fates {
        Fates {
            renewed: self
                .renewed
                .iter()
                .map(|(name, new)| (name.id.clone(), new.clone()))
                .collect(),
            made: self.creating.keys().map(|name| name.id.clone()).collect(),
        }
    }

    /// Surviving objects that name an old id, in the snapshot or live: `(snapshot's, live's)`.
    pub(super) fn repoint_candidates(
        &mut self,
        object_type: ObjectType,
        fates: &Fates,
    ) -> Result<Vec<(Option<Held>, Held)>, StateError> {
        let entry = object_type.entry();
        let names_old = |held: &Held| {
            let json = values::parse(&held.body);
            refs::find(entry, &json)
                .iter()
                .any(|found| fates.is_old(&found.value))
                || refs::links(entry, &json)
                    .iter()
                    .any(|(_, _, id)| fates.is_old(id))
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
        for live in self
            .request
            .live
            .changed(object_type)?
            .into_iter()
            .chain(self.request.live.added(object_type)?)
        {
            if !naming.contains_key(&live.id) && names_old(&live) {
                seen.insert(live.id.clone());
                let snapshot = self.request.target.get(object_type, &live.id)?;
                candidates.push((snapshot, live));
            }
        }
        for (id, snapshot) in naming {
            let name = ObjectName::new(object_type, &id);
            if self.creating.contains_key(&name)
                || self.adopting.contains_key(&name)
                || seen.contains(&id)
            {
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

    pub(super) fn draft_repoint(
        &mut self,
        object_type: ObjectType,
        snapshot: Option<&Held>,
        live: &Held,
        fates: &Fates,
    ) -> Result<(), StateError> {
        let entry = object_type.entry();
        let id = snapshot.map_or(live.id.as_str(), |held| held.id.as_str());
        // What also differs otherwise is brought back as a whole.
        if self.request.mode == Mode::Additive
            && snapshot.is_some_and(|held| held.body != live.body || held.id != live.id)
            && self.request.selection.takes(object_type, id)
        {
            return Ok(());
        }
        let name = ObjectName::new(object_type, id);
        let before = snapshot.map_or(Json::Null, |held| values::parse(&held.body));
        let now = values::parse(&live.body);
        let mut changes: Vec<Difference> = Vec::new();
        let mut places = BTreeSet::new();
        for reference in entry.references {
            if matches!(
                reference.form,
                ReferenceForm::Link { .. } | ReferenceForm::Key
            ) || is_read_only(entry, reference.path)
            {
                continue;
            }
            let (keys, rest) = refs::place(reference.path);
            let place = keys.join(".");
            match refs::repoint(
                reference.form,
                &rest,
                at(&before, &place),
                at(&now, &place),
                fates,
            ) {
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
            self.hold_back(
                &name,
                &now,
                "Okta does not let it be changed".to_owned(),
                None,
            );
            return Ok(());
        }
        if entry.name == "user" && values::status(entry, &now) == Some("DEPROVISIONED") {
            self.warnings.insert(format!(
                "{name} names an old id, and a deactivated user cannot be changed."
            ));
            return Ok(());
        }
        self.draft_update(
            &name,
            live,
            &now,
            changes,
            Reason::Repoint,
            snapshot.map(|_| &before),
        )
    }

    /// Links that pointed to what is created again, and now point nowhere or to what Okta put there instead.
    pub(super) fn repoint_links(
        &mut self,
        name: &ObjectName,
        before: &Json,
        now: &Json,
        fates: &Fates,
    ) -> Result<(), StateError> {
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
                let Some(to) = types(reference.to).next() else {
                    continue;
                };
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
            self.draft_link(
                name,
                before,
                types(reference.to).next(),
                put,
                &end,
                Some(seen),
            )?;
        }
        Ok(())
    }

    /// An update of a surviving object, in the way its type wants.
    pub(super) fn draft_update(
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
        let wanted_status = before
            .and_then(|json| values::status(entry, json))
            .unwrap_or(live_status);
        let activate = live_status == "ACTIVE"
            || (wanted_status == "ACTIVE"
                && (live_status == "INVALID" || reason == Reason::Differs));
        // A rule that lost a target stays invalid whatever is written into it, and its actions never change.
        let immutable = entry.name == "group_rule"
            && (live_status == "INVALID"
                || changes
                    .iter()
                    .any(|change| change.path.first().is_some_and(|key| key == "actions")));
        if entry.update == UpdateStyle::Never {
            let text = "Okta has no call that changes it".to_owned();
            self.hold_back(
                name,
                now,
                text,
                Some("Delete it, then plan again: it is created as it was."),
            );
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
                operation: if immutable {
                    Operation::Recreate { activate }
                } else {
                    Operation::Update { activate }
                },
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
            order: (
                order::after(entry) + 1,
                order::priority(now),
                name.id.clone(),
            ),
        });
        Ok(())
    }
}
