//! Making a backup.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use age::x25519::Recipient;
use anyhow::{Context as _, bail};
use eosfed_common::assignment::BlobRef;
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::files;
use serde::Serialize;

use super::layout::{BLOBS, FILES, MANIFEST, NEEDED, RECORDS};
use super::manifest::{Entry, Manifest};
use super::source::Source;
use super::target::Target;
use super::{ReportProgress, copy};
use crate::settings::StateFolder;
use crate::storage::{Assembled, Counts};

/// What was backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// The folder of the backup.
    pub folder: PathBuf,
    /// Whether its files are encrypted.
    pub encrypted: bool,
    /// Whether the coordinator was serving.
    pub serving: bool,
    /// The number of records of each kind.
    pub counts: Counts,
    /// The number of blobs.
    pub blobs: u64,
    /// The bytes of all blobs.
    pub bytes: u64,
    /// Blobs that a record refers to and that the state folder does not have.
    pub missing: Vec<Digest>,
}

/// Copies the contents of `state` into the folder `to`, which must be empty or missing. With recipients, each
/// file is encrypted, and any one of their private keys decrypts it. If the coordinator is
/// serving, it is asked for a snapshot with the identity in `identity`. If it is not, it cannot start until
/// the copy is done.
///
/// # Errors
/// If a file cannot be read or written, or a blob does not match its digest. The files written so far then
/// have no `backup.json`, and `restore` refuses them.
pub async fn backup(
    state: &StateFolder,
    to: &Path,
    recipients: &[Recipient],
    identity: &Path,
    now: Timestamp,
    report: ReportProgress<'_>,
) -> anyhow::Result<Backup> {
    let target = Target { folder: to, recipients };
    outside(state, to)?;
    let _only = only(state)?;
    copy::empty_folder(to, "name a new folder for each backup")?;
    let held = state.take_lock()?;
    let source = match &held {
        Some(_) => Source::resting(state).await?,
        None => Source::serving(state, identity).await?,
    };
    let mut files = Vec::new();
    for name in FILES {
        let from = state.0.join(name);
        if !from.exists() && !FILES[..NEEDED].contains(&name) {
            continue;
        }
        let (digest, size) = target.copy(&from, name, &mut |_| {})?;
        files.push(Entry { path: name.to_owned(), digest, size });
    }
    let (records, entry) = copy_records(&source, state, &target)?;
    files.push(entry);
    let counts = records.counts;
    let blobs = copy_blobs(&source, &target, report)?;
    let mut manifest = Manifest {
        format: Manifest::format(),
        version: source.version.clone(),
        schema: source.schema,
        made_at: now,
        serving: source.serving,
        counts,
        files,
        blobs,
        missing: Vec::new(),
    };
    manifest.missing = manifest.lacks(&needed(&records));
    for folder in [&to.join(BLOBS), &to.join("ca"), &to.join("operator"), to] {
        if folder.exists() {
            copy::sync(folder)?;
        }
    }
    // The manifest is written last: a folder with a manifest is a backup.
    manifest.write(&target)?;
    Ok(Backup {
        folder: to.to_owned(),
        encrypted: target.encrypted(),
        serving: manifest.serving,
        counts,
        blobs: manifest.blobs.len() as u64,
        bytes: manifest.blob_bytes(),
        missing: manifest.missing,
    })
}

/// Copies the records, and gives what they say. What is going to be encrypted is written to the state folder's
/// disk before, which has it in plain text anyway.
fn copy_records(
    source: &Source,
    state: &StateFolder,
    target: &Target<'_>,
) -> anyhow::Result<(Assembled, Entry)> {
    let entry = |(digest, size)| Entry { path: RECORDS.to_owned(), digest, size };
    if !target.encrypted() {
        let records = source.write_records(target.folder)?;
        let path = target.path(RECORDS);
        let cannot = || format!("cannot read {}", path.display());
        let size = path.metadata().with_context(cannot)?.len();
        return Ok((records, entry((files::digest(&path).with_context(cannot)?, size))));
    }
    let cannot = || format!("cannot make a folder in {}", state.0.display());
    let scratch = tempfile::tempdir_in(&state.0).with_context(cannot)?;
    let records = source.write_records(scratch.path())?;
    Ok((records, entry(target.copy(&scratch.path().join(RECORDS), RECORDS, &mut |_| {})?)))
}

/// The blobs that a federation needs to continue. Blobs that are kept for closed rounds only are not among
/// them, whatever the clock of this machine says. Nor are documents that are still among the records.
pub(super) fn needed(records: &Assembled) -> BTreeSet<Digest> {
    let mut needed = records.federation.needed();
    for (digest, _) in &records.documents {
        needed.remove(digest);
    }
    needed
}

fn copy_blobs(source: &Source, to: &Target<'_>, report: ReportProgress<'_>) -> anyhow::Result<Vec<BlobRef>> {
    copy::folder(&to.folder.join(BLOBS))?;
    let size = |file: &Path| file.metadata().map(|metadata| metadata.len());
    let sizes: Result<Vec<_>, _> = source.blobs.iter().map(|(_, file)| size(file)).collect();
    let total = sizes
        .context("the snapshot is gone; the coordinator may have been restarted; make another backup")?;
    let total = total.iter().sum();
    let mut done = 0;
    let mut blobs = Vec::new();
    for (digest, file) in &source.blobs {
        let mut report = |bytes| {
            done += bytes;
            report(done, total);
        };
        let (found, size) = to.copy(file, &format!("{BLOBS}/{}", digest.to_hex()), &mut report)?;
        if found != *digest {
            bail!(
                "{digest} of the state folder is damaged: its bytes have digest {found}; no backup was made. If an \
                 earlier one has it, copy it from there over {}",
                file.display()
            );
        }
        blobs.push(BlobRef { digest: *digest, size });
    }
    blobs.sort_by_key(|blob| blob.digest.to_hex());
    Ok(blobs)
}

/// Refuses a folder inside the state folder: a backup must outlive it.
fn outside(state: &StateFolder, to: &Path) -> anyhow::Result<()> {
    let real = |path: &Path| -> anyhow::Result<PathBuf> {
        let path = std::path::absolute(path).with_context(|| path.display().to_string())?;
        // A folder that does not exist yet is compared by its nearest existing parent.
        let there = path.ancestors().find(|one| one.exists()).unwrap_or(&path).to_owned();
        let rest = path.strip_prefix(&there).unwrap_or(&path).to_owned();
        Ok(there.canonicalize().unwrap_or(there).join(rest))
    };
    if real(to)?.starts_with(real(&state.0)?) {
        bail!(
            "{} is inside the state folder, and a backup must outlive it; name another folder",
            to.display()
        );
    }
    Ok(())
}

/// Allows one backup of a state folder at a time: a second one would remove the snapshot of the first.
fn only(state: &StateFolder) -> anyhow::Result<File> {
    let path = state.0.join("backup.lock");
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "another backup of {} is being made; no `{MANIFEST}` was written here, try again when it is done",
            state.0.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}
