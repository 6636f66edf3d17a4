//! The seam for progress, counts, non-fatal problems and cancelling.

use crate::catalogue::ObjectType;

/// What an operation tells while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A new phase begins (`collecting`, `writing`, `planning`, `applying` …); `total` where it is known.
    Phase {
        /// A stable lower-case word.
        name: &'static str,
        /// How many steps the phase has, where known beforehand.
        total: Option<u64>,
    },
    /// That many more steps of the phase are done (objects of a type, actions of a plan …).
    Done {
        /// The type of the objects, where steps are objects.
        object_type: Option<ObjectType>,
        /// How many more.
        count: u64,
    },
    /// One request was sent to Okta.
    Request,
    /// The operation waits because of a rate limit, for that many milliseconds.
    RateLimited {
        /// How long, in milliseconds.
        millis: u64,
    },
    /// That many more bytes were written to the store.
    BytesNew(u64),
    /// A problem that does not stop the operation; the text holds ids, never profile values.
    Warning(String),
}

/// Who listens to an operation, and may ask it to stop.
pub trait Monitor: Send + Sync {
    /// Takes note. Must return quickly and never fail.
    fn report(&self, progress: Progress);

    /// Whether the operation should stop at its next safe point.
    fn is_cancelled(&self) -> bool;
}

/// Hears nothing and never cancels.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Monitor for Silent {
    fn report(&self, _progress: Progress) {}

    fn is_cancelled(&self) -> bool {
        false
    }
}
