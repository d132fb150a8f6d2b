//! The command line: one file for each command. Results go to standard output, logs and progress to
//! standard error.

mod check;
mod dashboard;
mod data;
mod health;
mod jobs;
mod join;
mod log;
mod manager;
mod policy;
mod privacy;
mod run;
mod sandbox;
mod setup;
mod shared;
mod status;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use eosfed_common::telemetry::{LogFormat, init};
use nix::sys::stat::Mode;

const EXAMPLES: &str = "\
Examples:
  eosfed-client setup --state /var/lib/eosfed/client/west
  eosfed-client join --token-file token.txt --state /var/lib/eosfed --dataset /srv/imagery
  eosfed-client policy explain --policy /var/lib/eosfed/policy.toml
  eosfed-client check --state /var/lib/eosfed
  eosfed-client run --state /var/lib/eosfed
  eosfed-client log --state /var/lib/eosfed --since 7d
  eosfed-client dashboard --state /var/lib/eosfed

Exit codes: 0 done, 1 failed, 64 wrong command line; `run`: 77 the coordinator refuses this client, 78 what
only a person can correct.
EOSFED_LOG sets what is logged, such as EOSFED_LOG=debug.";

/// The client of an institution in a federation: trains on private imagery at the institution, and submits
/// weights if the site policy allows it.
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
    /// Ask what `join` needs, explain it, check it, join, and start the daemon.
    Setup(setup::Setup),
    /// Poll for work, train and submit. Ends on SIGTERM or SIGINT.
    Run(run::Run),
    /// Show the institution, its present work and the bytes sent.
    Status(status::Status),
    /// Say whether a daemon runs on a state folder, for health checks of containers.
    Health(health::Health),
    /// Check settings, policy, data set, training program and coordinator.
    Check(check::Check),
    /// List the jobs that have asked for work here, and those that wait for an approval.
    Jobs(jobs::Jobs),
    /// Approve a job where the policy says `approval = "manual"`.
    Approve(policy::Approve),
    /// Show what was asked, decided and sent, or verify that nothing of it was changed.
    Log(log::Log),
    /// Show what was asked, decided and sent in a browser of this machine.
    Dashboard(dashboard::DashboardCommand),
    /// Show what updates have spent of the privacy budget.
    Privacy(privacy::PrivacyCommand),
    /// Describe imagery, or cut a part out of it.
    #[command(subcommand)]
    Data(data::Data),
    /// Explain a site policy.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Execute a program in the sandbox of training programs.
    #[command(name = eosfed_client::sandbox::COMMAND, hide = true)]
    Sandbox(sandbox::SandboxCommand),
}

impl Cli {
    /// Runs the command.
    pub(crate) fn execute(self) -> anyhow::Result<ExitCode> {
        if !matches!(self.command, Command::Run(_) | Command::Sandbox(_)) {
            init(LogFormat::Text, "warn");
        }
        if matches!(
            self.command,
            Command::Join(_) | Command::Setup(_) | Command::Run(_) | Command::Approve(_)
        ) {
            // Whatever is written is for this user only: keys, lease tokens, weights.
            nix::sys::stat::umask(Mode::S_IRWXG | Mode::S_IRWXO);
        }
        match self.command {
            Command::Join(join) => join.execute(),
            Command::Setup(setup) => setup.execute(),
            Command::Run(run) => run.execute(),
            Command::Status(status) => status.execute(),
            Command::Health(health) => health.execute(),
            Command::Check(check) => check.execute(),
            Command::Jobs(jobs) => jobs.execute(),
            Command::Approve(approve) => approve.execute(),
            Command::Log(log) => log.execute(),
            Command::Dashboard(dashboard) => dashboard.execute(),
            Command::Privacy(privacy) => privacy.execute(),
            Command::Data(data) => data.execute(),
            Command::Policy(policy) => policy.execute(),
            Command::Sandbox(sandbox) => sandbox.execute(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;
    use eosfed_client::document::published;

    use super::*;

    /// The commands below this one that print JSON, as their words after the program's name.
    fn printing_json(command: &clap::Command, words: &[&str], found: &mut BTreeSet<String>) {
        let has_format = |argument: &clap::Arg| {
            argument.get_possible_values().iter().any(|value| value.get_name() == "json")
        };
        if command.get_arguments().any(has_format) {
            found.insert(words.join(" "));
        }
        for one in command.get_subcommands() {
            printing_json(one, &[words, &[one.get_name()]].concat(), found);
        }
    }

    #[test]
    fn every_command_that_prints_json_has_a_schema() {
        let mut commands = BTreeSet::new();
        printing_json(&Cli::command(), &[], &mut commands);
        // Logs are JSON lines for another program.
        commands.remove("run");
        let words = |command: &&str| {
            let words =
                command.split(' ').take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
            words.collect::<Vec<_>>().join(" ")
        };
        let documented: BTreeSet<_> = published().iter().flat_map(|one| one.commands).map(words).collect();
        assert_eq!(commands, documented);
    }
}
