//! `orgkeepctl snapshots`

use clap::{Args, Subcommand};
use orgkeep_api::snapshot::{CoverageState, Snapshot, SnapshotPatch};

use crate::client::document::Document;
use crate::client::endpoint::Endpoint;
use crate::commands::{CommandError, Context};
use crate::exit::Exit;
use crate::output::Output;
use crate::output::layout::{Card, Listing, NONE, bytes, count, moment};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The domain; may be left out where only one is registered
    domain: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show one snapshot
    Show(One),
    /// Forget a snapshot; other snapshots keep what they share with it
    Remove(One),
    /// Protect a snapshot from retention
    Pin(One),
    /// Give a snapshot back to retention
    Unpin(One),
}

#[derive(Debug, Args)]
struct One {
    /// An id, a unique prefix of one, `latest`, or `@TIME`
    snapshot: String,
    /// The domain that `latest` and `@TIME` are about
    #[arg(long)]
    domain: Option<String>,
}

pub(crate) fn run(arguments: Arguments, context: &mut Context) -> Result<Exit, CommandError> {
    match arguments.command {
        None => list(arguments.domain.as_deref(), context)?,
        Some(Command::Show(one)) => {
            let document = find(context, one.domain.as_deref(), &one.snapshot)?;
            print(context, &document)?;
        }
        Some(Command::Remove(one)) => remove(&one, context)?,
        Some(Command::Pin(one)) => pin(&one, true, context)?,
        Some(Command::Unpin(one)) => pin(&one, false, context)?,
    }
    Ok(Exit::Done)
}

/// The snapshot that a reference means.
pub(crate) fn find(
    context: &Context,
    domain: Option<&str>,
    reference: &str,
) -> Result<Document, CommandError> {
    let endpoint = if domain.is_some() || needs_domain(reference) {
        Endpoint::new(&["domains", &context.domain(domain)?, "snapshots", reference])
    } else {
        Endpoint::new(&["snapshots", reference])
    };
    Ok(context.client.get(&endpoint)?)
}

/// The id that a reference means; what is an id or a prefix already is left to the daemon.
pub(crate) fn find_id(
    context: &Context,
    domain: Option<&str>,
    reference: &str,
) -> Result<String, CommandError> {
    if domain.is_some() || needs_domain(reference) {
        Ok(find(context, domain, reference)?.read::<Snapshot>()?.id)
    } else {
        Ok(reference.to_owned())
    }
}

/// Whether a reference says something only within a domain.
pub(crate) fn needs_domain(reference: &str) -> bool {
    reference == "latest" || reference.starts_with('@')
}

fn list(domain: Option<&str>, context: &mut Context) -> Result<(), CommandError> {
    let domain = context.domain(domain)?;
    let mut table = Listing::new(&[
        "SNAPSHOT", "AS OF", ">OBJECTS", ">CHANGES", ">NEW", "COMPLETE", "PINNED",
    ]);
    context.print_list(
        &Endpoint::new(&["domains", &domain, "snapshots"]),
        &mut |_, item| {
            let snapshot: Snapshot = item.read()?;
            table.row([
                snapshot.id,
                moment(&snapshot.as_of),
                count(snapshot.objects),
                count(snapshot.changes),
                bytes(snapshot.bytes_new),
                if snapshot.complete { "yes" } else { "no" }.to_owned(),
                if snapshot.pinned { "yes" } else { NONE }.to_owned(),
            ]);
            Ok(())
        },
    )?;
    if !context.output.is_json() {
        table.print(&mut context.output, "There is no snapshot yet.")?;
    }
    Ok(())
}

fn remove(one: &One, context: &mut Context) -> Result<(), CommandError> {
    let id = find_id(context, one.domain.as_deref(), &one.snapshot)?;
    let document = context.client.delete(&Endpoint::new(&["snapshots", &id]))?;
    if context.output.is_json() {
        context.output.document(&document)?;
    } else {
        let removed: Snapshot = document.read()?;
        let line = format!("removed snapshot {}", removed.id);
        context.output.line(&line)?;
    }
    Ok(())
}

fn pin(one: &One, pinned: bool, context: &mut Context) -> Result<(), CommandError> {
    let id = find_id(context, one.domain.as_deref(), &one.snapshot)?;
    let endpoint = Endpoint::new(&["snapshots", &id]);
    let document = context.client.patch(&endpoint, &SnapshotPatch { pinned })?;
    print(context, &document)
}

fn print(context: &mut Context, document: &Document) -> Result<(), CommandError> {
    if context.output.is_json() {
        context.output.document(document)?;
        return Ok(());
    }
    show(&document.read()?, &mut context.output)
}

fn show(snapshot: &Snapshot, output: &mut Output) -> Result<(), CommandError> {
    let mut card = Card::new();
    card.field("snapshot", &snapshot.id)
        .field("domain", &snapshot.domain)
        .field("as of", moment(&snapshot.as_of))
        .field("created", moment(&snapshot.created_at))
        .field("parent", snapshot.parent.as_deref().unwrap_or(NONE))
        .field("complete", if snapshot.complete { "yes" } else { "no" })
        .field("pinned", if snapshot.pinned { "yes" } else { "no" })
        .field("objects", count(snapshot.objects))
        .field("changes", count(snapshot.changes))
        .field("new in store", bytes(snapshot.bytes_new));
    card.print(output)?;
    output.line("")?;
    let mut types = Listing::new(&["TYPE", "COVERAGE", "REASON"]);
    for (name, coverage) in &snapshot.coverage {
        let state = match coverage.state {
            CoverageState::Complete => "complete",
            CoverageState::NotAvailable => "not available",
            CoverageState::MissingScope => "missing scope",
            CoverageState::Incomplete => "incomplete",
        };
        types.row([
            name.clone(),
            state.to_owned(),
            coverage.reason.clone().unwrap_or_default(),
        ]);
    }
    types.print(output, "No type was read.")?;
    Ok(())
}
