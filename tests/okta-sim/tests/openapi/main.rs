//! Every endpoint that the simulated org serves, over HTTP, against Okta's own OpenAPI document where that is at hand.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod checked;
mod configuration;
mod people;

use std::path::Path;

use http::Method;
use okta_sim::OktaSim;
use okta_sim::openapi::Checker;
use serde_json::json;

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
    refusals(&mut checked);
    assert!(checked.breaches.is_empty(), "{:#?}", checked.breaches);
    let operations = checked.operations.len();
    assert!(
        operations >= OPERATIONS,
        "{operations} {:#?}",
        checked.operations
    );
}

/// Refusals have bodies of their own.
fn refusals(checked: &mut Checked) {
    for target in [
        "users",
        "groups",
        "groups/rules",
        "apps",
        "zones",
        "idps",
        "policies",
        "eventHooks",
    ] {
        checked.refused(Method::GET, &format!("/api/v1/{target}/none"), None, 404);
    }
    for target in [
        "users",
        "groups",
        "groups/rules",
        "apps",
        "zones",
        "idps",
        "policies",
        "eventHooks",
    ] {
        checked.refused(
            Method::POST,
            &format!("/api/v1/{target}"),
            Some(json!({})),
            400,
        );
    }
}

/// How many of the document's operations are called at least: a smaller number means that the test lost some.
const OPERATIONS: usize = 178;
