//! A lying coordinator as a process of its own, and the real daemon of an institution that has joined it.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::time::Duration;

use eosfed_e2e::hostile::Liar;
use eosfed_e2e::{Federation, succeed};

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");

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
    let mut liar = Liar::joined(&federation, &names, STUB);
    federation.set_policy("west", "min_steps = 1", "min_steps = 4");
    let daemon = federation.daemon("west");
    for (name, reason, word) in lies {
        let end = liar.next_end();
        assert_eq!((end["lie"].as_str(), end["end"].as_str()), (Some(name), Some("refused")), "{end}");
        let said = end["message"].as_str().unwrap();
        assert!(end["reason"] == reason && said.contains(word), "{end}");
        assert_eq!(end["heartbeats"], 0, "nothing of it began");
    }
    let end = liar.next_end();
    assert_eq!((end["lie"].as_str(), end["end"].as_str()), (Some("honest"), Some("submitted")), "{end}");
    let log = daemon.log();
    assert!(!log.contains(['\u{1b}', '\u{202e}']), "{log}");
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01T00:00:00Z")), "{log}");
    assert!(daemon.terminate().success());
}

/// Attack 14: an approval is of the terms of a job, for a number of rounds.
#[test]
fn an_approval_covers_its_rounds_and_no_changed_terms() {
    let federation = Federation::new();
    let lies = ["first-round", "other-terms", "later-round", "last-round", "nothing"];
    let mut liar = Liar::joined(&federation, &lies, STUB);
    federation.set_policy("west", "approval = \"automatic\"", "approval = \"manual\"");
    let approve = |job: &str, rounds: &[&str]| {
        let mut command = federation.program("eosfed-client");
        command.args(["approve", job, "--state"]).arg(federation.path("west")).args(rounds);
        command
    };
    let daemon = federation.daemon("west");
    // The site's log says of each offer that it waits.
    let wait = |offer: &str| {
        federation.until("the offer to wait", || {
            let mut log = federation.program("eosfed-client");
            log.args(["log", "--output", "json", "--kind", "waits", "--state"]);
            let said = succeed(log.arg(federation.path("west"))).stdout;
            String::from_utf8(said).unwrap().contains(offer)
        });
    };
    wait("j-0a1b2c3d.0.1.west");
    let shown = succeed(&mut approve("j-0a1b2c3d", &["--show"])).stdout;
    assert!(String::from_utf8(shown).unwrap().contains("learning rate"));
    succeed(&mut approve("j-0a1b2c3d", &["--rounds", "2"]));
    // The second round that it covers may have any number.
    for (lie, waiting) in [
        ("first-round", None),
        ("other-terms", Some("j-0a1b2c3d.1.1.west")),
        ("later-round", None),
        ("last-round", Some("j-0a1b2c3d.2000.1.west")),
    ] {
        if let Some(offer) = waiting {
            wait(offer);
            // Time in which the daemon looks at the offer several times.
            std::thread::sleep(Duration::from_millis(1000));
            liar.withdraw();
        }
        let end = liar.next_end();
        let how = if waiting.is_some() { "withdrawn" } else { "submitted" };
        assert_eq!((end["lie"].as_str(), end["end"].as_str()), (Some(lie), Some(how)), "{end}");
        let seen = end["seen"]["fields"].to_string();
        let accepted = seen.contains("AcceptRequest");
        let sent = end["heartbeats"] != 0 || end["uploaded"] != 0 || seen.contains("SubmitUpdateRequest");
        assert_eq!((accepted, sent), (waiting.is_none(), waiting.is_none()), "{end}");
    }
    assert!(daemon.terminate().success());
}
