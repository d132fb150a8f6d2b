//! The command line: reads arguments, calls the library, prints.

mod baseline;
mod device;
mod ensemble;
mod memory;
mod predict;
mod train;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Parser, Subcommand, ValueEnum};
use eosfed_common::stdout::print_error;
use eosfed_common::task::{DeviceChoice, exit_code};
use eosfed_common::telemetry::{self, LogFormat};

/// Trains EoS-Fed specialists with libtorch, and heads over frozen ensemble releases.
///
/// Researchers use `ensemble`, `fit` and `score` on a release that `eosfed release pull` has
/// fetched. The client daemon uses `train` and `evaluate`.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a specialist, or a head over frozen ones, as a task file says (used by the client daemon).
    ///
    /// Prints one JSON event a line on standard output. SIGTERM stops after the current step; the
    /// same command then goes on from the last epoch.
    Train {
        /// The task, as the daemon writes it.
        task: PathBuf,
        /// Show a progress bar instead of JSON events.
        #[arg(long)]
        pretty: bool,
    },
    /// Score a frozen specialist on a validation part, as a task file says (used by the client daemon).
    ///
    /// Prints one JSON event a line on standard output.
    Evaluate {
        /// The task, as the daemon writes it.
        task: PathBuf,
    },
    Fit(ensemble::FitArguments),
    Score(ensemble::ScoreArguments),
    Predict(predict::PredictArguments),
    Baseline(baseline::BaselineArguments),
    Features(predict::FeaturesArguments),
    /// Look into a release: how it takes your bands, and what each of its specialists brings.
    #[command(subcommand, arg_required_else_help = true)]
    Ensemble(ensemble::EnsembleCommand),
    /// Say which device would be used and why, and what is known of CUDA on this machine.
    Device {
        /// Where to compute.
        #[arg(long, value_enum, default_value_t)]
        device: DeviceArgument,
    },
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum DeviceArgument {
    /// CUDA when there is a device, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The first CUDA device.
    Cuda,
}

impl From<DeviceArgument> for DeviceChoice {
    fn from(argument: DeviceArgument) -> Self {
        match argument {
            DeviceArgument::Auto => Self::Auto,
            DeviceArgument::Cpu => Self::Cpu,
            DeviceArgument::Cuda => Self::Cuda,
        }
    }
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    telemetry::init(LogFormat::Text, "info");
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too; they are no mistakes.
            let _ = error.print();
            let code = if error.use_stderr() { exit_code::USAGE } else { exit_code::DONE };
            return ExitCode::from(code as u8);
        }
    };
    memory::install();
    let result = memory::contained(|| match cli.command {
        Command::Train { task, pretty } => train::train(&task, pretty),
        Command::Evaluate { task } => train::evaluate(&task),
        Command::Fit(arguments) => ensemble::fit(&arguments),
        Command::Score(arguments) => ensemble::score(&arguments),
        Command::Baseline(arguments) => baseline::baseline(&arguments),
        Command::Predict(arguments) => predict::predict(&arguments),
        Command::Features(arguments) => predict::features(&arguments),
        Command::Ensemble(command) => ensemble::look_into(&command),
        Command::Device { device } => device::explain(device.into()),
    });
    match result.unwrap_or_else(|error| Err(error.into())) {
        Ok(code) => code,
        Err(error) => {
            print_error(format_args!("{error:#}"));
            ExitCode::from(exit_code::FAILED as u8)
        }
    }
}

/// A flag that SIGTERM and SIGINT raise.
fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    Ok(flag)
}

fn raised(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}
