//! `backup.json`: the list of the files of a backup.

use std::collections::BTreeSet;
use std::io::Read as _;

use anyhow::{Context as _, bail};
use eosfed_common::assignment::BlobRef;
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use serde::{Deserialize, Serialize};

use super::layout::{FILES, MANIFEST, NEEDED, RECORDS};
use super::origin::Origin;
use super::target::Target;
use crate::storage::{Counts, SCHEMA};

/// The version of the layout of backups.
const FORMAT: u32 = 1;

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its path in the backup.
    pub path: String,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
}

/// The contents of `backup.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of the layout.
    pub format: u32,
    /// The software version of the coordinator.
    #[serde(alias = "release")]
    pub version: String,
    /// The schema of the records.
    pub schema: u32,
    /// When it was made.
    pub made_at: Timestamp,
    /// Whether the coordinator was serving.
    pub serving: bool,
    /// The number of records of each kind.
    pub counts: Counts,
    /// All files except the blobs.
    pub files: Vec<Entry>,
    /// All blobs.
    pub blobs: Vec<BlobRef>,
    /// Blobs that a record refers to and that were not in the state folder either.
    pub missing: Vec<Digest>,
}

/// The versions in a manifest. They are read and checked before the other fields.
#[derive(Deserialize)]
struct Header {
    format: u32,
    #[serde(alias = "release")]
    version: String,
    schema: u32,
}

impl Manifest {
    /// The format that this version writes.
    #[must_use]
    pub const fn format() -> u32 {
        FORMAT
    }

    /// Reads the manifest of a backup.
    ///
    /// # Errors
    /// If it is damaged, or a newer version made the backup.
    pub(super) fn read(from: &Origin) -> anyhow::Result<Self> {
        let path = from.path(MANIFEST);
        let mut text = Vec::new();
        let read = from.read(MANIFEST)?.read_to_end(&mut text);
        read.with_context(|| format!("cannot read {}", path.display()))?;
        let damaged = || format!("{} is damaged; use another backup", path.display());
        let Header { format, version, schema } = serde_json::from_slice(&text).with_context(damaged)?;
        if format > FORMAT || schema > SCHEMA {
            bail!(
                "{} was made by version {version}, with format `{format}` and records of schema `{schema}`; this \
                 version ({}) reads up to format {FORMAT} and schema {SCHEMA}; restore with version {version} or \
                 a newer one",
                from.folder().display(),
                env!("CARGO_PKG_VERSION")
            );
        }
        let manifest: Self = serde_json::from_slice(&text).with_context(damaged)?;
        for entry in &manifest.files {
            if entry.path != RECORDS && !FILES.contains(&entry.path.as_str()) {
                bail!("{}: `{}` does not belong in a backup", path.display(), entry.path.escape_debug());
            }
        }
        for needed in FILES[..NEEDED].iter().chain(&[RECORDS]) {
            if manifest.entry(needed).is_none() {
                bail!(
                    "{} does not list `{needed}`, which every backup has; use another backup",
                    path.display()
                );
            }
        }
        Ok(manifest)
    }

    /// Writes it, whole or not at all.
    pub(super) fn write(&self, to: &Target<'_>) -> anyhow::Result<()> {
        to.write(MANIFEST, &serde_json::to_vec_pretty(self)?)
    }

    pub(super) fn entry(&self, path: &str) -> Option<&Entry> {
        self.files.iter().find(|entry| entry.path == path)
    }

    /// The bytes of all its blobs.
    #[must_use]
    pub fn blob_bytes(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.size).sum()
    }

    /// The blobs of `needed` that the backup does not have.
    pub(super) fn lacks(&self, needed: &BTreeSet<Digest>) -> Vec<Digest> {
        let here: BTreeSet<_> = self.blobs.iter().map(|blob| blob.digest).collect();
        needed.difference(&here).copied().collect()
    }
}
