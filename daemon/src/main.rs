//! The daemon of Orgkeep: owns the data directory, backs up Okta orgs when they are due, and answers on a Unix socket.
//!
//! | Module | What it is for |
//! | --- | --- |
//! | `config`, `lock`, `socket`, `logging`, `memory` | The outside: settings, data directory, socket, log, allocator |
//! | `app`, `serve` | What the parts share; the daemon's life from start to shutdown |
//! | `state`, `stores`, `keyring`, `recovery` | The database, the store, the keys, and what the store keeps of the state |
//! | `roles`, `refusals`, `routes`, `dispatch`, `call`, `problem`, `failures`, `openapi` | Who may do what; the table of routes; requests and answers |
//! | `handlers`, `cards`, `settings`, `org` | What each route does |
//! | `jobs`, `operations`, `events`, `scheduler` | What runs in the background |

mod app;
mod call;
mod cards;
mod config;
mod dispatch;
mod events;
mod failures;
mod handlers;
mod jobs;
mod keyring;
mod lock;
mod logging;
mod memory;
mod openapi;
mod operations;
mod org;
mod problem;
mod recovery;
mod refusals;
mod roles;
mod routes;
mod scheduler;
mod serve;
mod settings;
mod socket;
mod state;
mod stores;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::config::{Args, Config};

fn main() -> ExitCode {
    memory::settle();
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell where even this cannot be written.
            drop(writeln!(std::io::stderr(), "orgkeepd: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the daemon reads its environment"
    )]
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let config = Config::load(args, &env, nix::unistd::geteuid().is_root())?;
    if args.check_config {
        writeln!(std::io::stdout(), "The configuration is valid.")?;
        return Ok(());
    }
    logging::start(&config.log);
    serve::run(config)
}
