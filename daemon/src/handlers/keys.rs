//! Keys: a new data key for a domain, and everything wrapped anew.

use std::sync::Arc;

use orgkeep_api::system::{KeysRewrapped, KeysRotated, NotRewrapped};

use crate::app::App;
use crate::call::{Answer, Call};
use crate::handlers::domain;
use crate::handlers::domains::keys_needed;
use crate::org;
use crate::problem::Problem;
use crate::recovery;
use crate::state::domains::DomainRecord;

/// A new data key for what is written from now on. Jobs that read or write with the old ones must have ended.
pub(crate) fn rotate(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let domain = domain(app, call.param("d"))?;
    if !domain.keys_enabled {
        return Err(keys_needed(&domain));
    }
    let provider = app.keyring.provider_to_wrap(app)?;
    let store = app.stores.store()?;
    let epoch = app.jobs.while_idle(domain.id, || {
        let epoch = store.rotate_domain_keys(domain.id, &*provider)?;
        app.stores.forget(domain.id);
        Ok::<_, Problem>(epoch)
    })?;
    tracing::info!(domain = %domain.name, epoch, "A domain has a new data key");
    Answer::ok(&KeysRotated {
        domain: domain.name.to_string(),
        epoch,
    })
}

/// Everything that the provider wrapped, wrapped anew by the key that it uses now.
pub(crate) fn rewrap(app: &Arc<App>, _call: &Call) -> Result<Answer, Problem> {
    app.keyring.rewrap(app)?;
    let mut done = KeysRewrapped {
        domains: Vec::new(),
        failed: Vec::new(),
    };
    let state = app.state()?;
    let (registered, forgotten) = (state.domains()?, state.forgotten()?);
    for record in registered.iter().chain(&forgotten) {
        let domain = record.name.to_string();
        match rewrap_domain(app, record) {
            Ok(()) => done.domains.push(domain),
            Err(problem) => done.failed.push(NotRewrapped {
                domain,
                detail: problem.detail().to_owned(),
            }),
        }
    }
    match done.failed.first() {
        // Where nothing at all could be done, the reason is the answer.
        Some(failed) if done.domains.is_empty() => Err(Problem::new(
            "key_provider_unavailable",
            failed.detail.clone(),
        )),
        _ => Answer::ok(&done),
    }
}

/// The domain's keys first; then its credentials, and with them its registration.
fn rewrap_domain(app: &App, record: &DomainRecord) -> Result<(), Problem> {
    let provider = app.keyring.provider_to_wrap(app)?;
    let store = app.stores.store()?;
    if store.has_domain_keys(record.id)? {
        store.rewrap_domain_keys(record.id, &*provider)?;
    }
    if record.removed {
        return recovery::register(app, record);
    }
    let sealed = org::reseal(app, record)?;
    let change = |now: &mut DomainRecord| {
        // New credentials may have been given meanwhile.
        if now.credentials == record.credentials {
            now.credentials.clone_from(&sealed);
        }
    };
    match app.state()?.update_domain(record.id, &mut { change })? {
        Some(changed) => recovery::register(app, &changed),
        None => Ok(()),
    }
}
