//! `eosfed-trainer predict` and `features`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use eosfed_common::bands::Sensor;
use eosfed_common::outln;
use eosfed_common::stdout::print_warning;
use eosfed_trainer::ensemble::{self, Choice, ExportFormat, ExportOptions, PredictOptions};
use indicatif::{ProgressBar, ProgressStyle};

use super::DeviceArgument;
use super::ensemble::{BandsArgument, Format, SplitArgument, warn_of_skipped};

/// Map a whole scene with a trained head.
///
/// Writes a GeoTIFF with the scene's georeference and pixels: classes with a colour table, or values.
/// The scene is gone through in overlapping windows, so its size does not matter.
///
/// A head that gives one class to a whole patch maps a scene too: each window is a patch, and a pixel
/// has the class that the windows around it give on average, the nearer their middle the more.
///
/// Examples:
///   eosfed-trainer predict --head heads/all --image scene.tif --sensor sentinel2_l2a --scale 0.0001 --output map.tif
///   eosfed-trainer predict --head heads/all --image s2.tif --image s1.tif --bands B02,B03,B04,B08,VV,VH --output map.tif
///   eosfed-trainer predict --head heads/landuse --image scene.tif --sensor sentinel2_l2a --overlap 48 --output map.tif
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(super) struct PredictArguments {
    /// Folder of a head, as `fit` makes it.
    #[arg(long)]
    head: PathBuf,
    /// GeoTIFF of the scene; of several, the bands are stacked in this order.
    #[arg(long = "image", required = true)]
    images: Vec<PathBuf>,
    /// The same at the later date, for change detection.
    #[arg(long)]
    after: Vec<PathBuf>,
    /// Names of the image's bands in order, joined by commas.
    #[arg(long, value_delimiter = ',', conflicts_with = "sensor", required_unless_present = "sensor")]
    bands: Vec<String>,
    /// The product that the image is of, which says its bands.
    #[arg(long)]
    sensor: Option<Sensor>,
    /// What pixel values are multiplied by, as in dataset.toml.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// What is added after scaling.
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    offset: f64,
    /// Pixels with this value have no data.
    #[arg(long, allow_negative_numbers = true)]
    nodata: Option<f64>,
    /// Side of a window in pixels, a multiple of 32 unless the head resizes its images. Default: the
    /// size of the tiles that the head learned from; at another scale its map is not reliable.
    #[arg(long)]
    window: Option<usize>,
    /// Pixels that neighbouring windows share and blend; the more, the finer a map from patches.
    /// Default: a quarter of the window.
    #[arg(long)]
    overlap: Option<usize>,
    /// The map.
    #[arg(long)]
    output: PathBuf,
    /// Also write a picture of the map.
    #[arg(long)]
    preview: Option<PathBuf>,
    /// Folder of the release; default: where it was when the head was trained.
    #[arg(long)]
    release: Option<PathBuf>,
    /// How to print what was mapped.
    #[arg(long = "format", value_enum, default_value_t)]
    format: Format,
    /// Threads; default: all processors.
    #[arg(long)]
    threads: Option<u32>,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceArgument,
}

/// Compute features of a data set for a classifier of your own.
///
/// Writes for each sample the mean of the last map (`pooled`), its label and, with --maps, the four
/// maps; and which samples they are of, as JSON.
///
/// Examples:
///   eosfed-trainer features --release release-2 --data labelled --split train --output train.safetensors
///   eosfed-trainer features --head heads/top5 --data labelled --split test --maps --files numpy --output test-features
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(super) struct FeaturesArguments {
    /// Folder of a release: its encoders' maps are normalised and concatenated.
    #[arg(long, required_unless_present = "head")]
    release: Option<PathBuf>,
    /// Folder of a head: its fused maps are taken.
    #[arg(long)]
    head: Option<PathBuf>,
    /// Which encoders of the release: `all`, or names joined by commas.
    #[arg(long, default_value = "all")]
    encoders: Choice,
    /// How an encoder's bands are found among the data's.
    #[arg(long, value_enum, default_value_t)]
    bands: BandsArgument,
    /// The data: a dataset.toml or its folder.
    #[arg(long)]
    data: PathBuf,
    /// The part of it.
    #[arg(long, value_enum, default_value_t)]
    split: SplitArgument,
    /// Side in pixels to which images are resized; a multiple of 32.
    #[arg(long)]
    input_size: Option<u32>,
    /// Also write the four maps.
    #[arg(long)]
    maps: bool,
    /// The kind of files.
    #[arg(long, value_enum, default_value_t)]
    files: FilesArgument,
    /// The file, or the folder of NumPy files.
    #[arg(long)]
    output: PathBuf,
    /// Threads; default: all processors.
    #[arg(long)]
    threads: Option<u32>,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceArgument,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum FilesArgument {
    /// One safetensors file.
    #[default]
    Safetensors,
    /// One `.npy` file for each tensor.
    Numpy,
}

pub(super) fn predict(arguments: &PredictArguments) -> anyhow::Result<ExitCode> {
    let device = eosfed_trainer::device::set_up(arguments.device.into(), arguments.threads)?;
    let mut images = vec![arguments.images.clone()];
    if !arguments.after.is_empty() {
        images.push(arguments.after.clone());
    }
    let options = PredictOptions {
        head: arguments.head.clone(),
        release: arguments.release.clone(),
        images,
        bands: bands(arguments),
        scale: arguments.scale,
        offset: arguments.offset,
        nodata: arguments.nodata,
        window: arguments.window,
        overlap: arguments.overlap,
        output: arguments.output.clone(),
        preview: arguments.preview.clone(),
    };
    let bar = bar("mapping", "windows")?;
    let report = ensemble::predict_scene(&options, device, &mut |done, count| advance(&bar, done, count))?;
    bar.finish_and_clear();
    report.warnings.iter().for_each(|warning| print_warning(format_args!("{warning}")));
    if matches!(arguments.format, Format::Json) {
        outln!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(ExitCode::SUCCESS);
    }
    let [width, height] = report.size;
    outln!("{}: {width}x{height} pixels in {} windows", report.output.display(), report.windows);
    let all = (width * height) as f64;
    for (class, pixels) in &report.classes {
        outln!("  {:5.1} %  {class}", *pixels as f64 * 100.0 / all);
    }
    if report.no_data > 0 {
        outln!("  {:5.1} %  no data", report.no_data as f64 * 100.0 / all);
    }
    Ok(ExitCode::SUCCESS)
}

/// The bands of the image, as given or as the sensor has them. Never guessed: another order would
/// give a map that only looks like one.
fn bands(arguments: &PredictArguments) -> Vec<String> {
    match arguments.sensor {
        Some(sensor) => sensor.bands().iter().map(|band| (*band).to_owned()).collect(),
        None => arguments.bands.clone(),
    }
}

pub(super) fn features(arguments: &FeaturesArguments) -> anyhow::Result<ExitCode> {
    let device = eosfed_trainer::device::set_up(arguments.device.into(), arguments.threads)?;
    let options = ExportOptions {
        release: arguments.release.clone(),
        head: arguments.head.clone(),
        encoders: arguments.encoders.clone(),
        band_rule: arguments.bands.into(),
        data: arguments.data.clone(),
        split: arguments.split.into(),
        input_size: arguments.input_size,
        maps: arguments.maps,
        format: match arguments.files {
            FilesArgument::Safetensors => ExportFormat::Safetensors,
            FilesArgument::Numpy => ExportFormat::Numpy,
        },
        output: arguments.output.clone(),
    };
    let bar = bar("computing", "samples")?;
    let report = ensemble::export_features(&options, device, &mut |done, count| advance(&bar, done, count))?;
    bar.finish_and_clear();
    report.notes.iter().for_each(|note| outln!("note: {note}"));
    warn_of_skipped(&report.skipped);
    outln!(
        "{}: {} samples over {}",
        arguments.output.display(),
        report.keys.len(),
        report.encoders.join(" + ")
    );
    for (name, shape) in &report.tensors {
        outln!("  {name}: {shape:?}");
    }
    Ok(ExitCode::SUCCESS)
}

fn bar(what: &str, of: &str) -> anyhow::Result<ProgressBar> {
    let template = format!("{what} {{wide_bar}} {{pos}}/{{len}} {of}  {{eta}}");
    Ok(ProgressBar::new(0).with_style(ProgressStyle::with_template(&template)?))
}

fn advance(bar: &ProgressBar, done: usize, count: usize) {
    bar.set_length(count as u64);
    bar.set_position(done as u64);
}
