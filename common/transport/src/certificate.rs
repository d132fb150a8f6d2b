//! What a certificate of this system says: who its holder is, which key it is for, and when it is valid.
//! The identity is set by the authority, never taken from a signing request.

use std::time::Duration;

use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::identity::{Identity, NoIdentity, Role};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::keys::BACKDATE;

/// Time before the end of a certificate from which people are warned. Certificates are renewed before that:
/// one that is not has a reason.
pub const WARNING_TIME: Duration = Duration::from_secs(14 * 86_400);

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its holder.
    pub identity: Identity,
    /// SHA-256 of its public key as the certificate holds it (SubjectPublicKeyInfo, DER).
    pub fingerprint: Digest,
    /// SHA-256 of the name of the authority that has signed it, DER.
    pub issuer: Digest,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
}

impl Certificate {
    /// Reads a certificate. Whether an authority has signed it is not looked at.
    ///
    /// # Errors
    /// If it is none, or carries no identity of this system, or more than one.
    pub fn of_der(der: &[u8]) -> Result<Self, NoIdentity> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| NoIdentity)?;
        let names = certificate.subject_alternative_name().map_err(|_| NoIdentity)?.ok_or(NoIdentity)?;
        let mut found = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => uri.parse::<Identity>().ok(),
            _ => None,
        });
        let (Some(identity), None) = (found.next(), found.next()) else { return Err(NoIdentity) };
        let (not_before, not_after) = validity_of(&certificate);
        Ok(Self {
            identity,
            fingerprint: Digest::of(certificate.tbs_certificate.subject_pki.raw),
            issuer: Digest::of(certificate.issuer().as_raw()),
            not_before,
            not_after,
        })
    }

    /// Whether less than a third of its lifetime from its issue is left.
    #[must_use]
    pub fn is_due_for_renewal(&self, now: Timestamp) -> bool {
        let lifetime = self.not_after.since(self.not_before).saturating_sub(BACKDATE);
        self.not_after.since(now) < lifetime / 3
    }

    /// What people are told of a certificate that was not renewed and ends soon, or has expired, with what to
    /// do.
    #[must_use]
    pub fn expiry_warning(&self, now: Timestamp) -> Option<String> {
        if !self.is_due_for_renewal(now) || self.not_after.since(now) >= WARNING_TIME {
            return None;
        }
        let Self { identity, not_after, .. } = self;
        let Identity { role, name } = identity;
        let who = identity.shown();
        let way = format!("ask an operator for a token (`eosfed {role} re-enrol {name}`)");
        let join = match role {
            Role::Institution => "join with it: `eosfed-client join --state DIR --token-file FILE`",
            Role::Operator | Role::Reader => "join with it: `eosfed join --token-file FILE`",
        };
        let alone = match role {
            Role::Operator => {
                ". If there is no other operator, `eosfed-coordinator invite-operator` makes a token on the \
                 coordinator's machine"
            }
            Role::Institution | Role::Reader => "",
        };
        Some(if now >= *not_after {
            format!(
                "the certificate of {who} has expired at {not_after}; {way} and {join}. What lies in its folder \
                 is kept{alone}"
            )
        } else {
            format!(
                "the certificate of {who} expires at {not_after} and was not renewed yet; if it is not before \
                 then, {way} and {join}{alone}"
            )
        })
    }

    /// As [`Certificate::of_der`], of the first certificate in a PEM text.
    ///
    /// # Errors
    /// As there.
    pub fn of_pem(pem: &str) -> Result<Self, NoIdentity> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|_| NoIdentity)?;
        Self::of_der(&pem.contents)
    }
}

/// SHA-256 of the name of the holder of the first certificate in a PEM text, DER. For an authority, it is the
/// [`Certificate::issuer`] of those that it has signed.
#[must_use]
pub fn subject(pem: &str) -> Option<Digest> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    let (_, certificate) = X509Certificate::from_der(&pem.contents).ok()?;
    Some(Digest::of(certificate.subject().as_raw()))
}

/// Start and end of a certificate's validity.
pub(crate) fn validity_of(certificate: &X509Certificate<'_>) -> (Timestamp, Timestamp) {
    let at = |seconds: i64| Timestamp(u64::try_from(seconds).unwrap_or_default().saturating_mul(1000));
    let validity = certificate.validity();
    (at(validity.not_before.timestamp()), at(validity.not_after.timestamp()))
}

/// The end of the validity of the first certificate in a PEM text.
#[must_use]
pub fn ends_at(pem: &str) -> Option<Timestamp> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    let (_, certificate) = X509Certificate::from_der(&pem.contents).ok()?;
    Some(validity_of(&certificate).1)
}

/// The fingerprints of the certificates in a PEM text: SHA-256 of each one, DER.
#[must_use]
pub fn fingerprints(pem: &str) -> Vec<Digest> {
    let blocks = x509_parser::pem::Pem::iter_from_buffer(pem.as_bytes()).filter_map(Result::ok);
    blocks.map(|block| Digest::of(&block.contents)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_warned_in_the_last_third_and_told_what_to_do_after_the_end() {
        let at = |seconds: u64| Timestamp(1_795_000_000_000 + seconds * 1000);
        let certificate = Certificate {
            identity: Identity::institution("west".parse().unwrap()),
            fingerprint: Digest::of(b""),
            issuer: Digest::of(b""),
            not_before: Timestamp(at(0).0 - 86_400_000),
            not_after: at(3000),
        };
        assert_eq!(certificate.expiry_warning(at(1999)), None);
        let soon = certificate.expiry_warning(at(2001)).unwrap();
        assert!(soon.contains("expires at") && soon.contains("eosfed institution re-enrol west"), "{soon}");
        let late = certificate.expiry_warning(at(3000)).unwrap();
        assert!(late.contains("has expired at") && late.contains("re-enrol west"), "{late}");
    }

    #[test]
    fn what_is_no_certificate_carries_no_identity() {
        assert_eq!(Certificate::of_der(b"not a certificate"), Err(NoIdentity));
        assert_eq!(Certificate::of_pem("not a certificate"), Err(NoIdentity));
    }
}
