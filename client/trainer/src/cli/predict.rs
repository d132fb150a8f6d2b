//! `eosfed-trainer predict`.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use eosfed_common::bands::Sensor;
use eosfed_common::counted::counted;
use eosfed_common::outln;
use eosfed_common::stdout::print_warning;
use eosfed_data::{BaselineOffset, Complex, FileBand, FileScaling, OwnScaling, Reading};
use eosfed_trainer::ensemble::{
    self, FailedScene, PredictOptions, PredictReport, PresentMap, SceneEnd, Scenes, ScenesReport, Several,
};

use super::arguments::{ComputeArguments, Format, place};
use super::output::{advance, print_json, progress_bar, warn_of};
use super::signals::remove_unfinished_at_end;

/// Map a whole scene, or many, with a trained head.
///
/// Writes a Cloud Optimized GeoTIFF, with the georeference and the pixels of the
/// scene: classes with a colour table, or values. Names and colours of classes
/// are in a file beside it, MAP.aux.xml, for GDAL and QGIS. Areas of classes are
/// printed where the scene has a georeference.
///
/// The scene is processed in overlapping windows, so it may be larger than
/// memory.
///
/// A head that gives one class to a whole patch can map a scene too. Each window
/// is then a patch, and the class of a pixel is the average of the windows around
/// it, weighted by how near their centres are.
///
/// A head that gives any number of classes to a patch makes a map with a band for
/// each class: its probability in whole percent, rounded down, and 255 where
/// there is no data. A class counts for the pixels in which it reaches 50 %, as
/// in the scores. The preview shows the most probable one.
///
/// A head recognises things at the scale that it learned. The default window has
/// the size of the tiles of its training. Another window, a scene with another
/// ground sampling distance, or one whose numbers are in another unit, is a
/// warning; with `--strict` it is an error.
///
/// With `--scenes`, each scene of a folder or list gets a map in the folder
/// `--output`. Maps that are there and newer than their scenes are kept, so a run
/// that was interrupted goes on, and says again what it warned of. Scenes that
/// cannot be mapped are named, and the exit code is then 1.
///
/// No input is written over: a map, or a file beside it, that would replace a
/// scene or a file of the head is refused before any work. SIGTERM and SIGINT end
/// the program and remove what is not finished; after a SIGKILL, the next run
/// with `--scenes` into the same folder does.
///
/// Examples:
///   eosfed-trainer predict --head heads/all --scenes scenes \
///       --sensor sentinel2_l2a --scale 0.0001 --output maps
///   eosfed-trainer predict --head heads/all --image scene.tif \
///       --sensor sentinel2_l2a --scale 0.0001 --output map.tif
///   eosfed-trainer predict --head heads/all --image s2.tif --image s1.tif \
///       --bands B02,B03,B04,B08,VV,VH --output map.tif
///   eosfed-trainer predict --head heads/all --image cube.tif --bands red,nir \
///       --file-bands "665 nm,842 nm" --output map.tif
///   eosfed-trainer predict --head heads/ice --image slc.tif --bands VV,VH \
///       --complex decibels --output map.tif
///   eosfed-trainer predict --head heads/all --image s2.tif --image scl.tif \
///       --bands B02,B03,B04,B08,SCL --valid "SCL in [4, 5, 6]" \
///       --output map.tif
///   eosfed-trainer predict --head heads/landuse --image scene.tif \
///       --sensor sentinel2_l2a --overlap 48 --output map.tif
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(super) struct PredictArguments {
    /// Folder of a head that `fit` has trained.
    #[arg(long)]
    head: PathBuf,
    /// GeoTIFF of the scene. The bands of several files are stacked in this order.
    #[arg(long = "image", required_unless_present = "scenes")]
    images: Vec<PathBuf>,
    /// Folder of scenes, each a GeoTIFF; or a text file with one scene a line, whose files are joined by commas.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["images", "after", "preview"])]
    scenes: Option<PathBuf>,
    /// GeoTIFF of the scene at the later date, for change detection.
    #[arg(long)]
    after: Vec<PathBuf>,
    /// Names of the image's bands in order, joined by commas.
    #[arg(long, value_delimiter = ',', conflicts_with = "sensor", required_unless_present = "sensor")]
    bands: Vec<String>,
    /// Product that the image is of; it determines the bands.
    #[arg(long)]
    sensor: Option<Sensor>,
    /// The bands of the files that the named ones are, joined by commas, as `file_bands` of dataset.toml: numbers from 1,
    /// descriptions or wavelengths (`665 nm`). Of several files, numbers count through all of them. Default: all bands.
    #[arg(long, value_delimiter = ',', value_parser = |text: &str| Ok::<_, Infallible>(FileBand::from(text.trim())))]
    file_bands: Vec<FileBand>,
    /// What complex numbers of files become, as `complex` of dataset.toml. Default: such files are refused.
    #[arg(long, value_enum)]
    complex: Option<ComplexArgument>,
    /// What is done about a scale and an offset that files state for their bands, as `file_scaling` of dataset.toml.
    /// Default: such a file is refused, unless all are equal to --scale and --offset.
    #[arg(long, value_enum)]
    file_scaling: Option<FileScalingArgument>,
    /// What is done about the 1,000 by which numbers of Sentinel-2 products are larger since processing baseline 04.00, as
    /// `baseline_offset` of dataset.toml. Default: they are taken as they are, with a warning where files say it.
    #[arg(long, value_enum)]
    baseline_offset: Option<BaselineOffsetArgument>,
    /// Which pixels count, by the stored numbers of quality bands, as `valid` of dataset.toml. The others have no data in
    /// the map. A quality band in a file of its own is one more --image, and its name one more of --bands.
    #[arg(long, value_name = "RULE")]
    valid: Option<String>,
    /// Factor that pixel values are multiplied by, as in dataset.toml.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Number that is added after scaling.
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    offset: f64,
    /// A scale and an offset of one band in place of those of all, as `band_scaling` of dataset.toml: `VV=1` or `VV=1,0`. Can be
    /// given for several bands.
    #[arg(long, value_name = "BAND=SCALE[,OFFSET]", value_parser = own_scaling)]
    band_scaling: Vec<(String, OwnScaling)>,
    /// Value of pixels without data; beside --complex, 0 only: an amplitude of 0.
    #[arg(long, allow_negative_numbers = true)]
    nodata: Option<f64>,
    /// Side of a window in pixels; a multiple of 32 unless the head resizes its images. Default: the
    /// size of the tiles that the head learned from.
    #[arg(long)]
    window: Option<usize>,
    /// Pixels that neighbouring windows share and blend. More overlap makes a map from patches finer.
    /// Default: a quarter of the window.
    #[arg(long)]
    overlap: Option<usize>,
    /// Refuse scenes that are unlike the imagery of the training: in scale, in unit, or in the order of bands.
    #[arg(long)]
    strict: bool,
    /// GeoTIFF file for the map; with `--scenes`, the folder for the maps.
    #[arg(long, value_parser = place)]
    output: PathBuf,
    /// Picture file (PNG) for a preview of the map, with a legend and, with a georeference, a scale bar.
    #[arg(long)]
    preview: Option<PathBuf>,
    /// Write a second file, MAP.confidence.tif, with the probability (0 to 1) that the head gives the class of each
    /// pixel. It says how sure the head is, which is not how often it is right.
    #[arg(long)]
    confidence: bool,
    /// Folder of the release. Default: the folder that the head was trained with.
    #[arg(long)]
    release: Option<PathBuf>,
    /// Format in which the result is printed.
    #[arg(long = "format", value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    compute: ComputeArguments,
}

/// What is done about a scale and an offset that files state.
#[derive(Clone, Copy, ValueEnum)]
enum FileScalingArgument {
    /// Values are the stored numbers, times the scale, plus the offset.
    Apply,
    /// Values are the stored numbers.
    Ignore,
}

impl From<FileScalingArgument> for FileScaling {
    fn from(argument: FileScalingArgument) -> Self {
        match argument {
            FileScalingArgument::Apply => Self::Apply,
            FileScalingArgument::Ignore => Self::Ignore,
        }
    }
}

/// What is done about the offset of Sentinel-2 products.
#[derive(Clone, Copy, ValueEnum)]
enum BaselineOffsetArgument {
    /// 1,000 is subtracted from files of baseline 04.00 and later. Each file has to say its baseline.
    Remove,
    /// Numbers are taken as they are, without a warning.
    Keep,
}

impl From<BaselineOffsetArgument> for BaselineOffset {
    fn from(argument: BaselineOffsetArgument) -> Self {
        match argument {
            BaselineOffsetArgument::Remove => Self::Remove,
            BaselineOffsetArgument::Keep => Self::Keep,
        }
    }
}

/// What complex numbers become.
#[derive(Clone, Copy, ValueEnum)]
enum ComplexArgument {
    /// The amplitude.
    Amplitude,
    /// 20 times the decimal logarithm of the amplitude; no data where that is 0.
    Decibels,
}

impl From<ComplexArgument> for Complex {
    fn from(argument: ComplexArgument) -> Self {
        match argument {
            ComplexArgument::Amplitude => Self::Amplitude,
            ComplexArgument::Decibels => Self::Decibels,
        }
    }
}

/// `VV=1,0`: the scale and the offset of a band.
fn own_scaling(text: &str) -> Result<(String, OwnScaling), String> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let read = || {
        let (band, numbers) = text.split_once('=')?;
        let (scale, offset) = match numbers.split_once(',') {
            Some((scale, offset)) => (scale, Some(number(offset)?)),
            None => (numbers, None),
        };
        Some((band.trim().to_owned(), OwnScaling { scale: Some(number(scale)?), offset }))
    };
    read().ok_or_else(|| "must be a band, its scale and, if it has one, its offset, as `VV=1,0`".to_owned())
}

impl PredictArguments {
    fn options(&self) -> PredictOptions {
        let mut images = vec![self.images.clone()];
        if !self.after.is_empty() {
            images.push(self.after.clone());
        }
        PredictOptions {
            head: self.head.clone(),
            release: self.release.clone(),
            images,
            reading: Reading {
                file_bands: self.file_bands.clone(),
                complex: self.complex.map(Complex::from),
                file_scaling: self.file_scaling.map(FileScaling::from),
                baseline_offset: self.baseline_offset.map(BaselineOffset::from),
                valid: self.valid.clone(),
                nodata: self.nodata,
                scale: self.scale,
                offset: self.offset,
                band_scaling: self.band_scaling.iter().cloned().collect(),
                ..Reading::stored(self.band_names())
            },
            window: self.window,
            overlap: self.overlap,
            strict: self.strict,
            output: self.output.clone(),
            preview: self.preview.clone(),
            confidence: self.confidence,
        }
    }

    /// The bands of the image, as given or as the sensor has them. They are never guessed: another
    /// order would give a map that looks right and is wrong.
    fn band_names(&self) -> Vec<String> {
        match self.sensor {
            Some(sensor) => sensor.bands().iter().map(|band| (*band).to_owned()).collect(),
            None => self.bands.clone(),
        }
    }
}

/// Maps a scene, or many, and prints the share of each class.
pub(super) fn predict(arguments: &PredictArguments) -> anyhow::Result<ExitCode> {
    remove_unfinished_at_end()?;
    if let Some(scenes) = &arguments.scenes {
        return predict_many(arguments, scenes);
    }
    let device = arguments.compute.set_up()?;
    let bar = progress_bar("mapping", "windows")?;
    let mut progress = |done: usize, total: usize| advance(&bar, done, total);
    let report = ensemble::predict_scene(&arguments.options(), device, &mut progress)?;
    bar.finish_and_clear();
    warn_of(&report.warnings);
    match arguments.format {
        Format::Table => print_report(&report),
        Format::Json => print_json(&report)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn predict_many(arguments: &PredictArguments, scenes: &Path) -> anyhow::Result<ExitCode> {
    let found = Scenes::find(scenes)?;
    let device = arguments.compute.set_up()?;
    let bar = progress_bar("mapping", "windows")?;
    let count = found.scenes.len();
    let mut progress = |scene: usize, done: usize, total: usize| {
        bar.set_message(format!("scene {} of {count}", scene + 1));
        advance(&bar, done, total);
    };
    let mut ended = |end: SceneEnd<'_>| bar.suspend(|| warn(&end));
    let report = ensemble::predict_scenes(&arguments.options(), found, device, &mut progress, &mut ended)?;
    bar.finish_and_clear();
    match arguments.format {
        Format::Table => print_many(&report),
        Format::Json => print_json(&report)?,
    }
    Ok(if report.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says at once what is wrong with a scene: a run of many may be interrupted.
fn warn(end: &SceneEnd<'_>) {
    let (output, warnings) = match end {
        SceneEnd::Mapped(PredictReport { output, warnings, .. }) => (output, warnings),
        SceneEnd::Present(PresentMap { output, warnings }) => (output, warnings),
        SceneEnd::Failed(FailedScene { scene, error }) => {
            return print_warning(format_args!("{} has no map: {error}", scene.display()));
        }
    };
    for warning in warnings {
        print_warning(format_args!("{}: {warning}", output.display()));
    }
}

fn print_many(report: &ScenesReport) {
    report.maps.iter().for_each(print_report);
    for unused in &report.unused {
        print_warning(format_args!("{} is no GeoTIFF and was not used", unused.display()));
    }
    outln!(
        "{} mapped, {} there already, {} failed, {} other files",
        report.maps.len(),
        report.present.len(),
        report.failed.len(),
        report.unused.len()
    );
}

fn print_report(report: &PredictReport) {
    let [width, height] = report.size;
    outln!("{}: {width}x{height} pixels in {}", report.output.display(), counted(report.windows, "window"));
    let none = report.several.map(|Several { threshold_percent, none }| {
        outln!("  pixels in which a class has a probability of {threshold_percent} % or more:");
        ("none of them".to_owned(), none)
    });
    let percent = |pixels: u64| pixels as f64 * 100.0 / (width * height) as f64;
    let no_data = (report.no_data > 0).then(|| ("no data".to_owned(), report.no_data));
    for (class, pixels) in report.classes.iter().chain(&none).chain(&no_data) {
        let area = report.pixel_square_metres.map(|one| format!("  {:>14}", area(*pixels as f64 * one)));
        outln!("  {:5.1} %{}  {class}", percent(*pixels), area.unwrap_or_default());
    }
    if let Some(pixels) = report.not_valid {
        outln!("  `valid` excludes {pixels} of {} pixels, {:.1} %", width * height, percent(pixels));
    }
}

/// An area in hectares, or in square kilometres from a hundred hectares on.
fn area(square_metres: f64) -> String {
    let hectares = square_metres / 1e4;
    if hectares < 100.0 { format!("{hectares:.2} ha") } else { format!("{:.2} km2", hectares / 100.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The description has line breaks of its own: longer lines would be broken once more by a terminal.
    #[test]
    fn lines_of_the_description_fit_a_terminal() {
        let command = PredictArguments::augment_args(clap::Command::new("predict"));
        let text = command.get_long_about().unwrap().to_string();
        assert!(text.contains("Examples:"));
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn areas_have_the_unit_that_fits() {
        assert_eq!([area(123_400.0), area(5e7)], ["12.34 ha", "50.00 km2"]);
    }
}
