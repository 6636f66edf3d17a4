//! Black-box tests of Orgkeep, through its real programs.
#![expect(
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests fail by panicking and write files of their own"
)]

mod client;
