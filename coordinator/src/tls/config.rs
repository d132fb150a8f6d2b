//! What the server offers in a handshake, and which certificates it accepts.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use eosfed_transport::keys::KeyAndCertificate;

/// Why a server cannot offer TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM text holds no such thing.
    #[error("cannot read the {what} from PEM: {reason}")]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// What the parser said.
        reason: String,
    },
    /// rustls refuses the combination.
    #[error("tls: {0}")]
    Rustls(#[from] rustls::Error),
    /// The authority's certificate cannot verify clients.
    #[error("client certificates cannot be verified: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// The server's TLS configuration, replaceable while serving.
#[derive(Clone)]
pub struct ServerTls(Arc<ArcSwap<ServerConfig>>);

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}

impl ServerTls {
    /// TLS with this key and certificate, verifying clients against the authority.
    ///
    /// # Errors
    /// If any of the PEM texts cannot be used.
    pub fn new(server: &KeyAndCertificate, ca_pem: &str) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(config(server, ca_pem)?))))
    }

    /// Uses another key and certificate for connections from now on.
    ///
    /// # Errors
    /// As [`ServerTls::new`]; the old one then stays.
    pub fn replace(&self, server: &KeyAndCertificate, ca_pem: &str) -> Result<(), TlsError> {
        self.0.store(Arc::new(config(server, ca_pem)?));
        Ok(())
    }

    /// The configuration for the next handshake.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.0.load_full()
    }
}

fn config(server: &KeyAndCertificate, ca_pem: &str) -> Result<ServerConfig, TlsError> {
    let pem =
        |what| move |error: rustls_pki_types::pem::Error| TlsError::Pem { what, reason: error.to_string() };
    let chain = CertificateDer::pem_slice_iter(server.certificate_pem.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(pem("certificate"))?;
    let key =
        PrivateKeyDer::from_pem_slice(server.key_pem.expose().as_bytes()).map_err(pem("private key"))?;
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(authority.map_err(pem("authority"))?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
