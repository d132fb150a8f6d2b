//! Schema 2 stored the plan document of a job, of version 1. Schema 3 stores the parsed plan: a `JobSpec`
//! with exactly the fields of its kind of job.

use serde_json::{Map, Value, json};

/// Replaces `plan` by `spec` in the record of a job, unless `spec` is there.
pub(super) fn to_3(job: &mut Value) {
    let Some(job) = job.as_object_mut() else { return };
    if job.contains_key("spec") {
        return;
    }
    if let Some(spec) = job.get("plan").and_then(Value::as_object).map(spec) {
        job.insert("spec".to_owned(), spec);
        job.remove("plan");
    }
}

/// The spec for a plan of version 1. An unknown kind or mode becomes the kind, which `JobSpec` refuses by
/// name.
fn spec(plan: &Map<String, Value>) -> Value {
    let text = |key: &str| plan.get(key).and_then(Value::as_str).unwrap_or_default();
    let kind = if text("kind") == "specialist" { text("mode") } else { text("kind") };
    let mut spec = match kind {
        "rounds" => rounds(plan),
        "downstream" => downstream(plan),
        "evaluation" => json!({ "evaluation": plan.get("evaluation") }),
        _ => one_shot(plan),
    };
    spec["kind"] = json!(kind);
    spec["name"] = json!(text("name"));
    let participation = table(plan, "participation");
    let tries = participation.get("attempts").cloned().unwrap_or_else(|| json!(3));
    // One setting was both the number of attempts at a round and the number of lease expiries.
    spec["participation"] = json!({
        "min": participation.get("min"), "max": participation.get("max"),
        "deadline": participation.get("deadline"), "lease_expiries": tries,
    });
    if kind != "evaluation" {
        spec["attempts"] = tries;
        spec["seed"] = plan.get("seed").cloned().unwrap_or_else(|| json!(0));
        spec["licence"] = plan.get("licence").cloned().unwrap_or_else(|| json!("unspecified"));
    }
    if kind != "one-shot" {
        spec["institutions"] = participation.get("institutions").cloned().unwrap_or_else(|| json!([]));
    }
    spec
}

fn one_shot(plan: &Map<String, Value>) -> Value {
    let admission = table(plan, "admission");
    json!({
        "release": release(plan),
        "network": network(plan),
        "specialists": plan.get("specialist"),
        "admission": { "max_samples": admission.get("max_samples"), "floor": admission.get("floor") },
        "normalisation": plan.get("normalisation").cloned().unwrap_or_else(|| json!({ "from": "local" })),
        "training": plan.get("training"),
    })
}

fn rounds(plan: &Map<String, Value>) -> Value {
    let first = plan.get("specialist").and_then(|list| list.get(0));
    let field = |name: &str| first.and_then(|one| one.get(name)).cloned().unwrap_or(Value::Null);
    json!({
        "release": release(plan),
        "network": network(plan),
        "specialist": { "name": field("name"), "bands": field("bands") },
        "normalisation": in_order(plan.get("normalisation"), &field("bands")),
        "federated": federated(plan),
    })
}

fn downstream(plan: &Map<String, Value>) -> Value {
    json!({ "output": output(plan), "head": plan.get("head"), "federated": federated(plan) })
}

fn federated(plan: &Map<String, Value>) -> Value {
    let admission = table(plan, "admission");
    let [max_samples, norm_factor] = ["max_samples", "norm_factor"].map(|key| admission.get(key));
    json!({
        "rounds": plan.get("rounds"),
        "admission": { "max_samples": max_samples, "norm_factor": norm_factor },
        "training": plan.get("training"),
    })
}

fn release(plan: &Map<String, Value>) -> Value {
    plan.get("release").cloned().unwrap_or_else(|| json!("manual"))
}

fn network(plan: &Map<String, Value>) -> Value {
    json!({ "backbone": table(plan, "model").get("backbone"), "output": output(plan) })
}

fn output(plan: &Map<String, Value>) -> Value {
    let model = table(plan, "model");
    json!({ "task": model.get("task"), "classes": model.get("classes"), "target": model.get("target") })
}

/// The values of the plan, in the order of the specialist's bands.
fn in_order(normalisation: Option<&Value>, bands: &Value) -> Value {
    let mut normalisation = normalisation.cloned().unwrap_or(Value::Null);
    let Some(given) = normalisation.get("bands").and_then(Value::as_array).cloned() else {
        return normalisation;
    };
    let entry = |band: &Value| given.iter().find(|entry| entry.get("band") == Some(band)).cloned();
    normalisation["bands"] = bands.as_array().into_iter().flatten().filter_map(entry).collect();
    normalisation
}

fn table(plan: &Map<String, Value>, key: &str) -> Map<String, Value> {
    plan.get(key).and_then(Value::as_object).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use eosfed_common::plan::JobSpec;

    use super::*;

    /// A plan of version 1 as a store of schema 2 has it: every field written out.
    fn stored(kind: &str, mode: &str) -> Value {
        json!({
            "version": 1, "name": "shared", "kind": kind, "mode": mode, "seed": 7, "licence": "CC-BY-4.0",
            "release": "auto",
            "model": {
                "backbone": "convnextv2_atto", "task": "classification", "classes": ["forest", "water"],
                "target": null
            },
            "specialist": [{ "name": "one", "institution": null, "bands": ["red", "nir"] }],
            "head": null, "evaluation": null,
            "participation": {
                "institutions": ["west", "east"], "min": 2, "max": 2, "deadline": "30m", "attempts": 5
            },
            "rounds": {
                "count": 2, "strategy": { "name": "fed-prox", "mu": 0.01 }, "weighting": { "by": "equal" },
                "max_share": 0.5, "server": { "learning_rate": 0.5, "momentum": 0.9 }, "asynchronous": null
            },
            "admission": { "norm_factor": 3.0, "max_samples": 100, "floor": null },
            "normalisation": { "from": "federated" },
            "training": { "epochs": 2, "batch_size": 8, "learning_rate": 1e-3 }
        })
    }

    /// Compares the migrated spec with the spec of the same plan in version 2.
    fn compare(plan: &Value, same: &str) {
        let mut job = json!({ "id": "j-0a1b2c3d", "plan": plan });
        to_3(&mut job);
        assert_eq!(job.get("plan"), None);
        let found: JobSpec = serde_json::from_value(job["spec"].clone()).unwrap();
        assert_eq!(found, JobSpec::parse(same).unwrap());
        let once = job.clone();
        to_3(&mut job);
        assert_eq!(job, once, "a second migration changes nothing");
    }

    const HEADER: &str = "version = 2\nname = \"shared\"\n";
    const MODEL: &str = "[model]\nbackbone = \"convnextv2_atto\"\ntask = \"classification\"\nclasses = \
                         [\"forest\", \"water\"]\n";
    const TRAINING: &str = "[training]\nepochs = 2\nbatch_size = 8\nlearning_rate = 1e-3\n";
    const PARTICIPATION: &str = "[participation]\ninstitutions = [\"west\", \"east\"]\nmin = 2\nmax = 2\n\
                                 deadline = \"30m\"\nlease_expiries = 5\n";
    const ROUNDS: &str = "[rounds]\ncount = 2\nstrategy = { name = \"fed-prox\", mu = 0.01 }\n\
                          weighting = { by = \"equal\" }\nmax_share = 0.5\n\
                          server = { learning_rate = 0.5, momentum = 0.9 }\n\
                          [admission]\nnorm_factor = 3.0\nmax_samples = 100\n";

    #[test]
    fn a_job_of_rounds_keeps_everything() {
        let top = "kind = \"rounds\"\nseed = 7\nlicence = \"CC-BY-4.0\"\nrelease = \"auto\"\n";
        let specialist = "[[specialist]]\nname = \"one\"\nbands = [\"red\", \"nir\"]\n";
        let plan = |normalisation: &str| {
            format!(
                "{HEADER}{top}{MODEL}{specialist}{PARTICIPATION}attempts = 5\n{ROUNDS}{TRAINING}\
                 [normalisation]\n{normalisation}"
            )
        };
        compare(&stored("specialist", "rounds"), &plan("from = \"federated\""));
        let mut given = stored("specialist", "rounds");
        given["normalisation"] = json!({ "from": "given", "bands": [
            { "band": "nir", "mean": 1.0, "std": 2.0 }, { "band": "red", "mean": 3.0, "std": 4.0 }
        ]});
        let bands = "[{ band = \"red\", mean = 3.0, std = 4.0 }, { band = \"nir\", mean = 1.0, std = 2.0 }]";
        compare(&given, &plan(&format!("from = \"given\"\nbands = {bands}")));
    }

    #[test]
    fn a_one_shot_job_keeps_everything() {
        let mut stored = stored("specialist", "one-shot");
        stored["specialist"] = json!([
            { "name": "one", "institution": "west", "bands": ["red"] },
            { "name": "two", "institution": "east", "bands": ["nir"] },
        ]);
        stored["rounds"] = Value::Null;
        stored["participation"]["institutions"] = json!([]);
        stored["admission"] =
            json!({ "norm_factor": null, "max_samples": 9, "floor": { "metric": "miou", "bound": 0.3 } });
        stored["normalisation"] = json!({ "from": "local" });
        let specialists = "[[specialist]]\nname = \"one\"\ninstitution = \"west\"\nbands = [\"red\"]\n\
                           [[specialist]]\nname = \"two\"\ninstitution = \"east\"\nbands = [\"nir\"]\n";
        let participation = "[participation]\nmin = 2\nmax = 2\ndeadline = \"30m\"\nattempts = 5\n\
                             lease_expiries = 5\n";
        let admission = "[admission]\nmax_samples = 9\nfloor = { metric = \"miou\", bound = 0.3 }\n";
        let top = "kind = \"one-shot\"\nseed = 7\nlicence = \"CC-BY-4.0\"\nrelease = \"auto\"\n";
        compare(&stored, &format!("{HEADER}{top}{MODEL}{specialists}{participation}{admission}{TRAINING}"));
    }

    #[test]
    fn a_downstream_job_keeps_everything() {
        let mut stored = stored("downstream", "rounds");
        stored["specialist"] = json!([]);
        stored["release"] = json!("manual");
        stored["model"]["backbone"] = Value::Null;
        stored["normalisation"] = json!({ "from": "local" });
        stored["head"] = json!({
            "release": 1, "specialists": [], "bands": ["red"], "band_rule": "by-name", "method": "router",
            "composition": {
                "norm": "pixel", "projection": false, "selection": { "kind": "all" },
                "fusion": { "kind": "concatenate" }
            }
        });
        let model = MODEL.replace("backbone = \"convnextv2_atto\"\n", "");
        let head = "[head]\nrelease = 1\nbands = [\"red\"]\nmethod = \"router\"\n";
        let top = "kind = \"downstream\"\nseed = 7\nlicence = \"CC-BY-4.0\"\n";
        let rest = format!("{PARTICIPATION}attempts = 5\n{ROUNDS}{TRAINING}");
        compare(&stored, &format!("{HEADER}{top}{model}{head}{rest}"));
    }

    #[test]
    fn an_evaluation_keeps_everything() {
        let mut stored = stored("evaluation", "rounds");
        stored["specialist"] = json!([]);
        for key in ["model", "rounds", "training"] {
            stored[key] = Value::Null;
        }
        stored["evaluation"] = json!({ "release": 4, "specialists": ["one"] });
        let evaluation = "kind = \"evaluation\"\n[evaluation]\nrelease = 4\nspecialists = [\"one\"]\n";
        compare(&stored, &format!("{HEADER}{evaluation}{PARTICIPATION}"));
    }

    #[test]
    fn fields_that_early_versions_lacked_get_their_defaults() {
        let mut stored = stored("specialist", "rounds");
        for key in ["seed", "licence", "release", "admission", "evaluation"] {
            stored.as_object_mut().unwrap().remove(key);
        }
        let spec: JobSpec = serde_json::from_value(spec(stored.as_object().unwrap())).unwrap();
        let JobSpec::Rounds(spec) = spec else { panic!("not rounds") };
        assert_eq!((spec.seed, spec.licence.as_str()), (0, "unspecified"));
        assert_eq!(spec.federated.admission.norm_factor, None);
    }

    /// Jobs of every kind, finished and running, from a store of the last version with schema 2.
    #[test]
    fn the_jobs_of_a_real_store_are_converted() {
        let records = include_str!("../../../fixtures/schema-2/records.jsonl");
        let mut kinds = std::collections::BTreeMap::new();
        for line in records.lines() {
            let mut record: Value = serde_json::from_str(line).unwrap();
            if record["tree"] != "jobs" {
                continue;
            }
            let job = &mut record["record"];
            let plan = job["plan"].clone();
            to_3(job);
            let spec: JobSpec = serde_json::from_value(job["spec"].clone()).unwrap();
            assert_eq!(spec.name(), plan["name"]);
            assert_eq!(spec.participation().lease_expiries, plan["participation"]["attempts"]);
            *kinds.entry(spec.kind()).or_insert(0) += 1;
        }
        assert!(kinds.len() == 4 && kinds.values().all(|count| *count >= 2), "{kinds:?}");
    }

    #[test]
    fn a_value_that_is_not_a_plan_stays_and_is_refused_later() {
        for mut job in [json!(null), json!({ "plan": 7 }), json!({ "spec": { "kind": "rounds" } })] {
            let before = job.clone();
            to_3(&mut job);
            assert_eq!(job, before);
        }
        let odd = spec(stored("specialist", "telepathy").as_object().unwrap());
        let error = serde_json::from_value::<JobSpec>(odd).unwrap_err().to_string();
        assert!(error.contains("telepathy"), "{error}");
    }
}
