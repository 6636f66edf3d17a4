//! `orgkeepctl domains add`: authorize, enable key management, review the settings, save.
//!
//! Every step is a flag; on a terminal, what is not given is asked for.

use clap::Args;
use orgkeep_api::domain::{AddDomain, DomainCard, Enabled, KeyManagement, Settings, SettingsPatch};

use crate::client::ClientError;
use crate::client::endpoint::Endpoint;
use crate::commands::domains::credentials::CredentialArguments;
use crate::commands::domains::print_card;
use crate::commands::domains::settings::{self, BasicSettings};
use crate::commands::{CommandError, Context};
use crate::exit::Exit;
use crate::prompt::Prompt;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The org's address, `https://HOST`; the scheme may be left out
    #[arg(value_name = "OKTA_DOMAIN")]
    okta_domain: String,
    #[command(flatten)]
    credentials: CredentialArguments,
    /// The name to register it under; the first label of the host by default
    #[arg(long)]
    name: Option<String>,
    /// Enable key management at once
    #[arg(long, conflicts_with = "skip_keys")]
    enable_keys: bool,
    /// Leave key management for later; scheduled backups wait for it
    #[arg(long)]
    skip_keys: bool,
    #[command(flatten)]
    settings: BasicSettings,
}

pub(crate) fn run(arguments: &Arguments, context: &mut Context) -> Result<Exit, CommandError> {
    let prompt = context.prompt();
    let body = AddDomain {
        okta_domain: arguments.okta_domain.clone(),
        credentials: arguments.credentials.read(prompt)?,
        name: arguments.name.clone(),
        enable_keys: arguments.enable_keys,
        settings: arguments.settings.patch(),
    };
    let mut card = context.client.post(&Endpoint::new(&["domains"]), &body)?;
    if let Some(prompt) = prompt {
        let name = card.read::<DomainCard>()?.name;
        prompt.say(&format!("Registered {} as {name}.", arguments.okta_domain))?;
        if !arguments.enable_keys && !arguments.skip_keys {
            ask_for_keys(&card.read()?, prompt, context)?;
        }
        if arguments.settings.is_empty() {
            review(&card.read()?, prompt, context)?;
        }
        card = context.client.get(&Endpoint::new(&["domains", &name]))?;
    }
    print_card(context, &card)
}

fn ask_for_keys(card: &DomainCard, prompt: Prompt, context: &Context) -> Result<(), CommandError> {
    if card.key_management == KeyManagement::Enabled {
        return Ok(());
    }
    prompt.say("Backups are sealed with keys of this domain's own; without them none starts.")?;
    if prompt.confirm("Enable key management now?", true)? {
        let endpoint = Endpoint::new(&["domains", &card.name, "key-management"]);
        context.client.put(&endpoint, &Enabled { enabled: true })?;
    } else {
        prompt.say(&format!(
            "Scheduled backups wait until `orgkeepctl keys enable {}`.",
            card.name
        ))?;
    }
    Ok(())
}

fn review(card: &DomainCard, prompt: Prompt, context: &Context) -> Result<(), CommandError> {
    let endpoint = Endpoint::new(&["domains", &card.name, "settings"]);
    loop {
        let settings: Settings = context.client.get(&endpoint)?.read()?;
        prompt.say(&format!(
            "Backup settings of {}:\n  schedule        {} ({})\n  retention       {}\n  \
             storage region  {}\n  types           {}",
            card.name,
            settings.schedule,
            settings.timezone,
            settings.retention,
            card.storage_region,
            settings::types(&settings)
        ))?;
        if prompt.confirm("Save these settings?", true)? {
            return Ok(());
        }
        match context
            .client
            .patch(&endpoint, &ask_for_settings(&settings, prompt)?)
        {
            Ok(_) => {}
            // What the daemon does not accept is asked for again.
            Err(ClientError::Refused(problem)) => prompt.say(&problem.detail)?,
            Err(error) => return Err(error.into()),
        }
    }
}

fn ask_for_settings(settings: &Settings, prompt: Prompt) -> Result<SettingsPatch, CommandError> {
    let schedule = prompt.ask("Schedule", &settings.schedule)?;
    let timezone = prompt.ask("Time zone", &settings.timezone)?;
    let retention = prompt.ask("Retention", &settings.retention)?;
    let types = prompt.ask("Types, separated by commas", &settings::types(settings))?;
    let types = if types == "all" {
        Vec::new()
    } else {
        types.split(',').map(|one| one.trim().to_owned()).collect()
    };
    Ok(SettingsPatch {
        schedule: Some(schedule),
        timezone: Some(timezone),
        retention: Some(retention),
        types: Some(types),
        ..SettingsPatch::default()
    })
}
