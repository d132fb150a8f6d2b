//! The health check of a coordinator, and `init` that may find its folder.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::process::Command;

use eosfed_e2e::{Federation, fail, succeed};

fn coordinator(federation: &Federation, words: &[&str]) -> Command {
    let mut command = federation.program("eosfed-coordinator");
    command.args(words).arg("--state").arg(federation.path("coordinator"));
    command
}

#[test]
fn a_coordinator_is_healthy_while_it_answers() {
    let federation = Federation::new();
    let health = || coordinator(&federation, &["health"]);
    assert!(fail(&mut health(), 1).contains("no coordinator serves"));
    let running = federation.coordinator();
    let said = succeed(&mut health());
    assert!(String::from_utf8_lossy(&said.stdout).contains("the coordinator answers at https://127.0.0.1:"));
    let address = federation.path("coordinator/address");
    let url = fs::read_to_string(&address).unwrap();
    // Killed, it leaves its address behind.
    running.kill();
    assert_eq!(fs::read_to_string(&address).unwrap(), url);
    assert!(fail(&mut health(), 1).contains("does not answer"));
}

#[test]
fn a_certificate_for_another_name_than_the_address_is_no_fault() {
    let federation = Federation::new();
    let settings = federation.path("coordinator/coordinator.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let named = text.replace(r#"names = ["localhost", "127.0.0.1"]"#, r#"names = ["coordinator"]"#);
    assert_ne!(named, text);
    fs::write(&settings, named).unwrap();
    let _running = federation.start("coordinator", federation.coordinator_command());
    federation.until("the address", || federation.path("coordinator/address").exists());
    federation.until("health", || coordinator(&federation, &["health"]).output().unwrap().status.success());
}

#[test]
fn init_if_missing_keeps_what_is_there() {
    let federation = Federation::new();
    let key = || fs::read(federation.path("coordinator/ca/key.pem")).unwrap();
    let before = key();
    assert!(fail(&mut coordinator(&federation, &["init", "--operator", "eve"]), 1).contains("already"));
    let said = succeed(&mut coordinator(&federation, &["init", "--operator", "eve", "--if-missing"]));
    assert!(String::from_utf8_lossy(&said.stdout).contains("nothing was changed"));
    assert_eq!(key(), before);
    // What cannot be read is not taken for a state folder.
    fs::write(federation.path("coordinator/coordinator.toml"), "listen = 1").unwrap();
    fail(&mut coordinator(&federation, &["init", "--operator", "eve", "--if-missing"]), 1);
}
