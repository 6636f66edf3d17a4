//! Jobs as callers see them: rows with what is sealed opened, and the events that tell them.

use orgkeep_api::job::{Job, JobError, JobEvent, ReportItem};
use orgkeep_engine::clock;
use orgkeep_engine::id::JobId;
use serde_json::value::RawValue;

use crate::app::App;
use crate::problem::Problem;
use crate::state::jobs::JobRecord;

/// The code and the words of a scheduled run that could not start.
pub(super) const SKIPPED: (&str, &str) = (
    "key_management_not_enabled",
    "skipped: key management is not enabled",
);

/// What a sealed column is for.
pub(super) const PARAMS: &str = "job params";
pub(super) const RESULT: &str = "job result";
pub(super) const DETAIL: &str = "job error";
pub(super) const WARNINGS: &str = "job warnings";
pub(super) const REPORT: &str = "job report";

/// Publishes a job as it stands.
pub(super) fn tell(app: &App, job: &Job, warning: Option<String>) {
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
pub(super) fn document(app: &App, record: &JobRecord) -> Job {
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
pub(super) fn bare_document(record: &JobRecord) -> Job {
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
