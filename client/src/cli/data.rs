//! `eosfed-client data`: describes imagery, says which files are read, and cuts a part out of a file. Works offline.

use std::fs::OpenOptions;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use eosfed_client::document::ProposedData;
use eosfed_common::counted::counted;
use eosfed_common::outln;
use eosfed_common::quantity::bytes;
use eosfed_data::{
    BandStatistics, CropReport, Dataset, Format, Formats, GdalFormat, Limits, Look, PolygonReport, Proposal,
    Summary, TargetPercentiles, TargetStatistics, UnusedFile, Window, crop, formats, propose, quicklook,
    summarise_with,
};
use eosfed_tables::{Sheet, terminal_columns, wrapped};
use indicatif::{ProgressBar, ProgressStyle};

use super::shared::Output;

/// Describe imagery, or cut a part out of it.
#[derive(Debug, Subcommand)]
pub(super) enum Data {
    /// Write a first dataset.toml for a folder of images, with guesses and questions.
    Init(Init),
    /// Count samples and classes, compute band statistics, list warnings.
    Inspect(Inspect),
    /// Print which image files this build reads.
    Formats(FormatsArguments),
    /// Cut a window out of co-registered rasters: bands stacked in the order given, georeference kept.
    Crop(Crop),
}

#[derive(Debug, Args)]
pub(super) struct Init {
    /// The folder of the images. A dataset.toml that is there is kept.
    folder: PathBuf,
    /// Format of the answer.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// A dataset.toml, or its folder.
    dataset: PathBuf,
    /// Also write a PNG with some samples beside their labels.
    #[arg(long, value_name = "PNG")]
    quicklook: Option<PathBuf>,
    /// Read at most so many samples of each part, spread evenly over it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sample: Option<u32>,
    /// Format of the answer.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct FormatsArguments {
    /// Format of the answer.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Crop {
    /// A raster. Several rasters must be on one grid.
    #[arg(long, required = true)]
    image: Vec<PathBuf>,
    /// The mask on the same grid. For a PNG with indexed colours, the indices are used.
    #[arg(long)]
    mask: Option<PathBuf>,
    /// LEFT,TOP,WIDTH,HEIGHT in pixels.
    #[arg(long, value_name = "X,Y,W,H")]
    window: Window,
    /// Folder for image.tif and mask.tif, other than that of inputs of these names. It is made if it is missing.
    #[arg(long)]
    output: PathBuf,
    /// Format of the answer.
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
}

impl Data {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Init(init) => init.execute(),
            Self::Inspect(inspect) => inspect.execute(),
            Self::Formats(arguments) => arguments.execute(),
            Self::Crop(crop) => crop.execute(),
        }
    }
}

impl Init {
    fn execute(self) -> anyhow::Result<ExitCode> {
        let path = self.folder.join("dataset.toml");
        let Proposal { text, questions } = propose(&self.folder, &Limits::default())?;
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| {
            format!(
                "{}: must not be there yet, and its folder must be writable; move it away to begin anew",
                path.display()
            )
        })?;
        match self.output {
            Output::Json => {
                outln!("{}", serde_json::to_string_pretty(&ProposedData { file: path, questions })?);
            }
            Output::Text => {
                outln!("{}", path.display());
                questions.iter().for_each(|question| print_wrapped(&format!("  question: {question}")));
                let folder = self.folder.display();
                outln!("check each line of it, then look at `eosfed-client data inspect {folder}`");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Inspect {
    fn execute(self) -> anyhow::Result<ExitCode> {
        let spinner = spinner("looking for samples");
        let dataset = Dataset::open(&self.dataset, &Limits::default())?;
        let look = Look { most: self.sample.map(|count| count as usize) };
        let bar = bar();
        let summary = summarise_with(&dataset, look, |done, total| {
            spinner.finish_and_clear();
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        })?;
        bar.finish_and_clear();
        if let Some(path) = &self.quicklook {
            spinner.set_message("drawing the picture");
            quicklook(&dataset, path)?;
        }
        spinner.finish_and_clear();
        match self.output {
            Output::Json => outln!("{}", serde_json::to_string_pretty(&summary)?),
            Output::Text => print_summary(&dataset, &summary),
        }
        if let (Some(path), Output::Text) = (&self.quicklook, self.output) {
            outln!("\nquick-look: {}", path.display());
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl FormatsArguments {
    fn execute(self) -> anyhow::Result<ExitCode> {
        let found = formats(&Limits::default());
        match self.output {
            Output::Json => outln!("{}", serde_json::to_string_pretty(&found)?),
            Output::Text => print_formats(&found),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print_formats(formats: &Formats) {
    formats.files.iter().for_each(|file| print_wrapped(file));
    tables(formats).iter().for_each(|table| outln!("\n{table}"));
    let limits = &formats.limits;
    outln!();
    print_wrapped(&format!(
        "an image has at most {0}x{0} pixels and {1} bands, and a scene of `eosfed-trainer predict` or `data crop` {2}x{2} pixels; a \
         strip or tile, and an image read whole, takes at most {3} in memory. Everything else is refused by name, with a \
         command that converts it.",
        limits.side,
        limits.bands,
        Limits::SCENE_SIDE,
        bytes(limits.bytes)
    ));
}

/// What is read through GDAL, and the kinds of GeoTIFF.
fn tables(formats: &Formats) -> Vec<Sheet> {
    let Formats { compressions, numbers, photometric, gdal, gdal_version, limits: _, files: _ } = formats;
    let version = gdal_version.as_deref().unwrap_or("not in this build");
    let mut through_gdal = Sheet::new(&[&format!("through GDAL ({version})"), "endings", "read", ""]);
    for GdalFormat { name, drivers: _, endings, read, lacking, note, content: _ } in gdal {
        let read = if *read { "yes" } else { "no" };
        let note = lacking.as_ref().map_or_else(|| note.clone(), |lacking| format!("{lacking}; {note}"));
        through_gdal.add_row([name.as_str(), &endings.join(", "), read, &note]);
    }
    let of_tiff = [
        ("compression (tag 259)", compressions),
        ("numbers (tag 339)", numbers),
        ("meaning (tag 262)", photometric),
    ];
    let of_tiff = of_tiff.into_iter().map(|(title, rows)| {
        let mut table = Sheet::new(&[title, "", "read", ""]);
        for Format { value, name, read, note } in rows {
            let read = if *read { "yes" } else { "no" };
            table.add_row([value.to_string().as_str(), name, read, note]);
        }
        table
    });
    std::iter::once(through_gdal).chain(of_tiff).collect()
}

/// Prints a sentence in lines of the terminal; those after the first are indented. For another program it is one line.
fn print_wrapped(text: &str) {
    const INDENT: &str = "    ";
    let Some(columns) = terminal_columns() else { return outln!("{text}") };
    let lines = wrapped(text, columns.saturating_sub(INDENT.len()).max(1));
    lines.iter().enumerate().for_each(|(at, line)| outln!("{}{line}", if at > 0 { INDENT } else { "" }));
}

/// A spinner on a terminal for a slow operation.
fn spinner(message: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner().with_message(message);
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}

/// A bar on a terminal for the samples that are read.
fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("reading samples {wide_bar} {human_pos}/{human_len}, {eta} left");
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn print_summary(dataset: &Dataset, summary: &Summary) {
    let [low, high] = summary.sizes;
    outln!("{}", dataset.path().display());
    outln!("samples from {}x{} to {}x{} pixels", low[0], low[1], high[0], high[1]);
    if let Some(halo) = summary.halo {
        outln!(
            "{halo} of them at each edge are not judged, but at edges of images; the numbers are of the others"
        );
    }
    outln!();
    outln!("{}\n\n{}", classes(dataset, summary), bands(summary));
    if let Some(target) = &summary.target {
        outln!("\n{}", target_table(target));
    }
    if let Some(PolygonReport { files, features, used, .. }) = &summary.polygons {
        outln!("\npolygons: {used} of {features} features are used, of {}", counted(*files, "file"));
    }
    outln!("\ninventory, as a data statement has it: {}", summary.inventory);
    for warning in &summary.warnings {
        outln!("\nwarning: {warning}");
    }
    print_unused(&summary.unused);
}

/// The files that belong to no sample, by reasons; `unused` has equal reasons together.
fn print_unused(unused: &[UnusedFile]) {
    const NAMED: usize = 5;
    if unused.is_empty() {
        return;
    }
    let files: u64 = unused.iter().map(|unused| unused.files.unwrap_or(1)).sum();
    outln!("\nfiles that belong to no sample: {files} (`--output json` lists them)");
    for group in unused.chunk_by(|a, b| a.reason == b.reason) {
        let name = |UnusedFile { file, files, .. }: &UnusedFile| match files {
            Some(files) => format!("{file}: {}", counted(*files, "file")),
            None => file.clone(),
        };
        let names = group.iter().take(NAMED).map(name).collect::<Vec<_>>().join(", ");
        let more = if group.len() > NAMED { ", …" } else { "" };
        outln!("  {}: {} ({names}{more})", group.len(), group[0].reason);
    }
}

fn classes(dataset: &Dataset, summary: &Summary) -> Sheet {
    let parts: Vec<&str> = summary.samples.keys().map(String::as_str).collect();
    let mut table = Sheet::new(&[&[""], parts.as_slice()].concat());
    let mut row = |name: &str, count: &dyn Fn(&str) -> u64| {
        let counts = parts.iter().map(|part| count(part).to_string());
        table.add_row([name.to_owned()].into_iter().chain(counts));
    };
    row("samples", &|part| summary.samples[part] as u64);
    for class in &dataset.config().classes {
        row(class, &|part| {
            let found = summary.classes.get(part).and_then(|classes| classes.get(class));
            found.copied().unwrap_or_default()
        });
    }
    table
}

fn bands(summary: &Summary) -> Sheet {
    let mut table = Sheet::new(&["band (training part)", "pixels", "mean", "std", "min", "max"]);
    for band in &summary.bands {
        let numbers = [band.mean, band.std(), f64::from(band.min), f64::from(band.max)];
        let cells = [band.band.clone(), band.count.to_string()];
        table.add_row(cells.into_iter().chain(numbers.map(|number| format!("{number:.4}"))));
    }
    table
}

/// The target of a regression, with its unit.
fn target_table(target: &TargetStatistics) -> Sheet {
    let TargetStatistics { moments, std, unit, percentiles } = target;
    let BandStatistics { band, count, mean, m2: _, min, max } = moments;
    let mut header = vec!["target (training part)", "unit", "pixels", "mean", "std", "min", "max"];
    let mut row =
        vec![band.clone(), unit.clone().unwrap_or_else(|| "not said".to_owned()), count.to_string()];
    let mut numbers = vec![*mean, *std, f64::from(*min), f64::from(*max)];
    if let Some(TargetPercentiles { pixels: _, p2, p50, p98 }) = percentiles {
        header.extend(["2 %", "median", "98 %"]);
        numbers.extend([*p2, *p50, *p98]);
    }
    row.extend(numbers.iter().map(|number| format!("{number:.4}")));
    let mut table = Sheet::new(&header);
    table.add_row(row);
    table
}

impl Crop {
    fn execute(self) -> anyhow::Result<ExitCode> {
        let Self { image, mask, window, output, format } = self;
        let reports = crop(&image, mask.as_deref(), window, &output)?;
        match format {
            Output::Json => outln!("{}", serde_json::to_string_pretty(&reports)?),
            Output::Text => reports.iter().for_each(print_crop),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print_crop(report: &CropReport) {
    let Window { width, height, .. } = report.window;
    outln!("{}: {}, {width}x{height} pixels", report.output.display(), counted(report.bands, "band"));
    for note in &report.notes {
        outln!("  note: {note}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_formats_fit_into_80_columns_without_breaking_a_word() {
        let formats = formats(&Limits::default());
        for table in tables(&formats) {
            let text = table.within(80);
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            assert!(text.contains('═'), "a table, and no blocks: {text}");
        }
        let whole = tables(&formats).iter().map(|table| table.within(80)).collect::<String>();
        let notes = formats.gdal.iter().flat_map(|format| format.note.split_whitespace());
        for word in notes.filter(|word| word.chars().count() <= 26) {
            assert!(whole.contains(word), "{word} is broken: {whole}");
        }
    }
}
