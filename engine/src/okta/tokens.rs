//! Access tokens: got once, shared by all threads, renewed early, and narrowed to the scopes that are granted.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::form_urlencoded;

use super::http::{Attempt, Body, Raw, Wire};
use super::signing::SigningKey;
use super::{Credentials, OktaError};

const TOKEN_PATH: &str = "/oauth2/v1/token";

/// The share of a token's life after which it is renewed, in percent.
const RENEW_AT_PCT: i64 = 80;

/// The most requests that finding the granted scopes may take.
const BISECT_REQUESTS_MAX: u32 = 60;

/// What to put into the `Authorization` header.
pub(super) struct Token {
    pub(super) header: HeaderValue,
    /// Tells one token from the next.
    pub(super) generation: u64,
    renew_at: Option<Timestamp>,
}

pub(super) struct Tokens {
    credentials: Credentials,
    key: Option<SigningKey>,
    wanted: Vec<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    generation: u64,
    granted: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(deserialize_with = "secret")]
    access_token: SecretString,
    #[serde(default)]
    token_type: String,
    #[serde(default)]
    expires_in: i64,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct TokenRefusal {
    #[serde(default)]
    error: String,
}

/// What the token endpoint said to one set of scopes.
enum Grant {
    Granted(TokenAnswer),
    /// One of the scopes, or all, are not granted.
    Refused,
}

impl Tokens {
    pub(super) fn new(credentials: Credentials, wanted: Vec<String>) -> Result<Self, OktaError> {
        let key = match &credentials {
            Credentials::PrivateKey { key, key_id, .. } => {
                Some(SigningKey::read(key.expose_secret(), key_id.as_deref())?)
            }
            Credentials::ClientSecret { .. } | Credentials::ApiToken(_) => None,
        };
        Ok(Self {
            credentials,
            key,
            wanted,
            state: Mutex::default(),
        })
    }

    pub(super) fn renewable(&self) -> bool {
        !self.credentials.is_api_token()
    }

    /// The token to use now; one thread fetches it, the others wait for that.
    pub(super) fn current(&self, wire: &Wire) -> Result<Arc<Token>, OktaError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = wire.clock.now();
        if let Some(token) = &state.token
            && token.renew_at.is_none_or(|at| now < at)
        {
            return Ok(Arc::clone(token));
        }
        state.generation += 1;
        let generation = state.generation;
        let token = Arc::new(match &self.credentials {
            Credentials::ApiToken(secret) => Token {
                header: header("SSWS", secret.expose_secret())?,
                generation,
                renew_at: None,
            },
            Credentials::ClientSecret { .. } | Credentials::PrivateKey { .. } => {
                let (answer, granted) = self.fetch(wire, state.granted.as_deref())?;
                state.granted = Some(granted);
                let life = answer.expires_in.clamp(1, 24 * 3600) * RENEW_AT_PCT / 100;
                Token {
                    header: header("Bearer", answer.access_token.expose_secret())?,
                    generation,
                    renew_at: now.checked_add(SignedDuration::from_secs(life)).ok(),
                }
            }
        });
        state.token = Some(Arc::clone(&token));
        Ok(token)
    }

    /// Forgets a token that was refused, unless it has been replaced meanwhile.
    pub(super) fn discard(&self, generation: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state
            .token
            .as_ref()
            .is_some_and(|token| token.generation == generation)
        {
            state.token = None;
        }
    }

    /// The scopes of the present token; `None` for an API token.
    pub(super) fn granted(&self, wire: &Wire) -> Result<Option<Vec<String>>, OktaError> {
        if self.credentials.is_api_token() {
            return Ok(None);
        }
        drop(self.current(wire)?);
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(state.granted.clone())
    }

    /// A token with as many of the wanted scopes as are granted, and which those are.
    fn fetch(
        &self,
        wire: &Wire,
        known: Option<&[String]>,
    ) -> Result<(TokenAnswer, Vec<String>), OktaError> {
        let first: Vec<String> = known.map_or_else(|| self.wanted.clone(), <[String]>::to_vec);
        if let Grant::Granted(answer) = self.request(wire, &first)? {
            let granted = granted_in(&answer, first);
            return Ok((answer, granted));
        }
        let mut requests = 1;
        let granted = self.bisect(wire, &self.wanted, &mut requests)?;
        if granted.is_empty() {
            return Err(OktaError::MissingScopes {
                scopes: self.wanted.clone(),
            });
        }
        match self.request(wire, &granted)? {
            Grant::Granted(answer) => {
                let granted = granted_in(&answer, granted);
                Ok((answer, granted))
            }
            Grant::Refused => Err(OktaError::MissingScopes {
                scopes: self.wanted.clone(),
            }),
        }
    }

    /// Those of `scopes`, known to be refused together, that are granted.
    fn bisect(
        &self,
        wire: &Wire,
        scopes: &[String],
        requests: &mut u32,
    ) -> Result<Vec<String>, OktaError> {
        if scopes.len() <= 1 || *requests >= BISECT_REQUESTS_MAX {
            return Ok(Vec::new());
        }
        let (left, right) = scopes.split_at(scopes.len() / 2);
        let mut granted = Vec::new();
        for half in [left, right] {
            *requests += 1;
            match self.request(wire, half)? {
                Grant::Granted(answer) => granted.extend(granted_in(&answer, half.to_vec())),
                Grant::Refused => granted.extend(self.bisect(wire, half, requests)?),
            }
        }
        Ok(granted)
    }

    fn request(&self, wire: &Wire, scopes: &[String]) -> Result<Grant, OktaError> {
        let scope = scopes.join(" ");
        let audience = wire.url(TOKEN_PATH);
        let raw = wire.exchange(&http::Method::POST, TOKEN_PATH, true, &mut || {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("grant_type", "client_credentials")
                .append_pair("scope", &scope);
            let mut authorization = None;
            match (&self.credentials, &self.key) {
                (Credentials::ClientSecret { client_id, secret }, _) => {
                    authorization = Some(basic(client_id, secret)?);
                }
                (Credentials::PrivateKey { client_id, .. }, Some(key)) => {
                    // A fresh one for every attempt: its `jti` is good for one use.
                    let assertion = key.assertion(client_id, &audience, wire.clock.now())?;
                    form.append_pair(
                        "client_assertion_type",
                        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    )
                    .append_pair("client_assertion", &assertion);
                }
                (Credentials::PrivateKey { .. } | Credentials::ApiToken(_), _) => {}
            }
            Ok(Attempt {
                authorization,
                body: Body::Form(form.finish()),
            })
        })?;
        judge(wire, &raw)
    }
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

fn judge(wire: &Wire, raw: &Raw) -> Result<Grant, OktaError> {
    let not_okta = || OktaError::NotOkta {
        host: wire.domain.host().to_owned(),
    };
    if (200..300).contains(&raw.status) {
        let answer: TokenAnswer = serde_json::from_slice(&raw.body).map_err(|_| not_okta())?;
        if answer.token_type.eq_ignore_ascii_case("dpop") {
            return Err(OktaError::DpopRequired);
        }
        return Ok(Grant::Granted(answer));
    }
    let refusal: Option<TokenRefusal> = serde_json::from_slice(&raw.body).ok();
    let error = refusal.map(|refusal| refusal.error).unwrap_or_default();
    match (raw.status, error.as_str()) {
        (400, "invalid_scope" | "consent_required") => Ok(Grant::Refused),
        (400, "invalid_dpop_proof" | "use_dpop_nonce") => Err(OktaError::DpopRequired),
        (400 | 401 | 403, word) if !word.is_empty() => Err(OktaError::Unauthorized {
            error: word.to_owned(),
        }),
        (401, _) => Err(OktaError::Unauthorized {
            error: "401".to_owned(),
        }),
        _ => Err(not_okta()),
    }
}

/// The scopes that an answer grants: what it says, or what was asked for.
fn granted_in(answer: &TokenAnswer, asked: Vec<String>) -> Vec<String> {
    match &answer.scope {
        Some(scope) => scope.split_whitespace().map(str::to_owned).collect(),
        None => asked,
    }
}

fn basic(client_id: &str, secret: &SecretString) -> Result<HeaderValue, OktaError> {
    use base64::Engine;
    let pair = zeroize::Zeroizing::new(format!("{client_id}:{}", secret.expose_secret()));
    let text =
        zeroize::Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(pair.as_bytes()));
    header("Basic", &text)
}

fn header(scheme: &str, secret: &str) -> Result<HeaderValue, OktaError> {
    let text = zeroize::Zeroizing::new(format!("{scheme} {secret}"));
    let mut value = HeaderValue::from_str(&text).map_err(|_| OktaError::Unauthorized {
        error: "it holds characters no credential has".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}
