//! Work for `west`.

use eosfed_common::assignment::{Assignment, BlobRef, EvaluationWork, Offered, TrainingWork, Work};
use eosfed_common::clock::Timestamp;
use eosfed_common::plan::{Augmentation, ClassWeights, JobKind, Loss, Precision, StrategyName, Training};
use eosfed_common::task::Keep;
use eosfed_common::training_target::TrainingTarget;
use eosfed_common::weights::{DEFAULT_TOP_K_SHARE, Encoding};

use crate::cards::{classifier, normalisation};
use crate::releases;

/// The blob of this one byte.
#[must_use]
pub fn blob() -> BlobRef {
    BlobRef::of(b"w")
}

/// The statistics of a job of rounds.
#[must_use]
pub fn statistics() -> Assignment {
    Assignment {
        id: "j-0a1b2c3d.0.1.west".parse().unwrap(),
        job_name: "shared".to_owned(),
        kind: JobKind::Rounds,
        training_target: TrainingTarget::Specialist(classifier()),
        deadline: Timestamp(u64::MAX),
        min_institutions: 2,
        accepted: false,
        dataset: None,
        work: Work::Statistics,
    }
}

/// The work of a job of kind `statistics`.
#[must_use]
pub fn bands(names: &[&str]) -> Assignment {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let training_target = TrainingTarget::Bands(names);
    Assignment { kind: JobKind::Statistics, training_target, ..statistics() }
}

/// Training from nothing: of a specialist, or of a head in a downstream job.
#[must_use]
pub fn training(kind: JobKind) -> Assignment {
    let training_target = match kind {
        JobKind::Downstream => TrainingTarget::Head(Box::new(releases::head())),
        _ => TrainingTarget::Specialist(classifier()),
    };
    let work = TrainingWork {
        strategy: (kind != JobKind::OneShot).then_some(StrategyName::FedAvg),
        base: None,
        base_release: None,
        base_model: None,
        initial_seed: 1,
        normalisation: (kind == JobKind::Rounds).then(|| normalisation(&["red"], 1.0, 2.0)),
        seed: 2,
        schedule: [0.0, 1.0],
        keep: Keep::Best,
        settings: Training::new(2, 4, 1e-3),
        encodings: Vec::new(),
        top_k_share: DEFAULT_TOP_K_SHARE,
    };
    Assignment { kind, training_target, work: Work::Training(Box::new(work)), ..statistics() }
}

/// Scoring a frozen specialist.
#[must_use]
pub fn evaluation(weights: BlobRef) -> Assignment {
    let normalisation = normalisation(&["red"], 1.0, 2.0);
    let work = EvaluationWork { weights, normalisation, input_size: None, antialias: false };
    Assignment { kind: JobKind::Evaluation, work: Work::Evaluation(Box::new(work)), ..statistics() }
}

/// Training in which nothing has its default, so that a field that is lost on the way is noticed.
#[must_use]
pub fn detailed_training() -> TrainingWork {
    let settings = Training {
        weight_decay: 0.04,
        warmup: 0.1,
        drop_path: 0.2,
        label_smoothing: 0.3,
        head_dropout: 0.4,
        ema: 0.99,
        layer_decay: 0.8,
        class_weights: ClassWeights::Balanced,
        augment: vec![Augmentation::Flip, Augmentation::Jitter],
        input_size: Some(64),
        antialias: true,
        crop: Some(32),
        loss: vec![Loss::Mae, Loss::Huber],
        accumulate: 4,
        clip_norm: 0.5,
        precision: Precision::Bf16,
        score_average: false,
        proximal_mu: 0.01,
        ..Training::new(2, 8, 1e-3)
    };
    TrainingWork {
        strategy: Some(StrategyName::FedProx),
        base: Some(blob()),
        base_release: Some(BlobRef::of(b"r")),
        base_model: None,
        initial_seed: 3,
        normalisation: Some(normalisation(&["red"], 0.1, 0.02)),
        seed: u64::MAX,
        schedule: [0.25, 0.5],
        keep: Keep::Last,
        settings,
        encodings: vec![Encoding::TopK, Encoding::F32],
        top_k_share: 0.02,
    }
}

/// The assignment as the coordinator's message says it; a head's document is `document`.
#[must_use]
pub fn offered(assignment: Assignment, document: BlobRef) -> Assignment<Offered> {
    assignment.with(|target| match target {
        TrainingTarget::Specialist(model) => Offered::Specialist(model),
        TrainingTarget::Head(_) => Offered::Head(document),
        TrainingTarget::Bands(bands) => Offered::Bands(bands),
    })
}
