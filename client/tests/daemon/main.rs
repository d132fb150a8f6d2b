//! The daemon against a coordinator behind TLS and a training program of a few lines of shell.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod average;
mod budgets;
mod conditions;
mod data_sets;
mod dishonest_coordinator;
mod fake;
mod heads;
mod policy;
mod privacy;
mod proxy;
mod renewal;
mod share_policy;
mod site_log;
mod state_data;
mod warm_start;
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use eosfed_client::state::State;
use eosfed_common::assignment::{Assignment, BlobRef, Work};
use eosfed_common::digest::Digest;
use eosfed_common::files;
use eosfed_common::model::ModelSpec;
use eosfed_common::plan::JobKind;
use eosfed_common::training_target::TrainingTarget;
use eosfed_proto::v1;
use eosfed_testkit::assignments;
use eosfed_testkit::cards::classifier;
use eosfed_transport::protocol::PROTOCOL;
use world::{
    FINISHED, POLICY, STARTED, WEIGHTS, World, finished_from_a_file, imagery, statistics, training, until,
};

pub(crate) fn good() -> String {
    format!("{STARTED}{FINISHED}")
}

/// A trainer that waits for a file `go` beside it before it finishes.
pub(crate) fn patient() -> String {
    format!("{STARTED}\nuntil [ -e \"$(dirname \"$0\")/go\" ]; do sleep 0.05; done\n{FINISHED}")
}

#[tokio::test]
async fn one_shot_training_is_submitted() {
    let world = World::new(training(), &good()).await;
    world.run().await;
    let inner = world.fake.get();
    let update = inner.updates.values().next().unwrap();
    let report = update.report.as_ref().unwrap();
    assert_eq!((inner.updates.len(), report.samples, report.metrics.len()), (1, 9, 1));
    let digest = files::digest(&WEIGHTS.1).unwrap().to_string();
    assert_eq!(update.weights.as_ref().unwrap().digest, digest);
    assert!(report.initial.is_none() && inner.beats > 0);
    // A point whose answer was lost comes again; its step tells.
    let steps: BTreeSet<u64> = inner.points.iter().map(|point| point.step).collect();
    assert_eq!(steps, [2, 4].into());
    let sent = world.site().sent().unwrap();
    assert!(sent.weights > 13_000_000 && sent.metrics > 0 && sent.control > 0, "{sent:?}");
}

/// What a round costs is in the number of calls: an acceptance renews the lease for all that follows, the update brings the
/// curve, and who was greeted is not greeted again. Earlier coordinators get the curve with a heartbeat.
#[tokio::test]
async fn a_round_takes_no_heartbeat_and_no_greeting() {
    for (earlier, beats) in [(false, 0), (true, 4)] {
        four_rounds(earlier, beats).await;
    }
}

async fn four_rounds(earlier: bool, beats: usize) {
    let world = World::new(training(), &good()).await;
    world.fake.get().earlier = earlier;
    let (cancel, task) = world.start_with(|parts| {
        parts.once = false;
        parts.intervals.heartbeat = Duration::from_secs(3600);
    });
    for rounds in 1..=3 {
        until(|| world.fake.get().updates.len() == rounds).await;
        let mut next = training();
        next.id.round = rounds as u32;
        world.fake.get().assignment = Some(next);
    }
    until(|| world.fake.get().updates.len() == 4).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    let inner = world.fake.get();
    assert_eq!((inner.greetings, inner.beats), (1, beats));
    let steps: Vec<u64> = inner.points.iter().map(|point| point.step).collect();
    assert_eq!(steps, [2, 4].repeat(4));
}

/// Who could not be reached may be another program since, or have another key.
#[tokio::test]
async fn a_coordinator_that_was_away_is_greeted_again() {
    let world = World::new(training(), &patient()).await;
    let (cancel, task) = world.start_with(|parts| parts.once = false);
    until(|| world.state().name() == "training").await;
    world.fake.get().down = true;
    std::fs::write(world.path("go"), "").unwrap();
    until(|| world.state().name() == "submitting").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(world.fake.get().greetings, 1);
    world.fake.get().down = false;
    until(|| world.fake.get().greetings == 2).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    assert_eq!(world.fake.get().updates.len(), 1);
}

#[tokio::test]
async fn the_file_that_training_started_from_is_named_and_does_not_leave() {
    let digest = Digest::of(b"what timm published").to_string();
    let world = World::new(training(), &format!("{STARTED}{}", finished_from_a_file(&digest))).await;
    world.run().await;
    let inner = world.fake.get();
    let report = inner.updates.values().next().unwrap().report.as_ref().unwrap();
    let initial = report.initial.as_ref().unwrap();
    assert_eq!((initial.file.as_str(), &initial.digest), ("atto.safetensors", &digest));
    assert!(!inner.blobs.contains_key(&digest));
}

#[tokio::test]
async fn metrics_stay_when_the_policy_does_not_allow_them() {
    let world = World::new(training(), &good()).await;
    let policy = POLICY.replace("\"metrics\", ", "");
    world.site().write("policy.toml", policy.as_bytes()).unwrap();
    world.run().await;
    let inner = world.fake.get();
    let silent = |update: &v1::SubmitUpdateRequest| update.report.as_ref().unwrap().metrics.is_empty();
    assert!(inner.updates.values().all(silent) && inner.updates.len() == 1);
    assert_eq!(inner.points, []);
}

#[tokio::test]
async fn statistics_are_those_of_the_training_part() {
    let world = World::new(statistics(), "exit 1").await;
    world.run().await;
    let inner = world.fake.get();
    let bands = &inner.statistics[0].bands;
    assert_eq!((inner.statistics.len(), bands.len(), bands[0].band.as_str()), (1, 1, "red"));
    assert!(bands[0].count % 1024 == 0 && bands[0].count < 24 * 1024, "{bands:?}");
    assert!(bands[0].mean > 5.0 && bands[0].m2 > 0.0, "{bands:?}");
}

#[tokio::test]
async fn what_the_policy_forbids_is_declined() {
    let world = World::new(training(), &good()).await;
    world.site().write("policy.toml", eosfed_client::policy::SAMPLE.as_bytes()).unwrap();
    let (cancel, task) = world.start();
    until(|| !world.fake.get().refusals.is_empty()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    let inner = world.fake.get();
    assert_eq!((inner.refusals.len(), inner.refusals[0].reason.as_str()), (1, "POLICY"));
    assert!(inner.tokens.is_empty(), "nothing was accepted");
}

#[tokio::test]
async fn imagery_of_other_classes_is_declined() {
    let model = ModelSpec { classes: vec!["b".to_owned(), "a".to_owned()], ..classifier() };
    let assignment = Assignment { training_target: TrainingTarget::Specialist(model), ..training() };
    let world = World::new(assignment, &good()).await;
    let (cancel, task) = world.start();
    until(|| !world.fake.get().refusals.is_empty()).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    let inner = world.fake.get();
    assert_eq!(inner.refusals[0].reason, "DATA_UNFIT");
    assert!(inner.refusals[0].message.contains("in this order"), "{:?}", inner.refusals);
}

#[tokio::test]
async fn a_head_is_fetched_and_read_before_the_policy_decides() {
    for (bad_head, reason, words) in
        [(false, "POLICY", "downstream"), (true, "INCOMPATIBLE", "missing field")]
    {
        // The policy of these tests does not allow the kind.
        let world = World::new(assignments::training(JobKind::Downstream), &good()).await;
        world.fake.get().bad_head = bad_head;
        let (cancel, task) = world.start();
        until(|| !world.fake.get().refusals.is_empty()).await;
        cancel.cancel();
        task.await.unwrap().unwrap();
        let inner = world.fake.get();
        assert_eq!(inner.refusals[0].reason, reason);
        assert!(inner.refusals[0].message.contains(words), "{:?}", inner.refusals);
    }
}

#[tokio::test]
async fn a_crash_in_any_phase_leads_to_one_update() {
    let mut assignment = training();
    let base = std::fs::read(&WEIGHTS.1).unwrap();
    let blob = BlobRef { digest: Digest::of(&base), size: base.len() as u64 };
    let Work::Training(work) = &mut assignment.work else { unreachable!() };
    work.base = Some(blob);
    let world = World::new(assignment, &patient()).await;
    world.set_policy(&format!("{POLICY}warm_start = true\n"));
    {
        let mut inner = world.fake.get();
        inner.blobs.insert(blob.digest.to_string(), base);
        (inner.hold_downloads, inner.lose_answers) = (true, true);
    }
    world.crash_in("fetching").await;
    world.fake.get().hold_downloads = false;
    world.crash_when(|| matches!(world.state(), State::Training { process: Some(_), .. })).await;
    let State::Training { process: Some(process), .. } = world.state() else { panic!("a trainer runs") };
    std::fs::write(world.path("go"), "").unwrap();
    world.crash_when(|| !world.fake.get().updates.is_empty()).await;
    assert_eq!(world.state().name(), "submitting");
    assert!(!std::path::Path::new(&format!("/proc/{}/fd/1", process.pid)).exists(), "the old one is gone");
    assert_eq!(world.fake.get().updates.len(), 1, "recorded, though the answer was lost");
    world.fake.get().lose_answers = false;
    world.run().await;
    assert_eq!(world.fake.get().updates.len(), 1);
    assert_eq!(world.fake.get().tokens.len(), 1, "one lease was enough");
}

/// A world that offers an evaluation, with a trainer that scores the frozen specialist.
pub(crate) async fn evaluation() -> World {
    let weights = std::fs::read(&WEIGHTS.1).unwrap();
    let blob = BlobRef { digest: Digest::of(&weights), size: weights.len() as u64 };
    // It is called to evaluate, and the weights are where the task says.
    let script = format!(
        "{STARTED}[ \"$1\" = evaluate ] && grep -q base.safetensors \"$2\" && [ -s \"$out/base.safetensors\" ] || exit 9\n{}",
        r#"echo '{"event":"scored","report":{"samples":3,"metrics":{"accuracy":0.8},"energy":{"kwh":0.0,"source":"unavailable"}}}'"#
    );
    let world = World::new(assignments::evaluation(blob), &script).await;
    world.set_policy(&evaluating(POLICY));
    world.fake.get().blobs.insert(blob.digest.to_string(), weights);
    world
}

/// A policy that allows evaluations in the place of trainings.
pub(crate) fn evaluating(policy: &str) -> String {
    policy.replace("job_kinds = [\"one-shot\", \"rounds\"]", "job_kinds = [\"evaluation\"]")
}

#[tokio::test]
async fn a_frozen_specialist_is_fetched_and_scored() {
    let world = evaluation().await;
    world.run().await;
    let inner = world.fake.get();
    assert_eq!((inner.scores.len(), inner.updates.len()), (1, 0));
    let report = inner.scores[0].report.as_ref().unwrap();
    assert_eq!((report.samples, report.metrics[0].value), (3, 0.8));
}

#[tokio::test]
async fn an_expired_lease_is_accepted_again() {
    let world = World::new(training(), &patient()).await;
    let (_cancel, task) = world.start();
    until(|| world.fake.get().beats > 0).await;
    world.fake.get().tokens = ["none".to_owned()].into();
    until(|| world.fake.get().tokens.len() == 2).await;
    std::fs::write(world.path("go"), "").unwrap();
    task.await.unwrap().unwrap();
    assert_eq!(world.fake.get().updates.len(), 1);
}

#[tokio::test]
async fn training_goes_on_while_the_coordinator_is_down() {
    let world = World::new(training(), &patient()).await;
    let (_cancel, task) = world.start();
    until(|| world.state().name() == "training").await;
    world.fake.get().down = true;
    std::fs::write(world.path("go"), "").unwrap();
    until(|| world.state().name() == "submitting").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.fake.get().down = false;
    task.await.unwrap().unwrap();
    let inner = world.fake.get();
    assert_eq!(inner.updates.len(), 1);
    let steps: BTreeSet<u64> = inner.points.iter().map(|point| point.step).collect();
    assert_eq!(steps, [2, 4].into(), "points wait too");
}

#[tokio::test]
async fn stop_ends_the_trainer_and_drops_the_work() {
    let script = format!(
        "{STARTED}\ntrap 'echo x > \"$(dirname \"$0\")/stopped\"; exit 143' TERM\nwhile :; do sleep 0.05; done"
    );
    let world = World::new(training(), &script).await;
    let (_cancel, task) = world.start();
    until(|| world.fake.get().points.len() == 1).await;
    world.fake.get().stop = true;
    task.await.unwrap().unwrap();
    assert!(world.path("stopped").exists(), "the trainer was asked to end");
    assert_eq!(world.state(), State::default());
    assert!(world.fake.get().updates.is_empty());
}

#[tokio::test]
async fn a_cancelled_daemon_keeps_its_work() {
    let world = World::new(training(), &patient()).await;
    let (cancel, task) = world.start();
    until(|| world.fake.get().points.len() == 1).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    assert_eq!(world.state().name(), "training");
    std::fs::write(world.path("go"), "").unwrap();
    world.run().await;
    assert_eq!(world.fake.get().updates.len(), 1);
}

#[tokio::test]
async fn a_trainer_may_crash_twice() {
    let dying =
        "n=\"$(dirname \"$0\")/deaths\"\necho x >> \"$n\"\n[ $(wc -l < \"$n\") -le 2 ] && kill -9 $$\n";
    let world = World::new(training(), &format!("{dying}{}", good())).await;
    world.run().await;
    let inner = world.fake.get();
    assert_eq!((inner.updates.len(), inner.failures.len()), (1, 0));
}

#[tokio::test]
async fn a_trainer_that_always_crashes_is_reported() {
    let world = World::new(training(), "echo no room >&2; exit 9").await;
    world.run().await;
    let inner = world.fake.get();
    assert!(inner.updates.is_empty());
    assert!(!inner.failures[0].contains("no room"), "what the trainer prints stays: {:?}", inner.failures);
    assert!(
        inner.failures[0].contains("3 times") && inner.failures[0].contains("exit code 9"),
        "{:?}",
        inner.failures
    );
}

#[tokio::test]
async fn weights_that_are_not_finite_are_reported_and_do_not_leave() {
    let script = format!("WEIGHTS={}\n{}", WEIGHTS.2.display(), good());
    let world = World::new(training(), &script).await;
    world.run().await;
    let inner = world.fake.get();
    assert!(inner.blobs.is_empty() && inner.updates.is_empty());
    assert!(
        inner.failures[0].contains("may not leave") && inner.failures[0].contains("NaN"),
        "{:?}",
        inner.failures
    );
    assert_eq!(world.site().sent().unwrap().weights, 0);
}

#[tokio::test]
async fn a_coordinator_of_another_protocol_is_refused() {
    let newer = i32::from(PROTOCOL) + 1;
    for (protocol, behind) in [(newer, "update the client"), (0, "update the coordinator")] {
        let world = World::new(training(), &good()).await;
        world.fake.get().protocol = Some(protocol);
        let (_cancel, task) = world.start();
        let error = tokio::time::timeout(Duration::from_secs(30), task).await.unwrap().unwrap();
        let said = error.unwrap_err().to_string();
        assert!(said.contains("INCOMPATIBLE") && said.contains(behind), "{said}");
        assert!(world.fake.get().tokens.is_empty(), "nothing was accepted");
    }
}

#[tokio::test]
async fn work_of_a_newer_version_is_declined_and_the_rest_is_done() {
    let world = World::new(training(), &good()).await;
    world.fake.get().news = true;
    world.run().await;
    let inner = world.fake.get();
    assert_eq!((inner.updates.len(), inner.refusals.len()), (1, 1), "{:?}", inner.refusals);
    let v1::Refusal { reason, message } = &inner.refusals[0];
    assert_eq!(reason, "INCOMPATIBLE");
    assert!(message.contains("`work`") && message.contains("update the client"), "{message}");
}

#[tokio::test]
async fn samples_that_the_network_cannot_take_are_declined_before_any_training() {
    let world = World::new(training(), &good()).await;
    imagery(&world.path(""), 16);
    let (cancel, task) = world.start();
    until(|| !world.fake.get().refusals.is_empty()).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    {
        let inner = world.fake.get();
        let said = &inner.refusals[0];
        assert!(inner.tokens.is_empty() && said.reason == "DATA_UNFIT", "{said:?}");
        assert!(said.message.contains("32x32 pixels at least, found `16x16`"), "{said:?}");
    }
    // A plan that has them resized can use them.
    let mut resized = training();
    let Work::Training(work) = &mut resized.work else { unreachable!() };
    work.settings.input_size = Some(64);
    world.fake.get().assignment = Some(resized);
    world.run().await;
    assert_eq!(world.fake.get().updates.len(), 1);
}
