//! An institution whose own disk is full: nothing is lost, the daemon reports the needed space, and continues
//! by itself once there is space. Needs root to mount small file systems.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::io::Write as _;
use std::path::Path;

use eosfed_e2e::plans::rounds;
use eosfed_e2e::stub::PAUSE;
use eosfed_e2e::{Federation, Mount, Process, Proxy};

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");

/// A federation of two. `west` is behind a proxy and has its own disk.
fn world(size: &str) -> Option<(Federation, Mount, Proxy)> {
    let federation = Federation::new();
    fs::create_dir(federation.path("west")).unwrap();
    let Some(mount) = Mount::tmpfs(&federation.path("west"), size) else {
        println!("skipped: {}: cannot mount here", std::thread::current().name().unwrap_or_default());
        return None;
    };
    let proxy = Proxy::before(federation.port());
    Some((federation, mount, proxy))
}

fn start(federation: &Federation, proxy: &Proxy, pause: &str) -> (Process, [Process; 2]) {
    let coordinator = federation.coordinator();
    let daemons = [(1, "east"), (2, "west")].map(|(seed, name)| {
        federation.stubbed(name, seed, STUB);
        if name == "west" {
            federation.through("west", proxy);
        }
        let mut command = federation.daemon_command(name);
        command.env(PAUSE, pause);
        federation.start(name, command)
    });
    (coordinator, daemons)
}

/// Writes until the disk is full.
fn fill(folder: &Path) {
    let mut file = fs::File::create(folder.join("filler")).unwrap();
    for size in [1 << 20, 1 << 12, 1] {
        let block = vec![0; size];
        while file.write_all(&block).is_ok() {}
    }
}

fn finish(federation: &Federation, job: &str, coordinator: Process, daemons: [Process; 2]) {
    let done = federation.wait(job, "the end", |job| job["state"] == "finished" || job["state"] == "paused");
    let closed = done["history"].as_array().unwrap();
    let participants = closed.iter().flat_map(|round| round["participants"].as_object().unwrap().values());
    assert!(done["state"] == "finished" && participants.clone().count() == 2 * closed.len());
    assert!(participants.clone().all(|one| one["state"] == "submitted"), "{done:#}");
    assert!(daemons.into_iter().all(|daemon| daemon.terminate().success()));
    assert!(coordinator.terminate().success());
}

#[test]
fn work_waits_for_space_for_its_weights() {
    let Some((federation, mount, proxy)) = world("8m") else { return };
    let (coordinator, daemons) = start(&federation, &proxy, "50");
    let job = federation.submit(&rounds(1, 2, 2, "10m").text());
    // The starting weights, of 13.6 MB, do not fit.
    federation.until("the download to wait", || daemons[1].log().contains("the download needs"));
    mount.resize("24m");
    // Now they fit, but the files of training do not.
    federation.until("training to wait for room", || daemons[1].log().contains("training needs"));
    assert!(daemons[1].log().contains("this disk is full"), "{}", daemons[1].log());
    mount.resize("100m");
    finish(&federation, &job, coordinator, daemons);
}

#[test]
fn no_event_is_lost_if_the_journal_has_no_space() {
    let Some((federation, _mount, proxy)) = world("100m") else { return };
    let (coordinator, daemons) = start(&federation, &proxy, "50");
    let phase = || federation.journal("west")["phase"].as_str().unwrap_or_default().to_owned();
    let job = federation.submit(&rounds(2, 2, 2, "10m").text());
    federation.until("training to begin", || phase() == "training");
    proxy.cut();
    federation.until("an update in the spool", || phase() == "submitting");
    let before = fs::read(federation.path("west/journal.json")).unwrap();
    fill(&federation.path("west"));
    proxy.pass();
    federation
        .until("the daemon to say that the disk is full", || daemons[1].log().contains("this disk is full"));
    assert_eq!(fs::read(federation.path("west/journal.json")).unwrap(), before, "the journal is whole");
    let job_now = federation.wait(&job, "the round", |job| job["current"]["index"] == 1);
    assert_ne!(job_now["current"]["participants"]["west"]["state"], "submitted", "it was not counted first");
    fs::remove_file(federation.path("west/filler")).unwrap();
    finish(&federation, &job, coordinator, daemons);
}

#[test]
fn a_trainer_on_a_full_disk_is_started_again() {
    let Some((federation, _mount, proxy)) = world("100m") else { return };
    let (coordinator, daemons) = start(&federation, &proxy, "400");
    let job = federation.submit(&rounds(1, 2, 2, "10m").text());
    federation
        .wait(&job, "west to train", |job| job["current"]["participants"]["west"]["step"].as_u64() > Some(0));
    fill(&federation.path("west"));
    federation
        .until("the daemon to say that the disk is full", || daemons[1].log().contains("this disk is full"));
    assert!(daemons[1].log().contains("the trainer crashed"), "{}", daemons[1].log());
    std::thread::sleep(std::time::Duration::from_secs(4));
    fs::remove_file(federation.path("west/filler")).unwrap();
    finish(&federation, &job, coordinator, daemons);
}
