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
mod fixtures;
mod full;
mod host;
mod hostile;
mod kills;
mod restore;
mod secrets;
mod snapshots;
mod upkeep;

/// Tells a number that a suite is measured by.
#[expect(clippy::print_stdout, reason = "shown by the test runner on demand")]
fn tell(text: &str) {
    println!("{text}");
}

/// A number that the environment may set for the tests.
fn setting(name: &str, default: u64) -> u64 {
    let found = std::env::var(name).ok();
    found.map_or(default, |text| text.parse().unwrap())
}

/// Says that a test proved nothing on this machine, and why.
#[expect(clippy::print_stderr, reason = "shown by the test runner on demand")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}
