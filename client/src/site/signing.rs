//! The institution's signing key, and the coordinator's keys as they are known here.

use std::path::PathBuf;

use eosfed_common::private::check_private;
use eosfed_common::signing::{PinnedKeys, SigningKey};

use super::{Site, SiteError};

const KEY: &str = "signing.key";
/// A key that is not enrolled yet.
const PENDING: &str = "signing.key.new";
const PINNED: &str = "coordinator-keys.json";

impl Site {
    /// The key that is enrolled. Absent where an earlier version has joined.
    ///
    /// # Errors
    /// If the file cannot be read, is open to others or damaged.
    pub fn signing_key(&self) -> Result<Option<SigningKey>, SiteError> {
        self.key_in(KEY)
    }

    /// Writes the key that is enrolled.
    ///
    /// # Errors
    /// If a file cannot be written or removed.
    pub fn replace_signing_key(&self, key: &SigningKey) -> Result<(), SiteError> {
        self.write(KEY, key.to_file().expose().as_bytes())?;
        let path = self.path().join(PENDING);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(SiteError::Io { path, source })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The key that is to be enrolled: that of an earlier try, whose answer may have got lost, or the one
    /// that `make` makes.
    ///
    /// # Errors
    /// If the file cannot be read or written, is open to others or damaged.
    pub fn pending_signing_key(&self, make: impl FnOnce() -> SigningKey) -> Result<SigningKey, SiteError> {
        if let Some(key) = self.key_in(PENDING)? {
            return Ok(key);
        }
        let key = make();
        self.write(PENDING, key.to_file().expose().as_bytes())?;
        Ok(key)
    }

    fn key_in(&self, name: &str) -> Result<Option<SigningKey>, SiteError> {
        let path: PathBuf = self.path().join(name);
        check_private(&path)?;
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(SiteError::Io { path, source }),
        };
        let damaged = |error| SiteError::Invalid {
            path,
            reason: format!("{error}; copy it from a backup, or join again with `--force` and a new token"),
        };
        SigningKey::from_file(&text).map(Some).map_err(damaged)
    }

    /// The coordinator's signing keys, as far as they are known.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    pub fn pinned_keys(&self) -> Result<PinnedKeys, SiteError> {
        Ok(self.read_json(PINNED)?.unwrap_or_default())
    }

    /// Keeps the coordinator's signing keys.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn pin(&self, keys: &PinnedKeys) -> Result<(), SiteError> {
        self.write_json(PINNED, keys)
    }
}
