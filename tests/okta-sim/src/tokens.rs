//! The org authorization server: clients, access tokens, API tokens.

use std::collections::{BTreeSet, HashMap, HashSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::log::Actor;

/// How long an access token lives.
const TOKEN_LIFETIME_MS: i64 = 3_600_000;
/// How far ahead an assertion may expire.
const ASSERTION_LIFETIME_S: i64 = 3600;

/// How a client proves who it is.
#[derive(Debug, Clone)]
pub(crate) enum Proof {
    /// `client_secret_basic`.
    Secret(String),
    /// `private_key_jwt`: key ids and public keys.
    Keys(Vec<(String, String)>),
}

/// An OAuth client of the org.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) proof: Proof,
    pub(crate) granted: BTreeSet<String>,
    pub(crate) dpop_required: bool,
    /// Without an admin role a service app gets tokens, and 403 for every call.
    pub(crate) has_role: bool,
    pub(crate) name: String,
}

#[derive(Debug, Clone)]
struct Token {
    client: String,
    scopes: Vec<String>,
    expires_at: i64,
}

/// Everything about who may call.
#[derive(Debug)]
pub(crate) struct Authority {
    seed: u64,
    pub(crate) clients: HashMap<String, Client>,
    tokens: HashMap<String, Token>,
    api_tokens: HashMap<String, Actor>,
    assertions: HashSet<String>,
    issued: u64,
    /// The lifetime of new tokens, in milliseconds.
    pub(crate) lifetime_ms: i64,
}

/// Who calls, and with which rights.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) actor: Actor,
    /// `None` for an API token, which has the rights of its admin.
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) has_role: bool,
    /// `oauth` or `ssws`.
    pub(crate) auth: &'static str,
}

/// A refusal of the token endpoint.
#[derive(Debug)]
pub(crate) struct TokenError {
    pub(crate) status: u16,
    pub(crate) error: &'static str,
    pub(crate) description: String,
}

impl TokenError {
    fn new(status: u16, error: &'static str, description: &str) -> Self {
        Self {
            status,
            error,
            description: description.to_owned(),
        }
    }

    /// The body of the answer.
    pub(crate) fn body(&self) -> Value {
        json!({"error": self.error, "error_description": self.description})
    }
}

/// A request to the token endpoint.
#[derive(Debug)]
pub(crate) struct TokenRequest<'a> {
    pub(crate) authorization: Option<&'a str>,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) query: Option<&'a str>,
    pub(crate) body: &'a [u8],
    /// The URL that was called.
    pub(crate) url: &'a str,
    pub(crate) dpop: bool,
    pub(crate) now: i64,
}

#[derive(Debug, Deserialize)]
struct Assertion {
    iss: String,
    sub: String,
    aud: Value,
    exp: i64,
    jti: Option<String>,
}

impl Authority {
    /// An authority without clients.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            clients: HashMap::new(),
            tokens: HashMap::new(),
            api_tokens: HashMap::new(),
            assertions: HashSet::new(),
            issued: 0,
            lifetime_ms: TOKEN_LIFETIME_MS,
        }
    }

    /// Lets this API token act for an admin.
    pub(crate) fn add_api_token(&mut self, token: &str, actor: Actor) {
        self.api_tokens.insert(token.to_owned(), actor);
    }

    /// Revokes every token, of both kinds if `api_tokens` too.
    pub(crate) fn revoke_tokens(&mut self, api_tokens: bool) {
        self.tokens.clear();
        if api_tokens {
            self.api_tokens.clear();
        }
    }

    /// A secret or token text that only this org makes, different each time.
    pub(crate) fn secret(&mut self, label: &str) -> String {
        self.issued += 1;
        let material = format!("{label}:{}:{}", self.seed, self.issued);
        let hash = blake3::derive_key("okta-sim secrets v1", material.as_bytes());
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash)
    }

    /// `POST /oauth2/v1/token`.
    pub(crate) fn token(&mut self, request: &TokenRequest<'_>) -> Result<Value, TokenError> {
        let form = form(request)?;
        let field = |name: &str| {
            form.iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        if field("grant_type") != Some("client_credentials") {
            return Err(TokenError::new(
                400,
                "unsupported_grant_type",
                "The grant type must be client_credentials.",
            ));
        }
        let client_id = self.authenticate(request, &form)?;
        let client = self.clients.get(&client_id).ok_or_else(invalid_client)?;
        if client.dpop_required && !request.dpop {
            return Err(TokenError::new(
                400,
                "invalid_dpop_proof",
                "The DPoP proof JWT header is missing.",
            ));
        }
        let scopes = granted(client, field("scope").unwrap_or_default())?;
        let token = format!("sim_at_{}", self.secret("access token"));
        let scope = scopes.join(" ");
        self.tokens.insert(
            token.clone(),
            Token {
                client: client_id,
                scopes,
                expires_at: request.now + self.lifetime_ms,
            },
        );
        Ok(json!({
            "token_type": "Bearer", "expires_in": self.lifetime_ms / 1000, "access_token": token, "scope": scope,
        }))
    }

    fn authenticate(
        &mut self,
        request: &TokenRequest<'_>,
        form: &[(String, String)],
    ) -> Result<String, TokenError> {
        let field = |name: &str| {
            form.iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        if let Some(header) = request.authorization {
            let (id, secret) = basic(header).ok_or_else(invalid_client)?;
            return match self.clients.get(&id).map(|client| &client.proof) {
                Some(Proof::Secret(expected)) if *expected == secret => Ok(id),
                _ => Err(invalid_client()),
            };
        }
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        match (field("client_assertion_type"), field("client_assertion")) {
            (Some(given), Some(assertion)) if given == kind => {
                self.check_assertion(request, assertion)
            }
            _ => Err(TokenError::new(
                401,
                "invalid_client",
                "Client authentication failed. The client must use private_key_jwt or client_secret_basic.",
            )),
        }
    }

    fn check_assertion(
        &mut self,
        request: &TokenRequest<'_>,
        assertion: &str,
    ) -> Result<String, TokenError> {
        let header = jsonwebtoken::decode_header(assertion).map_err(|_| invalid_client())?;
        let unsigned: Assertion = claims_unchecked(assertion).ok_or_else(invalid_client)?;
        let Some(Proof::Keys(keys)) = self.clients.get(&unsigned.sub).map(|client| &client.proof)
        else {
            return Err(invalid_client());
        };
        let key = match &header.kid {
            Some(kid) => keys.iter().find(|(known, _)| known == kid),
            None if keys.len() == 1 => keys.first(),
            None => None,
        };
        let (_, pem) = key.ok_or_else(|| bad_assertion("The kid is unknown."))?;
        let decoding = match header.alg {
            Algorithm::ES256 | Algorithm::ES384 => DecodingKey::from_ec_pem(pem.as_bytes()),
            Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 => {
                DecodingKey::from_rsa_pem(pem.as_bytes())
            }
            _ => return Err(bad_assertion("The algorithm is not supported.")),
        }
        .map_err(|_| bad_assertion("The key does not fit the algorithm."))?;
        let mut validation = Validation::new(header.alg);
        validation.validate_exp = false;
        validation.validate_aud = false;
        let checked = jsonwebtoken::decode::<Assertion>(assertion, &decoding, &validation)
            .map_err(|_| bad_assertion("The signature is invalid."))?
            .claims;
        if checked.iss != checked.sub {
            return Err(bad_assertion("iss and sub must be the client id."));
        }
        let aud_fits = match &checked.aud {
            Value::String(aud) => aud == request.url,
            Value::Array(auds) => auds.iter().any(|aud| aud == request.url),
            _ => false,
        };
        if !aud_fits {
            return Err(bad_assertion("The audience must be the endpoint invoked."));
        }
        let now_s = request.now / 1000;
        if checked.exp <= now_s || checked.exp > now_s + ASSERTION_LIFETIME_S {
            return Err(bad_assertion(
                "The assertion has expired, or expires too far ahead.",
            ));
        }
        if let Some(jti) = checked.jti
            && !self.assertions.insert(jti)
        {
            return Err(bad_assertion("The assertion was used before."));
        }
        Ok(checked.sub)
    }

    /// Who an `Authorization` header stands for; `None` is an invalid token.
    pub(crate) fn caller(&self, header: &str, now: i64) -> Option<Caller> {
        if let Some(token) = header.strip_prefix("SSWS ") {
            let actor = self.api_tokens.get(token)?.clone();
            return Some(Caller {
                actor,
                scopes: None,
                has_role: true,
                auth: "ssws",
            });
        }
        let token = self.tokens.get(header.strip_prefix("Bearer ")?)?;
        if token.expires_at <= now {
            return None;
        }
        let client = self.clients.get(&token.client)?;
        let actor = Actor {
            id: token.client.clone(),
            kind: "PublicClientApp",
            name: client.name.clone(),
        };
        // A grant that is taken back dies in tokens already issued too.
        let scopes = token
            .scopes
            .iter()
            .filter(|scope| client.granted.contains(*scope))
            .cloned()
            .collect();
        Some(Caller {
            actor,
            scopes: Some(scopes),
            has_role: client.has_role,
            auth: "oauth",
        })
    }
}

fn form(request: &TokenRequest<'_>) -> Result<Vec<(String, String)>, TokenError> {
    if request.query.is_some_and(|query| !query.is_empty()) {
        return Err(TokenError::new(
            400,
            "invalid_request",
            "The parameters must be in the body.",
        ));
    }
    if !request
        .content_type
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
    {
        return Err(TokenError::new(
            400,
            "invalid_request",
            "The content type must be application/x-www-form-urlencoded.",
        ));
    }
    Ok(url::form_urlencoded::parse(request.body)
        .into_owned()
        .collect())
}

fn granted(client: &Client, scope: &str) -> Result<Vec<String>, TokenError> {
    let wanted: Vec<String> = scope.split_whitespace().map(str::to_owned).collect();
    let unknown = "One or more scopes are not configured for the authorization server resource.";
    if wanted.is_empty() {
        return Err(TokenError::new(400, "invalid_scope", unknown));
    }
    if wanted.iter().any(|scope| scope.ends_with(".self")) {
        return Err(TokenError::new(
            400,
            "client_credentials_self_scope_requested",
            "A client cannot ask for a self scope.",
        ));
    }
    // Grants are matched to the letter; that `.manage` includes `.read` holds for calls alone.
    let allowed = wanted
        .iter()
        .filter(|scope| client.granted.contains(*scope))
        .count();
    match allowed {
        0 => Err(TokenError::new(
            400,
            "consent_required",
            "You are not allowed any of the requested scopes.",
        )),
        n if n < wanted.len() => Err(TokenError::new(400, "invalid_scope", unknown)),
        _ => Ok(wanted),
    }
}

fn basic(header: &str) -> Option<(String, String)> {
    let bytes = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (id, secret) = text.split_once(':')?;
    let plain = |part: &str| {
        percent_encoding::percent_decode_str(part)
            .decode_utf8()
            .map(|text| text.into_owned())
            .ok()
    };
    Some((plain(id)?, plain(secret)?))
}

fn claims_unchecked(assertion: &str) -> Option<Assertion> {
    let payload = assertion.split('.').nth(1)?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload)
        .ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn invalid_client() -> TokenError {
    TokenError::new(
        401,
        "invalid_client",
        "The client secret supplied for a confidential client is invalid.",
    )
}

fn bad_assertion(why: &str) -> TokenError {
    TokenError::new(
        401,
        "invalid_client",
        &format!("The client_assertion token is invalid. {why}"),
    )
}
