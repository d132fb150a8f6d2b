//! The command line of `eosfed storage`.

use std::time::Duration;

use bytesize::ByteSize;
use clap::Subcommand;
use eosfed_common::duration;

use super::{Extent, JobFilter};

/// Commands about what the coordinator stores.
#[derive(Debug, Subcommand)]
pub enum Storage {
    /// Show what is stored, for what, and what the coordinator removes next
    ///
    /// Options narrow the list of jobs whose closed rounds keep weights; the other figures are of everything.
    #[command(after_help = "\
Examples:
  eosfed storage show --limit 10
  eosfed storage show --state finished --since 90d --all

Each file of weights counts once, for the first reason in the table. Specialists and heads are never
removed, and neither is what a job needs that has not ended.")]
    Show {
        /// Filter of jobs
        #[command(flatten)]
        filter: JobFilter,
        /// Number of jobs
        #[command(flatten)]
        extent: Extent,
    },
    /// Remove updates and starting weights of closed rounds now, the oldest first
    ///
    /// Without --job, --older-than and --to-size, the limits of the coordinator's settings hold
    /// (`keep_updates_for`, `keep_updates_mb`). A job alone is all of its closed rounds. Specialists,
    /// heads, and what a job needs that has not ended, stay. The ledger records what was removed, with
    /// digests; such a round can no longer be run or aggregated again.
    #[command(after_help = "\
Examples:
  eosfed storage prune --dry-run
  eosfed storage prune --older-than 30d
  eosfed storage prune --job j-0a1b2c3d --to-size 5GB")]
    Prune {
        /// Only rounds of this job: its id, the beginning of its id, or `latest`
        #[arg(long, value_name = "JOB")]
        job: Option<String>,
        /// Rounds that closed this long ago, such as 30d
        #[arg(long, value_name = "AGE", value_parser = duration::parse)]
        older_than: Option<Duration>,
        /// The oldest rounds, until the others take at most this much, such as 5GB or 500MB
        #[arg(long, value_name = "SIZE")]
        to_size: Option<ByteSize>,
        /// Change nothing; show what would be removed
        #[arg(long)]
        dry_run: bool,
    },
}
