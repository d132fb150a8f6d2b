//! The command line of `eosfed`.

use std::error::Error;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use eosfed_common::clock::Timestamp;
use eosfed_common::duration;
use eosfed_common::ledger::{ActorFilter, KindFilter, Mark};
use eosfed_common::plan::JobKind;
use eosfed_common::stdout::print;
use eosfed_common::view::JobState;
use strum::VariantArray;

use super::moment::moment;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs: one JSON document on standard output.
    Json,
}

/// Operate a federation, and use what it makes.
///
/// Invite institutions, submit jobs and watch them, look at specialists, cut and pull ensemble
/// releases. Needs an identity: the folder `operator` that `eosfed-coordinator init` has made.
#[derive(Debug, Parser)]
#[command(
    name = "eosfed",
    version,
    after_help = "\
Examples:
  export EOSFED_IDENTITY=/var/lib/eosfed/operator
  eosfed institution invite univ-ghent --token-file ghent.token
  eosfed job submit plan.toml --watch
  eosfed release pull --to ensemble

Exit codes: 0 done, 1 refused or failed, 64 wrong usage, 69 the coordinator does not answer."
)]
pub struct Arguments {
    /// Folder with key, certificate and address [default: ~/.config/eosfed]
    #[arg(long, global = true, env = "EOSFED_IDENTITY", value_name = "DIR")]
    pub identity: Option<PathBuf>,
    /// The HTTP proxy on the way to the coordinator, http://HOST:PORT
    #[arg(long, global = true, env = "EOSFED_PROXY", value_name = "URL")]
    pub proxy: Option<String>,
    /// A file of one line, USER:PASSWORD, for a proxy that asks for it; only its owner may read it
    #[arg(long, global = true, env = "EOSFED_PROXY_CREDENTIALS_FILE", value_name = "FILE")]
    pub proxy_credentials_file: Option<PathBuf>,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value = "table")]
    pub output: Output,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Invite and list partner institutions
    #[command(subcommand)]
    Institution(Institution),
    /// Submit, watch and control jobs
    #[command(subcommand)]
    Job(Job),
    /// Look at specialists of the registry
    #[command(subcommand)]
    Specialist(Specialist),
    /// Cut, list and pull ensemble releases
    #[command(subcommand)]
    Release(Release),
    /// Read and verify the ledger: who did what, and when
    #[command(subcommand)]
    Audit(Audit),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Commands about institutions.
#[derive(Debug, Subcommand)]
pub enum Institution {
    /// Make a join token for an institution
    ///
    /// The token works once, until it expires, and is not kept: hand it over in private. An
    /// institution that is enrolled already can be invited again, to join with a new key.
    Invite {
        /// 1 to 40 lower-case letters, digits and hyphens
        name: String,
        /// How long the token can be used, such as 90s, 30m, 24h or 7d
        #[arg(long, default_value = "24h", value_parser = duration::parse)]
        valid_for: Duration,
        /// Write the token to this file instead of standard output
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
    },
    /// List institutions by name: since when, last seen, bytes received
    List(Extent),
}

/// Commands about jobs.
#[derive(Debug, Subcommand)]
pub enum Job {
    /// Check a plan without a coordinator: every broken rule at once
    Check {
        /// The plan, TOML
        plan: PathBuf,
    },
    /// Submit a plan as a job
    Submit {
        /// The plan, TOML
        plan: PathBuf,
        /// Stay and show progress until the job rests
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
        /// Which jobs
        #[command(flatten)]
        filter: JobFilter,
        /// How many
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
    /// Show a job's progress and events until it is at rest; exit code 0 only if it has finished
    Watch(JobId),
    /// Stop a job for good
    Cancel(JobId),
    /// Pause a job: no new work is offered; institutions at work may finish and submit
    Pause(JobId),
    /// Resume a paused job
    Resume(JobId),
    /// Ask an institution again that has refused, failed or been rejected in the open round
    Retry {
        /// The job
        #[command(flatten)]
        job: JobId,
        /// The institution
        institution: String,
    },
    /// Start a new job from a complete round of another
    ///
    /// The new job keeps the rounds before that round and asks the same institutions. Without
    /// `--strategy`, institutions train the round again, from the weights that it started from. With
    /// `--strategy`, the updates that were kept of the round are aggregated by another strategy, and the
    /// new job continues with the next round. The other job does not change.
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
        /// Name of another strategy, or the inside of a plan's `strategy = { ... }`
        #[arg(long, value_name = "STRATEGY")]
        strategy: Option<String>,
    },
    /// Download the head that a downstream job has trained
    ///
    /// `eosfed-trainer score`, `predict` and `ensemble` use it with the release that it stands on.
    Head {
        /// The job
        #[command(flatten)]
        job: JobId,
        /// The folder to write
        #[arg(long = "to", short = 'o', visible_alias = "dir", value_name = "DIR")]
        folder: PathBuf,
    },
    /// Draw a job's training curves, or the scores of an evaluation, as a PNG
    Plot {
        /// The job
        #[command(flatten)]
        job: JobId,
        /// The picture to write
        #[arg(long, short, value_name = "FILE", default_value = "curves.png")]
        file: PathBuf,
    },
}

/// How much of a list.
#[derive(Debug, Clone, Copy, Args)]
pub struct Extent {
    /// Most entries to show, up to 500
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
    /// Show the whole list
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
}

/// Which jobs of a list.
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

/// Takes the words of an enumeration, and lists them in the help.
fn words<T>() -> impl TypedValueParser<Value = T>
where
    T: VariantArray + Copy + Into<&'static str> + FromStr + Send + Sync,
    T::Err: Error + Send + Sync + 'static,
{
    let words = T::VARIANTS.iter().map(|value| -> &'static str { (*value).into() });
    PossibleValuesParser::new(words).try_map(|word| word.parse::<T>())
}

/// Which job.
#[derive(Debug, Clone, Args)]
pub struct JobId {
    /// Its id, such as j-0a1b2c3d, the first characters of its id, such as j-0a, or `latest`
    pub job: String,
}

/// Commands about specialists.
#[derive(Debug, Subcommand)]
pub enum Specialist {
    /// List specialists by name and version
    List(Extent),
    /// Show a specialist's card
    Show {
        /// NAME (the latest version), NAME@VERSION or a digest
        reference: String,
    },
}

/// Commands about releases.
#[derive(Debug, Subcommand)]
pub enum Release {
    /// Cut a release
    Create {
        /// NAME, NAME@VERSION or digest of a specialist; may be repeated [default: the latest of all]
        #[arg(long = "specialist", value_name = "REF")]
        specialists: Vec<String>,
        /// What changed, in words
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Cut a smaller release: only the specialists that a learned selection has kept
    ///
    /// `eosfed-trainer ensemble prune` finds which, from a head with a learned selection, and measures
    /// size, speed and score before and after (`--from`). A downstream job that has learned a selection
    /// says which without anybody's data (`--from-job`); pull its head to measure. The old release stays
    /// as it is, and so do heads over it.
    Prune {
        /// Where the choice is from
        #[command(flatten)]
        from: PruneFrom,
        /// How many specialists to keep of those that the job counts
        #[arg(long, value_name = "K", requires = "job")]
        top_k: Option<usize>,
        /// What changed; default: the measured figures
        #[arg(long)]
        note: Option<String>,
    },
    /// List releases, newest first
    List(Extent),
    /// Show a release
    Show {
        /// Its number [default: the latest]
        number: Option<u32>,
    },
    /// Download a release: manifest, cards, weights, and STAC Items for catalogues
    ///
    /// Every file is checked against its digest. A pull that was interrupted goes on where it was; a
    /// complete one costs one question.
    Pull {
        /// Its number [default: the latest]
        number: Option<u32>,
        /// The folder to write
        #[arg(long = "to", short = 'o', visible_alias = "dir", value_name = "DIR")]
        folder: PathBuf,
    },
}

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
        /// Which events
        #[command(flatten)]
        filter: EventFilter,
        /// Most events to show
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Write events as lines of JSON that anybody can verify
    ///
    /// Each line is an event in canonical JSON (RFC 8785). The SHA-256 of the line without its member
    /// `hash` is that hash, and `previous` is the hash of the line before it.
    Export {
        /// Which events; without a filter the export can be verified
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
        noted: Option<Mark>,
    },
}

/// Which events of the ledger: those that match every option that is given.
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
    /// Whether every event is wanted.
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

/// Where the choice of a pruned release is from.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct PruneFrom {
    /// The prune.json of `eosfed-trainer ensemble prune`, or the folder in which that lies
    #[arg(long = "from", value_name = "FILE", conflicts_with = "top_k")]
    pub file: Option<PathBuf>,
    /// A downstream job that has learned a selection: its id, the first characters of it, or `latest`
    #[arg(long = "from-job", value_name = "JOB", requires = "top_k")]
    pub job: Option<String>,
}

/// Prints the completion script of a shell.
pub(super) fn completions(shell: clap_complete::Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "eosfed", &mut script);
    print(format_args!("{}", String::from_utf8_lossy(&script)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_token_is_valid_for_a_duration() {
        let read = |valid_for: &str| {
            Arguments::try_parse_from(["eosfed", "institution", "invite", "west", "--valid-for", valid_for])
        };
        let Command::Institution(Institution::Invite { valid_for, .. }) = read("24h").unwrap().command else {
            panic!("another command");
        };
        assert_eq!(valid_for, Duration::from_secs(86_400));
        for bad in ["", "24", "h", "-1h", "99999999999999999999d", "1ä"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
