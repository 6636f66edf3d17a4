//! Paces requests by what the org's own answers say about its rate limits.
//!
//! Each bucket (a pattern of URLs that share a limit) is learned from the `X-Rate-Limit-*` headers. Of the
//! number that `X-Rate-Limit-Limit` shows, at most the configured share is used in one window; then the next
//! request waits for the window's end by the server's clock, plus a second. The first request of an unknown
//! bucket goes alone. An org that sends no headers is not paced.
//!
//! Which URLs share a bucket is taken from Okta's last published table; unlisted paths are taken together,
//! because they shared one bucket there. A wrong guess costs little: every answer corrects what is known.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{OktaError, RateHeaders};
use crate::clock::Clock;
use crate::monitor::{Monitor, Progress};

/// The longest sleep before looking whether the job was cancelled.
const SLICE: Duration = Duration::from_millis(250);

/// How long an unknown window is taken to last, in seconds: Okta's normal window.
const WINDOW_SECONDS: i64 = 60;

/// The longest window that is believed, in seconds: an end that lies further off is a mistake of the server's.
const WINDOW_SECONDS_MAX: i64 = 15 * 60;

/// The part of the limit that is left to others when they use the bucket too: one in this many.
const RESERVE: u32 = 10;

/// The pace of one client against one org.
#[derive(Debug)]
pub(super) struct Pacer {
    share_pct: u32,
    buckets: Mutex<HashMap<String, Bucket>>,
    learned: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Knowledge {
    /// No answer yet.
    #[default]
    Unknown,
    /// Answers carry no rate-limit headers.
    Unlimited,
    Limited,
}

#[derive(Debug, Default)]
struct Bucket {
    knowledge: Knowledge,
    limit: u32,
    remaining: u32,
    /// The window's end by the server's clock; tells windows apart.
    reset: i64,
    /// The window's end by our clock, a second added.
    resumes_at: Option<Timestamp>,
    /// Our own requests in this window.
    used: u32,
    in_flight: u32,
    /// Up to when a wait was already reported.
    reported: Option<Timestamp>,
}

#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Go,
    /// Another request is finding out.
    Learn,
    Wait(Timestamp),
}

/// The bucket of a request: a stable text, for methods and paths as Okta's table groups them.
pub(super) fn bucket(method: &http::Method, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let (root, version) = (
        segments.next().unwrap_or_default(),
        segments.next().unwrap_or_default(),
    );
    if (root, version) != ("api", "v1") {
        return format!("/{root}/{version}");
    }
    let collection = segments.next().unwrap_or_default();
    let under = segments.count();
    let read = method == http::Method::GET;
    match (collection, under) {
        ("apps" | "groups", 1) => format!("/{collection}/id"),
        ("users", 1) if read => "GET /users/id".to_owned(),
        ("users", 1) => "/users/id".to_owned(),
        (
            "apps" | "groups" | "users" | "logs" | "iam" | "devices" | "domains" | "agentPools",
            _,
        ) => {
            format!("/{collection}")
        }
        _ => "/".to_owned(),
    }
}

impl Bucket {
    fn allowed(&self, share_pct: u32) -> u32 {
        let share = u64::from(self.limit) * u64::from(share_pct) / 100;
        u32::try_from(share).unwrap_or(u32::MAX).max(1)
    }

    fn decide(&mut self, now: Timestamp, share_pct: u32) -> Decision {
        match self.knowledge {
            Knowledge::Unlimited => return Decision::Go,
            Knowledge::Unknown if self.in_flight == 0 => return Decision::Go,
            Knowledge::Unknown => return Decision::Learn,
            Knowledge::Limited => {}
        }
        let resumes_at = match self.resumes_at {
            Some(at) if now < at => at,
            _ => {
                // The window is over; the next answer tells when the new one ends.
                let end = now
                    .saturating_add(SignedDuration::from_secs(WINDOW_SECONDS + 1))
                    .unwrap_or(now);
                self.resumes_at = Some(end);
                self.used = self.in_flight;
                self.remaining = self.limit.saturating_sub(self.in_flight);
                end
            }
        };
        let reserve = if share_pct < 100 {
            self.limit / RESERVE
        } else {
            0
        };
        let spent = self.used >= self.allowed(share_pct);
        let scarce = self.used > 0 && self.remaining <= reserve;
        if spent || scarce {
            Decision::Wait(resumes_at)
        } else {
            Decision::Go
        }
    }

    fn enter(&mut self) {
        self.in_flight += 1;
        self.used = self.used.saturating_add(1);
        self.remaining = self.remaining.saturating_sub(1);
    }

    fn learn(&mut self, now: Timestamp, rate: Option<RateHeaders>, date: Option<Timestamp>) {
        let Some(rate) = rate else {
            if self.knowledge == Knowledge::Unknown {
                self.knowledge = Knowledge::Unlimited;
            }
            return;
        };
        // A limit of zero tells of too many requests at once, nothing about the bucket.
        if rate.limit == 0 {
            return;
        }
        if self.knowledge != Knowledge::Limited || rate.reset > self.reset {
            self.used = self.in_flight.saturating_add(1).min(self.used.max(1));
        }
        self.knowledge = Knowledge::Limited;
        self.limit = rate.limit;
        self.reset = self.reset.max(rate.reset);
        self.remaining = rate.remaining.saturating_sub(self.in_flight);
        self.resumes_at = now.checked_add(window_left(rate, date, now)).ok();
    }
}

/// How long the window still lasts, a second added: by the server's own two times, so that our clock does not
/// matter. An end that cannot be (it lies far off) counts as that of a normal window.
pub(super) fn window_left(
    rate: RateHeaders,
    date: Option<Timestamp>,
    now: Timestamp,
) -> SignedDuration {
    let server_now = date.unwrap_or(now).as_second();
    let left = rate.reset.saturating_sub(server_now).max(0);
    let believed = if left > WINDOW_SECONDS_MAX {
        WINDOW_SECONDS
    } else {
        left
    };
    SignedDuration::from_secs(believed + 1)
}

impl Pacer {
    /// `share_pct`: 1 to 100, of the limit that the headers show.
    pub(super) fn new(share_pct: u8) -> Self {
        Self {
            share_pct: u32::from(share_pct.clamp(1, 100)),
            buckets: Mutex::default(),
            learned: Condvar::new(),
        }
    }

    /// Waits until a request of the bucket may go. Every successful call is followed by [`Pacer::leave`].
    ///
    /// # Errors
    ///
    /// [`OktaError::Cancelled`].
    pub(super) fn enter(
        &self,
        bucket: &str,
        clock: &dyn Clock,
        monitor: &dyn Monitor,
    ) -> Result<(), OktaError> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if monitor.is_cancelled() {
                return Err(OktaError::Cancelled);
            }
            let now = clock.now();
            let state = buckets.entry(bucket.to_owned()).or_default();
            match state.decide(now, self.share_pct) {
                Decision::Go => {
                    state.enter();
                    return Ok(());
                }
                Decision::Learn => {
                    let waited = self.learned.wait_timeout(buckets, SLICE);
                    buckets = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Decision::Wait(until) => {
                    let first = state.reported.is_none_or(|reported| reported < until);
                    state.reported = state.reported.max(Some(until));
                    drop(buckets);
                    if first {
                        report_wait(now, until, monitor);
                    }
                    sleep_until(until, clock, monitor)?;
                    buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Takes note of an answer, or of none.
    pub(super) fn leave(
        &self,
        bucket: &str,
        now: Timestamp,
        rate: Option<RateHeaders>,
        date: Option<Timestamp>,
    ) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let state = buckets.entry(bucket.to_owned()).or_default();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.learn(now, rate, date);
        drop(buckets);
        self.learned.notify_all();
    }

    /// The bucket is exhausted: nothing goes before `until`.
    pub(super) fn exhausted(&self, bucket: &str, until: Timestamp) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let state = buckets.entry(bucket.to_owned()).or_default();
        state.knowledge = Knowledge::Limited;
        state.limit = state.limit.max(1);
        state.remaining = 0;
        state.used = state.used.max(u32::MAX / 2);
        state.resumes_at = state.resumes_at.max(Some(until));
    }
}

fn report_wait(now: Timestamp, until: Timestamp, monitor: &dyn Monitor) {
    let millis = until.duration_since(now).as_millis();
    if let Ok(millis) = u64::try_from(millis) {
        monitor.report(Progress::RateLimited { millis });
    }
}

/// Sleeps in slices, so that a cancelled job ends soon.
///
/// # Errors
///
/// [`OktaError::Cancelled`].
pub(super) fn sleep_until(
    until: Timestamp,
    clock: &dyn Clock,
    monitor: &dyn Monitor,
) -> Result<(), OktaError> {
    loop {
        if monitor.is_cancelled() {
            return Err(OktaError::Cancelled);
        }
        let left = until.duration_since(clock.now());
        let Ok(left) = Duration::try_from(left) else {
            return Ok(());
        };
        if left.is_zero() {
            return Ok(());
        }
        clock.sleep(left.min(SLICE));
    }
}

#[cfg(test)]
mod tests;
