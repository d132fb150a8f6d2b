//! The command lines of `eosfed institution`, `operator` and `reader`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use eosfed_common::duration;
use eosfed_common::view::MemberState;

use super::{Extent, words};

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

/// A filter of members.
#[derive(Debug, Clone, Args)]
pub struct MemberFilter {
    /// Those with this text in their names
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub name: String,
    /// Those in this state; may be repeated
    #[arg(long = "state", value_name = "STATE", value_parser = words::<MemberState>())]
    pub states: Vec<MemberState>,
}

/// Which part of a list of members is shown.
#[derive(Debug, Clone, Args)]
pub struct MemberList {
    /// Filter of members
    #[command(flatten)]
    pub filter: MemberFilter,
    /// Number of entries
    #[command(flatten)]
    pub extent: Extent,
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
    /// Show an institution: its keys, when it called, and what it says of its data set
    Show {
        /// The institution
        name: String,
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
    #[command(after_help = "\
Examples:
  eosfed institution list --state invited
  eosfed institution list --name univ- --all")]
    List(MemberList),
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
    #[command(after_help = "\
Examples:
  eosfed operator list --state joined
  eosfed reader list --name ghent --limit 10")]
    List(MemberList),
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Arguments, Command};
    use super::*;

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
