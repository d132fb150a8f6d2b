//! Training: the trainer runs while heartbeats are sent, and its end becomes an event.

use std::collections::BTreeMap;
use std::path::Path;

use eosfed_common::assignment::{BandMoments, BlobRef, MAX_METRICS};
use eosfed_common::finite::Finite;
use eosfed_common::metric;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::report::{EvaluationReport, TrainingReport};
use eosfed_common::scoring::Scoring;
use eosfed_common::task::{TrainTask, TrainerEvent};
use eosfed_common::training_target::TrainingTarget;

use super::disk_space;
use super::environment::{DaemonError, Environment};
use super::run::{Daemon, Flow};
use super::step::Event;
use super::supervise::Supervised;
use super::told;
use crate::condition::{ConditionKind, LocalCondition};
use crate::data_sets::no_longer;
use crate::imagery::Imagery as _;
use crate::outbound;
use crate::policy::{PolicyStatus, objections_to_amount, refused};
use crate::state::{HeldAssignment, Update};
use crate::trainer::{RunningTrainer, StartError, Task, Trainer};

impl<E: Environment> Daemon<E> {
    pub(super) async fn train(&mut self, crash_count: u32) -> Result<Flow, DaemonError> {
        let held = self.held();
        if crash_count > 0 && held.wait.is_none() && !self.pause(crash_count).await {
            return Ok(Flow::Exit);
        }
        let folder = self.folder(&held)?;
        let name = held.dataset.as_ref();
        let Some(dataset) = self.parts.task.dataset.path(name) else {
            let refusal = Refusal::new(Reason::DataUnfit, no_longer(name));
            return Ok(Flow::Event(Event::Failed(refusal)));
        };
        let Some(task) = self.task(&held, dataset, &folder) else {
            let message = "there is nothing to train or to score in this assignment";
            return Ok(Flow::Event(Event::Failed(Refusal::new(Reason::Internal, message))));
        };
        if let Some(condition) = self.obstacle(&task, &folder).await {
            return Ok(Flow::Event(self.blocked(condition)));
        }
        let PolicyStatus::Settled(policy) = self.gate.policy_status(Some(&self.work_in_hand(&held))) else {
            let message = "the site policy is not clear, so no training starts";
            let unclear = LocalCondition::new(ConditionKind::PolicyUnclear, message);
            return Ok(Flow::Event(self.blocked(unclear)));
        };
        let most = policy.max_gpu_memory_percent;
        let mut trainer = match self.parts.trainer.start(&task, &folder, most) {
            Ok(trainer) => trainer,
            Err(StartError::Condition(condition)) => return Ok(Flow::Event(self.blocked(condition))),
            Err(StartError::Io { path, source }) => return Err(DaemonError::Io { path, source }),
        };
        match self.attend(&mut trainer, &held).await {
            Ok(TrainerOutcome::Closed(last)) => self.conclude(trainer, last, task, &folder).await,
            Ok(TrainerOutcome::Interrupted(flow)) => {
                trainer.stop().await;
                Ok(flow)
            }
            // The next run continues from the journal and starts another.
            Err(error) => {
                trainer.stop().await;
                Err(error)
            }
        }
    }

    /// The condition of this machine that prevents a task for now, if there is one.
    async fn obstacle(&self, task: &Task, folder: &Path) -> Option<LocalCondition> {
        if let Task::Train(task) = task {
            let needed = disk_space::of_training(&task.training_target);
            if let Err(full) = disk_space::check(&*self.parts.disk, folder, "training", needed) {
                return Some(full);
            }
        }
        let dataset = self.state.held().and_then(|held| held.dataset.as_ref());
        if let Some(missing) = self.parts.imagery.missing(dataset).await {
            return Some(missing);
        }
        self.parts.trainer.room(task.device(), folder).await.err()
    }

    /// Listens to the trainer until it closes its output, or something else ends the work.
    async fn attend(
        &mut self,
        trainer: &mut impl RunningTrainer,
        held: &HeldAssignment,
    ) -> Result<TrainerOutcome, DaemonError> {
        drop(self.apply(Event::TrainerStarted(trainer.process()))?);
        let mut heartbeats = self.heartbeats(held);
        let mut last = None;
        loop {
            match self.supervise(&mut heartbeats, trainer.next()).await? {
                Supervised::Interrupted(flow) => return Ok(TrainerOutcome::Interrupted(flow)),
                Supervised::Done(None) => return Ok(TrainerOutcome::Closed(last)),
                Supervised::Done(Some(Err(why))) => {
                    tracing::warn!("the trainer crashed: {why}");
                    return Ok(TrainerOutcome::Interrupted(Flow::Event(Event::TrainerCrashed(why))));
                }
                Supervised::Done(Some(Ok(event))) => {
                    if let Some(refusal) = self.too_little(held, &event) {
                        return Ok(TrainerOutcome::Interrupted(Flow::Event(Event::PolicyDenied(refusal))));
                    }
                    self.after_trainer_event(&event).await?;
                    last = self.note(event).or(last);
                }
            }
        }
    }

    /// The policy's refusal if a trainer that has started has too few samples. The data set may have changed
    /// since the work was accepted.
    fn too_little(&self, held: &HeldAssignment, event: &TrainerEvent) -> Option<Refusal> {
        let TrainerEvent::Started { training_samples, .. } = event else { return None };
        let PolicyStatus::Settled(policy) = self.gate.policy_status(Some(&self.work_in_hand(held))) else {
            return None;
        };
        refused(&objections_to_amount(&policy, &held.assignment.work, *training_samples))
    }

    /// Updates the records during training.
    async fn after_trainer_event(&mut self, event: &TrainerEvent) -> Result<(), DaemonError> {
        self.trace_trainer(event);
        match event {
            TrainerEvent::Progress { .. } | TrainerEvent::Epoch { .. } if self.state.wait().is_some() => {
                drop(self.apply(Event::Progressed)?);
            }
            _ => {}
        }
        if matches!(event, TrainerEvent::Epoch { .. }) {
            self.record_sent_if_space()?;
            self.renew_when_due().await?;
        }
        Ok(())
    }

    /// Records an event of the trainer. Returns it if it is the final one.
    fn note(&self, event: TrainerEvent) -> Option<TrainerEvent> {
        match event {
            TrainerEvent::Started { device, steps, resumed_at, training_samples, warnings, .. } => {
                tracing::info!(%device, steps, resumed_at, training_samples, "the trainer has started");
                warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                self.progress.begin(resumed_at, steps);
                None
            }
            TrainerEvent::Progress { step, loss } => {
                tracing::debug!(step, loss, "training");
                self.progress.advance(step);
                None
            }
            TrainerEvent::Epoch { epoch, step, loss, metrics, .. } => {
                tracing::info!(epoch, step, loss, ?metrics, "epoch done");
                self.progress.advance(step);
                self.progress.add(step, loss, metrics);
                None
            }
            TrainerEvent::Spent { starting, loading, training, validation, writing, samples } => {
                let samples = samples.as_deref().unwrap_or("memory");
                let beside = starting + loading + writing;
                tracing::info!(
                    beside,
                    starting,
                    loading,
                    training,
                    validation,
                    writing,
                    samples,
                    "seconds of the training"
                );
                None
            }
            end @ (TrainerEvent::Finished { .. }
            | TrainerEvent::Scored { .. }
            | TrainerEvent::Failed { .. }) => Some(end),
        }
    }

    /// What the end of the trainer means.
    async fn conclude(
        &self,
        mut trainer: impl RunningTrainer,
        last: Option<TrainerEvent>,
        task: Task,
        folder: &Path,
    ) -> Result<Flow, DaemonError> {
        let event = match (&task, last, trainer.end().await) {
            (
                Task::Train(task),
                Some(TrainerEvent::Finished { steps, report, statistics, start_metrics }),
                Ok(()),
            ) => {
                self.progress.advance(steps);
                self.finished((report, statistics, start_metrics), task, folder).await
            }
            (Task::Evaluate(_), Some(TrainerEvent::Scored { report }), Ok(())) => {
                let metrics = bounded(report.metrics);
                let scoring = bounded_scoring(report.scoring, &metrics);
                Event::Scored(EvaluationReport { metrics, scoring, ..report })
            }
            (_, Some(TrainerEvent::Failed { reason }), _) => match self.obstacle(&task, folder).await {
                Some(condition) => {
                    tracing::warn!("the trainer has failed: {reason}");
                    self.blocked(condition)
                }
                None => Event::Failed(Refusal::new(Reason::Internal, reason)),
            },
            (_, _, ended) => {
                let why = ended.err().unwrap_or_else(|| "it ended without a result".to_owned());
                tracing::warn!("the trainer crashed: {why}");
                match self.obstacle(&task, folder).await {
                    Some(condition) => self.blocked(condition),
                    None => Event::TrainerCrashed(why),
                }
            }
        };
        Ok(Flow::Event(event))
    }

    /// The event for the result of a finished training.
    async fn finished(
        &self,
        (report, statistics, start_metrics): (TrainingReport, Vec<BandMoments>, BTreeMap<String, Finite>),
        task: &TrainTask,
        folder: &Path,
    ) -> Event {
        let metrics = bounded(report.metrics);
        let scoring = bounded_scoring(report.scoring, &metrics);
        let report = TrainingReport { metrics, scoring, ..report };
        let file = folder.join(TrainTask::WEIGHTS);
        match self.check_weights(&file, &task.training_target).await {
            Ok(weights) => {
                let statistics = told::of_head(statistics, &task.training_target);
                let start_metrics = told::of_average(bounded(start_metrics), task);
                let update = Update {
                    file,
                    weights,
                    report,
                    statistics,
                    start_metrics,
                    mechanism: None,
                    encoded: None,
                };
                Event::Finished(Box::new(update))
            }
            Err(why) => {
                let message = format!("the trained weights may not leave: {why}");
                Event::Failed(Refusal::new(Reason::Internal, message))
            }
        }
    }

    async fn check_weights(&self, file: &Path, training_target: &TrainingTarget) -> Result<BlobRef, String> {
        let file = file.to_owned();
        let training_target = training_target.clone();
        let checked = self.parts.blocking.run(move || outbound::check(&file, &training_target)).await?;
        checked.map_err(|error| error.to_string())
    }
}

/// The metrics that a message may have: those in the range of their definition, and not too many.
fn bounded(metrics: BTreeMap<String, Finite>) -> BTreeMap<String, Finite> {
    let admitted = metrics.into_iter().filter(|(name, value)| match metric::check(name, value.get()) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, "a metric is not sent");
            false
        }
    });
    admitted.take(MAX_METRICS).collect()
}

/// What scores are of, if a message may say it about these scores.
fn bounded_scoring(
    scoring: Option<Box<Scoring>>,
    metrics: &BTreeMap<String, Finite>,
) -> Option<Box<Scoring>> {
    let mut scoring = scoring.filter(|_| !metrics.is_empty())?;
    scoring.intervals.retain(|name, _| metrics.contains_key(name));
    scoring.chosen_on = bounded(scoring.chosen_on);
    match scoring.check(metrics) {
        Ok(()) => Some(scoring),
        Err(error) => {
            tracing::warn!(error, "what the scores are of is not sent");
            None
        }
    }
}

enum TrainerOutcome {
    /// The trainer has closed its output, after this last event.
    Closed(Option<TrainerEvent>),
    /// Something else has ended the work.
    Interrupted(Flow),
}
