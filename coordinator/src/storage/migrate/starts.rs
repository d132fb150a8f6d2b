//! Schema 2 records the weights that work started from. The step adds the missing fields and changes nothing
//! else.

use serde_json::{Value, json};

use super::add;

/// Adds the missing fields to a round.
pub(super) fn to_2(round: &mut Value) {
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
            // The norm is not known any more. Only `admission.norm_factor` needs it, and plans of schema 1 do
            // not have that key.
            add(update, "norm", json!(0.0));
            add(update, "since", index.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CURRENT, each_round};
    use super::*;

    fn round(slot: &Value) -> Value {
        json!({ "index": 3, "participants": { "west": { "slot": slot, "lapses": 0, "curve": [] } } })
    }

    #[test]
    fn every_round_of_a_job_gets_its_missing_fields() {
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
            each_round(&mut job, to_2);
            let west = job["state"].pointer(place).unwrap()["participants"]["west"].clone();
            assert_eq!((&west["rejected"], &west["slot"]["since"]), (&json!([]), &json!(3)), "{place}");
            let west = &job["history"][0]["round"]["participants"]["west"];
            let found = &west["slot"]["contribution"]["update"];
            assert_eq!(*found, json!({ "samples": 5, "norm": 0.0, "since": 3 }));
            let once = job.clone();
            each_round(&mut job, to_2);
            assert_eq!(job, once, "a second migration changes nothing");
        }
    }

    #[test]
    fn existing_fields_stay() {
        let kept = json!({ "state": "leased", "since": 1, "lease": {} });
        let mut job = json!({ "history": [], "state": { "collecting": round(&kept) } });
        let west = &mut job["state"]["collecting"]["participants"]["west"];
        west["rejected"] = json!(["one"]);
        let before = job.clone();
        each_round(&mut job, to_2);
        assert_eq!(job, before);
        // A state without a round and an invalid value stay unchanged.
        for record in [
            json!({ "history": [], "state": "preparing" }),
            json!({ "history": 7, "state": { "collecting": [1] } }),
            json!(null),
        ] {
            let mut after = record.clone();
            each_round(&mut after, to_2);
            assert_eq!(after, record);
        }
    }
}
