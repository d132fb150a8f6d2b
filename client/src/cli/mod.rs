//! The command line: one file for each command. Results go to standard output, logs and progress to
//! standard error.

mod check;
mod data;
mod join;
mod policy;
mod run;
mod status;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use eosfed_client::settings::Settings;
use eosfed_client::site::Site;
use eosfed_common::telemetry::{LogFormat, init};

const EXAMPLES: &str = "\
Examples:
  eosfed-client join --token-file token.txt --state /var/lib/eosfed --dataset /srv/imagery
  eosfed-client policy explain --policy /var/lib/eosfed/policy.toml
  eosfed-client check --state /var/lib/eosfed
  eosfed-client run --state /var/lib/eosfed

Exit codes: 0 done, 1 failed, 64 wrong command line.
EOSFED_LOG sets what is logged, such as EOSFED_LOG=debug.";

/// An institution's end of a federation: trains on private imagery where it lies, and hands in
/// weights as far as the site policy allows.
#[derive(Debug, Parser)]
#[command(name = "eosfed-client", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Get an identity with a join token and make the state folder.
    Join(join::Join),
    /// Work: look for assignments, train, hand in. Ends on SIGTERM or SIGINT.
    Run(run::Run),
    /// Say who this is, what it is doing and how much it has sent.
    Status(status::Status),
    /// Check settings, policy, data set, training program and coordinator.
    Check(check::Check),
    /// Approve a job where the policy says `approval = "manual"`.
    Approve(policy::Approve),
    /// Look at imagery, or cut a part out of it.
    #[command(subcommand)]
    Data(data::Data),
    /// Explain a site policy.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
}

/// How results look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Cli {
    /// Runs the command.
    pub(crate) fn execute(self) -> anyhow::Result<ExitCode> {
        if !matches!(self.command, Command::Run(_)) {
            init(LogFormat::Text, "warn");
        }
        match self.command {
            Command::Join(join) => join.execute(),
            Command::Run(run) => run.execute(),
            Command::Status(status) => status.execute(),
            Command::Check(check) => check.execute(),
            Command::Approve(approve) => approve.execute(),
            Command::Data(data) => data.execute(),
            Command::Policy(policy) => policy.execute(),
        }
    }
}

/// A runtime for the commands that speak to the coordinator.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

/// The settings of a state folder, with the data set replaced if one is given.
fn settings(site: &Site, dataset: Option<&Path>) -> anyhow::Result<Settings> {
    let mut settings = Settings::load(&site.settings())?;
    if let Some(dataset) = dataset {
        settings.dataset = dataset.to_owned();
    }
    let dataset = &settings.dataset;
    // The training program may run elsewhere: a relative path would mean something else there.
    settings.dataset = std::path::absolute(dataset).with_context(|| dataset.display().to_string())?;
    Ok(settings)
}

/// A state folder by its absolute path.
fn site(state: &Path) -> anyhow::Result<Site> {
    Ok(Site::at(&std::path::absolute(state).with_context(|| state.display().to_string())?))
}

/// The training program as the settings name it.
fn trainer_program(settings: &Settings) -> Result<PathBuf, String> {
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent);
    let path = std::env::var("PATH").unwrap_or_default();
    eosfed_client::settings::find_program(&settings.trainer.program, beside, &path)
}
