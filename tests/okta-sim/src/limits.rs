//! Rate limits: the buckets as last published, and each token's share of them.

use std::collections::HashMap;

/// How the simulated org limits requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RateLimits {
    /// No limits, and no headers.
    #[default]
    Off,
    /// The published limits of a workforce org.
    Published,
    /// The published limits times this.
    Times(u32),
    /// This many requests a minute in every bucket.
    PerMinute(u32),
}

impl std::str::FromStr for RateLimits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |digits: &str| {
            digits
                .parse()
                .map_err(|_| format!("'{text}' is no rate limit"))
        };
        match text {
            "off" => Ok(Self::Off),
            "published" => Ok(Self::Published),
            _ => match (text.strip_prefix('x'), text.strip_suffix("/min")) {
                (Some(times), _) => number(times).map(Self::Times),
                (_, Some(count)) => number(count).map(Self::PerMinute),
                _ => Err(format!("'{text}' is none of: off, published, xN, N/min")),
            },
        }
    }
}

/// A bucket of requests that count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Bucket {
    pub(crate) name: &'static str,
    /// Requests a minute for the whole org.
    per_minute: u32,
}

/// What the headers say after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    /// UTC seconds since 1970.
    pub(crate) reset: i64,
    pub(crate) exceeded: bool,
}

/// The counters.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) mode: RateLimits,
    /// Milliseconds of a window.
    pub(crate) window_ms: i64,
    /// How many requests may be answered at once.
    pub(crate) concurrent_max: usize,
    used: HashMap<(String, &'static str), Window>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    started: i64,
    count: u32,
}

impl Limits {
    /// No limits.
    pub(crate) fn off() -> Self {
        Self {
            mode: RateLimits::Off,
            window_ms: 60_000,
            concurrent_max: 75,
            used: HashMap::new(),
        }
    }

    /// Counts a request; `None` when limits are off.
    pub(crate) fn count(&mut self, caller: &str, bucket: Bucket, now: i64) -> Option<Standing> {
        let limit = self.share(bucket)?;
        let key = (caller.to_owned(), bucket.name);
        let window = self.used.entry(key).or_insert(Window {
            started: now,
            count: 0,
        });
        if now - window.started >= self.window_ms {
            *window = Window {
                started: now,
                count: 0,
            };
        }
        window.count = window.count.saturating_add(1);
        Some(Standing {
            limit,
            remaining: limit.saturating_sub(window.count),
            reset: (window.started + self.window_ms + 999).div_euclid(1000),
            exceeded: window.count > limit,
        })
    }

    /// What a token may use of a bucket: half.
    pub(crate) fn share(&self, bucket: Bucket) -> Option<u32> {
        let whole = match self.mode {
            RateLimits::Off => return None,
            RateLimits::Published => bucket.per_minute,
            RateLimits::Times(n) => bucket.per_minute.saturating_mul(n),
            RateLimits::PerMinute(n) => n.saturating_mul(2),
        };
        Some((whole / 2).max(1))
    }

    /// How much each caller has used of each bucket in the window that began last.
    pub(crate) fn usage(&self) -> Vec<(String, &'static str, u32)> {
        let mut all: Vec<_> = self
            .used
            .iter()
            .map(|((caller, bucket), window)| (caller.clone(), *bucket, window.count))
            .collect();
        all.sort();
        all
    }
}

/// The bucket a request counts in.
pub(crate) fn bucket(method: &str, path: &[&str]) -> Bucket {
    let of = |name, per_minute| Bucket { name, per_minute };
    match path {
        ["oauth2", "v1", "token"] => of("/oauth2/v1/token", 300),
        ["oauth2", "v1", "clients", ..] => of("/oauth2/v1/clients", 100),
        ["api", "v1", "apps", _] => of("/api/v1/apps/{id}", 500),
        ["api", "v1", "apps", ..] => of("/api/v1/apps", 100),
        ["api", "v1", "groups", id] if *id != "rules" => of("/api/v1/groups/{id}", 1000),
        ["api", "v1", "groups", ..] => of("/api/v1/groups", 500),
        ["api", "v1", "users"] => of("/api/v1/users", 600),
        ["api", "v1", "users", _] if method == "GET" => of("GET /api/v1/users/{id}", 2000),
        ["api", "v1", "users", _] => of("/api/v1/users/{id}", 600),
        ["api", "v1", "logs"] => of("/api/v1/logs", 120),
        ["api", "v1", "iam", ..] => of("/api/v1/iam", 200),
        ["api", "v1", "devices" | "certificateAuthorities", ..] => of("/api/v1/devices", 100),
        _ => of("/api/v1", 1200),
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, RateLimits, bucket};

    #[test]
    fn a_token_has_half_a_bucket_and_the_window_starts_with_its_first_request() {
        let mut limits = Limits {
            mode: RateLimits::Published,
            ..Limits::off()
        };
        let list = bucket("GET", &["api", "v1", "apps"]);
        assert_eq!(list, bucket("GET", &["api", "v1", "apps", "0oa1", "users"]));
        assert_ne!(list, bucket("GET", &["api", "v1", "apps", "0oa1"]));
        for n in 1..=50 {
            let standing = limits.count("a", list, 5_500).unwrap();
            assert_eq!(
                (standing.limit, standing.remaining, standing.reset),
                (50, 50 - n, 66)
            );
            assert!(!standing.exceeded);
        }
        assert!(limits.count("a", list, 65_000).unwrap().exceeded);
        assert!(!limits.count("b", list, 65_000).unwrap().exceeded);
        assert!(!limits.count("a", list, 65_500).unwrap().exceeded);
    }
}
