//! The files of the certificate authority in a state folder.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use eosfed_common::secret::Secret;
use eosfed_common::service;
use eosfed_transport::identity_files::{IdentityFiles, Writes};
use eosfed_transport::keys::KeyAndCertificate;

use crate::settings::StateFolder;
use crate::tls::Authority;

/// The credential (`LoadCredential=`) that may hold the authority's key in the place of a file.
const CREDENTIAL: &str = "ca-key.pem";

/// Reads the authority of a state folder. One of an earlier version has no `ca.pem`.
///
/// # Errors
/// If a file is missing or damaged.
pub(crate) fn open(state: &StateFolder) -> anyhow::Result<Authority> {
    let [key, certificate] = state.authority();
    let folder = key.parent().unwrap_or(&state.0);
    let files = IdentityFiles(folder);
    let (pair, bundle_pem) = if let Some(given) = service::credential(CREDENTIAL) {
        with_given_key(folder, &key, &given)?
    } else if folder.join("ca.pem").exists() || folder.join("identity.new").exists() {
        files.read()?
    } else {
        let certificate_pem = read(&certificate)?;
        let key_pem = Secret::new(read(&key)?);
        (KeyAndCertificate { key_pem, certificate_pem: certificate_pem.clone() }, certificate_pem)
    };
    let authority = Authority::open(&pair).with_context(|| format!("{} is damaged", key.display()))?;
    Ok(authority.with_bundle(bundle_pem))
}

/// The authority of a folder whose key the service manager has given.
fn with_given_key(folder: &Path, key: &Path, given: &Path) -> anyhow::Result<(KeyAndCertificate, String)> {
    if key.exists() {
        bail!(
            "the authority's key is given as the credential `{CREDENTIAL}`, and {} is there too; remove one of them",
            key.display()
        );
    }
    let key_pem = Secret::new(read(given)?);
    let certificate_pem = read(&folder.join("certificate.pem"))?;
    Ok((KeyAndCertificate { key_pem, certificate_pem }, read(&folder.join("ca.pem"))?))
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes key and certificates of an authority; a crash leaves the ones before or these.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn write(
    state: &StateFolder,
    pair: &KeyAndCertificate,
    bundle_pem: &str,
    writes: &mut impl Writes,
) -> anyhow::Result<()> {
    let [key, _] = state.authority();
    Ok(IdentityFiles(key.parent().unwrap_or(&state.0)).replace_by(writes, pair, bundle_pem)?)
}
