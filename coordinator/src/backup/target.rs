//! Where a backup is written: files as they are, or each encrypted with age to the recipients' keys.
//!
//! An encrypted backup has the same files, with `.age` after their names. Names and sizes of blobs can still be
//! seen in it.

use std::fs::File;
use std::io::{BufWriter, Read};
use std::path::{Path, PathBuf};

use age::Encryptor;
use age::x25519::Recipient;
use anyhow::Context as _;
use eosfed_common::digest::Digest;
use eosfed_common::files::write_atomically;

use super::copy;
use super::layout::SUFFIX;

/// The folder of a backup that is being made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    /// The folder.
    pub(super) folder: &'a Path,
    /// Whose keys decrypt the backup. None: it is not encrypted.
    pub(super) recipients: &'a [Recipient],
}

impl Target<'_> {
    /// Whether its files are encrypted.
    pub(super) const fn encrypted(&self) -> bool {
        !self.recipients.is_empty()
    }

    /// The file that holds `name`.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(if self.encrypted() { format!("{name}{SUFFIX}") } else { name.to_owned() })
    }

    /// Copies a file into the backup, durably; gives the digest and the size of what it holds. `report` is called
    /// for each piece.
    pub(super) fn copy(
        &self,
        from: &Path,
        name: &str,
        report: &mut dyn FnMut(u64),
    ) -> anyhow::Result<(Digest, u64)> {
        let path = self.path(name);
        copy::folder(path.parent().unwrap_or(self.folder))?;
        if !self.encrypted() {
            return copy::copy(from, &path, report);
        }
        let cannot = || format!("cannot copy {} to {}", from.display(), path.display());
        let mut source = File::open(from).with_context(cannot)?;
        self.encrypt(&mut source, &path, report).with_context(cannot)
    }

    fn encrypt(
        &self,
        source: &mut dyn Read,
        to: &Path,
        report: &mut dyn FnMut(u64),
    ) -> anyhow::Result<(Digest, u64)> {
        let mut target = self.encryptor()?.wrap_output(BufWriter::new(copy::new_file(to)?))?;
        let poured = copy::pour(source, &mut target, report)?;
        target.finish()?.into_inner()?.sync_all()?;
        Ok(poured)
    }

    /// Writes a small file, whole or not at all.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.path(name);
        let cannot = || format!("cannot write {}", path.display());
        if !self.encrypted() {
            return write_atomically(&path, bytes).with_context(cannot);
        }
        let mut target = self.encryptor()?.wrap_output(Vec::new())?;
        copy::pour(&mut &*bytes, &mut target, &mut |_| {})?;
        write_atomically(&path, &target.finish()?).with_context(cannot)
    }

    fn encryptor(&self) -> anyhow::Result<Encryptor> {
        let recipients = self.recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        Ok(Encryptor::with_recipients(recipients)?)
    }
}
