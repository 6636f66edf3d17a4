//! A strict simulated Okta org.
pub mod config;
pub mod openapi;
pub mod wire;
