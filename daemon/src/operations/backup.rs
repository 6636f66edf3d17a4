//! The backup job.

use std::sync::Arc;

use orgkeep_engine::backup::{self, BackupOptions, BackupReport, Outcome};
use orgkeep_engine::collect::CollectOptions;
use orgkeep_engine::monitor::Monitor;
use orgkeep_engine::object::Coverage;
use serde::Serialize;

use super::{domain, result};
use crate::app::App;
use crate::jobs::{Done, Failure, Live};
use crate::org;
use crate::recovery;
use crate::settings;
use crate::state::domains::DomainRecord;

/// What a backup made.
#[derive(Debug, Serialize)]
struct Made {
    snapshot: String,
    complete: bool,
    objects: u64,
    changes: u64,
    bytes_new: u64,
    requests: u64,
    requests_minimum: u64,
}

pub(super) fn run(app: &Arc<App>, live: &Arc<Live>) -> Result<Done, Failure> {
    let domain = domain(app, live)?;
    let outcome = back_up(app, live, &domain);
    match &outcome {
        Ok(report) => app.note_org_answer(&domain, Ok(&missing_scopes(report))),
        Err(Failure::Failed(problem)) => app.note_org_answer(&domain, Err(problem)),
        Err(Failure::Cancelled) => {}
    }
    let report = outcome?;
    if let Err(problem) = recovery::keep_audit_head(app) {
        tracing::warn!(
            code = problem.code(),
            "The audit log's head could not be kept in the store"
        );
    }
    let snapshot = &report.snapshot;
    Ok(Done {
        with_errors: report.outcome != Outcome::Succeeded,
        result: result(&Made {
            snapshot: snapshot.id.to_string(),
            complete: snapshot.complete,
            objects: snapshot.objects,
            changes: snapshot.changes,
            bytes_new: snapshot.bytes_new,
            requests: report.requests,
            requests_minimum: report.requests_minimum,
        }),
        items: Vec::new(),
    })
}

fn back_up(
    app: &Arc<App>,
    live: &Arc<Live>,
    domain: &DomainRecord,
) -> Result<BackupReport, Failure> {
    let monitor: Arc<dyn Monitor> = Arc::clone(live) as Arc<dyn Monitor>;
    let api = org::connect(app, domain, org::backup_scopes(domain), monitor)?;
    let store = app.stores.domain(app, domain.id)?;
    let types = settings::wanted_types(&domain.settings);
    let options = BackupOptions {
        collect: CollectOptions {
            types,
            ..CollectOptions::default()
        },
    };
    Ok(backup::backup(
        &api,
        &store,
        &options,
        &*app.clock,
        &**live,
    )?)
}

/// The scopes that the backup found missing.
fn missing_scopes(report: &BackupReport) -> Vec<String> {
    let scopes = report
        .snapshot
        .coverage
        .values()
        .filter_map(|coverage| match coverage {
            Coverage::MissingScope { scope } => Some(scope.clone()),
            _ => None,
        });
    let mut scopes: Vec<_> = scopes.collect();
    scopes.sort();
    scopes.dedup();
    scopes
}
