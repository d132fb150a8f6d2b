//! Two institutions whose policies demand clipping and noise: what they send has it, and the round after their
//! budget is spent is declined.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;

use eosfed_e2e::plans::{RGB, head, one_shot, rounds};
use eosfed_e2e::stub::values_at;
use eosfed_e2e::{Federation, classes, fail, succeed};
use serde_json::Value;

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");
/// A budget for one update: one spends 6.12, two 9.23.
const PRIVACY: &str = "privacy = { clip = 0.1, noise_multiplier = 0.8, max_epsilon = 8.0, delta = 1e-5 }\n";
const NOISE: f64 = 0.8 * 0.1;
/// Runs of each row of the measurement.
const RUNS: u32 = 3;

fn spent(federation: &Federation, name: &str) -> Value {
    let mut command = federation.program("eosfed-client");
    command.args(["privacy", "--output", "json", "--state"]).arg(federation.path(name));
    serde_json::from_slice(&succeed(&mut command).stdout).unwrap()
}

/// The L2 norm of the difference of two files of weights of one layout, and the number of their values.
fn distance(from: &[u8], to: &[u8]) -> (f64, usize) {
    let values = |file: &[u8]| -> Vec<f64> {
        let values = file[values_at(file)..].as_chunks::<4>().0;
        values.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()
    };
    let (from, to) = (values(from), values(to));
    assert_eq!(from.len(), to.len());
    let squared = from.iter().zip(&to).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    (squared.sqrt(), from.len())
}

#[test]
fn updates_leave_with_noise_until_the_budget_is_spent() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    for (seed, name) in [(1, "east"), (2, "west")] {
        federation.stubbed(name, seed, STUB);
        let path = federation.path(&format!("{name}/policy.toml"));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{PRIVACY}{text}")).unwrap();
        assert_eq!(spent(&federation, name)["updates_left"], 1);
    }
    let daemons = ["east", "west"].map(|name| federation.daemon(name));
    let job = federation.submit(&rounds(2, 2, 2, "10m").text());
    let declined = |one: &Value| one["state"] == "refused";
    let job = federation.wait(&job, "the second round to be declined", |job| {
        job["state"] == "paused"
            || job["current"]["participants"].as_object().is_some_and(|all| all.values().any(declined))
    });
    assert!(job.to_string().contains("from 6.12 to 9.23 of 8 (delta 1e-5)"), "{job:#}");
    let history = job["history"].as_array().unwrap();
    let round = history.iter().find(|round| round["participants"]["west"]["weights"].is_string()).unwrap();
    let [(east, _), (west, _)] = &federation.uploads(round)[..] else { panic!("two updates: {round:#}") };
    let (norm, count) = distance(east, west);
    // The steps are at most 0.1 long. The noises, of about 150 each, are independent.
    let noises = NOISE * (2.0 * count as f64).sqrt();
    assert!((norm / noises - 1.0).abs() < 5e-3, "{norm}, of noises {noises}");
    for name in ["east", "west"] {
        let spent = spent(&federation, name);
        assert_eq!((&spent["updates"], &spent["updates_left"]), (&1.into(), &0.into()));
        assert!((spent["epsilon"].as_f64().unwrap() - 6.122_757_86).abs() < 1e-6, "{spent}");
        let mut shown = federation.program("eosfed-client");
        shown.args(["privacy", "--state"]).arg(federation.path(name));
        let shown = String::from_utf8(succeed(&mut shown).stdout).unwrap();
        assert!(shown.contains("spent epsilon 6.12 of 8"), "{shown}");
        let mut explained = federation.program("eosfed-client");
        explained
            .args(["policy", "explain", "--policy"])
            .arg(federation.path(&format!("{name}/policy.toml")));
        explained.arg("--plan").arg(federation.path("plan.toml")).arg("--state").arg(federation.path(name));
        let said = fail(&mut explained, 1);
        assert!(said.is_empty(), "what is refused is an answer, no error: {said}");
    }
    assert!(daemons.into_iter().all(|daemon| daemon.terminate().success()));
    assert!(coordinator.terminate().success());
}

/// Trains a head in two rounds of two institutions, and gives its accuracy on the imagery of a third one.
fn accuracy(federation: &Federation, name: &str) -> f64 {
    let plan = head()
        .set("name", name)
        .set_toml("head.composition.selection", "{ kind = \"smooth\", penalty = 0.05, scale = false }")
        .rounds(2, "{ name = \"fed-avg\" }")
        .set("training.epochs", 40)
        .set("training.batch_size", 4)
        .set("training.learning_rate", 1e-3);
    let job = federation.submit(&plan.text());
    federation.wait(&job, "the head", |job| job["state"] == "finished");
    let folder = |what: &str| federation.path(what).to_string_lossy().into_owned();
    let trained = folder(&format!("head-{name}"));
    succeed(&mut federation.eosfed(&["job", "head", &job, "--to", &trained]));
    let (release, data, output) = (folder("release"), folder("third-data"), folder("scores"));
    let mut score = federation.program("eosfed-trainer");
    score.args(["score", &trained, "--release", &release, "--data", &data, "--output", &output]);
    score.args(["--split", "train", "--format", "json"]);
    let rows: Value = serde_json::from_slice(&succeed(&mut score).stdout).unwrap();
    rows[0]["metrics"]["accuracy"].as_f64().unwrap_or_else(|| panic!("{rows:#}"))
}

/// Puts clipping and noise into both policies, with nothing spent.
fn demand(federation: &Federation, plain: &str, clip: f64, noise: f64) {
    for name in ["east", "west"] {
        let _ = fs::remove_file(federation.path(&format!("{name}/privacy.json")));
        let keys =
            format!("clip = {clip:?}, noise_multiplier = {noise:?}, max_epsilon = 1000.0, delta = 1e-5");
        let path = federation.path(&format!("{name}/policy.toml"));
        fs::write(path, format!("privacy = {{ {keys} }}\n{plain}")).unwrap();
    }
}

/// Prints the second table of docs/privacy.md.
#[test]
#[ignore = "a measurement of some minutes, with the real trainer"]
fn accuracy_by_noise() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    classes(&federation.path("third-data"), 3);
    for (seed, name) in [(1, "east"), (2, "west")] {
        federation.institution(name, seed);
    }
    let plain = fs::read_to_string(federation.path("west/policy.toml")).unwrap();
    let daemons = ["east", "west"].map(|name| federation.daemon(name));
    let specialists = one_shot(&[("east-red", "east", &["red"]), ("west-colour", "west", &RGB)]).text();
    let job = federation.submit(&specialists);
    federation.wait(&job, "two specialists", |job| job["state"] == "finished");
    let release = federation.path("release").to_string_lossy().into_owned();
    succeed(&mut federation.eosfed(&["release", "pull", "1", "--to", &release]));
    println!("no privacy: accuracy {:.2}", accuracy(&federation, "plain"));
    for (clip, noise) in [(1.0, 0.2), (1.0, 0.8), (1.0, 4.0), (0.1, 0.8)] {
        // Noise is drawn anew each time, so one run says little.
        let runs: Vec<String> = (0..RUNS)
            .map(|run| {
                demand(&federation, &plain, clip, noise);
                let name = format!("c{clip}-n{noise}-{run}").replace('.', "-");
                format!("{:.2}", accuracy(&federation, &name))
            })
            .collect();
        let epsilon = spent(&federation, "west")["epsilon"].as_f64().unwrap();
        println!("| {clip} | {noise} | {epsilon:.2} | {} |", runs.join(", "));
    }
    drop(daemons);
    drop(coordinator);
}
