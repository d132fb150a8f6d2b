//! `eosfed-client log`.

mod show;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use eosfed_client::document::VerifiedLog;
use eosfed_client::site::Site;
use eosfed_client::site_log::{EntryKind, Follower, Verification, verify};
use eosfed_common::clock::{Timestamp, moment};
use eosfed_common::counted::counted;
use eosfed_common::ids::JobId;
use eosfed_common::ledger::{EventRef, Verified};
use eosfed_common::outln;
use eosfed_common::stdout::print_warning;
use serde::Deserialize;
use strum::VariantNames as _;

use super::shared::{Output, site};

/// How often `--follow` looks for new entries.
const INTERVAL: Duration = Duration::from_millis(500);

/// Show the site log: what the coordinator has asked, what was decided, what was sent and by whose
/// approval, the newest last. Reads the state folder only, also while a daemon writes.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Log {
    #[command(subcommand)]
    command: Option<LogCommand>,
    /// The state folder.
    #[arg(long, required = true)]
    state: Option<PathBuf>,
    /// Show the newest entries only, as many as this.
    #[arg(short = 'n', value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Show what is added until this command is interrupted.
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    filter: Filter,
    /// Format of the entries; `json` prints them as they are stored, one a line.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// Which entries are shown.
#[derive(Debug, Args)]
struct Filter {
    /// Entries at this time or later: a time, a date, or how long ago, such as 2h or 7d.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Entries about this job.
    #[arg(long)]
    job: Option<JobId>,
    /// Entries of this kind.
    #[arg(long, value_parser = PossibleValuesParser::new(EntryKind::VARIANTS).map(|kind| kind))]
    kind: Option<String>,
}

#[derive(Debug, Subcommand)]
enum LogCommand {
    /// Check that no entry was changed or removed.
    Verify {
        /// The state folder.
        #[arg(long)]
        state: PathBuf,
        /// An entry that was noted elsewhere, as this command prints it. It reveals a log whose end was
        /// removed, or that was written anew.
        #[arg(long, value_name = "NUMBER:sha256:HEX")]
        noted: Option<EventRef>,
        /// Format of the answer.
        #[arg(long, value_enum, default_value = "text")]
        output: Output,
    },
}

/// The members that filters read.
#[derive(Deserialize)]
struct Members {
    at: Timestamp,
    job: Option<String>,
    kind: String,
}

impl Filter {
    /// Whether a line is shown. What is not an entry is shown, so that damage is seen.
    fn wants(&self, line: &str) -> bool {
        let Ok(Members { at, job, kind }) = serde_json::from_str(line) else { return true };
        self.since.is_none_or(|since| at >= since)
            && self.job.as_ref().is_none_or(|wanted| job.as_deref() == Some(wanted.as_str()))
            && self.kind.as_ref().is_none_or(|wanted| kind == *wanted)
    }
}

impl Log {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        if let Some(LogCommand::Verify { state, noted, output }) = self.command {
            return verified(&joined(&site(&state)?)?, noted, output);
        }
        let Some(state) = &self.state else { bail!("`--state` is missing") };
        let site = joined(&site(state)?)?;
        let mut follower = Follower::new(&site.log());
        let mut newest = VecDeque::new();
        follower.each(|line| {
            if self.filter.wants(line) {
                newest.push_back(line.to_owned());
                if newest.len() > self.count as usize {
                    newest.pop_front();
                }
            }
        })?;
        newest.iter().for_each(|line| self.print(line));
        if self.follow {
            self.follow(&mut follower)?;
        }
        if follower.is_torn()? {
            print_warning(format_args!(
                "the last line is incomplete: it is being written, or a crash has cut it off"
            ));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Shows what is added, until this program is interrupted.
    fn follow(&self, follower: &mut Follower) -> anyhow::Result<()> {
        loop {
            std::thread::sleep(INTERVAL);
            follower.each(|line| {
                if self.filter.wants(line) {
                    self.print(line);
                }
            })?;
        }
    }

    fn print(&self, line: &str) {
        match self.output {
            // Stored lines can be shown: their texts are escaped.
            Output::Json => outln!("{line}"),
            Output::Text => show::shown(line).iter().for_each(|line| outln!("{line}")),
        }
    }
}

fn joined(site: &Site) -> anyhow::Result<Site> {
    site.check_joined()?;
    Ok(site.clone())
}

fn verified(site: &Site, noted: Option<EventRef>, output: Output) -> anyhow::Result<ExitCode> {
    let Verification { verified, oldest } = verify(&site.log(), noted)?;
    if output == Output::Json {
        let Verified { events: entries, first, head } = verified;
        let newest = head.map(|head| head.to_string());
        outln!("{}", serde_json::to_string_pretty(&VerifiedLog { entries, first, oldest, newest })?);
        return Ok(ExitCode::SUCCESS);
    }
    outln!("{}: each is unchanged and follows from the one before it.", counted(verified.events, "entry"));
    if let Some(first) = verified.first.filter(|first| *first > 0) {
        outln!(
            "They begin with entry {first}; older files were removed by `site_log.files` (up to entry {oldest})."
        );
    }
    if let Some(newest) = verified.head {
        outln!("Newest: {newest}");
        outln!("Keep that line elsewhere. `eosfed-client log verify --noted {newest}`");
        outln!("later shows whether the log still has it.");
    }
    Ok(ExitCode::SUCCESS)
}
