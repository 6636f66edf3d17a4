//! `orgkeepctl jobs`, and how other commands print the jobs they start.

use clap::{Args, Subcommand};
use orgkeep_api::job::{Job, JobEvent, JobKind, JobState};
use serde::Serialize;

use crate::cli::words;
use crate::client::document::Document;
use crate::client::endpoint::Endpoint;
use crate::commands::{CommandError, Context};
use crate::exit::Exit;
use crate::follow::{follow, watch, watch_all};
use crate::output::Output;
use crate::output::layout::{
    Card, Listing, NONE, bytes, count, counts, indented, moment, moment_or_none, printable,
};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only jobs of this domain
    #[arg(long)]
    domain: Option<String>,
    /// Only jobs of this kind
    #[arg(long, value_parser = words::<JobKind>(JobKind::WORDS))]
    kind: Option<JobKind>,
    /// Only jobs in this state
    #[arg(long, value_parser = words::<JobState>(JobState::WORDS))]
    state: Option<JobState>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show one job
    Show {
        /// The job's id
        id: String,
    },
    /// Follow one job to its end, or all jobs until interrupted
    Watch {
        /// The job's id
        id: Option<String>,
    },
    /// Ask a job to stop
    Cancel {
        /// The job's id
        id: String,
    },
    /// Print a job's report
    Report {
        /// The job's id
        id: String,
        /// The format; `text` unless --json is given
        #[arg(long, value_parser = ["text", "json"])]
        format: Option<String>,
    },
}

/// A body without fields.
#[derive(Serialize)]
struct Nothing {}

pub(crate) fn run(arguments: Arguments, context: &mut Context) -> Result<Exit, CommandError> {
    match &arguments.command {
        None => list(&arguments, context),
        Some(Command::Show { id }) => {
            let job = context.client.get(&Endpoint::new(&["jobs", id]))?;
            print(context, &job)?;
            Ok(Exit::Done)
        }
        Some(Command::Watch { id: Some(id) }) => watch_one(id, context),
        Some(Command::Watch { id: None }) => {
            let output = &mut context.output;
            watch_all(&context.client, &mut |event| {
                print_event(&event.data, output)?;
                Ok(!output.is_closed())
            })?;
            Ok(Exit::Done)
        }
        Some(Command::Cancel { id }) => {
            let job = ask_to_stop(id, context)?;
            print(context, &job)?;
            Ok(Exit::Done)
        }
        Some(Command::Report { id, format }) => report(id, format.as_deref(), context),
    }
}

fn ask_to_stop(id: &str, context: &Context) -> Result<Document, CommandError> {
    let endpoint = Endpoint::new(&["jobs", id, "cancel"]);
    Ok(context.client.post(&endpoint, &Nothing {})?)
}

/// Asks a job that was started to stop.
pub(crate) fn cancel(job: &Document, context: &Context) -> Result<(), CommandError> {
    ask_to_stop(&job.read::<Job>()?.id, context).map(|_| ())
}

/// Prints a job that was started; follows it to its end first if that is wanted.
pub(crate) fn print_started(
    context: &mut Context,
    job: Document,
    wait: bool,
) -> Result<Exit, CommandError> {
    if wait {
        let last = follow(context, &job)?;
        return print_ended(context, &last);
    }
    print(context, &job)?;
    Ok(Exit::Done)
}

/// Prints the last state of a job that was followed; its state decides the exit code.
pub(crate) fn print_ended(context: &mut Context, job: &Document) -> Result<Exit, CommandError> {
    print(context, job)?;
    Ok(job.read::<Job>()?.state.into())
}

/// A table of jobs.
pub(crate) fn table(jobs: impl Iterator<Item = Job>) -> Listing {
    let mut table = Listing::new(&[
        "JOB", "KIND", "DOMAIN", "TRIGGER", "STATE", "CREATED", "FINISHED",
    ]);
    for job in jobs {
        table.row([
            job.id,
            job.kind.to_string(),
            job.domain.unwrap_or_else(|| NONE.to_owned()),
            job.trigger.to_string(),
            job.state.to_string(),
            moment(&job.created_at),
            moment_or_none(job.finished_at.as_deref()),
        ]);
    }
    table
}

fn list(arguments: &Arguments, context: &mut Context) -> Result<Exit, CommandError> {
    let endpoint = Endpoint::new(&["jobs"])
        .with_some("domain", arguments.domain.as_deref())
        .with_some("kind", arguments.kind.map(JobKind::as_str))
        .with_some("state", arguments.state.map(JobState::as_str));
    let mut jobs = Vec::new();
    context.print_list(&endpoint, &mut |_, item| {
        jobs.push(item.read()?);
        Ok(())
    })?;
    if !context.output.is_json() {
        table(jobs.into_iter()).print(&mut context.output, "There is no such job.")?;
    }
    Ok(Exit::Done)
}

fn watch_one(id: &str, context: &mut Context) -> Result<Exit, CommandError> {
    if !context.output.is_json() {
        let job = context.client.get(&Endpoint::new(&["jobs", id]))?;
        return print_started(context, job, true);
    }
    let output = &mut context.output;
    let last = watch(&context.client, id, &mut |event| {
        print_event(&event.data, output)
    })?;
    Ok(last.read::<Job>()?.state.into())
}

/// Prints one event at once, for whoever watches.
fn print_event(data: &str, output: &mut Output) -> Result<(), CommandError> {
    if output.is_json() {
        output.line(data)?;
    } else if let Ok(event) = serde_json::from_str::<JobEvent>(data) {
        output.line(&in_one_line(&event))?;
    }
    output.flush()?;
    Ok(())
}

fn in_one_line(event: &JobEvent) -> String {
    let job = &event.job;
    let progress = &job.progress;
    let mut text = format!(
        "{} {} {} {} {}",
        moment(&event.at),
        job.id,
        job.kind,
        job.domain.as_deref().unwrap_or(NONE),
        job.state
    );
    if let Some(phase) = progress.phase.as_deref().filter(|_| !job.state.is_final()) {
        text.push_str(&format!(" {phase} {}", count(progress.done)));
        if let Some(total) = progress.total {
            text.push_str(&format!("/{}", count(total)));
        }
    }
    if let Some(warning) = &event.warning {
        text.push_str(&format!(" warning: {warning}"));
    }
    printable(&text)
}

fn report(id: &str, format: Option<&str>, context: &mut Context) -> Result<Exit, CommandError> {
    let json = format.map_or(context.output.is_json(), |format| format == "json");
    let endpoint = Endpoint::new(&["jobs", id, "report"]);
    if json {
        let report = context.client.get(&endpoint.with("format", "json"))?;
        context.output.document(&report)?;
    } else {
        let text = context.client.get_text(&endpoint.with("format", "text"))?;
        for line in text.lines() {
            context.output.line(&printable(line))?;
        }
    }
    Ok(Exit::Done)
}

fn print(context: &mut Context, job: &Document) -> Result<(), CommandError> {
    if context.output.is_json() {
        context.output.document(job)?;
        return Ok(());
    }
    show(&job.read()?, &mut context.output)
}

fn show(job: &Job, output: &mut Output) -> Result<(), CommandError> {
    let progress = &job.progress;
    let mut card = Card::new();
    card.field("job", &job.id)
        .field("kind", job.kind.as_str())
        .field_if("domain", job.domain.as_deref())
        .field("trigger", job.trigger.as_str())
        .field("state", job.state.as_str())
        .field("created", moment(&job.created_at))
        .field("started", moment_or_none(job.started_at.as_deref()))
        .field("finished", moment_or_none(job.finished_at.as_deref()));
    if job.started_at.is_some() {
        card.field_if(
            "phase",
            progress.phase.as_deref().filter(|_| !job.state.is_final()),
        )
        .field("requests", count(progress.requests))
        .field("waited for Okta", format!("{} s", progress.rate_limited_s))
        .field("new in store", bytes(progress.bytes_new));
    }
    if !progress.by_type.is_empty() {
        card.field("by type", counts(&progress.by_type));
    }
    if let Some(error) = &job.error {
        card.field("error", format!("{}: {}", error.code, error.detail));
    }
    card.print(output)?;
    if let Some(result) = &job.result {
        output.line(&format!("result           {}", indented(result.get())))?;
    }
    Ok(())
}
