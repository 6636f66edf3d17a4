//! Every endpoint that the simulated org serves, over HTTP, against Okta's own OpenAPI document where that is at hand.

#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a test")]

mod checked;
mod configuration;
mod people;

use std::path::Path;

use okta_sim::OktaSim;
use okta_sim::openapi::Checker;

use checked::Checked;

/// The document, or a word that it is absent.
fn document() -> Option<Checker> {
    let checker = Checker::open_above(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    if checker.is_none() {
        println!("skipped: Okta's OpenAPI document is not at hand");
    }
    checker
}

#[test]
fn every_endpoint_keeps_to_the_document() {
    let Some(checker) = document() else { return };
    let mut checked = Checked::new(&checker, OktaSim::with_users(250));
    configuration::exercise(&mut checked);
    people::exercise(&mut checked);
    assert!(checked.breaches.is_empty(), "{:#?}", checked.breaches);
    let operations = checked.operations.len();
    assert!(operations >= OPERATIONS, "{operations} {:#?}", checked.operations);
}

/// How many of the document's operations are called at least: a smaller number means that the test lost some.
const OPERATIONS: usize = 174;
