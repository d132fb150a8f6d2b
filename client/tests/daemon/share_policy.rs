//! The summary of the policy leaves with its word, signed, and is sent again when the policy has changed.

use eosfed_client::site_log::{Entry, EntryKind, Record};
use eosfed_common::policy_summary::SignedPolicySummary;
use eosfed_testkit::signing;
use eosfed_transport::wire::Wire as _;

use crate::good;
use crate::site_log::{complete_entries, entries};
use crate::world::{POLICY, World, training, until};

/// The policy with one more word.
fn with_word() -> String {
    POLICY.replace("\"failures\"]", "\"failures\", \"policy_summary\"]")
}

/// What the coordinator was told.
fn shared(world: &World) -> Vec<SignedPolicySummary> {
    let told = world.fake.get().policies.clone();
    told.into_iter().map(|told| SignedPolicySummary::from_message(told).unwrap()).collect()
}

/// The words of each summary that the log says was sent.
fn sent(entries: Vec<Entry>) -> Vec<Vec<String>> {
    let words = |entry: Entry| match entry.kind {
        EntryKind::Sent(sent) if sent.record == Record::PolicySummary => Some(sent.words),
        _ => None,
    };
    entries.into_iter().filter_map(words).collect()
}

#[tokio::test]
async fn without_the_word_nothing_of_the_policy_leaves() {
    let world = World::new(training(), &good()).await;
    world.run().await;
    assert_eq!(shared(&world), []);
    assert_eq!(world.fake.get().updates.len(), 1);
}

#[tokio::test]
async fn a_summary_is_signed_sent_once_and_again_when_the_policy_has_changed() {
    let world = World::new(training(), &good()).await;
    world.set_policy(&with_word());
    world.fake.get().assignment = None;
    let (cancel, task) = world.start();
    until(|| world.fake.get().policies.len() == 1).await;
    world.set_policy(&format!("max_epochs = 7\n{}", with_word().replace("max_epochs", "# max_epochs")));
    // The coordinator has a summary before its entry is written.
    until(|| sent(complete_entries(&world)).len() == 2).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    let [before, after] = <[_; 2]>::try_from(shared(&world)).unwrap();
    for SignedPolicySummary { summary, signature } in [&before, &after] {
        signature.verify(summary, &[signing::institution("west").public()]).unwrap();
        assert_eq!(summary.institution.as_str(), "west");
        assert!(summary.may_leave.contains(&"policy_summary".to_owned()), "{summary:?}");
    }
    assert_ne!(before.summary.max_epochs, 7);
    assert_eq!(after.summary.max_epochs, 7);
    assert_eq!(sent(entries(&world)), [["policy_summary"], ["policy_summary"]]);
}

#[tokio::test]
async fn a_coordinator_that_knows_no_summaries_gets_work_done() {
    let world = World::new(training(), &good()).await;
    world.set_policy(&with_word());
    world.fake.get().no_statements = true;
    world.run().await;
    assert_eq!(world.fake.get().updates.len(), 1);
}
