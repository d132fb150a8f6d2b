//! `eosfed-client jobs`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use eosfed_client::document::{ClientJob, ClientJobs, JobStatus};
use eosfed_client::jobs::{self, JobsQuery};
use eosfed_common::clock::{Clock as _, SystemClock, Timestamp, moment};
use eosfed_common::counted::counted;
use eosfed_common::ids::DataSetName;
use eosfed_common::outln;
use eosfed_tables::Sheet;
use strum::VariantNames as _;

use super::shared::{Output, site};

/// List the jobs that have asked for work here: those that wait for an approval first, then the others by what
/// was decided last. Reads the state folder only.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  eosfed-client jobs --state /srv/eosfed --waiting
  eosfed-client jobs --state /srv/eosfed --status refused --status failed --since 7d")]
pub(super) struct Jobs {
    /// The state folder.
    #[arg(long)]
    state: PathBuf,
    /// Only those that wait for an approval.
    #[arg(long, conflicts_with = "statuses")]
    waiting: bool,
    /// Only those that stand so; may be repeated.
    #[arg(long = "status", value_name = "STATUS",
        value_parser = PossibleValuesParser::new(JobStatus::VARIANTS).try_map(|word| word.parse::<JobStatus>()))]
    statuses: Vec<JobStatus>,
    /// Only those whose ids begin so.
    #[arg(long, value_name = "JOB", default_value = "", hide_default_value = true)]
    job: String,
    /// Only those that stand so since this time or later: a time, a date, or how long ago, such as 2h or 7d.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
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
        site.check_joined()?;
        let statuses = if self.waiting { vec![JobStatus::WaitsForApproval] } else { self.statuses };
        let query = JobsQuery { job: self.job, statuses, since: self.since, most: self.limit as usize };
        let narrowed = !query.statuses.is_empty() || !query.job.is_empty() || query.since.is_some();
        let found = jobs::read(&site, &query, SystemClock.now())?;
        match self.output {
            Output::Json => outln!("{}", serde_json::to_string_pretty(&found)?),
            Output::Text => print(&found, narrowed, &self.state),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print(found: &ClientJobs, narrowed: bool, state: &Path) {
    let ClientJobs { jobs, more_jobs, older_entries } = found;
    let state = state.display();
    if jobs.is_empty() && narrowed {
        outln!("no job matches; without `--waiting`, `--status`, `--job` and `--since`, all are listed");
    } else if jobs.is_empty() {
        outln!("no job has asked for work here; `eosfed-client log --state {state}` has everything");
    } else {
        outln!("{}", table(jobs));
    }
    if *more_jobs > 0 {
        outln!("and {}; `--limit` shows more", counted(*more_jobs, "more job"));
    }
    if *older_entries {
        outln!(
            "the site log has older entries, which were not read; \
             `eosfed-client log --state {state} --job JOB` reads them"
        );
    }
    if let Some(first) = jobs.iter().find(|job| job.status == JobStatus::WaitsForApproval) {
        outln!(
            "look at the terms: `eosfed-client approve {} --show --state {state}`; without `--show` it approves them",
            first.job
        );
    }
}

fn table(jobs: &[ClientJob]) -> Sheet {
    // Of a site with one data set there is nothing to tell.
    let named = jobs.iter().any(|job| job.data_set.is_some());
    let mut header = vec!["job", "name", "now", "since"];
    header.extend(named.then_some("data set"));
    let mut table = Sheet::new(&header);
    for ClientJob { job, name, now, since, data_set, .. } in jobs {
        let mut row = vec![job.as_str(), name.as_deref().unwrap_or("–"), now, since];
        row.extend(named.then(|| data_set.as_ref().map_or("–", DataSetName::as_str)));
        table.add_row(row);
    }
    table
}
