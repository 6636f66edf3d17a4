//! What single types do beyond the table.

use serde_json::{Map, Value, json};

use super::ConfigStore;
use super::calls::{Target, read_only};
use super::json::{fill, text};
use super::shelf::Record;
use super::table::{Kind, POLICY_TYPES, POLICY_TYPES_ABSENT};
use super::{behaviors, hooks, policies, providers, roles, servers, zones};
use crate::wire::{Refusal, Request, World};

impl ConfigStore {
    /// Refuses a list that lacks what it needs.
    pub(crate) fn check_list(&self, request: &Request, kind: Kind) -> Result<(), Refusal> {
        if kind != Kind::Policy {
            return Ok(());
        }
        match request.param("type") {
            Some(wanted) if POLICY_TYPES.contains(&wanted) => Ok(()),
            Some(wanted) if POLICY_TYPES_ABSENT.contains(&wanted) => Err(feature_absent()),
            Some(_) => Err(Refusal::validation("type", "Invalid policy type")),
            None => Err(Refusal::validation(
                "type",
                "The field cannot be left blank",
            )),
        }
    }

    /// Refuses a create that the org cannot do whatever the body.
    pub(crate) fn check_create(
        &mut self,
        request: &Request,
        target: &Target,
    ) -> Result<(), Refusal> {
        self.check_reconciling(target.kind())?;
        match target.kind() {
            Kind::Policy => policies::check_create(request),
            Kind::Rule => self.check_rule_create(request, target.parent()),
            Kind::Role => request
                .body
                .as_ref()
                .and_then(Value::as_object)
                .map_or(Ok(()), |body| roles::requested(body).map(drop)),
            _ => Ok(()),
        }
    }

    /// 423 `E0000239` while the test wants priorities to be reconciled.
    pub(crate) fn check_reconciling(&mut self, kind: Kind) -> Result<(), Refusal> {
        let concerned = matches!(
            kind,
            Kind::Policy | Kind::Rule | Kind::ServerPolicy | Kind::ServerRule
        );
        if !concerned || self.reconciling == 0 {
            return Ok(());
        }
        self.reconciling -= 1;
        Err(Refusal {
            status: 423,
            code: "E0000239",
            summary: "Priorities are being reconciled. Try again later.".to_owned(),
            causes: Vec::new(),
        })
    }

    /// Refuses to delete what is in use. Documented for zones alone; everything else leaves dangling ids.
    pub(crate) fn check_delete(&self, kind: Kind, id: &str) -> Result<(), Refusal> {
        if kind == Kind::Zone && self.zone_is_used(id) {
            return Err(Refusal::validation(
                "id",
                "The zone is used by a policy or rule",
            ));
        }
        Ok(())
    }

    /// Refuses a step in a lifecycle.
    pub(crate) fn check_step(&self, kind: Kind, id: &str, step: &str) -> Result<(), Refusal> {
        let Some(record) = self.shelf.get(kind, id) else {
            return Ok(());
        };
        match kind {
            Kind::Policy | Kind::Rule if record.is_system() => Err(read_only()),
            Kind::Authenticator if step == "deactivate" => self.check_authenticator_off(record),
            _ => Ok(()),
        }
    }

    /// The first characters of a new object's id.
    pub(crate) fn prefix(&self, target: &Target, draft: &Map<String, Value>) -> &'static str {
        match target.kind() {
            Kind::Policy if policies::is_newer(text(draft, "type")) => "rst",
            Kind::Rule if policies::is_newer(&self.policy_type(target.parent())) => "rul",
            _ => target.resource.prefix,
        }
    }

    /// Checks what only this type asks for, and completes the body with what the server adds.
    pub(crate) fn prepare(
        &self,
        world: &dyn World,
        request: &Request,
        target: &Target,
        draft: &mut Map<String, Value>,
        before: Option<&Record>,
    ) -> Result<(), Refusal> {
        match target.kind() {
            Kind::Zone => zones::zone(draft, before),
            Kind::Origin => {
                let caller = json!(request.caller);
                if before.is_none() {
                    draft.insert("createdBy".to_owned(), caller.clone());
                } else if let Some(creator) = before.and_then(|before| before.body.get("createdBy"))
                {
                    draft.insert("createdBy".to_owned(), creator.clone());
                }
                draft.insert("lastUpdatedBy".to_owned(), caller);
                Ok(())
            }
            Kind::Behavior => behaviors::behavior(draft),
            Kind::Authenticator => self.authenticator(draft, before),
            Kind::IdentityProvider => {
                providers::provider(draft, before);
                Ok(())
            }
            Kind::Server => {
                servers::server(draft, before, &world.now());
                Ok(())
            }
            Kind::Scope => servers::scope(draft, before),
            Kind::Claim => self.claim(draft, target.parent(), before),
            Kind::ServerPolicy => {
                fill(
                    draft,
                    &json!({"type": "OAUTH_AUTHORIZATION_POLICY", "system": false}),
                );
                policies::check_priority(draft, 1)
            }
            Kind::ServerRule => self.server_rule(draft, target),
            Kind::Policy => self.policy(draft, before),
            Kind::Rule => self.rule(draft, target.parent(), before),
            Kind::EventHook => hooks::event_hook(draft, before, &request.caller),
            Kind::InlineHook => hooks::inline_hook(draft, before),
            Kind::Role => {
                fill(draft, &json!({"isCloneable": false}));
                Ok(())
            }
        }
    }

    /// What comes to be with an object.
    pub(crate) fn after_create(
        &mut self,
        world: &mut dyn World,
        request: &Request,
        target: &Target,
        id: &str,
    ) {
        match target.kind() {
            Kind::Server => self.add_server_parts(world, id),
            Kind::Policy => self.add_catch_all(world, id),
            Kind::Role => {
                let labels = request
                    .body
                    .as_ref()
                    .and_then(Value::as_object)
                    .map(roles::requested);
                for label in labels.and_then(Result::ok).unwrap_or_default() {
                    self.grants.put(id, &label, Value::Null, &world.now());
                }
            }
            _ => {}
        }
    }

    /// What follows from a replace.
    pub(crate) fn after_replace(
        &self,
        world: &mut dyn World,
        kind: Kind,
        id: &str,
        before: &Record,
    ) {
        let Some(record) = self.shelf.get(kind, id) else {
            return;
        };
        if kind == Kind::Zone {
            match (text(&before.body, "usage"), text(&record.body, "usage")) {
                ("POLICY", "BLOCKLIST") => self.emit(world, kind, id, "zone.make_blacklist"),
                ("BLOCKLIST", "POLICY") => self.emit(world, kind, id, "zone.remove_blacklist"),
                _ => {}
            }
        }
        let events = kind.resource().events;
        match (text(&before.body, "status"), text(&record.body, "status")) {
            ("ACTIVE", "INACTIVE") => self.emit(world, kind, id, events.deactivate),
            ("INACTIVE", "ACTIVE") => self.emit(world, kind, id, events.activate),
            _ => {}
        }
    }

    /// What goes with an object.
    pub(crate) fn after_delete(&mut self, removed: &Record, kind: Kind) {
        let id = removed.id.as_str();
        match kind {
            Kind::Server => {
                self.shelf.remove_children(Kind::Scope, id);
                self.shelf.remove_children(Kind::Claim, id);
                for policy in self.shelf.remove_children(Kind::ServerPolicy, id) {
                    self.shelf.remove_children(Kind::ServerRule, &policy);
                }
            }
            Kind::ServerPolicy => {
                self.shelf.remove_children(Kind::ServerRule, id);
            }
            Kind::Policy => {
                self.shelf.remove_children(Kind::Rule, id);
            }
            Kind::Role => self.grants.forget(id),
            _ => {}
        }
        self.close_ranks(kind, removed);
    }

    /// Puts a finished body on the shelf.
    pub(crate) fn add(&mut self, kind: Kind, parent: &str, body: Value) {
        if let Value::Object(body) = body {
            self.shelf.add(kind, parent, body);
        }
    }
}

/// 401 `E0000015`: not an authentication failure, but a feature that the org lacks.
fn feature_absent() -> Refusal {
    Refusal {
        status: 401,
        code: "E0000015",
        summary: "You do not have permission to access the feature you are requesting".to_owned(),
        causes: Vec::new(),
    }
}
