//! What each kind of job does: loads what the engine needs, calls it, and says what came of it.

pub(crate) mod backup;
pub(crate) mod export;
pub(crate) mod repair;
pub(crate) mod restore;
pub(crate) mod upkeep;

use std::sync::Arc;

use orgkeep_api::job::JobKind;
use serde::Serialize;

use crate::app::App;
use crate::jobs::{Done, Failure, Live};
use crate::problem::Problem;
use crate::state::domains::DomainRecord;

/// Carries out a job on the thread it was given.
pub(crate) fn run(app: &Arc<App>, live: &Arc<Live>) -> Result<Done, Failure> {
    let kind = live.record().kind;
    let outcome = match kind {
        JobKind::Backup => backup::run(app, live),
        JobKind::RestorePlan => restore::plan(app, live),
        JobKind::Restore => restore::apply(app, live),
        JobKind::Export => export::run(app, live),
        JobKind::Check => upkeep::check(app, live),
        JobKind::Prune => upkeep::prune(app, live),
        JobKind::Reindex => upkeep::reindex(app, live),
        JobKind::Repair => repair::run(app, live),
    };
    match outcome {
        Err(Failure::Failed(problem)) if problem.code() == "cancelled" => Err(Failure::Cancelled),
        other => other,
    }
}

/// The domain a job concerns, which must still be registered and have its keys.
fn domain(app: &App, live: &Live) -> Result<DomainRecord, Problem> {
    let record = live.record();
    let registered = match record.domain_id {
        Some(id) => app.state()?.domain_by_id(id)?,
        None => None,
    };
    let domain = registered.ok_or_else(|| Problem::not_found("registered domain of this job"))?;
    if domain.keys_enabled {
        Ok(domain)
    } else {
        Err(crate::handlers::domains::keys_needed(&domain))
    }
}

/// A result as its JSON text.
fn result<T: Serialize>(value: &T) -> Option<String> {
    serde_json::to_string(value).ok()
}
