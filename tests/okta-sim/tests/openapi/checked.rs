//! Calls over HTTP, each checked both ways.

use std::collections::BTreeSet;

use http::Method;
use okta_sim::OktaSim;
use okta_sim::openapi::{Checker, Sent};
use reqwest::blocking::Client;
use reqwest::header::{CONTENT_LENGTH, LINK};
use serde_json::Value;

/// A simulated org whose every answer is checked against the document.
pub(crate) struct Checked<'a> {
    checker: &'a Checker,
    pub(crate) sim: OktaSim,
    client: Client,
    /// Every difference found, once.
    pub(crate) breaches: BTreeSet<String>,
    /// The document's operations that were called.
    pub(crate) operations: BTreeSet<String>,
}

impl<'a> Checked<'a> {
    pub(crate) fn new(checker: &'a Checker, sim: OktaSim) -> Self {
        Self {
            checker,
            sim,
            client: Client::new(),
            breaches: BTreeSet::new(),
            operations: BTreeSet::new(),
        }
    }

    /// Makes a call; a refusal is a breach too. Follows the first next link of a list.
    pub(crate) fn call(
        &mut self,
        method: Method,
        target: &str,
        body: Option<Value>,
    ) -> Option<Value> {
        let (status, answer, next) = self.call_once(&method, target, body);
        if status >= 400 {
            self.breaches
                .insert(format!("{method} {target}: refused: {status} {answer:?}"));
        }
        if let Some(next) = next {
            self.call_once(&Method::GET, &next, None);
        }
        answer
    }

    /// Makes a call that must be refused with this status.
    pub(crate) fn refused(
        &mut self,
        method: Method,
        target: &str,
        body: Option<Value>,
        wanted: u16,
    ) {
        let (status, answer, _) = self.call_once(&method, target, body);
        if status != wanted {
            self.breaches.insert(format!(
                "{method} {target}: {status}, not {wanted}: {answer:?}"
            ));
        }
    }

    /// The status, the body, and the path and query of the next page.
    fn call_once(
        &mut self,
        method: &Method,
        target: &str,
        body: Option<Value>,
    ) -> (u16, Option<Value>, Option<String>) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
            .map(|(key, value)| (key.into_owned(), value.into_owned()))
            .collect();
        let mut request = self
            .client
            .request(method.clone(), format!("{}{target}", self.sim.url()))
            .header("Authorization", format!("SSWS {}", self.sim.api_token()));
        if let Some(body) = &body {
            request = request.json(body);
        } else if *method != Method::GET {
            request = request.header(CONTENT_LENGTH, 0).body("");
        }
        let response = request.send().unwrap();
        let status = response.status().as_u16();
        let next = next_of(&response);
        let text = response.text().unwrap();
        let answer: Option<Value> =
            (!text.is_empty()).then(|| serde_json::from_str(&text).unwrap());
        let sent = Sent {
            method: method.as_str(),
            path,
            query: &query,
            body: body.as_ref(),
        };
        // What is refused may well be wrong.
        let asked = if status < 400 {
            self.checker.check_request(sent)
        } else {
            Vec::new()
        };
        let answered = self.checker.check_response(sent, status, answer.as_ref());
        self.breaches
            .extend(asked.iter().chain(&answered).map(ToString::to_string));
        self.operations
            .extend(self.checker.operation(method.as_str(), path));
        (status, answer, next)
    }

    /// The items of a list's first page.
    pub(crate) fn list(&mut self, target: &str) -> Vec<Value> {
        let body = self.call(Method::GET, target, None).unwrap();
        let items = body
            .as_array()
            .or_else(|| body.get("roles").and_then(Value::as_array));
        items.cloned().unwrap_or_default()
    }

    /// Lists, reads the first items, and gives their paths.
    pub(crate) fn read(&mut self, target: &str) -> Vec<String> {
        let path = target.split('?').next().unwrap().to_owned();
        let items = self.list(target);
        let paths: Vec<String> = items
            .iter()
            .take(ITEMS_READ_MAX)
            .map(|item| format!("{path}/{}", id(item)))
            .collect();
        for path in &paths {
            self.call(Method::GET, path, None);
        }
        paths
    }

    /// Creates an object and gives its path.
    pub(crate) fn make(&mut self, target: &str, body: &Value) -> String {
        let made = self.call(Method::POST, target, Some(body.clone())).unwrap();
        format!("{}/{}", target.split('?').next().unwrap(), id(&made))
    }

    /// Replaces, switches and deletes what was made.
    pub(crate) fn live_and_die(
        &mut self,
        path: &str,
        replacement: &Value,
        steps: &[&str],
        delete: bool,
    ) {
        self.call(Method::PUT, path, Some(replacement.clone()));
        for step in steps {
            self.call(Method::POST, &format!("{path}/lifecycle/{step}"), None);
        }
        if delete {
            self.call(Method::DELETE, path, None);
        }
    }

    /// The id of an object of a type that is not a built-in one: the last of them.
    pub(crate) fn some(&self, object_type: &str) -> String {
        self.sim.ids(object_type).pop().unwrap()
    }
}

/// How many items of a list are read one by one.
const ITEMS_READ_MAX: usize = 12;

pub(crate) fn id(object: &Value) -> &str {
    object.get("id").and_then(Value::as_str).unwrap_or("none")
}

/// Path and query of the next page.
fn next_of(response: &reqwest::blocking::Response) -> Option<String> {
    response
        .headers()
        .get_all(LINK)
        .iter()
        .filter_map(|link| link.to_str().ok())
        .flat_map(|links| links.split(", "))
        .find(|link| link.ends_with("rel=\"next\""))
        .and_then(|link| link.strip_prefix('<')?.split('>').next())
        .and_then(|url| url::Url::parse(url).ok())
        .map(|url| format!("{}?{}", url.path(), url.query().unwrap_or_default()))
}
