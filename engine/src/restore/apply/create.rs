//! Creating, so that nothing is ever created twice.

use std::collections::BTreeSet;

use http::Method;
use jiff::Timestamp;

use crate::canonical::Json;
use crate::okta::OktaError;
use crate::plan::path::text_at;
use crate::plan::{Action, Held, Now};
use crate::restore::request::{Address, created, id_of};

use super::{
    CREATE_TRIES_MAX, CREATED_SLACK, Ended, Failure, Resolved, Run, creation_path, held_back,
    keys_match,
};

impl Run<'_> {
    pub(super) fn create(
        &mut self,
        action: &Action,
        resolved: &Resolved,
    ) -> Result<Ended, Failure> {
        let entry = action.object_type.entry();
        let Some(path) = entry.create else {
            return Err(held_back("Okta has no call that creates it"));
        };
        let resumed = self.intents.contains_key(&action.seq);
        if !resumed {
            self.check_nothing_appeared(action, resolved)?;
        }
        let since = self.intend(action.seq)?;
        if resumed && let Some(id) = self.find_created(action, resolved, &resolved.body, since)? {
            return Ok(Ended::done(Some(id)));
        }
        let id = self.post(
            action,
            resolved,
            &resolved.address.fill(path),
            &resolved.body,
            since,
        )?;
        Ok(Ended::done(Some(id)))
    }

    /// Sends a creation; after a lost answer looks for the object before sending it again.
    pub(super) fn post(
        &mut self,
        action: &Action,
        resolved: &Resolved,
        path: &str,
        sent: &Json,
        since: Timestamp,
    ) -> Result<String, Failure> {
        let object_type = action.object_type;
        let path = creation_path(object_type, path, sent);
        let mut tries = 0;
        loop {
            tries += 1;
            let lost = match self.org.call(Method::POST, path.clone(), Some(sent), false) {
                Ok(reply) => {
                    let parent = resolved.address.parent.as_deref();
                    let id = Json::parse(&reply.body)
                        .ok()
                        .and_then(|json| id_of(object_type.entry(), parent, &json));
                    match id {
                        Some(id) => return Ok(id),
                        None => OktaError::LostAnswer, // it was created, but the answer does not say what
                    }
                }
                Err(error @ (OktaError::LostAnswer | OktaError::Failed { .. })) => error,
                Err(error) => return Err(error.into()),
            };
            if let Some(id) = self.find_created(action, resolved, sent, since)? {
                return Ok(id);
            }
            if tries == CREATE_TRIES_MAX {
                return Err(lost.into());
            }
        }
    }

    /// The object that a creation of this action must have made: same natural key, created since the
    /// intent, not seen by the plan and not made by another action.
    pub(super) fn find_created(
        &mut self,
        action: &Action,
        resolved: &Resolved,
        sent: &Json,
        since: Timestamp,
    ) -> Result<Option<String>, Failure> {
        let others: BTreeSet<String> = self
            .made
            .iter()
            .filter(|(seq, _)| **seq != action.seq)
            .map(|(_, id)| id.clone())
            .collect();
        let mut found = Vec::new();
        for (held, json) in self.candidates(action, resolved, sent)? {
            // A type without a creation time (scopes, claims) has parents of its own and unique names.
            let young = created(&json).is_none_or(|at| at >= since - CREATED_SLACK);
            let known = action.work.same_key.contains(&held.id) || others.contains(&held.id);
            if young && !known && keys_match(action.object_type, sent, &json) {
                found.push(held.id);
            }
        }
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.clone())),
            many => Err(held_back(format!(
                "its creation was interrupted, and {} new objects could be it: {}",
                many.len(),
                many.join(", ")
            ))),
        }
    }

    /// Live objects among which a just created one would be.
    pub(super) fn candidates(
        &mut self,
        action: &Action,
        resolved: &Resolved,
        sent: &Json,
    ) -> Result<Vec<(Held, Json)>, Failure> {
        if action.object_type.name() == "user" {
            let Some(login) = text_at(sent, "profile.login") else {
                return Ok(Vec::new());
            };
            let address = Address {
                id: login.to_owned(),
                ..Address::default()
            };
            return Ok(self
                .org
                .read(action.object_type, &address)?
                .into_iter()
                .collect());
        }
        Ok(self.org.list(action.object_type, &resolved.address)?)
    }

    /// Holds the creation back if an object with its natural key has appeared since the plan was made.
    pub(super) fn check_nothing_appeared(
        &mut self,
        action: &Action,
        resolved: &Resolved,
    ) -> Result<(), Failure> {
        let object_type = action.object_type;
        let under_made = action.work.references.iter().any(|reference| {
            matches!(reference.now, Now::Made(_))
                && Some(&reference.id) == action.work.parent.as_ref()
        });
        // Okta itself lets no two users or groups have the same name, and says so.
        if matches!(object_type.name(), "user" | "group") || under_made {
            return Ok(());
        }
        let place = (object_type, resolved.address.parent.clone());
        if !self.appeared.contains_key(&place) {
            let live = self.org.list(object_type, &resolved.address)?;
            self.appeared.insert(place.clone(), live);
        }
        let appeared = self
            .appeared
            .get(&place)
            .into_iter()
            .flatten()
            .find(|(held, json)| {
                keys_match(object_type, &resolved.body, json)
                    && !action.work.same_key.contains(&held.id)
                    && !self.made.values().any(|id| *id == held.id)
            });
        match appeared {
            Some((held, _)) => Err(held_back(format!(
                "{} with the same name has appeared since the plan was made",
                held.id
            ))),
            None => Ok(()),
        }
    }
}
