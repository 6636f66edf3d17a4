//! Benchmarks of Orgkeep. Each command prints a table of what it measured, and how.
//!
//! The daemon is the real one, built in release mode and driven over its socket by the real
//! `orgkeepctl`; the org is simulated and served over HTTP from this process, so its CPU and memory are not counted.

use clap::{Parser, Subcommand};

mod backup;
mod chunks;
mod installation;

#[derive(Debug, Parser)]
#[command(about = "Benchmarks of Orgkeep")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Backs up a simulated org, changes 1 % of it and backs it up again.
    Backup {
        /// How many users the org has; may be given several times.
        #[arg(long, default_values_t = [10_000, 100_000])]
        users: Vec<u32>,
        /// What the generated org depends on besides its size.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Measures ways to lay objects and relations out in chunks: bytes and CPU.
    Chunks(chunks::Options),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Backup { users, seed } => users
            .into_iter()
            .try_for_each(|users| backup::run(users, seed)),
        Command::Chunks(options) => chunks::run(&options),
    }
}
