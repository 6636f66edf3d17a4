//! What each route does: load, decide, answer. Blocking; called on threads that may block.

pub(crate) mod domains;
pub(crate) mod events;
pub(crate) mod exports;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod objects;
pub(crate) mod plans;
pub(crate) mod snapshots;
pub(crate) mod store;
pub(crate) mod system;

use orgkeep_engine::id::{DomainId, SnapshotId};
use orgkeep_engine::store::SnapshotInfo;

use crate::app::App;
use crate::problem::Problem;
use crate::state::domains::DomainRecord;

/// The registered domain with this name.
fn domain(app: &App, name: &str) -> Result<DomainRecord, Problem> {
    app.state()?
        .domain(name)?
        .ok_or_else(|| Problem::not_found(format_args!("domain `{name}`")))
}

/// A snapshot by its id, a unique prefix, `latest` or `@TIME`; the last two need a domain where several are registered.
fn snapshot(app: &App, text: &str, of: Option<&DomainRecord>) -> Result<SnapshotInfo, Problem> {
    let found = if text == "latest" || text.starts_with('@') {
        by_time(app, text, of)?
    } else {
        by_prefix(app, text, of)?
    };
    found.ok_or_else(|| Problem::not_found(format_args!("snapshot `{text}`")))
}

fn by_time(
    app: &App,
    text: &str,
    of: Option<&DomainRecord>,
) -> Result<Option<SnapshotInfo>, Problem> {
    let only = match of {
        Some(domain) => domain.clone(),
        None => only_domain(app)?,
    };
    let time: Option<jiff::Timestamp> = match text.strip_prefix('@') {
        Some(time) => Some(time.parse().map_err(|_| {
            Problem::invalid(format!(
                "`{text}`: write a time as RFC 3339, such as @2026-03-01T12:00:00Z."
            ))
        })?),
        None => None,
    };
    let Some(store) = app.stores.listed()? else {
        return Ok(None);
    };
    let mut snapshots = store.snapshots(only.id)?.into_iter();
    Ok(snapshots.find(|snapshot| time.is_none_or(|time| snapshot.as_of <= time)))
}

/// The one registered domain, where there is exactly one.
fn only_domain(app: &App) -> Result<DomainRecord, Problem> {
    let mut domains = app.state()?.domains()?;
    match (domains.pop(), domains.is_empty()) {
        (Some(domain), true) => Ok(domain),
        (None, _) => Err(Problem::not_found("registered domain")),
        (Some(_), false) => Err(Problem::invalid(
            "Several domains are registered: name one.",
        )),
    }
}

fn by_prefix(
    app: &App,
    text: &str,
    of: Option<&DomainRecord>,
) -> Result<Option<SnapshotInfo>, Problem> {
    let is_hex = !text.is_empty()
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_hex {
        return Ok(None);
    }
    let Some(store) = app.stores.listed()? else {
        return Ok(None);
    };
    let ids = match text.parse::<SnapshotId>() {
        Ok(whole) => vec![whole],
        Err(_) => store.resolve_prefix(text)?,
    };
    let mut found = Vec::new();
    for id in ids {
        found.extend(
            store
                .snapshot_info(id)?
                .filter(|info| of.is_none_or(|domain| domain.id == info.domain)),
        );
    }
    if found.len() > 1 {
        let ids: Vec<_> = found.iter().map(|info| info.id.to_string()).collect();
        return Err(Problem::new(
            "ambiguous",
            format!("`{text}` fits {}: write more digits.", ids.join(", ")),
        ));
    }
    Ok(found.pop())
}

/// What a domain is called; the name it had where it is not registered any more, else its internal id.
pub(crate) fn domain_name(app: &App, id: DomainId) -> Result<String, Problem> {
    let state = app.state()?;
    if let Some(record) = state.domain_by_id(id)? {
        return Ok(record.name.to_string());
    }
    let forgotten = state
        .forgotten()?
        .into_iter()
        .find(|record| record.id == id);
    Ok(forgotten.map_or_else(|| id.to_string(), |record| record.name.to_string()))
}
