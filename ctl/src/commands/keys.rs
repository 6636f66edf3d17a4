//! `orgkeepctl keys`

use clap::{Args, Subcommand};
use orgkeep_api::domain::{DomainCard, Enabled, KeyManagement};
use orgkeep_api::system::{KeysRewrapped, KeysRotated, KeysStatus};
use serde::Serialize;

use crate::client::endpoint::Endpoint;
use crate::commands::{CommandError, Context};
use crate::exit::Exit;
use crate::output::layout::{Card, Listing};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a domain's keys, sealed by the key provider; backups need them
    Enable {
        /// The domain; may be left out where only one is registered
        domain: Option<String>,
    },
    /// Show the key provider and each domain's state
    Status,
    /// Take a new data key for what a domain writes from now on; what was written stays readable
    Rotate {
        /// The domain; may be left out where only one is registered
        domain: Option<String>,
    },
    /// Wrap every domain's keys anew by the key provider's newest key
    Rewrap,
}

/// A body without fields.
#[derive(Serialize)]
struct Nothing {}

pub(crate) fn run(arguments: Arguments, context: &mut Context) -> Result<Exit, CommandError> {
    match arguments.command {
        Command::Enable { domain } => enable(domain.as_deref(), context),
        Command::Status => status(context),
        Command::Rotate { domain } => rotate(domain.as_deref(), context),
        Command::Rewrap => rewrap(context),
    }
}

fn enable(domain: Option<&str>, context: &mut Context) -> Result<Exit, CommandError> {
    let domain = context.domain(domain)?;
    let endpoint = Endpoint::new(&["domains", &domain, "key-management"]);
    let card = context.client.put(&endpoint, &Enabled { enabled: true })?;
    if context.output.is_json() {
        context.output.document(&card)?;
    } else {
        let card: DomainCard = card.read()?;
        context.output.line(&format!(
            "key management of {}: {}",
            card.name,
            words(card.key_management)
        ))?;
    }
    Ok(Exit::Done)
}

fn rotate(domain: Option<&str>, context: &mut Context) -> Result<Exit, CommandError> {
    let domain = context.domain(domain)?;
    let endpoint = Endpoint::new(&["domains", &domain, "key-management", "rotate"]);
    let rotated = context.client.post(&endpoint, &Nothing {})?;
    if context.output.is_json() {
        context.output.document(&rotated)?;
    } else {
        let rotated: KeysRotated = rotated.read()?;
        context.output.line(&format!(
            "{}: new data key, epoch {}",
            rotated.domain, rotated.epoch
        ))?;
    }
    Ok(Exit::Done)
}

fn rewrap(context: &mut Context) -> Result<Exit, CommandError> {
    let endpoint = Endpoint::new(&["keys", "rewrap"]);
    let document = context.client.post(&endpoint, &Nothing {})?;
    let rewrapped: KeysRewrapped = document.read()?;
    if context.output.is_json() {
        context.output.document(&document)?;
    } else {
        for domain in &rewrapped.domains {
            context.output.line(&format!("{domain}: wrapped anew"))?;
        }
        for failed in &rewrapped.failed {
            context
                .output
                .line(&format!("{}: {}", failed.domain, failed.detail))?;
        }
    }
    Ok(if rewrapped.failed.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn status(context: &mut Context) -> Result<Exit, CommandError> {
    let document = context.client.get(&Endpoint::new(&["keys"]))?;
    let output = &mut context.output;
    if output.is_json() {
        output.document(&document)?;
        return Ok(Exit::Done);
    }
    let keys: KeysStatus = document.read()?;
    let mut card = Card::new();
    card.field("key provider", &keys.provider.name)
        .field("state", &keys.provider.state)
        .field_if("detail", keys.provider.detail.as_deref())
        .field_if("warning", keys.provider.warning.as_deref());
    card.print(output)?;
    output.line("")?;
    let mut domains = Listing::new(&["DOMAIN", "KEY MANAGEMENT"]);
    for domain in keys.domains {
        domains.row([domain.domain, words(domain.key_management).to_owned()]);
    }
    domains.print(output, "No domain is registered.")?;
    Ok(Exit::Done)
}

/// The state in words.
pub(crate) fn words(state: KeyManagement) -> &'static str {
    match state {
        KeyManagement::Enabled => "enabled",
        KeyManagement::NotEnabled => "not enabled",
        KeyManagement::Unavailable => "unavailable",
    }
}
