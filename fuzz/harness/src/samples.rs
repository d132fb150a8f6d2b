//! Valid values to begin with: those of the test kit, and a few that only fuzzing needs.

use eosfed_common::assignment::{
    Assignment, EvaluationSubmission, EvaluationWork, Offered, Progress, StatisticsSubmission, TrainingWork,
    UpdateSubmission, Work,
};
use eosfed_common::head::HeadOver;
use eosfed_common::model::Task;
use eosfed_common::plan::{JobKind, Loss, Training};
use eosfed_testkit::assignments::{bands, blob, detailed_training, offered, statistics, training};
use eosfed_testkit::cards::{self, normalisation};
use eosfed_testkit::releases;
use eosfed_testkit::submissions::{self, detailed_update, moments, scores};
use eosfed_transport::wire::Heartbeat;

/// A head with a band that is the mean of two.
pub(crate) fn over() -> HeadOver {
    let mut over = releases::head();
    over.head.encoders[0].sources[0].push("green".to_owned());
    over.check().unwrap();
    over
}

/// One of each kind of work and of what is trained.
pub(crate) fn assignments() -> Vec<Assignment> {
    let scoring = EvaluationWork {
        weights: blob(),
        normalisation: normalisation(&["red"], 0.1, 0.02),
        input_size: Some(64),
        antialias: true,
    };
    let scoring = Work::Evaluation(Box::new(scoring));
    let specialist = with_settings(|settings| settings.loss = vec![Loss::Focal, Loss::CrossEntropy]);
    // A head has no augmentation, crop, drop path and precision of its own.
    let head = with_settings(|settings| {
        *settings = Training { input_size: settings.input_size, ..Training::new(2, 8, 1e-3) };
    });
    vec![
        statistics(),
        Assignment { kind: JobKind::Evaluation, work: scoring, ..statistics() },
        Assignment { work: specialist, ..training(JobKind::Rounds) },
        Assignment { work: warm_start(), ..training(JobKind::OneShot) },
        bands(&["red"]),
        Assignment { work: head, ..training(JobKind::Downstream) },
    ]
}

/// Training that starts from a specialist of another network.
fn warm_start() -> Work {
    let base_model = Some(Box::new(cards::model(Task::Segmentation, &["nir"], &["a", "b", "c"])));
    let mut work = TrainingWork { strategy: None, base_model, ..detailed_training() };
    work.settings = Training::new(2, 8, 1e-3);
    Work::Training(Box::new(work))
}

/// Training of rounds in which most settings are given.
fn with_settings(change: impl FnOnce(&mut Training)) -> Work {
    let mut work = detailed_training();
    change(&mut work.settings);
    Work::Training(Box::new(work))
}

/// The same as the coordinator's messages say them.
pub(crate) fn offers() -> Vec<Assignment<Offered>> {
    assignments().into_iter().map(|assignment| offered(assignment, blob())).collect()
}

pub(crate) fn evaluation() -> EvaluationSubmission {
    let UpdateSubmission { assignment, token, .. } = detailed_update();
    submissions::evaluation(&assignment, &token, scores(12, 0.5))
}

pub(crate) fn statistics_submission() -> StatisticsSubmission {
    let UpdateSubmission { assignment, token, .. } = detailed_update();
    submissions::statistics(&assignment, &token, moments(&["red"], 9, 1.5, 0.25))
}

pub(crate) fn heartbeat() -> Heartbeat {
    let UpdateSubmission { assignment, token, points, .. } = detailed_update();
    Heartbeat { assignment, token, progress: Progress { step: 3, steps: 9, points } }
}
