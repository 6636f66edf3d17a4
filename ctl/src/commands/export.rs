//! `orgkeepctl export`

use std::path::PathBuf;

use clap::Args;
use orgkeep_api::job::Job;
use orgkeep_api::snapshot::{ExportFormat, StartExport};

use crate::cli::words;
use crate::client::document::Document;
use crate::client::endpoint::Endpoint;
use crate::commands::{CommandError, Context, jobs, snapshots};
use crate::exit::Exit;
use crate::follow::follow;
use crate::unpack::Target;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The domain; may be left out where only one is registered
    domain: Option<String>,
    /// The snapshot: an id, a unique prefix of one, `latest`, or `@TIME`
    #[arg(long, value_name = "SNAPSHOT")]
    snapshot: String,
    /// The directory to write to; it is made, and refused if it is not empty
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Write objects of this type; may be repeated. Without it: all types
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// The format of the files
    #[arg(long, default_value = "ndjson", value_parser = words::<ExportFormat>(ExportFormat::WORDS))]
    format: ExportFormat,
}

pub(crate) fn run(arguments: &Arguments, context: &mut Context) -> Result<Exit, CommandError> {
    let domain = context.domain(arguments.domain.as_deref())?;
    Target::look(&arguments.output)?;
    let job = start(arguments, &domain, context)?;
    // Made only once the daemon permits it: a refusal leaves no directory behind.
    let target = match Target::prepare(&arguments.output) {
        Ok(target) => target,
        Err(error) => {
            jobs::cancel(&job, context)?;
            return Err(error.into());
        }
    };
    let last = fetch(&job, &target, context);
    if last.is_err() {
        target.abandon();
    }
    jobs::print_ended(context, &last?)
}

fn start(arguments: &Arguments, domain: &str, context: &Context) -> Result<Document, CommandError> {
    let body = StartExport {
        snapshot: snapshots::find_id(context, Some(domain), &arguments.snapshot)?,
        types: arguments.types.clone(),
        format: arguments.format,
    };
    let endpoint = Endpoint::new(&["domains", domain, "exports"]);
    Ok(context.client.post(&endpoint, &body)?)
}

fn fetch(job: &Document, target: &Target, context: &Context) -> Result<Document, CommandError> {
    let id = job.read::<Job>()?.id;
    let endpoint = Endpoint::new(&["exports", &id]);
    let stream = context
        .client
        .stream(&endpoint, "application/x-tar", None)?;
    target.unpack(stream)?;
    follow(context, job)
}
