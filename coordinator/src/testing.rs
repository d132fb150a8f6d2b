//! Plans, institutions and submissions for tests of this crate.

use std::collections::BTreeMap;
use std::path::Path;

use eosfed_aggregation::WeightsReader;
use eosfed_common::assignment::{
    Assignment, BandMoments, BlobRef, EvaluationSubmission, StatisticsSubmission, UpdateSubmission,
};
use eosfed_common::card::{BandNormalisation, Energy};
use eosfed_common::clock::Timestamp;
use eosfed_common::finite::Finite;
use eosfed_common::ids::{IdempotencyKey, InstitutionName, JobId, LeaseToken};
use eosfed_common::plan::JobSpec;
use eosfed_common::refusal::Refusal;
use eosfed_common::report::{EvaluationReport, TrainingReport};
use eosfed_common::weights::write;
use rand::SeedableRng as _;
use rand_chacha::ChaCha12Rng;

use crate::domain::admission::UpdateRules;
use crate::domain::institution::{Enrolment, Institution};
use crate::domain::target::Target;
use crate::domain::{
    Change, Federation, Outcome, ScreenedEvaluation, ScreenedStatistics, ScreenedUpdate, Submission,
};

pub(crate) const NOW: Timestamp = Timestamp(1_795_000_000_000);

pub(crate) const ONE_SHOT: &str = r#"
    version = 2
    name = "each its own"
    kind = "one-shot"
    seed = 7
    release = "auto"
    [model]
    backbone = "convnextv2_atto"
    task = "classification"
    classes = ["forest", "water"]
    [[specialist]]
    name = "west-rgb"
    institution = "west"
    bands = ["red"]
    [[specialist]]
    name = "east-nir"
    institution = "east"
    bands = ["nir", "swir"]
    [participation]
    min = 1
    max = 2
    deadline = "30m"
    [training]
    epochs = 2
    batch_size = 8
    learning_rate = 1e-3
"#;

pub(crate) const ROUNDS: &str = r#"
    version = 2
    name = "shared"
    kind = "rounds"
    seed = 7
    release = "auto"
    [model]
    backbone = "convnextv2_atto"
    task = "classification"
    classes = ["forest", "water"]
    [[specialist]]
    name = "shared"
    bands = ["red", "nir"]
    [participation]
    min = 2
    max = 2
    deadline = "30m"
    attempts = 2
    lease_expiries = 2
    [rounds]
    count = 2
    strategy = { name = "fed-prox", mu = 0.01 }
    [normalisation]
    from = "federated"
    [training]
    epochs = 2
    batch_size = 8
    learning_rate = 1e-3
"#;

/// A head over the specialists of [`ONE_SHOT`].
pub(crate) const DOWNSTREAM: &str = r#"
    version = 2
    name = "cover"
    kind = "downstream"
    seed = 7
    [model]
    task = "segmentation"
    classes = ["field", "wood"]
    [head]
    bands = ["red", "nir", "swir"]
    composition = { selection = { kind = "top_k", k = 1, scale = false } }
    [participation]
    min = 2
    max = 2
    deadline = "30m"
    [rounds]
    count = 1
    strategy = { name = "fed-avg" }
    [training]
    epochs = 2
    batch_size = 8
    learning_rate = 1e-3
"#;

/// Scores of the specialists of [`ONE_SHOT`].
pub(crate) const EVALUATION: &str = r#"
    version = 2
    name = "cross-site scores"
    kind = "evaluation"
    [evaluation]
    [participation]
    min = 1
    max = 2
    deadline = "30m"
"#;

/// Moments of two bands.
pub(crate) const STATISTICS: &str = r#"
    version = 2
    name = "bands"
    kind = "statistics"
    [statistics]
    bands = ["red", "nir"]
    [participation]
    min = 2
    max = 2
    deadline = "30m"
"#;

pub(crate) fn name(text: &str) -> InstitutionName {
    text.parse().unwrap()
}

pub(crate) fn rng(seed: u64) -> ChaCha12Rng {
    ChaCha12Rng::seed_from_u64(seed)
}

pub(crate) fn token(seed: u64) -> LeaseToken {
    LeaseToken::random(&mut rng(seed))
}

pub(crate) fn key(seed: u64) -> IdempotencyKey {
    IdempotencyKey::random(&mut rng(seed))
}

/// Institutions that have joined.
pub(crate) fn enrolled(names: &[&str]) -> Change {
    let digest = eosfed_common::digest::Digest::of(b"");
    let enrolment = Some(Enrolment { secret: digest, request: digest, at: NOW });
    let one = |text: &&str| Institution { name: name(text), invitation: None, enrolment: enrolment.clone() };
    Change { institutions: names.iter().map(one).collect(), ..Change::default() }
}

pub(crate) fn submit(federation: &Federation, plan: &str) -> (JobId, Change) {
    try_submit(federation, plan).unwrap()
}

pub(crate) fn try_submit(federation: &Federation, plan: &str) -> Result<(JobId, Change), Refusal> {
    let spec = JobSpec::parse(plan).unwrap();
    let id = JobId::random(&mut rng(federation.jobs.len() as u64));
    let key = key(1000 + federation.jobs.len() as u64);
    federation.submit_job(Submission { id, key, spec, by: name("admin") }, NOW)
}

/// Weights of what an assignment trains that follow from `seed`, written into `folder`.
pub(crate) fn weights(
    folder: &Path,
    assignment: &Assignment<Target>,
    seed: u64,
) -> (std::path::PathBuf, BlobRef) {
    let path = folder.join(format!("{seed}.safetensors"));
    let tensors = assignment.training_target.initial_weights(seed);
    let digest = write(&path, &assignment.training_target.signature(), &tensors).unwrap();
    let size = std::fs::metadata(&path).unwrap().len();
    (path, BlobRef { digest, size })
}

pub(crate) fn update(
    assignment: &Assignment<Target>,
    token: &LeaseToken,
    weights: BlobRef,
) -> UpdateSubmission {
    let (mean, std) = (Finite::literal(1.0), Finite::literal(2.0));
    let normal = |band: &String| BandNormalisation { band: band.clone(), mean, std };
    UpdateSubmission {
        assignment: assignment.id.clone(),
        token: token.clone(),
        key: key(weights.size ^ u64::from(assignment.id.round)),
        weights,
        report: TrainingReport {
            samples: 10 + assignment.id.institution.as_str().len() as u64,
            metrics: BTreeMap::from([("accuracy".to_owned(), Finite::literal(0.5))]),
            normalisation: assignment.training_target.normalised().iter().map(normal).collect(),
            energy: Energy::default(),
            initial: None,
            imagery: Default::default(),
        },
    }
}

pub(crate) fn screened(
    submission: UpdateSubmission,
    assignment: &Assignment<Target>,
    path: &Path,
) -> ScreenedUpdate {
    let weights = WeightsReader::open(path, &assignment.training_target.signature()).unwrap();
    ScreenedUpdate::screen(
        submission,
        UpdateRules::default(),
        &assignment.training_target,
        weights.verified(),
        1.0,
    )
    .unwrap()
}

pub(crate) fn statistics(assignment: &Assignment<Target>, token: &LeaseToken) -> ScreenedStatistics {
    let (mean, m2) = (Finite::literal(2.0), Finite::literal(16.0));
    let moments = |band: &String| BandMoments { band: band.clone(), count: 4, mean, m2 };
    let submission = StatisticsSubmission {
        assignment: assignment.id.clone(),
        token: token.clone(),
        key: key(99),
        bands: assignment.training_target.normalised().iter().map(moments).collect(),
    };
    ScreenedStatistics::screen(submission, &assignment.training_target).unwrap()
}

/// A one-shot job to which west and east have submitted; its last step is not settled yet.
pub(crate) fn finished_one_shot(federation: &Federation) -> Outcome {
    finished(federation, ONE_SHOT)
}

/// As [`finished_one_shot`], of a plan like [`ONE_SHOT`].
pub(crate) fn finished(federation: &Federation, plan: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let (_, change) = submit(federation, plan);
    let mut outcome = Outcome::of(change.jobs[0].clone());
    for (seed, institution) in (1..).zip(["west", "east"]) {
        let assignment = outcome.job.assignment(&name(institution)).unwrap();
        let (after, lease) = outcome.job.accept(&assignment.id, token(seed), NOW).unwrap();
        let (path, blob) = weights(folder.path(), &assignment, seed);
        let update = update(&assignment, &lease.token, blob);
        (outcome, _) = after.job.submit_update(screened(update, &assignment, &path), NOW).unwrap();
    }
    outcome
}

pub(crate) fn evaluation(
    assignment: &Assignment<Target>,
    token: &LeaseToken,
    accuracy: f64,
) -> ScreenedEvaluation {
    let submission = EvaluationSubmission {
        assignment: assignment.id.clone(),
        token: token.clone(),
        key: key(500 + u64::from(assignment.id.round)),
        report: EvaluationReport {
            samples: 12,
            metrics: BTreeMap::from([("accuracy".to_owned(), Finite::literal(accuracy))]),
            energy: Energy::default(),
        },
    };
    ScreenedEvaluation::screen(submission).unwrap()
}
