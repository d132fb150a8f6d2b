//! The sandbox of the training program, which reads files from outside with large native libraries.
//!
//! The daemon starts the trainer through `eosfed-client sandbox`, which restricts itself and then
//! executes the trainer, so that no code runs between `fork` and `exec`. The trainer has no network,
//! writes to its own folder only, gets the environment variables of a list, writes no core dumps and
//! ends when the daemon does. With a launcher, the launcher ends with the daemon, and the
//! restrictions apply behind it, on the machine where the trainer runs.

mod cgroup;
mod confine;
mod environment;
mod limits;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use cgroup::{Cgroup, Cgroups};
pub use confine::{Confinement, Enforcement, Report, end_with};
pub use environment::is_passed_on;
pub use limits::TrainerLimits;

/// The command of `eosfed-client` that restricts itself and executes another program.
pub const COMMAND: &str = "sandbox";

/// Whether the training program is restricted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By everything that this machine supports.
    #[default]
    Auto,
    /// Completely, or it does not start.
    Required,
    /// By a shorter environment only. For machines on which the sandbox prevents the training.
    Off,
}

/// The table `trainer.sandbox` of `client.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxSettings {
    /// Whether the training program is restricted.
    pub mode: Mode,
    /// Folders that it may write to, besides the folder of its assignment.
    pub writable: Vec<PathBuf>,
    /// Environment variables that it gets, besides those that locate libraries and devices.
    pub environment: Vec<String>,
    /// Most memory for its data, in GiB; absent: no limit.
    #[schemars(range(min = 1, max = 65536))]
    pub max_memory_gib: Option<u32>,
}

/// The sandbox of one daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// The program `eosfed-client`.
    pub program: PathBuf,
    /// What the institution has set.
    pub settings: SandboxSettings,
}

impl Sandbox {
    /// The words that put a program with its arguments behind a launcher, restricted to `folder`.
    /// `parent` is the process that starts it.
    #[must_use]
    pub fn wrap(&self, launcher: &[String], folder: &Path, parent: u32) -> Vec<OsString> {
        self.wrap_in(launcher, folder, parent, None)
    }

    /// The same, in a cgroup if there is one. The launcher is in it too.
    #[must_use]
    pub fn wrap_in(
        &self,
        launcher: &[String],
        folder: &Path,
        parent: u32,
        cgroup: Option<&Path>,
    ) -> Vec<OsString> {
        let cgroup = cgroup.map(|cgroup| [OsString::from("--cgroup"), cgroup.into()]);
        if self.settings.mode == Mode::Off {
            let enter = cgroup.map(|cgroup| self.words(cgroup)).into_iter().flatten();
            return enter.chain(launcher.iter().map(OsString::from)).collect();
        }
        let parent = [OsString::from("--parent"), parent.to_string().into()];
        let parent = parent.into_iter().chain(cgroup.into_iter().flatten());
        if launcher.is_empty() {
            return self.words(parent.chain(self.restrictions(folder))).collect();
        }
        self.words(parent)
            .chain(launcher.iter().map(OsString::from))
            .chain(self.words(self.restrictions(folder)))
            .collect()
    }

    /// The words that restrict nothing but report what this machine supports.
    #[must_use]
    pub fn probe(&self, folder: &Path) -> Vec<OsString> {
        let options = [OsString::from("--report")].into_iter().chain(self.restrictions(folder));
        [self.program.clone().into(), COMMAND.into()].into_iter().chain(options).collect()
    }

    fn words(&self, options: impl IntoIterator<Item = OsString>) -> impl Iterator<Item = OsString> {
        let start = [OsString::from(&self.program), COMMAND.into()];
        start.into_iter().chain(options).chain(["--".into()])
    }

    fn restrictions(&self, folder: &Path) -> impl Iterator<Item = OsString> {
        let SandboxSettings { mode, writable, environment: _, max_memory_gib } = &self.settings;
        let folders = [folder].into_iter().chain(writable.iter().map(PathBuf::as_path));
        let folders: Vec<_> =
            folders.flat_map(|folder| [OsString::from("--writable"), folder.into()]).collect();
        let memory = max_memory_gib.map(|gib| ["--max-memory-gib".into(), gib.to_string().into()]);
        let required = (*mode == Mode::Required).then(|| OsString::from("--required"));
        [OsString::from("--confine")]
            .into_iter()
            .chain(folders)
            .chain(memory.into_iter().flatten())
            .chain(required)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox(mode: Mode) -> Sandbox {
        let settings = SandboxSettings { mode, max_memory_gib: Some(4), ..SandboxSettings::default() };
        Sandbox { program: "/usr/bin/eosfed-client".into(), settings }
    }

    fn wrapped(mode: Mode, launcher: &[&str]) -> String {
        let launcher: Vec<_> = launcher.iter().map(|word| (*word).to_owned()).collect();
        let words = sandbox(mode).wrap(&launcher, Path::new("/work/j"), 7);
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_launcher_runs_outside_of_the_restrictions_and_ends_with_the_daemon() {
        assert_eq!(
            wrapped(Mode::Auto, &["srun", "-n1"]),
            "/usr/bin/eosfed-client sandbox --parent 7 -- srun -n1 /usr/bin/eosfed-client sandbox \
             --confine --writable /work/j --max-memory-gib 4 --"
        );
        assert_eq!(
            wrapped(Mode::Required, &[]),
            "/usr/bin/eosfed-client sandbox --parent 7 --confine --writable /work/j --max-memory-gib 4 \
             --required --"
        );
        assert_eq!(wrapped(Mode::Off, &["srun"]), "srun");
        let in_cgroup = |mode| {
            let words = sandbox(mode).wrap_in(&[], Path::new("/w"), 7, Some(Path::new("/c")));
            words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(in_cgroup(Mode::Off), "/usr/bin/eosfed-client sandbox --cgroup /c --");
        assert!(in_cgroup(Mode::Auto).contains("--parent 7 --cgroup /c --confine"));
    }
}
