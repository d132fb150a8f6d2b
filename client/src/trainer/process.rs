//! The training program as a child process: in a sandbox, in its own process group, events as JSON
//! lines on its standard output, its standard error in a log file beside its work.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use eosfed_common::files::write_atomically;
use eosfed_common::task::{DeviceChoice, TrainerEvent};
use eosfed_common::trace;
use eosfed_transport::traced::TraceSlot;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::output::{open_log, read_lines, tail};
use super::{RunningTrainer, StartError, Task, Trainer};
use crate::condition::{ConditionKind, LocalCondition};
use crate::sandbox::{Cgroup, Cgroups, Mode, Report, Sandbox, TrainerLimits, is_passed_on};
use crate::settings::find_executable;
use crate::state::Process;

/// Time to end after being asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval between two checks whether a trainer has ended.
const END_INTERVAL: Duration = Duration::from_millis(10);
/// Interval between two checks of a trainer that was killed, and the number of checks.
const REAP_INTERVAL: Duration = Duration::from_millis(50);
const REAP_CHECKS: u32 = 100;
/// The log file's name in an assignment's folder.
pub const LOG: &str = "trainer.log";
/// The task file's name in an assignment's folder.
const TASK: &str = "task.json";

/// The command line of the training program.
#[derive(Debug, Clone)]
pub struct TrainerCommand {
    /// The prefix of its command line.
    pub launcher: Vec<String>,
    /// The program.
    pub program: PathBuf,
    /// Its sandbox; absent: it gets the shorter environment only, and no cgroup.
    pub sandbox: Option<Sandbox>,
    /// What it may use of the machine.
    pub limits: TrainerLimits,
    /// The trace that it belongs to.
    pub trace: TraceSlot,
    /// The number of the daemon's lane that starts it, from 0.
    pub lane: usize,
}

/// The training program as a child process.
#[derive(Debug)]
pub struct ChildTrainer {
    child: Child,
    process: Process,
    cgroup: Option<Cgroup>,
    log: PathBuf,
    lines: mpsc::Receiver<Result<TrainerEvent, String>>,
}

impl TrainerCommand {
    /// The error that the first word of the command cannot be started.
    fn cannot_start(&self, error: &str) -> LocalCondition {
        match self.launcher.first() {
            Some(launcher) => LocalCondition::new(
                ConditionKind::LauncherMissing,
                format!(
                    "the launcher `{launcher}` cannot be started: {error}; install it, or correct \
                     `trainer.launcher` in client.toml"
                ),
            ),
            None => LocalCondition::new(
                ConditionKind::TrainerMissing,
                format!(
                    "the training program `{}` cannot be started: {error}; install it, or correct \
                     `trainer.program` in client.toml",
                    self.program.display()
                ),
            ),
        }
    }

    /// The command line before the trainer's own arguments.
    fn words(&self, folder: &Path, cgroup: Option<&Path>) -> Vec<OsString> {
        let launcher = match &self.sandbox {
            Some(sandbox) => sandbox.wrap_in(&self.launcher, folder, std::process::id(), cgroup),
            None => self.launcher.iter().map(OsString::from).collect(),
        };
        launcher.into_iter().chain([self.program.clone().into()]).collect()
    }

    /// The command line for people, without the trainer's own arguments.
    #[must_use]
    pub fn shown(&self) -> String {
        let words = self.launcher.iter().cloned().chain([self.program.display().to_string()]);
        words.collect::<Vec<_>>().join(" ")
    }

    /// The command that asks the trainer which device it would use and what that has, as JSON. Nothing is
    /// connected to its input and outputs yet.
    pub(super) fn ask_device(&self, device: DeviceChoice, folder: &Path) -> std::process::Command {
        let words = self.words(folder, None);
        let mut command = std::process::Command::new(&words[0]);
        command.args(&words[1..]).args(["device", "--format", "json", "--device", &device.to_string()]);
        command.env_clear().envs(self.environment(folder, 100));
        command
    }

    /// The environment of the trainer, whose tensors may use so many percent of a GPU's memory. Temporary files
    /// are written beside its work.
    pub fn environment(&self, folder: &Path, gpu_percent: u8) -> impl Iterator<Item = (OsString, OsString)> {
        let added = self.sandbox.as_ref().map_or(&[][..], |sandbox| &sandbox.settings.environment);
        let passed_on = move |name: &OsString| name.to_str().is_some_and(|name| is_passed_on(name, added));
        let variables = std::env::vars_os().filter(move |(name, _)| passed_on(name));
        let limits = self.limits.variables(gpu_percent, |name| std::env::var_os(name));
        let trace = self.trace.get().map(|place| (trace::VARIABLE.into(), place.to_string().into()));
        variables.chain([("TMPDIR".into(), folder.into())]).chain(limits).chain(trace)
    }

    /// The trainer's cgroup, or none where the settings do not require one and this machine has none.
    fn cgroup(&self) -> Result<Option<Cgroup>, LocalCondition> {
        if self.limits.cgroup == Mode::Off || self.sandbox.is_none() {
            return Ok(None);
        }
        let made = Cgroups::find(&self.limits)
            .map(|cgroups| cgroups.of_lane(self.lane))
            .and_then(|cgroups| cgroups.make(&self.limits).map_err(|error| error.to_string()));
        let missing = match &made {
            Ok(cgroup) if cgroup.missing.is_empty() => return Ok(made.ok()),
            Ok(cgroup) => cgroup.missing.join("; "),
            Err(why) => why.clone(),
        };
        if self.limits.cgroup != Mode::Required {
            tracing::warn!("not all limits of the trainer are enforced: {missing}");
            return Ok(made.ok());
        }
        if let Ok(cgroup) = made {
            cgroup.end();
        }
        let message = format!(
            "`trainer.limits.cgroup` is `required`, and the training program gets no such cgroup: {missing}"
        );
        Err(LocalCondition::new(ConditionKind::CgroupMissing, message))
    }

    /// What the sandbox enforces on this machine; `None` without a sandbox.
    ///
    /// # Errors
    /// A sentence that says why it cannot be asked.
    pub fn enforced(&self, folder: &Path) -> Result<Option<Report>, String> {
        let Some(sandbox) = self.sandbox.as_ref().filter(|sandbox| sandbox.settings.mode != Mode::Off) else {
            return Ok(None);
        };
        let words = sandbox.probe(folder);
        let output = std::process::Command::new(&words[0]).args(&words[1..]).output();
        let output = output.map_err(|error| format!("{}: {error}", sandbox.program.display()))?;
        serde_json::from_slice(&output.stdout)
            .map(Some)
            .map_err(|_| String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// The first word of the command.
    fn first(&self) -> &Path {
        self.launcher.first().map_or(&self.program, |launcher| Path::new(launcher))
    }
}

impl Trainer for TrainerCommand {
    type Running = ChildTrainer;

    fn ready(&self) -> Result<(), LocalCondition> {
        let path = std::env::var("PATH").unwrap_or_default();
        match find_executable(self.first(), None, &path) {
            Some(_) => Ok(()),
            None => Err(self.cannot_start("there is no such file")),
        }
    }

    async fn room(&self, device: DeviceChoice, folder: &Path) -> Result<(), LocalCondition> {
        self.look_for_room(device, folder).await
    }

    fn start(&self, task: &Task, folder: &Path, gpu_percent: u8) -> Result<ChildTrainer, StartError> {
        self.ready()?;
        let file = folder.join(TASK);
        let failed = |path: &Path, source| StartError::Io { path: path.to_owned(), source };
        write_atomically(&file, &task.json()).map_err(|error| failed(&file, error))?;
        let log = folder.join(LOG);
        let stderr = open_log(&log).map_err(|error| failed(&log, error))?;
        let cgroup = self.cgroup().map_err(StartError::Condition)?;
        let words = self.words(folder, cgroup.as_ref().map(Cgroup::folder));
        // The trainer ends when the thread that starts it does: tasks of the daemon run on threads that
        // live as long as it.
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .arg(task.command())
            .arg(&file)
            .env_clear()
            .envs(self.environment(folder, gpu_percent))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .process_group(0)
            .spawn()
            .map_err(|error| self.cannot_start(&error.to_string()))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
        let process = Process { pid, start_ticks: start_ticks(pid).unwrap_or_default() };
        let (sender, lines) = mpsc::channel(64);
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(read_lines(stdout, sender));
        }
        Ok(ChildTrainer { child, process, cgroup, log, lines })
    }

    async fn reap(&self, process: Process) {
        if let Ok(cgroups) = Cgroups::find(&self.limits)
            && self.limits.cgroup != Mode::Off
        {
            cgroups.of_lane(self.lane).sweep();
        }
        if !is_running(process) {
            return;
        }
        tracing::info!(pid = process.pid, "ending the trainer that an earlier daemon left running");
        signal(process.pid, Signal::SIGKILL);
        for _ in 0..REAP_CHECKS {
            if !is_running(process) {
                return;
            }
            tokio::time::sleep(REAP_INTERVAL).await;
        }
        tracing::warn!(pid = process.pid, "the old trainer does not end");
    }
}

impl ChildTrainer {
    /// Waits for its end, and for a short time only until it is killed.
    async fn status(&mut self) -> io::Result<ExitStatus> {
        let ended = has_ended(self.process.pid);
        if tokio::time::timeout(STOP_TIMEOUT, ended).await.is_err() {
            signal(self.process.pid, Signal::SIGKILL);
            has_ended(self.process.pid).await;
        }
        // A launcher may have left processes in the group. As long as the trainer is a zombie, no other
        // group can have its number.
        signal(self.process.pid, Signal::SIGKILL);
        if let Some(cgroup) = self.cgroup.clone() {
            // Others have left the group by setsid(2). The leader must be reaped before its cgroup is empty.
            let _ = cgroup.kill();
            let status = self.child.wait().await;
            let _ = tokio::task::spawn_blocking(move || cgroup.end()).await;
            return status;
        }
        self.child.wait().await
    }
}

/// Resolves when a child has ended, and leaves it a zombie.
async fn has_ended(pid: i32) {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while matches!(waitid(Id::Pid(Pid::from_raw(pid)), flags), Ok(WaitStatus::StillAlive)) {
        tokio::time::sleep(END_INTERVAL).await;
    }
}

impl RunningTrainer for ChildTrainer {
    fn process(&self) -> Process {
        self.process
    }

    async fn next(&mut self) -> Option<Result<TrainerEvent, String>> {
        self.lines.recv().await
    }

    async fn end(&mut self) -> Result<(), String> {
        match self.status().await {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let tail = tail(&self.log);
                if !tail.is_empty() {
                    tracing::warn!(%tail, "the end of the trainer's log, which stays here");
                }
                Err(describe(status))
            }
            Err(error) => Err(format!("it cannot be waited for: {error}")),
        }
    }

    async fn stop(mut self) {
        signal(self.process.pid, Signal::SIGTERM);
        self.lines.close();
        if let Err(error) = self.status().await {
            tracing::warn!(%error, "cannot wait for the trainer");
        }
    }
}

/// How a trainer ended. What it has printed stays here: it may contain anything of the data set.
fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown end".to_owned(),
    }
}

fn signal(group: i32, signal: Signal) {
    // Group 0 would be this process's own. If the group is gone already, nothing has to be done.
    if group > 1 {
        let _ = killpg(Pid::from_raw(group), signal);
    }
}

fn is_running(process: Process) -> bool {
    process.start_ticks != 0 && start_ticks(process.pid) == Some(process.start_ticks)
}

/// When the kernel started a process that has not ended, in clock ticks since boot: field 22 of
/// proc_pid_stat(5). The name, field 2, may hold anything, so counting starts behind its bracket.
fn start_ticks(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    if state == "Z" { None } else { fields.nth(18)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use eosfed_common::task::EvaluationTask;

    use super::*;

    #[test]
    fn a_process_is_identified_by_its_start_time() {
        let own = i32::try_from(std::process::id()).unwrap();
        let ticks = start_ticks(own).unwrap();
        assert!(is_running(Process { pid: own, start_ticks: ticks }));
        assert!(!is_running(Process { pid: own, start_ticks: ticks + 1 }));
        assert!(!is_running(Process { pid: own, start_ticks: 0 }));
    }

    #[tokio::test]
    async fn only_the_leftover_trainer_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let command = command(&["sh", "-c", "sleep 60 & wait"], "unused");
        let trainer = command.start(&task(), folder.path(), 100).unwrap();
        let process = trainer.process();
        command.reap(Process { start_ticks: process.start_ticks + 1, ..process }).await;
        assert!(is_running(process));
        drop(trainer);
        command.reap(process).await;
        assert!(!is_running(process));
    }

    fn command(launcher: &[&str], program: &str) -> TrainerCommand {
        let launcher = launcher.iter().map(|word| (*word).to_owned()).collect();
        TrainerCommand {
            launcher,
            program: program.into(),
            sandbox: None,
            limits: TrainerLimits::default(),
            trace: TraceSlot::default(),
            lane: 0,
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

    #[test]
    fn the_trainer_is_told_of_its_trace_where_there_is_one() {
        let command = command(&[], "trainer");
        let told = |command: &TrainerCommand| {
            let mut environment = command.environment(Path::new("/tmp"), 100);
            environment.find(|(name, _)| name == trace::VARIABLE).map(|(_, value)| value)
        };
        assert_eq!(told(&command), None);
        let place = trace::TraceContext::of_job(&"j-0a1b2c3d".parse().unwrap());
        command.trace.set(Some(place));
        assert_eq!(told(&command), Some(place.to_string().into()));
    }

    #[tokio::test]
    async fn a_missing_program_is_named_with_its_setting() {
        let folder = tempfile::tempdir().unwrap();
        for (launcher, program, kind, named) in [
            (
                &["no-such-launcher", "-n1"][..],
                "/bin/true",
                ConditionKind::LauncherMissing,
                "trainer.launcher",
            ),
            (&[], "/no/such-trainer", ConditionKind::TrainerMissing, "trainer.program"),
        ] {
            let command = command(launcher, program);
            let missing = launcher.first().unwrap_or(&program);
            let Err(StartError::Condition(started)) = command.start(&task(), folder.path(), 100) else {
                panic!("{missing} must not start")
            };
            for condition in [command.ready().unwrap_err(), started] {
                let said = &condition.message;
                assert_eq!(condition.kind, kind, "{said}");
                assert!(said.contains(&format!("`{missing}`")) && said.contains(named), "{said}");
            }
        }
        assert_eq!(
            command(&["env"], "/no/such-trainer").ready(),
            Ok(()),
            "the launcher may find it elsewhere"
        );
    }
}
