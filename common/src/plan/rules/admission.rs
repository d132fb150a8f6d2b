//! The rules of `[admission]`: requirements on updates, besides well-formed weights.

use std::ops::RangeInclusive;

use crate::metric::Metric;
use crate::plan::raw::RawAdmission;
use crate::plan::report::Report;
use crate::plan::{
    DEFAULT_MAX_SAMPLES, DEFAULT_NORM_FACTOR, FederatedAdmission, Floor, MAX_SAMPLES, OneShotAdmission,
};

/// Smallest and largest factor by which a step may exceed the median.
const FACTORS: RangeInclusive<f64> = 1.0..=1e6;

/// Largest quorum of evaluators.
const MAX_QUORUM: u32 = 1000;

/// In a one-shot job.
pub(in crate::plan) fn one_shot(raw: Option<RawAdmission>, report: &mut Report) -> OneShotAdmission {
    let RawAdmission { norm_factor, max_samples, require_statement, floor } = raw.unwrap_or_default();
    let rule = "in a one-shot job, whose specialists cannot be compared";
    report.absent("admission.norm_factor", norm_factor.as_ref(), rule);
    if let Some(floor) = &floor {
        floor_rules(floor, report);
    }
    let max_samples = Some(samples(max_samples, report));
    OneShotAdmission { max_samples, require_statement: require_statement.unwrap_or_default(), floor }
}

/// In a job of federated rounds.
pub(in crate::plan) fn federated(raw: Option<RawAdmission>, report: &mut Report) -> FederatedAdmission {
    let RawAdmission { norm_factor, max_samples, require_statement, floor } = raw.unwrap_or_default();
    let rule = "in federated rounds, whose updates are not finished specialists";
    report.absent("admission.floor", floor.as_ref(), rule);
    let norm_factor = norm_factor.unwrap_or(DEFAULT_NORM_FACTOR);
    report.range("admission.norm_factor", FACTORS, norm_factor);
    FederatedAdmission {
        max_samples: Some(samples(max_samples, report)),
        require_statement: require_statement.unwrap_or_default(),
        norm_factor: Some(norm_factor),
    }
}

fn samples(max_samples: Option<u64>, report: &mut Report) -> u64 {
    let most = max_samples.unwrap_or(DEFAULT_MAX_SAMPLES);
    report.range("admission.max_samples", 1..=MAX_SAMPLES, most);
    most
}

fn floor_rules(floor: &Floor, report: &mut Report) {
    let Floor { metric, bound, quorum, min_samples } = floor;
    let known = Metric::named(metric).is_some();
    let rule = "a metric of `eosfed-trainer`, such as `miou`, `accuracy` or `iou/CLASS`";
    report.rule(known, "admission.floor.metric", rule, metric.escape_debug());
    report.rule(bound.is_finite(), "admission.floor.bound", "a finite number", bound);
    report.range("admission.floor.quorum", 1..=MAX_QUORUM, *quorum);
    report.range("admission.floor.min_samples", 1..=MAX_SAMPLES, *min_samples);
}
