//! Reading a backup, encrypted or not.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use age::{DecryptError, Decryptor, IdentityFile};
use anyhow::{Context as _, anyhow, bail};
use eosfed_common::digest::Digest;
use eosfed_common::private::check_private;

use super::copy;
use super::layout::{MANIFEST, SUFFIX};

/// The folder of a backup.
pub(super) struct Origin {
    folder: PathBuf,
    /// What decrypts it, if it is encrypted.
    key: Option<Key>,
}

/// The private keys of a file that age-keygen(1) or `eosfed-coordinator backup-key` has made.
struct Key {
    path: PathBuf,
    identities: Vec<Box<dyn age::Identity + Send + Sync>>,
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({})", self.path.display())
    }
}

impl Key {
    fn read(path: &Path) -> anyhow::Result<Self> {
        check_private(path)?;
        let wrong = || format!("{} is not a file of private age keys", path.display());
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let identities = IdentityFile::from_buffer(BufReader::new(file)).with_context(wrong)?;
        let identities = identities.into_identities().with_context(wrong)?;
        if identities.is_empty() {
            bail!("{} holds no private key", path.display());
        }
        Ok(Self { path: path.to_owned(), identities })
    }
}

impl Origin {
    /// Opens the backup in `folder`, with the file of the private key if it is encrypted.
    ///
    /// # Errors
    /// If there is no backup in the folder, it is encrypted and there is no key, or the key file is not one.
    pub(super) fn open(folder: &Path, key: Option<&Path>) -> anyhow::Result<Self> {
        let there = |name: &str| folder.join(name).exists();
        let encrypted = there(&format!("{MANIFEST}{SUFFIX}"));
        if !encrypted && !there(MANIFEST) {
            bail!(
                "{} has no `{MANIFEST}`: it is not a backup, or one that was interrupted; use another, and make \
                 backups with `eosfed-coordinator backup`",
                folder.display()
            );
        }
        let key = match (encrypted, key) {
            (false, _) => None,
            (true, Some(path)) => Some(Key::read(path)?),
            (true, None) => {
                bail!("{} is encrypted; name the file of its private key with `--key FILE`", folder.display())
            }
        };
        Ok(Self { folder: folder.to_owned(), key })
    }

    /// The folder of the backup.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file that holds `name`.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        let encrypted = self.key.is_some();
        self.folder.join(if encrypted { format!("{name}{SUFFIX}") } else { name.to_owned() })
    }

    /// Whether the file of `name` can hold `size` bytes. If it cannot: why.
    pub(super) fn holds(&self, name: &str, size: u64) -> Result<(), String> {
        let found = self.path(name).metadata().map_err(|error| error.to_string())?.len();
        // An encrypted file is longer than what it holds; whether it is whole is found by decrypting it.
        let right = if self.key.is_some() { found > size } else { found == size };
        if right { Ok(()) } else { Err(format!("has {found} of {size} bytes")) }
    }

    /// What the file of `name` holds.
    ///
    /// # Errors
    /// If it cannot be read, or the key does not decrypt it.
    pub(super) fn read(&self, name: &str) -> anyhow::Result<Box<dyn Read + '_>> {
        let path = self.path(name);
        let file = File::open(&path).with_context(|| format!("the backup lacks {}", path.display()))?;
        let Some(key) = &self.key else { return Ok(Box::new(file)) };
        let identities = key.identities.iter().map(|identity| &**identity as &dyn age::Identity);
        let opened = Decryptor::new_buffered(BufReader::new(file)).and_then(|file| file.decrypt(identities));
        match opened {
            Ok(reader) => Ok(Box::new(reader)),
            Err(DecryptError::NoMatchingKeys) => Err(anyhow!(
                "{} is encrypted to another key than that in {}; name its own with `--key FILE`",
                path.display(),
                key.path.display()
            )),
            Err(error) => {
                Err(error).with_context(|| format!("{} is damaged; use another backup", path.display()))
            }
        }
    }

    /// The digest of what the file of `name` holds. `report` is called for each piece.
    pub(super) fn digest(&self, name: &str, report: &mut dyn FnMut(u64)) -> anyhow::Result<Digest> {
        let poured = copy::pour(&mut self.read(name)?, &mut io::sink(), report);
        let (digest, _) = poured.with_context(|| self.damaged(name))?;
        Ok(digest)
    }

    /// Writes what the file of `name` holds to a new file, durably; gives its digest. `report` is called for each
    /// piece.
    pub(super) fn copy(&self, name: &str, to: &Path, report: &mut dyn FnMut(u64)) -> anyhow::Result<Digest> {
        if self.key.is_none() {
            return Ok(copy::copy(&self.path(name), to, report)?.0);
        }
        let mut target = copy::new_file(to).with_context(|| format!("cannot make {}", to.display()))?;
        let poured = copy::pour(&mut self.read(name)?, &mut target, report);
        let (digest, _) = poured.with_context(|| self.damaged(name))?;
        target.sync_all().with_context(|| format!("cannot write {}", to.display()))?;
        Ok(digest)
    }

    fn damaged(&self, name: &str) -> String {
        format!("{} cannot be read to its end; use another backup", self.path(name).display())
    }
}
