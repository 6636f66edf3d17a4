//! Carrying a plan out, action by action.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::canonical::Json;
use crate::catalogue::ObjectType;
use crate::clock::Clock;
use crate::monitor::{Monitor, Progress};
use crate::okta::{OktaApi, OktaError};
use crate::plan::path::text_at;
use crate::plan::{Action, ApprovedPlan, Held, Now, Operation, RestorePlan, body, refs};

use super::request::{Address, Org};
use super::verify;
use super::{
    ActionReport, Journal, JournalError, JournalRecord, Outcome, RestoreReport, Verification,
};

mod adopt;
mod create;
mod places;
mod state;
mod update;

/// How much earlier than the intent a creation may be dated: the org tells its time in whole seconds.
const CREATED_SLACK: SignedDuration = SignedDuration::from_secs(1);

/// How often a creation is sent while its answers are lost.
const CREATE_TRIES_MAX: u32 = 3;

/// How often what Okta makes by itself is looked for, and how long is waited between.
const APPEAR_TRIES_MAX: u32 = 6;
const APPEAR_WAIT: Duration = Duration::from_millis(500);

/// The longest name a group rule may have.
const RULE_NAME_MAX: usize = 50;

/// What a rule is called until the one it replaces is gone.
const PASSING_MARK: &str = " (restoring)";

/// Why a restore stopped before its end. It can be taken up again with the same journal.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The journal could not be read or written.
    #[error("the restore journal failed")]
    Journal(#[from] JournalError),
    /// The org cannot be worked with at all.
    #[error("the org cannot be worked with")]
    Okta(#[source] OktaError),
    /// It was asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The plan's own bodies cannot be read.
    #[error("action {0} of the plan cannot be read")]
    Plan(u32),
}

impl RestoreError {
    /// A stable word for scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Journal(_) => "journal_failed",
            Self::Okta(error) => error.code(),
            Self::Cancelled => "cancelled",
            Self::Plan(_) => "plan_unreadable",
        }
    }

    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Okta(error) => error.hint(),
            Self::Journal(_) => {
                Some("Check that the data directory's disk is not full.".to_owned())
            }
            Self::Cancelled => None,
            Self::Plan(_) => Some("Make the plan again with `orgkeepctl restore plan`.".to_owned()),
        }
    }
}

/// Carries out a plan, from where its journal ends.
///
/// Each action's intent is journalled before its first write and its outcome after it, so that the
/// restore can be stopped anywhere and taken up again. An action whose live object is not what the
/// plan saw is held back; a failed one fails what depends on it, and the rest goes on.
///
/// # Errors
///
/// When it had to stop before its end: the journal failed, the credentials or the org are gone, or it
/// was cancelled. Calling it again with the same journal goes on.
pub fn apply(
    api: &dyn OktaApi,
    plan: &ApprovedPlan,
    journal: &mut dyn Journal,
    clock: &dyn Clock,
    monitor: &dyn Monitor,
) -> Result<RestoreReport, RestoreError> {
    let plan = plan.plan();
    let mut run = Run {
        org: Org::new(api, clock, monitor),
        clock,
        monitor,
        journal,
        plan,
        reports: BTreeMap::new(),
        intents: BTreeMap::new(),
        made: BTreeMap::new(),
        appeared: HashMap::new(),
        warnings: BTreeSet::new(),
    };
    run.take_up()?;
    run.org.greet().map_err(|error| match error {
        OktaError::Cancelled => RestoreError::Cancelled,
        error => RestoreError::Okta(error),
    })?;
    monitor.report(Progress::Phase {
        name: "applying",
        total: u64::try_from(plan.actions.len()).ok(),
    });
    for action in &plan.actions {
        run.action(action)?;
    }
    run.settle_places()?;
    run.verify()?;
    Ok(run.report())
}

/// Why an action did not succeed.
enum Failure {
    /// The whole restore stops.
    Stop(RestoreError),
    /// Only this action (and what depends on it) does.
    Action {
        outcome: Outcome,
        code: Option<String>,
        detail: String,
    },
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::Stop(RestoreError::Journal(error))
    }
}

impl From<OktaError> for Failure {
    fn from(error: OktaError) -> Self {
        match error {
            OktaError::Cancelled => Self::Stop(RestoreError::Cancelled),
            OktaError::Refused {
                status,
                code,
                causes,
            } => Self::Action {
                outcome: Outcome::Failed,
                detail: match causes.0.is_empty() {
                    true => format!("Okta refused with {status}"),
                    false => format!("Okta refused with {status}: {}", causes.0.join("; ")),
                },
                code: Some(code),
            },
            OktaError::Failed { status, code } => Self::Action {
                outcome: Outcome::Failed,
                detail: format!("Okta failed with {status}"),
                code: Some(code),
            },
            OktaError::NotFound { code: Some(code) } => Self::Action {
                outcome: Outcome::Failed,
                detail: "Okta did not find it".to_owned(),
                code: Some(code),
            },
            error @ (OktaError::MissingScopes { .. }
            | OktaError::NotAvailable { .. }
            | OktaError::Malformed { .. }) => Self::Action {
                outcome: Outcome::Failed,
                code: Some(error.code().to_owned()),
                detail: error.to_string(),
            },
            error => Self::Stop(RestoreError::Okta(error)),
        }
    }
}

fn held_back(detail: impl Into<String>) -> Failure {
    Failure::Action {
        outcome: Outcome::HeldBack,
        code: None,
        detail: detail.into(),
    }
}

/// How an action that did not fail ended: the outcome, and the id the object has now.
struct Ended {
    outcome: Outcome,
    id: Option<String>,
}

impl Ended {
    fn done(id: Option<String>) -> Self {
        Self {
            outcome: Outcome::Done,
            id,
        }
    }

    fn skipped(id: Option<String>) -> Self {
        Self {
            outcome: Outcome::Skipped,
            id,
        }
    }
}

/// An action with every id of the snapshot replaced by what it stands for now.
pub(crate) struct Resolved {
    /// The live id of the object, where it exists.
    pub(crate) target: Option<String>,
    pub(crate) address: Address,
    pub(crate) body: Json,
    pub(crate) now: BTreeMap<String, String>,
}

/// A list of objects: a type, and the parent they stand under.
type Place = (ObjectType, Option<String>);

struct Run<'a> {
    org: Org<'a>,
    clock: &'a dyn Clock,
    monitor: &'a dyn Monitor,
    journal: &'a mut dyn Journal,
    plan: &'a RestorePlan,
    reports: BTreeMap<u32, ActionReport>,
    intents: BTreeMap<u32, Timestamp>,
    /// Ids made so far, by the action that made them.
    made: BTreeMap<u32, String>,
    /// Live objects of types that are looked through before something is created in them.
    appeared: HashMap<Place, Vec<(Held, Json)>>,
    warnings: BTreeSet<String>,
}

impl Run<'_> {
    fn take_up(&mut self) -> Result<(), RestoreError> {
        for record in self.journal.records()? {
            match record {
                JournalRecord::Intent { seq, at } => drop(self.intents.entry(seq).or_insert(at)),
                JournalRecord::Made { seq, id } => drop(self.made.insert(seq, id)),
                JournalRecord::Done(report) => {
                    if let Some(id) = &report.new_id {
                        self.made.insert(report.seq, id.clone());
                    }
                    self.reports.insert(report.seq, report);
                }
            }
        }
        Ok(())
    }

    fn action(&mut self, action: &Action) -> Result<(), RestoreError> {
        if self.reports.contains_key(&action.seq) {
            self.monitor.report(Progress::Done {
                object_type: Some(action.object_type),
                count: 1,
            });
            return Ok(());
        }
        if self.monitor.is_cancelled() {
            return Err(RestoreError::Cancelled);
        }
        let (outcome, new_id, code, detail) = match self.attempt(action) {
            Ok(ended) => (ended.outcome, ended.id, None, None),
            Err(Failure::Stop(error)) => return Err(error),
            Err(Failure::Action {
                outcome,
                code,
                detail,
            }) => (outcome, None, code, Some(detail)),
        };
        let report = ActionReport {
            seq: action.seq,
            action: action.action,
            object_type: action.object_type,
            id: action.id.clone(),
            name: action.name.clone(),
            outcome,
            new_id,
            code,
            detail,
            differs: Vec::new(),
            verification: Verification::NotNeeded,
        };
        self.journal.append(&JournalRecord::Done(report.clone()))?;
        if let Some(id) = &report.new_id {
            self.made.insert(action.seq, id.clone());
        }
        self.reports.insert(action.seq, report);
        self.monitor.report(Progress::Done {
            object_type: Some(action.object_type),
            count: 1,
        });
        Ok(())
    }

    fn attempt(&mut self, action: &Action) -> Result<Ended, Failure> {
        for needed in &action.depends_on {
            let ended = self.reports.get(needed).map(|report| report.outcome);
            if !matches!(ended, Some(Outcome::Done | Outcome::Skipped)) {
                return Err(held_back(format!(
                    "action {needed}, which it needs, was not carried out"
                )));
            }
        }
        let resolved = self.resolve(action)?;
        match &action.work.operation {
            Operation::Create => self.create(action, &resolved),
            Operation::Update { activate } => self.update(action, &resolved, *activate),
            Operation::Recreate { activate } => self.recreate(action, &resolved, *activate),
            Operation::Adopt => self.adopt(action, &resolved),
            Operation::Activate => self.state(action, &resolved, "activate"),
            Operation::DeactivateCreated => self.state(action, &resolved, "deactivate"),
            Operation::Suspend => self.state(action, &resolved, "suspend"),
            Operation::Unsuspend => self.state(action, &resolved, "unsuspend"),
            Operation::Relate => self.relate(action, &resolved),
            Operation::Link { call, end } => self.link(action, &resolved, call, end),
        }
    }

    /// Notes that the action's first write is about to be sent; the first note of it counts.
    fn intend(&mut self, seq: u32) -> Result<Timestamp, Failure> {
        if let Some(at) = self.intents.get(&seq) {
            return Ok(*at);
        }
        let at = self.org.now();
        self.journal.append(&JournalRecord::Intent { seq, at })?;
        self.intents.insert(seq, at);
        Ok(at)
    }

    /// Replaces every id of the snapshot by what it stands for now.
    fn resolve(&self, action: &Action) -> Result<Resolved, Failure> {
        let mut now = BTreeMap::new();
        for reference in &action.work.references {
            let id = match &reference.now {
                Now::Live(id) => id.clone(),
                Now::Made(seq) => self.made.get(seq).cloned().ok_or_else(|| {
                    held_back(format!(
                        "{}/{} was not created",
                        reference.object_type, reference.id
                    ))
                })?,
            };
            now.insert(reference.id.clone(), id);
        }
        let stand_for = |id: &String| now.get(id).unwrap_or(id).clone();
        let target = match &action.work.target {
            Some(target) => Some(target.clone()),
            None => self.made_for(action),
        };
        let key = action
            .id
            .split_once('/')
            .map_or(action.id.as_str(), |(_, key)| key)
            .to_owned();
        let mut json = match &action.work.body {
            Some(text) => Json::parse(text.as_str().as_bytes())
                .map_err(|_| Failure::Stop(RestoreError::Plan(action.seq)))?,
            None => Json::Null,
        };
        refs::rewrite(action.object_type.entry(), &mut json, &now);
        Ok(Resolved {
            address: Address {
                id: target.clone().unwrap_or_else(|| stand_for(&key)),
                parent: action.work.parent.as_ref().map(stand_for),
                grandparent: action.work.grandparent.as_ref().map(stand_for),
            },
            target,
            body: json,
            now,
        })
    }

    /// The id that an earlier action of the plan gave to the same object.
    fn made_for(&self, action: &Action) -> Option<String> {
        action.depends_on.iter().find_map(|needed| {
            let report = self.reports.get(needed)?;
            let same = report.object_type == action.object_type && report.id == action.id;
            same.then(|| self.made.get(needed).cloned()).flatten()
        })
    }

    fn verify(&mut self) -> Result<(), RestoreError> {
        let total = u64::try_from(
            self.reports
                .values()
                .filter(|report| report.outcome == Outcome::Done)
                .count(),
        )
        .ok();
        self.monitor.report(Progress::Phase {
            name: "verifying",
            total,
        });
        let mut checked = Vec::new();
        for action in &self.plan.actions {
            let done = self
                .reports
                .get(&action.seq)
                .is_some_and(|report| report.outcome == Outcome::Done);
            if !done {
                continue;
            }
            let Ok(mut resolved) = self.resolve(action) else {
                continue;
            };
            if let Some(id) = self.made.get(&action.seq) {
                resolved.address.id.clone_from(id);
            }
            checked.push((action, resolved));
        }
        let found =
            verify::verify(&self.org, self.monitor, &checked).map_err(|error| match error {
                OktaError::Cancelled => RestoreError::Cancelled,
                error => RestoreError::Okta(error),
            })?;
        for (seq, (verification, differs)) in found {
            if let Some(report) = self.reports.get_mut(&seq) {
                if verification != Verification::AsPlanned {
                    self.warnings.insert(format!(
                        "{}/{} was read back and is not as planned",
                        report.object_type, report.id
                    ));
                }
                report.verification = verification;
                report.differs = differs;
            }
        }
        Ok(())
    }

    fn report(self) -> RestoreReport {
        let mut counts: BTreeMap<Outcome, u64> = BTreeMap::new();
        for report in self.reports.values() {
            *counts.entry(report.outcome).or_default() += 1;
        }
        let off = |report: &&ActionReport| {
            matches!(
                report.verification,
                Verification::Differs | Verification::Absent
            )
        };
        let not_as_planned = self.reports.values().filter(off).count();
        RestoreReport {
            counts,
            not_as_planned: u64::try_from(not_as_planned).unwrap_or(u64::MAX),
            requests: self.org.requests(),
            warnings: self.warnings.into_iter().collect(),
            actions: self.reports.into_values().collect(),
        }
    }
}

/// Where a creation is sent, with what only the query can say.
fn creation_path(object_type: ObjectType, path: &str, sent: &Json) -> String {
    let with = |query: &str| {
        let mark = if path.contains('?') { '&' } else { '?' };
        format!("{path}{mark}{query}")
    };
    match object_type.name() {
        "user" if text_at(sent, "credentials.provider.type").is_some() => with("provider=true"),
        _ => path.to_owned(),
    }
}

/// Whether what was sent and what is there have the same natural key.
fn keys_match(object_type: ObjectType, sent: &Json, json: &Json) -> bool {
    let entry = object_type.entry();
    match entry.name {
        // The type of a group is implied at creation.
        "group" => {
            text_at(sent, "profile.name") == text_at(json, "profile.name")
                && text_at(json, "type") == Some("OKTA_GROUP")
        }
        _ => body::same_key(entry, sent, json),
    }
}

/// Types in which the system object's own priority is Okta's affair.
fn system_priority(name: &str) -> bool {
    name.starts_with("policy_") || name.starts_with("as_policy")
}

fn passing_name(name: &str) -> String {
    let room = RULE_NAME_MAX - PASSING_MARK.len();
    let kept: String = name.chars().take(room).collect();
    format!("{kept}{PASSING_MARK}")
}
