//! The System Log as a hint: which objects were touched since a position.
//!
//! The log is polled (no `until`, ascending): events come in the order in which they were persisted, and every page
//! has a `next`, an empty one too. That link, and nothing made from `published`, is the position.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::LOG_SCOPE;
use super::read::Reader;
use crate::clock::{self, Clock};
use crate::okta::{Call, OktaError, Reply};

/// The most pages of events that are read again after one sweep: half a million events. An org with more is
/// listed once more instead.
const PAGES_MAX: u64 = 500;

/// How long to wait between two looks at the log.
const POLL: Duration = Duration::from_millis(500);

/// One event, as far as it matters.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    #[serde(default)]
    uuid: String,
    pub(super) event_type: String,
    #[serde(default)]
    outcome: Option<EventOutcome>,
    #[serde(default)]
    target: Option<Vec<Target>>,
}

#[derive(Debug, Clone, Deserialize)]
struct EventOutcome {
    #[serde(default)]
    result: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Target {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default, rename = "type")]
    pub(super) target_type: Option<String>,
}

impl Event {
    /// Whether something may have changed: anything but a clear refusal.
    fn may_have_changed(&self) -> bool {
        let result = self
            .outcome
            .as_ref()
            .and_then(|outcome| outcome.result.as_deref());
        !matches!(result, Some("FAILURE" | "DENY"))
    }

    /// The ids of its targets, with their types.
    pub(super) fn targets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.target.iter().flatten().filter_map(|target| {
            Some((
                target.target_type.as_deref().unwrap_or_default(),
                target.id.as_deref()?,
            ))
        })
    }
}

/// How long the log is followed.
pub(super) struct Settle<'a> {
    /// When the sweep ended.
    pub(super) since: Timestamp,
    /// How long after that its events may still come.
    pub(super) wait: Duration,
    pub(super) clock: &'a dyn Clock,
}

impl Settle<'_> {
    /// Whether the log has had its time.
    pub(super) fn is_over(&self) -> bool {
        let wait = SignedDuration::try_from(self.wait).unwrap_or(SignedDuration::ZERO);
        self.clock.now().duration_since(self.since) >= wait
    }

    /// Waits a little.
    pub(super) fn wait(&self, reader: &Reader<'_>) -> Result<(), OktaError> {
        reader.check_cancelled()?;
        self.clock.sleep(POLL.min(self.wait));
        reader.check_cancelled()
    }
}

/// The end of the log, followed from a position.
#[derive(Debug)]
pub(super) struct Tail {
    /// `None`: the log cannot be read.
    next: Option<String>,
    /// Events that came with the position.
    first: Vec<Event>,
    known: BTreeSet<String>,
    pages: u64,
}

impl Tail {
    /// Takes the position as of now. A log that cannot be read is no error.
    pub(super) fn open(reader: &Reader<'_>, as_of: Timestamp) -> Result<Self, OktaError> {
        let mut tail = Self {
            next: None,
            first: Vec::new(),
            known: BTreeSet::new(),
            pages: 0,
        };
        if !reader.has_scope(LOG_SCOPE) {
            return Ok(tail);
        }
        let since = clock::to_text(as_of).replace(':', "%3A");
        tail.next = Some(format!(
            "/api/v1/logs?since={since}&sortOrder=ASCENDING&limit=1000"
        ));
        match tail.page(reader) {
            Ok(events) => tail.first = events,
            Err(error @ (OktaError::Unauthorized { .. } | OktaError::Cancelled)) => {
                return Err(error);
            }
            Err(_) => tail.next = None,
        }
        Ok(tail)
    }

    /// Whether the log can be read.
    pub(super) fn is_readable(&self) -> bool {
        self.next.is_some()
    }

    /// Path and query from which a later run goes on.
    pub(super) fn position(&self) -> Option<String> {
        self.next.clone()
    }

    /// The fewest requests that reading the log took.
    pub(super) fn pages_minimum(&self) -> u64 {
        self.pages.min(2)
    }

    /// Gives the log up; what it would have told must be found out otherwise.
    pub(super) fn give_up(&mut self) {
        self.next = None;
    }

    /// The events since the last call, up to an empty page.
    ///
    /// # Errors
    ///
    /// When the log cannot be read any more, or has too many events.
    pub(super) fn read_new(&mut self, reader: &Reader<'_>) -> Result<Vec<Event>, OktaError> {
        let mut events = std::mem::take(&mut self.first);
        loop {
            reader.check_cancelled()?;
            if self.pages >= PAGES_MAX {
                return Err(OktaError::Malformed {
                    what: "the log has too many events to follow",
                });
            }
            let position = self.next.clone();
            let page = self.page(reader)?;
            // An empty page is the end for now; so is a link that leads nowhere else.
            if page.is_empty() || self.next == position {
                events.extend(page);
                break;
            }
            events.extend(page);
        }
        events.retain(|event| event.uuid.is_empty() || self.known.insert(event.uuid.clone()));
        events.retain(Event::may_have_changed);
        Ok(events)
    }

    fn page(&mut self, reader: &Reader<'_>) -> Result<Vec<Event>, OktaError> {
        let Some(path) = self.next.clone() else {
            return Ok(Vec::new());
        };
        let Reply { body, next, .. } = reader.api.send(&Call::get(path))?;
        self.pages += 1;
        let events = serde_json::from_slice(&body).map_err(|_| OktaError::Malformed {
            what: "a page of the log is no list of events",
        })?;
        let stays = |next: &String| next.starts_with("/api/v1/logs?");
        match next.filter(stays) {
            Some(next) => self.next = Some(next),
            None => {
                return Err(OktaError::Malformed {
                    what: "the log does not say where it goes on",
                });
            }
        }
        Ok(events)
    }
}
