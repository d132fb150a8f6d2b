//! Training: the task's file, the trainer beside the heartbeat, and what its end means.

use std::path::{Path, PathBuf};

use eosfed_common::assignment::{EvaluationWork, MAX_METRICS, TrainingWork, Work};
use eosfed_common::files::write_atomically;
use eosfed_common::task::{EvaluationTask, InitialWeights, TrainTask, TrainerEvent};
use eosfed_common::trainee::Trainee;

use super::heart::Heart;
use super::step::{Event, Held, Scores, Update};
use super::work::{BASE, Beside};
use super::{Daemon, DaemonError, Flow, io_error, room};
use crate::coordinator::Coordinator;
use crate::outbound;
use crate::policy::Leaving;
use crate::trainer::{Trainer, describe};

impl<C: Coordinator> Daemon<C> {
    pub(super) async fn train(&mut self, deaths: u32) -> Result<Flow, DaemonError> {
        if deaths > 0 && !self.pause(deaths).await {
            return Ok(Flow::End);
        }
        let held = self.held();
        let folder = self.folder(&held)?;
        let Some(task) = self.task(&held, &folder) else {
            return Ok(Flow::Event(Event::Failed(
                "there is nothing to train or to score in this".to_owned(),
            )));
        };
        task.has_room(&folder)?;
        let file = folder.join("task.json");
        write_atomically(&file, &task.json()).map_err(io_error(&file))?;
        let mut trainer = match self.parts.trainer.start(task.command(), &file, &folder) {
            Ok(trainer) => trainer,
            Err(error) => {
                let program = self.parts.trainer.program.display();
                return Ok(Flow::Event(Event::TrainerDied(format!("cannot start `{program}`: {error}"))));
            }
        };
        match self.supervise(&mut trainer, &held).await {
            Ok(Attended::Closed(last)) => self.conclude(trainer, last, task, &folder).await,
            Ok(Attended::Ended(flow)) => {
                trainer.stop().await;
                Ok(flow)
            }
            // Whoever goes on from the journal starts another.
            Err(error) => {
                trainer.stop().await;
                Err(error)
            }
        }
    }

    async fn supervise(&mut self, trainer: &mut Trainer, held: &Held) -> Result<Attended, DaemonError> {
        drop(self.apply(Event::TrainerStarted(trainer.process()))?);
        let mut heart = self.heart(held);
        self.attend(trainer, &mut heart).await
    }

    fn task(&self, held: &Held, folder: &Path) -> Option<Task> {
        match &held.assignment.work {
            Work::Statistics => None,
            Work::Training(work) => Some(Task::Train(Box::new(self.training(held, work, folder)))),
            Work::Evaluation(work) => self.evaluation(held, work, folder).map(Box::new).map(Task::Evaluate),
        }
    }

    fn evaluation(&self, held: &Held, work: &EvaluationWork, folder: &Path) -> Option<EvaluationTask> {
        let Trainee::Specialist(model) = &held.assignment.trainee else { return None };
        Some(EvaluationTask {
            model: model.clone(),
            weights: folder.join(BASE),
            normalisation: work.normalisation.clone(),
            input_size: work.input_size,
            dataset: self.parts.dataset.clone(),
            device: self.parts.device,
            threads: self.parts.threads,
        })
    }

    fn training(&self, held: &Held, work: &TrainingWork, folder: &Path) -> TrainTask {
        let initial = match work.base {
            Some(_) => InitialWeights::File(folder.join(BASE)),
            None => match self.pretrained(&held.assignment.trainee) {
                Some(file) => InitialWeights::Pretrained { file, seed: work.initial_seed },
                None => InitialWeights::Seed(work.initial_seed),
            },
        };
        let release = match &held.assignment.trainee {
            Trainee::Specialist(_) => None,
            Trainee::Head(_) => Some(self.parts.site.release(&held.assignment.id.job)),
        };
        TrainTask {
            trainee: held.assignment.trainee.clone(),
            release,
            training: work.settings.clone(),
            dataset: self.parts.dataset.clone(),
            initial,
            normalisation: work.normalisation.clone(),
            seed: work.seed,
            schedule: work.schedule,
            keep: work.keep,
            device: self.parts.device,
            threads: self.parts.threads,
            output: folder.to_owned(),
        }
    }

    /// The file that a specialist's encoder starts from, if the settings name one.
    fn pretrained(&self, trainee: &Trainee) -> Option<PathBuf> {
        match trainee {
            Trainee::Specialist(model) => self.parts.pretrained.get(&model.backbone).cloned(),
            Trainee::Head(_) => None,
        }
    }

    /// Listens to the trainer until it closes its output, or something else ends the work.
    async fn attend(&mut self, trainer: &mut Trainer, heart: &mut Heart) -> Result<Attended, DaemonError> {
        let metrics = self.policy()?.lets_out(Leaving::Metrics);
        let mut last = None;
        loop {
            match self.beside(heart, trainer.next()).await {
                Beside::End => return Ok(Attended::Ended(Flow::End)),
                Beside::Event(Event::Leased(lease)) => {
                    drop(self.apply(Event::Leased(lease))?);
                    self.renew_when_due().await?;
                }
                Beside::Event(event) => return Ok(Attended::Ended(Flow::Event(event))),
                Beside::Done(None) => return Ok(Attended::Closed(last)),
                Beside::Done(Some(Err(why))) => {
                    return Ok(Attended::Ended(Flow::Event(Event::TrainerDied(why))));
                }
                Beside::Done(Some(Ok(event))) => {
                    if matches!(event, TrainerEvent::Epoch { .. }) {
                        self.record_sent_if_room()?;
                        self.renew_when_due().await?;
                    }
                    last = self.note(event, metrics).or(last);
                }
            }
        }
    }

    /// Takes in an event of the trainer; gives back one that decides about its end.
    fn note(&self, event: TrainerEvent, metrics_leave: bool) -> Option<TrainerEvent> {
        match event {
            TrainerEvent::Started { device, steps, resumed_at, training_samples, warnings, .. } => {
                tracing::info!(%device, steps, resumed_at, training_samples, "the trainer has started");
                warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                self.tracker.begin(resumed_at, steps);
                None
            }
            TrainerEvent::Progress { step, loss } => {
                tracing::debug!(step, loss, "training");
                self.tracker.advance(step);
                None
            }
            TrainerEvent::Epoch { epoch, step, loss, metrics, .. } => {
                tracing::info!(epoch, step, loss, ?metrics, "epoch done");
                self.tracker.advance(step);
                if metrics_leave {
                    self.tracker.add(step, loss, metrics);
                }
                None
            }
            end @ (TrainerEvent::Finished { .. } | TrainerEvent::Failed { .. }) => Some(end),
        }
    }

    /// What the end of the trainer means.
    async fn conclude(
        &self,
        mut trainer: Trainer,
        last: Option<TrainerEvent>,
        task: Task,
        folder: &Path,
    ) -> Result<Flow, DaemonError> {
        let status = trainer.end().await.map_err(io_error(folder))?;
        let event = match last {
            Some(TrainerEvent::Failed { reason }) => match task.has_room(folder) {
                Ok(()) => Event::Failed(reason),
                Err(full) => Event::TrainerDied(format!("{reason}; {full}")),
            },
            Some(TrainerEvent::Finished { samples, steps, normalisation, metrics, energy, initial })
                if status.success() =>
            {
                self.tracker.advance(steps);
                let leave = self.policy()?.lets_out(Leaving::Metrics);
                let metrics = metrics.into_iter().filter(|_| leave).take(MAX_METRICS).collect();
                match task {
                    Task::Evaluate(_) => Event::Scored(Scores { samples, metrics, energy }),
                    Task::Train(task) => {
                        let file = folder.join(TrainTask::WEIGHTS);
                        match check(&file, &task.trainee).await {
                            Ok(weights) => Event::Finished(Box::new(Update {
                                file,
                                weights,
                                samples,
                                metrics,
                                normalisation,
                                energy,
                                initial,
                            })),
                            Err(why) => Event::Failed(why),
                        }
                    }
                }
            }
            _ => Event::TrainerDied(describe(status, folder)),
        };
        Ok(Flow::Event(event))
    }
}

/// What the trainer is to do.
enum Task {
    Train(Box<TrainTask>),
    Evaluate(Box<EvaluationTask>),
}

impl Task {
    /// The trainer's command for it.
    const fn command(&self) -> &'static str {
        match self {
            Self::Train(_) => "train",
            Self::Evaluate(_) => "evaluate",
        }
    }

    /// That there is room in its folder for what it writes; an evaluation writes nothing.
    fn has_room(&self, folder: &Path) -> Result<(), DaemonError> {
        match self {
            Self::Train(task) => room::check(folder, &task.trainee),
            Self::Evaluate(_) => Ok(()),
        }
    }

    /// Its file.
    fn json(&self) -> Vec<u8> {
        let json = match self {
            Self::Train(task) => serde_json::to_vec_pretty(task),
            Self::Evaluate(task) => serde_json::to_vec_pretty(task),
        };
        json.expect("a task is plain data")
    }
}

enum Attended {
    /// The trainer has closed its output, after this last word.
    Closed(Option<TrainerEvent>),
    /// Something else has ended the work.
    Ended(Flow),
}

async fn check(file: &Path, trainee: &Trainee) -> Result<eosfed_common::assignment::BlobRef, String> {
    let (file, trainee) = (file.to_owned(), trainee.clone());
    let checked = tokio::task::spawn_blocking(move || outbound::check(&file, &trainee)).await;
    let refused = |why: String| format!("the trained weights may not leave: {why}");
    checked.map_err(|error| refused(error.to_string()))?.map_err(|error| refused(error.to_string()))
}
