//! `eosfed-client health`: whether a daemon runs on a state folder, for the health checks of containers.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;
use eosfed_client::document::HealthReport;
use eosfed_client::settings::{Settings, load_policies, load_policy};
use eosfed_client::site::Site;
use eosfed_common::outln;

use super::shared::{Output, site};

/// Say whether a daemon runs on the state folder and could work: it holds the folder, its identity, its
/// policy and those of its data sets can be read. Exit code 1 if not. Whether the coordinator answers is not asked: a daemon waits for
/// that by itself, and a restart would not help.
#[derive(Debug, Args)]
pub(super) struct Health {
    /// The state folder.
    #[arg(long)]
    state: PathBuf,
    /// Format of the answer.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

impl Health {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let site = site(&self.state)?;
        if self.output == Output::Json {
            return json(&site);
        }
        let institution = site.credentials()?.institution;
        works(&site)?;
        outln!("a daemon of `{institution}` runs on {}", site.path().display());
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints the report; what is wrong is in it, and the exit code says that something is.
fn json(site: &Site) -> anyhow::Result<ExitCode> {
    let credentials = site.credentials().map_err(anyhow::Error::from);
    let institution = credentials.as_ref().ok().map(|found| found.institution.clone());
    let problem = credentials.and_then(|_| works(site)).err().map(|error| format!("{error:#}"));
    let ok = problem.is_none();
    let report = HealthReport { ok, state: site.path().to_owned(), institution, problem };
    outln!("{}", serde_json::to_string_pretty(&report)?);
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks that policies can be read and that a daemon holds the state folder.
fn works(site: &Site) -> anyhow::Result<()> {
    load_policy(&site.policy())?;
    // Settings that cannot be read do not stop a daemon that runs: it has read them.
    if let Ok(settings) = Settings::load(&site.settings()) {
        for (name, own) in settings.dataset.policies() {
            load_policies(&site.policy(), own).with_context(|| format!("the policy of data set `{name}`"))?;
        }
    }
    ensure!(site.is_locked()?, "no `eosfed-client run` holds {}", site.path().display());
    Ok(())
}
