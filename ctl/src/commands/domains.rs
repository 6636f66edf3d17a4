//! `orgkeepctl domains`

mod add;
mod card;
mod credentials;
mod settings;

use clap::{Args, Subcommand};
use orgkeep_api::domain::{DomainCard, Enabled, Reauthorize, Settings};
use orgkeep_api::system::ScopesToGrant;

use crate::client::document::Document;
use crate::client::endpoint::Endpoint;
use crate::commands::domains::credentials::CredentialArguments;
use crate::commands::domains::settings::SettingArguments;
use crate::commands::{CommandError, Context, keys};
use crate::exit::Exit;
use crate::output::layout::{Listing, count, moment_or_none};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show one domain's card
    Show(One),
    /// Print the OAuth scopes to grant in Okta, for backup alone and for restore
    Scopes,
    /// Register an Okta org
    Add(Box<add::Arguments>),
    /// Give new credentials for the same org; its history is kept
    Reauthorize {
        #[command(flatten)]
        domain: One,
        #[command(flatten)]
        credentials: CredentialArguments,
    },
    /// Switch scheduled backups on
    EnableBackup(One),
    /// Switch scheduled backups off; backup-now still works
    DisableBackup(One),
    /// Review or change the backup settings
    Configure {
        #[command(flatten)]
        domain: One,
        #[command(flatten)]
        settings: SettingArguments,
    },
    /// Forget a domain; its data is kept unless it is erased
    Remove {
        #[command(flatten)]
        domain: One,
        /// Destroy its keys and its data too
        #[arg(long)]
        erase: bool,
        /// Confirm by the domain's name instead of being asked
        #[arg(long, value_name = "NAME")]
        yes: Option<String>,
    },
}

#[derive(Debug, Args)]
struct One {
    /// The domain; may be left out where only one is registered
    domain: Option<String>,
}

pub(crate) fn run(arguments: Arguments, context: &mut Context) -> Result<Exit, CommandError> {
    let Some(command) = arguments.command else {
        return list(context);
    };
    match command {
        Command::Show(one) => {
            let domain = context.domain(one.domain.as_deref())?;
            let card = context.client.get(&Endpoint::new(&["domains", &domain]))?;
            print_card(context, &card)
        }
        Command::Scopes => scopes(context),
        Command::Add(arguments) => add::run(&arguments, context),
        Command::Reauthorize {
            domain,
            credentials,
        } => reauthorize(&domain, &credentials, context),
        Command::EnableBackup(one) => enable_backup(&one, true, context),
        Command::DisableBackup(one) => enable_backup(&one, false, context),
        Command::Configure { domain, settings } => configure(&domain, &settings, context),
        Command::Remove { domain, erase, yes } => remove(&domain, erase, yes.as_deref(), context),
    }
}

fn list(context: &mut Context) -> Result<Exit, CommandError> {
    let mut table = Listing::new(&[
        "DOMAIN",
        "OKTA DOMAIN",
        "STATUS",
        "BACKUP",
        "KEYS",
        "NEXT BACKUP",
        "LAST BACKUP",
        ">PROTECTED",
    ]);
    context.print_list(&Endpoint::new(&["domains"]), &mut |_, item| {
        let card: DomainCard = item.read()?;
        let last = card.last_backup.map_or_else(
            || "never".to_owned(),
            |last| {
                format!(
                    "{} {}",
                    last.state,
                    moment_or_none(last.finished_at.as_deref())
                )
            },
        );
        table.row([
            card.name,
            card.okta_domain,
            card.app_status.to_string(),
            if card.backup_enabled {
                "enabled"
            } else {
                "disabled"
            }
            .to_owned(),
            keys::words(card.key_management).to_owned(),
            moment_or_none(card.next_backup_at.as_deref()),
            last,
            count(card.protected_items.values().sum()),
        ]);
        Ok(())
    })?;
    if !context.output.is_json() {
        let none = "No domain is registered. `orgkeepctl domains add OKTA_DOMAIN` registers one.";
        table.print(&mut context.output, none)?;
    }
    Ok(Exit::Done)
}

/// Prints a domain's card.
fn print_card(context: &mut Context, card: &Document) -> Result<Exit, CommandError> {
    if context.output.is_json() {
        context.output.document(card)?;
    } else {
        card::show(&card.read()?, &mut context.output)?;
    }
    Ok(Exit::Done)
}

fn scopes(context: &mut Context) -> Result<Exit, CommandError> {
    let document = context.client.get(&Endpoint::new(&["scopes"]))?;
    let output = &mut context.output;
    if output.is_json() {
        output.document(&document)?;
        return Ok(Exit::Done);
    }
    let scopes: ScopesToGrant = document.read()?;
    let style = output.style();
    output.line(&style.heading("For backup:"))?;
    for scope in &scopes.backup {
        output.line(&format!("  {scope}"))?;
    }
    output.line(&style.heading("For restore, as well:"))?;
    for scope in &scopes.restore {
        output.line(&format!("  {scope}"))?;
    }
    Ok(Exit::Done)
}

fn reauthorize(
    one: &One,
    credentials: &CredentialArguments,
    context: &mut Context,
) -> Result<Exit, CommandError> {
    let domain = context.domain(one.domain.as_deref())?;
    let body = Reauthorize {
        credentials: credentials.read(context.prompt())?,
    };
    let card = context
        .client
        .post(&Endpoint::new(&["domains", &domain, "reauthorize"]), &body)?;
    print_card(context, &card)
}

fn enable_backup(one: &One, enabled: bool, context: &mut Context) -> Result<Exit, CommandError> {
    let domain = context.domain(one.domain.as_deref())?;
    let endpoint = Endpoint::new(&["domains", &domain, "backup"]);
    let card = context.client.put(&endpoint, &Enabled { enabled })?;
    print_card(context, &card)
}

fn configure(
    one: &One,
    settings: &SettingArguments,
    context: &mut Context,
) -> Result<Exit, CommandError> {
    let domain = context.domain(one.domain.as_deref())?;
    let endpoint = Endpoint::new(&["domains", &domain, "settings"]);
    let document = if settings.is_empty() {
        context.client.get(&endpoint)?
    } else {
        context.client.patch(&endpoint, &settings.patch())?
    };
    if context.output.is_json() {
        context.output.document(&document)?;
    } else {
        settings::show(&document.read::<Settings>()?, &mut context.output)?;
    }
    Ok(Exit::Done)
}

fn remove(
    one: &One,
    erase: bool,
    yes: Option<&str>,
    context: &mut Context,
) -> Result<Exit, CommandError> {
    let domain = context.domain(one.domain.as_deref())?;
    let given = match (yes, context.prompt()) {
        (Some(name), _) => name.to_owned(),
        (None, Some(prompt)) => {
            let consequence = if erase {
                "destroys its keys and its data"
            } else {
                "keeps its data"
            };
            prompt.ask_required(&format!(
                "Removing {domain} {consequence}. Type its name to confirm"
            ))?
        }
        (None, None) => {
            return Err(CommandError::NotConfirmed {
                how: format!("--yes {domain}"),
            });
        }
    };
    if given != domain {
        return Err(CommandError::OtherName { domain, given });
    }
    let mut endpoint = Endpoint::new(&["domains", &domain]);
    if erase {
        endpoint = endpoint.with("erase", "true");
    }
    let document = context.client.delete(&endpoint)?;
    if context.output.is_json() {
        context.output.document(&document)?;
    } else {
        let done = if erase {
            "removed and erased"
        } else {
            "removed"
        };
        context.output.line(&format!("{done} domain {domain}"))?;
    }
    Ok(Exit::Done)
}
