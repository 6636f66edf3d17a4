//! Doubles that several modules' tests share.

pub(crate) mod fake;
pub(crate) mod model;
