//! From a request to its answer: find the route, ask who calls, carry it out, note it.
//!
//! Callers without a role learn nothing but that, whatever they send.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{ConnectInfo, Query, RawPathParams, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use futures_util::StreamExt;
use http::{Uri, header};
use zeroize::Zeroizing;

use crate::app::App;
use crate::call::{Answer, Call, forbidden};
use crate::handlers::events;
use crate::problem::Problem;
use crate::roles::Role::Viewer;
use crate::roles::{Role, SystemNames, identify};
use crate::routes::{Method, ROUTES, Route};
use crate::socket::PeerInfo;
use crate::state::audit::{Entry, Peer};

/// The largest request body, in bytes: credentials and selections are small.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How much of a body that is too large is read before the connection is given up, in bytes.
const BODY_BYTES_DRAINED_MAX: usize = 64 * BODY_BYTES_MAX;

/// The router of the whole table.
pub(crate) fn router(app: Arc<App>) -> Router {
    let mut by_path: BTreeMap<&'static str, Vec<&'static Route>> = BTreeMap::new();
    for route in ROUTES {
        by_path.entry(route.path).or_default().push(route);
    }
    let mut router = Router::new();
    for (path, routes) in by_path {
        let mut methods: MethodRouter<Arc<App>> = MethodRouter::new();
        for route in routes {
            let filter = match route.method {
                Method::Get => MethodFilter::GET,
                Method::Post => MethodFilter::POST,
                Method::Put => MethodFilter::PUT,
                Method::Patch => MethodFilter::PATCH,
                Method::Delete => MethodFilter::DELETE,
            };
            let handler =
                move |State(app): State<Arc<App>>,
                      ConnectInfo(peer): ConnectInfo<PeerInfo>,
                      params: Result<RawPathParams, RawPathParamsRejection>,
                      request: Request| serve(app, route, peer, params, request);
            methods = methods.merge(on(filter, handler));
        }
        router = router.route(path, methods.fallback(no_such_method));
    }
    router.fallback(no_such_path).with_state(app)
}

async fn no_such_path(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<PeerInfo>,
    uri: Uri,
) -> Response {
    let problem = Problem::not_found(format_args!("path {}", uri.path()));
    nothing_there(app, peer, problem).await
}

async fn no_such_method(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<PeerInfo>,
) -> Response {
    nothing_there(
        app,
        peer,
        Problem::new(
            "method_not_allowed",
            "See /v1/openapi.json for what there is.",
        ),
    )
    .await
}

/// Callers without a role learn nothing, not even what is not there.
async fn nothing_there(app: Arc<App>, peer: PeerInfo, problem: Problem) -> Response {
    let answer = tokio::task::spawn_blocking(move || match role_of(&app, &peer) {
        Some(_) => problem,
        None => refuse(&app, &peer, "unknown", None, forbidden(None, Viewer)),
    });
    answer.await.map_or_else(
        |_| Problem::new("internal", "").into_response(),
        IntoResponse::into_response,
    )
}

/// Reads the request, carries it out on a thread that may block, and writes the answer.
async fn serve(
    app: Arc<App>,
    route: &'static Route,
    peer: PeerInfo,
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response {
    let call = call_of(params, request).await;
    let (last_event_id, for_events) = (call.last_event_id, Arc::clone(&app));
    let work = move || carry_out(&app, route, &peer, call);
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(Answer::Events(job))) => events::response(for_events, job, last_event_id),
        Ok(Ok(answer)) => answer.into_http(),
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => Problem::new("internal", "The request failed; the daemon's log says why.")
            .into_response(),
    }
}

/// Reads what a handler needs of the request. What cannot be read is its flaw, told once the caller's role is known.
async fn call_of(params: Result<RawPathParams, RawPathParamsRejection>, request: Request) -> Call {
    let mut call = Call::new(Viewer);
    let (parts, body) = request.into_parts();
    match params {
        Ok(params) => {
            let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
            call.params = params.iter().map(owned).collect();
        }
        Err(_) => call.flaw = Some(Problem::new("bad_request", "The path cannot be read.")),
    }
    match Query::<Vec<(String, String)>>::try_from_uri(&parts.uri) {
        Ok(query) => call.query = query.0,
        Err(_) => call.flaw = Some(Problem::new("bad_request", "The query cannot be read.")),
    }
    let text = |name: &str| parts.headers.get(name)?.to_str().ok();
    call.ndjson =
        text(header::ACCEPT.as_str()).is_some_and(|accept| accept.contains("application/x-ndjson"));
    call.last_event_id = text("last-event-id").and_then(|id| id.parse().ok());
    match read_body(body).await {
        Ok(body) => call.body = body,
        Err(problem) => call.flaw = Some(problem),
    }
    call
}

/// Reads the body into one place that is wiped. One that is too large is read to its end all the same, within reason, or
/// the caller would find a broken connection instead of the answer.
async fn read_body(body: Body) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let unreadable = |_| Problem::new("bad_request", "The body cannot be read.");
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(0);
    let mut whole = Zeroizing::new(Vec::with_capacity(expected.min(BODY_BYTES_MAX)));
    let mut pieces = body.into_data_stream();
    let mut length = 0;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(unreadable)?;
        length += piece.len();
        if length > BODY_BYTES_DRAINED_MAX {
            break;
        }
        if length <= BODY_BYTES_MAX {
            whole.extend_from_slice(&piece);
        }
    }
    if length > BODY_BYTES_MAX {
        return Err(Problem::new("too_large", "Send at most 1 MiB."));
    }
    Ok(whole)
}

/// Checks the role, the query and the body, calls the handler, and notes what is to be noted.
fn carry_out(
    app: &Arc<App>,
    route: &Route,
    peer: &PeerInfo,
    mut call: Call,
) -> Result<Answer, Problem> {
    metrics::counter!("orgkeep_requests_total", "action" => route.action).increment(1);
    let role = role_of(app, peer);
    let Some(role) = role.filter(|role| *role >= route.role) else {
        return Err(refuse(
            app,
            peer,
            route.action,
            call.target(),
            forbidden(role, route.role),
        ));
    };
    call.role = role;
    if let Some(flaw) = call.flaw.take() {
        return Err(flaw);
    }
    if let Some((unknown, _)) = call
        .query
        .iter()
        .find(|(key, _)| !route.query.contains(&key.as_str()))
    {
        return Err(Problem::invalid(format!(
            "The query parameter `{unknown}` is not known here."
        )));
    }
    let answer = (route.handler)(app, &call);
    if let Err(problem) = &answer
        && problem.code() == "forbidden"
    {
        let problem = problem.clone();
        return Err(refuse(app, peer, route.action, call.target(), problem));
    }
    if route.audited {
        let outcome = answer
            .as_ref()
            .map_or_else(|problem| problem.code(), |_| "ok");
        let entry = entry(peer.peer(), route.action, call.target(), outcome);
        match route.method {
            Method::Get => app.audit_read(&entry)?,
            _ => app.audit(&entry)?,
        }
    }
    answer
}

fn role_of(app: &App, peer: &PeerInfo) -> Option<Role> {
    let who = peer.peer();
    app.roles.role_of_owner(who.uid).or_else(|| {
        let identity = identify(who.uid, who.gid, who.pid);
        app.roles.role_of(&identity, &SystemNames)
    })
}

/// Notes the refusal, then gives it. Where it cannot be noted it is refused all the same.
fn refuse(
    app: &App,
    peer: &PeerInfo,
    action: &str,
    target: Option<String>,
    problem: Problem,
) -> Problem {
    tracing::warn!(uid = peer.peer().uid, action, "A caller was refused");
    metrics::counter!("orgkeep_requests_refused_total").increment(1);
    let peer = peer.peer();
    app.note_refusal(peer, &entry(peer, action, target, problem.code()));
    problem
}

fn entry(peer: Peer, action: &str, target: Option<String>, outcome: &str) -> Entry {
    Entry {
        peer: Some(peer),
        action: action.to_owned(),
        target,
        outcome: outcome.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::app;
    use crate::handlers::store;
    use crate::roles::Role::ProductAdmin;

    fn ask(
        app: &Arc<App>,
        uid: u32,
        method: Method,
        path: &str,
        call: Call,
    ) -> Result<Answer, Problem> {
        let route = ROUTES
            .iter()
            .find(|route| route.method == method && route.path == path)
            .unwrap();
        let peer = PeerInfo::of(Peer {
            uid,
            gid: 65_000,
            pid: None,
        });
        carry_out(app, route, &peer, call)
    }

    #[test]
    fn refusals_are_audited_and_unknown_parameters_refused() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(directory.path());
        let mut flawed = Call::new(Viewer);
        flawed.flaw = Some(Problem::new("bad_request", ""));
        let stranger = ask(&app, 4243, Method::Get, "/v1/status", flawed).unwrap_err();
        assert_eq!(stranger.code(), "forbidden");
        let call = || Call::new(Viewer);
        ask(&app, 4242, Method::Get, "/v1/status", call()).unwrap();
        let viewer = ask(&app, 4242, Method::Post, "/v1/store/reindex", call()).unwrap_err();
        assert_eq!(viewer.code(), "forbidden");
        let rows = app.state().unwrap().audit_rows(0, 9).unwrap();
        let noted: Vec<_> = rows
            .iter()
            .map(|row| (row.uid, row.action.as_str(), row.outcome.as_str()))
            .collect();
        let expected = [
            (Some(4243), "status", "forbidden"),
            (Some(4242), "store.reindex", "forbidden"),
        ];
        assert_eq!(noted, expected);
        let mut call = call();
        call.query = vec![("colour".to_owned(), "red".to_owned())];
        let unknown = ask(&app, 0, Method::Get, "/v1/jobs", call).unwrap_err();
        assert_eq!(unknown.code(), "invalid_value");
    }

    #[test]
    fn a_check_of_all_data_needs_more_than_a_check() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(directory.path());
        let mut call = Call::new(ProductAdmin);
        call.body = Zeroizing::new(b"{\"read_data\":true}".to_vec());
        assert_eq!(store::check(&app, &call).unwrap_err().code(), "forbidden");
    }
}
