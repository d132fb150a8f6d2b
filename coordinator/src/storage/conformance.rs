//! The conformance suite: what every store and every blob store must do. It is run on each implementation.

use std::time::Duration;

use eosfed_common::ablation::{Ablation, Without};
use eosfed_common::assignment::BlobRef;
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::ledger::Actor;

use eosfed_common::finite::Finite;
use eosfed_common::identity::{Identity, Role};
use eosfed_common::ids::JobId;
use eosfed_common::ledger::Event;

use super::mount::Mount;
use super::{
    BlobError, Blobs, FileBlobs, LocalFile, MemoryBlobs, MemoryStore, Presence, SledStore, Store, read_lines,
    ready,
};
use crate::domain::curve::Curve;
use crate::domain::federation::members::{Invite, Revoke};
use crate::domain::{Change, ClosedRound, Federation, Transition};
use crate::testing::{self, NOW, name};

/// A federation under test. Each commit is also merged into the expected state.
struct Expectation<'a> {
    store: &'a dyn Store,
    expected: Federation,
    rounds: Vec<ClosedRound>,
    events: Vec<Event>,
}

impl Expectation<'_> {
    fn commit(&mut self, change: Change) {
        let before = self.events.len();
        for entry in &change.events {
            let last = self.events.last().map(Event::event_ref);
            self.events.push(Event::follow(last, NOW, entry.clone()));
        }
        ready(self.store.commit(&change, &self.events[before..])).unwrap();
        self.rounds.extend(change.rounds.iter().cloned());
        self.expected.merge(change);
        let loaded = ready(self.store.load()).unwrap();
        assert_eq!(loaded.federation, self.expected);
        assert_eq!(loaded.head, self.events.last().map(Event::event_ref));
        assert!(loaded.damaged.is_empty(), "{:?}", loaded.damaged);
    }

    /// The committed records that are not part of the state.
    fn check(&self) {
        let lines: Vec<_> = self.events.iter().map(Event::to_line).collect();
        assert!(lines.len() > 5);
        assert_eq!(ready(self.store.events(0, usize::MAX)).unwrap(), lines);
        assert_eq!(ready(self.store.events(2, 3)).unwrap(), lines[2..5]);
        assert!(ready(self.store.events(lines.len() as u64, 9)).unwrap().is_empty());
        for job in self.expected.jobs.keys() {
            let of = |job: &JobId, rounds| ready(self.store.closed_rounds(job, rounds)).unwrap();
            let own: Vec<_> = self.rounds.iter().filter(|closed| closed.job == *job).cloned().collect();
            assert_eq!(of(job, 0..=u32::MAX), own);
            assert!(of(job, 7..=u32::MAX).is_empty());
        }
        let mut text = Vec::new();
        let head = self.events.last().map(Event::event_ref);
        let count = ready(self.store.export(&self.expected, head, &mut text)).unwrap();
        let read = read_lines(text.as_slice(), super::SCHEMA, &mut |_, _, _| Ok(())).unwrap();
        assert_eq!((read.federation, read.ledger.head, read.broken), (self.expected.clone(), head, None));
        assert_eq!(count, text.split(|byte| *byte == b'\n').count() as u64 - 1);
        assert_eq!(read.counts.rounds, self.rounds.len() as u64);
        assert_eq!(read.counts.ablations, self.expected.registry.ablations.len() as u64);
    }
}

/// Writes, replaces and reads back every kind of record. Gives the expected contents.
fn fill(store: &dyn Store) -> Federation {
    let expected = ready(store.load()).unwrap().federation;
    let mut expectation = Expectation { store, expected, rounds: Vec::new(), events: Vec::new() };
    assert_eq!(expectation.expected, Federation::default());
    expectation.commit(testing::enrolled(&["east", "west"]));
    let minute = Duration::from_secs(60);
    let invite = |again| Invite { secret: "secret", valid_for: minute, again };
    let west = Identity::institution(name("west"));
    let invited = expectation.expected.invite(&west, invite(true), Actor::Operator(name("admin")), NOW);
    expectation.commit(invited.unwrap());
    let ada = Identity { role: Role::Operator, name: name("ada") };
    for invited in [ada, Identity::institution(name("north"))] {
        let change =
            expectation.expected.invite(&invited, invite(false), Actor::Operator(name("admin")), NOW);
        expectation.commit(change.unwrap());
        let revoke = Revoke { of: invited, reason: "lost".to_owned(), remove: true };
        let change = expectation.expected.revoke(revoke, name("admin"), NOW);
        expectation.commit(change.unwrap());
    }
    let job = testing::finished_one_shot(&expectation.expected);
    let change = expectation.expected.settle(job, NOW).unwrap();
    assert_eq!((change.specialists.len(), change.releases.len(), change.rounds.len()), (2, 1, 1));
    expectation.commit(change);
    for samples in [40, 41] {
        let change = ablation(&expectation.expected, samples);
        expectation.commit(change);
    }
    let (id, change) = testing::submit(&expectation.expected, testing::ROUNDS);
    let prepared = Transition::Prepared(blob(b"initial"));
    expectation.commit(change);
    let change = expectation.expected.apply(&id, prepared, NOW).unwrap();
    expectation.commit(change);
    curves(&mut expectation, &id);
    let later = Timestamp(NOW.0 + 5);
    let change = expectation.expected.apply(&id, Transition::Cancel(name("admin")), later).unwrap();
    assert_eq!(change.rounds.len(), 1);
    expectation.commit(change);
    expectation.commit(Change::default());
    expectation.check();
    expectation.expected
}

/// The ablation of a head over the newest release, which replaces the one before.
fn ablation(federation: &Federation, samples: u64) -> Change {
    let release = &federation.registry.release(None).unwrap().manifest;
    let one = eosfed_testkit::releases::ablation();
    let card = &release.specialists[0];
    let without = vec![Without { weights: card.weights, ..one.without[0].clone() }];
    let ablation = Ablation { release: release.number, samples, without, ..one };
    let (at, change) = federation.record_ablation(ablation, name("admin"), NOW).unwrap();
    assert_eq!((at, change.ablations.len()), (NOW, 1));
    change
}

/// A curve is replaced as a whole, and no other record changes.
fn curves(expectation: &mut Expectation<'_>, job: &JobId) {
    let offer = expectation.expected.jobs[job].assignment(&name("west")).unwrap();
    let id = expectation.expected.jobs[job].curve_of(&offer.id).unwrap();
    assert_eq!(ready(expectation.store.curve(&id)).unwrap(), None);
    let mut curve = Curve::new(id.clone());
    for step in 1..4 {
        let loss = Finite::literal(0.1 * step as f64);
        let point = eosfed_common::assignment::CurvePoint { step, loss, metrics: Default::default() };
        curve = curve.extended(vec![point]).unwrap();
        expectation.commit(Change { curves: vec![curve.clone()], ..Change::default() });
        assert_eq!(ready(expectation.store.curve(&id)).unwrap(), Some(curve.clone()));
    }
}

#[test]
fn the_memory_store_conforms() {
    let store = MemoryStore::default();
    let expected = fill(&store);
    assert_eq!(ready(store.clone().load()).unwrap().federation, expected);
}

#[test]
fn the_sled_store_conforms_also_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).unwrap();
    let expected = fill(&store);
    drop(store);
    assert_eq!(ready(SledStore::open(folder.path()).unwrap().load()).unwrap().federation, expected);
}

fn blob(bytes: &[u8]) -> BlobRef {
    BlobRef { digest: Digest::of(bytes), size: bytes.len() as u64 }
}

fn blobs_conform(open: impl Fn() -> Box<dyn Blobs>) {
    let blobs = open();
    let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let whole = blob(&bytes);
    assert_eq!(ready(blobs.stat("west", whole.digest)).unwrap(), Presence::Partial(0));
    assert!(matches!(ready(blobs.read(whole.digest, 0, 10)), Err(BlobError::Missing(_))));
    assert_eq!(ready(blobs.append("west", whole, 0, &bytes[..4000])).unwrap(), 4000);

    // It continues after a restart, for its owner only, and only at its end.
    let blobs = open();
    assert_eq!(ready(blobs.stat("west", whole.digest)).unwrap(), Presence::Partial(4000));
    assert_eq!(ready(blobs.stat("east", whole.digest)).unwrap(), Presence::Partial(0));
    assert!(matches!(
        ready(blobs.append("west", whole, 3000, &bytes[3000..])),
        Err(BlobError::Offset { stands: 4000, found: 3000 })
    ));
    assert!(matches!(ready(blobs.finish("west", whole)), Err(BlobError::Offset { .. })));
    assert!(matches!(ready(blobs.append("west", whole, 4000, &[0; 7000])), Err(BlobError::TooLong(10_000))));
    ready(blobs.append("west", whole, 4000, &bytes[4000..])).unwrap();
    assert_eq!(ready(blobs.stat("west", whole.digest)).unwrap(), Presence::Partial(10_000));
    ready(blobs.finish("west", whole)).unwrap();
    for owner in ["west", "east"] {
        assert_eq!(ready(blobs.stat(owner, whole.digest)).unwrap(), Presence::Complete(10_000));
    }
    let uploaded = |owner| ready(blobs.uploaded(owner, whole.digest)).unwrap();
    assert_eq!((uploaded("west"), uploaded("east")), (Presence::Complete(10_000), Presence::Partial(0)));
    assert_eq!(ready(blobs.read(whole.digest, 9_990, 100)).unwrap(), bytes[9_990..]);
    // Found by fuzzing: a caller may ask for an offset that a file system cannot represent.
    for behind in [10_000, 10_001, i64::MAX as u64, 1 << 63, u64::MAX] {
        assert!(ready(blobs.read(whole.digest, behind, 100)).unwrap().is_empty());
    }
    let file = ready(LocalFile::of(&*blobs, whole.digest)).unwrap();
    assert_eq!(std::fs::read(file.path()).unwrap(), bytes);

    // It stays pinned until it is unpinned, also after a restart.
    let blobs = open();
    assert_eq!(ready(blobs.pinned()).unwrap(), [whole.digest]);
    ready(blobs.unpin("east", whole.digest)).unwrap();
    ready(blobs.drop_stale_uploads(Duration::from_secs(60))).unwrap();
    assert_eq!(ready(blobs.pinned()).unwrap(), [whole.digest], "east cannot unpin it, and it is not old");
    ready(blobs.unpin("west", whole.digest)).unwrap();
    ready(blobs.unpin("west", whole.digest)).unwrap();
    assert_eq!(ready(blobs.pinned()).unwrap(), []);

    // Wrong bytes are deleted, and another upload replaces an unfinished one.
    let lie = BlobRef { digest: Digest::of(b"other"), size: 5 };
    ready(blobs.append("west", lie, 0, b"wrong")).unwrap();
    assert!(matches!(ready(blobs.finish("west", lie)), Err(BlobError::Digest { .. })));
    assert_eq!(ready(blobs.stat("west", lie.digest)).unwrap(), Presence::Partial(0));
    ready(blobs.append("west", lie, 0, b"oth")).unwrap();
    ready(blobs.append("west", blob(b"third"), 0, b"th")).unwrap();
    assert_eq!(ready(blobs.stat("west", lie.digest)).unwrap(), Presence::Partial(0));

    let staged = blobs.stage().unwrap();
    let path = staged.path().to_owned();
    std::fs::write(&path, b"made here").unwrap();
    assert_eq!(ready(blobs.ingest(staged)).unwrap(), blob(b"made here"));
    assert!(!path.exists());
    assert_eq!(ready(blobs.stat("", blob(b"made here").digest)).unwrap(), Presence::Complete(9));
    let unused = blobs.stage().unwrap().path().to_owned();
    assert!(!unused.exists(), "a staged file is removed when it is dropped");
    ready(blobs.remove(whole.digest)).unwrap();
    ready(blobs.remove(whole.digest)).unwrap();
    assert_eq!(blobs.local(whole.digest), None);
    assert!(matches!(ready(LocalFile::of(&*blobs, whole.digest)), Err(BlobError::Missing(_))));
    assert_eq!(ready(blobs.list()).unwrap(), [blob(b"made here").digest]);
}

#[test]
fn memory_blobs_conform() {
    let blobs = MemoryBlobs::default();
    blobs_conform(|| Box::new(blobs.clone()));
}

#[test]
fn file_blobs_conform() {
    let folder = tempfile::tempdir().unwrap();
    blobs_conform(|| Box::new(FileBlobs::open(folder.path()).unwrap()));
}

/// An abandoned connection may still deliver bytes that the next connection sends too.
#[test]
fn the_same_chunk_sent_twice_concurrently_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FileBlobs::open(folder.path()).unwrap();
    for number in 0..200_u32 {
        let bytes: Vec<u8> = number.to_le_bytes().repeat(16 * 1024);
        let whole = blob(&bytes);
        let half = bytes.len() / 2;
        ready(blobs.append("west", whole, 0, &bytes[..half])).unwrap();
        let start = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    start.wait();
                    // The later call may get an offset error with the progress of the earlier one.
                    let _ = ready(blobs.append("west", whole, half as u64, &bytes[half..]));
                });
            }
        });
        ready(blobs.finish("west", whole)).unwrap();
    }
}

/// A member may send different bytes over two connections at once. The digest of an upload is computed from what
/// arrives, so no bytes may get into its file that were not hashed.
#[test]
fn no_blob_has_other_bytes_than_its_digest_says_when_two_connections_write_different_ones() {
    const HALF: usize = 128 << 10;
    let folder = tempfile::tempdir().unwrap();
    let blobs = FileBlobs::open(folder.path()).unwrap();
    let (good, bad) = (vec![1_u8; 2 * HALF], vec![2_u8; HALF]);
    let whole = blob(&good);
    let mut finished = 0;
    for number in 0..200 {
        ready(blobs.append("west", whole, 0, &good[..HALF])).unwrap();
        // Each of the two begins half of the time.
        let order = if number % 2 == 0 { [&good[HALF..], &bad] } else { [&bad, &good[HALF..]] };
        let both = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            for bytes in order {
                let (blobs, both) = (&blobs, &both);
                scope.spawn(move || {
                    both.wait();
                    // The later one is refused.
                    let _ = ready(blobs.append("west", whole, HALF as u64, bytes));
                });
            }
        });
        if ready(blobs.finish("west", whole)).is_ok() {
            finished += 1;
            let stored = std::fs::read(blobs.path_of(whole.digest)).unwrap();
            assert!(stored == good, "a blob with the bytes of the other connection");
            ready(blobs.remove(whole.digest)).unwrap();
        }
    }
    assert!(finished > 0, "no upload became a blob: nothing was tested");
}

/// Mounts a file system of 1 MiB and fills it with an upload. Needs root; skipped by name without.
#[test]
fn a_full_disk_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_mount) = Mount::tmpfs(folder.path(), "1m") else {
        println!("skipped: a_full_disk_loses_nothing: mounting a small file system is not allowed here");
        return;
    };
    let blobs = FileBlobs::open(folder.path()).unwrap();
    let bytes = vec![7; 3 << 20];
    let whole = blob(&bytes);
    let mut stands = 0;
    let error = loop {
        let end = (stands as usize + 100_000).min(bytes.len());
        match ready(blobs.append("west", whole, stands, &bytes[stands as usize..end])) {
            Ok(now) => stands = now,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, BlobError::Full), "{error}");
    let Presence::Partial(kept) = ready(blobs.stat("west", whole.digest)).unwrap() else {
        panic!("complete?")
    };
    assert!(kept >= stands && kept > 0, "{kept} of {stands}");
}
