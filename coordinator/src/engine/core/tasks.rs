//! What the coordinator computes itself: first weights and aggregates. A task follows from a job's
//! stored state and has the same result each time, so it needs no record of its own. And what it
//! throws away: blobs that nothing refers to any more.

use std::collections::BTreeSet;

use eosfed_aggregation::{Aggregate, Recipe, Server, Update, aggregate};
use eosfed_common::assignment::BlobRef;
use eosfed_common::digest::Digest;
use eosfed_common::ids::JobId;
use eosfed_common::weights::{Signature, Tensors, write};

use super::{Core, lock};
use crate::domain::job::{Aggregation, Event, Operand, Task};
use crate::storage::Blobs;

/// How a task has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Performed {
    /// The job has none now, or somebody else is at it.
    Nothing,
    /// Its result, or its failure, is recorded.
    Recorded,
    /// The store could not take the result: to be tried again.
    Again,
}

impl Core {
    /// Computes the task of a job, if it has one, and records the result.
    pub fn perform(&self, id: &JobId) -> Performed {
        if !lock(&self.busy).insert(id.clone()) {
            return Performed::Nothing;
        }
        let _busy = Busy(self, id);
        let Some(task) = self.job(id).ok().and_then(|job| job.task()) else { return Performed::Nothing };
        let event = compute(&*self.blobs, id, &task).unwrap_or_else(|error| {
            tracing::error!(job = %id, why = format!("{error:#}"), "the job pauses");
            Event::TaskFailed(format!("{error:#}"))
        });
        match self.on_job(id, |job, now| job.apply(event, now)) {
            Ok(()) => Performed::Recorded,
            Err(refusal) => {
                tracing::warn!(job = %id, %refusal, "a result cannot be recorded");
                if refusal.reason.is_transient() { Performed::Again } else { Performed::Recorded }
            }
        }
    }

    /// Removes the blobs that nothing refers to, and uploads that nobody has gone on with, or handed in,
    /// for longer than the settings allow; gives how many blobs. Never while something is being computed, whose
    /// result nothing refers to yet; and behind the door, so that no submission comes in between.
    pub fn sweep(&self) -> usize {
        let _door = lock(&self.door);
        let busy = lock(&self.busy);
        if !busy.is_empty() {
            return 0;
        }
        let keep_for = self.options.keep_updates_for;
        let mut needed: BTreeSet<Digest> = self.read(|state| state.referenced(keep_for, self.clock.now()));
        let removed = self.blobs.list().and_then(|all| {
            self.blobs.drop_stale_uploads(self.options.keep_uploads_for)?;
            // Looked at after the list: what has become a blob since is not in it.
            needed.extend(self.blobs.unclaimed()?);
            let spent: Vec<_> = all.into_iter().filter(|digest| !needed.contains(digest)).collect();
            spent.iter().try_for_each(|digest| self.blobs.remove(*digest))?;
            Ok(spent.len())
        });
        removed.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot remove blobs that are no longer needed");
            0
        })
    }
}

impl Core {
    /// Removes a blob at once, unless something refers to it.
    pub(super) fn remove_unless_needed(&self, digest: Digest) {
        let _door = lock(&self.door);
        let needed = self.read(|state| state.referenced(self.options.keep_updates_for, self.clock.now()));
        if !needed.contains(&digest)
            && let Err(error) = self.blobs.remove(digest)
        {
            tracing::warn!(%error, "cannot remove a blob that is no longer needed");
        }
    }
}

/// Marks a job's task as under way, until dropped.
struct Busy<'a>(&'a Core, &'a JobId);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        lock(&self.0.busy).remove(self.1);
    }
}

fn compute(blobs: &dyn Blobs, job: &JobId, task: &Task) -> anyhow::Result<Event> {
    match task {
        Task::Prepare(trainee, seed) => {
            let tensors = trainee.initial_weights(*seed);
            Ok(Event::Prepared(keep(blobs, job, &trainee.signature(), &tensors)?))
        }
        Task::Aggregate(aggregation) => combine(blobs, job, aggregation),
    }
}

fn combine(blobs: &dyn Blobs, job: &JobId, aggregation: &Aggregation) -> anyhow::Result<Event> {
    let Aggregation { trainee, round, strategy, server, now, memory, step, updates } = aggregation;
    let (signature, step) = (trainee.signature(), *step);
    let remembered = Server::of(*strategy, *server).memory(&signature);
    let open = |blob: &BlobRef, signature: &Signature| -> anyhow::Result<_> {
        Ok(eosfed_aggregation::Operand::open(&blobs.file(blob.digest)?, signature)?)
    };
    let now = open(now, &signature)?;
    let memory = match (memory, &remembered) {
        (Some(blob), Some(names)) => Some(open(blob, names)?),
        (None, _) | (_, None) => None,
    };
    let opened = updates.iter().map(|Operand { weights, weight, base }| {
        let base = base.as_ref().map(|base| open(base, &signature)).transpose()?;
        Ok((open(weights, &signature)?, *weight, base))
    });
    let opened = opened.collect::<anyhow::Result<Vec<_>>>()?;
    let updates: Vec<_> = (opened.iter())
        .map(|(weights, weight, base)| Update { weights, weight: *weight, base: base.as_ref() })
        .collect();
    let (strategy, server, memory) = (*strategy, *server, memory.as_ref());
    let recipe = Recipe { strategy, server, signature: &signature, now: &now, memory, step };
    let Aggregate { weights, memory } = aggregate(&recipe, &updates)?;
    let next = keep(blobs, job, &signature, &weights)?;
    drop(weights);
    let memory = match (memory, remembered) {
        (Some(memory), Some(names)) => Some(keep(blobs, job, &names, &memory)?),
        (None, _) | (_, None) => None,
    };
    Ok(Event::Aggregated(*round, next, memory))
}

fn keep(blobs: &dyn Blobs, job: &JobId, signature: &Signature, tensors: &Tensors) -> anyhow::Result<BlobRef> {
    let path = blobs.workshop().join(format!("{job}.safetensors"));
    write(&path, signature, tensors)?;
    Ok(blobs.adopt(&path)?)
}
