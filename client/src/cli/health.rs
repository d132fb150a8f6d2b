//! `eosfed-client health`: whether a daemon runs on a state folder, for the health checks of containers.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;
use eosfed_client::settings::{Settings, load_policies, load_policy};
use eosfed_common::outln;

use super::shared::site;

/// Say whether a daemon runs on the state folder and could work: it holds the folder, its identity, its
/// policy and those of its data sets can be read. Exit code 1 if not. Whether the coordinator answers is not asked: a daemon waits for
/// that by itself, and a restart would not help.
#[derive(Debug, Args)]
pub(super) struct Health {
    /// The state folder.
    #[arg(long)]
    state: PathBuf,
}

impl Health {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let site = site(&self.state)?;
        let credentials = site.credentials()?;
        load_policy(&site.policy())?;
        // Settings that cannot be read do not stop a daemon that runs: it has read them.
        if let Ok(settings) = Settings::load(&site.settings()) {
            for (name, own) in settings.dataset.policies() {
                load_policies(&site.policy(), own)
                    .with_context(|| format!("the policy of data set `{name}`"))?;
            }
        }
        let path = site.path().display();
        ensure!(site.is_locked()?, "no `eosfed-client run` holds {path}");
        outln!("a daemon of `{}` runs on {path}", credentials.institution);
        Ok(ExitCode::SUCCESS)
    }
}
