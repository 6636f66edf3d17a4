//! Domains: register, re-authorize, settings, key management, backup now, remove.

use std::sync::Arc;

use http::StatusCode;
use orgkeep_api::domain::{AddDomain, AppStatus, Enabled, Reauthorize, SettingsPatch};
use orgkeep_api::job::{StartBackup, Trigger};
use orgkeep_engine::authorize::Authorization;
use orgkeep_engine::id::{DomainId, DomainName};
use orgkeep_engine::okta::OktaDomain;

use crate::app::App;
use crate::call::{Answer, Call};
use crate::cards;
use crate::handlers::domain;
use crate::org::{self, missing_detail, okta_problem};
use crate::problem::Problem;
use crate::recovery;
use crate::settings::{self, SettingsProblem};
use crate::state::domains::{DomainRecord, ScopesRecord};

pub(crate) fn list(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let limit = call.limit()?;
    let after = call.query("after").unwrap_or("");
    let ok = app.provider_ok();
    // Where that takes too long, the cards say so.
    drop(app.stores.listed());
    let domains = app.state()?.domains()?;
    let mut rest = domains.iter().filter(|domain| domain.name.as_str() > after);
    let cards = rest
        .by_ref()
        .take(limit)
        .map(|domain| cards::card(app, domain, ok))
        .collect::<Result<Vec<_>, _>>()?;
    let next = rest
        .next()
        .and_then(|_| cards.last().map(|card| card.name.clone()));
    Answer::page(cards, next)
}

pub(crate) fn show(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let domain = domain(app, call.param("d"))?;
    drop(app.stores.listed());
    card(app, &domain)
}

fn card(app: &App, domain: &DomainRecord) -> Result<Answer, Problem> {
    Answer::ok(&cards::card(app, domain, app.provider_ok())?)
}

/// Authorizes first: what Okta refuses leaves nothing behind.
pub(crate) fn add(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let asked: AddDomain = call.json()?;
    let okta_domain: OktaDomain = asked
        .okta_domain
        .parse()
        .map_err(|error| okta_problem(&error))?;
    let name = asked.name.as_deref().unwrap_or(okta_domain.first_label());
    let name: DomainName = name
        .parse()
        .map_err(|error| Problem::invalid(format!("name: {error}. Choose one with `--name`.")))?;
    call.set_target(name.to_string());
    let settings =
        settings::patched(&app.config.defaults, &asked.settings).map_err(setting_problem)?;
    refuse_taken_name(app, &name)?;

    let credentials = org::credentials(asked.credentials);
    let types = settings::wanted_types(&settings);
    let authorization = org::authorize(app, okta_domain.clone(), credentials.clone(), &types)?;

    let registering = app.registering();
    refuse_taken_name(app, &name)?;
    if let Some(other) = app.state()?.domain_by_org(&authorization.org_id)? {
        let detail = format!(
            "This org is registered as `{}`. Use `domains reauthorize` for new credentials.",
            other.name
        );
        return Err(Problem::new("org_registered", detail));
    }
    let earlier = app.state()?.forgotten_by_org(&authorization.org_id)?;
    let id = match &earlier {
        Some(earlier) => earlier.id,
        None => {
            DomainId::random().map_err(|error| Problem::internal("No id could be made", &error))?
        }
    };
    let now = app.clock.now();
    let mut record = DomainRecord {
        id,
        name,
        okta_domain: okta_domain.to_string(),
        org_id: authorization.org_id.clone(),
        added_at: now,
        credentials: org::seal(app, id, &credentials)?,
        api_token: false,
        backup_enabled: true,
        keys_enabled: earlier.as_ref().is_some_and(|earlier| earlier.keys_enabled),
        settings,
        schedule_from: now,
        app_status: AppStatus::Connected,
        app_status_detail: None,
        scopes: ScopesRecord::default(),
        restore_scopes_missing: Vec::new(),
        removed: false,
    };
    take_answer(&mut record, &authorization);
    recovery::register(app, &record)?;
    if let Err(error) = app.state()?.insert_domain(&record) {
        // What was not registered must not come back at the next start.
        match &earlier {
            Some(earlier) => recovery::register(app, earlier)?,
            None => app.stores.store()?.remove_registration(record.id)?,
        }
        return Err(error.into());
    }
    drop(registering);
    if asked.enable_keys {
        record = enable_keys(app, &record)?;
    }
    app.scheduler.poke();
    tracing::info!(domain = %record.name, "A domain was registered");
    Answer::json(
        StatusCode::CREATED,
        &cards::card(app, &record, app.provider_ok())?,
    )
}

fn refuse_taken_name(app: &App, name: &DomainName) -> Result<(), Problem> {
    if app.state()?.domain(name.as_str())?.is_some() {
        let detail = format!("Another domain is called `{name}`. Choose a name with `--name`.");
        return Err(Problem::new("name_taken", detail));
    }
    Ok(())
}

fn take_answer(record: &mut DomainRecord, authorization: &Authorization) {
    record.api_token = authorization.api_token;
    record.scopes = ScopesRecord {
        granted: authorization.granted.clone(),
        missing: authorization.missing.clone(),
    };
    record
        .restore_scopes_missing
        .clone_from(&authorization.restore_missing);
    record.app_status_detail = missing_detail(&authorization.missing);
    record.app_status = if authorization.missing.is_empty() {
        AppStatus::Connected
    } else {
        AppStatus::MissingScopes
    };
}

fn setting_problem(problem: SettingsProblem) -> Problem {
    Problem::invalid(format!("{}: {}.", problem.field, problem.message))
}

/// Changes a registered domain, in the state and in its registration.
fn changed(
    app: &App,
    domain: &DomainRecord,
    change: &mut dyn FnMut(&mut DomainRecord),
) -> Result<DomainRecord, Problem> {
    let record = app
        .state()?
        .update_domain(domain.id, change)?
        .ok_or_else(|| Problem::not_found(format_args!("domain `{}`", domain.name)))?;
    recovery::register(app, &record)?;
    app.scheduler.poke();
    Ok(record)
}

pub(crate) fn reauthorize(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let domain = domain(app, call.param("d"))?;
    let asked: Reauthorize = call.json()?;
    let okta_domain: OktaDomain = domain
        .okta_domain
        .parse()
        .map_err(|error| okta_problem(&error))?;
    let credentials = org::credentials(asked.credentials);
    let types = settings::wanted_types(&domain.settings);
    let authorization = org::authorize(app, okta_domain, credentials.clone(), &types)?;
    if authorization.org_id != domain.org_id {
        let detail = "The address now leads to another org than the one that was registered. Add that one under its own name.";
        return Err(Problem::new("other_org", detail));
    }
    let sealed = org::seal(app, domain.id, &credentials)?;
    let record = changed(app, &domain, &mut |record| {
        record.credentials.clone_from(&sealed);
        take_answer(record, &authorization);
    })?;
    card(app, &record)
}

pub(crate) fn set_backup(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let domain = domain(app, call.param("d"))?;
    let asked: Enabled = call.json()?;
    let now = app.clock.now();
    let record = changed(app, &domain, &mut |record| {
        if asked.enabled && !record.backup_enabled {
            record.schedule_from = now;
        }
        record.backup_enabled = asked.enabled;
    })?;
    card(app, &record)
}

pub(crate) fn settings(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    Answer::ok(&domain(app, call.param("d"))?.settings)
}

pub(crate) fn change_settings(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let domain = domain(app, call.param("d"))?;
    let patch: SettingsPatch = call.json()?;
    let settings = settings::patched(&domain.settings, &patch).map_err(setting_problem)?;
    let now = app.clock.now();
    let record = changed(app, &domain, &mut |record| {
        let timing = |settings: &orgkeep_api::domain::Settings| {
            (settings.schedule.clone(), settings.timezone.clone())
        };
        if timing(&record.settings) != timing(&settings) {
            record.schedule_from = now;
        }
        record.settings = settings.clone();
    })?;
    Answer::ok(&record.settings)
}

pub(crate) fn set_key_management(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let domain = domain(app, call.param("d"))?;
    let asked: Enabled = call.json()?;
    if !asked.enabled {
        return Err(Problem::invalid(
            "Key management cannot be switched off: nothing is stored unencrypted.",
        ));
    }
    card(app, &enable_keys(app, &domain)?)
}

/// Makes the domain's keys, durable before anything needs them. Doing it twice changes nothing.
fn enable_keys(app: &App, domain: &DomainRecord) -> Result<DomainRecord, Problem> {
    let provider = app.keyring.provider_to_wrap(app)?;
    app.keyring.state_key(app)?;
    app.stores
        .store()?
        .create_domain_keys(domain.id, &*provider)?;
    if domain.keys_enabled {
        return Ok(domain.clone());
    }
    changed(app, domain, &mut |record| record.keys_enabled = true)
}

pub(crate) fn backup_now(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let domain = domain(app, call.param("d"))?;
    let asked: StartBackup = call.json()?;
    if !domain.keys_enabled {
        return Err(keys_needed(&domain));
    }
    Answer::accepted(
        &app.jobs
            .submit_backup(app, &domain, asked.mode, Trigger::Manual)?,
    )
}

/// The refusal while key management is not enabled.
pub(crate) fn keys_needed(domain: &DomainRecord) -> Problem {
    Problem::new(
        "key_management_not_enabled",
        format!(
            "Run `orgkeepctl keys enable {}` first: nothing is stored unencrypted.",
            domain.name
        ),
    )
}

/// Forgets a domain; its data is kept unless it is to be erased. A forgotten one can still be erased, by its old name. Gives
/// the card as it last was.
pub(crate) fn remove(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let name = call.param("d");
    let erase = call.query_as::<bool>("erase")?.unwrap_or(false);
    let state = app.state()?;
    let record = match state.domain(name)? {
        Some(record) => record,
        None => {
            let forgotten = state
                .forgotten()?
                .into_iter()
                .find(|record| record.name.as_str() == name);
            forgotten
                .filter(|_| erase)
                .ok_or_else(|| Problem::not_found(format_args!("domain `{name}`")))?
        }
    };
    if app.jobs.is_busy(record.id) {
        return Err(Problem::new(
            "busy",
            "A job of this domain waits or runs. Cancel it first, or wait for its end.",
        ));
    }
    let card = card(app, &record)?;
    if erase {
        if let Some(store) = app.stores.existing()? {
            store.erase_domain(record.id)?;
            store.remove_registration(record.id)?;
        }
        app.stores.forget(record.id);
        state.remove_domain(record.id, None)?;
        recovery::keep_id_map(app, record.id)?;
    } else {
        let kept = DomainRecord {
            credentials: String::new(),
            removed: true,
            ..record.clone()
        };
        recovery::register(app, &kept)?;
        state.remove_domain(record.id, Some(&kept))?;
        app.stores.forget(record.id);
    }
    state.checkpoint()?;
    app.scheduler.poke();
    tracing::info!(domain = %record.name, erased = erase, "A domain was removed");
    Ok(card)
}
