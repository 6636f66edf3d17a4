//! Which OAuth scope a request needs.

use crate::wire::Request;

/// The resources that have a `.read` and a `.manage` scope, as the org grants them.
pub(crate) const RESOURCES: &[&str] = &[
    "users",
    "groups",
    "apps",
    "userTypes",
    "schemas",
    "linkedObjects",
    "profileMappings",
    "orgs",
    "networkZones",
    "trustedOrigins",
    "behaviors",
    "authenticators",
    "idps",
    "authorizationServers",
    "policies",
    "eventHooks",
    "inlineHooks",
    "roles",
];

/// Every scope the simulated org knows.
pub(crate) fn all() -> Vec<String> {
    let mut scopes: Vec<String> = RESOURCES
        .iter()
        .flat_map(|name| [format!("okta.{name}.read"), format!("okta.{name}.manage")])
        .collect();
    scopes.push("okta.logs.read".to_owned());
    scopes
}

/// The scope that a request to the core's own resources needs; `None` for a path that is not the core's.
pub(crate) fn required(request: &Request) -> Option<String> {
    let path = request.path();
    let resource = match path.as_slice() {
        ["api", "v1", "logs", ..] => return Some("okta.logs.read".to_owned()),
        ["api", "v1", "users", ..] => "users",
        ["api", "v1", "groups", ..] => "groups",
        ["api", "v1", "apps", ..] => "apps",
        ["api", "v1", "meta", "types", "user", ..] => "userTypes",
        ["api", "v1", "meta", "schemas", "user", "linkedObjects", ..] => "linkedObjects",
        ["api", "v1", "meta", "schemas", ..] => "schemas",
        ["api", "v1", "mappings", ..] => "profileMappings",
        ["api", "v1", "org"] => "orgs",
        _ => return None,
    };
    let right = if request.method == http::Method::GET {
        "read"
    } else {
        "manage"
    };
    Some(format!("okta.{resource}.{right}"))
}

/// Whether `granted` covers `needed`: `.manage` includes `.read`.
pub(crate) fn covers<'a>(granted: impl IntoIterator<Item = &'a String>, needed: &str) -> bool {
    let by_manage = needed
        .strip_suffix(".read")
        .map(|name| format!("{name}.manage"));
    granted
        .into_iter()
        .any(|scope| scope == needed || Some(scope) == by_manage.as_ref())
}
