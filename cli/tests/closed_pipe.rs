//! `eosfed … | head -1` ends without an error message, since a reader may close the pipe early.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use eosfed_common::stdout::CLOSED_PIPE;

const PLAN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/demo/tour/plan.toml");

/// A pipe without a reader.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn eosfed(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eosfed"));
    command.args(arguments).env_remove("EOSFED_IDENTITY");
    command
}

#[test]
fn a_closed_standard_output_ends_the_program_without_a_panic() {
    for (arguments, code) in [
        (&["job", "check", PLAN][..], CLOSED_PIPE),
        (&["--output", "json", "job", "check", PLAN], CLOSED_PIPE),
        (&["completions", "bash"], CLOSED_PIPE),
        (&["--help"], 0),
    ] {
        let output = eosfed(arguments).stdout(closed()).output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn a_reader_may_close_the_pipe_early() {
    let mut command = eosfed(&["completions", "zsh"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut reader = BufReader::with_capacity(16, child.stdout.take().unwrap());
    reader.read_line(&mut line).unwrap();
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert_eq!(line, "#compdef eosfed\n");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    // A pipe holds 64 KiB: a program that has written everything before the reader closes has succeeded.
    assert!([Some(0), Some(CLOSED_PIPE)].contains(&output.status.code()), "{:?}", output.status);
}

#[test]
fn a_closed_standard_error_changes_no_exit_code() {
    let status = eosfed(&["--identity", "/no/such/folder", "job", "list"]).stderr(closed()).status().unwrap();
    assert_eq!(status.code(), Some(1));
    let output = eosfed(&["job", "check", PLAN]).env("EOSFED_LOG", "=[").stderr(closed()).output().unwrap();
    assert!(output.status.success() && !output.stdout.is_empty(), "{:?}", output.status);
}
