//! Enrolment: a fresh key, and a certificate for it in exchange for the secret of an invitation.

use eosfed_common::identity::Identity;
use eosfed_common::ids::InstitutionName;
use eosfed_common::refusal::Refusal;
use eosfed_common::secret::Secret;
use eosfed_proto::v1;
use eosfed_proto::v1::enrollment_client::EnrollmentClient;

use crate::channel::Transport;
use crate::keys::{KeyAndCertificate, KeyAndRequest, KeyError};
use crate::status::from_status;
use crate::wire::Wire as _;

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
}

/// Enrols an institution over a connection without a certificate. The private key is made here and not sent.
///
/// # Errors
/// If no key can be made, or the coordinator refuses or does not answer.
pub async fn enroll(
    transport: Transport,
    institution: &InstitutionName,
    secret: Secret,
) -> Result<Enrolled, EnrollError> {
    enroll_as(transport, &Identity::institution(institution.clone()), secret).await
}

/// As [`enroll`], as a member of any role.
///
/// # Errors
/// As there.
pub async fn enroll_as(
    transport: Transport,
    identity: &Identity,
    secret: Secret,
) -> Result<Enrolled, EnrollError> {
    let KeyAndRequest { key_pem, request_pem } = KeyAndRequest::generate(identity.name.as_str())?;
    let v1::Member { role, name } = identity.clone().into_message();
    let request = v1::EnrollRequest {
        institution: name,
        secret: secret.expose().to_owned(),
        signing_request_pem: request_pem,
        role,
    };
    let answer = EnrollmentClient::new(transport).enroll(request).await;
    let answer = answer.map_err(|status| from_status(&status))?;
    let v1::EnrollResponse { certificate_pem, ca_pem, expires_at: _ } = answer.into_inner();
    Ok(Enrolled { pair: KeyAndCertificate { key_pem, certificate_pem }, ca_pem })
}
