//! The main job of Orgkeep in one minute, for newcomers: `cargo demo`.
//!
//! Starts a simulated Okta org of 2,000 users and the real daemon in a directory of their own, and walks
//! through it with the real client: register the org, back it up, lose something, get it back. Ends with
//! a comparison of the org with what it was; exits with 0 only if nothing is missing.

mod disaster;
mod stage;
mod story;

use std::process::ExitCode;

use clap::Parser;

/// Back up a simulated Okta org, lose something, get it back
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Arguments {
    /// Leave everything running at the end, to play with
    #[arg(long)]
    keep: bool,
    /// How many users the org has
    #[arg(long, default_value_t = 2_000)]
    users: u32,
    /// What the org is generated from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let complete = story::tell(arguments.users, arguments.seed, arguments.keep)?;
    Ok(if complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
