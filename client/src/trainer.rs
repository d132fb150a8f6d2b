//! The training program as a child process: its own process group, events as JSON lines on its
//! standard output, whatever it says on standard error in a log file beside its work.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use eosfed_common::task::TrainerEvent;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;

use crate::daemon::Process;

/// Longest line of the trainer.
const MAX_LINE: u64 = 1 << 20;
/// Size at which its log file is put aside, at the start of a trainer.
const MAX_LOG: u64 = 4 << 20;
/// How much of the log's end stands in a message.
const TAIL: usize = 400;
/// Time to end after being asked to.
const GRACE: Duration = Duration::from_secs(10);
/// The log file's name in an assignment's folder.
pub const LOG: &str = "trainer.log";

/// How the training program is called.
#[derive(Debug, Clone)]
pub struct TrainerCommand {
    /// Words before it.
    pub launcher: Vec<String>,
    /// The program.
    pub program: std::path::PathBuf,
}

/// A running trainer. Dropping it leaves it running, as a killed daemon would.
#[derive(Debug)]
pub struct Trainer {
    child: Child,
    process: Process,
    lines: mpsc::Receiver<Result<TrainerEvent, String>>,
}

impl TrainerCommand {
    /// Starts `COMMAND TASK` with its log in `folder`.
    ///
    /// # Errors
    /// Whatever the system gives.
    pub fn start(&self, command: &str, task: &Path, folder: &Path) -> io::Result<Trainer> {
        let log = open_log(&folder.join(LOG))?;
        let mut words = self.launcher.iter().map(Path::new).chain([self.program.as_path()]);
        // There is always one word: the program.
        let first = words.next().unwrap_or(&self.program);
        let mut child = Command::new(first)
            .args(words)
            .arg(command)
            .arg(task)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .spawn()?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
        let process = Process { pid, start_ticks: start_ticks(pid).unwrap_or_default() };
        let (sender, lines) = mpsc::channel(64);
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(read_lines(stdout, sender));
        }
        Ok(Trainer { child, process, lines })
    }
}

impl Trainer {
    /// How to find it again.
    #[must_use]
    pub const fn process(&self) -> Process {
        self.process
    }

    /// Its next event; nothing when it has closed its output.
    ///
    /// # Errors
    /// A sentence when a line is none of its events.
    pub async fn next(&mut self) -> Option<Result<TrainerEvent, String>> {
        self.lines.recv().await
    }

    /// Waits for its end, but not for long: it has closed its output.
    ///
    /// # Errors
    /// Whatever the system gives.
    pub async fn end(&mut self) -> io::Result<ExitStatus> {
        let status = match tokio::time::timeout(GRACE, self.child.wait()).await {
            Ok(status) => status?,
            Err(_) => {
                signal(self.process.pid, Signal::SIGKILL);
                self.child.wait().await?
            }
        };
        // Whatever a launcher may have left in the group.
        signal(self.process.pid, Signal::SIGKILL);
        Ok(status)
    }

    /// Asks it to end, which leaves its checkpoint, and makes it end when it does not.
    pub async fn stop(mut self) {
        signal(self.process.pid, Signal::SIGTERM);
        self.lines.close();
        if let Err(error) = self.end().await {
            tracing::warn!(%error, "cannot wait for the trainer");
        }
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    if path.metadata().is_ok_and(|found| found.len() > MAX_LOG) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

async fn read_lines(stdout: ChildStdout, sender: mpsc::Sender<Result<TrainerEvent, String>>) {
    let mut reader = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        match (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) if line.iter().all(u8::is_ascii_whitespace) => continue,
            Ok(_) => {}
        }
        let event = serde_json::from_slice(&line).map_err(|error| {
            let start: String = String::from_utf8_lossy(&line).chars().take(80).collect();
            format!("it printed `{}`, which is none of its events ({error})", start.escape_debug())
        });
        if sender.send(event).await.is_err() {
            return;
        }
    }
}

/// How a trainer ended, with the last that it said.
#[must_use]
pub fn describe(status: ExitStatus, folder: &Path) -> String {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown end".to_owned(),
    };
    let log = std::fs::read(folder.join(LOG)).unwrap_or_default();
    let tail = String::from_utf8_lossy(&log[log.len().saturating_sub(TAIL)..]).trim().to_owned();
    if tail.is_empty() { how } else { format!("{how}: {tail}") }
}

/// Ends what an earlier daemon has left running, if it still runs.
pub async fn reap(process: Process) {
    if !is_running(process) {
        return;
    }
    tracing::info!(pid = process.pid, "ending the trainer that an earlier daemon has left");
    signal(process.pid, Signal::SIGKILL);
    for _ in 0..100 {
        if !is_running(process) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tracing::warn!(pid = process.pid, "the old trainer does not end");
}

fn signal(group: i32, signal: Signal) {
    // Group 0 would be this process's own. A group that is gone is what was wanted.
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
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start() {
        let own = i32::try_from(std::process::id()).unwrap();
        let ticks = start_ticks(own).unwrap();
        assert!(is_running(Process { pid: own, start_ticks: ticks }));
        assert!(!is_running(Process { pid: own, start_ticks: ticks + 1 }));
        assert!(!is_running(Process { pid: own, start_ticks: 0 }));
    }

    #[tokio::test]
    async fn a_trainer_left_behind_is_ended_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let words = ["sh", "-c", "sleep 60 & wait"].map(str::to_owned).to_vec();
        let command = TrainerCommand { launcher: words, program: "unused".into() };
        let trainer = command.start("train", Path::new("task.json"), folder.path()).unwrap();
        let process = trainer.process();
        reap(Process { start_ticks: process.start_ticks + 1, ..process }).await;
        assert!(is_running(process));
        drop(trainer);
        reap(process).await;
        assert!(!is_running(process));
    }
}
