//! What operators ask of the engine.

use std::time::Duration;

use eosfed_common::card::ReleaseManifest;
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{IdempotencyKey, InstitutionName, JobId};
use eosfed_common::plan::{JobSpec, RoundsPlan};
use eosfed_common::refusal::{Reason, Refusal};
use rand::RngExt as _;
use rand_chacha::ChaCha12Rng;

use super::Core;
use crate::domain::job::Event;
use crate::domain::registry::SpecialistRef;
use crate::domain::{Federation, Job};
use crate::storage::Presence;

/// An invitation, once: its secret is not kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Invited {
    /// 64 hexadecimal digits.
    pub secret: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether the institution is enrolled already.
    pub enrolled_before: bool,
}

/// An id that no job has.
fn free(state: &Federation, rng: &mut ChaCha12Rng) -> JobId {
    loop {
        let id = JobId::random(rng);
        if !state.jobs.contains_key(&id) {
            return id;
        }
    }
}

impl Core {
    /// Invites an institution.
    ///
    /// # Errors
    /// If the invitation would be open for no time or for too long.
    pub async fn invite(&self, name: &InstitutionName, valid_for: Duration) -> Result<Invited, Refusal> {
        self.transact(|state, now, rng| {
            let secret = format!("{:032x}{:032x}", rng.random::<u128>(), rng.random::<u128>());
            let (enrolled_before, change) = state.invite(name, &secret, valid_for, now)?;
            Ok((Invited { secret, expires_at: now.plus(valid_for), enrolled_before }, change))
        })
        .await
    }

    /// Redeems an invitation for a signing request; when this has returned, the request may be
    /// certified.
    ///
    /// # Errors
    /// A reason of the `TOKEN_` family.
    pub async fn redeem(
        &self,
        name: &InstitutionName,
        secret: &str,
        request_pem: &str,
    ) -> Result<(), Refusal> {
        self.transact(|state, now, _| Ok(((), state.redeem(name, secret, request_pem, now)?))).await
    }

    /// Submits a job; the same key again gives the same job.
    ///
    /// # Errors
    /// If too few institutions are enrolled.
    pub async fn submit_job(
        &self,
        spec: JobSpec,
        by: &InstitutionName,
        key: IdempotencyKey,
    ) -> Result<JobId, Refusal> {
        self.transact(|state, now, rng| state.submit_job(free(state, rng), key, spec, by, now)).await
    }

    /// Stops a job for good.
    ///
    /// # Errors
    /// If there is no such job, or it has ended.
    pub async fn cancel_job(&self, id: &JobId, by: InstitutionName) -> Result<(), Refusal> {
        self.on_job(id, |job, now| job.apply(Event::Cancel(by), now)).await
    }

    /// Lets a paused job go on.
    ///
    /// # Errors
    /// If there is no such job, or it is not paused.
    pub async fn resume_job(&self, id: &JobId) -> Result<(), Refusal> {
        self.on_job(id, |job, now| job.apply(Event::Resume, now)).await
    }

    /// Lets a job rest: nothing new is offered until it is resumed.
    ///
    /// # Errors
    /// If there is no such job, or it is at rest already.
    pub async fn pause_job(&self, id: &JobId, by: InstitutionName) -> Result<(), Refusal> {
        self.on_job(id, |job, now| job.apply(Event::Pause(by), now)).await
    }

    /// Asks an institution again that has refused, failed or been rejected in the open round.
    ///
    /// # Errors
    /// If there is no such job, or nothing to ask again.
    pub async fn retry(&self, id: &JobId, institution: InstitutionName) -> Result<(), Refusal> {
        self.on_job(id, |job, now| job.apply(Event::Retry(institution), now)).await
    }

    /// Goes on from a job's round in a new job; the same key again gives the same job. With `rounds`,
    /// the round's kept updates are aggregated by these rules; without, the round is run again.
    ///
    /// # Errors
    /// If the round has not closed, the rules do not fit, or the blobs it needs are gone.
    pub async fn job_from(
        &self,
        origin: &JobId,
        round: u32,
        rounds: Option<RoundsPlan>,
        by: &InstitutionName,
        key: IdempotencyKey,
    ) -> Result<JobId, Refusal> {
        let mut writer = self.writer.lock().await;
        let now = self.now();
        let (id, change) = self.read(|state| {
            let id = free(state, &mut writer.rng);
            state.job_from(origin, round, rounds, id, key, by, now)
        })?;
        for blob in change.jobs.iter().flat_map(Job::needs) {
            if !matches!(self.blobs.stat("", blob.digest).await?, Presence::Complete(_)) {
                let message = format!(
                    "round {} of job {origin} cannot be gone on from: {} was removed; `keep_updates_for` in \
                     the coordinator's settings says how long updates are kept",
                    round + 1,
                    blob.digest
                );
                return Err(Refusal::new(Reason::BlobMissing, message));
            }
        }
        self.commit(&mut writer, change).await?;
        Ok(id)
    }

    /// Cuts a release of these specialists, or of the latest version of all; the same key again
    /// gives the same release.
    ///
    /// # Errors
    /// If a reference names nothing, a name comes twice, or there is nothing to release.
    pub async fn create_release(
        &self,
        references: &[SpecialistRef],
        note: String,
        key: IdempotencyKey,
    ) -> Result<ReleaseManifest, Refusal> {
        self.transact(|state, now, _| state.create_release(references, note, key, now)).await
    }
}
