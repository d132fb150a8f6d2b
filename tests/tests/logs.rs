//! What is logged: priorities under systemd, and a level that changes while programs run.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use eosfed_e2e::{Federation, classes};

/// Replaces a line of a settings file.
fn edit(path: &std::path::Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn a_hangup_changes_what_is_logged_and_a_wrong_file_changes_nothing() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    let settings = federation.path("coordinator/coordinator.toml");
    assert!(!coordinator.log().contains("DEBUG"));
    edit(&settings, "log_level = \"info\"", "log_level = \"eosfed_coordinator=debug,info,h2=debug\"");
    coordinator.signal("HUP");
    federation.until("the new level", || coordinator.log().contains("what is logged has changed"));
    federation.until("lines of that level", || {
        federation.ask(&["job", "list"]);
        coordinator.log().contains("DEBUG")
    });
    edit(&settings, "log_level", "log_levle");
    coordinator.signal("HUP");
    federation.until("the complaint", || coordinator.log().contains("`log_levle`"));
    federation.ask(&["job", "list"]);
    assert!(coordinator.terminate().success());
}

#[test]
fn a_hangup_does_not_end_a_client() {
    let federation = Federation::new();
    let _coordinator = federation.coordinator();
    classes(&federation.path("west-data"), 1);
    federation.institution("west", 1);
    let daemon = federation.daemon("west");
    federation.until("the start", || daemon.log().contains("eosfed-client"));
    edit(&federation.path("west/client.toml"), "log_level = \"info\"", "log_level = \"debug\"");
    daemon.signal("HUP");
    federation.until("the new level", || daemon.log().contains("what is logged has changed"));
    assert!(daemon.terminate().success());
}

#[test]
fn under_systemd_lines_begin_with_their_priority() {
    let federation = Federation::new();
    let log = federation.path("coordinator.log");
    let file = fs::File::create(&log).unwrap().metadata().unwrap();
    for (stream, prefixed) in [(format!("{}:{}", file.dev(), file.ino()), true), ("1:1".to_owned(), false)] {
        let mut command = federation.coordinator_command();
        command.env("JOURNAL_STREAM", stream);
        let coordinator = federation.coordinator_by(command);
        assert!(coordinator.terminate().success());
        let text = fs::read_to_string(&log).unwrap();
        let ready = text.lines().find(|line| line.contains("public_url")).unwrap().to_owned();
        assert_eq!(ready.starts_with("<6> INFO "), prefixed, "{ready}");
        fs::write(&log, "").unwrap();
    }
}
