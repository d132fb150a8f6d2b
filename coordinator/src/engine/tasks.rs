//! What the coordinator computes itself: first weights and aggregates. A task follows from a job's
//! stored state and has the same result each time, so it needs no record of its own.

use std::time::Duration;

use eosfed_common::assignment::BlobRef;
use eosfed_common::ids::JobId;
use eosfed_common::weights::{Digest, Signature, Tensors, WeightsFile, write};

use super::{Handle, lock};
use crate::aggregation::{Weighted, fed_avg};
use crate::domain::job::{Event, Task};
use crate::storage::Blobs;

/// How long to wait before recording a result again when the store could not take it.
const PAUSE: Duration = Duration::from_secs(30);

/// Starts the task of a job, if it has one and it is not under way. Must be called inside a tokio
/// runtime.
pub(super) fn dispatch(handle: &Handle, id: &JobId) {
    let Some(task) = handle.job(id).ok().and_then(|job| job.task()) else { return };
    if !lock(&handle.0.busy).insert(id.clone()) {
        return;
    }
    let (handle, id) = (handle.clone(), id.clone());
    tokio::spawn(async move {
        let again = perform(&handle, &id, task).await;
        lock(&handle.0.busy).remove(&id);
        if again {
            tokio::time::sleep(PAUSE).await;
        }
        // The transition that the result has caused may ask for another task.
        dispatch(&handle, &id);
    });
}

/// Computes and records; gives whether recording must be tried again.
async fn perform(handle: &Handle, id: &JobId, task: Task) -> bool {
    let blobs = handle.blobs();
    let job = id.clone();
    let computed = tokio::task::spawn_blocking(move || compute(&*blobs, &job, &task)).await;
    let event = match computed {
        Ok(Ok(event)) => event,
        Ok(Err(error)) => Event::TaskFailed(format!("{error:#}")),
        Err(panic) => Event::TaskFailed(format!("the coordinator has a defect: {panic}")),
    };
    if let Event::TaskFailed(why) = &event {
        tracing::error!(job = %id, why, "the job pauses");
    }
    match handle.on_job(id.clone(), move |job, now| job.apply(event, now)).await {
        Ok(()) => {
            handle.sweep_job(id);
            false
        }
        Err(refusal) => {
            tracing::warn!(job = %id, %refusal, "a result cannot be recorded");
            refusal.reason.is_transient()
        }
    }
}

fn compute(blobs: &dyn Blobs, job: &JobId, task: &Task) -> anyhow::Result<Event> {
    match task {
        Task::Prepare(trainee, seed) => {
            let tensors = trainee.initial_weights(*seed);
            Ok(Event::Prepared(keep(blobs, job, &trainee.signature(), &tensors)?))
        }
        Task::Aggregate { trainee, round, updates } => {
            let signature = trainee.signature();
            let files = updates
                .iter()
                .map(|(blob, samples)| Ok((WeightsFile::open(&blobs.file(blob.digest)?)?, *samples)));
            let files: Vec<_> = files.collect::<anyhow::Result<_>>()?;
            let weighted = files
                .iter()
                .map(|(file, samples)| Ok(Weighted { weights: file.check(&signature)?, samples: *samples }));
            let mean = fed_avg(&signature, &weighted.collect::<anyhow::Result<Vec<_>>>()?);
            Ok(Event::Aggregated(*round, keep(blobs, job, &signature, &mean)?))
        }
    }
}

fn keep(blobs: &dyn Blobs, job: &JobId, signature: &Signature, tensors: &Tensors) -> anyhow::Result<BlobRef> {
    let path = blobs.workshop().join(format!("{job}.safetensors"));
    write(&path, signature, tensors)?;
    Ok(blobs.adopt(&path)?)
}

impl Handle {
    /// Removes what closed rounds of every job have left behind.
    pub(super) fn sweep(&self) {
        for job in self.jobs() {
            self.sweep_job(&job.id);
        }
    }

    fn sweep_job(&self, id: &JobId) {
        if self.0.options.keep_updates {
            return;
        }
        let spent = self.read(|state| state.job(id).map(|job| state.spent_blobs(job)).unwrap_or_default());
        for digest in spent {
            self.remove(digest);
        }
    }

    /// Removes a blob that no job and no specialist refers to.
    pub(super) fn remove_unless_needed(&self, digest: Digest) {
        if !self.read(|state| state.needs_blob(&digest)) {
            self.remove(digest);
        }
    }

    fn remove(&self, digest: Digest) {
        if let Err(error) = self.0.blobs.remove(digest) {
            tracing::warn!(%error, "cannot remove a blob that is no longer needed");
        }
    }
}
