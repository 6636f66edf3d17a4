//! The harness of the black-box tests: the real daemon and the real client, against a simulated org.
//!
//! | Module | What it is for |
//! | --- | --- |
//! | [`binaries`] | Finds the programs under test, building them first |
//! | [`command`] | Runs a program to its end, within a time limit, and keeps what it said |
//! | [`daemon`] | A daemon in a directory of its own, that can be killed and started again |
//! | [`fake`] | A daemon that answers as it is told |
//! | [`http`] | The socket API, spoken byte by byte |
//! | [`terminal`] | A terminal with someone who types |
//! | [`wait`] | Waits until something is so |
//!
//! A failure of the harness itself is a failure of the test: it panics.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test harness: it fails by panicking, waits, and reads its own environment"
)]

pub mod binaries;
pub mod command;
pub mod daemon;
pub mod fake;
pub mod http;
pub mod terminal;
pub mod wait;

pub use command::Ran;
pub use daemon::{Setup, TestDaemon};
