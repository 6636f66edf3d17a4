//! Profile mappings: there is one for each direction of each pair of an app and a user type, and one
//! from each identity provider to the default user type and back.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    cursor::{PageSizes, Window},
    json::{ArrayWriter, push_value},
    log::target,
    org::Core,
    response::{Outcome, Response, no_such_method, no_such_path},
    users::body,
    wire::{Refusal, Request},
};

/// Page sizes of the mapping list.
const SIZES: PageSizes = PageSizes::new(20, 200);

/// One end of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    App(u32),
    Type(u32),
    /// By its place among the identity providers ever seen.
    Provider(usize),
}

/// One mapping.
#[derive(Debug, Clone)]
struct Mapping {
    source: End,
    target: End,
    properties: Map<String, Value>,
}

/// All mappings, by number.
#[derive(Debug, Default)]
pub(crate) struct Mappings {
    all: BTreeMap<u32, Mapping>,
    next: u32,
    providers: Vec<String>,
}

impl Mappings {
    fn add(&mut self, source: End, target: End, properties: Map<String, Value>) {
        self.all.insert(
            self.next,
            Mapping {
                source,
                target,
                properties,
            },
        );
        self.next += 1;
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

/// Answers `/api/v1/mappings` and what is below it; `path` starts after `mappings`.
pub(crate) fn route(core: &mut Core, request: &Request, path: &[&str]) -> Outcome {
    match (request.method.as_str(), path) {
        ("GET", []) => list(core, request),
        ("GET" | "POST", [id]) => {
            let n = core
                .ids
                .ordinal("prm", id)
                .filter(|n| core.mappings.all.contains_key(n));
            let n = n.ok_or_else(|| Refusal::not_found(id, "ProfileMapping"))?;
            if request.method == http::Method::POST {
                update(core, request, n)?;
            }
            Ok(Response::json(
                200,
                &core.mapping_value(n, &request.base_url, true),
            ))
        }
        (_, [] | [_]) => Err(no_such_method()),
        _ => Err(no_such_path()),
    }
}

fn list(core: &Core, request: &Request) -> Outcome {
    let window = Window::read(core, request, SIZES)?;
    let start = u32::try_from(window.start).unwrap_or(u32::MAX);
    let is = |end: End, param: &str| request.param(param).is_none_or(|id| core.end_id(end) == id);
    let mut array = ArrayWriter::with_room(8192);
    let mut last = None;
    let mut count = 0;
    let chosen = core
        .mappings
        .all
        .range(start..)
        .filter(|(_, mapping)| is(mapping.source, "sourceId") && is(mapping.target, "targetId"))
        .take(window.limit);
    for (n, _) in chosen {
        push_value(
            array.item(),
            &core.mapping_value(*n, &request.base_url, false),
        );
        last = Some(*n);
        count += 1;
    }
    let next = last
        .filter(|_| count == window.limit)
        .map(|n| u64::from(n) + 1);
    // As recorded: the links lose the filters.
    let page = window.page_without(core, request, next, &["sourceId", "targetId"]);
    Ok(Response::list(array.finish(), page))
}

fn update(core: &mut Core, request: &Request, n: u32) -> Result<(), Refusal> {
    let given = body(request)?
        .get("properties")
        .and_then(Value::as_object)
        .cloned()
        .ok_or_else(|| Refusal::validation("properties", "The field cannot be left blank"))?;
    for (name, value) in &given {
        let proper = value.is_null()
            || (value.get("expression").is_some_and(Value::is_string)
                && matches!(
                    value.get("pushStatus").and_then(Value::as_str),
                    None | Some("PUSH" | "DONT_PUSH")
                ));
        if !proper {
            return Err(Refusal::validation(
                name,
                "The mapping of the property is not valid.",
            ));
        }
    }
    if let Some(mapping) = core.mappings.all.get_mut(&n) {
        for (name, mut value) in given {
            match value.as_object_mut() {
                None => {
                    mapping.properties.remove(&name);
                }
                Some(fields) => {
                    fields
                        .entry("pushStatus")
                        .or_insert_with(|| Value::from("DONT_PUSH"));
                    mapping.properties.insert(name, value);
                }
            }
        }
    }
    let id = core.ids.text("prm", u64::from(n));
    core.emit_event(
        "directory.mapping.update",
        vec![target("ProfileMapping", &id, &id)],
    );
    Ok(())
}

impl Core {
    /// A new app has a mapping to and from the default user type.
    pub(crate) fn mappings_for_app(&mut self, n: u32) {
        let has_profile = self
            .apps
            .get(n)
            .is_some_and(|app| !app.system && app.sign_on_mode() != "BOOKMARK");
        if !has_profile {
            return;
        }
        let types: Vec<u32> = self.types.numbers().collect();
        for kind in types {
            self.add_pair(n, kind);
        }
    }

    /// A new user type has a mapping to and from each app.
    pub(crate) fn mappings_for_type(&mut self, kind: u32) {
        let apps: Vec<u32> = self
            .apps
            .all()
            .filter(|(_, app)| !app.system && app.sign_on_mode() != "BOOKMARK")
            .map(|(n, _)| n)
            .collect();
        for n in apps {
            self.add_pair(n, kind);
        }
    }

    fn add_pair(&mut self, app: u32, kind: u32) {
        let entry = |expression: &str| json!({"expression": expression, "pushStatus": "DONT_PUSH"});
        let oidc = self
            .apps
            .get(app)
            .is_some_and(|app| app.sign_on_mode() == "OPENID_CONNECT");
        let names: [(&str, &str); 3] = if oidc {
            [
                ("given_name", "firstName"),
                ("family_name", "lastName"),
                ("email", "email"),
            ]
        } else {
            [
                ("firstName", "firstName"),
                ("lastName", "lastName"),
                ("email", "email"),
            ]
        };
        let mut to_app = Map::new();
        let mut to_user = Map::new();
        for (theirs, ours) in names {
            to_app.insert(theirs.to_owned(), entry(&format!("user.{ours}")));
            to_user.insert(ours.to_owned(), entry(&format!("appuser.{theirs}")));
        }
        self.mappings.add(End::App(app), End::Type(kind), to_user);
        self.mappings.add(End::Type(kind), End::App(app), to_app);
    }

    /// An app is gone, and its mappings with it.
    pub(crate) fn mappings_without_app(&mut self, n: u32) {
        self.mappings
            .all
            .retain(|_, mapping| mapping.source != End::App(n) && mapping.target != End::App(n));
    }

    /// A user type is gone, and its mappings with it.
    pub(crate) fn mappings_without_type(&mut self, n: u32) {
        self.mappings
            .all
            .retain(|_, mapping| mapping.source != End::Type(n) && mapping.target != End::Type(n));
    }

    /// A new identity provider has a mapping to and from the default user type.
    pub(crate) fn mappings_for_idp(&mut self, id: &str) {
        self.mappings.providers.push(id.to_owned());
        let provider = End::Provider(self.mappings.providers.len() - 1);
        let entry = |expression: &str| json!({"expression": expression, "pushStatus": "DONT_PUSH"});
        let mut to_user = Map::new();
        for name in ["firstName", "lastName", "email"] {
            to_user.insert(name.to_owned(), entry(&format!("source.{name}")));
        }
        to_user.insert("login".to_owned(), entry("source.userName"));
        self.mappings.add(provider, End::Type(0), to_user);
        self.mappings.add(End::Type(0), provider, Map::new());
    }

    /// An identity provider is gone, and its mappings with it.
    pub(crate) fn mappings_without_idp(&mut self, id: &str) {
        let Some(at) = self.mappings.providers.iter().position(|known| known == id) else {
            return;
        };
        let provider = End::Provider(at);
        self.mappings
            .all
            .retain(|_, mapping| mapping.source != provider && mapping.target != provider);
    }

    fn end_id(&self, end: End) -> String {
        match end {
            End::Provider(at) => self.mappings.providers.get(at).cloned().unwrap_or_default(),
            End::App(n) => self.app_id(n),
            End::Type(n) => self.ids.text("oty", u64::from(n)),
        }
    }

    fn end_value(&self, end: End, base: &str) -> Value {
        let id = self.end_id(end);
        match end {
            End::Provider(_) => json!({
                "id": id, "name": "idp", "type": "appuser",
                "_links": {
                    "self": {"href": format!("{base}/api/v1/idps/{id}")},
                    "schema": {"href": format!("{base}/api/v1/meta/schemas/apps/{id}/default")},
                },
            }),
            End::App(n) => json!({
                "id": id, "name": self.apps.get(n).map(|app| app.name.clone()), "type": "appuser",
                "_links": {
                    "self": {"href": format!("{base}/api/v1/apps/{id}")},
                    "schema": {"href": format!("{base}/api/v1/meta/schemas/apps/{id}/default")},
                },
            }),
            End::Type(n) => json!({
                "id": id, "name": self.types.name(n), "type": "user",
                "_links": {
                    "self": {"href": format!("{base}/api/v1/meta/types/user/{id}")},
                    "schema": {"href": format!("{base}/api/v1/meta/schemas/user/{}", self.ids.text("osc", u64::from(n)))},
                },
            }),
        }
    }

    fn mapping_value(&self, n: u32, base: &str, whole: bool) -> Value {
        let Some(mapping) = self.mappings.all.get(&n) else {
            return Value::Null;
        };
        let id = self.ids.text("prm", u64::from(n));
        let mut value = json!({
            "id": id,
            "source": self.end_value(mapping.source, base),
            "target": self.end_value(mapping.target, base),
            "_links": {"self": {"href": format!("{base}/api/v1/mappings/{id}")}},
        });
        if whole && let Some(map) = value.as_object_mut() {
            map.insert(
                "properties".to_owned(),
                Value::Object(mapping.properties.clone()),
            );
        }
        value
    }

    /// Every mapping, by id.
    pub(crate) fn dump_mappings(&self, base: &str) -> BTreeMap<String, Value> {
        self.mappings
            .all
            .keys()
            .map(|n| {
                (
                    self.ids.text("prm", u64::from(*n)),
                    self.mapping_value(*n, base, true),
                )
            })
            .collect()
    }
}
