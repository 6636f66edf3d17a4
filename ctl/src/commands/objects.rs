//! `orgkeepctl objects`

use clap::{Args, Subcommand};
use orgkeep_api::snapshot::{ObjectLine, Version};

use crate::client::ClientError;
use crate::client::endpoint::Endpoint;
use crate::commands::{CommandError, Context, snapshots};
use crate::exit::Exit;
use crate::output::layout::{Listing, NONE, indented, moment, printable};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The domain; may be left out where only one is registered
    domain: Option<String>,
    /// The snapshot: an id, a unique prefix of one, `latest`, or `@TIME`
    #[arg(long, value_name = "SNAPSHOT", required = true)]
    snapshot: Option<String>,
    /// Only objects of this type
    #[arg(long = "type", value_name = "TYPE")]
    object_type: Option<String>,
    /// Only objects whose name or id holds this text, in whatever case
    #[arg(long = "match", value_name = "TEXT")]
    matching: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show an object as it was backed up
    Show {
        /// The object's type
        #[arg(value_name = "TYPE")]
        object_type: String,
        /// The object's id
        id: String,
        /// The snapshot: an id, a unique prefix of one, `latest`, or `@TIME`
        #[arg(long, value_name = "SNAPSHOT")]
        snapshot: String,
        /// The domain that `latest` and `@TIME` are about
        #[arg(long)]
        domain: Option<String>,
    },
    /// List the versions of an object
    History {
        /// The object's type
        #[arg(value_name = "TYPE")]
        object_type: String,
        /// The object's id
        id: String,
        /// The domain; may be left out where only one is registered
        #[arg(long)]
        domain: Option<String>,
    },
}

pub(crate) fn run(arguments: Arguments, context: &mut Context) -> Result<Exit, CommandError> {
    match &arguments.command {
        None => list(&arguments, context)?,
        Some(Command::Show {
            object_type,
            id,
            snapshot,
            domain,
        }) => {
            let snapshot = snapshots::find_id(context, domain.as_deref(), snapshot)?;
            let endpoint = Endpoint::new(&["snapshots", &snapshot, "objects", object_type, id]);
            let object = context.client.get(&endpoint)?;
            if context.output.is_json() {
                context.output.document(&object)?;
            } else {
                context.output.line(&indented(object.as_str()))?;
            }
        }
        Some(Command::History {
            object_type,
            id,
            domain,
        }) => {
            history(object_type, id, domain.as_deref(), context)?;
        }
    }
    Ok(Exit::Done)
}

fn list(arguments: &Arguments, context: &mut Context) -> Result<(), CommandError> {
    let reference = arguments.snapshot.as_deref().unwrap_or("latest");
    let snapshot = snapshots::find_id(context, arguments.domain.as_deref(), reference)?;
    let endpoint = Endpoint::new(&["snapshots", &snapshot, "objects"])
        .with_some("type", arguments.object_type.as_deref())
        .with_some("match", arguments.matching.as_deref());
    // Printed as they come: an org has too many objects to lay them out together.
    context.print_stream(&endpoint, &mut |output, line| {
        let object: ObjectLine =
            serde_json::from_str(line).map_err(|source| ClientError::Malformed { source })?;
        let name = object.name.as_deref().unwrap_or(NONE);
        output.line(&printable(&format!(
            "{:<26} {:<22} {name}",
            object.object_type, object.id
        )))?;
        Ok(())
    })?;
    Ok(())
}

fn history(
    object_type: &str,
    id: &str,
    domain: Option<&str>,
    context: &mut Context,
) -> Result<(), CommandError> {
    let domain = context.domain(domain)?;
    let endpoint = Endpoint::new(&["domains", &domain, "objects", object_type, id, "history"]);
    let mut table = Listing::new(&[
        "CHANGED",
        "FIRST SNAPSHOT",
        "LAST SNAPSHOT",
        "CONTENT",
        "ACTOR",
    ]);
    context.print_list(&endpoint, &mut |_, item| {
        let version: Version = item.read()?;
        table.row([
            moment(&version.changed_at),
            version.first_snapshot,
            version.last_snapshot.unwrap_or_else(|| NONE.to_owned()),
            version.content_id.unwrap_or_else(|| NONE.to_owned()),
            version.actor.unwrap_or_else(|| NONE.to_owned()),
        ]);
        Ok(())
    })?;
    if !context.output.is_json() {
        table.print(&mut context.output, "No snapshot holds it.")?;
    }
    Ok(())
}
