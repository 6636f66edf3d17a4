//! Benchmarks of Orgkeep. Each command prints a table of what it measured, and how.
//!
//! The daemon is the real one, built in release mode and driven over its socket by the real
//! `orgkeepctl`; the org is simulated and served over HTTP from this process, so its CPU and memory are not counted.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

mod backup;
mod chunks;
mod engine;
mod installation;
mod measured;
mod peers;
mod socket;

#[derive(Debug, Parser)]
#[command(version, about = "Benchmarks of Orgkeep")]
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
        /// The daemon and ctl are built in release mode already
        #[arg(long)]
        already_built: bool,
    },
    /// Compares Orgkeep with general-purpose backup tools on the same org, day after day
    Peers(peers::Options),
    /// Runs the engine by itself on files; one of the rows of `peers`
    #[command(hide = true)]
    Engine {
        /// Where the store is
        store: PathBuf,
        #[command(subcommand)]
        command: engine::Command,
    },
    /// Runs a program and writes down what it cost; how `peers` measures
    #[command(hide = true)]
    Measured {
        #[arg(long)]
        report: PathBuf,
        #[arg(long)]
        budget: u64,
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Measures ways to lay objects and relations out in chunks: bytes and CPU.
    Chunks(chunks::Options),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Backup {
            users,
            seed,
            already_built,
        } => users
            .into_iter()
            .try_for_each(|users| backup::run(users, seed, already_built)),
        Command::Peers(options) => peers::run(&options),
        Command::Engine { store, command } => engine::run(&store, &command),
        Command::Measured {
            report,
            budget,
            command,
        } => measured::serve(&report, budget, &command),
        Command::Chunks(options) => chunks::run(&options),
    }
}
