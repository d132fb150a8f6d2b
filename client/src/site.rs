//! The state folder: where each file is, the identity kept in it, and the lock against a second daemon.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use eosfed_common::clock::Timestamp;
use eosfed_common::files::write_atomically;
use eosfed_common::ids::{AssignmentId, InstitutionName, JobId};
use eosfed_common::private::{NotOwned, NotPrivate, check_owner, check_private};
use eosfed_common::signing::{PinnedKeys, SigningKey};
use eosfed_common::traffic::ByteCounts;
use eosfed_transport::certificate::Certificate;
use eosfed_transport::identity_files::{FileError, IdentityFiles};
use eosfed_transport::keys::{BACKDATE, KeyAndCertificate};
use serde::{Deserialize, Serialize};

mod approvals;
mod signing;
mod spending;
mod withheld;

/// The file name of the daemon's journal.
pub const JOURNAL: &str = "journal.json";
const DAMAGED: &str = "not a certificate of this system; join again with `--force` and a new token";

/// Why the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// A file of it cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file of it is not valid.
    #[error("{path}: {reason}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The rule, the value found, and what to do.
        reason: String,
    },
    /// Another daemon has it.
    #[error("{path}: another `eosfed-client run` uses this state folder; stop it first", path = path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// Others may use it.
    #[error(transparent)]
    NotPrivate(#[from] NotPrivate),
    /// It belongs to another user.
    #[error(transparent)]
    NotOwned(#[from] NotOwned),
    /// There is no identity in it.
    #[error("{path} holds no identity; run `eosfed-client join --state {path} --token TOKEN` first", path = path.display())]
    NotJoined {
        /// The folder.
        path: PathBuf,
    },
}

impl From<FileError> for SiteError {
    fn from(FileError { action: _, path, source }: FileError) -> Self {
        Self::Io { path, source }
    }
}

/// The identity of this client, and the validity of its certificate.
#[derive(Clone)]
pub struct Credentials {
    /// Key and certificate.
    pub pair: KeyAndCertificate,
    /// Certificate of the authority to trust, PEM.
    pub ca_pem: String,
    /// The institution that the certificate names.
    pub institution: InstitutionName,
    /// Start of the certificate's validity.
    pub not_before: Timestamp,
    /// End of the certificate's validity.
    pub not_after: Timestamp,
    /// The key that submissions are signed with. Absent until the first renewal, where an earlier version
    /// has joined.
    pub signing_key: Option<SigningKey>,
    /// The coordinator's signing keys, as far as they are known.
    pub pinned: PinnedKeys,
}

impl Credentials {
    /// Whether less than a third of the certificate's lifetime from its issue is left, or no signing key is
    /// enrolled.
    #[must_use]
    pub fn due_for_renewal(&self, now: Timestamp) -> bool {
        self.signing_key.is_none() || self.is_ending(now)
    }

    fn is_ending(&self, now: Timestamp) -> bool {
        let lifetime = self.not_after.since(self.not_before).saturating_sub(BACKDATE);
        self.not_after.since(now) < lifetime / 3
    }
}

/// A state folder.
#[derive(Debug, Clone)]
pub struct Site(PathBuf);

impl Site {
    /// The folder at `path`; nothing is read yet.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The settings file.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.0.join("client.toml")
    }

    /// The site policy.
    #[must_use]
    pub fn policy(&self) -> PathBuf {
        self.0.join("policy.toml")
    }

    /// The folder of assignments.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    /// The folder of one assignment.
    #[must_use]
    pub fn folder(&self, assignment: &AssignmentId) -> PathBuf {
        self.work().join(assignment.to_string())
    }

    /// The folder of the site log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("site-log")
    }

    /// The folder of the heads' releases, with a folder for each job.
    #[must_use]
    pub fn releases(&self) -> PathBuf {
        self.0.join("releases")
    }

    /// The folder of the release of a job's head. It is kept from round to round.
    #[must_use]
    pub fn release(&self, job: &JobId) -> PathBuf {
        self.releases().join(job.as_str())
    }

    /// The file of what the encodings of a job's updates have dropped, of those with noise or of those without.
    #[must_use]
    pub fn dropped(&self, job: &JobId, noised: bool) -> PathBuf {
        let noise = if noised { "-noised" } else { "" };
        self.0.join("dropped").join(format!("{job}{noise}.safetensors"))
    }

    /// The folder of decoded samples, unless the settings name another one.
    #[must_use]
    pub fn samples(&self) -> PathBuf {
        self.0.join("samples")
    }

    /// Whether the folder holds an identity.
    ///
    /// # Errors
    /// If this user may not read it.
    pub fn is_joined(&self) -> Result<bool, SiteError> {
        match IdentityFiles(&self.0).exist() {
            Ok(there) => Ok(there),
            Err(error) => {
                // Whose it is says more than that it may not be read.
                check_owner(&self.0)?;
                Err(error.into())
            }
        }
    }

    /// Checks that the folder holds an identity.
    ///
    /// # Errors
    /// If it holds none, or this user may not read it.
    pub fn check_joined(&self) -> Result<(), SiteError> {
        if self.is_joined()? { Ok(()) } else { Err(SiteError::NotJoined { path: self.0.clone() }) }
    }

    /// Locks the folder for one daemon, until the lock is dropped or its process ends.
    ///
    /// # Errors
    /// If another daemon has it or the lock file cannot be made.
    pub fn lock(&self) -> Result<File, SiteError> {
        let path = self.0.join("lock");
        let file = File::create(&path).map_err(|source| SiteError::Io { path: path.clone(), source })?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(SiteError::Locked { path }),
            Err(TryLockError::Error(source)) => Err(SiteError::Io { path, source }),
        }
    }

    /// Whether a daemon has locked the folder. It is read from the system's table of locks: a try to lock it
    /// could be in the way of a daemon that starts at that instant.
    ///
    /// # Errors
    /// If the lock file or the table cannot be read.
    pub fn is_locked(&self) -> Result<bool, SiteError> {
        let path = self.0.join("lock");
        let found = match path.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            found => found.map_err(|source| SiteError::Io { path, source })?,
        };
        let table = PathBuf::from("/proc/locks");
        let locks = std::fs::read_to_string(&table);
        let locks = locks.map_err(|source| SiteError::Io { path: table, source })?;
        Ok(locks.lines().any(|line| is_lock_on(line, found.ino())))
    }

    /// Reads the identity.
    ///
    /// # Errors
    /// If there is none, or its files are not valid.
    pub fn credentials(&self) -> Result<Credentials, SiteError> {
        check_owner(&self.0)?;
        for secret in ["key.pem", "signing.key"] {
            check_owner(&self.0.join(secret))?;
        }
        check_private(&self.0)?;
        check_private(&self.0.join("key.pem"))?;
        self.check_joined()?;
        let (pair, ca_pem) = IdentityFiles(&self.0).read()?;
        let path = self.0.join("certificate.pem");
        let Certificate { identity, not_before, not_after, .. } = Certificate::of_pem(&pair.certificate_pem)
            .map_err(|_| SiteError::Invalid { path, reason: DAMAGED.to_owned() })?;
        let institution = identity.name;
        let signing_key = self.signing_key()?;
        let pinned = self.pinned_keys()?;
        Ok(Credentials { pair, ca_pem, institution, not_before, not_after, signing_key, pinned })
    }

    /// Replaces the identity; a crash leaves the old one or the new one, never a mixture.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn replace_identity(&self, pair: &KeyAndCertificate, ca_pem: &str) -> Result<(), SiteError> {
        Ok(IdentityFiles(&self.0).replace(pair, ca_pem)?)
    }

    /// Bytes sent since the folder was made.
    ///
    /// # Errors
    /// If the file holds something else.
    pub fn sent(&self) -> Result<ByteCounts, SiteError> {
        Ok(self.read_json("sent.json")?.unwrap_or_default())
    }

    /// Records bytes sent.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn record_sent(&self, sent: &ByteCounts) -> Result<(), SiteError> {
        self.write_json("sent.json", sent)
    }

    /// Writes a file atomically. Only its owner may read it.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), SiteError> {
        let path = self.0.join(name);
        write_atomically(&path, bytes).map_err(|source| SiteError::Io { path, source })
    }

    /// Reads a JSON file, if it exists.
    ///
    /// # Errors
    /// If it cannot be read or is not valid.
    pub fn read_json<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, SiteError> {
        let path = self.0.join(name);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(SiteError::Io { path, source }),
        };
        serde_json::from_str(&text).map(Some).map_err(|error| SiteError::Invalid {
            path,
            reason: format!("not in the format of this version ({error}); move it away to start again"),
        })
    }

    /// Writes a JSON file atomically.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), SiteError> {
        let bytes = serde_json::to_vec_pretty(value)
            .map_err(|error| SiteError::Invalid { path: self.0.join(name), reason: error.to_string() })?;
        self.write(name, &bytes)
    }
}

/// Whether a line of `/proc/locks` is an exclusive lock of `flock` on a file of this number. The device is not
/// compared: in a container, some file systems show another one there than to the program.
fn is_lock_on(line: &str, inode: u64) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, "FLOCK", _, "WRITE", _, file, ..] = words[..] else { return false };
    file.rsplit(':').next().and_then(|number| number.parse().ok()) == Some(inode)
}

#[cfg(test)]
mod tests;
