//! An institution changes its policy during work: data that it no longer allows do not leave.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::process::Command;

use eosfed_e2e::plans::rounds;
use eosfed_e2e::{Federation, Proxy, digest, programs, succeed};

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");

#[test]
fn finished_weights_stay_when_the_policy_is_changed_before_they_are_sent() {
    let federation = Federation::new();
    let proxy = Proxy::before(federation.port());
    let coordinator = federation.coordinator();
    for (seed, name) in [(1, "east"), (2, "west")] {
        federation.stubbed(name, seed, STUB);
    }
    federation.through("west", &proxy);
    let daemons = ["east", "west"].map(|name| federation.daemon(name));
    let phase = || federation.journal("west")["phase"].as_str().unwrap_or_default().to_owned();
    let job = federation.submit(&rounds(1, 2, 2, "10m").text());
    federation.until("training to begin", || phase() == "training");
    proxy.cut();
    federation.until("a finished update", || phase() == "submitting");
    let update = federation.journal("west")["outcome"]["update"]["weights"]["digest"].clone();
    let path = federation.path("west/policy.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"updates\", "));
    fs::write(&path, text.replace("\"updates\", ", "")).unwrap();
    federation.until("the daemon to say so", || daemons[1].log().contains("policy changed"));
    federation.until("the weights to be kept", || federation.path("west/withheld").exists());
    proxy.pass();
    let refused = |job: &serde_json::Value| job["current"]["participants"]["west"]["state"] == "refused";
    let job = federation.wait(&job, "the refusal", |job| refused(job) || job["state"] == "paused");
    assert!(job.to_string().contains("`may_leave` lacks `updates`"), "{job:#}");
    let kept = fs::read_dir(federation.path("west/withheld")).unwrap().next().unwrap().unwrap().path();
    let log = daemons[1].log();
    for phrase in ["`may_leave` no longer allows `updates`", "are kept at", &kept.display().to_string()] {
        assert!(log.contains(phrase), "{phrase}:\n{log}");
    }
    assert_eq!(digest(&fs::read(kept).unwrap()), update.as_str().unwrap());
    assert_eq!(federation.sent("west"), 0);
    assert!(daemons.into_iter().all(|daemon| daemon.terminate().success()));
    assert!(coordinator.terminate().success());
    // The institution can read what was asked and decided, and that the weights were not sent.
    let west = federation.path("west");
    let log = |words: &[&str]| {
        let mut command = Command::new(programs().join("eosfed-client"));
        let printed = succeed(command.arg("log").args(words).arg("--state").arg(&west));
        String::from_utf8(printed.stdout).unwrap()
    };
    let shown = log(&[]);
    for kind in ["started", "asked", "accepted", "policy changed", "refused", "stopped"] {
        assert!(shown.contains(kind), "{kind}:\n{shown}");
    }
    let sent = log(&["--kind", "sent", "--output", "json"]);
    assert!(!sent.contains("weights"), "{sent}");
    assert!(log(&["verify"]).contains("each is unchanged"));
}
