//! Custom roles' permissions: created with the role, read and changed apart from it.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Map, Value, json};

use super::ConfigStore;
use super::calls::no_such_method;
use super::links::{admin_url, path_of};
use super::table::Kind;
use crate::wire::{Answer, LogEvent, LogTarget, PageLinks, Refusal, Reply, Request, World};

/// The permissions by role id and label.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    by_role: BTreeMap<String, BTreeMap<String, Grant>>,
}

/// One permission of one role.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    created: String,
    last_updated: String,
    conditions: Value,
}

impl Grants {
    /// Gives a role a permission, or new conditions to one that it has.
    pub(crate) fn put(&mut self, role: &str, label: &str, conditions: Value, now: &str) {
        let grants = self.by_role.entry(role.to_owned()).or_default();
        let created = grants
            .get(label)
            .map_or_else(|| now.to_owned(), |grant| grant.created.clone());
        grants.insert(
            label.to_owned(),
            Grant {
                created,
                last_updated: now.to_owned(),
                conditions,
            },
        );
    }

    /// Forgets a role.
    pub(crate) fn forget(&mut self, role: &str) {
        self.by_role.remove(role);
    }

    fn of(&self, role: &str) -> impl Iterator<Item = (&String, &Grant)> {
        self.by_role.get(role).into_iter().flatten()
    }

    fn get(&self, role: &str, label: &str) -> Option<&Grant> {
        self.by_role.get(role)?.get(label)
    }

    fn remove(&mut self, role: &str, label: &str) -> bool {
        self.by_role
            .get_mut(role)
            .is_some_and(|grants| grants.remove(label).is_some())
    }
}

impl ConfigStore {
    /// The permissions of a role, which are never paged.
    pub(crate) fn permissions(&self, request: &Request, role: &str) -> Reply {
        let items: Vec<Value> = self
            .grants
            .of(role)
            .map(|(label, grant)| shown(request, role, label, grant))
            .collect();
        Reply::json(200, json!({"permissions": items}))
    }

    /// Reads, gives, changes or takes one permission.
    pub(crate) fn permission(
        &mut self,
        world: &mut dyn World,
        request: &Request,
        role: &str,
        label: &str,
    ) -> Answer {
        let missing = || Refusal::not_found(label, "Permission");
        match request.method {
            Method::GET => {}
            Method::POST => {
                is_permission(label)?;
                let conditions = conditions_of(request);
                self.grants.put(role, label, conditions, &world.now());
                self.log(world, role, label, "iam.role.permissions.add");
                return Ok(Reply::empty(204));
            }
            Method::PUT => {
                let before = self
                    .grants
                    .get(role, label)
                    .ok_or_else(missing)?
                    .conditions
                    .clone();
                let conditions = conditions_of(request);
                if before.is_null() != conditions.is_null() {
                    let event = if conditions.is_null() {
                        "delete"
                    } else {
                        "add"
                    };
                    self.log(
                        world,
                        role,
                        label,
                        &format!("iam.role.permission.conditions.{event}"),
                    );
                }
                self.grants.put(role, label, conditions, &world.now());
            }
            Method::DELETE => {
                if !self.grants.remove(role, label) {
                    return Err(missing());
                }
                self.log(world, role, label, "iam.role.permissions.delete");
                return Ok(Reply::empty(204));
            }
            _ => return Err(no_such_method()),
        }
        let grant = self.grants.get(role, label).ok_or_else(missing)?;
        let mut reply = Reply::json(200, shown(request, role, label, grant));
        reply.page = Some(PageLinks {
            this: Some(format!(
                "{}/permissions/{label}",
                path_of(Kind::Role, &[], role)
            )),
            next: None,
            admin_host: true,
        });
        Ok(reply)
    }

    fn log(&self, world: &mut dyn World, role: &str, label: &str, event_type: &str) {
        let Some(record) = self.shelf.get(Kind::Role, role) else {
            return;
        };
        let target = |id: &str, kind: &str, name: &str| LogTarget {
            id: id.to_owned(),
            kind: kind.to_owned(),
            alternate_id: "unknown".to_owned(),
            display_name: name.to_owned(),
        };
        let targets = vec![
            target(role, Kind::Role.resource().target, record.name()),
            target(label, "PERMISSION", label),
        ];
        world.emit(LogEvent {
            event_type: event_type.to_owned(),
            targets,
        });
    }
}

/// The permissions that a request to create a role carries.
pub(crate) fn requested(body: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
    let Some(Value::Array(items)) = body.get("permissions") else {
        return Err(Refusal::validation(
            "permissions",
            "The field cannot be left blank",
        ));
    };
    let labels: Vec<String> = items
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    for label in &labels {
        is_permission(label)?;
    }
    if labels.is_empty() {
        return Err(Refusal::validation(
            "permissions",
            "The field cannot be left blank",
        ));
    }
    Ok(labels)
}

/// All permissions begin alike; the list of them is not checked, since it grows with every release.
fn is_permission(label: &str) -> Result<(), Refusal> {
    if label.starts_with("okta.") {
        Ok(())
    } else {
        Err(Refusal::validation("permissions", "Invalid permission"))
    }
}

fn conditions_of(request: &Request) -> Value {
    request
        .body
        .as_ref()
        .and_then(|body| body.get("conditions"))
        .cloned()
        .unwrap_or(Value::Null)
}

fn shown(request: &Request, role: &str, label: &str, grant: &Grant) -> Value {
    let href = format!(
        "{}{}",
        admin_url(&request.base_url),
        path_of(Kind::Role, &[], role)
    );
    json!({
        "label": label,
        "created": grant.created,
        "lastUpdated": grant.last_updated,
        "conditions": grant.conditions,
        "_links": {
            "role": {"href": href},
            "self": {"href": format!("{href}/permissions/{label}")},
        },
    })
}
