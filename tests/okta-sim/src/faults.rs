//! Faults that tests plan: which request they hit, and what happens to it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::random::{below, hash};

/// A planned fault.
///
/// It hits requests whose method and path match, from the `nth` match on (counted from 1), at most
/// `times` times, each with `probability` (seeded, so that a run can be repeated).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// The method; `*` is any.
    #[serde(default = "any")]
    pub method: String,
    /// The path, in which `*` stands for any text; `/api/v1/groups/*/users`. With a `?`, the query is matched too.
    pub path: String,
    /// What happens.
    pub action: FaultAction,
    /// The first match that is hit.
    #[serde(default = "one")]
    pub nth: u64,
    /// How often it hits; `None` is for ever.
    #[serde(default)]
    pub times: Option<u64>,
    /// The share of matches that are hit, 0 to 1.
    #[serde(default = "certain")]
    pub probability: f64,
    #[serde(skip)]
    matches: u64,
    #[serde(skip)]
    hits: u64,
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultAction {
    /// Answers this status instead of handling the request, with Okta's error body or none.
    Status {
        /// The status.
        status: u16,
        /// With a body.
        #[serde(default)]
        body: bool,
    },
    /// Closes the connection; the request is not handled.
    ResetBefore,
    /// Handles the request, then closes the connection: the write happened, its answer is lost.
    ResetAfter,
    /// Sends half of the body, then closes the connection.
    Truncate,
    /// Sends the body in pieces over this many milliseconds.
    Slow {
        /// Milliseconds.
        ms: u64,
    },
    /// Answers 429 with an exhausted bucket that is free again in `seconds`.
    RateLimit {
        /// Seconds until the reset that the headers name.
        seconds: i64,
    },
    /// Answers the 429 of the concurrency limit.
    Concurrency,
    /// Revokes every access token, before the request is handled.
    RevokeTokens,
    /// Kills every cursor issued so far, before the request is handled.
    ExpireCursors,
    /// After a page of users, groups or apps: moves objects of its first places to the end and back.
    MoveObjects {
        /// How many objects change places with how many others.
        count: usize,
    },
    /// Takes a scope back from every client, before the request is handled.
    RevokeScope {
        /// The scope.
        scope: String,
    },
    /// Gives the clients new credentials, before the request is handled: the old ones are dead.
    RotateSecret,
    /// Changes the org by these requests, with an admin's rights, before the request is handled.
    Change {
        /// The requests, in order.
        requests: Vec<Change>,
    },
}

/// A request that changes the org.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The body.
    #[serde(default)]
    pub body: Option<Value>,
}

fn any() -> String {
    "*".to_owned()
}

fn one() -> u64 {
    1
}

fn certain() -> f64 {
    1.0
}

impl Fault {
    /// A fault that hits every matching request.
    #[must_use]
    pub fn on(method: &str, path: &str, action: FaultAction) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            action,
            nth: 1,
            times: None,
            probability: 1.0,
            matches: 0,
            hits: 0,
        }
    }

    /// Hits once, the first match.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Hits from the `nth` match on.
    #[must_use]
    pub fn nth(self, nth: u64) -> Self {
        Self { nth, ..self }
    }

    /// Hits at most `times` times.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    /// Hits this share of the matches.
    #[must_use]
    pub fn probability(self, probability: f64) -> Self {
        Self {
            probability,
            ..self
        }
    }

    fn matches(&self, method: &str, path: &str, query: &str) -> bool {
        let method_fits = self.method == "*" || self.method.eq_ignore_ascii_case(method);
        if self.path.contains('?') {
            return method_fits && glob(&self.path, &format!("{path}?{query}"));
        }
        method_fits && glob(&self.path, path)
    }

    fn hit(&mut self, seed: u64) -> bool {
        self.matches += 1;
        if self.matches < self.nth || self.times.is_some_and(|times| self.hits >= times) {
            return false;
        }
        let roll = below(hash(seed, 0x6661_756c, self.matches), 1_000_000);
        #[expect(clippy::cast_precision_loss, reason = "below a million, exact")]
        let hit = (roll as f64) < self.probability * 1_000_000.0;
        self.hits += u64::from(hit);
        hit
    }
}

/// Whether `text` is `pattern`, in which `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(rest) = text.strip_prefix(head) else {
        return false;
    };
    rest.char_indices()
        .map(|(at, _)| at)
        .chain([rest.len()])
        .any(|at| rest.get(at..).is_some_and(|rest| glob(tail, rest)))
}

/// The planned faults.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    planned: Vec<Fault>,
}

impl Faults {
    /// Plans one more.
    pub(crate) fn add(&mut self, fault: Fault) {
        self.planned.push(fault);
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.planned.clear();
    }

    /// What happens to this request, in the order of planning.
    pub(crate) fn on(
        &mut self,
        seed: u64,
        method: &str,
        path: &str,
        query: &str,
    ) -> Vec<FaultAction> {
        self.planned
            .iter_mut()
            .filter(|fault| fault.matches(method, path, query))
            .filter_map(|fault| fault.hit(seed).then(|| fault.action.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, FaultAction, Faults, glob};

    #[test]
    fn patterns_match_whole_paths() {
        assert!(glob("/api/v1/groups/*/users", "/api/v1/groups/00g1/users"));
        assert!(!glob(
            "/api/v1/groups/*/users",
            "/api/v1/groups/00g1/users/00u1"
        ));
        assert!(glob("*", "/anything"));
        assert!(!glob("/api/v1/users", "/api/v1/users/00u1"));
    }

    #[test]
    fn a_fault_hits_from_the_nth_match_as_often_as_planned() {
        let mut faults = Faults::default();
        faults.add(
            Fault::on("GET", "/api/v1/users", FaultAction::ResetBefore)
                .nth(2)
                .times(2),
        );
        let hits: Vec<usize> = (0..5)
            .map(|_| faults.on(1, "GET", "/api/v1/users", "").len())
            .collect();
        assert_eq!(hits, [0, 1, 1, 0, 0]);
        assert!(faults.on(1, "POST", "/api/v1/users", "").is_empty());
    }
}
