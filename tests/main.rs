//! Black-box tests of Orgkeep, through its real programs.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, wait, and write files of their own"
)]

mod api;
mod backup;
mod cards;
mod client;
mod contract;
mod crashes;
mod host;
mod restore;
mod secrets;
mod snapshots;
mod upkeep;

/// Says that a test proved nothing on this machine, and why.
#[expect(clippy::print_stderr, reason = "shown by the test runner on demand")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}
