//! Bounds what refused callers can make the audit log grow by.
//!
//! Each refusal is a row of its own, up to [`EACH_MAX`] a minute and caller; what goes beyond that is counted, and
//! one row tells the number once the minute is over.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::app::App;
use crate::state::audit::{Entry, Peer};

/// How many refusals of one user are rows of their own, within [`WINDOW_SECONDS`].
const EACH_MAX: u32 = 100;
/// How long refusals are counted together, in seconds.
const WINDOW_SECONDS: i64 = 60;

/// The refusals of the last minute, by user.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    windows: Mutex<BTreeMap<u32, Window>>,
}

#[derive(Debug)]
struct Window {
    peer: Peer,
    began: Timestamp,
    noted: u32,
    counted: u64,
}

impl Refusals {
    /// Whether this refusal is to be a row of its own; else it is counted.
    fn is_noted(&self, peer: Peer, now: Timestamp) -> bool {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(peer.uid).or_insert(Window {
            peer: Peer { pid: None, ..peer },
            began: now,
            noted: 0,
            counted: 0,
        });
        if window.noted < EACH_MAX {
            window.noted += 1;
            return true;
        }
        window.counted += 1;
        false
    }

    /// Ends the windows that are over at `now`, all where there is no `now`; whose refusals were counted, and how many.
    fn end(&self, now: Option<Timestamp>) -> Vec<(Peer, u64)> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |window: &Window| {
            now.is_none_or(|now| now.as_second() - window.began.as_second() >= WINDOW_SECONDS)
        };
        let mut over = Vec::new();
        windows.retain(|_, window| {
            if !is_over(window) {
                return true;
            }
            if window.counted > 0 {
                over.push((window.peer, window.counted));
            }
            false
        });
        over
    }
}

impl App {
    /// Notes a refusal, or counts it.
    pub(crate) fn note_refusal(&self, peer: Peer, entry: &Entry) {
        let now = self.clock.now();
        self.note_counted_refusals(Some(now));
        if self.refusals.is_noted(peer, now) {
            self.note_or_log(entry);
        }
    }

    /// Notes the refusals that were counted, once their minute is over: all of them where there is no `now`.
    pub(crate) fn note_counted_refusals(&self, now: Option<Timestamp>) {
        for (peer, count) in self.refusals.end(now) {
            self.note_or_log(&Entry {
                peer: Some(peer),
                action: "refusals.more".to_owned(),
                target: Some(count.to_string()),
                outcome: "forbidden".to_owned(),
            });
        }
    }

    fn note_or_log(&self, entry: &Entry) {
        if let Err(failed) = self.audit(entry) {
            tracing::error!(
                code = failed.code(),
                "A refusal could not be noted in the audit log"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    #[test]
    fn beyond_the_bound_refusals_are_counted_and_told_once() {
        let refusals = Refusals::default();
        let peer = |uid| Peer {
            uid,
            gid: 1,
            pid: Some(9),
        };
        let now = Timestamp::UNIX_EPOCH;
        let noted = (0..EACH_MAX + 7).filter(|_| refusals.is_noted(peer(5), now));
        assert_eq!(noted.count(), 100);
        assert!(refusals.is_noted(peer(6), now), "each user for itself");
        assert_eq!(refusals.end(Some(now + SignedDuration::from_secs(59))), []);
        let minute = now + SignedDuration::from_secs(60);
        let told = Peer {
            pid: None,
            ..peer(5)
        };
        assert_eq!(refusals.end(Some(minute)), [(told, 7)]);
        assert!(refusals.is_noted(peer(5), minute));
        assert_eq!(refusals.end(None), []);
    }
}
