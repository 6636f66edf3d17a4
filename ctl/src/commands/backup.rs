//! `orgkeepctl backup-now`

use clap::Args;
use orgkeep_api::job::{BackupMode, StartBackup};

use crate::client::endpoint::Endpoint;
use crate::commands::{CommandError, Context, jobs};
use crate::exit::Exit;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The domain; may be left out where only one is registered
    domain: Option<String>,
    /// Read everything again
    #[arg(long)]
    full: bool,
    /// Follow the job to its end
    #[arg(long)]
    wait: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &mut Context) -> Result<Exit, CommandError> {
    let domain = context.domain(arguments.domain.as_deref())?;
    let mode = if arguments.full {
        BackupMode::Full
    } else {
        BackupMode::Incremental
    };
    let endpoint = Endpoint::new(&["domains", &domain, "backups"]);
    let job = context.client.post(&endpoint, &StartBackup { mode })?;
    jobs::print_started(context, job, arguments.wait)
}
