//! The jobs on the whole store: its check, its prune, the rebuild of its index.

use std::sync::Arc;

use orgkeep_api::job::ReportItem;
use orgkeep_api::store::{CheckProblem, CheckResult, ObjectName, PruneResult, StartCheck};
use orgkeep_engine::check::{self, Problem as Found};
use orgkeep_engine::store::{DomainStore, PruneOptions, PruneReport, Store, StoreProblem};
use serde::Serialize;

use super::result;
use crate::app::App;
use crate::handlers::domain_name;
use crate::jobs::{Done, Failure, Live};
use crate::problem::Problem;
use crate::recovery;
use crate::state::domains::DomainRecord;

/// A domain whose keys the store has, registered or not.
pub(super) struct OpenDomain {
    pub(super) record: DomainRecord,
    pub(super) store: DomainStore,
}

/// The domains that could be opened, and a problem for each that could not.
#[derive(Default)]
pub(super) struct OpenDomains {
    pub(super) open: Vec<OpenDomain>,
    pub(super) problems: Vec<CheckProblem>,
}

impl OpenDomains {
    fn stores(&self) -> Vec<DomainStore> {
        self.open.iter().map(|one| one.store.clone()).collect()
    }
}

/// Opens every domain whose keys the store has, registered or not.
pub(super) fn open(app: &App, live: &Live, store: &Store) -> Result<OpenDomains, Problem> {
    let state = app.state()?;
    let mut found = OpenDomains::default();
    for record in state.domains()?.into_iter().chain(state.forgotten()?) {
        if !record.keys_enabled && !store.has_domain_keys(record.id)? {
            continue;
        }
        match app.stores.domain(app, record.id) {
            Ok(store) => found.open.push(OpenDomain { record, store }),
            Err(problem) if !store.has_domain_keys(record.id)? => {
                let what = "the domain's keys are missing, so that nothing of it can be read";
                live.warn(format!("Domain {}: {}", record.id, problem.detail()));
                found.problems.push(keys_problem(&record, what.to_owned()));
            }
            Err(problem) => {
                if let Some(detail) = app.keyring.status(app).detail {
                    return Err(Problem::new("key_provider_unavailable", detail));
                }
                live.warn(format!("Domain {}: {}", record.id, problem.detail()));
                found
                    .problems
                    .push(keys_problem(&record, problem.detail().to_owned()));
            }
        }
    }
    Ok(found)
}

fn keys_problem(record: &DomainRecord, what: String) -> CheckProblem {
    CheckProblem {
        kind: "keys".to_owned(),
        domain: Some(record.name.to_string()),
        blob: format!("{}/keys", record.id),
        what,
        types: Vec::new(),
        snapshots: Vec::new(),
        objects: Vec::new(),
    }
}

/// A problem as a document.
pub(super) fn problem(app: &App, found: &Found) -> Result<CheckProblem, Problem> {
    let objects = found.objects.iter().map(|(object_type, id)| ObjectName {
        object_type: object_type.name().to_owned(),
        id: id.clone(),
    });
    Ok(CheckProblem {
        kind: found.kind.as_str().to_owned(),
        domain: found.domain.map(|id| domain_name(app, id)).transpose()?,
        blob: found.blob.clone(),
        what: found.what.clone(),
        types: found
            .types
            .iter()
            .map(|one| one.name().to_owned())
            .collect(),
        snapshots: found.snapshots.iter().map(ToString::to_string).collect(),
        objects: objects.collect(),
    })
}

fn plain_problem(found: &StoreProblem) -> CheckProblem {
    CheckProblem {
        kind: check::kind_of(&found.blob).as_str().to_owned(),
        domain: None,
        blob: found.blob.clone(),
        what: found.what.clone(),
        types: Vec::new(),
        snapshots: Vec::new(),
        objects: Vec::new(),
    }
}

/// The objects that problems concern, as a report's rows.
fn damaged_items(problems: &[CheckProblem]) -> Vec<ReportItem> {
    let objects = problems
        .iter()
        .flat_map(|problem| problem.objects.iter().map(move |object| (problem, object)));
    (1..)
        .zip(objects)
        .map(|(seq, (problem, object))| ReportItem {
            seq,
            action: "read".to_owned(),
            object_type: object.object_type.clone(),
            id: object.id.clone(),
            new_id: None,
            name: None,
            outcome: "damaged".to_owned(),
            detail: Some(format!("{}: {}", problem.blob, problem.what)),
        })
        .collect()
}

pub(super) fn check(app: &Arc<App>, live: &Arc<Live>) -> Result<Done, Failure> {
    let params = live.params(app)?;
    let asked: StartCheck = serde_json::from_slice(&params)
        .map_err(|error| Problem::internal("The job's parameters cannot be read", &error))?;
    let store = app.stores.store()?;
    let domains = open(app, live, &store)?;
    let report = check::check(&store, &domains.stores(), asked.read_data, &**live)?;
    if !report.orphans.is_empty() {
        let bytes: u64 = report.orphans.values().sum();
        let packs = report.orphans.len();
        live.warn(format!(
            "{packs} packs ({bytes} bytes) belong to no snapshot: an interrupted backup left them, or the records that named them are gone"
        ));
    }
    let mut problems = domains.problems;
    for found in &report.problems {
        problems.push(problem(app, found)?);
    }
    let provider = app.keyring.provider();
    for domain in &domains.open {
        match check::check_keys(&domain.store, &*provider) {
            Ok(None) => {}
            Ok(Some(found)) => problems.push(problem(app, &found)?),
            Err(error) => return Err(Problem::from(error).into()),
        }
    }
    problems.extend(recovery::damaged(app)?);
    Ok(Done {
        with_errors: !problems.is_empty(),
        items: damaged_items(&problems),
        result: result(&CheckResult {
            packs: report.packs,
            chunks: report.chunks,
            snapshots: report.snapshots,
            versions: report.versions,
            bytes: report.bytes,
            lost: report.lost,
            orphan_packs: report.orphans.len() as u64,
            problems,
        }),
    })
}

/// Each domain in turn; one that cannot be pruned does not keep the others from it.
pub(super) fn prune(app: &Arc<App>, live: &Arc<Live>) -> Result<Done, Failure> {
    let store = app.stores.store()?;
    let domains = open(app, live, &store)?;
    let mut pruned = PruneResult {
        problems: domains.problems,
        ..PruneResult::default()
    };
    for domain in &domains.open {
        let options = PruneOptions::at(app.clock.now());
        let report = match domain.store.prune(&options, &**live) {
            Ok(report) => report,
            Err(error) => {
                let problem = Problem::from(error);
                if matches!(problem.code(), "cancelled" | "no_space") {
                    return Err(problem.into());
                }
                pruned.problems.push(CheckProblem {
                    kind: "index".to_owned(),
                    domain: Some(domain.record.name.to_string()),
                    blob: String::new(),
                    what: problem.detail().to_owned(),
                    types: Vec::new(),
                    snapshots: Vec::new(),
                    objects: Vec::new(),
                });
                continue;
            }
        };
        add(&mut pruned, &domain.record, report);
    }
    Ok(Done {
        with_errors: !pruned.problems.is_empty(),
        result: result(&pruned),
        items: Vec::new(),
    })
}

fn add(pruned: &mut PruneResult, of: &DomainRecord, report: PruneReport) {
    pruned.snapshots_pruned += report.snapshots_removed;
    pruned.snapshots_linked += report.snapshots_linked;
    pruned.versions_dropped += report.versions_dropped;
    pruned.packs_deleted += report.packs.deleted;
    pruned.packs_rewritten += report.packs.rewritten;
    pruned.packs_kept +=
        report.packs.kept_young + report.packs.kept_in_use + report.packs.kept_in_doubt;
    pruned.bytes_freed += report.bytes_freed;
    pruned.bytes_rewritten += report.bytes_rewritten;
    let problems = report.problems.iter().map(|found| CheckProblem {
        domain: Some(of.name.to_string()),
        ..plain_problem(found)
    });
    pruned.problems.extend(problems);
}

/// What a rebuild of the index found.
#[derive(Debug, Serialize)]
struct Reindexed {
    snapshots: u64,
    problems: Vec<CheckProblem>,
}

/// The index is made anew from the blobs beside the old one, which serves until then.
pub(super) fn reindex(app: &Arc<App>, live: &Arc<Live>) -> Result<Done, Failure> {
    let store = app.stores.store()?;
    let domains = open(app, live, &store)?;
    let report = store.reindex(&domains.stores(), &**live)?;
    let mut problems = domains.problems;
    problems.extend(report.problems.iter().map(plain_problem));
    Ok(Done {
        with_errors: !problems.is_empty(),
        result: result(&Reindexed {
            snapshots: report.snapshots,
            problems,
        }),
        items: Vec::new(),
    })
}
