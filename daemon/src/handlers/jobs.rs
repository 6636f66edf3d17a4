//! Jobs: lists, one job, cancelling, reports.

use std::fmt::Write;
use std::sync::Arc;

use orgkeep_api::job::{Job, JobReport};
use orgkeep_engine::id::JobId;

use crate::app::App;
use crate::call::{Answer, Call};
use crate::handlers::domain;
use crate::jobs::report_items;
use crate::problem::Problem;
use crate::state::jobs::JobFilter;

pub(crate) fn list(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let filter = JobFilter {
        domain_id: call
            .query("domain")
            .map(|name| domain(app, name))
            .transpose()?
            .map(|domain| domain.id),
        kind: call.query_as("kind")?,
        state: call.query_as("state")?,
    };
    let limit = call.limit()?;
    let mut records =
        app.state()?
            .jobs(&filter, call.after(|text| text.parse().ok())?, limit + 1)?;
    let more = records.len() > limit;
    records.truncate(limit);
    let next = records
        .last()
        .filter(|_| more)
        .map(|record| record.n.to_string());
    let jobs = records
        .iter()
        .map(|record| app.jobs.document(app, record))
        .collect();
    Answer::page::<Job>(jobs, next)
}

pub(crate) fn show(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    Answer::ok(&app.jobs.get(app, id(call)?)?)
}

pub(crate) fn cancel(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    Answer::accepted(&app.jobs.cancel(app, id(call)?)?)
}

pub(crate) fn report(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let id = id(call)?;
    let format = call.query("format").unwrap_or("json");
    if !matches!(format, "json" | "text") {
        return Err(Problem::invalid(format!(
            "format: `{format}` is neither `json` nor `text`."
        )));
    }
    let record = app
        .state()?
        .job(id)?
        .ok_or_else(|| Problem::not_found(format_args!("job {id}")))?;
    let report = JobReport {
        job: app.jobs.document(app, &record),
        warnings: app.jobs.warnings(app, &record),
        items: report_items(app, id)?,
    };
    if format == "json" {
        return Answer::ok(&report);
    }
    Ok(Answer::Text("text/plain; charset=utf-8", as_text(&report)))
}

fn id(call: &Call) -> Result<JobId, Problem> {
    call.parsed("j", "job")
}

/// The report for people, one fact a line.
fn as_text(report: &JobReport) -> String {
    let job = &report.job;
    let mut text = format!("Job {}: {} {}\n", job.id, job.kind, job.state);
    let mut line = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            text.push_str(&format!("{name}: {value}\n"));
        }
    };
    line("Domain", job.domain.as_deref());
    line("Started", job.started_at.as_deref());
    line("Finished", job.finished_at.as_deref());
    line(
        "Error",
        job.error.as_ref().map(|error| error.detail.as_str()),
    );
    line("Result", job.result.as_ref().map(|result| result.get()));
    let progress = &job.progress;
    line("Requests", Some(&progress.requests.to_string()));
    line(
        "Waited for rate limits",
        Some(&format!("{} s", progress.rate_limited_s)),
    );
    line("Bytes written", Some(&progress.bytes_new.to_string()));
    for warning in &report.warnings {
        line("Warning", Some(warning));
    }
    for item in &report.items {
        let name = item.name.as_deref().unwrap_or("-");
        let written = write!(
            text,
            "{:>6} {:<9} {:<9} {}/{} {name}",
            item.seq, item.outcome, item.action, item.object_type, item.id
        );
        let new = item
            .new_id
            .as_ref()
            .map(|new| format!(" now {new}"))
            .unwrap_or_default();
        let why = item
            .detail
            .as_ref()
            .map(|why| format!(": {why}"))
            .unwrap_or_default();
        if written.is_ok() {
            text.push_str(&format!("{new}{why}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use orgkeep_api::job::{JobKind, JobProgress, JobState, ReportItem, Trigger};

    #[test]
    fn a_report_in_text_says_what_became_of_each_object() {
        let job = Job {
            id: "0011223344556677".to_owned(),
            domain: Some("acme".to_owned()),
            kind: JobKind::Restore,
            trigger: Trigger::Manual,
            state: JobState::CompletedWithErrors,
            created_at: String::new(),
            started_at: None,
            finished_at: None,
            progress: JobProgress::default(),
            error: None,
            result: None,
        };
        let item = ReportItem {
            seq: 1,
            action: "create".to_owned(),
            object_type: "group".to_owned(),
            id: "00gold".to_owned(),
            new_id: Some("00gnew".to_owned()),
            name: Some("Sales".to_owned()),
            outcome: "done".to_owned(),
            detail: None,
        };
        let text = as_text(&JobReport {
            job,
            warnings: vec!["w".to_owned()],
            items: vec![item],
        });
        assert!(
            text.starts_with("Job 0011223344556677: restore completed_with_errors\nDomain: acme\n"),
            "{text}"
        );
        assert!(text.contains("Warning: w\n"), "{text}");
        assert!(
            text.ends_with("     1 done      create    group/00gold Sales now 00gnew\n"),
            "{text}"
        );
    }
}
