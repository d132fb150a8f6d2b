//! Certificates: renewals that a lying coordinator answers wrongly, and a connection that outlives its
//! certificate. All programs are processes of their own.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use eosfed_e2e::hostile::{Answer, Liar};
use eosfed_e2e::{Clock, Federation, classes, succeed};

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");

/// How long a certificate of an institution is valid, in seconds.
const VALIDITY: i64 = 45 * 24 * 3600;
/// Time that is left of it in the test.
const LEFT: i64 = 5;

/// Attack 13.
#[test]
fn an_identity_stays_byte_for_byte_until_the_right_certificate_comes() {
    let wrong = ["garbage", "nothing", "other-name", "other-role", "other-key", "other-authority", "expired"];
    let federation = Federation::new();
    let renewals = format!("{},right", wrong.join(","));
    let options = ["--renewals", &renewals];
    let mut liar = Liar::joined_with(&federation, &["nothing", "honest"], STUB, &options);
    let identity = || {
        ["key.pem", "certificate.pem", "ca.pem", "signing.key"]
            .map(|name| fs::read(federation.path("west").join(name)).unwrap())
    };
    let before = identity();
    let daemon = federation.daemon("west");
    for answer in wrong.into_iter().chain(["right"]) {
        // The answer before this one has been dealt with.
        assert_eq!(liar.next_end()["renewal"], answer);
        if answer != "right" {
            assert!(identity() == before, "before the answer `{answer}`");
        }
    }
    let renewed = || daemon.log().contains("the certificate has been renewed");
    federation.until("the right certificate to be taken", renewed);
    assert_eq!(daemon.log().matches("nothing was replaced").count(), wrong.len(), "{}", daemon.log());
    let after = identity();
    assert!(after[0] != before[0] && after[1] != before[1], "another key and its certificate");
    assert!(after[2..] == before[2..], "the same authority and signing key");
    liar.withdraw();
    assert_eq!(liar.next_end()["end"], "withdrawn");
    assert_eq!(liar.next_end()["end"], "submitted", "it works with the new identity");
    assert!(daemon.terminate().success());
}

/// Attack 15. The coordinator issues a certificate while its clock is in the past, so that it ends soon.
#[test]
fn a_connection_ends_with_its_certificate_and_renews_nothing() {
    let federation = Federation::new();
    let Some(clock) = Clock::new(&federation.path(""), "coordinator", 0) else {
        println!("skipped: a_connection_ends_with_its_certificate_and_renews_nothing: no C compiler");
        return;
    };
    let mut command = federation.coordinator_command();
    clock.rule(&mut command);
    let coordinator = federation.coordinator_by(command);
    classes(&federation.path("mallory-data"), 1);
    let token = federation.invite("mallory", "1h");
    clock.set(LEFT - VALIDITY);
    succeed(&mut federation.join("mallory", &token));
    let began = Instant::now();
    clock.set(0);
    let stay = federation.attack_command(&federation.path("mallory"), &["stay"]);
    let output = succeed({ stay }.stdin(Stdio::null()));
    let lasted = began.elapsed();
    let answers: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(Answer::of).collect();
    println!("{lasted:?}: {answers:?}");
    let [hello, polls @ .., again, renew] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!((hello.call.as_str(), hello.answer.as_str()), ("hello", "OK"), "{answers:?}");
    let cut = polls.last().unwrap();
    assert!(cut.call == "poll" && cut.answer != "OK", "{answers:?}");
    for one in [again, renew] {
        assert!(one.answer != "OK", "{answers:?}");
    }
    // A poll lasts for 30 seconds unless the connection is closed.
    let left = Duration::from_secs(LEFT.unsigned_abs());
    assert!(lasted < left + Duration::from_secs(3), "{lasted:?}");
    assert!(lasted > left - Duration::from_secs(2), "{lasted:?}");
    assert!(coordinator.terminate().success());
}
