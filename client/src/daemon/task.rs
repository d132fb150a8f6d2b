//! The task that an assignment is for the trainer.

use std::path::{Path, PathBuf};

use eosfed_common::assignment::{EvaluationWork, TrainingWork, Work};
use eosfed_common::model::ModelSpec;
use eosfed_common::task::{EvaluationTask, InitialWeights, TrainTask};
use eosfed_common::training_target::TrainingTarget;

use super::environment::Environment;
use super::fetch::BASE;
use super::run::Daemon;
use crate::state::HeldAssignment;
use crate::trainer::Task;

impl<E: Environment> Daemon<E> {
    /// The trainer's task for an assignment on a data set, with its output in `folder`; `None` if it needs no trainer.
    pub(super) fn task(&self, held: &HeldAssignment, dataset: &Path, folder: &Path) -> Option<Task> {
        match &held.assignment.work {
            Work::Statistics => None,
            Work::Training(work) => Some(Task::Train(Box::new(self.training(held, work, dataset, folder)))),
            Work::Evaluation(work) => {
                self.evaluation(held, work, dataset, folder).map(Box::new).map(Task::Evaluate)
            }
        }
    }

    fn evaluation(
        &self,
        held: &HeldAssignment,
        work: &EvaluationWork,
        dataset: &Path,
        folder: &Path,
    ) -> Option<EvaluationTask> {
        let TrainingTarget::Specialist(model) = &held.assignment.training_target else { return None };
        let settings = &self.parts.task;
        Some(EvaluationTask {
            model: model.clone(),
            weights: folder.join(BASE),
            normalisation: work.normalisation.clone(),
            input_size: work.input_size,
            antialias: work.antialias,
            dataset: dataset.to_owned(),
            device: settings.device,
            threads: settings.threads,
            samples: settings.samples.clone(),
        })
    }

    fn training(
        &self,
        held: &HeldAssignment,
        work: &TrainingWork,
        dataset: &Path,
        folder: &Path,
    ) -> TrainTask {
        let initial = match (work.base, &work.base_model) {
            (Some(_), None) => InitialWeights::File(folder.join(BASE)),
            (Some(_), Some(model)) => InitialWeights::Specialist {
                file: folder.join(BASE),
                model: ModelSpec::clone(model),
                seed: work.initial_seed,
            },
            (None, _) => match self.pretrained(&held.assignment.training_target) {
                Some(file) => InitialWeights::Pretrained { file, seed: work.initial_seed },
                None => InitialWeights::Seed(work.initial_seed),
            },
        };
        let release = match &held.assignment.training_target {
            TrainingTarget::Specialist(_) | TrainingTarget::Bands(_) => None,
            TrainingTarget::Head(_) => Some(self.parts.site.release(&held.assignment.id.job)),
        };
        let settings = &self.parts.task;
        TrainTask {
            training_target: held.assignment.training_target.clone(),
            release,
            training: work.settings.clone(),
            dataset: dataset.to_owned(),
            initial,
            normalisation: work.normalisation.clone(),
            seed: work.seed,
            schedule: work.schedule,
            keep: work.keep,
            device: settings.device,
            threads: settings.threads,
            samples: settings.samples.clone(),
            output: folder.to_owned(),
        }
    }

    /// The file that a specialist's encoder starts from, if the settings name one.
    fn pretrained(&self, training_target: &TrainingTarget) -> Option<PathBuf> {
        match training_target {
            TrainingTarget::Specialist(model) => self.parts.task.pretrained.get(&model.backbone).cloned(),
            TrainingTarget::Head(_) | TrainingTarget::Bands(_) => None,
        }
    }
}
