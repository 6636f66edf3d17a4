//! Drafting the values of what Okta makes together with a parent.

use std::collections::BTreeSet;

use crate::canonical::Json;
use crate::catalogue::ObjectType;
use crate::plan::path::text_at;
use crate::plan::{
    ActionKind, Held, ObjectName, Operation, Reason, StateError, Work, body, order, refs, values,
};

use super::{Draft, Fate, Planner, Resolved, mapping_ends, text};

impl Planner<'_> {
    pub(super) fn draft_adoptions(&mut self) -> Result<(), StateError> {
        self.find_mappings()?;
        let adopting: Vec<(ObjectName, Held)> = self
            .adopting
            .iter()
            .map(|(name, held)| (name.clone(), held.clone()))
            .collect();
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
            let (references, needs) =
                self.references(name.object_type, &scanned, held.parent.as_deref(), false)?;
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
    pub(super) fn find_mappings(&mut self) -> Result<(), StateError> {
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

    pub(super) fn unresolved_mapping(&mut self, json: &Json) -> Result<Option<String>, StateError> {
        let Ok(mapping) = "profile_mapping".parse::<ObjectType>() else {
            return Ok(None);
        };
        for found in refs::find(mapping.entry(), json) {
            if let Resolved::To(to, id, Fate::Gone | Fate::Unknown) = self.resolve(&found)? {
                return Ok(Some(format!(
                    "it refers to {to}/{id}, which is not in the org"
                )));
            }
        }
        Ok(None)
    }
}
