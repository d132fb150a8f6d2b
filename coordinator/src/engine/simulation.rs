//! A federation under stress, seeded: institutions that repeat themselves, answer late, fall silent
//! and come back, and a coordinator that is killed between any two of its commits. Whatever happens,
//! each acknowledged update counts exactly once and the specialist has the same bytes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use eosfed_common::assignment::{Assignment, BlobRef, LEASE, Lease, Progress, Work};
use eosfed_common::weights::Digest;
use rand::seq::IndexedRandom as _;

use super::tests::{Bench, submit, upload};
use super::*;
use crate::domain::round::{Contribution, Purpose};
use crate::testing::{self, ROUNDS, name, rng, update};

const NAMES: [&str; 2] = ["east", "west"];

/// The update of each round and institution, made once for all seeds.
struct Updates {
    _folder: tempfile::TempDir,
    made: BTreeMap<(u32, &'static str), (PathBuf, BlobRef)>,
}

impl Updates {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut federation = Federation::default();
        federation.merge(testing::enrolled(&NAMES));
        let job = testing::submit(&federation, ROUNDS).1.jobs.remove(0);
        let trainee = job.trainee_of(&name("east")).unwrap();
        let seed = |round: u32, index: usize| 100 * u64::from(round) + index as u64;
        let mut made = BTreeMap::new();
        for round in 1..=2 {
            for (index, institution) in NAMES.into_iter().enumerate() {
                let path = folder.path().join(format!("{round}{institution}"));
                let tensors = trainee.initial_weights(seed(round, index));
                let signature = trainee.signature();
                let digest = eosfed_common::weights::write(&path, &signature, &tensors).unwrap();
                let size = std::fs::metadata(&path).unwrap().len();
                made.insert((round, institution), (path, BlobRef { digest, size }));
            }
        }
        Self { _folder: folder, made }
    }
}

/// One institution's memory of what it was told.
#[derive(Default)]
struct Client {
    held: Option<(Assignment, Lease)>,
    acknowledged: Vec<(u32, Timestamp)>,
}

impl Client {
    async fn act(&mut self, handle: &Handle, institution: &'static str, updates: &Updates, choice: u32) {
        match (choice, self.held.clone()) {
            (0..=3, None) => {
                let Some(assignment) = handle.assignments(&name(institution)).into_iter().next() else {
                    return;
                };
                let lease = handle.accept(assignment.id.clone()).await;
                self.held = lease.ok().map(|lease| (assignment, lease));
            }
            (0, Some((assignment, lease))) => {
                let _ = handle.heartbeat(assignment.id, lease.token, Progress::default()).await;
            }
            // It dies and forgets.
            (1, Some(_)) => self.held = None,
            (_, Some((assignment, lease))) => {
                self.submit(handle, institution, updates, assignment, lease).await;
                // Else the answer gets lost, and it submits again.
                if choice == 4 {
                    self.held = None;
                }
            }
            (_, None) => {}
        }
    }

    async fn submit(
        &mut self,
        handle: &Handle,
        institution: &'static str,
        updates: &Updates,
        assignment: Assignment,
        lease: Lease,
    ) {
        let round = assignment.id.round;
        let answer = match &assignment.work {
            Work::Statistics => {
                handle.submit_statistics(testing::statistics(&assignment, &lease.token).into_inner()).await
            }
            Work::Training(_) => {
                let (path, blob) = &updates.made[&(round, institution)];
                upload(handle, institution, path, *blob);
                handle.submit_update(update(&assignment, &lease.token, *blob)).await
            }
        };
        match answer {
            Ok(at) => self.acknowledged.push((round, at)),
            // The lease has run out meanwhile: it is accepted again.
            Err(_) => self.held = None,
        }
    }
}

/// Runs one job to its end under the trouble that `seed` brings.
async fn run(seed: u64, trouble: bool, updates: &Updates) -> Digest {
    let mut chance = rng(seed);
    let bench = Bench::new();
    let mut handle = bench.start(seed).await;
    let id = submit(&handle, ROUNDS).await;
    let mut clients = NAMES.map(|name| (name, Client::default()));
    for step in 0..5000_u64 {
        let job = handle.job(&id).unwrap();
        if job.has_ended() {
            verify(&job, &clients);
            return handle.release(None).unwrap().specialists[0].weights;
        }
        if matches!(job.state, crate::domain::JobState::Paused { .. }) {
            handle.resume_job(id.clone()).await.unwrap();
        }
        if job.task().is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if trouble && chance.random_ratio(1, 50) {
                handle = bench.start(seed + step).await;
            }
            continue;
        }
        let (institution, client) = clients.choose_mut_by(&mut chance);
        client.act(&handle, institution, updates, chance.random_range(2..5)).await;
        if !trouble {
            continue;
        }
        client.act(&handle, institution, updates, chance.random_range(0..5)).await;
        match chance.random_range(0..20) {
            0 => handle = bench.start(seed + step).await,
            1 => {
                bench.clock.advance(LEASE);
                handle.tick().await;
            }
            _ => {}
        }
    }
    panic!("seed {seed}: the job does not end: {:?}", handle.job(&id).unwrap().state);
}

trait Choose {
    fn choose_mut_by(&mut self, rng: &mut ChaCha12Rng) -> &mut (&'static str, Client);
}

impl Choose for [(&'static str, Client); 2] {
    fn choose_mut_by(&mut self, rng: &mut ChaCha12Rng) -> &mut (&'static str, Client) {
        let index = *[0, 1].choose(rng).unwrap();
        &mut self[index]
    }
}

/// Each round that was closed complete counts one update of each institution, and each of those was
/// acknowledged; no update was acknowledged with two different times.
fn verify(job: &Job, clients: &[(&'static str, Client); 2]) {
    let complete: Vec<_> = job.history.iter().filter(|closed| closed.complete).collect();
    let purposes: Vec<_> = complete.iter().map(|closed| closed.round.purpose).collect();
    assert_eq!(purposes, [Purpose::Statistics, Purpose::Train(0), Purpose::Train(1)]);
    for (institution, client) in clients {
        let mut times = client.acknowledged.clone();
        times.sort();
        times.dedup();
        let mut rounds: Vec<_> = times.iter().map(|(round, _)| *round).collect();
        rounds.dedup();
        assert_eq!(rounds.len(), times.len(), "{institution}: one receipt a round: {times:?}");
    }
    for closed in complete {
        let counted: Vec<_> = closed.round.contributions().map(|(name, _)| name.as_str()).collect();
        assert_eq!(counted, NAMES);
        let digests = closed.round.contributions().filter_map(|(_, contribution)| match contribution {
            Contribution::Update { weights, .. } => Some(weights.digest),
            Contribution::Statistics(_) => None,
        });
        let mut digests: Vec<_> = digests.map(Digest::to_hex).collect();
        let all = digests.len();
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), all);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_come_out_whatever_happens() {
    let updates = Updates::make();
    let calm = run(0, false, &updates).await;
    for seed in 1..=6 {
        assert_eq!(run(seed, true, &updates).await, calm, "seed {seed}");
    }
}
