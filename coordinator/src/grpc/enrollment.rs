//! Certificates for institutions.

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::InstitutionName;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_proto::v1;
use eosfed_proto::v1::enrollment_server::Enrollment;
use eosfed_transport::identity::{Identity, Role};
use eosfed_transport::wire::parse;
use tonic::{Request, Response, Status};

use super::{CERTIFICATE_VALIDITY, Context, access, reply};
use crate::engine::Core;

/// Longest signing request; one of this system's has about 500 bytes.
const MAX_REQUEST: usize = 8 * 1024;

pub(super) struct Service(pub(super) Context);

impl Service {
    fn certify(
        &self,
        identity: &Identity,
        request_pem: &str,
        now: Timestamp,
    ) -> Result<v1::EnrollResponse, Refusal> {
        if request_pem.len() > MAX_REQUEST {
            let message =
                format!("a signing request has at most {MAX_REQUEST} bytes, found `{}`", request_pem.len());
            return Err(Refusal::new(Reason::TooLarge, message));
        }
        let Context { authority, .. } = &self.0;
        let certificate_pem =
            authority.certify(request_pem, identity, now, CERTIFICATE_VALIDITY).map_err(|error| {
                Refusal::new(Reason::Malformed, format!("the signing request is malformed: {error}"))
            })?;
        let ca_pem = authority.certificate_pem().to_owned();
        Ok(v1::EnrollResponse { certificate_pem, ca_pem, expires_at: now.plus(CERTIFICATE_VALIDITY).0 })
    }

    async fn enroll(&self, message: v1::EnrollRequest) -> Result<v1::EnrollResponse, Refusal> {
        let v1::EnrollRequest { institution, secret, signing_request_pem } = message;
        let name: InstitutionName = parse("institution", &institution)?;
        let secret: String = parse("secret", &secret)?;
        let identity = Identity { role: Role::Institution, name: name.clone() };
        // Certified first: a malformed request must not use up the token.
        let response = self.certify(&identity, &signing_request_pem, self.0.engine.now())?;
        let redeemed = name.clone();
        let redeem = async move |core: &Core| core.redeem(&redeemed, &secret, &signing_request_pem).await;
        self.0.engine.call(redeem).await?;
        Ok(response)
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<v1::EnrollResponse, Refusal> {
        let identity = access::anybody(&request, &self.0.engine)?;
        let actor = access::actor(&request);
        let v1::RenewRequest { signing_request_pem } = request.into_inner();
        let response = self.certify(&identity, &signing_request_pem, self.0.engine.now())?;
        if let Some(actor) = actor {
            let expires_at = Timestamp(response.expires_at);
            let record = async move |core: &Core| core.record_renewal(actor, expires_at).await;
            self.0.engine.call(record).await?;
        }
        Ok(response)
    }
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
