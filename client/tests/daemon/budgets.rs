//! The limits of the policy on jobs and days, against a coordinator that asks for more.

use std::time::Duration;

use eosfed_client::condition::ConditionKind;
use eosfed_common::assignment::{Assignment, BlobRef, Work};
use eosfed_common::plan::JobKind;
use eosfed_common::training_target::TrainingTarget;
use eosfed_testkit::assignments;
use eosfed_transport::wire::bytes_of;
use serde_json::Value;

use crate::good;
use crate::world::{POLICY, WEIGHTS, World, statistics, training, until};

fn limited(limits: &str) -> String {
    format!("{POLICY}[limits]\n{limits}\n")
}

fn round(number: u32, attempt: u32) -> Assignment {
    let mut assignment = statistics();
    assignment.id.round = number;
    assignment.id.attempt = attempt;
    assignment
}

/// Offers assignments one after another until one is declined; gives how many were done, and the refusal.
async fn offered(world: &World, offers: &[Assignment]) -> (usize, String) {
    let counts = || {
        let inner = world.fake.get();
        (inner.statistics.len(), inner.refusals.len())
    };
    for offer in offers {
        let before = counts();
        world.fake.get().assignment = Some(offer.clone());
        until(|| counts() != before).await;
        if counts().1 > before.1 {
            break;
        }
    }
    let inner = world.fake.get();
    (inner.statistics.len(), inner.refusals.last().map_or_else(String::new, |one| one.message.clone()))
}

#[tokio::test]
async fn assignments_of_a_job_are_limited_across_attempts_and_restarts() {
    let world = World::new(round(0, 1), &good()).await;
    world.set_policy(&limited("assignments_per_job = 3"));
    let (cancel, task) = world.start_with(|parts| parts.once = false);
    let (done, refused) = offered(&world, &[round(0, 1), round(0, 2)]).await;
    assert_eq!((done, refused.as_str()), (2, ""));
    cancel.cancel();
    task.await.unwrap().unwrap();
    let (cancel, task) = world.start_with(|parts| parts.once = false);
    let (done, refused) = offered(&world, &[round(0, 3), round(0, 4)]).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    assert_eq!(done, 3);
    assert!(refused.contains("`limits.assignments_per_job` is 3, and 3 are used by job"), "{refused}");
    assert!(refused.contains("does not reset"), "{refused}");
}

#[tokio::test]
async fn rounds_of_a_job_and_assignments_of_a_day_are_limited() {
    for (limits, rounds, named) in [
        ("rounds_per_job = 2", [0, 900, 7], "rounds_per_job"),
        ("assignments_per_day = 2", [0, 0, 0], "resets at"),
    ] {
        let world = World::new(round(0, 1), &good()).await;
        world.set_policy(&limited(limits));
        let (cancel, task) = world.start_with(|parts| parts.once = false);
        let offers: Vec<_> = (1..).zip(rounds).map(|(attempt, number)| round(number, attempt)).collect();
        let (done, refused) = offered(&world, &offers).await;
        cancel.cancel();
        task.await.unwrap().unwrap();
        assert_eq!(done, 2, "{limits}");
        assert!(refused.contains(named) && refused.contains("is 2"), "{refused}");
    }
}

#[tokio::test]
async fn a_lease_that_is_not_granted_counts_nothing() {
    let world = World::new(round(0, 1), &good()).await;
    world.set_policy(&limited("assignments_per_job = 1"));
    // The offer is gone when it is to be accepted.
    world.fake.get().hold_accept = true;
    let (cancel, task) = world.start_with(|parts| parts.once = false);
    until(|| world.fake.get().accepting > 0).await;
    world.fake.get().assignment = None;
    world.fake.get().hold_accept = false;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (done, _) = offered(&world, &[round(1, 1)]).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    assert_eq!(done, 1);
}

#[tokio::test]
async fn a_result_that_cannot_fit_is_not_begun() {
    let world = World::new(training(), &good()).await;
    world.set_policy(&limited("upload_mb_per_job = 1"));
    let (cancel, task) = world.start();
    until(|| !world.fake.get().refusals.is_empty()).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    let inner = world.fake.get();
    assert!(inner.tokens.is_empty() && inner.refusals[0].message.contains("upload_mb_per_job` is 1"));
}

#[tokio::test]
async fn a_download_counts_as_it_is_declared_before_it_begins() {
    let bytes = std::fs::read(&WEIGHTS.1).unwrap();
    let mut assignment = training();
    let Work::Training(work) = &mut assignment.work else { unreachable!() };
    work.base = Some(BlobRef::of(&bytes));
    for limit in ["download_mb_per_job = 1", "download_mb_per_day = 1"] {
        let world = World::new(assignment.clone(), &good()).await;
        world.fake.get().blobs.insert(BlobRef::of(&bytes).digest.to_string(), bytes.clone());
        world.set_policy(&limited(limit).replace("[limits]", "warm_start = true\n[limits]"));
        let (cancel, task) = world.start();
        until(|| !world.fake.get().refusals.is_empty()).await;
        cancel.cancel();
        task.await.unwrap().unwrap();
        let said = world.fake.get().refusals[0].message.clone();
        assert!(world.fake.get().tokens.is_empty() && said.contains(" are left, and "), "{said}");
    }
}

/// The digest of the weights, which the coordinator has once all of them have arrived.
fn digest() -> String {
    BlobRef::of(&std::fs::read(&WEIGHTS.1).unwrap()).digest.to_string()
}

/// Starts an upload that takes long, lowers a limit while it goes, and waits until it is cut off.
async fn cut_off(limit: &str) -> (World, tokio::task::JoinHandle<()>) {
    let world = World::new(training(), &good()).await;
    world.fake.get().upload_pause = Duration::from_millis(50);
    let (cancel, daemon) = world.start();
    until(|| world.fake.get().partial.values().any(|part| part.len() > 1 << 20)).await;
    world.set_policy(&limited(limit));
    let task = tokio::spawn(async move {
        daemon.await.unwrap().unwrap();
        drop(cancel);
    });
    (world, task)
}

#[tokio::test]
async fn an_upload_is_cut_off_by_a_limit_of_the_job_and_the_weights_stay_here() {
    let (world, task) = cut_off("upload_mb_per_job = 1").await;
    task.await.unwrap();
    let inner = world.fake.get();
    assert!(inner.updates.is_empty() && !inner.blobs.contains_key(&digest()));
    let said = &inner.refusals[0].message;
    assert!(said.contains("`limits.upload_mb_per_job` is 1") && said.contains("MB are used"), "{said}");
    assert!(world.site().withheld(&training().id).exists());
}

#[tokio::test]
async fn an_upload_waits_for_a_limit_of_the_day() {
    let (world, task) = cut_off("upload_mb_per_day = 1").await;
    let waits = || {
        world
            .state()
            .wait()
            .is_some_and(|wait| wait.condition.kind == ConditionKind::BudgetSpent && wait.tries > 1)
    };
    until(waits).await;
    let said = world.state().wait().unwrap().condition.message.clone();
    assert!(said.contains("`limits.upload_mb_per_day` is 1") && said.contains("resets at"), "{said}");
    {
        let inner = world.fake.get();
        assert!(!inner.blobs.contains_key(&digest()) && inner.refusals.is_empty());
    }
    world.set_policy(POLICY);
    task.await.unwrap();
    assert_eq!(world.fake.get().updates.len(), 1);
}

#[tokio::test]
async fn a_coordinator_that_cannot_be_reached_costs_no_download() {
    let bytes = std::fs::read(&WEIGHTS.1).unwrap();
    let mut assignment = assignments::training(JobKind::Rounds);
    let Work::Training(work) = &mut assignment.work else { unreachable!() };
    work.base = Some(BlobRef::of(&bytes));
    let world = World::new(assignment, &good()).await;
    // Enough for one download and a half.
    let megabytes = bytes.len() as u64 * 3 / 2_000_000;
    world.set_policy(&limited(&format!("download_mb_per_job = {megabytes}")));
    world.fake.get().blobs.insert(BlobRef::of(&bytes).digest.to_string(), bytes);
    world.fake.get().no_downloads = true;
    let (_cancel, task) = world.start();
    until(|| world.state().name() == "fetching").await;
    // Several tries.
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.fake.get().no_downloads = false;
    task.await.unwrap().unwrap();
    assert_eq!(world.fake.get().updates.len(), 1);
}

fn usage(world: &World) -> Value {
    serde_json::from_slice(&std::fs::read(world.site().path().join("usage.json")).unwrap()).unwrap()
}

#[tokio::test]
async fn statistics_reports_and_heartbeats_count_as_bytes() {
    let world = World::new(round(0, 1), &good()).await;
    world.run().await;
    let counted = usage(&world)["jobs"]["j-0a1b2c3d"]["counts"]["bytes_up"].as_u64().unwrap();
    let (beats, sent) = {
        let inner = world.fake.get();
        (inner.beats as u64, bytes_of(&inner.statistics[0]))
    };
    // A heartbeat has an id of an assignment and the token of a lease.
    assert!(
        counted >= sent + beats * 40 && counted <= sent + (beats + 3) * 200,
        "{counted}, {sent}, {beats}"
    );
    let world = World::new(training(), &good()).await;
    world.run().await;
    let counted = usage(&world)["jobs"]["j-0a1b2c3d"]["counts"]["bytes_up"].as_u64().unwrap();
    let weights = std::fs::metadata(&WEIGHTS.1).unwrap().len();
    let inner = world.fake.get();
    let report = bytes_of(inner.updates.values().next().unwrap());
    assert!(
        counted > weights + report && counted < weights + report + 20_000,
        "{counted}: {weights}, {report}"
    );
}

#[tokio::test]
async fn a_result_without_weights_is_refused_where_no_byte_may_leave() {
    let world = World::new(round(0, 1), &good()).await;
    world.set_policy(&limited("upload_mb_per_day = 0"));
    let (cancel, task) = world.start();
    until(|| !world.fake.get().refusals.is_empty()).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    let inner = world.fake.get();
    assert!(inner.tokens.is_empty() && inner.refusals[0].message.contains("`limits.upload_mb_per_day` is 0"));
}

#[tokio::test]
async fn statistics_wait_for_a_limit_of_the_day_that_is_lowered_under_them() {
    let world = World::new(round(0, 1), &good()).await;
    world.fake.get().hold_results = true;
    let (_cancel, task) = world.start();
    until(|| world.state().name() == "submitting").await;
    world.set_policy(&limited("upload_mb_per_day = 0"));
    until(|| world.state().wait().is_some_and(|wait| wait.condition.kind == ConditionKind::BudgetSpent))
        .await;
    world.fake.get().hold_results = false;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(world.fake.get().statistics.is_empty());
    world.set_policy(POLICY);
    task.await.unwrap().unwrap();
    assert_eq!(world.fake.get().statistics.len(), 1);
}

#[tokio::test]
async fn offers_and_documents_of_heads_count_before_they_are_fetched() {
    let head = assignments::training(JobKind::Downstream);
    let TrainingTarget::Head(over) = &head.training_target else { unreachable!() };
    let document = over.to_bytes().unwrap().len() as u64;
    let world = World::new(head.clone(), &good()).await;
    let (cancel, task) = world.start();
    until(|| !world.fake.get().refusals.is_empty()).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    let counted = usage(&world);
    let bytes = counted["today"]["bytes_down"].as_u64().unwrap();
    assert!(bytes > document && counted["jobs"].as_object().unwrap().is_empty(), "{counted}, {document}");
    let world = World::new(head, &good()).await;
    world.set_policy(&limited("download_mb_per_day = 0"));
    let (cancel, task) = world.start();
    until(|| !world.fake.get().refusals.is_empty()).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    let said = world.fake.get().refusals[0].message.clone();
    assert!(said.contains("`limits.download_mb_per_day` is 0"), "{said}");
    assert_eq!(usage(&world)["today"]["bytes_down"], 0);
}
