//! Training a head in a job: one institution's part of a round, from task file to weights. Only the
//! learned parameters leave; the specialists under the head stay frozen.

use std::time::Instant;

use eosfed_common::band_values::BandMoments;
use eosfed_common::head::HeadFile;
use eosfed_common::model::initial_tensors;
use eosfed_common::task::{InitialWeights, TrainTask, TrainerEvent};
use eosfed_common::weights::{Signature, Tensors};
use eosfed_data::{DataError, PartFacts, Split};
use tch::{Device, Tensor};

use super::combine::Combiner;
use super::error::EnsembleError;
use super::extractor::FeatureExtractor;
use super::feature_source::{DEFAULT_CACHE, FeatureSource};
use super::fit::optimizer;
use super::head_model::{metric_spec, preprocessing};
use super::release::Release;
use crate::device;
use crate::energy::EnergyMeter;
use crate::net::StepCounter;
use crate::parameters::{Parameters, read};
use crate::train::{
    LoopSettings, LossSettings, Parts, RunInfo, Samples, ScoredData, Seen, Session, StreamedDataset,
    TrainError, TrainLoop, proximal_term, unlike,
};

/// Trains a head. Calls `emit` with each event, and `stopped` before each step.
///
/// # Errors
/// If the release or the data cannot be used, the loss diverges, a file cannot be written, or `stopped`
/// returns true.
pub fn train_head(
    task: &TrainTask,
    head: &HeadFile,
    emit: &mut dyn FnMut(TrainerEvent),
    stopped: &dyn Fn() -> bool,
) -> Result<(), EnsembleError> {
    let begun = Instant::now();
    let device = device::set_up(task.device, task.threads).map_err(TrainError::from)?;
    let meter = EnergyMeter::start(device);
    let Some(folder) = &task.release else {
        let reason = "the task of a head must have the folder of its release (`release`)";
        return Err(EnsembleError::file(&task.output, reason));
    };
    let release = Release::open(folder)?;
    let extractor = FeatureExtractor::load(&release, head, device)?;
    let parts = Parts::open(&task.dataset, task.samples.as_ref())?;
    parts.dataset().serves(head.task, &head.classes)?;
    let mut info = RunInfo::default();
    let Streams { training, validation, test } = load(&parts, (&release, head), device, &mut info)?;
    let counts = training.counts_for(&task.training)?;
    let loss = LossSettings::counted(&task.training, head.task, counts.as_deref(), device);
    let mut memory = DEFAULT_CACHE;
    let training = FeatureSource::training(&extractor, training, head, &mut memory)?;
    let mut held_back = |data: Option<StreamedDataset>| {
        data.map(|data| FeatureSource::held_back(&extractor, data, head, &mut memory)).transpose()
    };
    let validation = held_back(validation)?;
    let test = held_back(test)?;
    info.loading = begun.elapsed();

    let signature = head.signature();
    let initial = initial(task, &signature)?;
    let parameters = Parameters::new(signature, &initial, device).trainable();
    let session = Session::open(task, &parameters, optimizer(&parameters, &task.training), meter);
    let settings = LoopSettings {
        epochs: training.epochs(task.training.epochs),
        transforms: training.transforms(),
        ..LoopSettings::of(&task.training, task.schedule, task.seed)
    };
    let steps = step_counter(&settings, training.samples().len(), session.epoch());
    let combiner = Combiner::new(head, &parameters, steps);
    let forward = |samples: &Tensor, train: bool| {
        let source = validation.as_ref().filter(|_| !train).unwrap_or(&training);
        combiner.forward(&source.features(samples), train)
    };
    let of_test = |samples: &Tensor, _: bool| {
        let source = test.as_ref().unwrap_or(&training);
        combiner.forward(&source.features(samples), false)
    };
    let penalty = || combiner.penalty().expect("called only if there is a penalty");
    let train_loop = TrainLoop {
        parameters: &parameters,
        forward: &forward,
        training: training.samples(),
        validation: validation.as_ref().map(FeatureSource::samples),
        test: test.as_ref().map(|test| ScoredData { forward: &of_test, data: test.samples() }),
        metrics: metric_spec(head),
        loss,
        penalty: combiner.penalty().is_some().then_some(&penalty as &dyn Fn() -> Tensor),
        proximal: proximal_term(task.training.proximal_mu, &parameters, &initial, device),
        after_backward: None,
        settings,
    };
    Ok(session.run(&train_loop, info, device, emit, stopped)?)
}

/// The samples of a data set.
struct Streams {
    training: StreamedDataset,
    validation: Option<StreamedDataset>,
    test: Option<StreamedDataset>,
}

/// The samples of all parts; adds what is known about them to `info`.
fn load(
    parts: &Parts,
    (release, head): (&Release, &HeadFile),
    device: Device,
    info: &mut RunInfo,
) -> Result<Streams, EnsembleError> {
    let bands = head.bands();
    let streamed = |source| StreamedDataset::new(source, preprocessing(head), head.task, device);
    let source = parts.source(Split::Train, &bands)?;
    info.imagery = source.facts().imagery;
    info.samples = source.len();
    info.origin = Some(source.origin());
    let facts = source.facts();
    info.statistics = moments(facts);
    info.warnings = parts.warnings(facts);
    info.warnings.extend(parts.dataset().serves_unit(head.target.as_ref())?);
    let learned = release.learned(head);
    info.warnings.extend(unlike(parts.dataset(), Seen::of(facts, head.input_size), &learned)?);
    let training = streamed(source)?;
    let dataset = parts.dataset();
    if dataset.is_empty(dataset.scored_part()) {
        info.warnings.push("there are no validation samples, so the head is not scored".to_owned());
    }
    let mut held_back = |part| -> Result<Option<StreamedDataset>, DataError> {
        parts.held_back(part, &bands, &mut info.warnings)?.map(streamed).transpose()
    };
    let validation = held_back(Split::Validation)?;
    let test = held_back(Split::Test)?;
    info.validation = validation.as_ref().map_or(0, Samples::len);
    Ok(Streams { training, validation, test })
}

/// What is told of the bands; nothing if one of them has no pixel with a value.
fn moments(facts: &PartFacts) -> Vec<BandMoments> {
    let moments = facts.moments();
    if moments.iter().all(|band| band.count > 0) { moments } else { Vec::new() }
}

fn initial(task: &TrainTask, signature: &Signature) -> Result<Tensors, EnsembleError> {
    match &task.initial {
        InitialWeights::Seed(seed) => Ok(initial_tensors(signature, *seed)),
        InitialWeights::File(path) => Ok(read(path, signature)?),
        InitialWeights::Pretrained { file, .. } | InitialWeights::Specialist { file, .. } => {
            let reason = "a head has no encoder, so it cannot start from that of a file";
            Err(EnsembleError::file(file, reason))
        }
    }
}

/// The position of this task among the forward passes of all rounds.
fn step_counter(settings: &LoopSettings, samples: usize, epochs_done: u32) -> StepCounter {
    let per_epoch = settings.batches_per_epoch(samples);
    let here = (per_epoch * u64::from(settings.epochs)) as f64;
    let [start, end] = settings.schedule;
    let total = here / (end - start);
    let done = (start * total).round() as u64 + per_epoch * u64::from(epochs_done);
    StepCounter { done, total: total.round() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{MixSettings, Transforms};

    #[test]
    fn the_third_of_four_rounds_starts_in_the_middle() {
        let settings = LoopSettings {
            epochs: 2,
            batch_size: 8,
            accumulate: 1,
            learning_rate: 1e-3,
            warmup: 0.0,
            schedule: [0.5, 0.75],
            transforms: Transforms::default(),
            mix: MixSettings::default(),
            seed: 0,
        };
        assert_eq!(step_counter(&settings, 20, 0), StepCounter { done: 12, total: 24 });
        assert_eq!(step_counter(&settings, 20, 1), StepCounter { done: 15, total: 24 });
    }
}
