//! Restoring a state folder from a backup.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use serde::Serialize;

use super::layout::{BLOBS, FILES, RECORDS};
use super::make::needed;
use super::manifest::{Entry, Manifest};
use super::origin::Origin;
use super::{ReportProgress, copy};
use crate::settings::StateFolder;
use crate::storage::{Assembled, Counts, Each, FileBlobs, SCHEMA, SledStore, read_lines};

/// Most blob names in one message.
const NAMED: usize = 5;

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The state folder; none if the backup was only checked.
    pub state: Option<PathBuf>,
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

/// Checks the backup in `from`: every file that a restore would read, to its last byte. `key` is the file of the
/// private key of an encrypted backup.
///
/// # Errors
/// If the backup is incomplete, damaged or of a newer version, or the key does not decrypt it.
pub fn check(from: &Path, key: Option<&Path>, report: ReportProgress<'_>) -> anyhow::Result<Restored> {
    let Checked { origin, manifest, missing } = Checked::new(from, key)?;
    let mut done = 0;
    for blob in &manifest.blobs {
        let name = blob_name(blob.digest);
        let mut report = |bytes| {
            done += bytes;
            report(done, manifest.blob_bytes());
        };
        let found = origin.digest(&name, &mut report)?;
        if found != blob.digest {
            bail!(
                "{} is damaged: what it holds has digest {found}; use another backup",
                origin.path(&name).display()
            );
        }
    }
    Ok(restored(None, manifest, missing))
}

/// Restores the backup in `from` into the state folder `to`, which must be empty or missing. `key` is the file of
/// the private key of an encrypted backup.
///
/// # Errors
/// If the backup is incomplete, damaged or of a newer version, or the key does not decrypt it. All of this is checked before anything is
/// written, except the bytes of blobs, which are checked while they are copied. If writing fails. The files
/// written so far then have no `coordinator.toml`, and no coordinator starts on them.
pub fn restore(
    from: &Path,
    key: Option<&Path>,
    to: &Path,
    report: ReportProgress<'_>,
) -> anyhow::Result<Restored> {
    let Checked { origin, manifest, missing } = Checked::new(from, key)?;
    copy::empty_folder(to, "name a new folder")?;
    let state = StateFolder(to.to_owned());
    copy_blobs(&origin, &manifest, &state.blobs(), report)?;
    fill(&state.store(), &origin, &manifest)
        .with_context(|| format!("cannot fill {}", state.store().display()))?;
    // These files are written last, and the settings at the very end: they make the folder a state folder.
    for name in FILES.iter().rev().filter(|name| manifest.entry(name).is_some()) {
        let path = to.join(name);
        copy::folder(path.parent().unwrap_or(to))?;
        origin.copy(name, &path, &mut |_| {})?;
        copy::sync(path.parent().unwrap_or(to))?;
    }
    Ok(restored(Some(to), manifest, missing))
}

fn restored(state: Option<&Path>, manifest: Manifest, missing: Vec<Digest>) -> Restored {
    Restored {
        state: state.map(Path::to_owned),
        made_at: manifest.made_at,
        counts: manifest.counts,
        blobs: manifest.blobs.len() as u64,
        bytes: manifest.blob_bytes(),
        version: manifest.version,
        missing,
    }
}

/// A backup of which everything but the bytes of blobs is checked.
struct Checked {
    origin: Origin,
    manifest: Manifest,
    missing: Vec<Digest>,
}

impl Checked {
    fn new(from: &Path, key: Option<&Path>) -> anyhow::Result<Self> {
        let origin = Origin::open(from, key)?;
        let manifest = Manifest::read(&origin)?;
        check_files(&origin, &manifest)?;
        let records = read_records(&origin, &manifest)?;
        let missing = manifest.lacks(&needed(&records));
        if let Some(lost) = missing.iter().find(|digest| !manifest.missing.contains(digest)) {
            bail!(
                "{}: a record refers to {lost}, which the backup does not have; use another",
                from.display()
            );
        }
        Ok(Self { origin, manifest, missing })
    }
}

fn blob_name(digest: Digest) -> String {
    format!("{BLOBS}/{}", digest.to_hex())
}

/// Checks that all files exist and match their digests. The bytes of blobs are not read here.
fn check_files(from: &Origin, manifest: &Manifest) -> anyhow::Result<()> {
    for Entry { path, digest, size } in &manifest.files {
        let found = from.digest(path, &mut |_| {})?;
        if found != *digest {
            bail!(
                "{} is damaged: it has digest {found}, and had {digest} ({size} bytes) when the backup was made; use \
                 another backup",
                from.path(path).display()
            );
        }
    }
    let mut wrong = Vec::new();
    for blob in &manifest.blobs {
        if let Err(why) = from.holds(&blob_name(blob.digest), blob.size) {
            wrong.push(format!("{} {why}", blob.digest));
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
        from.folder().display(),
        wrong[..wrong.len().min(NAMED)].join("\n  ")
    )
}

fn read_records(from: &Origin, manifest: &Manifest) -> anyhow::Result<Assembled> {
    let path = from.path(RECORDS);
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

fn read(from: &Origin, manifest: &Manifest, each: &mut Each<'_>) -> anyhow::Result<Assembled> {
    let file = BufReader::new(from.read(RECORDS)?);
    read_lines(file, manifest.schema, each)
        .with_context(|| format!("{} cannot be used", from.path(RECORDS).display()))
}

fn copy_blobs(
    from: &Origin,
    manifest: &Manifest,
    to: &Path,
    report: ReportProgress<'_>,
) -> anyhow::Result<()> {
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
        let name = blob_name(blob.digest);
        let found = from.copy(&name, &path, &mut report)?;
        if found != blob.digest {
            bail!(
                "{} is damaged: its bytes have digest {found}; use another backup, or one that has {} and copy it \
                 from there. {} is half made: remove it",
                from.path(&name).display(),
                blob.digest,
                to.parent().unwrap_or(to).display()
            );
        }
        copy::sync(folder)?;
    }
    copy::sync(to)
}

fn fill(path: &Path, from: &Origin, manifest: &Manifest) -> anyhow::Result<()> {
    let store = SledStore::open(path)?;
    let mut import = store.import();
    read(from, manifest, &mut |tree, key, bytes| import.take(tree, key, bytes))?;
    Ok(import.flush()?)
}
