//! Notifications of the real coordinator: a command that gets them, the trial, and settings that are wrong.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use eosfed_e2e::{Federation, fail, project, succeed};
use serde_json::Value;

/// Adds these lines to the coordinator's settings.
fn settings(federation: &Federation, lines: &str) {
    let path = federation.path("coordinator/coordinator.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}\n{lines}")).unwrap();
}

/// A program that appends what it is told to a file.
fn receiver(federation: &Federation) -> String {
    let (program, told) = (federation.path("receiver"), federation.path("told"));
    fs::write(&program, format!("#!/bin/sh\n(cat; echo) >> {}\necho had $1\n", told.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    format!("[[notify]]\nname = \"file\"\ncommand = [{program:?}, \"it\"]\n")
}

fn told(federation: &Federation) -> Vec<Value> {
    let text = fs::read_to_string(federation.path("told")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn wait_for(federation: &Federation, event: &str) -> Value {
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = told(federation).into_iter().find(|one| one["event"] == event) {
            return found;
        }
        assert!(Instant::now() < patience, "no {event} in {:?}", told(federation));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_command_is_told_of_what_happens_and_nothing_twice_after_a_restart() {
    let federation = Federation::new();
    settings(&federation, &receiver(&federation));
    let coordinator = federation.coordinator();
    federation.institution("west", 1);
    let enrolled = wait_for(&federation, "institution_enrolled");
    assert_eq!(enrolled["institution"], "west");
    assert!(coordinator.log().contains("a notification was delivered"), "{}", coordinator.log());
    let schema = fs::read(project().join("docs/reference/schemas/notification.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_slice(&schema).unwrap()).unwrap();
    for one in told(&federation) {
        assert!(schema.is_valid(&one), "{one}");
    }
    assert!(!schema.is_valid(&serde_json::json!({"event": "institution_enrolled"})));
    coordinator.kill();
    let _coordinator = federation.coordinator();
    wait_for(&federation, "coordinator_started");
    let ids: Vec<_> = told(&federation).iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    let enrolments = ids.iter().filter(|id| **id == enrolled["id"]).count();
    assert_eq!(enrolments, 1, "{ids:?}");
}

#[test]
fn a_trial_says_what_came_back() {
    let federation = Federation::new();
    let trial = |more: &[&str]| {
        let mut command = federation.program("eosfed-coordinator");
        command.args(["notify", "test", "--state"]).arg(federation.path("coordinator")).args(more);
        command
    };
    assert!(fail(&mut trial(&[]), 1).contains("has no `[[notify]]`"));
    settings(&federation, &receiver(&federation));
    let said = succeed(&mut trial(&["--name", "file"]));
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.starts_with("ok       file: ") && said.contains("exit code 0: had it ("), "{said}");
    assert_eq!(told(&federation)[0]["event"], "test");
    assert!(fail(&mut trial(&["--name", "none"]), 1).contains("there are file"));
    settings(&federation, "[[notify]]\nname = \"closed\"\nwebhook = \"http://127.0.0.1:9/\"\n");
    let output = trial(&[]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("problem  closed: http://127.0.0.1:9: ") && said.contains("ok       file"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_receiver_that_cannot_be_used_keeps_the_coordinator_from_starting() {
    let federation = Federation::new();
    settings(&federation, "[[notify]]\nname = \"ops\"\ncommand = [\"/nowhere/page\"]\n");
    let state = federation.path("coordinator");
    let mut serve = federation.program("eosfed-coordinator");
    let output = serve.args(["serve", "--state"]).arg(&state).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("`[[notify]]` `ops`: `command` /nowhere/page cannot be run"), "{said}");
    assert_eq!(output.status.code(), Some(78), "only a person can correct it");
    let mut check = federation.program("eosfed-coordinator");
    let output = check.args(["check", "--state"]).arg(&state).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("problem  notifications: `[[notify]]` `ops`"), "{said}");
}

#[test]
fn a_hangup_reads_the_receivers_again_and_wrong_ones_change_nothing() {
    let federation = Federation::new();
    let file = federation.path("coordinator/coordinator.toml");
    let before = fs::read_to_string(&file).unwrap();
    let coordinator = federation.coordinator();
    federation.institution("west", 1);
    let told_of = |event| told(&federation).iter().filter(|one| one["event"] == event).count();
    let reload = |sign: &str| {
        let seen = coordinator.log().matches(sign).count();
        coordinator.signal("HUP");
        federation.until(sign, || coordinator.log().matches(sign).count() > seen);
    };
    settings(&federation, &receiver(&federation));
    reload("the settings were read again");
    federation.institution("east", 2);
    wait_for(&federation, "institution_enrolled");
    assert_eq!(told_of("institution_enrolled"), 1, "of east only: {:?}", told(&federation));
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replace("[\"", "[\"/nowhere")).unwrap();
    reload("nothing was changed: `[[notify]]` `file`: `command` /nowhere/");
    federation.institution("north", 3);
    federation.until("the receiver of before", || told_of("institution_enrolled") == 2);
    fs::write(&file, &before).unwrap();
    reload("a receiver of notifications was removed");
    federation.institution("south", 4);
    assert!(coordinator.log().contains("receiver=file"), "{}", coordinator.log());
    assert!(coordinator.terminate().success());
    assert_eq!(told_of("institution_enrolled"), 2, "nobody is told of south: {:?}", told(&federation));
}
