//! Revoked institutions in open rounds.

use eosfed_common::identity::Identity;

use super::*;
use crate::domain::federation::members::Revoke;

/// The federation in which `west` was revoked after this job.
fn without_west(federation: &Federation, now: Timestamp) -> Federation {
    let of = Identity::institution(name("west"));
    let revoke = Revoke { of, reason: String::new(), remove: false };
    let mut after = federation.clone();
    after.merge(federation.revoke(revoke, name("ada"), now).unwrap());
    after
}

#[test]
fn no_round_waits_for_a_revoked_institution_and_its_update_does_not_count() {
    let mut federation = federation();
    // East has submitted its statistics, west is at work: the round waits for west.
    let mut job = rounds();
    for (seed, institution) in (1..).zip(["west", "east"]) {
        let assignment = offered(&job, institution);
        let (after, lease) = job.accept(&assignment.id, token(seed), NOW).unwrap();
        job = after.job;
        if institution == "east" {
            job = job.submit_statistics(statistics(&assignment, &lease.token), NOW).unwrap().0.job;
        }
    }
    federation.jobs.insert(job.id.clone(), job.clone());
    let after = without_west(&federation, NOW);
    let change = after.apply(&job.id, Transition::Tick, NOW).unwrap();
    let ended = |change: &Change| {
        let kinds = change.events.iter().map(|event| event.kind.as_ref().to_owned());
        kinds.filter(|kind| kind == "participation_ended").count()
    };
    // Two are needed: each attempt ends at once, and the job says so instead of waiting for the deadline.
    assert_eq!((state(&change.jobs[0]), ended(&change)), ("paused", 2));
    let JobState::Paused { why, .. } = &change.jobs[0].state else { panic!("{change:?}") };
    assert!(why.contains("got 1 of at least 2"), "{why}");
    assert_eq!(federation.apply(&job.id, Transition::Tick, NOW).unwrap().events, [], "it waits for west");
}

#[test]
fn an_update_that_was_acknowledged_before_the_revocation_is_discarded_with_an_event() {
    let mut federation = federation();
    let job = submitted(&training(), "west", 1).job;
    let weights = job.current().unwrap().blobs().next().unwrap();
    assert_eq!(job.current().unwrap().submitted(), 1);
    federation.jobs.insert(job.id.clone(), job.clone());
    let change = without_west(&federation, NOW).apply(&job.id, Transition::Tick, NOW).unwrap();
    let discarded = change.events.iter().find_map(|event| match event.kind {
        EventKind::ParticipationEnded { discarded, .. } => discarded,
        _ => None,
    });
    assert_eq!(discarded, Some(weights.digest));
    let round = change.jobs[0].current().unwrap();
    assert_eq!(round.submitted(), 0);
    assert!(round.blobs().any(|kept| kept.digest == weights.digest), "it is kept to be looked at");
}
