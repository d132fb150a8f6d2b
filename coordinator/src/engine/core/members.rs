//! Members, as the engine changes them: invited, enrolled, their keys, revoked.

use std::time::Duration;

use eosfed_common::clock::Timestamp;
use eosfed_common::identity::{Identity, Role};
use eosfed_common::ids::{InstitutionName, JobId};
use eosfed_common::ledger::{Actor, Entry, EventKind};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::secret::Secret;
use eosfed_common::signing::PublicKey;
use rand::RngExt as _;

use super::Core;
use crate::domain::federation::members::{Invite, Revoke};
use crate::domain::job::Transition;
use crate::domain::member::keys::Key;
use crate::domain::{Change, Job};

/// An invitation, once: its secret is not kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Invited {
    /// 64 hexadecimal digits.
    pub secret: Secret,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Core {
    /// Invites somebody, `again` if it is not for the first time.
    ///
    /// # Errors
    /// As [`Federation::invite`](crate::domain::Federation::invite).
    pub async fn invite(
        &self,
        identity: &Identity,
        valid_for: Duration,
        again: bool,
        by: InstitutionName,
    ) -> Result<Invited, Refusal> {
        self.transact(|state, now, rng| {
            let secret = Secret::new(format!("{:032x}{:032x}", rng.random::<u128>(), rng.random::<u128>()));
            let invite = Invite { secret: secret.expose(), valid_for, again };
            let change = state.invite(identity, invite, Actor::Operator(by), now)?;
            Ok((Invited { secret, expires_at: now.plus(valid_for) }, change))
        })
        .await
    }

    /// Invites somebody by the coordinator's own decision, on its machine.
    ///
    /// # Errors
    /// As [`Federation::invite`](crate::domain::Federation::invite).
    pub async fn invite_here(&self, identity: &Identity, valid_for: Duration) -> Result<Invited, Refusal> {
        self.transact(|state, now, rng| {
            let secret = format!("{:032x}{:032x}", rng.random::<u128>(), rng.random::<u128>());
            let again = state.members.get(identity).is_some_and(|one| one.enrolment.is_some());
            let invite = Invite { secret: &secret, valid_for, again };
            let change = state.invite(identity, invite, Actor::Coordinator, now)?;
            Ok((Invited { secret: Secret::new(secret.clone()), expires_at: now.plus(valid_for) }, change))
        })
        .await
    }

    /// Records an event of the coordinator that changes no record.
    ///
    /// # Errors
    /// Whatever the store gives.
    pub async fn note(&self, kind: EventKind) -> Result<(), Refusal> {
        self.transact(|_, _, _| Ok(((), Change::noted(Entry::new(Actor::Coordinator, kind))))).await
    }

    /// Redeems an invitation for a signing request and the key that it is for; when this has returned, the
    /// certificate may be handed out.
    ///
    /// # Errors
    /// A reason of the `TOKEN_` family.
    pub async fn redeem(
        &self,
        identity: &Identity,
        secret: &str,
        request_pem: &str,
        key: Key,
        signing_key: Option<PublicKey>,
    ) -> Result<(), Refusal> {
        self.transact(|state, now, _| {
            let change = state.redeem(identity, secret, request_pem, key, now)?;
            Ok(((), state.with_signing_key(change, identity, signing_key)?))
        })
        .await
    }

    /// Makes the first operator, if there is none.
    ///
    /// # Errors
    /// Whatever the store gives.
    pub async fn enrol_first_operator(&self, name: &InstitutionName, key: Key) -> Result<(), Refusal> {
        self.transact(|state, now, _| Ok(((), state.first_operator(name, key, now)))).await
    }

    /// Notes that a key is used for the first time.
    ///
    /// # Errors
    /// If it is not one of the member's keys, or whatever the store gives.
    pub async fn use_key(&self, identity: &Identity, key: Key) -> Result<(), Refusal> {
        self.transact(|state, now, _| Ok(((), state.use_key(identity, key, now)?))).await
    }

    /// Adds the key of a renewal, and the signing key of an institution that has enrolled none; when this has
    /// returned, the certificate may be handed out. Whoever asks for more renewals than anybody needs gets none.
    ///
    /// # Errors
    /// As [`Member::renew`](crate::domain::Member::renew); [`Reason::Unavailable`] if there were too many in
    /// this hour; whatever the store gives.
    pub async fn renew(
        &self,
        identity: &Identity,
        used: Key,
        renewed: Key,
        signing_key: Option<PublicKey>,
    ) -> Result<(), Refusal> {
        let mut writer = self.lock_writer().await;
        let now = self.now();
        let change = self.read(|state| {
            let change = state.renew(identity, used, renewed, now)?;
            state.with_signing_key(change, identity, signing_key)
        })?;
        if writer.ledger.take_renewal(&identity.clone().into(), now).is_none() {
            let message = "too many certificates were renewed within an hour; try again later";
            return Err(Refusal::new(Reason::Unavailable, message));
        }
        Ok(self.store_change(&mut writer, change, now).await?)
    }

    /// Takes access back. Open rounds do not wait for the institution.
    ///
    /// # Errors
    /// As [`Federation::revoke`](crate::domain::Federation::revoke).
    pub async fn revoke(&self, revoke: Revoke, by: InstitutionName) -> Result<(), Refusal> {
        let of = revoke.of.clone();
        self.transact(|state, now, _| Ok(((), state.revoke(revoke, by, now)?))).await?;
        if of.role != Role::Institution {
            return Ok(());
        }
        let asked =
            |job: &&Job| job.collecting().is_some_and(|round| round.participants.contains_key(&of.name));
        let jobs: Vec<JobId> =
            self.read(|state| state.jobs.values().filter(asked).map(|job| job.id.clone()).collect());
        for id in jobs {
            // A job by itself, since what one makes can change what the next makes. One that fails here is
            // settled with its next transition.
            if let Err(refusal) = self.transition(&id, Transition::Tick).await {
                tracing::error!(job = %id, %refusal, "the open round still waits for a revoked institution");
            }
        }
        Ok(())
    }
}
