//! What a resource answers, before it becomes HTTP.

use serde_json::{Value, json};

use crate::wire::{Refusal, Reply};

/// Path and query of a page and of the one after it.
#[derive(Debug, Clone, Default)]
pub(crate) struct PageOf {
    pub(crate) this: Option<String>,
    pub(crate) next: Option<String>,
}

/// A successful answer.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The JSON text; `None` sends no body.
    pub(crate) body: Option<String>,
    pub(crate) page: PageOf,
    pub(crate) admin_host: bool,
    pub(crate) headers: Vec<(String, String)>,
}

/// What a handler gives.
pub(crate) type Outcome = Result<Response, Refusal>;

impl Response {
    /// An answer whose body is JSON text.
    pub(crate) fn text(status: u16, body: String) -> Self {
        Self {
            status,
            body: Some(body),
            page: PageOf::default(),
            admin_host: false,
            headers: Vec::new(),
        }
    }

    /// An answer whose body is a tree.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, body.to_string())
    }

    /// An answer without a body.
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            body: None,
            ..Self::text(status, String::new())
        }
    }

    /// A page of a list.
    pub(crate) fn list(body: String, page: PageOf) -> Self {
        Self {
            page,
            ..Self::text(200, body)
        }
    }

    /// The same answer with one more header.
    pub(crate) fn header(mut self, name: &str, value: String) -> Self {
        self.headers.push((name.to_owned(), value));
        self
    }
}

impl From<Reply> for Response {
    fn from(reply: Reply) -> Self {
        let page = reply.page.unwrap_or_default();
        Self {
            status: reply.status,
            body: reply.body.map(|body| body.to_string()),
            page: PageOf {
                this: page.this,
                next: page.next,
            },
            admin_host: page.admin_host,
            headers: reply.headers.into_iter().collect(),
        }
    }
}

/// A refusal with its own code and no causes.
pub(crate) fn refusal(status: u16, code: &'static str, summary: &str) -> Refusal {
    Refusal {
        status,
        code,
        summary: summary.to_owned(),
        causes: Vec::new(),
    }
}

/// 403 `E0000006`.
pub(crate) fn forbidden() -> Refusal {
    refusal(
        403,
        "E0000006",
        "You do not have permission to perform the requested action",
    )
}

/// 404 `E0000008`: no such path.
pub(crate) fn no_such_path() -> Refusal {
    refusal(404, "E0000008", "The requested path was not found")
}

/// 405 `E0000022`: the path is there, the method is not.
pub(crate) fn no_such_method() -> Refusal {
    refusal(
        405,
        "E0000022",
        "The endpoint does not support the provided HTTP method",
    )
}

/// 400 `E0000003`: the body is missing or no JSON object.
pub(crate) fn bad_body() -> Refusal {
    refusal(400, "E0000003", "The request body was not well-formed.")
}

/// Okta's error body.
pub(crate) fn error_body(refusal: &Refusal, error_id: &str) -> Value {
    json!({
        "errorCode": refusal.code,
        "errorSummary": refusal.summary,
        "errorLink": refusal.code,
        "errorId": error_id,
        "errorCauses": refusal.causes.iter().map(|cause| json!({"errorSummary": cause})).collect::<Vec<_>>(),
    })
}
