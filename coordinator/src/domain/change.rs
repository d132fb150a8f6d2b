//! A change of the state: records, and the events that say who made the change. They are stored together.

use eosfed_common::card::Card;
use eosfed_common::digest::Digest;
use eosfed_common::ledger::{Entry, EventRef};
use eosfed_common::signing::SigningKey;

use super::ablation::RecordedAblation;
use super::closed::ClosedRound;
use super::curve::Curve;
use super::job::Job;
use super::member::Member;
use super::registry::Release;

/// A change of the state. A record replaces the one with the same key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Change {
    /// Institutions, operators and readers.
    pub members: Vec<Member>,
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
    /// Ablations of heads over releases.
    pub ablations: Vec<RecordedAblation>,
    /// Records that cannot be read back. They are quarantined.
    pub quarantined: Vec<Damaged>,
    /// The events, in order.
    pub events: Vec<Entry>,
    /// Bytes of documents that become blobs before the rest is stored.
    pub documents: Vec<Vec<u8>>,
    /// Documents that a migration left in the store and that are blobs now. The store removes them.
    pub moved_documents: Vec<Digest>,
    /// Jobs whose changes need not survive a restart: the end of a lease, the current step of a trainer. They
    /// become visible and are not stored.
    pub progress: Vec<Job>,
}

/// A record that cannot be read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Its tree and key.
    pub record: String,
    /// What is wrong with it.
    pub reason: String,
    /// Digests that its bytes mention. These blobs are kept while the record is quarantined.
    pub blobs: Vec<Digest>,
}

impl Change {
    /// A change with one event and no records.
    #[must_use]
    pub fn noted(entry: Entry) -> Self {
        Self { events: vec![entry], ..Self::default() }
    }

    /// Signs new specialists and releases. `head` is the newest event of the ledger before this change.
    pub fn sign(&mut self, head: Option<EventRef>, key: &SigningKey) {
        for card in &mut self.specialists {
            card.sign(key);
        }
        for release in &mut self.releases {
            let manifest = &mut release.manifest;
            for card in &mut manifest.specialists {
                let fresh = self
                    .specialists
                    .iter()
                    .find(|one| (&one.name, one.version) == (&card.name, card.version));
                if let Some(fresh) = fresh {
                    *card = fresh.clone();
                }
            }
            manifest.sign(head, key);
        }
    }

    /// Whether nothing changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        !self.must_be_stored() && self.progress.is_empty()
    }

    /// Whether any part of it must survive a restart.
    #[must_use]
    pub const fn must_be_stored(&self) -> bool {
        let Self {
            members,
            jobs,
            rounds,
            curves,
            specialists,
            releases,
            ablations,
            quarantined,
            events,
            documents: _,
            moved_documents,
            progress: _,
        } = self;
        !(members.is_empty()
            && jobs.is_empty()
            && rounds.is_empty()
            && curves.is_empty()
            && specialists.is_empty()
            && releases.is_empty()
            && ablations.is_empty()
            && quarantined.is_empty()
            && events.is_empty()
            && moved_documents.is_empty())
    }
}
