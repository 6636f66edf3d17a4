//! What was asked of the org, for tests to look at.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A request as it was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoggedRequest {
    /// The method.
    pub method: String,
    /// The path, as sent.
    pub path: String,
    /// The query, as sent, without the `?`.
    pub query: String,
    /// The status of the answer; 0 where the connection was closed without one.
    pub status: u16,
    /// The JSON body; of a token request, only the grant type and the scopes.
    pub body: Option<Value>,
    /// How the caller was known.
    pub auth: Auth,
}

/// How a caller was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// Not at all.
    None,
    /// By a token that is not valid.
    Invalid,
    /// By an OAuth access token.
    AccessToken,
    /// By an API token (SSWS).
    ApiToken,
    /// By client credentials, at the token endpoint.
    Client,
}

impl LoggedRequest {
    /// Whether it could have changed the org.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.method != "GET" && self.path != "/oauth2/v1/token"
    }

    /// Whether it listed something: a GET of a collection.
    #[must_use]
    pub fn is_list(&self) -> bool {
        let parts: Vec<&str> = self
            .path
            .split('/')
            .filter(|part| !part.is_empty())
            .collect();
        let collection = match parts.as_slice() {
            ["api", "v1", "logs"] => false,
            ["api", "v1", "meta", "types", "user"] => true,
            ["api", "v1", "meta", "schemas", "user", "linkedObjects"] => true,
            ["api", "v1", "meta", ..] => false,
            ["api", "v1", "groups", "rules"] => true,
            ["api", "v1", "iam", rest @ ..] => rest.len() % 2 == 1,
            ["api", "v1", "org", ..] => false,
            ["api", "v1", rest @ ..] => rest.len() % 2 == 1,
            _ => false,
        };
        self.method == "GET" && collection
    }
}
