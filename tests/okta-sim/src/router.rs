//! Which resource answers which path.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    apps, assignments, groups, linked, log, mappings,
    org::Core,
    response::{Outcome, Response, no_such_method, no_such_path},
    rules, schemas, settings, user_types, users,
    wire::{Refusal, Request},
};

/// The configuration resources beside the core.
#[derive(Debug, Default)]
pub(crate) struct Config;

impl Config {
    /// The scope a request to one of them needs.
    pub(crate) fn required_scope(&self, _request: &Request) -> Option<String> {
        None
    }

    /// Every object of one of their types.
    pub(crate) fn dump(&self, _object_type: &str) -> BTreeMap<String, Value> {
        BTreeMap::new()
    }
}

/// Answers a permitted request.
pub(crate) fn route(core: &mut Core, _config: &mut Config, request: &Request) -> Outcome {
    let path = request.path();
    match path.as_slice() {
        ["api", "v1", "users", rest @ ..] => users::route(core, request, rest),
        ["api", "v1", "groups", "rules", rest @ ..] => rules::route(core, request, rest),
        ["api", "v1", "groups", rest @ ..] => groups::route(core, request, rest),
        ["api", "v1", "apps", id, "policies", policy] => link_policy(core, request, id, policy),
        ["api", "v1", "apps", rest @ ..] => assignments::route(core, request, rest),
        ["api", "v1", "logs"] => match request.method.as_str() {
            "GET" => log::list(core, request),
            _ => Err(no_such_method()),
        },
        ["api", "v1", "meta", "types", "user", rest @ ..] => user_types::route(core, request, rest),
        ["api", "v1", "meta", "schemas", "user", "linkedObjects", rest @ ..] => {
            linked::route(core, request, rest)
        }
        ["api", "v1", "meta", "schemas", rest @ ..] => schemas::route(core, request, rest),
        ["api", "v1", "mappings", rest @ ..] => mappings::route(core, request, rest),
        ["api", "v1", "org"] => settings::route(core, request),
        _ => Err(no_such_path()),
    }
}

fn link_policy(core: &mut Core, request: &Request, id: &str, policy: &str) -> Outcome {
    let n = core.find_app(id).ok_or_else(|| Refusal::not_found(id, "AppInstance"))?;
    if request.method != http::Method::PUT {
        return Err(no_such_method());
    }
    let outcome: Result<Response, Refusal> = apps::link_policy(core, n, policy, "ACCESS_POLICY");
    outcome
}
