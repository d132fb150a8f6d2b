//! Training a specialist: data, network and initial weights.

use std::collections::BTreeMap;
use std::time::Instant;

use eosfed_common::card::{BandNormalisation, InitialFile};
use eosfed_common::finite::Finite;
use eosfed_common::head::Imagery;
use eosfed_common::model::{ModelSpec, initial_weights, signature};
use eosfed_common::plan::Training;
use eosfed_common::task::{InitialWeights, TrainTask, TrainerEvent};
use eosfed_common::weights::{Signature, Tensors};
use eosfed_data::{BandStatistics, DataError, PartFacts, Sample, Split, band_statistics};
use tch::{Device, Tensor};

use super::error::TrainError;
use super::layers::rate_factor;
use super::likeness::{Learned, Seen, tolerated};
use super::loss::LossSettings;
use super::optimizer::AdamW;
use super::parts::Parts;
use super::pretrained::{Start, pretrained, specialist};
use super::samples::{Samples, ScoredData};
use super::session::{RunInfo, Session};
use super::shares::Shares;
use super::stream::StreamedDataset;
use super::tensors::Preprocessing;
use super::train_loop::{LoopSettings, ProximalTerm, TrainLoop};
use crate::device;
use crate::energy::EnergyMeter;
use crate::metrics::MetricSpec;
use crate::net::{ComputePrecision, Network};
use crate::parameters::{Parameters, read};

/// Samples for training and validation, and what is known about them.
struct Data {
    training: StreamedDataset,
    validation: Option<StreamedDataset>,
    test: Option<StreamedDataset>,
    normalisation: Vec<BandNormalisation>,
    imagery: Imagery,
    warnings: Vec<String>,
}

/// Trains a specialist. Calls `emit` with each event, and `stopped` before each step.
///
/// # Errors
/// Errors that the same input would cause again, and [`TrainError::Cancelled`].
pub fn run(
    task: &TrainTask,
    model: &ModelSpec,
    emit: &mut dyn FnMut(TrainerEvent),
    stopped: &dyn Fn() -> bool,
) -> Result<(), TrainError> {
    let begun = Instant::now();
    let device = device::set_up(task.device, task.threads)?;
    let meter = EnergyMeter::start(device);
    let Data { training, validation, test, normalisation, imagery, mut warnings } =
        load(task, model, device)?;
    let signature = signature(model);
    let Initial { tensors: initial, file, notes } = initial(task, model, &signature)?;
    warnings.extend(notes);
    let parameters = Parameters::new(signature, &initial, device).trainable();
    let precision = ComputePrecision::choose(task.training.precision, device);
    let build = |parameters: &Parameters| {
        Network::new(model, parameters, task.training.drop_path, precision)
            .with_head_dropout(task.training.head_dropout)
    };
    let network = build(&parameters);
    let shape = model.backbone.shape();
    let factor = |name: &str| rate_factor(&shape, task.training.layer_decay, name);
    let optimizer = AdamW::new(&parameters, task.training.weight_decay, task.training.clip_norm)
        .with_rate_factors(&factor)
        .with_average(task.training.ema);
    let shares = Shares::new(&network, &parameters, &optimizer, most_shares(&task.training, device), &build);
    let forward = |images: &Tensor, train: bool| shares.forward(images, train);
    let backward = || shares.backward();
    let session = Session::open(task, &parameters, optimizer, meter);
    let counts = training.counts_for(&task.training)?;
    let train_loop = TrainLoop {
        parameters: &parameters,
        forward: &forward,
        training: &training,
        validation: validation.as_ref().map(|data| data as &dyn Samples),
        test: test.as_ref().map(|data| ScoredData { forward: &forward, data }),
        metrics: MetricSpec::of(model),
        loss: LossSettings::counted(&task.training, model.task, counts.as_deref(), device),
        penalty: None,
        proximal: proximal_term(task.training.proximal_mu, &parameters, &initial, device),
        settings: LoopSettings::of(&task.training, task.schedule, task.seed),
        after_backward: Some(&backward),
    };
    let info = RunInfo {
        samples: training.len(),
        validation: validation.as_ref().map_or(0, Samples::len),
        normalisation,
        warnings,
        initial: file,
        imagery,
        statistics: Vec::new(),
        loading: begun.elapsed(),
        origin: Some(training.source().origin()),
    };
    session.run(&train_loop, info, device, emit, stopped)
}

/// Most threads that may take shares of a batch. Random numbers within a network come from one generator, so that
/// they would depend on which thread is first.
fn most_shares(training: &Training, device: Device) -> usize {
    let random = training.drop_path > 0.0 || training.head_dropout > 0.0;
    if device == Device::Cpu && !random { training.batch_size as usize } else { 1 }
}

fn load(task: &TrainTask, model: &ModelSpec, device: Device) -> Result<Data, TrainError> {
    let parts = Parts::open(&task.dataset, task.samples.as_ref())?;
    let dataset = parts.dataset();
    dataset.serves(model.task, &model.classes)?;
    let source = parts.source(Split::Train, &model.bands)?;
    let facts = source.facts();
    let mut warnings = parts.warnings(facts);
    warnings.extend(dataset.serves_unit(model.target.as_ref())?);
    let imagery = facts.imagery;
    let own = known(facts);
    if let Some(given) = &task.normalisation {
        let all = Learned {
            name: "all institutions".to_owned(),
            normalisation: given.clone(),
            imagery: Imagery::default(),
            input_size: None,
            untold: None,
        };
        warnings.extend(tolerated(dataset, Seen::of(facts, None).unlike(&[all]))?);
    }
    let normalisation = task.normalisation.clone().unwrap_or(own);
    let preprocessing = Preprocessing {
        normalisation: normalisation.clone(),
        input_size: task.training.input_size,
        antialias: task.training.antialias,
        resize_labels: task.training.crop.is_some(),
        target: model.target.clone().unwrap_or_default(),
    };
    let streamed = |source| StreamedDataset::new(source, preprocessing.clone(), model.task, device);
    let training = streamed(source)?.with_random_windows();
    if dataset.is_empty(Split::Validation) {
        warnings.push("there are no validation samples; the last epoch's weights are kept".to_owned());
    }
    let mut held_back = |part| -> Result<Option<StreamedDataset>, DataError> {
        parts.held_back(part, &model.bands, &mut warnings)?.map(streamed).transpose()
    };
    let validation = held_back(Split::Validation)?;
    let test = held_back(Split::Test)?;
    Ok(Data { training, validation, test, normalisation, imagery, warnings })
}

/// Mean and standard deviation of each band over samples that hold these bands.
#[must_use]
pub fn normalisation(bands: &[String], samples: &[Sample]) -> Vec<BandNormalisation> {
    entries(band_statistics(bands, samples.iter()))
}

/// The same of moments that were computed already.
pub(crate) fn entries(statistics: Vec<BandStatistics>) -> Vec<BandNormalisation> {
    let entry = |band: BandStatistics| {
        // A constant band carries no information; any positive divisor keeps it finite.
        let std = if band.std() > 0.0 { band.std() } else { 1.0 };
        // Only finite pixels are counted, and 32-bit floats are too small to overflow 64-bit sums.
        let finite = |value| Finite::new(value).expect("moments of finite pixels are finite");
        BandNormalisation { mean: finite(band.mean), std: finite(std), band: band.band, values: None }
    };
    statistics.into_iter().map(entry).collect()
}

/// Moments, unit and range of each band of a part.
pub(crate) fn known(facts: &PartFacts) -> Vec<BandNormalisation> {
    let mut entries = entries(facts.statistics.clone());
    for (entry, values) in entries.iter_mut().zip(&facts.values) {
        entry.values = *values;
    }
    entries
}

/// The weights that a training begins with.
#[derive(Default)]
struct Initial {
    tensors: Tensors,
    /// The file that the encoder comes from, if the institution has one.
    file: Option<InitialFile>,
    notes: Vec<String>,
}

fn initial(task: &TrainTask, model: &ModelSpec, signature: &Signature) -> Result<Initial, TrainError> {
    match &task.initial {
        InitialWeights::Seed(seed) => {
            Ok(Initial { tensors: initial_weights(model, *seed), ..Initial::default() })
        }
        InitialWeights::File(path) => Ok(Initial { tensors: read(path, signature)?, ..Initial::default() }),
        InitialWeights::Specialist { file, model: of, seed } => {
            let (tensors, notes) = specialist(model, of, file, *seed)?;
            Ok(Initial { tensors, notes, ..Initial::default() })
        }
        InitialWeights::Pretrained { file, seed } => {
            let Start { tensors, file, notes } = pretrained(model, file, *seed)?;
            Ok(Initial { tensors, file: Some(file), notes })
        }
    }
}

/// FedProx's term, which pulls towards the initial weights; none at strength 0.
pub(crate) fn proximal_term(
    mu: f64,
    parameters: &Parameters,
    initial: &Tensors,
    device: Device,
) -> Option<ProximalTerm> {
    (mu > 0.0).then(|| {
        let fixed = Parameters::new(parameters.signature().clone(), initial, device);
        let anchor: BTreeMap<String, Tensor> =
            fixed.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
        ProximalTerm { mu, anchor }
    })
}
