//! The task that an assignment is for the trainer.

use std::path::{Path, PathBuf};

use eosfed_common::assignment::{EvaluationWork, TrainingWork, Work};
use eosfed_common::task::{EvaluationTask, InitialWeights, TrainTask};
use eosfed_common::trainee::Trainee;

use super::environment::Environment;
use super::fetch::BASE;
use super::run::Daemon;
use crate::state::HeldAssignment;
use crate::trainer::Task;

impl<E: Environment> Daemon<E> {
    /// The trainer's task for an assignment, with its output in `folder`; `None` if it needs no trainer.
    pub(super) fn task(&self, held: &HeldAssignment, folder: &Path) -> Option<Task> {
        match &held.assignment.work {
            Work::Statistics => None,
            Work::Training(work) => Some(Task::Train(Box::new(self.training(held, work, folder)))),
            Work::Evaluation(work) => self.evaluation(held, work, folder).map(Box::new).map(Task::Evaluate),
        }
    }

    fn evaluation(
        &self,
        held: &HeldAssignment,
        work: &EvaluationWork,
        folder: &Path,
    ) -> Option<EvaluationTask> {
        let Trainee::Specialist(model) = &held.assignment.trainee else { return None };
        let settings = &self.parts.task;
        Some(EvaluationTask {
            model: model.clone(),
            weights: folder.join(BASE),
            normalisation: work.normalisation.clone(),
            input_size: work.input_size,
            dataset: settings.dataset.clone(),
            device: settings.device,
            threads: settings.threads,
        })
    }

    fn training(&self, held: &HeldAssignment, work: &TrainingWork, folder: &Path) -> TrainTask {
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
        let settings = &self.parts.task;
        TrainTask {
            trainee: held.assignment.trainee.clone(),
            release,
            training: work.settings.clone(),
            dataset: settings.dataset.clone(),
            initial,
            normalisation: work.normalisation.clone(),
            seed: work.seed,
            schedule: work.schedule,
            keep: work.keep,
            device: settings.device,
            threads: settings.threads,
            output: folder.to_owned(),
        }
    }

    /// The file that a specialist's encoder starts from, if the settings name one.
    fn pretrained(&self, trainee: &Trainee) -> Option<PathBuf> {
        match trainee {
            Trainee::Specialist(model) => self.parts.task.pretrained.get(&model.backbone).cloned(),
            Trainee::Head(_) => None,
        }
    }
}
