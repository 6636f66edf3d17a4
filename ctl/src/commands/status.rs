//! `orgkeepctl status`

use orgkeep_api::job::Job;
use orgkeep_api::system::Status;

use crate::client::endpoint::Endpoint;
use crate::commands::{CommandError, Context, jobs};
use crate::exit::Exit;
use crate::output::layout::{Card, Listing, moment};

pub(crate) fn run(context: &mut Context) -> Result<Exit, CommandError> {
    let document = context.client.get(&Endpoint::new(&["status"]))?;
    if context.output.is_json() {
        context.output.document(&document)?;
    } else {
        show(&document.read()?, context)?;
    }
    Ok(Exit::Done)
}

fn show(status: &Status, context: &mut Context) -> Result<(), CommandError> {
    let output = &mut context.output;
    let daemon = &status.daemon;
    let with = |state: &str, detail: Option<&str>| match detail {
        Some(detail) => format!("{state}: {detail}"),
        None => state.to_owned(),
    };
    let mut card = Card::new();
    card.field(
        "daemon",
        format!("orgkeepd {}, pid {}", daemon.version, daemon.pid),
    )
    .field("running since", moment(&daemon.started_at))
    .field("data directory", &daemon.data_dir)
    .field(
        "store",
        with(&status.store.state, status.store.detail.as_deref()),
    )
    .field("  location", &status.store.location)
    .field("key provider", &status.key_provider.name)
    .field(
        "  state",
        with(
            &status.key_provider.state,
            status.key_provider.detail.as_deref(),
        ),
    )
    .field("domains", status.domains.to_string());
    card.print(output)?;
    if !status.next_runs.is_empty() {
        output.line("")?;
        let mut runs = Listing::new(&["NEXT BACKUP", "AT"]);
        for run in &status.next_runs {
            runs.row([run.domain.clone(), moment(&run.at)]);
        }
        runs.print(output, "")?;
    }
    if !status.running_jobs.is_empty() {
        output.line("")?;
        jobs::table(status.running_jobs.iter().map(Job::clone)).print(output, "")?;
    }
    let provider = status.key_provider.warning.iter();
    for warning in status
        .warnings
        .iter()
        .chain(provider.filter(|w| !status.warnings.contains(w)))
    {
        let line = output.style().notable(&format!("warning: {warning}"));
        output.line(&line)?;
    }
    Ok(())
}
