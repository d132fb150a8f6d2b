//! Training a head over frozen specialists, on few labels.

use std::path::{Path, PathBuf};

use eosfed_common::files::write_atomically;
use eosfed_common::head::{HeadFile, HeadTraining, Imagery};
use eosfed_common::model::{BandRule, Composition, Method, Selection, TargetScale, Task, initial_tensors};
use eosfed_common::plan::Training;
use eosfed_data::{Dataset, Limits, Sample, Split, label_warnings};
use eosfed_plot::{Series, line_chart};
use serde::Serialize;
use tch::{Device, Tensor};

use super::combine::Combiner;
use super::error::EnsembleError;
use super::extractor::FeatureExtractor;
use super::feature_source::FeatureSource;
use super::head_model::{metric_spec, preprocessing};
use super::release::{EncoderChoice, Release};
use crate::net::StepCounter;
use crate::parameters::Parameters;
use crate::train::{self, AdamW, LoopSettings, LossSettings, TensorDataset, TrainLoop};

/// Factor on the learning rate of a selection's weights: they are few, and they start far from the
/// values that matter.
const SELECTION_RATE: f64 = 30.0;

/// How to train a head.
#[derive(Debug, Clone)]
pub struct FitOptions {
    /// Name of the head in tables.
    pub name: String,
    /// Folder of a pulled release.
    pub release: PathBuf,
    /// The labelled data.
    pub data: PathBuf,
    /// The encoders.
    pub encoders: EncoderChoice,
    /// How bands are adapted.
    pub band_rule: BandRule,
    /// How the head combines the encoders.
    pub method: Method,
    /// How maps are fused.
    pub composition: Composition,
    /// Folder for the head.
    pub output: PathBuf,
    /// How to train.
    pub training: HeadTraining,
    /// Side in pixels to which tiles are resized; `None`: they keep their size.
    pub input_size: Option<u32>,
    /// Bytes of memory for the specialists' features of all samples. If they do not fit, they are
    /// computed again in each epoch.
    pub cache: u64,
}

/// Result of training a head.
#[derive(Debug, Clone, Serialize)]
pub struct FitReport {
    /// Folder of the head.
    pub head: PathBuf,
    /// Number of labelled samples.
    pub samples: usize,
    /// Number of learned parameters.
    pub parameters: usize,
    /// Mean loss of the last epoch; absent if nothing was learned.
    pub loss: Option<f64>,
    /// Names of the encoders.
    pub encoders: Vec<String>,
    /// Factor of each encoder's maps; absent where outputs are combined.
    pub weights: Option<Vec<f32>>,
    /// Notes about bands that were not found by name, and about the images.
    pub notes: Vec<String>,
}

/// Called after each epoch with the number of epochs done and in total, and the mean loss.
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
    let extractor = FeatureExtractor::load(&release, &head, device)?;
    let samples = load(&dataset, &extractor, &mut head, &mut notes)?;
    let data = TensorDataset::new(&samples, &preprocessing(&head), device)?;
    drop(samples);
    let source = FeatureSource::training(&extractor, data, &head, options.cache);
    let signature = head.signature();
    let mut initial = initial_tensors(&signature, options.training.seed);
    source.insert_moments(&mut initial, head.task.dates() as i64);
    let parameters = Parameters::new(signature, &initial, device).trainable();
    let epochs = if head.method == Method::MeanLogits { 0 } else { source.epochs(options.training.epochs) };
    let curve = learn(&options.training, &head, &source, &parameters, epochs, (progress, stopped))?;
    let combiner = Combiner::new(&head, &parameters, StepCounter::default());
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

/// Loads the training samples, describes them in `head`, and adds notes about them.
fn load(
    dataset: &Dataset,
    extractor: &FeatureExtractor,
    head: &mut HeadFile,
    notes: &mut Vec<String>,
) -> Result<Vec<Sample>, EnsembleError> {
    let loaded = dataset.load(Split::Train, extractor.bands())?;
    notes.extend(loaded.skipped.into_iter().map(|reason| format!("skipped: {reason}")));
    notes.extend(loaded.notes);
    let report = dataset.check_bands(extractor.bands(), &loaded.samples)?;
    notes.extend(report.findings.iter().map(ToString::to_string));
    notes.extend(label_warnings(dataset, &loaded.samples));
    head.samples = loaded.samples.len();
    head.imagery = loaded.imagery;
    Ok(loaded.samples)
}

/// Runs the training loop; returns the step and the loss after each epoch.
fn learn(
    options: &HeadTraining,
    head: &HeadFile,
    source: &FeatureSource<'_>,
    parameters: &Parameters,
    epochs: u32,
    (progress, stopped): (FitProgress<'_>, &dyn Fn() -> bool),
) -> Result<Vec<(f64, f64)>, EnsembleError> {
    let samples = source.samples();
    let training = training(options);
    let settings = LoopSettings {
        epochs,
        transforms: source.transforms(),
        ..LoopSettings::of(&training, [0.0, 1.0], options.seed)
    };
    let total = settings.batches_per_epoch(samples.len()) * u64::from(epochs);
    let combiner = Combiner::new(head, parameters, StepCounter { done: 0, total });
    let forward = |samples: &Tensor, train: bool| combiner.forward(&source.features(samples), train);
    let penalty = || combiner.penalty().expect("called only if there is a penalty");
    let device = samples.labels.device();
    let train_loop = TrainLoop {
        parameters,
        forward: &forward,
        training: &samples,
        validation: None,
        test: None,
        metrics: metric_spec(head),
        loss: LossSettings::of(&training, head.task, head.classes.len(), &samples, device),
        penalty: combiner.penalty().is_some().then_some(&penalty as &dyn Fn() -> Tensor),
        proximal: None,
        settings,
    };
    let mut optimizer = optimizer(parameters, &training);
    let mut curve = Vec::new();
    for epoch in 1..=epochs {
        let report = train_loop.epoch(epoch, &mut optimizer, &mut |_, _| (), stopped)?;
        progress(epoch, epochs, report.loss);
        curve.push((report.step as f64, report.loss));
    }
    Ok(curve)
}

/// The settings of a head as those of a plan.
fn training(options: &HeadTraining) -> Training {
    Training {
        weight_decay: options.weight_decay,
        loss: options.loss.clone(),
        class_weights: options.class_weights,
        ..Training::new(options.epochs, options.batch_size, options.learning_rate)
    }
}

/// The optimiser of a head. Weights of a selection have a higher learning rate.
pub(super) fn optimizer(parameters: &Parameters, training: &Training) -> AdamW {
    AdamW::new(parameters, training.weight_decay, training.clip_norm)
        .with_rate_factors(&|name| if name.starts_with("select.") { SELECTION_RATE } else { 1.0 })
        .with_average(training.ema)
}

/// The head file before training, and notes about bands that were not found by name.
fn describe(
    options: &FitOptions,
    release: &Release,
    dataset: &Dataset,
) -> Result<(HeadFile, Vec<String>), EnsembleError> {
    let config = dataset.config();
    let normalisation = match options.encoders {
        EncoderChoice::Random(_) => {
            train::normalisation(&config.bands, &dataset.load(Split::Train, &config.bands)?.samples)
        }
        EncoderChoice::All | EncoderChoice::Named(_) | EncoderChoice::Given(_) => Vec::new(),
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

/// Whether the composition learns a selection, whose weights are then of interest.
#[must_use]
pub const fn selects(composition: &Composition) -> bool {
    !matches!(composition.selection, Selection::All)
}
