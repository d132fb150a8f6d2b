//! Scoring a frozen specialist on a validation part, as it was trained: its own normalisation, its
//! own size of tiles. Nothing is learned and nothing is written.

use eosfed_common::model::signature;
use eosfed_common::plan::Precision;
use eosfed_common::report::EvaluationReport;
use eosfed_common::task::{EvaluationTask, TrainerEvent};
use eosfed_data::{Dataset, Limits, Split};
use tch::Tensor;

use super::fit::predict;
use super::run::TrainError;
use super::session::final_metrics;
use super::{Preparation, Prepared};
use crate::device;
use crate::energy;
use crate::metrics::Measure;
use crate::net::{Compute, Network};
use crate::parameters::{Parameters, read};

/// Samples scored at once.
const BATCH: usize = 16;

/// Scores a specialist, telling `emit` of the beginning and the result.
///
/// # Errors
/// Anything that trying again with the same input would meet again.
pub fn evaluate(task: &EvaluationTask, emit: &mut dyn FnMut(TrainerEvent)) -> Result<(), TrainError> {
    let meter = energy::Meter::start();
    let device = device::set_up(task.device, task.threads)?;
    let meter = meter.on(device);
    let model = &task.model;
    let dataset = Dataset::open(&task.dataset, &Limits::default())?;
    dataset.serves(model.task, &model.classes)?;
    let loaded = dataset.load(Split::Validation, &model.bands)?;
    let report = dataset.check_bands(&model.bands, &loaded.samples)?;
    let mut warnings = loaded.skipped;
    warnings.extend(loaded.notes);
    warnings.extend(report.findings.iter().map(ToString::to_string));
    let how = Preparation {
        normalisation: task.normalisation.clone(),
        input_size: task.input_size,
        resize_labels: false,
        target: model.target.clone().unwrap_or_default(),
    };
    let data = Prepared::new(&loaded.samples, &how, device)?;
    let signature = signature(model);
    let weights = read(&task.weights, &signature)?;
    let parameters = Parameters::new(signature, &weights, device);
    let network = Network::new(model, &parameters, 0.0, Compute::choose(Precision::Full, device));
    emit(TrainerEvent::Started {
        device: device::name(device),
        steps: 0,
        resumed_at: 0,
        training_samples: 0,
        validation_samples: data.len() as u64,
        warnings,
    });
    let measure = Measure::of(model);
    let mut scores = measure.start();
    let forward = |images: &Tensor, train: bool| network.forward(images, train);
    let mut add = |labels: &Tensor, outputs: &Tensor| scores.add(labels, outputs);
    predict(&forward, &data, measure, BATCH, &mut add);
    let report = EvaluationReport {
        samples: data.len() as u64,
        metrics: final_metrics(&model.classes, &scores),
        energy: meter.spent(),
    };
    emit(TrainerEvent::Scored { report });
    Ok(())
}
