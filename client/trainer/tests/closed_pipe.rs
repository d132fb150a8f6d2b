//! `eosfed-trainer … | head -1` ends quietly: a reader may close its pipe early.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::process::Command;

use eosfed_common::stdout::CLOSED_PIPE;

#[test]
fn a_closed_standard_output_ends_the_program_without_a_panic() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_eosfed-trainer"));
    let output = command.args(["device", "--device", "cpu"]).stdout(writer).output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(CLOSED_PIPE));
}
