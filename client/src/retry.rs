//! The recovery from each refusal, and the waits between tries. The key of the table is the reason, never the
//! text.

use std::time::Duration;

use eosfed_common::refusal::Reason;
use rand::RngExt as _;

/// What a refusal means for the work at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// Try the same again, later.
    Retry,
    /// The lease has run out, but the work may still be wanted: accept the assignment again.
    Reaccept,
    /// The coordinator no longer wants this work, or will never accept it: drop it.
    Abandon,
    /// The coordinator does not accept this client; a person must act.
    Halt,
}

/// The recovery for each reason.
#[must_use]
pub const fn recovery(reason: Reason) -> Recovery {
    use Reason as R;
    match reason {
        // A missing blob is uploaded again; after a mismatching digest either side starts anew.
        R::Unavailable | R::Internal | R::StorageFull | R::OffsetMismatch | R::JobPaused => Recovery::Retry,
        R::BlobMissing | R::DigestMismatch => Recovery::Retry,
        R::LeaseExpired | R::LeaseMismatch => Recovery::Reaccept,
        R::RoundClosed | R::JobEnded | R::NotFound | R::WrongState | R::AlreadyExists => Recovery::Abandon,
        R::Policy | R::DataUnfit | R::PlanInvalid | R::Malformed | R::TooLarge => Recovery::Abandon,
        R::Ambiguous => Recovery::Abandon,
        R::WeightsMalformed | R::TensorSet | R::ShapeMismatch | R::DtypeMismatch => Recovery::Abandon,
        R::NotFinite | R::Replayed | R::NormOutlier | R::NotSigned | R::QualityFloor => Recovery::Abandon,
        R::Unauthenticated | R::Forbidden | R::Incompatible => Recovery::Halt,
        R::TokenInvalid | R::TokenExpired | R::TokenUsed => Recovery::Halt,
    }
}

/// Exponential backoff with a limit. Each wait is drawn from its upper half, so that clients that lost the
/// coordinator at the same time do not try again at the same time.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// Longest first wait.
    pub first: Duration,
    /// Longest wait of all.
    pub limit: Duration,
}

impl Backoff {
    /// The wait before try `attempt`, which counts from 1.
    pub fn delay(&self, attempt: u32, rng: &mut impl rand::Rng) -> Duration {
        let doubled = self.first.saturating_mul(1 << attempt.saturating_sub(1).min(20));
        doubled.min(self.limit).mul_f64(rng.random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn transient_refusals_are_tried_again() {
        for reason in Reason::ALL.iter().filter(|reason| reason.is_transient()) {
            assert_eq!(recovery(*reason), Recovery::Retry, "{reason}");
        }
        assert_eq!(recovery(Reason::RoundClosed), Recovery::Abandon);
        assert_eq!(recovery(Reason::LeaseExpired), Recovery::Reaccept);
        assert_eq!(recovery(Reason::Unauthenticated), Recovery::Halt);
    }

    #[test]
    fn waits_double_up_to_the_limit_and_are_never_zero() {
        let backoff = Backoff { first: Duration::from_secs(1), limit: Duration::from_secs(20) };
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for attempt in 1..100 {
            let delay = backoff.delay(attempt, &mut rng);
            let most = Duration::from_secs(1 << (attempt - 1).min(5)).min(backoff.limit);
            assert!(most / 2 <= delay && delay <= most, "{attempt}: {delay:?}");
        }
    }

    /// Clients that lost the coordinator at the same instant spread their tries evenly over the upper half of
    /// the wait.
    #[test]
    fn clients_that_failed_together_try_again_at_different_times() {
        let backoff = Backoff { first: Duration::from_secs(1), limit: Duration::from_secs(60) };
        for (attempt, most) in [(1, 1000), (4, 8000), (20, 60_000)] {
            let mut tenths = [0; 10];
            for client in 0..1000 {
                let delay = backoff.delay(attempt, &mut ChaCha8Rng::seed_from_u64(client)).as_millis();
                let place = (delay - most / 2) * 10 / (most / 2);
                tenths[usize::try_from(place.min(9)).unwrap()] += 1;
            }
            assert!(tenths.iter().all(|count| (50..150).contains(count)), "attempt {attempt}: {tenths:?}");
        }
    }

    #[test]
    fn an_outage_of_any_length_ends_in_the_longest_wait() {
        let backoff = Backoff { first: Duration::from_millis(700), limit: Duration::from_secs(60) };
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for attempt in [8, 31, 32, 33, 64, 65, 10_000, u32::MAX] {
            let delay = backoff.delay(attempt, &mut rng);
            assert!((30.0..=60.0).contains(&delay.as_secs_f64()), "{attempt}: {delay:?}");
        }
        let none = backoff.delay(0, &mut rng).as_secs_f64();
        assert!((0.35..=0.7).contains(&none), "a count that begins at 0 waits too: {none}");
    }
}
