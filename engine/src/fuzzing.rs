//! Every decoder and parser of bytes from outside, as one function each that takes any bytes and asserts what must hold.
//!
//! The functions are beside what they are about (`chunk/fuzzing.rs` …). `tests/fuzz` runs them under libFuzzer; the tests below run them
//! over the same seeds and over changes of these, so that they never rot. A function gives whether the bytes were taken for
//! what it is about, which at least one seed of each must be.

use crate::{canonical, chunk, collect, keys, okta, pack, record};

mod mutation;
mod texts;

pub use mutation::Mutations;

/// Takes any bytes; panics when something does not hold.
pub type Target = fn(&[u8]) -> bool;

/// All of them, by the names of their seeds' directories.
pub const TARGETS: &[(&str, Target)] = &[
    ("canonical", canonical::fuzzing::json),
    ("object", canonical::fuzzing::object),
    ("page", canonical::fuzzing::page),
    ("field", canonical::fuzzing::field),
    ("answer", okta::fuzzing::answer),
    ("links", okta::fuzzing::links),
    ("okta_domain", okta::fuzzing::domain),
    ("credentials", okta::fuzzing::credentials),
    ("signing_key", okta::fuzzing::signing_key),
    ("bucket", okta::fuzzing::bucket),
    ("log", collect::fuzzing::log),
    ("paths", collect::fuzzing::paths),
    ("chunk", chunk::fuzzing::opened),
    ("chunk_frame", chunk::fuzzing::unpacked),
    ("chunk_objects", chunk::fuzzing::objects),
    ("pack", pack::fuzzing::whole),
    ("directory", pack::fuzzing::directory),
    ("record", record::fuzzing::plain),
    ("checkpoint", record::fuzzing::checkpoint),
    ("merged", record::fuzzing::merged),
    ("moves", record::fuzzing::moves),
    ("domain_keys", keys::fuzzing::domain),
    ("envelope", keys::fuzzing::envelope),
    ("key_file", keys::fuzzing::file),
    ("schedule", texts::schedule),
    ("retention", texts::retention),
    ("names", texts::names),
    ("attribute", texts::attribute),
    ("plan", texts::plan),
];

#[cfg(test)]
mod tests;
