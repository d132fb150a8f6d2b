//! The files of an identity: key, certificate, and the certificates of the authority to trust. They are
//! replaced together.

use std::io;
use std::path::{Path, PathBuf};

use eosfed_common::files::write_atomically;
use eosfed_common::secret::{Secret, exposed};
use serde::{Deserialize, Serialize};

use crate::keys::KeyAndCertificate;

/// A file of an identity cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {source}", path = path.display())]
pub struct FileError {
    /// `read` or `write`.
    pub action: &'static str,
    /// The file.
    pub path: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

/// An identity before it is written to its files. Several files cannot be replaced atomically, so it is
/// written to one file first, and reading completes an interrupted replacement.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pending {
    #[serde(with = "exposed")]
    key_pem: Secret,
    certificate_pem: String,
    /// Absent in files of earlier versions, which wrote it before.
    #[serde(default)]
    ca_pem: Option<String>,
}

const PENDING: &str = "identity.new";

/// The writes of a replacement, one after another. A crash can come between any two of them.
pub trait Writes {
    /// Writes a file atomically; its owner alone may read it.
    ///
    /// # Errors
    /// Whatever the file system gives.
    fn put(&mut self, path: &Path, text: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Whatever the file system gives.
    fn remove(&mut self, path: &Path) -> io::Result<()>;
}

/// The disk.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Writes for Disk {
    fn put(&mut self, path: &Path, text: &str) -> io::Result<()> {
        write_atomically(path, text.as_bytes())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}

/// The files in a folder.
#[derive(Debug, Clone, Copy)]
pub struct IdentityFiles<'a>(pub &'a Path);

impl IdentityFiles<'_> {
    /// Whether there is an identity.
    ///
    /// # Errors
    /// If the folder may not be read.
    pub fn exist(&self) -> Result<bool, FileError> {
        for name in ["certificate.pem", PENDING] {
            let path = self.0.join(name);
            if path.try_exists().map_err(|source| FileError { action: "read", path, source })? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads key and certificate, and the certificates of the authority.
    ///
    /// # Errors
    /// If a file is missing or cannot be read.
    pub fn read(&self) -> Result<(KeyAndCertificate, String), FileError> {
        self.complete_replacement(&mut Disk)?;
        let key_pem = Secret::new(self.text("key.pem")?);
        let certificate_pem = self.text("certificate.pem")?;
        Ok((KeyAndCertificate { key_pem, certificate_pem }, self.text("ca.pem")?))
    }

    /// Replaces the identity; a crash leaves the old one or the new one, never a mixture.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn replace(&self, pair: &KeyAndCertificate, ca_pem: &str) -> Result<(), FileError> {
        self.replace_by(&mut Disk, pair, ca_pem)
    }

    /// As [`Self::replace`], by these writes.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn replace_by(
        &self,
        writes: &mut impl Writes,
        pair: &KeyAndCertificate,
        ca_pem: &str,
    ) -> Result<(), FileError> {
        let KeyAndCertificate { key_pem, certificate_pem } = pair.clone();
        let pending = Pending { key_pem, certificate_pem, ca_pem: Some(ca_pem.to_owned()) };
        let text = serde_json::to_string_pretty(&pending)
            .map_err(|error| self.failed("write", PENDING)(io::Error::other(error)))?;
        writes.put(&self.0.join(PENDING), &text).map_err(self.failed("write", PENDING))?;
        self.complete_replacement(writes)
    }

    /// Completes a replacement that a crash has interrupted.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn complete(&self) -> Result<(), FileError> {
        self.complete_replacement(&mut Disk)
    }

    fn complete_replacement(&self, writes: &mut impl Writes) -> Result<(), FileError> {
        if !self.0.join(PENDING).exists() {
            return Ok(());
        }
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let pending = serde_json::from_str(&self.text(PENDING)?);
        let Pending { key_pem, certificate_pem, ca_pem } =
            pending.map_err(|error| self.failed("read", PENDING)(invalid(error)))?;
        let mut put =
            |name: &str, text: &str| writes.put(&self.0.join(name), text).map_err(self.failed("write", name));
        put("key.pem", key_pem.expose())?;
        put("certificate.pem", &certificate_pem)?;
        if let Some(ca_pem) = ca_pem {
            put("ca.pem", &ca_pem)?;
        }
        writes.remove(&self.0.join(PENDING)).map_err(self.failed("write", PENDING))
    }

    /// Reads a file.
    pub(crate) fn text(&self, name: &str) -> Result<String, FileError> {
        std::fs::read_to_string(self.0.join(name)).map_err(self.failed("read", name))
    }

    /// Writes a file atomically; its owner alone may read it.
    pub(crate) fn put(&self, name: &str, text: &str) -> Result<(), FileError> {
        write_atomically(&self.0.join(name), text.as_bytes()).map_err(self.failed("write", name))
    }

    fn failed(&self, action: &'static str, name: &str) -> impl FnOnce(io::Error) -> FileError {
        let path = self.0.join(name);
        move |source| FileError { action, path, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(of: &str) -> KeyAndCertificate {
        let key_pem = Secret::new(format!("{of} key"));
        KeyAndCertificate { key_pem, certificate_pem: format!("{of} certificate") }
    }

    fn kept(files: IdentityFiles<'_>) -> [String; 3] {
        let (KeyAndCertificate { key_pem, certificate_pem }, ca_pem) = files.read().unwrap();
        [key_pem.expose().to_owned(), certificate_pem, ca_pem]
    }

    #[test]
    fn an_identity_is_replaced_whole_however_often_that_is_interrupted() {
        let folder = tempfile::tempdir().unwrap();
        let files = IdentityFiles(folder.path());
        assert!(!files.exist().unwrap() && files.read().is_err());
        files.replace(&pair("old"), "old ca").unwrap();
        assert_eq!(kept(files), ["old key", "old certificate", "old ca"]);
        // The crash came after the key and before the certificate.
        let KeyAndCertificate { key_pem, certificate_pem } = pair("new");
        let pending = Pending { key_pem, certificate_pem, ca_pem: Some("new ca".to_owned()) };
        files.put(PENDING, &serde_json::to_string(&pending).unwrap()).unwrap();
        files.put("key.pem", "new key").unwrap();
        assert_eq!(kept(files), ["new key", "new certificate", "new ca"]);
        assert!(!folder.path().join(PENDING).exists());
    }

    #[test]
    fn what_an_earlier_version_has_left_is_completed() {
        let folder = tempfile::tempdir().unwrap();
        let files = IdentityFiles(folder.path());
        files.replace(&pair("old"), "ca").unwrap();
        files.put(PENDING, "{\"key_pem\":\"new key\",\"certificate_pem\":\"new certificate\"}").unwrap();
        assert_eq!(kept(files), ["new key", "new certificate", "ca"]);
        files.put(PENDING, "{").unwrap();
        assert!(files.read().err().unwrap().to_string().contains("identity.new"));
    }
}
