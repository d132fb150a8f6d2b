//! An institution's machine over time: it runs the real daemon of `eosfed-client`, which is stopped or killed
//! at any moment and started again from its journal.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use eosfed_client::daemon::{
    Daemon, DaemonError, Environment, Intervals, Parts, TaskSettings, Traces, Unwatched,
};
use eosfed_client::offload::Blocking;
use eosfed_client::site::{Credentials, Site};
use eosfed_client::site_log::{SiteLog, SiteLogSettings};
use eosfed_common::clock::Timestamp;
use eosfed_common::secret::Secret;
use eosfed_common::signing::PinnedKeys;
use eosfed_common::task::DeviceChoice;
use eosfed_testkit::signing;
use eosfed_transport::keys::KeyAndCertificate;
use eosfed_transport::meter::Meter;
use rand::SeedableRng as _;
use rand_chacha::ChaCha12Rng;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::clock::START;
use crate::connection::Connection;
use crate::disk::Died;
use crate::trainer::Machine;
use crate::world::said;

const HEARTBEAT: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_secs(120);
const DAY: u64 = 86_400_000;

/// Everything outside of the daemon, simulated.
struct Simulation;

impl Environment for Simulation {
    type Coordinator = Connection;
    type Trainer = Machine;
    type Imagery = Machine;
    type Journal = Machine;
}

/// How a daemon has ended.
enum Ended {
    /// It has returned.
    Returned(Result<(), DaemonError>),
    /// It has panicked.
    Panicked(String),
    /// Its machine has died.
    Died,
}

impl Machine {
    /// Runs until the world ends.
    pub async fn live(self) {
        self.rest(0..=600_000).await;
        loop {
            match Box::pin(self.run_daemon()).await {
                Ended::Died | Ended::Returned(Ok(())) => self.note("down"),
                Ended::Returned(Err(error)) => self.world.lock().fail(format!("{self:?}: {error}")),
                Ended::Panicked(why) => self.world.lock().fail(format!("{self:?}: a daemon panicked: {why}")),
            }
            let away = self.world.lock().strikes(5);
            self.rest(if away { 1000..=DAY } else { 1000..=3 * 3_600_000 }).await;
            self.note("up");
        }
    }

    /// Runs the daemon from its journal until something ends it.
    async fn run_daemon(&self) -> Ended {
        let token = CancellationToken::new();
        let daemon = match Daemon::new(self.parts(), token.clone()) {
            Ok(daemon) => daemon,
            Err(error) => return Ended::Returned(Err(error)),
        };
        let mut running = pin!(caught(daemon.run()));
        tokio::select! {
            biased;
            ended = &mut running => return ended,
            () = self.lifetime() => {}
        }
        if self.world.lock().strikes(3) {
            token.cancel();
            return running.await;
        }
        Ended::Died
    }

    /// Waits until the daemon must end.
    async fn lifetime(&self) {
        self.rest(600_000..=8 * 3_600_000).await;
        while !self.world.lock().has_faults() {
            sleep(Duration::from_millis(DAY)).await;
        }
    }

    async fn rest(&self, range: std::ops::RangeInclusive<u64>) {
        let pause = self.world.lock().draw(range);
        sleep(Duration::from_millis(pause)).await;
    }

    fn note(&self, what: &str) {
        self.world.lock().note(&format!("site {} is {what}", self.index));
    }

    fn parts(&self) -> Parts<Simulation> {
        let mut world = self.world.lock();
        let clock = world.right_clock();
        let seed = world.draw(0..=u64::MAX);
        let institution = world.site_mut(self.index).name.clone();
        let credentials = Credentials {
            pair: KeyAndCertificate { key_pem: Secret::new(String::new()), certificate_pem: String::new() },
            ca_pem: String::new(),
            signing_key: Some(signing::institution(institution.as_str())),
            pinned: PinnedKeys::default(),
            institution,
            not_before: START,
            not_after: Timestamp(u64::MAX),
        };
        Parts {
            coordinator: Connection::new(Arc::clone(&self.world), self.index),
            trainer: self.clone(),
            imagery: self.clone(),
            journal: self.clone(),
            policy: Arc::new(self.clone()),
            data_set_policies: Default::default(),
            disk: Arc::new(self.clone()),
            log: SiteLog::new(
                &self.folder.join("site-log"),
                SiteLogSettings::default(),
                Arc::new(clock.clone()),
            ),
            site: Site::at(&self.folder),
            watcher: Arc::new(Unwatched),
            credentials,
            meter: Meter::default(),
            traces: Traces::default(),
            task: TaskSettings {
                dataset: "nowhere".into(),
                device: DeviceChoice::Cpu,
                threads: None,
                pretrained: Default::default(),
                samples: None,
                carbon_intensity: None,
            },
            intervals: Intervals { poll: POLL, ..Intervals::with_heartbeat(HEARTBEAT) },
            blocking: Blocking::Inline,
            clock: Arc::new(clock),
            rng: ChaCha12Rng::seed_from_u64(seed),
            once: false,
        }
    }
}

/// The end of a daemon, which may panic.
async fn caught(daemon: impl Future<Output = Result<(), DaemonError>>) -> Ended {
    let mut daemon = pin!(daemon);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| daemon.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(ended)) => Poll::Ready(Ended::Returned(ended)),
        Err(panic) if panic.is::<Died>() => Poll::Ready(Ended::Died),
        Err(panic) => Poll::Ready(Ended::Panicked(said(&*panic))),
    })
    .await
}
