//! Training a head over frozen encoders, on few labels.

use std::path::{Path, PathBuf};

use eosfed_common::card::BandNormalisation;
use eosfed_common::model::initial_tensors;
use eosfed_common::plan::ClassWeights;
use eosfed_common::plan::Loss;
use eosfed_common::weights::write_atomically;
use eosfed_data::{Dataset, Limits, Split};
use eosfed_plot::{Series, line_chart};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::EnsembleError;
use super::features::{ALL_ORIENTATIONS, FeatureBank};
use super::head_file::HeadFile;
use super::release::{Choice, Release};
use crate::metrics::Measure;
use crate::net::{Compute, Head, Maps};
use crate::parameters::Parameters;
use crate::train::{self, AdamW, Changes, Fitting, LossSettings, Plan, Prepared, class_weights};

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
    /// Where the head goes.
    pub output: PathBuf,
    /// Passes over the labelled samples, each sample in one random orientation a pass.
    pub epochs: u32,
    /// Samples in a step.
    pub batch_size: u32,
    /// Top of the schedule.
    pub learning_rate: f64,
    /// Decay of the head's weights.
    pub weight_decay: f64,
    /// Weights of classes.
    pub class_weights: ClassWeights,
    /// Side to which tiles are resized.
    pub input_size: Option<u32>,
    /// Seed of start and order.
    pub seed: u64,
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
    /// Mean loss of the last epoch.
    pub loss: f64,
    /// Names of the encoders.
    pub encoders: Vec<String>,
}

/// Trains a head on the training part of the data and writes it.
///
/// # Errors
/// If the release or the data cannot be used, the loss diverges, or the head cannot be written.
pub fn fit(
    options: &FitOptions,
    device: Device,
    progress: &mut dyn FnMut(u32, f64),
    stopped: &dyn Fn() -> bool,
) -> Result<FitReport, EnsembleError> {
    let release = Release::open(&options.release)?;
    let dataset = Dataset::open(&options.data, &Limits::default())?;
    let head = describe(options, &release, &dataset)?;
    let load = |bands: &[String]| Ok(dataset.load(Split::Train, bands)?.samples);
    let turns = &ALL_ORIENTATIONS;
    let bank = FeatureBank::extract(&release, &head.encoders, &load, options.input_size, turns, device)?;
    let head = HeadFile { samples: bank.samples, ..head };
    let signature = head.signature();
    let initial = initial_tensors(&signature, options.seed);
    let parameters = Parameters::new(signature, &initial, device).trainable();
    let network = Head::new(head.task, &parameters, Compute::FULL);
    let indices = Prepared { images: indices(&bank), labels: bank.labels.shallow_clone() };
    let forward = |picked: &Tensor, _: bool| network.forward(&pick(&bank.maps, picked));
    let fitting = Fitting {
        parameters: &parameters,
        forward: &forward,
        training: &indices,
        validation: None,
        measure: Measure::new(head.task, head.classes.len(), None),
        loss: LossSettings {
            task: head.task,
            terms: Loss::of(head.task)[..1].to_vec(),
            class_weights: class_weights(
                options.class_weights,
                &indices,
                head.task,
                head.classes.len(),
                device,
            ),
            label_smoothing: 0.0,
        },
        penalty: None,
        proximal: None,
        plan: Plan {
            epochs: options.epochs,
            batch_size: options.batch_size as usize,
            learning_rate: options.learning_rate,
            warmup: 0.05,
            schedule: [0.0, 1.0],
            accumulate: 1,
            changes: Changes::default(),
            seed: options.seed,
        },
    };
    let mut optimizer = AdamW::new(&parameters, options.weight_decay, 1.0);
    let mut curve = Vec::new();
    for epoch in 1..=options.epochs {
        let report = fitting.epoch(epoch, &mut optimizer, &mut |_, _| (), stopped)?;
        progress(epoch, report.loss);
        curve.push((report.step as f64, report.loss));
    }
    write(&options.output, &head, &parameters, curve.clone())?;
    Ok(FitReport {
        head: options.output.clone(),
        samples: bank.samples,
        parameters: parameters.signature().parameters(),
        loss: curve.last().map_or(f64::NAN, |(_, loss)| *loss),
        encoders: head.encoders.iter().map(|encoder| encoder.name.clone()).collect(),
    })
}

fn describe(options: &FitOptions, release: &Release, dataset: &Dataset) -> Result<HeadFile, EnsembleError> {
    let config = dataset.config();
    let normalisation = match options.encoders {
        Choice::Random(_) => normalisation(dataset)?,
        Choice::All | Choice::Named(_) => Vec::new(),
    };
    Ok(HeadFile {
        name: options.name.clone(),
        release: release.manifest().number,
        release_folder: options.release.display().to_string(),
        encoders: release.choose(&options.encoders, &normalisation)?,
        task: config.task,
        classes: config.classes.clone(),
        input_size: options.input_size,
        samples: 0,
        seed: options.seed,
    })
}

fn normalisation(dataset: &Dataset) -> Result<Vec<BandNormalisation>, EnsembleError> {
    let bands = &dataset.config().bands;
    Ok(train::normalisation(bands, &dataset.load(Split::Train, bands)?.samples))
}

/// The training loop moves "images"; here an image is the position of its maps in the bank, `[N, 1]`.
fn indices(bank: &FeatureBank) -> Tensor {
    Tensor::arange(bank.labels.size()[0], (Kind::Int64, bank.labels.device())).unsqueeze(1)
}

fn pick(maps: &Maps, picked: &Tensor) -> Maps {
    let picked = picked.view([-1]);
    [0, 1, 2, 3].map(|level: usize| maps[level].index_select(0, &picked))
}

fn write(
    folder: &Path,
    head: &HeadFile,
    parameters: &Parameters,
    curve: Vec<(f64, f64)>,
) -> Result<(), EnsembleError> {
    std::fs::create_dir_all(folder).map_err(|error| EnsembleError::file(folder, error))?;
    parameters.save(&folder.join(HeadFile::WEIGHTS))?;
    let series = [Series { name: head.name.clone(), points: curve }];
    line_chart(&folder.join("loss.png"), "training loss of the head", "step", "cross-entropy", &series)?;
    let path = folder.join(HeadFile::FILE);
    let json = serde_json::to_vec_pretty(head).expect("a head file is plain data");
    write_atomically(&path, &json).map_err(|error| EnsembleError::file(&path, error))
}
