//! Changing what exists, and making anew what cannot be changed.

use http::Method;

use crate::canonical::Json;
use crate::catalogue::{ObjectType, UpdateStyle};
use crate::plan::path::{at, remove, set, steps, text_at};
use crate::plan::{Action, Held, values};
use crate::restore::request::{Address, live_status};
use crate::restore::{JournalRecord, Outcome};

use super::{Ended, Failure, Resolved, Run, held_back, passing_name};

impl Run<'_> {
    pub(super) fn update(
        &mut self,
        action: &Action,
        resolved: &Resolved,
        activate: bool,
    ) -> Result<Ended, Failure> {
        let (live, json) = self.read_target(action, resolved)?;
        if self.is_as_wanted(action, resolved, &live) {
            let id = self.settle_state(action, resolved, &json, activate)?;
            return Ok(Ended {
                outcome: if self.intents.contains_key(&action.seq) {
                    Outcome::Done
                } else {
                    Outcome::Skipped
                },
                id,
            });
        }
        self.check_unmoved(action, &live)?;
        self.intend(action.seq)?;
        let entry = action.object_type.entry();
        let must_rest = entry
            .lifecycle
            .is_some_and(|lifecycle| lifecycle.update_only_inactive);
        let mut status = live_status(entry, &json).unwrap_or_default().to_owned();
        if must_rest && status == "ACTIVE" {
            self.lifecycle_call(action.object_type, &resolved.address, "deactivate")?;
            status = "INACTIVE".to_owned();
        }
        self.send_update(action.object_type, &resolved.address, &resolved.body)?;
        if must_rest && activate && status != "ACTIVE" {
            self.lifecycle_call(action.object_type, &resolved.address, "activate")?;
        }
        Ok(Ended::done(None))
    }

    /// Activates a rule that an interrupted update left at rest.
    pub(super) fn settle_state(
        &mut self,
        action: &Action,
        resolved: &Resolved,
        json: &Json,
        activate: bool,
    ) -> Result<Option<String>, Failure> {
        let entry = action.object_type.entry();
        let must_rest = entry
            .lifecycle
            .is_some_and(|lifecycle| lifecycle.update_only_inactive);
        if must_rest && activate && live_status(entry, json) != Some("ACTIVE") {
            self.intend(action.seq)?;
            self.lifecycle_call(action.object_type, &resolved.address, "activate")?;
        }
        Ok(None)
    }

    pub(super) fn send_update(
        &mut self,
        object_type: ObjectType,
        address: &Address,
        body: &Json,
    ) -> Result<(), Failure> {
        let entry = object_type.entry();
        let mut sent = body.clone();
        for path in entry
            .read_only
            .iter()
            .chain(&["_links", "_embedded", "_link"])
        {
            remove(&mut sent, &steps(path));
        }
        if entry.name == "custom_role" {
            remove(&mut sent, &steps("permissions"));
        }
        let (method, path) = match entry.update {
            UpdateStyle::Replace(path) => (Method::PUT, path),
            UpdateStyle::Merge(path) => (Method::POST, path),
            UpdateStyle::Never => return Err(held_back("Okta has no call that changes it")),
        };
        self.org
            .call(method, address.fill(path), Some(&sent), true)?;
        Ok(())
    }

    pub(super) fn read_target(
        &mut self,
        action: &Action,
        resolved: &Resolved,
    ) -> Result<(Held, Json), Failure> {
        self.org
            .read(action.object_type, &resolved.address)?
            .ok_or_else(|| held_back("it has gone since the plan was made"))
    }

    pub(super) fn is_as_wanted(&self, action: &Action, resolved: &Resolved, live: &Held) -> bool {
        let entry = action.object_type.entry();
        let has = values::parse(&live.body);
        let mut wanted = resolved.body.clone();
        remove(&mut wanted, &steps("priority"));
        values::additions(entry, &has, &wanted).is_empty()
            && action
                .changes
                .iter()
                .all(|change| change.to.is_some() || at(&has, &change.path).is_none())
    }

    /// Holds the action back if the live object is not what the plan saw.
    pub(super) fn check_unmoved(&self, action: &Action, live: &Held) -> Result<(), Failure> {
        match &action.work.seen {
            Some(seen) if *seen != values::fingerprint(action.object_type, &live.body) => {
                Err(held_back("it was changed since the plan was made"))
            }
            _ => Ok(()),
        }
    }

    /// For what cannot be changed in place: a new one under a passing name, the old one deleted, the name given.
    pub(super) fn recreate(
        &mut self,
        action: &Action,
        resolved: &Resolved,
        activate: bool,
    ) -> Result<Ended, Failure> {
        let object_type = action.object_type;
        let entry = object_type.entry();
        let (Some(create), Some(delete), Some(old)) =
            (entry.create, entry.delete, resolved.target.clone())
        else {
            return Err(held_back("Okta has no call that makes it again"));
        };
        let old_live = self.org.read(object_type, &resolved.address)?;
        let resumed = self.intents.contains_key(&action.seq);
        if !resumed {
            match &old_live {
                Some((live, _)) => self.check_unmoved(action, live)?,
                None => return Err(held_back("it has gone since the plan was made")),
            }
        }
        let since = self.intend(action.seq)?;
        let name = text_at(&resolved.body, "name")
            .unwrap_or_default()
            .to_owned();
        let mut passing = resolved.body.clone();
        set(
            &mut passing,
            &["name"],
            Some(Json::String(passing_name(&name))),
        );
        let new = match self.made.get(&action.seq).cloned() {
            Some(id) => id,
            None => {
                let found = match resumed {
                    true => self.find_created(action, resolved, &passing, since)?,
                    false => None,
                };
                let id = match found {
                    Some(id) => id,
                    None => self.post(action, resolved, create, &passing, since)?,
                };
                self.journal.append(&JournalRecord::Made {
                    seq: action.seq,
                    id: id.clone(),
                })?;
                self.made.insert(action.seq, id.clone());
                id
            }
        };
        if let Some((_, json)) = old_live {
            if live_status(entry, &json) == Some("ACTIVE") {
                self.lifecycle_call(object_type, &resolved.address, "deactivate")?;
            }
            debug_assert_ne!(old, new, "the old object is never the new one");
            match self
                .org
                .call(Method::DELETE, resolved.address.fill(delete), None, true)
            {
                Ok(_) => {}
                Err(error) if error.is_gone() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let address = Address {
            id: new.clone(),
            ..resolved.address.clone()
        };
        let Some((_, json)) = self.org.read(object_type, &address)? else {
            return Err(held_back("what was created in its place is gone"));
        };
        if text_at(&json, "name") != Some(name.as_str()) {
            self.send_update(object_type, &address, &resolved.body)?;
        }
        if activate && live_status(entry, &json) != Some("ACTIVE") {
            self.lifecycle_call(object_type, &address, "activate")?;
        }
        Ok(Ended::done(Some(new)))
    }
}
