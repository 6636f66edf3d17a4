//! Writing values into what Okta made by itself.

use crate::catalogue::ObjectType;
use crate::plan::path::{remove, steps, text_at};
use crate::plan::{Action, Held, body, values};
use crate::restore::RestoreError;
use crate::restore::request::{Address, segment};

use super::{
    APPEAR_TRIES_MAX, APPEAR_WAIT, Ended, Failure, Resolved, Run, held_back, system_priority,
};

impl Run<'_> {
    pub(super) fn adopt(&mut self, action: &Action, resolved: &Resolved) -> Result<Ended, Failure> {
        let mut tries = 0;
        let (id, live) = loop {
            if let Some(found) = self.find_made_by_okta(action, resolved)? {
                break found;
            }
            tries += 1;
            if tries == APPEAR_TRIES_MAX {
                return Err(held_back("Okta has not made it"));
            }
            if self.monitor.is_cancelled() {
                return Err(Failure::Stop(RestoreError::Cancelled));
            }
            self.clock.sleep(APPEAR_WAIT);
        };
        let entry = action.object_type.entry();
        let has = values::parse(&live.body);
        let mut wanted = resolved.body.clone();
        if system_priority(entry.name) {
            remove(&mut wanted, &steps("priority"));
        }
        let additions = values::additions(entry, &has, &wanted);
        if additions.is_empty() {
            return Ok(Ended::skipped(Some(id)));
        }
        self.intend(action.seq)?;
        let sent = values::update_body(entry, &has, &additions);
        let address = Address {
            id: id.clone(),
            ..resolved.address.clone()
        };
        self.send_update(action.object_type, &address, &sent)?;
        Ok(Ended::done(Some(id)))
    }

    pub(super) fn find_made_by_okta(
        &mut self,
        action: &Action,
        resolved: &Resolved,
    ) -> Result<Option<(String, Held)>, Failure> {
        let object_type = action.object_type;
        let entry = object_type.entry();
        match entry.name {
            "profile_mapping" => self.find_mapping(action, resolved),
            "user_schema" => {
                let Some(schema) = self.schema_of_user_type(resolved)? else {
                    return Ok(None);
                };
                let address = Address {
                    id: schema.clone(),
                    ..resolved.address.clone()
                };
                Ok(self
                    .org
                    .read(object_type, &address)?
                    .map(|(held, _)| (schema, held)))
            }
            "app_user_schema" => Ok(self
                .org
                .read(object_type, &resolved.address)?
                .map(|(held, _)| (held.id.clone(), held))),
            _ => {
                let wanted = &resolved.body;
                Ok(self
                    .org
                    .list(object_type, &resolved.address)?
                    .into_iter()
                    .find(|(_, json)| {
                        values::system_mark(entry, json).is_some()
                            && body::same_system_object(entry, wanted, json)
                    })
                    .map(|(held, _)| (held.id.clone(), held)))
            }
        }
    }

    /// The id of a user type's schema, which only a link of the type tells.
    pub(super) fn schema_of_user_type(
        &mut self,
        resolved: &Resolved,
    ) -> Result<Option<String>, Failure> {
        let Ok(user_type) = "user_type".parse::<ObjectType>() else {
            return Ok(None);
        };
        let address = Address {
            id: resolved.address.parent.clone().unwrap_or_default(),
            ..Address::default()
        };
        let link = self.org.read(user_type, &address)?.and_then(|(_, json)| {
            text_at(&json, "_links.schema.href")
                .and_then(|url| url.rsplit('/').next())
                .map(str::to_owned)
        });
        Ok(link)
    }

    /// A mapping is found by its two ends; the list leaves its properties out, and may forget its filters.
    pub(super) fn find_mapping(
        &mut self,
        action: &Action,
        resolved: &Resolved,
    ) -> Result<Option<(String, Held)>, Failure> {
        let end = |place: &str| {
            action
                .changes
                .iter()
                .find(|change| change.path == place)
                .and_then(|change| change.from.as_ref())
                .map(|id| id.as_str().trim_matches('"').to_owned())
                .map(|id| resolved.now.get(&id).cloned().unwrap_or(id))
        };
        let (Some(source), Some(target)) = (end("source.id"), end("target.id")) else {
            return Ok(None);
        };
        let path = format!(
            "/api/v1/mappings?limit=200&sourceId={}&targetId={}",
            segment(&source),
            segment(&target)
        );
        let mut found = None;
        self.org.follow(&path, None, &mut |raw| {
            let (held, json) = self.org.held(action.object_type, None, raw)?;
            if text_at(&json, "source.id") == Some(&source)
                && text_at(&json, "target.id") == Some(&target)
            {
                found = Some(held.id);
            }
            Ok(())
        })?;
        let Some(id) = found else { return Ok(None) };
        let address = Address {
            id: id.clone(),
            ..Address::default()
        };
        Ok(self
            .org
            .read(action.object_type, &address)?
            .map(|(held, _)| (id, held)))
    }
}
