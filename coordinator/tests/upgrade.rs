//! The coordinator on the store of an earlier version, killed during the migration.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_coordinator::domain::{ClosedRound, Federation, RoundSummary};
use eosfed_coordinator::init::{Choices, init};
use eosfed_coordinator::storage::{
    Blobs as _, FileBlobs, Record, SCHEMA, SledStore, Store as _, Tree, read_lines, ready,
};

/// Stores of coordinators with earlier schemas; see the READMEs beside them.
const STORES: [(u32, &str); 3] = [
    (1, include_str!("../fixtures/schema-1/records.jsonl")),
    (2, include_str!("../fixtures/schema-2/records.jsonl")),
    (3, include_str!("../fixtures/schema-3/records.jsonl")),
];
/// How often it is killed, each time slightly later.
const KILLS: u32 = 12;

/// A state folder of the earlier version, in `folder`.
fn lay_down(folder: &Path, schema: u32, records: &str) {
    let choices = Choices {
        listen: "127.0.0.1:0".parse().unwrap(),
        public_url: None,
        names: vec!["localhost".to_owned()],
        operator: "ada".parse().unwrap(),
    };
    let state = init(folder, &choices, SystemClock.now()).unwrap();
    let db = sled::open(state.store()).unwrap();
    for line in records.lines() {
        let Record { tree, key, record } = serde_json::from_str(line).unwrap();
        db.open_tree(tree).unwrap().insert(key, serde_json::to_vec(&record).unwrap()).unwrap();
    }
    db.insert("schema", schema.to_string().as_str()).unwrap();
    db.flush().unwrap();
}

fn check(folder: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eosfed-coordinator"));
    command.args(["serve", "--check", "--state"]).arg(folder).env_remove("EOSFED_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The part that a restart does not change: one extends leases and deadlines, and gives up the weights
/// of rounds that closed long ago.
fn lasting(federation: &Federation) -> Vec<String> {
    let jobs = federation.jobs.values();
    let jobs = jobs.map(|job| {
        let id = &job.id;
        let state = job.state.name();
        let closed = job.closed.iter().cloned().map(|one| RoundSummary { pruned: None, ..one });
        let closed: Vec<_> = closed.collect();
        format!("{id} {state} {:?} {closed:?} {:?}", job.definition, job.produced)
    });
    // A start makes the identity in the state folder the first operator.
    let institutions: Vec<_> = federation.institutions().collect();
    let rest = [format!("{institutions:?} {:?}", federation.registry)];
    jobs.chain(rest).collect()
}

/// A record to be stored, by its tree and key.
type Kept = BTreeMap<(Tree, String), Vec<u8>>;

#[test]
fn a_migration_killed_at_any_instant_leaves_the_old_or_the_new_store() {
    eosfed_transport::install_crypto_provider();
    for (schema, records) in STORES {
        let mut kept = Kept::new();
        let folder = tempfile::tempdir().unwrap();
        let expected = read_lines(records.as_bytes(), schema, &mut |tree, key, bytes| {
            kept.insert((tree, key.to_owned()), bytes.to_vec());
            Ok(())
        });
        let expected = expected.unwrap().federation;
        assert!(schema > 2 || kept.len() > records.lines().count(), "rounds are records of their own");

        let path = folder.path().join("whole");
        lay_down(&path, schema, records);
        let started = Instant::now();
        let whole = check(&path).wait_with_output().unwrap();
        let takes = started.elapsed();
        let said = String::from_utf8_lossy(&whole.stderr).into_owned();
        let from = format!("from={schema}");
        assert!(whole.status.success() && said.contains("migrated") && said.contains(&from), "{said}");
        assert!(said.contains("ledger_opened") || schema > 2, "{said}");
        for (_, digest) in kept.keys().filter(|(tree, _)| *tree == Tree::Documents) {
            let bytes = &kept[&(Tree::Documents, digest.clone())];
            assert!(is_blob(&path.join("blobs"), digest, bytes), "{digest}");
        }
        let heads = kept.keys().filter(|(tree, _)| *tree == Tree::Documents).count();
        assert!(schema != 2 || heads > 0, "the fixture has a head");
        let again = check(&path).wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&again.stderr).into_owned();
        assert!(again.status.success() && !said.contains("migrated") && !said.contains("ledger_opened"));

        let mut found = [0, 0];
        for kill in 0..KILLS {
            let path = folder.path().join(kill.to_string());
            lay_down(&path, schema, records);
            let mut child = check(&path);
            std::thread::sleep(takes * kill / KILLS);
            child.kill().unwrap();
            child.wait().unwrap();
            let store = path.join("store");
            let (left, lines) = export(&store);
            found[usize::from(left == SCHEMA)] += 1;
            compare(&lines, left, &path.join("blobs"), (records, &kept));
            let loaded = ready(SledStore::open(&store).unwrap().load()).unwrap();
            assert_eq!(
                lasting(&loaded.federation),
                lasting(&expected),
                "killed at {kill} of {KILLS}, {left}"
            );
            assert_eq!(loaded.migrated_from, Some(schema));
        }
        println!("schema {schema}: killed {KILLS} times, {} before and {} after", found[0], found[1]);
    }
}

fn is_blob(folder: &Path, digest: &str, bytes: &[u8]) -> bool {
    let blobs = FileBlobs::open(folder).unwrap();
    ready(blobs.read(digest.parse().unwrap(), 0, usize::MAX)).is_ok_and(|read| read == bytes)
}

/// The record of a round without the time at which its weights were given up.
///
/// It is read and written once more: a start writes fields that an old record leaves out.
fn as_kept(round: &[u8]) -> serde_json::Value {
    let round: ClosedRound = serde_json::from_slice(round).unwrap();
    serde_json::to_value(ClosedRound { pruned: None, ..round }).unwrap()
}

/// A store that was not migrated has its old records; a migrated one has all new records.
fn compare(lines: &[u8], schema: u32, blobs: &Path, (records, kept): (&str, &Kept)) {
    let lines = std::str::from_utf8(lines).unwrap();
    if schema != SCHEMA {
        return assert_eq!(lines.lines().count(), records.lines().count());
    }
    let mut found = Kept::new();
    read_lines(lines.as_bytes(), SCHEMA, &mut |tree, key, bytes| {
        found.insert((tree, key.to_owned()), bytes.to_vec());
        Ok(())
    })
    .unwrap();
    for (record, bytes) in kept {
        let same = match record.0 {
            // A start extends deadlines and records that in the ledger.
            Tree::JobStates => found.contains_key(record),
            // A start gives up the weights of rounds that closed long ago, and says so in their records.
            Tree::Rounds => found.get(record).is_some_and(|now| as_kept(now) == as_kept(bytes)),
            // A start turns documents into blobs.
            Tree::Documents => found.get(record) == Some(bytes) || is_blob(blobs, &record.1, bytes),
            _ => found.get(record) == Some(bytes),
        };
        let now = found.get(record).map(|now| String::from_utf8_lossy(now));
        assert!(same, "{record:?}: {} became {now:?}", String::from_utf8_lossy(bytes));
    }
}

/// The schema and the records. The lock of the killed process may exist for a short time.
fn export(store: &Path) -> (u32, Vec<u8>) {
    for tries in (0..50).rev() {
        let mut lines = Vec::new();
        match SledStore::export(store, &mut lines) {
            Ok(schema) => return (schema, lines),
            Err(error) if tries == 0 => panic!("{error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    unreachable!()
}
