//! The command line: one module per command, which reads its arguments, calls the library and prints.

mod ablate;
mod arguments;
mod baseline;
mod composition;
mod device;
mod evaluate;
mod events;
mod explain;
mod features;
mod fit;
mod output;
mod predict;
mod prune;
mod score;
mod signals;
mod train;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use eosfed_common::stdout::print_failure;
use eosfed_common::task::exit_code;
use eosfed_common::telemetry::{self, LogFormat};
use eosfed_common::trace::{self, TraceContext};
use eosfed_trainer::device::memory;

/// Trains EoS-Fed specialists with libtorch, and heads over frozen ensemble releases.
///
/// Researchers use `ensemble`, `fit` and `score` on a release that `eosfed release pull` has
/// fetched. The client daemon uses `train` and `evaluate`.
#[derive(Parser)]
#[command(name = "eosfed-trainer", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a specialist, or a head over frozen specialists, from a task file (used by the client daemon).
    ///
    /// Prints one JSON event per line on standard output. SIGTERM stops the training after the
    /// current step; the same command resumes it after the last finished epoch.
    Train {
        /// Task file that the daemon has written.
        task: PathBuf,
        /// Show a progress bar instead of JSON events.
        #[arg(long)]
        pretty: bool,
    },
    /// Score a frozen specialist on validation data from a task file (used by the client daemon).
    ///
    /// Prints one JSON event per line on standard output.
    Evaluate {
        /// Task file that the daemon has written.
        task: PathBuf,
    },
    Fit(fit::FitArguments),
    Score(score::ScoreArguments),
    Predict(predict::PredictArguments),
    Baseline(baseline::BaselineArguments),
    Features(features::FeaturesArguments),
    /// Inspect a release: how it uses your bands, and what each of its specialists contributes.
    #[command(subcommand, arg_required_else_help = true)]
    Ensemble(EnsembleCommand),
    Device(device::DeviceArguments),
}

#[derive(Subcommand)]
enum EnsembleCommand {
    Explain(explain::ExplainArguments),
    Ablate(ablate::AblateArguments),
    Prune(prune::PruneArguments),
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    if let Some(code) = eosfed_manual::asked(&Cli::command(), std::env::args_os()) {
        return code;
    }
    telemetry::init(LogFormat::Text, "info");
    // The daemon makes the spans of a training from its events; the log lines have the id of the trace.
    let place = std::env::var(trace::VARIABLE).ok().and_then(|text| text.parse::<TraceContext>().ok());
    let _in_trace = place.map(|place| tracing::info_span!("trace", id = place.trace_id()).entered());
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version arrive here too, and are not mistakes.
            let _ = error.print();
            let code = if error.use_stderr() { exit_code::USAGE } else { exit_code::DONE };
            return ExitCode::from(code as u8);
        }
    };
    memory::install();
    let result = memory::contained(|| run(cli.command));
    result.unwrap_or_else(|error| Err(error.into())).unwrap_or_else(|error| {
        print_failure(error.as_ref());
        ExitCode::from(exit_code::FAILED as u8)
    })
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Train { task, pretty } => train::train(&task, pretty),
        Command::Evaluate { task } => evaluate::evaluate(&task),
        Command::Fit(arguments) => fit::fit(&arguments),
        Command::Score(arguments) => score::score(&arguments),
        Command::Predict(arguments) => predict::predict(&arguments),
        Command::Baseline(arguments) => baseline::baseline(&arguments),
        Command::Features(arguments) => features::features(&arguments),
        Command::Ensemble(EnsembleCommand::Explain(arguments)) => explain::explain(&arguments),
        Command::Ensemble(EnsembleCommand::Ablate(arguments)) => ablate::ablate(&arguments),
        Command::Ensemble(EnsembleCommand::Prune(arguments)) => prune::prune(&arguments),
        Command::Device(arguments) => device::device(&arguments),
    }
}
