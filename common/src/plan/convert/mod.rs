//! Conversion of the document to a `JobSpec`: the keys of each kind of job, one file for each kind.

mod downstream;
mod evaluation;
mod one_shot;
mod rounds;
mod statistics;

use super::raw::{RawAdmission, RawPlan};
use super::report::Report;
use super::rules::{admission, aggregation, training, words};
use super::{FederatedTraining, JobKind, JobSpec, PLAN_VERSION, Problem, RoundsPlan, Training};
use crate::model::Task;

/// The job of a document, or every rule that it breaks.
pub(super) fn convert(raw: RawPlan) -> Result<JobSpec, Vec<Problem>> {
    let mut report = Report::default();
    report.rule(raw.version == PLAN_VERSION, "version", PLAN_VERSION, raw.version);
    words::name("name", &raw.name, &mut report);
    let spec = match raw.kind {
        JobKind::OneShot => one_shot::convert(raw, &mut report).map(JobSpec::OneShot),
        JobKind::Rounds => rounds::convert(raw, &mut report).map(JobSpec::Rounds),
        JobKind::Downstream => downstream::convert(raw, &mut report).map(JobSpec::Downstream),
        JobKind::Evaluation => evaluation::convert(raw, &mut report).map(JobSpec::Evaluation),
        JobKind::Statistics => statistics::convert(raw, &mut report).map(JobSpec::Statistics),
    };
    report.conclude(spec)
}

/// A job with another table `[rounds]`, or every rule that the table breaks. `None` if its kind has no rounds
/// of aggregation.
pub(super) fn with_rounds(spec: &JobSpec, rounds: RoundsPlan) -> Option<Result<JobSpec, Vec<Problem>>> {
    let mut report = Report::default();
    aggregation::aggregation(&rounds, spec.participation().min, &mut report);
    let mut changed = spec.clone();
    match &mut changed {
        JobSpec::Rounds(spec) => spec.federated.rounds = rounds,
        JobSpec::Downstream(spec) => spec.federated.rounds = rounds,
        JobSpec::OneShot(_) | JobSpec::Evaluation(_) | JobSpec::Statistics(_) => return None,
    }
    Some(report.conclude(Some(changed)))
}

/// The licence of the weights that a job produces.
fn licence(licence: Option<String>, report: &mut Report) -> String {
    let licence = licence.unwrap_or_else(|| "unspecified".to_owned());
    words::name("licence", &licence, report);
    licence
}

/// How institutions train jointly, in rounds that close with at least `min` updates.
fn federated(
    rounds: Option<RoundsPlan>,
    min: u32,
    admission: Option<RawAdmission>,
    training: Option<Training>,
    task: Option<Task>,
    report: &mut Report,
) -> Option<FederatedTraining> {
    let rounds = report.given("rounds", rounds, "in a job of federated rounds");
    if let Some(rounds) = &rounds {
        aggregation::aggregation(rounds, min, report);
    }
    let admission = admission::federated(admission, report);
    let training = training::training(training, task, report);
    Some(FederatedTraining { rounds: rounds?, admission, training: training? })
}
