//! What of the daemon's state is also kept, sealed, in the store, so that losing the state database does not cost
//! the domains: registrations, id maps, the head of the audit log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use orgkeep_api::store::CheckProblem;
use orgkeep_engine::catalogue::ObjectType;
use orgkeep_engine::id::DomainId;
use orgkeep_engine::keys::{open_envelope, seal_envelope};
use orgkeep_engine::plan::IdMap;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::keyring::{STATE_KEY, key_problem};
use crate::problem::Problem;
use crate::state::audit::Head;
use crate::state::domains::DomainRecord;
use crate::state::plans::Mapping;

/// The name of the audit log's head in the store.
const AUDIT_HEAD: &str = "audit-head";
/// What sealed pairs of ids are bound to.
const PAIR: &str = "id pair";

fn registration_purpose(domain: DomainId) -> Vec<u8> {
    let mut purpose = b"orgkeep registration 1".to_vec();
    purpose.extend_from_slice(domain.as_bytes());
    purpose
}

/// Keeps a domain's record in the store.
pub(crate) fn register(app: &App, record: &DomainRecord) -> Result<(), Problem> {
    let plain = serde_json::to_vec(record)
        .map_err(|error| Problem::internal("The registration could not be written", &error))?;
    let provider = app.keyring.provider_to_wrap(app)?;
    app.keyring.state_key(app)?;
    let sealed = seal_envelope(&*provider, &registration_purpose(record.id), &plain)
        .map_err(|error| key_problem(&error))?;
    Ok(app.stores.store()?.put_registration(record.id, sealed)?)
}

/// The registrations that the store lacks, or that do not open or say something else than the state.
fn damaged_registrations(app: &App) -> Result<Vec<CheckProblem>, Problem> {
    let Some(store) = app.stores.existing()? else {
        return Ok(Vec::new());
    };
    let state = app.state()?;
    let mut kept: BTreeMap<DomainId, Vec<u8>> = store.registrations()?.into_iter().collect();
    let mut problems = Vec::new();
    for record in state.domains()?.iter().chain(&state.forgotten()?) {
        let what = match kept.remove(&record.id) {
            None => "it is missing",
            Some(sealed) if opens(app, record.id, &sealed) => continue,
            Some(_) => "it does not open",
        };
        problems.push(CheckProblem {
            kind: "registration".to_owned(),
            domain: Some(record.name.to_string()),
            blob: format!("{}/registration", record.id),
            what: format!(
                "{what}: if the state database were lost, the domain would have to be registered again"
            ),
            types: Vec::new(),
            snapshots: Vec::new(),
            objects: Vec::new(),
        });
    }
    Ok(problems)
}

fn opens(app: &App, domain: DomainId, sealed: &[u8]) -> bool {
    let opened = open_envelope(
        &*app.keyring.provider(),
        &registration_purpose(domain),
        sealed,
    );
    opened.is_ok_and(|plain| serde_json::from_slice::<DomainRecord>(&plain).is_ok())
}

/// What the daemon keeps of its own in the store and that is damaged: the state key, id maps, the audit log's head.
fn damaged_meta(app: &App) -> Result<Vec<CheckProblem>, Problem> {
    let Some(store) = app.stores.existing()? else {
        return Ok(Vec::new());
    };
    let mut problems = Vec::new();
    let mut found = |kind: &str, name: &str, what: &str| {
        problems.push(CheckProblem {
            kind: kind.to_owned(),
            domain: None,
            blob: format!("meta/{name}"),
            what: what.to_owned(),
            types: Vec::new(),
            snapshots: Vec::new(),
            objects: Vec::new(),
        });
    };
    if !app.keyring.is_kept(app)? {
        found(
            "state_key",
            STATE_KEY,
            "it is missing or does not open: if the state database were lost, id maps and the audit log's head could not be read",
        );
    }
    let state = app.state()?;
    for record in state.domains()?.iter().chain(&state.forgotten()?) {
        let name = id_map_name(record.id);
        if let Some(sealed) = store.meta(&name)?
            && app.unseal(&name, &sealed).is_err()
        {
            let what = "it does not open: if the state database were lost, what was restored would not be known by its old ids";
            found("id_map", &name, what);
        }
    }
    if audit_witness(app).is_err() {
        let what = "it does not open: until it is written anew, a cut end of the audit log would not be noticed";
        found("audit_head", AUDIT_HEAD, what);
    }
    Ok(problems)
}

/// What the daemon keeps of its own in the store and that is damaged: registrations, and what else it needs if the state is lost.
pub(crate) fn damaged(app: &App) -> Result<Vec<CheckProblem>, Problem> {
    let mut problems = damaged_registrations(app)?;
    problems.extend(damaged_meta(app)?);
    Ok(problems)
}

/// Writes anew what [`damaged`] found, from the state; gives the blobs.
pub(crate) fn mend(app: &App, problems: &[CheckProblem]) -> Result<Vec<String>, Problem> {
    let mut written = mend_registrations(app, problems)?;
    let state = app.state()?;
    for problem in problems {
        match problem.kind.as_str() {
            "state_key" => app.keyring.keep(app)?,
            "id_map" => {
                for record in state.domains()?.iter().chain(&state.forgotten()?) {
                    if problem.blob.ends_with(&id_map_name(record.id)) {
                        keep_id_map(app, record.id)?;
                    }
                }
            }
            "audit_head" => put_audit_head(app, state.audit_head()?)?,
            _ => continue,
        }
        written.push(problem.blob.clone());
    }
    Ok(written)
}

fn mend_registrations(app: &App, problems: &[CheckProblem]) -> Result<Vec<String>, Problem> {
    let state = app.state()?;
    let mut written = Vec::new();
    for record in state.domains()?.iter().chain(&state.forgotten()?) {
        let blob = format!("{}/registration", record.id);
        if problems.iter().any(|problem| problem.blob == blob) {
            register(app, record)?;
            written.push(blob);
        }
    }
    Ok(written)
}

/// Takes up domains that the store knows and the state does not, once: the state was lost, or is new. Where the key
/// provider does not answer, it is tried again later.
pub(crate) fn recover(app: &App) {
    if app.recovered.load(Ordering::SeqCst) {
        return;
    }
    match take_up(app) {
        Ok(()) => app.recovered.store(true, Ordering::SeqCst),
        Err(problem) => tracing::error!(
            code = problem.code(),
            "The store's registrations could not be read"
        ),
    }
}

fn take_up(app: &App) -> Result<(), Problem> {
    let Some(store) = app.stores.existing()? else {
        return Ok(());
    };
    let state = app.state()?;
    let known: BTreeSet<DomainId> = state
        .domains()?
        .iter()
        .chain(&state.forgotten()?)
        .map(|record| record.id)
        .collect();
    let unknown: Vec<_> = store
        .registrations()?
        .into_iter()
        .filter(|(id, _)| !known.contains(id))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    if state.audit_head()? == Head::EMPTY
        && let Some(head) = audit_witness(app)?
    {
        state.audit_recovered(app.clock.now(), head)?;
    }
    for (id, sealed) in unknown {
        let plain = open_envelope(&*app.keyring.provider(), &registration_purpose(id), &sealed)
            .map_err(|error| key_problem(&error))?;
        let record: DomainRecord = serde_json::from_slice(&plain)
            .map_err(|error| Problem::internal("A registration cannot be read", &error))?;
        if record.removed {
            state.remove_domain(id, Some(&record))?;
        } else {
            state.insert_domain(&record)?;
        }
        take_up_id_map(app, id)?;
        tracing::warn!(domain = %record.name, "A domain was taken up again from the store");
    }
    Ok(())
}

/// One pair of an id map as it is sealed.
#[derive(Debug, Serialize, Deserialize)]
struct Pair {
    #[serde(rename = "type")]
    object_type: String,
    old: String,
    new: String,
}

/// One entry for the state database.
pub(crate) fn mapping(
    app: &App,
    domain_id: DomainId,
    object_type: ObjectType,
    old: &str,
    new: &str,
) -> Result<Mapping, Problem> {
    let pair = Pair {
        object_type: object_type.name().to_owned(),
        old: old.to_owned(),
        new: new.to_owned(),
    };
    let plain = serde_json::to_vec(&pair)
        .map_err(|error| Problem::internal("An id pair could not be written", &error))?;
    let name = app
        .keyring
        .state_key(app)?
        .name_hash(&format!("{}/{old}", object_type.name()));
    Ok(Mapping {
        domain_id,
        name,
        pair: app.seal(PAIR, &plain)?,
    })
}

/// A domain's id map.
pub(crate) fn id_map(app: &App, domain: DomainId) -> Result<IdMap, Problem> {
    let mut map = IdMap::default();
    for sealed in app.state()?.id_map(domain)? {
        let plain = app.unseal(PAIR, &sealed)?;
        let pair: Pair = serde_json::from_slice(&plain)
            .map_err(|error| Problem::internal("An id pair cannot be read", &error))?;
        if let Ok(object_type) = pair.object_type.parse() {
            map.insert(object_type, &pair.old, &pair.new);
        }
    }
    Ok(map)
}

fn id_map_name(domain: DomainId) -> String {
    format!("id-map-{domain}")
}

/// Keeps a domain's id map in the store.
pub(crate) fn keep_id_map(app: &App, domain: DomainId) -> Result<(), Problem> {
    let map = id_map(app, domain)?;
    let store = app.stores.store()?;
    if map.iter().next().is_none() && store.meta(&id_map_name(domain))?.is_none() {
        return Ok(());
    }
    let pairs: Vec<Pair> = map
        .iter()
        .map(|(name, new)| Pair {
            object_type: name.object_type.name().to_owned(),
            old: name.id.clone(),
            new: new.to_owned(),
        })
        .collect();
    let plain = serde_json::to_vec(&pairs)
        .map_err(|error| Problem::internal("The id map could not be written", &error))?;
    let name = id_map_name(domain);
    let sealed = app.seal(&name, &plain)?;
    Ok(store.put_meta(&name, sealed)?)
}

fn take_up_id_map(app: &App, domain: DomainId) -> Result<(), Problem> {
    let name = id_map_name(domain);
    let Some(sealed) = app.stores.store()?.meta(&name)? else {
        return Ok(());
    };
    let plain = app.unseal(&name, &sealed)?;
    let pairs: Vec<Pair> = serde_json::from_slice(&plain)
        .map_err(|error| Problem::internal("An id map cannot be read", &error))?;
    for pair in pairs {
        if let Ok(object_type) = pair.object_type.parse() {
            let mapping = mapping(app, domain, object_type, &pair.old, &pair.new)?;
            app.state()?.insert_mapping(&mapping)?;
        }
    }
    Ok(())
}

/// Keeps the head of the audit log in the store, as a witness against cutting the log's end.
pub(crate) fn keep_audit_head(app: &App) -> Result<(), Problem> {
    if app.stores.existing()?.is_none() {
        return Ok(());
    }
    let head = app.state()?.audit_head()?;
    if head == Head::EMPTY || audit_witness(app)? == Some(head) {
        return Ok(());
    }
    put_audit_head(app, head)
}

fn put_audit_head(app: &App, head: Head) -> Result<(), Problem> {
    // A witness must not outlive what it tells of.
    app.state()?.settle()?;
    let sealed = app.seal(AUDIT_HEAD, head.to_text().as_bytes())?;
    Ok(app.stores.store()?.put_meta(AUDIT_HEAD, sealed)?)
}

/// The head that the store keeps.
pub(crate) fn audit_witness(app: &App) -> Result<Option<Head>, Problem> {
    let Some(store) = app.stores.existing()? else {
        return Ok(None);
    };
    let Some(sealed) = store.meta(AUDIT_HEAD)? else {
        return Ok(None);
    };
    let plain = app.unseal(AUDIT_HEAD, &sealed)?;
    Ok(std::str::from_utf8(&plain).ok().and_then(Head::from_text))
}
