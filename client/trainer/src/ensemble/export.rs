//! Features for users who bring their own classifier: computed sample by sample into safetensors or
//! NumPy files, in memory that does not grow with the data set.

use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use eosfed_common::files::write_atomically;
use eosfed_common::head::{HeadFile, Imagery};
use eosfed_common::model::{BandRule, Composition, Method};
use eosfed_data::{Dataset, Limits, Split};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::combine::fused;
use super::downstream::Downstream;
use super::error::EnsembleError;
use super::extract::Extractor;
use super::release::{Choice, Release};
use crate::net::{Composer, Maps, Passes};
use crate::parameters::Parameters;
use crate::train::{Preparation, Prepared};

/// Samples that are in memory at once.
const CHUNK: usize = 32;

/// The files that features go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// One safetensors file.
    Safetensors,
    /// One `.npy` file for each tensor, in a folder.
    Numpy,
}

/// What to compute and where to put it.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// A release; its encoders' maps are normalised and concatenated.
    pub release: Option<PathBuf>,
    /// Or a trained head, whose fused maps are taken.
    pub head: Option<PathBuf>,
    /// Which encoders of the release.
    pub encoders: Choice,
    /// How bands are adapted.
    pub band_rule: BandRule,
    /// The data.
    pub data: PathBuf,
    /// The part of it.
    pub split: Split,
    /// Side to which images are resized, if they are.
    pub input_size: Option<u32>,
    /// Whether the four maps are wanted besides the mean of the last.
    pub maps: bool,
    /// The files.
    pub format: ExportFormat,
    /// The file, or the folder.
    pub output: PathBuf,
}

/// What was written; beside the file as JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExportReport {
    /// Names of the encoders, in the order of their channels where these are concatenated.
    pub encoders: Vec<String>,
    /// Names and shapes of the tensors.
    pub tensors: Vec<(String, Vec<usize>)>,
    /// The samples, in order.
    pub keys: Vec<String>,
    /// Names of the classes, in the order of their indices.
    pub classes: Vec<String>,
    /// What is wrong with each file that was left out, by name.
    pub skipped: Vec<String>,
    /// What was done to images.
    pub notes: Vec<String>,
}

/// Where maps come from.
enum Source {
    Release { extractor: Extractor, composer: Box<Composer>, dates: i64 },
    Head(Box<Downstream>),
}

impl Source {
    fn open(
        options: &ExportOptions,
        dataset: &Dataset,
        device: Device,
    ) -> Result<(Self, Vec<String>), EnsembleError> {
        if let Some(head) = &options.head {
            let head = Downstream::open(head, options.release.as_deref(), device)?;
            let names = head.file.encoders.iter().map(|encoder| encoder.name.clone()).collect();
            return Ok((Self::Head(Box::new(head)), names));
        }
        let folder = options.release.as_deref().unwrap_or_else(|| Path::new("."));
        let release = Release::open(folder)?;
        let config = dataset.config();
        let bands = config.named_bands();
        let (encoders, _) = release.choose(&options.encoders, &bands, options.band_rule, &[])?;
        let head = HeadFile {
            name: String::new(),
            release: release.manifest().number,
            release_folder: folder.display().to_string(),
            encoders,
            method: Method::Fusion,
            composition: Composition::default(),
            task: config.task,
            classes: config.classes.clone(),
            target: None,
            input_size: options.input_size,
            imagery: Imagery::default(),
            samples: 0,
            training: None,
        };
        let nothing = Parameters::new(head.composition.signature(&head.encoder_dims()), &[].into(), device);
        let composer = Composer::new(head.composition, &head.encoder_dims(), &nothing, Passes::default());
        let names = head.encoders.iter().map(|encoder| encoder.name.clone()).collect();
        let extractor = Extractor::load(&release, &head, device)?;
        let dates = config.task.dates() as i64;
        Ok((Self::Release { extractor, composer: Box::new(composer), dates }, names))
    }

    fn bands(&self) -> &[String] {
        match self {
            Self::Release { extractor, .. } => extractor.bands(),
            Self::Head(head) => head.bands(),
        }
    }

    fn maps(&self, images: &Tensor) -> Option<Maps> {
        let _guard = tch::no_grad_guard();
        match self {
            Self::Release { extractor, composer, dates } => {
                Some(fused(composer, &extractor.parts(images), *dates, false))
            }
            Self::Head(head) => head.maps(images),
        }
    }
}

/// Computes the features of a part of a data set. `progress` hears of samples (done, of how many).
///
/// # Errors
/// If the release, the head or the data cannot be used, or a file cannot be written.
pub fn export_features(
    options: &ExportOptions,
    device: Device,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<ExportReport, EnsembleError> {
    let dataset = Dataset::open(&options.data, &Limits::default())?;
    let (source, encoders) = Source::open(options, &dataset, device)?;
    let input_size = match &source {
        Source::Head(head) => head.file.input_size,
        Source::Release { .. } => options.input_size,
    };
    let how = Preparation { input_size, ..Preparation::default() };
    let mut columns = Vec::<Column>::new();
    let mut keys = Vec::new();
    let mut one_size = None;
    let mut chunks = dataset.chunks(options.split, source.bands(), CHUNK)?;
    while let Some(samples) = chunks.next() {
        let samples = samples?;
        keys.extend(samples.iter().map(|sample| sample.key.clone()));
        let data = Prepared::new(&samples, &how, device)?;
        let size = data.images.size()[2..].to_vec();
        if *one_size.get_or_insert_with(|| size.clone()) != size {
            let reason = "images must all have one size; give `--input-size`, or cut them (`layout.tile`)";
            return Err(EnsembleError::file(dataset.path(), reason));
        }
        let maps = source.maps(&data.images).ok_or_else(|| {
            let reason = "a head that combines answers has no maps; use `--release` instead";
            EnsembleError::file(options.head.as_deref().unwrap_or_else(|| Path::new(".")), reason)
        })?;
        let pooled = maps[3].mean_dim([2_i64, 3].as_slice(), false, Kind::Float);
        let mut tensors = vec![("pooled".to_owned(), pooled), ("label".to_owned(), data.labels)];
        if options.maps {
            tensors.extend(maps.into_iter().enumerate().map(|(level, map)| (format!("map.{level}"), map)));
        }
        if columns.is_empty() {
            columns =
                tensors.iter().map(|(name, tensor)| Column::new(name, tensor)).collect::<Result<_, _>>()?;
        }
        columns.iter_mut().zip(&tensors).try_for_each(|(column, (_, tensor))| column.append(tensor))?;
        progress(chunks.done(), chunks.total());
    }
    let report = ExportReport {
        encoders,
        tensors: columns.iter().map(|column| (column.name.clone(), column.shape())).collect(),
        keys,
        classes: dataset.config().classes.clone(),
        skipped: chunks.skipped().to_vec(),
        notes: chunks.notes(),
    };
    finish(options, &mut columns, &report).map_err(|error| EnsembleError::file(&options.output, error))?;
    Ok(report)
}

/// The rows of one tensor, in a temporary file until their number is known.
struct Column {
    name: String,
    kind: Kind,
    row: Vec<usize>,
    rows: usize,
    file: BufWriter<File>,
}

impl Column {
    fn new(name: &str, tensor: &Tensor) -> Result<Self, EnsembleError> {
        let file = tempfile::tempfile().map_err(|error| EnsembleError::file(&std::env::temp_dir(), error))?;
        let row = tensor.size()[1..].iter().map(|n| *n as usize).collect();
        Ok(Self { name: name.to_owned(), kind: tensor.kind(), row, rows: 0, file: BufWriter::new(file) })
    }

    fn append(&mut self, tensor: &Tensor) -> Result<(), EnsembleError> {
        let flat = tensor.to_device(Device::Cpu).contiguous().view([-1]);
        let bytes: Vec<u8> = match self.kind {
            Kind::Int64 => {
                let values = Vec::<i64>::try_from(&flat).expect("a flat tensor of integers");
                values.into_iter().flat_map(i64::to_le_bytes).collect()
            }
            _ => crate::parameters::to_vec(&flat).into_iter().flat_map(f32::to_le_bytes).collect(),
        };
        self.rows += tensor.size()[0] as usize;
        self.file.write_all(&bytes).map_err(|error| EnsembleError::file(&std::env::temp_dir(), error))
    }

    fn shape(&self) -> Vec<usize> {
        std::iter::once(self.rows).chain(self.row.iter().copied()).collect()
    }

    fn bytes(&self) -> usize {
        self.shape().iter().product::<usize>() * if self.kind == Kind::Int64 { 8 } else { 4 }
    }

    /// Copies everything.
    fn copy_to(&mut self, target: &mut impl Write) -> std::io::Result<()> {
        self.file.flush()?;
        let file = self.file.get_mut();
        file.seek(SeekFrom::Start(0))?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(()),
                count => target.write_all(&buffer[..count])?,
            }
        }
    }
}

fn finish(options: &ExportOptions, columns: &mut [Column], report: &ExportReport) -> std::io::Result<()> {
    let json = serde_json::to_vec_pretty(report).expect("a report is plain data");
    match options.format {
        ExportFormat::Safetensors => {
            let folder = options.output.parent().filter(|p| !p.as_os_str().is_empty());
            let file = tempfile::NamedTempFile::new_in(folder.unwrap_or_else(|| Path::new(".")))?;
            let mut writer = BufWriter::new(file.as_file());
            writer.write_all(&header(columns))?;
            columns.iter_mut().try_for_each(|column| column.copy_to(&mut writer))?;
            writer.flush()?;
            drop(writer);
            file.persist(&options.output)?;
            write_atomically(&options.output.with_extension("json"), &json)
        }
        ExportFormat::Numpy => {
            std::fs::create_dir_all(&options.output)?;
            for column in columns {
                let path = options.output.join(format!("{}.npy", column.name.replace('.', "_")));
                let mut writer = BufWriter::new(File::create(path)?);
                writer.write_all(&npy_header(column))?;
                column.copy_to(&mut writer)?;
                writer.flush()?;
            }
            write_atomically(&options.output.join("features.json"), &json)
        }
    }
}

/// The header of a safetensors file of these tensors in this order.
fn header(columns: &[Column]) -> Vec<u8> {
    let mut entries = serde_json::Map::new();
    let mut offset = 0;
    for column in columns {
        let kind = if column.kind == Kind::Int64 { "I64" } else { "F32" };
        let end = offset + column.bytes();
        let entry =
            serde_json::json!({ "dtype": kind, "shape": column.shape(), "data_offsets": [offset, end] });
        entries.insert(column.name.clone(), entry);
        offset = end;
    }
    let mut json = serde_json::Value::Object(entries).to_string().into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    [(json.len() as u64).to_le_bytes().to_vec(), json].concat()
}

/// The header of a `.npy` file, version 1.0, padded so that the data lie at a multiple of 64.
fn npy_header(column: &Column) -> Vec<u8> {
    const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
    let kind = if column.kind == Kind::Int64 { "<i8" } else { "<f4" };
    let shape: String = column.shape().iter().map(|n| format!("{n}, ")).collect();
    let mut text =
        format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}").into_bytes();
    let length = (MAGIC.len() + 2 + text.len() + 1).next_multiple_of(64) - MAGIC.len() - 2;
    text.resize(length - 1, b' ');
    text.push(b'\n');
    [MAGIC, &(length as u16).to_le_bytes(), &text].concat()
}
