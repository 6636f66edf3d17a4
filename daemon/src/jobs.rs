//! Jobs: durable before their id is told, one per domain at a time, on threads of their own.
//!
//! A job is a row of the state database and, while it runs, a [`Live`] entry here that the operation reports to. Its end
//! is visible only after its row is durable and the write-ahead logs are cut. Jobs that the daemon's end
//! interrupts are queued again at the next start, under the same id.

use std::collections::{BTreeMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use orgkeep_api::job::{
    BackupMode, Job, JobError, JobEvent, JobKind, JobProgress, JobState, ReportItem, Trigger,
};
use orgkeep_engine::clock;
use orgkeep_engine::id::{JobId, PlanId};
use orgkeep_engine::monitor::{Monitor, Progress};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::app::App;
use crate::operations;
use crate::problem::Problem;
use crate::state::domains::DomainRecord;
use crate::state::jobs::JobRecord;

/// How many jobs run at one time, over all domains.
const RUNNING_MAX: usize = 8;
/// How many jobs wait at most; more are refused.
const QUEUED_MAX: usize = 1000;
/// How often a job is begun again after the daemon ended in its middle.
const ATTEMPTS_MAX: u32 = 5;
/// The shortest time between two events of one job's progress, in milliseconds.
const PROGRESS_EVERY_MS: i64 = 200;
/// How many remarks of one job are kept.
const WARNINGS_MAX: usize = 1000;
/// How long an export waits to be fetched, in seconds.
const EXPORT_WAITS_SECONDS: i64 = 600;

/// The code and the words of a scheduled run that could not start.
const SKIPPED: (&str, &str) = (
    "key_management_not_enabled",
    "skipped: key management is not enabled",
);

/// Who asked a running job to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Stop {
    No = 0,
    Caller = 1,
    Shutdown = 2,
}

/// Where an export's bytes go.
pub(crate) type ExportSink = mpsc::Sender<Result<Bytes, std::io::Error>>;

/// A job that runs.
#[derive(Debug)]
pub(crate) struct Live {
    app: std::sync::Weak<App>,
    /// Its id.
    pub(crate) id: JobId,
    stop: AtomicU8,
    facts: Mutex<LiveFacts>,
    sink: Mutex<Option<ExportSink>>,
}

#[derive(Debug)]
struct LiveFacts {
    record: JobRecord,
    progress: JobProgress,
    waited_ms: u64,
    warnings: Vec<String>,
    told_at: Timestamp,
}

/// What an operation came to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Done {
    /// Whether something could not be read or written.
    pub(crate) with_errors: bool,
    /// The result, a JSON object.
    pub(crate) result: Option<String>,
    /// What was done, object by object.
    pub(crate) items: Vec<ReportItem>,
}

/// Why an operation did not come to its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It stopped because it was asked to.
    Cancelled,
    /// It failed.
    Failed(Problem),
}

impl<E: Into<Problem>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

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
    stopping: bool,
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
        if let Some(live) = self.lock().running.get(&id) {
            return Ok(live.document());
        }
        let record = app.state()?.job(id)?;
        record
            .map(|record| document(app, &record))
            .ok_or_else(|| Problem::not_found(format_args!("job {id}")))
    }

    /// A row as a document, live where the job runs.
    pub(crate) fn document(&self, app: &App, record: &JobRecord) -> Job {
        match self.lock().running.get(&record.id) {
            Some(live) => live.document(),
            None => document(app, record),
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
    pub(crate) fn is_busy(&self, domain: orgkeep_engine::id::DomainId) -> bool {
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

/// What a sealed column is for.
const PARAMS: &str = "job params";
const RESULT: &str = "job result";
const DETAIL: &str = "job error";
const WARNINGS: &str = "job warnings";
const REPORT: &str = "job report";

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

/// One job per domain at a time (exports only read, and run beside them); a rebuild of the index runs alone. A job
/// does not overtake an earlier one of its domain.
fn may_start(
    record: &JobRecord,
    running: &BTreeMap<JobId, Arc<Live>>,
    earlier: &VecDeque<JobRecord>,
) -> bool {
    if running.len() >= RUNNING_MAX {
        return false;
    }
    if record.kind == JobKind::Reindex {
        return running.is_empty();
    }
    let clashes = |other: &JobRecord| {
        other.kind == JobKind::Reindex
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
    let record = live.end(app, outcome);
    if let Err(problem) = app.stores.checkpoint() {
        tracing::warn!(code = problem.code(), "The index's log could not be cut");
    }
    if let Err(problem) = app.state().and_then(|state| Ok(state.checkpoint()?)) {
        tracing::warn!(code = problem.code(), "The state's log could not be cut");
    }
    let job = document(app, &record);
    let mut inner = app.jobs.lock();
    inner.running.remove(&live.id);
    app.jobs.dispatch(app, &mut inner);
    drop(inner);
    app.jobs.ended.notify_all();
    live.close_sink(job.state == JobState::Succeeded);
    if job.state.is_final() {
        metrics::counter!("orgkeep_jobs_ended_total", "kind" => job.kind.as_str(), "state" => job.state.as_str()).increment(1);
        tell(app, &job, None);
    }
    app.scheduler.poke();
}

impl Live {
    fn new(app: &Arc<App>, record: JobRecord, sink: Option<ExportSink>) -> Self {
        Self {
            app: Arc::downgrade(app),
            id: record.id,
            stop: AtomicU8::new(Stop::No as u8),
            facts: Mutex::new(LiveFacts {
                record,
                progress: JobProgress::default(),
                waited_ms: 0,
                warnings: Vec::new(),
                told_at: Timestamp::UNIX_EPOCH,
            }),
            sink: Mutex::new(sink),
        }
    }

    fn facts(&self) -> MutexGuard<'_, LiveFacts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of its row.
    pub(crate) fn record(&self) -> JobRecord {
        self.facts().record.clone()
    }

    /// What was asked for, JSON.
    pub(crate) fn params(&self, app: &App) -> Result<zeroize::Zeroizing<Vec<u8>>, Problem> {
        let sealed = self.facts().record.params.clone().unwrap_or_default();
        app.unseal(PARAMS, &sealed)
    }

    /// Where an export's bytes go.
    pub(crate) fn sink(&self) -> Option<ExportSink> {
        self.sink
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Ends an export's stream; after a failure so that it cannot be taken for a whole one.
    fn close_sink(&self, ended_well: bool) {
        let sink = self
            .sink
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let broken = || std::io::Error::other("the export did not come to its end");
        if let Some(sink) = sink.filter(|_| !ended_well)
            && sink.try_send(Err(broken())).is_err()
        {
            tracing::debug!(job = %self.id, "The reader of the export was gone, or stood still");
        }
    }

    /// A remark that stops nothing; ids only.
    pub(crate) fn warn(&self, text: String) {
        self.report(Progress::Warning(text));
    }

    fn ask(&self, stop: Stop) {
        self.stop.store(stop as u8, Ordering::SeqCst);
    }

    fn is_asked(&self, stop: Stop) -> bool {
        self.stop.load(Ordering::SeqCst) == stop as u8
    }

    fn begin(&self, app: &App) -> Result<(), Problem> {
        let mut facts = self.facts();
        facts.record.state = JobState::Running;
        facts.record.attempts += 1;
        if facts.record.started_at.is_none() {
            facts.record.started_at = Some(app.clock.now());
        }
        let record = facts.record.clone();
        drop(facts);
        tracing::info!(job = %self.id, kind = %record.kind, domain = record.domain.as_deref(), "A job begins");
        app.state()?.update_job(&record)?;
        tell(app, &self.document(), None);
        Ok(())
    }

    /// Makes the end durable. Until it is taken out of the running ones the job still shows as running.
    fn end(&self, app: &App, outcome: Result<Done, Failure>) -> JobRecord {
        let facts = self.facts();
        let mut record = facts.record.clone();
        record.progress = serde_json::to_string(&facts.progress).ok();
        let warnings = serde_json::to_vec(&facts.warnings).unwrap_or_default();
        drop(facts);
        record.warnings = app.seal(WARNINGS, &warnings).ok();
        let mut report = None;
        match outcome {
            Ok(done) => {
                record.state = if done.with_errors {
                    JobState::CompletedWithErrors
                } else {
                    JobState::Succeeded
                };
                let result = done.result.as_ref();
                record.result = result.and_then(|result| app.seal(RESULT, result.as_bytes()).ok());
                report = serde_json::to_vec(&done.items)
                    .ok()
                    .and_then(|items| app.seal(REPORT, &items).ok());
            }
            Err(Failure::Cancelled)
                if self.is_asked(Stop::Shutdown) && record.kind != JobKind::Export =>
            {
                record.state = JobState::Queued;
                record.attempts = record.attempts.saturating_sub(1);
            }
            Err(Failure::Cancelled) => {
                record.state = JobState::Cancelled;
                record.error_code = Some("cancelled".to_owned());
            }
            Err(Failure::Failed(problem)) => {
                record.state = JobState::Failed;
                record.error_code = Some(problem.code().to_owned());
                record.error_detail = app.seal(DETAIL, problem.detail().as_bytes()).ok();
            }
        }
        if record.state.is_final() {
            record.finished_at = Some(app.clock.now());
        }
        tracing::info!(job = %self.id, kind = %record.kind, state = %record.state, code = record.error_code.as_deref(), "A job ends");
        let kept = app.state().and_then(|state| {
            if let Some(report) = &report {
                state.set_job_report(self.id, report)?;
            }
            Ok(state.update_job(&record)?)
        });
        if let Err(problem) = kept {
            tracing::error!(job = %self.id, code = problem.code(), "A job's end could not be noted; it is taken up again at the next start");
        }
        record
    }

    /// The job as it stands.
    pub(crate) fn document(&self) -> Job {
        let facts = self.facts();
        let mut record = facts.record.clone();
        record.progress = None;
        let progress = facts.progress.clone();
        drop(facts);
        match self.app.upgrade() {
            Some(app) => Job {
                progress,
                ..document(&app, &record)
            },
            None => Job {
                progress,
                ..bare_document(&record)
            },
        }
    }
}

impl Monitor for Live {
    fn report(&self, progress: Progress) {
        let Some(app) = self.app.upgrade() else {
            return;
        };
        let now = app.clock.now();
        let mut facts = self.facts();
        let mut warning = None;
        match progress {
            Progress::Phase { name, total } => {
                facts.progress.phase = Some(name.to_owned());
                facts.progress.done = 0;
                facts.progress.total = total;
                facts.told_at = Timestamp::UNIX_EPOCH;
            }
            Progress::Done { object_type, count } => {
                facts.progress.done += count;
                if let Some(object_type) = object_type {
                    *facts
                        .progress
                        .by_type
                        .entry(object_type.name().to_owned())
                        .or_default() += count;
                }
            }
            Progress::Request => {
                facts.progress.requests += 1;
                metrics::counter!("orgkeep_okta_requests_total").increment(1);
            }
            Progress::RateLimited { millis } => {
                facts.waited_ms += millis;
                facts.progress.rate_limited_s = facts.waited_ms / 1000;
                metrics::counter!("orgkeep_okta_rate_limited_milliseconds_total").increment(millis);
            }
            Progress::BytesNew(bytes) => {
                facts.progress.bytes_new += bytes;
                metrics::counter!("orgkeep_store_bytes_written_total").increment(bytes);
            }
            Progress::Warning(text) => {
                tracing::warn!(job = %self.id, "{text}");
                if facts.warnings.len() < WARNINGS_MAX {
                    facts.warnings.push(text.clone());
                }
                warning = Some(text);
            }
        }
        let quiet = now.as_millisecond() - facts.told_at.as_millisecond() < PROGRESS_EVERY_MS;
        if quiet && warning.is_none() {
            return;
        }
        facts.told_at = now;
        drop(facts);
        tell(&app, &self.document(), warning);
    }

    fn is_cancelled(&self) -> bool {
        !self.is_asked(Stop::No)
    }
}

/// Publishes a job as it stands.
fn tell(app: &App, job: &Job, warning: Option<String>) {
    let at = clock::to_text(app.clock.now());
    let job = job.clone();
    app.events.publish(|seq| JobEvent {
        seq,
        at,
        job,
        warning,
    });
}

/// A row as a document, with what is sealed opened.
fn document(app: &App, record: &JobRecord) -> Job {
    let mut job = bare_document(record);
    if let (Some(error), Some(sealed)) = (&mut job.error, &record.error_detail)
        && let Ok(detail) = app.unseal(DETAIL, sealed)
    {
        error.detail = String::from_utf8_lossy(&detail).into_owned();
    }
    if let Some(sealed) = &record.result {
        let opened = app.unseal(RESULT, sealed).ok();
        let text = opened.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        job.result = text.and_then(|text| RawValue::from_string(text).ok());
    }
    job
}

/// A row as a document, without what is sealed.
fn bare_document(record: &JobRecord) -> Job {
    let error = record.error_code.as_ref().map(|code| JobError {
        code: code.clone(),
        detail: if record.started_at.is_none() && code == SKIPPED.0 {
            SKIPPED.1.to_owned()
        } else {
            format!("{}.", Problem::title_of(code))
        },
    });
    Job {
        id: record.id.to_string(),
        domain: record.domain.clone(),
        kind: record.kind,
        trigger: record.trigger,
        state: record.state,
        created_at: clock::to_text(record.created_at),
        started_at: record.started_at.map(clock::to_text),
        finished_at: record.finished_at.map(clock::to_text),
        progress: record
            .progress
            .as_ref()
            .and_then(|progress| serde_json::from_str(progress).ok())
            .unwrap_or_default(),
        error,
        result: None,
    }
}

/// A job's report rows, opened.
pub(crate) fn report_items(app: &App, id: JobId) -> Result<Vec<ReportItem>, Problem> {
    let Some(sealed) = app.state()?.job_report(id)? else {
        return Ok(Vec::new());
    };
    let opened = app.unseal(REPORT, &sealed)?;
    serde_json::from_slice(&opened)
        .map_err(|error| Problem::internal("The report cannot be read", &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::app;
    use crate::state::domains::tests::record as domain;
    use crate::state::jobs::tests::job;
    use orgkeep_engine::id::DomainId;

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
        assert!(!may(JobKind::Reindex, None));
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
