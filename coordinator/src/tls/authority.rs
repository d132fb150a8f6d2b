//! The coordinator's certificate authority. ECDSA P-256 throughout.

use std::time::Duration;

use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::identity::{Identity, Role};
use eosfed_common::printable::{MAX_NAME, Printable};
use eosfed_common::secret::Secret;
use eosfed_transport::certificate::{ends_at, fingerprints};
use eosfed_transport::issued::own_and_signed_by_others;
use eosfed_transport::keys::{BACKDATE, KeyAndCertificate};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use time::OffsetDateTime;

/// How long the certificate of a member is valid. The daemon of an institution renews it as long as it can
/// connect; people renew theirs with any command, which they may not need for weeks. The last third of each
/// is longer than the time for which people are warned.
#[must_use]
pub const fn validity(role: Role) -> Duration {
    Duration::from_secs(86_400 * if matches!(role, Role::Institution) { 45 } else { 180 })
}

/// Why a certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Key, certificate or request is malformed or cannot be signed.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A time is out of the range of certificates.
    #[error("`{0}` is out of the range of certificate times")]
    Time(Timestamp),
    /// The authority's certificate cannot be read.
    #[error("the authority's certificate is damaged")]
    Damaged,
    /// The authority is not valid any more.
    #[error("the authority's certificate ended at {0}, so nothing can be certified; install another one")]
    Ended(Timestamp),
}

/// How long a new authority is vouched for by the one before it: members have to renew in this time.
const CROSS_VALIDITY: Duration = Duration::from_secs(365 * 86_400);
const CA_VALIDITY: Duration = Duration::from_secs(3650 * 86_400);
/// How long a root that is kept offline is valid.
const ROOT_VALIDITY: Duration = Duration::from_secs(2 * 3650 * 86_400);

/// Signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    bundle_pem: String,
    /// The self-signed ones of the bundle.
    roots_pem: String,
    /// The others of the bundle: its own key signed by the authority before it, or intermediates.
    others_pem: String,
    /// Whether a root of somebody else has signed it.
    is_intermediate: bool,
    ends_at: Timestamp,
    /// The certificate of the authority before it, while that still counts.
    predecessor: Option<Digest>,
}

/// A key that an authority has certified as an intermediate.
pub struct Certified {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The common name that the request asks for; the certificate has another one.
    pub asked: String,
    /// The common name in the certificate.
    pub subject: String,
    /// SHA-256 of the key.
    pub key: Digest,
}

/// The request to certify a key as an intermediate, PEM, and the key's fingerprint.
///
/// # Errors
/// If the key is malformed.
pub fn request_for(key_pem: &Secret) -> Result<(String, Digest), AuthorityError> {
    let key = KeyPair::from_pem(key_pem.expose())?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name_of(&key, COORDINATOR.0));
    let request_pem = params.serialize_request(&key)?.pem()?;
    Ok((request_pem, Digest::of(&key.subject_public_key_info())))
}

/// A new authority that an authority has made.
pub struct Successor {
    /// Its key and its own certificate.
    pub pair: KeyAndCertificate,
    /// Its key, signed by the authority that has made it: whoever trusts that one can trust the new one.
    pub cross_pem: String,
}

impl Authority {
    /// Makes a new authority, valid for ten years from `now`.
    ///
    /// # Errors
    /// If the system has no randomness or `now` is absurd.
    pub fn create(now: Timestamp) -> Result<KeyAndCertificate, AuthorityError> {
        let key = KeyPair::generate()?;
        let certificate_pem = ca_params(&key, COORDINATOR, now, CA_VALIDITY)?.self_signed(&key)?.pem();
        Ok(KeyAndCertificate { key_pem: Secret::new(key.serialize_pem()), certificate_pem })
    }

    /// Makes a root that signs intermediates of coordinators, valid for twenty years from `now`.
    ///
    /// # Errors
    /// If the system has no randomness or `now` is absurd.
    pub fn create_root(now: Timestamp) -> Result<KeyAndCertificate, AuthorityError> {
        let key = KeyPair::generate()?;
        let certificate_pem = ca_params(&key, ROOT, now, ROOT_VALIDITY)?.self_signed(&key)?.pem();
        Ok(KeyAndCertificate { key_pem: Secret::new(key.serialize_pem()), certificate_pem })
    }

    /// Makes an intermediate for a coordinator, valid for ten years from `now`, and not longer than this root.
    ///
    /// # Errors
    /// If the system has no randomness, `now` is absurd, or the root has ended.
    pub fn intermediate(&self, now: Timestamp) -> Result<KeyAndCertificate, AuthorityError> {
        let key = KeyPair::generate()?;
        let params = ca_params(&key, COORDINATOR, now, self.capped(now, CA_VALIDITY)?)?;
        let certificate_pem = params.signed_by(&key, &self.issuer)?.pem();
        Ok(KeyAndCertificate { key_pem: Secret::new(key.serialize_pem()), certificate_pem })
    }

    /// Makes a key for an intermediate, PEM.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn new_key() -> Result<Secret, AuthorityError> {
        Ok(Secret::new(KeyPair::generate()?.serialize_pem()))
    }

    /// Certifies the key of a PKCS#10 request as an intermediate, valid for ten years from `now`, and not longer
    /// than this root. Nothing else of the request counts.
    ///
    /// # Errors
    /// If the request is malformed or its signature wrong, `now` is absurd, or the root has ended.
    pub fn intermediate_for(&self, request_pem: &str, now: Timestamp) -> Result<Certified, AuthorityError> {
        let mut request = CertificateSigningRequestParams::from_pem(request_pem)?;
        let asked = match request.params.distinguished_name.get(&DnType::CommonName) {
            Some(name) => Printable::escaped(&text_of(name), MAX_NAME).into(),
            None => String::new(),
        };
        let valid_for = self.capped(now, CA_VALIDITY)?;
        request.params = ca_params(&request.public_key, COORDINATOR, now, valid_for)?;
        let certificate_pem = request.signed_by(&self.issuer)?.pem();
        let subject = name_of(&request.public_key, COORDINATOR.0);
        let key = Digest::of(&request.public_key.subject_public_key_info());
        Ok(Certified { certificate_pem, asked, subject, key })
    }

    /// SHA-256 of its key.
    #[must_use]
    pub fn key_fingerprint(&self) -> Digest {
        Digest::of(&self.issuer.key().subject_public_key_info())
    }

    /// A validity from `now` that does not go beyond the authority's own.
    fn capped(&self, now: Timestamp, valid_for: Duration) -> Result<Duration, AuthorityError> {
        if now >= self.ends_at {
            return Err(AuthorityError::Ended(self.ends_at));
        }
        Ok(valid_for.min(self.ends_at.since(now)))
    }

    /// Opens an authority from its files' contents.
    ///
    /// # Errors
    /// If they are not a key and a certificate.
    pub fn open(pair: &KeyAndCertificate) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(pair.key_pem.expose())?;
        let issuer = Issuer::from_ca_cert_pem(&pair.certificate_pem, key)?;
        let certificate_pem = pair.certificate_pem.clone();
        let ends_at = ends_at(&certificate_pem).ok_or(AuthorityError::Damaged)?;
        let alone = Self {
            issuer,
            certificate_pem: certificate_pem.clone(),
            bundle_pem: String::new(),
            roots_pem: String::new(),
            others_pem: String::new(),
            is_intermediate: own_and_signed_by_others(&certificate_pem).0.is_empty(),
            ends_at,
            predecessor: None,
        };
        Ok(alone.with_bundle(certificate_pem))
    }

    /// With all certificates of the authority, PEM: its own; while it takes the place of another one, also
    /// that one's, and its own key signed by that one; for an intermediate, also its root.
    #[must_use]
    pub fn with_bundle(self, bundle_pem: String) -> Self {
        let (roots, others) = own_and_signed_by_others(&bundle_pem);
        let present = fingerprints(&self.certificate_pem);
        let peers = if self.is_intermediate { &others } else { &roots };
        let predecessor = peers.iter().flat_map(|pem| fingerprints(pem)).find(|one| !present.contains(one));
        Self { bundle_pem, roots_pem: roots.concat(), others_pem: others.concat(), predecessor, ..self }
    }

    /// Whether a root of somebody else has signed it.
    #[must_use]
    pub const fn is_intermediate(&self) -> bool {
        self.is_intermediate
    }

    /// The end of its validity. What it certifies ends with it.
    #[must_use]
    pub const fn ends_at(&self) -> Timestamp {
        self.ends_at
    }

    /// SHA-256 of the certificate of the authority before it, while that still counts.
    #[must_use]
    pub const fn predecessor(&self) -> Option<Digest> {
        self.predecessor
    }

    /// Makes the authority that is to take its place, valid for ten years from `now`.
    ///
    /// # Errors
    /// If the system has no randomness or `now` is absurd.
    pub fn successor(&self, now: Timestamp) -> Result<Successor, AuthorityError> {
        let key = KeyPair::generate()?;
        let certificate_pem = ca_params(&key, COORDINATOR, now, CA_VALIDITY)?.self_signed(&key)?.pem();
        let cross_pem =
            ca_params(&key, COORDINATOR, now, CROSS_VALIDITY)?.signed_by(&key, &self.issuer)?.pem();
        let pair = KeyAndCertificate { key_pem: Secret::new(key.serialize_pem()), certificate_pem };
        Ok(Successor { pair, cross_pem })
    }

    /// All its certificates, PEM: what a member needs to verify one that it is given.
    #[must_use]
    pub fn bundle_pem(&self) -> &str {
        &self.bundle_pem
    }

    /// The certificates that members pin, PEM: self-signed ones only.
    #[must_use]
    pub fn roots_pem(&self) -> &str {
        &self.roots_pem
    }

    /// The certificates that clients are verified against, PEM. For an intermediate without its root: other
    /// intermediates of the same root certify nobody here.
    #[must_use]
    pub fn clients_pem(&self) -> &str {
        if self.is_intermediate { &self.others_pem } else { &self.bundle_pem }
    }

    /// The authority's own certificate, PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Certifies the public key of a PKCS#10 request as `identity`; everything else in the request
    /// is ignored.
    ///
    /// # Errors
    /// If the request is malformed or its signature wrong.
    pub fn certify(
        &self,
        request_pem: &str,
        identity: &Identity,
        now: Timestamp,
        valid_for: Duration,
    ) -> Result<String, AuthorityError> {
        let mut request = CertificateSigningRequestParams::from_pem(request_pem)?;
        request.params = client_params(identity)?;
        set_validity(&mut request.params, now, self.capped(now, valid_for)?)?;
        Ok(request.signed_by(&self.issuer)?.pem())
    }

    /// Makes a key and a certificate for the server at `names` (host names and IP addresses).
    ///
    /// # Errors
    /// If a name is not fit for a certificate.
    pub fn server(
        &self,
        names: &[String],
        now: Timestamp,
        valid_for: Duration,
    ) -> Result<KeyAndCertificate, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name.push(DnType::CommonName, "EoS-Fed coordinator");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        set_validity(&mut params, now, self.capped(now, valid_for)?)?;
        // Clients that trust the root, or the authority before this one, find their way over its signature.
        let certificate_pem = params.signed_by(&key, &self.issuer)?.pem() + &self.others_pem;
        Ok(KeyAndCertificate { key_pem: Secret::new(key.serialize_pem()), certificate_pem })
    }
}

/// What an authority is named, and how many authorities may be below it.
type Kind = (&'static str, u8);
const COORDINATOR: Kind = ("EoS-Fed coordinator authority", 0);
const ROOT: Kind = ("EoS-Fed root authority", 1);

/// What the certificate of an authority says. Its name has the start of its key's fingerprint: two authorities
/// never have the same name.
fn ca_params(
    key: &impl PublicKeyData,
    (name, below): Kind,
    now: Timestamp,
    valid_for: Duration,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name_of(key, name));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, valid_for)?;
    Ok(params)
}

fn name_of(key: &impl PublicKeyData, kind: &str) -> String {
    let fingerprint = Digest::of(&key.subject_public_key_info()).to_hex();
    format!("{kind} {}", &fingerprint[..16])
}

/// The text of a name in a request.
fn text_of(name: &DnValue) -> String {
    match name {
        DnValue::Utf8String(text) => text.clone(),
        DnValue::PrintableString(text) => text.as_str().to_owned(),
        DnValue::Ia5String(text) => text.as_str().to_owned(),
        DnValue::TeletexString(text) => text.as_str().to_owned(),
        other => format!("{other:?}"),
    }
}

fn client_params(identity: &Identity) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, identity.name.as_str());
    if identity.role != Role::Institution {
        params.distinguished_name.push(DnType::OrganizationalUnitName, identity.role.name());
    }
    params.subject_alt_names = vec![SanType::URI(identity.to_string().try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn set_validity(
    params: &mut CertificateParams,
    now: Timestamp,
    valid_for: Duration,
) -> Result<(), AuthorityError> {
    let at = |time: Timestamp| {
        i64::try_from(time.0 / 1000)
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .ok_or(AuthorityError::Time(time))
    };
    params.not_before = at(Timestamp(now.0.saturating_sub(BACKDATE.as_millis() as u64)))?;
    params.not_after = at(now.plus(valid_for))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use eosfed_transport::certificate::{Certificate, WARNING_TIME};
    use eosfed_transport::keys::KeyAndRequest;
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;

    const NOW: Timestamp = Timestamp(1_795_000_000_000);

    fn west() -> Identity {
        "urn:eosfed:institution:west".parse().unwrap()
    }

    #[test]
    fn the_identity_is_the_authoritys_word_not_the_requests() {
        let authority = Authority::open(&Authority::create(NOW).unwrap()).unwrap();
        let request = KeyAndRequest::generate("urn:eosfed:operator:admin").unwrap();
        let pem = authority.certify(&request.request_pem, &west(), NOW, Duration::from_secs(60)).unwrap();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        assert_eq!(Certificate::of_der(&der).unwrap().identity, west());
    }

    #[test]
    fn a_certificate_is_due_for_renewal_before_people_are_warned() {
        for role in Role::ALL {
            assert!(validity(*role) / 3 > WARNING_TIME, "{role}");
        }
    }

    #[test]
    fn nothing_ends_later_than_what_has_signed_it() {
        let root = Authority::open(&Authority::create_root(NOW).unwrap()).unwrap();
        let late = Timestamp(root.ends_at().0 - 86_400_000 * 40);
        let intermediate = Authority::open(&root.intermediate(late).unwrap()).unwrap();
        assert_eq!(intermediate.ends_at(), root.ends_at());
        assert!(root.intermediate(NOW).is_ok_and(|one| ends_at(&one.certificate_pem) < Some(root.ends_at())));
        let request = KeyAndRequest::generate("west").unwrap().request_pem;
        let validity = validity(Role::Institution);
        let pem = intermediate.certify(&request, &west(), late, validity).unwrap();
        assert_eq!(Certificate::of_pem(&pem).unwrap().not_after, root.ends_at());
        let ended = intermediate.certify(&request, &west(), root.ends_at(), validity);
        assert!(matches!(ended, Err(AuthorityError::Ended(_))));
        assert!(root.intermediate(root.ends_at()).is_err());
    }

    #[test]
    fn malformed_requests_are_refused() {
        let authority = Authority::open(&Authority::create(NOW).unwrap()).unwrap();
        let good = KeyAndRequest::generate("west").unwrap().request_pem;
        let broken = good.replace(&good[100..104], "AAAA");
        for bad in ["", "-----BEGIN CERTIFICATE REQUEST-----", &broken] {
            assert!(authority.certify(bad, &west(), NOW, Duration::from_secs(60)).is_err());
        }
    }

    #[test]
    fn server_certificates_carry_no_client_identity() {
        let authority = Authority::open(&Authority::create(NOW).unwrap()).unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server = authority.server(&names, NOW, Duration::from_secs(60)).unwrap();
        let der = CertificateDer::from_pem_slice(server.certificate_pem.as_bytes()).unwrap();
        assert!(Certificate::of_der(&der).is_err());
    }
}
