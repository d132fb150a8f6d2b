//! What is to become true: records, and the events that say who made it so, stored together.

use eosfed_common::card::Card;
use eosfed_common::digest::Digest;
use eosfed_common::ledger::Entry;

use super::closed::ClosedRound;
use super::curve::Curve;
use super::institution::Institution;
use super::job::Job;
use super::registry::Release;

/// What is to become true. A record replaces the one of the same key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Change {
    /// Institutions.
    pub institutions: Vec<Institution>,
    /// Jobs.
    pub jobs: Vec<Job>,
    /// Rounds that have closed.
    pub rounds: Vec<ClosedRound>,
    /// Training curves.
    pub curves: Vec<Curve>,
    /// New specialists.
    pub specialists: Vec<Card>,
    /// New releases.
    pub releases: Vec<Release>,
    /// Records that do not read back, to be set apart.
    pub quarantined: Vec<Damaged>,
    /// What has happened, in order.
    pub events: Vec<Entry>,
    /// The bytes of documents that become blobs before the rest is stored.
    pub documents: Vec<Vec<u8>>,
    /// Documents that a migration has left in the store and that are blobs by now: the store lets go of them.
    pub moved_documents: Vec<Digest>,
    /// Jobs in which nothing has changed that must survive a restart: the end of a lease, the step that a
    /// trainer is at. They become visible and are not stored.
    pub progress: Vec<Job>,
}

/// A record that does not read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Its tree and key.
    pub record: String,
    /// What is wrong with it.
    pub reason: String,
    /// Digests that its bytes mention. The blobs are kept, as long as the record is set apart.
    pub blobs: Vec<Digest>,
}

impl Change {
    /// Something has happened that changes no record.
    #[must_use]
    pub fn noted(entry: Entry) -> Self {
        Self { events: vec![entry], ..Self::default() }
    }

    /// Whether nothing changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        !self.must_be_stored() && self.progress.is_empty()
    }

    /// Whether anything in it must survive a restart.
    #[must_use]
    pub const fn must_be_stored(&self) -> bool {
        let Self {
            institutions,
            jobs,
            rounds,
            curves,
            specialists,
            releases,
            quarantined,
            events,
            documents: _,
            moved_documents,
            progress: _,
        } = self;
        !(institutions.is_empty()
            && jobs.is_empty()
            && rounds.is_empty()
            && curves.is_empty()
            && specialists.is_empty()
            && releases.is_empty()
            && quarantined.is_empty()
            && events.is_empty()
            && moved_documents.is_empty())
    }
}
