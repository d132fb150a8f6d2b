use eosfed_common::digest::Digest;
use eosfed_common::plan::JobKind;
use eosfed_common::refusal::Reason;

use super::*;
use crate::testing::{statistics, training};

const NOW: Timestamp = Timestamp(7);

fn lease() -> Lease {
    Lease { token: "0".repeat(32).parse().unwrap(), expires_at: Timestamp(100) }
}

fn accepted(assignment: Assignment) -> Event {
    Event::Accepted(Box::new(assignment), lease(), "1".repeat(32).parse().unwrap())
}

fn after(events: impl IntoIterator<Item = Event>) -> (State, Vec<Action>) {
    events.into_iter().fold((State::Idle, Vec::new()), |(state, _), event| step(state, event, NOW))
}

fn at_training() -> Vec<Event> {
    vec![accepted(training(JobKind::OneShot)), Event::Fetched]
}

fn update() -> Box<Update> {
    Box::new(Update {
        file: "w".into(),
        weights: BlobRef { digest: Digest::of(b"w"), size: 1 },
        samples: 3,
        metrics: BTreeMap::new(),
        normalisation: Vec::new(),
        energy: Energy::default(),
        initial: None,
    })
}

fn refusal(reason: Reason) -> Refusal {
    Refusal::new(reason, "no")
}

#[test]
fn one_shot_goes_round() {
    let (state, actions) = after([accepted(training(JobKind::OneShot))]);
    assert_eq!((state.name(), actions), ("fetching", vec![Action::Fetch]));
    assert_eq!(state.held().unwrap().since, NOW);
    let (state, actions) = after(at_training());
    assert_eq!((state.name(), actions), ("training", vec![Action::Train(0)]));
    let (state, actions) = step(state, Event::Finished(update()), NOW);
    assert_eq!((state.name(), actions), ("submitting", vec![Action::Submit]));
    let (state, actions) = step(state, Event::Acknowledged(NOW), NOW);
    let id = training(JobKind::OneShot).id;
    let expected = vec![Action::Tell(Ending::Recorded(NOW)), Action::Discard(id), Action::Seek];
    assert_eq!((state, actions), (State::Idle, expected));
}

#[test]
fn statistics_need_no_trainer() {
    let (state, actions) = after([accepted(statistics())]);
    assert_eq!((state.name(), actions), ("measuring", vec![Action::Measure]));
    let (state, _) = step(state, Event::Measured(Vec::new()), NOW);
    assert!(matches!(state, State::Submitting { outcome: Outcome::Statistics(_), .. }));
}

#[test]
fn a_trainer_may_die_twice() {
    let died = || Event::TrainerDied("signal 9".to_owned());
    let mut events = at_training();
    for deaths in 1..=MAX_DEATHS {
        events.push(died());
        assert_eq!(after(events.clone()).1, [Action::Train(deaths)]);
    }
    events.push(died());
    let (state, _) = after(events);
    let State::Submitting { outcome: Outcome::Failure(why), .. } = state else { panic!("{state:?}") };
    assert!(why.contains("3 times") && why.contains("signal 9"), "{why}");
}

#[test]
fn a_trainer_left_behind_is_ended_before_the_next_starts() {
    let process = Process { pid: 9, start_ticks: 8 };
    let mut events = at_training();
    events.push(Event::TrainerStarted(process));
    let (state, actions) = after(events);
    assert_eq!(actions, []);
    assert_eq!(resume(&state), [Action::Reap(process), Action::Train(0)]);
}

#[test]
fn unwanted_work_is_dropped_unless_it_is_on_its_way() {
    let (state, actions) = step(after(at_training()).0, Event::Stopped(refusal(Reason::JobEnded)), NOW);
    assert_eq!(state, State::Idle);
    assert_eq!(actions[0], Action::Tell(Ending::Dropped(refusal(Reason::JobEnded))));
    let submitting = step(after(at_training()).0, Event::Finished(update()), NOW).0;
    let (state, actions) = step(submitting.clone(), Event::Stopped(refusal(Reason::RoundClosed)), NOW);
    assert_eq!((state, actions), (submitting.clone(), vec![]));
    assert_eq!(step(submitting, Event::Rejected(refusal(Reason::RoundClosed)), NOW).0, State::Idle);
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
    for event in
        [Event::Fetched, Event::Finished(update()), Event::Acknowledged(NOW), Event::Failed("x".into())]
    {
        assert_eq!(step(State::Idle, event, NOW), (State::Idle, vec![]));
    }
}

#[test]
fn every_state_survives_the_journal_and_knows_what_to_do() {
    let submitting = step(after(at_training()).0, Event::Finished(update()), NOW).0;
    let states =
        [State::Idle, after([accepted(training(JobKind::Rounds))]).0, after(at_training()).0, submitting];
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
