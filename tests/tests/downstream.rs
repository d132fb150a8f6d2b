//! A head that two institutions train over a release: only its weights are sent, a killed client continues,
//! and the head can be scored, explained and used to prune the release.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::path::Path;

use eosfed_e2e::plans::{RGB, head, one_shot, rounds};
use eosfed_e2e::{Federation, fail, succeed};
use safetensors::SafeTensors;
use serde_json::Value;

fn specialists() -> String {
    one_shot(&[("east-red", "east", &["red"]), ("west-colour", "west", &RGB)]).text()
}

fn brightness() -> String {
    head()
        .set("name", "brightness")
        .set_toml("head.composition.selection", "{ kind = \"smooth\", penalty = 0.05, scale = false }")
        .set_toml("head.class_colours", "{ dark = \"#332288\" }")
        .rounds(2, "{ name = \"fed-avg\" }")
        .set("training.epochs", 100)
        .set("training.batch_size", 4)
        .set("training.learning_rate", 1e-4)
        .text()
}

#[test]
fn a_head_is_trained_in_rounds_and_prunes_the_release() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    for (seed, name) in (1..).zip(["east", "west"]) {
        federation.institution(name, seed);
    }
    let mut daemons = ["east", "west"].map(|name| Some(federation.daemon(name)));
    let early = federation.path("plan.toml");
    std::fs::write(&early, brightness()).unwrap();
    let said = fail(&mut federation.eosfed(&["job", "submit", &early.to_string_lossy()]), 1);
    assert!(said.contains("no release yet"), "{said}");
    let specialists = federation.submit(&specialists());
    federation.wait(&specialists, "two specialists", |job| job["state"] == "finished");
    let said = fail(&mut federation.eosfed(&["job", "head", &specialists, "--to", "nowhere"]), 1);
    assert!(said.contains("trains no head"), "{said}");

    let job = federation.submit(&brightness());
    federation
        .wait(&job, "west to train", |job| job["current"]["participants"]["west"]["step"].as_u64() > Some(0));
    daemons[1].take().unwrap().kill();
    daemons[1] = Some(federation.daemon("west"));
    let done = federation.wait(&job, "the end", |job| job["state"] == "finished");
    let rounds = done["history"].as_array().unwrap();
    assert_eq!(rounds.len(), 2, "two rounds, one attempt each: {done:#}");
    assert!(done["produced"].as_array().unwrap().is_empty() && done["release"].is_null());

    let folder = |name: &str| federation.path(name).to_string_lossy().into_owned();
    let head = folder("head");
    let release = folder("release");
    succeed(&mut federation.eosfed(&["job", "head", &job, "--to", &head]));
    succeed(&mut federation.eosfed(&["release", "pull", "1", "--to", &release]));
    let weights = std::fs::read(federation.path("head/head.safetensors")).unwrap();
    let compared = federation.assert_average(&rounds[1], &weights);
    let names: Vec<String> =
        SafeTensors::deserialize(&weights).unwrap().names().into_iter().map(ToString::to_string).collect();
    assert!(names.contains(&"select.weight".to_owned()) && names.iter().all(|name| !name.contains("stem")));
    assert!(compared < 10_000, "{compared} numbers: only selector and head travel");
    let described = std::fs::read(federation.path("head/head.json")).unwrap();
    let described: Value = serde_json::from_slice(&described).unwrap();
    assert!(described["imagery"]["tile"].is_array(), "`predict` needs no window: {described:#}");
    assert_eq!(described["class_colours"], serde_json::json!({ "dark": "#332288" }), "as the plan says");
    assert_eq!(described["statistics_from"], serde_json::json!({ "told": 2, "institutions": 2 }));
    let told = described["statistics"].as_array().unwrap();
    let bands: Vec<&str> = told.iter().map(|band| band["band"].as_str().unwrap()).collect();
    assert_eq!(bands, ["red", "green", "blue"], "{described:#}");
    assert!(told.iter().all(|band| band["values"]["high"].is_number()), "{described:#}");
    let trained = &federation.ask(&["job", "show", &job])["trained"];
    assert_eq!(trained["statistics"], described["statistics"], "{trained:#}");

    let data = folder("west-data");
    let mut score = federation.program("eosfed-trainer");
    score.args([
        "score",
        &head,
        "--split",
        "validation",
        "--release",
        &release,
        "--data",
        &data,
        "--output",
        &folder("scores"),
    ]);
    let rows = succeed(&mut score);
    let shown = String::from_utf8_lossy(&rows.stdout).into_owned();
    assert!(shown.contains("brightness"), "{shown}");
    let mut lost = federation.program("eosfed-trainer");
    let said = fail(lost.args(["score", &head, "--data", &data, "--output", &folder("lost")]), 1);
    assert!(said.contains("--release") && said.contains("release pull 1"), "{said}");

    let pruned = federation.ask(&["release", "prune", "--from-job", &job, "--top-k", "1"]);
    assert_eq!((pruned["number"].as_u64(), pruned["specialists"].as_array().unwrap().len()), (Some(2), 1));
    let note = pruned["note"].as_str().unwrap();
    assert!(note.contains("from 2 to 1 specialist by") && note.contains(&job), "{note}");
    let said = fail(&mut federation.eosfed(&["release", "prune", "--from-job", &job, "--top-k", "3"]), 1);
    assert!(said.contains("between 1 and 2, found `3`"), "{said}");

    start_from_a_released_specialist(&federation);
    for daemon in daemons.into_iter().flatten() {
        assert!(daemon.terminate().success());
    }
    assert!(coordinator.terminate().success());
}

/// Specialists start from `east-red@1` of release 1: one of one institution, and one of both in a round.
fn start_from_a_released_specialist(federation: &Federation) {
    let one = |name: &str, institution: &str, from: &str| {
        let bands = "bands = [\"red\", \"green\", \"blue\"]";
        format!("[{{ name = \"{name}\", {institution}{bands}, start_from = \"{from}\" }}]")
    };
    let alone = |from: &str| {
        let specialist = one("west-warm", "institution = \"west\", ", from);
        let plan = one_shot(&[("west-warm", "west", &RGB)]).set_toml("specialist", &specialist);
        let plan = plan.without("release").set("training.epochs", 1).set("training.batch_size", 4);
        plan.set("training.learning_rate", 1e-12)
    };
    let plan = federation.path("warm.toml");
    for (warm, words) in [
        (alone("north-red@1"), "`start_from`: no specialist `north-red@1`"),
        (alone("east-red@1").set("model.backbone", "convnextv2_femto"), "has the backbone `convnextv2_atto`"),
    ] {
        std::fs::write(&plan, warm.text()).unwrap();
        let said = fail(federation.eosfed(&["job", "submit"]).arg(&plan), 1);
        assert!(said.contains(words), "{said}");
    }

    // West's policy decides about weights that come from the coordinator.
    let job = federation.submit(&alone("east-red@1").text());
    let asked = federation.wait(&job, "west to refuse", |job| job["state"] == "paused");
    let why = asked["history"][0]["participants"]["west"]["message"].as_str().unwrap().to_owned();
    assert!(why.contains("`allow.warm_start` is false"), "{why}");
    federation.set_policy("west", "strategies = [", "warm_start = true\nstrategies = [");
    let job = federation.submit(&alone("east-red@1").text());
    federation.wait(&job, "west alone", |job| job["state"] == "finished");
    let parent = federation.ask(&["specialist", "show", "east-red@1"]);
    let digest = parent["weights"].as_str().unwrap();
    let shown = federation.ask(&["specialist", "show", "west-warm"]);
    let lineage = &shown["provenance"]["parent"];
    assert_eq!((lineage["name"].as_str(), lineage["weights"].as_str()), (Some("east-red"), Some(digest)));
    let adapted = lineage["adapted"].as_array().unwrap();
    assert_eq!(adapted.len(), 2, "green and blue have no filter of their own there: {lineage:#}");
    let said = succeed(&mut federation.eosfed(&["specialist", "show", "west-warm"]));
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("started from   east-red@1 of release 1 (sha256:"), "{said}");

    let weights = |card: &Value| federation.blob(card["weights"].as_str().unwrap());
    assert_warm(&weights(&shown), &weights(&parent));

    // In rounds, the coordinator makes the first weights.
    let together = rounds(1, 2, 2, "10m").set_toml("specialist", &one("shared-warm", "", "east-red@1"));
    let together = together.without("release").set("training.epochs", 1).set("training.learning_rate", 1e-12);
    let job = federation.submit(&together.text());
    federation.wait(&job, "both together", |job| job["state"] == "finished");
    let card = &federation.ask(&["specialist", "show", "shared-warm"]);
    assert_eq!(card["provenance"]["parent"]["name"], "east-red", "{card:#}");
    assert_warm(&weights(card), &weights(&parent));
}

/// After a training with next to no learning rate, the encoder is the parent's, and its first convolution has a
/// filter for each of three bands.
fn assert_warm(child: &Path, parent: &Path) {
    let files = [child, parent].map(|file| std::fs::read(file).unwrap());
    let [child, parent] = files.each_ref().map(|file| SafeTensors::deserialize(file).unwrap());
    let values = |file: &SafeTensors<'_>, name: &str| -> Vec<f32> {
        let data = file.tensor(name).unwrap().data();
        data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    let name = "stages.3.blocks.1.mlp.fc1.weight";
    let (found, expected) = (values(&child, name), values(&parent, name));
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{name} is not the parent's");
    // The parent has one band, so each band has a third of its filter.
    let stem = |file: &SafeTensors<'_>| values(file, "stem.0.weight");
    let (found, expected) = (stem(&child), stem(&parent)[0] / 3.0);
    for filter in found.chunks_exact(16).take(3) {
        assert!((filter[0] - expected).abs() < 1e-6, "{} is not {expected}", filter[0]);
    }
}
