//! The command line of `eosfed job`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use eosfed_common::clock::{Timestamp, moment};
use eosfed_common::plan::JobKind;
use eosfed_common::view::JobState;
use eosfed_transport::wire::{job_kind_message, job_state_message};

use super::{Extent, words};

/// Commands about jobs.
#[derive(Debug, Subcommand)]
pub enum Job {
    /// Check a plan without a coordinator, and report every broken rule
    Check {
        /// The plan, TOML
        plan: PathBuf,
    },
    /// Submit a plan as a job
    Submit {
        /// The plan, TOML
        plan: PathBuf,
        /// Show progress until the job is at rest
        #[arg(long)]
        watch: bool,
    },
    /// List jobs, newest first
    ///
    /// Options narrow the list: a job is shown if it matches each option that is given.
    #[command(after_help = "\
Examples:
  eosfed job list --state running --state paused
  eosfed job list --kind rounds --since 7d --all")]
    List {
        /// Filter of jobs
        #[command(flatten)]
        filter: JobFilter,
        /// Number of entries
        #[command(flatten)]
        extent: Extent,
    },
    /// Show a job, its open round and its last ten closed rounds
    ///
    /// `--output json` prints all rounds, with the training curves of all institutions.
    #[command(after_help = "\
Examples:
  eosfed job show latest
  eosfed job show j-0a --round 3")]
    Show {
        /// The job
        #[command(flatten)]
        job: JobId,
        /// Show only this round, counted from 1
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        round: Option<u32>,
        /// Show this attempt at the round, counted from 1 [default: the last]
        #[arg(long, value_name = "N", requires = "round", value_parser = clap::value_parser!(u32).range(1..))]
        attempt: Option<u32>,
    },
    /// Say in words why a job is where it is, and what would move it
    Explain(JobId),
    /// Show a job's progress and events until it is at rest; exit code 0 only if it has finished
    Watch(JobId),
    /// Cancel a job
    Cancel(JobId),
    /// Pause a job: no new work is offered; institutions at work may finish and submit
    Pause(JobId),
    /// Resume a paused job
    Resume(JobId),
    /// Repeat the offer to an institution that has declined, failed or been rejected in the open round
    Retry {
        /// The job
        #[command(flatten)]
        job: JobId,
        /// The institution
        institution: String,
    },
    /// Start a new job from a complete round of another job
    ///
    /// The new job keeps the rounds before that round and asks the same institutions. Without `--strategy`,
    /// institutions train the round again, from the weights that it started from. With `--strategy`, the kept
    /// updates of the round are aggregated by another strategy, and the new job continues with the next
    /// round. The other job does not change. The new job creates no release, even if its plan says
    /// `release = "auto"`: compare the two, then run `eosfed release create`.
    #[command(after_help = "\
Examples:
  eosfed job fork latest --round 3
  eosfed job fork latest --round 3 --strategy median
  eosfed job fork latest --round 3 --strategy 'name = \"trimmed-mean\", trim = 0.2'

`keep_updates_for` in the coordinator's settings sets how long updates are kept.")]
    Fork {
        /// The job
        #[command(flatten)]
        job: JobId,
        /// The round, counted from 1 as `eosfed job show` does
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        round: u32,
        /// Name of another strategy, or the contents of a plan's `strategy = { ... }`
        #[arg(long, value_name = "STRATEGY")]
        strategy: Option<String>,
    },
    /// Download the head that a downstream job has trained
    ///
    /// `eosfed-trainer score`, `predict` and `ensemble` use it with the release that it was trained on.
    Head {
        /// The job
        #[command(flatten)]
        job: JobId,
        /// The folder to write
        #[arg(long = "to", short = 'o', visible_alias = "dir", value_name = "DIR")]
        folder: PathBuf,
    },
    /// Draw a job's training curves, or the scores of an evaluation, as a PNG
    ///
    /// Above, the training loss of each institution; below, the score of its own validation part after each epoch, and
    /// for jobs of rounds the mean of these scores before each aggregation and the score of the average after it, which
    /// institutions measure as the next round begins: the last round has none. Both are printed as a table. Institutions
    /// whose policy keeps scores back have no line below. `--output json` prints the numbers.
    Plot {
        /// The job
        #[command(flatten)]
        job: JobId,
        /// The picture to write
        #[arg(long, short, value_name = "FILE", default_value = "curves.png")]
        file: PathBuf,
    },
}

/// A filter of jobs.
#[derive(Debug, Clone, Args)]
pub struct JobFilter {
    /// Jobs in this state; may be repeated
    #[arg(long = "state", value_name = "STATE", value_parser = words::<JobState>())]
    pub states: Vec<JobState>,
    /// Jobs of this kind; may be repeated
    #[arg(long = "kind", value_name = "KIND", value_parser = words::<JobKind>())]
    pub kinds: Vec<JobKind>,
    /// Jobs submitted at this time or later: a time, a date (UTC) or how long ago, such as 2h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
}

impl JobFilter {
    /// States, kinds and time for a request.
    pub(crate) fn message(&self) -> (Vec<i32>, Vec<i32>, u64) {
        (
            self.states.iter().map(|state| job_state_message(*state).into()).collect(),
            self.kinds.iter().map(|kind| job_kind_message(*kind).into()).collect(),
            self.since.map_or(0, |since| since.0),
        )
    }
}

/// A reference to a job.
#[derive(Debug, Clone, Args)]
pub struct JobId {
    /// Its id, such as j-0a1b2c3d, the first characters of its id, such as j-0a, or `latest`
    pub job: String,
}
