//! Request and response types of Orgkeep's socket API.
//!
//! Types only: no input or output, no logic beyond the text forms of words. The field names are the
//! public contract; a change here is a breaking change. Moments are text, UTC, `YYYY-MM-DDTHH:MM:SS.mmmZ`.
//! A `type` is an id of the catalogue of Okta types, such as `group_member`.
//!
//! | Module | Documents |
//! | --- | --- |
//! | [`domain`] | Domain cards, settings, credentials, key management |
//! | [`job`] | Jobs, their progress, events and reports |
//! | [`snapshot`] | Snapshots, objects, history, differences |
//! | [`restore`] | Restore plans and their actions |
//! | [`paths`] | Where the socket and the data are by default |
//! | [`store`] | The store, its check and rebuild |
//! | [`system`] | Status, keys, scopes, audit log, problems, lists |

#[macro_use]
mod word;
pub mod domain;
pub mod job;
pub mod paths;
pub mod restore;
pub mod snapshot;
pub mod store;
pub mod system;

pub use word::UnknownWord;
