//! The tables that name specialists: `[head]` and `[evaluation]`.

use super::words::{distinct, words};
use crate::model::{FeatureNorm, MAX_BANDS, Method};
use crate::plan::report::Report;
use crate::plan::{EvaluationPlan, HeadPlan, OutputPlan};

/// The head of a downstream job, for what it predicts if that is known.
pub(in crate::plan) fn head(
    head: Option<HeadPlan>,
    output: Option<&OutputPlan>,
    report: &mut Report,
) -> Option<HeadPlan> {
    let head = report.given("head", head, "in a downstream job")?;
    words("head.bands", &head.bands, &(1..=MAX_BANDS), report);
    distinct("head.specialists", &head.specialists, report);
    let rule = "`fusion` or `router`; `mean_logits` has nothing to learn";
    report.rule(head.method != Method::MeanLogits, "head.method", rule, "mean_logits");
    let rule =
        "`pixel`, `layer` or `none` in rounds: `batch` would need the moments of other institutions' imagery";
    report.rule(head.composition.norm != FeatureNorm::Batch, "head.composition.norm", rule, "batch");
    let fits = output.is_none_or(|output| head.decoder_channels.fits(output.task, head.method));
    let rule = "absent, but for a task of pixels with the method `fusion`: other heads have no decoder";
    report.rule(fits, "head.decoder_channels", rule, head.decoder_channels);
    let broken = output.map(|output| head.class_colours.broken(output.task, &output.classes));
    for (rule, found) in broken.unwrap_or_default() {
        report.rule(false, "head.class_colours", rule, found);
    }
    Some(head)
}

/// The specialists that an evaluation scores.
pub(in crate::plan) fn evaluation(
    evaluation: Option<EvaluationPlan>,
    report: &mut Report,
) -> Option<EvaluationPlan> {
    let evaluation = report.given("evaluation", evaluation, "in an evaluation job")?;
    distinct("evaluation.specialists", &evaluation.specialists, report);
    Some(evaluation)
}
