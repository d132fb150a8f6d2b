//! The daemon on the store of an earlier release, killed in the middle of bringing it up to this one.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_coordinator::domain::Federation;
use eosfed_coordinator::init::{Choices, init};
use eosfed_coordinator::storage::{Record, SCHEMA, SledStore, Store as _, read_lines, ready};

/// What a coordinator of schema 1 has left behind; see the README beside it.
const RECORDS: &str = include_str!("../fixtures/schema-1/records.jsonl");
/// How often it is killed, each time a little later.
const KILLS: u32 = 12;

/// A state folder of before, in `folder`.
fn lay_down(folder: &Path) {
    let choices = Choices {
        listen: "127.0.0.1:0".parse().unwrap(),
        public_url: None,
        names: vec!["localhost".to_owned()],
    };
    fs::create_dir(folder).unwrap();
    let state = init(folder, &choices, SystemClock.now()).unwrap();
    let db = sled::open(state.store()).unwrap();
    for line in RECORDS.lines() {
        let Record { tree, key, record } = serde_json::from_str(line).unwrap();
        db.open_tree(tree).unwrap().insert(key, serde_json::to_vec(&record).unwrap()).unwrap();
    }
    db.insert("schema", "1").unwrap();
    db.flush().unwrap();
}

fn check(folder: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eosfed-coordinator"));
    command.args(["serve", "--check", "--state"]).arg(folder).env_remove("EOSFED_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What no restart changes: leases and deadlines are extended by one.
fn lasting(federation: &Federation) -> Vec<String> {
    let jobs = federation.jobs.values();
    let jobs =
        jobs.map(|job| format!("{} {} {:?} {:?}", job.id, job.state.name(), job.history, job.produced));
    let rest = [format!("{:?} {:?}", federation.institutions, federation.registry)];
    jobs.chain(rest).collect()
}

#[test]
fn killed_at_any_instant_of_its_migration_a_store_is_the_one_or_the_other() {
    eosfed_transport::install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let mut expected = Federation::default();
    expected.merge(read_lines(RECORDS.as_bytes(), 1).unwrap());

    let path = folder.path().join("whole");
    lay_down(&path);
    let started = Instant::now();
    let whole = check(&path).wait_with_output().unwrap();
    let takes = started.elapsed();
    let said = String::from_utf8_lossy(&whole.stderr).into_owned();
    assert!(whole.status.success() && said.contains("migrated") && said.contains("from=1"), "{said}");
    let again = check(&path).wait_with_output().unwrap();
    assert!(again.status.success() && !String::from_utf8_lossy(&again.stderr).contains("migrated"));

    let mut found = [0, 0];
    for kill in 0..KILLS {
        let path = folder.path().join(kill.to_string());
        lay_down(&path);
        let mut child = check(&path);
        std::thread::sleep(takes * kill / KILLS);
        child.kill().unwrap();
        child.wait().unwrap();
        let store = path.join("store");
        let (schema, records) = export(&store);
        assert_eq!(records, RECORDS.lines().count());
        found[usize::from(schema == SCHEMA)] += 1;
        let federation = ready(SledStore::open(&store).unwrap().load()).unwrap();
        assert_eq!(lasting(&federation), lasting(&expected), "killed at {kill} of {KILLS}, schema {schema}");
    }
    println!("killed {KILLS} times: {} before and {} after the store was migrated", found[0], found[1]);
}

/// The schema and the number of records; the lock of who was killed may take a moment to go.
fn export(store: &Path) -> (u32, usize) {
    for _ in 0..50 {
        if let Ok((schema, records)) = SledStore::export(store) {
            return (schema, records.len());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let (schema, records) = SledStore::export(store).unwrap();
    (schema, records.len())
}
