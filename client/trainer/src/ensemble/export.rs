//! Features for other programs: computed chunk by chunk, in memory that does not grow with the data set,
//! and written as safetensors or NumPy files.

mod column;
mod files;
mod source;

use std::path::{Path, PathBuf};

use eosfed_common::model::BandRule;
use eosfed_data::{Dataset, Limits, Sample, Split};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use self::column::Column;
use self::files::{write_numpy, write_safetensors};
use self::source::MapSource;
use super::error::EnsembleError;
use super::release::EncoderChoice;
use crate::train::TensorDataset;

/// Samples that are in memory at once.
const CHUNK_SIZE: usize = 32;

/// Kind of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// One safetensors file.
    Safetensors,
    /// One `.npy` file for each tensor, in a folder.
    Numpy,
}

/// What to compute and where to write it.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// A release, whose encoders' maps are normalised and concatenated.
    pub release: Option<PathBuf>,
    /// Or a trained head, whose fused maps are taken.
    pub head: Option<PathBuf>,
    /// Encoders of the release.
    pub encoders: EncoderChoice,
    /// How bands are adapted.
    pub band_rule: BandRule,
    /// The data.
    pub data: PathBuf,
    /// Part of the data.
    pub split: Split,
    /// Side in pixels to which images are resized; `None`: they keep their size.
    pub input_size: Option<u32>,
    /// Whether the four maps are written besides the mean of the last.
    pub maps: bool,
    /// Kind of the files.
    pub format: ExportFormat,
    /// The file, or the folder.
    pub output: PathBuf,
}

/// What was written. It is stored beside the file as JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExportReport {
    /// Names of the encoders, in the order of their channels where maps are concatenated.
    pub encoders: Vec<String>,
    /// Names and shapes of the tensors.
    pub tensors: Vec<(String, Vec<usize>)>,
    /// Keys of the samples, in order.
    pub keys: Vec<String>,
    /// Names of the classes, in the order of their indices.
    pub classes: Vec<String>,
    /// What is wrong with each file that was left out, by name.
    pub skipped: Vec<String>,
    /// Notes about the images, such as resampling.
    pub notes: Vec<String>,
    /// What may make the features wrong: bands that contradict their pixels, and data unlike what the specialists learned
    /// from.
    pub warnings: Vec<String>,
}

/// Computes the features of a part of a data set. `progress` gets the number of samples done, and of all.
///
/// # Errors
/// If the release, the head or the data cannot be used, or a file cannot be written.
pub fn export_features(
    options: &ExportOptions,
    device: Device,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<ExportReport, EnsembleError> {
    let dataset = Dataset::open(&options.data, &Limits::default())?;
    let source = MapSource::open(options, &dataset, device)?;
    let mut columns = Vec::new();
    let mut keys = Vec::new();
    let mut survey = dataset.survey(options.split, source.bands())?;
    let mut chunks = dataset.chunks(options.split, source.bands(), CHUNK_SIZE)?;
    while let Some(samples) = chunks.next() {
        let samples = samples?;
        samples.iter().for_each(|sample| survey.add(sample));
        keys.extend(samples.iter().map(|sample| sample.key.clone()));
        let tensors = features(&source, &samples, options, device)?;
        store(&mut columns, &tensors, dataset.path())?;
        progress(chunks.done(), chunks.total());
    }
    let surveyed = dataset.surveyed(survey)?;
    let findings = surveyed.report.findings.iter().map(ToString::to_string);
    let unlike = source.unlike(&dataset, &surveyed, chunks.imagery())?;
    let report = ExportReport {
        encoders: source.encoders(),
        tensors: columns.iter().map(|column| (column.name.clone(), column.shape())).collect(),
        keys,
        classes: dataset.config().classes.clone(),
        skipped: chunks.skipped().to_vec(),
        notes: chunks.notes(),
        warnings: findings.chain(unlike).collect(),
    };
    let json = serde_json::to_vec_pretty(&report).expect("a report is plain data");
    match options.format {
        ExportFormat::Safetensors => write_safetensors(&options.output, &mut columns, &json),
        ExportFormat::Numpy => write_numpy(&options.output, &mut columns, &json),
    }
    .map_err(|error| EnsembleError::file(&options.output, error))?;
    Ok(report)
}

/// The tensors of some samples by name.
fn features(
    source: &MapSource,
    samples: &[Sample],
    options: &ExportOptions,
    device: Device,
) -> Result<Vec<(String, Tensor)>, EnsembleError> {
    let data = TensorDataset::new(samples, &source.preprocessing(), device)?;
    let maps = source.maps(&data.images).ok_or_else(|| {
        let reason = "a head that combines outputs has no maps; use `--release` instead";
        EnsembleError::file(options.head.as_deref().unwrap_or_else(|| Path::new(".")), reason)
    })?;
    let pooled = maps[3].mean_dim([2_i64, 3].as_slice(), false, Kind::Float);
    let mut tensors = vec![("pooled".to_owned(), pooled), ("label".to_owned(), data.labels)];
    if options.maps {
        tensors.extend(maps.into_iter().enumerate().map(|(level, map)| (format!("map.{level}"), map)));
    }
    Ok(tensors)
}

/// Appends tensors to their columns, which all have one shape per sample.
fn store(columns: &mut Vec<Column>, tensors: &[(String, Tensor)], data: &Path) -> Result<(), EnsembleError> {
    let disk = |error: std::io::Error| EnsembleError::file(&std::env::temp_dir(), error);
    if columns.is_empty() {
        let new = tensors.iter().map(|(name, tensor)| Column::new(name, tensor));
        *columns = new.collect::<Result<_, _>>().map_err(disk)?;
    }
    for (column, (name, tensor)) in columns.iter_mut().zip(tensors) {
        if !column.fits(tensor) {
            let reason = format!(
                "`{name}` must have one shape for all samples, found `{:?}` after others; give `--input-size`, \
                 or cut the images (`layout.tile`)",
                &tensor.size()[1..]
            );
            return Err(EnsembleError::file(data, reason));
        }
        column.append(tensor).map_err(disk)?;
    }
    Ok(())
}
