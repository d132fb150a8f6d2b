//! `eosfed-trainer evaluate`.

use std::path::Path;
use std::process::ExitCode;

use eosfed_common::task::{TrainerEvent, exit_code};

use super::events::{print, read_task};
use eosfed_trainer::device::memory::contained;

/// Scores the specialist that the task file names.
pub(super) fn evaluate(path: &Path) -> anyhow::Result<ExitCode> {
    let Some(task) = read_task(path, "an evaluation task")? else {
        return Ok(ExitCode::from(exit_code::USAGE as u8));
    };
    // An evaluation keeps nothing, so SIGTERM may end it at once.
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
