//! A strict simulated Okta org.
pub mod wire;
