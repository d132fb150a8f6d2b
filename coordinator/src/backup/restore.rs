//! Restoring a state folder from a backup.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::files;
use serde::Serialize;

use super::make::needed;
use super::manifest::{BLOBS, Entry, FILES, Manifest, RECORDS};
use super::{ReportProgress, copy};
use crate::settings::StateFolder;
use crate::storage::{Assembled, Counts, Each, FileBlobs, SCHEMA, SledStore, read_lines};

/// Most blob names in one message.
const NAMED: usize = 5;

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The state folder.
    pub state: PathBuf,
    /// When the backup was made.
    pub made_at: Timestamp,
    /// The software version that made the backup.
    pub version: String,
    /// The number of records of each kind.
    pub counts: Counts,
    /// The number of blobs.
    pub blobs: u64,
    /// The bytes of all blobs.
    pub bytes: u64,
    /// Blobs that a record refers to and that were lost before the backup was made.
    pub missing: Vec<Digest>,
}

/// Restores the backup in `from` into the state folder `to`, which must be empty or missing.
///
/// # Errors
/// If the backup is incomplete, damaged or of a newer version. All of this is checked before anything is
/// written, except the bytes of blobs, which are checked while they are copied. If writing fails. The files
/// written so far then have no `coordinator.toml`, and no coordinator starts on them.
pub fn restore(from: &Path, to: &Path, report: ReportProgress<'_>) -> anyhow::Result<Restored> {
    let manifest = Manifest::read(from)?;
    check_files(from, &manifest)?;
    let records = read_records(from, &manifest)?;
    let missing = manifest.lacks(&needed(&records));
    if let Some(lost) = missing.iter().find(|digest| !manifest.missing.contains(digest)) {
        bail!("{}: a record refers to {lost}, which the backup does not have; use another", from.display());
    }
    copy::empty_folder(to, "name a new folder")?;
    let state = StateFolder(to.to_owned());
    copy_blobs(from, &manifest, &state.blobs(), report)?;
    fill(&state.store(), from, &manifest)
        .with_context(|| format!("cannot fill {}", state.store().display()))?;
    // These files are written last, and the settings at the very end: they make the folder a state folder.
    for name in FILES.iter().rev().filter(|name| manifest.entry(name).is_some()) {
        let path = to.join(name);
        copy::folder(path.parent().unwrap_or(to))?;
        copy::copy(&from.join(name), &path, &mut |_| {})?;
        copy::sync(path.parent().unwrap_or(to))?;
    }
    Ok(Restored {
        state: to.to_owned(),
        made_at: manifest.made_at,
        counts: manifest.counts,
        blobs: manifest.blobs.len() as u64,
        bytes: manifest.blob_bytes(),
        version: manifest.version,
        missing,
    })
}

/// Checks that all files exist and match their digests. The bytes of blobs are not read here.
fn check_files(from: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    for Entry { path, digest, size } in &manifest.files {
        let file = from.join(path);
        let found = files::digest(&file).with_context(|| format!("the backup lacks {}", file.display()))?;
        if found != *digest {
            bail!(
                "{} is damaged: it has digest {found}, and had {digest} ({size} bytes) when the backup was made; use \
                 another backup",
                file.display()
            );
        }
    }
    let mut wrong = Vec::new();
    for blob in &manifest.blobs {
        let file = from.join(BLOBS).join(blob.digest.to_hex());
        match file.metadata() {
            Ok(metadata) if metadata.len() == blob.size => {}
            Ok(metadata) => {
                wrong.push(format!("{} has {} of {} bytes", blob.digest, metadata.len(), blob.size));
            }
            Err(error) => wrong.push(format!("{}: {error}", blob.digest)),
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let more = wrong.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    bail!(
        "{} of the {} blobs of {} are missing or cut short; nothing was changed; use another backup:\n  {}{more}",
        wrong.len(),
        manifest.blobs.len(),
        from.display(),
        wrong[..wrong.len().min(NAMED)].join("\n  ")
    )
}

fn read_records(from: &Path, manifest: &Manifest) -> anyhow::Result<Assembled> {
    let path = from.join(RECORDS);
    let records = read(from, manifest, &mut |_, _, _| Ok(()))?;
    if records.counts != expected(manifest, &records) {
        bail!(
            "{} has {:?}, and the backup was made with {:?}",
            path.display(),
            records.counts,
            manifest.counts
        );
    }
    if let Some(broken) = &records.broken {
        tracing::warn!(%broken, "the ledger of the backup is not a whole chain; see `eosfed audit verify`");
    }
    Ok(records)
}

/// The counts of the manifest. Earlier versions did not count rounds and curves, which were inside jobs.
fn expected(manifest: &Manifest, records: &Assembled) -> Counts {
    if manifest.schema == SCHEMA {
        return manifest.counts;
    }
    let Counts { rounds, curves, .. } = records.counts;
    Counts { rounds, curves, ..manifest.counts }
}

fn read(from: &Path, manifest: &Manifest, each: &mut Each<'_>) -> anyhow::Result<Assembled> {
    let path = from.join(RECORDS);
    let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    read_lines(BufReader::new(file), manifest.schema, each)
        .with_context(|| format!("{} cannot be used", path.display()))
}

fn copy_blobs(from: &Path, manifest: &Manifest, to: &Path, report: ReportProgress<'_>) -> anyhow::Result<()> {
    copy::folder(to)?;
    let files = FileBlobs::open(to).with_context(|| format!("cannot make {}", to.display()))?;
    let total = manifest.blob_bytes();
    let mut done = 0;
    for blob in &manifest.blobs {
        let path = files.path_of(blob.digest);
        let folder = path.parent().unwrap_or(to);
        copy::folder(folder)?;
        let mut report = |bytes| {
            done += bytes;
            report(done, total);
        };
        let source = from.join(BLOBS).join(blob.digest.to_hex());
        let (found, _) = copy::copy(&source, &path, &mut report)?;
        if found != blob.digest {
            bail!(
                "{} is damaged: its bytes have digest {found}; use another backup, or one that has {} and copy it \
                 from there. {} is half made: remove it",
                source.display(),
                blob.digest,
                to.parent().unwrap_or(to).display()
            );
        }
        copy::sync(folder)?;
    }
    copy::sync(to)
}

fn fill(path: &Path, from: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    let store = SledStore::open(path)?;
    let mut import = store.import();
    read(from, manifest, &mut |tree, key, bytes| import.take(tree, key, bytes))?;
    Ok(import.flush()?)
}
