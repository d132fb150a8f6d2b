//! One daemon with two data sets: each job is for the one that it names, or for the only one that has its bands; a job
//! that fits both is refused with their names.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use eosfed_e2e::plans::{rounds, statistics};
use eosfed_e2e::stub::GATE;
use eosfed_e2e::{Federation, Process, classes, succeed};
use eosfed_testkit::plans::Plan;
use serde_json::Value;

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");

/// An institution with the data sets `coast` (red, green, blue) and `inland` (red, green, nir), whose green differs by
/// about a hundred.
fn site(federation: &Federation) {
    federation.stubbed("west", 1, STUB);
    classes(&federation.path("inland-data"), 100);
    federation.set_in("inland-data/dataset.toml", "\"blue\"", "\"nir\"");
    let path = |name: &str| federation.path(name).display().to_string();
    let line = format!("dataset = \"{}\"", path("west-data"));
    federation.set("west", &line, "");
    let settings = federation.path("west/client.toml");
    let mut text = std::fs::read_to_string(&settings).unwrap();
    for (name, folder) in [("coast", "west-data"), ("inland", "inland-data")] {
        text.push_str(&format!("\n[[dataset]]\nname = \"{name}\"\npath = \"{}\"\n", path(folder)));
    }
    std::fs::write(settings, text).unwrap();
    federation.set_policy("west", "min_institutions = 2", "min_institutions = 1");
}

fn alone(plan: Plan) -> Plan {
    plan.participants(1, 1).set("participation.attempts", 1)
}

/// The mean of green that a job has found.
fn green(job: &Value) -> f64 {
    let bands = job["normalisation"].as_array().unwrap();
    bands.iter().find(|one| one["band"] == "green").unwrap()["mean"].as_f64().unwrap()
}

#[test]
fn each_job_is_for_the_data_set_that_fits_or_that_it_names() {
    let federation = Federation::new();
    let _coordinator = federation.coordinator();
    site(&federation);
    let start = || -> Process {
        let mut command = federation.daemon_command("west");
        command.env(GATE, federation.path("gate"));
        federation.start("west", command)
    };
    let daemon = start();
    let finished = |job: &str| federation.wait(job, "its end", |job| job["state"] == "finished");
    let mean = |plan: Plan| green(&finished(&federation.submit(&alone(plan).text())));

    // By its bands, and by name.
    let inland = mean(statistics(&["green", "nir"]));
    let coast = mean(statistics(&["green"]).set("participation.dataset", "coast"));
    assert!((90.0..110.0).contains(&(inland - coast)), "{inland} {coast}");
    let named = mean(statistics(&["green"]).set("participation.dataset", "inland"));
    assert!((named - inland).abs() < 1e-9, "{named} {inland}");

    // By chance, and by a name that is not there: refused.
    let refused = |plan: Plan| {
        let job = federation.submit(&alone(plan).text());
        federation.wait(&job, "the refusal", |job| job["state"] == "paused").to_string()
    };
    let both = refused(statistics(&["green"]));
    assert!(both.contains("2 data sets fit, `coast` and `inland`"), "{both}");
    let neither = refused(statistics(&["blue", "nir"]));
    assert!(
        neither.contains("`coast` (no band nir)") && neither.contains("`inland` (no band blue)"),
        "{neither}"
    );
    let unknown = refused(statistics(&["green"]).set("participation.dataset", "sea"));
    assert!(unknown.contains("`sea`") && unknown.contains("there are `coast` and `inland`"), "{unknown}");

    // A data set with a policy of its own keeps its rules: its moments stay, and sentences about any stay too.
    let own = federation.path("inland-policy.toml");
    let policy = std::fs::read_to_string(federation.path("west/policy.toml")).unwrap();
    assert!(policy.contains("\"statistics\", "));
    std::fs::write(&own, policy.replace("\"statistics\", ", "").replace("\"failures\", ", "")).unwrap();
    assert!(daemon.terminate().success());
    let line = format!("path = \"{}\"", federation.path("inland-data").display());
    federation.set("west", &line, &format!("{line}\npolicy = \"{}\"", own.display()));
    let daemon = start();
    let stays = refused(statistics(&["green", "nir"]));
    assert!(stays.contains("`may_leave` lacks `statistics`"), "{stays}");
    let still = mean(statistics(&["green"]).set("participation.dataset", "coast"));
    assert!((still - coast).abs() < 1e-9, "{still} {coast}");
    let both = refused(statistics(&["green"]));
    assert!(both.contains("only the reason leave") && !both.contains("inland"), "{both}");
    assert!(daemon.terminate().success());
    std::fs::write(&own, policy).unwrap();
    let daemon = start();

    // A training keeps to its data set over a restart.
    let plan = alone(rounds(1, 1, 1, "10m").shared("one", &["red", "green"]));
    let job = federation.submit(&plan.set("participation.dataset", "inland").text());
    let work = federation.path("west/work");
    let tasks = || -> Vec<Value> {
        let folders = std::fs::read_dir(&work).into_iter().flatten().flatten();
        let texts = folders.filter_map(|folder| std::fs::read(folder.path().join("task.json")).ok());
        texts.filter_map(|text| serde_json::from_slice(&text).ok()).collect()
    };
    let of_inland =
        |task: &Value| task["dataset"].as_str().is_some_and(|path| path.ends_with("/inland-data"));
    federation.until("a training", || tasks().iter().any(of_inland));
    assert!(daemon.terminate().success());
    assert_eq!(federation.journal("west")["held"]["dataset"], "inland");
    let daemon = start();
    federation.until("the training to go on", || daemon.log().contains("continuing from the journal"));
    assert!(tasks().iter().all(of_inland));
    std::fs::write(federation.path("gate"), "").unwrap();
    let done = finished(&job);
    assert!((green(&done) - inland).abs() < 1e-9, "{done:#}");
    assert!(daemon.terminate().success());

    // What the institution is shown.
    let mut check = federation.program("eosfed-client");
    check.args(["check", "--output", "json", "--state"]).arg(federation.path("west"));
    let report: Value = serde_json::from_slice(&check.output().unwrap().stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let said = |what: &str| findings.iter().find(|one| one["what"] == what).unwrap()["message"].to_string();
    assert!(said("data set coast").contains("west-data") && said("data set inland").contains("inland-data"));
    assert!(said("data sets").contains("`coast` and `inland` have the same task and classes"), "{report:#}");
    let mut log = federation.program("eosfed-client");
    let log = succeed(log.args(["log", "--kind", "asked", "--state"]).arg(federation.path("west")));
    assert!(String::from_utf8_lossy(&log.stdout).contains("reads the data set `inland`"));
}
