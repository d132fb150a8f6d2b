//! `eosfed watch` and `eosfed-client status --watch`: in a pipe and on a terminal.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::process::Command;

use eosfed_e2e::plans::{RGB, one_shot};
use eosfed_e2e::{Federation, Process, schemas, succeed};
use serde_json::Value;

fn plan() -> String {
    one_shot(&[("west-rgb", "west", &RGB), ("east-rgb", "east", &RGB)]).text()
}

fn wait_for(federation: &Federation, process: &Process, text: &str) {
    federation.until(&format!("`{text}` in\n{}", process.log()), || process.log().contains(text));
}

#[test]
fn a_pipe_gets_a_line_for_each_change_and_the_watch_survives_the_coordinator() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    for (name, seed) in [("west", 1), ("east", 2)] {
        federation.institution(name, seed);
    }
    let watch = federation.start("watch", federation.eosfed(&["watch", "--every", "1s"]));
    wait_for(&federation, &watch, "institution east: silent\ninstitution west: silent");
    let job = federation.submit(&plan());
    wait_for(&federation, &watch, &format!("job {job}, west: offered"));
    let west = federation.daemon("west");
    wait_for(&federation, &watch, "institution west: online");
    wait_for(&federation, &watch, &format!("job {job}, west: submitted"));
    assert!(coordinator.terminate().success());
    wait_for(&federation, &watch, "trying again");
    let _coordinator = federation.coordinator();
    let _east = federation.daemon("east");
    wait_for(&federation, &watch, "institution east: online");
    drop(west);
    let lines = watch.log();
    let repeated = lines.matches("institution east: silent").count();
    assert!(repeated <= 2 && !lines.contains('\u{1b}'), "{lines}");
    let output =
        succeed(&mut federation.eosfed(&["watch", "--looks", "2", "--every", "1s", "--output", "json"]));
    let looks = String::from_utf8(output.stdout).unwrap();
    assert_eq!(looks.lines().count(), 2, "{looks}");
    for look in looks.lines() {
        let look: Value = serde_json::from_str(look).unwrap();
        schemas::check("eosfed", &["watch"], &look);
        assert_eq!(look["institutions"].as_array().map(Vec::len), Some(2));
    }
}

#[test]
fn a_terminal_is_redrawn_in_place() {
    let federation = Federation::new();
    let _coordinator = federation.coordinator();
    federation.invite("west", "1h");
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("skipped: there is no `script` to make a terminal");
        return;
    }
    let watch = federation.eosfed(&["watch", "--looks", "2", "--every", "1s"]);
    let words = std::iter::once(watch.get_program()).chain(watch.get_args());
    let words: Vec<_> = words.map(|word| word.to_str().unwrap()).collect();
    let log = federation.path("typescript");
    let mut script = Command::new("script");
    script.args(["-qec", &words.join(" ")]).arg(&log);
    succeed(script.env("EOSFED_IDENTITY", federation.path("coordinator/operator")));
    let shown = fs::read_to_string(&log).unwrap();
    // Eight lines are shown, and drawn again from the first of them.
    let lines = shown.matches("\u{1b}[K").count();
    assert!(lines.is_multiple_of(2) && shown.contains(&format!("\r\u{1b}[{}A", lines / 2)), "{shown:?}");
    assert_eq!(shown.matches("INSTITUTION").count(), 2, "{shown}");
    assert!(shown.contains("west          invited"), "{shown}");
}

#[test]
fn the_status_of_a_daemon_is_watched() {
    let federation = Federation::new();
    let _coordinator = federation.coordinator();
    federation.institution("west", 1);
    let watched = |name: &str, output: &str| {
        let mut status = federation.program("eosfed-client");
        status.args(["status", "--watch", "--every", "1s", "--output", output, "--state"]);
        status.arg(federation.path("west"));
        federation.start(name, status)
    };
    let (text, json) = (watched("text", "text"), watched("json", "json"));
    wait_for(&federation, &text, "daemon: not running\n");
    let west = federation.daemon("west");
    wait_for(&federation, &text, "daemon: running\n");
    wait_for(&federation, &json, "\"daemon\":\"running\"");
    drop(west);
    federation.until("the end is seen", || text.log().matches("daemon: not running\n").count() == 2);
    assert_eq!(text.log().matches("institution: west\n").count(), 1, "{}", text.log());
    for line in json.log().lines() {
        schemas::check("eosfed-client", &["status"], &serde_json::from_str(line).unwrap());
    }
}
