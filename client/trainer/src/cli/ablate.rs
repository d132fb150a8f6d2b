//! `eosfed-trainer ensemble ablate`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use comfy_table::{Table, presets};
use eosfed_common::ablation::AblationFile;
use eosfed_common::outln;
use eosfed_trainer::ensemble;

use super::arguments::{Format, ScoringArguments, place};
use super::output::{advance, align_numbers, progress_bar};

/// Score a head with all its encoders, and without each of them in turn.
///
/// Writes ablation.json and ablation.png. A smaller release can leave out an encoder without which
/// the score does not get worse: eosfed release prune. `eosfed release ablation` hands the file to the
/// coordinator, which shows it with the release.
///
/// Example: eosfed-trainer ensemble ablate heads/all --data test/dataset.toml --output ablation
#[derive(Args)]
pub(super) struct AblateArguments {
    /// Folder of a head that `fit` has trained.
    head: PathBuf,
    #[command(flatten)]
    scoring: ScoringArguments,
    /// Folder for the results.
    #[arg(long, value_parser = place)]
    output: PathBuf,
}

/// Scores the head without each encoder, writes the results and prints them.
pub(super) fn ablate(arguments: &AblateArguments) -> anyhow::Result<ExitCode> {
    let AblateArguments { head, scoring, output } = arguments;
    let device = scoring.compute.set_up()?;
    let bar = progress_bar("ablating", "samples")?;
    let mut progress = |done: usize, total: usize| advance(&bar, done, total);
    let release = scoring.release.as_deref();
    let samples = scoring.samples.kept();
    let report = ensemble::ablate(head, release, scoring.data(samples.as_ref()), device, &mut progress)?;
    bar.finish_and_clear();
    std::fs::create_dir_all(output)?;
    let json = serde_json::to_string_pretty(&report)?;
    std::fs::write(output.join(AblationFile::FILE), &json)?;
    ensemble::ablation_chart(&report, &output.join("ablation.png"))?;
    match scoring.format {
        Format::Table => outln!("{}", table(&report)),
        Format::Json => outln!("{json}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn table(report: &AblationFile) -> Table {
    let mut table = Table::new();
    let header = ["without", "weight", &report.metric, "change"];
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header);
    table.add_row(["(all encoders)".to_owned(), String::new(), format!("{:.3}", report.all), String::new()]);
    for ablation in &report.ablations {
        table.add_row([
            ablation.specialist.clone(),
            format!("{:.3}", ablation.weight),
            format!("{:.3}", ablation.without),
            format!("{:+.3}", ablation.change),
        ]);
    }
    align_numbers(&mut table);
    table
}
