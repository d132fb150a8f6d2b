//! The daemon as a unit of systemd.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use eosfed_client::settings::find_executable;
use eosfed_client::site::Site;
use eosfed_common::outln;
use nix::unistd::geteuid;

/// Exists where systemd is the first process.
const RUNNING: &str = "/run/systemd/system";
/// Where the unit keeps its state folders.
const STATES: &str = "/var/lib/eosfed/client";
const TEMPLATE: &str = "eosfed-client@.service";

/// The unit of a state folder in [`STATES`]. Its instance is the folder's name.
pub(super) struct Unit {
    instance: String,
    state: PathBuf,
}

impl Unit {
    pub(super) fn of(site: &Site) -> anyhow::Result<Self> {
        let state = site.path().to_owned();
        let name = state.file_name().and_then(|name| name.to_str());
        let instance = name.with_context(|| format!("{} has no name of its own", state.display()))?;
        Ok(Self { instance: instance.to_owned(), state })
    }

    pub(super) fn name(&self) -> String {
        format!("eosfed-client@{}", self.instance)
    }

    /// Why this user cannot start the unit here.
    pub(super) fn why_not(&self) -> Option<String> {
        let only_root = || (!geteuid().is_root()).then(|| "only root may enable a unit".to_owned());
        self.absent().or_else(only_root)
    }

    /// Why there is no such unit here.
    fn absent(&self) -> Option<String> {
        if !Path::new(RUNNING).is_dir() {
            return Some("systemd does not run here".to_owned());
        }
        if self.state.parent() != Some(Path::new(STATES)) {
            return Some(format!("the unit has its state in {STATES}/NAME, found {}", self.state.display()));
        }
        let Some(systemctl) = systemctl() else { return Some("there is no `systemctl`".to_owned()) };
        let known = Command::new(systemctl).args(["cat", TEMPLATE]).output();
        let known = known.is_ok_and(|output| output.status.success());
        (!known).then(|| format!("there is no unit {TEMPLATE}; the package eosfed-client brings it"))
    }

    /// How a person starts the daemon.
    pub(super) fn advice(&self) -> String {
        match self.absent() {
            None => format!("start the daemon, as root: systemctl enable --now {}", self.name()),
            Some(_) => format!("start the daemon: eosfed-client run --state {}", self.state.display()),
        }
    }

    /// Starts it, now and at every boot.
    pub(super) fn enable(&self) -> anyhow::Result<()> {
        let systemctl = systemctl().context("there is no `systemctl`")?;
        let name = self.name();
        let status = Command::new(systemctl).args(["enable", "--now", &name]).status();
        let status = status.with_context(|| format!("systemctl enable --now {name}"))?;
        ensure!(status.success(), "`systemctl enable --now {name}` has failed; see `journalctl -u {name}`");
        outln!("\n{name} runs, and starts at every boot; see `systemctl status {name}`");
        Ok(())
    }
}

fn systemctl() -> Option<PathBuf> {
    find_executable(Path::new("systemctl"), None, &std::env::var("PATH").unwrap_or_default())
}
