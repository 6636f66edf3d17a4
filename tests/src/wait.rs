//! Waiting for something to be so.

use std::env;
use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before it counts as never happening. Generous: machines are slow; `ORGKEEP_TEST_PATIENCE`
/// gives more seconds to one that is slower still.
///
/// # Panics
///
/// When the setting is no number.
pub fn patience() -> Duration {
    let seconds = env::var("ORGKEEP_TEST_PATIENCE").ok();
    let seconds = seconds.map_or(60, |text| text.parse().expect("a number of seconds"));
    Duration::from_secs(seconds)
}

/// Waits until `is_so` gives something.
///
/// # Panics
///
/// When it does not within its [`patience`].
pub fn until<T>(what: impl Display, mut is_so: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(result) = is_so() {
            return result;
        }
        assert!(start.elapsed() < patience(), "waited in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
