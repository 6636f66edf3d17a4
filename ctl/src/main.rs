//! `orgkeepctl`: a thin client of the Orgkeep daemon.
//!
//! Every command is one or a few calls of the daemon's socket API and one print. Results go to stdout,
//! everything else to stderr; the exit codes are those of [`exit::Exit`].

mod cli;
mod client;
mod commands;
mod exit;
mod follow;
mod output;
mod prompt;
mod secret;
mod unpack;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::client::socket::default_socket;
use crate::client::{Client, ClientError};
use crate::commands::{CommandError, Context};
use crate::exit::Exit;
use crate::output::Output;

fn main() -> ExitCode {
    let Cli {
        json,
        socket,
        command,
    } = Cli::parse();
    let outcome = Client::new(socket.unwrap_or_else(default_socket))
        .map_err(CommandError::from)
        .and_then(|client| {
            let mut context = Context {
                client,
                output: Output::new(json),
            };
            let outcome = commands::run(command, &mut context);
            // What was printed before a failure is handed on too.
            context.output.flush()?;
            outcome
        });
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => {
            report(&error, json);
            Exit::from(&error).into()
        }
    }
}

/// Says on stderr what went wrong and what to do about it: with `--json` the daemon's own problem
/// document, as one line.
fn report(error: &CommandError, json: bool) {
    let mut stderr = anstream::stderr();
    // Nobody is left to be told when stderr cannot be written.
    let _told = match error {
        CommandError::Client(ClientError::Refused(problem)) if json => {
            serde_json::to_string(problem)
                .map_err(io::Error::from)
                .and_then(|text| writeln!(stderr, "{text}"))
        }
        CommandError::Client(ClientError::Refused(problem)) => {
            writeln!(
                stderr,
                "error ({}): {}\n{}",
                problem.code, problem.title, problem.detail
            )
        }
        _ => writeln!(stderr, "error: {}", chain(error)).and_then(|()| match error.hint() {
            Some(hint) => writeln!(stderr, "{hint}"),
            None => Ok(()),
        }),
    };
}

/// The error and what lies under it, as one sentence.
fn chain(error: &CommandError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(under) = source {
        let words = under.to_string();
        // Layers of a library often repeat what lies under them.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = under.source();
    }
    text
}
