//! `eosfed-trainer fit` and `score`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use eosfed_common::plan::ClassWeights;
use eosfed_data::Split;
use eosfed_trainer::ensemble::{self, Choice, FitOptions};
use indicatif::{ProgressBar, ProgressStyle};

use super::{DeviceArgument, raised, stop_flag};

/// Train a new head over frozen encoders of a pulled release, on few labels.
///
/// Example: eosfed-trainer fit --release release-2 --data labelled/dataset.toml --encoders all --output heads/all
#[derive(Args)]
pub(super) struct FitArguments {
    /// Folder of a release, as `eosfed release pull` makes it.
    #[arg(long)]
    release: PathBuf,
    /// The labelled data: a dataset.toml or its folder; its training part is learned from.
    #[arg(long)]
    data: PathBuf,
    /// `all`, names joined by commas, or `random[:SEED]` for an encoder that has learned nothing.
    #[arg(long, default_value = "all")]
    encoders: Choice,
    /// Folder for the head.
    #[arg(long)]
    output: PathBuf,
    /// Name of the head in tables; default: the output folder's name.
    #[arg(long)]
    name: Option<String>,
    /// Passes over the labelled samples in all eight orientations.
    #[arg(long, default_value_t = 12)]
    epochs: u32,
    /// Samples in a step.
    #[arg(long, default_value_t = 8)]
    batch_size: u32,
    /// Top of the learning-rate schedule.
    #[arg(long, default_value_t = 1e-3)]
    learning_rate: f64,
    /// AdamW's weight decay.
    #[arg(long, default_value_t = 0.05)]
    weight_decay: f64,
    /// Weigh classes in the loss by the inverse square root of their frequency.
    #[arg(long)]
    balanced: bool,
    /// Side in pixels to which square tiles are resized; a multiple of 32.
    #[arg(long)]
    input_size: Option<u32>,
    /// Seed of start and order.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads; default: all processors.
    #[arg(long)]
    threads: Option<u32>,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceArgument,
}

/// Score heads on samples that they have not seen, side by side.
///
/// Writes results.md, results.json and, for segmentation, predictions.png of the first head.
///
/// Example: eosfed-trainer score heads/all heads/west-rgb --data test/dataset.toml --split test --output results
#[derive(Args)]
pub(super) struct ScoreArguments {
    /// Folders of heads, as `fit` makes them.
    #[arg(required = true)]
    heads: Vec<PathBuf>,
    /// The data: a dataset.toml or its folder.
    #[arg(long)]
    data: PathBuf,
    /// Which part to score on.
    #[arg(long, value_enum, default_value_t)]
    split: SplitArgument,
    /// Folder for the results.
    #[arg(long)]
    output: PathBuf,
    /// How to print the scores.
    #[arg(long = "format", value_enum, default_value_t)]
    format: Format,
    /// Threads; default: all processors.
    #[arg(long)]
    threads: Option<u32>,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceArgument,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum SplitArgument {
    Train,
    Validation,
    #[default]
    Test,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

pub(super) fn fit(arguments: &FitArguments) -> anyhow::Result<ExitCode> {
    let device = eosfed_trainer::device::set_up(arguments.device.into(), arguments.threads)?;
    let name = arguments.name.clone().unwrap_or_else(|| {
        arguments
            .output
            .file_name()
            .map_or_else(|| "head".to_owned(), |name| name.to_string_lossy().into_owned())
    });
    let options = FitOptions {
        name,
        release: std::path::absolute(&arguments.release)?,
        data: arguments.data.clone(),
        encoders: arguments.encoders.clone(),
        output: arguments.output.clone(),
        epochs: arguments.epochs,
        batch_size: arguments.batch_size,
        learning_rate: arguments.learning_rate,
        weight_decay: arguments.weight_decay,
        class_weights: if arguments.balanced { ClassWeights::Balanced } else { ClassWeights::None },
        input_size: arguments.input_size,
        seed: arguments.seed,
    };
    let style = ProgressStyle::with_template("fitting {wide_bar} {pos}/{len} epochs  {msg}")?;
    let bar = ProgressBar::new(u64::from(options.epochs)).with_style(style);
    let flag = stop_flag()?;
    let mut progress = |epoch: u32, loss: f64| {
        bar.set_position(u64::from(epoch));
        bar.set_message(format!("loss {loss:.4}"));
    };
    let report = ensemble::fit(&options, device, &mut progress, &|| raised(&flag))?;
    bar.finish_and_clear();
    println!(
        "{}: {} parameters learned on {} samples over {}, loss {:.4}",
        report.head.display(),
        report.parameters,
        report.samples,
        report.encoders.join(" + "),
        report.loss
    );
    Ok(ExitCode::SUCCESS)
}

pub(super) fn score(arguments: &ScoreArguments) -> anyhow::Result<ExitCode> {
    let device = eosfed_trainer::device::set_up(arguments.device.into(), arguments.threads)?;
    let split = match arguments.split {
        SplitArgument::Train => Split::Train,
        SplitArgument::Validation => Split::Validation,
        SplitArgument::Test => Split::Test,
    };
    let rows: Result<Vec<_>, _> =
        arguments.heads.iter().map(|head| ensemble::score(head, &arguments.data, split, device)).collect();
    let rows = rows?;
    ensemble::report(&rows, &arguments.data, split, &arguments.output)?;
    match arguments.format {
        Format::Table => println!("{}", ensemble::table(&rows)),
        Format::Json => println!("{}", serde_json::to_string_pretty(&rows)?),
    }
    Ok(ExitCode::SUCCESS)
}
