//! The store against a slow, obvious model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::blobs::{Fault, Local, Memory};
use crate::keys::FileProvider;
use crate::monitor::Silent;
use crate::object::{Canonical, Sink};

mod bench;
mod checkpoints;
mod crash;
mod damage;
mod keeping;
mod model;
mod prune;
mod reindex;
mod repair;
mod snapshots;

use bench::{Bench, chain_of, is_whole, seven_backups, two_backups, write};
use model::{
    DOMAIN, Op, State, TYPES, WHOLE, agrees, all_objects, made, model, object_type, op, own_id,
    parent_id,
};

/// Everything that can be moved is moved, and nothing is too young.
fn eager() -> PruneOptions {
    PruneOptions {
        bytes_min: 0,
        small_packs_min: 2,
        ..PruneOptions::at(Timestamp::from_second(4_000_000_000).unwrap())
    }
}

/// So many random cases, the same in each run; `PROPTEST_CASES` and `PROPTEST_RNG_SEED` ask for more and for others.
fn random(cases: usize) -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig {
        cases: u32::try_from(setting("PROPTEST_CASES", cases)).unwrap(),
        rng_seed: match asked.rng_seed {
            RngSeed::Random => RngSeed::Fixed(20_261_121),
            fixed @ RngSeed::Fixed(_) => fixed,
        },
        failure_persistence: None,
        ..asked
    }
}

/// A number that the environment may set.
fn setting(name: &str, default: usize) -> usize {
    #[expect(
        clippy::disallowed_methods,
        reason = "a setting of the tests themselves"
    )]
    let found = std::env::var(name);
    found.map_or(default, |text| text.parse().unwrap())
}

/// Tells a number that a suite is measured by; shown with `--nocapture`.
#[expect(clippy::print_stdout, reason = "for whoever runs the tests")]
fn tell(text: &str) {
    println!("{text}");
}
