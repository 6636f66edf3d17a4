//! The repair of the store.

use std::sync::Arc;

use orgkeep_api::job::ReportItem;
use orgkeep_api::store::{LostVersion, RepairResult, UnnamedLoss};
use orgkeep_engine::backup::BackupOptions;
use orgkeep_engine::collect::CollectOptions;
use orgkeep_engine::monitor::Monitor;
use orgkeep_engine::okta::OktaApi;
use orgkeep_engine::repair::{self, DomainRepair, Patient};

use super::result;
use super::upkeep::{OpenDomain, open, problem};
use crate::app::App;
use crate::handlers::domain_name;
use crate::jobs::{Done, Failure, Live};
use crate::org;
use crate::problem::Problem;
use crate::recovery;
use crate::settings;

/// Everything that can be made whole again, in every domain whose keys can be had.
pub(super) fn run(app: &Arc<App>, live: &Arc<Live>) -> Result<Done, Failure> {
    let store = app.stores.store()?;
    let domains = open(app, live, &store)?;
    let provider = app.keyring.provider();
    let patients: Vec<Patient<'_>> = domains
        .open
        .iter()
        .map(|domain| Patient {
            domain: domain.store.clone(),
            provider: &*provider,
            connect: Box::new(|| connect(app, live, domain)),
            backup: BackupOptions {
                collect: CollectOptions {
                    types: settings::wanted_types(&domain.record.settings),
                    ..CollectOptions::default()
                },
            },
        })
        .collect();
    let report = repair::repair(&store, &patients, &*app.clock, &**live)?;
    let mut done = RepairResult {
        problems_found: domains.problems.len() as u64 + report.foreign.len() as u64,
        reindexed: report.reindexed,
        problems: domains.problems,
        ..RepairResult::default()
    };
    for found in &report.foreign {
        done.problems.push(problem(app, found)?);
    }
    for domain in &report.domains {
        add(app, live, domain, &mut done)?;
    }
    let kept = recovery::damaged(app)?;
    done.problems_found += kept.len() as u64;
    let mended = recovery::mend(app, &kept)?;
    done.rewritten.extend(mended);
    done.problems.extend(recovery::damaged(app)?);
    done.whole = report.is_whole() && done.problems.is_empty();
    Ok(Done {
        with_errors: !done.whole,
        items: lost_items(&done.lost, &done.lost_unnamed),
        result: result(&done),
    })
}

/// The org of a domain that is still registered.
fn connect(app: &App, live: &Arc<Live>, domain: &OpenDomain) -> Result<Box<dyn OktaApi>, String> {
    if domain.record.removed {
        return Err("the domain is not registered any more".to_owned());
    }
    let monitor: Arc<dyn Monitor> = Arc::clone(live) as Arc<dyn Monitor>;
    let scopes = org::backup_scopes(&domain.record);
    match org::connect(app, &domain.record, scopes, monitor) {
        Ok(api) => Ok(Box::new(api)),
        Err(problem) => Err(problem.detail().to_owned()),
    }
}

fn add(app: &App, live: &Live, of: &DomainRepair, done: &mut RepairResult) -> Result<(), Problem> {
    let name = domain_name(app, of.domain)?;
    for note in &of.notes {
        live.warn(format!("Domain {name}: {note}"));
    }
    done.problems_found += of.found.len() as u64;
    done.rewritten.extend(of.rewritten.iter().cloned());
    done.set_aside.extend(of.set_aside.iter().cloned());
    done.chunks_salvaged += of.chunks_salvaged;
    done.versions_recovered += of.versions_recovered;
    for version in &of.lost {
        if version.pending {
            done.versions_pending += 1;
        } else {
            done.versions_lost += 1;
        }
        done.lost.push(LostVersion {
            domain: name.clone(),
            object_type: version.object_type.name().to_owned(),
            id: version.id.clone(),
            snapshots: version.snapshots.iter().map(ToString::to_string).collect(),
            pending: version.pending,
        });
    }
    for ((snapshot, object_type), versions) in &of.lost_unnamed {
        done.versions_lost += versions;
        done.lost_unnamed.push(UnnamedLoss {
            domain: name.clone(),
            object_type: object_type.name().to_owned(),
            since: snapshot.to_string(),
            versions: *versions,
        });
    }
    let lost = of.snapshots_lost.iter().map(ToString::to_string);
    done.snapshots_lost.extend(lost);
    done.snapshots
        .extend(of.snapshot.iter().map(ToString::to_string));
    for found in &of.remaining {
        done.problems.push(problem(app, found)?);
    }
    Ok(())
}

/// The versions that are lost, as the report's rows.
fn lost_items(lost: &[LostVersion], unnamed: &[UnnamedLoss]) -> Vec<ReportItem> {
    let named = lost.iter().map(|version| ReportItem {
        seq: 0,
        action: "repair".to_owned(),
        object_type: version.object_type.clone(),
        id: version.id.clone(),
        new_id: None,
        name: None,
        outcome: if version.pending {
            "held_back"
        } else {
            "failed"
        }
        .to_owned(),
        detail: Some(format!(
            "{} of {}: {}",
            if version.pending {
                "damaged, until the org can be read"
            } else {
                "lost: the org does not have this content any more"
            },
            version.domain,
            version.snapshots.join(", ")
        )),
    });
    let unnamed = unnamed.iter().map(|loss| ReportItem {
        seq: 0,
        action: "repair".to_owned(),
        object_type: loss.object_type.clone(),
        id: String::new(),
        new_id: None,
        name: None,
        outcome: "failed".to_owned(),
        detail: Some(format!(
            "lost: {} of them in {}, new or changed with {}; their ids were lost with them",
            loss.versions, loss.domain, loss.since
        )),
    });
    let items = (1..).zip(named.chain(unnamed));
    items
        .map(|(seq, item)| ReportItem { seq, ..item })
        .collect()
}
