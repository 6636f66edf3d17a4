//! The backup job.

use std::sync::Arc;

use orgkeep_api::job::Trigger;
use orgkeep_engine::backup::{self, BackupOptions, BackupReport, Outcome};
use orgkeep_engine::collect::CollectOptions;
use orgkeep_engine::id::SnapshotId;
use orgkeep_engine::monitor::Monitor;
use orgkeep_engine::object::Coverage;
use orgkeep_engine::retention::Retention;
use orgkeep_engine::schedule;
use serde::Serialize;

use super::{domain, result};
use crate::app::App;
use crate::jobs::{Done, Failure, Live};
use crate::org;
use crate::problem::Problem;
use crate::recovery;
use crate::settings;
use crate::state::audit::Entry;
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
    /// The snapshots that retention removed afterwards; after scheduled backups only.
    snapshots_removed: Vec<String>,
}

pub(super) fn run(app: &Arc<App>, live: &Arc<Live>) -> Result<Done, Failure> {
    let domain = domain(app, live)?;
    let damaged = warn_of_damage(app, live, &domain);
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
    let removed = match live.record().trigger {
        Trigger::Manual => Vec::new(),
        Trigger::Schedule | Trigger::CatchUp => retain(app, live, &domain),
    };
    let snapshot = &report.snapshot;
    Ok(Done {
        with_errors: damaged || report.outcome != Outcome::Succeeded,
        result: result(&Made {
            snapshot: snapshot.id.to_string(),
            complete: snapshot.complete,
            objects: snapshot.objects,
            changes: snapshot.changes,
            bytes_new: snapshot.bytes_new,
            requests: report.requests,
            requests_minimum: report.requests_minimum,
            snapshots_removed: removed.iter().map(ToString::to_string).collect(),
        }),
        items: Vec::new(),
    })
}

/// Says what a backup cannot know of: objects that did not change stay where they are, also where that is gone. Gives whether something is.
fn warn_of_damage(app: &App, live: &Live, domain: &DomainRecord) -> bool {
    let packs = app.stores.domain(app, domain.id);
    let missing = packs.and_then(|store| Ok(store.packs_missing()?));
    match missing {
        Ok(0) | Err(_) => false,
        Ok(packs) => {
            live.warn(format!(
                "{packs} packs of the store are missing or cut off: what lay in them cannot be read, in this snapshot neither. \
                 Run `orgkeepctl store check`, then `orgkeepctl store repair`."
            ));
            true
        }
    }
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

/// Lets go of what the domain's retention does not keep; a prune follows where that was something. The backup is whole whatever comes of it.
fn retain(app: &Arc<App>, live: &Live, domain: &DomainRecord) -> Vec<SnapshotId> {
    let removed = match remove_unkept(app, domain) {
        Ok(removed) => removed,
        Err(problem) => {
            live.warn(format!(
                "The retention could not be applied: {}",
                problem.detail()
            ));
            return Vec::new();
        }
    };
    if removed.is_empty() {
        return removed;
    }
    if let Err(problem) = app.jobs.submit_due_prune(app) {
        live.warn(format!(
            "What was removed could not be pruned: {}",
            problem.detail()
        ));
    }
    removed
}

fn remove_unkept(app: &App, domain: &DomainRecord) -> Result<Vec<SnapshotId>, Problem> {
    // As the settings are now, not as they were when the job began.
    let record = app.state()?.domain_by_id(domain.id)?;
    let settings = record.map_or_else(|| domain.settings.clone(), |record| record.settings);
    let retention: Retention = settings
        .retention
        .parse()
        .map_err(|error| Problem::internal("The retention cannot be read", &error))?;
    let timezone = schedule::time_zone(&settings.timezone)
        .map_err(|error| Problem::internal("The time zone cannot be read", &error))?;
    let store = app.stores.domain(app, domain.id)?;
    let removed = store.apply_retention(&retention, &timezone, app.clock.now())?;
    for snapshot in &removed {
        app.audit(&Entry {
            peer: None,
            action: "retention.remove".to_owned(),
            target: Some(snapshot.to_string()),
            outcome: "ok".to_owned(),
        })?;
    }
    Ok(removed)
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
