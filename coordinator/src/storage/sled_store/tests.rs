use std::sync::Arc;
use std::time::Duration;

use eosfed_common::assignment::{BlobRef, Work};
use eosfed_common::clock::{ManualClock, Timestamp};
use eosfed_common::digest::Digest;
use eosfed_common::identity::Identity;
use eosfed_common::ids::JobId;
use eosfed_common::plan::JobSpec;
use eosfed_common::refusal::Reason;
use eosfed_common::weights::write;
use eosfed_testkit::signing;

use super::*;
use crate::domain::job::{JobAction, Next};
use crate::domain::member::keys::Key;
use crate::domain::{Federation, Job, JobState, ParticipantState};
use crate::engine::{Core, Options, TaskOutcome};
use crate::storage::{FileBlobs, STAGING, Store as _, read_lines, ready};
use crate::testing::{self, NOW, name, rng, update};

/// The store of a coordinator with schema 1; see the README beside it.
const SCHEMA_1: &str = include_str!("../../../fixtures/schema-1/records.jsonl");

/// Makes a database of these records in `folder`.
fn lay_down(folder: &Path, schema: &str, records: &[Record]) {
    let db = sled::open(folder).unwrap();
    for Record { tree, key, record } in records {
        db.open_tree(tree).unwrap().insert(key, serde_json::to_vec(record).unwrap()).unwrap();
    }
    db.insert(SCHEMA_KEY, schema).unwrap();
    db.flush().unwrap();
}

/// The records of an export, and their schema.
fn exported(path: &Path) -> (u32, Vec<Record>) {
    let mut text = Vec::new();
    let schema = SledStore::export(path, &mut text).unwrap();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    (schema, lines.map(|line| serde_json::from_slice(line).unwrap()).collect())
}

fn schema_1() -> Vec<Record> {
    SCHEMA_1.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The federation that the fixture must become.
fn expected() -> Federation {
    read_lines(SCHEMA_1.as_bytes(), 1, &mut |_, _, _| Ok(())).unwrap().federation
}

/// What a process leaves that is killed while sled writes a snapshot: without its removal, the database never
/// opens again.
#[test]
fn an_unfinished_snapshot_of_a_killed_process_is_removed() {
    for left in [&b""[..], b"half of a snapshot, which is longer than twelve bytes"] {
        let folder = tempfile::tempdir().unwrap();
        let current = SCHEMA.to_string();
        lay_down(folder.path(), &current, &schema_1());
        let before = exported(folder.path());
        let unfinished = folder.path().join("snap.FFFFFFFFFFFFFFF0.generating");
        std::fs::write(&unfinished, left).unwrap();
        assert_eq!(exported(folder.path()), before);
        assert!(!unfinished.exists());
    }
}

/// It may be what another process is writing.
#[test]
fn an_unfinished_snapshot_of_a_running_process_stays() {
    let folder = tempfile::tempdir().unwrap();
    let open = sled::open(folder.path()).unwrap();
    let unfinished = folder.path().join("snap.FFFFFFFFFFFFFFF0.generating");
    std::fs::write(&unfinished, b"").unwrap();
    assert!(SledStore::open(folder.path()).is_err());
    assert!(unfinished.exists());
    drop(open);
}

#[test]
fn a_store_of_another_version_is_refused_with_advice() {
    for found in ["99", "0", "none of this"] {
        let folder = tempfile::tempdir().unwrap();
        lay_down(folder.path(), found, &schema_1());
        let error = SledStore::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("`{found}`")) && error.contains(&format!("`{SCHEMA}`")), "{error}");
        assert!(SledStore::export(folder.path(), &mut Vec::new()).is_err(), "{found}");
    }
}

/// Replaces the bytes of a record in a closed store.
fn damage(folder: &Path, tree: Tree, key: &str, bytes: &[u8]) {
    let db = sled::open(folder).unwrap();
    assert!(db.open_tree(tree.name()).unwrap().insert(key, bytes).unwrap().is_some(), "{key}");
    db.flush().unwrap();
}

/// A coordinator with a finished job, its specialists and their release.
fn with_a_release(folder: &Path) -> Federation {
    let store = SledStore::open(folder).unwrap();
    ready(store.commit(&testing::enrolled(&["east", "west"]), &[])).unwrap();
    let mut federation = ready(store.load()).unwrap().federation;
    let finished = testing::finished_one_shot(&federation);
    let change = federation.settle(finished, NOW).unwrap();
    ready(store.commit(&change, &[])).unwrap();
    federation.merge(change);
    federation
}

fn open(folder: &Path) -> Core {
    let store = SledStore::open(&folder.join("store")).unwrap();
    let blobs = Arc::new(FileBlobs::open(&folder.join("blobs")).unwrap());
    let options = Options::new(folder.join("blobs").join(STAGING), signing::coordinator().key().clone());
    ready(Core::open(Box::new(store), blobs, Arc::new(ManualClock::new(NOW)), rng(1), options)).unwrap()
}

#[test]
fn a_damaged_record_is_quarantined_and_named_and_the_rest_starts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let before = with_a_release(&path);
    let job = before.jobs.keys().next().unwrap().clone();
    let weights = before.registry.specialists.values().map(|card| card.weights);
    let weights: Vec<_> = weights.collect();
    let torn = format!("{{\"specialist\": \"{}\", torn", weights[0]);
    damage(&path, Tree::JobStates, job.as_str(), b"{");
    damage(&path, Tree::Specialists, "east-nir@0000000001", torn.as_bytes());
    damage(&path, Tree::Releases, "0000000001", b"null");

    let core = open(folder.path());
    assert!(core.snapshot().jobs.is_empty() && core.job(&job).is_err(), "an incomplete job is not loaded");
    assert_eq!(core.snapshot().registry.specialists.len(), 1);
    let apart: Vec<_> = core.read(|state| state.quarantined.iter().map(|one| one.record.clone()).collect());
    let records = [
        format!("jobs/{job}"),
        format!("job_states/{job}"),
        "specialists/east-nir@0000000001".to_owned(),
        "releases/0000000001".to_owned(),
    ];
    assert!(apart.len() == 4 && records.iter().all(|record| apart.contains(record)), "{apart:?}");
    let lines = ready(core.events(0, 100)).unwrap().join("\n");
    for record in &records {
        assert!(lines.contains("\"kind\":\"record_quarantined\"") && lines.contains(record), "{lines}");
    }
    // Blobs that the records mention are kept, and their numbers are not used again.
    let kept = core.read(Federation::needed);
    assert!(weights.iter().all(|digest| kept.contains(digest)), "{kept:?}");
    assert_eq!(core.read(|state| state.registry.next_version(&"east-nir".parse().unwrap())), 2);
    let key = testing::key(9);
    let release = ready(core.create_release(&[], String::new(), key, name("admin"))).unwrap();
    assert_eq!(release.number.0, 2);

    // The next start finds them in quarantine and does not report them again.
    drop(core);
    let again = open(folder.path());
    assert_eq!(again.read(|state| state.quarantined.len()), 4);
    let lines = ready(again.events(0, 100)).unwrap();
    assert_eq!(lines.iter().filter(|line| line.contains("record_quarantined")).count(), 4);
}

#[test]
fn a_damaged_end_of_the_ledger_is_quarantined_and_the_chain_continues() {
    let folder = tempfile::tempdir().unwrap();
    let core = open(folder.path());
    let invite = |core: &Core| {
        let north = Identity::institution(name("north"));
        ready(core.invite(&north, Duration::from_secs(60), false, name("admin"))).unwrap();
    };
    invite(&core);
    let lines = ready(core.events(0, 100)).unwrap();
    drop(core);
    let last = format!("{:020}", lines.len() - 1);
    damage(&folder.path().join("store"), Tree::Events, &last, b"{}");
    let core = open(folder.path());
    invite(&core);
    let now = ready(core.events(0, 100)).unwrap();
    assert_eq!(now[..lines.len() - 1], lines[..lines.len() - 1]);
    assert!(now.iter().any(|line| line.contains(&format!("events/{last}"))), "{now:?}");
    let mut verifier = eosfed_common::ledger::Verifier::default();
    now.iter().for_each(|line| verifier.line(line).unwrap());
    assert_eq!(verifier.finish().unwrap().head, ready(core.ledger_head()));
}

#[test]
fn a_record_that_would_not_read_back_is_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).unwrap();
    ready(store.commit(&testing::enrolled(&["east", "west"]), &[])).unwrap();
    let federation = ready(store.load()).unwrap().federation;
    let finished = testing::finished_one_shot(&federation);
    let mut change = federation.settle(finished, NOW).unwrap();
    // A float that no `Finite` guards: JSON writes it as `null`.
    change.specialists[1].model.target =
        Some(eosfed_common::model::TargetScale { scale: f64::INFINITY, ..Default::default() });
    let error = ready(store.commit(&change, &[])).unwrap_err().to_string();
    assert!(error.contains("`specialists/west-rgb@0000000001`") && error.contains("null"), "{error}");
    drop(store);
    assert_eq!(
        ready(SledStore::open(folder.path()).unwrap().load()).unwrap().federation,
        federation,
        "nothing was changed"
    );
}

#[test]
fn a_store_of_schema_1_is_migrated_completely_and_once() {
    let folder = tempfile::tempdir().unwrap();
    lay_down(folder.path(), "1", &schema_1());
    let store = SledStore::open(folder.path()).unwrap();
    let migrated = ready(store.load()).unwrap().federation;
    assert_eq!(migrated, expected());
    let names: Vec<_> = migrated.institutions().map(|one| one.name.to_string()).collect();
    assert_eq!(names, ["east", "north", "west"]);
    let states: Vec<_> = migrated.jobs.values().map(|job| job.state.name()).collect();
    for (state, count) in [("finished", 3), ("cancelled", 1), ("paused", 1), ("running", 1)] {
        assert_eq!(states.iter().filter(|found| **found == state).count(), count, "{state}: {states:?}");
    }
    assert_eq!((migrated.registry.specialists.len(), migrated.registry.releases.len()), (3, 3));
    drop(store);
    assert_eq!(SledStore::schema(folder.path()).unwrap(), SCHEMA);
    let again = ready(SledStore::open(folder.path()).unwrap().load()).unwrap();
    assert_eq!((again.federation, again.migrated_from), (migrated, Some(1)));
}

#[test]
fn migrating_a_partly_migrated_store_gives_the_same() {
    // No transaction leaves such a store, but restoring single files by hand may.
    let half: Vec<_> = (schema_1().into_iter().enumerate())
        .flat_map(|(at, record)| if at % 2 == 0 { migrate(record, 1) } else { vec![record] })
        .collect();
    assert_ne!(half, schema_1());
    let folder = tempfile::tempdir().unwrap();
    lay_down(folder.path(), "1", &half);
    assert_eq!(ready(SledStore::open(folder.path()).unwrap().load()).unwrap().federation, expected());
}

#[test]
fn a_store_that_cannot_be_migrated_stays_unchanged() {
    let mut records = schema_1();
    let job = records.iter_mut().rfind(|record| record.tree == "jobs").unwrap();
    job.record["plan"]["mode"] = "telepathy".into();
    let key = job.key.clone();
    let folder = tempfile::tempdir().unwrap();
    lay_down(folder.path(), "1", &records);
    let error = SledStore::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains(&format!("jobs/{key}")) && error.contains("telepathy"), "{error}");
    let (schema, mut left) = exported(folder.path());
    left.sort_by(|a, b| (&a.tree, &a.key).cmp(&(&b.tree, &b.key)));
    records.sort_by(|a, b| (&a.tree, &a.key).cmp(&(&b.tree, &b.key)));
    assert_eq!((schema, left), (1, records), "nothing was written");
}

#[test]
fn an_export_gives_the_stored_records_without_migration() {
    let folder = tempfile::tempdir().unwrap();
    lay_down(folder.path(), "1", &schema_1());
    for _ in 0..2 {
        let (schema, records) = exported(folder.path());
        assert_eq!((schema, records.len()), (1, schema_1().len()));
        assert!(schema_1().iter().all(|record| records.contains(record)));
    }
    assert!(SledStore::export(&folder.path().join("nowhere"), &mut Vec::new()).is_err());
    assert!(!folder.path().join("nowhere").exists());
}

/// The engine on the fixture, with the blobs that its running job needs.
struct Upgraded {
    folder: tempfile::TempDir,
    core: Core,
}

impl Upgraded {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        lay_down(&folder.path().join("store"), "1", &schema_1());
        let store = SledStore::open(&folder.path().join("store")).unwrap();
        let blobs = Arc::new(FileBlobs::open(&folder.path().join("blobs")).unwrap());
        // Two years later: leases are extended by the downtime.
        let clock = Arc::new(ManualClock::new(NOW));
        clock.advance(Duration::from_secs(2 * 365 * 86_400));
        let options =
            Options::new(folder.path().join("blobs").join(STAGING), signing::coordinator().key().clone());
        let core = ready(Core::open(Box::new(store), blobs, clock, rng(1), options)).unwrap();
        Self { folder, core }
    }

    fn only(&self, state: &str) -> Job {
        let mut found: Vec<_> = self.core.snapshot().jobs.into_values().collect();
        found.retain(|job| job.state.name() == state);
        assert_eq!(found.len(), 1, "{state}");
        found.remove(0)
    }

    /// Stores weights as a blob, as an institution's upload does.
    fn upload(&self, institution: &str, path: &Path, blob: BlobRef) {
        let blobs = self.core.blobs();
        ready(blobs.append(institution, blob, 0, &std::fs::read(path).unwrap())).unwrap();
        ready(blobs.finish(institution, blob)).unwrap();
    }

    fn perform(&self, id: &JobId) {
        assert_eq!(ready(self.core.perform(id)), TaskOutcome::Recorded);
    }
}

#[test]
fn a_running_job_of_a_migrated_store_finishes() {
    let upgraded = Upgraded::open();
    let core = &upgraded.core;
    let job = upgraded.only("running");
    let round = job.collecting().unwrap().clone();
    let state = round.participants[&name("west")].state.clone();
    let ParticipantState::Leased { lease, since, .. } = state else { panic!("{state:?}") };
    assert!(since == round.index && lease.expires_at > core.now(), "west's lease holds");
    let west = job.assignment(&name("west")).unwrap();
    let east = &round.participants[&name("east")];
    let ParticipantState::Submitted { contribution, .. } = &east.state else { panic!("{east:?}") };
    assert!(matches!(contribution, crate::domain::round::Contribution::Update { .. }));

    // The starting weights of the round and the update of east, generated again with the same bytes.
    let base = job.global_model.unwrap();
    let path = upgraded.folder.path().join("base");
    let JobSpec::Rounds(spec) = &job.spec else { panic!("not rounds") };
    let first = west.training_target.initial_weights(spec.seed);
    assert_eq!(write(&path, &west.training_target.signature(), &first).unwrap(), base.digest);
    upgraded.upload("coordinator", &path, base);
    let (path, blob) = testing::weights(upgraded.folder.path(), &west, 601);
    upgraded.upload("east", &path, blob);
    assert!(round.blobs().any(|one| one == blob), "east's update is the one that counts");

    // West continues with its earlier lease.
    let (path, blob) = testing::weights(upgraded.folder.path(), &west, 602);
    upgraded.upload("west", &path, blob);
    let sent = update(&west, &lease.token, blob);
    assert_eq!(ready(core.submit_update(&sent)).unwrap_err().reason, Reason::NotSigned);
    // Both enrol their signing keys with a renewal.
    for institution in ["west", "east"] {
        let identity = Identity::institution(name(institution));
        let fingerprint = Digest::of(institution.as_bytes());
        let used = Key { fingerprint, expires_at: Timestamp(u64::MAX), authority: None };
        let signing_key = Some(signing::institution(institution).public());
        ready(core.renew(&identity, used, used, signing_key)).unwrap();
    }
    ready(core.submit_update(&sent)).unwrap();
    upgraded.perform(&job.id);
    for (seed, institution) in (603..).zip(["west", "east"]) {
        let offer = core.job(&job.id).unwrap().assignment(&name(institution)).unwrap();
        assert!(matches!(offer.work, Work::Training(_)));
        let lease = ready(core.accept(&offer.id)).unwrap();
        let (path, blob) = testing::weights(upgraded.folder.path(), &offer, seed);
        upgraded.upload(institution, &path, blob);
        ready(core.submit_update(&update(&offer, &lease.token, blob))).unwrap();
    }
    upgraded.perform(&job.id);
    let done = core.job(&job.id).unwrap();
    assert!(matches!(done.state, JobState::Finished { .. }), "{:?}", done.state);
    assert_eq!((done.produced.len(), core.snapshot().registry.releases.len()), (1, 4));
}

#[test]
fn a_paused_job_of_a_migrated_store_can_be_resumed_and_an_ended_one_stays() {
    let upgraded = Upgraded::open();
    let job = upgraded.only("paused");
    assert!(matches!(&job.state, JobState::Paused { next: Next::Collect(_), .. }));
    ready(upgraded.core.control_job(&job.id, JobAction::Resume, name("admin"))).unwrap();
    let resumed = upgraded.core.job(&job.id).unwrap();
    assert_eq!(resumed.collecting().unwrap().submitted(), 0);
    assert!(resumed.assignment(&name("west")).is_some() && resumed.assignment(&name("east")).is_some());
    let cancelled = upgraded.only("cancelled");
    assert_eq!(
        ready(upgraded.core.control_job(&cancelled.id, JobAction::Resume, name("admin"))).unwrap_err().reason,
        Reason::WrongState
    );
}
