//! What happens to jobs, as it happens: a bounded ring of events that streams read from.
//!
//! An event carries the whole job as it stood, so whoever missed some is served by the newest one. Numbers increase
//! over restarts: the upper bits are the count of the daemon's starts.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use orgkeep_api::job::{JobEvent, JobState};
use tokio::sync::watch;

/// How many events are kept for streams that reconnect.
const EVENTS_MAX: usize = 4096;
/// How many bits of an event's number count within one run of the daemon.
const RUN_BITS: u32 = 32;

/// The ring.
#[derive(Debug)]
pub(crate) struct Events {
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct Ring {
    next: u64,
    kept: VecDeque<Arc<JobEvent>>,
}

/// What a stream has to send next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Missed {
    /// These events, possibly none.
    Events(Vec<Arc<JobEvent>>),
    /// Some are not kept any more: begin with the jobs as they stand, and go on after this number.
    StartOver(u64),
}

impl Events {
    /// An empty ring for the `run`th start of the daemon.
    pub(crate) fn new(run: u64) -> Self {
        let next = (run << RUN_BITS) + 1;
        let ring = Ring {
            next,
            kept: VecDeque::new(),
        };
        Self {
            ring: Mutex::new(ring),
            newest: watch::Sender::new(next - 1),
        }
    }

    /// Adds an event; `make` is given its number.
    pub(crate) fn publish(&self, make: impl FnOnce(u64) -> JobEvent) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let seq = ring.next;
        ring.next += 1;
        if ring.kept.len() == EVENTS_MAX {
            ring.kept.pop_front();
        }
        ring.kept.push_back(Arc::new(make(seq)));
        drop(ring);
        self.newest.send_replace(seq);
    }

    /// The number of the newest event.
    pub(crate) fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// Wakes when there is something newer.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// What came after event `after`, of one job or of all.
    pub(crate) fn since(&self, after: u64, job: Option<&str>) -> Missed {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = ring.kept.front().map_or(ring.next, |event| event.seq);
        if after + 1 < oldest || after >= ring.next {
            return Missed::StartOver(ring.next - 1);
        }
        let wanted =
            |event: &&Arc<JobEvent>| event.seq > after && job.is_none_or(|job| event.job.id == job);
        Missed::Events(ring.kept.iter().filter(wanted).cloned().collect())
    }

    /// How the job stood in its newest event that is kept.
    pub(crate) fn newest_state(&self, job: &str) -> Option<JobState> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = ring.kept.iter().rev().find(|event| event.job.id == job);
        newest.map(|event| event.job.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orgkeep_api::job::{Job, JobKind, JobProgress, Trigger};

    fn publish(events: &Events, job: &str) {
        let job = Job {
            id: job.to_owned(),
            domain: None,
            kind: JobKind::Check,
            trigger: Trigger::Manual,
            state: JobState::Running,
            created_at: String::new(),
            started_at: None,
            finished_at: None,
            progress: JobProgress::default(),
            error: None,
            result: None,
        };
        events.publish(|seq| JobEvent {
            seq,
            at: String::new(),
            job,
            warning: None,
        });
    }

    fn numbers(missed: Missed) -> Vec<u64> {
        match missed {
            Missed::Events(events) => events.iter().map(|event| event.seq & 0xffff_ffff).collect(),
            Missed::StartOver(_) => vec![0],
        }
    }

    #[test]
    fn a_stream_gets_what_came_after_its_last_event() {
        let events = Events::new(1);
        let start = events.newest();
        for job in ["a", "b", "a"] {
            publish(&events, job);
        }
        assert_eq!(numbers(events.since(start, None)), [1, 2, 3]);
        assert_eq!(numbers(events.since(start + 1, Some("a"))), [3]);
        assert_eq!(numbers(events.since(events.newest(), None)), [] as [u64; 0]);
        assert_eq!(events.newest_state("b"), Some(JobState::Running));
        assert_eq!(events.newest_state("c"), None);
    }

    #[test]
    fn a_stream_that_missed_too_much_starts_over() {
        let events = Events::new(2);
        let start = events.newest();
        for _ in 0..EVENTS_MAX + 2 {
            publish(&events, "a");
        }
        assert_eq!(
            events.since(start, None),
            Missed::StartOver(events.newest())
        );
        let earlier_run = Events::new(1);
        publish(&earlier_run, "a");
        assert_eq!(
            events.since(earlier_run.newest(), None),
            Missed::StartOver(events.newest())
        );
        let later_number = events.newest() + 7;
        assert_eq!(
            events.since(later_number, None),
            Missed::StartOver(events.newest())
        );
    }
}
