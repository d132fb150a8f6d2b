//! An authority whose root lies elsewhere: members pin the root, the coordinator's machine has an intermediate
//! only. The root is an institution's own CA, or one that `eosfed-coordinator ca create-root` made on an
//! offline machine.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::files::write_atomically;
use eosfed_common::private::{check_private, create_private_folder};
use eosfed_common::secret::Secret;
use eosfed_transport::authority::check;
use eosfed_transport::certificate::{ends_at, fingerprints};
use eosfed_transport::keys::KeyAndCertificate;

use crate::tls::Authority;

/// Most bytes of a key or a certificate.
const MAX_FILE: u64 = 64 * 1024;

/// An authority to sign with, and the root that members pin: the same certificate if it is self-signed.
pub struct Given {
    /// Its key and its own certificate.
    pub pair: KeyAndCertificate,
    /// The root's certificate, PEM.
    pub root_pem: String,
}

impl Given {
    /// A new authority, which is its own root.
    ///
    /// # Errors
    /// If the system has no randomness or `now` is absurd.
    pub fn fresh(now: Timestamp) -> anyhow::Result<Self> {
        let pair = Authority::create(now)?;
        Ok(Self { root_pem: pair.certificate_pem.clone(), pair })
    }

    /// All its certificates, PEM.
    #[must_use]
    pub fn bundle_pem(&self) -> String {
        let Self { pair, root_pem } = self;
        if *root_pem == pair.certificate_pem {
            return root_pem.clone();
        }
        format!("{}\n{root_pem}", pair.certificate_pem)
    }
}

/// Where an authority that somebody else made lies.
#[derive(Debug, Clone, Args)]
pub struct AuthorityFiles {
    /// Certificate of the authority to sign with, PEM: an intermediate for this coordinator only
    #[arg(long, value_name = "FILE", requires = "ca_key")]
    pub ca_cert: Option<PathBuf>,
    /// Its key: PKCS#8 in PEM without a password, mode 0600
    #[arg(long, value_name = "FILE", requires = "ca_cert")]
    pub ca_key: Option<PathBuf>,
    /// Certificate of the root that has signed it, which members pin [default: --ca-cert, self-signed]
    #[arg(long, value_name = "FILE", requires = "ca_cert")]
    pub ca_root: Option<PathBuf>,
}

impl AuthorityFiles {
    /// Reads and checks the authority that the files name; none if they name none.
    ///
    /// # Errors
    /// With the rule that does not hold.
    pub fn read(&self, now: Timestamp) -> anyhow::Result<Option<Given>> {
        let Self { ca_cert: Some(certificate), ca_key: Some(key), ca_root } = self else { return Ok(None) };
        let root_pem = text(ca_root.as_ref().unwrap_or(certificate))?;
        read_given(key, certificate, &root_pem, now).map(Some)
    }
}

/// Where another intermediate of the same root lies.
#[derive(Debug, Clone, Args)]
pub struct NewIntermediate {
    /// Certificate of the new intermediate, PEM; the root that members have pinned has signed it
    #[arg(long, value_name = "FILE")]
    pub ca_cert: PathBuf,
    /// Its key: PKCS#8 in PEM without a password, mode 0600
    #[arg(long, value_name = "FILE")]
    pub ca_key: PathBuf,
}

impl NewIntermediate {
    /// Reads it, and checks that this root has signed it.
    ///
    /// # Errors
    /// With the rule that does not hold.
    pub fn read(&self, root_pem: &str, now: Timestamp) -> anyhow::Result<Given> {
        read_given(&self.ca_key, &self.ca_cert, root_pem, now)
    }
}

fn read_given(key: &Path, certificate: &Path, root_pem: &str, now: Timestamp) -> anyhow::Result<Given> {
    let given = Given { pair: read_pair(key, certificate)?, root_pem: root_pem.to_owned() };
    let named = || format!("{} with {} cannot be the authority", certificate.display(), key.display());
    check(&given.pair, &given.root_pem, now).with_context(named)?;
    Ok(given)
}

/// What was made, for the person who has made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// SHA-256 of the certificate.
    pub fingerprint: Digest,
    /// The end of its validity.
    pub until: Timestamp,
}

/// Makes a root: `key.pem` and `certificate.pem` in a folder that only its owner can use.
///
/// # Errors
/// If the folder has a key already, others can use it, or a file cannot be written.
pub fn create_root(out: &Path, now: Timestamp) -> anyhow::Result<Made> {
    write(out, &Authority::create_root(now)?)
}

/// Makes an intermediate of a root: `key.pem`, `certificate.pem` and the root's certificate, `root.pem`.
///
/// # Errors
/// If the root cannot sign one, the folder has a key already, or a file cannot be written.
pub fn create_intermediate(root: &Path, out: &Path, now: Timestamp) -> anyhow::Result<Made> {
    let pair = read_pair(&root.join("key.pem"), &root.join("certificate.pem"))?;
    let authority = Authority::open(&pair).with_context(|| format!("the root in {}", root.display()))?;
    let root_pem = pair.certificate_pem;
    let made = authority.intermediate(now)?;
    check(&made, &root_pem, now).with_context(|| format!("the root in {}", root.display()))?;
    let written = write(out, &made)?;
    put(&out.join("root.pem"), &root_pem)?;
    Ok(written)
}

fn write(out: &Path, pair: &KeyAndCertificate) -> anyhow::Result<Made> {
    let key = out.join("key.pem");
    if key.exists() {
        bail!("{} exists already; nothing was changed. Name another folder", key.display());
    }
    check_private(out)?;
    create_private_folder(out).with_context(|| format!("cannot make {}", out.display()))?;
    put(&key, pair.key_pem.expose())?;
    put(&out.join("certificate.pem"), &pair.certificate_pem)?;
    let fingerprint = fingerprints(&pair.certificate_pem).first().copied();
    let made = fingerprint.zip(ends_at(&pair.certificate_pem));
    let (fingerprint, until) = made.context("the certificate that was made is damaged")?;
    Ok(Made { fingerprint, until })
}

fn put(path: &Path, pem: &str) -> anyhow::Result<()> {
    // Temporary files are readable by their owner only, and keep that when they are renamed.
    write_atomically(path, pem.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

fn read_pair(key: &Path, certificate: &Path) -> anyhow::Result<KeyAndCertificate> {
    check_private(key)?;
    Ok(KeyAndCertificate { key_pem: Secret::new(text(key)?), certificate_pem: text(certificate)? })
}

fn text(path: &Path) -> anyhow::Result<String> {
    let failed = || format!("cannot read {}", path.display());
    let mut text = String::new();
    let file = fs::File::open(path).with_context(failed)?;
    file.take(MAX_FILE + 1).read_to_string(&mut text).with_context(failed)?;
    if text.len() as u64 > MAX_FILE {
        bail!("{} has more than {MAX_FILE} bytes, which no key or certificate has", path.display());
    }
    Ok(text)
}
