//! An intermediate whose key never travels: the coordinator's machine makes the key and asks for a certificate
//! (PKCS#10), and the machine of the root's key gives it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::private::{check_private, create_private_folder};
use eosfed_common::secret::Secret;
use eosfed_transport::authority::check_certificates;
use eosfed_transport::certificate::{ends_at, fingerprints};
use eosfed_transport::identity_files::Writes;
use eosfed_transport::keys::KeyAndCertificate;

use crate::pem_files::{put, read_pair, text};
use crate::settings::StateFolder;
use crate::tls::Authority;
use crate::tls::authority::{Certified, request_for};

/// Most bytes of a request.
const MAX_REQUEST: u64 = 16 * 1024;

/// The key of the intermediate that is asked for, in a state folder.
fn requested_key(state: &Path) -> PathBuf {
    state.join("ca").join("requested.key")
}

/// Makes the key of an intermediate in a state folder, which `init` may make later, and writes the request to
/// certify it. A repeated call asks for the same key, until that is installed. Gives the key's fingerprint.
///
/// # Errors
/// If the request exists, others can use the folder, or a file cannot be read or written.
pub fn request(state: &Path, out: &Path) -> anyhow::Result<Digest> {
    absent(out)?;
    check_private(state)?;
    let path = requested_key(state);
    let folder = path.parent().unwrap_or(state);
    create_private_folder(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let [present, _] = StateFolder(state.to_owned()).authority();
    let known = path.exists().then(|| secret(&path)).transpose()?;
    // A crash can have left the key that was installed.
    let installed = present.exists().then(|| secret(&present)).transpose()?;
    let known = known.filter(|key| installed.as_ref().is_none_or(|other| other.expose() != key.expose()));
    let key_pem = match known {
        Some(key_pem) => key_pem,
        None => {
            let fresh = Authority::new_key()?;
            put(&path, fresh.expose())?;
            fresh
        }
    };
    let (request_pem, key) =
        request_for(&key_pem).with_context(|| format!("the key in {} cannot be used", path.display()))?;
    put(out, &request_pem)?;
    Ok(key)
}

/// The key that a certificate without a key of its own is for.
///
/// # Errors
/// If none was made, or it cannot be read.
pub(crate) fn key_for(state: &Path, certificate_pem: String) -> anyhow::Result<KeyAndCertificate> {
    let path = requested_key(state);
    if !path.exists() {
        bail!(
            "there is no key for this certificate: name its file with --ca-key, or make one here with \
             `eosfed-coordinator ca request --state {} --out FILE`",
            state.display()
        );
    }
    Ok(KeyAndCertificate { key_pem: secret(&path)?, certificate_pem })
}

/// Removes the key that was asked for, after it was installed.
///
/// # Errors
/// If it cannot be removed.
pub(crate) fn installed(
    state: &Path,
    pair: &KeyAndCertificate,
    writes: &mut impl Writes,
) -> anyhow::Result<()> {
    let path = requested_key(state);
    if path.exists() && secret(&path)?.expose() == pair.key_pem.expose() {
        writes.remove(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// What was signed, for the person who has the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The name that the request asks for.
    pub asked: String,
    /// The name in the certificate.
    pub subject: String,
    /// SHA-256 of the key that was certified.
    pub key: Digest,
    /// SHA-256 of the certificate.
    pub fingerprint: Digest,
    /// The end of its validity.
    pub until: Timestamp,
}

/// Certifies the key of a request as an intermediate: a CA without others below it, valid for ten years or as
/// long as the root. Needs the root's folder only.
///
/// # Errors
/// If the request is none, is signed with another key or is too large, the root cannot sign it, or a file cannot
/// be read or written.
pub fn sign(root: &Path, request: &Path, out: &Path, now: Timestamp) -> anyhow::Result<Signed> {
    absent(out)?;
    let request_pem = text(request, MAX_REQUEST)?;
    let pair = read_pair(&root.join("key.pem"), &root.join("certificate.pem"))?;
    let named = || format!("the root in {}", root.display());
    let authority = Authority::open(&pair).with_context(named)?;
    let signed = authority.intermediate_for(&request_pem, now).with_context(|| {
        format!("{} is not a request to certify a key (PKCS#10, PEM) that can be signed", request.display())
    })?;
    let Certified { certificate_pem, asked, subject, key } = signed;
    if key == authority.key_fingerprint() {
        bail!(
            "{} asks to certify the root's own key {key}; an intermediate has another one",
            request.display()
        );
    }
    check_certificates(&certificate_pem, &pair.certificate_pem, now).with_context(named)?;
    put(out, &certificate_pem)?;
    let made = fingerprints(&certificate_pem).first().copied().zip(ends_at(&certificate_pem));
    let (fingerprint, until) = made.context("the certificate that was made is damaged")?;
    Ok(Signed { asked, subject, key, fingerprint, until })
}

fn absent(out: &Path) -> anyhow::Result<()> {
    if out.exists() {
        bail!("{} exists already; nothing was changed. Name another file", out.display());
    }
    Ok(())
}

fn secret(path: &Path) -> anyhow::Result<Secret> {
    check_private(path)?;
    let key = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Secret::new(key))
}
