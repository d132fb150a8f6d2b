use std::collections::BTreeMap;

use eosfed_common::plan::JobKind;
use eosfed_common::refusal::Reason;
use eosfed_testkit::assignments::blob;
use eosfed_testkit::submissions::report;

use super::*;
use crate::condition::{ConditionKind, LocalCondition};
use crate::testing::{statistics, training};

const NOW: Timestamp = Timestamp(7);

fn lease() -> Lease {
    Lease { token: "0".repeat(32).parse().unwrap(), expires_at: Timestamp(100) }
}

fn accepted(assignment: Assignment) -> Event {
    Event::Accepted(Box::new(assignment), lease(), "1".repeat(32).parse().unwrap(), None)
}

fn after(events: impl IntoIterator<Item = Event>) -> (State, Vec<Action>) {
    events.into_iter().fold((State::default(), Vec::new()), |(state, _), event| step(state, event, NOW))
}

fn at_training() -> Vec<Event> {
    vec![accepted(training(JobKind::OneShot)), Event::Fetched]
}

fn update() -> Box<Update> {
    Box::new(Update {
        file: "w".into(),
        weights: blob(),
        report: report(3, Vec::new()),
        statistics: Vec::new(),
        start_metrics: BTreeMap::new(),
        mechanism: None,
        encoded: None,
    })
}

fn refusal(reason: Reason) -> Refusal {
    Refusal::new(reason, "no")
}

#[test]
fn a_one_shot_training_returns_to_idle() {
    let (state, actions) = after([accepted(training(JobKind::OneShot))]);
    assert_eq!((state.name(), actions), ("fetching", vec![Action::Fetch]));
    assert_eq!(state.held().unwrap().since, NOW);
    let (state, actions) = after(at_training());
    assert_eq!((state.name(), actions), ("training", vec![Action::Train(0)]));
    let (state, actions) = step(state, Event::Finished(update()), NOW);
    assert_eq!((state.name(), actions), ("submitting", vec![Action::Submit]));
    let (state, actions) = step(state, Event::Acknowledged(NOW), NOW);
    let id = training(JobKind::OneShot).id;
    let expected = vec![Action::Report(Ending::Recorded(NOW)), Action::Discard(id), Action::PollForWork];
    assert_eq!((state, actions), (State::default(), expected));
}

#[test]
fn statistics_need_no_trainer() {
    let (state, actions) = after([accepted(statistics())]);
    assert_eq!((state.name(), actions), ("computing_statistics", vec![Action::ComputeStatistics]));
    let (state, _) = step(state, Event::StatisticsComputed(Vec::new()), NOW);
    assert!(matches!(state, State::Submitting { outcome: Outcome::Statistics(_), .. }));
}

#[test]
fn a_trainer_may_crash_twice() {
    let crashed = || Event::TrainerCrashed("signal 9".to_owned());
    let mut events = at_training();
    for crashes in 1..=MAX_RESTARTS {
        events.push(crashed());
        assert_eq!(after(events.clone()).1, [Action::Train(crashes)]);
    }
    events.push(crashed());
    let (state, _) = after(events);
    let State::Submitting { outcome: Outcome::Failure(why), .. } = state else { panic!("{state:?}") };
    assert!(why.message.contains("3 times") && why.message.contains("signal 9"), "{why}");
}

#[test]
fn a_leftover_trainer_is_ended_before_the_next_starts() {
    let process = Process { pid: 9, start_ticks: 8 };
    let mut events = at_training();
    events.push(Event::TrainerStarted(process));
    let (state, actions) = after(events);
    assert_eq!(actions, []);
    assert_eq!(resume(&state), [Action::Reap(process), Action::Train(0)]);
}

#[test]
fn unwanted_work_is_dropped_unless_it_is_being_submitted() {
    let (state, actions) = step(after(at_training()).0, Event::Stopped(refusal(Reason::JobEnded)), NOW);
    assert_eq!(state, State::default());
    assert_eq!(actions[0], Action::Report(Ending::Dropped(refusal(Reason::JobEnded))));
    let submitting = step(after(at_training()).0, Event::Finished(update()), NOW).0;
    let (state, actions) = step(submitting.clone(), Event::Stopped(refusal(Reason::RoundClosed)), NOW);
    assert_eq!((state, actions), (submitting.clone(), vec![]));
    assert_eq!(step(submitting, Event::Rejected(refusal(Reason::RoundClosed)), NOW).0, State::default());
}

#[test]
fn a_new_lease_replaces_the_old_in_every_phase() {
    let fresh = Lease { token: "f".repeat(32).parse().unwrap(), expires_at: Timestamp(200) };
    for events in [vec![accepted(training(JobKind::OneShot))], at_training(), vec![accepted(statistics())]] {
        let (state, actions) = step(after(events).0, Event::Leased(fresh.clone()), NOW);
        assert_eq!((&state.held().unwrap().lease, actions), (&fresh, vec![]));
    }
}

#[test]
fn events_out_of_place_change_nothing() {
    for event in [
        Event::Fetched,
        Event::Finished(update()),
        Event::Acknowledged(NOW),
        Event::Failed(refusal(Reason::Internal)),
    ] {
        assert_eq!(step(State::default(), event, NOW), (State::default(), vec![]));
    }
}

#[test]
fn every_state_reads_back_from_the_journal_and_has_actions() {
    let submitting = step(after(at_training()).0, Event::Finished(update()), NOW).0;
    let states = [
        State::default(),
        after([accepted(training(JobKind::Rounds))]).0,
        after(at_training()).0,
        submitting,
    ];
    for state in states {
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
        assert!(!resume(&state).is_empty());
    }
}

#[test]
fn a_ban_ends_the_daemon_and_keeps_the_state() {
    let state = after(at_training()).0;
    let (kept, actions) = step(state.clone(), Event::Banned(refusal(Reason::Unauthenticated)), NOW);
    assert_eq!((kept, actions), (state, vec![Action::Halt(refusal(Reason::Unauthenticated))]));
}

fn away() -> LocalCondition {
    LocalCondition::new(ConditionKind::DataMissing, "the data set is away")
}

#[test]
fn a_condition_leads_to_a_wait_and_is_cleared_on_progress() {
    let state = after(at_training()).0;
    let (state, actions) = step(state, Event::Blocked(away()), NOW);
    assert_eq!((state.name(), actions), ("training", vec![Action::Wait(1)]));
    let (state, actions) = step(state, Event::Blocked(away()), Timestamp(9));
    assert_eq!(actions, [Action::Wait(2)]);
    assert_eq!(state.wait().unwrap().since, NOW);
    let (state, actions) = step(state, Event::WaitOver, NOW);
    assert_eq!(actions, [Action::Train(0)], "it does not count as a crash");
    let (state, actions) = step(state, Event::Progressed, NOW);
    assert_eq!((state.wait(), actions), (None, vec![]));
}

#[test]
fn a_condition_clears_the_running_trainer() {
    let state = after(at_training()).0;
    let state = step(state, Event::TrainerStarted(Process { pid: 9, start_ticks: 8 }), NOW).0;
    let state = step(state, Event::Blocked(away()), NOW).0;
    assert_eq!(resume(&state), [Action::Train(0)]);
}

#[test]
fn without_an_assignment_a_condition_is_only_remembered() {
    let (state, actions) = step(State::default(), Event::Blocked(away()), NOW);
    assert_eq!((state.wait().unwrap().tries, actions), (1, vec![]));
    assert_eq!(step(state.clone(), Event::WaitOver, NOW), (State::default(), vec![]));
    let (state, _) = step(state, accepted(training(JobKind::OneShot)), NOW);
    assert_eq!(state.wait(), None);
}

#[test]
fn work_that_the_policy_no_longer_allows_is_reported_and_weights_are_kept() {
    let denied = || Event::PolicyDenied(refusal(Reason::Policy));
    let outcome = |state: State| match step(state, denied(), NOW) {
        (State::Submitting { outcome, .. }, actions) => (outcome, actions),
        (state, _) => panic!("{state:?}"),
    };
    let failure = (Outcome::Failure(refusal(Reason::Policy)), vec![Action::Submit]);
    for events in [vec![accepted(training(JobKind::OneShot))], at_training(), vec![accepted(statistics())]] {
        assert_eq!(outcome(after(events).0), failure);
    }
    let computed = step(after([accepted(statistics())]).0, Event::StatisticsComputed(Vec::new()), NOW).0;
    assert_eq!(outcome(computed), failure);
    let finished = step(after(at_training()).0, Event::Finished(update()), NOW).0;
    let withheld = Outcome::Withheld(refusal(Reason::Policy));
    assert_eq!(outcome(finished.clone()), (withheld.clone(), vec![Action::Submit]));
    let state = step(finished, denied(), NOW).0;
    assert_eq!(step(state.clone(), denied(), NOW), (state.clone(), vec![]), "it is being reported");
    let (_, actions) = step(state, Event::Acknowledged(NOW), NOW);
    assert_eq!(actions[0], Action::Report(Ending::FailureReported));
}
