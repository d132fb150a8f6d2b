//! A coordinator whose disk is lost continues from a backup that was made while it served.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use eosfed_e2e::plans::{RGB, one_shot};
use eosfed_e2e::{Federation, fail, succeed};
use serde_json::Value;

/// No institution takes part in it, since west's daemon does not run.
fn plan() -> String {
    let plan = one_shot(&[("west-rgb", "west", &RGB)]).without("release").deadline("24h");
    plan.set("training.epochs", 1).text()
}

fn backup(federation: &Federation, to: &str) -> Command {
    let mut command = federation.program("eosfed-coordinator");
    command.args(["backup", "--output", "json", "--state"]).arg(federation.path("coordinator"));
    command.arg("--to").arg(federation.path(to));
    command
}

fn restore(federation: &Federation, from: &str, to: &str) -> Command {
    let mut command = federation.program("eosfed-coordinator");
    command.args(["restore", "--output", "json", "--from"]).arg(federation.path(from));
    command.arg("--state").arg(federation.path(to));
    command
}

fn json(command: &mut Command) -> Value {
    serde_json::from_slice(&succeed(command).stdout).unwrap()
}

fn ids(jobs: &Value) -> BTreeSet<String> {
    jobs.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

/// Whether the coordinator accepts an institution that has joined.
fn greeted(federation: &Federation, name: &str) -> bool {
    let mut check = federation.program("eosfed-client");
    let output = check.args(["check", "--state"]).arg(federation.path(name)).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).contains(&format!("accepts `{name}`"))
}

#[test]
fn a_coordinator_whose_disk_is_lost_continues_from_its_backup() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    for (seed, name) in (1..).zip(["east", "west"]) {
        federation.institution(name, seed);
    }
    assert!(greeted(&federation, "east") && greeted(&federation, "west"));
    let first = federation.submit(&plan());

    // Jobs are submitted during the backup.
    let over = AtomicBool::new(false);
    let (made, submitted) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut submitted = vec![first.clone()];
            while !over.load(Ordering::Relaxed) {
                submitted.push(federation.submit(&plan()));
            }
            submitted
        });
        while federation.ask(&["job", "list"]).as_array().unwrap().len() < 5 {}
        let made = json(&mut backup(&federation, "saved"));
        over.store(true, Ordering::Relaxed);
        (made, writer.join().unwrap())
    });
    let institutions = federation.ask(&["institution", "list"]);
    assert_eq!((&made["serving"], &made["counts"]["institutions"]), (&true.into(), &2.into()), "{made:#}");
    let key = federation.path("saved/ca/key.pem");
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);

    // An interrupted backup is distinguished from a complete one.
    fs::create_dir(federation.path("half")).unwrap();
    fs::copy(federation.path("saved/records.jsonl"), federation.path("half/records.jsonl")).unwrap();
    let said = fail(&mut restore(&federation, "half", "restored"), 1);
    assert!(said.contains("interrupted") && !federation.path("restored").exists(), "{said}");
    let said = fail(&mut restore(&federation, "saved", "coordinator"), 1);
    assert!(said.contains("not empty") && said.contains("nothing was changed"), "{said}");

    coordinator.kill();
    fs::rename(federation.path("coordinator"), federation.path("lost")).unwrap();
    let restored = json(&mut restore(&federation, "saved", "coordinator"));
    assert_eq!(restored["counts"], made["counts"]);
    let coordinator = federation.coordinator();
    let there = federation.ask(&["job", "list"]);
    let count = usize::try_from(made["counts"]["jobs"].as_u64().unwrap()).unwrap();
    assert!((5..=submitted.len()).contains(&count), "{count} of {}", submitted.len());
    assert_eq!(ids(&there), submitted[..count].iter().cloned().collect(), "the state of one instant");
    let names = |list: &Value| -> Vec<Value> {
        list.as_array().unwrap().iter().map(|one| one["name"].clone()).collect()
    };
    assert_eq!(names(&federation.ask(&["institution", "list"])), names(&institutions));
    assert!(greeted(&federation, "east") && greeted(&federation, "west"), "the authority is the same");

    // A stopped coordinator is backed up, too. The copy has one more event: the start after the restore.
    assert!(coordinator.terminate().success());
    let rested = json(&mut backup(&federation, "rested"));
    let mut expected = made["counts"].clone();
    expected["events"] = (expected["events"].as_u64().unwrap() + 1).into();
    assert_eq!((&rested["serving"], &rested["counts"]), (&false.into(), &expected));
    let records = |of: &str| fs::read_to_string(federation.path(of).join("records.jsonl")).unwrap();
    assert_eq!(records("rested").lines().count(), records("saved").lines().count() + 1);
    let said = fail(&mut backup(&federation, "coordinator/inside"), 1);
    assert!(said.contains("outlive"), "{said}");
}
