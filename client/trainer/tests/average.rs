//! Before a round trains the average of the round before, it scores it on the validation part.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use common::{events, model, run, scene, task, weights};
use eosfed_common::card::BandNormalisation;
use eosfed_common::finite::Finite;
use eosfed_common::task::{DeviceChoice, EvaluationTask, InitialWeights, TrainTask, TrainerEvent};
use eosfed_trainer::train::evaluate;

const SPLIT: &str = "validation = 0.25\nseed = 1";

type Scores = BTreeMap<String, Finite>;

/// A task over this part of the schedule, whose bytes do not depend on other tests.
fn round(data: &Path, output: &Path, schedule: [f64; 2]) -> TrainTask {
    let mut task = TrainTask { schedule, ..task(data, output, 2) };
    task.training.drop_path = 0.0;
    task
}

/// The scores of the starting weights, and the normalisation.
fn told(events: &[TrainerEvent]) -> (Scores, Vec<BandNormalisation>) {
    match events.last() {
        Some(TrainerEvent::Finished { start_metrics, report, .. }) => {
            (start_metrics.clone(), report.normalisation.clone())
        }
        other => panic!("not finished: {other:?}"),
    }
}

/// The scores that an evaluation gives the weights of a finished task.
fn evaluated(task: &TrainTask, normalisation: Vec<BandNormalisation>) -> Scores {
    let evaluation = EvaluationTask {
        model: model(),
        weights: task.output.join(TrainTask::WEIGHTS),
        normalisation,
        input_size: None,
        antialias: false,
        dataset: task.dataset.clone(),
        device: DeviceChoice::Cpu,
        threads: Some(1),
        samples: None,
    };
    let mut scores = Scores::new();
    let mut emit = |event| {
        if let TrainerEvent::Scored { report } = event {
            scores = report.metrics;
        }
    };
    evaluate(&evaluation, &mut emit).unwrap();
    scores
}

#[test]
fn a_round_begins_with_the_scores_of_the_weights_that_it_starts_from() {
    let folder = tempfile::tempdir().unwrap();
    let data = scene(&folder.path().join("data"), 0, SPLIT);
    let first = round(&data, &folder.path().join("first"), [0.0, 0.5]);
    let (none, normalisation) = told(&events(&first).unwrap());
    assert!(none.is_empty(), "nothing was averaged before the first round: {none:?}");

    let second = |name: &str, score_average| {
        let mut task = round(&data, &folder.path().join(name), [0.5, 1.0]);
        task.initial = InitialWeights::File(first.output.join(TrainTask::WEIGHTS));
        task.normalisation = Some(normalisation.clone());
        task.training.score_average = score_average;
        task
    };
    let scored = second("scored", true);
    let (scores, _) = told(&events(&scored).unwrap());
    let expected = evaluated(&first, normalisation.clone());
    assert!(scores.contains_key("miou") && scores.keys().all(|name| !name.contains('/')), "{scores:?}");
    for (name, score) in &scores {
        assert!((score.get() - expected[name].get()).abs() < 1e-6, "{name}: {score} and {}", expected[name]);
    }
    assert_ne!(
        scores["miou"],
        evaluated(&scored, normalisation.clone())["miou"],
        "training changes the scores"
    );

    // The plan can leave it out, and it changes nothing else.
    let silent = second("silent", false);
    assert!(told(&events(&silent).unwrap()).0.is_empty());
    assert!(weights(&silent) == weights(&scored), "scoring has changed what is trained");

    // A training that was stopped after an epoch still knows the scores of its start, and not those of its checkpoint.
    let parts = second("parts", true);
    let epochs = Cell::new(0);
    let mut count = |event| {
        if matches!(event, TrainerEvent::Epoch { .. }) {
            epochs.set(epochs.get() + 1);
        }
    };
    run(&parts, &mut count, &|| epochs.get() > 0).unwrap_err();
    let resumed = events(&parts).unwrap();
    assert!(
        matches!(resumed[0], TrainerEvent::Started { resumed_at, .. } if resumed_at > 0),
        "{:?}",
        resumed[0]
    );
    assert_eq!(told(&resumed).0, scores);
    assert!(weights(&parts) == weights(&scored), "the stop has changed the weights");
}

#[test]
fn without_a_validation_part_nothing_is_scored() {
    let folder = tempfile::tempdir().unwrap();
    let data = scene(&folder.path().join("data"), 0, "validation = 0.0\nseed = 1");
    let task = round(&data, &folder.path().join("out"), [0.5, 1.0]);
    assert!(told(&events(&task).unwrap()).0.is_empty());
}
