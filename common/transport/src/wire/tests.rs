use eosfed_common::assignment::*;
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::model::{MAX_BANDS, Task};
use eosfed_common::plan::JobKind;
use eosfed_common::report::{EvaluationReport, TrainingReport};
use eosfed_common::weights::Encoding;
use eosfed_proto::v1;
use eosfed_testkit::assignments::{detailed_training, statistics, training};
use eosfed_testkit::cards;
use eosfed_testkit::submissions::detailed_update;

use super::*;

/// Training in which nothing has its default.
fn assignment() -> Assignment<Offered> {
    let specialist = cards::model(Task::Regression, &["red"], &["biomass"]);
    Assignment {
        id: "j-0a1b2c3d.1.1.west".parse().unwrap(),
        deadline: Timestamp(9),
        accepted: true,
        dataset: Some("coast".parse().unwrap()),
        work: Work::Training(Box::new(detailed_training())),
        ..statistics().with(|_| Offered::Specialist(specialist))
    }
}

#[test]
fn assignments_and_updates_parse_back_from_their_messages() {
    assert_eq!(Assignment::from_message(assignment().into_message()), Ok(assignment()));
    let base_model = Some(Box::new(cards::model(Task::Segmentation, &["nir", "red"], &["a", "b"])));
    let warm = Work::Training(Box::new(TrainingWork { strategy: None, base_model, ..detailed_training() }));
    let warm = Assignment { kind: JobKind::OneShot, work: warm, ..assignment() };
    assert_eq!(Assignment::from_message(warm.clone().into_message()), Ok(warm.clone()));
    let mut wide = warm.into_message();
    if let Some(v1::assignment::Work::Training(work)) = &mut wide.work {
        work.base_model.as_mut().unwrap().bands = vec!["red".to_owned(); MAX_BANDS + 1];
    }
    assert_eq!(Assignment::from_message(wide).unwrap_err().field, "bands");
    let statistics = Assignment { work: Work::Statistics, ..assignment() };
    assert_eq!(Assignment::from_message(statistics.clone().into_message()), Ok(statistics));
    let weights = BlobRef { digest: Digest::of(b"w"), size: 1 };
    let work = EvaluationWork {
        weights,
        normalisation: cards::normalisation(&["red"], 0.1, 0.02),
        input_size: Some(64),
        antialias: true,
    };
    let work = Work::Evaluation(Box::new(work));
    let evaluation = Assignment { kind: JobKind::Evaluation, work, ..assignment() };
    assert_eq!(Assignment::from_message(evaluation.clone().into_message()), Ok(evaluation));
    let UpdateSubmission { assignment, token, key, report, .. } = detailed_update();
    let TrainingReport { samples, metrics, scoring, energy, .. } = report;
    let report = EvaluationReport { samples, metrics, scoring, energy };
    let scores =
        EvaluationSubmission { key, ..eosfed_testkit::submissions::evaluation(&assignment, &token, report) };
    let message = scores.clone().into_message();
    assert_eq!(EvaluationSubmission::from_message(message), Ok(scores));
    assert_eq!(UpdateSubmission::from_message(detailed_update().into_message()), Ok(detailed_update()));
    let mut plain = detailed_update();
    plain.report.initial = None;
    plain.statistics = None;
    assert_eq!(UpdateSubmission::from_message(plain.clone().into_message()), Ok(plain));
    let mut message = detailed_update().into_message();
    message.report.as_mut().unwrap().initial =
        Some(v1::InitialFile { file: "../secret".to_owned(), digest: Digest::of(b"i").to_string() });
    let error = UpdateSubmission::from_message(message).unwrap_err().to_string();
    assert!(error.contains("`file`") && error.contains("../secret"), "{error}");
}

/// How clients of before meet an encoding that they do not know: the field is named, and the work is declined.
#[test]
fn encodings_of_a_later_version_are_refused_by_name() {
    let with = |encodings: Vec<i32>| {
        let mut message = assignment().into_message();
        let Some(v1::assignment::Work::Training(work)) = &mut message.work else { panic!("not of training") };
        work.encodings = encodings;
        Assignment::from_message(message)
    };
    let every: Vec<i32> =
        Encoding::ALL.iter().map(|encoding| kind::encoding_message(*encoding).into()).collect();
    let Work::Training(work) = with(every.clone()).unwrap().work else { panic!("not of training") };
    assert_eq!(work.encodings, Encoding::ALL);
    let next = every.iter().max().unwrap() + 1;
    let too_many = vec![every[0]; every.len() + 1];
    for (encodings, found) in [(vec![next, every[0]], next), (vec![every[0], -1], -1), (too_many, 6)] {
        let error = with(encodings).unwrap_err();
        assert!(
            error.field == "encodings" && error.to_string().contains(&format!("found `{found}`")),
            "{error}"
        );
    }
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
        ..training(JobKind::Downstream).with(|_| Offered::Bands(Vec::new()))
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
    let mut message = detailed_update().into_message();
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
    let told = |change: fn(&mut v1::SignedMoments)| refused(|m| change(m.statistics.as_mut().unwrap()));
    assert_eq!(told(|told| told.bands.clear()), "statistics.bands");
    assert_eq!(told(|told| told.bands = vec![told.bands[0].clone(); MAX_BANDS + 1]), "statistics.bands");
    assert_eq!(told(|told| told.signature = "none".to_owned()), "statistics.signature");
    assert_eq!(told(|told| told.bands[0].m2 = -1.0), "m2");
    assert_eq!(told(|told| told.bands[0].mean = f64::INFINITY), "mean");
    assert_eq!(told(|told| told.bands[0].band = "a\u{202e}b".to_owned()), "band");
    assert_eq!(told(|told| told.bands[0].values.as_mut().unwrap().low = 9.0), "values");
    let start = |change: fn(&mut Vec<v1::Metric>)| refused(|m| change(&mut m.start_metrics));
    assert_eq!(start(|m| m[0].value = f64::NAN), "metrics.value");
    assert_eq!(start(|m| m[0].value = f64::NEG_INFINITY), "metrics.value");
    assert_eq!(start(|m| m.push(m[0].clone())), "metrics");
    assert_eq!(start(|m| *m = vec![v1::Metric::default(); 65]), "metrics");
    assert_eq!(start(|m| m[0].name = "iou/a\nb".to_owned()), "metrics.name");
    assert_eq!(refused_report(|m| m.metrics[0].value = f64::NAN), "metrics.value");
    assert_eq!(refused_report(|m| m.metrics = vec![m.metrics[0].clone(); 2]), "metrics");
    assert_eq!(refused_report(|m| m.metrics = vec![v1::Metric::default(); 65]), "metrics");
    assert_eq!(refused_report(|m| m.metrics[0].name = "m".repeat(2000)), "metrics.name");
    assert_eq!(refused_report(|m| m.metrics[0].name = "iou/a\nb".to_owned()), "metrics.name");
    assert_eq!(refused_report(|m| m.normalisation[0].band = "\u{1b}[2J".to_owned()), "band");
    assert_eq!(refused_report(|m| m.initial.as_mut().unwrap().file = "a\u{202e}b".to_owned()), "file");
    assert_eq!(refused_report(|m| m.normalisation[0].std = 0.0), "std");
    assert_eq!(refused_report(|m| m.normalisation = vec![m.normalisation[0].clone(); 65]), "normalisation");
    assert_eq!(refused_report(|m| m.imagery.as_mut().unwrap().height = 0), "imagery");
    assert_eq!(refused_report(|m| m.imagery.as_mut().unwrap().width = u32::MAX), "imagery");
    let nowhere =
        |m: &mut v1::TrainingReport| m.imagery.as_mut().unwrap().ground_sampling_distance = Some(f64::NAN);
    assert_eq!(refused_report(nowhere), "imagery");
    let negative = |m: &mut v1::TrainingReport| m.spent.as_mut().unwrap().writing_seconds = -1.0;
    assert_eq!(refused_report(negative), "spent");
    let endless = |m: &mut v1::TrainingReport| m.spent.as_mut().unwrap().training_seconds = f64::INFINITY;
    assert_eq!(refused_report(endless), "spent");
    assert_eq!(refused_report(|m| m.energy.as_mut().unwrap().source = 0), "energy.source");
    assert_eq!(refused_report(|m| m.energy.as_mut().unwrap().source = 99), "energy.source");
    assert_eq!(refused_report(|m| m.energy.as_mut().unwrap().kwh = -1.0), "energy.kwh");
}

#[test]
fn long_refusals_are_cut_between_characters() {
    let long = Refusal::new(Reason::Policy, "é".repeat(MAX_TEXT));
    let message = long.into_message();
    assert!(message.message.len() <= MAX_TEXT && message.message.chars().all(|c| c == 'é'));
    let odd = v1::Refusal { reason: "POLICY".to_owned(), message: "no\n\u{1b}[2J".to_owned() };
    assert_eq!(Refusal::from_message(odd).unwrap().message, "no\\n\\u{1b}[2J");
    assert!(Refusal::from_message(message).is_ok());
}
