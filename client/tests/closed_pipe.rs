//! `eosfed-client … | head -1` ends quietly: a reader may close its pipe early.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::process::{Command, Stdio};

use eosfed_common::stdout::CLOSED_PIPE;

/// A pipe without a reader.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eosfed-client"));
    command.args(arguments);
    command
}

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/policy.toml");

#[test]
fn a_closed_standard_output_ends_the_program_without_a_panic() {
    for arguments in [&["policy", "explain", "--policy", SAMPLE][..], &["--help"]] {
        let output = command(arguments).stdout(closed()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, "", "{arguments:?}");
        let expected = if arguments == ["--help"] { 0 } else { CLOSED_PIPE };
        assert_eq!(output.status.code(), Some(expected), "{arguments:?}");
    }
}

#[test]
fn a_closed_standard_error_ends_no_program() {
    let status = command(&["run", "--state", "/no/such/folder"]).stderr(closed()).status().unwrap();
    assert_eq!(status.code(), Some(78));
    // The filter is invalid, and the program reports that on standard error first.
    let mut explain = command(&["policy", "explain", "--policy", SAMPLE]);
    let output = explain.env("EOSFED_LOG", "=[").stderr(closed()).output().unwrap();
    assert!(output.status.success() && !output.stdout.is_empty(), "{:?}", output.status);
}
