//! When a notification that was not delivered is sent again.

use std::time::Duration;

use eosfed_common::clock::Timestamp;

/// Pauses between two tries: doubled each time, up to a longest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pauses {
    pub(super) first: Duration,
    pub(super) longest: Duration,
}

impl Pauses {
    /// The usual ones.
    pub(super) const USUAL: Self = Self { first: Duration::from_secs(1), longest: Duration::from_secs(300) };

    /// The pause after this number of failed tries.
    pub(super) fn after(self, tries: u32) -> Duration {
        let factor = 2_u32.saturating_pow(tries.saturating_sub(1));
        self.first.saturating_mul(factor).min(self.longest)
    }
}

/// Whether what happened at the time `at` is given up at the time `now`. It was tried at least once.
pub(super) fn is_given_up(at: Timestamp, now: Timestamp, retry_for: Duration) -> bool {
    now.since(at) >= retry_for
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let seconds = |tries| Pauses::USUAL.after(tries).as_secs();
        assert_eq!([1, 2, 3, 8, 9, 10, 1000, u32::MAX].map(seconds), [1, 2, 4, 128, 256, 300, 300, 300]);
    }

    #[test]
    fn a_notification_is_given_up_by_its_age_also_after_a_restart() {
        let day = Duration::from_secs(86_400);
        assert!(!is_given_up(Timestamp(1), Timestamp(86_400_000), day));
        assert!(is_given_up(Timestamp(1), Timestamp(86_400_001), day));
        assert!(!is_given_up(Timestamp(9), Timestamp(1), day), "a clock that was set back");
    }
}
