//! Fixtures for tests of this crate: the values of the test kit in the types of this crate.

use std::path::Path;

use eosfed_aggregation::WeightsReader;
use eosfed_common::assignment::{Assignment, BlobRef, UpdateSubmission};
use eosfed_common::identity::Identity;
use eosfed_common::ids::{JobId, LeaseToken};
use eosfed_common::plan::JobSpec;
use eosfed_common::refusal::Refusal;
use eosfed_common::weights::write;
use eosfed_testkit::cards::normalisation;
pub(crate) use eosfed_testkit::ids::{NOW, key, name, rng, token};
pub(crate) use eosfed_testkit::plans::{DOWNSTREAM, EVALUATION, ONE_SHOT, ROUNDS, STATISTICS};
use eosfed_testkit::{signing, submissions};

use crate::domain::admission::UpdateRules;
use crate::domain::member::Member;
use crate::domain::target::Target;
use crate::domain::{
    Change, Federation, Outcome, ScreenedEvaluation, ScreenedStatistics, ScreenedUpdate, Submission,
};

/// Institutions that have joined.
pub(crate) fn enrolled(names: &[&str]) -> Change {
    let one = |text: &&str| {
        let key = signing::institution(text).public();
        Member::enrolled(Identity::institution(name(text)), None, NOW).with_signing_key(key)
    };
    Change { members: names.iter().map(one).collect(), ..Change::default() }
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
    let samples = 10 + assignment.id.institution.as_str().len() as u64;
    let normalisation = normalisation(assignment.training_target.normalised(), 1.0, 2.0);
    submissions::update(&assignment.id, token, weights, submissions::report(samples, normalisation))
}

pub(crate) fn screened(
    submission: UpdateSubmission,
    assignment: &Assignment<Target>,
    path: &Path,
) -> ScreenedUpdate {
    let (_, verified) = WeightsReader::check(path, &assignment.training_target.signature()).unwrap();
    ScreenedUpdate::screen(submission, UpdateRules::default(), &assignment.training_target, verified, 1.0)
        .unwrap()
}

pub(crate) fn statistics(assignment: &Assignment<Target>, token: &LeaseToken) -> ScreenedStatistics {
    let bands = submissions::moments(assignment.training_target.normalised(), 400, 2.0, 1600.0);
    let submission = submissions::statistics(&assignment.id, token, bands);
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
    let scores = submissions::scores(12, accuracy);
    ScreenedEvaluation::screen(submissions::evaluation(&assignment.id, token, scores), None).unwrap()
}
