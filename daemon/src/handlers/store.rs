//! The store: its status, its check, its prune and repair, the rebuild of its index.

use std::sync::Arc;

use orgkeep_api::job::{JobKind, Trigger};
use orgkeep_api::store::{StartCheck, StoreDomain, StoreStatus};

use crate::app::App;
use crate::call::{Answer, Call};
use crate::handlers::domain_name;
use crate::jobs::NewJob;
use crate::problem::Problem;
use crate::roles::Role;

pub(crate) fn status(app: &Arc<App>, _call: &Call) -> Result<Answer, Problem> {
    let stats = match app.stores.listed()? {
        Some(store) => store.stats()?,
        None => orgkeep_engine::store::StoreStats::default(),
    };
    let mut domains = Vec::new();
    for (id, part) in &stats.domains {
        domains.push(StoreDomain {
            domain: domain_name(app, *id)?,
            snapshots: part.snapshots,
            bytes: part.pack_bytes + part.record_bytes,
            orphan_packs: part.orphan_packs,
            removed_snapshots: part.removed_snapshots,
            reclaimable_bytes: part.reclaimable_bytes,
        });
    }
    Answer::ok(&StoreStatus {
        location: app.stores.location().display().to_string(),
        region: "local".to_owned(),
        blobs: stats.blobs,
        packs: stats.domains.values().map(|part| part.packs).sum(),
        bytes: stats.blob_bytes,
        index_bytes: stats.index_bytes,
        wal_bytes: stats.wal_bytes,
        snapshots: stats.domains.values().map(|part| part.snapshots).sum(),
        orphan_packs: stats.domains.values().map(|part| part.orphan_packs).sum(),
        orphan_bytes: stats.domains.values().map(|part| part.orphan_bytes).sum(),
        removed_snapshots: stats
            .domains
            .values()
            .map(|part| part.removed_snapshots)
            .sum(),
        reclaimable_bytes: stats
            .domains
            .values()
            .map(|part| part.reclaimable_bytes)
            .sum(),
        damaged_bytes: stats.damaged_bytes,
        domains,
    })
}

pub(crate) fn check(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let asked: StartCheck = call.json()?;
    if asked.read_data {
        call.require(Role::CloudAdmin)?;
    }
    start(app, JobKind::Check, Some(&asked))
}

pub(crate) fn prune(app: &Arc<App>, _call: &Call) -> Result<Answer, Problem> {
    start::<()>(app, JobKind::Prune, None)
}

pub(crate) fn repair(app: &Arc<App>, _call: &Call) -> Result<Answer, Problem> {
    start::<()>(app, JobKind::Repair, None)
}

pub(crate) fn reindex(app: &Arc<App>, _call: &Call) -> Result<Answer, Problem> {
    start::<()>(app, JobKind::Reindex, None)
}

fn start<T: serde::Serialize>(
    app: &Arc<App>,
    kind: JobKind,
    params: Option<&T>,
) -> Result<Answer, Problem> {
    let params = params
        .map(serde_json::to_string)
        .transpose()
        .map_err(|error| Problem::internal("The request could not be kept", &error))?;
    let new = NewJob {
        kind,
        domain: None,
        trigger: Trigger::Manual,
        mode: None,
        params,
        plan: None,
    };
    Answer::accepted(&app.jobs.submit(app, &new)?)
}
