//! A site with two devices works on two jobs at once. What happens to one training does not disturb the other, and
//! both continue after each kind of end of the daemon.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use eosfed_e2e::plans::rounds;
use eosfed_e2e::stub::GATE;
use eosfed_e2e::{Federation, Process, millis, schemas, succeed};
use serde_json::Value;

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");

struct Site(Federation);

impl Site {
    fn daemon(&self) -> Process {
        let mut command = self.0.daemon_command("west");
        command.env(GATE, self.0.path("gate"));
        self.0.start("west", command)
    }

    fn ask(&self, more: &[&str]) -> Vec<u8> {
        let mut command = self.0.program("eosfed-client");
        command.args(["status", "--state"]).arg(self.0.path("west")).args(more);
        succeed(&mut command).stdout
    }

    fn status(&self) -> Value {
        let status = serde_json::from_slice(&self.ask(&["--output", "json"])).unwrap();
        schemas::check("eosfed-client", &["status"], &status);
        status
    }

    /// The jobs that are in training, sorted.
    fn in_training(&self) -> Vec<String> {
        let devices = self.status()["devices"].as_array().cloned().unwrap_or_default();
        let training = devices.iter().filter(|one| one["phase"] == "training");
        let mut jobs: Vec<_> =
            training.map(|one| one["assignment"].as_str().unwrap()[..10].to_owned()).collect();
        jobs.sort();
        jobs
    }

    /// The process of the training program of a job, which its task names. The one in the sandbox is a process of
    /// its own, so the newest is meant.
    fn trainer(&self, job: &str) -> Option<u32> {
        let work = self.0.path("west/work").join(job).display().to_string();
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let named = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        named.filter(|pid| runs(*pid, &work)).max()
    }

    /// Submits a job of one round of four epochs.
    fn job(&self, seed: i64, deadline: &str) -> String {
        let plan = rounds(1, 1, 1, deadline).set("seed", seed).shared("one", &["red"]);
        self.0.submit(&plan.without("release").given(&["red"]).text())
    }
}

/// Whether a process is the stub, with the task of this assignment.
fn runs(pid: u32, work: &str) -> bool {
    let read = |what: &str| std::fs::read(Path::new("/proc").join(pid.to_string()).join(what));
    let words = String::from_utf8_lossy(&read("cmdline").unwrap_or_default()).into_owned();
    words.starts_with(STUB) && words.contains(work)
}

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
}

#[test]
fn two_devices_work_on_two_jobs_at_once_and_continue_both_after_each_end() {
    let site = Site(Federation::new());
    let federation = &site.0;
    let _coordinator = federation.coordinator();
    federation.stubbed("west", 1, STUB);
    federation.set("west", "# devices = [\"cuda:0\", \"cuda:1\"]", "devices = [\"cpu\", \"cpu\"]");
    federation.set_policy("west", "min_institutions = 2", "min_institutions = 1");

    // Both work at once, each on a device; the stub waits in its last epoch.
    let daemon = site.daemon();
    let mut jobs = vec![site.job(1, "10m"), site.job(2, "10m")];
    jobs.sort();
    federation.until("both devices to work", || site.in_training() == jobs);
    federation.until("both trainers to run", || jobs.iter().all(|job| site.trainer(job).is_some()));
    let (third, submitted) = (site.job(3, "20s"), Instant::now());
    let queue = site.status()["queue"].as_str().unwrap_or_default().to_owned();
    assert!(queue.starts_with("all 2 devices are at work"), "{queue}");
    let shown = String::from_utf8(site.ask(&[])).unwrap();
    for job in &jobs {
        let on_a_device = |line: &&str| line.contains("device cpu") && line.contains(job.as_str());
        assert_eq!(shown.lines().filter(on_a_device).count(), 1, "{shown}");
    }

    // The crash of one training is that one's: it starts again, and the other goes on.
    let [crashed, other] = [0, 1].map(|at| site.trainer(&jobs[at]).unwrap());
    kill(crashed);
    federation.until("the crashed trainer to start again", || {
        site.trainer(&jobs[0]).is_some_and(|pid| pid != crashed)
    });
    assert_eq!(site.trainer(&jobs[1]), Some(other), "the other trainer is disturbed");
    assert_eq!(site.in_training(), jobs);

    // A drain ends both trainers and keeps both in the journals, and the next start continues them.
    assert!(daemon.terminate().success());
    assert!(jobs.iter().all(|job| site.trainer(job).is_none()), "trainers have outlived the daemon");
    assert_eq!(site.status()["daemon"], "not running");
    assert_eq!(site.in_training(), jobs, "in the journals");
    let daemon = site.daemon();
    federation.until("both trainers to run again", || jobs.iter().all(|job| site.trainer(job).is_some()));
    daemon.kill();

    // The time of the third job does not run while both are at work.
    federation
        .until("the time of the third job to be over", || submitted.elapsed() > Duration::from_secs(21));
    let open = federation.ask(&["job", "show", &third])["current"].clone();
    let west = &open["participants"]["west"];
    let behind = west["queued_behind"].as_str().unwrap_or_default().to_owned();
    assert!(jobs.contains(&behind) && open["attempt"] == 1, "{open:#}");
    assert!(millis(&west["own_deadline"]) > millis(&open["opened_at"]) + 300_000, "{open:#}");
    let why = federation.ask(&["job", "explain", &third])["institutions"][0]["what"].to_string();
    assert!(why.contains("its time does not run while it is at work for j-"), "{why}");

    // With fewer devices than before, what was begun is ended all the same, and the rest is done on the one left.
    federation.set("west", "devices = [\"cpu\", \"cpu\"]", "devices = [\"cpu\"]");
    std::fs::write(federation.path("gate"), "").unwrap();
    let daemon = site.daemon();
    for job in jobs.iter().chain([&third]) {
        let done = federation.wait(job, "its end", |job| job["state"] == "finished");
        assert_eq!(done["history"].as_array().unwrap().len(), 1, "in its first attempt: {done:#}");
        let one = &done["history"][0]["participants"]["west"];
        assert_eq!((one["state"].as_str(), one["weights"].is_string()), (Some("submitted"), true), "{one:#}");
    }
    federation
        .until("one device to be left", || site.status()["devices"].as_array().is_some_and(Vec::is_empty));
    federation.until("the folders of assignments to be removed", || {
        std::fs::read_dir(federation.path("west/work")).unwrap().count() == 0
    });
    assert!(daemon.terminate().success());
    let log = std::fs::read_to_string(federation.path("west.log")).unwrap();
    assert!(log.contains("fewer devices than before"), "{log}");
}
