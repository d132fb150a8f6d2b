//! The command line of `eosfed audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use eosfed_common::clock::{Timestamp, moment};
use eosfed_common::ledger::{ActorFilter, EventRef, KindFilter};

/// Commands about the ledger.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Show the newest events, the newest last
    #[command(after_help = "\
Examples:
  eosfed audit list --since 2h
  eosfed audit list --actor institution:west --job latest
  eosfed audit list --kind refused --limit 10")]
    List {
        /// Filter of events
        #[command(flatten)]
        filter: EventFilter,
        /// Most events to show
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Write events as lines of JSON that can be verified without a coordinator
    ///
    /// Each line is an event in canonical JSON (RFC 8785). The SHA-256 of the line without its member
    /// `hash` is that hash, and `previous` is the hash of the line before it.
    Export {
        /// Filter of events; without a filter the export can be verified
        #[command(flatten)]
        filter: EventFilter,
        /// The file to write, or `-` for standard output
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Verify that no event was changed, removed or inserted
    ///
    /// Verifies the coordinator's ledger, or an export of it without a coordinator. Whoever controls the
    /// coordinator can still write a new ledger from the beginning, or drop its end: to notice that, note
    /// the newest event now and pass it as `--noted` later.
    Verify {
        /// An export [default: the coordinator's ledger]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// The newest event of an earlier verification, NUMBER:sha256:HEX, which must still be there
        #[arg(long, value_name = "EVENT")]
        noted: Option<EventRef>,
        /// A release, by its number or as a pulled folder: the newest event when it was created must still be
        /// there. Members who compare with the same release have seen the same history until then
        #[arg(long, value_name = "N|DIR", conflicts_with = "noted")]
        release: Option<String>,
    },
}

/// A filter of events: an event must match every given option.
#[derive(Debug, Clone, Args)]
pub struct EventFilter {
    /// Events at this time or later: a time, a date (UTC) or how long ago, such as 2h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
    /// Events before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Timestamp>,
    /// Events of `coordinator`, of a role such as `operator`, or of one actor, ROLE:NAME
    #[arg(long, value_name = "ACTOR")]
    pub actor: Option<ActorFilter>,
    /// Events about this job: its id, the beginning of its id, or `latest`
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,
    /// Events about this institution
    #[arg(long, value_name = "NAME")]
    pub institution: Option<String>,
    /// Events of this kind, such as `job_cancelled` or `refused`
    #[arg(long, value_name = "KIND")]
    pub kind: Option<KindFilter>,
}

impl EventFilter {
    /// Whether there is no filter.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        let Self { since, until, actor, job, institution, kind } = self;
        since.is_none()
            && until.is_none()
            && actor.is_none()
            && job.is_none()
            && institution.is_none()
            && kind.is_none()
    }
}
