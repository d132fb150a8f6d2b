use std::fmt::{Debug, Display};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{DiskView, JobState, ParticipantState, RoundKind, RoundPhase, StorageView};

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
fn names_that_had_no_unit_are_read_as_earlier_coordinators_write_them() {
    let storage = |limit: &str| {
        serde_json::from_value::<StorageView>(json!({
            "at": 1, "kinds": [], "files": 0, "bytes": 0, "jobs": [], "more_jobs": 0, limit: 604_800, "events": 0,
            "next": {
                "dry_run": true, "deferred": false, "rounds": 0, "files": 0, "bytes": 0, "oldest": [], "more": 0,
            },
            "disk": { "free": 3, "total": 9 },
        }))
        .unwrap()
    };
    let old = storage("keep_updates_for");
    assert_eq!(old.keep_updates_for_seconds, Some(604_800));
    assert_eq!(old.disk, Some(DiskView { free_bytes: 3, total_bytes: 9 }));
    assert_eq!(old, storage("keep_updates_for_seconds"));
    let written = serde_json::to_value(&old).unwrap();
    assert_eq!(
        (&written["keep_updates_for_seconds"], &written["disk"]["free_bytes"]),
        (&604_800.into(), &3.into())
    );
    assert!(written.get("keep_updates_for").is_none() && written["disk"].get("free").is_none());
}

#[test]
fn a_job_is_at_rest_only_if_it_ended_or_an_operator_must_act() {
    use JobState::{Aggregating, Cancelled, Finished, Paused, Preparing, Running};
    let resting = |states: &[JobState]| states.iter().filter(|state| state.is_at_rest()).count();
    assert_eq!(resting(&[Preparing, Running, Aggregating]), 0);
    assert_eq!(resting(&[Paused, Finished, Cancelled]), 3);
}
