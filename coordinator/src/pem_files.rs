//! Files of keys, certificates and requests, PEM.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use eosfed_common::files::write_atomically;
use eosfed_common::private::check_private;
use eosfed_common::secret::Secret;
use eosfed_transport::keys::KeyAndCertificate;

/// Most bytes of a key or a certificate.
pub(crate) const MAX_FILE: u64 = 64 * 1024;

/// Writes a file of PEM.
pub(crate) fn put(path: &Path, pem: &str) -> anyhow::Result<()> {
    // Temporary files are readable by their owner only, and keep that when they are renamed.
    write_atomically(path, pem.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

/// Reads a key, which nobody but its owner may use, and its certificate.
pub(crate) fn read_pair(key: &Path, certificate: &Path) -> anyhow::Result<KeyAndCertificate> {
    check_private(key)?;
    let key_pem = Secret::new(text(key, MAX_FILE)?);
    Ok(KeyAndCertificate { key_pem, certificate_pem: text(certificate, MAX_FILE)? })
}

/// The text of a file of at most so many bytes.
pub(crate) fn text(path: &Path, most: u64) -> anyhow::Result<String> {
    let failed = || format!("cannot read {}", path.display());
    let mut text = String::new();
    let file = fs::File::open(path).with_context(failed)?;
    file.take(most + 1).read_to_string(&mut text).with_context(failed)?;
    if text.len() as u64 > most {
        bail!("{} has more than {most} bytes, which no key, certificate or request has", path.display());
    }
    Ok(text)
}
