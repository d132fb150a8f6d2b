//! Admission: the checks that a submission must pass before it counts. They give a proof type, and a job
//! accepts nothing else, so no update can be counted unchecked.

mod moments;

use std::collections::BTreeMap;

use eosfed_common::assignment::{
    BlobRef, CurvePoint, EvaluationSubmission, StatisticsSubmission, UpdateSubmission,
};
use eosfed_common::card::{Energy, MAX_CARBON_INTENSITY};
use eosfed_common::data_statement::PartSizes;
use eosfed_common::finite::Finite;
use eosfed_common::metric::{self, Metric};
use eosfed_common::plan::{FederatedAdmission, Floor, JobSpec, MAX_SAMPLES, OneShotAdmission};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::report::{EvaluationReport, TrainingReport};
use eosfed_common::scoring::ScoredPart;
use eosfed_common::weights::{Verified, WeightsError};

use super::target::Target;
use moments::{check_moment, check_moments, check_values, same_bands, told};

/// Most energy that an institution can report for one assignment, in kilowatt-hours.
pub const MAX_KWH: f64 = 1e12;

/// How many times the samples of its update in the first round an institution may report later: data sets
/// grow, but do not become others in the middle of a job.
pub const MAX_GROWTH: u64 = 2;

/// What an institution has reported of its data in earlier rounds of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reported {
    /// Pixels of its fullest band, in the statistics round.
    pub pixels: Option<u64>,
    /// Samples of its update in the first training round.
    pub samples: Option<u64>,
}

impl Reported {
    /// Checks a number of samples against it.
    fn check(self, samples: u64) -> Result<(), Refusal> {
        let rule = match self {
            Self { pixels: Some(pixels), .. } if samples > pixels => {
                format!(
                    "at most the {pixels} pixels of this institution's statistics: a sample has one or more"
                )
            }
            Self { samples: Some(first), .. } if samples > first.saturating_mul(MAX_GROWTH) => {
                format!(
                    "at most {MAX_GROWTH} times the {first} of this institution's first update in this job"
                )
            }
            Self { .. } => return Ok(()),
        };
        Err(Refusal::new(Reason::Malformed, format!("`samples` must be {rule}, found `{samples}`")))
    }
}

/// What a plan requires of an update, besides the right weights.
#[derive(Debug, Clone, Copy, Default)]
pub struct UpdateRules<'a> {
    /// Most samples that an institution may report.
    pub max_samples: Option<u64>,
    /// The least quality that a specialist must report.
    pub floor: Option<&'a Floor>,
    /// What the institution has reported before.
    pub reported: Reported,
    /// The sizes in its data statement, as they count for this round.
    pub stated: Option<PartSizes>,
    /// Whether it must have made a data statement.
    pub require_statement: bool,
}

impl<'a> UpdateRules<'a> {
    /// The rules of a job for an institution that has reported this before, and has stated these sizes of its
    /// data set. Jobs of versions without a default limit of samples keep their rules about earlier reports.
    #[must_use]
    pub fn of(spec: &'a JobSpec, reported: Reported, stated: Option<PartSizes>) -> Self {
        let federated = |spec: &FederatedAdmission| (spec.max_samples, spec.require_statement, None);
        let (max_samples, require_statement, floor) = match spec {
            JobSpec::OneShot(spec) => {
                let OneShotAdmission { max_samples, require_statement, floor } = &spec.admission;
                (*max_samples, *require_statement, floor.as_ref())
            }
            JobSpec::Rounds(spec) => federated(&spec.federated.admission),
            JobSpec::Downstream(spec) => federated(&spec.federated.admission),
            JobSpec::Evaluation(_) | JobSpec::Statistics(_) => (None, false, None),
        };
        let reported = if max_samples.is_some() { reported } else { Reported::default() };
        Self { max_samples, floor, reported, stated, require_statement }
    }

    /// Checks a number of training samples against what the institution has stated of its data set.
    fn check_stated(&self, samples: u64) -> Result<(), Refusal> {
        match self.stated {
            Some(stated) => check_part("training", samples, stated.training),
            None if self.require_statement => Err(Refusal::new(Reason::DataUnfit, NOT_STATED)),
            None => Ok(()),
        }
    }
}

/// Why an update does not count where the plan requires a data statement.
const NOT_STATED: &str = "the plan counts updates of institutions with a data statement only \
    (`admission.require_statement`), and this one has made none: its client makes one where the site policy \
    has `data_statement` in `may_leave`";

/// Checks a number of samples against the size of a part in a data statement.
fn check_part(part: &str, samples: u64, stated: u64) -> Result<(), Refusal> {
    if samples <= stated {
        return Ok(());
    }
    let message = format!(
        "`samples` must be at most the {stated} of the {part} part in this institution's data statement, as it \
         counts in this round, found `{samples}`; a data set that has grown counts in rounds that open after \
         its new statement"
    );
    Err(Refusal::new(Reason::Malformed, message))
}

/// An update whose weights were checked. Made only by [`ScreenedUpdate::screen`].
#[derive(Debug, Clone, PartialEq)]
pub struct ScreenedUpdate {
    submission: UpdateSubmission,
    norm: Finite,
}

impl ScreenedUpdate {
    /// Checks everything of an update except its weights. `_weights` is the proof that names, shapes, dtype
    /// and finiteness were checked, in the file whose digest and size the blob store has compared with those
    /// of the submission. `norm` is the norm of the update's step.
    ///
    /// # Errors
    /// The first broken rule: samples, metrics, energy or normalisation out of range, a step that is not
    /// finite, normalisation or moments of other bands, or a specialist whose metric is below the plan's floor.
    pub fn screen(
        mut submission: UpdateSubmission,
        rules: UpdateRules<'_>,
        target: &Target,
        _weights: Verified,
        norm: f64,
    ) -> Result<Self, Refusal> {
        submission.statistics = told(submission.statistics, target)?;
        let TrainingReport {
            samples,
            metrics,
            scoring: _,
            normalisation,
            energy,
            initial: _,
            imagery: _,
            encoding: _,
            spent: _,
        } = &submission.report;
        let most = rules.max_samples.unwrap_or(MAX_SAMPLES);
        if !(1..=most).contains(samples) {
            let message = format!(
                "`samples` must be between 1 and {most} (`admission.max_samples`), found `{samples}`"
            );
            return Err(Refusal::new(Reason::Malformed, message));
        }
        rules.check_stated(*samples)?;
        rules.reported.check(*samples)?;
        let norm = Finite::try_from(norm).map_err(|error| {
            Refusal::new(Reason::NotFinite, format!("the norm of the update's step must be {error}"))
        })?;
        check_metrics(metrics)?;
        check_summary(&submission.start_metrics)
            .map_err(|error| Refusal::new(Reason::Malformed, format!("`start_metrics`: {error}")))?;
        check_points(&submission.points)?;
        check_energy(energy)?;
        for entry in normalisation {
            check_moment("normalisation", "mean", &entry.band, entry.mean.get())?;
            check_moment("normalisation", "std", &entry.band, entry.std.get())?;
            check_values("normalisation", &entry.band, entry.values.as_ref())?;
        }
        same_bands("normalisation", normalisation.iter().map(|entry| &entry.band), target.normalised())?;
        if let Some(floor) = rules.floor {
            let Floor { metric, bound, quorum: _, min_samples: _ } = floor;
            let found = metrics.get(metric);
            if !found.is_some_and(|value| floor.holds(value.get())) {
                let found = found.map_or_else(|| "nothing".to_owned(), ToString::to_string);
                let message =
                    format!("the plan requires `{metric}` of {bound} (`admission.floor`), found `{found}`");
                return Err(Refusal::new(Reason::QualityFloor, message));
            }
        }
        Ok(Self { submission, norm })
    }

    /// The update, and the norm of its step.
    #[must_use]
    pub fn into_inner(self) -> (UpdateSubmission, Finite) {
        (self.submission, self.norm)
    }
}

/// Statistics of the right bands. Made only by [`ScreenedStatistics::screen`].
#[derive(Debug, Clone, PartialEq)]
pub struct ScreenedStatistics(StatisticsSubmission);

impl ScreenedStatistics {
    /// Checks statistics: exactly the model's bands in order, each with pixels and plausible moments.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn screen(submission: StatisticsSubmission, target: &Target) -> Result<Self, Refusal> {
        check_moments("bands", &submission.bands, target.normalised())?;
        Ok(Self(submission))
    }

    /// The statistics.
    #[must_use]
    pub fn into_inner(self) -> StatisticsSubmission {
        self.0
    }
}

/// Plausible scores. Made only by [`ScreenedEvaluation::screen`].
#[derive(Debug, Clone, PartialEq)]
pub struct ScreenedEvaluation(EvaluationSubmission);

impl ScreenedEvaluation {
    /// Checks scores: they need samples, no more than the institution has stated of the part that was scored, at
    /// least one metric, and plausible values.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn screen(submission: EvaluationSubmission, stated: Option<PartSizes>) -> Result<Self, Refusal> {
        let EvaluationReport { samples, metrics, scoring, energy } = &submission.report;
        if !(1..=MAX_SAMPLES).contains(samples) {
            let message = format!("`samples` must be between 1 and {MAX_SAMPLES}, found `{samples}`");
            return Err(Refusal::new(Reason::Malformed, message));
        }
        if let Some(stated) = stated {
            // Clients of before do not say what they have scored: it was the validation part.
            match scoring.as_ref().map_or(ScoredPart::Validation, |scoring| scoring.part) {
                ScoredPart::Validation => check_part("validation", *samples, stated.validation)?,
                ScoredPart::Test => check_part("test", *samples, stated.test)?,
            }
        }
        if metrics.is_empty() {
            return Err(Refusal::new(Reason::Malformed, "`metrics` must hold at least one score"));
        }
        check_metrics(metrics)?;
        check_energy(energy)?;
        Ok(Self(submission))
    }

    /// The scores.
    #[must_use]
    pub fn into_inner(self) -> EvaluationSubmission {
        self.0
    }
}

fn check_metrics(metrics: &BTreeMap<String, Finite>) -> Result<(), Refusal> {
    let check = |(name, value): (&String, &Finite)| metric::check(name, value.get());
    metrics.iter().try_for_each(check).map_err(|error| Refusal::new(Reason::Malformed, error.to_string()))
}

/// Checks the points of a training curve: losses and metrics in the ranges of their definitions, and none
/// of single classes, so that the names in a curve are few and known.
///
/// # Errors
/// The first rule broken.
pub fn check_points(points: &[CurvePoint]) -> Result<(), Refusal> {
    points.iter().try_for_each(|CurvePoint { step, loss, metrics }| {
        let malformed =
            |error: String| Refusal::new(Reason::Malformed, format!("the point of step {step}: {error}"));
        metric::check(metric::LOSS, loss.get()).map_err(|error| malformed(error.to_string()))?;
        check_summary(metrics).map_err(malformed)
    })
}

/// Checks the scores of a place in a curve: in the ranges of their definitions, and none of single classes.
fn check_summary(metrics: &BTreeMap<String, Finite>) -> Result<(), String> {
    check_metrics(metrics).map_err(|refusal| refusal.message)?;
    match metrics.keys().find(|name| Metric::named(name).is_some_and(|metric| metric.of_class)) {
        None => Ok(()),
        Some(name) => Err(format!("a curve has no metrics of single classes, found `{name}`")),
    }
}

fn check_energy(energy: &Energy) -> Result<(), Refusal> {
    let kwh = energy.kwh.get();
    if !(0.0..=MAX_KWH).contains(&kwh) {
        let message = format!("`energy.kwh` must be between 0 and {MAX_KWH:e}, found `{kwh:e}`");
        return Err(Refusal::new(Reason::Malformed, message));
    }
    // A grain more than the product: the sender may round otherwise.
    let most = kwh * f64::from(MAX_CARBON_INTENSITY) * (1.0 + 1e-9);
    let Some(grams) = energy.co2e_g.map(Finite::get).filter(|grams| !(0.0..=most).contains(grams)) else {
        return Ok(());
    };
    let message = format!(
        "`energy.co2e_grams` must be between 0 and {MAX_CARBON_INTENSITY} a kilowatt-hour, found `{grams:e}` for \
         {kwh:e} kWh"
    );
    Err(Refusal::new(Reason::Malformed, message))
}

/// The refusal for a broken rule of weights. It names the digest instead of the file, since the caller must
/// not learn paths of the coordinator.
#[must_use]
pub fn weights_refusal(error: &WeightsError, blob: &BlobRef) -> Refusal {
    let (reason, what) = match error {
        WeightsError::Io { source, .. } => (Reason::Internal, source.to_string()),
        WeightsError::Malformed { reason, .. } => {
            (Reason::WeightsMalformed, format!("not a safetensors file: {reason}"))
        }
        WeightsError::Missing { tensor, .. } => (Reason::TensorSet, format!("tensor `{tensor}` is missing")),
        WeightsError::Unexpected { tensor, .. } => {
            (Reason::TensorSet, format!("tensor `{tensor}` is not part of this model"))
        }
        WeightsError::Shape { tensor, found, expected, .. } => {
            (Reason::ShapeMismatch, format!("tensor `{tensor}` has shape {found:?}, expected {expected:?}"))
        }
        WeightsError::Dtype { tensor, found, expected, .. } => {
            (Reason::DtypeMismatch, format!("tensor `{tensor}` has dtype {found}, expected {expected}"))
        }
        WeightsError::Step { tensor, reason, .. } => {
            (Reason::NotFinite, format!("the step of tensor `{tensor}`: {reason}"))
        }
        WeightsError::NotFinite { tensor, position, value, .. } => {
            (Reason::NotFinite, format!("tensor `{tensor}` holds {value} at position {position}"))
        }
    };
    Refusal::new(reason, format!("the update {} is refused: {what}", blob.digest))
}

#[cfg(test)]
mod tests {
    use eosfed_common::scoring::Scoring;
    use eosfed_testkit::submissions;

    use super::*;
    use crate::testing::token;

    #[test]
    fn scores_are_bounded_by_the_stated_size_of_the_part_that_was_scored() {
        let id = "j-00000001.0.1.west".parse().unwrap();
        let stated = PartSizes { training: 100, validation: 11, test: 12 };
        let screen = |part: Option<ScoredPart>, stated: PartSizes| {
            let mut report = submissions::scores(12, 0.5);
            report.scoring = part.map(|part| Box::new(Scoring { part, ..submissions::scoring() }));
            let scores = submissions::evaluation(&id, &token(1), report);
            ScreenedEvaluation::screen(scores, Some(stated)).map(|_| ()).map_err(|refusal| refusal.message)
        };
        screen(Some(ScoredPart::Test), stated).unwrap();
        for part in [None, Some(ScoredPart::Validation)] {
            let refused = screen(part, stated).unwrap_err();
            assert!(refused.contains("at most the 11 of the validation part"), "{refused}");
        }
        let refused = screen(Some(ScoredPart::Test), PartSizes { test: 11, ..stated }).unwrap_err();
        assert!(refused.contains("at most the 11 of the test part"), "{refused}");
    }
}
