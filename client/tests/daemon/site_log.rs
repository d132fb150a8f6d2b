//! The site log says what was asked, decided and sent, before it is done. Without it, nothing is sent.

use std::time::Duration;

use eosfed_client::condition::ConditionKind;
use eosfed_client::policy::GivenApproval;
use eosfed_client::site_log::{Approved, Entry, EntryKind, Follower, Record, Sending, Why, verify};
use eosfed_common::assignment::{Assignment, UpdateSubmission};
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::ledger::Event;
use eosfed_common::plan::JobKind;
use eosfed_testkit::assignments;
use eosfed_transport::wire::Wire as _;

use crate::good;
use crate::world::{POLICY, WEIGHTS, World, statistics, training, until};

/// The entries, after the log was verified.
pub(crate) fn entries(world: &World) -> Vec<Entry> {
    verify(&world.site().log(), None).unwrap();
    complete_entries(world)
}

/// The update that the daemon has submitted, and what the log says of its report.
pub(crate) fn sent_update(world: &World) -> (UpdateSubmission, Sending) {
    let sent = world.fake.get().updates.values().next().cloned().expect("an update was sent");
    let mut reports = entries(world).into_iter().filter_map(|entry| match entry.kind {
        EntryKind::Sending(sending) if sending.record == Record::TrainingReport => Some(sending),
        _ => None,
    });
    (UpdateSubmission::from_message(sent).unwrap(), reports.next_back().unwrap())
}

/// The entries whose lines are complete, of a log that may be written at the same time.
pub(crate) fn complete_entries(world: &World) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut follower = Follower::new(&world.site().log());
    follower.each(|line| entries.push(serde_json::from_str::<Event<Entry>>(line).unwrap().entry)).unwrap();
    entries
}

fn kinds(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.kind.as_ref()).collect()
}

#[tokio::test]
async fn what_was_asked_decided_and_sent_is_in_the_log() {
    let world = World::new(training(), &good()).await;
    world.run().await;
    let entries = entries(&world);
    let kinds = kinds(&entries);
    assert_eq!(kinds[..3], ["started", "asked", "accepted"]);
    assert_eq!(kinds[kinds.len() - 4..], ["sent", "sent", "ended", "stopped"]);
    let EntryKind::Asked { name: Some(name), terms, digest: Some(_) } = &entries[1].kind else {
        panic!("{entries:?}")
    };
    assert!(terms.join(" ").contains("convnextv2_atto"), "{terms:?}");
    assert!(terms[0].contains(&format!("`{name}`")), "{name}: {terms:?}");
    let digest = Digest::of(&std::fs::read(&WEIGHTS.1).unwrap());
    let sending = |record: Record| {
        let found = entries.iter().find_map(|entry| match &entry.kind {
            EntryKind::Sending(sending) if sending.record == record => Some(sending.clone()),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("{record:?} is missing: {entries:?}"))
    };
    let weights = sending(Record::Weights);
    assert_eq!((weights.weights, weights.words), (Some(digest), vec!["frozen_weights".to_owned()]));
    assert_eq!(weights.bytes, Some(WEIGHTS.1.metadata().unwrap().len()));
    assert_eq!(sending(Record::TrainingReport).words, ["frozen_weights", "metrics", "provenance"]);
    assert_eq!(sending(Record::Curve).words, ["metrics"]);
}

#[tokio::test]
async fn a_refusal_is_in_the_log_with_every_objection_and_what_was_told() {
    let world = World::new(training(), &good()).await;
    let policy = POLICY.replace("\"classification\"", "").replace("[allow]", "max_epochs = 1\n[allow]");
    world.set_policy(&policy);
    let (cancel, task) = world.start();
    until(|| !world.fake.get().refusals.is_empty()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    let entries = entries(&world);
    assert_eq!(kinds(&entries), ["started", "asked", "refused", "stopped"], "each poll repeats nothing");
    let EntryKind::Refused(Why { message, told, .. }) = &entries[2].kind else { panic!("{entries:?}") };
    assert!(message.contains("allow.tasks") && message.contains("max_epochs"), "{message}");
    assert_eq!(*told, None, "the coordinator was told the same");
}

#[tokio::test]
async fn a_failure_is_in_the_log_with_what_stays_here() {
    let failed = r#"echo '{"event":"failed","reason":"secret-village.tif: 3 bands"}'; exit 1"#;
    let world = World::new(training(), failed).await;
    world.set_policy(&POLICY.replace(", \"failures\"", ""));
    world.run().await;
    let entries = entries(&world);
    let refused = entries.iter().find_map(|entry| match &entry.kind {
        EntryKind::Failed(Why { message, told, .. }) => Some((message.clone(), told.clone())),
        _ => None,
    });
    let (message, told) = refused.expect("it is noted");
    assert!(message.contains("secret-village"), "{message}");
    assert!(told.unwrap().contains("only the reason"));
}

#[tokio::test]
async fn an_acceptance_names_the_person_who_approved_it() {
    let world = World::new(assignments::training(JobKind::Rounds), &good()).await;
    world.set_policy(&POLICY.replace("\"automatic\"", "\"manual\""));
    let (_cancel, task) = world.start();
    let job = training().id.job;
    until(|| world.site().offer(&job).unwrap().is_some()).await;
    let terms = world.site().offer(&job).unwrap().unwrap().digest();
    let given = GivenApproval {
        terms,
        rounds: 2,
        until: Timestamp(u64::MAX),
        by: "ada".to_owned(),
        at: Timestamp(7),
    };
    world.site().approve(&given).unwrap();
    task.await.unwrap().unwrap();
    let entries = entries(&world);
    assert_eq!(kinds(&entries)[..4], ["started", "asked", "waits", "accepted"]);
    let EntryKind::Accepted { approval: Some(approval), dataset: None } = &entries[3].kind else {
        panic!("{entries:?}")
    };
    assert_eq!(*approval, Approved::from(&given));
}

#[tokio::test]
async fn a_change_of_the_policy_is_in_the_log_with_its_meaning() {
    let world = World::new(statistics(), &good()).await;
    world.fake.get().hold_results = true;
    let (_cancel, task) = world.start();
    until(|| world.state().name() == "submitting").await;
    world.set_policy(&POLICY.replace("\"statistics\", ", ""));
    task.await.unwrap().unwrap();
    let entries = entries(&world);
    let changed = entries.iter().find_map(|entry| match &entry.kind {
        EntryKind::PolicyChanged { change } => Some(change.clone()),
        _ => None,
    });
    let changed = changed.expect("it is noted");
    assert!(
        changed.contains("no longer allows `statistics`") && changed.contains("is not sent"),
        "{changed}"
    );
}

#[tokio::test]
async fn without_the_log_nothing_is_accepted_and_nothing_is_sent() {
    let world = World::new(training(), &good()).await;
    let log = world.site().log();
    std::fs::write(&log, "in the way").unwrap();
    let (_cancel, task) = world.start();
    waits_for_the_log(&world).await;
    let said = world.state().wait().unwrap().condition.message.clone();
    assert!(said.contains("site-log") && said.contains("nothing is sent"), "{said}");
    assert!(world.fake.get().tokens.is_empty(), "nothing is accepted");
    std::fs::remove_file(&log).unwrap();
    task.await.unwrap().unwrap();
    assert_eq!(world.fake.get().updates.len(), 1);
    assert_eq!(kinds(&entries(&world))[..3], ["started", "asked", "accepted"]);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_any_more_holds_the_result() {
    for assignment in [training(), statistics()] {
        let world = World::new(Assignment { ..assignment }, &good()).await;
        let (log, away) = (world.site().log(), world.path("away"));
        // The log goes as soon as the work is accepted.
        world.fake.get().hold_accept = true;
        let (_cancel, task) = world.start();
        until(|| world.fake.get().accepting > 0).await;
        std::fs::rename(&log, &away).unwrap();
        std::fs::write(&log, "in the way").unwrap();
        world.fake.get().hold_accept = false;
        until(|| world.state().name() == "submitting").await;
        waits_for_the_log(&world).await;
        let beats = world.fake.get().beats;
        until(|| world.fake.get().beats > beats + 3).await;
        {
            let inner = world.fake.get();
            assert!(inner.blobs.is_empty() && inner.partial.is_empty() && inner.points.is_empty());
            assert!(inner.updates.is_empty() && inner.statistics.is_empty() && inner.failures.is_empty());
        }
        std::fs::remove_file(&log).unwrap();
        std::fs::rename(&away, &log).unwrap();
        task.await.unwrap().unwrap();
        let inner = world.fake.get();
        assert_eq!(inner.updates.len() + inner.statistics.len(), 1);
        drop(inner);
        assert!(kinds(&entries(&world)).ends_with(&["sent", "ended", "stopped"]));
    }
}

async fn waits_for_the_log(world: &World) {
    let waits = |world: &World| {
        world
            .state()
            .wait()
            .is_some_and(|wait| wait.condition.kind == ConditionKind::LogUnwritable && wait.tries > 1)
    };
    until(|| waits(world)).await;
}
