//! An authority whose root lies elsewhere: members pin the root, the coordinator's machine has an intermediate
//! only. The root is an institution's own CA, or one that `eosfed-coordinator ca create-root` made on an
//! offline machine.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::private::{check_private, create_private_folder};
use eosfed_transport::authority::check;
use eosfed_transport::certificate::{ends_at, fingerprints};
use eosfed_transport::keys::KeyAndCertificate;

use crate::ca_request::key_for;
use crate::pem_files::{MAX_FILE, put, read_pair, text};
use crate::tls::Authority;

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
    #[arg(long, value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,
    /// Its key: PKCS#8 in PEM without a password, mode 0600 [default: the one that `ca request` has made]
    #[arg(long, value_name = "FILE", requires = "ca_cert")]
    pub ca_key: Option<PathBuf>,
    /// Certificate of the root that has signed it, which members pin [default: --ca-cert, self-signed]
    #[arg(long, value_name = "FILE", requires = "ca_cert")]
    pub ca_root: Option<PathBuf>,
}

impl AuthorityFiles {
    /// Reads and checks the authority that the files name; none if they name none. A key that they do not name
    /// is the one that was made in the state folder.
    ///
    /// # Errors
    /// With the rule that does not hold.
    pub fn read(&self, state: &Path, now: Timestamp) -> anyhow::Result<Option<Given>> {
        let Self { ca_cert: Some(certificate), ca_key, ca_root } = self else { return Ok(None) };
        let root_pem = text(ca_root.as_ref().unwrap_or(certificate), MAX_FILE)?;
        read_given(state, (ca_key.as_deref(), certificate), &root_pem, now).map(Some)
    }
}

/// Where another intermediate of the same root lies.
#[derive(Debug, Clone, Args)]
pub struct NewIntermediate {
    /// Certificate of the new intermediate, PEM; the root that members have pinned has signed it
    #[arg(long, value_name = "FILE")]
    pub ca_cert: PathBuf,
    /// Its key: PKCS#8 in PEM without a password, mode 0600 [default: the one that `ca request` has made]
    #[arg(long, value_name = "FILE")]
    pub ca_key: Option<PathBuf>,
}

impl NewIntermediate {
    /// Reads it, and checks that this root has signed it. A key that is not named is the one that was made in
    /// the state folder.
    ///
    /// # Errors
    /// With the rule that does not hold.
    pub fn read(&self, state: &Path, root_pem: &str, now: Timestamp) -> anyhow::Result<Given> {
        read_given(state, (self.ca_key.as_deref(), &self.ca_cert), root_pem, now)
    }
}

fn read_given(
    state: &Path,
    (key, certificate): (Option<&Path>, &Path),
    root_pem: &str,
    now: Timestamp,
) -> anyhow::Result<Given> {
    let pair = match key {
        Some(key) => read_pair(key, certificate)?,
        None => key_for(state, text(certificate, MAX_FILE)?)?,
    };
    let named = || {
        let key = key.map_or_else(|| "the key of `ca request`".to_owned(), |key| key.display().to_string());
        format!("{} with {key} cannot be the authority", certificate.display())
    };
    check(&pair, root_pem, now).with_context(named)?;
    Ok(Given { pair, root_pem: root_pem.to_owned() })
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
