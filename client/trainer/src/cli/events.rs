//! The interface with the daemon: task files are read, and events are printed.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use eosfed_common::stdout::print_error;
use eosfed_common::task::{TrainerEvent, exit_code};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::de::DeserializeOwned;

/// Reads a task file. A file that is not a task is reported to the daemon with a `failed` event and to
/// people on standard error; the result is `None`.
pub(super) fn read_task<T: DeserializeOwned>(path: &Path, kind: &str) -> anyhow::Result<Option<T>> {
    let json = std::fs::read(path).with_context(|| path.display().to_string())?;
    match serde_json::from_slice(&json) {
        Ok(task) => Ok(Some(task)),
        Err(error) => {
            let reason = format!("{}: the file is not {kind}: {error}", path.display());
            print_error(format_args!("{reason}"));
            print(&TrainerEvent::Failed { reason });
            Ok(None)
        }
    }
}

/// Prints an event as one line of JSON.
pub(super) fn print(event: &TrainerEvent) {
    let line = serde_json::to_string(event).expect("events are plain data");
    // A closed pipe means that the daemon has ended; the next one resumes from the checkpoint.
    if writeln!(std::io::stdout(), "{line}").is_err() {
        std::process::exit(exit_code::CANCELLED);
    }
}

/// Shows an event on a progress bar.
pub(super) fn draw(bar: &ProgressBar, event: &TrainerEvent) {
    match event {
        TrainerEvent::Started { device, steps, resumed_at, training_samples, warnings, .. } => {
            let style = ProgressStyle::with_template("{elapsed_precise} {wide_bar} {pos}/{len} steps  {msg}");
            bar.set_style(style.expect("the template is well formed"));
            bar.set_draw_target(ProgressDrawTarget::stderr());
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
        TrainerEvent::Spent { starting, loading, training, validation, writing, samples } => {
            let from = samples.as_ref().map(|from| format!(" (samples: {from})")).unwrap_or_default();
            bar.println(format!(
                "starting {starting:.1} s, loading {loading:.1} s{from}, training {training:.1} s, validation {validation:.1} s, writing \
                 {writing:.1} s"
            ));
        }
        TrainerEvent::Finished { .. } | TrainerEvent::Scored { .. } => bar.finish(),
        TrainerEvent::Failed { reason } => bar.abandon_with_message(reason.clone()),
    }
}
