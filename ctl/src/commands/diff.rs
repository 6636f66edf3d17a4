//! `orgkeepctl diff`

use clap::Args;
use orgkeep_api::snapshot::{AttributeChange, ChangeKind, DiffLine};

use crate::client::ClientError;
use crate::client::endpoint::Endpoint;
use crate::commands::{CommandError, Context, snapshots};
use crate::exit::Exit;
use crate::output::Output;
use crate::output::layout::printable;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The earlier snapshot: an id, a unique prefix of one, `latest`, or `@TIME`
    from: String,
    /// The later snapshot, or `live` for the org as it is now
    to: String,
    /// Show what changed attribute by attribute
    #[arg(long)]
    attributes: bool,
    /// Leave the names out, which spares reading the objects
    #[arg(long, conflicts_with = "attributes")]
    no_names: bool,
    /// The domain that `latest` and `@TIME` are about
    #[arg(long)]
    domain: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, context: &mut Context) -> Result<Exit, CommandError> {
    let domain = if arguments.domain.is_some()
        || [&arguments.from, &arguments.to]
            .into_iter()
            .any(|one| snapshots::needs_domain(one))
    {
        Some(context.domain(arguments.domain.as_deref())?)
    } else {
        None
    };
    let mut endpoint = Endpoint::new(&["diff"])
        .with("from", &arguments.from)
        .with("to", &arguments.to)
        .with_some("domain", domain.as_deref());
    if arguments.attributes {
        endpoint = endpoint.with("attributes", "true");
    }
    if arguments.no_names {
        endpoint = endpoint.with("names", "false");
    }
    let lines = context.print_stream(&endpoint, &mut |output, line| {
        let change =
            serde_json::from_str(line).map_err(|source| ClientError::Malformed { source })?;
        show(&change, output)
    })?;
    if lines == 0 && !context.output.is_json() {
        context.output.line("Nothing differs.")?;
    }
    Ok(Exit::Done)
}

fn show(line: &DiffLine, output: &mut Output) -> Result<(), CommandError> {
    let style = output.style();
    let text = format!(
        "{:<26} {:<22} {}",
        line.object_type,
        line.id,
        line.name.as_deref().unwrap_or_default()
    );
    let text = printable(text.trim_end());
    output.line(&match line.change {
        ChangeKind::Added => style.good(&format!("+ {text}")),
        ChangeKind::Removed => style.bad(&format!("- {text}")),
        ChangeKind::Changed => style.notable(&format!("~ {text}")),
    })?;
    show_attributes(line.attributes.as_deref().unwrap_or_default(), output)?;
    Ok(())
}

/// Prints attributes, each with the value before and after.
pub(crate) fn show_attributes(
    attributes: &[AttributeChange],
    output: &mut Output,
) -> Result<(), CommandError> {
    for attribute in attributes {
        let value = |value: &Option<Box<serde_json::value::RawValue>>| {
            value
                .as_ref()
                .map_or_else(|| "(none)".to_owned(), |raw| raw.get().to_owned())
        };
        output.line(&printable(&format!(
            "    {}: {} -> {}",
            attribute.path,
            value(&attribute.from),
            value(&attribute.to)
        )))?;
    }
    Ok(())
}
