//! The store: its status, its check, the rebuild of its index.

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
    let stats = match app.stores.existing()? {
        Some(store) => store.stats()?,
        None => orgkeep_engine::store::StoreStats::default(),
    };
    let mut domains = Vec::new();
    for (id, part) in &stats.domains {
        domains.push(StoreDomain {
            domain: domain_name(app, *id)?,
            snapshots: part.snapshots,
            bytes: part.pack_bytes + part.record_bytes,
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
