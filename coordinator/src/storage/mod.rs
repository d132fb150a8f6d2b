//! Where the federation is kept: metadata behind [`Store`], weights behind [`Blobs`]. Knows the
//! domain's types and nothing of their rules.

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
use eosfed_common::ledger::{Event, Mark};

pub use assembly::{Assembled, Counts};
pub use blobs::{BlobError, Blobs, FileBlobs, LocalFile, MemoryBlobs, Presence};
pub use faulty::{Faults, FaultyStore};
pub use lines::read_lines;
pub use memory::MemoryStore;
pub use migrate::SCHEMA;
pub use ready::ready;
pub use record::Record;
pub use sled_store::SledStore;
pub use trees::{Each, Tree};

use crate::domain::closed::ClosedRound;
use crate::domain::curve::{Curve, CurveId};
use crate::domain::{Change, Damaged, Federation};

/// The folder beside the blobs for files of the coordinator's own, emptied at each start.
pub const STAGING: &str = "staging";
/// Folders in [`STAGING`] that hold a snapshot for a backup begin like this.
pub const SNAPSHOT_PREFIX: &str = "backup-";
/// The folder of a snapshot with its blobs, each named by the hexadecimal digits of its digest.
pub const SNAPSHOT_BLOBS: &str = "blobs";
/// The file of a snapshot with its records, as [`Store::export`] writes them under [`SCHEMA`].
pub const SNAPSHOT_RECORDS: &str = "records.jsonl";

/// Why the store cannot do what it is for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk is full, or nearly. Nothing was changed.
    #[error("the disk of the coordinator is full")]
    Full,
    /// Anything else that the backend reports. Nothing was changed.
    #[error("store: {0}")]
    Backend(String),
    /// A change of which it was said that it had failed is in the store after all.
    #[error("the store holds a change that was reported as failed; start the coordinator again")]
    Diverged,
    /// A record would not read back as what it is. Nothing was changed.
    #[error("record `{key}` cannot be stored: {reason}")]
    Unreadable {
        /// Its tree and key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// What is stored was written by another version.
    #[error("the store has schema version `{found}`, this version reads up to `{expected}`; {advice}")]
    Schema {
        /// The schema found.
        found: String,
        /// The schema that this version reads.
        expected: u32,
        /// What to do.
        advice: &'static str,
    },
    /// A record does not read back.
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

/// What a store holds when it is opened.
#[derive(Debug)]
pub struct Loaded {
    /// The state.
    pub federation: Federation,
    /// The newest event of the ledger.
    pub head: Option<Mark>,
    /// The schema from which the store was migrated when its ledger began, if it was.
    pub migrated_from: Option<u32>,
    /// Records that do not read back. The rest is as if they were not there; they stay where they are until
    /// a change sets them apart.
    pub damaged: Vec<Damaged>,
    /// Documents that a migration has taken out of records, by digest. They are to become blobs; the store
    /// keeps them until a change lets go of them.
    pub documents: Vec<(Digest, Vec<u8>)>,
}

/// Keeps the federation.
///
/// # Behavior
/// - [`commit`](Store::commit) is atomic and durable: when it has returned, a crash loses nothing of
///   the change; when it has failed, or was interrupted, nothing of it is there.
/// - What does not read back as what was given is not stored: [`StoreError::Unreadable`].
/// - A record replaces the one of the same key. Nothing is ever removed, but what is set apart.
/// - [`load`](Store::load) gives all that was ever committed, in a store that was opened again too.
/// - A failure does not last: when its cause is gone, the next commit succeeds.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Reads the state: everything but what only closed rounds, curves and events say.
    ///
    /// # Errors
    /// If the backend fails.
    async fn load(&self) -> Result<Loaded, StoreError>;

    /// Stores a change and its events, or nothing of them.
    ///
    /// # Errors
    /// If the disk is full, the backend fails or a record would not read back.
    async fn commit(&self, change: &Change, events: &[Event]) -> Result<(), StoreError>;

    /// The attempts at these rounds of a job that have closed, in order.
    ///
    /// # Errors
    /// If one does not read back or the backend fails.
    async fn closed_rounds(
        &self,
        job: &JobId,
        rounds: RangeInclusive<u32>,
    ) -> Result<Vec<ClosedRound>, StoreError>;

    /// A training curve, if it has points.
    ///
    /// # Errors
    /// If it does not read back or the backend fails.
    async fn curve(&self, id: &CurveId) -> Result<Option<Curve>, StoreError>;

    /// Up to `most` events of the ledger from this one on, each as the line that its hash is over.
    ///
    /// # Errors
    /// If the backend fails.
    async fn events(&self, from: u64, most: usize) -> Result<Vec<String>, StoreError>;

    /// Writes a state that was true a moment ago as lines, with everything that belongs to it and the events
    /// up to `head`; gives how many records.
    ///
    /// # Errors
    /// If the backend or writing fails.
    async fn export(
        &self,
        state: &Federation,
        head: Option<Mark>,
        to: &mut (dyn io::Write + Send),
    ) -> Result<u64, StoreError>;
}
