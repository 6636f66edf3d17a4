//! Which resource answers which path.

use crate::{
    apps, assignments,
    config::ConfigStore,
    groups, linked, log, mappings,
    org::Core,
    response::{Outcome, Response, no_such_method, no_such_path},
    rules, schemas, settings, user_types, users,
    wire::{Refusal, Request},
};

/// Answers a permitted request.
pub(crate) fn route(core: &mut Core, config: &mut ConfigStore, request: &Request) -> Outcome {
    let path = request.path();
    match path.as_slice() {
        ["api", "v1", "users", rest @ ..] => users::route(core, request, rest),
        ["api", "v1", "groups", "rules", rest @ ..] => rules::route(core, request, rest),
        ["api", "v1", "groups", rest @ ..] => groups::route(core, request, rest),
        ["api", "v1", "apps", id, "policies", policy] => {
            link_policy(core, config, request, id, policy)
        }
        ["api", "v1", "apps", rest @ ..] => assignments::route(core, request, rest),
        ["api", "v1", "logs"] => match request.method.as_str() {
            "GET" => log::list(core, request),
            _ => Err(no_such_method()),
        },
        ["api", "v1", "meta", "types", "user", rest @ ..] => user_types::route(core, request, rest),
        [
            "api",
            "v1",
            "meta",
            "schemas",
            "user",
            "linkedObjects",
            rest @ ..,
        ] => linked::route(core, request, rest),
        ["api", "v1", "meta", "schemas", rest @ ..] => schemas::route(core, request, rest),
        ["api", "v1", "mappings", rest @ ..] => mappings::route(core, request, rest),
        ["api", "v1", "org"] => settings::route(core, request),
        _ => configure(core, config, request),
    }
}

/// Lets the configuration answer, and the core follow what came to be or went there.
fn configure(core: &mut Core, config: &mut ConfigStore, request: &Request) -> Outcome {
    let answer = config.handle(core, request).ok_or_else(no_such_path)?;
    for change in config.take_changes() {
        match (change.object_type, change.created) {
            ("idp", true) => core.mappings_for_idp(&change.id),
            ("idp", false) => core.mappings_without_idp(&change.id),
            ("policy_access", false) => core.policy_gone(&change.id),
            _ => {}
        }
    }
    answer.map(Response::from)
}

fn link_policy(
    core: &mut Core,
    config: &ConfigStore,
    request: &Request,
    id: &str,
    policy: &str,
) -> Outcome {
    let n = core
        .find_app(id)
        .ok_or_else(|| Refusal::not_found(id, "AppInstance"))?;
    if request.method != http::Method::PUT {
        return Err(no_such_method());
    }
    let kinds = [
        "policy_access",
        "policy_profile_enrollment",
        "policy_okta_sign_on",
        "policy_password",
        "policy_mfa_enroll",
        "policy_idp_discovery",
    ];
    let kind = kinds.into_iter().find(|kind| config.exists(kind, policy));
    match kind {
        Some(kind) => apps::link_policy(core, n, policy, kind),
        None => Err(Refusal::not_found(policy, "Policy")),
    }
}
