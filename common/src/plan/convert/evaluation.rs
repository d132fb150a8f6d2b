//! `kind = "evaluation"`.

use crate::plan::EvaluationSpec;
use crate::plan::raw::RawPlan;
use crate::plan::report::Report;
use crate::plan::rules::{head as named, participation};

pub(super) fn convert(raw: RawPlan, report: &mut Report) -> Option<EvaluationSpec> {
    let RawPlan {
        version: _,
        name,
        kind: _,
        seed,
        licence,
        release,
        model,
        specialists,
        head,
        evaluation,
        statistics,
        participation: raw_participation,
        rounds,
        admission,
        normalisation,
        training,
    } = raw;
    report.absent("seed", seed.as_ref(), "in an evaluation, in which nothing is random");
    report.absent("licence", licence.as_ref(), "in an evaluation, which makes no weights");
    report.absent("release", release.as_ref(), "in an evaluation, which makes no specialist");
    let rule = "in an evaluation, which scores specialists as they are";
    report.absent("model", model.as_ref(), rule);
    report.absent("specialist", specialists.first(), rule);
    report.absent("head", head.as_ref(), rule);
    let evaluation = named::evaluation(evaluation, report);
    report.absent("statistics", statistics.as_ref(), "in an evaluation");
    let (institutions, participation) = participation::institutions(&raw_participation, report);
    let skipped = "in an evaluation: a specialist that nobody can score is skipped";
    report.absent("participation.attempts", raw_participation.attempts.as_ref(), skipped);
    report.absent("rounds", rounds.as_ref(), "in an evaluation, which has a round for each specialist");
    report.absent("admission", admission.as_ref(), rule);
    report.absent("normalisation", normalisation.as_ref(), rule);
    report.absent("training", training.as_ref(), rule);
    Some(EvaluationSpec { name, evaluation: evaluation?, institutions, participation })
}
