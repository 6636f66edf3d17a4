//! The domain card: what is shown of a registered domain, put together from state, store and schedule.

use orgkeep_api::domain::{AppStatus, DomainCard, KeyManagement, LastBackup};
use orgkeep_engine::clock;

use crate::app::App;
use crate::org;
use crate::problem::Problem;
use crate::scheduler::Facts;
use crate::state::domains::{DomainRecord, ScopesRecord};

/// How many remarks of the last backup the card repeats.
const WARNINGS_MAX: usize = 20;

/// The card of a domain. `provider_ok` says whether the key provider answers now.
pub(crate) fn card(
    app: &App,
    domain: &DomainRecord,
    provider_ok: bool,
) -> Result<DomainCard, Problem> {
    let (snapshots, opening) = match app.stores.listed_now() {
        Ok(Some(store)) => (store.snapshots(domain.id)?, None),
        Ok(None) => (Vec::new(), None),
        // The card says so; what it shows besides is right.
        Err(problem) => (Vec::new(), Some(problem.detail().to_owned())),
    };
    let newest = snapshots.first();
    let protected_items = newest.map(|snapshot| {
        let counts = snapshot.counts.iter();
        counts
            .map(|(object_type, count)| (object_type.name().to_owned(), *count))
            .collect()
    });
    let last = app.state()?.last_backup(domain.id)?;
    let next = Facts::of(domain)
        .filter(|_| domain.keys_enabled)
        .and_then(|facts| facts.next(app.clock.now()));
    let mut warnings = own_warnings(domain, provider_ok);
    warnings.extend(opening);
    if let Some(last) = &last {
        warnings.extend(app.jobs.warnings(app, last).into_iter().take(WARNINGS_MAX));
    }
    Ok(DomainCard {
        name: domain.name.to_string(),
        okta_domain: domain.okta_domain.clone(),
        org_id: domain.org_id.clone(),
        added_at: clock::to_text(domain.added_at),
        storage_region: "local".to_owned(),
        backup_enabled: domain.backup_enabled,
        app_status: domain.app_status,
        app_status_detail: domain.app_status_detail.clone(),
        scopes: domain.scopes.clone().into(),
        restore_scopes_missing: domain.restore_scopes_missing.clone(),
        key_management: key_management(domain, provider_ok),
        schedule: domain.settings.schedule.clone(),
        timezone: domain.settings.timezone.clone(),
        next_backup_at: next.map(clock::to_text),
        retention: domain.settings.retention.clone(),
        last_backup: last.map(|job| LastBackup {
            job: job.id.to_string(),
            state: job.state,
            finished_at: job.finished_at.map(clock::to_text),
        }),
        last_good_snapshot: snapshots
            .iter()
            .find(|snapshot| snapshot.complete)
            .map(|snapshot| snapshot.id.to_string()),
        protected_items: protected_items.unwrap_or_default(),
        warnings,
    })
}

/// What a job found missing is missing; what was missing before and is not any more was granted meanwhile.
fn take_missing(scopes: &mut ScopesRecord, missing: &[String]) {
    let found = std::mem::replace(&mut scopes.missing, missing.to_vec());
    scopes.granted.extend(found);
    scopes.granted.sort();
    scopes.granted.dedup();
    scopes.granted.retain(|scope| !missing.contains(scope));
}

/// Whether the domain's keys exist and can be used.
pub(crate) fn key_management(domain: &DomainRecord, provider_ok: bool) -> KeyManagement {
    match (domain.keys_enabled, provider_ok) {
        (false, _) => KeyManagement::NotEnabled,
        (true, true) => KeyManagement::Enabled,
        (true, false) => KeyManagement::Unavailable,
    }
}

/// What the domain's own settings call for.
fn own_warnings(domain: &DomainRecord, provider_ok: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |text: String| warnings.push(text);
    if !domain.keys_enabled {
        warn(format!(
            "Scheduled backups wait: key management is not enabled. Run `orgkeepctl keys enable {}`.",
            domain.name
        ));
    } else if !provider_ok {
        warn(
            "The key provider does not answer: backups and restores fail until it does.".to_owned(),
        );
    }
    if !domain.backup_enabled {
        warn(format!(
            "Scheduled backups are switched off. Run `orgkeepctl domains enable-backup {}`.",
            domain.name
        ));
    } else if domain.settings.schedule == "off" {
        warn("The schedule is off: only backup-now makes snapshots.".to_owned());
    }
    if domain.api_token {
        warn("An API token acts with all rights of the admin who made it; a service app with scopes is safer.".to_owned());
    }
    warnings
}

impl App {
    /// Makes the card say what the org's answer to a job showed.
    pub(crate) fn note_org_answer(
        &self,
        domain: &DomainRecord,
        outcome: Result<&[String], &Problem>,
    ) {
        let (status, detail) = match outcome {
            Ok([]) => (AppStatus::Connected, None),
            Ok(missing) => (AppStatus::MissingScopes, org::missing_detail(missing)),
            Err(problem) => match org::status_after(problem.code()) {
                Some(status) => (status, Some(problem.detail().to_owned())),
                None => return,
            },
        };
        let updated = self.state().and_then(|state| {
            Ok(state.update_domain(domain.id, &mut |record| {
                record.app_status = status;
                record.app_status_detail.clone_from(&detail);
                if let Ok(missing) = outcome {
                    take_missing(&mut record.scopes, missing);
                }
            })?)
        });
        if let Err(problem) = updated {
            tracing::error!(domain = %domain.name, code = problem.code(), "The card could not be brought up to date");
        }
    }

    /// Whether the key provider answers now.
    pub(crate) fn provider_ok(&self) -> bool {
        self.keyring.status(self).detail.is_none()
    }
}
