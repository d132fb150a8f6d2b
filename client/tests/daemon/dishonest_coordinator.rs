//! A coordinator that lies: its assignments ask for more than the site policy allows, or for what no honest
//! coordinator asks for.

use std::sync::Arc;
use std::time::Duration;

use eosfed_client::daemon::DiskSpace;
use eosfed_client::policy::GivenApproval;
use eosfed_common::assignment::{Assignment, BlobRef, TrainingWork, Work};
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::model::ModelSpec;
use eosfed_common::plan::JobKind;
use eosfed_common::training_target::TrainingTarget;
use eosfed_proto::v1;
use eosfed_testkit::cards::classifier;
use eosfed_testkit::{assignments, signing};

use crate::fake::{Lie, release_of};
use crate::good;
use crate::warm_start::warm;
use crate::world::{FINISHED, POLICY, STARTED, WEIGHTS, World, until};

/// Waits until an offer is declined, and returns the refusal's reason and message. Nothing was accepted.
pub(crate) async fn declined(world: &World) -> (String, String) {
    let (cancel, task) = world.start();
    until(|| !world.fake.get().refusals.is_empty()).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    let inner = world.fake.get();
    assert!(inner.tokens.is_empty() && inner.updates.is_empty(), "nothing was accepted");
    (inner.refusals[0].reason.clone(), inner.refusals[0].message.clone())
}

pub(crate) fn changed(kind: JobKind, change: impl FnOnce(&mut TrainingWork)) -> Assignment {
    let mut assignment = assignments::training(kind);
    let Work::Training(work) = &mut assignment.work else { unreachable!() };
    change(work);
    assignment
}

pub(crate) async fn refusal_of(assignment: Assignment, policy: &str) -> (String, String) {
    let world = World::new(assignment, &good()).await;
    world.set_policy(policy);
    declined(&world).await
}

pub(crate) fn base() -> BlobRef {
    let bytes = std::fs::read(&WEIGHTS.1).unwrap();
    BlobRef { digest: Digest::of(&bytes), size: bytes.len() as u64 }
}

#[tokio::test]
async fn one_step_on_few_samples_is_refused_without_saying_how_many_there_are() {
    // The attack: one epoch, a learning rate of 1, no clipping, one step over everything.
    let step = |work: &mut TrainingWork| {
        work.settings.epochs = 1;
        work.settings.batch_size = 4096;
        work.settings.learning_rate = 1.0;
        work.settings.clip_norm = 0.0;
    };
    let defaults = POLICY.replace("min_samples = 1\nmin_steps = 1\n", "");
    let (reason, said) = refusal_of(changed(JobKind::OneShot, step), &defaults).await;
    assert_eq!(reason, "POLICY");
    assert!(said.contains("`min_samples` is 50") && said.contains("`min_steps` is 20"), "{said}");
    // The data set of these tests has 18 samples for training.
    assert!(!said.contains("18"), "{said}");
    let enough_samples = defaults.replace("[allow]", "min_samples = 1\n[allow]");
    let (_, said) = refusal_of(changed(JobKind::Rounds, step), &enough_samples).await;
    assert!(said.contains("`min_steps` is 20") && !said.contains("min_samples"), "{said}");
}

#[tokio::test]
async fn rounds_without_a_strategy_are_refused() {
    for kind in [JobKind::Rounds, JobKind::Downstream] {
        let policy = POLICY.replace("\"rounds\"", "\"rounds\", \"downstream\"");
        let (reason, said) = refusal_of(changed(kind, |work| work.strategy = None), &policy).await;
        assert!(reason == "INCOMPATIBLE" && said.contains("no work of this kind"), "{reason}: {said}");
    }
}

#[tokio::test]
async fn what_plans_may_not_ask_for_coordinators_may_not_either() {
    type Change = fn(&mut TrainingWork);
    let cases: [(&str, Change); 6] = [
        ("training.input_size", |work| work.settings.input_size = Some(65_536)),
        ("training.crop", |work| work.settings.crop = Some(1 << 20)),
        ("training.epochs", |work| work.settings.epochs = 0),
        ("training.batch_size", |work| work.settings.batch_size = u32::MAX),
        ("training.accumulate", |work| work.settings.accumulate = 0),
        ("training.learning_rate", |work| work.settings.learning_rate = -1.0),
    ];
    for (key, change) in cases {
        let (reason, said) = refusal_of(changed(JobKind::OneShot, change), POLICY).await;
        assert!(reason == "INCOMPATIBLE" && said.contains(key), "{key}: {reason}: {said}");
    }
}

#[tokio::test]
async fn weights_larger_than_their_network_are_not_fetched() {
    let huge = BlobRef { size: 1 << 40, ..base() };
    let policy = format!("{POLICY}warm_start = true\n");
    let warm = changed(JobKind::OneShot, |work| work.base = Some(huge));
    for assignment in [warm, assignments::evaluation(huge)] {
        let (reason, said) = refusal_of(assignment, &policy).await;
        assert!(reason == "INCOMPATIBLE" && said.contains("found `1099511627776`"), "{reason}: {said}");
    }
}

#[tokio::test]
async fn an_assignment_that_was_changed_after_it_was_signed_is_refused() {
    type Change = fn(&mut v1::Assignment);
    fn work(message: &mut v1::Assignment) -> &mut v1::TrainingWork {
        let Some(v1::assignment::Work::Training(work)) = &mut message.work else { unreachable!() };
        work
    }
    let changes: [(&str, Change); 6] = [
        ("settings", |message| work(message).settings.as_mut().unwrap().learning_rate = 0.5),
        ("seed", |message| work(message).seed += 1),
        ("institutions", |message| message.min_institutions = 100),
        ("round", |message| message.id = message.id.replace(".0.1.", ".1.1.")),
        ("deadline", |message| message.deadline -= 1),
        ("signature", |message| message.signature.clear()),
    ];
    for (what, change) in changes {
        let world = World::new(assignments::training(JobKind::OneShot), &good()).await;
        world.fake.get().lie = Some(Lie(Box::new(change)));
        let (reason, said) = declined(&world).await;
        assert_eq!(reason, "NOT_SIGNED", "{what}: {said}");
        assert!(said.starts_with("the assignment is not signed as it must be"), "{what}: {said}");
    }
    // The state of the lease is no part of it.
    let world = World::new(assignments::training(JobKind::OneShot), &good()).await;
    world.fake.get().lie = Some(Lie(Box::new(|message| message.accepted = true)));
    world.run().await;
    assert_eq!(world.fake.get().updates.len(), 1);
}

/// The coordinator may have another key than when it was greeted, so it is asked before an offer is declined; once.
#[tokio::test]
async fn a_coordinator_whose_offer_has_an_unknown_signature_is_greeted_again_first() {
    let world = World::new(assignments::training(JobKind::OneShot), &good()).await;
    let offer = world.fake.get().assignment.take();
    let (cancel, task) = world.start();
    until(|| world.fake.get().greetings == 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    {
        let mut inner = world.fake.get();
        inner.signer = Some(signing::institution("thief"));
        inner.assignment = offer;
    }
    until(|| !world.fake.get().refusals.is_empty()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    let inner = world.fake.get();
    assert_eq!((inner.refusals[0].reason.as_str(), inner.greetings), ("NOT_SIGNED", 2));
}

#[tokio::test]
async fn an_assignment_of_another_key_is_refused() {
    let world = World::new(assignments::training(JobKind::OneShot), &good()).await;
    world.fake.get().signer = Some(signing::institution("thief"));
    let (reason, said) = declined(&world).await;
    assert!(reason == "NOT_SIGNED" && said.contains("it is signed with the key"), "{reason}: {said}");
}

#[tokio::test]
async fn a_head_over_an_unsigned_release_is_refused() {
    let world = World::new(assignments::training(JobKind::Downstream), &good()).await;
    world.fake.get().unsigned_heads = true;
    let (reason, said) = declined(&world).await;
    assert!(reason == "NOT_SIGNED" && said.contains("release 1 is not signed"), "{reason}: {said}");
}

struct Full;

impl DiskSpace for Full {
    fn free(&self, _: &std::path::Path) -> u64 {
        1000
    }
}

#[tokio::test]
async fn a_download_waits_for_space_before_its_first_byte() {
    let world = warm(base(), release_of(base(), signing::coordinator().key())).await;
    let bytes = std::fs::read(&WEIGHTS.1).unwrap();
    world.fake.get().blobs.insert(base().digest.to_string(), bytes);
    let (cancel, task) = world.start_with(|parts| parts.disk = Arc::new(Full));
    until(|| world.state().name() == "fetching" && world.state().wait().is_some()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    let folder = world.site().work();
    let written = std::fs::read_dir(folder).unwrap().flatten().any(|entry| {
        std::fs::read_dir(entry.path())
            .unwrap()
            .flatten()
            .any(|file| file.metadata().unwrap().len() > 1_000_000)
    });
    assert!(!written, "nothing of it was fetched");
}

#[tokio::test]
async fn a_data_set_that_has_become_smaller_is_noticed_when_the_trainer_starts() {
    // The data set has 18 samples for training; this trainer finds 9.
    let world = World::new(assignments::training(JobKind::OneShot), &good()).await;
    world.set_policy(&POLICY.replace("min_samples = 1", "min_samples = 12"));
    world.run().await;
    let inner = world.fake.get();
    assert!(inner.updates.is_empty() && inner.blobs.is_empty() && inner.tokens.len() == 1);
    assert!(inner.refusals[0].message.contains("`min_samples` is 12"), "{:?}", inner.refusals);
}

fn without(word: &str) -> String {
    let list = format!(", \"{word}\"");
    assert!(POLICY.contains(&list));
    POLICY.replace(&list, "")
}

const REASON_ONLY: &str = "the site policy lets only the reason leave";

#[tokio::test]
async fn what_does_not_fit_the_data_set_is_not_described_without_the_word() {
    let model = ModelSpec { classes: vec!["x".to_owned(), "y".to_owned()], ..classifier() };
    let training_target = TrainingTarget::Specialist(model);
    for (policy, described) in [(POLICY.to_owned(), true), (without("failures"), false)] {
        let training_target = training_target.clone();
        let assignment = Assignment { training_target, ..assignments::training(JobKind::OneShot) };
        let (reason, said) = refusal_of(assignment, &policy).await;
        assert_eq!((reason.as_str(), said.contains("classes")), ("DATA_UNFIT", described), "{said}");
        assert_eq!(said.starts_with(REASON_ONLY), !described, "{said}");
    }
}

#[tokio::test]
async fn a_failure_is_not_described_without_the_word() {
    let failed = r#"echo '{"event":"failed","reason":"secret-village.tif: 3 bands"}'; exit 1"#;
    for script in [format!("{STARTED}\n{failed}"), "echo secret-village >&2; exit 9".to_owned()] {
        let world = World::new(assignments::training(JobKind::OneShot), &script).await;
        world.set_policy(&without("failures"));
        world.run().await;
        let inner = world.fake.get();
        assert!(
            inner.failures[0].starts_with(REASON_ONLY) && inner.failures.len() == 1,
            "{:?}",
            inner.failures
        );
    }
}

#[tokio::test]
async fn what_a_trainer_prints_never_leaves() {
    for print in ["echo secret-village >&2", "echo secret-village"] {
        let script = format!("{print}; exit 9");
        let world = World::new(assignments::training(JobKind::OneShot), &script).await;
        world.run().await;
        let inner = world.fake.get();
        assert!(
            !inner.failures[0].contains("secret") && inner.failures[0].contains("3 times"),
            "{:?}",
            inner.failures
        );
    }
}

#[tokio::test]
async fn energy_and_tiles_leave_with_their_word_only() {
    let rich = FINISHED.replace(
        r#""kwh":0.0,"source":"unavailable"}"#,
        r#""kwh":0.5,"source":"measured"},"imagery":{"tile":[8,9]}"#,
    );
    assert_ne!(rich, FINISHED);
    for (policy, leaves) in [(POLICY.to_owned(), true), (without("provenance"), false)] {
        let world = World::new(assignments::training(JobKind::OneShot), &format!("{STARTED}{rich}")).await;
        world.set_policy(&policy);
        world.run().await;
        let inner = world.fake.get();
        let report = inner.updates.values().next().unwrap().report.clone().unwrap();
        let told = (report.energy.unwrap().kwh, report.imagery.map_or(0, |imagery| imagery.width));
        assert_eq!(told, if leaves { (0.5, 9) } else { (0.0, 0) });
    }
}

#[tokio::test]
async fn steps_leave_with_metrics_only() {
    for (policy, leaves) in [(POLICY.to_owned(), true), (without("metrics"), false)] {
        let world = World::new(assignments::training(JobKind::OneShot), &good()).await;
        world.set_policy(&policy);
        world.run().await;
        let told = world.fake.get().steps.iter().any(|(_, steps)| *steps > 0);
        assert_eq!(told, leaves);
    }
}

/// Approves the terms that the daemon has noted, for so many rounds.
fn approve(world: &World, rounds: u32) {
    let job = assignments::statistics().id.job;
    let terms = world.site().offer(&job).unwrap().expect("an offer is noted").digest();
    let given =
        GivenApproval { terms, rounds, until: Timestamp(u64::MAX), by: "ada".to_owned(), at: Timestamp(0) };
    world.site().approve(&given).unwrap();
}

fn round(number: u32, change: impl FnOnce(&mut TrainingWork)) -> Assignment {
    let mut assignment = changed(JobKind::Rounds, change);
    assignment.id.round = number;
    assignment
}

#[tokio::test]
async fn an_approval_covers_its_rounds_and_no_changed_terms() {
    let world = World::new(round(0, |_| {}), &good()).await;
    world.set_policy(&POLICY.replace("\"automatic\"", "\"manual\""));
    let (cancel, task) = world.start_with(|parts| parts.once = false);
    let job = assignments::statistics().id.job;
    until(|| world.site().offer(&job).unwrap().is_some()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(world.fake.get().tokens.is_empty(), "it waits for a person");
    approve(&world, 2);
    until(|| world.fake.get().updates.len() == 1).await;
    world.fake.get().assignment = Some(round(1000, |_| {}));
    until(|| world.fake.get().updates.len() == 2).await;
    // The two rounds are used up.
    world.fake.get().assignment = Some(round(2000, |_| {}));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.fake.get().updates.len(), 2);
    approve(&world, 100);
    until(|| world.fake.get().updates.len() == 3).await;
    // Other terms under the same job.
    world.fake.get().assignment = Some(round(2001, |work| work.settings.learning_rate = 1.0));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.fake.get().updates.len(), 3);
    assert!(world.fake.get().refusals.is_empty());
    approve(&world, 1);
    until(|| world.fake.get().updates.len() == 4).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
}
