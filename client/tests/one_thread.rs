//! The whole daemon on one thread with paused time: hours pass in milliseconds, and the same seed gives
//! the same events. A simulation can drive it in this way.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use eosfed_client::condition::LocalCondition;
use eosfed_client::coordinator::{Coordinator, Greeting, Issued, OfferGuard, Offers, UploadGuard};
use eosfed_client::daemon::{
    Daemon, DiskSpace, Environment, Intervals, Parts, TaskSettings, Traces, Unwatched,
};
use eosfed_client::data_description::DataDescription;
use eosfed_client::egress::PolicySource;
use eosfed_client::imagery::{Imagery, NotChosen, Serving};
use eosfed_client::journal::Journal;
use eosfed_client::offload::Blocking;
use eosfed_client::policy::Policy;
use eosfed_client::site::{Credentials, Site, SiteError};
use eosfed_client::site_log::{SiteLog, SiteLogSettings};
use eosfed_client::state::{Process, State};
use eosfed_client::trainer::{RunningTrainer, StartError, Task, Trainer};
use eosfed_common::assignment::{
    Assignment, BandMoments, BlobRef, Directive, EvaluationSubmission, LEASE, Lease, StatisticsSubmission,
    UpdateSubmission,
};
use eosfed_common::clock::{Clock, SystemClock, Timestamp};
use eosfed_common::data_statement::{PartSizes, SignedDataStatement};
use eosfed_common::ids::{AssignmentId, DataSetName, LeaseToken};
use eosfed_common::plan::JobKind;
use eosfed_common::policy_summary::SignedPolicySummary;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::secret::Secret;
use eosfed_common::signing::{KeySignature, PinnedKeys};
use eosfed_common::task::{DeviceChoice, TrainTask, TrainerEvent};
use eosfed_common::training_target::TrainingTarget;
use eosfed_common::weights::write;
use eosfed_testkit::assignments::training;
use eosfed_testkit::ids::NOW;
use eosfed_testkit::signing;
use eosfed_testkit::submissions::report;
use eosfed_testkit::training::trained;
use eosfed_transport::channel::ChannelError;
use eosfed_transport::keys::KeyAndCertificate;
use eosfed_transport::meter::Meter;
use eosfed_transport::wire::Heartbeat;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const TRAINING: Duration = Duration::from_secs(5 * 3600);

/// A coordinator with one assignment. Every fourth call or answer is lost.
#[derive(Clone)]
struct Simulated(Arc<Mutex<Inner>>);

struct Inner {
    offer: Option<Assignment>,
    recorded: Vec<UpdateSubmission>,
    chance: ChaCha12Rng,
    trace: Vec<String>,
    began: Instant,
}

impl Simulated {
    fn get(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// One call: it takes a moment, and it or its answer may be lost.
    async fn call<T>(
        &self,
        name: &str,
        answer: impl FnOnce(&mut Inner) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let lost = |inner: &mut Inner| inner.chance.random_ratio(1, 4);
        let (delay, missed) = {
            let mut inner = self.get();
            (inner.chance.random_range(1..2000), lost(&mut inner))
        };
        sleep(Duration::from_millis(delay)).await;
        let mut inner = self.get();
        let line = format!("{} ms {name} {missed}", inner.began.elapsed().as_millis());
        inner.trace.push(line);
        let nothing = || Refusal::new(Reason::Unavailable, "no answer came");
        if missed {
            return Err(nothing());
        }
        let answered = answer(&mut inner);
        if lost(&mut inner) { Err(nothing()) } else { answered }
    }
}

impl Coordinator for Simulated {
    async fn hello(&self) -> Result<Greeting, Refusal> {
        let greeting = Greeting {
            institution: "west".to_owned(),
            coordinator_keys: Vec::new(),
            now: None,
            takes_points: true,
        };
        self.call("hello", |_| Ok(greeting)).await
    }

    async fn poll(&self, _: u64, wait: Duration, _: OfferGuard) -> Result<Offers, Refusal> {
        sleep(wait).await;
        self.call("poll", |inner| {
            let assignments = inner.offer.iter().cloned().collect();
            Ok(Offers { revision: 1, assignments, unknown: Vec::new() })
        })
        .await
    }

    async fn accept(&self, _: &AssignmentId) -> Result<Lease, Refusal> {
        let lease = Lease { token: "0".repeat(32).parse().unwrap(), expires_at: NOW.plus(LEASE) };
        self.call("accept", |_| Ok(lease)).await
    }

    async fn decline(&self, _: &AssignmentId, why: Refusal) -> Result<(), Refusal> {
        panic!("nothing is declined: {why}")
    }

    async fn heartbeat(&self, _: Heartbeat) -> Result<Directive, Refusal> {
        self.call("heartbeat", |_| Ok(Directive::Continue(Timestamp(u64::MAX)))).await
    }

    async fn download(&self, _: BlobRef, _: &Path) -> Result<(), Refusal> {
        panic!("there is nothing to download")
    }

    async fn upload(&self, _: &Path, _: BlobRef, guard: UploadGuard) -> Result<(), Refusal> {
        guard(1).unwrap();
        self.call("upload", |_| Ok(())).await
    }

    async fn submit_update(&self, update: UpdateSubmission) -> Result<Timestamp, Refusal> {
        self.call("submit", |inner| {
            inner.offer = None;
            inner.recorded.push(update);
            Ok(NOW)
        })
        .await
    }

    async fn submit_statistics(&self, _: StatisticsSubmission) -> Result<Timestamp, Refusal> {
        panic!("no statistics are asked for")
    }

    async fn submit_evaluation(&self, _: EvaluationSubmission) -> Result<Timestamp, Refusal> {
        panic!("no scores are asked for")
    }

    async fn report_failure(&self, _: &AssignmentId, _: &LeaseToken, why: &Refusal) -> Result<(), Refusal> {
        panic!("nothing fails: {why}")
    }

    async fn state_data(&self, _: SignedDataStatement) -> Result<(), Refusal> {
        panic!("the policy lets no statement leave")
    }

    async fn share_policy(&self, _: SignedPolicySummary) -> Result<(), Refusal> {
        panic!("the policy lets no summary of itself leave")
    }

    async fn renew(&self, _: String, _: KeySignature) -> Result<Issued, Refusal> {
        panic!("the certificate is young")
    }

    fn replace(&self, _: &Credentials) -> Result<(), ChannelError> {
        Ok(())
    }
}

/// A trainer that takes hours, and weights that follow from the task's seed.
struct SimulatedTrainer;

struct Running(Vec<(Duration, TrainerEvent)>);

impl Trainer for SimulatedTrainer {
    type Running = Running;

    fn ready(&self) -> Result<(), LocalCondition> {
        Ok(())
    }

    async fn room(&self, _: DeviceChoice, _: &Path) -> Result<(), LocalCondition> {
        Ok(())
    }

    fn start(&self, task: &Task, folder: &Path, _: u8) -> Result<Running, StartError> {
        let Task::Train(task) = task else { panic!("only training is asked for") };
        let signature = task.training_target.signature();
        let weights = trained(&signature, task.seed, None);
        write(&folder.join(TrainTask::WEIGHTS), &signature, &weights).unwrap();
        let progress = TrainerEvent::Progress { step: 1, loss: 0.5 };
        let finished = TrainerEvent::Finished {
            steps: 2,
            report: report(9, Vec::new()),
            statistics: Vec::new(),
            start_metrics: BTreeMap::new(),
        };
        Ok(Running(vec![(TRAINING / 2, finished), (TRAINING / 2, progress)]))
    }

    async fn reap(&self, _: Process) {}
}

impl RunningTrainer for Running {
    fn process(&self) -> Process {
        Process { pid: 1, start_ticks: 1 }
    }

    async fn next(&mut self) -> Option<Result<TrainerEvent, String>> {
        let (after, _) = self.0.last()?;
        sleep(*after).await;
        self.0.pop().map(|(_, event)| Ok(event))
    }

    async fn end(&mut self) -> Result<(), String> {
        Ok(())
    }

    async fn stop(self) {}
}

#[derive(Clone)]
struct NoImagery;

impl NoImagery {
    fn described(&self) -> DataDescription {
        DataDescription {
            name: String::new(),
            task: eosfed_common::model::Task::Classification,
            bands: vec!["red".to_owned()],
            classes: Vec::new(),
            samples: PartSizes { training: 1000, validation: 0, test: 0 },
            inventory: eosfed_common::digest::Digest::of(b"none"),
        }
    }
}

impl Imagery for NoImagery {
    async fn choose(&self, _: &Assignment) -> Result<Option<DataSetName>, NotChosen> {
        Ok(None)
    }

    async fn missing(&self, _: Option<&DataSetName>) -> Option<LocalCondition> {
        None
    }

    async fn check(&self, _: Option<&DataSetName>, _: &Assignment) -> Result<Serving, Refusal> {
        Ok(Serving { samples: 1000, data: self.described() })
    }

    async fn describe(&self, _: Option<&DataSetName>) -> Result<DataDescription, Refusal> {
        Ok(self.described())
    }

    async fn moments(&self, _: Option<&DataSetName>, _: &[String]) -> Result<Vec<BandMoments>, Refusal> {
        panic!("no statistics are asked for")
    }
}

/// A journal in memory: the data that survive a power cut.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<State>>);

impl Journal for Memory {
    fn load(&self) -> Result<State, SiteError> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn store(&self, state: &State) -> Result<(), SiteError> {
        *self.0.lock().unwrap() = state.clone();
        Ok(())
    }
}

#[derive(Debug)]
struct Everything;

impl PolicySource for Everything {
    fn read(&self) -> Result<Policy, String> {
        let text = "may_leave = [\"frozen_weights\", \"updates\", \"metrics\"]\napproval = \"automatic\"\n[allow]\n\
                    job_kinds = [\"downstream\"]\nstrategies = [\"fed-avg\"]\ntasks = [\"classification\"]\n\
                    backbones = [\"convnextv2_atto\"]";
        toml::from_str(text).map_err(|error: toml::de::Error| error.to_string())
    }
}

struct Endless;

impl DiskSpace for Endless {
    fn free(&self, _: &Path) -> u64 {
        u64::MAX
    }
}

/// A clock that follows tokio's time.
#[derive(Debug)]
struct Follows(Instant);

impl Clock for Follows {
    fn now(&self) -> Timestamp {
        NOW.plus(self.0.elapsed())
    }
}

struct Simulation;

impl Environment for Simulation {
    type Coordinator = Simulated;
    type Trainer = SimulatedTrainer;
    type Imagery = NoImagery;
    type Journal = Memory;
}

/// Training of a small head over an encoder of random weights, so that there is nothing to download.
fn assignment() -> Assignment {
    let mut assignment = training(JobKind::Downstream);
    let TrainingTarget::Head(over) = &mut assignment.training_target else { unreachable!() };
    over.release.specialists.clear();
    let encoder = &mut over.head.encoders[0];
    encoder.weights = None;
    encoder.random_seed = Some(1);
    assignment
}

fn parts(coordinator: Simulated, journal: Memory, folder: &Path, seed: u64) -> Parts<Simulation> {
    let credentials = Credentials {
        pair: KeyAndCertificate { key_pem: Secret::new(String::new()), certificate_pem: String::new() },
        ca_pem: String::new(),
        institution: "west".parse().unwrap(),
        not_before: NOW,
        not_after: Timestamp(u64::MAX),
        signing_key: Some(signing::institution("west")),
        pinned: PinnedKeys::default(),
    };
    Parts {
        coordinator,
        trainer: SimulatedTrainer,
        imagery: NoImagery,
        journal,
        policy: Arc::new(Everything),
        data_set_policies: Default::default(),
        disk: Arc::new(Endless),
        site: Site::at(folder),
        log: SiteLog::new(&folder.join("site-log"), SiteLogSettings::default(), Arc::new(SystemClock)),
        watcher: Arc::new(Unwatched),
        credentials,
        meter: Meter::default(),
        traces: Traces::default(),
        task: TaskSettings {
            dataset: "nowhere".into(),
            device: DeviceChoice::Cpu,
            threads: None,
            pretrained: BTreeMap::new(),
            samples: None,
            carbon_intensity: None,
        },
        intervals: Intervals::with_heartbeat(Duration::from_secs(10)),
        blocking: Blocking::Inline,
        clock: Arc::new(Follows(Instant::now())),
        rng: ChaCha12Rng::seed_from_u64(seed),
        once: true,
    }
}

/// One run: the daemon is killed once in the middle of training and started from its journal.
fn course(seed: u64) -> (Vec<String>, Vec<UpdateSubmission>) {
    let before = threads();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let began = Instant::now();
        let chance = ChaCha12Rng::seed_from_u64(seed);
        let inner =
            Inner { offer: Some(assignment()), recorded: Vec::new(), chance, trace: Vec::new(), began };
        let coordinator = Simulated(Arc::new(Mutex::new(inner)));
        let journal = Memory::default();
        let start = |seed| {
            let parts = parts(coordinator.clone(), journal.clone(), folder.path(), seed);
            Daemon::new(parts, CancellationToken::new()).unwrap().run()
        };
        let killed = tokio::time::timeout(TRAINING / 3, start(seed)).await;
        assert!(killed.is_err(), "it is killed while it trains: {killed:?}");
        assert_eq!(journal.load().unwrap().name(), "training");
        start(seed + 1).await.unwrap();
        assert_eq!(journal.load().unwrap(), State::default());
        assert!(began.elapsed() > TRAINING);
        assert_eq!(threads(), before, "nothing has started a thread");
        let inner = coordinator.get();
        (inner.trace.clone(), inner.recorded.clone())
    })
}

fn threads() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find(|line| line.starts_with("Threads:")).unwrap().to_owned()
}

#[test]
fn the_same_seed_gives_the_same_events_on_one_thread() {
    let mut traces = Vec::new();
    for seed in 0..4 {
        let (trace, recorded) = course(seed);
        assert!(recorded.iter().all(|update| update.key == recorded[0].key), "one key for every try");
        assert!(trace.iter().any(|line| line.contains("heartbeat")));
        assert_eq!(course(seed), (trace.clone(), recorded));
        traces.push(trace);
    }
    traces.dedup();
    assert_eq!(traces.len(), 4, "another seed gives other events");
}
