//! Keys and certificates of programs that call the coordinator, and the requests to certify them.
//!
//! ECDSA P-256 throughout. Private keys are never sent: a client sends a signing request, of which the
//! coordinator uses the public key only.

use std::time::Duration;

use eosfed_common::secret::Secret;
use rcgen::{CertificateParams, DnType, KeyPair};

/// The time by which certificates are backdated: an allowance for clocks that are behind the coordinator's,
/// or set to another time zone.
pub const BACKDATE: Duration = Duration::from_secs(86_400);

/// Why a key or a request cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a key: {0}")]
pub struct KeyError(#[from] rcgen::Error);

/// A private key with its certificate, both PEM.
#[derive(Clone)]
pub struct KeyAndCertificate {
    /// PKCS#8, PEM.
    pub key_pem: Secret,
    /// Certificate, PEM.
    pub certificate_pem: String,
}

/// A fresh private key and a request to certify it, both PEM.
pub struct KeyAndRequest {
    /// PKCS#8, PEM.
    pub key_pem: Secret,
    /// PKCS#10, PEM.
    pub request_pem: String,
}

impl KeyAndRequest {
    /// Makes a key and a request for `common_name`.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn generate(common_name: &str) -> Result<Self, KeyError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let request_pem = params.serialize_request(&key)?.pem()?;
        Ok(Self { key_pem: Secret::new(key.serialize_pem()), request_pem })
    }
}
