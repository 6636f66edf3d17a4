//! The paths under `/api/v1/users`.

use blake3::hash;
use http::Method;

use crate::{
    json::ArrayWriter,
    org::Core,
    response::{Outcome, Response, bad_body, no_such_method, no_such_path, refusal},
    users::{Links, lifecycle, query, write},
    wire::{Refusal, Request},
};

/// Answers `/api/v1/users` and what is below it; `path` starts after `users`.
pub(crate) fn route(core: &mut Core, request: &Request, path: &[&str]) -> Outcome {
    let method = request.method.as_str();
    match (method, path) {
        ("GET", []) => query::list(core, request),
        ("POST", []) => write::create(core, request),
        ("GET", [id]) => get(core, request, id),
        ("PUT" | "POST", [id]) => {
            let n = found(core, id)?;
            check_etag(core, request, n)?;
            if request.method == Method::PUT {
                write::replace(core, request, n)
            } else {
                write::update(core, request, n)
            }
        }
        ("DELETE", [id]) => {
            let n = found(core, id)?;
            lifecycle::delete(core, n);
            Ok(Response::empty(204))
        }
        ("GET", [id, "groups"]) => groups_of(core, request, id),
        ("POST", [id, "lifecycle", verb]) => {
            let n = found(core, id)?;
            lifecycle::act(core, request, n, verb)
        }
        ("POST", [id, "credentials", verb]) => {
            let n = found(core, id)?;
            lifecycle::credentials(core, request, n, verb)
        }
        (_, [] | [_] | [_, "groups"] | [_, "lifecycle", _]) => Err(no_such_method()),
        _ => Err(no_such_path()),
    }
}

fn found(core: &Core, id: &str) -> Result<u32, Refusal> {
    core.find_user_or_login(id)
        .ok_or_else(|| Refusal::not_found(id, "User"))
}

fn get(core: &Core, request: &Request, id: &str) -> Outcome {
    let n = found(core, id)?;
    let body = single(core, request, n)?;
    let etag = etag(&body);
    Ok(Response::text(200, body).header("etag", etag))
}

/// A user as by itself.
pub(crate) fn single(core: &Core, request: &Request, n: u32) -> Result<String, Refusal> {
    let user = core
        .users
        .get(n)
        .ok_or_else(|| Refusal::not_found(&core.user_id(n), "User"))?;
    let mut out = String::with_capacity(2600);
    core.push_user(&mut out, user, &request.base_url, Links::Single);
    Ok(out)
}

fn etag(body: &str) -> String {
    let digest = hash(body.as_bytes()).to_hex();
    format!("W/\"{}\"", digest.as_str().get(..32).unwrap_or_default())
}

/// `If-Match`, which the router passes as a query parameter that no caller can send.
fn check_etag(core: &Core, request: &Request, n: u32) -> Result<(), Refusal> {
    let Some(wanted) = request.param(IF_MATCH) else {
        return Ok(());
    };
    if !wanted.starts_with("W/\"") && !wanted.starts_with('"') {
        return Err(refusal(
            400,
            "E0000242",
            "The If-Match header is not a valid ETag.",
        ));
    }
    if etag(&single(core, request, n)?) == wanted {
        return Ok(());
    }
    Err(refusal(
        412,
        "E0000231",
        "The resource was modified since it was read.",
    ))
}

/// The name under which the `If-Match` header reaches the handlers.
pub(crate) const IF_MATCH: &str = "\u{1}if-match";

fn groups_of(core: &Core, request: &Request, id: &str) -> Outcome {
    let n = found(core, id)?;
    let mut array = ArrayWriter::with_room(4096);
    for (_, group) in core.groups.all().filter(|(_, group)| group.has(n)) {
        core.push_group(array.item(), group, &request.base_url, false);
    }
    Ok(Response::text(200, array.finish()))
}

/// The request's body, which must be an object.
pub(crate) fn body(
    request: &Request,
) -> Result<&serde_json::Map<String, serde_json::Value>, Refusal> {
    request
        .body
        .as_ref()
        .and_then(serde_json::Value::as_object)
        .ok_or_else(bad_body)
}
