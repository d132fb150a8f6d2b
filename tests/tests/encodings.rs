//! Institutions whose policies allow other encodings of the updates of one job: each sends the first of the plan
//! that it allows, in fewer bytes, and one that allows none of them declines.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use eosfed_e2e::Federation;
use eosfed_e2e::plans::rounds;
use serde_json::{Value, json};

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");

/// The size of an institution's update in a round, in bytes.
fn bytes(federation: &Federation, round: &Value, name: &str) -> u64 {
    let digest = round["participants"][name]["weights"].as_str().unwrap();
    std::fs::metadata(federation.blob(digest)).unwrap().len()
}

#[test]
fn each_institution_sends_the_first_encoding_that_its_policy_allows() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    let sites = [
        ("centre", r#"["top-k-bf16"]"#),
        ("east", r#"["int8", "top-k"]"#),
        ("north", r#"["top-k"]"#),
        ("south", r#"["bf16"]"#),
        ("west", ""),
    ];
    for (seed, (name, encodings)) in (1..).zip(sites) {
        federation.stubbed(name, seed, STUB);
        if !encodings.is_empty() {
            let strategies = "strategies = [\"fed-avg\"";
            federation.set_policy(name, strategies, &format!("encodings = {encodings}\n{strategies}"));
        }
    }
    let daemons = sites.map(|(name, _)| federation.daemon(name));
    let plan =
        rounds(2, 4, 4, "10m").set_toml("rounds.encodings", r#"["int8", "top-k", "top-k-bf16", "f32"]"#);
    let job = federation.submit(&plan.text());
    let job = federation.wait(&job, "both rounds", |job| job["state"] == "finished");
    let trained = |round: &&Value| round["participants"]["west"]["weights"].is_string();
    let history: Vec<&Value> = job["history"].as_array().unwrap().iter().filter(trained).collect();
    assert_eq!(history.len(), 2, "{job:#}");
    for round in history {
        let encoding = |name: &str| round["participants"][name]["encoding"].clone();
        let found = ["centre", "east", "north", "west"].map(encoding);
        assert_eq!(found, ["top-k-bf16", "int8", "top-k", "f32"]);
        let south = &round["participants"]["south"];
        assert_eq!(south["state"], "refused");
        let said = south["message"].as_str().unwrap();
        assert!(
            said.contains("`allow.encodings` has none of `int8`, `top-k`, `top-k-bf16`, `f32`"),
            "{said}"
        );
        let plain = bytes(&federation, round, "west") as f64;
        let share = |name: &str| bytes(&federation, round, name) as f64 / plain;
        let shares = [share("centre"), share("east"), share("north")];
        let most = [0.05, 0.27, 0.05];
        assert!(shares.iter().zip(most).all(|(found, most)| *found <= most), "{shares:?} of {plain} bytes");
    }
    // What was dropped stays here, for the next round.
    for (name, expected) in [("centre", true), ("east", true), ("north", true), ("west", false)] {
        let id = job["id"].as_str().unwrap();
        assert_eq!(federation.path(&format!("{name}/dropped/{id}.safetensors")).exists(), expected, "{name}");
    }
    let card = federation.ask(&["specialist", "show", "shared"]);
    assert_eq!(card["provenance"]["encodings"], json!(["int8", "top-k", "top-k-bf16"]), "{card:#}");
    assert!(daemons.into_iter().all(|daemon| daemon.terminate().success()));
    assert!(coordinator.terminate().success());
}
