//! Calls of operators on the engine.

use eosfed_common::ablation::Ablation;
use eosfed_common::assignment::BlobRef;
use eosfed_common::card::ReleaseManifest;
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{IdempotencyKey, InstitutionName, JobId};
use eosfed_common::plan::{JobSpec, RoundsPlan};
use eosfed_common::refusal::{Reason, Refusal};
use rand_chacha::ChaCha12Rng;

use super::Core;
use crate::domain::job::JobAction;
use crate::domain::registry::SpecialistRef;
use crate::domain::{Federation, Fork, Job, Submission};
use crate::storage::Presence;

/// An unused job id.
fn unused_id(state: &Federation, rng: &mut ChaCha12Rng) -> JobId {
    loop {
        let id = JobId::random(rng);
        if !state.jobs.contains_key(&id) {
            return id;
        }
    }
}

impl Core {
    /// Submits a job. A repeated call with the same key gives the same job.
    ///
    /// # Errors
    /// If too few institutions are enrolled, or the registry does not have what the plan names.
    pub async fn submit_job(
        &self,
        spec: JobSpec,
        by: &InstitutionName,
        key: IdempotencyKey,
    ) -> Result<JobId, Refusal> {
        let mut writer = self.lock_writer().await;
        let now = self.now();
        let (id, change) = self.read(|state| {
            let id = unused_id(state, &mut writer.rng);
            state.submit_job(Submission { id, key, spec, by: by.clone() }, now)
        })?;
        for start in change.jobs.iter().flat_map(|job| job.starts.values()) {
            if !self.has_blob(start.weights).await? {
                let message = format!(
                    "`start_from`: the weights of {start}, {}, are missing; restore them from a backup, or start \
                     from another specialist",
                    start.weights.digest
                );
                return Err(Refusal::new(Reason::BlobMissing, message));
            }
        }
        self.store_change(&mut writer, change, now).await?;
        Ok(id)
    }

    /// Whether a blob is stored completely.
    async fn has_blob(&self, blob: BlobRef) -> Result<bool, Refusal> {
        Ok(matches!(self.blobs.stat("", blob.digest).await?, Presence::Complete(_)))
    }

    /// Applies an operator's action to a job.
    ///
    /// # Errors
    /// If there is no such job, or its state does not allow it.
    pub async fn control_job(
        &self,
        id: &JobId,
        action: JobAction,
        by: InstitutionName,
    ) -> Result<(), Refusal> {
        self.transition(id, action.by(by)).await
    }

    /// Forks a job from a round of another. A repeated call with the same key gives the same job. With
    /// `rounds`, the round's kept updates are aggregated by these rules; without, the round is trained again.
    ///
    /// # Errors
    /// If the round is not complete, the rules do not fit the job, or blobs that it needs were removed.
    pub async fn fork_job(
        &self,
        origin: &JobId,
        round: u32,
        rounds: Option<RoundsPlan>,
        by: InstitutionName,
        key: IdempotencyKey,
    ) -> Result<JobId, Refusal> {
        let mut writer = self.lock_writer().await;
        let now = self.now();
        // Closed rounds do not change, so they can be read without the lock.
        let closed = self.store.closed_rounds(origin, 0..=round).await?;
        let (id, change) = self.read(|state| {
            let id = unused_id(state, &mut writer.rng);
            state.fork(origin, Fork { id, key, by, round, rounds }, &closed, now)
        })?;
        for blob in change.jobs.iter().flat_map(Job::needs) {
            if !self.has_blob(blob).await? {
                let message = format!(
                    "no job can start from round {} of job {origin}: {} was removed (`eosfed audit list --kind \
                     round_pruned --job {origin}` tells when); `keep_updates_for` and `keep_updates_mb` in the \
                     coordinator's settings set how long updates are kept",
                    round + 1,
                    blob.digest
                );
                return Err(Refusal::new(Reason::BlobMissing, message));
            }
        }
        self.store_change(&mut writer, change, now).await?;
        Ok(id)
    }

    /// Creates a release of these specialists, or of the latest version of all. A repeated call with the same
    /// key gives the same release.
    ///
    /// # Errors
    /// If a reference names no specialist, a name is given twice, or there is nothing to release.
    pub async fn create_release(
        &self,
        references: &[SpecialistRef],
        note: String,
        key: IdempotencyKey,
        by: InstitutionName,
    ) -> Result<ReleaseManifest, Refusal> {
        let create =
            |state: &Federation, now, _: &mut _| state.create_release(references, note, key, by, now);
        let created = self.transact(create).await?;
        // It was signed when it was stored.
        self.release(Some(created.number))
    }

    /// Takes the ablation of a head over a release; gives when it was first recorded. A repeated call changes
    /// nothing.
    ///
    /// # Errors
    /// As [`Federation::record_ablation`].
    pub async fn record_ablation(
        &self,
        ablation: Ablation,
        by: InstitutionName,
    ) -> Result<Timestamp, Refusal> {
        self.transact(|state, now, _| state.record_ablation(ablation, by, now)).await
    }
}
