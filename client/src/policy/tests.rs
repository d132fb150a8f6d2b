use super::*;
use crate::testing::{head, permissive, statistics, training};

#[test]
fn the_sample_allows_nothing_and_every_key_objects() {
    let policy: Policy = toml::from_str(SAMPLE).unwrap();
    assert_eq!(policy, toml::from_str("").unwrap(), "the sample spells out the defaults");
    let Decision::Refuse(refusal) = decide(&policy, &training(JobKind::Rounds), true, Timestamp(0)) else {
        panic!("the sample must refuse")
    };
    assert_eq!(refusal.reason, Reason::Policy);
    for key in ["job_kinds", "tasks", "backbones", "strategies", "may_leave"] {
        assert!(refusal.message.contains(key), "{key}: {}", refusal.message);
    }
}

#[test]
fn unknown_words_are_refused() {
    for bad in [
        "may_leave = [\"imagery\"]",
        "may_live = []",
        "hours = \"late\"",
        "max_gpu_memory_percent = 0",
        "max_gpu_memory_percent = 101",
        "[allow]\nmode = []",
        "[allow]\nstrategies = [\"fed-up\"]",
    ] {
        assert!(toml::from_str::<Policy>(bad).is_err(), "{bad}");
    }
}

#[test]
fn each_rule_alone_refuses() {
    type Change = fn(&mut Policy);
    let cases: [(&str, Change); 9] = [
        ("job_kinds", |p| p.allow.job_kinds.clear()),
        ("job_kinds", |p| p.allow.job_kinds = vec![JobKind::OneShot]),
        ("tasks", |p| p.allow.tasks = vec![Task::Segmentation]),
        ("backbones", |p| p.allow.backbones = vec![Backbone::Base]),
        ("strategies", |p| p.allow.strategies = vec![StrategyName::FedProx]),
        ("may_leave", |p| p.may_leave = vec![Egress::FrozenWeights, Egress::Statistics]),
        ("min_institutions", |p| p.min_institutions = 3),
        ("max_epochs", |p| p.max_epochs = 0),
        ("may_leave", |p| p.may_leave.clear()),
    ];
    assert_eq!(decide(&permissive(), &training(JobKind::Rounds), false, Timestamp(0)), Decision::Accept);
    for (key, change) in cases {
        let mut policy = permissive();
        change(&mut policy);
        let found = objections(&policy, &training(JobKind::Rounds));
        assert!(found.len() == 1 && found[0].contains(key), "{key}: {found:?}");
    }
}

#[test]
fn a_head_needs_its_own_kind_of_job_and_each_backbone_under_it() {
    let mut policy = permissive();
    let assignment = head();
    policy.allow.job_kinds = vec![JobKind::OneShot, JobKind::Rounds];
    let found = objections(&policy, &assignment);
    assert!(found.len() == 1 && found[0].contains("lacks `downstream`"), "{found:?}");
    policy.allow.job_kinds = vec![JobKind::Downstream];
    assert_eq!(objections(&policy, &assignment), Vec::<String>::new());
    policy.allow.backbones = vec![Backbone::Base];
    let found = objections(&policy, &assignment);
    assert!(found.len() == 1 && found[0].contains("convnextv2_atto"), "{found:?}");
}

#[test]
fn one_shot_and_statistics_are_allowed_separately() {
    let mut policy = permissive();
    policy.min_institutions = 2;
    policy.may_leave = vec![Egress::Updates];
    assert!(objections(&policy, &training(JobKind::OneShot))[0].contains("frozen_weights"));
    assert!(objections(&policy, &statistics())[0].contains("statistics"));
    policy.may_leave = vec![Egress::FrozenWeights];
    assert_eq!(
        objections(&policy, &training(JobKind::OneShot)),
        Vec::<String>::new(),
        "one-shot combines nothing"
    );
}

#[test]
fn training_together_needs_a_known_strategy_and_training_alone_none() {
    let with = |kind, strategy| {
        let mut assignment = training(kind);
        let Work::Training(work) = &mut assignment.work else { unreachable!() };
        work.strategy = strategy;
        assignment
    };
    let mut policy = permissive();
    policy.allow.job_kinds.push(JobKind::Downstream);
    for kind in [JobKind::Rounds, JobKind::Downstream] {
        let found = objections(&policy, &with(kind, None));
        assert!(found.len() == 1 && found[0].contains("must name its strategy, found none"), "{found:?}");
    }
    let found = objections(&policy, &with(JobKind::OneShot, Some(StrategyName::FedAvg)));
    assert!(found.len() == 1 && found[0].contains("has no strategy, found `fed-avg`"), "{found:?}");
}

#[test]
fn strategies_that_publish_one_update_are_allowed_by_name_only() {
    for strategy in [StrategyName::Krum, StrategyName::MultiKrum] {
        let mut assignment = training(JobKind::Rounds);
        let Work::Training(work) = &mut assignment.work else { unreachable!() };
        work.strategy = Some(strategy);
        let mut policy = permissive();
        policy.allow.strategies = vec![strategy];
        let found = objections(&policy, &assignment);
        assert!(found.len() == 1 && found[0].contains("allow.individual_updates"), "{found:?}");
        policy.allow.individual_updates = true;
        assert_eq!(objections(&policy, &assignment), Vec::<String>::new());
        let alone = Policy {
            min_institutions: 1,
            allow: Allow { individual_updates: false, ..policy.allow },
            ..permissive()
        };
        assert_eq!(objections(&alone, &assignment), Vec::<String>::new(), "one institution is enough");
    }
}

#[test]
fn rounds_that_bring_no_normalisation_need_the_word_for_statistics() {
    let mut assignment = training(JobKind::Rounds);
    let Work::Training(work) = &mut assignment.work else { unreachable!() };
    work.normalisation = None;
    let mut policy = permissive();
    assert_eq!(objections(&policy, &assignment), Vec::<String>::new());
    policy.may_leave.retain(|what| *what != Egress::Statistics);
    let found = objections(&policy, &assignment);
    assert!(found.len() == 1 && found[0].contains("brings no normalisation"), "{found:?}");
}

#[test]
fn statistics_of_few_institutions_are_refused_in_every_kind_of_job() {
    let alone = Assignment { min_institutions: 1, kind: JobKind::OneShot, ..statistics() };
    assert!(objections(&permissive(), &alone)[0].contains("min_institutions"));
}

#[test]
fn work_has_at_least_so_many_samples_and_steps() {
    let policy = Policy { min_samples: 50, min_steps: 20, ..permissive() };
    let rules = |work: &Work, samples| objections_to_amount(&policy, work, samples).len();
    // Two epochs of batches of four: 39 samples are 20 steps, and so are 40.
    let work = training(JobKind::OneShot).work;
    for (samples, objections) in [(0, 2), (36, 2), (37, 1), (49, 1), (50, 0), (u64::MAX, 0)] {
        assert_eq!(rules(&work, samples), objections, "{samples}");
    }
    assert_eq!((rules(&Work::Statistics, 49), rules(&Work::Statistics, 50)), (1, 0));
    let scored = eosfed_testkit::assignments::evaluation(eosfed_testkit::assignments::blob()).work;
    assert_eq!(rules(&scored, 1), 0, "an evaluation reads the validation part");
}

#[test]
fn work_waits_for_approval_and_for_the_hours() {
    let mut policy = permissive();
    policy.approval = Approval::Manual;
    let work = training(JobKind::OneShot);
    let Decision::Wait(why) = decide(&policy, &work, false, Timestamp(0)) else { panic!("must wait") };
    assert!(why.contains("eosfed-client approve j-0a1b2c3d"), "{why}");
    assert_eq!(decide(&policy, &work, true, Timestamp(0)), Decision::Accept);
    policy.hours = Some("01:00-02:00".parse().unwrap());
    assert!(matches!(decide(&policy, &work, true, Timestamp(0)), Decision::Wait(_)));
    assert_eq!(decide(&policy, &work, true, Timestamp(3_600_000)), Decision::Accept);
}

#[test]
fn a_policy_is_explained_in_words() {
    let text = explain(&toml::from_str(SAMPLE).unwrap()).join("\n");
    assert!(text.contains("never leave") && text.contains("backbones: none"), "{text}");
    assert!(text.contains("losses and scores are dropped"), "{text}");
    assert!(explain(&permissive()).join("\n").contains("convnextv2_atto"));
}
