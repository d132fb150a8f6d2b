//! The handshakes under way. When there are too many, an old one gives way to a new one: an honest
//! handshake takes milliseconds, and one that has lasted for a second is most likely silent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::limits::{Limits, Source};

/// The handshakes under way; clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Handshakes {
    limits: Limits,
    pending: Arc<Mutex<Pending>>,
}

#[derive(Debug, Default)]
struct Pending {
    next: u64,
    /// In the order of their start.
    entries: BTreeMap<u64, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    source: Source,
    started: Instant,
    cancel: CancellationToken,
}

/// Whether a connection may begin its handshake.
#[derive(Debug)]
pub(super) enum Decision {
    /// It may.
    Begin(Ticket),
    /// Its address has too many that are young; it is closed.
    Close,
    /// There are too many in total, and all are young; the next connection waits for so long.
    Wait(Duration),
}

/// A handshake under way; ends when dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    handshakes: Handshakes,
    number: u64,
    /// Cancelled when the handshake has to give way.
    pub(super) cancelled: CancellationToken,
}

impl Handshakes {
    /// None yet.
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, pending: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides about a new connection from an address.
    pub(super) fn decide(&self, source: Source, now: Instant) -> Decision {
        let mut pending = self.lock();
        let of_source = || pending.entries.iter().filter(|(_, entry)| entry.source == source);
        if of_source().count() >= self.limits.max_handshakes_per_address {
            let oldest = of_source().next().map(|(number, entry)| (*number, entry.started));
            match oldest {
                Some((number, started)) if now - started >= self.limits.eviction_age => {
                    pending.cancel(number);
                }
                _ => return Decision::Close,
            }
        } else if pending.entries.len() >= self.limits.max_handshakes {
            let oldest = pending.entries.first_key_value().map(|(number, entry)| (*number, entry.started));
            if let Some((number, started)) = oldest {
                let age = now - started;
                if age < self.limits.eviction_age {
                    return Decision::Wait(self.limits.eviction_age - age);
                }
                pending.cancel(number);
            }
        }
        let number = pending.next;
        let cancelled = CancellationToken::new();
        pending.next += 1;
        pending.entries.insert(number, Entry { source, started: now, cancel: cancelled.clone() });
        drop(pending);
        Decision::Begin(Ticket { handshakes: self.clone(), number, cancelled })
    }
}

impl Pending {
    fn cancel(&mut self, number: u64) {
        if let Some(entry) = self.entries.remove(&number) {
            entry.cancel.cancel();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.handshakes.lock().entries.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn handshakes() -> Handshakes {
        Handshakes::new(Limits { max_handshakes: 4, max_handshakes_per_address: 2, ..Limits::default() })
    }

    fn source(last: u8) -> Source {
        Source::of([192, 0, 2, last].into())
    }

    fn begun(decision: Decision) -> Ticket {
        match decision {
            Decision::Begin(ticket) => ticket,
            other => panic!("it must begin: {other:?}"),
        }
    }

    #[tokio::test]
    async fn an_old_handshake_of_an_address_gives_way_and_a_young_one_does_not() {
        let (handshakes, now) = (handshakes(), Instant::now());
        let old = begun(handshakes.decide(source(1), now));
        let young = begun(handshakes.decide(source(1), now));
        assert!(matches!(handshakes.decide(source(1), now), Decision::Close));
        assert!(!old.cancelled.is_cancelled());
        let other = begun(handshakes.decide(source(2), now));
        let third = begun(handshakes.decide(source(1), now + Duration::from_secs(1)));
        assert!(old.cancelled.is_cancelled());
        assert!([young, other, third].iter().all(|ticket| !ticket.cancelled.is_cancelled()));
    }

    #[tokio::test]
    async fn a_new_connection_waits_while_all_handshakes_are_young() {
        let (handshakes, now) = (handshakes(), Instant::now());
        let tickets: Vec<_> = (1..=4).map(|last| begun(handshakes.decide(source(last), now))).collect();
        let half = now + Duration::from_millis(400);
        let Decision::Wait(wait) = handshakes.decide(source(9), half) else { panic!("it must wait") };
        assert_eq!(wait, Duration::from_millis(600));
        drop(begun(handshakes.decide(source(9), half + wait)));
        assert!(tickets[0].cancelled.is_cancelled() && !tickets[1].cancelled.is_cancelled());
    }

    proptest! {
        /// Whatever arrives in whatever order, neither limit is exceeded.
        #[test]
        fn the_limits_hold(arrivals in proptest::collection::vec((1..6_u8, 0..400_u64, any::<bool>()), 1..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _inside = runtime.enter();
            let (handshakes, mut now, mut held) = (handshakes(), Instant::now(), Vec::new());
            for (last, millis, ends) in arrivals {
                now += Duration::from_millis(millis);
                if let Decision::Begin(ticket) = handshakes.decide(source(last), now) {
                    held.push(ticket);
                }
                if ends {
                    held.pop();
                }
                let pending = handshakes.lock();
                prop_assert!(pending.entries.len() <= 4);
                let most = (1..6).map(|last| {
                    pending.entries.values().filter(|entry| entry.source == source(last)).count()
                });
                prop_assert!(most.max().unwrap_or_default() <= 2);
            }
        }
    }
}
