//! A strict simulated Okta org: a real HTTP server over an org that is made up from a seed.
//!
//! It is written from Okta's documents, not from what any client sends, and refuses whatever they do
//! not allow. [`OktaSim`] is the whole of it for tests; the binary `okta-sim` serves one until it is
//! stopped. What the documents leave open is marked "Assumed" where it is decided.

mod apps;
mod assignments;
mod clock;
pub mod config;
mod control;
mod cursor;
mod day;
mod exchange;
mod expression;
mod faults;
mod filter;
mod generate;
mod groups;
mod ids;
mod inventory;
mod json;
mod limits;
mod linked;
mod log;
mod mappings;
pub mod openapi;
mod org;
mod person;
pub mod picture;
mod random;
mod requests;
mod response;
mod router;
mod rules;
mod schemas;
mod scopes;
mod server;
mod settings;
mod sim;
mod tokens;
mod user_types;
mod users;
pub mod wire;

pub use day::{Day, DayCounts};
pub use faults::{Change, Fault, FaultAction};
pub use limits::RateLimits;
pub use org::Mail;
pub use requests::{Auth, LoggedRequest};
pub use sim::{Admin, AdminAnswer, Builder, OktaSim, StartError};
