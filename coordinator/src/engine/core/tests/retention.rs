//! Retention: the bound holds, what is needed stays, and a kill in the middle is harmless.

use eosfed_common::digest::Digest;
use eosfed_common::ledger::{Actor, Event, EventKind, PruneRule};
use eosfed_common::view::{JobState, KeptFor, StorageView};
use eosfed_testkit::plans::Plan;

use super::*;
use crate::domain::listing::{JobFilter, StoredJobs};
use crate::domain::paging::PageRequest;
use crate::domain::retention::Due;
use crate::domain::view::StoragePage;
use crate::storage::{Faults, FaultyStore};

/// Rounds of the job of these tests.
const COUNT: u32 = 8;

fn keep(most_bytes: u64) -> Limits {
    Limits { keep_for: Some(Duration::from_secs(365 * 86_400)), most_bytes: Some(most_bytes), job: None }
}

/// A job of [`COUNT`] rounds whose statistics are known, and its first weights.
fn begin(bench: &Bench) -> JobId {
    let plan = Plan::new(ROUNDS).rounds(COUNT, "{ name = \"fed-avg\" }").text();
    let job = bench.submit(&plan);
    assert_eq!(ready(bench.core.perform(&job)), TaskOutcome::Recorded);
    for institution in ["west", "east"] {
        assert_eq!(bench.take_part(institution, 0), None);
    }
    job
}

/// A round of training. Gives the updates.
fn round(bench: &Bench, job: &JobId, seed: u64) -> Vec<BlobRef> {
    let updates =
        (seed..).zip(["west", "east"]).map(|(seed, one)| bench.take_part(one, seed).unwrap()).collect();
    assert_eq!(ready(bench.core.perform(job)), TaskOutcome::Recorded);
    updates
}

fn stored(bench: &Bench) -> StorageView {
    let listed = StoredJobs { filter: JobFilter::default(), page: PageRequest::read(0, "").unwrap() };
    ready(bench.core.stored(&listed)).unwrap().view
}

/// Bytes that closed rounds keep.
fn kept(bench: &Bench) -> u64 {
    let of_rounds = |kind: &KeptFor| matches!(kind, KeptFor::Updates | KeptFor::GlobalWeights);
    stored(bench).kinds.iter().filter(|one| of_rounds(&one.kind)).map(|one| one.bytes).sum()
}

/// The digests that events of the ledger say were removed, with their rule.
fn pruned_events(bench: &Bench) -> Vec<(Digest, PruneRule)> {
    let lines = ready(bench.core.events(0, 10_000)).unwrap();
    let events = lines.iter().map(|line| serde_json::from_str::<Event>(line).unwrap());
    let of = |event: Event| match event.entry.kind {
        EventKind::RoundPruned { weights, rule, .. } => weights.into_iter().map(|one| (one, rule)).collect(),
        _ => Vec::new(),
    };
    events.flat_map(of).collect()
}

#[test]
fn a_long_job_keeps_no_more_than_the_bound_and_finishes() {
    let bench = Bench::keeping(keep(0));
    let job = begin(&bench);
    let size = bench.core.job(&job).unwrap().global_model.unwrap().size;
    let most = 7 * size;
    let bench = bench.with(keep(most));
    let mut all = Vec::new();
    let mut largest = 0;
    for at in 0..COUNT {
        all.extend(round(&bench, &job, 100 + 2 * u64::from(at)));
        ready(bench.core.sweep());
        largest = largest.max(kept(&bench));
        assert!(kept(&bench) <= most, "round {at}: {} of {most} bytes", kept(&bench));
        let needed: Vec<_> = bench.core.read(|state| state.needed().into_iter().collect());
        let present = ready(bench.core.blobs().list()).unwrap();
        assert!(needed.iter().all(|digest| present.contains(digest)), "round {at}: a needed blob is gone");
    }
    assert!(largest >= 6 * size, "the bound is used: two rounds of two updates and a start each");
    let done = bench.core.job(&job).unwrap();
    assert_eq!(done.state.name(), "finished");
    let produced = done.produced[0].clone();
    let card = bench.core.read(|state| state.registry.specialists[&produced].clone());
    let weights = BlobRef { digest: card.weights, size: card.weights_bytes };
    assert!(bench.is_here(weights), "the specialist");
    let gone: Vec<_> = all.iter().filter(|blob| !bench.is_here(**blob)).map(|blob| blob.digest).collect();
    assert_eq!(gone, all[..gone.len()].iter().map(|blob| blob.digest).collect::<Vec<_>>(), "oldest first");
    assert!(gone.len() >= 10, "{}", gone.len());
    let events = pruned_events(&bench);
    assert!(gone.iter().all(|digest| events.contains(&(*digest, PruneRule::Size))), "{events:?}");
    let not_gone = |digest: &Digest| all.iter().any(|blob| blob.digest == *digest && bench.is_here(*blob));
    assert!(!events.iter().any(|(digest, _)| not_gone(digest)), "only what is gone is on record");

    // A round that was given up cannot be run again, and the refusal says why.
    let refusal = ready(bench.core.fork_job(&job, 2, None, name("admin"), key(9))).unwrap_err();
    let said = &refusal.message;
    assert!(said.contains("round_pruned") && said.contains("keep_updates_mb"), "{said}");
    let newest = ready(bench.core.fork_job(&job, COUNT, None, name("admin"), key(10)));
    assert!(newest.is_ok(), "the newest round is there: {newest:?}");
}

#[test]
fn a_kill_in_the_middle_of_a_removal_is_harmless() {
    let bench = Bench::keeping(keep(u64::MAX));
    let job = begin(&bench);
    for at in 0..4 {
        round(&bench, &job, 100 + 2 * at);
    }
    // It was recorded, and one of the files was removed.
    let limits = Limits { job: Some(job.clone()), keep_for: Some(Duration::ZERO), most_bytes: None };
    let due: Vec<Due> = ready(bench.core.prune(&limits, &Actor::Operator(name("admin")))).unwrap();
    assert_eq!(due.iter().map(|one| one.frees.len()).sum::<usize>(), 4 * 3);
    ready(bench.core.blobs().remove(due[1].frees[0].digest)).unwrap();
    let bench = bench.with(keep(u64::MAX));
    assert_eq!(ready(bench.core.sweep()), 4 * 3 - 1, "the sweep of the next start ends it");
    assert_eq!((kept(&bench), pruned_events(&bench).len()), (0, 12), "recorded once");
    round(&bench, &job, 200);
    assert_eq!(kept(&bench), 3 * due[0].frees[0].size, "the job goes on");
    // A kill before it was recorded: nothing was removed.
    let bench = bench.with(keep(u64::MAX));
    assert_eq!(ready(bench.core.sweep()), 0);
}

#[test]
fn what_is_shown_is_what_goes_next() {
    let bench = Bench::keeping(keep(u64::MAX));
    let job = begin(&bench);
    for at in 0..3 {
        round(&bench, &job, 100 + 2 * at);
    }
    let before = stored(&bench);
    assert_eq!((before.next.rounds, before.next.dry_run), (0, true));
    let of_job = &before.jobs[0];
    assert_eq!((of_job.rounds, of_job.updates), (4, 6), "with the round of statistics");
    assert_eq!(before.files, ready(bench.core.blobs().list()).unwrap().len() as u64, "each file once");
    let bench = bench.with(keep(0));
    let next = stored(&bench).next;
    assert_eq!((next.rounds, next.files), (4, 9));
    ready(bench.core.sweep());
    let after = stored(&bench);
    assert_eq!(after.bytes, before.bytes - next.bytes);
    assert_eq!((after.jobs.len(), after.next.rounds), (0, 0));
}

/// The number of files in a folder and in those below it.
fn files(folder: &Path) -> usize {
    let count = |path: PathBuf| if path.is_dir() { files(&path) } else { 1 };
    std::fs::read_dir(folder).unwrap().map(|entry| count(entry.unwrap().path())).sum()
}

/// The disk has room for a record only while there are few files in the folder of the blobs.
#[derive(Debug, Clone)]
struct FullDisk(PathBuf, usize);

impl Faults for FullDisk {
    fn before_commit(&self) -> Result<(), StoreError> {
        if files(&self.0) > self.1 { Err(StoreError::Full) } else { Ok(()) }
    }
}

#[test]
fn a_full_disk_that_takes_no_record_is_freed_all_the_same() {
    let bench = Bench::keeping(keep(u64::MAX));
    let job = begin(&bench);
    for at in 0..3 {
        round(&bench, &job, 100 + 2 * at);
    }
    let blobs = bench.folder.path().join("blobs");
    let now = files(&blobs);
    let Bench { folder, store, core, .. } = bench;
    drop(core);
    let faults = FullDisk(blobs, now);
    let faulty = FaultyStore { store: store.clone(), faults };
    let core = Bench::open(folder.path(), faulty, Duration::from_secs(3600), keep(0));
    let bench = Bench { folder, store, core, retention: keep(0) };
    // One file more than there is room for.
    let stray = bench.core.blobs().stage().unwrap();
    std::fs::write(stray.path(), b"fills the disk").unwrap();
    ready(bench.core.blobs().ingest(stray)).unwrap();
    let other = ready(bench.core.submit_job(JobSpec::parse(ONE_SHOT).unwrap(), &name("admin"), key(2)));
    assert_eq!(other.unwrap_err().reason, Reason::StorageFull);
    ready(bench.core.sweep());
    assert_eq!((kept(&bench), pruned_events(&bench).len()), (0, 9));
    let other = ready(bench.core.submit_job(JobSpec::parse(ONE_SHOT).unwrap(), &name("admin"), key(2)));
    assert!(other.is_ok(), "{other:?}");
}

#[test]
fn jobs_that_keep_most_come_first_and_in_pages() {
    let bench = Bench::keeping(keep(u64::MAX));
    let [two, one, three] = [(2, true), (1, true), (3, false)].map(|(rounds, cancel)| {
        let job = begin(&bench);
        for at in 0..rounds {
            round(&bench, &job, 100 * rounds + 2 * at);
        }
        if cancel {
            ready(bench.core.control_job(&job, JobAction::Cancel, name("admin"))).unwrap();
        }
        job
    });
    let listed = |states: &[JobState], limit, token: &str| {
        let filter = JobFilter { states: states.to_vec(), ..JobFilter::default() };
        let page = PageRequest::read(limit, token).unwrap();
        let StoragePage { view, next } = ready(bench.core.stored(&StoredJobs { filter, page })).unwrap();
        (view.jobs.into_iter().map(|one| one.job).collect::<Vec<_>>(), view.more_jobs, next)
    };
    let nothing = String::new();
    assert_eq!(listed(&[], 0, ""), (vec![three.clone(), two.clone(), one.clone()], 0, nothing.clone()));
    let (first, more, next) = listed(&[], 2, "");
    assert_eq!((first, more), (vec![three.clone(), two.clone()], 1));
    assert_eq!(listed(&[], 2, &next), (vec![one.clone()], 0, nothing.clone()));
    assert_eq!(listed(&[JobState::Cancelled], 0, ""), (vec![two, one], 0, nothing.clone()));
    assert_eq!(listed(&[JobState::Running], 0, ""), (vec![three], 0, nothing));
}
