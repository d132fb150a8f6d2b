//! Scores of the average that a round starts from: from the trainers, through the policies, to what the operator is shown.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::BTreeMap;

use eosfed_e2e::Federation;
use eosfed_e2e::plans::rounds;
use eosfed_e2e::stub::start_accuracy;
use eosfed_testkit::plans::Plan;
use serde_json::{Value, json};

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");
const NAMES: [&str; 3] = ["centre", "east", "west"];

/// Trains, and gives the job as it is shown, and the means of its averages as they are drawn.
fn trained(federation: &Federation, plan: &Plan) -> (Value, Value) {
    let job = federation.submit(&plan.text());
    federation.wait(&job, "the end", |job| job["state"] == "finished");
    let picture = federation.path("curves.png");
    let plotted = federation.ask(&["job", "plot", &job, "--file", picture.to_str().unwrap()]);
    (federation.ask(&["job", "show", &job]), plotted["curves"]["mean_after_aggregation"].clone())
}

/// What each institution has told in a training round, from 1, with its samples.
fn told(job: &Value, round: usize) -> BTreeMap<&str, (&Value, u64)> {
    // The first round of the job measures the bands.
    let participants = job["history"][round]["participants"].as_object().unwrap().iter();
    participants
        .map(|(name, one)| (name.as_str(), (&one["start_metrics"], one["samples"].as_u64().unwrap())))
        .collect()
}

#[test]
fn scores_of_an_average_arrive_from_those_who_may_tell_and_not_where_the_plan_says_no() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    for (seed, name) in (1..).zip(NAMES) {
        federation.stubbed(name, seed, STUB);
    }
    federation.set_policy("west", "\"metrics\", ", "");
    let daemons = NAMES.map(|name| federation.daemon(name));
    let plan = rounds(2, 3, 3, "10m").set("training.epochs", 1);

    let (job, means) = trained(&federation, &plan);
    assert!(
        told(&job, 1).values().all(|(scores, _)| scores.is_null()),
        "nothing was averaged before: {job:#}"
    );
    let second = told(&job, 2);
    assert!(second["west"].0.is_null(), "its policy has no `metrics`: {job:#}");
    let scored = ["centre", "east"].map(|name| second[name]);
    for (scores, samples) in scored {
        assert_eq!(*scores, json!({ "accuracy": start_accuracy(samples) }), "{job:#}");
    }
    assert_ne!(scored[0].1, scored[1].1, "a mean without weights is another");
    let weights: u64 = scored.iter().map(|(_, samples)| samples).sum();
    let sum: f64 = scored.iter().map(|(_, samples)| *samples as f64 * start_accuracy(*samples)).sum();
    let is_mean = |found: &Value| (found.as_f64().unwrap() - sum / weights as f64).abs() < 1e-12;
    assert!(is_mean(&job["history"][2]["totals"]["start_metrics"]["accuracy"]), "{job:#}");
    let [mean] = &means.as_array().unwrap()[..] else { panic!("one average was scored: {means:#}") };
    // Rounds are counted with the one that measures the bands.
    assert_eq!((&mean["round"], &mean["institutions"]), (&2.into(), &2.into()), "{means:#}");
    assert!(is_mean(&mean["value"]), "{means:#}");

    let (job, means) = trained(&federation, &plan.set("training.score_average", false));
    assert!(told(&job, 2).values().all(|(scores, _)| scores.is_null()), "{job:#}");
    assert_eq!(means, json!([]));
    assert!(daemons.into_iter().all(|daemon| daemon.terminate().success()));
    assert!(coordinator.terminate().success());
}
