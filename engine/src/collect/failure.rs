//! How completely each type was read, and what an error means for that.

use std::collections::{BTreeMap, BTreeSet};

use super::read::Reader;
use crate::catalogue::{Listing, ObjectType};
use crate::object::Coverage;
use crate::okta::OktaError;
use crate::okta::pager::is_cursor_error;

/// What has become of the lists of each type.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    types: BTreeMap<ObjectType, Outcome>,
    /// The fewest requests that could have read what was read.
    pub(super) requests_minimum: u64,
    /// An error of the connection, kept in case nothing can be read at all.
    connection: Option<OktaError>,
}

#[derive(Debug, Default)]
struct Outcome {
    /// Lists that were read to their end.
    complete: u64,
    /// Lists that the org does not have.
    not_available: u64,
    missing_scope: Option<String>,
    /// The first reason.
    incomplete: Option<String>,
}

/// What an error means for the whole collection.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The credentials died, or it was cancelled: nothing else can be read.
    Stop(OktaError),
    NotAvailable,
    MissingScope(String),
    Incomplete(String),
}

/// Judges why a list or an object of a type could not be read.
pub(super) fn judge(reader: &Reader<'_>, object_type: ObjectType, error: OktaError) -> Verdict {
    let entry = object_type.entry();
    match error {
        OktaError::Cancelled | OktaError::Unauthorized { .. } | OktaError::DpopRequired => {
            Verdict::Stop(error)
        }
        OktaError::NotAvailable { .. } => Verdict::NotAvailable,
        OktaError::MissingScopes { .. } => Verdict::MissingScope(entry.read_scope.to_owned()),
        OktaError::Refused { status: 403, .. } if !reader.has_scope(entry.read_scope) => {
            Verdict::MissingScope(entry.read_scope.to_owned())
        }
        OktaError::Refused { status: 403, .. } => Verdict::Incomplete(format!(
            "{error}: the app may lack an admin role that sees these objects"
        )),
        // A policy type that the org's engine does not know is refused as a bad value (assumed).
        OktaError::Refused {
            status: 400,
            ref code,
            ..
        } if is_policy_list(object_type) && !is_cursor_error(code) => Verdict::NotAvailable,
        error => Verdict::Incomplete(error.to_string()),
    }
}

fn is_policy_list(object_type: ObjectType) -> bool {
    matches!(object_type.entry().listing, Listing::Pages(paths) if paths.iter().any(|path| path.contains("/policies?type=")))
}

impl Outcomes {
    fn of(&mut self, object_type: ObjectType) -> &mut Outcome {
        self.types.entry(object_type).or_default()
    }

    /// One list was read to its end.
    pub(super) fn complete(&mut self, object_type: ObjectType, requests_minimum: u64) {
        self.of(object_type).complete += 1;
        self.requests_minimum += requests_minimum;
    }

    /// Something of the type could not be read.
    pub(super) fn incomplete(&mut self, object_type: ObjectType, reason: &str) {
        self.of(object_type)
            .incomplete
            .get_or_insert_with(|| reason.to_owned());
    }

    /// Takes note of a failed list. `Err` stops the collection.
    pub(super) fn failed(
        &mut self,
        reader: &Reader<'_>,
        object_type: ObjectType,
        error: OktaError,
    ) -> Result<(), OktaError> {
        let connection = matches!(
            error,
            OktaError::Unreachable { .. } | OktaError::RateLimited
        );
        let reason = error.to_string();
        if connection && self.connection.is_none() {
            self.incomplete(object_type, &reason);
            self.connection = Some(error);
            return Ok(());
        }
        match judge(reader, object_type, error) {
            Verdict::Stop(error) => return Err(error),
            Verdict::NotAvailable => self.of(object_type).not_available += 1,
            Verdict::MissingScope(scope) => self.of(object_type).missing_scope = Some(scope),
            Verdict::Incomplete(reason) => self.incomplete(object_type, &reason),
        }
        Ok(())
    }

    /// Whether everything of the type that was asked for has come, so far.
    pub(super) fn is_whole(&self, object_type: ObjectType) -> bool {
        self.types
            .get(&object_type)
            .is_none_or(|outcome| outcome.incomplete.is_none() && outcome.missing_scope.is_none())
    }

    /// The error to end with, if no type at all could be read and the connection was the reason.
    pub(super) fn nothing_read(&mut self, reader: &Reader<'_>) -> Option<OktaError> {
        let read = reader
            .wanted
            .iter()
            .filter_map(|wanted| self.types.get(wanted))
            .any(|outcome| outcome.complete > 0 || outcome.not_available > 0);
        if read { None } else { self.connection.take() }
    }

    /// The coverage of every wanted type.
    pub(super) fn coverage(&self, reader: &Reader<'_>) -> BTreeMap<ObjectType, Coverage> {
        reader
            .wanted
            .iter()
            .map(|wanted| (*wanted, self.coverage_of(*wanted)))
            .collect()
    }

    fn coverage_of(&self, object_type: ObjectType) -> Coverage {
        let none = Outcome::default();
        let outcome = self.types.get(&object_type).unwrap_or(&none);
        if let Some(scope) = &outcome.missing_scope {
            return Coverage::MissingScope {
                scope: scope.clone(),
            };
        }
        if let Some(reason) = &outcome.incomplete {
            return Coverage::Incomplete {
                reason: reason.clone(),
            };
        }
        match (outcome.complete, outcome.not_available) {
            (0, 0) => self.coverage_by_parents(object_type),
            (0, _) => Coverage::NotAvailable,
            (_, 0) => Coverage::Complete,
            _ => Coverage::Incomplete {
                reason: "the org answered for some parents that it does not have these".to_owned(),
            },
        }
    }

    /// A type of which nothing was asked: it is as complete as its parents.
    fn coverage_by_parents(&self, object_type: ObjectType) -> Coverage {
        let parents: Vec<Coverage> = object_type
            .parents()
            .map(|parent| self.coverage_of(parent))
            .collect();
        if parents.is_empty() {
            return Coverage::Incomplete {
                reason: "it was not read".to_owned(),
            };
        }
        if parents
            .iter()
            .all(|coverage| *coverage == Coverage::NotAvailable)
        {
            return Coverage::NotAvailable;
        }
        let settled =
            |coverage: &Coverage| matches!(coverage, Coverage::Complete | Coverage::NotAvailable);
        match parents.into_iter().find(|coverage| !settled(coverage)) {
            Some(worst) => worst,
            None => Coverage::Complete,
        }
    }

    /// A child type is incomplete when a parent type is: there may be parents nobody saw.
    pub(super) fn pass_on_to_children(&mut self, reader: &Reader<'_>) {
        let types: BTreeSet<ObjectType> = reader.needed().collect();
        for child in types
            .iter()
            .copied()
            .filter(|object_type| object_type.has_parent())
        {
            let parents: Vec<ObjectType> = child.parents().collect();
            for parent in parents {
                match self.coverage_of(parent) {
                    Coverage::Complete | Coverage::NotAvailable => {}
                    Coverage::MissingScope { .. } => {
                        // Where another parent type was read, its children were too: incomplete, not missing.
                        let reason = format!("{parent} could not be read (a scope is missing)");
                        if self
                            .types
                            .get(&child)
                            .is_some_and(|outcome| outcome.complete > 0)
                        {
                            self.incomplete(child, &reason);
                        }
                    }
                    Coverage::Incomplete { .. } => {
                        let reason = format!("{parent} could not be read completely");
                        self.incomplete(child, &reason);
                    }
                }
            }
        }
    }
}
