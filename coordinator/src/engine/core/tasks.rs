//! The coordinator's own computations: first weights and aggregates. A task follows from a job's stored state
//! and has the same result each time, so it needs no record of its own.

use std::io::Write as _;
use std::time::Instant;

use anyhow::Context as _;
use eosfed_aggregation::{AggregationInput, Server, Update, WeightsReader, aggregate_into};
use eosfed_common::assignment::BlobRef;
use eosfed_common::digest::Digest;
use eosfed_common::ids::JobId;
use eosfed_common::model::{ModelSpec, initial_tensor, named, signature as signature_of, warm_tensor};
use eosfed_common::weights::{Signature, WeightsWriter};
use tempfile::NamedTempFile;

use super::{Core, lock};
use crate::domain::Transition;
use crate::domain::job::{Aggregation, Preparation, Task, WeightedUpdate};
use crate::domain::start::Start;
use crate::domain::target::Target;
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
        Task::Prepare(preparation) => prepare(blobs, preparation).await,
        Task::Aggregate(aggregation) => combine(blobs, aggregation).await,
    }
}

async fn prepare(blobs: &dyn Blobs, preparation: &Preparation) -> anyhow::Result<Transition> {
    let Preparation { target, seed, start } = preparation;
    let signature = target.signature();
    let first = match (target, start) {
        (Target::Specialist(model), Some(start)) => warm(blobs, model, &signature, *seed, start).await?,
        (_, None) => keep(blobs, &signature, |name, shape| Ok(initial_tensor(name, shape, *seed))).await?,
        (_, Some(start)) => anyhow::bail!("only a specialist can start from {start}"),
    };
    Ok(Transition::Prepared(first))
}

/// The first weights of a network with the encoder of a released specialist.
async fn warm(
    blobs: &dyn Blobs,
    model: &ModelSpec,
    signature: &Signature,
    seed: u64,
    start: &Start,
) -> anyhow::Result<BlobRef> {
    let context = || format!("start from {start}");
    let local = LocalFile::of(blobs, start.weights.digest).await.with_context(context)?;
    let released = signature_of(&start.model);
    let (file, _verified) = WeightsReader::check(local.path(), &released).with_context(context)?;
    let from = named(&start.model.bands);
    keep(blobs, signature, |name, shape| {
        Ok(warm_tensor(model, &from, seed, (name, shape), |name| file.tensor(&released, name))?)
    })
    .await
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
    for WeightedUpdate { weights, weight, base, code } in updates {
        let base = match base {
            Some(base) => Some(open(blobs, base, &signature).await?),
            None => None,
        };
        let update = match code {
            None => open(blobs, weights, &signature).await?,
            Some(code) => {
                let start = base.as_ref().unwrap_or(&global_model);
                let file = LocalFile::of(blobs, weights.digest).await?;
                WeightsReader::open_step(file.path(), &signature, *code, start)?
            }
        };
        opened.push((update, *weight, base));
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
    let (next, weights) = begin(blobs, &signature)?;
    let state = state_signature.map(|names| begin(blobs, &names)).transpose()?;
    aggregate_into(&input, &updates, &weights, state.as_ref().map(|(_, writer)| writer))?;
    let next = blobs.ingest(next).await?;
    let optimizer_state = match state {
        Some((staged, _)) => Some(blobs.ingest(staged).await?),
        None => None,
    };
    Ok(Transition::Aggregated(*round, next, optimizer_state))
}

async fn open(blobs: &dyn Blobs, blob: &BlobRef, signature: &Signature) -> anyhow::Result<WeightsReader> {
    let file = LocalFile::of(blobs, blob.digest).await?;
    // A temporary copy may be deleted now: the file stays open.
    Ok(WeightsReader::open(file.path(), signature)?)
}

/// Stores bytes as a blob.
pub(super) async fn keep_bytes(blobs: &dyn Blobs, bytes: &[u8]) -> Result<BlobRef, BlobError> {
    let mut staged = blobs.stage()?;
    let failed = |source| BlobError::of(Digest::of(bytes), source);
    staged.write_all(bytes).and_then(|()| staged.flush()).map_err(failed)?;
    blobs.ingest(staged).await
}

/// Begins a file of weights that becomes a blob.
fn begin(blobs: &dyn Blobs, signature: &Signature) -> anyhow::Result<(NamedTempFile, WeightsWriter)> {
    let staged = blobs.stage()?;
    let writer = WeightsWriter::create(staged.path(), signature)?;
    Ok((staged, writer))
}

/// Stores weights of which one tensor is in memory at a time. `values` gives those of the tensor with this name and
/// shape.
async fn keep(
    blobs: &dyn Blobs,
    signature: &Signature,
    values: impl Fn(&str, &[usize]) -> anyhow::Result<Vec<f32>>,
) -> anyhow::Result<BlobRef> {
    let (staged, writer) = begin(blobs, signature)?;
    for (index, (name, shape)) in signature.0.iter().enumerate() {
        writer.write(index, 0, &values(name, shape)?)?;
    }
    Ok(blobs.ingest(staged).await?)
}
