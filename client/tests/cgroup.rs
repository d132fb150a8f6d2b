//! The cgroup of the training program, with real processes in a real cgroup. Where this machine gives none,
//! the tests say so and pass.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use eosfed_client::condition::ConditionKind;
use eosfed_client::sandbox::{Cgroups, Mode, Sandbox, SandboxSettings, TrainerLimits};
use eosfed_client::trainer::{RunningTrainer as _, StartError, Task, Trainer as _, TrainerCommand};
use eosfed_common::task::{DeviceChoice, EvaluationTask};

/// A cgroup for one test, which is removed at its end.
struct Delegated(PathBuf);

impl Delegated {
    fn new(test: &str) -> Option<Self> {
        let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let mount = mounts.into_iter().find(|mount| mount.join("cgroup.procs").exists());
        let folder = mount.map(|mount| mount.join(format!("eosfed-test-{test}-{}", std::process::id())));
        let made = folder.filter(|folder| fs::create_dir(folder).is_ok()).map(Self);
        if made.is_none() {
            println!("skipped: {test}: no cgroup of version 2 can be made on this machine");
        }
        made
    }

    fn limits(&self) -> TrainerLimits {
        TrainerLimits { cgroup_folder: Some(self.0.clone()), ..TrainerLimits::default() }
    }

    /// These limits in it, if this kernel enforces all of them.
    fn enforcing(&self, test: &str, limits: TrainerLimits) -> Option<TrainerLimits> {
        let limits = TrainerLimits { cgroup_folder: Some(self.0.clone()), ..limits };
        let cgroup = Cgroups::find(&limits).unwrap().make(&limits).unwrap();
        cgroup.end();
        if cgroup.missing.is_empty() {
            return Some(limits);
        }
        println!("skipped: {test}: {}", cgroup.missing.join("; "));
        None
    }

    /// A file of the only trainer's cgroup.
    fn read(&self, file: &str) -> String {
        let [cgroup] = &self.children()[..] else { panic!("one trainer runs: {:?}", self.children()) };
        fs::read_to_string(cgroup.join(file)).unwrap()
    }

    /// A line of such a file, `KEY VALUE`.
    fn count(&self, file: &str, key: &str) -> u64 {
        let text = self.read(file);
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no `{key}` in {text}")).parse().unwrap()
    }

    fn children(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_dir()).collect()
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        for folder in self.children().into_iter().chain([self.0.clone()]) {
            for _ in 0..100 {
                if fs::remove_dir(&folder).is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

fn task() -> Task {
    Task::Evaluate(Box::new(EvaluationTask {
        model: eosfed_testkit::cards::classifier(),
        weights: "w".into(),
        normalisation: Vec::new(),
        input_size: None,
        antialias: false,
        dataset: "d".into(),
        device: DeviceChoice::Cpu,
        threads: None,
        samples: None,
    }))
}

/// A trainer that is a script, in a sandbox with these limits.
fn trainer(folder: &Path, script: &str, limits: TrainerLimits) -> TrainerCommand {
    let program = folder.join("trainer");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let settings = SandboxSettings::default();
    let sandbox = Some(Sandbox { program: env!("CARGO_BIN_EXE_eosfed-client").into(), settings });
    TrainerCommand { launcher: Vec::new(), program, sandbox, limits, trace: Default::default(), lane: 0 }
}

fn is_running(process: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// Runs a trainer that leaves a process in a session of its own; gives that process.
async fn left_behind(limits: TrainerLimits) -> String {
    let folder = tempfile::tempdir().unwrap();
    let script =
        format!("setsid sleep 600 > /dev/null 2>&1 & echo $! > {}/left; sleep 0.2", folder.path().display());
    let mut running = trainer(folder.path(), &script, limits).start(&task(), folder.path(), 100).unwrap();
    running.end().await.unwrap();
    fs::read_to_string(folder.path().join("left")).unwrap()
}

#[tokio::test]
async fn what_a_trainer_leaves_behind_ends_with_it() {
    let Some(delegated) = Delegated::new("left") else { return };
    let off = TrainerLimits { cgroup: Mode::Off, ..TrainerLimits::default() };
    let survivor = left_behind(off).await;
    assert!(is_running(&survivor), "it has left the group, and only a cgroup ends it");
    Command::new("kill").args(["-9", survivor.trim()]).status().unwrap();
    let process = left_behind(delegated.limits()).await;
    assert!(!is_running(&process), "{process}");
    assert_eq!(delegated.children(), Vec::<PathBuf>::new(), "its cgroup is removed");
}

#[tokio::test]
async fn a_trainer_that_is_stopped_ends_with_all_of_its_processes() {
    let Some(delegated) = Delegated::new("stopped") else { return };
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("left");
    let script = format!("setsid sleep 600 > /dev/null 2>&1 & echo $! > {}; sleep 600", left.display());
    let command = trainer(folder.path(), &script, delegated.limits());
    let running = command.start(&task(), folder.path(), 100).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while fs::read_to_string(&left).unwrap_or_default().trim().is_empty() {
        assert!(Instant::now() < deadline, "it starts");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(delegated.children().len(), 1);
    running.stop().await;
    assert!(!is_running(&fs::read_to_string(&left).unwrap()));
    assert_eq!(delegated.children(), Vec::<PathBuf>::new());
}

#[test]
fn what_a_killed_daemon_has_left_is_swept() {
    let Some(delegated) = Delegated::new("swept") else { return };
    // No process has this number: pid_max is at most 2^22.
    let old = delegated.0.join("eosfed-trainer-4194305");
    fs::create_dir(&old).unwrap();
    let mut left = Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().unwrap();
    fs::write(old.join("cgroup.procs"), left.id().to_string()).unwrap();
    let waiting = std::thread::spawn(move || left.wait().unwrap());
    Cgroups::find(&delegated.limits()).unwrap().sweep();
    assert!(!waiting.join().unwrap().success(), "it was killed");
    assert_eq!(delegated.children(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_cgroup_that_is_required_and_missing_starts_no_training() {
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("started");
    let script = format!("echo > {}", marker.display());
    let limits = |cgroup| TrainerLimits {
        cgroup,
        cgroup_folder: Some(folder.path().to_owned()),
        ..TrainerLimits::default()
    };
    let required = trainer(folder.path(), &script, limits(Mode::Required)).start(&task(), folder.path(), 100);
    let Err(StartError::Condition(condition)) = required else { panic!("it must not start") };
    assert_eq!(condition.kind, ConditionKind::CgroupMissing);
    assert!(condition.message.contains("`trainer.limits.cgroup` is `required`"), "{condition}");
    assert!(!marker.exists());
    let mut auto =
        trainer(folder.path(), &script, limits(Mode::Auto)).start(&task(), folder.path(), 100).unwrap();
    auto.end().await.unwrap();
    assert!(marker.exists());
}

#[test]
fn memory_processors_and_processes_are_limited() {
    let Some(delegated) = Delegated::new("limits") else { return };
    let limits = TrainerLimits { memory_gib: Some(2), cpus: Some(3), processes: 99, ..delegated.limits() };
    let cgroup = Cgroups::find(&limits).unwrap().make(&limits).unwrap();
    let controllers = fs::read_to_string(delegated.0.join("cgroup.controllers")).unwrap();
    let given = |controller: &str| controllers.split_whitespace().any(|one| one == controller);
    for (controller, file, value) in [
        ("memory", "memory.max", "2147483648"),
        ("cpu", "cpu.max", "300000 100000"),
        ("pids", "pids.max", "99"),
    ] {
        let listed = cgroup.missing.iter().any(|missing| missing.contains(file));
        assert_eq!(listed, !given(controller), "what is missing is listed: {:?}", cgroup.missing);
        if given(controller) {
            assert_eq!(fs::read_to_string(cgroup.folder().join(file)).unwrap().trim(), value);
        } else {
            println!("skipped: {file}: this machine has no controller `{controller}` of version 2");
        }
    }
    cgroup.end();
}

/// A trainer that takes all memory ends, with everything that it has started; nobody else does.
#[tokio::test]
async fn a_trainer_that_takes_all_memory_is_killed_at_its_limit() {
    let name = "a_trainer_that_takes_all_memory_is_killed_at_its_limit";
    let Some(delegated) = Delegated::new(name) else { return };
    let wanted = TrainerLimits { memory_gib: Some(1), ..TrainerLimits::default() };
    let Some(limits) = delegated.enforcing(name, wanted) else { return };
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("left");
    // `tail` keeps what it has read of a line without an end.
    let script = format!("sleep 600 > /dev/null 2>&1 & echo $! > {}; tail /dev/zero", left.display());
    let mut running = trainer(folder.path(), &script, limits).start(&task(), folder.path(), 100).unwrap();
    // An emulated processor needs a minute.
    let most = Duration::from_secs(180);
    assert!(tokio::time::timeout(most, running.next()).await.expect("it ends").is_none());
    let said = running.end().await.unwrap_err();
    assert!(said.contains("signal 9"), "{said}");
    assert!(!is_running(&fs::read_to_string(left).unwrap()), "what it has started ends with it");
    assert_eq!(delegated.children(), Vec::<PathBuf>::new());
}

/// A trainer that starts processes without end gets as many as it may have.
#[tokio::test]
async fn a_trainer_that_starts_processes_without_end_stays_at_its_limit() {
    let name = "a_trainer_that_starts_processes_without_end_stays_at_its_limit";
    let Some(delegated) = Delegated::new(name) else { return };
    let wanted = TrainerLimits { processes: 16, ..TrainerLimits::default() };
    let Some(limits) = delegated.enforcing(name, wanted) else { return };
    let folder = tempfile::tempdir().unwrap();
    let full = folder.path().join("full");
    // The inner shell ends when it cannot start one more; what it has started goes on.
    let script = format!(
        "(while :; do setsid sleep 600 > /dev/null 2>&1 & done)\necho > {}\nwhile :; do read -r _; done",
        full.display()
    );
    let running = trainer(folder.path(), &script, limits).start(&task(), folder.path(), 100).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !full.exists() {
        assert!(Instant::now() < deadline, "it stays below its limit: {}", delegated.read("pids.current"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let current: u64 = delegated.read("pids.current").trim().parse().unwrap();
    assert!((10..=16).contains(&current), "{current} processes");
    assert!(delegated.count("pids.events", "max") > 0, "more were refused");
    running.stop().await;
    assert_eq!(delegated.children(), Vec::<PathBuf>::new(), "all of them have ended");
}

/// A trainer that keeps two processors busy gets the time of one.
#[tokio::test]
async fn a_trainer_that_takes_all_processors_gets_the_time_of_its_limit() {
    let name = "a_trainer_that_takes_all_processors_gets_the_time_of_its_limit";
    let Some(delegated) = Delegated::new(name) else { return };
    if std::thread::available_parallelism().unwrap().get() < 2 {
        println!("skipped: {name}: this machine has one processor");
        return;
    }
    let wanted = TrainerLimits { cpus: Some(1), ..TrainerLimits::default() };
    let Some(limits) = delegated.enforcing(name, wanted) else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = "(while :; do :; done) & while :; do :; done";
    let running = trainer(folder.path(), script, limits).start(&task(), folder.path(), 100).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (began, before) = (Instant::now(), delegated.count("cpu.stat", "usage_usec"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let used = delegated.count("cpu.stat", "usage_usec") - before;
    let share = used as f64 / began.elapsed().as_micros() as f64;
    println!("it has used {share:.2} processors");
    assert!(share < 1.2, "{share} processors");
    assert!(delegated.count("cpu.stat", "nr_throttled") > 0, "it was held back");
    running.stop().await;
    assert_eq!(delegated.children(), Vec::<PathBuf>::new());
}

#[test]
fn the_settings_decide_which_graphics_processors_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    let limits = TrainerLimits {
        gpus: Some(vec!["1".to_owned()]),
        gpu_memory_percent: Some(40),
        ..TrainerLimits::default()
    };
    let command = trainer(folder.path(), "", limits);
    let variables: std::collections::BTreeMap<_, _> = command.environment(folder.path(), 100).collect();
    let value = |name: &str| variables[std::ffi::OsStr::new(name)].to_str().unwrap().to_owned();
    assert_eq!(value("CUDA_VISIBLE_DEVICES"), "1");
    assert!(value("PYTORCH_CUDA_ALLOC_CONF").ends_with("per_process_memory_fraction:0.40"));
}
