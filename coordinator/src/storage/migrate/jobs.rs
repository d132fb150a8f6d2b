//! Schema 2 kept a job with its rounds and curves as one record. Schema 3 has separate records for the
//! constant part, the changing part, each closed round and each curve, and uses the standard terms.

use std::collections::BTreeSet;

use eosfed_common::card::Energy;
use serde_json::{Map, Value, json};

use super::{CURRENT, add};
use crate::storage::record::Record;

/// The records that replace the record of a job, unless it already has schema 3.
pub(super) fn to_3(record: Record) -> Vec<Record> {
    let Record { tree, key, record: Value::Object(mut job) } = record else { return vec![record] };
    let Some(mut state) = job.remove("state") else {
        return vec![Record { tree, key, record: Value::Object(job) }];
    };
    let mut records = Vec::new();
    let history = match job.remove("history") {
        Some(Value::Array(history)) => history,
        Some(_) | None => Vec::new(),
    };
    let (contributors, energy) = trained(&history);
    for closed in history {
        closed_round(&key, closed, &mut records);
    }
    for place in CURRENT {
        if let Some(round) = state.pointer_mut(place) {
            open_round(&key, round, &mut records);
        }
    }
    if let Some(Value::Object(origin)) = job.get_mut("origin") {
        fork_step(origin);
    }
    let mut take = |name: &str| job.remove(name).unwrap_or(Value::Null);
    let changes = json!({
        "id": key,
        "state": state,
        "global_model": take("global"),
        "optimizer_state": take("memory"),
        "normalisation": take("normalisation"),
        "contributors": contributors,
        "energy": energy,
        "produced": take("produced"),
        "release": take("release"),
        "trained": take("trained"),
    });
    let cohort = take("roster");
    let mut definition = Value::Object(job);
    add(&mut definition, "cohort", cohort);
    add(&mut definition, "candidates", json!([]));
    records.push(Record { tree: "job_states".to_owned(), key: key.clone(), record: changes });
    records.push(Record { tree, key, record: definition });
    records
}

/// The institutions whose updates count in a complete training round, and the energy of these updates, in the
/// order of rounds and of names.
fn trained(history: &[Value]) -> (BTreeSet<String>, Option<Energy>) {
    let mut contributors = BTreeSet::new();
    let mut energy = None::<Energy>;
    let complete = history.iter().filter(|closed| closed.get("complete") == Some(&json!(true)));
    let rounds = complete.filter_map(|closed| closed.get("round"));
    for round in rounds.filter(|round| round.pointer("/purpose/train").is_some()) {
        let participants = round.get("participants").and_then(Value::as_object);
        for (name, participant) in participants.into_iter().flatten() {
            let Some(update) = participant.pointer("/slot/contribution/update") else { continue };
            contributors.insert(name.clone());
            let spent = update.pointer("/report/energy").cloned().unwrap_or(Value::Null);
            if let Ok(spent) = serde_json::from_value::<Energy>(spent) {
                energy = Some(energy.map_or(spent, |sum| sum.plus(spent)));
            }
        }
    }
    (contributors, energy)
}

fn closed_round(job: &str, closed: Value, records: &mut Vec<Record>) {
    let Value::Object(mut closed) = closed else { return };
    let Some(mut round) = closed.remove("round") else { return };
    open_round(job, &mut round, records);
    let [index, attempt] = ["index", "attempt"].map(|field| number(&round, field));
    closed.insert("job".to_owned(), json!(job));
    closed.insert("round".to_owned(), round);
    rename(&mut closed, "memory", "optimizer_state");
    let key = format!("{job}/{index:010}/{attempt:010}");
    records.push(Record { tree: "rounds".to_owned(), key, record: Value::Object(closed) });
}

/// Migrates a round, and turns its curves into records.
fn open_round(job: &str, round: &mut Value, records: &mut Vec<Record>) {
    let [index, attempt] = ["index", "attempt"].map(|field| number(round, field));
    let asked_in = json!({ "job": job, "round": index, "attempt": attempt });
    let Value::Object(round) = round else { return };
    rename(round, "purpose", "kind");
    let Some(Value::Object(participants)) = round.get_mut("participants") else { return };
    for (name, participant) in participants {
        let Value::Object(participant) = participant else { continue };
        rename(participant, "lapses", "lease_expiries");
        rename(participant, "slot", "state");
        if let Some(Value::Object(state)) = participant.get_mut("state") {
            rename(state, "state", "kind");
        }
        participant.entry("asked_in").or_insert_with(|| asked_in.clone());
        match participant.remove("curve") {
            Some(Value::Array(points)) if !points.is_empty() => {
                let id = json!({ "asked_in": asked_in, "institution": name });
                let key = format!("{job}/{index:010}/{attempt:010}/{name}");
                let record = json!({ "id": id, "points": points });
                records.push(Record { tree: "curves".to_owned(), key, record });
            }
            Some(_) | None => {}
        }
    }
}

/// Names the step of the round from which a job was forked.
fn fork_step(origin: &mut Map<String, Value>) {
    rename(origin, "again", "step");
    if let Some(step) = origin.get_mut("step")
        && step == "round"
    {
        *step = json!("train");
    }
}

fn number(object: &Value, field: &str) -> u64 {
    object.get(field).and_then(Value::as_u64).unwrap_or_default()
}

fn rename(object: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = object.remove(from) {
        object.insert(to.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn participant(state: &str, curve: &Value) -> Value {
        json!({ "slot": { "state": state }, "lapses": 1, "curve": curve, "rejected": [] })
    }

    fn job() -> Record {
        let spent = json!({ "kwh": 0.5, "source": "measured" });
        let mut west = participant("submitted", &json!([{ "step": 1, "loss": 0.5, "metrics": {} }]));
        west["slot"]["contribution"] = json!({ "update": { "report": { "energy": spent } } });
        let closed = |index: u32, complete: bool| {
            let round = json!({
                "index": index, "attempt": 1, "purpose": { "train": index }, "participants": { "west": west },
            });
            json!({ "round": round, "at": 7, "complete": complete, "base": null, "memory": null })
        };
        let open = json!({
            "index": 2, "attempt": 3, "purpose": { "train": 2 },
            "participants": { "west": participant("leased", &json!([{ "step": 9, "loss": 0.1, "metrics": {} }])) },
        });
        let record = json!({
            "id": "j-0a1b2c3d", "key": "k", "spec": {},
            "origin": { "job": "j-00000001", "round": 0, "again": "round" },
            "head": null, "roster": ["west"],
            "submitted_by": "admin", "submitted_at": 1, "state": { "collecting": open },
            "history": [closed(0, true), closed(1, true), closed(1, false)],
            "global": null, "memory": null, "normalisation": null, "produced": [], "release": null, "trained": null,
        });
        Record { tree: "jobs".to_owned(), key: "j-0a1b2c3d".to_owned(), record }
    }

    #[test]
    fn a_job_is_split_into_definition_state_closed_rounds_and_curves() {
        let records = to_3(job());
        let named = |tree: &str| records.iter().filter(|one| one.tree == tree).collect::<Vec<_>>();
        assert_eq!(["jobs", "job_states", "rounds", "curves"].map(|tree| named(tree).len()), [1, 1, 3, 4]);
        let definition = &named("jobs")[0].record;
        assert_eq!((&definition["cohort"], &definition["candidates"]), (&json!(["west"]), &json!([])));
        assert_eq!(definition["origin"], json!({ "job": "j-00000001", "round": 0, "step": "train" }));
        assert!(definition.get("state").is_none() && definition.get("history").is_none());
        let state = &named("job_states")[0].record;
        assert_eq!(state["contributors"], json!(["west"]));
        assert_eq!(state["energy"], json!({ "kwh": 1.0, "source": "measured" }), "of complete rounds");
        let west = &state["state"]["collecting"]["participants"]["west"];
        assert_eq!((&west["state"]["kind"], &west["lease_expiries"]), (&json!("leased"), &json!(1)));
        assert_eq!(west["asked_in"], json!({ "job": "j-0a1b2c3d", "round": 2, "attempt": 3 }));
        assert!(west.get("curve").is_none() && west.get("slot").is_none());
        let closed = named("rounds")[0];
        assert_eq!(closed.key, "j-0a1b2c3d/0000000000/0000000001");
        assert_eq!(closed.record["round"]["kind"], json!({ "train": 0 }));
        let curve = named("curves")[3];
        assert_eq!(curve.key, "j-0a1b2c3d/0000000002/0000000003/west");
        assert_eq!(curve.record["points"][0]["step"], 9);
        for record in records.clone() {
            if record.tree == "jobs" {
                assert_eq!(to_3(record.clone()), [record], "a second migration changes nothing");
            }
        }
    }
}
