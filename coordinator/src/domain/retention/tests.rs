//! Which rounds are due: pure, on rounds made by hand.

use std::sync::Arc;

use eosfed_common::view::RoundTotals;

use super::*;
use crate::domain::round::RoundKind;
use crate::testing::{NOW, ROUNDS, enrolled, submit};

const HOUR: u64 = 3_600_000;

fn blob(name: &str, size: u64) -> BlobRef {
    BlobRef { digest: Digest::of(name.as_bytes()), size }
}

/// A round that closed so many hours before [`NOW`].
fn round(index: u32, hours: u64, blobs: &[BlobRef]) -> RoundSummary {
    RoundSummary {
        id: AttemptId { round: index, attempt: 1 },
        kind: RoundKind::Train(index),
        opened_at: NOW,
        at: Timestamp(NOW.0 - hours * HOUR),
        complete: true,
        totals: RoundTotals::default(),
        base: None,
        optimizer_state: None,
        blobs: blobs.to_vec(),
        pruned: None,
        scores: BTreeMap::new(),
        amounts: BTreeMap::new(),
    }
}

/// Two jobs: one with rounds of five, three and one hours ago, one with a round of four hours ago. Each
/// round has an update of its own of 100 bytes and one of 10 bytes that it shares with the next.
fn federation() -> (Federation, [JobId; 2]) {
    let mut federation = Federation::default();
    federation.merge(enrolled(&["east", "west"]));
    let ids = [(); 2].map(|()| {
        let (id, change) = submit(&federation, ROUNDS);
        federation.merge(change);
        id
    });
    let own = |n: u32| blob(&format!("own {n}"), 100);
    let shared = |n: u32| blob(&format!("shared {n}"), 10);
    let rounds = [
        vec![
            round(0, 5, &[own(0), shared(0)]),
            round(1, 3, &[own(1), shared(0), shared(1)]),
            round(2, 1, &[own(2), shared(1)]),
        ],
        vec![round(0, 4, &[own(9)])],
    ];
    for (id, rounds) in ids.iter().zip(rounds) {
        let job = federation.jobs.get_mut(id).unwrap();
        job.closed = Arc::new(rounds);
    }
    (federation, ids)
}

/// What is due: hours since it closed, rule, and bytes that it frees.
fn due(federation: &Federation, limits: &Limits) -> Vec<(u64, PruneRule, u64)> {
    let due = federation.due(limits, NOW).into_iter();
    due.map(|one| (NOW.since(one.closed_at).as_secs() / 3600, one.rule, one.bytes())).collect()
}

fn age(hours: u64) -> Limits {
    Limits { keep_for: Some(Duration::from_secs(hours * 3600)), ..Limits::default() }
}

fn size(bytes: u64) -> Limits {
    Limits { most_bytes: Some(bytes), ..Limits::default() }
}

#[test]
fn rounds_that_closed_too_long_ago_are_due_the_oldest_first() {
    use PruneRule::Age;
    let (federation, _) = federation();
    assert_eq!(due(&federation, &Limits::default()), []);
    assert_eq!(due(&federation, &age(6)), []);
    assert_eq!(due(&federation, &age(4)), [(5, Age, 100), (4, Age, 100)], "a later round shares 10 bytes");
    assert_eq!(due(&federation, &age(3)), [(5, Age, 110), (4, Age, 100), (3, Age, 100)]);
    let all: u64 = due(&federation, &age(0)).iter().map(|(_, _, bytes)| bytes).sum();
    assert_eq!(all, 420, "each blob once");
}

#[test]
fn the_oldest_rounds_are_due_until_the_others_are_small_enough() {
    use PruneRule::{Age, Size};
    let (federation, _) = federation();
    assert_eq!((federation.kept_bytes(), due(&federation, &size(420))), (420, vec![]));
    assert_eq!(due(&federation, &size(419)), [(5, Size, 100)]);
    assert_eq!(due(&federation, &size(320)), [(5, Size, 100)]);
    assert_eq!(due(&federation, &size(319)), [(5, Size, 100), (4, Size, 100)]);
    assert_eq!(due(&federation, &size(0)).len(), 4);
    let both = Limits { keep_for: age(5).keep_for, ..size(320) };
    assert_eq!(due(&federation, &both), [(5, Age, 100)]);
    let both = Limits { keep_for: age(5).keep_for, ..size(319) };
    assert_eq!(due(&federation, &both), [(5, Age, 100), (4, Size, 100)]);
}

#[test]
fn the_limits_of_one_job_leave_the_others_alone() {
    let (mut federation, [first, second]) = federation();
    let of = |job: &JobId, limits: Limits| Limits { job: Some(job.clone()), ..limits };
    assert_eq!(due(&federation, &of(&second, age(0))).len(), 1);
    assert_eq!(due(&federation, &of(&first, size(320))), [], "only its own bytes count");
    assert_eq!(due(&federation, &of(&first, age(0))).len(), 3);
    // What another job's round has too is not freed.
    let job = federation.jobs.get_mut(&second).unwrap();
    Arc::make_mut(&mut job.closed)[0].blobs.push(blob("own 0", 100));
    let freed: u64 = due(&federation, &of(&first, age(0))).iter().map(|(_, _, bytes)| bytes).sum();
    assert_eq!(freed, 220);
}

#[test]
fn what_is_needed_is_neither_freed_nor_counted() {
    let (mut federation, [first, _]) = federation();
    // The open job goes on from what its second round's institution has sent.
    federation.jobs.get_mut(&first).unwrap().global_model = Some(blob("own 1", 100));
    assert_eq!(due(&federation, &size(320)), []);
    let freed = federation.due(&age(0), NOW).into_iter().flat_map(|one| one.frees).collect::<Vec<_>>();
    assert!(!freed.contains(&blob("own 1", 100)) && freed.contains(&blob("own 2", 100)), "{freed:?}");
}

#[test]
fn a_round_that_was_given_up_is_not_due_again_and_keeps_nothing() {
    let (mut federation, [first, _]) = federation();
    Arc::make_mut(&mut federation.jobs.get_mut(&first).unwrap().closed)[0].pruned = Some(NOW);
    assert_eq!(due(&federation, &age(5)), []);
    assert!(!federation.referenced().contains(&blob("own 0", 100).digest));
    assert!(federation.referenced().contains(&blob("shared 0", 10).digest), "another round has it too");
}

#[test]
fn the_digests_of_a_large_round_are_in_several_events() {
    let (federation, [first, _]) = federation();
    let frees: Vec<_> = (0..1201).map(|n| blob(&n.to_string(), 3)).collect();
    let mut due = federation.due(&age(0), NOW).remove(0);
    due.frees.clone_from(&frees);
    let mut seen = Vec::new();
    for entry in due.events(&Actor::Coordinator) {
        assert_eq!(entry.job.as_ref(), Some(&first));
        let EventKind::RoundPruned { weights, bytes, .. } = entry.kind else { panic!("{entry:?}") };
        assert!(weights.len() <= MAX_DIGESTS && bytes == 3 * weights.len() as u64);
        seen.extend(weights);
    }
    assert_eq!(seen, frees.iter().map(|blob| blob.digest).collect::<Vec<_>>());
    due.frees.clear();
    assert_eq!(due.events(&Actor::Coordinator).len(), 1, "that it was given up is on record all the same");
}
