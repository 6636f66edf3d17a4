//! Problem documents (RFC 9457): the one place where errors become answers.
//!
//! A problem has a stable code; the code decides the HTTP status and the title. What the operator can
//! do about it stands in `detail`. Internals go to the log only.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use orgkeep_api::system;

/// An error on its way to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    code: &'static str,
    detail: String,
    scopes: Vec<String>,
}

/// Every code with its HTTP status and title.
///
/// 502 says that the org refused or could not be reached; 403 speaks of our own roles only.
const PROBLEMS: &[(&str, u16, &str)] = &[
    ("bad_request", 400, "The request cannot be read"),
    ("ambiguous", 400, "The name fits more than one"),
    ("invalid_value", 422, "A value is not accepted"),
    ("forbidden", 403, "Your role does not allow this"),
    ("not_found", 404, "There is no such thing"),
    (
        "method_not_allowed",
        405,
        "The path does not know this method",
    ),
    ("too_large", 413, "The request is too large"),
    ("name_taken", 409, "The name is taken"),
    ("org_registered", 409, "The org is registered already"),
    ("other_org", 409, "The credentials belong to another org"),
    (
        "key_management_not_enabled",
        409,
        "Key management is not enabled",
    ),
    ("plan_out_of_date", 409, "The plan is out of date"),
    ("missing_scopes", 409, "Scopes are missing"),
    ("job_ended", 409, "The job has ended"),
    ("export_taken", 409, "The export was fetched already"),
    ("busy", 409, "Something else is going on"),
    ("no_snapshot", 409, "There is no snapshot yet"),
    ("unauthorized", 502, "Okta refuses the credentials"),
    ("unreachable", 502, "The org cannot be reached"),
    ("admin_host", 502, "This is the org's admin host"),
    ("not_okta", 502, "There is no Okta org at this address"),
    (
        "dpop_required",
        502,
        "The app demands DPoP, which is not supported",
    ),
    ("rate_limited", 502, "Okta asks us to wait"),
    ("okta_error", 502, "Okta did not do what was asked"),
    ("cancelled", 503, "It was cancelled"),
    ("interrupted", 500, "It was interrupted"),
    ("queue_full", 503, "Too many jobs wait"),
    ("shutting_down", 503, "The daemon is shutting down"),
    (
        "key_provider_unavailable",
        503,
        "The key provider is not available",
    ),
    (
        "state_unavailable",
        503,
        "The daemon's state is not available",
    ),
    ("store_unavailable", 503, "The store is not available"),
    ("damaged", 500, "Stored data is damaged"),
    ("lost", 500, "The stored content is lost"),
    ("no_space", 507, "The disk is full"),
    ("internal", 500, "Something unexpected went wrong"),
];

impl Problem {
    /// A problem with this code; a code that is not in the table counts as `internal`.
    pub(crate) fn new(code: &str, detail: impl Into<String>) -> Self {
        let code = PROBLEMS
            .iter()
            .map(|(known, ..)| *known)
            .find(|known| *known == code);
        Self {
            code: code.unwrap_or("internal"),
            detail: detail.into(),
            scopes: Vec::new(),
        }
    }

    /// There is no such `what`.
    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new("not_found", format!("There is no {what}."))
    }

    /// A value is not accepted.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new("invalid_value", detail)
    }

    /// Something went wrong that the caller cannot help; the cause goes to the log.
    pub(crate) fn internal(what: &str, cause: &dyn std::error::Error) -> Self {
        tracing::error!(error = %chain(cause), "{what}");
        Self::new("internal", format!("{what}; the daemon's log says why."))
    }

    /// The same problem, naming the scopes that are missing.
    pub(crate) fn with_scopes(mut self, scopes: Vec<String>) -> Self {
        self.scopes = scopes;
        self
    }

    /// The stable code.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// What went wrong and what to do.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The title that belongs to a code.
    pub(crate) fn title_of(code: &str) -> &'static str {
        PROBLEMS
            .iter()
            .find(|(known, ..)| *known == code)
            .map_or("Something unexpected went wrong", |(_, _, title)| title)
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        PROBLEMS
            .iter()
            .find(|(known, ..)| *known == self.code)
            .and_then(|(_, status, _)| StatusCode::from_u16(*status).ok())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The document.
    pub(crate) fn document(&self) -> system::Problem {
        system::Problem {
            kind: format!("urn:orgkeep:problem:{}", self.code),
            title: Self::title_of(self.code).to_owned(),
            status: self.status().as_u16(),
            detail: self.detail.clone(),
            code: self.code.to_owned(),
            scopes: self.scopes.clone(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.document()).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// A sentence from an error and what to do about it.
pub(crate) fn sentence(error: &dyn std::fmt::Display, hint: Option<String>) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let mut sentence: String = letters
        .next()
        .map(|first| first.to_uppercase().collect())
        .unwrap_or_default();
    sentence.push_str(letters.as_str());
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    if let Some(hint) = hint {
        sentence.push(' ');
        sentence.push_str(&hint);
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_have_the_status_that_scripts_rely_on() {
        let codes: std::collections::BTreeSet<_> = PROBLEMS.iter().map(|(code, ..)| code).collect();
        assert_eq!(codes.len(), PROBLEMS.len());
        let status = |code| Problem::new(code, "").status().as_u16();
        assert_eq!(status("forbidden"), 403);
        assert_eq!(status("key_management_not_enabled"), 409);
        assert_eq!(status("unauthorized"), 502);
        assert_eq!(status("ambiguous"), 400);
        assert_eq!(status("no such code"), 500);
    }

    #[test]
    fn the_document_has_the_members_of_rfc_9457() {
        let document = Problem::invalid("Write it so.").document();
        let text = serde_json::to_string(&document).unwrap();
        assert_eq!(
            text,
            "{\"type\":\"urn:orgkeep:problem:invalid_value\",\"title\":\"A value is not accepted\",\
             \"status\":422,\"detail\":\"Write it so.\",\"code\":\"invalid_value\"}"
        );
    }

    #[test]
    fn a_sentence_begins_with_a_capital_and_ends_with_what_to_do() {
        assert_eq!(sentence(&"the disk is full", None), "The disk is full.");
        assert_eq!(
            sentence(&"no", Some("Try again.".to_owned())),
            "No. Try again."
        );
    }
}
