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
//! | [`canonical`] | The one byte sequence that is hashed and stored |
//! | [`durable`], [`keys`] | Durable files; wrapping keys and sealing |
//! | [`store`] | Blobs, index and keys bound together |
//! | [`schedule`] | When backups are due |
//! | [`plan`] | What a restore would do, decided before anything is done |
//! | [`diff`], [`export`] | What is different; a snapshot as plain objects |
//! | [`restore`] | Carries out an approved plan, by its journal |
pub mod canonical;
pub mod catalogue;
pub mod clock;
pub mod diff;
pub mod durable;
pub mod export;
pub mod id;
pub mod keys;
pub mod monitor;
pub mod object;
pub mod plan;
pub mod restore;
pub mod schedule;
pub mod store;
