//! Clocks that follow the simulation's time, which is tokio's.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use eosfed_common::clock::{Clock, Timestamp};
use tokio::time::Instant;

/// When the simulation begins.
pub const START: Timestamp = eosfed_testkit::ids::NOW;

/// A clock. Clones share its error.
#[derive(Debug, Clone)]
pub struct SimClock {
    began: Instant,
    skew: Arc<AtomicI64>,
}

impl SimClock {
    /// A right clock. The simulation begins now.
    #[must_use]
    pub fn begin() -> Self {
        Self { began: Instant::now(), skew: Arc::default() }
    }

    /// Another, right clock of the same simulation.
    #[must_use]
    pub fn right(&self) -> Self {
        Self { began: self.began, skew: Arc::default() }
    }

    /// Milliseconds since the simulation began, whatever the clock shows.
    #[must_use]
    pub fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Sets the error of the clock in milliseconds.
    pub fn set_skew(&self, by: i64) {
        self.skew.store(by, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp((START.0 + self.elapsed()).saturating_add_signed(self.skew.load(Ordering::Relaxed)))
    }
}
