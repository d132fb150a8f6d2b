//! `eosfed-client log` and `log verify`, as people call them.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use eosfed_client::site::Site;
use eosfed_client::site_log::{Entry, EntryKind, SiteLog, SiteLogSettings};
use eosfed_common::clock::SystemClock;

fn command(state: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eosfed-client"));
    command.arg("log").args(words).arg("--state").arg(state);
    command
}

fn run(state: &Path, words: &[&str]) -> Output {
    command(state, words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn printed(state: &Path, words: &[&str]) -> String {
    let output = run(state, words);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn waits(job: &str, why: &str) -> Entry {
    let id = format!("{job}.0.1.west").parse().unwrap();
    Entry::of(&id, EntryKind::Waits { why: why.to_owned() })
}

/// A state folder with a log of three entries.
fn state() -> (tempfile::TempDir, SiteLog) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("certificate.pem"), "").unwrap();
    let path = Site::at(folder.path()).log();
    let log = SiteLog::new(&path, SiteLogSettings::default(), Arc::new(SystemClock));
    log.record(Entry::new(EntryKind::Stopped)).unwrap();
    log.record(waits("j-0a1b2c3d", "the first")).unwrap();
    log.record(waits("j-0a1b2c3e", "the second")).unwrap();
    (folder, log)
}

#[test]
fn entries_are_shown_newest_last_and_filtered() {
    let (state, _log) = state();
    let all = printed(state.path(), &[]);
    assert!(all.find("the first").unwrap() < all.find("the second").unwrap(), "{all}");
    assert!(all.lines().all(|line| line.len() <= 80), "{all}");
    assert_eq!(printed(state.path(), &["-n", "1"]).matches("the").count(), 1);
    let of_job = printed(state.path(), &["--job", "j-0a1b2c3d"]);
    assert!(of_job.contains("the first") && !of_job.contains("the second"), "{of_job}");
    let json = printed(state.path(), &["--kind", "stopped", "--output", "json"]);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((value["kind"].as_str(), value["sequence"].as_u64()), (Some("stopped"), Some(0)));
    assert_eq!(printed(state.path(), &["--since", "2099-01-01"]), "");
    assert_eq!(run(state.path(), &["--kind", "lunch"]).status.code(), Some(64));
}

#[test]
fn new_entries_are_followed() {
    let (state, log) = state();
    let mut child = command(state.path(), &["--follow", "-n", "1"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.by_ref().take(2).any(|line| line.contains("the second")));
    log.record(waits("j-0a1b2c3d", "the third")).unwrap();
    assert!(lines.take(2).any(|line| line.contains("the third")));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_log_is_verified_also_against_a_noted_entry() {
    let (state, log) = state();
    let said = printed(state.path(), &["verify"]);
    assert!(said.starts_with("3 entries: each is unchanged"), "{said}");
    let noted = said.lines().find_map(|line| line.strip_prefix("Newest: ")).unwrap().to_owned();
    log.record(waits("j-0a1b2c3d", "more")).unwrap();
    printed(state.path(), &["verify", "--noted", &noted]);
    let path = Site::at(state.path()).log().join(format!("{:020}.jsonl", 0));
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replace("the first", "the worst")).unwrap();
    let output = run(state.path(), &["verify"]);
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("event 1 was changed"), "{said}");
    let kept: Vec<&str> = whole.lines().take(2).collect();
    fs::write(&path, format!("{}\n", kept.join("\n"))).unwrap();
    printed(state.path(), &["verify"]);
    let said = text(&run(state.path(), &["verify", "--noted", &noted]).stderr);
    assert!(said.contains("event 2 was noted as"), "{said}");
    let elsewhere = tempfile::tempdir().unwrap();
    let said = text(&run(elsewhere.path(), &["verify"]).stderr);
    assert!(said.contains("holds no identity"), "{said}");
}
