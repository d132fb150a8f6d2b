//! Training a head over frozen specialists, on few labels.

use std::path::{Path, PathBuf};

use eosfed_common::files::write_atomically;
use eosfed_common::head::{HeadFile, HeadTraining, Imagery};
use eosfed_common::model::{BandRule, Composition, Method, Selection, TargetScale, Task, initial_tensors};
use eosfed_common::plan::Training;
use eosfed_data::{Dataset, Limits, Split, label_warnings};
use eosfed_plot::{Series, line_chart};
use serde::Serialize;
use tch::{Device, Tensor};

use super::combine::Combiner;
use super::downstream::{measure, preparation};
use super::error::EnsembleError;
use super::extract::Extractor;
use super::feed::Feed;
use super::release::{Choice, Release};
use crate::net::Passes;
use crate::parameters::Parameters;
use crate::train::{self, AdamW, Batches, Fitting, LossSettings, Plan, Prepared};

/// How much faster than the rest a selection's weights learn: they are few, and start far apart from
/// where they matter.
const SELECTION_RATE: f64 = 30.0;

/// Bytes up to which maps of samples are kept in memory where nobody says otherwise.
pub(super) const CACHE: u64 = 2 << 30;

/// How to train a head.
#[derive(Debug, Clone)]
pub struct FitOptions {
    /// The name in tables.
    pub name: String,
    /// A pulled release.
    pub release: PathBuf,
    /// The labelled data.
    pub data: PathBuf,
    /// Which encoders.
    pub encoders: Choice,
    /// How bands are adapted.
    pub band_rule: BandRule,
    /// How the head comes to its answer.
    pub method: Method,
    /// How maps are fused.
    pub composition: Composition,
    /// Where the head goes.
    pub output: PathBuf,
    /// How to train.
    pub training: HeadTraining,
    /// Side to which tiles are resized.
    pub input_size: Option<u32>,
    /// Bytes up to which the specialists' maps of all samples are kept in memory; above, they are
    /// computed in every pass.
    pub cache: u64,
}

/// What training a head gave.
#[derive(Debug, Clone, Serialize)]
pub struct FitReport {
    /// Where the head is.
    pub head: PathBuf,
    /// Labelled samples.
    pub samples: usize,
    /// Numbers learned.
    pub parameters: usize,
    /// Mean loss of the last epoch; absent when nothing was learned.
    pub loss: Option<f64>,
    /// Names of the encoders.
    pub encoders: Vec<String>,
    /// What each encoder's maps are multiplied by; absent where answers are combined.
    pub weights: Option<Vec<f32>>,
    /// What was done for bands that are not there by name, and to images.
    pub notes: Vec<String>,
}

/// Hears of each epoch: how many are done, of how many, and the mean loss.
pub type FitProgress<'a> = &'a mut dyn FnMut(u32, u32, f64);

/// Trains a head on the training part of the data and writes it.
///
/// # Errors
/// If the release or the data cannot be used, the loss diverges, or the head cannot be written.
pub fn fit(
    options: &FitOptions,
    device: Device,
    progress: FitProgress<'_>,
    stopped: &dyn Fn() -> bool,
) -> Result<FitReport, EnsembleError> {
    let release = Release::open(&options.release)?;
    let dataset = Dataset::open(&options.data, &Limits::default())?;
    let (mut head, mut notes) = describe(options, &release, &dataset)?;
    let extractor = Extractor::load(&release, &head, device)?;
    let loaded = dataset.load(Split::Train, extractor.bands())?;
    notes.extend(loaded.skipped.into_iter().map(|reason| format!("skipped: {reason}")));
    notes.extend(loaded.notes);
    let report = dataset.check_bands(extractor.bands(), &loaded.samples)?;
    notes.extend(report.findings.iter().map(ToString::to_string));
    notes.extend(label_warnings(&dataset, &loaded.samples));
    head.samples = loaded.samples.len();
    head.imagery = loaded.imagery;
    let data = Prepared::new(&loaded.samples, &preparation(&head), device)?;
    drop(loaded.samples);
    let feed = Feed::training(&extractor, data, &head, options.cache);
    let signature = head.signature();
    let mut initial = initial_tensors(&signature, options.training.seed);
    feed.moments(&mut initial, head.task.dates() as i64);
    let parameters = Parameters::new(signature, &initial, device).trainable();
    let epochs = if head.method == Method::MeanLogits { 0 } else { feed.epochs(options.training.epochs) };
    let curve = learn(&options.training, &head, &feed, &parameters, epochs, (progress, stopped))?;
    let combiner = Combiner::new(&head, &parameters, Passes::default());
    write(&options.output, &head, &parameters, &curve)?;
    Ok(FitReport {
        head: options.output.clone(),
        samples: head.samples,
        parameters: parameters.signature().parameters(),
        loss: curve.last().map(|(_, loss)| *loss),
        weights: combiner.weights(head.encoders.len()),
        encoders: head.encoders.into_iter().map(|encoder| encoder.name).collect(),
        notes,
    })
}

/// The training loop; gives the loss after each epoch by step.
fn learn(
    options: &HeadTraining,
    head: &HeadFile,
    feed: &Feed<'_>,
    parameters: &Parameters,
    epochs: u32,
    (progress, stopped): (FitProgress<'_>, &dyn Fn() -> bool),
) -> Result<Vec<(f64, f64)>, EnsembleError> {
    let samples = feed.samples();
    let training = training(options);
    let passes = Batches::count(samples.len(), options.batch_size as usize) as u64 * u64::from(epochs);
    let combiner = Combiner::new(head, parameters, Passes { done: 0, total: passes });
    let forward = |images: &Tensor, train: bool| combiner.forward(&feed.parts(images), train);
    let penalty = || combiner.penalty().expect("asked only where there is one");
    let device = samples.labels.device();
    let fitting = Fitting {
        parameters,
        forward: &forward,
        training: &samples,
        validation: None,
        measure: measure(head),
        loss: LossSettings::of(&training, head.task, head.classes.len(), &samples, device),
        penalty: combiner.penalty().is_some().then_some(&penalty as &dyn Fn() -> Tensor),
        proximal: None,
        plan: Plan { epochs, changes: feed.changes(), ..Plan::of(&training, [0.0, 1.0], options.seed) },
    };
    let mut optimizer = optimizer(parameters, &training);
    let mut curve = Vec::new();
    for epoch in 1..=epochs {
        let report = fitting.epoch(epoch, &mut optimizer, &mut |_, _| (), stopped)?;
        progress(epoch, epochs, report.loss);
        curve.push((report.step as f64, report.loss));
    }
    Ok(curve)
}

/// The settings of a head as those of any training.
fn training(options: &HeadTraining) -> Training {
    let HeadTraining { epochs, batch_size, learning_rate, weight_decay, loss, class_weights, seed: _ } =
        options;
    Training {
        weight_decay: *weight_decay,
        loss: loss.clone(),
        class_weights: *class_weights,
        ..Training::new(*epochs, *batch_size, *learning_rate)
    }
}

/// The optimiser of a head, in which what selects learns faster.
pub(super) fn optimizer(parameters: &Parameters, training: &Training) -> AdamW {
    AdamW::new(parameters, training.weight_decay, training.clip_norm).faster("select.", SELECTION_RATE)
}

fn describe(
    options: &FitOptions,
    release: &Release,
    dataset: &Dataset,
) -> Result<(HeadFile, Vec<String>), EnsembleError> {
    let config = dataset.config();
    let normalisation = match options.encoders {
        Choice::Random(_) => {
            train::normalisation(&config.bands, &dataset.load(Split::Train, &config.bands)?.samples)
        }
        Choice::All | Choice::Named(_) | Choice::Given(_) => Vec::new(),
    };
    let bands = config.named_bands();
    let (encoders, notes) = release.choose(&options.encoders, &bands, options.band_rule, &normalisation)?;
    let head = HeadFile {
        name: options.name.clone(),
        release: release.manifest().number,
        release_folder: options.release.display().to_string(),
        encoders,
        method: options.method,
        composition: match options.method {
            Method::Fusion => options.composition,
            Method::MeanLogits | Method::Router => Composition::default(),
        },
        task: config.task,
        classes: config.classes.clone(),
        target: target_scale(dataset)?,
        input_size: options.input_size,
        imagery: Imagery::default(),
        samples: 0,
        training: (options.method != Method::MeanLogits).then(|| options.training.clone()),
    };
    head.composition
        .check(&head.encoder_dims())
        .map_err(|reason| EnsembleError::file(release.folder(), reason))?;
    Ok((head, notes))
}

/// The scale of a regression's targets in the training part.
fn target_scale(dataset: &Dataset) -> Result<Option<TargetScale>, EnsembleError> {
    let config = dataset.config();
    if config.task != Task::Regression {
        return Ok(None);
    }
    Ok(train::target_scale(config.task, &dataset.load(Split::Train, &config.bands[..1])?.samples))
}

fn write(
    folder: &Path,
    head: &HeadFile,
    parameters: &Parameters,
    curve: &[(f64, f64)],
) -> Result<(), EnsembleError> {
    std::fs::create_dir_all(folder).map_err(|error| EnsembleError::file(folder, error))?;
    parameters.save(&folder.join(HeadFile::WEIGHTS))?;
    if !curve.is_empty() {
        let series = [Series { name: head.name.clone(), points: curve.to_vec() }];
        line_chart(&folder.join("loss.png"), "training loss of the head", "step", "loss", &series)?;
    }
    let path = folder.join(HeadFile::FILE);
    let json = serde_json::to_vec_pretty(head).expect("a head file is plain data");
    write_atomically(&path, &json).map_err(|error| EnsembleError::file(&path, error))
}

/// Whether a selection is learned, whose weights a person wants to see.
#[must_use]
pub const fn selects(composition: &Composition) -> bool {
    !matches!(composition.selection, Selection::All)
}
