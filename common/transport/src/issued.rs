//! A certificate that a coordinator has answered with, verified before anything is replaced by it: an answer
//! may be damaged, or for somebody else, or of another authority.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::identity::{Identity, NoIdentity};
use rcgen::{KeyPair, PublicKeyData as _};
use x509_parser::pem::Pem;
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate};

use crate::certificate::Certificate;
use crate::keys::KeyAndCertificate;

/// Most bytes of the certificates of authorities in an answer.
const MAX_AUTHORITIES: usize = 16 * 1024;

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
    let Certificate { identity, fingerprint, issuer: _, not_before, not_after } = &certificate;
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
    if !is_signed_by_one_of(&pair.certificate_pem, trusted_ca_pem) {
        return Err(NotAccepted::Authority);
    }
    if now < *not_before || now >= *not_after {
        return Err(NotAccepted::Time { from: *not_before, to: *not_after, now });
    }
    Ok(certificate)
}

/// A certificate that was received and is used, and the certificates of the authority to trust from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The certificate.
    pub certificate: Certificate,
    /// PEM.
    pub ca_pem: String,
}

/// As [`verify`], for an answer that names the certificates of the authority: while an authority is replaced
/// by another one, those of both, and the new one signed by the old one; with an intermediate, that and its
/// root. An authority is trusted if it is trusted already, or if one that is trusted has signed its key.
/// Whoever answers can thus only name an authority that the trusted one has chosen. Only self-signed
/// certificates are kept: an intermediate counts as long as its root has signed it and it is valid.
///
/// # Errors
/// As there.
pub fn accept(
    pair: &KeyAndCertificate,
    answered_ca_pem: &str,
    expected: &Identity,
    trusted_ca_pem: &str,
    now: Timestamp,
) -> Result<Accepted, NotAccepted> {
    let next = successors(answered_ca_pem, trusted_ca_pem, now);
    let signers = if next.is_empty() { trusted_ca_pem } else { &next };
    let certificate = verify(pair, expected, signers, now)?;
    let roots = own_and_signed_by_others(&next).0.concat();
    let ca_pem = if roots.is_empty() { trusted_ca_pem.to_owned() } else { roots };
    Ok(Accepted { certificate, ca_pem })
}

/// The certificates of authorities in an answer that may be trusted, PEM.
fn successors(answered_ca_pem: &str, trusted_ca_pem: &str, now: Timestamp) -> String {
    if answered_ca_pem.len() > MAX_AUTHORITIES {
        return String::new();
    }
    let (trusted, answered) = (blocks(trusted_ca_pem), blocks(answered_ca_pem));
    let (trusted, answered) = (authorities(&trusted, now), authorities(&answered, now));
    let mut keys: BTreeSet<&[u8]> = trusted.iter().map(|(ca, _)| ca.public_key().raw).collect();
    for (ca, _) in &answered {
        if trusted.iter().any(|(signer, _)| is_signed_by(ca, signer)) {
            keys.insert(ca.public_key().raw);
        }
    }
    let next = answered.iter().filter(|(ca, _)| keys.contains(ca.public_key().raw));
    next.map(|(_, der)| armored(der)).collect()
}

/// The certificates in a PEM text that authorities have for themselves, and those that others have signed, both
/// PEM.
#[must_use]
pub fn own_and_signed_by_others(ca_pem: &str) -> (Vec<String>, Vec<String>) {
    let blocks = blocks(ca_pem);
    let read = blocks.iter().filter_map(|der| Some((X509Certificate::from_der(der).ok()?.1, der)));
    let (own, others): (Vec<_>, Vec<_>) = read.partition(|(ca, _)| is_self_signed(ca));
    let text =
        |list: Vec<(X509Certificate<'_>, &Vec<u8>)>| list.iter().map(|(_, der)| armored(der)).collect();
    (text(own), text(others))
}

/// A certificate as PEM.
fn armored(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned() + "\n");
    format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", lines.collect::<String>())
}

/// Whether a certificate is signed by its own key, under its own name.
pub(crate) fn is_self_signed(ca: &X509Certificate<'_>) -> bool {
    ca.subject() == ca.issuer() && ca.verify_signature(None).is_ok()
}

/// The contents of the certificates in a PEM text.
pub(crate) fn blocks(pem: &str) -> Vec<Vec<u8>> {
    let blocks = Pem::iter_from_buffer(pem.as_bytes()).filter_map(Result::ok);
    blocks.filter(|block| block.label == "CERTIFICATE").map(|block| block.contents).collect()
}

/// Those that are of authorities which may sign now, each with its bytes.
fn authorities(blocks: &[Vec<u8>], now: Timestamp) -> Vec<(X509Certificate<'_>, &[u8])> {
    let read = |der| X509Certificate::from_der(der).ok().map(|(_, certificate)| (certificate, der));
    let may_sign = |ca: &X509Certificate<'_>| {
        let seconds = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX);
        let in_time = ASN1Time::from_timestamp(seconds).is_ok_and(|now| ca.validity().is_valid_at(now));
        let usage = ca.key_usage().ok().flatten();
        ca.is_ca() && in_time && usage.is_none_or(|usage| usage.value.key_cert_sign())
    };
    blocks.iter().map(Vec::as_slice).filter_map(read).filter(|(ca, _)| may_sign(ca)).collect()
}

/// Whether a certificate is signed by the key of an authority.
fn is_signed_by(certificate: &X509Certificate<'_>, ca: &X509Certificate<'_>) -> bool {
    ca.is_ca() && certificate.verify_signature(Some(ca.public_key())).is_ok()
}

/// Whether the first certificate in one PEM text is signed by an authority in the other.
fn is_signed_by_one_of(certificate_pem: &str, ca_pem: &str) -> bool {
    let (certificate, cas) = (blocks(certificate_pem), blocks(ca_pem));
    let Some(Ok((_, certificate))) = certificate.first().map(|der| X509Certificate::from_der(der)) else {
        return false;
    };
    let cas = cas.iter().filter_map(|der| X509Certificate::from_der(der).ok());
    cas.into_iter().any(|(_, ca)| is_signed_by(&certificate, &ca))
}
