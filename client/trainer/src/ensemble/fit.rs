//! Training a head over frozen specialists, on few labels.

use std::path::{Path, PathBuf};

use eosfed_common::files::write_atomically;
use eosfed_common::head::{HeadFile, HeadTraining, Imagery};
use eosfed_common::model::{
    BandRule, Composition, DecoderChannels, Method, Selection, TargetScale, initial_tensors,
};
use eosfed_common::plan::Training;
use eosfed_common::task::DecodedSamples;
use eosfed_data::{PartFacts, SampleSource, Split};
use eosfed_plot::{Across, Panel, Series, line_chart};
use serde::Serialize;
use tch::{Device, Tensor};

use super::combine::Combiner;
use super::error::EnsembleError;
use super::extractor::FeatureExtractor;
use super::feature_source::FeatureSource;
use super::head_model::{metric_spec, path_between, preprocessing};
use super::release::{EncoderChoice, Release};
use crate::net::StepCounter;
use crate::parameters::Parameters;
use crate::train::{
    self, AdamW, LoopSettings, LossSettings, Parts, Seen, StreamedDataset, TrainLoop, scale_of, unlike,
};

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
    /// Channels of the decoder, for tasks of pixels.
    pub decoder_channels: DecoderChannels,
    /// Folder for the head.
    pub output: PathBuf,
    /// How to train.
    pub training: HeadTraining,
    /// Side in pixels to which tiles are resized; `None`: they keep their size.
    pub input_size: Option<u32>,
    /// Whether larger tiles are filtered as they are resized.
    pub antialias: bool,
    /// Bytes of memory for the specialists' features of all samples. If they do not fit, they are
    /// computed again in each epoch.
    pub cache: u64,
    /// Where decoded samples are kept, if they are.
    pub samples: Option<DecodedSamples>,
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
    /// What may make the head wrong: bands that contradict their pixels, labels that are missing, and data unlike what the
    /// specialists learned from.
    pub warnings: Vec<String>,
}

/// Called about once a second and after each epoch, with the number of steps done and in total, and the mean loss of
/// the steps since.
pub type FitProgress<'a> = &'a mut dyn FnMut(u64, u64, f64);

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
    let parts = Parts::open(&options.data, options.samples.as_ref())?;
    let training = training(&options.training);
    let (mut head, mut notes, own) = describe(options, &release, &parts)?;
    let source = match own {
        Some(source) if head.bands() == parts.dataset().config().bands => source,
        _ => parts.source(Split::Train, &head.bands())?,
    };
    let facts = source.facts();
    notes.extend(notes_of(&parts, facts));
    let learned = release.learned(&head);
    let unlike = unlike(parts.dataset(), Seen::of(facts, options.input_size), &learned)?;
    let warnings = [&facts.findings[..], &facts.label_warnings, &unlike].concat();
    head.samples = source.len();
    head.imagery = facts.imagery;
    head.statistics = train::known(facts);
    let unit = parts.dataset().config().unit();
    head.target =
        facts.target.as_ref().map(|moments| TargetScale { unit: unit.to_owned(), ..scale_of(moments) });
    let extractor = FeatureExtractor::load(&release, &head, device)?;
    let data = StreamedDataset::new(source, preprocessing(&head), head.task, device)?;
    let counts = data.counts_for(&training)?;
    let loss = LossSettings::counted(&training, head.task, counts.as_deref(), device);
    let source = FeatureSource::training(&extractor, data, &head, &mut { options.cache })?;
    let signature = head.signature();
    let mut initial = initial_tensors(&signature, options.training.seed);
    source.insert_moments(&mut initial, head.task.dates() as i64)?;
    let parameters = Parameters::new(signature, &initial, device).trainable();
    let epochs = if head.method == Method::MeanLogits { 0 } else { source.epochs(options.training.epochs) };
    let settings = LoopSettings {
        epochs,
        transforms: source.transforms(),
        ..LoopSettings::of(&training, [0.0, 1.0], options.training.seed)
    };
    let optimizer = optimizer(&parameters, &training);
    let learning = Learning { head: &head, source: &source, parameters: &parameters, loss, settings };
    let curve = learning.run(optimizer, progress, stopped)?;
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
        warnings,
    })
}

/// Notes about a training part.
fn notes_of(parts: &Parts, facts: &PartFacts) -> Vec<String> {
    let skipped = parts.skipped(Split::Train, facts).map(|reason| format!("skipped: {reason}"));
    skipped.chain(parts.notes(facts).cloned()).chain(parts.dataset().config().warnings()).collect()
}

/// What a head learns with.
struct Learning<'a> {
    head: &'a HeadFile,
    source: &'a FeatureSource<'a>,
    parameters: &'a Parameters,
    loss: LossSettings,
    settings: LoopSettings,
}

impl Learning<'_> {
    /// Runs the training loop; returns the step and the loss after each epoch.
    fn run(
        self,
        mut optimizer: AdamW,
        progress: FitProgress<'_>,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Vec<(f64, f64)>, EnsembleError> {
        let Self { head, source, parameters, loss, settings } = self;
        let training = source.samples();
        let epochs = settings.epochs;
        let total = settings.batches_per_epoch(training.len()) * u64::from(epochs);
        let combiner = Combiner::new(head, parameters, StepCounter { done: 0, total });
        let forward = |samples: &Tensor, train: bool| combiner.forward(&source.features(samples), train);
        let penalty = || combiner.penalty().expect("called only if there is a penalty");
        let train_loop = TrainLoop {
            parameters,
            forward: &forward,
            training,
            validation: None,
            test: None,
            metrics: metric_spec(head),
            loss,
            penalty: combiner.penalty().is_some().then_some(&penalty as &dyn Fn() -> Tensor),
            proximal: None,
            after_backward: None,
            settings,
        };
        let mut curve = Vec::new();
        for epoch in 1..=epochs {
            let mut step = |step, loss| progress(step, total, loss);
            let report = train_loop.epoch(epoch, &mut optimizer, &mut step, stopped)?;
            progress(report.step, total, report.loss);
            curve.push((report.step as f64, report.loss));
        }
        Ok(curve)
    }
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

/// The head file before training, notes about bands that were not found by name, and the training part with all
/// bands if it had to be looked at.
fn describe(
    options: &FitOptions,
    release: &Release,
    parts: &Parts,
) -> Result<(HeadFile, Vec<String>, Option<SampleSource>), EnsembleError> {
    let config = parts.dataset().config();
    let own = match options.encoders {
        EncoderChoice::Random { .. } => Some(parts.source(Split::Train, &config.bands)?),
        EncoderChoice::All | EncoderChoice::Named(_) | EncoderChoice::Given(_) => None,
    };
    let normalisation = own.as_ref().map(|source| train::known(source.facts()));
    let normalisation = normalisation.unwrap_or_default();
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
        decoder_channels: options.decoder_channels,
        task: config.task,
        classes: config.classes.clone(),
        class_colours: config.class_colours.clone(),
        target: None,
        input_size: options.input_size,
        antialias: options.antialias,
        imagery: Imagery::default(),
        statistics: Vec::new(),
        statistics_from: None,
        samples: 0,
        training: (options.method != Method::MeanLogits).then(|| options.training.clone()),
    };
    head.check().map_err(|reason| EnsembleError::file(release.folder(), reason))?;
    Ok((head, notes, own))
}

fn write(
    folder: &Path,
    head: &HeadFile,
    parameters: &Parameters,
    curve: &[(f64, f64)],
) -> Result<(), EnsembleError> {
    std::fs::create_dir_all(folder).map_err(|error| EnsembleError::file(folder, error))?;
    parameters.save(&folder.join(HeadFile::WEIGHTS))?;
    let release = path_between(folder, Path::new(&head.release_folder))
        .map_err(|error| EnsembleError::file(Path::new(&head.release_folder), error))?;
    let head = &HeadFile { release_folder: release.display().to_string(), ..head.clone() };
    if !curve.is_empty() {
        let panel =
            Panel { y: "loss".to_owned(), series: vec![Series::line(head.name.clone(), curve.to_vec())] };
        let across = Across { name: "step", whole: false };
        line_chart(&folder.join("loss.png"), "training loss of the head", across, &[panel])?;
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
