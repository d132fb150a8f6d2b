//! A network that cuts connections, becomes silent, or disconnects an institution for longer than its lease:
//! sent bytes are not sent again, silence is detected, and late updates are refused with the reason.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use eosfed_e2e::plans::rounds;
use eosfed_e2e::stub::PAUSE;
use eosfed_e2e::{Clock, Federation, Process, Proxy};

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");
/// The weights of the plan's model, in bytes.
const WEIGHTS: u64 = 13_551_688;
/// Bytes up to the middle of a transfer.
const MIDDLE: u64 = 6_000_000;

/// Institutions. The last one, `west`, is behind a proxy.
struct World {
    federation: Federation,
    proxy: Proxy,
    daemons: Vec<Process>,
    coordinator: Process,
}

impl World {
    fn new(others: &[&str], pause: &str) -> Self {
        let federation = Federation::new();
        let coordinator = federation.coordinator();
        Self::around(federation, coordinator, others, pause)
    }

    fn around(federation: Federation, coordinator: Process, others: &[&str], pause: &str) -> Self {
        let proxy = Proxy::before(federation.port());
        for (seed, name) in (1..).zip(others.iter().chain(&["west"])) {
            federation.stubbed(name, seed, STUB);
        }
        federation.through("west", &proxy);
        let start = |name: &&str| {
            let mut command = federation.daemon_command(name);
            command.env(PAUSE, pause);
            federation.start(name, command)
        };
        let daemons = others.iter().chain(&["west"]).map(start).collect();
        Self { federation, proxy, daemons, coordinator }
    }

    fn phase(&self) -> String {
        self.federation.journal("west")["phase"].as_str().unwrap_or("idle").to_owned()
    }

    /// Bytes of west's upload that the coordinator has.
    fn arrived(&self) -> u64 {
        let folder = self.federation.path("coordinator/blobs/partial/west");
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        files.map(|file| file.metadata().map_or(0, |found| found.len())).sum()
    }

    fn log(&self) -> String {
        self.daemons.last().unwrap().log()
    }

    fn finish(self, job: &str) {
        let done = self.federation.wait(job, "the end", |job| job["state"] == "finished");
        let closed = done["history"].as_array().unwrap();
        assert!(closed.iter().all(|round| round["phase"] == "complete"), "{done:#}");
        let ended: Vec<_> = self.daemons.into_iter().map(Process::terminate).collect();
        assert!(ended.iter().all(std::process::ExitStatus::success), "{}", self.federation.logs());
        assert!(self.coordinator.terminate().success());
    }
}

#[test]
fn bytes_that_arrived_before_a_cut_are_not_sent_again() {
    let world = World::new(&["east"], "50");
    let World { federation, proxy, .. } = &world;
    proxy.cut_after_down(MIDDLE);
    let job = federation.submit(&rounds(1, 2, 2, "10m").text());

    federation.until("the download to be cut", || proxy.is_cut());
    assert_eq!(world.phase(), "fetching");
    let downloaded = proxy.down();
    sleep(Duration::from_millis(500));
    proxy.cut_after_up(MIDDLE);
    proxy.pass();
    federation.until("the upload to be cut", || proxy.is_cut());
    assert_eq!(world.phase(), "submitting");
    let down = proxy.down();
    sleep(Duration::from_millis(500));
    let uploaded = proxy.up();
    let arrived = world.arrived();
    assert!((MIDDLE / 2..WEIGHTS).contains(&arrived), "{arrived} bytes of an upload are kept");
    proxy.cut_after_up(MIDDLE / 2);
    proxy.pass();
    federation.until("the upload to be cut again", || proxy.is_cut());
    assert!(world.arrived() > arrived, "it goes on where it was");
    proxy.pass();

    federation.wait(&job, "the end", |job| job["state"] == "finished");
    let up = proxy.up();
    println!("down {downloaded} of {down}, up {uploaded} of {up} bytes for {WEIGHTS} of weights");
    assert!((WEIGHTS..WEIGHTS * 13 / 10).contains(&down), "{down} bytes down for {WEIGHTS}");
    assert!((WEIGHTS..WEIGHTS * 13 / 10).contains(&up), "{up} bytes up for {WEIGHTS}");
    world.finish(&job);
}

#[test]
fn a_silently_dead_connection_is_detected_and_replaced() {
    let world = World::new(&["east"], "50");
    let World { federation, proxy, .. } = &world;
    let job = federation.submit(&rounds(1, 2, 2, "10m").text());
    federation.until("an upload under way", || world.arrived() > 0);
    proxy.forget();
    let forgotten = Instant::now();
    assert_eq!(world.phase(), "submitting");
    federation.wait(&job, "the end", |job| job["state"] == "finished");
    let took = forgotten.elapsed();
    println!("noticed and done {:.0} s after the connection died", took.as_secs_f64());
    // Two intervals of 20 seconds, another try, and the rest of the upload.
    assert!((Duration::from_secs(15)..Duration::from_secs(75)).contains(&took), "{took:?}\n{}", world.log());
    world.finish(&job);
}

#[test]
fn an_unanswered_handshake_times_out() {
    let world = World::new(&["east"], "50");
    let World { federation, proxy, .. } = &world;
    // The daemon has to connect again, through a network that accepts connections and stays silent.
    proxy.cut();
    sleep(Duration::from_millis(200));
    proxy.fall_silent();
    federation.until("a connection that leads nowhere", || proxy.waiting() > 0);
    proxy.forget();
    proxy.pass();
    let forgotten = Instant::now();
    let job = federation.submit(&rounds(1, 2, 2, "10m").text());
    federation.wait(&job, "the end", |job| job["state"] == "finished");
    let took = forgotten.elapsed();
    println!("given up and done {:.0} s after it led nowhere", took.as_secs_f64());
    assert!(took < Duration::from_secs(60), "{took:?}\n{}", world.log());
    world.finish(&job);
}

#[test]
fn a_silent_network_only_delays() {
    let world = World::new(&["east"], "50");
    let World { federation, proxy, .. } = &world;
    let job = federation.submit(&rounds(1, 2, 2, "10m").text());
    federation.until("an upload under way", || world.arrived() > 0);
    proxy.fall_silent();
    sleep(Duration::from_secs(3));
    let running = federation.ask(&["job", "show", &job]);
    assert_eq!(running["current"]["participants"]["west"]["state"], "working", "{running:#}");
    proxy.pass();
    federation.wait(&job, "the end", |job| job["state"] == "finished");
    assert!(proxy.up() < WEIGHTS * 13 / 10, "{} bytes up", proxy.up());
    world.finish(&job);
}

#[test]
fn an_institution_away_for_longer_than_its_round_continues_with_the_next() {
    let world = World::new(&["centre", "east"], "400");
    let World { federation, proxy, .. } = &world;
    let job = federation.submit(&rounds(4, 2, 3, "12s").text());
    federation.wait(&job, "west to train in the first round", |job| {
        let current = &job["current"];
        current["index"] == 1 && current["participants"]["west"]["step"].as_u64() > Some(0)
    });
    proxy.cut();
    federation.until("west to have finished in its spool", || world.phase() == "submitting");
    let later = federation.wait(&job, "the round to close without it", |job| job["current"]["index"] == 2);
    let first = &later["history"][1];
    assert_eq!(first["participants"]["west"]["state"], "working", "closed without it: {first:#}");
    assert_eq!(first["phase"], "complete");
    proxy.pass();
    federation.until("west to hear that it is late", || world.log().contains("ROUND_CLOSED"));
    let done = federation.wait(&job, "the end", |job| job["state"] == "finished");
    let last = &done["history"][4]["participants"]["west"];
    assert_eq!(last["state"], "submitted", "it takes part again: {done:#}");
    world.finish(&job);
}

#[test]
fn an_update_after_an_expired_lease_counts_if_the_round_is_open() {
    let federation = Federation::new();
    let Some(clock) = Clock::new(&federation.path(""), "coordinator", 0) else {
        println!("skipped: an_update_after_an_expired_lease_counts_if_the_round_is_open: no cc");
        return;
    };
    let mut command = federation.coordinator_command();
    clock.rule(&mut command);
    let coordinator = federation.coordinator_by(command);
    let world = World::around(federation, coordinator, &["east"], "400");
    let World { federation, proxy, .. } = &world;
    let job = federation.submit(&rounds(1, 2, 2, "2h").text());
    federation
        .wait(&job, "west to train", |job| job["current"]["participants"]["west"]["step"].as_u64() > Some(0));
    proxy.cut();
    federation.until("west to have finished in its spool", || world.phase() == "submitting");
    // The coordinator's clock advances by five minutes, after which leases have expired.
    clock.set(300);
    federation.wait(&job, "the lease to end", |job| {
        let west = &job["current"]["participants"]["west"];
        west["state"] == "offered" && west["lease_expiries"] == 1
    });
    proxy.pass();
    let done = federation.wait(&job, "the end", |job| job["state"] == "finished");
    let west = &done["history"][1]["participants"]["west"];
    assert!(west["state"] == "submitted" && west["lease_expiries"] == 1, "{west:#}");
    assert_eq!(done["history"].as_array().unwrap().len(), 2, "{done:#}");
    assert!(world.log().matches("the trainer has started").count() == 1, "nothing was trained twice");
    world.finish(&job);
}
