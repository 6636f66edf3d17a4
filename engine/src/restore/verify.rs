//! Reading back what a restore wrote.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalogue::RestoreClass;
use crate::monitor::{Monitor, Progress};
use crate::okta::OktaError;
use crate::plan::path::{remove, steps};
use crate::plan::{Action, Operation, body, refs, values};

use super::Verification;
use super::apply::Resolved;
use super::request::{Address, Org, live_status};

/// Up to this many relations under one parent are read one by one; more are read as the parent's list.
const PAIRS_MAX: usize = 3;

/// What reading back showed, by action.
pub(crate) type Findings = BTreeMap<u32, (Verification, Vec<String>)>;

/// Reads back what the actions wrote.
pub(crate) fn verify(
    org: &Org<'_>,
    monitor: &dyn Monitor,
    done: &[(&Action, Resolved)],
) -> Result<Findings, OktaError> {
    let mut findings = Findings::new();
    let rewritten = rewritten_later(done);
    let mut relations: BTreeMap<(u16, String), Vec<&(&Action, Resolved)>> = BTreeMap::new();
    for pair in done {
        let (action, resolved) = pair;
        if monitor.is_cancelled() {
            return Err(OktaError::Cancelled);
        }
        let found = match action.work.operation {
            Operation::Relate => {
                let parent = resolved.address.parent.clone().unwrap_or_default();
                relations
                    .entry((action.object_type.code(), parent))
                    .or_default()
                    .push(pair);
                continue;
            }
            _ => object(org, action, resolved),
        };
        let (mut verification, mut differs) = bearable(found)?;
        if action.work.operation == Operation::Create {
            let object = (action.object_type.code(), action.id.as_str());
            differs.retain(|path| !rewritten.contains(&(object.0, object.1, path.as_str())));
            if differs.is_empty() && verification == Verification::Differs {
                verification = Verification::AsPlanned;
            }
        }
        findings.insert(action.seq, (verification, differs));
        monitor.report(Progress::Done {
            object_type: Some(action.object_type),
            count: 1,
        });
    }
    for ((_, parent), pairs) in relations {
        related(org, &parent, &pairs, &mut findings)?;
        if let Some((action, _)) = pairs.first() {
            let count = u64::try_from(pairs.len()).unwrap_or(0);
            monitor.report(Progress::Done {
                object_type: Some(action.object_type),
                count,
            });
        }
    }
    Ok(findings)
}

/// What of created objects a later action of the same plan wrote anew: a manager who was created too.
fn rewritten_later<'a>(done: &'a [(&Action, Resolved)]) -> BTreeSet<(u16, &'a str, &'a str)> {
    done.iter()
        .filter(|(action, _)| matches!(action.work.operation, Operation::Update { .. }))
        .flat_map(|(action, _)| {
            let paths = action.changes.iter().map(|change| change.path.as_str());
            paths.map(|path| (action.object_type.code(), action.id.as_str(), path))
        })
        .collect()
}

/// A read that fails for one object says nothing about it; one that fails for all stops the reading.
fn bearable(
    found: Result<(Verification, Vec<String>), OktaError>,
) -> Result<(Verification, Vec<String>), OktaError> {
    match found {
        Ok(found) => Ok(found),
        Err(
            OktaError::Refused { .. }
            | OktaError::Failed { .. }
            | OktaError::NotFound { .. }
            | OktaError::NotAvailable { .. }
            | OktaError::MissingScopes { .. }
            | OktaError::Malformed { .. },
        ) => Ok((Verification::Unknown, Vec::new())),
        Err(error) => Err(error),
    }
}

fn object(
    org: &Org<'_>,
    action: &Action,
    resolved: &Resolved,
) -> Result<(Verification, Vec<String>), OktaError> {
    let entry = action.object_type.entry();
    let Some((held, json)) = org.read(action.object_type, &resolved.address)? else {
        return Ok((Verification::Absent, Vec::new()));
    };
    let mut differs = Vec::new();
    match &action.work.operation {
        Operation::Create
        | Operation::Update { .. }
        | Operation::Recreate { .. }
        | Operation::Adopt => {
            let mut wanted = resolved.body.clone();
            for path in entry.secrets.iter().chain(&["credentials"]) {
                remove(&mut wanted, &steps(path));
            }
            let has = values::parse(&held.body);
            differs.extend(
                values::additions(entry, &has, &wanted)
                    .into_iter()
                    .map(|found| found.path.join(".")),
            );
        }
        Operation::Activate | Operation::Unsuspend => {
            let status = live_status(entry, &json).unwrap_or_default();
            if !values::same_status(action.object_type, status, "ACTIVE") && status != "SUSPENDED" {
                differs.push("status".to_owned());
            }
        }
        Operation::DeactivateCreated if live_status(entry, &json) != Some("INACTIVE") => {
            differs.push("status".to_owned());
        }
        Operation::Suspend if live_status(entry, &json) != Some("SUSPENDED") => {
            differs.push("status".to_owned());
        }
        Operation::Link { end, .. } => {
            let end = resolved.now.get(end).unwrap_or(end);
            if !refs::links(entry, &json).iter().any(|(_, _, id)| id == end) {
                differs.push("_links".to_owned());
            }
        }
        _ => {}
    }
    differs.retain(|path| !path.ends_with(body::SECRET_TO_BE_SET));
    let verification = if differs.is_empty() {
        Verification::AsPlanned
    } else {
        Verification::Differs
    };
    Ok((verification, differs))
}

/// Reads back the relations under one parent.
fn related(
    org: &Org<'_>,
    parent: &str,
    pairs: &[&(&Action, Resolved)],
    findings: &mut Findings,
) -> Result<(), OktaError> {
    let Some((first, _)) = pairs.first() else {
        return Ok(());
    };
    let entry = first.object_type.entry();
    debug_assert_eq!(
        entry.class,
        RestoreClass::Relation,
        "only relations are read by parent"
    );
    let present: Option<BTreeSet<String>> = if pairs.len() <= PAIRS_MAX && entry.get.is_some() {
        None
    } else {
        let address = Address {
            parent: Some(parent.to_owned()),
            ..Address::default()
        };
        match org.list(first.object_type, &address) {
            Ok(list) => Some(
                list.into_iter()
                    .filter_map(|(held, _)| held.id.split_once('/').map(|(_, key)| key.to_owned()))
                    .collect(),
            ),
            Err(error) => {
                let unknown = bearable(Err(error))?;
                findings.extend(
                    pairs
                        .iter()
                        .map(|(action, _)| (action.seq, unknown.clone())),
                );
                return Ok(());
            }
        }
    };
    for (action, resolved) in pairs {
        let key = resolved
            .address
            .id
            .split_once('/')
            .map_or(resolved.address.id.as_str(), |(_, key)| key);
        let here = match &present {
            Some(present) => Ok(present.contains(key)),
            None => org
                .read(action.object_type, &resolved.address)
                .map(|found| found.is_some()),
        };
        let found = here.map(|here| {
            let verification = if here {
                Verification::AsPlanned
            } else {
                Verification::Absent
            };
            (verification, Vec::new())
        });
        findings.insert(action.seq, bearable(found)?);
    }
    Ok(())
}
