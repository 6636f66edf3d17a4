//! `orgkeepctl audit`

use clap::Args;
use orgkeep_api::system::{AuditRow, AuditVerification};

use crate::client::endpoint::Endpoint;
use crate::commands::{CommandError, Context};
use crate::exit::Exit;
use crate::output::layout::{NONE, moment, printable};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Verify that every row follows from the one before it
    #[arg(long)]
    verify: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &mut Context) -> Result<Exit, CommandError> {
    if arguments.verify {
        verify(context)
    } else {
        list(context)
    }
}

fn verify(context: &mut Context) -> Result<Exit, CommandError> {
    let document = context
        .client
        .get(&Endpoint::new(&["audit"]).with("verify", "true"))?;
    let verdict: AuditVerification = document.read()?;
    if context.output.is_json() {
        context.output.document(&document)?;
    } else if verdict.intact {
        context.output.line(&format!(
            "intact: {} rows, head {}",
            verdict.rows, verdict.head
        ))?;
    } else {
        let broken_at = verdict
            .broken_at
            .map_or_else(|| NONE.to_owned(), |seq| seq.to_string());
        let detail = verdict.detail.unwrap_or_default();
        context
            .output
            .line(&format!("broken at row {broken_at}: {detail}"))?;
    }
    Ok(if verdict.intact {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn list(context: &mut Context) -> Result<Exit, CommandError> {
    context.print_list(&Endpoint::new(&["audit"]), &mut |output, item| {
        let row: AuditRow = item.read()?;
        let number =
            |number: Option<i64>| number.map_or_else(|| NONE.to_owned(), |n| n.to_string());
        output.line(&printable(&format!(
            "{:>6} {} uid {:<6} pid {:<7} {:<22} {:<24} {}",
            row.seq,
            moment(&row.at),
            number(row.uid.map(i64::from)),
            number(row.pid.map(i64::from)),
            row.action,
            row.target.as_deref().unwrap_or(NONE),
            row.outcome
        )))?;
        Ok(())
    })?;
    Ok(Exit::Done)
}
