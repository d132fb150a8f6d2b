//! Two jobs on the same institutions, with time as an argument.

use std::time::Duration;

use eosfed_common::assignment::{LEASE, Progress};
use eosfed_common::ids::AssignmentId;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_testkit::plans::Plan;

use super::*;
use crate::domain::Outcome;
use crate::domain::job::Transition;
use crate::domain::view::{open_round, progress};
use crate::testing::{NOW, STATISTICS, enrolled, name, statistics, submit, token};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A federation of two institutions at some time.
struct Bench {
    federation: Federation,
    now: Timestamp,
}

impl Bench {
    fn new() -> Self {
        let mut federation = Federation::default();
        federation.merge(enrolled(&["west", "east"]));
        Self { federation, now: NOW }
    }

    /// Submits a job that asks both, for at least `min` results within `deadline`, in two attempts.
    fn submit(&mut self, min: usize, deadline: &str) -> JobId {
        let plan =
            Plan::new(STATISTICS).participants(min, 2).deadline(deadline).set("participation.attempts", 2);
        let (id, change) = submit(&self.federation, &plan.text());
        self.federation.merge(change);
        id
    }

    fn job(&self, id: &JobId) -> &Job {
        self.federation.job(id).unwrap()
    }

    fn settle(&mut self, outcome: Outcome) {
        let change = self.federation.settle(outcome, self.now).unwrap();
        self.federation.merge(change);
    }

    /// What the coordinator has stored. A restart reads it.
    fn stored(&mut self) {
        for job in self.federation.jobs.values_mut() {
            let text = serde_json::to_string(&job.state).unwrap();
            job.state = serde_json::from_str(&text).unwrap();
        }
        let ids: Vec<JobId> = self.federation.jobs.keys().cloned().collect();
        for id in ids {
            let change = self.federation.apply(&id, Transition::Restart, self.now).unwrap();
            self.federation.merge(change);
        }
    }

    fn accept(&mut self, job: &JobId, institution: &str) -> AssignmentId {
        let id = self.job(job).assignment(&name(institution)).unwrap().id;
        let (outcome, _) = self.job(job).accept(&id, token(1), self.now).unwrap();
        self.settle(outcome);
        id
    }

    fn answer(&mut self, job: &JobId, institution: &str) {
        let assignment = self.job(job).assignment(&name(institution)).unwrap();
        let result = statistics(&assignment, &token(1));
        let (outcome, _) = self.job(job).submit_statistics(result, self.now).unwrap();
        self.settle(outcome);
    }

    fn take_part(&mut self, job: &JobId, institution: &str) {
        self.accept(job, institution);
        self.answer(job, institution);
    }

    /// Lets time pass: those in `alive` call every half minute, and the timer ticks when a job is due.
    fn pass(&mut self, until: Timestamp, alive: &[&AssignmentId]) {
        while self.now < until {
            let due = self.federation.jobs.values().filter_map(|job| {
                Some((job.collecting()?.wake_at(job.spec.participation()), job.id.clone()))
            });
            let next = due.min().filter(|(at, _)| *at <= self.now.plus(MINUTE / 2).min(until));
            let Some((at, id)) = next else {
                self.now = self.now.plus(MINUTE / 2).min(until);
                alive.iter().for_each(|id| self.call(id));
                continue;
            };
            let before = self.job(&id).clone();
            self.now = self.now.max(at);
            let change = self.federation.apply(&id, Transition::Tick, self.now).unwrap();
            self.federation.merge(change);
            assert_ne!(*self.job(&id), before, "the timer wakes up for nothing, and does so for ever");
        }
    }

    fn call(&mut self, id: &AssignmentId) {
        let beat = self.job(&id.job).heartbeat(id, &token(1), &Progress::default(), self.now);
        match beat {
            Ok((outcome, _)) => self.settle(outcome),
            Err(Refusal { reason, .. }) => {
                assert!(matches!(reason, Reason::RoundClosed | Reason::JobEnded), "{reason}");
            }
        }
    }

    /// The attempt that is open, and when it ends at the latest, in minutes since the beginning.
    fn open(&self, job: &JobId) -> Option<(u32, u64)> {
        let round = self.job(job).collecting()?;
        let end = round.ends_at(self.job(job).spec.participation());
        Some((round.attempt, end.since(NOW).as_secs() / 60))
    }

    /// The institutions that are queued in a job, each with the end of its own time, in minutes since the beginning.
    fn queued(&self, job: &JobId) -> Vec<(String, JobId, Option<u64>)> {
        let mut round = open_round(self.job(job), &[]).unwrap();
        self.federation.mark_queued(&mut round);
        let queued = round.participants.iter().filter_map(|(name, one)| {
            assert_eq!(one.shown_state() == "queued", one.queued_behind.is_some());
            let end = one.own_deadline.map(|at| at.since(NOW).as_secs() / 60);
            Some((name.to_string(), one.queued_behind.clone()?, end))
        });
        let watched = progress(self.job(job), |round| self.federation.mark_queued(round)).round.unwrap();
        for (name, one) in &round.participants {
            assert_eq!(watched.participants[name].queued_behind, one.queued_behind, "{name}");
        }
        queued.collect()
    }
}

#[test]
fn who_works_for_another_job_is_queued_there_and_its_time_stands_still() {
    let mut bench = Bench::new();
    let [first, second] = [bench.submit(2, "4h"), bench.submit(2, "30m")];
    assert_eq!((bench.queued(&first), bench.queued(&second)), (vec![], vec![]));
    bench.accept(&first, "west");
    assert_eq!(bench.queued(&first), [], "it is at work here");
    let west = ("west".to_owned(), first.clone(), Some(4 * 60 + 30));
    assert_eq!(bench.queued(&second), std::slice::from_ref(&west));
    assert_eq!(bench.open(&second), Some((1, 30)), "east is free, and needed");
    bench.take_part(&second, "east");
    assert_eq!(bench.open(&second), Some((1, 4 * 60 + 30)), "only west is waited for");
    let third = bench.submit(2, "10m");
    assert_eq!(bench.queued(&third)[0].2, Some(4 * 60 + 10), "a job that comes later sees the same");

    // The coordinator is started again, and nothing is forgotten.
    let before = bench.federation.clone();
    bench.stored();
    assert_eq!(bench.queued(&second), [west]);
    let own = |federation: &Federation| {
        let round = federation.jobs[&second].collecting().unwrap();
        (round.deadline, round.participants[&name("west")].own_deadline)
    };
    assert_eq!(own(&bench.federation), own(&before));
}

#[test]
fn who_is_free_has_the_whole_time_of_the_plan() {
    let mut bench = Bench::new();
    let [first, second] = [bench.submit(2, "4h"), bench.submit(2, "30m")];
    let work = bench.accept(&first, "west");
    bench.take_part(&second, "east");
    bench.pass(NOW.plus(HOUR), &[&work]);
    assert_eq!(bench.open(&second), Some((1, 270)), "its deadline is over, and it waits for west");
    bench.answer(&first, "west");
    assert_eq!((bench.queued(&second), bench.open(&second)), (vec![], Some((1, 90))));
    let offered = |bench: &Bench, who| bench.job(&second).assignment(&name(who)).unwrap().deadline;
    assert_eq!(offered(&bench, "west"), NOW.plus(90 * MINUTE), "the client is told its own deadline");
    bench.stored();
    bench.pass(NOW.plus(70 * MINUTE), &[]);
    let second_work = bench.accept(&second, "west");
    assert_eq!(bench.open(&second), Some((1, 90)), "to begin late gives no more time");
    bench.pass(NOW.plus(89 * MINUTE), &[&second_work]);
    let mut in_time = Bench { federation: bench.federation.clone(), now: bench.now };
    in_time.answer(&second, "west");
    assert_eq!(in_time.job(&second).state.name(), "finished");
    bench.pass(NOW.plus(90 * MINUTE), &[&second_work]);
    assert_eq!(bench.open(&second), Some((2, 120)), "another attempt, as after every deadline");
    let round = bench.job(&second).collecting().unwrap();
    assert!(round.participants.values().all(|one| one.own_deadline.is_none()), "{round:?}");
}

#[test]
fn who_begins_while_it_works_for_another_job_has_no_more_time_than_others() {
    let mut bench = Bench::new();
    let [first, second] = [bench.submit(2, "4h"), bench.submit(2, "30m")];
    let work = bench.accept(&first, "west");
    bench.take_part(&second, "east");
    bench.pass(NOW.plus(HOUR), &[&work]);
    // A client with two places for work.
    bench.accept(&second, "west");
    assert_eq!(bench.open(&second), Some((1, 90)));
}

#[test]
fn a_round_with_enough_results_waits_for_nobody_who_is_queued() {
    let mut bench = Bench::new();
    let [first, second] = [bench.submit(2, "4h"), bench.submit(1, "30m")];
    let work = bench.accept(&first, "west");
    assert_eq!(bench.open(&second), Some((1, 270)), "without a result, west is needed");
    bench.take_part(&second, "east");
    assert_eq!(bench.open(&second), Some((1, 30)));
    bench.pass(NOW.plus(30 * MINUTE), &[&work]);
    assert_eq!(bench.job(&second).state.name(), "finished");
}

#[test]
fn a_round_that_is_over_for_too_many_ends_in_spite_of_the_queued() {
    let mut bench = Bench::new();
    let [first, second] = [bench.submit(2, "4h"), bench.submit(2, "30m")];
    let work = bench.accept(&first, "west");
    bench.pass(NOW.plus(30 * MINUTE), &[&work]);
    assert_eq!(bench.open(&second), Some((2, 60)), "east has not answered");
    assert_eq!(bench.queued(&second)[0].2, Some(270), "west is queued in the next attempt too");
}

#[test]
fn a_lost_institution_is_not_queued() {
    let mut bench = Bench::new();
    let [first, second] = [bench.submit(2, "4h"), bench.submit(2, "30m")];
    bench.accept(&first, "west");
    bench.take_part(&second, "east");
    bench.pass(NOW.plus(LEASE), &[]);
    assert_eq!((bench.queued(&second), bench.open(&second)), (vec![], Some((1, 32))));
    bench.pass(NOW.plus(HOUR), &[]);
    assert_eq!(bench.open(&second), Some((2, 62)), "its time has run");
}

#[test]
fn who_only_pretends_to_work_cannot_hold_another_job_for_ever() {
    let mut bench = Bench::new();
    let [first, second] = [bench.submit(2, "4h"), bench.submit(2, "30m")];
    let work = bench.accept(&first, "west");
    bench.take_part(&second, "east");
    // It goes on in the second and last attempt of the other job, which then pauses.
    bench.pass(NOW.plus(5 * HOUR), &[&work]);
    assert_eq!((bench.open(&first).unwrap().0, bench.open(&second)), (2, Some((1, 8 * 60 + 30))));
    bench.pass(NOW.plus(8 * HOUR + 29 * MINUTE), &[&work]);
    assert_eq!(bench.job(&first).state.name(), "paused");
    assert_eq!(bench.open(&second), Some((1, 8 * 60 + 30)), "it calls, and its time runs");
    assert_eq!(bench.queued(&second)[0].0, "west");
    bench.pass(NOW.plus(10 * HOUR), &[&work]);
    assert_eq!(bench.job(&second).state.name(), "paused", "two attempts are used up");
}

/// Each job waits for the institution that pretends to work for the other one.
#[test]
fn two_that_pretend_cannot_hold_two_jobs_against_each_other() {
    let mut bench = Bench::new();
    let [first, second] = [bench.submit(1, "1h"), bench.submit(1, "1h")];
    let [west, east] = [bench.accept(&first, "west"), bench.accept(&second, "east")];
    assert_eq!((bench.open(&first), bench.open(&second)), (Some((1, 120)), Some((1, 120))));
    bench.pass(NOW.plus(24 * HOUR), &[&west, &east]);
    let state = |id| bench.job(id).state.name();
    assert_eq!((state(&first), state(&second)), ("paused", "paused"));
}

#[test]
fn a_pause_by_an_operator_lets_no_time_pass() {
    let mut bench = Bench::new();
    let [first, second] = [bench.submit(2, "4h"), bench.submit(2, "30m")];
    let work = bench.accept(&first, "west");
    bench.take_part(&second, "east");
    let apply = |bench: &mut Bench, transition| {
        let change = bench.federation.apply(&second, transition, bench.now).unwrap();
        bench.federation.merge(change);
    };
    apply(&mut bench, Transition::Pause(name("admin")));
    bench.pass(NOW.plus(2 * HOUR), &[&work]);
    bench.answer(&first, "west");
    bench.pass(NOW.plus(3 * HOUR), &[]);
    apply(&mut bench, Transition::Resume(name("admin")));
    assert_eq!(bench.open(&second), Some((1, 3 * 60 + 30)));
}
