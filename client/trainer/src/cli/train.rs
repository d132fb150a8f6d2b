//! `eosfed-trainer train`.

use std::path::Path;
use std::process::ExitCode;

use eosfed_common::task::{TrainTask, TrainerEvent, exit_code};
use eosfed_common::training_target::TrainingTarget;
use eosfed_trainer::ensemble::{EnsembleError, train_head};
use eosfed_trainer::train::{TrainError, run};
use indicatif::ProgressBar;

use super::events::{draw, print, read_task};
use super::signals::StopFlag;
use eosfed_trainer::device::memory::contained;

/// Trains what the task file describes.
pub(super) fn train(path: &Path, pretty: bool) -> anyhow::Result<ExitCode> {
    let Some(task) = read_task::<TrainTask>(path, "a training task")? else {
        return Ok(ExitCode::from(exit_code::USAGE as u8));
    };
    let stop = StopFlag::install()?;
    let bar = ProgressBar::hidden();
    let mut emit = |event: TrainerEvent| if pretty { draw(&bar, &event) } else { print(&event) };
    if let Err(rule) = task.check() {
        emit(TrainerEvent::Failed { reason: format!("{}: {rule}", path.display()) });
        return Ok(ExitCode::from(exit_code::FAILED as u8));
    }
    let stopped = || stop.is_set();
    let result = contained(|| match &task.training_target {
        TrainingTarget::Specialist(model) => {
            run(&task, model, &mut emit, &stopped).map_err(EnsembleError::from)
        }
        TrainingTarget::Head(over) => train_head(&task, &over.head, &mut emit, &stopped),
        TrainingTarget::Bands(_) => unreachable!("`TrainTask::check` has refused it"),
    });
    let reason = match result {
        Ok(Ok(())) => return Ok(ExitCode::SUCCESS),
        Ok(Err(EnsembleError::Train(TrainError::Cancelled(_)))) => {
            return Ok(ExitCode::from(exit_code::CANCELLED as u8));
        }
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::error!(error = reason, "training failed");
    emit(TrainerEvent::Failed { reason });
    Ok(ExitCode::from(exit_code::FAILED as u8))
}
