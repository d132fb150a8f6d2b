//! A head that two institutions train over a release: only its weights are sent, a killed client continues,
//! and the head can be scored, explained and used to prune the release.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use eosfed_e2e::plans::{RGB, head, one_shot};
use eosfed_e2e::{Federation, fail, succeed};
use safetensors::SafeTensors;

fn specialists() -> String {
    one_shot(&[("east-red", "east", &["red"]), ("west-colour", "west", &RGB)]).text()
}

fn brightness() -> String {
    head()
        .set("name", "brightness")
        .set_toml("head.composition.selection", "{ kind = \"smooth\", penalty = 0.05, scale = false }")
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
    let described: serde_json::Value = serde_json::from_slice(&described).unwrap();
    assert!(described["imagery"]["tile"].is_array(), "`predict` needs no window: {described:#}");

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
    assert!(note.contains("from 2 to 1 specialists") && note.contains(&job), "{note}");
    let said = fail(&mut federation.eosfed(&["release", "prune", "--from-job", &job, "--top-k", "3"]), 1);
    assert!(said.contains("between 1 and 2, found `3`"), "{said}");

    for daemon in daemons.into_iter().flatten() {
        assert!(daemon.terminate().success());
    }
    assert!(coordinator.terminate().success());
}
