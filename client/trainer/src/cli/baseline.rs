//! `eosfed-trainer baseline`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use eosfed_common::outln;
use eosfed_trainer::train::baselines;

use super::ensemble::{Format, SplitArgument};
use super::{raised, stop_flag};

/// Say what one gets on data without a network: the constant answer, and a linear model.
///
/// Example: eosfed-trainer baseline --data labelled/dataset.toml --split validation
#[derive(Args)]
pub(super) struct BaselineArguments {
    /// The data: a dataset.toml or its folder; its training part is learned from.
    #[arg(long)]
    data: PathBuf,
    /// The part that is scored.
    #[arg(long, value_enum, default_value = "validation")]
    split: SplitArgument,
    /// Side in pixels to which images are resized; a multiple of 32.
    #[arg(long)]
    input_size: Option<u32>,
    /// How to print the scores.
    #[arg(long = "format", value_enum, default_value_t)]
    format: Format,
}

pub(super) fn baseline(arguments: &BaselineArguments) -> anyhow::Result<ExitCode> {
    let flag = stop_flag()?;
    let split = arguments.split.into();
    let report = baselines(&arguments.data, split, arguments.input_size, &|| raised(&flag))?;
    if matches!(arguments.format, Format::Json) {
        outln!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(ExitCode::SUCCESS);
    }
    outln!("{}, learned from {} samples, scored on {}", report.task, report.training_samples, report.samples);
    for baseline in &report.baselines {
        let main = report.task.main_metric();
        let others = baseline.metrics.iter().filter(|(name, _)| *name != main);
        let others: Vec<_> = others.map(|(name, value)| format!("{name} {value:.3}")).collect();
        outln!("  {main} {:.3}  {} ({})", baseline.metrics[main], baseline.name, others.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}
