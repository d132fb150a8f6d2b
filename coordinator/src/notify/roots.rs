//! The authorities that certificates of webhooks are verified by.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// TLS that trusts the authorities of this file, or those of the system.
///
/// # Errors
/// If there is no authority.
pub(super) fn tls(ca_file: Option<&Path>) -> anyhow::Result<Arc<ClientConfig>> {
    let roots = match ca_file {
        Some(path) => of_file(path).with_context(|| format!("`ca_file` {}", path.display()))?,
        None => of_system()?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn of_file(path: &Path) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for one in CertificateDer::pem_file_iter(path)? {
        roots.add(one?)?;
    }
    if roots.is_empty() {
        bail!("it has no certificate");
    }
    Ok(roots)
}

fn of_system() -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // A store of many authorities may have one that this library does not read.
    let _ = roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        bail!("this system has no certificate authorities; install ca-certificates or set `ca_file`");
    }
    Ok(roots)
}
