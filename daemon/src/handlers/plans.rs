//! Restore plans: ask for one, look at it, carry it out.

use std::sync::Arc;

use orgkeep_api::job::{JobKind, Trigger};
use orgkeep_api::restore::{
    Action, ActionCounts, ActionKind, ActionState, ApplyPlan, CannotRestore, HeldBack, RestoreMode,
    RestorePlan, StartPlan,
};
use orgkeep_engine::catalogue::ObjectType;
use orgkeep_engine::clock;
use orgkeep_engine::id::PlanId;
use orgkeep_engine::plan as engine;
use orgkeep_engine::restore::{JournalRecord, Outcome};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::call::{Answer, Call};
use crate::handlers::domains::keys_needed;
use crate::handlers::objects::attribute;
use crate::handlers::{domain, domain_name, snapshot};
use crate::jobs::NewJob;
use crate::operations::restore::journal_records;
use crate::org;
use crate::problem::Problem;
use crate::settings;
use crate::state::plans::PlanRecord;

/// What sealed plans are bound to.
pub(crate) const PLAN: &str = "restore plan";

/// What an applying job is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ApplyParams {
    /// The plan.
    pub(crate) plan: String,
}

pub(crate) fn start(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let domain = domain(app, call.param("d"))?;
    let mut asked: StartPlan = call.json()?;
    if !domain.keys_enabled {
        return Err(keys_needed(&domain));
    }
    selection(&asked)?;
    asked.snapshot = snapshot(app, &asked.snapshot, Some(&domain))?
        .id
        .to_string();
    let params = serde_json::to_string(&asked)
        .map_err(|error| Problem::internal("The request could not be kept", &error))?;
    let new = NewJob {
        kind: JobKind::RestorePlan,
        domain: Some(&domain),
        trigger: Trigger::Manual,
        mode: None,
        params: Some(params),
        plan: None,
    };
    Answer::accepted(&app.jobs.submit(app, &new)?)
}

/// The engine's form of what was asked for.
pub(crate) fn selection(asked: &StartPlan) -> Result<engine::Selection, Problem> {
    let types = settings::object_types(&asked.types)
        .map_err(|error| Problem::invalid(format!("types: {error}.")))?;
    let object = |text: &String| {
        let (object_type, id) = text
            .split_once('/')
            .ok_or_else(|| Problem::invalid(format!("ids: `{text}`: write TYPE/ID.")))?;
        let object_type: ObjectType = object_type
            .parse()
            .map_err(|error| Problem::invalid(format!("ids: {error}.")))?;
        Ok(engine::ObjectName::new(object_type, id))
    };
    let objects = asked
        .ids
        .iter()
        .map(object)
        .collect::<Result<_, Problem>>()?;
    Ok(engine::Selection {
        types,
        objects,
        with_dependencies: asked.with_dependencies,
    })
}

/// The engine's mode.
pub(crate) fn mode(mode: RestoreMode) -> engine::Mode {
    match mode {
        RestoreMode::Missing => engine::Mode::Missing,
        RestoreMode::Additive => engine::Mode::Additive,
    }
}

fn load(app: &App, call: &Call) -> Result<(PlanRecord, engine::RestorePlan), Problem> {
    let id: PlanId = call.parsed("p", "restore plan")?;
    let record = app.state()?.plan(id)?;
    let record = record.ok_or_else(|| Problem::not_found(format_args!("restore plan {id}")))?;
    let plan = open(app, &record)?;
    Ok((record, plan))
}

/// The plan of a row.
pub(crate) fn open(app: &App, record: &PlanRecord) -> Result<engine::RestorePlan, Problem> {
    let plain = app.unseal(PLAN, &record.body)?;
    serde_json::from_slice(&plain)
        .map_err(|_| out_of_date("It was made by another version of the program."))
}

fn out_of_date(why: &str) -> Problem {
    Problem::new(
        "plan_out_of_date",
        format!("{why} Make the plan again with `orgkeepctl restore plan`."),
    )
}

pub(crate) fn show(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let (record, plan) = load(app, call)?;
    let domain = domain_name(app, record.domain_id)?;
    Answer::ok(&document(&record, &plan, domain))
}

fn document(record: &PlanRecord, plan: &engine::RestorePlan, domain: String) -> RestorePlan {
    let counts = plan.counts();
    RestorePlan {
        id: record.id.to_string(),
        snapshot: record.snapshot.clone(),
        mode: match plan.mode {
            engine::Mode::Missing => RestoreMode::Missing,
            engine::Mode::Additive => RestoreMode::Additive,
        },
        target: domain.clone(),
        domain,
        created_at: clock::to_text(record.created_at),
        expires_at: clock::to_text(record.expires_at),
        actions: ActionCounts {
            create: counts.create,
            update: counts.update,
            lifecycle: counts.lifecycle,
            relate: counts.relate,
            unrelate: counts.unrelate,
            delete: counts.delete,
        },
        held_back: plan.held_back.iter().map(held_back).collect(),
        cannot_restore: plan.cannot_restore.iter().map(cannot_restore).collect(),
        warnings: plan.warnings.clone(),
        requests_estimated: plan.requests_estimated,
    }
}

fn held_back(held: &engine::HeldBack) -> HeldBack {
    let reason = match &held.hint {
        Some(hint) => format!("{}. {hint}", held.reason.trim_end_matches('.')),
        None => held.reason.clone(),
    };
    HeldBack {
        object_type: held.object_type.name().to_owned(),
        id: held.id.clone(),
        name: held.name.clone(),
        reason,
    }
}

fn cannot_restore(lost: &engine::CannotRestore) -> CannotRestore {
    CannotRestore {
        object_type: lost.object_type.name().to_owned(),
        id: lost.id.clone(),
        name: lost.name.clone(),
        what: lost.what.clone(),
        instead: lost.instead.clone(),
    }
}

/// The actions in their order, each with where it stands.
pub(crate) fn actions(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let (record, plan) = load(app, call)?;
    let states = match record.job {
        Some(job) => states(&journal_records(app, job)?),
        None => std::collections::BTreeMap::new(),
    };
    let limit = call.limit()?;
    let after = call.after(|text| text.parse::<u32>().ok())?.unwrap_or(0);
    let mut rest = plan.actions.into_iter().filter(|action| action.seq > after);
    let rows: Vec<Action> = rest
        .by_ref()
        .take(limit)
        .map(|planned| {
            let state = states
                .get(&planned.seq)
                .copied()
                .unwrap_or(ActionState::Planned);
            action(planned, state)
        })
        .collect();
    let next = rest
        .next()
        .and_then(|_| rows.last().map(|row| row.seq.to_string()));
    Answer::page(rows, next)
}

/// Where each action stands, by the journal.
fn states(records: &[JournalRecord]) -> std::collections::BTreeMap<u32, ActionState> {
    let mut states = std::collections::BTreeMap::new();
    for record in records {
        let (seq, state) = match record {
            JournalRecord::Intent { seq, .. } | JournalRecord::Made { seq, .. } => {
                (*seq, ActionState::Running)
            }
            JournalRecord::Done(report) => (report.seq, ended(report.outcome)),
        };
        states.insert(seq, state);
    }
    states
}

fn ended(outcome: Outcome) -> ActionState {
    match outcome {
        Outcome::Done => ActionState::Done,
        Outcome::Skipped => ActionState::Skipped,
        Outcome::HeldBack => ActionState::HeldBack,
        Outcome::Failed => ActionState::Failed,
    }
}

fn action(planned: engine::Action, state: ActionState) -> Action {
    Action {
        seq: u64::from(planned.seq),
        action: kind(planned.action),
        object_type: planned.object_type.name().to_owned(),
        id: planned.id,
        name: planned.name,
        changes: planned.changes.into_iter().map(attribute).collect(),
        reason: word(&planned.reason),
        depends_on: planned.depends_on.into_iter().map(u64::from).collect(),
        state,
    }
}

fn kind(kind: engine::ActionKind) -> ActionKind {
    match kind {
        engine::ActionKind::Create => ActionKind::Create,
        engine::ActionKind::Update => ActionKind::Update,
        engine::ActionKind::Lifecycle => ActionKind::Lifecycle,
        engine::ActionKind::Relate => ActionKind::Relate,
        engine::ActionKind::Unrelate => ActionKind::Unrelate,
        engine::ActionKind::Delete => ActionKind::Delete,
    }
}

/// The stable word by which an enumeration of the engine is serialised.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value)
        .unwrap_or_default()
        .trim_matches('"')
        .to_owned()
}

/// Carries the plan out. Asked again, gives the job that does.
pub(crate) fn apply(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    // No mode that exists yet removes anything, so there is nothing that `allow_removals` has to allow.
    let _asked: ApplyPlan = call.json()?;
    let applying = app.registering();
    let (record, plan) = load(app, call)?;
    if let Some(job) = record.job {
        return Answer::accepted(&app.jobs.get(app, job)?);
    }
    if app.clock.now() > record.expires_at {
        return Err(out_of_date("It was made more than a day ago."));
    }
    let domain = app.state()?.domain_by_id(record.domain_id)?;
    let domain = domain.ok_or_else(|| Problem::not_found("registered domain of this plan"))?;
    org::require_scopes(app, &domain, &plan.scopes)?;
    let params = serde_json::to_string(&ApplyParams {
        plan: record.id.to_string(),
    })
    .map_err(|error| Problem::internal("The request could not be kept", &error))?;
    let new = NewJob {
        kind: JobKind::Restore,
        domain: Some(&domain),
        trigger: Trigger::Manual,
        mode: None,
        params: Some(params),
        plan: Some(record.id),
    };
    let job = app.jobs.submit(app, &new)?;
    drop(applying);
    Answer::accepted(&job)
}
