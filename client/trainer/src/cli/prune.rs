//! `eosfed-trainer ensemble prune`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use comfy_table::{Table, presets};
use eosfed_common::outln;
use eosfed_common::quantity::bytes;
use eosfed_trainer::ensemble::{self, PruneOptions, PruneReport, PruneSide};

use super::arguments::{Format, ScoringArguments, place};
use super::output::{align_numbers, print_json};
use super::signals::StopFlag;

/// Keep only the encoders that a head has learned to select, and measure what that costs.
///
/// Of encoders with equal weights (they differ by at most 1 % of the largest), those are kept without which the score is
/// worst: on the validation part of `--train`, and where there is none on the samples of `--data`. It says so.
///
/// Trains the head again over the kept encoders with the same settings, scores both, and writes
/// prune.json, from which `eosfed release prune` makes the smaller release.
///
/// Example: eosfed-trainer ensemble prune heads/smooth --top-k 5 --train labelled --data test --output heads/pruned
#[derive(Args)]
pub(super) struct PruneArguments {
    /// Folder of a head with a learned selection (`fit --select`).
    head: PathBuf,
    /// Number of encoders to keep.
    #[arg(long)]
    top_k: usize,
    /// Labelled data that the head was trained on: a dataset.toml or its folder.
    #[arg(long)]
    train: PathBuf,
    #[command(flatten)]
    scoring: ScoringArguments,
    /// Folder for the smaller head.
    #[arg(long, value_parser = place)]
    output: PathBuf,
}

/// Prunes a head and prints both sides.
pub(super) fn prune(arguments: &PruneArguments) -> anyhow::Result<ExitCode> {
    let PruneArguments { head, top_k, train, scoring, output } = arguments;
    let device = scoring.compute.set_up()?;
    let options = PruneOptions {
        head: head.clone(),
        release: scoring.release.clone(),
        top_k: *top_k,
        train: train.clone(),
        data: scoring.data.clone(),
        split: scoring.split.into(),
        samples: scoring.samples.kept(),
        output: output.clone(),
    };
    let stop = StopFlag::install()?;
    let report = ensemble::prune(&options, device, &|| stop.is_set())?;
    match scoring.format {
        Format::Table => {
            outln!("{}", table(&report));
            if let Some(tie) = &report.tie {
                outln!("{}", tie.words());
            }
        }
        Format::Json => print_json(&report)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(report: &PruneReport) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(["", "before", "after"]);
    let row = |name: &str, cell: &dyn Fn(&PruneSide) -> String| {
        [name.to_owned(), cell(&report.before), cell(&report.after)]
    };
    table.add_row(row("encoders", &|side| side.encoders.len().to_string()));
    table.add_row(row("size of the encoders", &|side| bytes(side.bytes)));
    table.add_row(row("head parameters", &|side| side.head_parameters.to_string()));
    table.add_row(row("milliseconds per sample", &|side| format!("{:.1}", side.milliseconds)));
    table.add_row(row(&report.metric, &|side| format!("{:.3}", side.score)));
    table.add_row(["kept".to_owned(), String::new(), report.after.encoders.join("\n")]);
    align_numbers(&mut table);
    table
}
