//! The blocking engine of Orgkeep: reads Okta orgs, keeps their history, plans and carries out restores.
//!
//! A module may use those above it in this list, never those below.
//!
//! | Module | What it is for |
//! | --- | --- |
//! | [`id`] | Typed identifiers and their stable text forms |
//! | [`clock`], [`monitor`] | The seams for time, and for progress, counts and cancelling |
//! | [`catalogue`] | The table of Okta object types, as data |
//! | [`object`] | One Okta object or relation, in canonical form |
//! | [`canonical`] | Turns JSON into the one byte sequence that is hashed and stored |
//! | [`durable`], [`codec`] | Files that survive a crash; the small parts of stored formats |
//! | [`keys`] | Wraps and unwraps keys, and derives one per purpose |
//! | [`blobs`] | The seam to storage: put if absent, get, list, delete |
//! | [`chunk`] | Compresses objects of one type together |
//! | [`pack`] | Lays sealed chunks out in one blob, and finds them again |
//! | [`record`] | What changed with a snapshot |
//! | [`schedule`], [`retention`] | When a domain's backups are due; what may be removed |
//! | [`okta`] | The seam to an org, and the client behind it |
//! | [`index`] | Every SQL statement over the store |
//! | [`store`] | Snapshots: written, read, compared, removed, pruned, rebuilt |
//! | [`collect`] | Reads an org as of one moment |
//! | [`authorize`] | Finds out what credentials may read and write |
//! | [`backup`], [`check`] | One backup of one domain; what is damaged |
//! | [`repair`] | Makes a damaged store whole again, as far as the org still has what was lost |
//! | [`plan`], [`compare`], [`diff`] | What a restore would do; how a live org or another snapshot differs |
//! | [`restore`], [`export`] | Carries out a plan by its journal; writes plain files |
pub mod authorize;
pub mod backup;
pub mod blobs;
pub mod canonical;
pub mod catalogue;
pub mod check;
pub mod chunk;
pub mod clock;
pub mod codec;
pub mod collect;
pub mod compare;
pub mod diff;
pub mod durable;
pub mod export;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod id;
pub mod index;
pub mod keys;
#[doc(hidden)]
pub mod measuring;
pub mod monitor;
pub mod object;
pub mod okta;
pub mod pack;
pub mod plan;
pub mod record;
pub mod repair;
pub mod restore;
pub mod retention;
pub mod schedule;
pub mod store;

#[cfg(test)]
mod testing;
