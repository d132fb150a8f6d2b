//! Training a head as a job asks: its share of a round, from task file to weights. Only what is
//! learned leaves; the specialists under it stay as they are.

use eosfed_common::head::HeadFile;
use eosfed_common::model::initial_tensors;
use eosfed_common::task::{InitialWeights, TrainTask, TrainerEvent};
use eosfed_common::weights::{Signature, Tensors};
use eosfed_data::{DataError, Dataset, Limits, Sample, Split};
use tch::{Device, Tensor};

use super::combine::Combiner;
use super::downstream::{measure, preparation};
use super::error::EnsembleError;
use super::extract::Extractor;
use super::feed::Feed;
use super::fit::{CACHE, optimizer};
use super::release::Release;
use crate::net::Passes;
use crate::parameters::{Parameters, read};
use crate::train::{
    Batches, Facts, Fitting, LossSettings, Plan, Prepared, Session, proximal, training_samples,
};
use crate::{device, energy};

/// Trains a head, telling `emit` of each event and asking `stopped` before each step.
///
/// # Errors
/// If the release or the data cannot be used, the loss diverges, a file cannot be written, or
/// `stopped` says so.
pub fn train_head(
    task: &TrainTask,
    head: &HeadFile,
    emit: &mut dyn FnMut(TrainerEvent),
    stopped: &dyn Fn() -> bool,
) -> Result<(), EnsembleError> {
    let meter = energy::Meter::start();
    let device = device::set_up(task.device, task.threads).map_err(crate::train::TrainError::from)?;
    let meter = meter.on(device);
    let Some(folder) = &task.release else {
        return Err(EnsembleError::file(&task.output, "a task for a head must say where its `release` is"));
    };
    let extractor = Extractor::load(&Release::open(folder)?, head, device)?;
    let dataset = Dataset::open(&task.dataset, &Limits::default())?;
    dataset.serves(head.task, &head.classes)?;
    let mut facts = Facts::default();
    let (training, validation) = load(&dataset, head, device, &mut facts)?;
    let feed = Feed::training(&extractor, training, head, CACHE);
    let check = validation.map(|data| Feed::validation(&extractor, data, head, CACHE));
    let (samples, upright) = (feed.samples(), check.as_ref().map(Feed::samples));

    let signature = head.signature();
    let initial = initial(task, &signature)?;
    let parameters = Parameters::new(signature, &initial, device).trainable();
    let session = Session::open(task, &parameters, optimizer(&parameters, &task.training), meter);
    let plan = Plan {
        epochs: feed.epochs(task.training.epochs),
        changes: feed.changes(),
        ..Plan::of(&task.training, task.schedule, task.seed)
    };
    let passes = passes(&plan, samples.len(), session.epoch());
    let combiner = Combiner::new(head, &parameters, passes);
    let forward = |images: &Tensor, train: bool| {
        let feed = check.as_ref().filter(|_| !train).unwrap_or(&feed);
        combiner.forward(&feed.parts(images), train)
    };
    let penalty = || combiner.penalty().expect("asked only where there is one");
    let fitting = Fitting {
        parameters: &parameters,
        forward: &forward,
        training: &samples,
        validation: upright.as_ref(),
        measure: measure(head),
        loss: LossSettings::of(&task.training, head.task, head.classes.len(), &samples, device),
        penalty: combiner.penalty().is_some().then_some(&penalty as &dyn Fn() -> Tensor),
        proximal: proximal(task.training.proximal_mu, &parameters, &initial, device),
        plan,
    };
    Ok(session.run(&fitting, facts, device, emit, stopped)?)
}

/// Training and validation samples, and what is to be said of them.
fn load(
    dataset: &Dataset,
    head: &HeadFile,
    device: Device,
    facts: &mut Facts,
) -> Result<(Prepared, Option<Prepared>), EnsembleError> {
    let (bands, how) = (head.bands(), preparation(head));
    let prepare =
        |samples: &[Sample]| -> Result<Prepared, DataError> { Prepared::new(samples, &how, device) };
    let (samples, warnings) = training_samples(dataset, &bands)?;
    (facts.samples, facts.warnings) = (samples.len(), warnings);
    let training = prepare(&samples)?;
    drop(samples);
    if dataset.is_empty(Split::Validation) {
        facts.warnings.push("there are no validation samples; nothing is scored".to_owned());
        return Ok((training, None));
    }
    let loaded = dataset.load(Split::Validation, &bands)?;
    facts.warnings.extend(loaded.skipped);
    facts.validation = loaded.samples.len();
    Ok((training, Some(prepare(&loaded.samples)?)))
}

fn initial(task: &TrainTask, signature: &Signature) -> Result<Tensors, EnsembleError> {
    match &task.initial {
        InitialWeights::Seed(seed) => Ok(initial_tensors(signature, *seed)),
        InitialWeights::File(path) => Ok(read(path, signature)?),
        InitialWeights::Pretrained { file, .. } => {
            Err(EnsembleError::file(file, "a head has no encoder that could start from a file of timm's"))
        }
    }
}

/// Where this task stands among the forward passes of all rounds.
fn passes(plan: &Plan, samples: usize, epochs_done: u32) -> Passes {
    let each = Batches::count(samples, plan.batch_size) as u64;
    let here = (each * u64::from(plan.epochs)) as f64;
    let total = here / (plan.schedule[1] - plan.schedule[0]);
    let done = (plan.schedule[0] * total).round() as u64 + each * u64::from(epochs_done);
    Passes { done, total: total.round() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Changes;

    #[test]
    fn the_third_of_four_rounds_begins_in_the_middle() {
        let plan = Plan {
            epochs: 2,
            batch_size: 8,
            accumulate: 1,
            learning_rate: 1e-3,
            warmup: 0.0,
            schedule: [0.5, 0.75],
            changes: Changes::default(),
            seed: 0,
        };
        assert_eq!(passes(&plan, 20, 0), Passes { done: 12, total: 24 });
        assert_eq!(passes(&plan, 20, 1), Passes { done: 15, total: 24 });
    }
}
