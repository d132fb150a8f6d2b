//! Storage of the federation: metadata behind [`Store`], weights behind [`Blobs`]. It uses the domain's
//! types, but not their rules.

mod assembly;
mod blobs;
mod faulty;
mod lines;
mod memory;
mod migrate;
mod ready;
mod record;
mod record_store;
mod records;
mod sled_store;
mod sled_trees;
mod trees;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod mount;

use std::fmt;
use std::io;
use std::ops::RangeInclusive;

use async_trait::async_trait;
use eosfed_common::digest::Digest;
use eosfed_common::ids::JobId;
use eosfed_common::ledger::{Event, EventRef};

pub use assembly::{Assembled, Counts};
pub use blobs::{BlobError, Blobs, FileBlobs, LocalFile, MemoryBlobs, Presence};
pub use faulty::{Faults, FaultyStore};
pub use lines::read_lines;
pub use memory::MemoryStore;
pub use migrate::SCHEMA;
pub use ready::ready;
pub use record::Record;
pub use sled_store::SledStore;
pub use sled_trees::RESERVE;
pub use trees::{Each, Tree};

use crate::domain::closed::ClosedRound;
use crate::domain::curve::{Curve, CurveId};
use crate::domain::{Change, Damaged, Federation};

/// The folder beside the blobs for temporary files of the coordinator. It is emptied at each start.
pub const STAGING: &str = "staging";
/// Prefix of the folders in [`STAGING`] with a snapshot for a backup.
pub const SNAPSHOT_PREFIX: &str = "backup-";
/// The folder of a snapshot with its blobs, each named by the hexadecimal digits of its digest.
pub const SNAPSHOT_BLOBS: &str = "blobs";
/// The file of a snapshot with its records, as [`Store::export`] writes them under [`SCHEMA`].
pub const SNAPSHOT_RECORDS: &str = "records.jsonl";

/// An error of the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk is full or nearly full. Nothing was changed.
    #[error("the disk of the coordinator is full")]
    Full,
    /// Anything else that the backend reports. Nothing was changed.
    #[error("store: {0}")]
    Backend(String),
    /// A change that was reported as failed is in the store.
    #[error("the store holds a change that was reported as failed; start the coordinator again")]
    Diverged,
    /// A record would not read back as the same value. Nothing was changed.
    #[error("record `{key}` cannot be stored: {reason}")]
    Unreadable {
        /// Its tree and key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// The store was written by another version.
    #[error("the store has schema version `{found}`, this version reads up to `{expected}`; {advice}")]
    Schema {
        /// The schema found.
        found: String,
        /// The schema that this version reads.
        expected: u32,
        /// What to do.
        advice: &'static str,
    },
    /// A record cannot be read back.
    #[error("record `{key}` of the store is damaged: {reason}; restore the state folder from a backup")]
    Damaged {
        /// Its tree and key.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

impl StoreError {
    fn unreadable(tree: Tree, key: &str, reason: String) -> Self {
        Self::Unreadable { key: format!("{}/{key}", tree.name()), reason }
    }

    fn damaged(tree: Tree, key: &str, error: &serde_json::Error) -> Self {
        Self::Damaged { key: format!("{}/{key}", tree.name()), reason: error.to_string() }
    }
}

/// The contents of a store when it is opened.
#[derive(Debug)]
pub struct Loaded {
    /// The state.
    pub federation: Federation,
    /// The newest event of the ledger.
    pub head: Option<EventRef>,
    /// The schema from which the store was migrated when its ledger began, if it was.
    pub migrated_from: Option<u32>,
    /// Records that cannot be read back. The state is assembled without them. They stay in their trees until
    /// a change quarantines them.
    pub damaged: Vec<Damaged>,
    /// Documents that a migration has taken out of records, by digest. They must become blobs; the store
    /// keeps them until a change removes them.
    pub documents: Vec<(Digest, Vec<u8>)>,
}

/// Stores the federation.
///
/// # Behavior
/// - [`commit`](Store::commit) is atomic and durable. After it has returned, a crash loses nothing of the
///   change. If it fails or is interrupted, nothing of the change is stored.
/// - A record that would not read back as the same value is not stored: [`StoreError::Unreadable`].
/// - A record replaces the one with the same key. Only quarantined records are removed.
/// - [`load`](Store::load) gives everything that was committed, also after the store was opened again.
/// - A failure does not last: after its cause is gone, the next commit succeeds.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Reads the state, without closed rounds, curves and events.
    ///
    /// # Errors
    /// If the backend fails.
    async fn load(&self) -> Result<Loaded, StoreError>;

    /// Stores a change and its events atomically.
    ///
    /// # Errors
    /// If the disk is full, the backend fails or a record would not read back.
    async fn commit(&self, change: &Change, events: &[Event]) -> Result<(), StoreError>;

    /// The attempts at these rounds of a job that have closed, in order.
    ///
    /// # Errors
    /// If one cannot be read back or the backend fails.
    async fn closed_rounds(
        &self,
        job: &JobId,
        rounds: RangeInclusive<u32>,
    ) -> Result<Vec<ClosedRound>, StoreError>;

    /// A training curve, if it has points.
    ///
    /// # Errors
    /// If it cannot be read back or the backend fails.
    async fn curve(&self, id: &CurveId) -> Result<Option<Curve>, StoreError>;

    /// Up to `most` events of the ledger from this one on, each as its hashed line.
    ///
    /// # Errors
    /// If the backend fails.
    async fn events(&self, from: u64, most: usize) -> Result<Vec<String>, StoreError>;

    /// Writes an earlier state as lines, with its closed rounds and curves and the events up to `head`. Gives
    /// the number of records.
    ///
    /// # Errors
    /// If the backend or writing fails.
    async fn export(
        &self,
        state: &Federation,
        head: Option<EventRef>,
        to: &mut (dyn io::Write + Send),
    ) -> Result<u64, StoreError>;
}
