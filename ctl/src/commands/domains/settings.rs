//! A domain's backup settings.

use clap::Args;
use clap::value_parser;
use orgkeep_api::domain::{Settings, SettingsPatch};

use crate::commands::CommandError;
use crate::output::Output;
use crate::output::layout::Card;

#[derive(Debug, Args)]
pub(crate) struct SettingArguments {
    #[command(flatten)]
    basic: BasicSettings,
    /// The part of each of Okta's rate limits that may be used, in percent
    #[arg(long, value_name = "PCT", value_parser = value_parser!(u8).range(1..=100))]
    rate_limit_share: Option<u8>,
    /// How often a backup reads everything again: `7d`, `12h`
    #[arg(long, value_name = "DURATION")]
    full_every: Option<String>,
}

/// The settings that can be given when a domain is registered.
#[derive(Debug, Clone, Args)]
pub(crate) struct BasicSettings {
    /// @hourly, @daily, @weekly, `every N(m|h|d)`, a 5-field cron expression, or off
    #[arg(long, value_name = "SCHEDULE")]
    schedule: Option<String>,
    /// The IANA time zone of the schedule
    #[arg(long, value_name = "TZ")]
    timezone: Option<String>,
    /// Which snapshots are kept: `within=48h,last=5,daily=30,weekly=12,monthly=12`
    #[arg(long, value_name = "RETENTION")]
    retention: Option<String>,
    /// The types to back up; all of them by default
    #[arg(long, value_name = "TYPE,…", value_delimiter = ',')]
    types: Option<Vec<String>>,
}

impl SettingArguments {
    /// Whether nothing is to be changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.basic.is_empty() && self.rate_limit_share.is_none() && self.full_every.is_none()
    }

    /// What is to be changed.
    pub(crate) fn patch(&self) -> SettingsPatch {
        SettingsPatch {
            rate_limit_share: self.rate_limit_share,
            full_every: self.full_every.clone(),
            ..self.basic.patch()
        }
    }
}

impl BasicSettings {
    /// Whether all are left at their defaults.
    pub(crate) fn is_empty(&self) -> bool {
        self.schedule.is_none()
            && self.timezone.is_none()
            && self.retention.is_none()
            && self.types.is_none()
    }

    /// What is to be changed.
    pub(crate) fn patch(&self) -> SettingsPatch {
        SettingsPatch {
            schedule: self.schedule.clone(),
            timezone: self.timezone.clone(),
            retention: self.retention.clone(),
            types: self.types.clone(),
            ..SettingsPatch::default()
        }
    }
}

/// Prints the settings.
pub(crate) fn show(settings: &Settings, output: &mut Output) -> Result<(), CommandError> {
    let mut card = Card::new();
    card.field("schedule", &settings.schedule)
        .field("time zone", &settings.timezone)
        .field("retention", &settings.retention)
        .field("full every", &settings.full_every)
        .field(
            "rate limit share",
            format!("{} %", settings.rate_limit_share),
        )
        .field("types", types(settings));
    Ok(card.print(output)?)
}

/// The types in words.
pub(crate) fn types(settings: &Settings) -> String {
    settings
        .types
        .as_ref()
        .map_or_else(|| "all".to_owned(), |types| types.join(","))
}
