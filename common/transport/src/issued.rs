//! A certificate that a coordinator has answered with, verified before anything is replaced by it: an answer
//! may be damaged, or for somebody else, or of another authority.

use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::identity::{Identity, NoIdentity};
use rcgen::{KeyPair, PublicKeyData as _};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::certificate::Certificate;
use crate::keys::KeyAndCertificate;

/// Why a certificate that was received is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAccepted {
    /// It is no certificate of this system.
    #[error("the coordinator has answered with no certificate of this system: {0}")]
    Unreadable(#[from] NoIdentity),
    /// It is for another holder.
    #[error("the certificate received is for {found}, expected {expected}", found = .found.shown(), expected = .expected.shown())]
    Holder {
        /// The holder that it names.
        found: Box<Identity>,
        /// Who asked.
        expected: Box<Identity>,
    },
    /// It is for another key.
    #[error("the certificate received is for another key ({found}) than the one that was made ({made})")]
    Key {
        /// The fingerprint of its key.
        found: Digest,
        /// The fingerprint of the key that was made here.
        made: Digest,
    },
    /// The key that was made here cannot be read.
    #[error("the key that was made cannot be read: {0}")]
    OwnKey(String),
    /// Another authority than the trusted one has signed it.
    #[error("the certificate received is not signed by the authority that this identity trusts")]
    Authority,
    /// It is not valid now.
    #[error(
        "the certificate received is valid from {from} to {to}, and this machine's clock says {now}; set the \
         clock that is wrong"
    )]
    Time {
        /// Start of its validity.
        from: Timestamp,
        /// End of its validity.
        to: Timestamp,
        /// The time here.
        now: Timestamp,
    },
}

/// Reads a certificate that was received, and checks that it is for this holder and this key, signed by the
/// trusted authority, and valid now.
///
/// # Errors
/// The first of these that does not hold.
pub fn verify(
    pair: &KeyAndCertificate,
    expected: &Identity,
    trusted_ca_pem: &str,
    now: Timestamp,
) -> Result<Certificate, NotAccepted> {
    let certificate = Certificate::of_pem(&pair.certificate_pem)?;
    let Certificate { identity, fingerprint, not_before, not_after } = &certificate;
    if identity != expected {
        let (found, expected) = (Box::new(identity.clone()), Box::new(expected.clone()));
        return Err(NotAccepted::Holder { found, expected });
    }
    let key =
        KeyPair::from_pem(pair.key_pem.expose()).map_err(|error| NotAccepted::OwnKey(error.to_string()))?;
    let made = Digest::of(&key.subject_public_key_info());
    if *fingerprint != made {
        return Err(NotAccepted::Key { found: *fingerprint, made });
    }
    if !is_signed_by(&pair.certificate_pem, trusted_ca_pem) {
        return Err(NotAccepted::Authority);
    }
    if now < *not_before || now >= *not_after {
        return Err(NotAccepted::Time { from: *not_before, to: *not_after, now });
    }
    Ok(certificate)
}

/// Whether the certificate in one PEM text is signed by the authority in the other.
fn is_signed_by(certificate_pem: &str, ca_pem: &str) -> bool {
    let contents =
        |pem: &str| x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok().map(|(_, pem)| pem.contents);
    let (Some(certificate), Some(ca)) = (contents(certificate_pem), contents(ca_pem)) else { return false };
    let (Ok((_, certificate)), Ok((_, ca))) =
        (X509Certificate::from_der(&certificate), X509Certificate::from_der(&ca))
    else {
        return false;
    };
    ca.is_ca() && certificate.verify_signature(Some(ca.public_key())).is_ok()
}
