//! The schemas of user types, groups and apps, and the checks of profiles against them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    apps::App,
    clock::time_text,
    log::target,
    org::Core,
    person::GENERATED_FROM_MS,
    response::{Outcome, Response, no_such_method, no_such_path},
    users::body,
    wire::{Refusal, Request},
};

/// The attributes every user type has: name, title, type, format.
const USER_BASE: &[(&str, &str, &str)] = &[
    ("login", "Username", ""),
    ("firstName", "First name", ""),
    ("lastName", "Last name", ""),
    ("middleName", "Middle name", ""),
    ("honorificPrefix", "Honorific prefix", ""),
    ("honorificSuffix", "Honorific suffix", ""),
    ("email", "Primary email", "email"),
    ("title", "Title", ""),
    ("displayName", "Display name", ""),
    ("nickName", "Nickname", ""),
    ("profileUrl", "Profile Url", "uri"),
    ("secondEmail", "Secondary email", "email"),
    ("mobilePhone", "Mobile phone", ""),
    ("primaryPhone", "Primary phone", ""),
    ("streetAddress", "Street address", ""),
    ("city", "City", ""),
    ("state", "State", ""),
    ("zipCode", "Zip code", ""),
    ("countryCode", "Country code", "country-code"),
    ("postalAddress", "Postal Address", ""),
    ("preferredLanguage", "Preferred language", "language-code"),
    ("locale", "Locale", "locale"),
    ("timezone", "Time zone", "timezone"),
    ("userType", "User type", ""),
    ("employeeNumber", "Employee number", ""),
    ("costCenter", "Cost center", ""),
    ("organization", "Organization", ""),
    ("division", "Division", ""),
    ("department", "Department", ""),
    ("managerId", "ManagerId", ""),
    ("manager", "Manager", ""),
];
/// The attributes every OIDC app's users have.
const OIDC_BASE: &[&str] = &[
    "name",
    "nickname",
    "given_name",
    "middle_name",
    "family_name",
    "email",
    "profile",
    "picture",
    "website",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "phone_number",
    "street_address",
    "locality",
    "region",
    "postal_code",
    "country",
    "formatted",
];

/// One schema: its attributes and when it changed.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    base: Map<String, Value>,
    base_required: Vec<String>,
    custom: Map<String, Value>,
    created: i64,
    last_updated: i64,
}

/// All schemas.
#[derive(Debug)]
pub(crate) struct Schemas {
    users: BTreeMap<u32, Schema>,
    group: Schema,
    apps: BTreeMap<u32, Schema>,
}

impl Schemas {
    /// The schemas of a generated org: `types` user types, no app yet.
    pub(crate) fn generated(types: u32) -> Self {
        let users = (0..types)
            .map(|n| (n, user_schema(GENERATED_FROM_MS)))
            .collect();
        let mut group = Schema {
            base: Map::new(),
            base_required: vec!["name".to_owned()],
            custom: Map::new(),
            created: GENERATED_FROM_MS,
            last_updated: GENERATED_FROM_MS,
        };
        group.base.insert(
            "name".to_owned(),
            property(
                "Name",
                "string",
                json!({"required": true, "maxLength": 255}),
            ),
        );
        group.base.insert(
            "description".to_owned(),
            property("Description", "string", json!({"maxLength": 1024})),
        );
        group.custom.insert(
            "ownerTeam".to_owned(),
            property("Owner team", "string", json!({})),
        );
        group.custom.insert(
            "reviewMonths".to_owned(),
            property("Review months", "integer", json!({})),
        );
        Self {
            users,
            group,
            apps: BTreeMap::new(),
        }
    }

    /// A new user type starts from the default type's schema.
    pub(crate) fn type_created(&mut self, n: u32, now: i64) {
        let mut schema = self
            .users
            .get(&0)
            .cloned()
            .unwrap_or_else(|| user_schema(now));
        schema.custom = Map::new();
        schema.created = now;
        schema.last_updated = now;
        self.users.insert(n, schema);
    }

    /// A user type is gone.
    pub(crate) fn type_deleted(&mut self, n: u32) {
        self.users.remove(&n);
    }

    /// A new app has a schema of its own.
    pub(crate) fn app_created(&mut self, n: u32, now: i64) {
        let none = Schema {
            base: Map::new(),
            base_required: Vec::new(),
            custom: Map::new(),
            created: now,
            last_updated: now,
        };
        self.apps.insert(n, none);
    }

    /// Gives a generated SAML app the attributes its assignments carry.
    pub(crate) fn app_attributes(&mut self, n: u32) {
        if let Some(schema) = self.apps.get_mut(&n) {
            for (name, title) in [
                ("email", "Email"),
                ("firstName", "First name"),
                ("lastName", "Last name"),
            ] {
                schema
                    .custom
                    .insert(name.to_owned(), property(title, "string", json!({})));
            }
        }
    }

    /// An app is gone.
    pub(crate) fn app_deleted(&mut self, n: u32) {
        self.apps.remove(&n);
    }

    /// Checks a user's whole profile; nulls are dropped.
    pub(crate) fn check_user(
        &self,
        user_type: u32,
        profile: &mut Map<String, Value>,
    ) -> Result<(), Refusal> {
        let Some(schema) = self.users.get(&user_type) else {
            return Err(Refusal::validation("type", "The user type does not exist."));
        };
        check(schema, profile)
    }

    /// Checks a group's whole profile; nulls are dropped, but a missing description is shown as null.
    pub(crate) fn check_group(&self, profile: &mut Map<String, Value>) -> Result<(), Refusal> {
        check(&self.group, profile)?;
        profile.entry("description").or_insert(Value::Null);
        Ok(())
    }

    /// Checks what is written to an assignment's profile.
    pub(crate) fn check_app_user(
        &self,
        n: u32,
        app: &App,
        profile: &Map<String, Value>,
    ) -> Result<(), Refusal> {
        let custom = self.apps.get(&n).map(|schema| &schema.custom);
        for name in profile.keys() {
            let base = app.sign_on_mode() == "OPENID_CONNECT" && OIDC_BASE.contains(&name.as_str());
            if !base && !custom.is_some_and(|custom| custom.contains_key(name)) {
                return Err(undefined(name));
            }
        }
        Ok(())
    }
}

/// `/api/v1/meta/schemas/…`, but for linked objects; `path` starts after `schemas`.
pub(crate) fn route(core: &mut Core, request: &Request, path: &[&str]) -> Outcome {
    let method = request.method.as_str();
    match path {
        ["user", id] => {
            let n = if *id == "default" {
                Some(0)
            } else {
                core.ids.ordinal("osc", id)
            };
            let n = n
                .filter(|n| core.schemas.users.contains_key(n))
                .ok_or_else(|| Refusal::not_found(id, "UserSchema"))?;
            if method == "POST" {
                let now = core.clock.second();
                if let Some(schema) = core.schemas.users.get_mut(&n) {
                    update(schema, request, now, true)?;
                }
                let subject = target("UserProfile", &core.ids.text("osc", u64::from(n)), "user");
                core.emit_event("directory.user_profile.update", vec![subject]);
            }
            answer(method, core.user_schema_value(n, &request.base_url))
        }
        ["group", "default"] => {
            if method == "POST" {
                let now = core.clock.second();
                update(&mut core.schemas.group, request, now, false)?;
            }
            answer(method, core.group_schema_value(&request.base_url))
        }
        ["apps", id, "default"] => {
            let n = core
                .find_app(id)
                .ok_or_else(|| Refusal::not_found(id, "AppInstance"))?;
            if core.apps.get(n).is_none_or(|app| app.system) {
                return Err(Refusal::not_found(id, "AppUserSchema"));
            }
            if method == "POST" {
                if core.apps.get(n).is_some_and(|app| !app.active) {
                    return Err(crate::response::refusal(
                        400,
                        "E0000024",
                        "Bad request. Cause: No active instances",
                    ));
                }
                let now = core.clock.second();
                let oidc = core
                    .apps
                    .get(n)
                    .is_some_and(|app| app.sign_on_mode() == "OPENID_CONNECT");
                if let Some(schema) = core.schemas.apps.get_mut(&n) {
                    open_app_base(schema, request, oidc);
                    update(schema, request, now, true)?;
                }
                let subject = core.app_target(n);
                core.emit_event("directory.app_user_profile.update", vec![subject]);
            }
            answer(method, core.app_schema_value(n, &request.base_url))
        }
        _ => Err(no_such_path()),
    }
}

fn answer(method: &str, value: Value) -> Outcome {
    if matches!(method, "GET" | "POST") {
        Ok(Response::json(200, &value))
    } else {
        Err(no_such_method())
    }
}

/// Adds, changes and (null) removes custom attributes; base attributes change in a few members only.
fn update(
    schema: &mut Schema,
    request: &Request,
    now: i64,
    base_writable: bool,
) -> Result<(), Refusal> {
    let body = body(request)?;
    let definitions = body.get("definitions").cloned().unwrap_or_default();
    let given = |part: &str| {
        definitions
            .pointer(&format!("/{part}/properties"))
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    let mut custom = schema.custom.clone();
    for (name, value) in given("custom") {
        if schema.base.contains_key(&name) {
            return Err(Refusal::validation(
                "definitions",
                "A base property cannot be a custom one.",
            ));
        }
        if value.is_null() {
            custom.remove(&name);
            continue;
        }
        let kind = value
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        if !matches!(
            kind.as_str(),
            "string" | "integer" | "number" | "boolean" | "array" | "object"
        ) {
            return Err(Refusal::validation(
                "type",
                "The property's type is not valid.",
            ));
        }
        if let Some(old) = custom.get(&name)
            && old.get("type") != value.get("type")
        {
            return Err(Refusal::validation(
                "type",
                "The type of a property cannot be changed.",
            ));
        }
        let title = value
            .get("title")
            .and_then(Value::as_str)
            .unwrap_or(&name)
            .to_owned();
        custom.insert(name, property(&title, &kind, value));
    }
    for (name, value) in given("base") {
        let Some(Value::Object(old)) = schema.base.get_mut(&name) else {
            return Err(Refusal::validation(
                "definitions",
                "A base property cannot be added.",
            ));
        };
        if !base_writable || value.is_null() {
            return Err(Refusal::validation(
                "definitions",
                "Base properties cannot be changed.",
            ));
        }
        for key in ["permissions", "required", "pattern", "master"] {
            if let Some(new) = value.get(key) {
                old.insert(key.to_owned(), new.clone());
            }
        }
        let required = value.get("required").and_then(Value::as_bool);
        if required == Some(false) {
            schema.base_required.retain(|other| *other != name);
        } else if required == Some(true) && !schema.base_required.contains(&name) {
            schema.base_required.push(name);
        }
    }
    schema.custom = custom;
    schema.last_updated = now;
    Ok(())
}

/// Lets a request change those of an app's base attributes that it names.
fn open_app_base(schema: &mut Schema, request: &Request, oidc: bool) {
    let named = request
        .body
        .as_ref()
        .and_then(|body| body.pointer("/definitions/base/properties"));
    for name in named
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::keys)
    {
        if oidc && OIDC_BASE.contains(&name.as_str()) {
            schema
                .base
                .entry(name)
                .or_insert_with(|| app_property(name));
        }
    }
}

/// A base attribute of an OIDC app's users.
fn app_property(name: &str) -> Value {
    json!({"title": name, "type": "string", "scope": "SELF"})
}

fn property(title: &str, kind: &str, extra: Value) -> Value {
    let mut made = json!({
        "title": title, "type": kind, "mutability": "READ_WRITE", "scope": "NONE",
        "permissions": [{"principal": "SELF", "action": "READ_WRITE"}],
        "master": {"type": "PROFILE_MASTER"},
    });
    if let (Some(made), Value::Object(extra)) = (made.as_object_mut(), extra) {
        made.extend(
            extra
                .into_iter()
                .filter(|(key, value)| !(key == "required" && value == false)),
        );
    }
    made
}

fn user_schema(now: i64) -> Schema {
    let mut base = Map::new();
    for (name, title, format) in USER_BASE {
        let extra = match *name {
            "login" => json!({"required": true, "minLength": 5, "maxLength": 100}),
            "firstName" | "lastName" => json!({"required": true, "minLength": 1, "maxLength": 50}),
            "email" => json!({"required": true, "format": "email", "maxLength": 100}),
            "mobilePhone" | "primaryPhone" => json!({"maxLength": 100}),
            _ if format.is_empty() => json!({}),
            _ => json!({"format": format}),
        };
        base.insert((*name).to_owned(), property(title, "string", extra));
    }
    let mut custom = Map::new();
    custom.insert(
        "badgeNumber".to_owned(),
        property(
            "Badge number",
            "string",
            json!({"maxLength": 40, "unique": "NOT_UNIQUE"}),
        ),
    );
    custom.insert("shirtSize".to_owned(), property("Shirt size", "string", json!({
        "enum": ["S", "M", "L", "XL"],
        "oneOf": [{"const": "S", "title": "Small"}, {"const": "M", "title": "Medium"}, {"const": "L", "title": "Large"}, {"const": "XL", "title": "Extra large"}],
    })));
    custom.insert(
        "jobLevel".to_owned(),
        property("Job level", "integer", json!({"minimum": 0, "maximum": 20})),
    );
    custom.insert(
        "remoteWorker".to_owned(),
        property("Remote worker", "boolean", json!({})),
    );
    custom.insert(
        "projects".to_owned(),
        property("Projects", "array", json!({"items": {"type": "string"}})),
    );
    let required = ["login", "firstName", "lastName", "email"]
        .map(str::to_owned)
        .to_vec();
    Schema {
        base,
        base_required: required,
        custom,
        created: now,
        last_updated: now,
    }
}

fn check(schema: &Schema, profile: &mut Map<String, Value>) -> Result<(), Refusal> {
    for (name, value) in profile.iter() {
        let definition = schema
            .base
            .get(name)
            .or_else(|| schema.custom.get(name))
            .ok_or_else(|| undefined(name))?;
        if !value.is_null() {
            check_value(name, definition, value)?;
        }
    }
    profile.retain(|_, value| !value.is_null());
    let custom_required = schema
        .custom
        .iter()
        .filter(|(_, definition)| definition.get("required") == Some(&Value::Bool(true)))
        .map(|(name, _)| name);
    for name in schema.base_required.iter().chain(custom_required) {
        let blank = profile
            .get(name)
            .is_none_or(|value| value.as_str().is_some_and(str::is_empty));
        if blank {
            return Err(Refusal::validation(name, "The field cannot be left blank"));
        }
    }
    Ok(())
}

fn check_value(name: &str, definition: &Value, value: &Value) -> Result<(), Refusal> {
    let kind = definition
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("string");
    let fits = match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        _ => value.is_object(),
    };
    if !fits {
        return Err(Refusal::validation(
            name,
            "The value does not have the type of its schema.",
        ));
    }
    let Some(text) = value.as_str() else {
        return Ok(());
    };
    if text.chars().any(|letter| u32::from(letter) > 0xffff) {
        return Err(Refusal::validation(
            name,
            "Characters of more than three bytes are not supported.",
        ));
    }
    let length = text.chars().count() as u64;
    let bound = |key: &str| definition.get(key).and_then(Value::as_u64);
    if bound("minLength").is_some_and(|min| length < min)
        || bound("maxLength").is_some_and(|max| length > max)
    {
        return Err(Refusal::validation(
            name,
            "The value's length is out of bounds.",
        ));
    }
    let allowed = definition.get("enum").and_then(Value::as_array);
    if allowed.is_some_and(|allowed| !allowed.contains(value)) {
        return Err(Refusal::validation(
            name,
            "The value is not one of the enumeration.",
        ));
    }
    Ok(())
}

fn undefined(name: &str) -> Refusal {
    Refusal {
        status: 400,
        code: "E0000001",
        summary: format!("Api validation failed: {name}"),
        causes: vec![format!("Property name '{name}' is not defined in profile")],
    }
}

impl Core {
    /// Every user schema, by the last segment of its URL.
    pub(crate) fn dump_user_schemas(&self, base: &str) -> BTreeMap<String, Value> {
        self.schemas
            .users
            .keys()
            .map(|n| {
                (
                    self.ids.text("osc", u64::from(*n)),
                    self.user_schema_value(*n, base),
                )
            })
            .collect()
    }

    /// The group schema.
    pub(crate) fn dump_group_schema(&self, base: &str) -> BTreeMap<String, Value> {
        BTreeMap::from([("default".to_owned(), self.group_schema_value(base))])
    }

    /// Every app's schema, by the app's id (the last segment of its URL is always `default`).
    pub(crate) fn dump_app_schemas(&self, base: &str) -> BTreeMap<String, Value> {
        self.schemas
            .apps
            .keys()
            .map(|n| (self.app_id(*n), self.app_schema_value(*n, base)))
            .collect()
    }

    fn user_schema_value(&self, n: u32, base: &str) -> Value {
        let Some(schema) = self.schemas.users.get(&n) else {
            return Value::Null;
        };
        let id = self.ids.text("osc", u64::from(n));
        let name = self.types.name(n);
        let mut value = schema_value(
            schema,
            &format!("{base}/meta/schemas/user/{id}"),
            &name,
            "User",
        );
        add_self(&mut value, &format!("{base}/api/v1/meta/schemas/user/{id}"));
        if let Some(links) = value.get_mut("_links").and_then(Value::as_object_mut) {
            let kind = format!(
                "{base}/api/v1/meta/types/user/{}",
                self.ids.text("oty", u64::from(n))
            );
            links.insert(
                "type".to_owned(),
                json!({"rel": "type", "href": kind, "method": "GET"}),
            );
        }
        value
    }

    fn group_schema_value(&self, base: &str) -> Value {
        let address = format!("{base}/meta/schemas/group/default");
        let mut value = schema_value(&self.schemas.group, &address, "group", "Okta group");
        add_self(
            &mut value,
            &format!("{base}/api/v1/meta/schemas/group/default"),
        );
        value
    }

    fn app_schema_value(&self, n: u32, base: &str) -> Value {
        let (Some(schema), Some(app)) = (self.schemas.apps.get(&n), self.apps.get(n)) else {
            return Value::Null;
        };
        let mut whole = schema.clone();
        let own = whole.base.clone();
        whole.base.insert("userName".to_owned(), json!({"title": "Username", "type": "string", "required": true, "scope": "NONE", "maxLength": 100}));
        let mut required = vec!["userName".to_owned()];
        if app.sign_on_mode() == "OPENID_CONNECT" {
            for name in OIDC_BASE {
                whole.base.insert((*name).to_owned(), app_property(name));
            }
            if own.get("name").and_then(|name| name.get("required")) != Some(&Value::Bool(false)) {
                required.push("name".to_owned());
            }
        }
        whole.base.extend(own);
        whole.base_required = required;
        let id = self.app_id(n);
        let address = format!("{base}/meta/schemas/apps/{id}/default");
        let mut value = schema_value(
            &whole,
            &address,
            &app.name,
            &format!("{} User", app.label()),
        );
        add_self(
            &mut value,
            &format!("{base}/api/v1/meta/schemas/apps/{id}/default"),
        );
        value
    }
}

fn schema_value(schema: &Schema, id: &str, name: &str, title: &str) -> Value {
    let required: Vec<&String> = schema
        .custom
        .iter()
        .filter(|(_, definition)| definition.get("required") == Some(&Value::Bool(true)))
        .map(|(name, _)| name)
        .collect();
    json!({
        "id": id,
        "$schema": "http://json-schema.org/draft-04/schema#",
        "name": name,
        "title": title,
        "description": format!("{title} profile template"),
        "created": time_text(schema.created),
        "lastUpdated": time_text(schema.last_updated),
        "definitions": {
            "custom": {"id": "#custom", "type": "object", "properties": schema.custom, "required": required},
            "base": {"id": "#base", "type": "object", "properties": schema.base, "required": schema.base_required},
        },
        "type": "object",
        "properties": {"profile": {"allOf": [{"$ref": "#/definitions/custom"}, {"$ref": "#/definitions/base"}]}},
    })
}

fn add_self(value: &mut Value, address: &str) {
    if let Some(map) = value.as_object_mut() {
        map.insert(
            "_links".to_owned(),
            json!({"self": {"rel": "self", "href": address, "method": "GET"}}),
        );
    }
}
