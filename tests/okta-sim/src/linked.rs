//! Linked-object definitions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    log::target,
    org::Core,
    response::{Outcome, Response, no_such_method, no_such_path, refusal},
    users::body,
    wire::{Refusal, Request},
};

/// All definitions, by the primary's name.
#[derive(Debug, Default)]
pub(crate) struct LinkedObjects {
    all: BTreeMap<String, Value>,
}

impl LinkedObjects {
    /// The definitions of a generated org.
    pub(crate) fn generated() -> Self {
        let side = |name: &str, title: &str| json!({"name": name, "title": title, "description": format!("{title} link property"), "type": "USER"});
        let mut all = BTreeMap::new();
        for (primary, associated) in [
            (("manager", "Manager"), ("subordinate", "Subordinate")),
            (("mentor", "Mentor"), ("mentee", "Mentee")),
        ] {
            let definition = json!({"primary": side(primary.0, primary.1), "associated": side(associated.0, associated.1)});
            all.insert(primary.0.to_owned(), definition);
        }
        Self { all }
    }

    fn name_of(&self, name: &str) -> Option<String> {
        let is = |definition: &Value, side: &str| {
            definition
                .pointer(&format!("/{side}/name"))
                .and_then(Value::as_str)
                == Some(name)
        };
        self.all
            .iter()
            .find(|(_, definition)| is(definition, "primary") || is(definition, "associated"))
            .map(|(key, _)| key.clone())
    }
}

/// Answers `/api/v1/meta/schemas/user/linkedObjects` and what is below it.
pub(crate) fn route(core: &mut Core, request: &Request, path: &[&str]) -> Outcome {
    match (request.method.as_str(), path) {
        ("GET", []) => {
            let all: Vec<Value> = core.dump_linked(&request.base_url).into_values().collect();
            Ok(Response::json(200, &Value::Array(all)))
        }
        ("POST", []) => create(core, request),
        ("GET" | "DELETE", [name]) => {
            let key = core
                .linked
                .name_of(name)
                .ok_or_else(|| Refusal::not_found(name, "LinkedObject"))?;
            if request.method == http::Method::GET {
                return Ok(Response::json(
                    200,
                    &core.linked_value(&key, &request.base_url),
                ));
            }
            core.linked.all.remove(&key);
            core.emit_event(
                "directory.linked_object.delete",
                vec![target("LinkedObject", &key, &key)],
            );
            Ok(Response::empty(204))
        }
        (_, [] | [_]) => Err(no_such_method()),
        _ => Err(no_such_path()),
    }
}

fn create(core: &mut Core, request: &Request) -> Outcome {
    let body = body(request)?;
    let mut sides = Vec::new();
    for side in ["primary", "associated"] {
        let given = body.get(side).cloned().unwrap_or_default();
        let text = |key: &str| {
            given
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (name, title) = (text("name"), text("title"));
        if name.is_empty() || title.is_empty() || text("type") != "USER" {
            return Err(Refusal::validation(
                side,
                "The name, the title and the type USER are required.",
            ));
        }
        if core.linked.name_of(&name).is_some() {
            return Err(refusal(
                409,
                "E0000057",
                "Access to this link property name is taken: it must be unique.",
            ));
        }
        sides.push((name.clone(), json!({"name": name, "title": title, "description": given.get("description").cloned().unwrap_or_default(), "type": "USER"})));
    }
    let [(name, primary), (other, associated)] = sides.as_slice() else {
        return Err(no_such_path());
    };
    if name == other {
        return Err(Refusal::validation(
            "associated",
            "The two names must differ.",
        ));
    }
    core.linked.all.insert(
        name.clone(),
        json!({"primary": primary, "associated": associated}),
    );
    core.emit_event(
        "directory.linked_object.create",
        vec![target("LinkedObject", name, name)],
    );
    Ok(Response::json(
        201,
        &core.linked_value(name, &request.base_url),
    ))
}

impl Core {
    fn linked_value(&self, name: &str, base: &str) -> Value {
        let mut value = self.linked.all.get(name).cloned().unwrap_or_default();
        if let Some(map) = value.as_object_mut() {
            let own = format!("{base}/api/v1/meta/schemas/user/linkedObjects/{name}");
            map.insert("_links".to_owned(), json!({"self": {"href": own}}));
        }
        value
    }

    /// Every definition, by the primary's name.
    pub(crate) fn dump_linked(&self, base: &str) -> BTreeMap<String, Value> {
        self.linked
            .all
            .keys()
            .map(|name| (name.clone(), self.linked_value(name, base)))
            .collect()
    }
}
