//! A clock for tests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Clock, Timestamp};

/// A clock that tests set; clones share their time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<Timestamp>>);

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(start)))
    }

    /// Sets every clone of this clock, forwards or backwards.
    pub fn set(&self, to: Timestamp) {
        *self.0.lock().expect("no holder of this lock panics") = to;
    }

    /// Advances every clone of this clock.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().expect("no holder of this lock panics");
        *now = now.plus(by);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("no holder of this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clocks_share_their_time() {
        let clock = ManualClock::new(Timestamp(5));
        let other = clock.clone();
        clock.advance(Duration::from_secs(1));
        assert_eq!(other.now(), Timestamp(1005));
        assert_eq!(other.now().since(Timestamp(2000)), Duration::ZERO);
    }
}
