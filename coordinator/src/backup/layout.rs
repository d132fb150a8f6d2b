//! The names of the files of a backup.

/// The manifest's file.
pub const MANIFEST: &str = "backup.json";
/// The file with the records.
pub(super) const RECORDS: &str = "records.jsonl";
/// The folder with the blobs.
pub(super) const BLOBS: &str = "blobs";
/// The files of a state folder that a backup holds as they are. A coordinator without an operator's
/// identity beside it is fine; the others must be there.
pub(super) const FILES: [&str; 10] = [
    "coordinator.toml",
    "ca/key.pem",
    "ca/certificate.pem",
    "ca/ca.pem",
    "operator/key.pem",
    "operator/certificate.pem",
    "operator/ca.pem",
    "operator/coordinator.toml",
    "operator/coordinator-keys.json",
    "signing.json",
];
/// The files of [`FILES`] that a coordinator cannot start without.
pub(super) const NEEDED: usize = 3;
/// What follows the name of an encrypted file.
pub(super) const SUFFIX: &str = ".age";
