//! The load program with a small load; `make load` has the large one.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::process::Command;
use std::time::Duration;

use eosfed_e2e::{fail, programs, succeed};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

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

/// The short form of `make bench-rounds`, in ratios: a machine that is slow or busy is so for both sides of them. What
/// the coordinator does with the bytes of an institution and round (TLS, hash, disk, both ways) is compared with hashing
/// them once; 10 times are usual, where the processor has instructions for SHA-256. Memory is what rounds need more than
/// the idle coordinator; 12 MiB are usual.
#[test]
fn a_round_costs_a_bounded_multiple_of_hashing_its_bytes() {
    let mut rounds = Command::new(programs().join("eosfed-load"));
    rounds.args(["rounds", "--clients", "4", "--count", "2"]);
    let found: Value = serde_json::from_slice(&succeed(&mut rounds).stdout).unwrap();
    println!("{found}");
    let number = |value: &Value| value.as_f64().unwrap();
    let bytes = 4 * found["parameters"].as_u64().unwrap() as usize;
    let hashing = processor_seconds_of_hashing(2 * bytes);
    let of_a_round = |round: &Value| number(&round["processor_seconds"]) / 4.0 / hashing;
    let times: Vec<f64> = found["rounds"].as_array().unwrap().iter().map(of_a_round).collect();
    assert_eq!(times.len(), 2);
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(least < 20.0, "a round takes {times:.1?} times as long as hashing its bytes");
    let grown = (number(&found["peak_kib"]) - number(&found["idle_kib"])) / 1024.0;
    assert!(grown < 24.0, "memory grows by {grown:.1} MiB");
}

/// The least of three, as for the rounds: what is more is the machine's.
fn processor_seconds_of_hashing(bytes: usize) -> f64 {
    let data = vec![0x5a_u8; bytes];
    let once = |_| {
        let start = processor_time_of_this_thread();
        std::hint::black_box(Sha256::digest(&data));
        (processor_time_of_this_thread() - start).as_secs_f64()
    };
    (0..3).map(once).fold(f64::INFINITY, f64::min)
}

/// The kernel's first number is in nanoseconds.
fn processor_time_of_this_thread() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

#[test]
fn more_uploads_than_institutions_are_refused_with_the_rule() {
    let said = fail(&mut load(&["--idle", "2", "--uploading", "3"]), 1);
    assert!(said.contains("`--uploading` must be at most") && said.contains("`3`"), "{said}");
}
