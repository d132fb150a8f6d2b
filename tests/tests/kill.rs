//! A federation whose programs are killed repeatedly at random instants, with the same result, bit for bit,
//! as without kills. `EOSFED_KILL_SEED` repeats the choices of a run.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use eosfed_e2e::plans::rounds;
use eosfed_e2e::stub::{Dice, GATE, LEDGER, PAUSE, samples, trained};
use eosfed_e2e::{Federation, Process, average, digest, millis, succeed};
use serde_json::Value;

const NAMES: [&str; 3] = ["centre", "east", "west"];
const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");
const ROUNDS: u32 = 8;
const KILLS: usize = 60;
/// Kills are rare enough for the federation to make progress.
const LONGEST: Duration = Duration::from_secs(150);

/// Programs that are started again after they were killed.
struct Chaos<'a> {
    federation: &'a Federation,
    running: BTreeMap<&'static str, Process>,
    /// The killed program, and when it is started again.
    down: BTreeMap<&'static str, Instant>,
    dice: Dice,
    /// How often each program was killed in each activity.
    kills: BTreeMap<String, usize>,
    /// When, in milliseconds since the epoch.
    instants: Vec<u64>,
}

impl Chaos<'_> {
    fn command(&self, name: &str) -> Command {
        if name == "coordinator" {
            return self.federation.coordinator_command();
        }
        let mut command = self.federation.daemon_command(name);
        command.env(LEDGER, self.federation.path("ledger")).env(PAUSE, "350");
        // The job must not end before the last kill.
        command.env(GATE, self.federation.path("gate"));
        command
    }

    fn start(&mut self, name: &'static str) {
        let process = self.federation.start(name, self.command(name));
        self.running.insert(name, process);
        self.down.remove(name);
    }

    fn start_those_due(&mut self) {
        let due: Vec<_> =
            self.down.iter().filter(|(_, at)| **at <= Instant::now()).map(|(name, _)| *name).collect();
        due.into_iter().for_each(|name| self.start(name));
    }

    /// Waits, and starts the programs that are due.
    fn wait(&mut self, span: Duration) {
        let until = Instant::now() + span;
        while Instant::now() < until {
            self.start_those_due();
            sleep(Duration::from_millis(5));
        }
    }

    fn millis(&mut self, limit: u64) -> Duration {
        Duration::from_millis(self.dice.below(limit))
    }

    /// The activity of a program, from its files.
    fn activity(&self, name: &str) -> String {
        if name != "coordinator" {
            let phase = self.federation.journal(name)["phase"].as_str().unwrap_or("idle").to_owned();
            return format!("client {phase}");
        }
        let blobs = self.federation.path("coordinator/blobs");
        let holds = |folder: &str| holds_files(&blobs.join(folder));
        let at = match (holds("staging"), holds("partial")) {
            (true, _) => "computing",
            (false, true) => "receiving",
            (false, false) => "at rest",
        };
        format!("coordinator {at}")
    }

    /// Kills a program: at any instant, or during a very short activity.
    fn kill_one(&mut self) {
        let everybody = ["coordinator", "coordinator", "centre", "east", "west"];
        let victim = everybody[usize::try_from(self.dice.below(5)).unwrap()];
        if !self.running.contains_key(victim) {
            return;
        }
        let awaited = match (victim, self.dice.below(4)) {
            ("coordinator", 0) => Some("coordinator computing"),
            ("coordinator", 1) => Some("coordinator receiving"),
            ("coordinator", _) => None,
            (_, 0) => Some("client submitting"),
            (_, 1) => Some("client fetching"),
            (_, _) => None,
        };
        let patience = Instant::now() + Duration::from_millis(1500);
        while awaited.is_some_and(|at| self.activity(victim) != at) && Instant::now() < patience {
            self.wait(Duration::from_millis(2));
        }
        let more = self.millis(60);
        if awaited.is_some() {
            sleep(more);
        }
        let activity = self.activity(victim);
        self.finish(victim, activity);
        if self.dice.below(6) == 0 {
            // It is killed again during its start.
            self.start(victim);
            let instant = self.millis(120);
            sleep(instant);
            self.finish(victim, format!("{} starting", activity_of(victim)));
        }
    }

    fn finish(&mut self, victim: &'static str, activity: String) {
        let Some(process) = self.running.remove(victim) else { return };
        process.kill();
        *self.kills.entry(activity).or_default() += 1;
        self.instants.push(epoch().as_millis() as u64);
        let back = Instant::now() + self.millis(500);
        self.down.insert(victim, back);
    }

    fn total(&self) -> usize {
        self.instants.len()
    }
}

fn activity_of(name: &str) -> &str {
    if name == "coordinator" { "coordinator" } else { "client" }
}

fn holds_files(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| path.is_file() || holds_files(&path))
}

fn seed() -> u64 {
    let given = std::env::var("EOSFED_KILL_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| epoch().as_secs())
}

#[allow(clippy::disallowed_methods, reason = "the test stands outside the programs")]
fn epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// The digest of the final weights, as the release names it.
fn released(federation: &Federation) -> String {
    federation.ask(&["release", "show"])["specialists"][0]["weights"].as_str().unwrap().to_owned()
}

fn in_peace() -> String {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    let mut daemons = Vec::new();
    for (seed, name) in (1..).zip(NAMES) {
        federation.stubbed(name, seed, STUB);
        let mut command = federation.daemon_command(name);
        daemons.push(federation.start(name, {
            command.env(PAUSE, "0");
            command
        }));
    }
    let job = federation.submit(&rounds(ROUNDS, 3, 3, "10m").text());
    federation.wait(&job, "the end in peace", |job| job["state"] == "finished");
    let weights = released(&federation);
    assert!(daemons.into_iter().all(|daemon| daemon.terminate().success()));
    assert!(coordinator.terminate().success());
    weights
}

#[test]
fn sixty_kills_do_not_change_the_result() {
    let began = Instant::now();
    let peaceful = in_peace();
    println!("in peace: {:.1} s", began.elapsed().as_secs_f64());

    let seed = seed();
    println!("EOSFED_KILL_SEED={seed}");
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    for (number, name) in (1..).zip(NAMES) {
        federation.stubbed(name, number, STUB);
    }
    let mut chaos = Chaos {
        federation: &federation,
        running: BTreeMap::from([("coordinator", coordinator)]),
        down: BTreeMap::new(),
        dice: Dice::new(seed),
        kills: BTreeMap::new(),
        instants: Vec::new(),
    };
    NAMES.into_iter().for_each(|name| chaos.start(name));
    let job = federation.submit(&rounds(ROUNDS, 3, 3, "10m").text());
    let started = Instant::now();
    while chaos.total() < KILLS && started.elapsed() < LONGEST {
        chaos.kill_one();
        let pause = chaos.millis(1000);
        chaos.wait(pause);
    }
    fs::write(federation.path("gate"), "").unwrap();
    while !chaos.down.is_empty() {
        chaos.wait(Duration::from_millis(10));
    }
    let took = started.elapsed().as_secs_f64();
    println!("{} kills in {took:.1} s: {:?}", chaos.total(), chaos.kills);
    let done = federation.wait(&job, "the end", |job| job["state"] == "finished" || job["state"] == "paused");
    assert_eq!(done["state"], "finished", "seed {seed}: {done:#}\n{}", federation.logs());
    let ended = millis(&done["ended_at"]);
    let kills = chaos.instants.iter().filter(|at| **at < ended).count();
    println!("{kills} of them before the job ended, {:.1} s after its start", seconds(&done));
    assert!(kills >= 50, "seed {seed}: only {kills} kills while the job was under way");
    check(&federation, &done);
    assert_eq!(released(&federation), peaceful, "seed {seed}: the same bytes as in peace");
    for (name, process) in chaos.running {
        assert!(process.terminate().success(), "seed {seed}: {name}");
    }
}

fn seconds(done: &Value) -> f64 {
    (millis(&done["ended_at"]) - millis(&done["submitted_at"])) as f64 / 1000.0
}

/// Checks that each round closed at its first attempt with all updates, each update is the result of training
/// from the round's weights, and each aggregate is the average of its updates.
fn check(federation: &Federation, done: &Value) {
    let closed = done["history"].as_array().unwrap();
    assert_eq!(closed.len(), 1 + ROUNDS as usize, "statistics and the rounds, one attempt each: {done:#}");
    let seeds = seeds(federation);
    let mut base: Option<Vec<u8>> = None;
    let mut counted = BTreeSet::new();
    for round in closed {
        let participants = round["participants"].as_object().unwrap();
        assert_eq!(participants.keys().collect::<Vec<_>>(), NAMES);
        assert!(participants.values().all(|one| one["state"] == "submitted"), "{round:#}");
        if round["index"] == 0 {
            continue;
        }
        let uploads = federation.uploads(round);
        for ((name, one), (file, claimed)) in participants.iter().zip(&uploads) {
            let seed = seeds[&(round["index"].as_u64().unwrap(), name.clone())];
            assert_eq!(*claimed, samples(seed));
            assert!(counted.insert(one["weights"].as_str().unwrap()), "an update counts twice: {one:#}");
            if let Some(base) = &base {
                assert!(*file == trained(base, seed), "{name} has trained on other weights: {round:#}");
            }
        }
        let mean = average(&uploads);
        let stored = fs::read(federation.blob(&digest(&mean))).unwrap();
        assert!(stored == mean, "the aggregate is stored under its digest");
        base = Some(mean);
    }
    let pulled = federation.path("release");
    succeed(&mut federation.eosfed(&["release", "pull", "--to", &pulled.to_string_lossy()]));
    assert!(fs::read(pulled.join("shared/weights.safetensors")).unwrap() == base.unwrap());
    assert_eq!(counted.len(), ROUNDS as usize * NAMES.len());
}

/// The seed of each round's training at each institution, from the trainers' ledger. A repeated training has
/// the same seed.
fn seeds(federation: &Federation) -> BTreeMap<(u64, String), u64> {
    let mut seeds = BTreeMap::new();
    for line in fs::read_to_string(federation.path("ledger")).unwrap().lines() {
        let (assignment, seed) = line.split_once(' ').unwrap();
        let [_, round, _, name] = assignment.split('.').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let key = (round.parse().unwrap(), name.to_owned());
        let seed = seed.parse().unwrap();
        assert_eq!(*seeds.entry(key).or_insert(seed), seed, "{line}");
    }
    seeds
}
