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
    report.absent("seed", seed.as_ref(), "in an evaluation, which uses no randomness");
    report.absent("licence", licence.as_ref(), "in an evaluation, which produces no weights");
    report.absent("release", release.as_ref(), "in an evaluation, which produces no specialist");
    let rule = "in an evaluation, which trains nothing";
    report.absent("model", model.as_ref(), rule);
    report.absent("specialist", specialists.first(), rule);
    report.absent("head", head.as_ref(), rule);
    let evaluation = named::evaluation(evaluation, report);
    report.absent("statistics", statistics.as_ref(), "in an evaluation");
    let (institutions, participation) = participation::institutions(&raw_participation, report);
    let skipped = "in an evaluation: a specialist that no institution can score is skipped";
    report.absent("participation.attempts", raw_participation.attempts.as_ref(), skipped);
    report.absent("rounds", rounds.as_ref(), "in an evaluation, which has a round for each specialist");
    report.absent("admission", admission.as_ref(), rule);
    report.absent("normalisation", normalisation.as_ref(), rule);
    report.absent("training", training.as_ref(), rule);
    Some(EvaluationSpec { name, evaluation: evaluation?, institutions, participation })
}
