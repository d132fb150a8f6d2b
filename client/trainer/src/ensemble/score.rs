//! Scoring heads on a part of a data set that they have not seen, and the table and picture of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use comfy_table::{CellAlignment, Table, presets};
use eosfed_common::model::Task;
use eosfed_common::weights::write_atomically;
use eosfed_data::{Dataset, IGNORE, Limits, Look, Split, Target};
use eosfed_plot::{Picture, sheet};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::EnsembleError;
use super::features::{FeatureBank, UPRIGHT};
use super::head_file::HeadFile;
use super::release::Release;
use crate::metrics::{Confusion, Measure, Scores};
use crate::net::{Compute, Head};
use crate::parameters::Parameters;
use crate::train::{Prepared, predict};

/// Samples shown in the picture.
const SHOWN: usize = 5;

/// One head's scores.
#[derive(Debug, Clone, Serialize)]
pub struct ScoreRow {
    /// The head.
    pub name: String,
    /// Names of its encoders.
    pub encoders: Vec<String>,
    /// Accuracy, mIoU and macro F1.
    pub metrics: BTreeMap<String, f64>,
    /// IoU of each class that occurs, by name.
    pub iou: BTreeMap<String, f64>,
    /// Parameters of the head.
    pub head_parameters: usize,
    /// Samples scored.
    pub samples: usize,
    /// Seconds from files to predictions.
    pub seconds: f64,
    /// Seed of the head's training.
    pub seed: u64,
    #[serde(skip)]
    task: Task,
    #[serde(skip)]
    predictions: Vec<Vec<u8>>,
}

/// Scores the head in `folder` on a part of `data`.
///
/// # Errors
/// If the head, its release or the data cannot be used.
pub fn score(folder: &Path, data: &Path, split: Split, device: Device) -> Result<ScoreRow, EnsembleError> {
    let start = Instant::now();
    let head = HeadFile::read(folder)?;
    let release = Release::open(Path::new(&head.release_folder))?;
    let dataset = Dataset::open(data, &Limits::default())?;
    if dataset.config().classes != head.classes {
        let (wanted, found) = (head.classes.join(", "), dataset.config().classes.join(", "));
        return Err(EnsembleError::file(
            data,
            format!("`classes` must be `{wanted}` like the head's, found `{found}`"),
        ));
    }
    let load = |bands: &[String]| Ok(dataset.load(split, bands)?.samples);
    let bank = FeatureBank::extract(&release, &head.encoders, &load, head.input_size, &UPRIGHT, device)?;
    let parameters = Parameters::load(&folder.join(HeadFile::WEIGHTS), head.signature(), device)?;
    let network = Head::new(head.task, &parameters, Compute::FULL);
    let positions = Tensor::arange(bank.samples as i64, (Kind::Int64, device));
    let forward = |picked: &Tensor, _: bool| {
        network.forward(&[0, 1, 2, 3].map(|level: usize| bank.maps[level].index_select(0, picked)))
    };
    let prepared = Prepared { images: positions, labels: bank.labels.shallow_clone() };
    let (mut confusion, mut predictions) = (Confusion::new(head.classes.len()), Vec::new());
    let measure = Measure::new(head.task, head.classes.len(), None);
    predict(&forward, &prepared, measure, 16, &mut |labels, outputs| {
        let classes = outputs.argmax(1, false);
        confusion.add(labels, &classes);
        let bytes = classes.to_kind(Kind::Uint8).to_device(Device::Cpu).view([classes.size()[0], -1]);
        for row in 0..bytes.size()[0] {
            predictions.push(Vec::<u8>::try_from(bytes.get(row)).expect("a row of classes is flat"));
        }
    });
    let iou = head.classes.iter().cloned().zip(confusion.iou()).filter_map(|(name, iou)| Some((name, iou?)));
    Ok(ScoreRow {
        name: head.name.clone(),
        encoders: head.encoders.iter().map(|encoder| encoder.name.clone()).collect(),
        metrics: Scores::Classes(confusion).summary(),
        iou: iou.collect(),
        head_parameters: parameters.signature().parameters(),
        samples: bank.samples,
        seconds: start.elapsed().as_secs_f64(),
        seed: head.seed,
        task: head.task,
        predictions,
    })
}

/// The table as text for a terminal.
#[must_use]
pub fn table(rows: &[ScoreRow]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header(rows));
    for row in rows {
        table.add_row(cells(row));
    }
    for column in 1..4 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

fn header(rows: &[ScoreRow]) -> [&'static str; 4] {
    match rows.first().map(|row| row.task) {
        Some(Task::Classification | Task::Multilabel) => {
            ["head over", "macro F1", "accuracy", "head parameters"]
        }
        Some(_) | None => ["head over", "mIoU", "pixel accuracy", "head parameters"],
    }
}

fn cells(row: &ScoreRow) -> [String; 4] {
    let main = row.task.main_metric();
    let number = |name: &str| format!("{:.3}", row.metrics[name]);
    [row.name.clone(), number(main), number("accuracy"), row.head_parameters.to_string()]
}

fn markdown(rows: &[ScoreRow]) -> String {
    let mut text = format!("| {} |\n| --- | ---: | ---: | ---: |\n", header(rows).join(" | "));
    for row in rows {
        let _ = writeln!(text, "| {} |", cells(row).join(" | "));
    }
    let _ = writeln!(text, "\nIoU by class:\n");
    let classes: Vec<&String> = rows
        .iter()
        .flat_map(|row| row.iou.keys())
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    let names: Vec<&str> = classes.iter().map(|name| name.as_str()).collect();
    let _ = writeln!(text, "| head over | {} |\n| --- |{}", names.join(" | "), " ---: |".repeat(names.len()));
    for row in rows {
        let ious: Vec<String> = classes
            .iter()
            .map(|class| row.iou.get(*class).map_or_else(|| "–".to_owned(), |v| format!("{v:.3}")))
            .collect();
        let _ = writeln!(text, "| {} | {} |", row.name, ious.join(" | "));
    }
    text
}

/// Writes `results.md`, `results.json` and, for segmentation, `predictions.png` of the first head.
///
/// # Errors
/// If a file cannot be written.
pub fn report(rows: &[ScoreRow], data: &Path, split: Split, folder: &Path) -> Result<(), EnsembleError> {
    std::fs::create_dir_all(folder).map_err(|error| EnsembleError::file(folder, error))?;
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        write_atomically(&path, bytes).map_err(|error| EnsembleError::file(&path, error))
    };
    write("results.md", markdown(rows).as_bytes())?;
    write("results.json", &serde_json::to_vec_pretty(rows).expect("scores are plain data"))?;
    match rows.first() {
        Some(row) if row.task == Task::Segmentation => {
            picture(row, data, split, &folder.join("predictions.png"))
        }
        _ => Ok(()),
    }
}

fn picture(row: &ScoreRow, data: &Path, split: Split, path: &Path) -> Result<(), EnsembleError> {
    let dataset = Dataset::open(data, &Limits::default())?;
    let config = dataset.config();
    let samples = dataset.load(split, &config.bands)?.samples;
    let look = Look::new(&config.bands, config.classes.len(), &samples);
    let mut order: Vec<usize> = (0..samples.len()).collect();
    // The most varied tiles tell most.
    order.sort_by_key(|index| std::cmp::Reverse(variety(&samples[*index].target)));
    let cells = |index: &usize| -> Option<Vec<Picture>> {
        let sample = &samples[*index];
        let Target::Mask(truth) = &sample.target else { return None };
        let prediction = row.predictions.get(*index).filter(|mask| mask.len() == truth.len())?;
        Some(vec![look.dates(sample).remove(0), look.mask(sample, truth), look.mask(sample, prediction)])
    };
    let rows: Vec<Vec<Picture>> = order.iter().take(SHOWN).filter_map(cells).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let legend = look.legend(&config.classes);
    Ok(sheet(path, &["image", "truth", "prediction"], &rows, &legend)?)
}

fn variety(target: &Target) -> usize {
    match target {
        Target::Class(_) | Target::Classes(_) | Target::Values(_) => 0,
        Target::Mask(mask) => {
            mask.iter().filter(|class| **class != IGNORE).collect::<std::collections::BTreeSet<_>>().len()
        }
    }
}
