//! A dishonest institution that claims what cannot be, or what is only a lie: in statistics, in updates and in
//! scores of others' specialists. The coordinator is a process of its own.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use eosfed_e2e::plans::{RGB, evaluation, one_shot, rounds};
use eosfed_e2e::{Federation, Process, average, digest, succeed};
use serde_json::Value;

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");

/// Sends claims about an assignment; gives each answer and its message.
fn claim(
    federation: &Federation,
    who: &str,
    (what, assignment): (&str, &str),
    claims: &[&str],
) -> Vec<(String, String)> {
    let option = if what == "statistics" { "--moments" } else { "--claim" };
    let mut words = vec![what, assignment];
    // Each institution has weights of its own.
    let shift = who.bytes().map(u32::from).sum::<u32>().to_string();
    if what == "update" {
        words.extend(["--shift", &shift]);
    }
    words.extend(claims.iter().flat_map(|claim| [option, claim]));
    let answers = federation.attack(who, &words);
    let of_claims = answers.into_iter().filter(|one| one.call == what);
    of_claims.map(|one| (one.answer, one.message)).collect()
}

fn assert_malformed(answers: &[(String, String)], words: &[&str]) {
    assert_eq!(answers.len(), words.len(), "{answers:?}");
    for ((answer, message), word) in answers.iter().zip(words) {
        assert!(answer == "MALFORMED" && message.contains(word), "{word}: {answers:?}");
    }
}

/// Kills the coordinator, and starts it again.
fn again(federation: &Federation, coordinator: Process) -> Process {
    coordinator.kill();
    federation.coordinator()
}

/// Claims in updates, and a word of each refusal. A refused update ends the lease, so each has a job of its own.
const IMPOSSIBLE: [(&str, &str); 4] = [
    ("1000000000000,accuracy=1e300", "1000000000000"),
    ("1000000000000", "`1000000000000`"),
    ("9,accuracy=1e300", "1e300"),
    ("9,beauty=0.5", "`beauty`"),
];

/// Moments that can be read, and a word of each refusal.
const IMPOSSIBLE_MOMENTS: [(&str, &str); 3] =
    [("4,1e200,1", "1e200"), ("4,1,1e308", "deviation"), ("1000000000000000000,1,1", "1000000000000000000")];

/// Attacks 1 and 7. West is honest. Mallory reports moments of 1e200, then a metric of 1e300 with 1e12 samples,
/// then as many samples as the default plan lets through.
#[test]
fn claims_beyond_what_can_be_stop_no_coordinator_and_are_no_aggregate() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    federation.stubbed("west", 1, STUB);
    federation.institution("mallory", 2);
    let west = federation.daemon("west");
    let job = federation.submit(&rounds(1, 2, 2, "10m").without("rounds.max_share").text());
    federation.wait(&job, "west's statistics", |job| {
        job["current"]["participants"]["west"]["state"] == "submitted"
    });
    let statistics = format!("{job}.0.1.mallory");
    let refused = claim(&federation, "mallory", ("statistics", &statistics), &["4,NaN,1", "4,1,inf"]);
    assert_malformed(&refused, &["NaN", "inf"]);
    // It starts again, and knows the job.
    let coordinator = again(&federation, coordinator);
    let honest = claim(&federation, "mallory", ("statistics", &statistics), &["1000000000000,1,1"]);
    assert_eq!(honest[0].0, "OK", "{honest:?}");

    federation.wait(&job, "west's update", |job| {
        job["current"]["index"] == 1 && job["current"]["participants"]["west"]["state"] == "submitted"
    });
    for (number, (impossible, word)) in (1..).zip(IMPOSSIBLE) {
        let alone = one_shot(&[(&format!("mallory-{number}"), "mallory", &RGB)]).without("release");
        let alone = federation.submit(&alone.text());
        let refused =
            claim(&federation, "mallory", ("update", &format!("{alone}.0.1.mallory")), &[impossible]);
        assert_malformed(&refused, &[word]);
    }
    let coordinator = again(&federation, coordinator);
    let update = format!("{job}.1.1.mallory");
    let let_in = claim(&federation, "mallory", ("update", &update), &["10000000,accuracy=1"]);
    assert_eq!(let_in[0].0, "OK", "{let_in:?}");
    let done = federation.wait(&job, "the aggregate", |job| job["state"] == "finished");
    let round = done["history"].as_array().unwrap().last().unwrap();
    let uploads = federation.uploads(round);
    assert_eq!(uploads[0].1, 10_000_000, "mallory's claim: {round:#}");
    assert!(uploads[1].1 < 100, "west's samples: {round:#}");
    // Of two, each has a half, whatever it claims.
    let halves: Vec<_> = uploads.iter().map(|(bytes, _)| (bytes.clone(), 1)).collect();
    let released = federation.ask(&["release", "show"])["specialists"][0]["weights"].clone();
    assert_eq!(released, digest(&average(&halves)), "half of it is west's");
    assert_ne!(released, digest(&uploads[0].0), "it is not mallory's update");
    let coordinator = again(&federation, coordinator);
    assert_eq!(federation.ask(&["job", "show", &job])["state"], "finished");
    assert!(west.terminate().success());
    assert!(coordinator.terminate().success());
}

/// Moments that can be read and cannot be: they fail the assignment, so that the same work is not done again.
#[test]
fn impossible_moments_fail_the_assignment() {
    for (impossible, word) in IMPOSSIBLE_MOMENTS {
        let federation = Federation::new();
        let _coordinator = federation.coordinator();
        for (seed, name) in (1..).zip(["west", "mallory"]) {
            federation.institution(name, seed);
        }
        let job = federation.submit(&rounds(1, 2, 2, "10m").text());
        federation.wait(&job, "the round opens", |job| job["current"]["participants"]["mallory"].is_object());
        let statistics = format!("{job}.0.1.mallory");
        assert_malformed(&claim(&federation, "mallory", ("statistics", &statistics), &[impossible]), &[word]);
        let shown = federation.ask(&["job", "show", &job]);
        // Of two institutions both are needed, so the attempt has ended with it.
        assert_eq!(shown["history"][0]["participants"]["mallory"]["state"], "failed", "{shown:#}");
    }
}

/// What three institutions say of the specialists: who, the scores of west's, of east's and of mallory's. One
/// other institution is enough for a verdict.
const SCORES: [(&str, [&str; 3]); 3] = [
    ("west", ["100,accuracy=0.9", "100,accuracy=0.8", "100,accuracy=0.3"]),
    // East has nine samples, which say too little.
    ("east", ["9,accuracy=0.4", "9,accuracy=0.9", "9,accuracy=0.9"]),
    // One sample counts for nothing; with many, it has one vote of two. Its own specialist gets the best score,
    // which is no vote.
    ("mallory", ["1,accuracy=0", "1000000,accuracy=0", "1000000,accuracy=1"]),
];

/// Attack 8: mallory lies about the specialists of others and about its own.
#[test]
fn one_evaluator_neither_removes_a_rival_nor_saves_itself() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    let names = ["west", "east", "mallory"];
    let specialists = ["west-a", "east-a", "mallory-a"];
    for (seed, name) in (1..).zip(names) {
        federation.institution(name, seed);
    }
    let all: Vec<_> = specialists.iter().zip(names).map(|(one, name)| (*one, name, &RGB[..])).collect();
    let floor = "{ metric = \"accuracy\", bound = 0.5, quorum = 1 }";
    let plan = one_shot(&all).without("release").set_toml("admission.floor", floor);
    let job = federation.submit(&plan.text());
    for name in names {
        let update = format!("{job}.0.1.{name}");
        let answers = claim(&federation, name, ("update", &update), &["9,accuracy=0.9"]);
        assert_eq!(answers[0].0, "OK", "{answers:?}");
    }
    federation.wait(&job, "the specialists", |job| job["state"] == "finished");

    let score = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        federation.submit(&evaluation().set("evaluation.specialists", names).participants(1, 3).text())
    };
    for (rival, impossible, word) in
        [("west-a", "1,accuracy=-1e9", "-1000000000"), ("mallory-a", "1,accuracy=1e308", "1e308")]
    {
        let job = score(&[rival]);
        let scores = format!("{job}.0.1.mallory");
        assert_malformed(&claim(&federation, "mallory", ("scores", &scores), &[impossible]), &[word]);
        succeed(&mut federation.eosfed(&["job", "cancel", &job]));
    }
    let job = score(&specialists);
    for place in 0..3 {
        let at = |job: &Value| job["current"]["index"] == place;
        federation.wait(&job, "the next specialist", at);
        for (name, claims) in SCORES {
            let scores = format!("{job}.{place}.1.{name}");
            let answers = claim(&federation, name, ("scores", &scores), &[claims[place]]);
            assert_eq!(answers[0].0, "OK", "{answers:?}");
        }
    }
    federation.wait(&job, "all scores", |job| job["state"] == "finished");
    for (name, excluded) in specialists.into_iter().zip([false, false, true]) {
        let known = federation.ask(&["specialist", "show", name]);
        assert_eq!(known["evaluations"].as_array().unwrap().len(), 3, "{known:#}");
        assert_eq!(!known["excluded"].is_null(), excluded, "{known:#}");
    }
    succeed(&mut federation.eosfed(&["release", "create"]));
    let release = federation.ask(&["release", "show"]);
    let released: Vec<_> =
        release["specialists"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(released, ["east-a", "west-a"]);
    assert!(coordinator.terminate().success());
}
