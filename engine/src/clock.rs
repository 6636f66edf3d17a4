//! The seam for time.
//!
//! The only place that reads the machine's clock; tests stand still until they are moved.

use std::time::Duration;

use jiff::Timestamp;

/// Where the time comes from, and how waiting is done.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present moment (UTC).
    fn now(&self) -> Timestamp;

    /// Waits for `duration`. A test clock moves itself forward instead.
    fn sleep(&self, duration: Duration);
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one owner of the machine's clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    #[expect(clippy::disallowed_methods, reason = "the one owner of waiting")]
    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// Writes a moment as the interface does: UTC, always three digits of a second.
#[must_use]
pub fn to_text(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
