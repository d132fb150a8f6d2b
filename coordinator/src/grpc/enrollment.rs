//! Certificates for institutions.

use eosfed_common::digest::Digest;
use eosfed_common::identity::{Identity, Role};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::signing::{EnrolmentStatement, KeySignature, PublicKey};
use eosfed_proto::v1;
use eosfed_proto::v1::enrollment_server::Enrollment;
use eosfed_transport::certificate::Certificate;
use eosfed_transport::wire::{Wire as _, coordinator_keys_message, parse};
use tonic::{Request, Response, Status};

use super::access::Caller;
use super::{Context, access, reply};
use crate::domain::member::keys::Key;
use crate::engine::Core;
use crate::tls::authority::{AuthorityError, validity};

/// Longest signing request; one of this system's has about 500 bytes.
const MAX_REQUEST: usize = 8 * 1024;

pub(super) struct Service(pub(super) Context);

impl Service {
    /// A certificate for the public key of a request, and that key.
    fn certify(&self, identity: &Identity, request_pem: &str) -> Result<(String, Key), Refusal> {
        if request_pem.len() > MAX_REQUEST {
            let message =
                format!("a signing request has at most {MAX_REQUEST} bytes, found `{}`", request_pem.len());
            return Err(Refusal::new(Reason::TooLarge, message));
        }
        let (Context { authority, .. }, now) = (&self.0, self.0.engine.now());
        let pem =
            authority.certify(request_pem, identity, now, validity(identity.role)).map_err(|error| {
                match error {
                    AuthorityError::Ended(_) => Refusal::new(Reason::Internal, error.to_string()),
                    _ => {
                        Refusal::new(Reason::Malformed, format!("the signing request is malformed: {error}"))
                    }
                }
            })?;
        let certificate = Certificate::of_pem(&pem)
            .map_err(|error| Refusal::new(Reason::Internal, format!("of the certificate made: {error}")))?;
        Ok((pem, crate::sessions::key(&certificate)))
    }

    fn answer(&self, certificate_pem: String, key: Key) -> v1::EnrollResponse {
        let ca_pem = self.0.authority.bundle_pem().to_owned();
        let coordinator_keys = coordinator_keys_message(self.0.signing.named());
        v1::EnrollResponse { certificate_pem, ca_pem, expires_at: key.expires_at.0, coordinator_keys }
    }

    async fn enroll(&self, message: v1::EnrollRequest) -> Result<v1::EnrollResponse, Refusal> {
        let v1::EnrollRequest { institution, secret, signing_request_pem, role, signing_key_proof } = message;
        let identity = match role {
            0 => Identity::institution(parse("institution", &institution)?),
            role => Identity::from_message(v1::Member { role, name: institution })?,
        };
        let secret: String = parse("secret", &secret)?;
        let signing_key = proven(&identity, &signing_request_pem, &signing_key_proof)?;
        if identity.role == Role::Institution && signing_key.is_none() {
            let message = "an institution joins with a signing key; update `eosfed-client`";
            return Err(Refusal::new(Reason::Incompatible, message));
        }
        // Certified first: a malformed request must not use up the token.
        let (certificate_pem, key) = self.certify(&identity, &signing_request_pem)?;
        let redeem = async move |core: &Core| {
            core.redeem(&identity, &secret, &signing_request_pem, key, signing_key).await
        };
        self.0.engine.call(redeem).await?;
        Ok(self.answer(certificate_pem, key))
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<v1::EnrollResponse, Refusal> {
        let Caller { identity, key: used } = access::caller(&request)?.clone();
        let v1::RenewRequest { signing_request_pem, signing_key_proof } = request.into_inner();
        let signing_key = proven(&identity, &signing_request_pem, &signing_key_proof)?;
        let (certificate_pem, key) = self.certify(&identity, &signing_request_pem)?;
        let renew = async move |core: &Core| core.renew(&identity, used, key, signing_key).await;
        self.0.engine.call(renew).await?;
        Ok(self.answer(certificate_pem, key))
    }
}

/// The signing key that an institution enrols, with the proof that it has the private half. Nothing if it
/// enrols none.
fn proven(identity: &Identity, request_pem: &str, proof: &str) -> Result<Option<PublicKey>, Refusal> {
    if proof.is_empty() || identity.role != Role::Institution {
        return Ok(None);
    }
    let proof: KeySignature = parse("signing_key_proof", proof)?;
    let request = Digest::of(request_pem.as_bytes());
    let statement = EnrolmentStatement { institution: identity.name.clone(), request };
    proof
        .verify(&statement, &[proof.key])
        .map_err(|error| Refusal::new(Reason::Malformed, format!("field `signing_key_proof`: {error}")))?;
    Ok(Some(proof.key))
}

#[tonic::async_trait]
impl Enrollment for Service {
    async fn enroll(
        &self,
        request: Request<v1::EnrollRequest>,
    ) -> Result<Response<v1::EnrollResponse>, Status> {
        reply(Self::enroll(self, request.into_inner()).await)
    }

    async fn renew(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::EnrollResponse>, Status> {
        reply(Self::renew(self, request).await)
    }
}
