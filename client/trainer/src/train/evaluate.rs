//! Scoring a frozen specialist on the test part, or where there is none on the validation part, with its own
//! normalisation and its own input size. Nothing is learned and nothing is written.

use eosfed_common::head::Imagery;
use eosfed_common::model::signature;
use eosfed_common::plan::Precision;
use eosfed_common::report::EvaluationReport;
use eosfed_common::task::{EvaluationTask, TrainerEvent};
use tch::Tensor;

use super::error::TrainError;
use super::likeness::{Learned, Seen, tolerated};
use super::parts::Parts;
use super::samples::Samples as _;
use super::scored::Scored;
use super::stream::StreamedDataset;
use super::tensors::Preprocessing;
use crate::device;
use crate::energy::EnergyMeter;
use crate::metrics::MetricSpec;
use crate::net::{ComputePrecision, Network};
use crate::parameters::{Parameters, read};

/// Samples in a forward pass.
const BATCH_SIZE: usize = 16;

/// Scores a specialist. Calls `emit` when it starts and when it has finished.
///
/// # Errors
/// Errors that the same input would cause again.
pub fn evaluate(task: &EvaluationTask, emit: &mut dyn FnMut(TrainerEvent)) -> Result<(), TrainError> {
    let device = device::set_up(task.device, task.threads)?;
    let meter = EnergyMeter::start(device);
    let model = &task.model;
    let parts = Parts::open(&task.dataset, task.samples.as_ref())?;
    parts.dataset().serves(model.task, &model.classes)?;
    let part = parts.dataset().scored_part();
    let source = parts.source(part, &model.bands)?;
    let facts = source.facts();
    let seen = Seen::of(facts, task.input_size);
    let learned = Learned {
        name: "the specialist".to_owned(),
        normalisation: task.normalisation.clone(),
        imagery: Imagery::default(),
        input_size: task.input_size,
        untold: None,
    };
    let unlike = tolerated(parts.dataset(), seen.unlike(&[learned]))?;
    let facts = [&facts.skipped, &facts.notes, &facts.findings];
    let unit = parts.dataset().serves_unit(model.target.as_ref())?;
    let warnings = facts.into_iter().flatten().cloned().chain(unlike).chain(unit).collect();
    let preprocessing = Preprocessing {
        normalisation: task.normalisation.clone(),
        input_size: task.input_size,
        antialias: task.antialias,
        resize_labels: false,
        target: model.target.clone().unwrap_or_default(),
    };
    let data = StreamedDataset::new(source, preprocessing, model.task, device)?;
    let signature = signature(model);
    let weights = read(&task.weights, &signature)?;
    let parameters = Parameters::new(signature, &weights, device);
    let precision = ComputePrecision::choose(Precision::Full, device);
    let network = Network::new(model, &parameters, 0.0, precision);
    emit(TrainerEvent::Started {
        device: device::name(device),
        steps: 0,
        resumed_at: 0,
        training_samples: 0,
        validation_samples: data.len() as u64,
        warnings,
    });
    let spec = MetricSpec::of(model);
    let forward = |images: &Tensor, train: bool| network.forward(images, train);
    let scored = Scored::of(&forward, &data, spec, BATCH_SIZE)?;
    let report = EvaluationReport {
        samples: data.len() as u64,
        metrics: scored.metrics(&model.classes),
        scoring: Some(Box::new(scored.scoring(part))),
        energy: meter.energy(),
    };
    emit(TrainerEvent::Scored { report });
    Ok(())
}
