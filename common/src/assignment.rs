//! Assignments of the coordinator to an institution, and their results, as parsed by both programs. Plain
//! data, with limits in the documentation. The crate `eosfed-transport` enforces the limits.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::band_values::BandMoments;
use crate::card::BandNormalisation;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::finite::Finite;
use crate::ids::{AssignmentId, DataSetName, IdempotencyKey, LeaseToken};
use crate::model::{ModelSpec, signature};
use crate::plan::{
    JobKind, Problem, StrategyName, Training, check_bands, check_input_size, check_model, check_training,
};
use crate::refusal::Refusal;
use crate::report::{EvaluationReport, TrainingReport};
use crate::signing::{EvaluationStatement, KeySignature, StatisticsStatement, UpdateStatement};
use crate::task::Keep;
use crate::training_target::TrainingTarget;
use crate::weights::{Encoding, default_top_k_share, is_default_top_k_share};

/// How long a lease lasts from its grant or its last heartbeat.
pub const LEASE: Duration = Duration::from_secs(120);
/// Most metrics in a message.
pub const MAX_METRICS: usize = 64;
/// Longest name of a metric in bytes: a score and its class.
pub const MAX_METRIC_NAME: usize = 128;
/// Longest message or other free text in a message from an institution, in bytes.
pub const MAX_TEXT: usize = 1024;
/// Most curve points in one heartbeat.
pub const MAX_POINTS: usize = 32;

/// Weights stored by the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlobRef {
    /// Digest of the bytes.
    pub digest: Digest,
    /// Number of bytes.
    pub size: u64,
}

impl BlobRef {
    /// The blob with these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { digest: Digest::of(bytes), size: bytes.len() as u64 }
    }
}

/// What is trained, in the form of the coordinator's message.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Offered {
    /// A specialist: encoder and head.
    Specialist(ModelSpec),
    /// A head over frozen encoders: the blob with a [`crate::head::HeadOver`] as JSON.
    Head(BlobRef),
    /// Nothing is trained; these bands are measured.
    Bands(Vec<String>),
}

/// Work offered or leased to one institution. `T` describes what is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment<T = TrainingTarget> {
    /// The job, round, attempt and institution.
    pub id: AssignmentId,
    /// The job's display name.
    pub job_name: String,
    /// The kind of the job.
    pub kind: JobKind,
    /// What is trained. For statistics, only its bands are used.
    #[serde(alias = "trainee")]
    pub training_target: T,
    /// The deadline of the round.
    pub deadline: Timestamp,
    /// Fewest institutions whose contributions are combined in the result; 1 in one-shot jobs.
    pub min_institutions: u32,
    /// Whether the institution holds the lease.
    pub accepted: bool,
    /// The data set that the plan asks for, by its name at the institution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DataSetName>,
    /// The work.
    pub work: Work,
}

/// The work of an assignment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Per-band moments of the training part.
    Statistics,
    /// Training.
    Training(Box<TrainingWork>),
    /// Scores of a frozen specialist on the validation part.
    Evaluation(Box<EvaluationWork>),
}

impl<T> Assignment<T> {
    /// The assignment with another description of its training target.
    #[must_use]
    pub fn with<U>(self, describe: impl FnOnce(T) -> U) -> Assignment<U> {
        let Self { id, job_name, kind, training_target, deadline, min_institutions, accepted, dataset, work } =
            self;
        let training_target = describe(training_target);
        Assignment {
            id,
            job_name,
            kind,
            training_target,
            deadline,
            min_institutions,
            accepted,
            dataset,
            work,
        }
    }
}

impl Assignment<Offered> {
    /// Checks that jobs of its kind have such work.
    ///
    /// # Errors
    /// A sentence with the kind of job.
    pub fn check(&self) -> Result<(), String> {
        let strategy = match &self.work {
            Work::Training(work) => work.strategy,
            Work::Statistics | Work::Evaluation(_) => None,
        };
        let fits = match (self.kind, &self.work, &self.training_target) {
            (JobKind::OneShot, Work::Training(_), Offered::Specialist(_)) => strategy.is_none(),
            (JobKind::Rounds, Work::Training(_), Offered::Specialist(_))
            | (JobKind::Downstream, Work::Training(_), Offered::Head(_)) => strategy.is_some(),
            (JobKind::Rounds, Work::Statistics, Offered::Specialist(_))
            | (JobKind::Evaluation, Work::Evaluation(_), Offered::Specialist(_))
            | (JobKind::Statistics, Work::Statistics, Offered::Bands(_)) => true,
            (
                JobKind::OneShot
                | JobKind::Rounds
                | JobKind::Downstream
                | JobKind::Evaluation
                | JobKind::Statistics,
                _,
                _,
            ) => false,
        };
        if !fits {
            return Err(format!("a {} job has no work of this kind", self.kind));
        }
        let (Work::Training(work), Offered::Specialist(model)) = (&self.work, &self.training_target) else {
            return Ok(());
        };
        work.check_base(self.kind, model)
    }

    /// Checks its numbers and names by the rules of plans.
    ///
    /// # Errors
    /// Every broken rule.
    pub fn check_rules(&self) -> Result<(), Vec<Problem>> {
        let model = match &self.training_target {
            Offered::Specialist(model) => Some(model),
            Offered::Head(_) | Offered::Bands(_) => None,
        };
        model.map_or(Ok(()), check_model)?;
        if let Offered::Bands(bands) = &self.training_target {
            check_bands(bands)?;
        }
        match &self.work {
            Work::Statistics => Ok(()),
            Work::Training(work) => {
                work.base_model.as_deref().map_or(Ok(()), check_model)?;
                check_training(&work.settings, self.kind, model)
            }
            Work::Evaluation(work) => check_input_size(work.input_size),
        }
    }
}

impl Assignment {
    /// Checks that the weights that it names are not larger than the networks that they belong to.
    ///
    /// # Errors
    /// A sentence with the limit and the size found.
    pub fn check_sizes(&self) -> Result<(), String> {
        let most = self.training_target.signature().max_file_bytes();
        match &self.work {
            Work::Statistics => {}
            Work::Training(work) => {
                if let Some(base) = work.base {
                    let other = work.base_model.as_deref().map(|model| signature(model).max_file_bytes());
                    fits("starting weights", base.size, other.unwrap_or(most))?;
                }
            }
            Work::Evaluation(work) => fits("weights to be scored", work.weights.size, most)?,
        }
        if let TrainingTarget::Head(over) = &self.training_target {
            for card in over.cards() {
                let most = signature(&card.model).max_file_bytes();
                fits(&format!("weights of `{}`", card.name), card.weights_bytes, most)?;
            }
        }
        Ok(())
    }
}

fn fits(what: &str, size: u64, most: u64) -> Result<(), String> {
    if size <= most {
        return Ok(());
    }
    Err(format!("the {what} must have at most {most} bytes, which their network needs, found `{size}`"))
}

/// An assignment to score a frozen specialist.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationWork {
    /// Its weights.
    pub weights: BlobRef,
    /// Its normalisation, in the order of its bands.
    pub normalisation: Vec<BandNormalisation>,
    /// Width and height in pixels that tiles are resized to, if they are.
    pub input_size: Option<u32>,
    /// Whether they are filtered as they are resized.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub antialias: bool,
}

/// A training assignment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingWork {
    /// The aggregation strategy. Absent in one-shot jobs.
    pub strategy: Option<StrategyName>,
    /// Starting weights. Default: those of `initial_seed`.
    pub base: Option<BlobRef>,
    /// Where a one-shot job starts from a base: the blob with the signed [`crate::card::ReleaseManifest`] that
    /// lists it. A client has verified the one that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_release: Option<BlobRef>,
    /// The network of a base that is another specialist's. Its encoder is the start, with its first convolution
    /// adapted to the bands, under a head from `initial_seed`. Absent: the base is of the network that is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_model: Option<Box<ModelSpec>>,
    /// Seed of the starting weights if there is no base, and of the head over the encoder of another specialist.
    pub initial_seed: u64,
    /// Normalisation in the order of the model's bands. If absent, the institution computes its own.
    pub normalisation: Option<Vec<BandNormalisation>>,
    /// Seed of shuffling, augmentation and drop path.
    pub seed: u64,
    /// Part of the learning-rate schedule, as fractions of the whole.
    pub schedule: [f64; 2],
    /// Which weights are returned.
    pub keep: Keep,
    /// The training settings, with FedProx's mu.
    pub settings: Training,
    /// How the update may be encoded, the preferred first. Empty in one-shot jobs and from coordinators of before:
    /// as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encodings: Vec<Encoding>,
    /// Share of the values of each tensor that [`Encoding::TopK`] and [`Encoding::TopKBf16`] send.
    #[serde(default = "default_top_k_share", skip_serializing_if = "is_default_top_k_share")]
    pub top_k_share: f64,
}

impl TrainingWork {
    /// Checks that the encoder of a base that is another specialist's is one of the network that is trained.
    fn check_base(&self, kind: JobKind, model: &ModelSpec) -> Result<(), String> {
        let Some(other) = &self.base_model else { return Ok(()) };
        if kind != JobKind::OneShot || self.base.is_none() || self.base_release.is_none() {
            return Err(
                "only a one-shot job starts from another specialist, whose weights and release it names"
                    .to_owned(),
            );
        }
        let (wanted, found) = (model.backbone, other.backbone);
        if wanted == found {
            return Ok(());
        }
        Err(format!("the specialist to start from must have the backbone `{wanted}`, found `{found}`"))
    }

    /// The network whose weights the base has, where `model` is trained.
    #[must_use]
    pub fn network_of_base<'a>(&'a self, model: &'a ModelSpec) -> &'a ModelSpec {
        self.base_model.as_deref().unwrap_or(model)
    }
}

/// The lease of an accepted assignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Proof of holding it.
    pub token: LeaseToken,
    /// When it ends, unless a heartbeat renews it.
    pub expires_at: Timestamp,
}

/// One epoch of a training curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CurvePoint {
    /// Steps done.
    pub step: u64,
    /// Mean training loss over the epoch.
    pub loss: Finite,
    /// Validation metrics.
    pub metrics: BTreeMap<String, Finite>,
}

/// The progress of an institution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Steps in all; 0 while unknown.
    pub steps: u64,
    /// Curve points since the last report, at most [`MAX_POINTS`].
    pub points: Vec<CurvePoint>,
}

/// The coordinator's answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directive {
    /// Continue; the lease now ends at this time.
    Continue(Timestamp),
    /// Stop and drop the assignment.
    Stop(Refusal),
}

/// The result of training at one institution. The weights have been uploaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdateSubmission {
    /// The assignment.
    pub assignment: AssignmentId,
    /// Proof of holding the lease.
    pub token: LeaseToken,
    /// Makes the call idempotent.
    pub key: IdempotencyKey,
    /// The uploaded weights.
    pub weights: BlobRef,
    /// The report of their training.
    pub report: TrainingReport,
    /// The institution's signature of it.
    pub signature: KeySignature,
    /// What it tells of the bands that a head was trained on. It is no part of what `signature` signs, so that
    /// coordinators of before, which do not read it, still find that signature good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Box<SignedMoments>>,
    /// Scores of the weights that the round started from, on the institution's validation part, at most
    /// [`MAX_METRICS`] and none of single classes. Empty where nothing was scored. Like the points of a curve, they are
    /// for people, and no part of what is signed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub start_metrics: BTreeMap<String, Finite>,
    /// Points of the curve since the last heartbeat, at most [`MAX_POINTS`], for coordinators that take them here. They
    /// are no part of what is signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<CurvePoint>,
}

impl UpdateSubmission {
    /// What is signed.
    #[must_use]
    pub fn statement(&self) -> UpdateStatement {
        let BlobRef { digest, size } = self.weights;
        UpdateStatement::of(&self.assignment, (digest, size), &self.report)
    }

    /// What is signed of the bands, with its signature.
    #[must_use]
    pub fn statistics_statement(&self) -> Option<(StatisticsStatement, KeySignature)> {
        let SignedMoments { bands, signature } = self.statistics.as_deref()?;
        Some((StatisticsStatement::of(&self.assignment, bands), *signature))
    }
}

/// The moments of an institution's bands beside an update of a head, signed as those of a statistics round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignedMoments {
    /// One entry for each band that the head needs, in the order of the head.
    pub bands: Vec<BandMoments>,
    /// The institution's signature of assignment and bands.
    pub signature: KeySignature,
}

/// Scores of a frozen specialist at one institution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationSubmission {
    /// The assignment.
    pub assignment: AssignmentId,
    /// Proof of holding the lease.
    pub token: LeaseToken,
    /// Makes the call idempotent.
    pub key: IdempotencyKey,
    /// The scores.
    pub report: EvaluationReport,
    /// The institution's signature of it.
    pub signature: KeySignature,
}

impl EvaluationSubmission {
    /// What is signed.
    #[must_use]
    pub fn statement(&self) -> EvaluationStatement {
        EvaluationStatement::of(&self.assignment, &self.report)
    }
}

/// The result of a statistics round at one institution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatisticsSubmission {
    /// The assignment.
    pub assignment: AssignmentId,
    /// Proof of holding the lease.
    pub token: LeaseToken,
    /// Makes the call idempotent.
    pub key: IdempotencyKey,
    /// One entry for each band of the model, in order.
    pub bands: Vec<BandMoments>,
    /// The institution's signature of it.
    pub signature: KeySignature,
}

impl StatisticsSubmission {
    /// What is signed.
    #[must_use]
    pub fn statement(&self) -> StatisticsStatement {
        StatisticsStatement::of(&self.assignment, &self.bands)
    }
}
