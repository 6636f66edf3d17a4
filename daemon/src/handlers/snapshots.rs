//! Snapshots: lists, one snapshot, pins, removal.

use std::sync::Arc;

use orgkeep_api::snapshot::{CoverageState, Snapshot, SnapshotPatch, TypeCoverage};
use orgkeep_engine::clock;
use orgkeep_engine::object::Coverage;
use orgkeep_engine::store::SnapshotInfo;

use crate::app::App;
use crate::call::{Answer, Call};
use crate::handlers::{domain, domain_name, only_domain, snapshot};
use crate::problem::Problem;

/// Newest first, of one domain.
pub(crate) fn list(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let name = if call.param("d").is_empty() {
        call.query("domain")
    } else {
        Some(call.param("d"))
    };
    let domain = match name {
        Some(name) => domain(app, name)?,
        None => only_domain(app)?,
    };
    let snapshots = match app.stores.listed()? {
        Some(store) => store.snapshots(domain.id)?,
        None => Vec::new(),
    };
    let limit = call.limit()?;
    let place = |after: &str| {
        snapshots
            .iter()
            .position(|info| info.id.to_string() == after)
    };
    let start = call.after(place)?.map_or(0, |place| place + 1);
    let page: Vec<_> = snapshots.iter().skip(start).take(limit).collect();
    let next = page
        .last()
        .filter(|_| start + page.len() < snapshots.len())
        .map(|info| info.id.to_string());
    let items = page
        .iter()
        .map(|info| document(info, domain.name.to_string()))
        .collect();
    Answer::page(items, next)
}

pub(crate) fn show(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let info = found(app, call)?;
    Answer::ok(&document(&info, domain_name(app, info.domain)?))
}

pub(crate) fn pin(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let asked: SnapshotPatch = call.json()?;
    let info = found(app, call)?;
    app.stores
        .domain(app, info.domain)?
        .set_pinned(info.id, asked.pinned)?;
    show(app, call)
}

/// Gives the snapshot as it last was.
pub(crate) fn remove(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let info = found(app, call)?;
    if app.jobs.is_busy(info.domain) {
        return Err(Problem::new(
            "busy",
            "A job of this domain waits or runs. Remove the snapshot once it has ended.",
        ));
    }
    let removed = document(&info, domain_name(app, info.domain)?);
    app.stores
        .domain(app, info.domain)?
        .remove_snapshot(info.id)?;
    Answer::ok(&removed)
}

/// The snapshot that the path names, in the domain that path or query name.
fn found(app: &App, call: &Call) -> Result<SnapshotInfo, Problem> {
    let name = if call.param("d").is_empty() {
        call.query("domain")
    } else {
        Some(call.param("d"))
    };
    let of = name.map(|name| domain(app, name)).transpose()?;
    let info = snapshot(app, call.param("s"), of.as_ref())?;
    call.set_target(info.id.to_string());
    Ok(info)
}

fn document(info: &SnapshotInfo, domain: String) -> Snapshot {
    let coverage = info.coverage.iter();
    Snapshot {
        id: info.id.to_string(),
        domain,
        created_at: clock::to_text(info.created_at),
        as_of: clock::to_text(info.as_of),
        parent: info.parent.map(|parent| parent.to_string()),
        complete: info.complete,
        pinned: info.pinned,
        objects: info.objects,
        changes: info.changes,
        bytes_new: info.bytes_new,
        coverage: coverage
            .map(|(object_type, coverage)| (object_type.name().to_owned(), verdict(coverage)))
            .collect(),
    }
}

fn verdict(coverage: &Coverage) -> TypeCoverage {
    match coverage {
        Coverage::Complete => TypeCoverage {
            state: CoverageState::Complete,
            reason: None,
        },
        Coverage::NotAvailable => TypeCoverage {
            state: CoverageState::NotAvailable,
            reason: None,
        },
        Coverage::MissingScope { scope } => TypeCoverage {
            state: CoverageState::MissingScope,
            reason: Some(format!("{scope} is not granted")),
        },
        Coverage::Incomplete { reason } => TypeCoverage {
            state: CoverageState::Incomplete,
            reason: Some(reason.clone()),
        },
    }
}
