//! The command line of `eosfed specialist`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use eosfed_common::clock::{Timestamp, moment};
use eosfed_common::ids::InstitutionName;
use eosfed_common::model::Task;

use super::{Extent, Trust, words};

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

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use eosfed_common::paging::{DEFAULT_LIMIT, MAX_LIMIT};

    use super::super::{Arguments, Command};
    use super::*;

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
}
