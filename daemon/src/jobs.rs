//! Jobs: durable before their id is told, one per domain at a time, on threads of their own.
//!
//! A job is a row of the state database and, while it runs, a [`Live`] entry here that the operation reports to. Its end
//! is visible only after its row is durable and the write-ahead logs are cut; if the disk is full, it is shown all the same, and made durable as soon as that can be. Jobs that the daemon's end
//! interrupts are queued again at the next start, under the same id.

mod documents;
mod live;

use std::collections::{BTreeMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orgkeep_api::job::{BackupMode, Job, JobKind, JobState, Trigger};
use orgkeep_engine::id::{DomainId, JobId, PlanId};

use crate::app::App;
use crate::operations;
use crate::problem::Problem;
use crate::state::domains::DomainRecord;
use crate::state::jobs::{JobFilter, JobRecord};

pub(crate) use documents::report_items;
use documents::{PARAMS, SKIPPED, WARNINGS, document, tell};
pub(crate) use live::{Done, ExportSink, Failure, Live};
use live::{End, Stop};

/// How many jobs run at one time, over all domains.
const RUNNING_MAX: usize = 8;
/// How many jobs wait at most; more are refused.
const QUEUED_MAX: usize = 1000;
/// How often a job is begun again after the daemon ended in its middle, if it did not get on meanwhile.
const ATTEMPTS_MAX: u32 = 5;
/// The shortest time between two prunes that the schedule starts, in seconds.
const PRUNE_EVERY_SECONDS: i64 = 24 * 60 * 60;
/// How long an export waits to be fetched, in seconds.
const EXPORT_WAITS_SECONDS: i64 = 600;

/// What is asked for.
#[derive(Debug)]
pub(crate) struct NewJob<'a> {
    /// What to do.
    pub(crate) kind: JobKind,
    /// For which domain.
    pub(crate) domain: Option<&'a DomainRecord>,
    /// Who asks.
    pub(crate) trigger: Trigger,
    /// How much a backup reads.
    pub(crate) mode: Option<BackupMode>,
    /// Whatever else the operation needs, JSON. Kept sealed.
    pub(crate) params: Option<String>,
    /// The restore plan that the job applies: it has at most one such job.
    pub(crate) plan: Option<PlanId>,
}

/// The jobs that wait or run.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    inner: Mutex<Inner>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<JobRecord>,
    exports: BTreeMap<JobId, JobRecord>,
    running: BTreeMap<JobId, Arc<Live>>,
    /// Jobs whose rows do not say yet that they have ended.
    unnoted: BTreeMap<JobId, End>,
    stopping: bool,
}

impl Inner {
    /// A job that has ended, if its row does not say so yet.
    fn ended(&self, id: JobId) -> Option<&JobRecord> {
        self.unnoted.get(&id).map(|end| &end.record)
    }

    /// Makes ends durable that could not be before.
    fn note_ends(&mut self, app: &App) {
        self.unnoted.retain(|_, end| end.note(app).is_err());
    }
}

impl Jobs {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts a job: once this returns, it is durable.
    pub(crate) fn submit(&self, app: &Arc<App>, new: &NewJob<'_>) -> Result<Job, Problem> {
        let mut inner = self.lock();
        let record = self.accept(app, &mut inner, new)?;
        let job = document(app, &record);
        if new.kind == JobKind::Export {
            inner.exports.insert(record.id, record);
        } else {
            inner.queue.push_back(record);
        }
        tell(app, &job, None);
        self.dispatch(app, &mut inner);
        Ok(job)
    }

    /// Accepts a backup, unless one like it waits already: then that one.
    pub(crate) fn submit_backup(
        &self,
        app: &Arc<App>,
        domain: &DomainRecord,
        mode: BackupMode,
        trigger: Trigger,
    ) -> Result<Job, Problem> {
        let mut inner = self.lock();
        let waits = inner.queue.iter().find(|job| {
            job.kind == JobKind::Backup
                && job.domain_id == Some(domain.id)
                && job.mode == Some(mode)
        });
        if let Some(waits) = waits {
            return Ok(document(app, waits));
        }
        let new = NewJob {
            kind: JobKind::Backup,
            domain: Some(domain),
            trigger,
            mode: Some(mode),
            params: None,
            plan: None,
        };
        let record = self.accept(app, &mut inner, &new)?;
        let job = document(app, &record);
        inner.queue.push_back(record);
        tell(app, &job, None);
        self.dispatch(app, &mut inner);
        Ok(job)
    }

    /// Accepts a prune for what the schedule let go of, unless one waits or runs, or the last was less than a day ago.
    pub(crate) fn submit_due_prune(&self, app: &Arc<App>) -> Result<Option<Job>, Problem> {
        let mut inner = self.lock();
        let busy = inner.queue.iter().any(|job| job.kind == JobKind::Prune)
            || inner
                .running
                .values()
                .any(|live| live.facts().record.kind == JobKind::Prune);
        let filter = JobFilter {
            kind: Some(JobKind::Prune),
            ..JobFilter::default()
        };
        let last = app.state()?.jobs(&filter, None, 1)?.pop();
        let now = app.clock.now().as_second();
        let recent =
            last.is_some_and(|last| now - last.created_at.as_second() < PRUNE_EVERY_SECONDS);
        if busy || recent {
            return Ok(None);
        }
        let new = NewJob {
            kind: JobKind::Prune,
            domain: None,
            trigger: Trigger::Schedule,
            mode: None,
            params: None,
            plan: None,
        };
        let record = self.accept(app, &mut inner, &new)?;
        let job = document(app, &record);
        inner.queue.push_back(record);
        tell(app, &job, None);
        self.dispatch(app, &mut inner);
        Ok(Some(job))
    }

    /// Does something while no job of the domain, and none on the whole store, runs; those that wait go on waiting.
    pub(crate) fn while_idle<T>(
        &self,
        domain: DomainId,
        act: impl FnOnce() -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let inner = self.lock();
        let concerns = |live: &Arc<Live>| {
            let of = live.facts().record.domain_id;
            of.is_none() || of == Some(domain)
        };
        if inner.running.values().any(concerns) {
            return Err(Problem::new(
                "busy",
                "A job of this domain, or on the whole store, is running. Wait for its end, then try again.",
            ));
        }
        act()
    }

    fn accept(
        &self,
        app: &Arc<App>,
        inner: &mut Inner,
        new: &NewJob<'_>,
    ) -> Result<JobRecord, Problem> {
        if inner.stopping {
            return Err(Problem::new(
                "shutting_down",
                "Ask again once the daemon is up again.",
            ));
        }
        if inner.queue.len() + inner.exports.len() >= QUEUED_MAX {
            return Err(Problem::new(
                "queue_full",
                "Wait until some jobs have ended, then try again.",
            ));
        }
        let mut record = record_of(app, new)?;
        record.n = app.state()?.insert_job(&record, new.plan)?;
        metrics::counter!("orgkeep_jobs_accepted_total", "kind" => record.kind.as_str())
            .increment(1);
        Ok(record)
    }

    /// Notes a scheduled run that could not start because key management is not enabled.
    pub(crate) fn record_skipped(
        &self,
        app: &Arc<App>,
        domain: &DomainRecord,
        trigger: Trigger,
    ) -> Result<(), Problem> {
        let new = NewJob {
            kind: JobKind::Backup,
            domain: Some(domain),
            trigger,
            mode: Some(BackupMode::Incremental),
            params: None,
            plan: None,
        };
        let mut record = record_of(app, &new)?;
        record.state = JobState::Cancelled;
        record.finished_at = Some(record.created_at);
        record.error_code = Some(SKIPPED.0.to_owned());
        record.n = app.state()?.insert_job(&record, None)?;
        tracing::warn!(domain = %domain.name, "A scheduled backup was skipped: key management is not enabled");
        tell(app, &document(app, &record), None);
        Ok(())
    }

    /// Queues again what an earlier run of the daemon left unfinished.
    pub(crate) fn resume(&self, app: &Arc<App>) -> Result<(), Problem> {
        let mut inner = self.lock();
        for mut record in app.state()?.unfinished_jobs()? {
            let lost = record.kind == JobKind::Export || record.attempts >= ATTEMPTS_MAX;
            if lost {
                record.state = JobState::Failed;
                record.finished_at = Some(app.clock.now());
                record.error_code = Some("interrupted".to_owned());
                app.state()?.update_job(&record)?;
                continue;
            }
            if record.state == JobState::Running {
                record.state = JobState::Queued;
                app.state()?.update_job(&record)?;
                tracing::info!(job = %record.id, kind = %record.kind, "A job is taken up again");
            }
            inner.queue.push_back(record);
        }
        self.dispatch(app, &mut inner);
        Ok(())
    }

    /// Starts every job that may start now.
    fn dispatch(&self, app: &Arc<App>, inner: &mut Inner) {
        let mut passed = VecDeque::new();
        while let Some(record) = inner.queue.pop_front() {
            if inner.stopping || !may_start(&record, &inner.running, &passed) {
                passed.push_back(record);
                continue;
            }
            let live = Arc::new(Live::new(app, record, None));
            inner.running.insert(live.id, Arc::clone(&live));
            spawn(app, live);
        }
        inner.queue = passed;
    }

    /// Hands an export that waits to whoever fetches it; its bytes go to `sink`.
    pub(crate) fn fetch_export(
        &self,
        app: &Arc<App>,
        id: JobId,
        sink: ExportSink,
    ) -> Result<(), Problem> {
        let mut inner = self.lock();
        if inner.stopping {
            return Err(Problem::new(
                "shutting_down",
                "Ask again once the daemon is up again.",
            ));
        }
        let Some(record) = inner.exports.remove(&id) else {
            drop(inner);
            return Err(match app.state()?.job(id)? {
                Some(job) if job.kind == JobKind::Export => Problem::new(
                    "export_taken",
                    "An export can be fetched once, soon after it was asked for. Ask for another one.",
                ),
                _ => Problem::not_found(format_args!("export {id}")),
            });
        };
        let live = Arc::new(Live::new(app, record, Some(sink)));
        inner.running.insert(id, Arc::clone(&live));
        drop(inner);
        spawn(app, live);
        Ok(())
    }

    /// Lets go of exports that nobody fetched.
    pub(crate) fn expire(&self, app: &Arc<App>) {
        let now = app.clock.now().as_second();
        let old = |record: &JobRecord| now - record.created_at.as_second() > EXPORT_WAITS_SECONDS;
        let mut inner = self.lock();
        inner.note_ends(app);
        let ids: Vec<_> = inner
            .exports
            .values()
            .filter(|record| old(record))
            .map(|record| record.id)
            .collect();
        for id in ids {
            if let Some(record) = inner.exports.remove(&id) {
                end_unstarted(app, record);
            }
        }
    }

    /// Asks a job to stop; gives it as it stands then.
    pub(crate) fn cancel(&self, app: &Arc<App>, id: JobId) -> Result<Job, Problem> {
        let mut inner = self.lock();
        if let Some(live) = inner.running.get(&id) {
            live.ask(Stop::Caller);
            return Ok(live.document());
        }
        let place = inner.queue.iter().position(|record| record.id == id);
        let waiting = place
            .and_then(|place| inner.queue.remove(place))
            .or_else(|| inner.exports.remove(&id));
        if let Some(record) = waiting {
            return Ok(end_unstarted(app, record));
        }
        drop(inner);
        match app.state()?.job(id)? {
            Some(record) if record.state == JobState::Cancelled => Ok(document(app, &record)),
            Some(_) => Err(Problem::new(
                "job_ended",
                "Only a job that waits or runs can be cancelled.",
            )),
            None => Err(Problem::not_found(format_args!("job {id}"))),
        }
    }

    /// One job as it stands.
    pub(crate) fn get(&self, app: &App, id: JobId) -> Result<Job, Problem> {
        let inner = self.lock();
        if let Some(live) = inner.running.get(&id) {
            return Ok(live.document());
        }
        if let Some(record) = inner.ended(id) {
            return Ok(document(app, record));
        }
        drop(inner);
        let record = app.state()?.job(id)?;
        record
            .map(|record| document(app, &record))
            .ok_or_else(|| Problem::not_found(format_args!("job {id}")))
    }

    /// A row as a document, live where the job runs.
    pub(crate) fn document(&self, app: &App, record: &JobRecord) -> Job {
        let inner = self.lock();
        match inner.running.get(&record.id) {
            Some(live) => live.document(),
            None => document(app, inner.ended(record.id).unwrap_or(record)),
        }
    }

    /// The remarks of a job: of a running one so far.
    pub(crate) fn warnings(&self, app: &App, record: &JobRecord) -> Vec<String> {
        if let Some(live) = self.lock().running.get(&record.id) {
            return live.facts().warnings.clone();
        }
        let sealed = record.warnings.as_deref();
        let opened = sealed.and_then(|sealed| app.unseal(WARNINGS, sealed).ok());
        opened
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Whether a job of the domain waits or runs.
    pub(crate) fn is_busy(&self, domain: DomainId) -> bool {
        let inner = self.lock();
        let concerns = |record: &JobRecord| record.domain_id == Some(domain);
        inner.queue.iter().any(concerns)
            || inner.exports.values().any(concerns)
            || inner
                .running
                .values()
                .any(|live| concerns(&live.facts().record))
    }

    /// Every job that waits or runs.
    pub(crate) fn unfinished(&self, app: &App) -> Vec<Job> {
        let inner = self.lock();
        let mut jobs: Vec<Job> = inner.running.values().map(|live| live.document()).collect();
        let waiting = inner.queue.iter().chain(inner.exports.values());
        jobs.extend(waiting.map(|record| document(app, record)));
        jobs
    }

    /// Takes no more jobs, asks those that run to stop at a safe point, and waits for them, but not longer than `patience`.
    pub(crate) fn stop(&self, patience: Duration) {
        let mut inner = self.lock();
        inner.stopping = true;
        for live in inner.running.values() {
            live.ask(Stop::Shutdown);
        }
        let (inner, _) = self
            .ended
            .wait_timeout_while(inner, patience, |inner| !inner.running.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        for live in inner.running.values() {
            tracing::warn!(job = %live.id, "A job did not reach a safe point in time; it is taken up again at the next start");
        }
    }
}

fn record_of(app: &App, new: &NewJob<'_>) -> Result<JobRecord, Problem> {
    let id = JobId::random().map_err(|error| Problem::internal("No id could be made", &error))?;
    let params = new
        .params
        .as_ref()
        .map(|params| app.seal(PARAMS, params.as_bytes()))
        .transpose()?;
    Ok(JobRecord {
        n: 0,
        id,
        domain_id: new.domain.map(|domain| domain.id),
        domain: new.domain.map(|domain| domain.name.to_string()),
        kind: new.kind,
        trigger: new.trigger,
        state: JobState::Queued,
        created_at: app.clock.now(),
        started_at: None,
        finished_at: None,
        attempts: 0,
        mode: new.mode,
        params,
        progress: None,
        error_code: None,
        error_detail: None,
        result: None,
        warnings: None,
    })
}

/// One job per domain at a time (exports only read, and run beside them), and one prune beside them; a rebuild of the index and a
/// repair run alone. A job does not overtake an earlier one of its domain.
fn may_start(
    record: &JobRecord,
    running: &BTreeMap<JobId, Arc<Live>>,
    earlier: &VecDeque<JobRecord>,
) -> bool {
    if running.len() >= RUNNING_MAX {
        return false;
    }
    let alone = |kind: JobKind| matches!(kind, JobKind::Reindex | JobKind::Repair);
    if alone(record.kind) {
        return running.is_empty();
    }
    let clashes = |other: &JobRecord| {
        alone(other.kind)
            || (record.kind == JobKind::Prune && other.kind == JobKind::Prune)
            || (other.kind != JobKind::Export
                && other.domain_id.is_some()
                && other.domain_id == record.domain_id)
    };
    !running.values().any(|live| clashes(&live.facts().record)) && !earlier.iter().any(clashes)
}

fn end_unstarted(app: &App, mut record: JobRecord) -> Job {
    record.state = JobState::Cancelled;
    record.finished_at = Some(app.clock.now());
    record.error_code = Some("cancelled".to_owned());
    if let Err(problem) = app.state().and_then(|state| Ok(state.update_job(&record)?)) {
        tracing::error!(job = %record.id, code = problem.code(), "A job's end could not be noted");
    }
    let job = document(app, &record);
    tell(app, &job, None);
    job
}

fn spawn(app: &Arc<App>, live: Arc<Live>) {
    let for_thread = (Arc::clone(app), Arc::clone(&live));
    let name = format!("job-{}", live.id);
    let spawned = std::thread::Builder::new().name(name).spawn(move || {
        let (app, live) = for_thread;
        run(&app, &live);
    });
    if let Err(error) = spawned {
        tracing::error!(job = %live.id, %error, "No thread could be started; the job stays unfinished until the next start");
    }
}

/// The whole life of a running job, on its own thread.
fn run(app: &Arc<App>, live: &Arc<Live>) {
    let began = live.begin(app);
    let outcome = match began {
        Ok(()) => std::panic::catch_unwind(AssertUnwindSafe(|| operations::run(app, live)))
            .unwrap_or_else(|_| {
                Err(Failure::Failed(Problem::new(
                    "internal",
                    "The job panicked; the daemon's log says where.",
                )))
            }),
        Err(problem) => Err(Failure::Failed(problem)),
    };
    let end = live.end(app, outcome);
    if let Err(problem) = app.stores.checkpoint() {
        tracing::warn!(code = problem.code(), "The index's log could not be cut");
    }
    if let Err(problem) = app.state().and_then(|state| Ok(state.checkpoint()?)) {
        tracing::warn!(code = problem.code(), "The state's log could not be cut");
    }
    let job = document(app, &end.record);
    let mut inner = app.jobs.lock();
    inner.note_ends(app);
    inner.running.remove(&live.id);
    if !end.is_noted && end.record.state.is_final() {
        inner.unnoted.insert(live.id, end);
    }
    app.jobs.dispatch(app, &mut inner);
    drop(inner);
    app.jobs.ended.notify_all();
    let whole = matches!(
        job.state,
        JobState::Succeeded | JobState::CompletedWithErrors
    );
    live.close_sink(whole);
    if job.state.is_final() {
        metrics::counter!("orgkeep_jobs_ended_total", "kind" => job.kind.as_str(), "state" => job.state.as_str()).increment(1);
        tell(app, &job, None);
    }
    app.scheduler.poke();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::app;
    use crate::state::domains::tests::record as domain;
    use crate::state::jobs::tests::job;
    use tokio::sync::mpsc;

    #[test]
    fn a_domain_has_one_job_at_a_time_and_a_rebuild_runs_alone() {
        let (one, other) = (DomainId::from_bytes([1; 8]), DomainId::from_bytes([2; 8]));
        let directory = tempfile::tempdir().unwrap();
        let app = app(directory.path());
        let backup = job(JobKind::Backup, Some(one));
        let live = Arc::new(Live::new(&app, backup, None));
        let running = BTreeMap::from([(live.id, live)]);
        let none = VecDeque::new();
        let may = |kind, domain| may_start(&job(kind, domain), &running, &none);
        assert!(!may(JobKind::Backup, Some(one)));
        assert!(!may(JobKind::Restore, Some(one)));
        assert!(may(JobKind::Backup, Some(other)));
        assert!(may(JobKind::Check, None));
        assert!(may(JobKind::Prune, None));
        assert!(!may(JobKind::Reindex, None));
        assert!(!may(JobKind::Repair, None));
        let reindex = VecDeque::from([job(JobKind::Reindex, None)]);
        let behind = job(JobKind::Backup, Some(other));
        assert!(
            !may_start(&behind, &running, &reindex),
            "a rebuild that waits is not overtaken for ever"
        );
    }

    #[test]
    fn a_run_without_keys_is_recorded_as_skipped() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(directory.path());
        app.jobs
            .record_skipped(&app, &domain("acme", "00o1"), Trigger::Schedule)
            .unwrap();
        let rows = app
            .state()
            .unwrap()
            .jobs(&crate::state::jobs::JobFilter::default(), None, 9)
            .unwrap();
        let [row] = rows.as_slice() else {
            panic!("{rows:?}")
        };
        let document = app.jobs.document(&app, row);
        assert_eq!(document.state, JobState::Cancelled);
        assert_eq!(
            document.error.unwrap().detail,
            "skipped: key management is not enabled"
        );
        assert_eq!(
            app.state()
                .unwrap()
                .last_backup(row.domain_id.unwrap())
                .unwrap(),
            None
        );
    }

    #[test]
    fn what_a_crash_interrupted_is_marked_where_it_cannot_go_on() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(directory.path());
        let mut export = job(JobKind::Export, None);
        export.state = JobState::Running;
        let mut cursed = job(JobKind::Check, None);
        cursed.state = JobState::Running;
        cursed.attempts = ATTEMPTS_MAX;
        for record in [&export, &cursed] {
            app.state().unwrap().insert_job(record, None).unwrap();
        }
        app.jobs.resume(&app).unwrap();
        for record in [&export, &cursed] {
            let after = app.jobs.get(&app, record.id).unwrap();
            assert_eq!(after.state, JobState::Failed);
            assert_eq!(after.error.unwrap().code, "interrupted");
        }
        assert!(app.jobs.unfinished(&app).is_empty());
    }

    #[test]
    fn an_export_that_nobody_fetches_can_be_cancelled() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(directory.path());
        let new = NewJob {
            kind: JobKind::Export,
            domain: None,
            trigger: Trigger::Manual,
            mode: None,
            params: Some("{}".to_owned()),
            plan: None,
        };
        let accepted = app.jobs.submit(&app, &new).unwrap();
        let id: JobId = accepted.id.parse().unwrap();
        assert_eq!(accepted.state, JobState::Queued);
        assert_eq!(
            app.jobs.cancel(&app, id).unwrap().state,
            JobState::Cancelled
        );
        assert_eq!(
            app.jobs.cancel(&app, id).unwrap().state,
            JobState::Cancelled,
            "asking twice is no error"
        );
        let (sink, _pieces) = mpsc::channel(1);
        assert_eq!(
            app.jobs.fetch_export(&app, id, sink).unwrap_err().code(),
            "export_taken"
        );
    }
}
