//! Finds out who answers at an address, and what its credentials may read and write.
//!
//! Asks for a token, then tries one small list for each read scope, because a scope without an admin role
//! gets tokens and then refusals. Which `.manage` scopes are granted is found out by asking for tokens with them; they
//! are never asked for by a backup. Nothing is written to the org.

use std::collections::BTreeSet;

use crate::catalogue::{Listing, ObjectType};
use crate::collect::LOG_SCOPE;
use crate::okta::{Call, Http, HttpOptions, OktaApi, OktaError};

/// How often a request is repeated while somebody waits for the answer.
const ATTEMPTS: u32 = 3;

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The org's id (`00o…`).
    pub org_id: String,
    /// The scopes that are granted and usable, `.read` and `.manage`, sorted; empty for an API token.
    pub granted: Vec<String>,
    /// The scopes that a backup of the types lacks, sorted; with an API token, the scopes that stand for what its admin may not read.
    pub missing: Vec<String>,
    /// The scopes that a restore of the types lacks, sorted; never known for an API token.
    pub restore_missing: Vec<String>,
    /// Whether the System Log can be read. If not, backups cost more requests and see less of what changes meanwhile.
    pub log_readable: bool,
    /// Whether the credentials are an API token, which knows no scopes.
    pub api_token: bool,
}

/// The scopes to grant for some types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes {
    /// For backups: the read scope of each type and of its parents, and the System Log's.
    pub read: Vec<String>,
    /// For restores, besides those.
    pub manage: Vec<String>,
}

/// The scopes to grant for `types`, sorted.
#[must_use]
pub fn scopes_for(types: &[ObjectType]) -> Scopes {
    let mut open: Vec<ObjectType> = types.to_vec();
    let mut needed = BTreeSet::new();
    while let Some(object_type) = open.pop() {
        if needed.insert(object_type) {
            open.extend(object_type.parents());
        }
    }
    let mut read: BTreeSet<&str> = needed
        .iter()
        .map(|needed| needed.entry().read_scope)
        .collect();
    read.insert(LOG_SCOPE);
    let manage: BTreeSet<&str> = types
        .iter()
        .map(|wanted| wanted.entry().manage_scope)
        .collect();
    let owned = |scopes: BTreeSet<&str>| scopes.into_iter().map(str::to_owned).collect();
    Scopes {
        read: owned(read),
        manage: owned(manage),
    }
}

/// Finds out what the credentials in `options` may do for `types`; the scopes in `options` are not looked at.
///
/// # Errors
///
/// [`OktaError::Unreachable`], [`OktaError::NotOkta`], [`OktaError::Unauthorized`], [`OktaError::DpopRequired`] or
/// [`OktaError::InvalidKey`]. Missing scopes are no error.
pub fn authorize(options: &HttpOptions, types: &[ObjectType]) -> Result<Authorization, OktaError> {
    let scopes = scopes_for(types);
    let client = |scopes: &[String]| {
        let options = HttpOptions {
            scopes: scopes.to_vec(),
            attempts: ATTEMPTS,
            ..options.clone()
        };
        Http::new(options)
    };
    let reading = client(&scopes.read)?;
    let org_id = reading.organization()?.id;
    let api_token = options.credentials.is_api_token();
    let holds = granted(&reading)?.map(|granted| usable(&scopes.read, &granted));
    let candidates: &[String] = holds.as_deref().unwrap_or(&scopes.read);
    let mut readable = Vec::new();
    for scope in candidates {
        if probe(&reading, scope, types)? {
            readable.push(scope.clone());
        }
    }
    let without = |wanted: &[String], held: &[String]| -> Vec<String> {
        wanted
            .iter()
            .filter(|scope| !held.contains(scope))
            .cloned()
            .collect()
    };
    let log_readable = readable.iter().any(|scope| scope == LOG_SCOPE);
    let mut missing = without(&scopes.read, &readable);
    // Backups do without the log, at the price of more requests.
    missing.retain(|scope| scope != LOG_SCOPE);
    if api_token {
        return Ok(Authorization {
            org_id,
            granted: Vec::new(),
            missing,
            restore_missing: Vec::new(),
            log_readable,
            api_token,
        });
    }
    let managing = granted(&client(&scopes.manage)?)?.unwrap_or_default();
    let restore_missing = without(&scopes.manage, &managing);
    let mut granted: Vec<String> = readable;
    granted.extend(
        managing
            .into_iter()
            .filter(|scope| scopes.manage.contains(scope)),
    );
    granted.sort();
    granted.dedup();
    Ok(Authorization {
        org_id,
        granted,
        missing,
        restore_missing,
        log_readable,
        api_token,
    })
}

/// The granted scopes; none is no error.
fn granted(http: &Http) -> Result<Option<Vec<String>>, OktaError> {
    match http.granted_scopes() {
        Err(OktaError::MissingScopes { .. }) => Ok(Some(Vec::new())),
        other => other,
    }
}

/// The wanted read scopes that are held, be it by their `.manage`.
fn usable(wanted: &[String], held: &[String]) -> Vec<String> {
    let covers = |scope: &String| {
        let manage = scope
            .strip_suffix(".read")
            .map(|stem| format!("{stem}.manage"));
        held.contains(scope) || manage.is_some_and(|manage| held.contains(&manage))
    };
    wanted
        .iter()
        .filter(|scope| covers(scope))
        .cloned()
        .collect()
}

/// Whether what a scope is for can be read. A feature that the org lacks counts as readable.
fn probe(http: &Http, scope: &str, types: &[ObjectType]) -> Result<bool, OktaError> {
    let Some(path) = probe_path(scope, types) else {
        return Ok(true);
    };
    match http.send(&Call::get(path)) {
        Err(OktaError::MissingScopes { .. } | OktaError::Refused { status: 403, .. }) => Ok(false),
        Err(
            error @ (OktaError::Unauthorized { .. }
            | OktaError::Unreachable { .. }
            | OktaError::Cancelled
            | OktaError::DpopRequired),
        ) => Err(error),
        // Whatever else goes wrong says nothing about the permission.
        Ok(_) | Err(_) => Ok(true),
    }
}

/// The smallest list that needs the scope.
fn probe_path(scope: &str, types: &[ObjectType]) -> Option<String> {
    if scope == LOG_SCOPE {
        return Some("/api/v1/logs?limit=1".to_owned());
    }
    let listed = |object_type: &ObjectType| match object_type.entry().listing {
        Listing::Pages([first, ..]) => Some(*first),
        Listing::PagesThenGet(path) | Listing::Single(path) => Some(path),
        Listing::Pages([]) | Listing::UnderParent(_) | Listing::OnePerParent { .. } => None,
    };
    let with_scope = |object_type: &ObjectType| object_type.entry().read_scope == scope;
    let every: Vec<ObjectType> = crate::catalogue::all().collect();
    let path = types
        .iter()
        .chain(&every)
        .filter(|one| with_scope(one))
        .find_map(listed)?;
    Some(path.replace("limit=200", "limit=1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_read_scope_can_be_probed_and_every_type_is_covered() {
        let types: Vec<ObjectType> = crate::catalogue::all().collect();
        let scopes = scopes_for(&types);
        assert!(scopes.read.is_sorted() && scopes.manage.is_sorted());
        for scope in &scopes.read {
            assert!(scope.ends_with(".read"));
            assert!(probe_path(scope, &types).is_some(), "{scope}");
        }
        assert!(scopes.read.iter().any(|scope| scope == LOG_SCOPE));
        assert!(scopes.manage.iter().all(|scope| scope.ends_with(".manage")));
    }

    #[test]
    fn the_scopes_of_parents_are_needed_too() {
        let types: Vec<ObjectType> = ["app_user_schema"]
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect();
        let scopes = scopes_for(&types);
        assert_eq!(
            scopes.read,
            ["okta.apps.read", LOG_SCOPE, "okta.schemas.read"]
        );
        assert_eq!(scopes.manage, ["okta.schemas.manage"]);
    }
}
