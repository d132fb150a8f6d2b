//! `eosfed-trainer fit`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use eosfed_common::counted::counted;
use eosfed_common::head::HeadTraining;
use eosfed_common::model::{Composition, DecoderChannels, FeatureNorm, Fusion, Method, Selection};
use eosfed_common::outln;
use eosfed_common::plan::{ClassWeights, Loss};
use eosfed_trainer::ensemble::{self, EncoderChoice, FitOptions, FitReport};

use super::arguments::{
    BandsArgument, ComputeArguments, Format, SamplesArguments, input_size, not_negative, place, positive,
};
use super::composition::{fusion, loss, scaled, selection};
use super::output::{print_json, progress_bar, warn_of};
use super::signals::StopFlag;

/// Train a new head over frozen encoders of a pulled release, on few labels.
///
/// Examples:
///   eosfed-trainer fit --release release-2 --data labelled/dataset.toml --output heads/all
///   eosfed-trainer fit --release release-2 --data labelled --select top-5 --fuse conv1x1 --output heads/top5
///   eosfed-trainer fit --release release-2 --data labelled --method router --output heads/router
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(super) struct FitArguments {
    /// Folder of a release that `eosfed release pull` has fetched.
    #[arg(long)]
    release: PathBuf,
    /// Labelled data: a dataset.toml or its folder. Its training part is learned from.
    #[arg(long)]
    data: PathBuf,
    /// Encoders: `all`, names joined by commas, or `random[:SEED[:BANDS]]` for one with untrained weights, over all
    /// bands of the data or over these, such as `random:0:red,green,blue`.
    #[arg(long, default_value = "all")]
    encoders: EncoderChoice,
    /// Folder for the head.
    #[arg(long, value_parser = place)]
    output: PathBuf,
    /// Name of the head in tables. Default: the name of the output folder.
    #[arg(long)]
    name: Option<String>,
    /// How the head combines the encoders.
    #[arg(long, value_enum, default_value_t)]
    method: MethodArgument,
    /// How each encoder's maps are normalised before they are fused.
    #[arg(long, value_enum, default_value_t)]
    norm: NormArgument,
    /// Which encoders count: `all`, `top-K` (learned, hard) or `smooth[:PENALTY]` (learned weights,
    /// which the penalty pulls towards zero).
    #[arg(long, default_value = "all", value_parser = selection)]
    select: Selection,
    /// Multiply maps by the weights of the selection.
    #[arg(long)]
    scale: bool,
    /// Give each encoder's maps a 1x1 convolution and a leaky ReLU of their own.
    #[arg(long)]
    project: bool,
    /// How maps are fused: `concatenate`, `conv1x1[:MULTIPLE]`, `mlp[:MULTIPLE]`, `sum` or `product`.
    #[arg(long, default_value = "concatenate", value_parser = fusion)]
    fuse: Fusion,
    /// Channels of the decoder, for tasks of pixels: a multiple of 32 up to 512. A narrow decoder overfits less with
    /// few labels.
    #[arg(long, default_value_t)]
    decoder_channels: DecoderChannels,
    /// How an encoder's input bands are found among the bands of the data.
    #[arg(long, value_enum, default_value_t)]
    bands: BandsArgument,
    #[command(flatten)]
    training: TrainingArguments,
    /// Side in pixels to which tiles are resized; a multiple of 32.
    #[arg(long, value_parser = input_size)]
    input_size: Option<u32>,
    /// Filter larger tiles as they are resized, as PyTorch's `interpolate(antialias=True)` does it.
    #[arg(long, requires = "input_size")]
    antialias: bool,
    /// Gigabytes of memory for the encoders' maps of all samples. If they do not fit, they are
    /// computed again in every epoch.
    #[arg(long, default_value_t = 2.0, value_parser = not_negative)]
    cache_gb: f64,
    #[command(flatten)]
    samples: SamplesArguments,
    /// Format in which the result is printed.
    #[arg(long = "format", value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    compute: ComputeArguments,
}

/// How the head is trained.
#[derive(Args)]
struct TrainingArguments {
    /// Epochs over the labelled samples. Each epoch shows a sample in all eight orientations, or in
    /// four if it is not square.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    epochs: u32,
    /// Samples in a step.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch_size: u32,
    /// Maximum of the learning-rate schedule.
    #[arg(long, default_value_t = 1e-3, value_parser = positive)]
    learning_rate: f64,
    /// AdamW's weight decay.
    #[arg(long, default_value_t = 0.05, value_parser = not_negative)]
    weight_decay: f64,
    /// Terms of the loss, joined by commas; their sum is minimised. Default: the usual loss of the task.
    #[arg(long, value_delimiter = ',', value_parser = loss)]
    loss: Vec<Loss>,
    /// Weight classes in the loss by the inverse square root of their frequency.
    #[arg(long)]
    balanced: bool,
    /// Seed of the initial weights and of the order of samples.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum MethodArgument {
    /// Fuse the encoders' maps and learn a new head over them.
    #[default]
    Fusion,
    /// The mean of the specialists' own outputs; nothing is learned.
    MeanLogits,
    /// The specialists' own outputs, weighted by a learned router.
    Router,
}

impl From<MethodArgument> for Method {
    fn from(argument: MethodArgument) -> Self {
        match argument {
            MethodArgument::Fusion => Self::Fusion,
            MethodArgument::MeanLogits => Self::MeanLogits,
            MethodArgument::Router => Self::Router,
        }
    }
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum NormArgument {
    /// Over the channels of each position.
    #[default]
    Pixel,
    /// Over all channels and positions of an image's map.
    Layer,
    /// Each channel by its mean and variance over the training part.
    Batch,
    /// No normalisation.
    None,
}

impl From<NormArgument> for FeatureNorm {
    fn from(argument: NormArgument) -> Self {
        match argument {
            NormArgument::Pixel => Self::Pixel,
            NormArgument::Layer => Self::Layer,
            NormArgument::Batch => Self::Batch,
            NormArgument::None => Self::None,
        }
    }
}

impl FitArguments {
    fn options(&self) -> anyhow::Result<FitOptions> {
        let folder_name = self.output.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(FitOptions {
            name: self.name.clone().or(folder_name).unwrap_or_else(|| "head".to_owned()),
            release: std::path::absolute(&self.release)?,
            data: self.data.clone(),
            encoders: self.encoders.clone(),
            band_rule: self.bands.into(),
            method: self.method.into(),
            composition: Composition {
                norm: self.norm.into(),
                projection: self.project,
                selection: scaled(self.select, self.scale),
                fusion: self.fuse,
            },
            decoder_channels: self.decoder_channels,
            output: self.output.clone(),
            training: self.training.settings(),
            input_size: self.input_size,
            antialias: self.antialias,
            cache: (self.cache_gb * 1e9) as u64,
            samples: self.samples.kept(),
        })
    }
}

impl TrainingArguments {
    fn settings(&self) -> HeadTraining {
        HeadTraining {
            epochs: self.epochs,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            weight_decay: self.weight_decay,
            loss: self.loss.clone(),
            class_weights: if self.balanced { ClassWeights::Balanced } else { ClassWeights::None },
            seed: self.seed,
        }
    }
}

/// Trains a head and prints what it has learned.
pub(super) fn fit(arguments: &FitArguments) -> anyhow::Result<ExitCode> {
    let device = arguments.compute.set_up()?;
    let options = arguments.options()?;
    let stop = StopFlag::install()?;
    let bar = progress_bar("fitting", "steps")?;
    let mut progress = |step: u64, steps: u64, loss: f64| {
        bar.set_length(steps);
        bar.set_position(step);
        bar.set_message(format!("loss {loss:.4}"));
    };
    let report = ensemble::fit(&options, device, &mut progress, &|| stop.is_set())?;
    bar.finish_and_clear();
    warn_of(&report.warnings);
    match arguments.format {
        Format::Table => print_report(&report, ensemble::selects(&options.composition)),
        Format::Json => print_json(&report)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print_report(report: &FitReport, selects: bool) {
    report.notes.iter().for_each(|note| outln!("note: {note}"));
    let loss = report.loss.map_or_else(|| "nothing learned".to_owned(), |loss| format!("loss {loss:.4}"));
    outln!(
        "{}: {} parameters learned on {} over {}, {loss}",
        report.head.display(),
        report.parameters,
        counted(report.samples, "sample"),
        report.encoders.join(" + "),
    );
    if let (true, Some(weights)) = (selects, &report.weights) {
        let mut order: Vec<_> = report.encoders.iter().zip(weights).collect();
        order.sort_by(|a, b| b.1.total_cmp(a.1));
        order.iter().for_each(|(encoder, weight)| outln!("  {weight:6.3}  {encoder}"));
    }
}
