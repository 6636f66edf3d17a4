//! The seam to an Okta org: one call in, one answer or one classified error out.
//!
//! The real implementation is [`Http`]; tests use a scripted or a simulated org. Everything above this
//! seam speaks in paths: a [`Call`] never names a host, so a token can reach no other host than the
//! configured one. Errors name the status and Okta's error code only; what may hold profile values (the
//! causes of a refusal) is kept apart and printed nowhere.

use std::fmt;

use jiff::Timestamp;

pub mod pager;

mod credentials;
mod domain;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod http;
mod link;
mod pacer;
mod signing;
#[cfg(test)]
pub(crate) mod testing;
mod tokens;

pub use credentials::Credentials;
pub use domain::OktaDomain;
pub use http::{Http, HttpOptions, PARALLEL_MAX};

/// Who answers there: needs no scope. The real client refuses the answer of an org that is not the one meant.
pub const ORGANIZATION_PATH: &str = "/.well-known/okta-organization";

/// The org being read and written. Real: [`Http`]. Tests: a scripted org, or the simulator over HTTP.
pub trait OktaApi: Send + Sync {
    /// Sends one request and waits for its answer, pacing, renewing the token and repeating what is safe
    /// to repeat by itself.
    ///
    /// # Errors
    ///
    /// [`OktaError`] when there is no answer with a 2xx status.
    fn send(&self, call: &Call) -> Result<Reply, OktaError>;

    /// Takes back the body of an answer that nobody needs any more, so that its memory serves another one.
    fn take_back(&self, _body: Vec<u8>) {}

    /// The org's URL, `https://HOST`, without a slash at its end.
    fn base_url(&self) -> &str;

    /// The scopes that the credentials hold; `None` where there are no scopes (an API token).
    ///
    /// # Errors
    ///
    /// When the token endpoint had to be asked and refused.
    fn granted_scopes(&self) -> Result<Option<Vec<String>>, OktaError> {
        Ok(None)
    }
}

/// One request.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// The method.
    pub method: ::http::Method,
    /// Path and query, beginning with `/`, already percent-encoded.
    pub path: String,
    /// The JSON body; `None` sends an empty one.
    pub body: Option<Vec<u8>>,
    /// Whether sending it twice does no harm: GET, an idempotent PUT or DELETE, a lifecycle call. Such a call is
    /// repeated after a lost answer or a server error; any other is not.
    pub safe_to_repeat: bool,
}

impl Call {
    /// A `GET` of a path.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: ::http::Method::GET,
            path: path.into(),
            body: None,
            safe_to_repeat: true,
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query may hold a login, the body anything.
        let path = self.path.split('?').next().unwrap_or_default();
        write!(f, "Call({} {path})", self.method)
    }
}

/// An answer with a 2xx status.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status, 200 to 299.
    pub status: u16,
    /// The body, decompressed; empty for 204.
    pub body: Vec<u8>,
    /// Path and query of the next page, from the `Link` header or the body's `_links.next`; its host was checked.
    pub next: Option<String>,
    /// The server's `Date`.
    pub date: Option<Timestamp>,
    /// What the answer says about the rate limit.
    pub rate: Option<RateHeaders>,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({}, {} bytes)", self.status, self.body.len())
    }
}

/// The `X-Rate-Limit-*` headers of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateHeaders {
    /// How many requests the window allows this caller; 0 says that too many were under way at once.
    pub limit: u32,
    /// How many are left.
    pub remaining: u32,
    /// When the window ends, in seconds since 1970 by the server's clock.
    pub reset: i64,
}

/// Texts from Okta that may hold profile values: kept for sealed reports, printed nowhere.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Causes(pub Vec<String>);

impl fmt::Debug for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Causes({} not shown)", self.0.len())
    }
}

/// Why a request brought no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum OktaError {
    /// The credentials are not accepted (any more).
    #[error("Okta does not accept the credentials ({error})")]
    Unauthorized {
        /// Okta's word for it: `invalid_client`, `E0000011` …
        error: String,
    },
    /// Scopes are not granted.
    #[error("scopes are not granted: {}", scopes.join(", "))]
    MissingScopes {
        /// The scopes.
        scopes: Vec<String>,
    },
    /// The app demands DPoP-bound tokens.
    #[error("the app requires DPoP-bound tokens, which are not supported yet")]
    DpopRequired,
    /// No answer from the host.
    #[error("{host} cannot be reached")]
    Unreachable {
        /// The host that was asked.
        host: String,
        /// What the network said.
        source: reqwest::Error,
    },
    /// The Admin Console's host was given.
    #[error("{host} is the Admin Console, not the org")]
    AdminHost {
        /// What was given.
        host: String,
        /// The host that is meant.
        right: String,
    },
    /// The org's address is not one.
    #[error("`{text}` is no address of an Okta org: {why}")]
    InvalidDomain {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The private key cannot be used.
    #[error("the private key cannot be used: {why}")]
    InvalidKey {
        /// What is wrong with it.
        why: &'static str,
    },
    /// Something answers there, but it is no Okta org.
    #[error("{host} does not answer as an Okta org does")]
    NotOkta {
        /// The host that was asked.
        host: String,
    },
    /// Another org than the registered one answers there.
    #[error("another org than the registered one answers at {host}")]
    OtherOrg {
        /// The host that was asked.
        host: String,
    },
    /// The rate limit did not clear.
    #[error("Okta kept answering that the rate limit is reached")]
    RateLimited,
    /// The org does not have the feature or the endpoint.
    #[error("the org does not have this feature ({code})")]
    NotAvailable {
        /// Okta's error code.
        code: String,
    },
    /// The object is not there.
    #[error("not found ({})", code.as_deref().unwrap_or("no error code"))]
    NotFound {
        /// Okta's error code. Without one the answer did not come from Okta's API and proves nothing.
        code: Option<String>,
    },
    /// Okta refused the request.
    #[error("Okta refused with {status} {code}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Okta's error code, or empty.
        code: String,
        /// Okta's words; may hold profile values.
        causes: Causes,
    },
    /// The server failed, and kept failing.
    #[error("Okta failed with {status} {code}")]
    Failed {
        /// The HTTP status.
        status: u16,
        /// Okta's error code, or empty.
        code: String,
    },
    /// A write was sent and its answer was lost: it may or may not have happened.
    #[error("the answer to a write was lost")]
    LostAnswer,
    /// The answer is not what the interface promises.
    #[error("the answer is malformed: {what}")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up")]
    Client {
        /// What it said.
        source: reqwest::Error,
    },
    /// The operating system gives the HTTP client nothing to wait with.
    #[error("the HTTP client could not be started")]
    Runtime {
        /// What it said.
        source: std::io::Error,
    },
    /// The operating system gives no randomness.
    #[error("the system gives no randomness")]
    Randomness(#[from] getrandom::Error),
    /// The operation was cancelled while it waited.
    #[error("cancelled")]
    Cancelled,
}

impl OktaError {
    /// A stable word for scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized { .. } => "unauthorized",
            Self::MissingScopes { .. } => "missing_scopes",
            Self::DpopRequired => "dpop_required",
            Self::Unreachable { .. } => "unreachable",
            Self::AdminHost { .. } => "admin_host",
            Self::InvalidDomain { .. } => "invalid_okta_domain",
            Self::InvalidKey { .. } => "invalid_private_key",
            Self::NotOkta { .. } => "not_okta",
            Self::OtherOrg { .. } => "other_org",
            Self::RateLimited => "rate_limited",
            Self::NotAvailable { .. } => "not_available",
            Self::NotFound { .. } => "not_found",
            Self::Refused { .. } => "okta_refused",
            Self::Failed { .. } => "okta_failed",
            Self::LostAnswer => "answer_lost",
            Self::Malformed { .. } => "malformed_answer",
            Self::Client { .. } | Self::Runtime { .. } | Self::Randomness(_) => "internal",
            Self::Cancelled => "cancelled",
        }
    }

    /// What the operator can do about it, as one sentence; `None` if only waiting helps.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unauthorized { .. } => Some(
                "Check the client id and its secret or key (and this machine's clock), then re-authorize the domain."
                    .to_owned(),
            ),
            Self::MissingScopes { scopes } => Some(format!(
                "Grant {} to the app in the Okta Admin Console, then re-authorize the domain.",
                scopes.join(", ")
            )),
            Self::DpopRequired => Some(
                "Untick \"Require Demonstrating Proof of Possession (DPoP) header in token requests\" on the app."
                    .to_owned(),
            ),
            Self::Unreachable { host, source } if is_about_certificates(source) => Some(format!(
                "{host} answers, but its certificate is not trusted: add its authority to the system's certificates or name its file in SSL_CERT_FILE, and check this machine's clock."
            )),
            Self::Unreachable { host, .. } => {
                Some(format!("Check the address and that this machine reaches {host} (proxy, DNS, firewall)."))
            }
            Self::AdminHost { right, .. } => Some(format!("Use https://{right} instead.")),
            Self::InvalidDomain { .. } => Some("Give the org's own address, such as https://acme.okta.com.".to_owned()),
            Self::InvalidKey { .. } => {
                Some("Give a PEM file (PKCS#8, PKCS#1 or EC) or the private JWK that Okta showed.".to_owned())
            }
            Self::NotOkta { .. } => Some("Check the org's address.".to_owned()),
            Self::OtherOrg { .. } => Some(
                "The address leads to another org now: nothing is mixed. Register that org as a domain of its own."
                    .to_owned(),
            ),
            Self::RateLimited => Some(
                "Look at the rate limits in the org's Admin Console, lower the domain's rate-limit share, or run it at a quieter time."
                    .to_owned(),
            ),
            Self::NotAvailable { .. }
            | Self::NotFound { .. }
            | Self::Refused { .. }
            | Self::Failed { .. }
            | Self::LostAnswer
            | Self::Malformed { .. }
            | Self::Client { .. }
            | Self::Runtime { .. }
            | Self::Randomness(_)
            | Self::Cancelled => None,
        }
    }

    /// Whether it proves that the object asked for does not exist: a 404 with Okta's code for it. Any
    /// other 404 may come from an edge server.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::NotFound { code: Some(code) } if code == "E0000007")
    }
}

/// Whether a connection failed because the host's certificate was not accepted. The TLS library's error is known by its text only.
fn is_about_certificates(error: &reqwest::Error) -> bool {
    let first: Option<&dyn std::error::Error> = Some(error);
    std::iter::successors(first, |error| error.source())
        .any(|error| error.to_string().contains("certificate"))
}
