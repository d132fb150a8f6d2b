//! Enrolment: a fresh key, and a certificate for it in exchange for the secret of an invitation.

use eosfed_common::digest::Digest;
use eosfed_common::identity::Identity;
use eosfed_common::ids::InstitutionName;
use eosfed_common::refusal::Refusal;
use eosfed_common::secret::Secret;
use eosfed_common::signing::{CoordinatorKey, EnrolmentStatement, KeySignature, SigningKey};
use eosfed_proto::v1;
use eosfed_proto::v1::enrollment_client::EnrollmentClient;

use crate::channel::Transport;
use crate::keys::{KeyAndCertificate, KeyAndRequest, KeyError};
use crate::status::from_status;
use crate::wire::{Wire as _, coordinator_keys};

/// Why the enrolment failed.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The coordinator has refused, or has not answered.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// A new identity from the coordinator.
#[derive(Clone)]
pub struct Enrolled {
    /// Key and certificate.
    pub pair: KeyAndCertificate,
    /// The authority's certificate, PEM.
    pub ca_pem: String,
    /// The coordinator's signing keys.
    pub coordinator_keys: Vec<CoordinatorKey>,
}

/// The proof that an institution has the private half of its signing key, for a signing request.
#[must_use]
pub fn signing_key_proof(key: &SigningKey, institution: &InstitutionName, request_pem: &str) -> KeySignature {
    let request = Digest::of(request_pem.as_bytes());
    key.sign(&EnrolmentStatement { institution: institution.clone(), request })
}

/// Enrols an institution over a connection without a certificate, with its signing key. The private key of
/// its certificate is made here and not sent, and neither is the signing key.
///
/// # Errors
/// If no key can be made, or the coordinator refuses or does not answer.
pub async fn enroll(
    transport: Transport,
    institution: &InstitutionName,
    secret: Secret,
    signing_key: &SigningKey,
) -> Result<Enrolled, EnrollError> {
    join(transport, &Identity::institution(institution.clone()), secret, Some(signing_key)).await
}

/// As [`enroll`], as an operator or a reader, who sign nothing.
///
/// # Errors
/// As there.
pub async fn enroll_as(
    transport: Transport,
    identity: &Identity,
    secret: Secret,
) -> Result<Enrolled, EnrollError> {
    join(transport, identity, secret, None).await
}

async fn join(
    transport: Transport,
    identity: &Identity,
    secret: Secret,
    signing_key: Option<&SigningKey>,
) -> Result<Enrolled, EnrollError> {
    let KeyAndRequest { key_pem, request_pem } = KeyAndRequest::generate(identity.name.as_str())?;
    let v1::Member { role, name } = identity.clone().into_message();
    let proof = signing_key.map(|key| signing_key_proof(key, &identity.name, &request_pem).to_string());
    let request = v1::EnrollRequest {
        institution: name,
        secret: secret.expose().to_owned(),
        signing_request_pem: request_pem,
        role,
        signing_key_proof: proof.unwrap_or_default(),
    };
    let answer = EnrollmentClient::new(transport).enroll(request).await;
    let answer = answer.map_err(|status| from_status(&status))?;
    enrolled(key_pem, answer.into_inner())
}

/// Asks for a new certificate for a new key, over a connection with the present one.
///
/// # Errors
/// As [`enroll`].
pub async fn renew(transport: Transport, identity: &Identity) -> Result<Enrolled, EnrollError> {
    let KeyAndRequest { key_pem, request_pem } = KeyAndRequest::generate(identity.name.as_str())?;
    let request = v1::RenewRequest { signing_request_pem: request_pem, signing_key_proof: String::new() };
    let answer = EnrollmentClient::new(transport).renew(request).await;
    let answer = answer.map_err(|status| from_status(&status))?;
    enrolled(key_pem, answer.into_inner())
}

fn enrolled(key_pem: Secret, answer: v1::EnrollResponse) -> Result<Enrolled, EnrollError> {
    let v1::EnrollResponse { certificate_pem, ca_pem, expires_at: _, coordinator_keys: keys } = answer;
    let coordinator_keys = coordinator_keys(keys).map_err(Refusal::from)?;
    Ok(Enrolled { pair: KeyAndCertificate { key_pem, certificate_pem }, ca_pem, coordinator_keys })
}
