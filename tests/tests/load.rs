//! The load program with a small load; `make load` has the large one.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::process::Command;

use eosfed_e2e::{fail, programs, succeed};

fn load(arguments: &[&str]) -> Command {
    let mut command = Command::new(programs().join("eosfed-load"));
    command.args(["--within", "200"]).args(arguments);
    command
}

/// The coordinator starts with 64 open files allowed, which is too few unless it raises that.
#[test]
fn eighty_wait_and_twenty_of_them_upload_at_once() {
    let output = succeed(&mut load(&["--idle", "80", "--uploading", "20"]));
    let said = String::from_utf8(output.stdout).unwrap();
    println!("{said}");
    for row in ["80 connections made in", "20 uploads, 271 MB in all", "aggregated after the last"] {
        assert!(said.contains(row), "{row} is not in\n{said}");
    }
}

/// The load program fails if any call of an institution fails. `make load-hostile` has the large load.
#[test]
fn a_thousand_hostile_connections_fail_no_call_of_an_institution() {
    let output = succeed(&mut load(&["--idle", "40", "--uploading", "20", "--hostile", "1000"]));
    let said = String::from_utf8(output.stdout).unwrap();
    println!("{said}");
    for row in ["20 uploads, 271 MB in all", "hostile: silent", "hostile: member", "hostile: anonymous"] {
        assert!(said.contains(row), "{row} is not in\n{said}");
    }
}

/// The load program fails if an update is lost or counts twice, or if an invitation that was not
/// acknowledged was made.
#[test]
fn restarts_under_load_lose_no_call_that_cannot_be_repeated() {
    let mut restarts = Command::new(programs().join("eosfed-load"));
    restarts.args(["restarts", "--institutions", "16", "--restarts", "4", "--within", "300"]);
    let output = succeed(&mut restarts);
    let said = String::from_utf8(output.stdout).unwrap();
    println!("{said}");
    for row in
        ["longest gap between two answered greetings", "16 of 16 count, each once", "none of these half"]
    {
        assert!(said.contains(row), "{row} is not in\n{said}");
    }
}

#[test]
fn more_uploads_than_institutions_are_refused_with_the_rule() {
    let said = fail(&mut load(&["--idle", "2", "--uploading", "3"]), 1);
    assert!(said.contains("`--uploading` must be at most") && said.contains("`3`"), "{said}");
}
