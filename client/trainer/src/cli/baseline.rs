//! `eosfed-trainer baseline`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use eosfed_common::counted::counted;
use eosfed_common::outln;
use eosfed_trainer::train::baselines;

use super::arguments::{Format, SplitArgument, input_size};
use super::output::print_json;
use super::signals::StopFlag;

/// Score two answers that need no network: a constant, and a linear model of the bands.
///
/// Example: eosfed-trainer baseline --data labelled/dataset.toml --split validation
#[derive(Args)]
pub(super) struct BaselineArguments {
    /// Data set: a dataset.toml or its folder. Its training part is learned from.
    #[arg(long)]
    data: PathBuf,
    /// Part of the data set to score on.
    #[arg(long, value_enum, default_value = "validation")]
    split: SplitArgument,
    /// Side in pixels to which images are resized; a multiple of 32.
    #[arg(long, value_parser = input_size)]
    input_size: Option<u32>,
    /// Format in which the scores are printed.
    #[arg(long = "format", value_enum, default_value_t)]
    format: Format,
}

/// Computes and prints the scores.
pub(super) fn baseline(arguments: &BaselineArguments) -> anyhow::Result<ExitCode> {
    let stop = StopFlag::install()?;
    let split = arguments.split.into();
    let report = baselines(&arguments.data, split, arguments.input_size, &|| stop.is_set())?;
    if matches!(arguments.format, Format::Json) {
        print_json(&report)?;
        return Ok(ExitCode::SUCCESS);
    }
    let learned = counted(report.training_samples, "sample");
    outln!("{}, learned from {learned}, scored on {}", report.task, report.samples);
    let main = report.task.main_metric();
    for baseline in &report.baselines {
        let others = baseline.metrics.iter().filter(|(name, _)| *name != main);
        let others: Vec<_> = others.map(|(name, value)| format!("{name} {value:.3}")).collect();
        outln!("  {main} {:.3}  {} ({})", baseline.metrics[main], baseline.name, others.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}
