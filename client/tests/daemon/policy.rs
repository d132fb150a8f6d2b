//! A site policy that changes while work is under way takes effect at once.

use std::collections::BTreeSet;
use std::time::Duration;

use eosfed_client::daemon::Parts;
use eosfed_client::daemon::Programs;
use eosfed_common::assignment::Assignment;
use eosfed_common::files;
use eosfed_proto::v1;

use crate::world::{FINISHED, POLICY, STARTED, WEIGHTS, World, statistics, training, until};
use crate::{evaluating, evaluation, good, patient};

const MAY_LEAVE: &str =
    r#"may_leave = ["frozen_weights", "updates", "metrics", "statistics", "provenance", "failures"]"#;

fn allowing(words: &str) -> String {
    assert!(POLICY.contains(MAY_LEAVE));
    POLICY.replace(MAY_LEAVE, &format!("may_leave = [{words}]"))
}

/// Long enough for a daemon of these tests to have sent what it may send.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(400)).await;
}

fn assert_denied(world: &World, words: &str) {
    let inner = world.fake.get();
    assert!(inner.updates.is_empty() && inner.blobs.is_empty(), "no result has left");
    assert_eq!((inner.refusals.len(), inner.refusals[0].reason.as_str()), (1, "POLICY"));
    let said = &inner.refusals[0].message;
    assert!(said.contains(words), "{said}");
}

#[tokio::test]
async fn weights_stay_when_the_policy_changes_while_they_are_trained() {
    let world = World::new(training(), &patient()).await;
    let (_cancel, task) = world.start();
    until(|| world.state().name() == "training").await;
    world.set_policy(&allowing(""));
    std::fs::write(world.path("go"), "").unwrap();
    task.await.unwrap().unwrap();
    assert_denied(&world, "`may_leave` lacks `frozen_weights`");
    assert_eq!(world.site().sent().unwrap().weights, 0);
}

#[tokio::test]
async fn training_that_the_policy_no_longer_allows_is_stopped() {
    let script = format!(
        "{STARTED}\ntrap 'echo x > \"$(dirname \"$0\")/stopped\"; exit 143' TERM\nwhile :; do sleep 0.05; done"
    );
    let world = World::new(training(), &script).await;
    let (_cancel, task) = world.start();
    until(|| world.fake.get().points.len() == 1).await;
    world.set_policy(&POLICY.replace("\"one-shot\"", "\"evaluation\""));
    task.await.unwrap().unwrap();
    assert!(world.path("stopped").exists(), "the trainer was asked to end");
    assert_denied(&world, "`allow.job_kinds` lacks `one-shot`");
}

/// A daemon that has finished its work while the coordinator was away.
async fn with_a_result(assignment: Assignment) -> World {
    let world = World::new(assignment, &patient()).await;
    let (cancel, task) = world.start();
    until(|| world.state().name() == "training").await;
    world.fake.get().down = true;
    std::fs::write(world.path("go"), "").unwrap();
    until(|| world.state().name() == "submitting").await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    world
}

#[tokio::test]
async fn finished_weights_that_may_not_leave_are_kept() {
    let world = with_a_result(training()).await;
    world.set_policy(&allowing("\"metrics\""));
    world.fake.get().down = false;
    world.run().await;
    assert_denied(&world, "`may_leave` lacks `frozen_weights`");
    let kept = world.site().withheld(&training().id);
    assert_eq!(files::digest(&kept).unwrap(), files::digest(&WEIGHTS.1).unwrap());
}

#[tokio::test]
async fn statistics_that_may_not_leave_are_not_sent() {
    let world = World::new(statistics(), "exit 1").await;
    world.fake.get().hold_results = true;
    let (_cancel, task) = world.start();
    until(|| world.state().name() == "submitting").await;
    world.set_policy(&allowing("\"metrics\""));
    a_while().await;
    world.fake.get().hold_results = false;
    task.await.unwrap().unwrap();
    let inner = world.fake.get();
    assert!(inner.statistics.is_empty(), "they were finished, and not sent");
    assert_eq!(inner.refusals[0].reason, "POLICY");
}

#[tokio::test]
async fn scores_that_may_not_leave_are_not_sent() {
    let world = evaluation().await;
    world.fake.get().hold_results = true;
    let (_cancel, task) = world.start_with(rare_heartbeats);
    until(|| world.state().name() == "submitting").await;
    world.set_policy(&evaluating(&allowing("\"frozen_weights\", \"updates\", \"statistics\"")));
    a_while().await;
    world.fake.get().hold_results = false;
    task.await.unwrap().unwrap();
    let inner = world.fake.get();
    assert!(inner.scores.is_empty(), "they were finished, and not sent");
    assert_eq!(inner.refusals[0].reason, "POLICY");
    let said = &inner.refusals[0].message;
    assert!(said.contains("`may_leave` lacks `metrics`"), "{said}");
}

/// Heartbeats are rare, so that only the gate between two chunks can notice.
fn rare_heartbeats(parts: &mut Parts<Programs>) {
    parts.intervals.heartbeat = Duration::from_secs(3600);
}

#[tokio::test]
async fn an_upload_under_way_is_cut_off_between_two_chunks() {
    let world = World::new(training(), &good()).await;
    world.fake.get().upload_pause = Duration::from_millis(50);
    let (_cancel, task) = world.start_with(rare_heartbeats);
    let arrived = || world.fake.get().partial.values().map(Vec::len).sum::<usize>();
    until(|| arrived() > 0).await;
    world.set_policy(&allowing("\"metrics\""));
    task.await.unwrap().unwrap();
    assert_denied(&world, "`may_leave` lacks `frozen_weights`");
    a_while().await;
    let size = usize::try_from(WEIGHTS.1.metadata().unwrap().len()).unwrap();
    // What HTTP/2 had in its buffers at the change may still have arrived.
    assert!(arrived() < size / 4, "{} of {size} bytes", arrived());
}

#[tokio::test]
async fn an_upload_is_not_taken_up_again() {
    let world = World::new(training(), &good()).await;
    world.fake.get().upload_pause = Duration::from_millis(50);
    let (cancel, task) = world.start_with(rare_heartbeats);
    let arrived = || world.fake.get().partial.values().map(Vec::len).sum::<usize>();
    until(|| arrived() > 0).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    a_while().await;
    let before = arrived();
    world.set_policy(&allowing("\"metrics\""));
    world.run().await;
    assert_denied(&world, "`may_leave` lacks `frozen_weights`");
    assert_eq!((arrived(), world.fake.get().offsets.len()), (before, 1));
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_denies_everything_until_it_is_corrected() {
    for broken in [Some("may_leave = [\"frozen_weights\""), None] {
        let world = with_a_result(training()).await;
        match broken {
            Some(text) => world.set_policy(text),
            None => std::fs::remove_file(world.site().policy()).unwrap(),
        }
        world.fake.get().down = false;
        let (_cancel, task) = world.start();
        until(|| world.state().wait().is_some_and(|wait| wait.tries > 2)).await;
        let said = world.state().wait().unwrap().condition.message.clone();
        assert!(said.contains("policy.toml") && said.contains("denies everything"), "{said}");
        {
            let inner = world.fake.get();
            assert!(inner.updates.is_empty() && inner.blobs.is_empty() && inner.refusals.is_empty());
            assert!(inner.beats > 0, "the lease is kept");
        }
        world.set_policy(POLICY);
        task.await.unwrap().unwrap();
        assert_eq!(world.fake.get().updates.len(), 1);
    }
}

#[tokio::test]
async fn a_policy_that_stays_unreadable_is_reported_in_the_end() {
    let world = with_a_result(training()).await;
    world.set_policy("may_leave = [");
    world.fake.get().down = false;
    let (_cancel, task) =
        world.start_with(|parts| parts.intervals.condition_timeout = Duration::from_millis(300));
    task.await.unwrap().unwrap();
    assert_denied(&world, "the site policy cannot be read");
    assert!(world.site().withheld(&training().id).exists());
}

#[tokio::test]
async fn an_offer_waits_while_the_policy_cannot_be_read() {
    let world = World::new(training(), &good()).await;
    let (_cancel, task) = {
        let parts = world.start_with(|_| {});
        world.set_policy("may_leave = [");
        parts
    };
    a_while().await;
    assert!(world.fake.get().updates.is_empty());
    world.set_policy(POLICY);
    task.await.unwrap().unwrap();
    assert_eq!(world.fake.get().updates.len(), 1);
}

#[tokio::test]
async fn metrics_stay_from_the_moment_on_that_the_policy_changes() {
    let script = format!("{STARTED}\nuntil [ -e \"$(dirname \"$0\")/go\" ]; do sleep 0.05; done\n{FINISHED}");
    let world = World::new(training(), &script).await;
    let (_cancel, task) = world.start();
    until(|| world.fake.get().points.len() == 1).await;
    world.set_policy(&allowing("\"frozen_weights\""));
    std::fs::write(world.path("go"), "").unwrap();
    task.await.unwrap().unwrap();
    let inner = world.fake.get();
    let steps: BTreeSet<u64> = inner.points.iter().map(|point| point.step).collect();
    assert_eq!(steps, [2].into(), "the point of the second epoch has stayed");
    let silent = |update: &v1::SubmitUpdateRequest| update.report.as_ref().unwrap().metrics.is_empty();
    assert!(inner.updates.len() == 1 && inner.updates.values().all(silent));
}

#[tokio::test]
async fn metrics_wait_while_the_policy_cannot_be_read() {
    let wait = |file: &str| format!("until [ -e \"$(dirname \"$0\")/{file}\" ]; do sleep 0.05; done");
    let epoch = r#"{"event":"epoch","epoch":2,"step":3,"loss":0.5,"learning_rate":0.1,"metrics":{}}"#;
    let script = format!("{STARTED}\n{}\necho '{epoch}'\n{}\n{FINISHED}", wait("go"), wait("on"));
    let world = World::new(training(), &script).await;
    let (_cancel, task) = world.start();
    let steps = || world.fake.get().points.iter().map(|point| point.step).collect::<BTreeSet<u64>>();
    until(|| steps() == [2].into()).await;
    world.set_policy("may_leave = [");
    a_while().await;
    std::fs::write(world.path("go"), "").unwrap();
    a_while().await;
    assert_eq!(steps(), [2].into());
    world.set_policy(POLICY);
    until(|| steps() == [2, 3].into()).await;
    std::fs::write(world.path("on"), "").unwrap();
    task.await.unwrap().unwrap();
    assert_eq!(world.fake.get().updates.len(), 1, "training went on");
}
