//! Copying files: complete, verified and durable.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use eosfed_common::digest::{Digest, Hasher};
use eosfed_common::files;
use eosfed_common::private::create_private_folder;

/// Bytes that are copied at once.
const PIECE: usize = 1 << 20;

/// Makes a folder and its missing parents. Only the owner can enter them.
pub(super) fn folder(path: &Path) -> anyhow::Result<()> {
    let made = create_private_folder(path);
    made.with_context(|| format!("cannot make {}", path.display()))
}

/// Makes an empty folder, or accepts an existing empty one.
///
/// # Errors
/// If the folder is not empty. Nothing is ever overwritten.
pub(super) fn empty_folder(path: &Path, advice: &str) -> anyhow::Result<()> {
    folder(path)?;
    let mut entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    if let Some(first) = entries.next() {
        let name = first.map(|entry| entry.file_name().to_string_lossy().into_owned()).unwrap_or_default();
        bail!("{} is not empty (`{name}` is there); nothing was changed; {advice}", path.display());
    }
    Ok(())
}

/// Copies a file to a new one that only its owner can read, durably; gives its digest and size. `report`
/// is called for each piece.
pub(super) fn copy(from: &Path, to: &Path, report: &mut dyn FnMut(u64)) -> anyhow::Result<(Digest, u64)> {
    let size = copied(from, to, report)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    // The digest is that of the copy, since the copy must be right.
    let digest = files::digest(to).with_context(|| format!("cannot read {}", to.display()))?;
    Ok((digest, size))
}

fn copied(from: &Path, to: &Path, report: &mut dyn FnMut(u64)) -> io::Result<u64> {
    let mut target = new_file(to)?;
    let (_, size) = pour(&mut File::open(from)?, &mut target, report)?;
    target.sync_all()?;
    Ok(size)
}

/// A new file that only its owner can read.
pub(super) fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes everything that `source` gives to `target`; gives the digest and the size of it. `report` is called
/// for each piece.
pub(super) fn pour(
    source: &mut dyn Read,
    target: &mut dyn Write,
    report: &mut dyn FnMut(u64),
) -> io::Result<(Digest, u64)> {
    let mut buffer = vec![0; PIECE];
    let mut hasher = Hasher::default();
    let mut size = 0;
    loop {
        let read = source.read(&mut buffer)?;
        if read == 0 {
            return Ok((hasher.finish(), size));
        }
        hasher.update(&buffer[..read]);
        target.write_all(&buffer[..read])?;
        size += read as u64;
        report(read as u64);
    }
}

/// Makes the entries of a folder durable.
pub(super) fn sync(folder: &Path) -> anyhow::Result<()> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.with_context(|| format!("cannot make {} durable", folder.display()))
}
