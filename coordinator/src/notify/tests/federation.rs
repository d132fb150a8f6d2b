//! A whole notifier on a federation: retries, bounded queues, restarts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::plan::JobSpec;
use eosfed_testkit::signing;
use tokio::task::JoinHandle;

use super::hook::{Answer, Hook, Posted};
use crate::disk::{DiskGuard, DiskSettings};
use crate::engine::{Core, Handle, Options};
use crate::metrics::Metrics;
use crate::notify::look::Around;
use crate::notify::notification::Notification;
use crate::notify::retry::Pauses;
use crate::notify::run::{Limits, Notifier};
use crate::notify::settings::NotifySettings;
use crate::storage::{FileBlobs, MemoryStore, STAGING, Store as _, ready};
use crate::testing::{ONE_SHOT, enrolled, key, name, rng};
use crate::traffic::Traffic;

const LIMITS: Limits = Limits {
    queue: 3,
    parallel: 2,
    pauses: Pauses { first: Duration::from_millis(20), longest: Duration::from_millis(200) },
    look_every: Duration::from_millis(20),
};

/// A federation that submits jobs and tells of it.
struct Bench {
    folder: tempfile::TempDir,
    store: MemoryStore,
    engine: Handle,
    metrics: Arc<Metrics>,
}

impl Bench {
    async fn new() -> Self {
        let (folder, store) = (tempfile::tempdir().unwrap(), MemoryStore::default());
        ready(store.commit(&enrolled(&["east", "west"]), &[])).unwrap();
        let blobs = Arc::new(FileBlobs::open(folder.path()).unwrap());
        let options = Options::new(folder.path().join(STAGING), signing::coordinator().key().clone());
        let clock = Arc::new(SystemClock);
        let engine = Handle::start(Box::new(store.clone()), blobs, clock, rng(1), options).await.unwrap();
        Self { folder, store, engine, metrics: Arc::default() }
    }

    /// Submits this number of jobs.
    async fn submit(&self, jobs: std::ops::Range<u64>) {
        for at in jobs {
            let submit = async move |core: &Core| {
                let spec = JobSpec::parse(ONE_SHOT).unwrap();
                core.submit_job(spec, &name("ada"), key(at)).await
            };
            self.engine.call(submit).await.unwrap();
        }
    }

    fn around(&self, warn_below_mb: u64) -> Around {
        let levels = DiskSettings { warn_below_mb, stop_below_mb: 0 };
        Around {
            engine: self.engine.clone(),
            traffic: Traffic::new(Arc::new(SystemClock)),
            disk: DiskGuard::new(self.folder.path().to_owned(), levels),
            authority_ends: SystemClock.now().plus(Duration::from_secs(86_400 * 3650)),
            started_at: self.engine.now(),
            coordinator: "https://eo.example.org".into(),
        }
    }

    /// Starts to notify; ends when the handle is aborted.
    fn notify(&self, keys: &str, around: Around) -> JoinHandle<()> {
        self.notifier(&[named("ops", keys)], around).1
    }

    /// Starts to notify these receivers, which can be replaced.
    fn notifier(&self, settings: &[NotifySettings], around: Around) -> (Arc<Notifier>, JoinHandle<()>) {
        let file = self.folder.path().join("notifications.json");
        let mut notifier = Notifier::open(settings, file, Arc::clone(&self.metrics)).unwrap();
        notifier.limits = LIMITS;
        let notifier = Arc::new(notifier);
        let running = Arc::clone(&notifier);
        (notifier, tokio::spawn(async move { running.run(around).await }))
    }

    /// The value of a series of a counter or gauge.
    fn value(&self, series: &str) -> Option<u64> {
        let text = self.metrics.encode().unwrap();
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.trim().parse::<f64>().ok())
            .map(|it| it as u64)
    }

    async fn wait_for(&self, series: &str, value: u64) {
        for _ in 0..1500 {
            if self.value(series) == Some(value) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{series} is {:?}, not {value}", self.value(series));
    }

    /// Waits until the file says that the receiver has had the event of this number.
    async fn noted(&self, sequence: u64) {
        let file = self.folder.path().join("notifications.json");
        for _ in 0..1500 {
            let places: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            if places["receivers"]["ops"]["next"].as_u64() > Some(sequence) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{sequence} is not noted in {}", file.display());
    }

    fn counted(outcome: &str) -> String {
        format!("eosfed_notifications_total{{receiver=\"ops\",outcome=\"{outcome}\"}}")
    }
}

fn named(name: &str, keys: &str) -> NotifySettings {
    toml::from_str(&format!("name = \"{name}\"\n{keys}")).unwrap()
}

const WAITING: &str = "eosfed_notifications_waiting{receiver=\"ops\"}";

fn webhook(hook: &Hook, more: &str) -> String {
    format!("webhook = \"http://127.0.0.1:{}/\"\ntimeout = \"1s\"\n{more}", hook.port)
}

fn sequences(hook: &Hook) -> Vec<u64> {
    let body = |body: &[u8]| serde_json::from_slice::<Notification>(body).unwrap();
    hook.posted().iter().filter_map(|one| body(&one.body).sequence).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_that_fails_is_sent_again_before_the_next() {
    let bench = Bench::new().await;
    let hook = Hook::start(false, [500, 503].map(|status| Answer::Status(status, String::new()))).await;
    let notifying = bench.notify(&webhook(&hook, "events = [\"job_submitted\"]"), bench.around(0));
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench.submit(0..2).await;
    let posted = hook.wait_for(4).await;
    assert!(posted[0].body == posted[1].body && posted[1].body == posted[2].body);
    let last: Notification = serde_json::from_slice(&posted[3].body).unwrap();
    assert!(last.message.starts_with("operator:ada has submitted "), "{}", last.message);
    assert!(last.job.is_some() && last.job_name.is_some(), "{last:?}");
    bench.wait_for(&Bench::counted("delivered"), 2).await;
    notifying.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_neither_delays_the_engine_nor_fills_memory() {
    let bench = Bench::new().await;
    let hook = Hook::start(false, std::iter::repeat_n(Answer::Silence, 1000)).await;
    let notifying = bench.notify(&webhook(&hook, "events = [\"job_submitted\"]"), bench.around(0));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    bench.submit(0..1).await;
    hook.wait_for(1).await;
    bench.submit(1..20).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // One is being sent, three wait, and the oldest of the others were dropped.
    bench.wait_for(&Bench::counted("dropped"), 16).await;
    bench.wait_for(WAITING, 4).await;
    assert_eq!(bench.value(&Bench::counted("delivered")), Some(0));
    notifying.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_delivered_before_a_restart_is_delivered_after_it_and_nothing_twice() {
    let bench = Bench::new().await;
    let answers = [Answer::Status(200, String::new()), Answer::Silence];
    let hook = Hook::start(false, answers).await;
    let keys = webhook(&hook, "events = [\"job_submitted\"]");
    let notifying = bench.notify(&keys, bench.around(0));
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench.submit(0..3).await;
    hook.wait_for(2).await;
    // The first was delivered, the second hangs, the third waits.
    notifying.abort();
    let _ = notifying.await;
    bench.submit(3..4).await;
    let notifying = bench.notify(&keys, bench.around(0));
    let posted = hook.wait_for(5).await;
    let ids: Vec<_> = posted.iter().map(|one| one.headers["eosfed-delivery"].clone()).collect();
    assert_eq!(ids[1], ids[2], "the one under way is sent again, with its id");
    let sent = sequences(&hook);
    assert!(sent[2..].is_sorted_by(|a, b| a < b) && sent[0] < sent[1], "{sent:?}");
    bench.wait_for(&Bench::counted("delivered"), 4).await;
    bench.noted(sequences(&hook)[4]).await;
    notifying.abort();
    let _ = notifying.await;
    let notifying = bench.notify(&keys, bench.around(0));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(hook.posted().len(), 5, "nothing is sent again");
    assert!(bench.store.events(0, 1).await.is_ok());
    notifying.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_is_given_up_in_time_and_the_next_is_sent() {
    let bench = Bench::new().await;
    let failing = [500, 400].map(|status| Answer::Status(status, String::new()));
    let hook = Hook::start(false, failing).await;
    let keys = webhook(&hook, "events = [\"job_submitted\"]\nretry_for = \"0s\"");
    let notifying = bench.notify(&keys, bench.around(0));
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench.submit(0..3).await;
    bench.wait_for(&Bench::counted("delivered"), 1).await;
    assert_eq!(bench.value(&Bench::counted("failed")), Some(2));
    assert!(sequences(&hook).is_sorted_by(|a, b| a < b), "{:?}", sequences(&hook));
    notifying.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_low_disk_is_told_once_also_after_a_restart_and_again_when_it_comes_back() {
    let bench = Bench::new().await;
    let hook = Hook::start(false, []).await;
    let keys = webhook(&hook, "events = [\"disk_low\", \"institution_silent\"]");
    let low = u64::MAX / 1_000_000;
    let end = async |notifying: JoinHandle<()>| {
        notifying.abort();
        let _ = notifying.await;
    };
    let notifying = bench.notify(&keys, bench.around(low));
    hook.wait_for(1).await;
    bench.wait_for(&Bench::counted("delivered"), 1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    end(notifying).await;
    let notifying = bench.notify(&keys, bench.around(low));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let told: Notification = serde_json::from_slice(&hook.posted()[0].body).unwrap();
    assert!(told.message.contains(" free, less than its warning level"), "{}", told.message);
    assert_eq!(hook.posted().len(), 1, "it is still low");
    end(notifying).await;
    let notifying = bench.notify(&keys, bench.around(0));
    tokio::time::sleep(Duration::from_millis(400)).await;
    end(notifying).await;
    let notifying = bench.notify(&keys, bench.around(low));
    let posted = hook.wait_for(2).await;
    assert_ne!(posted[0].headers["eosfed-delivery"], posted[1].headers["eosfed-delivery"]);
    notifying.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn institutions_are_silent_after_ten_minutes_and_not_right_after_a_start() {
    let bench = Bench::new().await;
    let around = bench.around(0);
    let seen = around.look();
    assert!(seen.present.is_empty() && seen.unknown.len() == 2, "{seen:?}");
    let long_ago = eosfed_common::clock::Timestamp(around.started_at.0 - 601_000);
    let around = Around { started_at: long_ago, ..around };
    let _ = around.traffic.note(&eosfed_common::identity::Identity::institution(name("east")));
    let seen = around.look();
    let said: Vec<_> = seen.present.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(said, ["west: Its client has not called since the coordinator was started."]);
    assert_eq!(seen.present[0].institution, Some(name("west")));
    assert!(seen.unknown.is_empty(), "{seen:?}");
}

const JOBS: &str = "events = [\"job_submitted\"]";

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_receiver_goes_on_where_it_was() {
    let bench = Bench::new().await;
    let silent = Hook::start(false, std::iter::repeat_n(Answer::Silence, 1000)).await;
    let slow = named("ops", &webhook(&silent, JOBS).replace("1s", "600s"));
    let (notifier, notifying) = bench.notifier(&[slow], bench.around(0));
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench.submit(0..3).await;
    // One is being sent and gets no answer, two wait.
    silent.wait_for(1).await;
    bench.wait_for(WAITING, 3).await;
    let hook = Hook::start(false, []).await;
    notifier.prepare(&[named("ops", &webhook(&hook, JOBS))]).unwrap().apply();
    let posted = hook.wait_for(3).await;
    let id = |one: &Posted| one.headers["eosfed-delivery"].clone();
    assert_eq!(id(&posted[0]), id(&silent.posted()[0]), "the one under way is sent again, with its id");
    bench.submit(3..4).await;
    hook.wait_for(4).await;
    let sent = sequences(&hook);
    assert!(sent.is_sorted_by(|a, b| a < b), "{sent:?}");
    bench.wait_for(WAITING, 0).await;
    assert_eq!(silent.posted().len(), 1);
    notifying.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_receiver_begins_a_removed_one_ends_and_others_are_not_disturbed() {
    let bench = Bench::new().await;
    let (stays, leaves, comes) = (
        Hook::start(false, [Answer::Silence]).await,
        Hook::start(false, []).await,
        Hook::start(false, []).await,
    );
    let slow = named("stays", &webhook(&stays, JOBS).replace("1s", "600s"));
    let first = [slow.clone(), named("leaves", &webhook(&leaves, JOBS))];
    let (notifier, notifying) = bench.notifier(&first, bench.around(0));
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench.submit(0..1).await;
    leaves.wait_for(1).await;
    stays.wait_for(1).await;
    let second = [slow, named("comes", &webhook(&comes, JOBS))];
    notifier.prepare(&second).unwrap().apply();
    bench.wait_for("eosfed_notifications_waiting{receiver=\"comes\"}", 0).await;
    bench.submit(1..2).await;
    comes.wait_for(1).await;
    assert!(sequences(&comes)[0] > sequences(&leaves)[0], "it is told of what happens from now on");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((stays.posted().len(), leaves.posted().len()), (1, 1), "one still waits for its answer");
    let file = std::fs::read_to_string(bench.folder.path().join("notifications.json")).unwrap();
    assert!(file.contains("stays") && file.contains("comes") && !file.contains("leaves"), "{file}");
    assert_eq!(bench.value("eosfed_notifications_waiting{receiver=\"leaves\"}"), None);
    notifying.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_cannot_be_used_replace_nobody() {
    let bench = Bench::new().await;
    let hook = Hook::start(false, []).await;
    let (notifier, notifying) = bench.notifier(&[named("ops", &webhook(&hook, JOBS))], bench.around(0));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let wrong = [named("ops", &webhook(&hook, "")), named("page", "command = [\"/nowhere/page\"]")];
    let why = format!("{:#}", notifier.prepare(&wrong).unwrap_err());
    assert!(why.contains("`[[notify]]` `page`") && why.contains("/nowhere/page cannot be run"), "{why}");
    bench.submit(0..1).await;
    assert_eq!(hook.wait_for(1).await.len(), 1);
    notifying.abort();
}
