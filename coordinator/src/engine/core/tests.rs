//! Tests of the sweep: it does not remove blobs that a running upload, aggregation or backup still needs.

mod changed;
mod encodings;
mod points;
mod refused;
mod retention;
mod told;

use std::path::{Path, PathBuf};
use std::time::Duration;

use eosfed_common::assignment::{Assignment, BlobRef, Work};
use eosfed_common::clock::ManualClock;
use eosfed_common::files;
use eosfed_common::head::HeadOver;
use eosfed_common::ids::LeaseToken;
use eosfed_common::plan::JobSpec;
use eosfed_testkit::signing;

use super::*;
use crate::domain::Target;
use crate::domain::job::JobAction;
use crate::domain::retention::Limits;
use crate::storage::{
    FileBlobs, MemoryStore, Presence, SCHEMA, SNAPSHOT_BLOBS, SNAPSHOT_RECORDS, STAGING, read_lines, ready,
};
use crate::testing::{self, DOWNSTREAM, NOW, ONE_SHOT, ROUNDS, finished_one_shot, key, name, rng, update};

/// An engine without threads, with zero retention.
struct Bench {
    folder: tempfile::TempDir,
    store: MemoryStore,
    core: Core,
    retention: Limits,
}

impl Bench {
    fn new() -> Self {
        Self::keeping(Limits { keep_for: Some(Duration::ZERO), ..Limits::default() })
    }

    fn keeping(retention: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = MemoryStore::default();
        ready(store.commit(&testing::enrolled(&["east", "west"]), &[])).unwrap();
        let core = Self::open(folder.path(), store.clone(), Duration::from_secs(3600), retention.clone());
        Self { folder, store, core, retention }
    }

    fn open(folder: &Path, store: impl Store, keep_uploads_for: Duration, retention: Limits) -> Core {
        let blobs = Arc::new(FileBlobs::open(&folder.join("blobs")).unwrap());
        let snapshots = folder.join("blobs").join(STAGING);
        let options = Options {
            retention,
            keep_uploads_for,
            ..Options::new(snapshots, signing::coordinator().key().clone())
        };
        let clock = Arc::new(ManualClock::new(NOW));
        ready(Core::open(Box::new(store), blobs, clock, rng(1), options)).unwrap()
    }

    /// Ends the engine and starts another on the same disk.
    fn again(self, keep_uploads_for: Duration) -> Self {
        let Self { folder, store, core, retention } = self;
        drop(core);
        let core = Self::open(folder.path(), store.clone(), keep_uploads_for, retention.clone());
        Self { folder, store, core, retention }
    }

    /// The same with other limits of retention.
    fn with(self, retention: Limits) -> Self {
        Self { retention, ..self }.again(Duration::from_secs(3600))
    }

    fn submit(&self, plan: &str) -> JobId {
        let key = key(1 + self.core.read(|state| state.jobs.len()) as u64);
        ready(self.core.submit_job(JobSpec::parse(plan).unwrap(), &name("admin"), key)).unwrap()
    }

    fn work(&self, institution: &str) -> (Assignment<Target>, LeaseToken) {
        let assignment = self.core.assignments(&name(institution)).remove(0);
        let token = ready(self.core.accept(&assignment.id)).unwrap().token;
        (assignment, token)
    }

    fn weights(&self, assignment: &Assignment<Target>, seed: u64) -> (PathBuf, BlobRef) {
        testing::weights(self.folder.path(), assignment, seed)
    }

    fn upload(&self, institution: &str, path: &Path, blob: BlobRef) {
        let blobs = self.core.blobs();
        ready(blobs.append(institution, blob, 0, &std::fs::read(path).unwrap())).unwrap();
        ready(blobs.finish(institution, blob)).unwrap();
    }

    fn is_here(&self, blob: BlobRef) -> bool {
        ready(self.core.blobs().stat("", blob.digest)).unwrap() == Presence::Complete(blob.size)
    }

    /// Completes an institution's next assignment. Gives the update, if there is one.
    fn take_part(&self, institution: &str, seed: u64) -> Option<BlobRef> {
        let (assignment, token) = self.work(institution);
        if assignment.work == Work::Statistics {
            let statistics = testing::statistics(&assignment, &token).into_inner();
            ready(self.core.submit_statistics(statistics)).unwrap();
            return None;
        }
        let (path, blob) = self.weights(&assignment, seed);
        self.upload(institution, &path, blob);
        ready(self.core.submit_update(&update(&assignment, &token, blob))).unwrap();
        Some(blob)
    }
}

#[test]
fn an_upload_is_kept_until_it_is_submitted_or_its_lease_ends() {
    let bench = Bench::new();
    let job = bench.submit(ONE_SHOT);
    let (work, token) = bench.work("west");
    let (path, blob) = bench.weights(&work, 7);
    let bytes = std::fs::read(&path).unwrap();
    ready(bench.core.blobs().append("west", blob, 0, &bytes[..1000])).unwrap();
    assert_eq!(ready(bench.core.sweep()), 0);
    let stands = ready(bench.core.blobs().stat("west", blob.digest)).unwrap();
    assert_eq!(stands, Presence::Partial(1000), "a running upload is kept");
    ready(bench.core.blobs().append("west", blob, 1000, &bytes[1000..])).unwrap();
    ready(bench.core.blobs().finish("west", blob)).unwrap();
    assert_eq!(ready(bench.core.sweep()), 0);
    assert!(bench.is_here(blob), "it is complete and not submitted yet");
    // The same holds after a restart, which begins with a sweep.
    let bench = bench.again(Duration::from_secs(3600));
    assert_eq!(ready(bench.core.sweep()), 0);
    assert!(bench.is_here(blob));
    ready(bench.core.submit_update(&update(&work, &token, blob))).unwrap();
    assert_eq!((ready(bench.core.sweep()), bench.is_here(blob)), (0, true), "a record refers to it");
    // After the submission it is kept only as long as a record needs it.
    ready(bench.core.control_job(&job, JobAction::Cancel, name("admin"))).unwrap();
    assert_eq!((ready(bench.core.sweep()), bench.is_here(blob)), (1, false));
}

#[test]
fn an_upload_that_is_not_submitted_is_kept_for_the_time_in_the_settings() {
    let bench = Bench::new();
    bench.submit(ONE_SHOT);
    let (work, _) = bench.work("west");
    let (path, blob) = bench.weights(&work, 7);
    bench.upload("west", &path, blob);
    let bench = bench.again(Duration::ZERO);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!((ready(bench.core.sweep()), bench.is_here(blob)), (1, false));
}

#[test]
fn blobs_of_a_pending_aggregation_are_kept() {
    let bench = Bench::new();
    let job = bench.submit(ROUNDS);
    assert_eq!(ready(bench.core.perform(&job)), TaskOutcome::Recorded);
    for institution in ["west", "east"] {
        assert_eq!(bench.take_part(institution, 0), None);
    }
    let updates: Vec<_> =
        (10..).zip(["west", "east"]).map(|(seed, one)| bench.take_part(one, seed).unwrap()).collect();
    let pending = bench.core.job(&job).unwrap();
    assert_eq!(pending.state.name(), "aggregating");
    let base = pending.global_model.unwrap();
    // The task has not started, and a restart does not change that.
    let bench = bench.again(Duration::ZERO);
    assert_eq!(ready(bench.core.sweep()), 0);
    assert!(updates.iter().chain([&base]).all(|blob| bench.is_here(*blob)));
    // During a computation, its result is on disk before a record refers to it.
    lock(&bench.core.busy).insert(job.clone());
    let stray = bench.core.blobs().stage().unwrap();
    std::fs::write(stray.path(), b"the result of an aggregate").unwrap();
    let result = ready(bench.core.blobs().ingest(stray)).unwrap();
    assert_eq!((ready(bench.core.sweep()), bench.is_here(result)), (0, true));
    lock(&bench.core.busy).remove(&job);
    assert_eq!(ready(bench.core.sweep()), 1, "no record refers to it");
    assert_eq!(ready(bench.core.perform(&job)), TaskOutcome::Recorded);
    assert_eq!(ready(bench.core.sweep()), 3, "two updates and what they started from");
    assert!(bench.is_here(bench.core.job(&job).unwrap().global_model.unwrap()));
}

#[test]
fn removed_blobs_stay_in_a_snapshot() {
    let bench = Bench::new();
    let job = bench.submit(ONE_SHOT);
    let blob = bench.take_part("west", 7).unwrap();
    let before = bench.core.snapshot();
    let staged = ready(bench.core.take_snapshot(name("admin"))).unwrap();
    assert_eq!(staged.blobs, 1);
    ready(bench.core.control_job(&job, JobAction::Cancel, name("admin"))).unwrap();
    assert_eq!((ready(bench.core.sweep()), bench.is_here(blob)), (1, false));

    let folder = bench.folder.path().join("blobs").join(STAGING).join(&staged.folder);
    let held = folder.join(SNAPSHOT_BLOBS).join(blob.digest.to_hex());
    assert_eq!(files::digest(&held).unwrap(), blob.digest);
    let records = std::fs::read(folder.join(SNAPSHOT_RECORDS)).unwrap();
    let read = read_lines(records.as_slice(), SCHEMA, &mut |_, _, _| Ok(())).unwrap();
    assert_eq!(read.federation, before, "the state of the instant at which it was taken");

    // The next snapshot replaces it, and a start removes it.
    let next = ready(bench.core.take_snapshot(name("admin"))).unwrap();
    assert!(next.folder != staged.folder && next.blobs == 0 && !folder.exists());
    let bench = bench.again(Duration::ZERO);
    assert!(!bench.folder.path().join("blobs").join(STAGING).join(&next.folder).exists());
}

/// A pooled mean of 1e200 has an infinite deviation, which JSON writes as `null`: after one such message
/// of one institution, a coordinator never started again.
#[test]
fn statistics_that_cannot_be_stored_are_refused_and_the_coordinator_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let store = crate::storage::SledStore::open(&folder.path().join("store")).unwrap();
        let blobs = Arc::new(FileBlobs::open(&folder.path().join("blobs")).unwrap());
        (store, blobs, Arc::new(ManualClock::new(NOW)))
    };
    let (store, blobs, clock) = open();
    ready(store.commit(&testing::enrolled(&["east", "west"]), &[])).unwrap();
    let options =
        || Options::new(folder.path().join("blobs").join(STAGING), signing::coordinator().key().clone());
    let core = ready(Core::open(Box::new(store), blobs, clock, rng(1), options())).unwrap();
    let job = ready(core.submit_job(JobSpec::parse(ROUNDS).unwrap(), &name("admin"), key(1))).unwrap();
    assert_eq!(ready(core.perform(&job)), TaskOutcome::Recorded);
    let mut said = Vec::new();
    for institution in ["east", "west"] {
        let offer = core.assignments(&name(institution)).remove(0);
        let token = ready(core.accept(&offer.id)).unwrap().token;
        let mut statistics = testing::statistics(&offer, &token).into_inner();
        if institution == "west" {
            statistics.bands[0].mean = eosfed_common::finite::Finite::literal(1e200);
            statistics.signature = signing::institution("west").sign(&statistics.statement());
        }
        said.push(ready(core.submit_statistics(statistics)));
    }
    drop(core);
    let (store, blobs, clock) = open();
    let again = ready(Core::open(Box::new(store), blobs, clock, rng(2), options())).unwrap();
    assert!(again.job(&job).unwrap().collecting().is_some());
    assert!(said[0].is_ok() && said[1].as_ref().unwrap_err().message.contains("1e200"), "{said:?}");
}

/// A store in which the specialists of the one-shot job are released.
fn released() -> MemoryStore {
    let store = MemoryStore::default();
    let mut federation = Federation::default();
    let keep = |federation: &mut Federation, change: Change| {
        ready(store.commit(&change, &[])).unwrap();
        federation.merge(change);
    };
    keep(&mut federation, testing::enrolled(&["east", "west"]));
    let change = federation.settle(finished_one_shot(&federation), NOW).unwrap();
    keep(&mut federation, change);
    store
}

#[test]
fn the_blob_of_a_head_is_kept_as_long_as_its_job_exists() {
    let folder = tempfile::tempdir().unwrap();
    let store = released();
    let retention = Limits { keep_for: Some(Duration::ZERO), ..Limits::default() };
    let core = Bench::open(folder.path(), store.clone(), Duration::ZERO, retention.clone());
    let bench = Bench { folder, store, core, retention };
    let id = bench.submit(DOWNSTREAM);
    let document = bench.core.job(&id).unwrap().head.clone().unwrap().document;
    let here = |bench: &Bench| {
        assert_eq!(ready(bench.core.sweep()), 0);
        let bytes = ready(bench.core.blobs().read(document.digest, 0, usize::MAX)).unwrap();
        assert_eq!(BlobRef::of(&bytes), document);
        HeadOver::from_bytes(&bytes).unwrap()
    };
    assert_eq!(here(&bench).head.encoders.len(), 2);
    let bench = bench.again(Duration::ZERO);
    ready(bench.core.control_job(&id, JobAction::Cancel, name("admin"))).unwrap();
    assert_eq!(here(&bench).head.encoders.len(), 2, "another job may start from a round of it");
}

#[tokio::test]
async fn the_writer_is_waited_for_while_its_lock_is_held() {
    let bench = Bench::new();
    bench.core.wait_for_writer().await;
    let held = bench.core.writer.lock().await;
    let waiting = tokio::time::timeout(Duration::from_millis(50), bench.core.wait_for_writer());
    assert!(waiting.await.is_err(), "the watchdog of a coordinator that hangs must not be fed");
    drop(held);
    bench.core.wait_for_writer().await;
}
