//! The real client: HTTPS to one org, paced, retried and authorized.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use http::Method;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, LINK,
    WWW_AUTHENTICATE,
};
use reqwest::{Certificate, Client, Response};
use serde::Deserialize;
use tokio::runtime::{self, Runtime};
use url::Url;

use super::pacer::{Pacer, bucket, sleep_until, window_left};
use super::tokens::Tokens;
use super::{
    Call, Causes, Credentials, ORGANIZATION_PATH, OktaApi, OktaDomain, OktaError, RateHeaders,
    Reply, domain, link,
};
use crate::clock::Clock;
use crate::monitor::{Monitor, Progress};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;

/// The longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest wait for a whole answer. Okta itself gives up a list after 30 seconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// For how long a connection that is not used is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// The most requests under way at once. Okta's own limit is 15 to 75 for all callers together.
pub const PARALLEL_MAX: usize = 10;

const PARALLEL_DEFAULT: usize = 4;

/// How often a request that is safe to repeat is sent at most.
const ATTEMPTS_DEFAULT: u32 = 5;

/// The first wait before a repetition, in milliseconds; it doubles each time.
const BACKOFF_MILLIS: u64 = 400;

/// The longest wait before a repetition, in milliseconds.
const BACKOFF_MILLIS_MAX: u64 = 20_000;

/// How often one request waits for a rate limit before it is given up.
const RATE_WAITS_MAX: u32 = 60;

/// How long one request waits for rate limits altogether before it is given up, in seconds: many windows.
const RATE_WAIT_SECONDS_MAX: i64 = 3600;

/// How long to wait when a 429 does not say until when, in seconds.
const RATE_WAIT_SECONDS: i64 = 10;

/// The largest answer that is taken, in bytes: a page of 1,000 users is at most a few MiB.
const BODY_BYTES_MAX: usize = 256 << 20;

/// The smallest answer whose memory is used again, in bytes: less is allocated quickly.
const SPARE_BYTES_MIN: usize = 64 << 10;

/// The largest, in bytes: a page of 1,000 users is a megabyte or two.
const SPARE_BYTES_MAX: usize = 4 << 20;

/// How to reach an org.
#[derive(Clone)]
pub struct HttpOptions {
    /// The org.
    pub domain: OktaDomain,
    /// How requests are authorized.
    pub credentials: Credentials,
    /// The scopes to ask for; of no meaning with an API token.
    pub scopes: Vec<String>,
    /// The share of each rate limit that may be used, 1 to 100, in percent of what the headers show.
    pub share_pct: u8,
    /// The most requests under way at once, 1 to [`PARALLEL_MAX`].
    pub parallel: usize,
    /// How often a request that is safe to repeat is sent at most.
    pub attempts: u32,
    /// The id of the org that must answer (`00o…`); `None` while that is being found out.
    pub org_id: Option<String>,
    /// Certificates in PEM that are trusted besides the system's.
    pub extra_ca: Vec<Vec<u8>>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Who hears of requests and waits, and may cancel.
    pub monitor: Arc<dyn Monitor>,
}

impl HttpOptions {
    /// The defaults: half of each rate limit, four requests at once, no scopes.
    #[must_use]
    pub fn new(
        domain: OktaDomain,
        credentials: Credentials,
        clock: Arc<dyn Clock>,
        monitor: Arc<dyn Monitor>,
    ) -> Self {
        Self {
            domain,
            credentials,
            scopes: Vec::new(),
            share_pct: 50,
            parallel: PARALLEL_DEFAULT,
            attempts: ATTEMPTS_DEFAULT,
            org_id: None,
            extra_ca: Vec::new(),
            clock,
            monitor,
        }
    }
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpOptions({}, {:?})", self.domain, self.credentials)
    }
}

/// The client of one org.
///
/// Must be made and dropped on a thread that belongs to no asynchronous runtime.
pub struct Http {
    wire: Wire,
    tokens: Tokens,
    org_id: Option<String>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Http({})", self.wire.domain)
    }
}

/// What `/.well-known/okta-organization` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// The org's id (`00o…`).
    pub id: String,
    /// The hosts of the org: its Okta domain and its custom domain.
    pub hosts: Vec<String>,
}

/// One request as it is sent, without method and path.
pub(super) struct Attempt {
    pub(super) authorization: Option<HeaderValue>,
    pub(super) body: Body,
}

pub(super) enum Body {
    None,
    Json(Vec<u8>),
    Form(String),
}

/// An answer of any status.
pub(super) struct Raw {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// The connection to the org, below authorization.
pub(super) struct Wire {
    pub(super) domain: OktaDomain,
    pub(super) clock: Arc<dyn Clock>,
    monitor: Arc<dyn Monitor>,
    recipe: Recipe,
    /// Those that nobody uses now.
    lanes: Mutex<Vec<Lane>>,
    pacer: Pacer,
    attempts: u32,
    slots: Slots,
    hosts: OnceLock<Vec<String>>,
    /// The memory of earlier large answers, so that not every page of a megabyte is allocated and freed on its own.
    spare: Mutex<Vec<Vec<u8>>>,
}

/// One connection to the org at a time, served by the thread that waits for its answer.
///
/// With one thread of the client's own for all connections, each part of a body was handed from thread to thread.
struct Lane {
    runtime: Runtime,
    client: Client,
}

/// How clients are made.
struct Recipe {
    is_tls: bool,
    is_loopback: bool,
    extra_ca: Vec<Certificate>,
}

/// Why an attempt brought no answer.
enum Lost {
    /// The request cannot have been carried out.
    NotSent(reqwest::Error),
    /// It may have been.
    Unknown(reqwest::Error),
    /// The answer's body cannot be read to its end or unpacked.
    Broken,
    /// The answer is larger than is taken.
    TooLarge,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ErrorBody {
    error_code: String,
    error_summary: String,
    error_causes: Vec<ErrorCause>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ErrorCause {
    error_summary: String,
}

#[derive(Deserialize)]
struct NextBody {
    #[serde(rename = "_links")]
    links: Option<NextLinks>,
}

#[derive(Deserialize)]
struct NextLinks {
    next: Option<Href>,
}

#[derive(Deserialize)]
struct Href {
    href: Option<String>,
}

#[derive(Deserialize)]
struct OrganizationBody {
    id: String,
    #[serde(rename = "_links")]
    links: Option<OrganizationLinks>,
}

#[derive(Deserialize)]
struct OrganizationLinks {
    organization: Option<Href>,
    alternate: Option<Href>,
}

impl Http {
    /// Sets the client up; sends nothing yet.
    ///
    /// # Errors
    ///
    /// [`OktaError::InvalidKey`], or [`OktaError::Client`] when the trust store cannot be loaded.
    pub fn new(options: HttpOptions) -> Result<Self, OktaError> {
        let recipe = Recipe::new(&options)?;
        let first = recipe.lane()?;
        let tokens = Tokens::new(options.credentials, options.scopes)?;
        let wire = Wire {
            recipe,
            lanes: Mutex::new(vec![first]),
            pacer: Pacer::new(options.share_pct),
            attempts: options.attempts.max(1),
            slots: Slots::new(options.parallel.clamp(1, PARALLEL_MAX)),
            hosts: OnceLock::new(),
            spare: Mutex::default(),
            domain: options.domain,
            clock: options.clock,
            monitor: options.monitor,
        };
        Ok(Self {
            wire,
            tokens,
            org_id: options.org_id,
        })
    }

    /// Asks who answers there; needs no token.
    ///
    /// # Errors
    ///
    /// [`OktaError::Unreachable`], or [`OktaError::NotOkta`] when the answer is not an org's.
    pub fn organization(&self) -> Result<Organization, OktaError> {
        let organization = self.wire.organization()?;
        drop(self.wire.hosts.set(organization.hosts.clone()));
        Ok(organization)
    }

    /// Path and query of a next page, if its host is the org's.
    fn next_path(&self, url: &str) -> Result<String, OktaError> {
        let foreign = OktaError::Malformed {
            what: "the next page lies on another host",
        };
        let base = Url::parse(self.wire.domain.as_str())
            .map_err(|_| OktaError::Malformed { what: "a link" })?;
        let url = base
            .join(url)
            .map_err(|_| OktaError::Malformed { what: "a link" })?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        if !domain::same_org(self.wire.domain.host(), host) {
            // Perhaps the okta domain of an org that is called by its custom domain.
            let known = match self.wire.hosts.get() {
                Some(hosts) => hosts.clone(),
                None => self.organization().map(|organization| organization.hosts)?,
            };
            if !known.iter().any(|ours| domain::same_org(ours, host)) {
                return Err(foreign);
            }
        }
        Ok(match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        })
    }

    /// Refuses the answer of another org than the one that is meant: its objects are not to be mixed.
    fn check_org(&self, raw: &Raw) -> Result<(), OktaError> {
        let Some(wanted) = &self.org_id else {
            return Ok(());
        };
        let host = || self.wire.domain.host().to_owned();
        match serde_json::from_slice::<OrganizationBody>(&raw.body) {
            Ok(body) if body.id == *wanted => Ok(()),
            Ok(_) => Err(OktaError::OtherOrg { host: host() }),
            Err(_) => Err(OktaError::NotOkta { host: host() }),
        }
    }

    fn reply(&self, raw: Raw) -> Result<Reply, OktaError> {
        let mut links = Vec::new();
        for value in raw.headers.get_all(LINK) {
            // A link that is passed over would end the list early, and nobody would know.
            let text = std::str::from_utf8(value.as_bytes());
            links.push(text.map_err(|_| OktaError::Malformed { what: "a link" })?);
        }
        let mut next = link::next(links.iter().copied());
        if next.is_none() && links.iter().any(|value| link::promises_next(value)) {
            return Err(OktaError::Malformed { what: "a link" });
        }
        if next.is_none() && raw.body.first() == Some(&b'{') && contains(&raw.body, b"\"next\"") {
            let body: Option<NextBody> = serde_json::from_slice(&raw.body).ok();
            next = body.and_then(|body| body.links?.next?.href);
        }
        let next = next.map(|url| self.next_path(&url)).transpose()?;
        Ok(Reply {
            status: raw.status,
            next,
            date: raw.date(),
            rate: raw.rate(),
            body: raw.body,
        })
    }
}

impl OktaApi for Http {
    fn send(&self, call: &Call) -> Result<Reply, OktaError> {
        let mut renewed = false;
        loop {
            let token = self.tokens.current(&self.wire)?;
            let raw =
                self.wire
                    .exchange(&call.method, &call.path, call.safe_to_repeat, &mut || {
                        Ok(Attempt {
                            authorization: Some(token.header.clone()),
                            body: call.body.clone().map_or(Body::None, Body::Json),
                        })
                    })?;
            if raw.refuses_token() && !renewed && self.tokens.renewable() {
                self.tokens.discard(token.generation);
                renewed = true;
                continue;
            }
            if (200..300).contains(&raw.status) {
                if call.path == ORGANIZATION_PATH {
                    self.check_org(&raw)?;
                }
                return self.reply(raw);
            }
            return Err(raw.refusal());
        }
    }

    fn take_back(&self, body: Vec<u8>) {
        let mut spare = self.wire.spare();
        if (SPARE_BYTES_MIN..=SPARE_BYTES_MAX).contains(&body.capacity())
            && spare.len() < PARALLEL_MAX
        {
            spare.push(body);
        }
    }

    fn base_url(&self) -> &str {
        self.wire.domain.as_str()
    }

    fn granted_scopes(&self) -> Result<Option<Vec<String>>, OktaError> {
        self.tokens.granted(&self.wire)
    }
}

impl Recipe {
    fn new(options: &HttpOptions) -> Result<Self, OktaError> {
        let mut extra_ca = Vec::new();
        for pem in &options.extra_ca {
            extra_ca.extend(Certificate::from_pem_bundle(pem).map_err(client_error)?);
        }
        Ok(Self {
            is_tls: options.domain.is_tls(),
            is_loopback: options.domain.is_loopback(),
            extra_ca,
        })
    }

    fn lane(&self) -> Result<Lane, OktaError> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| OktaError::Runtime { source })?;
        Ok(Lane {
            runtime,
            client: self.client()?,
        })
    }

    fn client(&self) -> Result<Client, OktaError> {
        let mut builder = Client::builder()
            .user_agent(concat!("orgkeep/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_nodelay(true)
            .https_only(self.is_tls);
        if self.is_loopback {
            builder = builder.no_proxy();
        }
        if !self.is_tls {
            // No trust store is needed, and a machine may have none.
            builder = builder.tls_certs_only(Vec::new());
        } else if !self.extra_ca.is_empty() {
            builder = builder.tls_certs_merge(self.extra_ca.clone());
        }
        builder.build().map_err(client_error)
    }
}

fn client_error(source: reqwest::Error) -> OktaError {
    OktaError::Client {
        source: source.without_url(),
    }
}

impl Wire {
    /// The URL of a path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.domain.as_str())
    }

    /// Sends until there is an answer that waiting and repeating do not change.
    ///
    /// # Errors
    ///
    /// No answer, a server error that stays, or a rate limit that stays. All other statuses are returned.
    pub(super) fn exchange(
        &self,
        method: &Method,
        path: &str,
        safe: bool,
        make: &mut dyn FnMut() -> Result<Attempt, OktaError>,
    ) -> Result<Raw, OktaError> {
        let bucket = bucket(method, path);
        let (mut failures, mut rate_waits) = (0, 0);
        let mut waited = SignedDuration::ZERO;
        loop {
            self.pacer
                .enter(&bucket, self.clock.as_ref(), self.monitor.as_ref())?;
            // The pacer must hear of every end of an attempt, also of one that was never made.
            let attempt = match make() {
                Ok(attempt) => attempt,
                Err(error) => {
                    self.pacer.leave(&bucket, self.clock.now(), None, None);
                    return Err(error);
                }
            };
            let slot = self.slots.take();
            let lane = match self.lane() {
                Ok(lane) => lane,
                Err(error) => {
                    self.pacer.leave(&bucket, self.clock.now(), None, None);
                    return Err(error);
                }
            };
            self.monitor.report(Progress::Request);
            let outcome = self.attempt(&lane, method, path, attempt);
            self.lanes().push(lane);
            drop(slot);
            let (rate, date) = outcome
                .as_ref()
                .map_or((None, None), |raw| (raw.rate(), raw.date()));
            self.pacer.leave(&bucket, self.clock.now(), rate, date);
            let error = match outcome {
                Ok(raw) if raw.status == 429 => {
                    rate_waits += 1;
                    if rate_waits > RATE_WAITS_MAX || waited.as_secs() >= RATE_WAIT_SECONDS_MAX {
                        return Err(OktaError::RateLimited);
                    }
                    let before = self.clock.now();
                    self.wait_for_rate(&bucket, &raw, rate_waits)?;
                    waited += self.clock.now().duration_since(before);
                    continue;
                }
                Ok(raw) if raw.status >= 500 => raw.server_error(safe),
                Ok(raw) if safe && raw.is_cut_off(method) => OktaError::Malformed {
                    what: "the body is cut off",
                },
                Ok(raw) => return Ok(raw),
                Err(Lost::TooLarge) if safe => {
                    return Err(OktaError::Malformed {
                        what: "the body is too large",
                    });
                }
                Err(Lost::Broken) if safe => OktaError::Malformed {
                    what: "the body is cut off",
                },
                Err(Lost::NotSent(source)) => self.unreachable(source),
                Err(Lost::Unknown(source)) if safe => self.unreachable(source),
                Err(Lost::Unknown(_) | Lost::Broken | Lost::TooLarge) => OktaError::LostAnswer,
            };
            failures += 1;
            if failures >= self.attempts || matches!(error, OktaError::LostAnswer) {
                return Err(error);
            }
            self.back_off(failures)?;
        }
    }

    fn lanes(&self) -> MutexGuard<'_, Vec<Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lane(&self) -> Result<Lane, OktaError> {
        let free = self.lanes().pop();
        free.map_or_else(|| self.recipe.lane(), Ok)
    }

    fn attempt(
        &self,
        lane: &Lane,
        method: &Method,
        path: &str,
        attempt: Attempt,
    ) -> Result<Raw, Lost> {
        let mut request = lane
            .client
            .request(method.clone(), self.url(path))
            .header(ACCEPT, "application/json");
        if let Some(authorization) = attempt.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request = match attempt.body {
            Body::Json(json) => request.header(CONTENT_TYPE, "application/json").body(json),
            Body::Form(form) => request
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form),
            // An empty body still needs `Content-Length: 0`, or Okta answers 411.
            Body::None if matches!(*method, Method::POST | Method::PUT | Method::PATCH) => request
                .header(CONTENT_TYPE, "application/json")
                .header(CONTENT_LENGTH, 0),
            Body::None => request,
        };
        let lost = |error: reqwest::Error| {
            let error = error.without_url();
            if error.is_connect() || error.is_builder() {
                Lost::NotSent(error)
            } else {
                Lost::Unknown(error)
            }
        };
        lane.runtime.block_on(async {
            // Nobody looked at the connection since its last answer: whether it was closed meanwhile is seen in the first
            // round, and made known in the second.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            let response = request.send().await.map_err(lost)?;
            read(response, || self.spare().pop()).await
        })
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unreachable(&self, source: reqwest::Error) -> OktaError {
        OktaError::Unreachable {
            host: self.domain.host().to_owned(),
            source,
        }
    }

    /// Waits out a 429. The request was not carried out, so any method may be sent again.
    fn wait_for_rate(&self, bucket: &str, raw: &Raw, waits: u32) -> Result<(), OktaError> {
        let now = self.clock.now();
        let concurrency = raw.rate().is_some_and(|rate| rate.limit == 0);
        let until = match raw.rate() {
            Some(rate) if !concurrency => now.checked_add(window_left(rate, raw.date(), now)),
            // Too many at once: a second or two, and fewer from now on.
            Some(_) => {
                self.slots.lower();
                let millis = 1000 + random(1000)?;
                now.checked_add(SignedDuration::from_millis(
                    i64::try_from(millis).unwrap_or(1000),
                ))
            }
            None => now.checked_add(SignedDuration::from_secs(
                RATE_WAIT_SECONDS.min(1 << waits.min(10)),
            )),
        };
        let until = until.unwrap_or(now);
        if let Ok(millis) = u64::try_from(until.duration_since(now).as_millis()) {
            self.monitor.report(Progress::RateLimited { millis });
        }
        if !concurrency && raw.rate().is_some() {
            self.pacer.exhausted(bucket, until);
        }
        sleep_until(until, self.clock.as_ref(), self.monitor.as_ref())
    }

    /// Full jitter: anything up to a bound that doubles with each failure.
    fn back_off(&self, failures: u32) -> Result<(), OktaError> {
        let bound = BACKOFF_MILLIS
            .saturating_mul(1 << failures.min(16))
            .min(BACKOFF_MILLIS_MAX);
        let millis = i64::try_from(random(bound)?).unwrap_or(0);
        let now = self.clock.now();
        let until = now
            .checked_add(SignedDuration::from_millis(millis))
            .unwrap_or(now);
        sleep_until(until, self.clock.as_ref(), self.monitor.as_ref())
    }

    fn organization(&self) -> Result<Organization, OktaError> {
        let raw = self.exchange(&Method::GET, ORGANIZATION_PATH, true, &mut || {
            Ok(Attempt {
                authorization: None,
                body: Body::None,
            })
        });
        let not_okta = || OktaError::NotOkta {
            host: self.domain.host().to_owned(),
        };
        let raw = match raw {
            Ok(raw) if raw.status == 200 => raw,
            Ok(_) | Err(OktaError::Malformed { .. }) => return Err(not_okta()),
            Err(error) => return Err(error),
        };
        let body: OrganizationBody = serde_json::from_slice(&raw.body).map_err(|_| not_okta())?;
        if body.id.is_empty() {
            return Err(not_okta());
        }
        let links = body
            .links
            .map(|links| [links.organization, links.alternate])
            .unwrap_or_default();
        let hosts = links
            .into_iter()
            .filter_map(|link| Url::parse(&link?.href?).ok()?.host_str().map(str::to_owned))
            .collect();
        Ok(Organization { id: body.id, hosts })
    }
}

/// A random number below `bound` (or 0).
fn random(bound: u64) -> Result<u64, OktaError> {
    Ok(getrandom::u64()?.checked_rem(bound).unwrap_or(0))
}

/// Reads an answer; a large body goes where an earlier one was.
async fn read(
    mut response: Response,
    spare: impl FnOnce() -> Option<Vec<u8>>,
) -> Result<Raw, Lost> {
    let status = response.status().as_u16();
    let announced = response
        .content_length()
        .and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(Lost::TooLarge);
    }
    let is_large = announced.is_none_or(|length| length >= SPARE_BYTES_MIN);
    let mut body = is_large.then(spare).flatten().unwrap_or_default();
    body.clear();
    body.reserve_exact(announced.unwrap_or(0));
    let lost = |error: reqwest::Error| {
        if error.is_decode() {
            Lost::Broken
        } else {
            Lost::Unknown(error.without_url())
        }
    };
    while let Some(part) = response.chunk().await.map_err(lost)? {
        // What is packed may be small and come out large: the bound is on what comes out.
        if body.len() + part.len() > BODY_BYTES_MAX {
            return Err(Lost::TooLarge);
        }
        body.extend_from_slice(&part);
    }
    Ok(Raw {
        status,
        headers: std::mem::take(response.headers_mut()),
        body,
    })
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

impl Raw {
    fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn rate(&self) -> Option<RateHeaders> {
        Some(RateHeaders {
            limit: self.text("x-rate-limit-limit")?.trim().parse().ok()?,
            remaining: self.text("x-rate-limit-remaining")?.trim().parse().ok()?,
            reset: self.text("x-rate-limit-reset")?.trim().parse().ok()?,
        })
    }

    fn date(&self) -> Option<Timestamp> {
        let text = self.text(DATE.as_str())?;
        jiff::fmt::rfc2822::DateTimeParser::new()
            .parse_timestamp(text)
            .ok()
    }

    fn error(&self) -> ErrorBody {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether the token is refused, as against a feature that the org lacks or a permission that is missing.
    fn refuses_token(&self) -> bool {
        match self.status {
            401 => self.error().error_code != "E0000015",
            403 => self.error().error_code == "E0000005",
            _ => false,
        }
    }

    /// Whether the body of a read answer does not end as JSON does.
    fn is_cut_off(&self, method: &Method) -> bool {
        if *method != Method::GET || self.status != 200 {
            return false;
        }
        let body = self.body.trim_ascii();
        !matches!(
            (body.first(), body.last()),
            (Some(b'['), Some(b']')) | (Some(b'{'), Some(b'}'))
        )
    }

    fn server_error(&self, safe: bool) -> OktaError {
        let code = self.error().error_code;
        // Read-only mode and an unavailable index refuse before anything is done.
        let untouched = matches!(code.as_str(), "E0000010" | "E0000100");
        if !safe && !untouched {
            return OktaError::LostAnswer;
        }
        OktaError::Failed {
            status: self.status,
            code,
        }
    }

    fn refusal(&self) -> OktaError {
        let error = self.error();
        let code = error.error_code;
        match (self.status, code.as_str()) {
            (401, "E0000015") | (404, "E0000008") | (405, "E0000022") | (410, _) => {
                OktaError::NotAvailable {
                    code: if code.is_empty() {
                        self.status.to_string()
                    } else {
                        code
                    },
                }
            }
            (401, "") => OktaError::Unauthorized {
                error: "401".to_owned(),
            },
            (401, _) | (403, "E0000005") => OktaError::Unauthorized { error: code },
            (403, _) if self.lacks_scope() => OktaError::MissingScopes {
                scopes: self.challenged_scopes(),
            },
            (404, "") => OktaError::NotFound { code: None },
            (404, _) => OktaError::NotFound { code: Some(code) },
            _ => {
                let causes = error
                    .error_causes
                    .into_iter()
                    .map(|cause| cause.error_summary);
                let texts = std::iter::once(error.error_summary).chain(causes);
                OktaError::Refused {
                    status: self.status,
                    code,
                    causes: Causes(texts.collect()),
                }
            }
        }
    }

    fn lacks_scope(&self) -> bool {
        self.text(WWW_AUTHENTICATE.as_str())
            .is_some_and(|text| text.contains("insufficient_scope"))
    }

    /// The scopes that the challenge names, where it does.
    fn challenged_scopes(&self) -> Vec<String> {
        let challenge = self.text(WWW_AUTHENTICATE.as_str()).unwrap_or_default();
        let named = challenge
            .split_once("scope=\"")
            .and_then(|(_, rest)| rest.split_once('"'));
        named
            .map(|(scopes, _)| scopes.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default()
    }
}

/// Bounds how many requests are under way at once; the bound can be lowered.
struct Slots {
    state: Mutex<(usize, usize)>,
    freed: Condvar,
}

/// Gives its place back when dropped.
struct Slot<'a>(&'a Slots);

impl Slots {
    fn new(max: usize) -> Self {
        Self {
            state: Mutex::new((0, max)),
            freed: Condvar::new(),
        }
    }

    fn take(&self) -> Slot<'_> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self
            .freed
            .wait_while(state, |(used, max)| *used >= *max)
            .unwrap_or_else(PoisonError::into_inner);
        state.0 += 1;
        Slot(self)
    }

    fn lower(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 = (state.1 / 2).max(1);
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = state.0.saturating_sub(1);
        drop(state);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests;
