//! What the wire accepts in an assignment, a plan may say: the rules are declared once.

use eosfed_common::assignment::{Assignment, BlobRef, EvaluationWork, Offered, TrainingWork, Work};
use eosfed_common::model::ModelSpec;
use eosfed_common::plan::{JobKind, JobSpec, Precision, Training};
use eosfed_common::training_target::TrainingTarget;
use eosfed_testkit::assignments::{bands, blob, evaluation, offered, training};
use eosfed_testkit::cards::classifier;
use eosfed_testkit::plans::ONE_SHOT;
use proptest::prelude::*;

use super::Wire;

/// Values inside and outside of what plans allow.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![-2.0..2.0_f64, 0.0..1.0_f64, Just(0.0), Just(f64::NAN), Just(1e300)]
}

fn count() -> impl Strategy<Value = u32> {
    prop_oneof![0..5_u32, 1..20_000_u32, any::<u32>()]
}

fn side() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![Just(None), (1..40_u32).prop_map(|tens| Some(tens * 32)), (1..2000_u32).prop_map(Some)]
}

prop_compose! {
    fn settings()(
        (epochs, batch_size, accumulate) in (count(), count(), count()),
        (learning_rate, weight_decay, warmup) in (number(), number(), number()),
        (drop_path, label_smoothing, clip_norm) in (number(), number(), number()),
        (input_size, crop) in (side(), side()),
        (head_dropout, mixup, cutmix) in (number(), number(), number()),
        (ema, layer_decay) in (number(), number()),
        (antialias, score_average) in (any::<bool>(), any::<bool>()),
    ) -> Training {
        Training {
            accumulate, weight_decay, warmup, drop_path, label_smoothing, clip_norm, input_size, crop,
            head_dropout, mixup, cutmix, ema, layer_decay, antialias, score_average,
            precision: Precision::Full,
            ..Training::new(epochs, batch_size, learning_rate)
        }
    }
}

/// The assignment as it arrives, if it does.
fn sent(assignment: Assignment) -> Option<Assignment<Offered>> {
    let message = offered(assignment, blob());
    Assignment::from_message(message.into_message()).ok()
}

fn of(settings: Training) -> Assignment {
    let Work::Training(work) = training(JobKind::OneShot).work else { unreachable!() };
    let work = TrainingWork { settings, ..*work };
    Assignment { work: Work::Training(Box::new(work)), ..training(JobKind::OneShot) }
}

fn as_plan(settings: &Training) -> bool {
    let mut plan: toml::Table = ONE_SHOT.parse().unwrap();
    plan.insert("training".to_owned(), toml::Value::try_from(settings).unwrap());
    JobSpec::parse(&plan.to_string()).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn settings_that_arrive_are_those_that_a_plan_may_have(settings in settings()) {
        let arrives = sent(of(settings.clone())).is_some();
        let has_numbers = [settings.learning_rate, settings.weight_decay, settings.clip_norm]
            .into_iter()
            .chain([settings.warmup, settings.drop_path, settings.label_smoothing])
            .chain([settings.head_dropout, settings.mixup, settings.cutmix])
            .chain([settings.ema, settings.layer_decay])
            .all(f64::is_finite);
        prop_assert_eq!(arrives, has_numbers && as_plan(&settings), "{:?}", settings);
    }
}

#[test]
fn settings_of_plans_arrive() {
    // A property that only ever refuses would hold too.
    assert!(sent(of(Training::new(10_000, 4096, 1.0))).is_some() && as_plan(&Training::new(1, 1, 0.1)));
}

#[test]
fn networks_that_no_plan_may_name_are_refused() {
    let with = |change: fn(&mut ModelSpec)| {
        let mut model = classifier();
        change(&mut model);
        let assignment = training(JobKind::OneShot);
        sent(Assignment { training_target: TrainingTarget::Specialist(model), ..assignment })
    };
    assert!(with(|_| {}).is_some());
    for change in [
        (|model| model.bands.clear()) as fn(&mut ModelSpec),
        |model| model.bands = vec!["red".to_owned(), "red".to_owned()],
        |model| model.classes.truncate(1),
        |model| model.classes = vec!["a".to_owned(), "a".to_owned()],
    ] {
        assert!(with(change).is_none());
    }
    assert!(sent(bands(&[])).is_none());
    let Work::Evaluation(work) = evaluation(BlobRef::of(b"w")).work else { unreachable!() };
    let huge = EvaluationWork { input_size: Some(65_536), ..*work };
    let work = Work::Evaluation(Box::new(huge));
    assert!(sent(Assignment { work, ..evaluation(BlobRef::of(b"w")) }).is_none());
}
