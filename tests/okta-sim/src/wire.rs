//! Requests and answers as the simulated org's resources see them, free of HTTP.

use std::collections::BTreeMap;

use http::Method;
use serde_json::Value;

/// One authorised request, parsed.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The decoded path segments, without empty ones: `["api", "v1", "zones", "nzo…"]`.
    pub segments: Vec<String>,
    /// The decoded query, in order.
    pub query: Vec<(String, String)>,
    /// The JSON body; `None` where there was none.
    pub body: Option<Value>,
    /// `https://host` as the caller addressed it, for links in answers.
    pub base_url: String,
    /// Who asks: the client's or the token's id.
    pub caller: String,
}

impl Request {
    /// The first value of a query parameter.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The path segments as string slices, for matching: `["api", "v1", "zones", id]`.
    #[must_use]
    pub fn path(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }
}

/// A successful answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body; `None` sends none.
    pub body: Option<Value>,
    /// For lists: the page, from which the server makes `Link` headers.
    pub page: Option<PageLinks>,
    /// Further headers.
    pub headers: BTreeMap<String, String>,
}

impl Reply {
    /// An answer with a JSON body.
    #[must_use]
    pub fn json(status: u16, body: Value) -> Self {
        Self {
            status,
            body: Some(body),
            page: None,
            headers: BTreeMap::new(),
        }
    }

    /// An answer without a body.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            body: None,
            page: None,
            headers: BTreeMap::new(),
        }
    }
}

/// What the `Link` headers of a list answer say.
#[derive(Debug, Clone, Default)]
pub struct PageLinks {
    /// Path and query of this page, if a `self` link is given.
    pub this: Option<String>,
    /// Path and query of the next page; `None` ends the list.
    pub next: Option<String>,
    /// Write the links with the `-admin` host, as some endpoints do.
    pub admin_host: bool,
}

/// An answer that refuses: Okta's error body.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// `E0000007`.
    pub code: &'static str,
    /// The summary for people.
    pub summary: String,
    /// The causes' summaries.
    pub causes: Vec<String>,
}

impl Refusal {
    /// 400 `E0000001` for `field`, with one cause.
    #[must_use]
    pub fn validation(field: &str, cause: &str) -> Self {
        Self {
            status: 400,
            code: "E0000001",
            summary: format!("Api validation failed: {field}"),
            causes: vec![format!("{field}: {cause}")],
        }
    }

    /// 404 `E0000007`: there is no such object.
    #[must_use]
    pub fn not_found(id: &str, kind: &str) -> Self {
        Self {
            status: 404,
            code: "E0000007",
            summary: format!("Not found: Resource not found: {id} ({kind})"),
            causes: Vec::new(),
        }
    }
}

/// What a resource answers.
pub type Answer = Result<Reply, Refusal>;

/// One event of the System Log, to be delivered after the log's delay.
#[derive(Debug, Clone)]
pub struct LogEvent {
    /// `group.lifecycle.create`.
    pub event_type: String,
    /// The targets, in order.
    pub targets: Vec<LogTarget>,
}

/// One target of an event.
#[derive(Debug, Clone)]
pub struct LogTarget {
    /// The object's id.
    pub id: String,
    /// `User`, `UserGroup`, `AppInstance`, `PolicyEntity` …
    pub kind: String,
    /// The login, or the like.
    pub alternate_id: String,
    /// The name for people.
    pub display_name: String,
}

/// What a resource may see and change of the rest of the org.
pub trait World {
    /// The org's clock, as Okta writes it: `2026-01-31T12:00:00.000Z`.
    fn now(&self) -> String;
    /// A fresh id: the prefix (`00g`, `nzo`, `rst` …) and letters, 20 characters in all, never used again.
    fn new_id(&mut self, prefix: &str) -> String;
    /// The org's own id.
    fn org_id(&self) -> String;
    /// Adds an event to the System Log, with the request's caller as its actor.
    fn emit(&mut self, event: LogEvent);
    /// Whether an object of this catalogue type (`user`, `group`, `app` …) exists now.
    fn exists(&self, object_type: &str, id: &str) -> bool;
}
