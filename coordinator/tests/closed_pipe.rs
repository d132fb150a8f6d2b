//! A reader may close its pipe early: commands end without a panic, and the coordinator keeps serving.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use eosfed_common::stdout::CLOSED_PIPE;
use eosfed_transport::operator::IdentityFolder;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A pipe without a reader.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn coordinator(verb: &str, state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eosfed-coordinator"));
    command.arg(verb).arg("--state").arg(state);
    command
}

#[test]
fn a_closed_standard_output_ends_a_command_without_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut commands =
        [coordinator("init", &state), coordinator("serve", &state), coordinator("backup", &state)];
    commands[0].args(["--operator", "ada"]);
    commands[1].arg("--check");
    commands[2].arg("--to").arg(folder.path().join("backup"));
    for command in &mut commands {
        let output = command.env("EOSFED_LOG", "error").stdout(closed()).output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{command:?}");
        assert_eq!(output.status.code(), Some(CLOSED_PIPE), "{command:?}");
    }
    assert!(folder.path().join("backup/backup.json").is_file(), "what was asked for is done");
}

#[test]
fn a_coordinator_serves_with_a_closed_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    assert!(
        coordinator("init", &state)
            .args(["--operator", "ada", "--listen", "127.0.0.1:0"])
            .output()
            .unwrap()
            .status
            .success()
    );
    let mut serving = coordinator("serve", &state).stdout(closed()).stderr(closed()).spawn().unwrap();
    let identity = IdentityFolder(state.join("operator"));
    let started = Instant::now();
    while identity.read().unwrap().url.ends_with(":0") {
        assert!(serving.try_wait().unwrap().is_none(), "it has ended");
        assert!(started.elapsed() < Duration::from_secs(60), "it does not serve");
        std::thread::sleep(Duration::from_millis(20));
    }
    let address = identity.read().unwrap().url.replace("https://", "");
    assert!(std::net::TcpStream::connect(address).is_ok(), "it accepts connections");
    kill(Pid::from_raw(i32::try_from(serving.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert!(serving.wait().unwrap().success());
}
