//! Starts backups when they are due.
//!
//! The decision is a pure function of a domain's facts and the time; a thread wakes for the next due time, or
//! when something changed, and carries the decisions out.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use orgkeep_api::job::{BackupMode, Trigger};
use orgkeep_engine::id::DomainId;
use orgkeep_engine::schedule::{self, Schedule};

use crate::app::App;
use crate::recovery;
use crate::state::domains::DomainRecord;

/// The longest sleep, in seconds: the machine's clock may have been set.
const SLEEP_MAX_SECONDS: i64 = 30;
/// A run that starts this much after it was due was missed, not merely late: the machine slept, in seconds.
const LATE_MAX_SECONDS: i64 = 10 * 60;

/// What to do about a domain now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing is due; the next run, if any.
    Wait(Option<Timestamp>),
    /// The run of this moment is due.
    Run(Timestamp, Trigger),
    /// The run of this moment is due, but key management is not enabled.
    Skip(Timestamp, Trigger),
}

/// What the decision depends on.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    schedule: Schedule,
    timezone: TimeZone,
    jitter_seed: u64,
    backup_enabled: bool,
    keys_enabled: bool,
    handled: Timestamp,
}

impl Facts {
    /// The facts of a domain; `None` where its settings cannot be read.
    pub(crate) fn of(domain: &DomainRecord) -> Option<Self> {
        Some(Self {
            schedule: Schedule::parse(&domain.settings.schedule).ok()?,
            timezone: schedule::time_zone(&domain.settings.timezone).ok()?,
            jitter_seed: seed(domain.id),
            backup_enabled: domain.backup_enabled,
            keys_enabled: domain.keys_enabled,
            handled: domain.schedule_from,
        })
    }

    /// The next run that would start a backup after `now`.
    pub(crate) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        if !self.backup_enabled {
            return None;
        }
        self.schedule
            .next_after(self.handled.max(now), &self.timezone, self.jitter_seed)
    }
}

fn seed(domain: DomainId) -> u64 {
    u64::from_le_bytes(*domain.as_bytes())
}

/// Decides about one domain. Runs that were missed are caught up once; `started_at` is when the daemon started.
pub(crate) fn decide(facts: &Facts, now: Timestamp, started_at: Timestamp) -> Decision {
    if !facts.backup_enabled {
        return Decision::Wait(None);
    }
    let Some(due) = facts
        .schedule
        .due(facts.handled, now, &facts.timezone, facts.jitter_seed)
    else {
        return Decision::Wait(facts.next(now));
    };
    let late = now.as_second().saturating_sub(due.as_second()) > LATE_MAX_SECONDS;
    let trigger = if due < started_at || late {
        Trigger::CatchUp
    } else {
        Trigger::Schedule
    };
    if facts.keys_enabled {
        Decision::Run(due, trigger)
    } else {
        Decision::Skip(due, trigger)
    }
}

/// The thread's bell.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    bell: Mutex<Bell>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct Bell {
    rung: bool,
    stop: bool,
}

impl Scheduler {
    /// Something changed: decide again now.
    pub(crate) fn poke(&self) {
        self.bell
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .rung = true;
        self.rung.notify_all();
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        let mut bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        bell.stop = true;
        bell.rung = true;
        drop(bell);
        self.rung.notify_all();
    }

    /// Sleeps until the bell rings or `duration` has passed; false when it is over.
    fn sleep(&self, duration: Duration) -> bool {
        let bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut bell, _) = self
            .rung
            .wait_timeout_while(bell, duration, |bell| !bell.rung)
            .unwrap_or_else(PoisonError::into_inner);
        bell.rung = false;
        !bell.stop
    }
}

/// The thread: decides for each domain, carries it out, sleeps.
pub(crate) fn run(app: &Arc<App>) {
    loop {
        app.jobs.expire(app);
        app.note_counted_refusals(Some(app.clock.now()));
        recovery::recover(app);
        let next = tick(app);
        let now = app.clock.now();
        let seconds = next
            .map_or(SLEEP_MAX_SECONDS, |next| {
                next.as_second().saturating_sub(now.as_second()) + 1
            })
            .clamp(1, SLEEP_MAX_SECONDS);
        let duration = Duration::from_secs(seconds.unsigned_abs());
        if !app.scheduler.sleep(duration) {
            return;
        }
    }
}

/// One round over all domains; the soonest next run.
fn tick(app: &Arc<App>) -> Option<Timestamp> {
    let domains = match app.state().and_then(|state| Ok(state.domains()?)) {
        Ok(domains) => domains,
        Err(problem) => {
            tracing::error!(code = problem.code(), "The schedule cannot be read");
            return None;
        }
    };
    domains
        .iter()
        .filter_map(|domain| handle(app, domain))
        .min()
}

/// Carries out the decision about one domain; its next run.
fn handle(app: &Arc<App>, domain: &DomainRecord) -> Option<Timestamp> {
    let facts = Facts::of(domain)?;
    let now = app.clock.now();
    let (due, outcome) = match decide(&facts, now, app.started_at) {
        Decision::Wait(next) => return next,
        Decision::Run(due, trigger) => (
            due,
            app.jobs
                .submit_backup(app, domain, BackupMode::Incremental, trigger)
                .map(|_| ()),
        ),
        Decision::Skip(due, trigger) => (due, app.jobs.record_skipped(app, domain, trigger)),
    };
    if let Err(problem) = outcome {
        tracing::warn!(domain = %domain.name, code = problem.code(), "A scheduled backup could not be started");
        // Tried again at the next round.
        return None;
    }
    let handled = |record: &mut DomainRecord| record.schedule_from = record.schedule_from.max(due);
    let updated = app
        .state()
        .and_then(|state| Ok(state.update_domain(domain.id, &mut { handled })?));
    if let Err(problem) = updated {
        tracing::error!(domain = %domain.name, code = problem.code(), "A due time could not be noted");
    }
    facts.next(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::domains::tests::record;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn facts(schedule: &str, handled: &str) -> Facts {
        let mut domain = record("acme", "00o1");
        domain.id = DomainId::from_bytes([0; 8]);
        domain.settings.schedule = schedule.to_owned();
        domain.schedule_from = at(handled);
        domain.keys_enabled = true;
        Facts::of(&domain).unwrap()
    }

    #[test]
    fn a_new_domain_waits_for_its_next_due_time() {
        let now = at("2026-03-01T12:00:00Z");
        let facts = facts("@daily", "2026-03-01T12:00:00Z");
        let Decision::Wait(Some(next)) = decide(&facts, now, now) else {
            panic!()
        };
        assert!(
            next >= at("2026-03-02T00:00:00Z") && next <= at("2026-03-02T00:15:00Z"),
            "{next}"
        );
    }

    #[test]
    fn a_due_run_starts_once() {
        let started = at("2026-03-01T00:00:00Z");
        let now = at("2026-03-02T00:15:00Z");
        let mut facts = facts("@daily", "2026-03-01T12:00:00Z");
        let Decision::Run(due, trigger) = decide(&facts, now, started) else {
            panic!()
        };
        assert_eq!(
            trigger,
            if due < at("2026-03-02T00:05:00Z") {
                Trigger::CatchUp
            } else {
                Trigger::Schedule
            }
        );
        facts.handled = due;
        assert!(matches!(
            decide(&facts, now, started),
            Decision::Wait(Some(_))
        ));
    }

    #[test]
    fn runs_missed_while_the_daemon_was_down_are_caught_up_once() {
        let now = at("2026-03-09T12:00:00Z");
        let mut facts = facts("@daily", "2026-03-01T12:00:00Z");
        let Decision::Run(due, trigger) = decide(&facts, now, now) else {
            panic!()
        };
        assert_eq!(trigger, Trigger::CatchUp);
        facts.handled = due;
        assert!(matches!(decide(&facts, now, now), Decision::Wait(Some(next)) if next > now));
    }

    #[test]
    fn without_key_management_a_due_run_is_skipped() {
        let now = at("2026-03-02T12:00:00Z");
        let mut facts = facts("@daily", "2026-03-01T12:00:00Z");
        facts.keys_enabled = false;
        assert!(matches!(decide(&facts, now, now), Decision::Skip(..)));
    }

    #[test]
    fn a_disabled_domain_and_a_schedule_that_is_off_never_run() {
        let now = at("2027-03-02T12:00:00Z");
        let mut disabled = facts("@daily", "2026-03-01T12:00:00Z");
        disabled.backup_enabled = false;
        assert_eq!(decide(&disabled, now, now), Decision::Wait(None));
        assert_eq!(
            decide(&facts("off", "2026-03-01T12:00:00Z"), now, now),
            Decision::Wait(None)
        );
    }
}
