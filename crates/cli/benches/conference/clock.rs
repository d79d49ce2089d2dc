//! One clock for all threads: nanoseconds since the start of the program.

use std::thread;
use std::time::{Duration, Instant};

/// A point that all times are counted from.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Starts at nought.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the start.
    pub fn now(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Sleeps until `due`, or not at all where it has passed.
    pub fn sleep_until(self, due: u64) {
        if let Some(rest) = due.checked_sub(self.now()) {
            thread::sleep(Duration::from_nanos(rest));
        }
    }
}

/// Nanoseconds in a millisecond.
pub const MILLISECOND: u64 = 1_000_000;

/// As milliseconds with a fraction.
pub fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / MILLISECOND as f64
}
