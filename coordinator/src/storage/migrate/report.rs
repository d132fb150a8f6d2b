//! Schema 2 stored the report of a training as fields of an update and of a trained head. Schema 3 stores one
//! `report`, which has the same type as in messages.

use serde_json::{Map, Value, json};

/// Moves the fields of a job's trained head into `report`, unless they are there.
pub(super) fn job_to_3(job: &mut Value) {
    let Some(trained) = job.get_mut("trained").and_then(Value::as_object_mut) else { return };
    if trained.contains_key("report") {
        return;
    }
    let samples = trained.get("head").and_then(|head| head.get("samples")).cloned();
    let mut report = taken(trained, &["metrics", "energy"]);
    report.insert("samples".to_owned(), samples.unwrap_or(Value::Null));
    report.insert("normalisation".to_owned(), json!([]));
    trained.insert("report".to_owned(), report.into());
}

/// Moves the fields of a round's updates into `report`, unless they are there.
pub(super) fn round_to_3(round: &mut Value) {
    let Some(participants) = round.get_mut("participants").and_then(Value::as_object_mut) else { return };
    for participant in participants.values_mut() {
        let update = participant.pointer_mut("/slot/contribution/update");
        let Some(update) = update.and_then(Value::as_object_mut) else { continue };
        if !update.contains_key("report") {
            let report = taken(update, &["samples", "metrics", "normalisation", "energy", "initial"]);
            update.insert("report".to_owned(), report.into());
        }
    }
}

/// Removes these fields from an object and gives them.
fn taken(object: &mut Map<String, Value>, fields: &[&str]) -> Map<String, Value> {
    fields.iter().filter_map(|field| Some(((*field).to_owned(), object.remove(*field)?))).collect()
}

#[cfg(test)]
mod tests {
    use eosfed_common::report::TrainingReport;

    use super::*;

    #[test]
    fn an_update_keeps_everything() {
        let update = json!({
            "weights": { "digest": "sha256:00", "size": 1 }, "samples": 9, "metrics": { "miou": 0.5 },
            "normalisation": [{ "band": "red", "mean": 1.0, "std": 2.0 }],
            "energy": { "kwh": 0.25, "source": "measured" }, "norm": 3.0, "since": 4
        });
        let slot = json!({ "state": "submitted", "contribution": { "update": update } });
        let mut round = json!({ "participants": {
            "west": { "slot": slot }, "east": { "slot": { "state": "offered" } },
            "north": { "slot": { "contribution": { "evaluation": { "samples": 1 } } } }
        }});
        let others = (round["participants"]["east"].clone(), round["participants"]["north"].clone());
        round_to_3(&mut round);
        let update = &round["participants"]["west"]["slot"]["contribution"]["update"];
        let report: TrainingReport = serde_json::from_value(update["report"].clone()).unwrap();
        assert_eq!((report.samples, report.metrics["miou"].get(), report.initial), (9, 0.5, None));
        assert_eq!((report.normalisation.len(), report.energy.kwh.get()), (1, 0.25));
        assert_eq!(
            (&update["norm"], &update["since"], update.get("samples")),
            (&json!(3.0), &json!(4), None)
        );
        assert_eq!((&round["participants"]["east"], &round["participants"]["north"]), (&others.0, &others.1));
        let once = round.clone();
        round_to_3(&mut round);
        assert_eq!(round, once, "a second migration changes nothing");
    }

    #[test]
    fn a_trained_head_keeps_everything() {
        let energy = json!({ "kwh": 0.25, "source": "measured" });
        let mut job = json!({ "trained": {
            "head": { "samples": 28 }, "rounds": 1, "metrics": { "miou": 0.5 }, "energy": energy
        }});
        job_to_3(&mut job);
        let report: TrainingReport = serde_json::from_value(job["trained"]["report"].clone()).unwrap();
        assert_eq!((report.samples, report.metrics["miou"].get()), (28, 0.5));
        assert_eq!(job["trained"].get("metrics"), None);
        let once = job.clone();
        job_to_3(&mut job);
        assert_eq!(job, once, "a second migration changes nothing");
        for mut record in [json!({ "trained": null }), json!(7)] {
            let before = record.clone();
            job_to_3(&mut record);
            assert_eq!(record, before);
        }
    }
}
