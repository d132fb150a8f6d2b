use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use eosfed_common::assignment::{Assignment, BlobRef, Lease, Progress, UpdateSubmission, Work};
use eosfed_common::card::ReleaseManifest;
use eosfed_common::clock::{ManualClock, Timestamp};
use eosfed_common::digest::Digest;
use eosfed_common::ids::{AssignmentId, IdempotencyKey};
use eosfed_common::model::{initial_tensors, signature};
use eosfed_common::plan::JobSpec;
use eosfed_common::refusal::Reason;
use eosfed_common::weights::{WeightsFile, write};
use eosfed_testkit::plans::Plan;
use eosfed_testkit::signing;

use super::*;
use crate::domain::Target;
use crate::domain::job::JobAction;
use crate::storage::{Faults, FaultyStore, FileBlobs, MemoryStore, Presence, STAGING, ready};
use crate::testing::{self, NOW, ONE_SHOT, ROUNDS, key, name, rng, update};

/// A coordinator that can be stopped and started on the same store, blobs and clock.
pub(super) struct Bench {
    pub(super) folder: tempfile::TempDir,
    pub(super) store: MemoryStore,
    pub(super) clock: ManualClock,
    blobs: Arc<FileBlobs>,
    starts: Arc<AtomicU64>,
}

/// The coordinator of an earlier start can no longer write, as after a kill.
#[derive(Debug)]
struct Fence {
    starts: Arc<AtomicU64>,
    mine: u64,
}

impl Faults for Fence {
    fn before_commit(&self) -> Result<(), StoreError> {
        if self.starts.load(Ordering::SeqCst) == self.mine {
            return Ok(());
        }
        Err(StoreError::Backend("this coordinator is dead".to_owned()))
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        let store = MemoryStore::default();
        ready(store.commit(&testing::enrolled(&["east", "west"]), &[])).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let blobs = Arc::new(FileBlobs::open(folder.path()).unwrap());
        Self { folder, store, clock: ManualClock::new(NOW), blobs, starts: Arc::default() }
    }

    fn options(&self) -> Options {
        Options::new(self.folder.path().join(STAGING), signing::coordinator().key().clone())
    }

    pub(super) async fn start(&self, seed: u64) -> Handle {
        let blobs = Arc::clone(&self.blobs);
        let mine = self.starts.fetch_add(1, Ordering::SeqCst) + 1;
        let faults = Fence { starts: Arc::clone(&self.starts), mine };
        let store = FaultyStore { store: self.store.clone(), faults };
        let clock = Arc::new(self.clock.clone());
        let options = Options {
            retention: Limits { keep_for: Some(Duration::ZERO), ..Limits::default() },
            ..self.options()
        };
        Handle::start(Box::new(store), blobs, clock, rng(seed), options).await.unwrap()
    }
}

/// A call on the engine, with its arguments moved into it.
macro_rules! call {
    ($handle:expr, $core:ident => $call:expr) => {
        $handle.call(async move |$core: &Core| $call.await).await
    };
}

async fn submit_job(handle: &Handle, spec: JobSpec, key: IdempotencyKey) -> Result<JobId, Refusal> {
    call!(handle, core => core.submit_job(spec, &name("admin"), key))
}

async fn accept(handle: &Handle, id: &AssignmentId) -> Result<Lease, Refusal> {
    let id = id.clone();
    call!(handle, core => core.accept(&id))
}

async fn submit_update(handle: &Handle, submission: UpdateSubmission) -> Result<Timestamp, Refusal> {
    call!(handle, core => core.submit_update(&submission))
}

pub(super) async fn submit(handle: &Handle, plan: &str) -> JobId {
    submit_job(handle, JobSpec::parse(plan).unwrap(), key(1)).await.unwrap()
}

/// Waits for the institution's next assignment. Nothing when its job has ended.
pub(super) async fn next(handle: &Handle, job: &JobId, institution: &str) -> Option<Assignment<Target>> {
    let mut changes = handle.changes();
    loop {
        changes.mark_unchanged();
        if handle.job(job).unwrap().has_ended() {
            return None;
        }
        if let Some(first) = handle.assignments(&name(institution)).into_iter().next() {
            return Some(first);
        }
        tokio::time::timeout(Duration::from_secs(60), changes.changed()).await.unwrap().unwrap();
    }
}

pub(super) fn upload(handle: &Handle, institution: &str, path: &Path, blob: BlobRef) {
    let bytes = std::fs::read(path).unwrap();
    let blobs = handle.0.blobs();
    if ready(blobs.stat(institution, blob.digest)).unwrap() == Presence::Complete(blob.size) {
        return;
    }
    ready(blobs.append(institution, blob, 0, &bytes)).unwrap();
    ready(blobs.finish(institution, blob)).unwrap();
}

/// Accepts, uploads and submits every assignment until the job has ended.
async fn take_part(handle: &Handle, job: &JobId, institution: &str, seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    while let Some(assignment) = next(handle, job, institution).await {
        let lease = accept(handle, &assignment.id).await.unwrap();
        match &assignment.work {
            Work::Statistics => {
                let statistics = testing::statistics(&assignment, &lease.token).into_inner();
                call!(handle, core => core.submit_statistics(statistics)).unwrap();
            }
            Work::Training(_) => {
                let seed = seed + u64::from(assignment.id.round);
                let (path, blob) = testing::weights(folder.path(), &assignment, seed);
                upload(handle, institution, &path, blob);
                submit_update(handle, update(&assignment, &lease.token, blob)).await.unwrap();
            }
            Work::Evaluation(_) => {
                let scores = testing::evaluation(&assignment, &lease.token, 0.25).into_inner();
                let again = scores.clone();
                let first = call!(handle, core => core.submit_evaluation(again)).unwrap();
                assert_eq!(
                    call!(handle, core => core.submit_evaluation(scores)).unwrap(),
                    first,
                    "the same again"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evaluation_scores_each_specialist_at_each_institution_and_is_stored() {
    let bench = Bench::new();
    let handle = bench.start(1).await;
    let id = submit(&handle, ONE_SHOT).await;
    tokio::join!(take_part(&handle, &id, "west", 10), take_part(&handle, &id, "east", 20));
    let plan = JobSpec::parse(testing::EVALUATION).unwrap();
    let id = submit_job(&handle, plan, key(2)).await.unwrap();
    tokio::join!(take_part(&handle, &id, "west", 30), take_part(&handle, &id, "east", 40));
    drop(handle);
    let handle = bench.start(2).await;
    for card in handle.snapshot().registry.specialists.into_values() {
        let (scores, excluded) = handle.evaluation_status(&card);
        assert_eq!((scores.len(), excluded), (2, None), "{scores:?}");
        assert!(scores.iter().all(|one| one.job == id && one.metrics["accuracy"] == 0.25));
        assert!(handle.may_download(&name("west"), &card.weights));
    }
    assert_eq!(handle.may_upload(&name("west"), 10).unwrap_err().reason, Reason::LeaseExpired);
}

#[tokio::test(flavor = "multi_thread")]
async fn rounds_end_in_a_release_and_their_updates_are_removed() {
    let bench = Bench::new();
    let handle = bench.start(1).await;
    let id = submit(&handle, ROUNDS).await;
    assert_eq!(submit(&handle, ROUNDS).await, id, "the same key is the same job");
    tokio::join!(take_part(&handle, &id, "west", 10), take_part(&handle, &id, "east", 20));
    let release = handle.release(None).unwrap();
    assert_eq!((release.number.0, release.specialists.len()), (1, 1));
    let blob = release.specialists[0].weights;
    let expected = signature(&release.specialists[0].model);
    let path = handle.0.blobs().local(blob).unwrap();
    WeightsFile::open(&path).unwrap().check(&expected).unwrap();
    call!(handle, core => async { Ok(core.sweep().await) }).unwrap();
    let left: Vec<_> = walk(&bench.folder.path().join("sha256"));
    assert_eq!(left, [blob.to_hex()], "updates are removed once their round has closed");
}

fn walk(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(walk(&path));
        } else {
            names.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_job_adds_to_the_release_without_touching_the_others() {
    let bench = Bench::new();
    let handle = bench.start(1).await;
    let first = submit(&handle, ONE_SHOT).await;
    tokio::join!(take_part(&handle, &first, "west", 10), take_part(&handle, &first, "east", 20));
    let plan = JobSpec::parse(ROUNDS).unwrap();
    let second = submit_job(&handle, plan, key(2)).await.unwrap();
    tokio::join!(take_part(&handle, &second, "west", 30), take_part(&handle, &second, "east", 40));
    let one = handle.release(Some(eosfed_common::ids::ReleaseNumber(1))).unwrap();
    let two = handle.release(None).unwrap();
    let names = |release: &ReleaseManifest| -> Vec<String> {
        release.specialists.iter().map(|card| card.name.to_string()).collect()
    };
    assert_eq!(names(&one), ["east-nir", "west-rgb"]);
    assert_eq!(names(&two), ["east-nir", "shared", "west-rgb"]);
    assert!(one.specialists.iter().all(|card| two.specialists.contains(card)));
}

#[tokio::test(flavor = "multi_thread")]
async fn admission_refuses_what_is_not_the_models_weights_and_records_it() {
    type Spoil = fn(&mut eosfed_common::weights::Signature, &mut eosfed_common::weights::Tensors);
    let cases: [(Spoil, Reason); 4] = [
        (|_, tensors| tensors.get_mut("stem.0.bias").unwrap()[3] = f32::NAN, Reason::NotFinite),
        (|signature, _| signature.0.get_mut("stem.0.bias").unwrap().insert(0, 1), Reason::ShapeMismatch),
        (|signature, _| drop(signature.0.remove("stem.0.bias")), Reason::TensorSet),
        (
            |signature, tensors| {
                signature.0.insert("payload".to_owned(), vec![1]);
                tensors.insert("payload".to_owned(), vec![1.0]);
            },
            Reason::TensorSet,
        ),
    ];
    let bench = Bench::new();
    let handle = bench.start(1).await;
    for (index, (spoil, reason)) in cases.into_iter().enumerate() {
        let plan = JobSpec::parse(ONE_SHOT).unwrap();
        let id = submit_job(&handle, plan, key(index as u64)).await.unwrap();
        let assignment = handle.job(&id).unwrap().assignment(&name("west")).unwrap();
        let lease = accept(&handle, &assignment.id).await.unwrap();
        let mut signature = assignment.training_target.signature();
        let mut tensors = initial_tensors(&signature, 3);
        spoil(&mut signature, &mut tensors);
        let path = bench.folder.path().join("spoilt");
        let digest = write(&path, &signature, &tensors).unwrap();
        let blob = BlobRef { digest, size: std::fs::metadata(&path).unwrap().len() };
        upload(&handle, "west", &path, blob);
        let refusal = submit_update(&handle, update(&assignment, &lease.token, blob)).await.unwrap_err();
        assert_eq!(refusal.reason, reason, "{refusal}");
        assert!(!refusal.message.contains(&*bench.folder.path().to_string_lossy()), "{refusal}");
        let west = handle.job(&id).unwrap().current().unwrap().participants[&name("west")].state.clone();
        let crate::domain::ParticipantState::Rejected(crate::domain::round::Rejection {
            refusal: kept,
            weights,
            ..
        }) = west
        else {
            panic!("{west:?}")
        };
        assert_eq!((kept, weights), (refusal, blob));
        call!(handle, core => async { Ok(core.sweep().await) }).unwrap();
        assert!(handle.0.blobs().local(digest).is_some(), "a refused update is kept for inspection");
        call!(&handle, core => core.control_job(&id, JobAction::Cancel, name("admin"))).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_missing_at_submission_can_be_uploaded_later() {
    let bench = Bench::new();
    let handle = bench.start(1).await;
    let id = submit(&handle, ONE_SHOT).await;
    let assignment = next(&handle, &id, "west").await.unwrap();
    let lease = accept(&handle, &assignment.id).await.unwrap();
    let (path, blob) = testing::weights(bench.folder.path(), &assignment, 1);
    let submission = update(&assignment, &lease.token, blob);
    let refusal = submit_update(&handle, submission.clone()).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::BlobMissing);
    upload(&handle, "west", &path, blob);
    submit_update(&handle, submission).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_need_a_lease_and_fit_its_model() {
    let bench = Bench::new();
    let handle = bench.start(1).await;
    let id = submit(&handle, ONE_SHOT).await;
    let west = name("west");
    assert_eq!(handle.may_upload(&west, 1).unwrap_err().reason, Reason::LeaseExpired);
    let assignment = next(&handle, &id, "west").await.unwrap();
    accept(&handle, &assignment.id).await.unwrap();
    let limit = assignment.training_target.signature().max_file_bytes();
    handle.may_upload(&west, limit).unwrap();
    assert_eq!(handle.may_upload(&west, limit + 1).unwrap_err().reason, Reason::TooLarge);
    assert_eq!(handle.may_upload(&name("east"), 1).unwrap_err().reason, Reason::LeaseExpired);
    assert!(!handle.may_download(&west, &Digest::of(b"somebody's update")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timer_expires_leases_and_deadlines_without_calls() {
    let bench = Bench::new();
    let handle = bench.start(1).await;
    let id = submit(&handle, ONE_SHOT).await;
    bench.clock.advance(Duration::from_secs(2 * 3600));
    // The engine's own timer may have done it first.
    call!(handle, core => async { Ok(core.tick().await) }).unwrap();
    assert_eq!(handle.job(&id).unwrap().current().unwrap().attempt, 2);
}

/// A disk that can be full.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<AtomicBool>);

impl Faults for Disk {
    fn before_commit(&self) -> Result<(), StoreError> {
        if self.0.load(Ordering::Relaxed) { Err(StoreError::Full) } else { Ok(()) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_cannot_be_stored_has_no_effect() {
    let bench = Bench::new();
    let disk = Disk::default();
    let store = FaultyStore { store: bench.store.clone(), faults: disk.clone() };
    let blobs = Arc::new(FileBlobs::open(bench.folder.path()).unwrap());
    let clock = Arc::new(bench.clock.clone());
    let handle = Handle::start(Box::new(store), blobs, clock, rng(1), bench.options()).await.unwrap();
    let id = submit(&handle, ONE_SHOT).await;
    let assignment = next(&handle, &id, "west").await.unwrap();
    disk.0.store(true, Ordering::Relaxed);
    let before = handle.job(&id).unwrap();
    let refusal = accept(&handle, &assignment.id).await.unwrap_err();
    assert_eq!((refusal.reason, handle.job(&id).unwrap()), (Reason::StorageFull, before));
    disk.0.store(false, Ordering::Relaxed);
    accept(&handle, &assignment.id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_caused_by_a_heartbeat_is_stored() {
    let bench = Bench::new();
    let handle = bench.start(1).await;
    let id = submit(&handle, ONE_SHOT).await;
    let east = next(&handle, &id, "east").await.unwrap();
    let lease = accept(&handle, &east.id).await.unwrap();
    let west = next(&handle, &id, "west").await.unwrap();
    let token = accept(&handle, &west.id).await.unwrap().token;
    let (path, blob) = testing::weights(bench.folder.path(), &west, 1);
    upload(&handle, "west", &path, blob);
    submit_update(&handle, update(&west, &token, blob)).await.unwrap();
    // East is still at work at the deadline, and makes the first call after it.
    bench.clock.advance(Duration::from_secs(31 * 60));
    call!(&handle, core => core.heartbeat(&east.id, &lease.token, Progress::default())).unwrap();
    assert!(handle.job(&id).unwrap().has_ended());
    let again = bench.start(2).await;
    assert!(again.job(&id).unwrap().has_ended(), "the end was forgotten");
    assert_eq!(again.release(None).unwrap().specialists.len(), 1);
}

/// West is at work for the first job while it is asked for the second one.
#[tokio::test(flavor = "multi_thread")]
async fn time_that_stands_still_is_stored_with_what_stops_and_starts_it() {
    let bench = Bench::new();
    let handle = bench.start(1).await;
    let plan = |deadline: &str| Plan::new(testing::STATISTICS).deadline(deadline).spec();
    let first = submit_job(&handle, plan("4h"), key(1)).await.unwrap();
    let second = submit_job(&handle, plan("30m"), key(2)).await.unwrap();
    let offer = |handle: &Handle, who: &str, job: &JobId| {
        let mut offers = handle.assignments(&name(who)).into_iter();
        offers.find(|one| one.id.job == *job).unwrap()
    };
    let measure = async |handle: &Handle, work: Assignment<Target>, lease: &Lease| {
        let statistics = testing::statistics(&work, &lease.token).into_inner();
        call!(handle, core => core.submit_statistics(statistics)).unwrap();
    };
    let (west, east) = (offer(&handle, "west", &first), offer(&handle, "east", &second));
    let [west_lease, east_lease] =
        [accept(&handle, &west.id).await.unwrap(), accept(&handle, &east.id).await.unwrap()];
    measure(&handle, east, &east_lease).await;
    for _ in 0..36 {
        bench.clock.advance(Duration::from_secs(100));
        let (id, token) = (west.id.clone(), west_lease.token.clone());
        call!(&handle, core => core.heartbeat(&id, &token, Progress::default())).unwrap();
    }
    let ends = |handle: &Handle| offer(handle, "west", &second).deadline.since(NOW);
    let minutes = |count: u64| Duration::from_secs(60 * count);
    call!(&handle, core => async { Ok(core.tick().await) }).unwrap();
    assert_eq!(
        handle.job(&second).unwrap().current().unwrap().attempt,
        1,
        "its 30 minutes were over long ago"
    );
    assert_eq!(ends(&handle), minutes(4 * 60 + 30));
    let handle = bench.start(2).await;
    assert_eq!(ends(&handle), minutes(4 * 60 + 30));
    measure(&handle, west, &west_lease).await;
    assert_eq!(ends(&handle), minutes(90), "it is free after an hour");
    let handle = bench.start(3).await;
    assert_eq!(
        ends(&handle),
        minutes(90),
        "the answer to the first job is stored with the time in the second"
    );
    assert_eq!(handle.next_wakeups()[&second].since(NOW), minutes(90));
}
