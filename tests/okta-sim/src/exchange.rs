//! From a request as it arrives to the answer as it leaves: faults, authentication, limits, scopes,
//! the resources, the log of requests.

use http::Method;
use serde_json::{Value, json};

use crate::{
    clock::http_date,
    config::{ConfigStore, admin_url},
    faults::{Change, FaultAction, Faults},
    limits::{Limits, Standing, bucket},
    log::Actor,
    org::Core,
    requests::{Auth, LoggedRequest},
    response::{Response, error_body, forbidden, no_such_path, refusal},
    router, scopes,
    tokens::{Authority, Caller, Proof, TokenRequest},
    users::IF_MATCH,
    wire::{Refusal, Request},
};

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrival {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) base_url: String,
    pub(crate) authorization: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) if_match: Option<String>,
    pub(crate) dpop: bool,
    /// Whether the length of the body was announced in any way.
    pub(crate) sized: bool,
    pub(crate) body: Vec<u8>,
}

/// An answer as it leaves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Departure {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<String>,
    pub(crate) delivery: Delivery,
}

/// How an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Delivery {
    #[default]
    Whole,
    Reset,
    Truncated,
    Slow(u64),
}

/// The org with everything around it.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) core: Core,
    pub(crate) config: ConfigStore,
    pub(crate) authority: Authority,
    pub(crate) limits: Limits,
    pub(crate) faults: Faults,
    pub(crate) requests: Vec<LoggedRequest>,
    /// Beginnings of paths whose feature the org lacks.
    pub(crate) disabled: Vec<String>,
    /// The address under which the org listens.
    pub(crate) base_url: String,
    pub(crate) answered: u64,
}

impl Exchange {
    /// Answers a request from outside.
    pub(crate) fn handle(&mut self, arrival: &Arrival) -> Departure {
        self.answered += 1;
        let actions = self.faults.on(
            self.core.seed,
            arrival.method.as_str(),
            &arrival.path,
            &arrival.query,
        );
        let (mut delivery, mut moved) = (Delivery::Whole, 0);
        for action in &actions {
            match action {
                FaultAction::Status { .. }
                | FaultAction::ResetBefore
                | FaultAction::RateLimit { .. }
                | FaultAction::Concurrency => {
                    let departure = self.refuse_by_fault(action);
                    self.note(arrival, departure.status, Auth::None);
                    return departure;
                }
                FaultAction::ResetAfter => delivery = Delivery::Reset,
                FaultAction::Truncate => delivery = Delivery::Truncated,
                FaultAction::Slow { ms } => delivery = Delivery::Slow(*ms),
                FaultAction::MoveObjects { count } => moved = *count,
                FaultAction::RevokeTokens => self.authority.revoke_tokens(false),
                FaultAction::ExpireCursors => {
                    self.core.cursors.dead_before = self.core.clock.now() + 1;
                    self.config.expire_cursors();
                }
                FaultAction::RevokeScope { scope } => self.revoke(scope),
                FaultAction::RotateSecret => self.rotate_secrets(),
                FaultAction::Change { requests } => {
                    for change in requests {
                        self.change(change);
                    }
                }
            }
        }
        let (departure, auth) = self.answer(arrival);
        if moved > 0 {
            self.move_objects(&arrival.path, moved);
        }
        self.note(arrival, departure.status, auth);
        Departure {
            delivery,
            ..departure
        }
    }

    fn note(&mut self, arrival: &Arrival, status: u16, auth: Auth) {
        self.requests.push(LoggedRequest {
            method: arrival.method.to_string(),
            path: arrival.path.clone(),
            query: arrival.query.clone(),
            status,
            body: logged_body(arrival),
            auth,
        });
    }

    fn refuse_by_fault(&mut self, action: &FaultAction) -> Departure {
        let second = self.core.clock.now().div_euclid(1000);
        match action {
            FaultAction::Status { status, body } => {
                let refused = refusal(*status, "E0000009", "Internal Server Error");
                let departure = self.refused(&refused);
                if *body {
                    departure
                } else {
                    Departure {
                        body: None,
                        ..departure
                    }
                }
            }
            FaultAction::RateLimit { seconds } => self.limited(Standing {
                limit: 50,
                remaining: 0,
                reset: second + seconds,
                exceeded: true,
            }),
            FaultAction::Concurrency => self.concurrency_exceeded(),
            _ => Departure {
                delivery: Delivery::Reset,
                ..Departure::default()
            },
        }
    }

    /// The 429 of the concurrency limit: all zeros, and a reset that is only an estimate.
    pub(crate) fn concurrency_exceeded(&mut self) -> Departure {
        let reset = self.core.clock.now().div_euclid(1000) + 1;
        self.limited(Standing {
            limit: 0,
            remaining: 0,
            reset,
            exceeded: true,
        })
    }

    fn answer(&mut self, arrival: &Arrival) -> (Departure, Auth) {
        let path: Vec<&str> = arrival
            .path
            .split('/')
            .filter(|part| !part.is_empty())
            .collect();
        if path.as_slice() == [".well-known", "okta-organization"] {
            let body = self.organization(&arrival.base_url);
            return (
                self.dressed(Response::json(200, &body), arrival),
                Auth::None,
            );
        }
        if path.as_slice() == ["oauth2", "v1", "token"] && arrival.method == Method::POST {
            return (self.token(arrival), Auth::Client);
        }
        let api = matches!(
            path.as_slice(),
            ["api", "v1", ..] | ["oauth2", "v1", "clients", ..]
        );
        if !api {
            return (edge_not_found(), Auth::None);
        }
        let now = self.core.clock.now();
        let Some(header) = arrival.authorization.as_deref() else {
            return (
                self.refused(&refusal(403, "E0000005", "Invalid session")),
                Auth::None,
            );
        };
        let Some(caller) = self.authority.caller(header, now) else {
            let refused = refusal(401, "E0000011", "Invalid token provided");
            return (self.refused(&refused), Auth::Invalid);
        };
        let auth = if caller.auth == "ssws" {
            Auth::ApiToken
        } else {
            Auth::AccessToken
        };
        let bucket = bucket(arrival.method.as_str(), &path);
        let standing = self.limits.count(&caller.actor.id, bucket, now);
        if let Some(standing) = standing.filter(|standing| standing.exceeded) {
            let subject = crate::log::target("Bucket", bucket.name, bucket.name);
            self.core
                .emit_event("system.org.rate_limit.violation", vec![subject]);
            return (self.limited(standing), auth);
        }
        let outcome = parsed(arrival, &caller.actor.id)
            .and_then(|request| self.permitted(&request, &caller).map(|()| request))
            .and_then(|request| {
                self.core.actor = caller.actor.clone();
                self.core.request_uri = request_uri(arrival);
                router::route(&mut self.core, &mut self.config, &request)
            });
        let mut departure = match outcome {
            Ok(response) => self.dressed(response, arrival),
            Err(refused) => self.refused(&refused),
        };
        if let Some(standing) = standing {
            push_standing(&mut departure, standing);
        }
        (departure, auth)
    }

    /// Whether the caller may do this; a feature the org lacks is refused as such.
    fn permitted(&mut self, request: &Request, caller: &Caller) -> Result<(), Refusal> {
        let path = format!("/{}", request.segments.join("/"));
        if self
            .disabled
            .iter()
            .any(|prefix| path.starts_with(prefix.as_str()))
        {
            return Err(refusal(
                401,
                "E0000015",
                "You do not have permission to access the feature you are requesting",
            ));
        }
        let needed = scopes::required(request)
            .or_else(|| ConfigStore::required_scopes(request).map(str::to_owned))
            .ok_or_else(no_such_path)?;
        let Some(granted) = &caller.scopes else {
            return Ok(());
        };
        if !scopes::covers(granted, &needed) {
            return Err(refusal(403, INSUFFICIENT_SCOPE, &needed));
        }
        if caller.has_role {
            Ok(())
        } else {
            Err(forbidden())
        }
    }

    /// Answers a request with an admin's rights: no token, no limits, no faults, not logged.
    pub(crate) fn administer(
        &mut self,
        method: &Method,
        path_and_query: &str,
        body: Option<Value>,
    ) -> Departure {
        let (path, query) = path_and_query
            .split_once('?')
            .unwrap_or((path_and_query, ""));
        let arrival = Arrival {
            method: method.clone(),
            path: path.to_owned(),
            query: query.to_owned(),
            base_url: self.base_url.clone(),
            content_type: Some("application/json".to_owned()),
            sized: true,
            body: body
                .map(|body| body.to_string().into_bytes())
                .unwrap_or_default(),
            ..Arrival::default()
        };
        self.core.actor = Actor {
            id: self.core.user_id(0),
            kind: "User",
            name: "Administrator".to_owned(),
        };
        self.core.request_uri = request_uri(&arrival);
        let actor = self.core.actor.id.clone();
        let outcome = parsed(&arrival, &actor)
            .and_then(|request| router::route(&mut self.core, &mut self.config, &request));
        match outcome {
            Ok(response) => self.dressed(response, &arrival),
            Err(refused) => self.refused(&refused),
        }
    }

    fn change(&mut self, change: &Change) {
        if let Ok(method) = Method::from_bytes(change.method.as_bytes()) {
            self.administer(&method, &change.path, change.body.clone());
        }
    }

    fn token(&mut self, arrival: &Arrival) -> Departure {
        let now = self.core.clock.now();
        let bucket = bucket("POST", &["oauth2", "v1", "token"]);
        let standing = self.limits.count("token endpoint", bucket, now);
        if let Some(standing) = standing.filter(|standing| standing.exceeded) {
            return self.limited(standing);
        }
        let url = format!("{}{}", arrival.base_url, arrival.path);
        let outcome = self.authority.token(&TokenRequest {
            authorization: arrival.authorization.as_deref(),
            content_type: arrival.content_type.as_deref(),
            query: Some(arrival.query.as_str()),
            body: &arrival.body,
            url: &url,
            dpop: arrival.dpop,
            now,
        });
        let (status, body) = match outcome {
            Ok(body) => (200, body),
            Err(error) => (error.status, error.body()),
        };
        let mut departure = self.dressed(Response::json(status, &body), arrival);
        if let Some(standing) = standing {
            push_standing(&mut departure, standing);
        }
        departure
    }

    fn organization(&self, base: &str) -> Value {
        json!({
            "id": self.core.org_id_text(), "cell": "sim1", "pipeline": "idx",
            "_links": {"organization": {"href": base}},
            "settings": {"analyticsCollectionEnabled": false, "bugReportingEnabled": true, "omEnabled": false},
        })
    }

    fn dressed(&mut self, response: Response, arrival: &Arrival) -> Departure {
        let mut headers = self.headers();
        let host = if response.admin_host {
            admin_url(&arrival.base_url)
        } else {
            arrival.base_url.clone()
        };
        for (rel, link) in [("self", &response.page.this), ("next", &response.page.next)] {
            if let Some(link) = link {
                headers.push(("link".to_owned(), format!("<{host}{link}>; rel=\"{rel}\"")));
            }
        }
        headers.extend(response.headers);
        if response.body.is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        Departure {
            status: response.status,
            headers,
            body: response.body,
            delivery: Delivery::Whole,
        }
    }

    fn refused(&mut self, refused: &Refusal) -> Departure {
        let mut headers = self.headers();
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
        let error_id = self.core.ids.text("oae", self.answered);
        if refused.code == INSUFFICIENT_SCOPE {
            let challenge = format!(
                "Bearer authorization_uri=\"{}/oauth2/v1/authorize\", realm=\"{}\", scope=\"{}\", error=\"insufficient_scope\", error_description=\"The access token provided does not contain the required scopes.\", resource=\"/api/v1\"",
                self.base_url, self.base_url, refused.summary
            );
            headers.push(("www-authenticate".to_owned(), challenge));
            let body = error_body(&forbidden(), &error_id);
            return Departure {
                status: 403,
                headers,
                body: Some(body.to_string()),
                ..Departure::default()
            };
        }
        let body = error_body(refused, &error_id).to_string();
        Departure {
            status: refused.status,
            headers,
            body: Some(body),
            ..Departure::default()
        }
    }

    fn limited(&mut self, standing: Standing) -> Departure {
        let refused = refusal(
            429,
            "E0000047",
            "API call exceeded rate limit due to too many requests.",
        );
        let mut departure = self.refused(&refused);
        push_standing(&mut departure, standing);
        departure
    }

    fn headers(&self) -> Vec<(String, String)> {
        vec![
            ("date".to_owned(), http_date(self.core.clock.now())),
            (
                "x-okta-request-id".to_owned(),
                self.core.ids.text("req", self.answered),
            ),
        ]
    }

    /// Takes a scope back from every client.
    pub(crate) fn revoke(&mut self, scope: &str) {
        for client in self.authority.clients.values_mut() {
            client.granted.remove(scope);
        }
    }

    /// Gives every client with a secret a new one, and takes the keys from the others.
    pub(crate) fn rotate_secrets(&mut self) {
        let fresh = self.authority.secret("client secret");
        for client in self.authority.clients.values_mut() {
            match &mut client.proof {
                Proof::Secret(secret) => secret.clone_from(&fresh),
                Proof::Keys(keys) => keys.clear(),
            }
        }
        self.authority.revoke_tokens(false);
    }

    /// Lets the first `count` objects of a list change places with its last ones: a pager that has
    /// seen the first page meets those again at the end, and never the others.
    fn move_objects(&mut self, path: &str, count: usize) {
        let order = match path {
            "/api/v1/users" => &mut self.core.users.order,
            "/api/v1/groups" => &mut self.core.groups.order,
            "/api/v1/apps" => &mut self.core.apps.order,
            _ => return,
        };
        let len = order.len();
        for at in 0..count.min(len / 2) {
            order.swap(at, len - 1 - at);
        }
    }
}

/// The code by which a refusal for want of a scope is known inside; callers see `E0000006`.
const INSUFFICIENT_SCOPE: &str = "insufficient_scope";

fn push_standing(departure: &mut Departure, standing: Standing) {
    for (name, value) in [
        ("x-rate-limit-limit", standing.limit.to_string()),
        ("x-rate-limit-remaining", standing.remaining.to_string()),
        ("x-rate-limit-reset", standing.reset.to_string()),
    ] {
        departure.headers.push((name.to_owned(), value));
    }
}

/// What the edge answers for a path that no service owns: no `errorCode`, no request id.
fn edge_not_found() -> Departure {
    Departure {
        status: 404,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Some(json!({"status": 404, "message": "Resource not found"}).to_string()),
        delivery: Delivery::Whole,
    }
}

fn request_uri(arrival: &Arrival) -> String {
    arrival.path.clone()
}

fn parsed(arrival: &Arrival, caller: &str) -> Result<Request, Refusal> {
    let writes = arrival.method == Method::POST || arrival.method == Method::PUT;
    if writes && !arrival.sized {
        return Err(refusal(411, "E0000003", "A Content-Length is required."));
    }
    let decode = |part: &str| {
        percent_encoding::percent_decode_str(part)
            .decode_utf8()
            .map(|text| text.into_owned())
    };
    let segments = arrival
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(decode)
        .collect::<Result<Vec<String>, _>>()
        .map_err(|_| no_such_path())?;
    let mut query: Vec<(String, String)> = url::form_urlencoded::parse(arrival.query.as_bytes())
        .into_owned()
        .collect();
    if let Some(wanted) = &arrival.if_match {
        query.push((IF_MATCH.to_owned(), wanted.clone()));
    }
    let body = if arrival.body.is_empty() {
        None
    } else {
        if !arrival
            .content_type
            .as_deref()
            .is_some_and(|kind| kind.starts_with("application/json"))
        {
            return Err(refusal(
                400,
                "E0000019",
                "Bad request. Accept and/or Content-Type headers likely do not match supported values.",
            ));
        }
        Some(serde_json::from_slice(&arrival.body).map_err(|_| crate::response::bad_body())?)
    };
    Ok(Request {
        method: arrival.method.clone(),
        segments,
        query,
        body,
        base_url: arrival.base_url.clone(),
        caller: caller.to_owned(),
    })
}

/// The body as the request log keeps it: never a secret of the token endpoint.
fn logged_body(arrival: &Arrival) -> Option<Value> {
    if arrival.path == "/oauth2/v1/token" {
        let form = url::form_urlencoded::parse(&arrival.body);
        let shown = form.filter(|(key, _)| key == "scope" || key == "grant_type");
        return Some(Value::Object(
            shown
                .map(|(key, value)| (key.into_owned(), Value::String(value.into_owned())))
                .collect(),
        ));
    }
    serde_json::from_slice(&arrival.body).ok()
}
