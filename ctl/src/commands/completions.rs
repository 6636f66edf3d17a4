//! `orgkeepctl completions`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::commands::{CommandError, Context};
use crate::exit::Exit;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments, context: &mut Context) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Cli::command(),
        "orgkeepctl",
        &mut script,
    );
    context.output.bytes(&script)?;
    Ok(Exit::Done)
}
