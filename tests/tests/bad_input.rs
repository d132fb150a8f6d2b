//! Mistakes of people and of broken programs: each gets a clear error, and nothing is lost.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use eosfed_e2e::plans::{RGB, one_shot};
use eosfed_e2e::{Federation, Mount, fail, succeed, truncate};
use eosfed_testkit::plans::Plan;

fn plan() -> Plan {
    let plan = one_shot(&[("west-rgb", "west", &RGB)]).set("participation.attempts", 1);
    plan.set("training.epochs", 1)
}

/// The token with another secret.
fn forged(token: &Path) -> String {
    let text = fs::read_to_string(token).unwrap();
    let encoded = text.trim().strip_prefix("eosfed-join-v1.").unwrap();
    let mut json: serde_json::Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap();
    json["secret"] = "00".repeat(32).into();
    format!("eosfed-join-v1.{}", URL_SAFE_NO_PAD.encode(json.to_string()))
}

#[test]
fn wrong_expired_and_used_tokens_are_refused_with_the_reason() {
    let federation = Federation::new();
    let _coordinator = federation.coordinator();
    eosfed_e2e::classes(&federation.path("west-data"), 1);
    let token = federation.invite("west", "1h");

    let wrong = federation.path("wrong.token");
    fs::write(&wrong, forged(&token)).unwrap();
    let said = fail(&mut federation.join("west", &wrong), 1);
    assert!(said.contains("TOKEN_INVALID") && said.contains("ask the operator"), "{said}");
    fs::write(&wrong, "not a token").unwrap();
    let said = fail(&mut federation.join("west", &wrong), 1);
    assert!(said.contains("not a join token"), "{said}");
    assert!(!federation.path("west/certificate.pem").exists());

    eosfed_e2e::classes(&federation.path("late-data"), 2);
    let late = federation.invite("late", "1s");
    std::thread::sleep(std::time::Duration::from_millis(1200));
    let said = fail(federation.join("late", &late).env("X", ""), 1);
    assert!(said.contains("TOKEN_EXPIRED"), "{said}");

    // None of these calls has used up the valid token.
    succeed(&mut federation.join("west", &token));
    let said = fail(federation.join("west", &token).arg("--force"), 1);
    assert!(said.contains("TOKEN_USED"), "{said}");
    succeed(federation.program("eosfed-client").args(["check", "--state"]).arg(federation.path("west")));
}

#[test]
fn strangers_and_institutions_cannot_operate() {
    let federation = Federation::new();
    let _coordinator = federation.coordinator();
    // A certificate of another authority, shown to this coordinator.
    federation.init("other", 1);
    let stranger = federation.path("other/operator");
    let copy = |file: &str| {
        fs::copy(federation.path("coordinator/operator").join(file), stranger.join(file)).unwrap();
    };
    let said = |code: i32| fail(federation.eosfed(&["job", "list"]).env("EOSFED_IDENTITY", &stranger), code);
    copy("coordinator.toml");
    let trusts_another = said(69);
    assert!(trusts_another.contains("not from the authority of `ca.pem`"), "{trusts_another}");
    copy("ca.pem");
    let unknown = said(69);
    assert!(unknown.contains("does not answer") && !unknown.contains("is empty"), "{unknown}");
    assert!(unknown.contains("does not accept the certificate of this identity"), "{unknown}");
    copy("certificate.pem");
    let mixed = said(1);
    assert!(mixed.contains("`key.pem`, `certificate.pem` and `ca.pem` together"), "{mixed}");

    federation.institution("west", 1);
    let west = federation.path("west-as-operator");
    fs::create_dir(&west).unwrap();
    for file in ["key.pem", "certificate.pem", "ca.pem"] {
        fs::copy(federation.path("west").join(file), west.join(file)).unwrap();
    }
    let url = format!("url = \"https://127.0.0.1:{}\"", federation.port());
    fs::write(west.join("coordinator.toml"), url).unwrap();
    for arguments in [&["institution", "invite", "friend"][..], &["job", "list"], &["release", "create"]] {
        let said = fail(federation.eosfed(arguments).env("EOSFED_IDENTITY", &west), 1);
        assert!(said.contains("FORBIDDEN"), "{said}");
    }
}

#[test]
fn five_mistakes_in_a_plan_are_five_lines() {
    let federation = Federation::new();
    let _coordinator = federation.coordinator();
    let plan = plan()
        .set("version", 7)
        .set("participation.max", 0)
        .set("training.epochs", 0)
        .set("training.learning_rate", -1.0)
        .set("model.classes", vec!["dark"])
        .unchecked();
    let path = federation.path("plan.toml");
    fs::write(&path, plan).unwrap();
    let said = fail(&mut federation.eosfed(&["job", "submit", "plan.toml"]), 1);
    let problems = said.lines().filter(|line| line.trim_start().starts_with("- `")).count();
    assert!(said.contains("plan.toml") && problems >= 5, "{said}");
    for key in ["version", "participation.max", "training.epochs", "training.learning_rate", "model.classes"]
    {
        assert!(said.contains(&format!("`{key}`")), "{key}: {said}");
    }
    assert_eq!(federation.ask(&["job", "list"]), serde_json::json!([]));
}

/// A training program that damages the result of the real one: the first weight becomes NaN.
const SPOILER: &str = r#"#!/usr/bin/env python3
import json, struct, subprocess, sys
run = subprocess.run([REAL, *sys.argv[1:]], stdout=subprocess.PIPE)
task = json.load(open(sys.argv[2]))
with open(task["output"] + "/weights.safetensors", "r+b") as file:
    (header,) = struct.unpack("<Q", file.read(8))
    file.seek(8 + header)
    file.write(struct.pack("<f", float("nan")))
sys.stdout.buffer.write(run.stdout)
sys.exit(run.returncode)
"#;

#[test]
fn weights_with_nan_do_not_leave_and_the_operator_sees_the_reason() {
    use std::os::unix::fs::PermissionsExt as _;
    let federation = Federation::new();
    let _coordinator = federation.coordinator();
    federation.institution("west", 1);
    let program = federation.path("spoiler.py");
    let real = eosfed_e2e::programs().join("eosfed-trainer");
    fs::write(&program, SPOILER.replace("REAL", &format!("{:?}", real.to_string_lossy()))).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    federation.set("west", "program = \"eosfed-trainer\"", &format!("program = {program:?}"));
    let daemon = federation.daemon("west");
    let job = federation.submit(&plan().text());
    let paused = federation.wait(&job, "the job to pause", |job| job["state"] == "paused");
    let west = &paused["history"][0]["participants"]["west"];
    let message = west["message"].as_str().unwrap();
    assert_eq!(west["state"], "failed");
    assert!(message.contains("NaN") && message.contains("tensor `"), "{message}");
    assert!(daemon.terminate().success());
    let status = succeed(
        federation
            .program("eosfed-client")
            .args(["status", "--output", "json", "--state"])
            .arg(federation.path("west")),
    );
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["sent_bytes"]["weights"], 0, "{status:#}");
}

#[test]
fn truncated_imagery_is_named_and_nothing_is_trained_on_it() {
    let federation = Federation::new();
    let _coordinator = federation.coordinator();
    federation.institution("west", 1);
    for number in 0..20 {
        truncate(&federation.path("west-data/dark").join(format!("1-{number}.png")));
    }
    let mut inspect = federation.program("eosfed-client");
    let said = fail(inspect.args(["data", "inspect"]).arg(federation.path("west-data")), 1);
    assert!(said.contains(".png"), "{said}");
    let _daemon = federation.daemon("west");
    let job = federation.submit(&plan().text());
    let paused = federation.wait(&job, "the job to pause", |job| job["state"] == "paused");
    let west = &paused["history"][0]["participants"]["west"];
    assert!(west["state"] == "failed" || west["state"] == "refused", "{west:#}");
    // The names of files stay at the institution.
    let message = west["message"].as_str().unwrap();
    assert!(
        message.contains("files cannot be read") && message.contains("unexpected end of file"),
        "{west:#}"
    );
    assert!(!message.contains(".png"), "{west:#}");
}

/// Fills the disk under the blobs with the upload itself; needs root to mount a small file system.
#[test]
fn a_full_disk_stops_an_upload_which_continues_once_there_is_space() {
    let federation = Federation::new();
    let blobs = federation.path("coordinator/blobs");
    fs::create_dir_all(&blobs).unwrap();
    let Some(mount) = Mount::tmpfs(&blobs, "6m") else {
        println!("skipped: a_full_disk_stops_an_upload_which_continues_once_there_is_space: cannot mount");
        return;
    };
    // The disk is smaller than the room below which uploads are refused.
    let settings = federation.path("coordinator/coordinator.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replace("stop_below_mb = 500", "stop_below_mb = 0")).unwrap();
    let coordinator = federation.coordinator();
    federation.institution("west", 1);
    let daemon = federation.daemon("west");
    let job = federation.submit(&plan().text());
    let started = std::time::Instant::now();
    while !daemon.log().contains("STORAGE_FULL") {
        assert!(started.elapsed() < eosfed_e2e::WAIT_TIMEOUT, "{}\n{}", daemon.log(), coordinator.log());
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let running = federation.ask(&["job", "show", &job]);
    assert_eq!(running["state"], "running", "nothing is lost: {running:#}");
    mount.resize("64m");
    federation.wait(&job, "the end", |job| job["state"] == "finished");
    assert_eq!(federation.ask(&["release", "show"])["specialists"][0]["name"], "west-rgb");
    assert!(daemon.terminate().success() && coordinator.terminate().success());
}
