//! All that a daemon needs, in a temporary folder: imagery, a joined state folder, a training program of
//! a few lines of shell, and the fake coordinator behind TLS.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use eosfed_client::coordinator::GrpcCoordinator;
use eosfed_client::daemon::{
    Daemon, DaemonError, Intervals, Parts, Programs, SystemDisk, TaskSettings, Traces, Unwatched,
};
use eosfed_client::egress::PolicyFile;
use eosfed_client::imagery::FileImagery;
use eosfed_client::journal::{Journal as _, SiteJournal};
use eosfed_client::offload::Blocking;
use eosfed_client::retry::Backoff;
use eosfed_client::sandbox::TrainerLimits;
use eosfed_client::site::Site;
use eosfed_client::site_log::{SiteLog, SiteLogSettings};
use eosfed_client::state::State;
use eosfed_client::trainer::TrainerCommand;
use eosfed_common::assignment::Assignment;
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::identity::Identity;
use eosfed_common::model::{initial_weights, signature};
use eosfed_common::plan::JobKind;
use eosfed_common::private::create_private_folder;
use eosfed_common::task::DeviceChoice;
use eosfed_common::weights::write;
use eosfed_coordinator::tls::{Authority, LiveConnections, ServerTls};
use eosfed_data::{Raster, write_geotiff};
use eosfed_proto::v1::blobs_server::BlobsServer;
use eosfed_proto::v1::enrollment_server::EnrollmentServer;
use eosfed_proto::v1::participant_server::ParticipantServer;
use eosfed_testkit::assignments;
pub(crate) use eosfed_testkit::assignments::statistics;
use eosfed_testkit::cards::classifier;
use eosfed_testkit::signing;
use eosfed_transport::channel::ChannelOptions;
use eosfed_transport::keys::{KeyAndCertificate, KeyAndRequest};
use eosfed_transport::meter::Meter;
use rand::SeedableRng as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fake::Fake;

pub(crate) const POLICY: &str = r#"
may_leave = ["frozen_weights", "updates", "metrics", "statistics", "provenance", "failures"]
approval = "automatic"
min_samples = 1
min_steps = 1
[allow]
job_kinds = ["one-shot", "rounds"]
tasks = ["classification"]
backbones = ["convnextv2_atto"]
strategies = ["fed-avg"]
"#;

/// Says that it has started; what follows is each test's.
pub(crate) const STARTED: &str = r#"
out=$(dirname "$2")
echo '{"event":"started","device":"cpu","steps":4,"resumed_at":0,"training_samples":9,"validation_samples":3,"warnings":[]}'
echo '{"event":"epoch","epoch":1,"step":2,"loss":0.7,"learning_rate":0.1,"metrics":{"accuracy":0.5}}'
"#;

/// Finishes with the weights in `$WEIGHTS`, which the script's head sets.
pub(crate) const FINISHED: &str = r#"
cp "$WEIGHTS" "$out/weights.safetensors"
echo '{"event":"epoch","epoch":2,"step":4,"loss":0.4,"learning_rate":0.0,"metrics":{"accuracy":0.8}}'
echo '{"event":"finished","steps":4,"report":{"samples":9,"normalisation":[{"band":"red","mean":1.0,"std":2.0}],"metrics":{"accuracy":0.8},"energy":{"kwh":0.0,"source":"unavailable"}}}'
"#;

/// The same from a file of timm's.
pub(crate) fn finished_from_a_file(digest: &str) -> String {
    let initial = format!(r#""initial":{{"file":"atto.safetensors","digest":"{digest}"}},"energy""#);
    FINISHED.replace("\"energy\"", &initial)
}

/// Training of a specialist by this institution alone.
pub(crate) fn training() -> Assignment {
    assignments::training(JobKind::OneShot)
}

/// Weights of the model, good and with one value that is no number.
pub(crate) static WEIGHTS: LazyLock<(tempfile::TempDir, PathBuf, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
    let (signature, mut tensors) = (signature(&classifier()), initial_weights(&classifier(), 1));
    write(&good, &signature, &tensors).unwrap();
    tensors.values_mut().next().unwrap()[0] = f32::NAN;
    write(&bad, &signature, &tensors).unwrap();
    (folder, good, bad)
});

pub(crate) struct World {
    folder: tempfile::TempDir,
    pub(crate) fake: Fake,
    /// How the daemon reaches the coordinator.
    pub(crate) way: ChannelOptions,
    url: String,
    server: JoinHandle<()>,
    /// The authority that the identity trusts.
    pub(crate) authority: Arc<Authority>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl World {
    /// A world whose trainer runs this script.
    pub(crate) async fn new(assignment: Assignment, script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        imagery(folder.path(), 32);
        let state = folder.path().join("state");
        create_private_folder(&state).unwrap();
        std::fs::write(state.join("policy.toml"), POLICY).unwrap();
        let weights = WEIGHTS.1.display();
        std::fs::write(folder.path().join("trainer"), format!("WEIGHTS={weights}\n{script}")).unwrap();
        let now = SystemClock.now();
        let authority = Authority::open(&Authority::create(now).unwrap()).unwrap();
        let day = Duration::from_secs(86_400);
        let KeyAndRequest { key_pem, request_pem } = KeyAndRequest::generate("west").unwrap();
        let identity = Identity::institution("west".parse().unwrap());
        let certificate_pem = authority.certify(&request_pem, &identity, now, day).unwrap();
        let pair = KeyAndCertificate { key_pem, certificate_pem };
        let site = Site::at(&state);
        site.replace_identity(&pair, authority.certificate_pem()).unwrap();
        site.replace_signing_key(&signing::institution("west")).unwrap();
        let tls = authority.server(&["localhost".to_owned()], now, day).unwrap();
        let tls = ServerTls::new(&tls, authority.certificate_pem()).unwrap();
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let fake = Fake::offering(assignment);
        let served = tonic::transport::Server::builder()
            .add_service(ParticipantServer::new(fake.clone()))
            .add_service(BlobsServer::new(fake.clone()))
            .add_service(EnrollmentServer::new(fake.clone()))
            .serve_with_incoming(tls.incoming(listener, LiveConnections::new(Arc::new(SystemClock))));
        let server = tokio::spawn(async move { served.await.unwrap() });
        let authority = Arc::new(authority);
        Self { folder, fake, way: ChannelOptions::default(), url, server, authority }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The coordinator as the daemon calls it.
    pub(crate) fn coordinator(&self) -> GrpcCoordinator {
        self.coordinator_by(self.way.clone())
    }

    /// The coordinator, by another way.
    pub(crate) fn coordinator_by(&self, way: ChannelOptions) -> GrpcCoordinator {
        let credentials = self.site().credentials().unwrap();
        GrpcCoordinator::with_options(way, &self.url, &credentials, Meter::default()).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn site(&self) -> Site {
        Site::at(&self.path("state"))
    }

    /// What the daemon is made of, with intervals for a test.
    pub(crate) fn parts(&self) -> Parts<Programs> {
        let site = self.site();
        let credentials = site.credentials().unwrap();
        let meter = Meter::default();
        let fast = Duration::from_millis(40);
        let dataset = self.path("imagery");
        Parts {
            coordinator: GrpcCoordinator::with_options(
                self.way.clone(),
                &self.url,
                &credentials,
                meter.clone(),
            )
            .unwrap(),
            trainer: TrainerCommand {
                launcher: vec!["sh".to_owned()],
                program: self.path("trainer"),
                sandbox: None,
                limits: TrainerLimits::default(),
                trace: Default::default(),
                lane: 0,
            },
            imagery: FileImagery {
                dataset: dataset.clone().into(),
                samples: None,
                blocking: Blocking::ThreadPool,
            },
            journal: SiteJournal::of(&site, 0),
            policy: Arc::new(PolicyFile(site.policy())),
            data_set_policies: Default::default(),
            disk: Arc::new(SystemDisk),
            log: SiteLog::new(&site.log(), SiteLogSettings::default(), Arc::new(SystemClock)),
            site,
            watcher: Arc::new(Unwatched),
            credentials,
            meter,
            traces: Traces::default(),
            task: TaskSettings {
                dataset: dataset.into(),
                device: DeviceChoice::Cpu,
                threads: None,
                pretrained: BTreeMap::new(),
                samples: None,
                carbon_intensity: None,
            },
            intervals: Intervals {
                heartbeat: fast,
                poll: fast,
                postponed_poll: fast,
                backoff: Backoff { first: fast, limit: fast },
                policy_settle: fast,
                condition_timeout: Duration::from_secs(60),
            },
            blocking: Blocking::ThreadPool,
            clock: Arc::new(SystemClock),
            rng: rand_chacha::ChaCha12Rng::seed_from_u64(3),
            once: true,
        }
    }

    /// Replaces the site policy, as `join --policy` writes it.
    pub(crate) fn set_policy(&self, text: &str) {
        self.site().write("policy.toml", text.as_bytes()).unwrap();
    }

    /// Runs the daemon until its one assignment has come to its end.
    pub(crate) async fn run(&self) {
        let daemon = Daemon::new(self.parts(), CancellationToken::new()).unwrap();
        tokio::time::timeout(Duration::from_secs(60), daemon.run()).await.expect("in time").unwrap();
        assert_eq!(self.state(), State::default());
        let left = std::fs::read_dir(self.site().work()).map_or(0, Iterator::count);
        assert_eq!(left, 0, "folders of assignments are removed");
    }

    /// Starts the daemon beside the test.
    pub(crate) fn start(&self) -> (CancellationToken, JoinHandle<Result<(), DaemonError>>) {
        self.start_with(|_| {})
    }

    /// The same, made of other parts.
    pub(crate) fn start_with(
        &self,
        change: impl FnOnce(&mut Parts<Programs>),
    ) -> (CancellationToken, JoinHandle<Result<(), DaemonError>>) {
        let mut parts = self.parts();
        change(&mut parts);
        let cancel = CancellationToken::new();
        (cancel.clone(), tokio::spawn(Daemon::new(parts, cancel).unwrap().run()))
    }

    pub(crate) fn state(&self) -> State {
        SiteJournal::of(&self.site(), 0).load().unwrap()
    }

    /// Starts the daemon, lets it come into a phase and ends it as a crash would.
    pub(crate) async fn crash_in(&self, phase: &str) {
        self.crash_when(|| self.state().name() == phase).await;
        assert_eq!(self.state().name(), phase);
    }

    /// Starts the daemon and ends it as a crash would, shortly after this holds.
    pub(crate) async fn crash_when(&self, holds: impl Fn() -> bool) {
        let (_cancel, task) = self.start();
        until(holds).await;
        // Give the phase time to do some of its work.
        tokio::time::sleep(Duration::from_millis(200)).await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
}

pub(crate) async fn until(holds: impl Fn() -> bool) {
    for _ in 0..3000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain");
}

/// A data set of square images with this side in pixels.
pub(crate) fn imagery(folder: &Path, side: usize) {
    for class in ["a", "b"] {
        let images = folder.join("imagery/images").join(class);
        std::fs::create_dir_all(&images).unwrap();
        for image in 0..12_u8 {
            let value = f32::from(image) + if class == "a" { 0.0 } else { 100.0 };
            let raster = Raster {
                width: side,
                height: side,
                bands: 1,
                data: vec![value; side * side],
                reference: None,
            };
            write_geotiff(&images.join(format!("{class}{image}.tif")), &raster).unwrap();
        }
    }
    let config = "task = \"classification\"\nbands = [\"red\"]\nclasses = [\"a\", \"b\"]\n\
                  [layout]\nkind = \"folders\"\nroot = \"images\"\n[split]\nvalidation = 0.25\n";
    std::fs::write(folder.join("imagery/dataset.toml"), config).unwrap();
}
