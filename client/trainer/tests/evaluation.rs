//! The scores of a frozen specialist equal those at the end of its training.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::path::Path;

use common::{events, metric, model, scene, task};
use eosfed_common::card::BandNormalisation;
use eosfed_common::finite::Finite;
use eosfed_common::task::{DeviceChoice, EvaluationTask, TrainTask, TrainerEvent};
use eosfed_trainer::train::{TrainError, evaluate};

const SPLIT: &str = "validation = 0.25\nseed = 1";

fn normalisation(events: &[TrainerEvent]) -> Vec<BandNormalisation> {
    match events.last() {
        Some(TrainerEvent::Finished { report, .. }) => report.normalisation.clone(),
        other => panic!("{other:?}"),
    }
}

fn evaluation(trained: &TrainTask, data: &Path, normalisation: Vec<BandNormalisation>) -> EvaluationTask {
    EvaluationTask {
        model: model(),
        weights: trained.output.join(TrainTask::WEIGHTS),
        normalisation,
        input_size: trained.training.input_size,
        antialias: trained.training.antialias,
        dataset: data.to_owned(),
        device: DeviceChoice::Cpu,
        threads: Some(1),
        samples: None,
    }
}

fn scored(task: &EvaluationTask) -> Result<Vec<TrainerEvent>, TrainError> {
    let mut events = Vec::new();
    evaluate(task, &mut |event| events.push(event))?;
    Ok(events)
}

#[test]
fn scores_equal_those_at_the_end_of_training() {
    let folder = tempfile::tempdir().unwrap();
    let data = scene(&folder.path().join("data"), 0, SPLIT);
    let task = task(&data, &folder.path().join("out"), 6);
    let trained = events(&task).unwrap();
    let found = scored(&evaluation(&task, &data, normalisation(&trained))).unwrap();
    let Some(TrainerEvent::Finished { report, .. }) = trained.last() else { panic!("{trained:?}") };
    let metrics = &report.metrics;
    let Some(TrainerEvent::Scored { report }) = found.last() else { panic!("{found:?}") };
    let scores = &report.metrics;
    assert!(report.samples > 0);
    assert_eq!(metrics.keys().collect::<Vec<_>>(), scores.keys().collect::<Vec<_>>());
    for (name, value) in metrics {
        assert!((value.get() - scores[name].get()).abs() < 1e-6, "{name}: {value} and {}", scores[name]);
    }
    // Under another normalisation it is another network.
    let mut wrong = normalisation(&trained);
    wrong.iter_mut().for_each(|entry| {
        entry.mean = Finite::literal(entry.mean.get() + 10.0 * entry.std.get());
    });
    let spoilt = scored(&evaluation(&task, &data, wrong)).unwrap();
    assert!(metric(&spoilt, "miou") < metric(&found, "miou"));
}

#[test]
fn tasks_that_cannot_be_scored_give_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let data = scene(&folder.path().join("data"), 0, SPLIT);
    let task = task(&data, &folder.path().join("out"), 1);
    let normalisation = normalisation(&events(&task).unwrap());
    let good = evaluation(&task, &data, normalisation);
    let said = |task: &EvaluationTask| scored(task).unwrap_err().to_string();
    let mut other = good.clone();
    other.model.classes.push("ice".to_owned());
    assert!(said(&other).contains("ice"), "{}", said(&other));
    let mut none = good.clone();
    none.weights = folder.path().join("none.safetensors");
    assert!(said(&none).contains("none.safetensors"), "{}", said(&none));
    let mut bands = good;
    bands.model.bands[0] = "thermal".to_owned();
    assert!(said(&bands).contains("thermal"), "{}", said(&bands));
}
