//! The command line of `eosfed`.

mod audit;
mod job;
mod member;
mod release;
mod specialist;
mod storage;

use std::error::Error;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use eosfed_common::clock::{Timestamp, moment};
use eosfed_common::duration;
use eosfed_common::paging::{DEFAULT_LIMIT, MAX_LIMIT};
use eosfed_common::stdout::print;
use strum::VariantArray;

pub use audit::{Audit, EventFilter};
pub use job::{Job, JobFilter, JobId};
pub use member::{Institution, MemberFilter, MemberList, Person, TokenOptions};
pub use release::{PruneFrom, Release, ReleaseFilter};
pub use specialist::{Specialist, SpecialistFilter};
pub use storage::Storage;

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
    /// Show what the coordinator stores, and remove weights of closed rounds
    #[command(subcommand)]
    Storage(Storage),
    /// Show what runs, what waits and for whom, and what is wrong
    Status,
    /// Show what jobs have cost, by institution, those first that have spent most
    ///
    /// A name narrows the list of institutions; the sums stay those of all of them.
    #[command(after_help = "\
Examples:
  eosfed energy --since 30d
  eosfed energy --name univ- --all")]
    Energy {
        /// Institutions with this text in their names
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        name: String,
        /// Jobs submitted at this time or later: a time, a date (UTC) or how long ago, such as 2h
        #[arg(long, value_name = "TIME", value_parser = moment)]
        since: Option<Timestamp>,
        /// Number of institutions
        #[command(flatten)]
        extent: Extent,
    },
    /// Watch all institutions and the open rounds, until Ctrl-C
    ///
    /// On a terminal, the view is redrawn in place. Elsewhere, each change is a line; with `--output json`,
    /// each look is a line of JSON. A coordinator that does not answer is asked again.
    Watch(Watch),
    /// See the federation in a browser
    #[command(subcommand)]
    Dashboard(Dashboard),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// How to watch.
#[derive(Debug, Args)]
pub struct Watch {
    /// Time between two looks, from 1s on
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = duration::parse)]
    pub every: Duration,
    /// End after this number of looks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub looks: Option<u32>,
}

/// Commands about the dashboard.
#[derive(Debug, Subcommand)]
pub enum Dashboard {
    /// Print a link that begins a session in a browser
    ///
    /// The link can be used once, within two minutes. An operator sees everything, a reader what is
    /// released. The session ends after eight hours, when the coordinator stops, or when access is revoked.
    /// The coordinator needs the table `[http]` in its settings.
    Open,
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

/// A parser for the names of an enumeration, which are listed in the help.
fn words<T>() -> impl TypedValueParser<Value = T>
where
    T: VariantArray + Copy + Into<&'static str> + FromStr + Send + Sync,
    T::Err: Error + Send + Sync + 'static,
{
    let words = T::VARIANTS.iter().map(|value| -> &'static str { (*value).into() });
    PossibleValuesParser::new(words).try_map(|word| word.parse::<T>())
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
}
