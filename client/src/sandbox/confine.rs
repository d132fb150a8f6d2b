//! What `eosfed-client sandbox` does to itself before it executes the training program.
//!
//! Two independent means prevent network access: a network namespace without interfaces
//! (namespaces(7)), and Landlock rules against TCP (landlock(7)). Landlock also limits writing to the
//! folders of the assignment. Both are inherited by every process that the trainer starts, and neither
//! can be undone.

use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{getegid, geteuid, getppid};
use serde::{Deserialize, Serialize};

/// Folders of devices: CUDA, the null device and shared memory are there.
const DEVICES: &str = "/dev";

/// What a training program may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement {
    /// Folders that it may write to.
    pub writable: Vec<PathBuf>,
    /// Most memory for its data, in bytes.
    pub max_memory: Option<u64>,
}

/// Whether a restriction is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// It is, by this means.
    Full(String),
    /// In part, by this means.
    Partial(String),
    /// It is not, for this reason.
    None(String),
}

/// Which restrictions are in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Access to the network.
    pub network: Enforcement,
    /// Writing outside of the folders that are allowed.
    pub files: Enforcement,
}

impl Report {
    /// Whether everything is in force completely.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        matches!((&self.network, &self.files), (Enforcement::Full(_), Enforcement::Full(_)))
    }
}

impl Confinement {
    /// Restricts this process and its future children. Call it before any thread is started.
    ///
    /// # Errors
    /// If a resource limit cannot be set; restrictions that the kernel lacks are reported instead.
    pub fn apply(&self) -> io::Result<Report> {
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        if let Some(most) = self.max_memory {
            setrlimit(Resource::RLIMIT_DATA, most, most)?;
        }
        let namespace = leave_network();
        Ok(Report { network: network(namespace, deny_connections()), files: files(self.limit_writing()) })
    }

    /// Limits writing to the folders that are allowed, and to devices.
    fn limit_writing(&self) -> Result<RulesetStatus, RulesetError> {
        let writing = AccessFs::from_write(ABI::V3);
        let folders = self.writable.iter().cloned().chain([DEVICES.into()]);
        let ruleset = Ruleset::default().handle_access(writing)?.create()?;
        Ok(ruleset.add_rules(path_beneath_rules(folders, writing))?.restrict_self()?.ruleset)
    }
}

/// Prevents TCP and, where the kernel supports it, signals and abstract sockets to other processes.
fn deny_connections() -> Result<RulesetStatus, RulesetError> {
    let status = Ruleset::default().handle_access(AccessNet::from_all(ABI::V4))?.create()?.restrict_self()?;
    Ruleset::default().scope(Scope::from_all(ABI::V6))?.create()?.restrict_self()?;
    Ok(status.ruleset)
}

/// Ends this process when its parent does, by SIGKILL. `parent` is the process that was the parent at
/// first: if it has ended already, this is an error.
///
/// The kernel forgets the request when the process gains capabilities, so this is the last
/// restriction before `exec`.
///
/// # Errors
/// If the kernel refuses, or the parent has ended.
pub fn end_with(parent: i32) -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    if getppid().as_raw() == parent {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::BrokenPipe, "the program that started this one has ended"))
}

/// Moves this process to a network namespace without interfaces. Without privileges that needs a user
/// namespace, in which users and groups keep their numbers, so that file permissions stay the same.
fn leave_network() -> io::Result<()> {
    if unshare(CloneFlags::CLONE_NEWNET).is_ok() {
        return Ok(());
    }
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
}

fn network(namespace: io::Result<()>, landlock: Result<RulesetStatus, RulesetError>) -> Enforcement {
    match (namespace, landlock) {
        (Ok(()), _) => Enforcement::Full("a network namespace without interfaces".to_owned()),
        (Err(error), Ok(RulesetStatus::FullyEnforced)) => {
            Enforcement::Partial(format!("Landlock denies TCP but not UDP; no network namespace: {error}"))
        }
        (Err(error), _) => {
            Enforcement::None(format!("no network namespace: {error}; no rule of Landlock against TCP"))
        }
    }
}

fn files(landlock: Result<RulesetStatus, RulesetError>) -> Enforcement {
    match landlock {
        Ok(RulesetStatus::FullyEnforced) => Enforcement::Full("Landlock".to_owned()),
        Ok(RulesetStatus::PartiallyEnforced) => {
            Enforcement::Partial("Landlock of a kernel before Linux 6.2".to_owned())
        }
        Ok(RulesetStatus::NotEnforced) => {
            Enforcement::None("this kernel has no Landlock, or it is disabled".to_owned())
        }
        Err(error) => Enforcement::None(format!("Landlock: {error}")),
    }
}
