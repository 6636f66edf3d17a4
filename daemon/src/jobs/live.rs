//! A job while it runs: what its operation reports to, and its beginning and end.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use orgkeep_api::job::{Job, JobKind, JobProgress, JobState, ReportItem};
use orgkeep_engine::id::JobId;
use orgkeep_engine::monitor::{Monitor, Progress};
use tokio::sync::mpsc;

use super::documents::{DETAIL, PARAMS, REPORT, RESULT, WARNINGS, bare_document, document, tell};
use crate::app::App;
use crate::problem::Problem;
use crate::state::jobs::JobRecord;

/// The shortest time between two events of one job's progress, in milliseconds.
const PROGRESS_EVERY_MS: i64 = 200;
/// How many remarks of one job are kept.
const WARNINGS_MAX: usize = 1000;

/// Who asked a running job to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stop {
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
pub(super) struct LiveFacts {
    pub(super) record: JobRecord,
    progress: JobProgress,
    waited_ms: u64,
    pub(super) warnings: Vec<String>,
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

impl Live {
    pub(super) fn new(app: &Arc<App>, record: JobRecord, sink: Option<ExportSink>) -> Self {
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

    pub(super) fn facts(&self) -> MutexGuard<'_, LiveFacts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of its row.
    pub(crate) fn record(&self) -> JobRecord {
        self.facts().record.clone()
    }

    /// Notes that the job got on since it was begun: being killed is no sign that it cannot be done.
    pub(crate) fn got_on(&self, app: &App) -> Result<(), Problem> {
        let mut facts = self.facts();
        if facts.record.attempts <= 1 {
            return Ok(());
        }
        facts.record.attempts = 1;
        let record = facts.record.clone();
        drop(facts);
        Ok(app.state()?.update_job(&record)?)
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
    pub(super) fn close_sink(&self, ended_well: bool) {
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

    pub(super) fn ask(&self, stop: Stop) {
        self.stop.store(stop as u8, Ordering::SeqCst);
    }

    fn is_asked(&self, stop: Stop) -> bool {
        self.stop.load(Ordering::SeqCst) == stop as u8
    }

    pub(super) fn begin(&self, app: &App) -> Result<(), Problem> {
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

    /// Makes the end durable, if it can; gives it. Until it is taken out of the running ones the job still shows as running.
    pub(super) fn end(&self, app: &App, outcome: Result<Done, Failure>) -> End {
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
        let mut end = End {
            record,
            report,
            is_noted: false,
        };
        if let Err(problem) = end.note(app) {
            tracing::error!(job = %self.id, code = problem.code(), "A job's end could not be noted yet; if the daemon ends before, it is taken up again");
        }
        end
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

/// How a job ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) record: JobRecord,
    /// Sealed.
    report: Option<Vec<u8>>,
    pub(super) is_noted: bool,
}

impl End {
    /// Makes it durable.
    pub(super) fn note(&mut self, app: &App) -> Result<(), Problem> {
        let state = app.state()?;
        if let Some(report) = &self.report {
            state.set_job_report(self.record.id, report)?;
        }
        state.update_job(&self.record)?;
        self.is_noted = true;
        Ok(())
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
