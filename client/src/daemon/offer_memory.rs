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
    /// When the condition is checked again.
    pub(super) next_look: Option<tokio::time::Instant>,
}
