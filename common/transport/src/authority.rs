//! Whether somebody else's certificates can be the authority of a coordinator: a root that members pin, and
//! an intermediate of it that the coordinator signs with; or one self-signed authority for both.

use std::time::Duration;

use eosfed_common::clock::Timestamp;
use rcgen::{KeyPair, PublicKeyData as _};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::certificate::validity_of;
use crate::issued::{blocks, is_self_signed};
use crate::keys::KeyAndCertificate;

/// Least time that an authority must be valid for from now.
pub const LEAST_TIME_LEFT: Duration = Duration::from_secs(30 * 86_400);

/// Why certificates and a key cannot be a coordinator's authority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A file has none or several.
    #[error("the file of {what} holds {found} certificates, expected 1 (PEM)")]
    Count {
        /// Which certificate.
        what: &'static str,
        /// How many there are.
        found: usize,
    },
    /// It cannot be parsed.
    #[error("{0} is damaged")]
    Damaged(&'static str),
    /// It does not say that it is an authority.
    #[error("{0} is not of a CA: its basic constraints do not say `CA:TRUE`")]
    NotCa(&'static str),
    /// Its key usage leaves out signing.
    #[error("{0} may not sign certificates: its key usage leaves out `keyCertSign`")]
    MayNotSign(&'static str),
    /// Its extended key usage leaves out what its certificates are for.
    #[error(
        "{0} limits its certificates: its extended key usage needs `serverAuth` and `clientAuth`, or none"
    )]
    Purpose(&'static str),
    /// The root allows no intermediate.
    #[error("the root allows no intermediate: its path length is {0}, expected 1 or more, or none")]
    PathLength(u32),
    /// The root is signed by another one.
    #[error("{0} is not self-signed; name the root that has signed it with --ca-root")]
    NotSelfSigned(&'static str),
    /// The root has not signed the intermediate.
    #[error("the authority's certificate is not signed by the root that was given")]
    Signature,
    /// It is not valid long enough.
    #[error(
        "{what} is valid from {from} to {to}, and it is {now}; it must be valid now and for 30 days more"
    )]
    Time {
        /// Which certificate.
        what: &'static str,
        /// Start of its validity.
        from: Timestamp,
        /// End of its validity.
        to: Timestamp,
        /// The time here.
        now: Timestamp,
    },
    /// The key cannot be read or is of an unknown type.
    #[error(
        "the authority's key cannot be used: {0}; expected PKCS#8 in PEM without a password, ECDSA P-256 or P-384, \
         Ed25519 or RSA"
    )]
    Key(String),
    /// The key belongs to another certificate.
    #[error("the authority's key is not the key of its certificate")]
    OtherKey,
}

const AUTHORITY: &str = "the authority's certificate";
const ROOT: &str = "the root's certificate";

/// Checks a key with its certificate, and the root that has signed it: the same certificate where a self-signed
/// authority is given.
///
/// # Errors
/// The first rule that does not hold.
pub fn check(pair: &KeyAndCertificate, root_pem: &str, now: Timestamp) -> Result<(), Unfit> {
    check_certificates(&pair.certificate_pem, root_pem, now)?;
    let own = only(AUTHORITY, &pair.certificate_pem)?;
    let key = KeyPair::from_pem(pair.key_pem.expose()).map_err(|error| Unfit::Key(error.to_string()))?;
    if key.subject_public_key_info() != parsed(AUTHORITY, &own)?.public_key().raw {
        return Err(Unfit::OtherKey);
    }
    Ok(())
}

/// Checks the certificate of an authority whose key is elsewhere, and the root that has signed it.
///
/// # Errors
/// The first rule that does not hold.
pub fn check_certificates(own_pem: &str, root_pem: &str, now: Timestamp) -> Result<(), Unfit> {
    let (own, root) = (only(AUTHORITY, own_pem)?, only(ROOT, root_pem)?);
    let what = if own == root { AUTHORITY } else { ROOT };
    let (ca, root_ca) = (parsed(AUTHORITY, &own)?, parsed(what, &root)?);
    may_sign(AUTHORITY, &ca, now)?;
    may_sign(what, &root_ca, now)?;
    if !is_self_signed(&root_ca) {
        return Err(Unfit::NotSelfSigned(what));
    }
    if own != root {
        if ca.issuer() != root_ca.subject() || ca.verify_signature(Some(root_ca.public_key())).is_err() {
            return Err(Unfit::Signature);
        }
        let constraints = root_ca.basic_constraints().ok().flatten();
        if let Some(0) = constraints.and_then(|found| found.value.path_len_constraint) {
            return Err(Unfit::PathLength(0));
        }
    }
    Ok(())
}

fn only(what: &'static str, pem: &str) -> Result<Vec<u8>, Unfit> {
    let found = blocks(pem);
    match <[Vec<u8>; 1]>::try_from(found) {
        Ok([der]) => Ok(der),
        Err(found) => Err(Unfit::Count { what, found: found.len() }),
    }
}

fn parsed<'a>(what: &'static str, der: &'a [u8]) -> Result<X509Certificate<'a>, Unfit> {
    X509Certificate::from_der(der).map(|(_, certificate)| certificate).map_err(|_| Unfit::Damaged(what))
}

/// Whether a certificate is of an authority that may sign members and servers, now and for a while.
fn may_sign(what: &'static str, ca: &X509Certificate<'_>, now: Timestamp) -> Result<(), Unfit> {
    if !ca.is_ca() {
        return Err(Unfit::NotCa(what));
    }
    let usage = ca.key_usage().map_err(|_| Unfit::Damaged(what))?;
    if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
        return Err(Unfit::MayNotSign(what));
    }
    let purposes = ca.extended_key_usage().map_err(|_| Unfit::Damaged(what))?;
    if purposes.is_some_and(|found| !(found.value.server_auth && found.value.client_auth)) {
        return Err(Unfit::Purpose(what));
    }
    let (from, to) = validity_of(ca);
    if now < from || to < now.plus(LEAST_TIME_LEFT) {
        return Err(Unfit::Time { what, from, to, now });
    }
    Ok(())
}
