//! The simulated org as a library: build it, call it, look inside.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::Method;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::Value;

use crate::{
    clock::OrgClock,
    day::{self, Day, DayCounts},
    exchange::Exchange,
    faults::{Fault, Faults},
    generate::generate,
    limits::{Limits, RateLimits},
    log::Actor,
    org::Mail,
    requests::LoggedRequest,
    scopes,
    server::Server,
    tokens::{Authority, Client, Proof},
};

/// Why a simulated org could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address could not be bound, or a thread not started.
    #[error("the server could not be started")]
    Server(#[source] io::Error),
    /// The key pair of the service app could not be made.
    #[error("no key pair could be made")]
    Key(#[source] rcgen::Error),
    /// The certificate or its key could not be used.
    #[error("the certificate or its key cannot be used: {0}")]
    Tls(String),
}

/// How a simulated org is to be.
#[derive(Debug, Clone)]
pub struct Builder {
    users: u32,
    seed: u64,
    listen: SocketAddr,
    rate_limits: RateLimits,
    rate_limit_window: Duration,
    concurrent_max: usize,
    log_delay: Duration,
    search_delay: Duration,
    membership_delay: Duration,
    token_lifetime: Duration,
    cursor_lifetime: Option<Duration>,
    frozen_at: Option<i64>,
    tls: Option<(String, String)>,
    granted: Option<Vec<String>>,
    dpop_required: bool,
    service_role: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            users: 250,
            seed: 1,
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            rate_limits: RateLimits::Off,
            rate_limit_window: Duration::from_secs(60),
            concurrent_max: 75,
            log_delay: Duration::ZERO,
            search_delay: Duration::ZERO,
            membership_delay: Duration::ZERO,
            token_lifetime: Duration::from_secs(3600),
            cursor_lifetime: None,
            frozen_at: None,
            tls: None,
            granted: None,
            dpop_required: false,
            service_role: true,
        }
    }
}

impl Builder {
    /// The number of users, 2 to 1,000,000; the rest of the org follows from it. Default 250.
    #[must_use]
    pub fn users(mut self, users: u32) -> Self {
        self.users = users.clamp(2, 1_000_000);
        self
    }

    /// The seed: the same users and seed give the same org. Default 1.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The address to listen on. Default: a free port of the loopback address.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// The rate limits. Default off: then no headers are sent either.
    #[must_use]
    pub fn rate_limits(mut self, limits: RateLimits) -> Self {
        self.rate_limits = limits;
        self
    }

    /// The length of a rate-limit window. Default a minute.
    #[must_use]
    pub fn rate_limit_window(mut self, window: Duration) -> Self {
        self.rate_limit_window = window;
        self
    }

    /// How many requests may be in flight at once. Default 75.
    #[must_use]
    pub fn concurrent_max(mut self, requests: usize) -> Self {
        self.concurrent_max = requests;
        self
    }

    /// How long it takes until an event can be read from the System Log. Default none.
    #[must_use]
    pub fn log_delay(mut self, delay: Duration) -> Self {
        self.log_delay = delay;
        self
    }

    /// How long it takes until `search` of users sees a change. Default none.
    #[must_use]
    pub fn search_delay(mut self, delay: Duration) -> Self {
        self.search_delay = delay;
        self
    }

    /// How long it takes until `lastMembershipUpdated` shows a change. Default none.
    #[must_use]
    pub fn membership_delay(mut self, delay: Duration) -> Self {
        self.membership_delay = delay;
        self
    }

    /// How long an access token lives. Default an hour.
    #[must_use]
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.token_lifetime = lifetime;
        self
    }

    /// How long a paging cursor lives. Default for ever.
    #[must_use]
    pub fn cursor_lifetime(mut self, lifetime: Duration) -> Self {
        self.cursor_lifetime = Some(lifetime);
        self
    }

    /// Lets the org's clock stand at this many milliseconds since 1970 until it is moved.
    #[must_use]
    pub fn frozen_at(mut self, ms: i64) -> Self {
        self.frozen_at = Some(ms);
        self
    }

    /// Serves TLS with this certificate chain and key, both PEM.
    #[must_use]
    pub fn tls(mut self, cert_pem: &str, key_pem: &str) -> Self {
        self.tls = Some((cert_pem.to_owned(), key_pem.to_owned()));
        self
    }

    /// The scopes granted to both clients. Default all.
    #[must_use]
    pub fn granted_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.granted = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// Lets the service app demand DPoP. Default no.
    #[must_use]
    pub fn dpop_required(mut self, required: bool) -> Self {
        self.dpop_required = required;
        self
    }

    /// Whether the service app has an admin role; without one every call is 403. Default yes.
    #[must_use]
    pub fn service_role(mut self, has_role: bool) -> Self {
        self.service_role = has_role;
        self
    }

    /// Makes the org and starts to serve it.
    ///
    /// # Errors
    ///
    /// Fails if the address cannot be bound or the certificate cannot be used.
    pub fn start(self) -> Result<OktaSim, StartError> {
        let tls = self
            .tls
            .as_ref()
            .map(|(cert, key)| server_config(cert, key))
            .transpose()?;
        let secure = tls.is_some();
        let clock = self
            .frozen_at
            .map_or_else(OrgClock::default, OrgClock::frozen);
        let (mut core, config) = generate(self.users, self.seed, clock);
        core.log.delay_ms = ms(self.log_delay);
        core.search_delay_ms = ms(self.search_delay);
        core.membership_delay_ms = ms(self.membership_delay);
        core.cursors.lifetime_ms = self.cursor_lifetime.map(ms);
        let (authority, credentials) = self.authority(&core)?;
        let mut limits = Limits::off();
        limits.mode = self.rate_limits;
        limits.window_ms = ms(self.rate_limit_window);
        limits.concurrent_max = self.concurrent_max;
        let org_id = core.org_id_text();
        let exchange = Arc::new(Mutex::new(Exchange {
            core,
            config,
            authority,
            limits,
            faults: Faults::default(),
            requests: Vec::new(),
            disabled: Vec::new(),
            base_url: String::new(),
            answered: 0,
        }));
        let server =
            Server::start(Arc::clone(&exchange), self.listen, tls).map_err(StartError::Server)?;
        let scheme = if secure { "https" } else { "http" };
        let host = if secure {
            "localhost".to_owned()
        } else {
            server.address.ip().to_string()
        };
        let url = format!("{scheme}://{host}:{}", server.address.port());
        lock(&exchange).base_url.clone_from(&url);
        Ok(OktaSim {
            exchange,
            _server: server,
            url,
            org_id,
            credentials,
        })
    }

    fn authority(&self, core: &crate::org::Core) -> Result<(Authority, Credentials), StartError> {
        let mut authority = Authority::new(self.seed);
        authority.lifetime_ms = ms(self.token_lifetime);
        let pair = rcgen::KeyPair::generate().map_err(StartError::Key)?;
        let granted: BTreeSet<String> = self
            .granted
            .clone()
            .unwrap_or_else(scopes::all)
            .into_iter()
            .collect();
        let credentials = Credentials {
            client_id: core.ids.text("0oa", 1 << 50),
            client_secret: authority.secret("client secret"),
            service_client_id: core.ids.text("0oa", (1 << 50) + 1),
            service_private_key_pem: pair.serialize_pem(),
            service_key_id: core.ids.text("kid", 1 << 50),
            api_token: format!("00{}", authority.secret("api token")),
        };
        let client = |proof, name: &str, dpop_required, has_role| Client {
            proof,
            granted: granted.clone(),
            dpop_required,
            has_role,
            name: name.to_owned(),
        };
        authority.clients.insert(
            credentials.client_id.clone(),
            client(
                Proof::Secret(credentials.client_secret.clone()),
                "Orgkeep integration",
                false,
                true,
            ),
        );
        let keys = vec![(credentials.service_key_id.clone(), pair.public_key_pem())];
        authority.clients.insert(
            credentials.service_client_id.clone(),
            client(
                Proof::Keys(keys),
                "Orgkeep service app",
                self.dpop_required,
                self.service_role,
            ),
        );
        authority.add_api_token(
            &credentials.api_token,
            Actor {
                id: core.user_id(0),
                kind: "User",
                name: "Administrator".to_owned(),
            },
        );
        Ok((authority, credentials))
    }
}

/// What callers of the org need.
#[derive(Debug, Clone)]
struct Credentials {
    client_id: String,
    client_secret: String,
    service_client_id: String,
    service_private_key_pem: String,
    service_key_id: String,
    api_token: String,
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn server_config(cert: &str, key: &str) -> Result<Arc<rustls::ServerConfig>, StartError> {
    let bad = |error: &dyn std::fmt::Display| StartError::Tls(error.to_string());
    let chain = CertificateDer::pem_slice_iter(cert.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(&error))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| bad(&error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| bad(&error))?;
    Ok(Arc::new(config))
}

fn lock(exchange: &Mutex<Exchange>) -> MutexGuard<'_, Exchange> {
    exchange.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A simulated Okta org that is being served. Dropping it stops the server.
#[derive(Debug)]
pub struct OktaSim {
    exchange: Arc<Mutex<Exchange>>,
    _server: Server,
    url: String,
    org_id: String,
    credentials: Credentials,
}

impl OktaSim {
    /// An org to be set up.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// An org of this many users, with defaults.
    ///
    /// # Panics
    ///
    /// If it cannot be started: tests have nothing else to do then.
    #[must_use]
    #[expect(clippy::panic, reason = "a convenience for tests")]
    pub fn with_users(users: u32) -> Self {
        match Self::builder().users(users).start() {
            Ok(sim) => sim,
            Err(error) => panic!("the simulated org could not be started: {error}"),
        }
    }

    /// `http://127.0.0.1:PORT`, or `https://localhost:PORT` with TLS.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The org's id.
    #[must_use]
    pub fn org_id(&self) -> &str {
        &self.org_id
    }

    /// The client id of the API service integration.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.credentials.client_id
    }

    /// The client secret of the API service integration, as it was at the start.
    #[must_use]
    pub fn client_secret(&self) -> &str {
        &self.credentials.client_secret
    }

    /// The client id of the service app.
    #[must_use]
    pub fn service_client_id(&self) -> &str {
        &self.credentials.service_client_id
    }

    /// The service app's private key: EC P-256, PKCS#8 PEM, for ES256.
    #[must_use]
    pub fn service_private_key_pem(&self) -> &str {
        &self.credentials.service_private_key_pem
    }

    /// The `kid` of the service app's key.
    #[must_use]
    pub fn service_key_id(&self) -> &str {
        &self.credentials.service_key_id
    }

    /// An API token (SSWS) of a super admin.
    #[must_use]
    pub fn api_token(&self) -> &str {
        &self.credentials.api_token
    }

    /// The requests answered so far, the token endpoint's included, an admin's excluded.
    #[must_use]
    pub fn requests(&self) -> Vec<LoggedRequest> {
        lock(&self.exchange).requests.clone()
    }

    /// Forgets the requests answered so far.
    pub fn clear_requests(&self) {
        lock(&self.exchange).requests.clear();
    }

    /// How many requests listed something.
    #[must_use]
    pub fn list_requests(&self) -> usize {
        lock(&self.exchange)
            .requests
            .iter()
            .filter(|request| request.is_list())
            .count()
    }

    /// The requests that could have changed the org: neither GET nor the token endpoint.
    #[must_use]
    pub fn write_requests(&self) -> Vec<LoggedRequest> {
        lock(&self.exchange)
            .requests
            .iter()
            .filter(|request| request.is_write())
            .cloned()
            .collect()
    }

    /// Plans a fault.
    pub fn fault(&self, fault: Fault) {
        lock(&self.exchange).faults.add(fault);
    }

    /// Forgets all planned faults.
    pub fn clear_faults(&self) {
        lock(&self.exchange).faults.clear();
    }

    /// Changes the org from inside: full rights, no limits, no faults, not logged.
    #[must_use]
    pub fn admin(&self) -> Admin<'_> {
        Admin {
            exchange: &self.exchange,
        }
    }

    /// Moves the org's clock forward.
    pub fn advance(&self, by: Duration) {
        lock(&self.exchange).core.clock.advance(ms(by));
    }

    /// Lets a day's changes happen, at the clock's present moment (see [`advance`](Self::advance)); days of the same
    /// number are the same in every org of the same users and seed that has lived through the same days before.
    pub fn live(&self, day: Day, number: u32) -> DayCounts {
        day::live(&mut lock(&self.exchange), day, number)
    }

    /// The org's clock: milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        lock(&self.exchange).core.clock.now()
    }

    /// Changes the rate limits.
    pub fn set_rate_limits(&self, limits: RateLimits) {
        lock(&self.exchange).limits.mode = limits;
    }

    /// Gives a scope to both clients.
    pub fn grant_scope(&self, scope: &str) {
        for client in lock(&self.exchange).authority.clients.values_mut() {
            client.granted.insert(scope.to_owned());
        }
    }

    /// Takes a scope back from both clients; tokens already issued lose it too.
    pub fn revoke_scope(&self, scope: &str) {
        lock(&self.exchange).revoke(scope);
    }

    /// Kills the clients' secrets and keys and all access tokens.
    pub fn rotate_secrets(&self) {
        lock(&self.exchange).rotate_secrets();
    }

    /// Kills all access tokens, and the API tokens too if asked.
    pub fn revoke_tokens(&self, api_tokens: bool) {
        lock(&self.exchange).authority.revoke_tokens(api_tokens);
    }

    /// Sets the beginnings of paths that answer 401 `E0000015`: features the org lacks.
    pub fn disable_features<S: Into<String>>(&self, prefixes: impl IntoIterator<Item = S>) {
        lock(&self.exchange).disabled = prefixes.into_iter().map(Into::into).collect();
    }

    /// Lets creates of group rules within this time of each other answer 423 `E0000239`.
    pub fn reconcile_rules_for(&self, time: Duration) {
        lock(&self.exchange).core.rules.reconciling_ms = ms(time);
    }

    /// The mails that the org would have sent.
    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        lock(&self.exchange).core.mails.clone()
    }

    /// How often each type of event is in the System Log, delivered or not.
    #[must_use]
    pub fn events(&self) -> BTreeMap<String, usize> {
        crate::log::tally(&lock(&self.exchange).core.log)
    }

    /// Every object of a type as a GET would show it, by id (`PARENT/KEY` for relations).
    ///
    /// Exceptions: a `group_member` is `{"id"}` of the user alone, and the members of Everyone are
    /// left out; an `app_user_schema` is by the app's id.
    #[must_use]
    pub fn dump(&self, object_type: &str) -> BTreeMap<String, Value> {
        lock(&self.exchange).dump(object_type)
    }

    /// The ids of every object of a type.
    #[must_use]
    pub fn ids(&self, object_type: &str) -> Vec<String> {
        self.dump(object_type).into_keys().collect()
    }

    /// How many requests list the whole org at the largest page sizes, by type.
    #[must_use]
    pub fn minimum_requests(&self) -> BTreeMap<String, usize> {
        lock(&self.exchange).minimum_requests()
    }
}

/// An admin inside the org.
#[derive(Debug, Clone, Copy)]
pub struct Admin<'a> {
    exchange: &'a Mutex<Exchange>,
}

/// What the org answered an admin.
#[derive(Debug, Clone, PartialEq)]
pub struct AdminAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body; null where there was none.
    pub body: Value,
}

impl AdminAnswer {
    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The `id` in the body, or nothing.
    #[must_use]
    pub fn id(&self) -> String {
        self.body
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }
}

impl Admin<'_> {
    /// Makes any request.
    #[must_use]
    pub fn request(&self, method: &Method, path: &str, body: Option<Value>) -> AdminAnswer {
        let departure = lock(self.exchange).administer(method, path, body);
        let body = departure
            .body
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok());
        AdminAnswer {
            status: departure.status,
            body: body.unwrap_or(Value::Null),
        }
    }

    /// `GET path`.
    #[must_use]
    pub fn get(&self, path: &str) -> AdminAnswer {
        self.request(&Method::GET, path, None)
    }

    /// `POST path`.
    pub fn post(&self, path: &str, body: Value) -> AdminAnswer {
        self.request(&Method::POST, path, Some(body))
    }

    /// `PUT path`.
    pub fn put(&self, path: &str, body: Value) -> AdminAnswer {
        self.request(&Method::PUT, path, Some(body))
    }

    /// `DELETE path`.
    pub fn delete(&self, path: &str) -> AdminAnswer {
        self.request(&Method::DELETE, path, None)
    }

    /// Deletes a group.
    pub fn delete_group(&self, id: &str) -> AdminAnswer {
        self.delete(&format!("/api/v1/groups/{id}"))
    }

    /// Deletes a user for good: both steps.
    pub fn delete_user(&self, id: &str) -> AdminAnswer {
        let path = format!("/api/v1/users/{id}");
        let deactivated =
            self.get(&path).body.get("status").and_then(Value::as_str) == Some("DEPROVISIONED");
        if !deactivated {
            self.delete(&path);
        }
        self.delete(&path)
    }

    /// Deactivates and deletes an app.
    pub fn delete_app(&self, id: &str) -> AdminAnswer {
        self.post(
            &format!("/api/v1/apps/{id}/lifecycle/deactivate"),
            Value::Null,
        );
        self.delete(&format!("/api/v1/apps/{id}"))
    }

    /// Deactivates and deletes a group rule; its members stay.
    pub fn delete_rule(&self, id: &str) -> AdminAnswer {
        self.post(
            &format!("/api/v1/groups/rules/{id}/lifecycle/deactivate"),
            Value::Null,
        );
        self.delete(&format!("/api/v1/groups/rules/{id}"))
    }
}
