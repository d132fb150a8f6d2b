//! Records of earlier releases, brought into the shape that this release reads: pure functions over
//! JSON, one for each step from a schema to the next. A step adds what is missing and touches nothing
//! else, so a record that has been through it already stays as it is.
//!
//! | schema | since | what is different |
//! | --- | --- | --- |
//! | 1 | the first releases | |
//! | 2 | aggregation strategies | a lease and an update say the round that they started from (`since`), an update the norm of its step (`norm`), a participant what was rejected (`rejected`) |
//! | 3 | typed jobs | a job says what it is to do as `spec`, with the fields of its kind, and no longer as `plan`, the document |
//!
//! What a schema adds as an optional value or with a default needs no step: it reads as absent.

mod spec;

use serde_json::{Value, json};

/// The schema that this release reads and writes.
pub const SCHEMA: u32 = 3;
/// The oldest schema that this release can bring up to [`SCHEMA`].
pub(super) const OLDEST: u32 = 1;

/// Brings a record of `tree`, written under schema `from`, up to [`SCHEMA`].
pub(super) fn migrate(tree: &str, record: &mut Value, from: u32) {
    if from < 2 && tree == "jobs" {
        rounds_to_2(record);
    }
    if from < 3 && tree == "jobs" {
        spec::to_3(record);
    }
}

/// Where the state of a job holds its round.
const CURRENT: [&str; 4] = ["/collecting", "/aggregating", "/paused/next/collect", "/paused/next/aggregate"];

fn rounds_to_2(job: &mut Value) {
    if let Some(history) = job.get_mut("history").and_then(Value::as_array_mut) {
        history.iter_mut().filter_map(|closed| closed.get_mut("round")).for_each(round_to_2);
    }
    if let Some(state) = job.get_mut("state") {
        for place in CURRENT {
            state.pointer_mut(place).into_iter().for_each(round_to_2);
        }
    }
}

fn round_to_2(round: &mut Value) {
    // Rounds of schema 1 were never asynchronous: all work in a round has started from its weights.
    let index = round.get("index").cloned().unwrap_or(Value::Null);
    let Some(participants) = round.get_mut("participants").and_then(Value::as_object_mut) else { return };
    for participant in participants.values_mut() {
        add(participant, "rejected", json!([]));
        let Some(slot) = participant.get_mut("slot") else { continue };
        if slot.get("state").is_some_and(|state| state == "leased") {
            add(slot, "since", index.clone());
        }
        if let Some(update) = slot.pointer_mut("/contribution/update") {
            // Not known any more. Only `admission.norm_factor` asks for it, which plans of then lack.
            add(update, "norm", json!(0.0));
            add(update, "since", index.clone());
        }
    }
}

/// Adds a field unless it is there.
fn add(object: &mut Value, field: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.entry(field).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(slot: &Value) -> Value {
        json!({ "index": 3, "participants": { "west": { "slot": slot, "lapses": 0, "curve": [] } } })
    }

    #[test]
    fn every_round_of_a_job_gets_what_it_lacks_wherever_it_is() {
        let leased = json!({ "state": "leased", "lease": {}, "step": 1, "steps": 2 });
        let update = json!({ "state": "submitted", "contribution": { "update": { "samples": 5 } } });
        let states = [
            json!({ "collecting": round(&leased) }),
            json!({ "aggregating": round(&leased) }),
            json!({ "paused": { "at": 1, "why": "", "next": { "collect": round(&leased) } } }),
            json!({ "paused": { "at": 1, "why": "", "next": { "aggregate": round(&leased) } } }),
        ];
        for (state, place) in states.into_iter().zip(CURRENT) {
            let mut job = json!({ "history": [{ "round": round(&update), "at": 1 }], "state": state });
            migrate("jobs", &mut job, 1);
            let west = job["state"].pointer(place).unwrap()["participants"]["west"].clone();
            assert_eq!((&west["rejected"], &west["slot"]["since"]), (&json!([]), &json!(3)), "{place}");
            let west = &job["history"][0]["round"]["participants"]["west"];
            let found = &west["slot"]["contribution"]["update"];
            assert_eq!(*found, json!({ "samples": 5, "norm": 0.0, "since": 3 }));
            let once = job.clone();
            migrate("jobs", &mut job, 1);
            assert_eq!(job, once, "twice is once");
        }
    }

    #[test]
    fn what_is_there_stays() {
        let kept = json!({ "state": "leased", "since": 1, "lease": {} });
        let mut job = json!({ "history": [], "state": { "collecting": round(&kept) } });
        let west = &mut job["state"]["collecting"]["participants"]["west"];
        west["rejected"] = json!(["one"]);
        let before = job.clone();
        migrate("jobs", &mut job, 1);
        assert_eq!(job, before);
        // Neither a state without a round, nor nonsense, nor another kind of record is touched.
        for (tree, record) in [
            ("jobs", json!({ "history": [], "state": "preparing" })),
            ("jobs", json!({ "history": 7, "state": { "collecting": [1] } })),
            ("jobs", json!(null)),
            ("specialists", json!({ "state": { "collecting": round(&json!({ "state": "leased" })) } })),
        ] {
            let mut after = record.clone();
            migrate(tree, &mut after, 1);
            assert_eq!(after, record);
        }
    }
}
