//! Training a specialist: data, network, starting weights.

use std::collections::BTreeMap;

use eosfed_common::card::{BandNormalisation, InitialFile};
use eosfed_common::finite::Finite;
use eosfed_common::model::{ModelSpec, initial_weights, signature};
use eosfed_common::task::{InitialWeights, TrainTask, TrainerEvent};
use eosfed_common::weights::{Signature, Tensors, WeightsError};
use eosfed_data::{
    BandStatistics, DataError, Dataset, Limits, Moments, Sample, Split, band_statistics, compare_moments,
    label_warnings,
};
use tch::{Device, Tensor};

use super::fit::{Cancelled, FitError, Fitting, Plan};
use super::loss::LossSettings;
use super::pretrained::pretrained;
use super::session::{Facts, Session};
use super::{AdamW, Preparation, Prepared};
use crate::device::{self, NoCuda};
use crate::energy;
use crate::metrics::Measure;
use crate::net::{Compute, Network};
use crate::parameters::{Parameters, read};

/// Why a task did not give weights.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file of weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The device.
    #[error(transparent)]
    Device(#[from] NoCuda),
    /// The loss diverged.
    #[error("{0}")]
    Diverged(FitError),
    /// On request.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// A result cannot be written.
    #[error("cannot write {file}: {reason}")]
    Write {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
}

impl From<FitError> for TrainError {
    fn from(error: FitError) -> Self {
        match error {
            FitError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            diverged @ FitError::Diverged { .. } => Self::Diverged(diverged),
        }
    }
}

struct Data {
    training: Prepared,
    validation: Option<Prepared>,
    normalisation: Vec<BandNormalisation>,
    warnings: Vec<String>,
}

/// Trains a specialist, telling `emit` of each event and asking `stopped` before each step.
///
/// # Errors
/// Anything that trying again with the same input would meet again, and [`TrainError::Cancelled`].
pub fn run(
    task: &TrainTask,
    model: &ModelSpec,
    emit: &mut dyn FnMut(TrainerEvent),
    stopped: &dyn Fn() -> bool,
) -> Result<(), TrainError> {
    let meter = energy::Meter::start();
    let device = device::set_up(task.device, task.threads)?;
    let meter = meter.on(device);
    let Data { training, validation, normalisation, warnings } = load(task, model, device)?;
    let signature = signature(model);
    let (initial, file) = initial(task, model, &signature)?;
    let parameters = Parameters::new(signature, &initial, device).trainable();
    let compute = Compute::choose(task.training.precision, device);
    let network = Network::new(model, &parameters, task.training.drop_path, compute);
    let forward = |images: &Tensor, train: bool| network.forward(images, train);
    let optimizer = AdamW::new(&parameters, task.training.weight_decay, task.training.clip_norm);
    let session = Session::open(task, &parameters, optimizer, meter);
    let (kind, classes) = (model.task, model.classes.len());
    let fitting = Fitting {
        parameters: &parameters,
        forward: &forward,
        training: &training,
        validation: validation.as_ref(),
        measure: Measure::of(model),
        loss: LossSettings::of(&task.training, kind, classes, &training, device),
        penalty: None,
        proximal: proximal(task.training.proximal_mu, &parameters, &initial, device),
        plan: Plan::of(&task.training, task.schedule, task.seed),
    };
    let facts = Facts {
        samples: training.len(),
        validation: validation.as_ref().map_or(0, Prepared::len),
        normalisation,
        warnings,
        initial: file,
    };
    session.run(&fitting, facts, device, emit, stopped)
}

/// The training samples, and what is to be said of them.
pub(crate) fn training_samples(
    dataset: &Dataset,
    bands: &[String],
) -> Result<(Vec<Sample>, Vec<String>), DataError> {
    let loaded = dataset.load(Split::Train, bands)?;
    let mut warnings = loaded.skipped;
    warnings.extend(loaded.notes);
    warnings.extend(label_warnings(dataset, &loaded.samples));
    let report = dataset.check_bands(bands, &loaded.samples)?;
    warnings.extend(report.findings.iter().map(ToString::to_string));
    Ok((loaded.samples, warnings))
}

fn load(task: &TrainTask, model: &ModelSpec, device: Device) -> Result<Data, TrainError> {
    let dataset = Dataset::open(&task.dataset, &Limits::default())?;
    dataset.serves(model.task, &model.classes)?;
    let (training, mut warnings) = training_samples(&dataset, &model.bands)?;
    let own = normalisation(&model.bands, &training);
    if let Some(given) = &task.normalisation {
        let moments = |list: &[BandNormalisation]| list.iter().map(moments_of).collect::<Vec<_>>();
        let findings = compare_moments(&moments(&own), &moments(given));
        warnings.extend(findings.iter().map(ToString::to_string));
    }
    let normalisation = task.normalisation.clone().unwrap_or(own);
    let how = Preparation {
        normalisation: normalisation.clone(),
        input_size: task.training.input_size,
        resize_labels: task.training.crop.is_some(),
        target: model.target.clone().unwrap_or_default(),
    };
    let prepare = |samples: &[_]| Prepared::new(samples, &how, device);
    let validation = if dataset.is_empty(Split::Validation) {
        warnings.push("there are no validation samples; the last epoch's weights are kept".to_owned());
        None
    } else {
        let loaded = dataset.load(Split::Validation, &model.bands)?;
        warnings.extend(loaded.skipped);
        Some(prepare(&loaded.samples)?)
    };
    Ok(Data { training: prepare(&training)?, validation, normalisation, warnings })
}

fn moments_of(entry: &BandNormalisation) -> Moments {
    Moments { band: entry.band.clone(), mean: entry.mean.get(), std: entry.std.get() }
}

/// Mean and standard deviation of each band over samples that hold these bands.
#[must_use]
pub fn normalisation(bands: &[String], samples: &[Sample]) -> Vec<BandNormalisation> {
    let entry = |band: BandStatistics| {
        // A constant band carries nothing; any positive divisor keeps it finite.
        let std = if band.std() > 0.0 { band.std() } else { 1.0 };
        // Only finite pixels are counted, and 32-bit floats are too small to overflow 64-bit sums.
        let finite = |value| Finite::new(value).expect("moments of finite pixels are finite");
        BandNormalisation { mean: finite(band.mean), std: finite(std), band: band.band }
    };
    band_statistics(bands, samples.iter()).into_iter().map(entry).collect()
}

/// The starting weights, and of which file of timm's they are if they are of one.
fn initial(
    task: &TrainTask,
    model: &ModelSpec,
    signature: &Signature,
) -> Result<(Tensors, Option<InitialFile>), WeightsError> {
    match &task.initial {
        InitialWeights::Seed(seed) => Ok((initial_weights(model, *seed), None)),
        InitialWeights::File(path) => Ok((read(path, signature)?, None)),
        InitialWeights::Pretrained { file, seed } => {
            pretrained(model, file, *seed).map(|(tensors, file)| (tensors, Some(file)))
        }
    }
}

/// FedProx's pull: its strength and where it pulls to, the starting weights; none at strength 0.
pub(crate) fn proximal(
    mu: f64,
    parameters: &Parameters,
    initial: &Tensors,
    device: Device,
) -> Option<(f64, BTreeMap<String, Tensor>)> {
    (mu > 0.0).then(|| {
        let fixed = Parameters::new(parameters.signature().clone(), initial, device);
        (mu, fixed.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect())
    })
}
