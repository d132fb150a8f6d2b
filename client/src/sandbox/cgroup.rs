//! The cgroup of the training program (cgroups(7), version 2): limits on all of its processes together, and
//! an end for all of them, also for those that have left its process group.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use nix::unistd::{AccessFlags, access, getuid};

use super::TrainerLimits;

/// The name of the cgroup that the daemon moves to: a cgroup with processes cannot limit its children.
/// systemd makes it by `DelegateSubgroup=daemon`.
const DAEMON: &str = "daemon";
const PREFIX: &str = "eosfed-trainer-";
/// The file that lists the processes of a cgroup, and moves a process into it.
const PROCESSES: &str = "cgroup.procs";
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];
/// The period of `cpu.max`, in microseconds.
const PERIOD: u64 = 100_000;
/// How often, and for how long in all, it is looked whether killed processes are gone.
const INTERVAL: Duration = Duration::from_millis(10);
const CHECKS: u32 = 300;

/// A cgroup in which those of trainers are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroups {
    folder: PathBuf,
    /// Whether the daemon has to move out of it first.
    inside: bool,
    /// The number of the daemon's lane, from 0: each has a trainer.
    lane: usize,
}

/// The cgroup of one trainer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    folder: PathBuf,
    /// The limits that this machine cannot enforce, each with the reason.
    pub missing: Vec<String>,
}

impl Cgroups {
    /// Where cgroups can be made. Changes nothing.
    ///
    /// # Errors
    /// A sentence that says why there is no such place.
    pub fn find(limits: &TrainerLimits) -> Result<Self, String> {
        if let Some(folder) = &limits.cgroup_folder {
            if !folder.join("cgroup.kill").exists() {
                return Err(format!("{} is no cgroup of version 2 with `cgroup.kill`", folder.display()));
            }
            return Ok(Self { folder: folder.clone(), inside: false, lane: 0 });
        }
        if getuid().is_root() {
            return Err(
                "the superuser may write to every cgroup, so `trainer.limits.cgroup_folder` must name \
                        one that is delegated"
                    .to_owned(),
            );
        }
        let read = |path: &str| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        let own = own(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?)
            .ok_or("this machine has no cgroups of version 2")?;
        let moved = own.file_name().is_some_and(|name| name == DAEMON);
        let folder = if moved { own.parent().unwrap_or(&own).to_owned() } else { own };
        if access(&folder, AccessFlags::W_OK).is_err() {
            return Err(format!(
                "the daemon's cgroup {} is not delegated to it; in a unit of systemd, set `Delegate=yes` and \
                 `DelegateSubgroup={DAEMON}`",
                folder.display()
            ));
        }
        let found = Self { folder, inside: !moved, lane: 0 };
        match found.inside && !found.is_alone() {
            true => Err(format!("the daemon's cgroup {} has other processes", found.folder.display())),
            false => Ok(found),
        }
    }

    /// The same for the trainers of another lane of the daemon.
    #[must_use]
    pub fn of_lane(self, lane: usize) -> Self {
        Self { lane, ..self }
    }

    /// The name of the cgroup of this lane's trainer: the daemon's process id and, but for the first lane, the
    /// lane's number.
    fn name(&self) -> String {
        let daemon = std::process::id();
        if self.lane == 0 { format!("{PREFIX}{daemon}") } else { format!("{PREFIX}{daemon}-{}", self.lane) }
    }

    /// Whether this process is the only one in it.
    fn is_alone(&self) -> bool {
        let processes = std::fs::read_to_string(self.folder.join(PROCESSES)).unwrap_or_default();
        processes.trim() == std::process::id().to_string()
    }

    /// Makes the cgroup of a trainer, with limits.
    ///
    /// # Errors
    /// If it cannot be made. Limits that cannot be enforced are listed instead.
    pub fn make(&self, limits: &TrainerLimits) -> io::Result<Cgroup> {
        if self.inside {
            let own = self.folder.join(DAEMON);
            create(&own)?;
            std::fs::write(own.join(PROCESSES), "0")?;
        }
        self.sweep();
        for controller in CONTROLLERS {
            // What is not available shows when its limit is set.
            let _ = std::fs::write(self.folder.join("cgroup.subtree_control"), format!("+{controller}"));
        }
        let folder = self.folder.join(self.name());
        create(&folder)?;
        let mut cgroup = Cgroup { folder, missing: Vec::new() };
        cgroup.limit(limits);
        Ok(cgroup)
    }

    /// Ends and removes what this lane's last trainer has left, and what daemons have left that do not run any
    /// more.
    pub fn sweep(&self) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            let daemon = rest.split_once('-').map_or(rest, |(daemon, _)| daemon);
            if name == self.name() || !Path::new("/proc").join(daemon).exists() {
                Cgroup { folder: path, missing: Vec::new() }.end();
            }
        }
    }
}

impl Cgroup {
    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn limit(&mut self, limits: &TrainerLimits) {
        if let Some(gib) = limits.memory_gib {
            self.set("memory_gib", "memory.max", &(u64::from(gib) << 30).to_string());
            // Swapped pages would be beyond the limit; machines without swap have no such file.
            let _ = std::fs::write(self.folder.join("memory.swap.max"), "0");
            let _ = std::fs::write(self.folder.join("memory.oom.group"), "1");
        }
        if let Some(cpus) = limits.cpus {
            self.set("cpus", "cpu.max", &format!("{} {PERIOD}", u64::from(cpus) * PERIOD));
        }
        self.set("processes", "pids.max", &limits.processes.to_string());
    }

    fn set(&mut self, key: &str, file: &str, value: &str) {
        if let Err(error) = std::fs::write(self.folder.join(file), value) {
            self.missing.push(format!("`trainer.limits.{key}`: {file}: {error}"));
        }
    }

    /// Moves this process into it, before it executes the trainer.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn enter(folder: &Path) -> io::Result<()> {
        std::fs::write(folder.join(PROCESSES), "0")
    }

    /// Kills all processes in it, waits until they are gone, and removes it.
    pub fn end(&self) {
        if let Err(error) = self.kill() {
            tracing::warn!(cgroup = %self.folder.display(), %error, "cannot end what the trainer has left");
        }
        for _ in 0..CHECKS {
            match std::fs::remove_dir(&self.folder) {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return,
                Err(_) => sleep(INTERVAL),
            }
        }
        tracing::warn!(cgroup = %self.folder.display(), "what the trainer has left does not end");
    }

    /// Kills all processes in it.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn kill(&self) -> io::Result<()> {
        match std::fs::write(self.folder.join("cgroup.kill"), "1") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}

/// Makes a cgroup, unless it is there.
fn create(folder: &Path) -> io::Result<()> {
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// The folder of a process's cgroup of version 2, by proc_pid_mountinfo(5) and proc_pid_cgroup(5).
fn own(mounts: &str, cgroups: &str) -> Option<PathBuf> {
    let path = cgroups.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (fields, rest) = line.split_once(" - ")?;
        if !rest.starts_with("cgroup2 ") {
            return None;
        }
        let mut fields = fields.split(' ').skip(3);
        let root = fields.next()?;
        let at = fields.next()?;
        let inside = Path::new(path).strip_prefix(root).ok()?;
        Some(Path::new(at).join(inside))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_cgroup_is_found_below_its_mount() {
        let mounts = "22 1 0:5 / /proc rw - proc proc rw\n\
                      30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = own(mounts, "0::/system.slice/eosfed.service\n");
        assert_eq!(found, Some("/sys/fs/cgroup/system.slice/eosfed.service".into()));
        let container = mounts.replace("0:26 / ", "0:26 /docker/x ");
        assert_eq!(own(&container, "0::/docker/x/y"), Some("/sys/fs/cgroup/y".into()));
        assert_eq!(own(mounts, "4:memory:/x\n"), None, "version 1 only");
        assert_eq!(own("", "0::/"), None);
    }

    #[test]
    fn limits_are_written_and_those_that_cannot_be_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let mut cgroup = Cgroup { folder: folder.path().to_owned(), missing: Vec::new() };
        let limits =
            TrainerLimits { memory_gib: Some(2), cpus: Some(3), processes: 99, ..TrainerLimits::default() };
        cgroup.limit(&limits);
        let written = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap();
        assert_eq!(
            (written("memory.max"), written("cpu.max")),
            ("2147483648".into(), "300000 100000".into())
        );
        assert_eq!((written("pids.max").as_str(), cgroup.missing.len()), ("99", 0));
        let mut gone = Cgroup { folder: folder.path().join("gone"), missing: Vec::new() };
        gone.limit(&limits);
        assert!(gone.missing.len() == 3 && gone.missing[0].contains("memory_gib"), "{:?}", gone.missing);
    }
}
