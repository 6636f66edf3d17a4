//! The jobs that compute and carry out restore plans.

use std::sync::Arc;

use jiff::SignedDuration;
use orgkeep_api::job::ReportItem;
use orgkeep_api::restore::StartPlan;
use orgkeep_engine::id::{DomainId, JobId, PlanId, SnapshotId};
use orgkeep_engine::monitor::Monitor;
use orgkeep_engine::restore::{
    self, ActionReport, Journal, JournalError, JournalRecord, Outcome, RestoreReport, Verification,
};
use serde::Serialize;

use super::{domain, result};
use crate::app::App;
use crate::handlers::plans::{self, ApplyParams, PLAN};
use crate::jobs::{Done, Failure, Live};
use crate::org;
use crate::problem::{Problem, sentence};
use crate::recovery;
use crate::state::domains::DomainRecord;
use crate::state::plans::PlanRecord;

/// How long a plan may wait to be applied.
const PLAN_LASTS: SignedDuration = SignedDuration::from_hours(24);
/// What sealed journal records are bound to.
const RECORD: &str = "restore journal";

/// The result of a planning job.
#[derive(Debug, Serialize)]
struct Planned {
    plan: String,
}

/// The result of a restore.
#[derive(Debug, Serialize)]
struct Restored {
    plan: String,
    done: u64,
    skipped: u64,
    held_back: u64,
    failed: u64,
    not_as_planned: u64,
    requests: u64,
}

pub(super) fn plan(app: &Arc<App>, live: &Arc<Live>) -> Result<Done, Failure> {
    let domain = domain(app, live)?;
    let outcome = make_plan(app, live, &domain);
    note(app, &domain, &outcome);
    let id = outcome?;
    Ok(Done {
        result: result(&Planned {
            plan: id.to_string(),
        }),
        ..Done::default()
    })
}

fn make_plan(app: &Arc<App>, live: &Arc<Live>, domain: &DomainRecord) -> Result<PlanId, Failure> {
    let params = live.params(app)?;
    let asked: StartPlan = serde_json::from_slice(&params)
        .map_err(|error| Problem::internal("The job's parameters cannot be read", &error))?;
    let snapshot: SnapshotId = asked
        .snapshot
        .parse()
        .map_err(|_| Problem::not_found(format_args!("snapshot `{}`", asked.snapshot)))?;
    let reader = app.stores.domain(app, domain.id)?.reader(snapshot)?;
    let monitor: Arc<dyn Monitor> = Arc::clone(live) as Arc<dyn Monitor>;
    let api = org::connect(app, domain, org::backup_scopes(domain), monitor)?;
    let id_map = recovery::id_map(app, domain.id)?;
    let selection = plans::selection(&asked)?;
    let plan = restore::plan_restore(
        &api,
        &reader,
        &selection,
        plans::mode(asked.mode),
        &id_map,
        &*app.clock,
        &**live,
    )?;
    let digest = plan
        .digest()
        .map_err(|error| Problem::internal("The plan could not be kept", &error))?;
    let body = serde_json::to_vec(&plan)
        .map_err(|error| Problem::internal("The plan could not be kept", &error))?;
    let now = app.clock.now();
    let record = PlanRecord {
        // A job that is taken up again makes the same plan again, not a second one.
        id: PlanId::from_bytes(*live.id.as_bytes()),
        domain_id: domain.id,
        snapshot: snapshot.to_string(),
        created_at: now,
        expires_at: now.saturating_add(PLAN_LASTS).unwrap_or(now),
        digest: digest.to_string(),
        job: None,
        body: app.seal(PLAN, &body)?,
    };
    let state = app.state()?;
    state.drop_plans_before(now)?;
    state.insert_plan(&record)?;
    Ok(record.id)
}

fn note<T>(app: &App, domain: &DomainRecord, outcome: &Result<T, Failure>) {
    match outcome {
        // The org answered; what scopes are missing is the backup's to say.
        Ok(_) => app.note_org_answer(domain, Ok(&domain.scopes.missing)),
        Err(Failure::Failed(problem)) => app.note_org_answer(domain, Err(problem)),
        Err(Failure::Cancelled) => {}
    }
}

pub(super) fn apply(app: &Arc<App>, live: &Arc<Live>) -> Result<Done, Failure> {
    let domain = domain(app, live)?;
    let params = live.params(app)?;
    let asked: ApplyParams = serde_json::from_slice(&params)
        .map_err(|error| Problem::internal("The job's parameters cannot be read", &error))?;
    let outcome = carry_out(app, live, &domain, &asked.plan);
    note(app, &domain, &outcome);
    if let Err(problem) =
        recovery::keep_id_map(app, domain.id).and_then(|()| recovery::keep_audit_head(app))
    {
        live.warn(format!(
            "The id map could not be kept in the store: {}",
            problem.detail()
        ));
    }
    let report = outcome?;
    for warning in &report.warnings {
        live.warn(warning.clone());
    }
    let count = |outcome| report.counts.get(&outcome).copied().unwrap_or(0);
    Ok(Done {
        with_errors: !report.is_clean(),
        result: result(&Restored {
            plan: asked.plan.clone(),
            done: count(Outcome::Done),
            skipped: count(Outcome::Skipped),
            held_back: count(Outcome::HeldBack),
            failed: count(Outcome::Failed),
            not_as_planned: report.not_as_planned,
            requests: report.requests,
        }),
        items: report.actions.iter().map(item).collect(),
    })
}

fn carry_out(
    app: &Arc<App>,
    live: &Arc<Live>,
    domain: &DomainRecord,
    plan: &str,
) -> Result<RestoreReport, Failure> {
    let gone = || Problem::not_found(format_args!("restore plan {plan}"));
    let id: PlanId = plan.parse().map_err(|_| gone())?;
    let record = app.state()?.plan(id)?.ok_or_else(gone)?;
    let seen = record.digest.parse().map_err(|_| gone())?;
    let plan = plans::open(app, &record)?;
    let mut scopes: Vec<String> = org::backup_scopes(domain);
    scopes.extend(plan.scopes.iter().cloned());
    scopes.sort();
    scopes.dedup();
    let plan = plan
        .approve(seen)
        .map_err(|error| Problem::new("plan_out_of_date", sentence(&error, error.hint())))?;
    let monitor: Arc<dyn Monitor> = Arc::clone(live) as Arc<dyn Monitor>;
    let api = org::connect(app, domain, scopes, monitor)?;
    let mut journal = StateJournal {
        app: Arc::clone(app),
        live: Arc::clone(live),
        job: live.id,
        domain: domain.id,
    };
    Ok(restore::apply(
        &api,
        &plan,
        &mut journal,
        &*app.clock,
        &**live,
    )?)
}

fn item(action: &ActionReport) -> ReportItem {
    let mut detail = action.detail.clone();
    let mut add = |text: String| {
        detail = Some(match detail.take() {
            Some(detail) => format!("{detail}; {text}"),
            None => text,
        });
    };
    if let Some(code) = &action.code {
        add(format!("Okta's code is {code}"));
    }
    match action.verification {
        Verification::Differs => add(format!(
            "read back, these are not as planned: {}",
            action.differs.join(", ")
        )),
        Verification::Absent => add("read back, it is not there".to_owned()),
        Verification::Unknown => add("it could not be read back".to_owned()),
        Verification::AsPlanned | Verification::NotNeeded => {}
    }
    ReportItem {
        seq: u64::from(action.seq),
        action: plans::word(&action.action),
        object_type: action.object_type.name().to_owned(),
        id: action.id.clone(),
        new_id: action.new_id.clone(),
        name: action.name.clone(),
        outcome: plans::word(&action.outcome),
        detail,
    }
}

/// A restore's journal in the state database.
struct StateJournal {
    app: Arc<App>,
    live: Arc<Live>,
    job: JobId,
    domain: DomainId,
}

impl Journal for StateJournal {
    fn records(&self) -> Result<Vec<JournalRecord>, JournalError> {
        journal_records(&self.app, self.job).map_err(failed)
    }

    fn append(&mut self, record: &JournalRecord) -> Result<(), JournalError> {
        let append = || -> Result<(), Problem> {
            let plain = serde_json::to_vec(record).map_err(|error| {
                Problem::internal("A journal record could not be written", &error)
            })?;
            let sealed = self.app.seal(RECORD, &plain)?;
            let mapping = match record.mapping() {
                Some((object_type, old, new)) => Some(recovery::mapping(
                    &self.app,
                    self.domain,
                    object_type,
                    old,
                    new,
                )?),
                None => None,
            };
            self.app
                .state()?
                .append_journal(self.job, &sealed, mapping.as_ref())?;
            self.live.got_on(&self.app)
        };
        append().map_err(failed)
    }
}

fn failed(problem: Problem) -> JournalError {
    JournalError(Box::new(std::io::Error::other(problem.detail().to_owned())))
}

/// A restore's journal so far.
pub(crate) fn journal_records(app: &App, job: JobId) -> Result<Vec<JournalRecord>, Problem> {
    let read = |sealed: Vec<u8>| {
        let plain = app.unseal(RECORD, &sealed)?;
        serde_json::from_slice(&plain)
            .map_err(|error| Problem::internal("A journal record cannot be read", &error))
    };
    app.state()?.journal(job)?.into_iter().map(read).collect()
}
