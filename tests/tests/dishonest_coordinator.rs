//! A lying coordinator as a process of its own, and the real daemon of an institution that has joined it.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use eosfed_e2e::{Federation, classes, programs, succeed};
use serde_json::Value;

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");

/// A running `eosfed-hostile coordinator`. It ends with its standard input.
struct Liar {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Liar {
    fn start(federation: &Federation, lies: &[&str]) -> Self {
        let mut command = Command::new(programs().join("eosfed-hostile"));
        command.args(["coordinator", "--listen", &format!("127.0.0.1:{}", federation.port())]);
        command.arg("--token-file").arg(federation.path("west.token"));
        command.args(["--lies", &lies.join(",")]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "READY");
        Self { child, lines }
    }

    /// How the next lie has ended.
    fn next(&mut self) -> Value {
        let line = self.lines.next().expect("the coordinator has ended").unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_daemon_refuses_every_lie_and_still_serves_honest_work() {
    // What is asked, and the reason and a word of the refusal.
    let lies = [
        ("one-shot-base", "POLICY", "`allow.warm_start` is false"),
        ("one-step", "POLICY", "`min_steps`"),
        ("no-strategy", "INCOMPATIBLE", "no work of this kind"),
        ("krum", "POLICY", "krum"),
        ("huge-base", "INCOMPATIBLE", "1099511627776"),
        ("huge-input", "INCOMPATIBLE", "training.input_size"),
        ("forged-name", "INCOMPATIBLE", "job_name"),
        ("other-institution", "INCOMPATIBLE", "east"),
        ("changed-after-signing", "NOT_SIGNED", "does not fit the assignment"),
    ];
    let federation = Federation::new();
    let names: Vec<_> = lies.iter().map(|(name, ..)| *name).chain(["honest"]).collect();
    let mut liar = Liar::start(&federation, &names);
    classes(&federation.path("west-data"), 1);
    succeed(&mut federation.join("west", &federation.path("west.token")));
    federation.use_stub("west", STUB);
    federation.set_policy("west", "min_steps = 1", "min_steps = 4");
    let daemon = federation.daemon("west");
    for (name, reason, word) in lies {
        let end = liar.next();
        assert_eq!((end["lie"].as_str(), end["end"].as_str()), (Some(name), Some("refused")), "{end}");
        let said = end["message"].as_str().unwrap();
        assert!(end["reason"] == reason && said.contains(word), "{end}");
        assert_eq!(end["heartbeats"], 0, "nothing of it began");
    }
    let end = liar.next();
    assert_eq!((end["lie"].as_str(), end["end"].as_str()), (Some("honest"), Some("submitted")), "{end}");
    let log = daemon.log();
    assert!(!log.contains(['\u{1b}', '\u{202e}']), "{log}");
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01T00:00:00Z")), "{log}");
    assert!(daemon.terminate().success());
}
