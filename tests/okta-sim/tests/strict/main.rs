//! The simulated org refuses what Okta's documents do not allow: each rule, over HTTP or from inside.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod common;
mod faults;
mod lifecycles;
mod limits;
mod paging;
mod relations;
mod rights;
mod system_log;
