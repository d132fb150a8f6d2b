//! `eosfed-client jobs`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use eosfed_client::document::{ClientJob, ClientJobs};
use eosfed_client::jobs;
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::counted::counted;
use eosfed_common::outln;

use super::shared::{Output, site};

/// List the jobs that have asked for work here: those that wait for an approval first, then the others by what
/// was decided last. Reads the state folder only.
#[derive(Debug, Args)]
pub(super) struct Jobs {
    /// The state folder.
    #[arg(long)]
    state: PathBuf,
    /// Only those that wait for an approval.
    #[arg(long)]
    waiting: bool,
    /// Most jobs.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Format of the answer.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

impl Jobs {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let site = site(&self.state)?;
        ensure!(
            site.is_joined(),
            "{} is not a state folder; `eosfed-client join` makes one",
            site.path().display()
        );
        let mut found = jobs::read(&site, SystemClock.now())?;
        if self.waiting {
            found.jobs.retain(|job| job.waits_for_approval);
        }
        let all = found.jobs.len();
        found.jobs.truncate(self.limit as usize);
        match self.output {
            Output::Json => outln!("{}", serde_json::to_string_pretty(&found)?),
            Output::Text => print(&found, all, &self.state),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print(ClientJobs { jobs }: &ClientJobs, all: usize, state: &std::path::Path) {
    if jobs.is_empty() {
        outln!(
            "no job has asked for work here; `eosfed-client log --state {}` has everything",
            state.display()
        );
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["job", "name", "now", "since"]);
    for ClientJob { job, name, now, since, .. } in jobs {
        table.add_row([job.as_str(), name.as_deref().unwrap_or("–"), now, since]);
    }
    outln!("{table}");
    if all > jobs.len() {
        outln!("{} of {}; `--limit` shows more", jobs.len(), counted(all, "job"));
    }
    if let Some(first) = jobs.iter().find(|job| job.waits_for_approval) {
        outln!(
            "look at the terms: `eosfed-client approve {} --show --state {}`; without `--show` it approves them",
            first.job,
            state.display()
        );
    }
}
