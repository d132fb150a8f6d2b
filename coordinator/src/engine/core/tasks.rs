//! The coordinator's own computations: first weights and aggregates. A task follows from a job's stored state
//! and has the same result each time, so it needs no record of its own. Also the removal of blobs that are no
//! longer needed.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Instant;

use eosfed_aggregation::{Aggregate, AggregationInput, Server, Update, aggregate};
use eosfed_common::assignment::BlobRef;
use eosfed_common::digest::Digest;
use eosfed_common::ids::JobId;
use eosfed_common::ledger::{Actor, Entry, EventKind};
use eosfed_common::weights::{Signature, Tensors, write};

use super::{Core, lock};
use crate::domain::job::{Aggregation, Task, WeightedUpdate};
use crate::domain::{Change, Transition};
use crate::storage::{BlobError, Blobs, LocalFile};

/// The outcome of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskOutcome {
    /// The job has no task now, or another thread is computing it.
    Nothing,
    /// Its result, or its failure, is recorded.
    Recorded,
    /// The store could not record the result; try again.
    Retry,
}

impl Core {
    /// Computes the task of a job, if it has one, and records the result.
    pub async fn perform(&self, id: &JobId) -> TaskOutcome {
        if !lock(&self.busy).insert(id.clone()) {
            return TaskOutcome::Nothing;
        }
        let _busy = Busy(self, id);
        let Some(task) = self.job(id).ok().and_then(|job| job.task()) else { return TaskOutcome::Nothing };
        let began = Instant::now();
        let computed = compute(self.blobs(), &task).await;
        if matches!(task, Task::Aggregate(_)) {
            self.options.metrics.aggregation.observe(began.elapsed().as_secs_f64());
        }
        let transition = computed.unwrap_or_else(|error| {
            tracing::error!(job = %id, why = format!("{error:#}"), "a task has failed; the job pauses");
            Transition::TaskFailed(format!("{error:#}"))
        });
        match self.transition(id, transition).await {
            Ok(()) => TaskOutcome::Recorded,
            Err(refusal) => {
                tracing::warn!(job = %id, %refusal, "cannot record the result of a computation");
                if refusal.reason.is_transient() { TaskOutcome::Retry } else { TaskOutcome::Recorded }
            }
        }
    }

    /// Removes the blobs that are not needed, and uploads that were not continued or submitted for longer
    /// than the settings allow. Gives the number of removed blobs. It does nothing while a task is being
    /// computed, since no record refers to its result yet. It holds the write lock, so that no submission
    /// comes in between.
    pub async fn sweep(&self) -> usize {
        let mut writer = self.lock_writer().await;
        let mut removed = 0;
        if let Err(error) = self.remove_unneeded(&mut removed).await {
            tracing::warn!(%error, "cannot remove blobs that are no longer needed");
        }
        if removed > 0 {
            let kind = EventKind::BlobsRemoved { blobs: removed as u64 };
            let change = Change::noted(Entry::new(Actor::Coordinator, kind));
            if let Err(error) = self.store_change(&mut writer, change, self.now()).await {
                tracing::warn!(%error, removed, "cannot record the removal of blobs");
            }
        }
        removed
    }

    async fn remove_unneeded(&self, removed: &mut usize) -> Result<(), BlobError> {
        let all = self.blobs.list().await?;
        // All of this is done after the list was made, so newer blobs are not in it. If the result of a task
        // is in it, that task cannot end without the write lock.
        if !lock(&self.busy).is_empty() {
            return Ok(());
        }
        self.blobs.drop_stale_uploads(self.options.keep_uploads_for).await?;
        let mut needed = self.referenced();
        needed.extend(self.blobs.pinned().await?);
        for digest in all.into_iter().filter(|digest| !needed.contains(digest)) {
            self.blobs.remove(digest).await?;
            *removed += 1;
        }
        Ok(())
    }

    /// Removes a blob at once, unless a record refers to it.
    pub(super) async fn remove_unless_needed(&self, digest: Digest) {
        let _writer = self.lock_writer().await;
        if !self.referenced().contains(&digest)
            && let Err(error) = self.blobs.remove(digest).await
        {
            tracing::warn!(%error, "cannot remove a blob that is no longer needed");
        }
    }

    pub(super) fn referenced(&self) -> BTreeSet<Digest> {
        self.read(|state| state.referenced(self.options.keep_updates_for, self.now()))
    }
}

/// Marks a job's task as running until it is dropped.
struct Busy<'a>(&'a Core, &'a JobId);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        lock(&self.0.busy).remove(self.1);
    }
}

async fn compute(blobs: &dyn Blobs, task: &Task) -> anyhow::Result<Transition> {
    match task {
        Task::Prepare(target, seed) => {
            let tensors = target.initial_weights(*seed);
            Ok(Transition::Prepared(keep(blobs, &target.signature(), &tensors).await?))
        }
        Task::Aggregate(aggregation) => combine(blobs, aggregation).await,
    }
}

async fn combine(blobs: &dyn Blobs, aggregation: &Aggregation) -> anyhow::Result<Transition> {
    let Aggregation { target, round, strategy, server, global_model, optimizer_state, step, updates } =
        aggregation;
    let signature = target.signature();
    let step = *step;
    let state_signature = Server::of(*strategy, *server).state_signature(&signature);
    let global_model = open(blobs, global_model, &signature).await?;
    let optimizer_state = match (optimizer_state, &state_signature) {
        (Some(blob), Some(names)) => Some(open(blobs, blob, names).await?),
        (None, _) | (_, None) => None,
    };
    let mut opened = Vec::new();
    for WeightedUpdate { weights, weight, base } in updates {
        let base = match base {
            Some(base) => Some(open(blobs, base, &signature).await?),
            None => None,
        };
        opened.push((open(blobs, weights, &signature).await?, *weight, base));
    }
    let updates: Vec<_> = (opened.iter())
        .map(|(weights, weight, base)| Update { weights, weight: *weight, base: base.as_ref() })
        .collect();
    let strategy = *strategy;
    let server = *server;
    let optimizer_state = optimizer_state.as_ref();
    let input = AggregationInput {
        strategy,
        server,
        signature: &signature,
        global_model: &global_model,
        optimizer_state,
        step,
    };
    let Aggregate { weights, optimizer_state } = aggregate(&input, &updates)?;
    let next = keep(blobs, &signature, &weights).await?;
    drop(weights);
    let optimizer_state = match (optimizer_state, state_signature) {
        (Some(optimizer_state), Some(names)) => Some(keep(blobs, &names, &optimizer_state).await?),
        (None, _) | (_, None) => None,
    };
    Ok(Transition::Aggregated(*round, next, optimizer_state))
}

async fn open(
    blobs: &dyn Blobs,
    blob: &BlobRef,
    signature: &Signature,
) -> anyhow::Result<eosfed_aggregation::WeightsReader> {
    let file = LocalFile::of(blobs, blob.digest).await?;
    // A temporary copy may be deleted now: the mapped file stays open.
    Ok(eosfed_aggregation::WeightsReader::open(file.path(), signature)?)
}

/// Stores bytes as a blob.
pub(super) async fn keep_bytes(blobs: &dyn Blobs, bytes: &[u8]) -> Result<BlobRef, BlobError> {
    let mut staged = blobs.stage()?;
    let failed = |source| BlobError::of(Digest::of(bytes), source);
    staged.write_all(bytes).and_then(|()| staged.flush()).map_err(failed)?;
    blobs.ingest(staged).await
}

async fn keep(blobs: &dyn Blobs, signature: &Signature, tensors: &Tensors) -> anyhow::Result<BlobRef> {
    let staged = blobs.stage()?;
    write(staged.path(), signature, tensors)?;
    Ok(blobs.ingest(staged).await?)
}
