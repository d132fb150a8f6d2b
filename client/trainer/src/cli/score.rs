//! `eosfed-trainer score`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use eosfed_common::outln;
use eosfed_common::stdout::print_warning;
use eosfed_trainer::ensemble::{self, ScoreRow};

use super::arguments::{Format, ScoringArguments, place};
use super::output::{print_json, warn_of_skipped};

/// Score heads side by side on samples that they have not seen.
///
/// Writes results.md, results.json and, for tasks of pixels, predictions.png of the first head.
///
/// Example: eosfed-trainer score heads/all heads/west-rgb --data test/dataset.toml --split test --output results
#[derive(Args)]
pub(super) struct ScoreArguments {
    /// Folders of heads that `fit` has trained.
    #[arg(required = true)]
    heads: Vec<PathBuf>,
    #[command(flatten)]
    scoring: ScoringArguments,
    /// Folder for the results.
    #[arg(long, value_parser = place)]
    output: PathBuf,
}

/// Scores heads, writes the results and prints them.
pub(super) fn score(arguments: &ScoreArguments) -> anyhow::Result<ExitCode> {
    let ScoreArguments { heads, scoring, output } = arguments;
    let device = scoring.compute.set_up()?;
    let samples = scoring.samples.kept();
    let release = scoring.release.as_deref();
    let rows: Vec<ScoreRow> = heads
        .iter()
        .map(|head| ensemble::score(head, release, scoring.data(samples.as_ref()), device))
        .collect::<Result<_, _>>()?;
    if let Some(row) = rows.first() {
        warn_of_skipped(&row.skipped);
        row.notes.iter().for_each(|note| print_warning(format_args!("{}: {note}", row.name)));
    }
    ensemble::report(&rows, &scoring.data, output)?;
    match scoring.format {
        Format::Table => outln!("{}", ensemble::table(&rows)),
        Format::Json => print_json(&rows)?,
    }
    Ok(ExitCode::SUCCESS)
}
