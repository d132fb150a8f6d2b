use std::fmt::{Debug, Display};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{JobState, ParticipantState, RoundKind, RoundPhase};

/// Checks that a state is shown as `text`, and is the same text in JSON.
fn shown<T: Serialize + DeserializeOwned + Display + PartialEq + Debug>(state: &T, text: &str) {
    assert_eq!(state.to_string(), text);
    let json = serde_json::to_value(state).unwrap();
    assert_eq!(json, text);
    assert_eq!(&serde_json::from_value::<T>(json).unwrap(), state);
}

#[test]
fn states_have_the_same_names_in_tables_and_json() {
    shown(&JobState::Running, "running");
    shown(&JobState::Cancelled, "cancelled");
    shown(&RoundPhase::Incomplete, "incomplete");
    shown(&ParticipantState::Submitted, "submitted");
}

#[test]
fn the_json_of_a_round_kind_is_stable() {
    let json = |kind: RoundKind| serde_json::to_string(&kind).unwrap();
    assert_eq!(json(RoundKind::OneShot), "\"one_shot\"");
    assert_eq!(json(RoundKind::Evaluate(3)), "{\"evaluate\":3}");
}

#[test]
fn a_job_is_at_rest_only_if_it_ended_or_an_operator_must_act() {
    use JobState::{Aggregating, Cancelled, Finished, Paused, Preparing, Running};
    let resting = |states: &[JobState]| states.iter().filter(|state| state.is_at_rest()).count();
    assert_eq!(resting(&[Preparing, Running, Aggregating]), 0);
    assert_eq!(resting(&[Paused, Finished, Cancelled]), 3);
}
