//! Exports: a job that waits to be fetched, and the stream that drives it.

use std::sync::Arc;

use orgkeep_api::job::{JobKind, Trigger};
use orgkeep_api::snapshot::StartExport;
use orgkeep_engine::id::JobId;
use tokio::sync::mpsc;

use crate::app::App;
use crate::call::{Answer, Call};
use crate::handlers::{domain, snapshot};
use crate::jobs::NewJob;
use crate::problem::Problem;
use crate::settings;

/// How many pieces of the archive wait for a slow reader.
const PIECES_MAX: usize = 16;

pub(crate) fn start(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let domain = domain(app, call.param("d"))?;
    let mut asked: StartExport = call.json()?;
    settings::object_types(&asked.types)
        .map_err(|error| Problem::invalid(format!("types: {error}.")))?;
    let info = snapshot(app, &asked.snapshot, Some(&domain))?;
    asked.snapshot = info.id.to_string();
    app.stores.domain(app, domain.id)?;
    let params = serde_json::to_string(&asked)
        .map_err(|error| Problem::internal("The request could not be kept", &error))?;
    let new = NewJob {
        kind: JobKind::Export,
        domain: Some(&domain),
        trigger: Trigger::Manual,
        mode: None,
        params: Some(params),
        plan: None,
    };
    Answer::accepted(&app.jobs.submit(app, &new)?)
}

pub(crate) fn fetch(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let id: JobId = call.parsed("j", "export")?;
    let (sink, pieces) = mpsc::channel(PIECES_MAX);
    app.jobs.fetch_export(app, id, sink)?;
    Ok(Answer::Stream("application/x-tar", pieces))
}
