//! What the daemon remembers of offers between polls.

use std::collections::{BTreeMap, BTreeSet};

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{AssignmentId, JobId};

use super::noted_offers::NotedOffers;

/// What is remembered of offers.
#[derive(Debug, Default)]
pub(super) struct OfferMemory {
    /// Assignments that were declined.
    pub(super) declined: BTreeSet<AssignmentId>,
    /// Jobs that wait for an approval or for the allowed hours.
    pub(super) postponed: BTreeSet<JobId>,
    /// Assignments that cannot be accepted because of a condition of this machine, and since when.
    pub(super) blocked: BTreeMap<AssignmentId, Timestamp>,
    /// Whether offers were passed over because another lane works for their jobs.
    pub(super) elsewhere: bool,
    /// Those that the site log has entries of.
    pub(super) noted: NotedOffers,
    /// Jobs that offer nothing, of which releases are kept, and since when.
    pub(super) idle_releases: BTreeMap<JobId, Timestamp>,
    /// The revision of an answer without offers. It follows from what is offered, so it is that of the next such answer.
    pub(super) none_offered: Option<u64>,
    /// When the condition is checked again.
    pub(super) next_look: Option<tokio::time::Instant>,
}

impl OfferMemory {
    /// The revision that the daemon has seen when it has finished work. Where nothing is remembered of other offers, an answer
    /// without offers tells nothing new, so the coordinator may wait with it; else it answers at once.
    pub(super) fn seen(&self) -> u64 {
        let Self {
            declined,
            postponed,
            blocked,
            elsewhere,
            noted: _,
            idle_releases: _,
            none_offered,
            next_look: _,
        } = self;
        let forgotten = declined.is_empty() && postponed.is_empty() && blocked.is_empty() && !elsewhere;
        none_offered.filter(|_| forgotten).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use eosfed_testkit::assignments;

    use super::*;

    #[test]
    fn an_answer_without_offers_is_known_where_no_other_offer_is_remembered() {
        let mut memory = OfferMemory::default();
        assert_eq!(memory.seen(), 0);
        memory.none_offered = Some(7);
        assert_eq!(memory.seen(), 7);
        memory.declined.insert(assignments::statistics().id);
        assert_eq!(memory.seen(), 0);
    }
}
