//! Two institutions score each other's specialists: real trainers, only metrics are sent, and specialists
//! with poor scores are excluded from releases.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use eosfed_e2e::plans::{RGB, evaluation, one_shot, statistics};
use eosfed_e2e::{Federation, fail, succeed};
use eosfed_testkit::plans::Plan;

fn specialists() -> Plan {
    one_shot(&[("east-rgb", "east", &RGB), ("west-rgb", "west", &RGB)])
        .without("release")
        .set_toml("admission.floor", "{ metric = \"accuracy\", bound = 0.0 }")
        .set("training.batch_size", 4)
}

#[test]
fn institutions_score_each_others_specialists() {
    let federation = Federation::new();
    let _coordinator = federation.coordinator();
    for (seed, name) in (1..).zip(["east", "west"]) {
        federation.institution(name, seed);
    }
    let _daemons = ["east", "west"].map(|name| federation.daemon(name));
    let job = federation.submit(&specialists().text());
    federation.wait(&job, "two specialists", |job| job["state"] == "finished");

    // West's policy first forbids metrics and then allows them.
    let policy = federation.path("west/policy.toml");
    let open = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(&policy, open.replace("\"metrics\", ", "")).unwrap();
    let plan = federation.path("scores.toml");
    std::fs::write(&plan, evaluation().text()).unwrap();
    let mut explain = federation.program("eosfed-client");
    explain.args(["policy", "explain", "--policy"]).arg(&policy).arg("--plan").arg(&plan);
    let explained = explain.output().unwrap();
    assert_eq!(explained.status.code(), Some(1), "it would be refused");
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(
        explained.contains("scores of specialists") && explained.contains("`may_leave` lacks `metrics`"),
        "{explained}"
    );
    let job = federation.submit(&evaluation().text());
    let done = federation.wait(&job, "east alone to score", |job| job["state"] == "finished");
    let rounds = done["history"].as_array().unwrap();
    assert_eq!(rounds.len(), 2, "a round for each specialist: {done:#}");
    for round in rounds {
        let east = &round["participants"]["east"];
        let west = &round["participants"]["west"];
        assert_eq!((east["state"].as_str(), west["state"].as_str()), (Some("submitted"), Some("refused")));
        assert!(west["message"].as_str().unwrap().contains("`may_leave` lacks `metrics`"), "{west:#}");
        assert!(east["metrics"]["accuracy"].is_f64() && east["weights"].is_null(), "{east:#}");
    }
    std::fs::write(&policy, open).unwrap();
    let sent = federation.sent("west");
    let job = federation.submit(&evaluation().text());
    let done = federation.wait(&job, "both to score", |job| job["state"] == "finished");
    assert!(done["history"][1]["participants"]["west"]["metrics"]["accuracy"].is_f64(), "{done:#}");
    assert_eq!(federation.sent("west"), sent, "no weights have left for it");

    let shown = succeed(&mut federation.eosfed(&["job", "show", &job]));
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("scores of") && shown.contains("west-rgb@1"), "{shown}");
    let picture = federation.path("scores.png");
    succeed(federation.eosfed(&["job", "plot", &job, "--file"]).arg(&picture));
    assert!(std::fs::read(&picture).unwrap().starts_with(b"\x89PNG"));
    let known = federation.ask(&["specialist", "show", "west-rgb"]);
    let scores = known["evaluations"].as_array().unwrap();
    assert_eq!((scores.len(), known["excluded"].is_null()), (2, true), "{known:#}");

    // A floor that no accuracy reaches, so the specialists are excluded.
    let high = specialists().set("admission.floor.bound", 1.01).set("participation.min", 1).text();
    let refused = federation.submit(&high);
    let refused = federation.wait(&refused, "both to be refused", |job| job["state"] == "paused");
    assert!(
        refused["history"][0]["participants"]["west"]["message"].as_str().unwrap().contains("QUALITY_FLOOR"),
        "{refused:#}"
    );

    let wrong = evaluation().set("evaluation.specialists", vec!["north-rgb"]).text();
    std::fs::write(&plan, wrong).unwrap();
    let said = fail(federation.eosfed(&["job", "submit"]).arg(&plan), 1);
    assert!(said.contains("no specialist `north-rgb`"), "{said}");
}

#[test]
fn institutions_measure_their_bands_together() {
    let federation = Federation::new();
    let _coordinator = federation.coordinator();
    for (seed, name) in (1..).zip(["east", "west"]) {
        federation.institution(name, seed);
    }
    let _daemons = ["east", "west"].map(|name| federation.daemon(name));
    let job = federation.submit(&statistics(&["red", "blue"]).text());
    let done = federation.wait(&job, "both to measure", |job| job["state"] == "finished");
    let bands: Vec<_> = done["normalisation"].as_array().unwrap().iter().map(|one| &one["band"]).collect();
    assert_eq!(bands, ["red", "blue"]);
    let shown = succeed(&mut federation.eosfed(&["job", "show", &job]));
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("from = \"given\"") && shown.contains("{ band = \"red\", mean = "), "{shown}");
}
