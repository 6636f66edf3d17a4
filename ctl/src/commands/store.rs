//! `orgkeepctl store`

use clap::{Args, Subcommand};
use orgkeep_api::store::{StartCheck, StoreStatus};
use serde::Serialize;

use crate::client::document::Document;
use crate::client::endpoint::Endpoint;
use crate::commands::{CommandError, Context, jobs};
use crate::exit::Exit;
use crate::output::layout::{Card, Listing, bytes, count};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show how much the store holds
    Status,
    /// Check that everything the snapshots need is there
    Check {
        /// Open every byte too
        #[arg(long)]
        read_data: bool,
    },
    /// Delete what no snapshot needs any more
    Prune,
    /// Rebuild the index from the store
    Reindex,
    /// Make a damaged store whole again, as far as the org still has what was lost
    Repair,
}

/// A body without fields.
#[derive(Serialize)]
struct Nothing {}

pub(crate) fn run(arguments: Arguments, context: &mut Context) -> Result<Exit, CommandError> {
    let job = match arguments.command {
        Command::Status => return status(context),
        Command::Check { read_data } => {
            let endpoint = Endpoint::new(&["store", "check"]);
            context.client.post(&endpoint, &StartCheck { read_data })?
        }
        Command::Prune => start(context, "prune")?,
        Command::Reindex => start(context, "reindex")?,
        Command::Repair => start(context, "repair")?,
    };
    jobs::print_started(context, job, true)
}

fn start(context: &Context, what: &str) -> Result<Document, CommandError> {
    Ok(context
        .client
        .post(&Endpoint::new(&["store", what]), &Nothing {})?)
}

fn status(context: &mut Context) -> Result<Exit, CommandError> {
    let document = context.client.get(&Endpoint::new(&["store"]))?;
    let output = &mut context.output;
    if output.is_json() {
        output.document(&document)?;
        return Ok(Exit::Done);
    }
    let store: StoreStatus = document.read()?;
    let mut card = Card::new();
    card.field("location", &store.location)
        .field("region", &store.region)
        .field("snapshots", count(store.snapshots))
        .field(
            "blobs",
            format!(
                "{}, {} of them packs",
                count(store.blobs),
                count(store.packs)
            ),
        )
        .field("size", bytes(store.bytes))
        .field("index", bytes(store.index_bytes))
        .field("index log", bytes(store.wal_bytes))
        .field(
            "orphan packs",
            format!(
                "{}, {}",
                count(store.orphan_packs),
                bytes(store.orphan_bytes)
            ),
        )
        .field(
            "removed",
            format!(
                "{} snapshots, about {} to prune",
                count(store.removed_snapshots),
                bytes(store.reclaimable_bytes)
            ),
        );
    if store.damaged_bytes > 0 {
        card.field("set aside", bytes(store.damaged_bytes));
    }
    card.print(output)?;
    output.line("")?;
    let mut domains = Listing::new(&["DOMAIN", ">SNAPSHOTS", ">SIZE"]);
    for domain in store.domains {
        domains.row([domain.domain, count(domain.snapshots), bytes(domain.bytes)]);
    }
    domains.print(output, "The store holds no domain's data.")?;
    Ok(Exit::Done)
}
