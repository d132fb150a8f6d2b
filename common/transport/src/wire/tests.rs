use eosfed_common::assignment::*;
use eosfed_common::card::{BandNormalisation, Energy, EnergySource, InitialFile};
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::finite::Finite;
use eosfed_common::head::Imagery;
use eosfed_common::model::{Backbone, ModelSpec, TargetScale, Task};
use eosfed_common::plan::{Augmentation, ClassWeights, JobKind, Loss, Precision, StrategyName, Training};
use eosfed_common::report::{EvaluationReport, TrainingReport};
use eosfed_common::task::Keep;
use eosfed_proto::v1;

use super::*;

fn normalisation() -> Vec<BandNormalisation> {
    vec![BandNormalisation { band: "red".to_owned(), mean: Finite::literal(0.1), std: Finite::literal(0.02) }]
}

fn assignment() -> Assignment<Offered> {
    let settings = Training {
        epochs: 2,
        batch_size: 8,
        learning_rate: 1e-3,
        weight_decay: 0.04,
        warmup: 0.1,
        drop_path: 0.2,
        label_smoothing: 0.3,
        class_weights: ClassWeights::Balanced,
        augment: vec![Augmentation::Flip, Augmentation::Jitter],
        input_size: Some(64),
        crop: Some(32),
        loss: vec![Loss::Mae, Loss::Huber],
        accumulate: 4,
        clip_norm: 0.5,
        precision: Precision::Bf16,
        proximal_mu: 0.01,
    };
    let work = TrainingWork {
        strategy: Some(StrategyName::FedProx),
        base: Some(BlobRef { digest: Digest::of(b"w"), size: 1 }),
        initial_seed: 3,
        normalisation: Some(normalisation()),
        seed: u64::MAX,
        schedule: [0.25, 0.5],
        keep: Keep::Last,
        settings,
    };
    Assignment {
        id: "j-0a1b2c3d.1.1.west".parse().unwrap(),
        job_name: "shared".to_owned(),
        kind: JobKind::Rounds,
        training_target: Offered::Specialist(ModelSpec {
            backbone: Backbone::Atto,
            task: Task::Regression,
            bands: vec!["red".to_owned()],
            classes: vec!["biomass".to_owned()],
            target: Some(TargetScale { offset: 60.0, scale: 70.0, unit: "t/ha".to_owned() }),
        }),
        deadline: Timestamp(9),
        min_institutions: 2,
        accepted: true,
        work: Work::Training(Box::new(work)),
    }
}

fn update() -> UpdateSubmission {
    UpdateSubmission {
        assignment: "j-0a1b2c3d.1.1.west".parse().unwrap(),
        token: "0".repeat(32).parse().unwrap(),
        key: "1".repeat(32).parse().unwrap(),
        weights: BlobRef { digest: Digest::of(b"w"), size: 1 },
        report: TrainingReport {
            samples: 48,
            metrics: [("miou".to_owned(), Finite::literal(0.3))].into(),
            normalisation: normalisation(),
            energy: Energy { kwh: Finite::literal(0.001), source: EnergySource::Estimated },
            initial: Some(InitialFile { file: "atto.safetensors".to_owned(), digest: Digest::of(b"i") }),
            imagery: Imagery { tile: Some([64, 32]), ground_sampling_distance: Some(10.0) },
        },
    }
}

#[test]
fn assignments_and_updates_parse_back_from_their_messages() {
    assert_eq!(Assignment::from_message(assignment().into_message()), Ok(assignment()));
    let statistics = Assignment { work: Work::Statistics, ..assignment() };
    assert_eq!(Assignment::from_message(statistics.clone().into_message()), Ok(statistics));
    let weights = BlobRef { digest: Digest::of(b"w"), size: 1 };
    let work = EvaluationWork { weights, normalisation: normalisation(), input_size: Some(64) };
    let work = Work::Evaluation(Box::new(work));
    let evaluation = Assignment { kind: JobKind::Evaluation, work, ..assignment() };
    assert_eq!(Assignment::from_message(evaluation.clone().into_message()), Ok(evaluation));
    let UpdateSubmission { assignment, token, key, report, .. } = update();
    let TrainingReport { samples, metrics, energy, .. } = report;
    let report = EvaluationReport { samples, metrics, energy };
    let scores = EvaluationSubmission { assignment, token, key, report };
    let message = scores.clone().into_message();
    assert_eq!(EvaluationSubmission::from_message(message), Ok(scores));
    assert_eq!(UpdateSubmission::from_message(update().into_message()), Ok(update()));
    let mut plain = update();
    plain.report.initial = None;
    assert_eq!(UpdateSubmission::from_message(plain.clone().into_message()), Ok(plain));
    let mut message = update().into_message();
    message.report.as_mut().unwrap().initial =
        Some(v1::InitialFile { file: "../secret".to_owned(), digest: Digest::of(b"i").to_string() });
    let error = UpdateSubmission::from_message(message).unwrap_err().to_string();
    assert!(error.contains("`file`") && error.contains("../secret"), "{error}");
}

#[test]
fn an_assignment_of_statistics_has_bands_only() {
    let bands = |names: usize| Assignment {
        kind: JobKind::Statistics,
        training_target: Offered::Bands((0..names).map(|name| format!("b{name}")).collect()),
        work: Work::Statistics,
        ..assignment()
    };
    assert_eq!(Assignment::from_message(bands(2).into_message()), Ok(bands(2)));
    assert_eq!(Assignment::from_message(bands(65).into_message()).unwrap_err().field, "names");
    for wrong in [
        Assignment { kind: JobKind::Rounds, ..bands(2) },
        Assignment { training_target: assignment().training_target, ..bands(2) },
        Assignment { work: assignment().work, ..bands(2) },
    ] {
        assert_eq!(Assignment::from_message(wrong.into_message()).unwrap_err().field, "kind");
    }
}

#[test]
fn a_head_is_sent_as_a_blob_of_bounded_size() {
    let head = |size| Assignment {
        kind: JobKind::Downstream,
        training_target: Offered::Head(BlobRef { digest: Digest::of(b"head"), size }),
        ..assignment()
    };
    let good = head(2 << 20);
    assert_eq!(Assignment::from_message(good.clone().into_message()), Ok(good));
    let found = Assignment::from_message(head((2 << 20) + 1).into_message()).unwrap_err().to_string();
    assert!(found.contains("`document`") && found.contains("at most 2097152 bytes"), "{found}");
    let mut absent = head(1).into_message();
    absent.training_target = Some(v1::assignment::TrainingTarget::Head(v1::Head { document: None }));
    assert_eq!(Assignment::from_message(absent).unwrap_err().field, "document");
}

/// Changes one value of a valid message and gives the field that the error names.
fn refused(change: impl FnOnce(&mut v1::SubmitUpdateRequest)) -> &'static str {
    let mut message = update().into_message();
    change(&mut message);
    UpdateSubmission::from_message(message).unwrap_err().field
}

/// The same for its report.
fn refused_report(change: impl FnOnce(&mut v1::TrainingReport)) -> &'static str {
    refused(|message| change(message.report.as_mut().unwrap()))
}

#[test]
fn each_bad_field_is_named() {
    assert_eq!(refused(|m| m.assignment = "../../etc".to_owned()), "assignment");
    assert_eq!(refused(|m| m.lease_token = "x".repeat(5_000_000)), "lease_token");
    assert_eq!(refused(|m| m.weights = None), "weights");
    assert_eq!(refused(|m| m.weights.as_mut().unwrap().digest = "md5:0".to_owned()), "digest");
    assert_eq!(refused_report(|m| m.metrics[0].value = f64::NAN), "metrics.value");
    assert_eq!(refused_report(|m| m.metrics = vec![m.metrics[0].clone(); 2]), "metrics");
    assert_eq!(refused_report(|m| m.metrics = vec![v1::Metric::default(); 65]), "metrics");
    assert_eq!(refused_report(|m| m.metrics[0].name = "m".repeat(2000)), "metrics.name");
    assert_eq!(refused_report(|m| m.normalisation[0].std = 0.0), "std");
    assert_eq!(refused_report(|m| m.normalisation = vec![m.normalisation[0].clone(); 65]), "normalisation");
    assert_eq!(refused_report(|m| m.imagery.as_mut().unwrap().height = 0), "imagery");
    assert_eq!(refused_report(|m| m.imagery.as_mut().unwrap().width = u32::MAX), "imagery");
    let nowhere =
        |m: &mut v1::TrainingReport| m.imagery.as_mut().unwrap().ground_sampling_distance = Some(f64::NAN);
    assert_eq!(refused_report(nowhere), "imagery");
    assert_eq!(refused_report(|m| m.energy.as_mut().unwrap().source = 0), "energy.source");
    assert_eq!(refused_report(|m| m.energy.as_mut().unwrap().source = 99), "energy.source");
    assert_eq!(refused_report(|m| m.energy.as_mut().unwrap().kwh = -1.0), "energy.kwh");
}

#[test]
fn long_refusals_are_cut_between_characters() {
    let long = Refusal::new(Reason::Policy, "é".repeat(MAX_TEXT));
    let message = long.into_message();
    assert!(message.message.len() <= MAX_TEXT && message.message.chars().all(|c| c == 'é'));
    assert!(Refusal::from_message(message).is_ok());
}
