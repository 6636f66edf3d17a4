//! The jobs on the whole store: its check, and the rebuild of its index.

use std::sync::Arc;

use orgkeep_api::store::{CheckProblem, CheckResult, ObjectName, StartCheck};
use orgkeep_engine::check;
use orgkeep_engine::store::{DomainStore, Store, StoreProblem};
use serde::Serialize;

use super::result;
use crate::app::App;
use crate::jobs::{Done, Failure, Live};
use crate::problem::Problem;

/// Every domain whose keys the store has, registered or not.
fn domains(app: &App, live: &Live, store: &Store) -> Result<Vec<DomainStore>, Problem> {
    let state = app.state()?;
    let mut opened = Vec::new();
    for record in state.domains()?.iter().chain(&state.forgotten()?) {
        if !store.has_domain_keys(record.id)? {
            continue;
        }
        match app.stores.domain(app, record.id) {
            Ok(domain) => opened.push(domain),
            Err(problem) if problem.code() == "key_provider_unavailable" => return Err(problem),
            Err(problem) => live.warn(format!("Domain {}: {}", record.id, problem.detail())),
        }
    }
    Ok(opened)
}

pub(super) fn check(app: &Arc<App>, live: &Arc<Live>) -> Result<Done, Failure> {
    let params = live.params(app)?;
    let asked: StartCheck = serde_json::from_slice(&params)
        .map_err(|error| Problem::internal("The job's parameters cannot be read", &error))?;
    let store = app.stores.store()?;
    let domains = domains(app, live, &store)?;
    let report = check::check(&store, &domains, asked.read_data, &**live)?;
    if !report.orphans.is_empty() {
        let bytes: u64 = report.orphans.values().sum();
        let packs = report.orphans.len();
        live.warn(format!(
            "{packs} packs ({bytes} bytes) belong to no snapshot: an interrupted backup left them"
        ));
    }
    let problems: Vec<CheckProblem> = report
        .problems
        .iter()
        .map(|problem| CheckProblem {
            blob: problem.blob.clone(),
            what: problem.what.clone(),
            objects: problem
                .objects
                .iter()
                .map(|(object_type, id)| ObjectName {
                    object_type: object_type.name().to_owned(),
                    id: id.clone(),
                })
                .collect(),
        })
        .collect();
    Ok(Done {
        with_errors: !problems.is_empty(),
        result: result(&CheckResult {
            packs: report.packs,
            chunks: report.chunks,
            bytes: report.bytes,
            problems,
        }),
        items: Vec::new(),
    })
}

/// What a rebuild of the index found.
#[derive(Debug, Serialize)]
struct Reindexed {
    snapshots: u64,
    problems: Vec<CheckProblem>,
}

fn found(problem: &StoreProblem) -> CheckProblem {
    CheckProblem {
        blob: problem.blob.clone(),
        what: problem.what.clone(),
        objects: Vec::new(),
    }
}

/// The index is made anew from the blobs beside the old one, which serves until then.
pub(super) fn reindex(app: &Arc<App>, live: &Arc<Live>) -> Result<Done, Failure> {
    let store = app.stores.store()?;
    let domains = domains(app, live, &store)?;
    let report = store.reindex(&domains, &**live)?;
    let problems: Vec<CheckProblem> = report.problems.iter().map(found).collect();
    Ok(Done {
        with_errors: !problems.is_empty(),
        result: result(&Reindexed {
            snapshots: report.snapshots,
            problems,
        }),
        items: Vec::new(),
    })
}
