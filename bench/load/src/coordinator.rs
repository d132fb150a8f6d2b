//! The coordinator under load, as its own process: it is started in a temporary folder and measured from
//! outside.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use eosfed_common::secret::Secret;
use eosfed_transport::keys::KeyAndCertificate;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Time to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Starts a program with a low limit of open files, which the program raises itself.
const FEW_FILES: &str = "ulimit -S -n 64 && exec \"$0\" \"$@\"";
/// Time between two measurements of its memory.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// The kernel's numbers of a process, sizes in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Resident memory.
    pub(crate) resident: u64,
    /// The part of it that is not mapped from files: memory that the process has allocated.
    pub(crate) anonymous: u64,
    /// Open files and connections.
    pub(crate) files: u64,
}

impl Footprint {
    fn most(self, other: Self) -> Self {
        Self {
            resident: self.resident.max(other.resident),
            anonymous: self.anonymous.max(other.anonymous),
            files: self.files.max(other.files),
        }
    }
}

/// How long a restart took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Restart {
    /// From SIGTERM to the end.
    pub(crate) ending: Duration,
    /// From the start to ready.
    pub(crate) starting: Duration,
}

/// A running coordinator; killed when dropped.
pub(crate) struct Coordinator {
    folder: TempDir,
    program: PathBuf,
    child: Child,
    pid: u32,
    url: String,
    most: Arc<Mutex<Footprint>>,
    sampler: JoinHandle<()>,
}

impl Coordinator {
    /// Makes a state folder and serves it.
    pub(crate) async fn start(program: &Path) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let state = folder.path().join("coordinator");
        // A free port, which it keeps when it is started again.
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let made = Command::new(program)
            .args(["init", "--operator", "ada", "--listen", &listen, "--state"])
            .arg(&state)
            .output();
        let made = made.await.with_context(|| format!("cannot run {}", program.display()))?;
        ensure!(made.status.success(), "init failed: {}", String::from_utf8_lossy(&made.stderr));
        Self::open(program, folder).await
    }

    /// Serves the state folder `coordinator` in this folder.
    pub(crate) async fn open(program: &Path, folder: TempDir) -> anyhow::Result<Self> {
        let (child, pid, url) = serve(program, folder.path()).await?;
        let most = Arc::new(Mutex::new(Footprint::default()));
        let sampler = tokio::spawn(sample_memory(pid, Arc::clone(&most)));
        Ok(Self { folder, program: program.to_owned(), child, pid, url, most, sampler })
    }

    /// Ends it with SIGTERM.
    async fn stop(&mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(i32::try_from(self.pid)?), Signal::SIGTERM)?;
        ensure!(self.child.wait().await?.success(), "it does not end well: {}", self.log());
        self.sampler.abort();
        Ok(())
    }

    /// Ends it and keeps its folder.
    pub(crate) async fn end(mut self) -> anyhow::Result<TempDir> {
        self.stop().await?;
        let empty = TempDir::new()?;
        Ok(std::mem::replace(&mut self.folder, empty))
    }

    /// Ends it with SIGTERM and starts it again.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<Restart> {
        let asked = Instant::now();
        self.stop().await?;
        let ending = asked.elapsed();
        let started = Instant::now();
        (self.child, self.pid, self.url) = serve(&self.program, self.folder.path()).await?;
        let starting = started.elapsed();
        self.sampler = tokio::spawn(sample_memory(self.pid, Arc::clone(&self.most)));
        Ok(Restart { ending, starting })
    }

    /// Bytes that it has written since it was started: to the store, to the log and, in part, to the network.
    /// The kernel's count of bytes that go to disks is no use here: it counts whole folios.
    pub(crate) fn written(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/io", self.pid)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("wchar: "));
        line.and_then(|number| number.parse().ok()).unwrap_or_default()
    }

    /// Bytes of its records on the disk.
    pub(crate) fn store_size(&self) -> anyhow::Result<u64> {
        folder_size(&self.folder.path().join("coordinator/store"))
    }

    /// A folder for the files of this run. It is removed at the end.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The operator's key and certificate, and the authority's.
    pub(crate) fn operator(&self) -> anyhow::Result<(KeyAndCertificate, String)> {
        let folder = self.folder.path().join("coordinator/operator");
        let read = |name: &str| {
            let path: PathBuf = folder.join(name);
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let pair = KeyAndCertificate {
            key_pem: Secret::new(read("key.pem")?),
            certificate_pem: read("certificate.pem")?,
        };
        Ok((pair, read("ca.pem")?))
    }

    /// Its present use.
    pub(crate) fn footprint(&self) -> Footprint {
        footprint(self.pid).unwrap_or_default()
    }

    /// The largest use since the last call.
    pub(crate) fn most(&self) -> Footprint {
        let mut most = self.most.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *most).most(self.footprint())
    }

    /// The largest resident memory since its start, in KiB.
    pub(crate) fn peak(&self) -> u64 {
        peak(self.pid).unwrap_or_default()
    }

    /// Seconds of processor time that it has used.
    pub(crate) fn processor_seconds(&self) -> f64 {
        processor_seconds(self.pid).unwrap_or_default()
    }

    /// The end of its log.
    pub(crate) fn log(&self) -> String {
        log_of(self.folder.path())
    }

    /// Whether it still runs.
    pub(crate) fn running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        self.sampler.abort();
    }
}

/// Serves the state folder in `folder`; gives the process, its number and its address.
async fn serve(program: &Path, folder: &Path) -> anyhow::Result<(Child, u32, String)> {
    let log = File::options().create(true).append(true).open(folder.join("log"))?;
    let mut serve = Command::new("sh");
    serve.args(["-c", FEW_FILES]).arg(program).args(["serve", "--state"]).arg(folder.join("coordinator"));
    serve.env_remove("EOSFED_LOG");
    serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
    let mut child = serve.spawn()?;
    let pid = child.id().context("the coordinator has ended at once")?;
    let lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
    let Ok(Ok(url)) = timeout(START_TIMEOUT, ready(lines)).await else {
        bail!("it does not start: {}", log_of(folder))
    };
    Ok((child, pid, url))
}

fn folder_size(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let found = entry.metadata()?;
        bytes += if found.is_dir() { folder_size(&entry.path())? } else { found.blocks() * 512 };
    }
    Ok(bytes)
}

async fn ready(
    mut lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
) -> anyhow::Result<String> {
    while let Some(line) = lines.next_line().await? {
        if let Some(url) = line.strip_prefix("READY ") {
            return Ok(url.to_owned());
        }
    }
    bail!("it has ended")
}

fn log_of(folder: &Path) -> String {
    let log = std::fs::read(folder.join("log")).unwrap_or_default();
    String::from_utf8_lossy(&log[log.len().saturating_sub(3000)..]).into_owned()
}

async fn sample_memory(pid: u32, most: Arc<Mutex<Footprint>>) {
    while let Ok(now) = footprint(pid) {
        {
            let mut most = most.lock().unwrap_or_else(PoisonError::into_inner);
            *most = most.most(now);
        }
        sleep(CHECK_INTERVAL).await;
    }
}

fn footprint(pid: u32) -> std::io::Result<Footprint> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let files = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64;
    let field = |name: &str| field(&status, name).unwrap_or_default();
    Ok(Footprint { resident: field("VmRSS:"), anonymous: field("RssAnon:"), files })
}

/// The largest resident memory of a process so far, in KiB.
pub(crate) fn peak(pid: u32) -> Option<u64> {
    field(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmHWM:")
}

/// A field of proc_pid_status(5), in KiB.
fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// Fields 14 and 15 of proc_pid_stat(5), in ticks of a hundredth of a second.
fn processor_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks as f64 / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_parsed() {
        let status = "Name:\tx y\nVmRSS:\t   12 kB\nRssAnon:\t    7 kB\n";
        assert_eq!((field(status, "VmRSS:"), field(status, "RssAnon:")), (Some(12), Some(7)));
        let own = footprint(std::process::id()).unwrap();
        assert!(own.resident >= own.anonymous && own.anonymous > 0 && own.files > 2, "{own:?}");
        assert!(processor_seconds(std::process::id()).is_some());
    }
}
