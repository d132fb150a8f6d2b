//! The rules of `[admission]`: requirements on updates, besides well-formed weights.

use std::ops::RangeInclusive;

use super::words::word;
use crate::plan::raw::RawAdmission;
use crate::plan::report::Report;
use crate::plan::{FederatedAdmission, Floor, OneShotAdmission};

/// Smallest and largest factor by which a step may exceed the median.
const FACTORS: RangeInclusive<f64> = 1.0..=1e6;

/// In a one-shot job.
pub(in crate::plan) fn one_shot(raw: Option<RawAdmission>, report: &mut Report) -> OneShotAdmission {
    let RawAdmission { norm_factor, max_samples, floor } = raw.unwrap_or_default();
    let rule = "in a one-shot job, whose specialists cannot be compared";
    report.absent("admission.norm_factor", norm_factor.as_ref(), rule);
    samples(max_samples, report);
    if let Some(Floor { metric, bound }) = &floor {
        word("admission.floor.metric", metric, report);
        report.rule(bound.is_finite(), "admission.floor.bound", "a finite number", bound);
    }
    OneShotAdmission { max_samples, floor }
}

/// In a job of federated rounds.
pub(in crate::plan) fn federated(raw: Option<RawAdmission>, report: &mut Report) -> FederatedAdmission {
    let RawAdmission { norm_factor, max_samples, floor } = raw.unwrap_or_default();
    let rule = "in federated rounds, whose updates are not finished specialists";
    report.absent("admission.floor", floor.as_ref(), rule);
    samples(max_samples, report);
    if let Some(factor) = norm_factor {
        report.range("admission.norm_factor", FACTORS, factor);
    }
    FederatedAdmission { max_samples, norm_factor }
}

fn samples(max_samples: Option<u64>, report: &mut Report) {
    if let Some(most) = max_samples {
        report.rule(most > 0, "admission.max_samples", "above 0", most);
    }
}
