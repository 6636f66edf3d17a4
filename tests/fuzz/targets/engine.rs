//! Runs one of the engine's targets, the one that `ORGKEEP_FUZZ_TARGET` names: one program to build instead of one for each.
#![no_main]

use std::env;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use orgkeep_engine::fuzzing::{TARGETS, Target};

fn target() -> Target {
    static TARGET: OnceLock<Target> = OnceLock::new();
    *TARGET.get_or_init(|| {
        let wanted = env::var("ORGKEEP_FUZZ_TARGET").expect("ORGKEEP_FUZZ_TARGET names a target");
        let found = TARGETS.iter().find(|(name, _)| *name == wanted);
        found.expect("the target is one of `orgkeep_engine::fuzzing::TARGETS`").1
    })
}

fuzz_target!(|data: &[u8]| {
    target()(data);
});
