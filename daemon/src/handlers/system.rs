//! Status, metrics, the OpenAPI document, keys, scopes, the audit log.

use std::sync::Arc;

use orgkeep_api::system::{
    DaemonStatus, DomainKeysStatus, KeysStatus, NextRun, ScopesToGrant, Status, StoreState,
};
use orgkeep_engine::{authorize, catalogue, clock};

use crate::app::App;
use crate::call::{Answer, Call};
use crate::cards;
use crate::openapi;
use crate::problem::Problem;
use crate::recovery;
use crate::scheduler::Facts;
use crate::settings;
use crate::state::domains::DomainRecord;

/// Answers always, whatever else is out of order.
pub(crate) fn status(app: &Arc<App>, _call: &Call) -> Result<Answer, Problem> {
    let mut warnings = Vec::new();
    let domains = app
        .state()
        .and_then(|state| Ok(state.domains()?))
        .unwrap_or_else(|problem| {
            warnings.push(problem.detail().to_owned());
            Vec::new()
        });
    let store = match app.stores.existing() {
        Ok(_) => StoreState {
            state: "ok".to_owned(),
            detail: None,
            location: location(app),
        },
        Err(problem) => {
            let detail = Some(problem.detail().to_owned());
            StoreState {
                state: "unavailable".to_owned(),
                detail,
                location: location(app),
            }
        }
    };
    let key_provider = app.keyring.status(app);
    warnings.extend(store.detail.clone());
    warnings.extend(key_provider.detail.clone());
    warnings.extend(key_provider.warning.clone());
    warnings.extend(waiting_for_keys(&domains));
    Answer::ok(&Status {
        daemon: DaemonStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: clock::to_text(app.started_at),
            data_dir: app.config.data_dir.display().to_string(),
            sqlite: rusqlite::version().to_owned(),
        },
        store,
        key_provider,
        domains: domains.len() as u64,
        next_runs: next_runs(app, &domains),
        running_jobs: app.jobs.unfinished(app),
        warnings,
    })
}

fn location(app: &App) -> String {
    app.stores.location().display().to_string()
}

fn waiting_for_keys(domains: &[DomainRecord]) -> impl Iterator<Item = String> {
    domains
        .iter()
        .filter(|domain| !domain.keys_enabled)
        .map(|domain| {
            format!(
                "{}: scheduled backups wait until key management is enabled.",
                domain.name
            )
        })
}

fn next_runs(app: &App, domains: &[DomainRecord]) -> Vec<NextRun> {
    let now = app.clock.now();
    let mut runs: Vec<_> = domains
        .iter()
        .filter(|domain| domain.keys_enabled)
        .filter_map(|domain| Some((Facts::of(domain)?.next(now)?, domain.name.to_string())))
        .collect();
    runs.sort();
    runs.into_iter()
        .map(|(at, domain)| NextRun {
            domain,
            at: clock::to_text(at),
        })
        .collect()
}

pub(crate) fn metrics(app: &Arc<App>, _call: &Call) -> Result<Answer, Problem> {
    let domains = app
        .state()
        .and_then(|state| Ok(state.domains()?))
        .unwrap_or_default();
    ::metrics::gauge!("orgkeep_domains").set(u32::try_from(domains.len()).unwrap_or(u32::MAX));
    let unfinished = u32::try_from(app.jobs.unfinished(app).len()).unwrap_or(u32::MAX);
    ::metrics::gauge!("orgkeep_jobs_unfinished").set(unfinished);
    app.metrics.run_upkeep();
    Ok(Answer::Text(
        "text/plain; version=0.0.4; charset=utf-8",
        app.metrics.render(),
    ))
}

pub(crate) fn openapi(_app: &Arc<App>, _call: &Call) -> Result<Answer, Problem> {
    Ok(Answer::Text("application/json", openapi::text()))
}

pub(crate) fn scopes(_app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let names = call.query_list("types");
    let types = if names.is_empty() {
        catalogue::all().collect()
    } else {
        settings::object_types(&names)
            .map_err(|error| Problem::invalid(format!("types: {error}.")))?
    };
    let scopes = authorize::scopes_for(&types);
    Answer::ok(&ScopesToGrant {
        backup: scopes.read,
        restore: scopes.manage,
    })
}

pub(crate) fn keys(app: &Arc<App>, _call: &Call) -> Result<Answer, Problem> {
    let provider = app.keyring.status(app);
    let ok = provider.detail.is_none();
    let domains = app.state()?.domains()?;
    let status = |domain: &DomainRecord| DomainKeysStatus {
        domain: domain.name.to_string(),
        key_management: cards::key_management(domain, ok),
    };
    Answer::ok(&KeysStatus {
        domains: domains.iter().map(status).collect(),
        provider,
    })
}

pub(crate) fn audit(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let state = app.state()?;
    if call.query_as::<bool>("verify")?.unwrap_or(false) {
        return Answer::ok(&state.audit_verify(recovery::audit_witness(app)?)?);
    }
    let limit = call.limit()?;
    let after = call.after(|text| text.parse::<u64>().ok())?.unwrap_or(0);
    let mut rows = state.audit_rows(after, limit + 1)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.seq.to_string());
    Answer::page(rows, next)
}
