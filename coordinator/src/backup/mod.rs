//! Backups: making a copy of a coordinator's state folder, also while the coordinator serves, and restoring a
//! state folder from such a copy.
//!
//! ```text
//! DIR/backup.json       what belongs to it, with digests; written last: without it, it is no backup
//! DIR/records.jsonl     jobs, institutions, specialists and releases, one a line
//! DIR/blobs/HEX         weights, each under the digits of its digest
//! DIR/coordinator.toml, DIR/signing.json, DIR/ca/, DIR/operator/
//! ```
//!
//! In an encrypted backup, each file is encrypted by itself and has `.age` after its name.
//!
//! Uploads under way are not in it: institutions send them again.

pub mod command;
mod copy;
mod layout;
mod make;
mod manifest;
mod origin;
mod restore;
mod schedule;
mod source;
mod target;

#[cfg(test)]
mod tests;

pub use layout::MANIFEST;
pub use make::{Backup, backup};
pub use manifest::Manifest;
pub use restore::{Restored, check, restore};
pub(crate) use schedule::whole as whole_backups;

/// Receives the progress of the copy: bytes done and bytes in all.
pub type ReportProgress<'a> = &'a dyn Fn(u64, u64);
