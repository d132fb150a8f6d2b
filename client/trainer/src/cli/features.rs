//! `eosfed-trainer features`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use eosfed_common::counted::counted;
use eosfed_common::outln;
use eosfed_trainer::ensemble::{self, EncoderChoice, ExportFormat, ExportOptions, ExportReport};

use super::arguments::{BandsArgument, ComputeArguments, Format, SplitArgument, input_size, place};
use super::output::{advance, print_json, progress_bar, warn_of, warn_of_skipped};

/// Compute features of a data set for a classifier of your own.
///
/// Writes for each sample the mean of the last map (`pooled`), its label and, with --maps, the four
/// maps. A JSON file beside them lists the samples in order.
///
/// Examples:
///   eosfed-trainer features --release release-2 --data labelled --split train --output train.safetensors
///   eosfed-trainer features --head heads/top5 --data labelled --split test --maps --files numpy --output test-features
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(super) struct FeaturesArguments {
    /// Folder of a release. The maps of its encoders are normalised and concatenated.
    #[arg(long, required_unless_present = "head")]
    release: Option<PathBuf>,
    /// Folder of a head, whose fused maps are written.
    #[arg(long)]
    head: Option<PathBuf>,
    /// Encoders of the release: `all`, or names joined by commas.
    #[arg(long, default_value = "all")]
    encoders: EncoderChoice,
    /// How an encoder's input bands are found among the bands of the data.
    #[arg(long, value_enum, default_value_t)]
    bands: BandsArgument,
    /// Data set: a dataset.toml or its folder.
    #[arg(long)]
    data: PathBuf,
    /// Part of the data set.
    #[arg(long, value_enum, default_value_t)]
    split: SplitArgument,
    /// Side in pixels to which images are resized; a multiple of 32.
    #[arg(long, value_parser = input_size)]
    input_size: Option<u32>,
    /// Write the four maps too.
    #[arg(long)]
    maps: bool,
    /// Kind of files.
    #[arg(long, value_enum, default_value_t)]
    files: FilesArgument,
    /// The safetensors file, or the folder for NumPy files.
    #[arg(long, value_parser = place)]
    output: PathBuf,
    /// Format in which the result is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    compute: ComputeArguments,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum FilesArgument {
    /// One safetensors file.
    #[default]
    Safetensors,
    /// One `.npy` file for each tensor.
    Numpy,
}

impl FeaturesArguments {
    fn options(&self) -> ExportOptions {
        ExportOptions {
            release: self.release.clone(),
            head: self.head.clone(),
            encoders: self.encoders.clone(),
            band_rule: self.bands.into(),
            data: self.data.clone(),
            split: self.split.into(),
            input_size: self.input_size,
            maps: self.maps,
            format: match self.files {
                FilesArgument::Safetensors => ExportFormat::Safetensors,
                FilesArgument::Numpy => ExportFormat::Numpy,
            },
            output: self.output.clone(),
        }
    }
}

/// Computes features, writes them and prints their shapes.
pub(super) fn features(arguments: &FeaturesArguments) -> anyhow::Result<ExitCode> {
    let device = arguments.compute.set_up()?;
    let bar = progress_bar("computing", "samples")?;
    let mut progress = |done: usize, total: usize| advance(&bar, done, total);
    let report = ensemble::export_features(&arguments.options(), device, &mut progress)?;
    bar.finish_and_clear();
    warn_of(&report.warnings);
    warn_of_skipped(&report.skipped);
    match arguments.format {
        Format::Table => print(arguments, &report),
        Format::Json => print_json(&report)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print(arguments: &FeaturesArguments, report: &ExportReport) {
    report.notes.iter().for_each(|note| outln!("note: {note}"));
    let encoders = report.encoders.join(" + ");
    outln!("{}: {} over {encoders}", arguments.output.display(), counted(report.keys.len(), "sample"));
    for (name, shape) in &report.tensors {
        outln!("  {name}: {shape:?}");
    }
}
