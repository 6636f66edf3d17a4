//! Waiting for something to be so.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before it counts as never happening. Generous: machines are slow.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `is_so` gives something.
///
/// # Panics
///
/// When it does not within [`PATIENCE`].
pub fn until<T>(what: impl Display, mut is_so: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(result) = is_so() {
            return result;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
