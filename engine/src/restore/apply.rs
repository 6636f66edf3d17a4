//! Carrying a plan out, action by action.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use http::Method;
use jiff::{SignedDuration, Timestamp};

use crate::canonical::Json;
use crate::catalogue::{ObjectType, UpdateStyle};
use crate::clock::Clock;
use crate::monitor::{Monitor, Progress};
use crate::okta::{OktaApi, OktaError};
use crate::plan::path::{remove, set, steps, text_at};
use crate::plan::{Action, ApprovedPlan, Held, Now, Operation, RestorePlan, body, refs, values};

use super::request::{Address, Org, created, id_of, live_status, refusal};
use super::verify;
use super::{
    ActionReport, Journal, JournalError, JournalRecord, Outcome, RestoreReport, Verification,
};

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
    monitor.report(Progress::Phase {
        name: "applying",
        total: u64::try_from(plan.actions.len()).ok(),
    });
    for action in &plan.actions {
        run.action(action)?;
    }
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

    // ---- creating ----

    fn create(&mut self, action: &Action, resolved: &Resolved) -> Result<Ended, Failure> {
        let entry = action.object_type.entry();
        let Some(path) = entry.create else {
            return Err(held_back("Okta has no call that creates it"));
        };
        let resumed = self.intents.contains_key(&action.seq);
        if !resumed {
            self.check_nothing_appeared(action, resolved)?;
        }
        let since = self.intend(action.seq)?;
        if resumed && let Some(id) = self.find_created(action, resolved, &resolved.body, since)? {
            return Ok(Ended::done(Some(id)));
        }
        let id = self.post(
            action,
            resolved,
            &resolved.address.fill(path),
            &resolved.body,
            since,
        )?;
        Ok(Ended::done(Some(id)))
    }

    /// Sends a creation; after a lost answer looks for the object before sending it again.
    fn post(
        &mut self,
        action: &Action,
        resolved: &Resolved,
        path: &str,
        sent: &Json,
        since: Timestamp,
    ) -> Result<String, Failure> {
        let object_type = action.object_type;
        let path = creation_path(object_type, path, sent);
        let mut tries = 0;
        loop {
            tries += 1;
            let lost = match self.org.call(Method::POST, path.clone(), Some(sent), false) {
                Ok(reply) => {
                    let parent = resolved.address.parent.as_deref();
                    let id = Json::parse(&reply.body)
                        .ok()
                        .and_then(|json| id_of(object_type.entry(), parent, &json));
                    match id {
                        Some(id) => return Ok(id),
                        None => OktaError::LostAnswer, // it was created, but the answer does not say what
                    }
                }
                Err(error @ (OktaError::LostAnswer | OktaError::Failed { .. })) => error,
                Err(error) => return Err(error.into()),
            };
            if let Some(id) = self.find_created(action, resolved, sent, since)? {
                return Ok(id);
            }
            if tries == CREATE_TRIES_MAX {
                return Err(lost.into());
            }
        }
    }

    /// The object that a creation of this action must have made: same natural key, created since the
    /// intent, not seen by the plan and not made by another action.
    fn find_created(
        &mut self,
        action: &Action,
        resolved: &Resolved,
        sent: &Json,
        since: Timestamp,
    ) -> Result<Option<String>, Failure> {
        let others: BTreeSet<String> = self
            .made
            .iter()
            .filter(|(seq, _)| **seq != action.seq)
            .map(|(_, id)| id.clone())
            .collect();
        let mut found = Vec::new();
        for (held, json) in self.candidates(action, resolved, sent)? {
            // A type without a creation time (scopes, claims) has parents of its own and unique names.
            let young = created(&json).is_none_or(|at| at >= since - CREATED_SLACK);
            let known = action.work.same_key.contains(&held.id) || others.contains(&held.id);
            if young && !known && keys_match(action.object_type, sent, &json) {
                found.push(held.id);
            }
        }
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.clone())),
            many => Err(held_back(format!(
                "its creation was interrupted, and {} new objects could be it: {}",
                many.len(),
                many.join(", ")
            ))),
        }
    }

    /// Live objects among which a just created one would be.
    fn candidates(
        &mut self,
        action: &Action,
        resolved: &Resolved,
        sent: &Json,
    ) -> Result<Vec<(Held, Json)>, Failure> {
        if action.object_type.name() == "user" {
            let Some(login) = text_at(sent, "profile.login") else {
                return Ok(Vec::new());
            };
            let address = Address {
                id: login.to_owned(),
                ..Address::default()
            };
            return Ok(self
                .org
                .read(action.object_type, &address)?
                .into_iter()
                .collect());
        }
        Ok(self.org.list(action.object_type, &resolved.address)?)
    }

    /// Holds the creation back if an object with its natural key has appeared since the plan was made.
    fn check_nothing_appeared(
        &mut self,
        action: &Action,
        resolved: &Resolved,
    ) -> Result<(), Failure> {
        let object_type = action.object_type;
        let under_made = action.work.references.iter().any(|reference| {
            matches!(reference.now, Now::Made(_))
                && Some(&reference.id) == action.work.parent.as_ref()
        });
        // Okta itself lets no two users or groups have the same name, and says so.
        if matches!(object_type.name(), "user" | "group") || under_made {
            return Ok(());
        }
        let place = (object_type, resolved.address.parent.clone());
        if !self.appeared.contains_key(&place) {
            let live = self.org.list(object_type, &resolved.address)?;
            self.appeared.insert(place.clone(), live);
        }
        let appeared = self
            .appeared
            .get(&place)
            .into_iter()
            .flatten()
            .find(|(held, json)| {
                keys_match(object_type, &resolved.body, json)
                    && !action.work.same_key.contains(&held.id)
                    && !self.made.values().any(|id| *id == held.id)
            });
        match appeared {
            Some((held, _)) => Err(held_back(format!(
                "{} with the same name has appeared since the plan was made",
                held.id
            ))),
            None => Ok(()),
        }
    }

    // ---- updating ----

    fn update(
        &mut self,
        action: &Action,
        resolved: &Resolved,
        activate: bool,
    ) -> Result<Ended, Failure> {
        let (live, json) = self.read_target(action, resolved)?;
        if self.is_as_wanted(action, resolved, &live) {
            let id = self.settle_state(action, resolved, &json, activate)?;
            return Ok(Ended {
                outcome: if self.intents.contains_key(&action.seq) {
                    Outcome::Done
                } else {
                    Outcome::Skipped
                },
                id,
            });
        }
        self.check_unmoved(action, &live)?;
        self.intend(action.seq)?;
        let entry = action.object_type.entry();
        let must_rest = entry
            .lifecycle
            .is_some_and(|lifecycle| lifecycle.update_only_inactive);
        let mut status = live_status(entry, &json).unwrap_or_default().to_owned();
        if must_rest && status == "ACTIVE" {
            self.lifecycle_call(action.object_type, &resolved.address, "deactivate")?;
            status = "INACTIVE".to_owned();
        }
        self.send_update(action.object_type, &resolved.address, &resolved.body)?;
        if must_rest && activate && status != "ACTIVE" {
            self.lifecycle_call(action.object_type, &resolved.address, "activate")?;
        }
        Ok(Ended::done(None))
    }

    /// Activates a rule that an interrupted update left at rest.
    fn settle_state(
        &mut self,
        action: &Action,
        resolved: &Resolved,
        json: &Json,
        activate: bool,
    ) -> Result<Option<String>, Failure> {
        let entry = action.object_type.entry();
        let must_rest = entry
            .lifecycle
            .is_some_and(|lifecycle| lifecycle.update_only_inactive);
        if must_rest && activate && live_status(entry, json) != Some("ACTIVE") {
            self.intend(action.seq)?;
            self.lifecycle_call(action.object_type, &resolved.address, "activate")?;
        }
        Ok(None)
    }

    fn send_update(
        &mut self,
        object_type: ObjectType,
        address: &Address,
        body: &Json,
    ) -> Result<(), Failure> {
        let entry = object_type.entry();
        let mut sent = body.clone();
        for path in entry
            .read_only
            .iter()
            .chain(&["_links", "_embedded", "_link"])
        {
            remove(&mut sent, &steps(path));
        }
        if entry.name == "custom_role" {
            remove(&mut sent, &steps("permissions"));
        }
        let (method, path) = match entry.update {
            UpdateStyle::Replace(path) => (Method::PUT, path),
            UpdateStyle::Merge(path) => (Method::POST, path),
            UpdateStyle::Never => return Err(held_back("Okta has no call that changes it")),
        };
        self.org
            .call(method, address.fill(path), Some(&sent), true)?;
        Ok(())
    }

    fn read_target(
        &mut self,
        action: &Action,
        resolved: &Resolved,
    ) -> Result<(Held, Json), Failure> {
        self.org
            .read(action.object_type, &resolved.address)?
            .ok_or_else(|| held_back("it has gone since the plan was made"))
    }

    fn is_as_wanted(&self, action: &Action, resolved: &Resolved, live: &Held) -> bool {
        let entry = action.object_type.entry();
        let has = values::parse(&live.body);
        let mut wanted = resolved.body.clone();
        remove(&mut wanted, &steps("priority"));
        values::additions(entry, &has, &wanted).is_empty()
            && action.changes.iter().all(|change| {
                change.to.is_some() || crate::plan::path::at(&has, &change.path).is_none()
            })
    }

    /// Holds the action back if the live object is not what the plan saw.
    fn check_unmoved(&self, action: &Action, live: &Held) -> Result<(), Failure> {
        match &action.work.seen {
            Some(seen) if *seen != values::fingerprint(action.object_type, &live.body) => {
                Err(held_back("it was changed since the plan was made"))
            }
            _ => Ok(()),
        }
    }

    /// For what cannot be changed in place: a new one under a passing name, the old one deleted, the name given.
    fn recreate(
        &mut self,
        action: &Action,
        resolved: &Resolved,
        activate: bool,
    ) -> Result<Ended, Failure> {
        let object_type = action.object_type;
        let entry = object_type.entry();
        let (Some(create), Some(delete), Some(old)) =
            (entry.create, entry.delete, resolved.target.clone())
        else {
            return Err(held_back("Okta has no call that makes it again"));
        };
        let old_live = self.org.read(object_type, &resolved.address)?;
        let resumed = self.intents.contains_key(&action.seq);
        if !resumed {
            match &old_live {
                Some((live, _)) => self.check_unmoved(action, live)?,
                None => return Err(held_back("it has gone since the plan was made")),
            }
        }
        let since = self.intend(action.seq)?;
        let name = text_at(&resolved.body, "name")
            .unwrap_or_default()
            .to_owned();
        let mut passing = resolved.body.clone();
        set(
            &mut passing,
            &["name"],
            Some(Json::String(passing_name(&name))),
        );
        let new = match self.made.get(&action.seq).cloned() {
            Some(id) => id,
            None => {
                let found = match resumed {
                    true => self.find_created(action, resolved, &passing, since)?,
                    false => None,
                };
                let id = match found {
                    Some(id) => id,
                    None => self.post(action, resolved, create, &passing, since)?,
                };
                self.journal.append(&JournalRecord::Made {
                    seq: action.seq,
                    id: id.clone(),
                })?;
                self.made.insert(action.seq, id.clone());
                id
            }
        };
        if let Some((_, json)) = old_live {
            if live_status(entry, &json) == Some("ACTIVE") {
                self.lifecycle_call(object_type, &resolved.address, "deactivate")?;
            }
            debug_assert_ne!(old, new, "the old object is never the new one");
            match self
                .org
                .call(Method::DELETE, resolved.address.fill(delete), None, true)
            {
                Ok(_) => {}
                Err(error) if error.is_gone() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let address = Address {
            id: new.clone(),
            ..resolved.address.clone()
        };
        let Some((_, json)) = self.org.read(object_type, &address)? else {
            return Err(held_back("what was created in its place is gone"));
        };
        if text_at(&json, "name") != Some(name.as_str()) {
            self.send_update(object_type, &address, &resolved.body)?;
        }
        if activate && live_status(entry, &json) != Some("ACTIVE") {
            self.lifecycle_call(object_type, &address, "activate")?;
        }
        Ok(Ended::done(Some(new)))
    }

    // ---- what Okta makes by itself ----

    fn adopt(&mut self, action: &Action, resolved: &Resolved) -> Result<Ended, Failure> {
        let mut tries = 0;
        let (id, live) = loop {
            if let Some(found) = self.find_made_by_okta(action, resolved)? {
                break found;
            }
            tries += 1;
            if tries == APPEAR_TRIES_MAX {
                return Err(held_back("Okta has not made it"));
            }
            if self.monitor.is_cancelled() {
                return Err(Failure::Stop(RestoreError::Cancelled));
            }
            self.clock.sleep(APPEAR_WAIT);
        };
        let entry = action.object_type.entry();
        let has = values::parse(&live.body);
        let mut wanted = resolved.body.clone();
        if system_priority(entry.name) {
            remove(&mut wanted, &steps("priority"));
        }
        let additions = values::additions(entry, &has, &wanted);
        if additions.is_empty() {
            return Ok(Ended::skipped(Some(id)));
        }
        self.intend(action.seq)?;
        let sent = values::update_body(entry, &has, &additions);
        let address = Address {
            id: id.clone(),
            ..resolved.address.clone()
        };
        self.send_update(action.object_type, &address, &sent)?;
        Ok(Ended::done(Some(id)))
    }

    fn find_made_by_okta(
        &mut self,
        action: &Action,
        resolved: &Resolved,
    ) -> Result<Option<(String, Held)>, Failure> {
        let object_type = action.object_type;
        let entry = object_type.entry();
        match entry.name {
            "profile_mapping" => self.find_mapping(action, resolved),
            "user_schema" => {
                let Some(schema) = self.schema_of_user_type(resolved)? else {
                    return Ok(None);
                };
                let address = Address {
                    id: schema.clone(),
                    ..resolved.address.clone()
                };
                Ok(self
                    .org
                    .read(object_type, &address)?
                    .map(|(held, _)| (schema, held)))
            }
            "app_user_schema" => Ok(self
                .org
                .read(object_type, &resolved.address)?
                .map(|(held, _)| (held.id.clone(), held))),
            _ => {
                let wanted = &resolved.body;
                Ok(self
                    .org
                    .list(object_type, &resolved.address)?
                    .into_iter()
                    .find(|(_, json)| {
                        values::system_mark(entry, json).is_some()
                            && body::same_system_object(entry, wanted, json)
                    })
                    .map(|(held, _)| (held.id.clone(), held)))
            }
        }
    }

    /// The id of a user type's schema, which only a link of the type tells.
    fn schema_of_user_type(&mut self, resolved: &Resolved) -> Result<Option<String>, Failure> {
        let Ok(user_type) = "user_type".parse::<ObjectType>() else {
            return Ok(None);
        };
        let address = Address {
            id: resolved.address.parent.clone().unwrap_or_default(),
            ..Address::default()
        };
        let link = self.org.read(user_type, &address)?.and_then(|(_, json)| {
            text_at(&json, "_links.schema.href")
                .and_then(|url| url.rsplit('/').next())
                .map(str::to_owned)
        });
        Ok(link)
    }

    /// A mapping is found by its two ends; the list leaves its properties out, and may forget its filters.
    fn find_mapping(
        &mut self,
        action: &Action,
        resolved: &Resolved,
    ) -> Result<Option<(String, Held)>, Failure> {
        let end = |place: &str| {
            action
                .changes
                .iter()
                .find(|change| change.path == place)
                .and_then(|change| change.from.as_ref())
                .map(|id| id.as_str().trim_matches('"').to_owned())
                .map(|id| resolved.now.get(&id).cloned().unwrap_or(id))
        };
        let (Some(source), Some(target)) = (end("source.id"), end("target.id")) else {
            return Ok(None);
        };
        let path = format!(
            "/api/v1/mappings?limit=200&sourceId={}&targetId={}",
            super::request::segment(&source),
            super::request::segment(&target)
        );
        let mut found = None;
        self.org.follow(&path, None, &mut |raw| {
            let (held, json) = self.org.held(action.object_type, None, raw)?;
            if text_at(&json, "source.id") == Some(&source)
                && text_at(&json, "target.id") == Some(&target)
            {
                found = Some(held.id);
            }
            Ok(())
        })?;
        let Some(id) = found else { return Ok(None) };
        let address = Address {
            id: id.clone(),
            ..Address::default()
        };
        Ok(self
            .org
            .read(action.object_type, &address)?
            .map(|(held, _)| (id, held)))
    }

    // ---- states ----

    fn state(
        &mut self,
        action: &Action,
        resolved: &Resolved,
        verb: &str,
    ) -> Result<Ended, Failure> {
        let entry = action.object_type.entry();
        let (_, json) = self.read_target(action, resolved)?;
        let has = live_status(entry, &json).unwrap_or_default();
        let already = match verb {
            "activate" => values::same_status(action.object_type, has, "ACTIVE"),
            "deactivate" => has == "INACTIVE",
            "suspend" => has == "SUSPENDED",
            _ => values::is_in_use(has),
        };
        if already {
            return Ok(Ended::skipped(None));
        }
        if verb == "suspend" && has != "ACTIVE" {
            return Err(held_back(format!(
                "only an ACTIVE user can be suspended, and it is {has}: suspend it once it has been activated"
            )));
        }
        self.intend(action.seq)?;
        self.lifecycle_call(action.object_type, &resolved.address, verb)?;
        Ok(Ended::done(None))
    }

    /// Changes a state. The answer to a user's activation holds a token: it is dropped unread.
    fn lifecycle_call(
        &mut self,
        object_type: ObjectType,
        address: &Address,
        verb: &str,
    ) -> Result<(), Failure> {
        let Some(lifecycle) = object_type.entry().lifecycle else {
            return Err(held_back("it has no state"));
        };
        let path = match verb {
            "activate" => lifecycle.activate.to_owned(),
            "deactivate" => lifecycle.deactivate.to_owned(),
            verb => format!("/api/v1/users/{{id}}/lifecycle/{verb}"),
        };
        match self.org.call(Method::POST, address.fill(&path), None, true) {
            Ok(_) => Ok(()),
            Err(error) if refusal(&error).is_some_and(|(_, code)| code == "E0000016") => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    // ---- relations and links ----

    fn relate(&mut self, action: &Action, resolved: &Resolved) -> Result<Ended, Failure> {
        let entry = action.object_type.entry();
        let Some((method, path)) = entry.relate.and_then(|call| call.split_once(' ')) else {
            return Err(held_back("Okta has no call that makes it"));
        };
        let new_end = action
            .work
            .references
            .iter()
            .any(|reference| matches!(reference.now, Now::Made(_)));
        if !entry.bare_relation
            && (!new_end || self.intents.contains_key(&action.seq))
            && let Some((live, _)) = self.org.read(action.object_type, &resolved.address)?
        {
            let has = values::parse(&live.body);
            if values::additions(entry, &has, &resolved.body).is_empty() {
                return Ok(Ended::skipped(None));
            }
            if !self.intents.contains_key(&action.seq) {
                return Err(held_back(
                    "it was made with other values since the plan was made",
                ));
            }
        }
        self.intend(action.seq)?;
        let sent = (resolved.body != Json::Null).then_some(&resolved.body);
        let method = if method == "POST" {
            Method::POST
        } else {
            Method::PUT
        };
        // Assigning twice does no harm: the second time Okta says that it is assigned already.
        match self
            .org
            .call(method, resolved.address.fill(path), sent, true)
        {
            Ok(_) => Ok(Ended::done(None)),
            Err(error) if refusal(&error).is_some_and(|(_, code)| code == "E0000062") => {
                Ok(Ended::skipped(None))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn link(
        &mut self,
        action: &Action,
        resolved: &Resolved,
        call: &str,
        end: &str,
    ) -> Result<Ended, Failure> {
        let entry = action.object_type.entry();
        let end = resolved.now.get(end).map_or(end, String::as_str);
        let (_, json) = self.read_target(action, resolved)?;
        let links = refs::links(entry, &json);
        let place = links.iter().find(|(_, _, id)| id == end);
        if place.is_some() {
            return Ok(Ended::skipped(None));
        }
        if let Some(seen) = action.work.seen.as_deref().filter(|seen| !seen.is_empty())
            && !self.intents.contains_key(&action.seq)
            && !links.iter().any(|(_, _, id)| id == seen)
        {
            return Err(held_back("its link was changed since the plan was made"));
        }
        self.intend(action.seq)?;
        let Some((_, path)) = call.split_once(' ') else {
            return Err(held_back("Okta has no call that sets it"));
        };
        let path = resolved
            .address
            .fill(&path.replace("{target}", &super::request::segment(end)));
        self.org.call(Method::PUT, path, None, true)?;
        Ok(Ended::done(None))
    }

    // ---- the end ----

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
