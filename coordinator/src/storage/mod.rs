//! Where the federation is kept: metadata behind [`Store`], weights behind [`Blobs`]. Knows the
//! domain's types and nothing of their rules.

mod blobs;
mod memory;
mod migrate;
mod ready;
mod records;
mod sled_store;

#[cfg(test)]
mod conformance;

use std::fmt;

use async_trait::async_trait;

pub use blobs::{BlobError, Blobs, FileBlobs, LocalFile, MemoryBlobs, Presence};
pub use memory::MemoryStore;
pub use migrate::SCHEMA;
pub use ready::ready;
pub use records::{Record, read_lines, write_lines};
pub use sled_store::SledStore;

use crate::domain::{Change, Federation};

/// The folder beside the blobs for files of the coordinator's own, emptied at each start.
pub const STAGING: &str = "staging";
/// Folders in [`STAGING`] that hold a snapshot for a backup begin like this.
pub const SNAPSHOT_PREFIX: &str = "backup-";
/// The folder of a snapshot with its blobs, each named by the hexadecimal digits of its digest.
pub const SNAPSHOT_BLOBS: &str = "blobs";
/// The file of a snapshot with its records, as [`write_lines`] writes them under [`SCHEMA`].
pub const SNAPSHOT_RECORDS: &str = "records.jsonl";

/// Why the store cannot do what it is for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full. Nothing was changed.
    #[error("the disk of the coordinator is full")]
    Full,
    /// Anything else that the backend reports. Nothing was changed.
    #[error("store: {0}")]
    Backend(String),
    /// A record would not read back as what it is. Nothing was changed.
    #[error("record `{key}` cannot be stored: {reason}")]
    Unreadable {
        /// Its tree and key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// What is stored was written by another release.
    #[error("the store has schema version `{found}`, this release reads up to `{expected}`; {advice}")]
    Schema {
        /// The version found.
        found: String,
        /// The version that this release reads.
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

/// Keeps the federation.
///
/// # Behavior
/// - [`commit`](Store::commit) is atomic and durable: when it has returned, a crash loses nothing of
///   the change; when it has failed, or was interrupted, nothing of it is there.
/// - What does not read back as what was given is not stored: [`StoreError::Unreadable`].
/// - A record replaces the one of the same key; nothing is ever removed.
/// - [`load`](Store::load) gives all that was ever committed, in a store that was opened again too.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Reads everything.
    ///
    /// # Errors
    /// If a record does not read back or the backend fails.
    async fn load(&self) -> Result<Federation, StoreError>;

    /// Stores a change, or nothing of it.
    ///
    /// # Errors
    /// If the disk is full, the backend fails or a record would not read back.
    async fn commit(&self, change: &Change) -> Result<(), StoreError>;
}
