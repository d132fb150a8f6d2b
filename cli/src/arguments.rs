//! The command line of `eosfed`.

mod audit;

use std::error::Error;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use eosfed_common::clock::{Timestamp, moment};
use eosfed_common::duration;
use eosfed_common::ids::InstitutionName;
use eosfed_common::model::Task;
use eosfed_common::paging::{DEFAULT_LIMIT, MAX_LIMIT};
use eosfed_common::plan::JobKind;
use eosfed_common::stdout::print;
use eosfed_common::view::JobState;
use strum::VariantArray;

pub use audit::{Audit, EventFilter};

/// The format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text for people.
    Table,
    /// One JSON document on standard output, for programs.
    Json,
}

/// Operate a federation, and use its releases.
///
/// Invite institutions, submit and watch jobs, show specialists, create and pull ensemble releases. Needs an
/// identity: the folder `operator` that `eosfed-coordinator init` makes.
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
    /// HTTP proxy for connections to the coordinator, http://HOST:PORT
    #[arg(long, global = true, env = "EOSFED_PROXY", value_name = "URL")]
    pub proxy: Option<String>,
    /// File with the line USER:PASSWORD for a proxy that requires it; only its owner may read it
    #[arg(long, global = true, env = "EOSFED_PROXY_CREDENTIALS_FILE", value_name = "FILE")]
    pub proxy_credentials_file: Option<PathBuf>,
    /// Format of results
    #[arg(long, global = true, value_enum, default_value = "table")]
    pub output: Output,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Invite, list and revoke partner institutions
    #[command(subcommand)]
    Institution(Institution),
    /// Invite, list and revoke operators
    #[command(subcommand)]
    Operator(Person),
    /// Invite, list and revoke readers, who use releases
    #[command(subcommand)]
    Reader(Person),
    /// Make an identity folder with the token of an operator or a reader
    ///
    /// The private key is made here and stays here. Without `--identity`, the folder is ~/.config/eosfed.
    Join {
        /// The file that holds the token
        #[arg(long, value_name = "FILE")]
        token_file: PathBuf,
    },
    /// Show or renew the identity that commands use
    #[command(subcommand)]
    Identity(IdentityCommand),
    /// Submit, watch and control jobs
    #[command(subcommand)]
    Job(Job),
    /// List and show specialists of the registry
    #[command(subcommand)]
    Specialist(Specialist),
    /// Create, list and pull ensemble releases
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

/// A token that is made.
#[derive(Debug, Clone, Args)]
pub struct TokenOptions {
    /// How long the token can be used, such as 90s, 30m, 24h or 7d
    #[arg(long, default_value = "24h", value_parser = duration::parse)]
    pub valid_for: Duration,
    /// Write the token to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// Commands about institutions.
#[derive(Debug, Subcommand)]
pub enum Institution {
    /// Make a join token for an institution
    ///
    /// The token works once, until it expires, and the coordinator does not keep it: send it over a
    /// private channel. For an institution that is enrolled already, use `re-enrol`.
    Invite {
        /// 1 to 40 lower-case letters, digits and hyphens
        name: String,
        /// The token
        #[command(flatten)]
        token: TokenOptions,
    },
    /// Make a join token for an institution that has enrolled before
    ///
    /// With it, the institution joins again with a new key, and the old key is refused from then on. It is
    /// the way back after a certificate has expired, a key was lost or stolen, or access was revoked.
    ReEnrol {
        /// The institution
        name: String,
        /// The token
        #[command(flatten)]
        token: TokenOptions,
    },
    /// Take an institution's access back
    ///
    /// Its calls are refused and its connections are closed at once. Open rounds do not wait for it, and its
    /// update of an open round is discarded; closed rounds stay. `re-enrol` lets it back in.
    Revoke {
        /// The institution
        name: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Take an institution's access back, and leave it out of lists
    ///
    /// What it has done stays on record, and specialists that it has trained stay. `re-enrol` lets it back
    /// in.
    Remove {
        /// The institution
        name: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// List institutions by name: state, end of the certificate, last seen, bytes received
    List(Extent),
}

/// Commands about operators, or about readers.
#[derive(Debug, Subcommand)]
pub enum Person {
    /// Make a join token
    Invite {
        /// 1 to 40 lower-case letters, digits and hyphens
        name: String,
        /// The token
        #[command(flatten)]
        token: TokenOptions,
    },
    /// Make a join token for somebody who has enrolled before, to join with a new key
    ReEnrol {
        /// The name
        name: String,
        /// The token
        #[command(flatten)]
        token: TokenOptions,
    },
    /// Take access back: calls are refused and connections are closed at once
    Revoke {
        /// The name
        name: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Take access back, and leave the name out of lists
    Remove {
        /// The name
        name: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// List them by name: state, end of the certificate, last seen, who has invited them
    List(Extent),
}

/// Commands about the caller's own identity.
#[derive(Debug, Subcommand)]
pub enum IdentityCommand {
    /// Show role, name, coordinator, end of the certificate, and fingerprints
    ///
    /// The key's fingerprint is the one in the ledger's events. Authorities are known by the SHA-256 of their
    /// certificates.
    Show,
    /// Renew the certificate now, with a new key, and show the identity
    ///
    /// Commands renew it by themselves in time. This is for a coordinator whose authority was replaced.
    Renew,
}

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
    /// round. The other job does not change.
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
    Plot {
        /// The job
        #[command(flatten)]
        job: JobId,
        /// The picture to write
        #[arg(long, short, value_name = "FILE", default_value = "curves.png")]
        file: PathBuf,
    },
}

/// The number of entries of a list.
#[derive(Debug, Clone, Copy, Args)]
pub struct Extent {
    /// Most entries to show.
    #[arg(
        long,
        value_name = "N",
        help = format!("Most entries to show, up to {MAX_LIMIT}"),
        default_value_t = DEFAULT_LIMIT,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LIMIT))
    )]
    pub limit: u32,
    /// Show the whole list
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
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

/// Which specialists of a list.
#[derive(Debug, Clone, Args)]
pub struct SpecialistFilter {
    /// Specialists for this task; may be repeated
    #[arg(long = "task", value_name = "TASK", value_parser = words::<Task>())]
    pub tasks: Vec<Task>,
    /// Specialists that take this band, by its name or STAC common name; repeated: all of them
    #[arg(long = "band", value_name = "BAND")]
    pub bands: Vec<String>,
    /// Specialists that have learned from this institution; may be repeated
    #[arg(long = "institution", value_name = "NAME")]
    pub institutions: Vec<InstitutionName>,
    /// Specialists frozen at this time or later: a time, a date (UTC) or how long ago, such as 7d
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
}

/// A parser for the names of an enumeration, which are listed in the help.
fn words<T>() -> impl TypedValueParser<Value = T>
where
    T: VariantArray + Copy + Into<&'static str> + FromStr + Send + Sync,
    T::Err: Error + Send + Sync + 'static,
{
    let words = T::VARIANTS.iter().map(|value| -> &'static str { (*value).into() });
    PossibleValuesParser::new(words).try_map(|word| word.parse::<T>())
}

/// A reference to a job.
#[derive(Debug, Clone, Args)]
pub struct JobId {
    /// Its id, such as j-0a1b2c3d, the first characters of its id, such as j-0a, or `latest`
    pub job: String,
}

/// Commands about specialists.
#[derive(Debug, Subcommand)]
pub enum Specialist {
    /// List specialists by name and version
    ///
    /// Options narrow the list: a specialist is shown if it matches each option that is given.
    #[command(after_help = "\
Examples:
  eosfed specialist list --task segmentation --band red --band nir
  eosfed specialist list --institution west --since 7d --all")]
    List {
        /// Which specialists
        #[command(flatten)]
        filter: SpecialistFilter,
        /// How many
        #[command(flatten)]
        extent: Extent,
    },
    /// Show a specialist's card, its scores at institutions, and whether releases exclude it
    Show {
        /// NAME (the latest version), NAME@VERSION or a digest
        reference: String,
    },
    /// Verify a specialist of a pulled release, without a coordinator
    ///
    /// Checks the coordinator's signature of the card, the institutions' signatures of their updates, and
    /// the digest of the weights beside it. Names the first thing that is wrong.
    Verify {
        /// The specialist's folder in a pulled release, or its card.json
        #[arg(value_name = "DIR|CARD")]
        path: PathBuf,
        /// Whose signatures count
        #[command(flatten)]
        trust: Trust,
    },
}

/// Commands about releases.
#[derive(Debug, Subcommand)]
pub enum Release {
    /// Create a release
    Create {
        /// NAME, NAME@VERSION or digest of a specialist; may be repeated [default: the latest of all]
        #[arg(long = "specialist", value_name = "REF")]
        specialists: Vec<String>,
        /// Description of what changed
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Create a smaller release of the specialists that a learned selection keeps
    ///
    /// `--from`: `eosfed-trainer ensemble prune` chooses them by a head with a learned selection, and
    /// measures size, speed and score before and after. `--from-job`: a downstream job with a learned
    /// selection chooses them, and no imagery is needed; download its head to measure. The old release
    /// and the heads over it do not change.
    Prune {
        /// Source of the choice
        #[command(flatten)]
        from: PruneFrom,
        /// Number of specialists to keep
        #[arg(long, value_name = "K", requires = "job")]
        top_k: Option<usize>,
        /// Description of what changed [default: the measured figures]
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
    /// Every file is checked against its digest. A pull that was interrupted continues where it stopped.
    /// A release that is already complete is not downloaded again.
    Pull {
        /// Its number [default: the latest]
        number: Option<u32>,
        /// The folder to write
        #[arg(long = "to", short = 'o', visible_alias = "dir", value_name = "DIR")]
        folder: PathBuf,
        /// Also pull what a coordinator of before there were signatures has made
        #[arg(long)]
        allow_unsigned: bool,
    },
    /// Verify a pulled release, without a coordinator
    ///
    /// Checks the coordinator's signatures of release and cards, the institutions' signatures of their
    /// updates, and the digests of all weights. Names the first thing that is wrong.
    Verify {
        /// The folder that `release pull` has written
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// Whose signatures count
        #[command(flatten)]
        trust: Trust,
    },
}

/// Whose signatures count.
#[derive(Debug, Clone, Args)]
pub struct Trust {
    /// The coordinator's public key, ed25519:HEX, or a file with it [default: those of the identity folder]
    #[arg(long, value_name = "KEY|FILE")]
    pub key: Option<String>,
    /// Accept what a coordinator of before there were signatures has made; a false signature never counts
    #[arg(long)]
    pub allow_unsigned: bool,
}

/// The source of the choice for a pruned release.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct PruneFrom {
    /// The prune.json of `eosfed-trainer ensemble prune`, or its folder
    #[arg(long = "from", value_name = "FILE", conflicts_with = "top_k")]
    pub file: Option<PathBuf>,
    /// A downstream job with a learned selection: its id, the first characters of it, or `latest`
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
    fn specialists_are_listed_by_filters_that_may_be_repeated() {
        let read = |line: &str| Arguments::try_parse_from(line.split(' '));
        let line = "eosfed specialist list --task change_detection --band red --band B8A --institution west";
        let Command::Specialist(Specialist::List { filter, extent }) = read(line).unwrap().command else {
            panic!("another command");
        };
        assert_eq!((filter.tasks, extent.limit), (vec![Task::ChangeDetection], DEFAULT_LIMIT));
        assert_eq!((filter.bands.join(" "), filter.institutions.len()), ("red B8A".to_owned(), 1));
        for bad in ["--task walk", "--institution West", "--since never", "--limit 501", "--limit 0"] {
            assert!(read(&format!("eosfed specialist list {bad}")).is_err(), "{bad}");
        }
        assert!(read(&format!("eosfed specialist list --limit {MAX_LIMIT}")).is_ok());
    }

    #[test]
    fn a_token_is_valid_for_a_duration() {
        let read = |valid_for: &str| {
            Arguments::try_parse_from(["eosfed", "institution", "invite", "west", "--valid-for", valid_for])
        };
        let Command::Institution(Institution::Invite { token: TokenOptions { valid_for, .. }, .. }) =
            read("24h").unwrap().command
        else {
            panic!("another command");
        };
        assert_eq!(valid_for, Duration::from_secs(86_400));
        for bad in ["", "24", "h", "-1h", "99999999999999999999d", "1ä"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
