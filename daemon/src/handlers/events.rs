//! Server-sent events: jobs as they change, resumable, ended with the job or the daemon.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use orgkeep_api::job::{Job, JobEvent};
use orgkeep_engine::clock;
use orgkeep_engine::id::JobId;
use tokio::sync::watch;

use crate::app::App;
use crate::call::{Answer, Call};
use crate::events::Missed;
use crate::problem::Problem;
use crate::state::jobs::JobFilter;

/// How often a quiet stream says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How many jobs a stream over all of them begins with after it missed something.
const CATCH_UP_JOBS_MAX: usize = 100;

pub(crate) fn of_job(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let id: JobId = call.parsed("j", "job")?;
    app.jobs.get(app, id)?;
    Ok(Answer::Events(Some(id.to_string())))
}

pub(crate) fn all(_app: &Arc<App>, _call: &Call) -> Result<Answer, Problem> {
    Ok(Answer::Events(None))
}

/// The stream. Without `after`, a stream of one job begins with the job as it stands, one of all with what comes.
pub(crate) fn response(app: Arc<App>, job: Option<String>, after: Option<u64>) -> Response {
    let newest = app.events.newest();
    let begin = after.is_none() && job.is_some();
    let state = Streaming {
        bell: app.events.watch(),
        after: after.unwrap_or(newest),
        start_over: begin.then_some(newest),
        job,
        waiting: VecDeque::new(),
        ended: false,
        app,
    };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("");
    Sse::new(events(state))
        .keep_alive(keep_alive)
        .into_response()
}

struct Streaming {
    app: Arc<App>,
    job: Option<String>,
    /// The number of the last event that was sent, or is not wanted.
    after: u64,
    /// Begin with the jobs as they stand, as event number this.
    start_over: Option<u64>,
    waiting: VecDeque<Arc<JobEvent>>,
    bell: watch::Receiver<u64>,
    ended: bool,
}

fn events(state: Streaming) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(state, |mut state| async move {
        let event = state.next().await?;
        let seq = event.seq.to_string();
        let data = serde_json::to_string(&*event).unwrap_or_default();
        Some((Ok(Event::default().event("job").id(seq).data(data)), state))
    })
}

impl Streaming {
    /// The next event; `None` when the stream is over.
    async fn next(&mut self) -> Option<Arc<JobEvent>> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                self.after = self.after.max(event.seq);
                self.ended = self.job.is_some() && event.job.state.is_final();
                return Some(event);
            }
            if self.ended || self.app.shutdown.is_cancelled() {
                return None;
            }
            self.bell.mark_unchanged();
            self.fill().await;
            if self.waiting.is_empty() && !self.ended {
                tokio::select! {
                    changed = self.bell.changed() => changed.ok()?,
                    () = self.app.shutdown.cancelled() => return None,
                }
            }
        }
    }

    async fn fill(&mut self) {
        if let Some(seq) = self.start_over.take() {
            self.catch_up(seq).await;
            return;
        }
        match self.app.events.since(self.after, self.job.as_deref()) {
            Missed::Events(events) => {
                if events.is_empty()
                    && let Some(job) = self.job.clone()
                {
                    self.end_if_over(&job).await;
                }
                self.waiting.extend(events);
            }
            Missed::StartOver(seq) => self.catch_up(seq).await,
        }
    }

    /// The jobs as they stand now, in place of events that are not kept any more.
    async fn catch_up(&mut self, seq: u64) {
        let jobs = self.jobs().await;
        let at = clock::to_text(self.app.clock.now());
        self.after = seq;
        let event = |job| {
            Arc::new(JobEvent {
                seq,
                at: at.clone(),
                job,
                warning: None,
            })
        };
        self.waiting.extend(jobs.into_iter().map(event));
    }

    /// Ends a stream that was sent all there is to its job.
    async fn end_if_over(&mut self, job: &str) {
        match self.app.events.newest_state(job) {
            // The end was sent before the stream was resumed.
            Some(state) if state.is_final() => {
                self.ended = true;
                return;
            }
            // Its next event is yet to come.
            Some(_) => return,
            None => {}
        }
        // It ended in an earlier run of the daemon, or so long ago that its events are not kept.
        let jobs = self.jobs().await;
        if jobs.iter().any(|job| !job.state.is_final()) {
            return;
        }
        let at = clock::to_text(self.app.clock.now());
        let seq = self.after;
        let event = |job| {
            Arc::new(JobEvent {
                seq,
                at: at.clone(),
                job,
                warning: None,
            })
        };
        self.waiting.extend(jobs.into_iter().map(event));
        self.ended = self.waiting.is_empty();
    }

    async fn jobs(&self) -> Vec<Job> {
        let (app, wanted) = (Arc::clone(&self.app), self.job.clone());
        let read = move || match wanted {
            Some(id) => {
                let id = id.parse().map_err(|_| Problem::not_found("job"))?;
                Ok(vec![app.jobs.get(&app, id)?])
            }
            None => {
                let newest = app
                    .state()?
                    .jobs(&JobFilter::default(), None, CATCH_UP_JOBS_MAX)?;
                Ok(newest
                    .iter()
                    .rev()
                    .map(|record| app.jobs.document(&app, record))
                    .collect())
            }
        };
        let jobs: Result<Result<_, Problem>, _> = tokio::task::spawn_blocking(read).await;
        jobs.ok().and_then(Result::ok).unwrap_or_default()
    }
}
