//! Invitations, and taking access back.

use std::time::Duration;

use eosfed_common::identity::Identity;
use eosfed_common::ids::InstitutionName;
use eosfed_common::refusal::Refusal;
use eosfed_proto::v1;
use eosfed_transport::wire::{Wire as _, parse, printable};
use tonic::Request;

use super::{Service, access};
use crate::domain::federation::members::{MAX_REASON, Revoke};
use crate::engine::{Core, Invited};

impl Service {
    pub(super) async fn invite(
        &self,
        request: Request<v1::InviteInstitutionRequest>,
    ) -> Result<v1::InviteInstitutionResponse, Refusal> {
        let by = access::name(&request)?;
        let v1::InviteInstitutionRequest { name, valid_for_seconds } = request.into_inner();
        let identity = Identity::institution(parse("name", &name)?);
        self.invited(identity, Duration::from_secs(valid_for_seconds), false, by).await
    }

    pub(super) async fn invite_person(
        &self,
        request: Request<v1::InvitePersonRequest>,
    ) -> Result<v1::InviteInstitutionResponse, Refusal> {
        let by = access::name(&request)?;
        let v1::InvitePersonRequest { person, valid_for_seconds } = request.into_inner();
        self.invited(identity(person)?, Duration::from_secs(valid_for_seconds), false, by).await
    }

    pub(super) async fn re_enrol(
        &self,
        request: Request<v1::ReEnrolRequest>,
    ) -> Result<v1::InviteInstitutionResponse, Refusal> {
        let by = access::name(&request)?;
        let v1::ReEnrolRequest { member, valid_for_seconds } = request.into_inner();
        self.invited(identity(member)?, Duration::from_secs(valid_for_seconds), true, by).await
    }

    async fn invited(
        &self,
        identity: Identity,
        valid_for: Duration,
        again: bool,
        by: InstitutionName,
    ) -> Result<v1::InviteInstitutionResponse, Refusal> {
        let invite = async move |core: &Core| core.invite(&identity, valid_for, again, by).await;
        let Invited { secret, expires_at } = self.0.engine.call(invite).await?;
        Ok(v1::InviteInstitutionResponse {
            secret: secret.expose().to_owned(),
            expires_at: expires_at.0,
            public_url: self.0.public_url.to_string(),
            ca_pem: self.0.authority.roots_pem().to_owned(),
            enrolled_before: again,
        })
    }

    pub(super) async fn revoke(
        &self,
        request: Request<v1::RevokeRequest>,
    ) -> Result<v1::RevokeResponse, Refusal> {
        let by = access::name(&request)?;
        let v1::RevokeRequest { member, reason, remove } = request.into_inner();
        let reason = printable("reason", &reason, 0..=MAX_REASON)?;
        let revoke = Revoke { of: identity(member)?, reason, remove };
        self.0.engine.call(async move |core: &Core| core.revoke(revoke, by).await).await?;
        Ok(v1::RevokeResponse {})
    }
}

/// The member that a request names.
fn identity(member: Option<v1::Member>) -> Result<Identity, Refusal> {
    Ok(Identity::from_message(member.unwrap_or_default())?)
}
