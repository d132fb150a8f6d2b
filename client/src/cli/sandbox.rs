//! `eosfed-client sandbox`: restricts itself, then executes a training program. The daemon calls it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use clap::Args;
use eosfed_client::sandbox::{Cgroup, Confinement, Enforcement, Report, end_with};
use eosfed_common::{errln, outln};
use nix::unistd::getppid;

/// Bytes in a gibibyte.
const GIB: u64 = 1 << 30;

/// Execute a program in the sandbox of training programs: it ends with its parent process and, with
/// `--confine`, has no network and writes to the given folders only.
#[derive(Debug, Args)]
pub(super) struct SandboxCommand {
    /// The process that starts this one; the program is not executed if it has ended already.
    #[arg(long)]
    parent: Option<i32>,
    /// The cgroup to enter.
    #[arg(long)]
    cgroup: Option<PathBuf>,
    /// Restrict network, files and memory.
    #[arg(long)]
    confine: bool,
    /// A folder that the program may write to.
    #[arg(long = "writable", requires = "confine")]
    writable: Vec<PathBuf>,
    /// Most memory for the program's data, in GiB.
    #[arg(long, requires = "confine")]
    max_memory_gib: Option<u32>,
    /// Fail if a restriction cannot be enforced completely.
    #[arg(long, requires = "confine")]
    required: bool,
    /// Execute nothing; print which restrictions are enforced, as JSON.
    #[arg(long, requires = "confine", conflicts_with = "program")]
    report: bool,
    /// The program and its arguments.
    #[arg(last = true, required_unless_present = "report")]
    program: Vec<OsString>,
}

impl SandboxCommand {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let parent = self.parent.unwrap_or_else(|| getppid().as_raw());
        if let Some(cgroup) = &self.cgroup {
            Cgroup::enter(cgroup).with_context(|| format!("cannot enter {}", cgroup.display()))?;
        }
        if self.confine {
            let max_memory = self.max_memory_gib.map(|gib| u64::from(gib) * GIB);
            let report = Confinement { writable: self.writable, max_memory }.apply()?;
            if self.report {
                outln!("{}", serde_json::to_string(&report)?);
                return Ok(ExitCode::SUCCESS);
            }
            if self.required && !report.is_complete() {
                bail!(
                    "`trainer.sandbox.mode` is `required`, and this machine does not support it: {report:?}"
                );
            }
            warn_of(&report);
        }
        end_with(parent).context("cannot bind the training program to the daemon")?;
        let [program, arguments @ ..] = &self.program[..] else { bail!("there is no program to execute") };
        let error = Command::new(program).args(arguments).exec();
        Err(error).with_context(|| format!("cannot execute {}", program.display()))
    }
}

/// Notes in the trainer's log what is not enforced.
fn warn_of(report: &Report) {
    let Report { network, files } = report;
    for (what, enforcement) in [("no network", network), ("writes to its own folder only", files)] {
        match enforcement {
            Enforcement::Full(_) => {}
            Enforcement::Partial(why) => errln!("sandbox: {what}: in part: {why}"),
            Enforcement::None(why) => errln!("sandbox: {what}: not enforced: {why}"),
        }
    }
}
