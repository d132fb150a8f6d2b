//! Admission: the checks that a submission passes before it may count. Passing them gives a proof
//! type, and the job takes nothing else; so no update can be counted unchecked.

use eosfed_aggregation::Operand;
use eosfed_common::assignment::{BlobRef, EvaluationSubmission, StatisticsSubmission, UpdateSubmission};
use eosfed_common::plan::{AdmissionPlan, Floor};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::trainee::Trainee;
use eosfed_common::weights::WeightsError;

/// Most training samples that an institution can claim; beyond it the claim is absurd.
pub const MAX_SAMPLES: u64 = 1_000_000_000_000;

/// An update whose weights were checked. Made only by [`ScreenedUpdate::screen`].
#[derive(Debug, Clone, PartialEq)]
pub struct ScreenedUpdate {
    submission: UpdateSubmission,
    norm: f64,
}

impl ScreenedUpdate {
    /// Checks an update beyond its weights. `_weights` is the proof that names, shapes, dtype and
    /// finiteness were checked, in the file whose digest and size the blob store has verified to be
    /// those of the submission; `norm` is that of its step.
    ///
    /// # Errors
    /// The first rule broken: samples out of range, a step that is not finite, normalisation of other
    /// bands, or a specialist that reports less than the plan's floor.
    pub fn screen(
        submission: UpdateSubmission,
        rules: &AdmissionPlan,
        trainee: &Trainee,
        _weights: &Operand,
        norm: f64,
    ) -> Result<Self, Refusal> {
        let (samples, most) = (submission.samples, rules.max_samples.unwrap_or(MAX_SAMPLES));
        if !(1..=most).contains(&samples) {
            let message = format!("`samples` must be between 1 and {most}, found `{samples}`");
            return Err(Refusal::new(Reason::Malformed, message));
        }
        if !norm.is_finite() {
            return Err(Refusal::new(Reason::NotFinite, "the norm of the update's step is not finite"));
        }
        same_bands(
            "normalisation",
            submission.normalisation.iter().map(|entry| &entry.band),
            trainee.normalised(),
        )?;
        if let Some(floor) = &rules.floor {
            let Floor { metric, bound } = floor;
            let found = submission.metrics.get(metric);
            if !found.is_some_and(|value| floor.holds(*value)) {
                let found = found.map_or_else(|| "nothing".to_owned(), ToString::to_string);
                let message =
                    format!("the plan wants `{metric}` of {bound} (`admission.floor`), found `{found}`");
                return Err(Refusal::new(Reason::QualityFloor, message));
            }
        }
        Ok(Self { submission, norm })
    }

    /// The update, and the norm of its step.
    #[must_use]
    pub fn into_inner(self) -> (UpdateSubmission, f64) {
        (self.submission, self.norm)
    }
}

/// Statistics of the right bands. Made only by [`ScreenedStatistics::screen`].
#[derive(Debug, Clone, PartialEq)]
pub struct ScreenedStatistics(StatisticsSubmission);

impl ScreenedStatistics {
    /// Checks statistics: exactly the model's bands in order, each with pixels, finite moments.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn screen(submission: StatisticsSubmission, trainee: &Trainee) -> Result<Self, Refusal> {
        same_bands("bands", submission.bands.iter().map(|moments| &moments.band), trainee.normalised())?;
        for moments in &submission.bands {
            let sound = moments.count > 0 && moments.mean.is_finite() && moments.m2.is_finite();
            if !sound || moments.m2 < 0.0 {
                let message = format!("band `{}` has no valid pixels or no finite moments", moments.band);
                return Err(Refusal::new(Reason::NotFinite, message));
            }
        }
        Ok(Self(submission))
    }

    /// The statistics.
    #[must_use]
    pub fn into_inner(self) -> StatisticsSubmission {
        self.0
    }
}

/// Scores that can be. Made only by [`ScreenedEvaluation::screen`].
#[derive(Debug, Clone, PartialEq)]
pub struct ScreenedEvaluation(EvaluationSubmission);

impl ScreenedEvaluation {
    /// Checks scores: of some samples, at least one, all finite.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn screen(submission: EvaluationSubmission) -> Result<Self, Refusal> {
        let EvaluationSubmission { samples, metrics, .. } = &submission;
        if !(1..=MAX_SAMPLES).contains(samples) {
            let message = format!("`samples` must be between 1 and {MAX_SAMPLES}, found `{samples}`");
            return Err(Refusal::new(Reason::Malformed, message));
        }
        if metrics.is_empty() {
            return Err(Refusal::new(Reason::Malformed, "`metrics` must hold at least one score"));
        }
        if let Some((name, value)) = metrics.iter().find(|(_, value)| !value.is_finite()) {
            let message = format!("score `{name}` must be finite, found `{value}`");
            return Err(Refusal::new(Reason::NotFinite, message));
        }
        Ok(Self(submission))
    }

    /// The scores.
    #[must_use]
    pub fn into_inner(self) -> EvaluationSubmission {
        self.0
    }
}

fn same_bands<'a>(
    field: &str,
    found: impl Iterator<Item = &'a String>,
    bands: &[String],
) -> Result<(), Refusal> {
    let found: Vec<_> = found.collect();
    if found.iter().copied().eq(bands) {
        return Ok(());
    }
    let message = format!("`{field}` must name the bands {bands:?} in this order, found {found:?}");
    Err(Refusal::new(Reason::Malformed, message))
}

/// The refusal that a broken rule of weights means. The file's place in the coordinator's folder is
/// nobody's business: the digest stands in for it.
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
        WeightsError::Dtype { tensor, found, .. } => {
            (Reason::DtypeMismatch, format!("tensor `{tensor}` has dtype {found}, expected F32"))
        }
        WeightsError::NotFinite { tensor, position, value, .. } => {
            (Reason::NotFinite, format!("tensor `{tensor}` holds {value} at position {position}"))
        }
    };
    Refusal::new(reason, format!("the update {} is refused: {what}", blob.digest))
}
