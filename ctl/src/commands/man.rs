//! `orgkeepctl man`

use std::io;

use clap::CommandFactory;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::commands::{CommandError, Context};
use crate::exit::Exit;

/// Prints a manual page for the program and one for each of its commands, one after another.
pub(crate) fn run(context: &mut Context) -> Result<Exit, CommandError> {
    context.output.bytes(&pages())?;
    Ok(Exit::Done)
}

fn pages() -> Vec<u8> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    // Nothing fails that is written into memory.
    drop(page_and_those_below(&program, &mut pages));
    pages
}

fn page_and_those_below(command: &clap::Command, pages: &mut Vec<u8>) -> io::Result<()> {
    Man::new(command.clone()).render(pages)?;
    for below in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        page_and_those_below(below, pages)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_page() {
        let text = String::from_utf8(pages()).unwrap();
        for page in [
            "orgkeepctl",
            "orgkeepctl-domains-add",
            "orgkeepctl-restore-plan",
        ] {
            let title = format!(".TH {page} 1");
            assert_eq!(text.matches(&title).count(), 1, "{page}");
        }
        assert!(text.contains("\\-\\-attributes"));
    }
}
