//! User types.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    clock::time_text,
    log::target,
    org::Core,
    person::GENERATED_FROM_MS,
    response::{Outcome, Response, forbidden, no_such_method, no_such_path},
    users::body,
    wire::{Refusal, Request},
};

/// How many types an org can have beside the default one.
const MORE_TYPES_MAX: usize = 9;

/// One user type.
#[derive(Debug, Clone)]
struct UserType {
    name: String,
    display_name: String,
    description: Option<String>,
    created_by: String,
    updated_by: String,
    created: i64,
    last_updated: i64,
}

/// All user types, by number; number 0 is the default one.
#[derive(Debug)]
pub(crate) struct UserTypes {
    all: BTreeMap<u32, UserType>,
    next: u32,
}

impl UserTypes {
    /// The types of a generated org.
    pub(crate) fn generated(count: u32, creator: &str) -> Self {
        const NAMES: [(&str, &str); 3] = [
            ("user", "User"),
            ("contractor", "Contractor"),
            ("partner", "Partner"),
        ];
        let all = (0..count)
            .zip(NAMES)
            .map(|(n, (name, display))| {
                let kind = UserType {
                    name: name.to_owned(),
                    display_name: display.to_owned(),
                    description: Some(format!("{display} profile template")),
                    created_by: creator.to_owned(),
                    updated_by: creator.to_owned(),
                    created: GENERATED_FROM_MS,
                    last_updated: GENERATED_FROM_MS,
                };
                (n, kind)
            })
            .collect();
        Self { all, next: count }
    }

    /// A type's name.
    pub(crate) fn name(&self, n: u32) -> String {
        self.all
            .get(&n)
            .map(|kind| kind.name.clone())
            .unwrap_or_default()
    }

    /// The types' numbers.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.all.keys().copied()
    }
}

/// Answers `/api/v1/meta/types/user` and what is below it; `path` starts after `user`.
pub(crate) fn route(core: &mut Core, request: &Request, path: &[&str]) -> Outcome {
    let method = request.method.as_str();
    match (method, path) {
        ("GET", []) => {
            let all: Vec<Value> = core
                .types
                .numbers()
                .map(|n| core.user_type_value(n, &request.base_url))
                .collect();
            Ok(Response::json(200, &Value::Array(all)))
        }
        ("POST", []) => create(core, request),
        (_, [id]) => {
            let n = core
                .find_user_type(id)
                .ok_or_else(|| Refusal::not_found(id, "UserType"))?;
            match method {
                "GET" => {}
                "PUT" => write(core, request, n, true)?,
                "POST" => write(core, request, n, false)?,
                "DELETE" => return delete(core, n),
                _ => return Err(no_such_method()),
            }
            Ok(Response::json(
                200,
                &core.user_type_value(n, &request.base_url),
            ))
        }
        (_, []) => Err(no_such_method()),
        _ => Err(no_such_path()),
    }
}

fn create(core: &mut Core, request: &Request) -> Outcome {
    let body = body(request)?;
    let text = |key: &str| {
        body.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (name, display_name) = (text("name"), text("displayName"));
    let proper = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !proper {
        return Err(Refusal::validation(
            "name",
            "The name must start with a letter and have letters, digits and underscores only.",
        ));
    }
    if display_name.is_empty() {
        return Err(Refusal::validation(
            "displayName",
            "The field cannot be left blank",
        ));
    }
    if core
        .types
        .all
        .values()
        .any(|kind| kind.name.eq_ignore_ascii_case(&name))
    {
        return Err(Refusal::validation(
            "name",
            "An object with this field already exists in the current organization",
        ));
    }
    if core.types.all.len() > MORE_TYPES_MAX {
        return Err(Refusal::validation(
            "name",
            "Maximum number of instances has been reached",
        ));
    }
    let now = core.clock.second();
    let n = core.types.next;
    core.types.next += 1;
    let kind = UserType {
        name,
        display_name,
        description: body
            .get("description")
            .and_then(Value::as_str)
            .map(str::to_owned),
        created_by: core.actor.id.clone(),
        updated_by: core.actor.id.clone(),
        created: now,
        last_updated: now,
    };
    core.types.all.insert(n, kind);
    core.schemas.type_created(n, now);
    core.mappings_for_type(n);
    core.type_event("directory.non_default_user_profile.create", n);
    Ok(Response::json(
        200,
        &core.user_type_value(n, &request.base_url),
    ))
}

fn write(core: &mut Core, request: &Request, n: u32, replaces: bool) -> Result<(), Refusal> {
    let body = body(request)?;
    let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    let (now, by) = (core.clock.second(), core.actor.id.clone());
    let Some(kind) = core.types.all.get_mut(&n) else {
        return Err(no_such_path());
    };
    let name = text("name");
    if name.as_ref().is_some_and(|name| *name != kind.name) || (replaces && name.is_none()) {
        return Err(Refusal::validation("name", "The name cannot be changed."));
    }
    match text("displayName") {
        Some(display) if !display.is_empty() => kind.display_name = display,
        None if !replaces => {}
        _ => {
            return Err(Refusal::validation(
                "displayName",
                "The field cannot be left blank",
            ));
        }
    }
    if replaces || body.contains_key("description") {
        kind.description = text("description");
    }
    kind.last_updated = now;
    kind.updated_by = by;
    core.type_event("directory.user_profile.update", n);
    Ok(())
}

fn delete(core: &mut Core, n: u32) -> Outcome {
    if n == 0 {
        return Err(forbidden());
    }
    if core.users.all().any(|(_, user)| user.user_type() == n) {
        return Err(Refusal::validation(
            "type",
            "The user type is assigned to users and cannot be deleted.",
        ));
    }
    core.types.all.remove(&n);
    core.schemas.type_deleted(n);
    core.mappings_without_type(n);
    Ok(Response::empty(204))
}

impl Core {
    /// The number of the user type with this id, if it is there.
    pub(crate) fn find_user_type(&self, id: &str) -> Option<u32> {
        self.ids
            .ordinal("oty", id)
            .filter(|n| self.types.all.contains_key(n))
    }

    fn type_event(&mut self, event_type: &str, n: u32) {
        let subject = target(
            "UserType",
            &self.ids.text("oty", u64::from(n)),
            &self.types.name(n),
        );
        self.emit_event(event_type, vec![subject]);
    }

    fn user_type_value(&self, n: u32, base: &str) -> Value {
        let Some(kind) = self.types.all.get(&n) else {
            return Value::Null;
        };
        let id = self.ids.text("oty", u64::from(n));
        let schema = self.ids.text("osc", u64::from(n));
        json!({
            "id": id, "displayName": kind.display_name, "name": kind.name, "description": kind.description,
            "createdBy": kind.created_by, "lastUpdatedBy": kind.updated_by,
            "created": time_text(kind.created), "lastUpdated": time_text(kind.last_updated), "default": n == 0,
            "_links": {
                "schema": {"rel": "schema", "href": format!("{base}/api/v1/meta/schemas/user/{schema}"), "method": "GET"},
                "self": {"rel": "self", "href": format!("{base}/api/v1/meta/types/user/{id}"), "method": "GET"},
            },
        })
    }

    /// Every user type, by id.
    pub(crate) fn dump_user_types(&self, base: &str) -> BTreeMap<String, Value> {
        self.types
            .numbers()
            .map(|n| {
                (
                    self.ids.text("oty", u64::from(n)),
                    self.user_type_value(n, base),
                )
            })
            .collect()
    }
}
