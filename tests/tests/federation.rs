//! A federation of three whose programs are killed twice. Its averages are right bit for bit.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::BTreeSet;

use eosfed_e2e::plans::rounds;
use eosfed_e2e::{Federation, succeed};
use serde_json::Value;

const NAMES: [&str; 3] = ["centre", "east", "west"];

/// A training round in which this institution has done some steps.
fn at_work(job: &Value, round: u64, institution: &str) -> bool {
    let current = &job["current"];
    let one = &current["participants"][institution];
    current["index"] == round && one["state"] == "working" && one["step"].as_u64() > Some(0)
}

#[test]
fn killed_twice_it_finishes_and_counts_each_update_once() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    for (seed, name) in (1..).zip(NAMES) {
        federation.institution(name, seed);
    }
    let mut daemons = NAMES.map(|name| Some(federation.daemon(name)));
    let job = federation.submit(&rounds(2, 3, 3, "10m").set("seed", 3).set("training.epochs", 16).text());

    federation.wait(&job, "west to train in the first round", |job| at_work(job, 1, "west"));
    daemons[2].take().unwrap().kill();
    daemons[2] = Some(federation.daemon("west"));

    federation.wait(&job, "somebody to train in the second round", |job| {
        NAMES.iter().any(|name| at_work(job, 2, name))
    });
    coordinator.kill();
    let coordinator = federation.coordinator();

    let done = federation.wait(&job, "the end", |job| job["state"] == "finished");
    let rounds = done["history"].as_array().unwrap();
    assert_eq!(rounds.len(), 3, "statistics and two rounds, one attempt each: {done:#}");
    for round in rounds {
        let participants = round["participants"].as_object().unwrap();
        assert_eq!(participants.keys().collect::<Vec<_>>(), NAMES);
        assert!(participants.values().all(|one| one["state"] == "submitted"), "{round:#}");
    }
    for round in &rounds[1..] {
        let participants = round["participants"].as_object().unwrap();
        let digests: BTreeSet<_> =
            participants.values().map(|one| one["weights"].as_str().unwrap()).collect();
        assert_eq!(digests.len(), 3, "three updates, each counted once");
    }

    // The average of the first training round, as all three have scored it before they trained it on.
    let scores = rounds[2]["participants"].as_object().unwrap().values().map(|one| &one["start_metrics"]);
    assert!(scores.clone().all(|scores| scores["macro_f1"].is_f64()), "{done:#}");
    let picture = federation.path("curves.png");
    let drawn = federation.ask(&["job", "plot", &job, "--file", picture.to_str().unwrap()]);
    let [mean] = &drawn["curves"]["mean_after_aggregation"].as_array().unwrap()[..] else {
        panic!("the last average has no score: {drawn:#}")
    };
    assert_eq!((&mean["round"], &mean["institutions"]), (&2.into(), &3.into()), "{drawn:#}");

    let pulled = federation.path("release");
    succeed(&mut federation.eosfed(&["release", "pull", "--to", &pulled.to_string_lossy()]));
    let specialist = std::fs::read(pulled.join("shared/weights.safetensors")).unwrap();
    assert!(federation.assert_average(&rounds[2], &specialist) > 3_000_000);

    for daemon in daemons.into_iter().flatten() {
        assert!(daemon.terminate().success());
    }
    assert!(coordinator.terminate().success());
}
