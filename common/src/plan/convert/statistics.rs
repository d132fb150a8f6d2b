//! `kind = "statistics"`.

use crate::model::MAX_BANDS;
use crate::plan::StatisticsSpec;
use crate::plan::raw::RawPlan;
use crate::plan::report::Report;
use crate::plan::rules::participation;
use crate::plan::rules::words::words;

pub(super) fn convert(raw: RawPlan, report: &mut Report) -> Option<StatisticsSpec> {
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
    let rule = "in a statistics job, which trains nothing";
    report.absent("seed", seed.as_ref(), rule);
    report.absent("licence", licence.as_ref(), rule);
    report.absent("release", release.as_ref(), rule);
    report.absent("model", model.as_ref(), rule);
    report.absent("specialist", specialists.first(), rule);
    report.absent("head", head.as_ref(), rule);
    report.absent("evaluation", evaluation.as_ref(), rule);
    let statistics = report.given("statistics", statistics, "in a statistics job");
    if let Some(statistics) = &statistics {
        words("statistics.bands", &statistics.bands, &(1..=MAX_BANDS), report);
    }
    let (institutions, participation) = participation::institutions(&raw_participation, report);
    let attempts = participation::attempts(&raw_participation, report);
    report.absent("rounds", rounds.as_ref(), "in a statistics job, which has one round");
    report.absent("admission", admission.as_ref(), rule);
    report.absent("normalisation", normalisation.as_ref(), "in a statistics job, which computes it");
    report.absent("training", training.as_ref(), rule);
    Some(StatisticsSpec { name, statistics: statistics?, institutions, participation, attempts })
}
