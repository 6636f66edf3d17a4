//! `orgkeepctl restore`

use clap::{Args, Subcommand};
use orgkeep_api::job::{Job, JobState};
use orgkeep_api::restore::{
    Action, ApplyPlan, CannotRestore, HeldBack, RestoreMode, RestorePlan, StartPlan,
};
use serde::Deserialize;

use crate::cli::words;
use crate::client::ClientError;
use crate::client::document::Document;
use crate::client::endpoint::Endpoint;
use crate::commands::{CommandError, Context, diff, jobs};
use crate::exit::Exit;
use crate::follow::follow;
use crate::output::Output;
use crate::output::layout::{Card, NONE, count, moment, printable};

/// How many objects that cannot be restored, or are held back, are shown to people before the rest
/// is counted only; `--json` gives all of them.
const SHOWN_MAX: usize = 20;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compute and save a plan; changes nothing
    Plan(Selection),
    /// Show a plan and its actions
    Show {
        /// The plan's id
        plan: String,
    },
    /// Carry out a plan
    Apply {
        /// The plan's id
        plan: String,
        #[command(flatten)]
        apply: ApplyOptions,
    },
    /// Plan, show, ask, and carry out
    Now {
        #[command(flatten)]
        selection: Selection,
        /// Carry the plan out without asking
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        apply: ApplyOptions,
    },
}

#[derive(Debug, Args)]
struct Selection {
    /// The domain; may be left out where only one is registered
    domain: Option<String>,
    /// The snapshot: an id, a unique prefix of one, `latest`, or `@TIME`
    #[arg(long, value_name = "SNAPSHOT")]
    snapshot: String,
    /// Restore objects of this type; may be repeated. Without any selection: the whole snapshot
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Restore this object; may be repeated
    #[arg(long = "id", value_name = "TYPE/ID")]
    ids: Vec<String>,
    /// `missing` creates what is absent; `additive` also updates what differs
    #[arg(long, default_value = "missing", value_parser = words::<RestoreMode>(RestoreMode::WORDS))]
    mode: RestoreMode,
    /// Restore what the selection refers to as well
    #[arg(long)]
    with_dependencies: bool,
}

#[derive(Debug, Args)]
struct ApplyOptions {
    /// Allow the plan to remove what was added since
    #[arg(long)]
    allow_removals: bool,
    /// Follow the job to its end
    #[arg(long)]
    wait: bool,
}

pub(crate) fn run(arguments: Arguments, context: &mut Context) -> Result<Exit, CommandError> {
    match arguments.command {
        Command::Plan(selection) => plan(&selection, context),
        Command::Show { plan } => show(&plan, context),
        Command::Apply { plan, apply } => carry_out(&plan, &apply, context),
        Command::Now {
            selection,
            yes,
            apply,
        } => now(&selection, yes, &apply, context),
    }
}

fn plan(selection: &Selection, context: &mut Context) -> Result<Exit, CommandError> {
    let job = plan_job(selection, context)?;
    let Some(plan) = planned(&job)? else {
        return jobs::print_ended(context, &job);
    };
    let document = context
        .client
        .get(&Endpoint::new(&["restore-plans", &plan]))?;
    if context.output.is_json() {
        context.output.document(&document)?;
    } else {
        let plan: RestorePlan = document.read()?;
        show_plan(&plan, &mut context.output)?;
        let hint = format!(
            "`orgkeepctl restore show {0}` lists the actions, `orgkeepctl restore apply {0}` \
             carries them out.",
            plan.id
        );
        context.output.line("")?;
        context.output.line(&hint)?;
    }
    Ok(job.read::<Job>()?.state.into())
}

fn show(plan: &str, context: &mut Context) -> Result<Exit, CommandError> {
    let document = context
        .client
        .get(&Endpoint::new(&["restore-plans", plan]))?;
    if context.output.is_json() {
        context.output.document(&document)?;
    } else {
        show_plan(&document.read()?, &mut context.output)?;
        context.output.line("")?;
    }
    show_actions(plan, context)?;
    Ok(Exit::Done)
}

fn carry_out(
    plan: &str,
    apply: &ApplyOptions,
    context: &mut Context,
) -> Result<Exit, CommandError> {
    let endpoint = Endpoint::new(&["restore-plans", plan, "apply"]);
    let body = ApplyPlan {
        allow_removals: apply.allow_removals,
    };
    let job = context.client.post(&endpoint, &body)?;
    jobs::print_started(context, job, apply.wait)
}

fn now(
    selection: &Selection,
    yes: bool,
    apply: &ApplyOptions,
    context: &mut Context,
) -> Result<Exit, CommandError> {
    let prompt = context.prompt();
    if !yes && prompt.is_none() {
        return Err(CommandError::NotConfirmed {
            how: "--yes".to_owned(),
        });
    }
    let job = plan_job(selection, context)?;
    let Some(id) = planned(&job)? else {
        return jobs::print_ended(context, &job);
    };
    if !context.output.is_json() {
        let document = context
            .client
            .get(&Endpoint::new(&["restore-plans", &id]))?;
        show_plan(&document.read()?, &mut context.output)?;
        context.output.line("")?;
        show_actions(&id, context)?;
        context.output.line("")?;
        context.output.flush()?;
    }
    if let Some(prompt) = prompt.filter(|_| !yes)
        && !prompt.confirm("Carry out this plan?", false)?
    {
        return Err(CommandError::Declined);
    }
    carry_out(&id, apply, context)
}

/// Has the plan computed, and waits for it.
fn plan_job(selection: &Selection, context: &Context) -> Result<Document, CommandError> {
    let domain = context.domain(selection.domain.as_deref())?;
    let body = StartPlan {
        snapshot: selection.snapshot.clone(),
        types: selection.types.clone(),
        ids: selection.ids.clone(),
        mode: selection.mode,
        with_dependencies: selection.with_dependencies,
    };
    let job = context.client.post(
        &Endpoint::new(&["domains", &domain, "restore-plans"]),
        &body,
    )?;
    follow(context, &job)
}

/// The id of the plan that a job made, if it made one.
fn planned(job: &Document) -> Result<Option<String>, ClientError> {
    #[derive(Deserialize)]
    struct Planned {
        plan: String,
    }
    let job: Job = job.read()?;
    match job.result {
        Some(result)
            if matches!(
                job.state,
                JobState::Succeeded | JobState::CompletedWithErrors
            ) =>
        {
            serde_json::from_str::<Planned>(result.get())
                .map(|planned| Some(planned.plan))
                .map_err(|source| ClientError::Malformed { source })
        }
        _ => Ok(None),
    }
}

fn show_plan(plan: &RestorePlan, output: &mut Output) -> Result<(), CommandError> {
    let actions = &plan.actions;
    let mut card = Card::new();
    card.field("plan", &plan.id)
        .field("domain", &plan.domain)
        .field("snapshot", &plan.snapshot)
        .field("mode", plan.mode.as_str())
        .field("writes to", &plan.target)
        .field("expires", moment(&plan.expires_at))
        .field("create", count(actions.create))
        .field("update", count(actions.update))
        .field("lifecycle", count(actions.lifecycle))
        .field("relate", count(actions.relate))
        .field("unrelate", count(actions.unrelate))
        .field("delete", count(actions.delete))
        .field(
            "requests",
            format!("about {}", count(plan.requests_estimated)),
        );
    card.print(output)?;
    show_some(output, "Held back", &plan.held_back, |held: &HeldBack| {
        line(
            &held.object_type,
            &held.id,
            held.name.as_deref(),
            &held.reason,
        )
    })?;
    show_some(
        output,
        "Okta cannot restore",
        &plan.cannot_restore,
        |lost: &CannotRestore| {
            let what = format!("{}; {}", lost.what, lost.instead);
            line(&lost.object_type, &lost.id, lost.name.as_deref(), &what)
        },
    )?;
    for warning in &plan.warnings {
        let text = output
            .style()
            .notable(&format!("warning: {}", printable(warning)));
        output.line(&text)?;
    }
    Ok(())
}

fn show_some<T>(
    output: &mut Output,
    heading: &str,
    items: &[T],
    text: impl Fn(&T) -> String,
) -> Result<(), CommandError> {
    if items.is_empty() {
        return Ok(());
    }
    let heading = format!(
        "{heading} ({}):",
        count(u64::try_from(items.len()).unwrap_or(u64::MAX))
    );
    let heading = output.style().heading(&heading);
    output.line("")?;
    output.line(&heading)?;
    for item in items.iter().take(SHOWN_MAX) {
        output.line(&format!("  {}", printable(&text(item))))?;
    }
    if items.len() > SHOWN_MAX {
        output.line(&format!(
            "  … and {} more (--json lists all)",
            items.len() - SHOWN_MAX
        ))?;
    }
    Ok(())
}

fn line(object_type: &str, id: &str, name: Option<&str>, why: &str) -> String {
    format!("{object_type:<22} {id:<22} {}: {why}", name.unwrap_or(NONE))
}

fn show_actions(plan: &str, context: &mut Context) -> Result<(), CommandError> {
    let endpoint = Endpoint::new(&["restore-plans", plan, "actions"]);
    context.print_list(&endpoint, &mut |output, item| {
        let action: Action = item.read()?;
        output.line(&printable(&format!(
            "{:>5}  {:<9} {:<22} {:<22} {} ({}, {})",
            action.seq,
            action.action.as_str(),
            action.object_type,
            action.id,
            action.name.as_deref().unwrap_or(NONE),
            action.reason,
            action.state
        )))?;
        diff::show_attributes(&action.changes, output)
    })
}
