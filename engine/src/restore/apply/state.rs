//! Changing states, and making relations and links.

use http::Method;

use crate::canonical::Json;
use crate::catalogue::ObjectType;
use crate::plan::{Action, Now, refs, values};
use crate::restore::request::{Address, live_status, refusal, segment};

use super::{Ended, Failure, Resolved, Run, held_back};

impl Run<'_> {
    pub(super) fn state(
        &mut self,
        action: &Action,
        resolved: &Resolved,
        verb: &str,
    ) -> Result<Ended, Failure> {
        let entry = action.object_type.entry();
        let (_, json) = self.read_target(action, resolved)?;
        let has = live_status(entry, &json).unwrap_or_default();
        let already = match verb {
            "activate" => values::same_status(action.object_type, has, "ACTIVE"),
            "deactivate" => has == "INACTIVE",
            "suspend" => has == "SUSPENDED",
            _ => values::is_in_use(has),
        };
        if already {
            return Ok(Ended::skipped(None));
        }
        if verb == "suspend" && has != "ACTIVE" {
            return Err(held_back(format!(
                "only an ACTIVE user can be suspended, and it is {has}: suspend it once it has been activated"
            )));
        }
        self.intend(action.seq)?;
        self.lifecycle_call(action.object_type, &resolved.address, verb)?;
        Ok(Ended::done(None))
    }

    /// Changes a state. The answer to a user's activation holds a token: it is dropped unread.
    pub(super) fn lifecycle_call(
        &mut self,
        object_type: ObjectType,
        address: &Address,
        verb: &str,
    ) -> Result<(), Failure> {
        let Some(lifecycle) = object_type.entry().lifecycle else {
            return Err(held_back("it has no state"));
        };
        let path = match verb {
            "activate" => lifecycle.activate.to_owned(),
            "deactivate" => lifecycle.deactivate.to_owned(),
            verb => format!("/api/v1/users/{{id}}/lifecycle/{verb}"),
        };
        match self.org.call(Method::POST, address.fill(&path), None, true) {
            Ok(_) => Ok(()),
            Err(error) if refusal(&error).is_some_and(|(_, code)| code == "E0000016") => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn relate(
        &mut self,
        action: &Action,
        resolved: &Resolved,
    ) -> Result<Ended, Failure> {
        let entry = action.object_type.entry();
        let Some((method, path)) = entry.relate.and_then(|call| call.split_once(' ')) else {
            return Err(held_back("Okta has no call that makes it"));
        };
        let new_end = action
            .work
            .references
            .iter()
            .any(|reference| matches!(reference.now, Now::Made(_)));
        if !entry.bare_relation
            && (!new_end || self.intents.contains_key(&action.seq))
            && let Some((live, _)) = self.org.read(action.object_type, &resolved.address)?
        {
            let has = values::parse(&live.body);
            if values::additions(entry, &has, &resolved.body).is_empty() {
                return Ok(Ended::skipped(None));
            }
            if !self.intents.contains_key(&action.seq) {
                return Err(held_back(
                    "it was made with other values since the plan was made",
                ));
            }
        }
        self.intend(action.seq)?;
        let sent = (resolved.body != Json::Null).then_some(&resolved.body);
        let method = if method == "POST" {
            Method::POST
        } else {
            Method::PUT
        };
        // Assigning twice does no harm: the second time Okta says that it is assigned already.
        match self
            .org
            .call(method, resolved.address.fill(path), sent, true)
        {
            Ok(_) => Ok(Ended::done(None)),
            Err(error) if refusal(&error).is_some_and(|(_, code)| code == "E0000062") => {
                Ok(Ended::skipped(None))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn link(
        &mut self,
        action: &Action,
        resolved: &Resolved,
        call: &str,
        end: &str,
    ) -> Result<Ended, Failure> {
        let entry = action.object_type.entry();
        let end = resolved.now.get(end).map_or(end, String::as_str);
        let (_, json) = self.read_target(action, resolved)?;
        let links = refs::links(entry, &json);
        let place = links.iter().find(|(_, _, id)| id == end);
        if place.is_some() {
            return Ok(Ended::skipped(None));
        }
        if let Some(seen) = action.work.seen.as_deref().filter(|seen| !seen.is_empty())
            && !self.intents.contains_key(&action.seq)
            && !links.iter().any(|(_, _, id)| id == seen)
        {
            return Err(held_back("its link was changed since the plan was made"));
        }
        self.intend(action.seq)?;
        let Some((_, path)) = call.split_once(' ') else {
            return Err(held_back("Okta has no call that sets it"));
        };
        let path = resolved
            .address
            .fill(&path.replace("{target}", &segment(end)));
        self.org.call(Method::PUT, path, None, true)?;
        Ok(Ended::done(None))
    }
}
