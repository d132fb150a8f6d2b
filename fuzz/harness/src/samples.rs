//! Valid things to start from. Written as JSON and TOML, as they come from outside.

use eosfed_common::assignment::{
    Assignment, BandMoments, BlobRef, CurvePoint, EvaluationSubmission, EvaluationWork, Offered, Progress,
    StatisticsSubmission, TrainingWork, UpdateSubmission, Work,
};
use eosfed_common::card::{BandNormalisation, Card, Energy, ReleaseManifest, TrainingMode};
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::finite::Finite;
use eosfed_common::head::HeadOver;
use eosfed_common::plan::{JobKind, StrategyName};
use eosfed_common::report::{EvaluationReport, TrainingReport};
use eosfed_common::task::Keep;
use eosfed_common::training_target::TrainingTarget;
use eosfed_transport::wire::Heartbeat;
use serde_json::{Value, json};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const ASSIGNMENT: &str = "j-0a1b2c3d.1.2.west";

pub(crate) fn normalisation() -> Vec<BandNormalisation> {
    vec![BandNormalisation { band: "red".to_owned(), mean: Finite::literal(0.1), std: Finite::literal(0.02) }]
}

pub(crate) fn model() -> Value {
    json!({
        "backbone": "convnextv2_atto", "task": "segmentation", "bands": ["red"], "classes": ["forest", "water"],
        "target": null
    })
}

pub(crate) fn card() -> Card {
    let card = json!({
        "name": "west-red", "version": 1, "weights": Digest::of(b"w"), "weights_bytes": 1, "model": model(),
        "normalisation": normalisation(), "input_size": 64,
        "provenance": {
            "job": "j-0a1b2c3d", "mode": "rounds", "institutions": ["west", "east"], "rounds": 3, "samples": 90,
            "seed": 5, "frozen_at": 1_800_000_000_000_u64
        },
        "metrics": { "miou": 0.34 }, "energy": { "kwh": 0.25, "source": "measured" }, "licence": "CC-BY-4.0"
    });
    // Modes have a word of their own in each format: the card's own is taken.
    serde_json::from_value(with_mode(card)).unwrap()
}

fn with_mode(mut card: Value) -> Value {
    card["provenance"]["mode"] = serde_json::to_value(TrainingMode::Rounds).unwrap();
    card
}

pub(crate) fn release() -> ReleaseManifest {
    let release = json!({
        "number": 4, "created_at": 1_800_000_000_000_u64, "note": "second", "specialists": [card()]
    });
    serde_json::from_value(release).unwrap()
}

pub(crate) fn over() -> HeadOver {
    let head = json!({
        "name": "head", "release": 4,
        "encoders": [{
            "name": "west-red", "backbone": "convnextv2_atto", "weights": Digest::of(b"w"), "random_seed": null,
            "normalisation": normalisation(), "sources": [["red", "green"]]
        }],
        "task": "segmentation", "classes": ["a", "b"], "input_size": null, "samples": 0, "training": null
    });
    let over = HeadOver { head: serde_json::from_value(head).unwrap(), release: release() };
    over.check().unwrap();
    over
}

fn training(settings: &str) -> TrainingWork {
    TrainingWork {
        strategy: Some(StrategyName::FedProx),
        base: Some(blob()),
        initial_seed: 3,
        normalisation: Some(normalisation()),
        seed: u64::MAX,
        schedule: [0.25, 0.5],
        keep: Keep::Last,
        settings: toml::from_str(settings).unwrap(),
    }
}

pub(crate) fn blob() -> BlobRef {
    BlobRef { digest: Digest::of(b"w"), size: 1 }
}

/// One of each kind of work and of what is trained.
pub(crate) fn assignments() -> Vec<Assignment> {
    let specialist = TrainingTarget::Specialist(serde_json::from_value(model()).unwrap());
    let settings = "epochs = 2\nbatch_size = 8\nlearning_rate = 1e-3\naugment = [\"flip\"]\nclip_norm = 0.5";
    let one = |kind: JobKind, training_target: TrainingTarget, work: Work| Assignment {
        id: ASSIGNMENT.parse().unwrap(),
        job_name: "shared".to_owned(),
        kind,
        training_target,
        deadline: Timestamp(9),
        min_institutions: 2,
        accepted: true,
        work,
    };
    let scoring = EvaluationWork { weights: blob(), normalisation: normalisation(), input_size: Some(64) };
    let rounds = Work::Training(Box::new(training(settings)));
    vec![
        one(JobKind::Rounds, specialist.clone(), Work::Statistics),
        one(JobKind::Evaluation, specialist.clone(), Work::Evaluation(Box::new(scoring))),
        one(JobKind::Rounds, specialist, rounds.clone()),
        one(JobKind::Statistics, TrainingTarget::Bands(vec!["red".to_owned()]), Work::Statistics),
        one(JobKind::Downstream, TrainingTarget::Head(Box::new(over())), rounds),
    ]
}

/// The same as the coordinator's messages say them.
pub(crate) fn offers() -> Vec<Assignment<Offered>> {
    let offered = |training_target| match training_target {
        TrainingTarget::Specialist(model) => Offered::Specialist(model),
        TrainingTarget::Head(_) => Offered::Head(blob()),
        TrainingTarget::Bands(bands) => Offered::Bands(bands),
    };
    assignments().into_iter().map(|assignment| assignment.with(offered)).collect()
}

pub(crate) fn update() -> UpdateSubmission {
    UpdateSubmission {
        assignment: ASSIGNMENT.parse().unwrap(),
        token: KEY.parse().unwrap(),
        key: KEY.parse().unwrap(),
        weights: blob(),
        report: TrainingReport {
            samples: 12,
            metrics: [("accuracy".to_owned(), Finite::literal(0.5))].into(),
            normalisation: normalisation(),
            energy: serde_json::from_value::<Energy>(json!({ "kwh": 0.25, "source": "estimated" })).unwrap(),
            initial: serde_json::from_value(
                json!({ "file": "timm.safetensors", "digest": Digest::of(b"t") }),
            )
            .unwrap(),
            imagery: Default::default(),
        },
    }
}

pub(crate) fn evaluation() -> EvaluationSubmission {
    let UpdateSubmission { assignment, token, key, report, .. } = update();
    let TrainingReport { samples, metrics, energy, .. } = report;
    EvaluationSubmission { assignment, token, key, report: EvaluationReport { samples, metrics, energy } }
}

pub(crate) fn statistics() -> StatisticsSubmission {
    let (mean, m2) = (Finite::literal(1.5), Finite::literal(0.25));
    let bands = vec![BandMoments { band: "red".to_owned(), count: 9, mean, m2 }];
    let (token, key) = (KEY.parse().unwrap(), KEY.parse().unwrap());
    StatisticsSubmission { assignment: ASSIGNMENT.parse().unwrap(), token, key, bands }
}

pub(crate) fn heartbeat() -> Heartbeat {
    let metrics = [("miou".to_owned(), Finite::literal(0.1))].into();
    let points = vec![CurvePoint { step: 3, loss: Finite::literal(0.5), metrics }];
    let progress = Progress { step: 3, steps: 9, points };
    Heartbeat { assignment: ASSIGNMENT.parse().unwrap(), token: KEY.parse().unwrap(), progress }
}
