//! `eosfed-trainer train` and `evaluate`: what the client daemon runs.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use eosfed_common::stdout::print_error;
use eosfed_common::task::{TrainTask, TrainerEvent, exit_code};
use eosfed_common::trainee::Trainee;
use eosfed_trainer::ensemble::{EnsembleError, train_head};
use eosfed_trainer::train::{TrainError, run};
use indicatif::{ProgressBar, ProgressStyle};
use serde::de::DeserializeOwned;

use super::memory::contained;
use super::{raised, stop_flag};

/// Reads a task file. If it is not a task, says so to the daemon with a `failed` event and to people
/// on standard error, and gives nothing.
fn read_task<T: DeserializeOwned>(path: &Path, what: &str) -> anyhow::Result<Option<T>> {
    let json = std::fs::read(path).with_context(|| path.display().to_string())?;
    match serde_json::from_slice(&json) {
        Ok(task) => Ok(Some(task)),
        Err(error) => {
            let reason = format!("{}: the file is not {what}: {error}", path.display());
            print_error(format_args!("{reason}"));
            print(&TrainerEvent::Failed { reason });
            Ok(None)
        }
    }
}

pub(super) fn evaluate(path: &Path) -> anyhow::Result<ExitCode> {
    let Some(task) = read_task(path, "an evaluation task")? else {
        return Ok(ExitCode::from(exit_code::USAGE as u8));
    };
    // Nothing is lost when it is stopped: the default of SIGTERM will do.
    let work = || eosfed_trainer::train::evaluate(&task, &mut |event| print(&event));
    let reason = match contained(work) {
        Ok(Ok(())) => return Ok(ExitCode::SUCCESS),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::error!(error = reason, "the evaluation failed");
    print(&TrainerEvent::Failed { reason });
    Ok(ExitCode::from(exit_code::FAILED as u8))
}

pub(super) fn train(path: &Path, pretty: bool) -> anyhow::Result<ExitCode> {
    let Some(task) = read_task::<TrainTask>(path, "a training task")? else {
        return Ok(ExitCode::from(exit_code::USAGE as u8));
    };
    let flag = stop_flag()?;
    let bar = ProgressBar::hidden();
    let mut emit = |event: TrainerEvent| if pretty { draw(&bar, &event) } else { print(&event) };
    if let Err(rule) = task.check() {
        emit(TrainerEvent::Failed { reason: format!("{}: {rule}", path.display()) });
        return Ok(ExitCode::from(exit_code::FAILED as u8));
    }
    let stopped = || raised(&flag);
    let result = contained(|| match &task.trainee {
        Trainee::Specialist(model) => run(&task, model, &mut emit, &stopped).map_err(EnsembleError::from),
        Trainee::Head(over) => train_head(&task, &over.head, &mut emit, &stopped),
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

fn print(event: &TrainerEvent) {
    let line = serde_json::to_string(event).expect("events are plain data");
    // A closed pipe means that the daemon is gone; its successor resumes from the checkpoint.
    if writeln!(std::io::stdout(), "{line}").is_err() {
        std::process::exit(exit_code::CANCELLED);
    }
}

fn draw(bar: &ProgressBar, event: &TrainerEvent) {
    match event {
        TrainerEvent::Started { device, steps, resumed_at, training_samples, warnings, .. } => {
            let style = ProgressStyle::with_template("{elapsed_precise} {wide_bar} {pos}/{len} steps  {msg}");
            bar.set_style(style.expect("the template is well formed"));
            bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
            bar.set_length(*steps);
            bar.set_position(*resumed_at);
            bar.println(format!("training on {training_samples} samples, {device}"));
            warnings.iter().for_each(|warning| bar.println(format!("warning: {warning}")));
        }
        TrainerEvent::Progress { step, loss } => {
            bar.set_position(*step);
            bar.set_message(format!("loss {loss:.4}"));
        }
        TrainerEvent::Epoch { step, metrics, .. } => {
            bar.set_position(*step);
            let metrics: Vec<_> = metrics.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
            bar.set_message(metrics.join(", "));
        }
        TrainerEvent::Finished { .. } | TrainerEvent::Scored { .. } => bar.finish(),
        TrainerEvent::Failed { reason } => bar.abandon_with_message(reason.clone()),
    }
}
