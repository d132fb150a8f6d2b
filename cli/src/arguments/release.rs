//! The command line of `eosfed release`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use eosfed_common::clock::{Timestamp, moment};

use super::{Extent, Trust};

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
    /// selection chooses them, and no imagery is needed; download its head to measure. Of specialists with equal
    /// weights (they differ by at most 1 % of the largest), those are kept without which the head is worst, by an
    /// ablation of it that was handed in (`eosfed release ablation`); without one, the larger weight and then the order
    /// in the head decide, and the command says so. The old release and the heads over it do not change.
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
    ///
    /// Options narrow the list: a release is shown if it matches each option that is given.
    #[command(after_help = "\
Examples:
  eosfed release list --since 30d
  eosfed release list --specialist west-rgb --all")]
    List {
        /// Filter of releases
        #[command(flatten)]
        filter: ReleaseFilter,
        /// Number of entries
        #[command(flatten)]
        extent: Extent,
    },
    /// Hand in what each specialist of a release contributes to a head over it
    ///
    /// `eosfed-trainer ensemble ablate` measures it where labelled samples are, and writes the file. It is
    /// shown with the release, whose own files and signatures do not change. Another one under the same name
    /// replaces it.
    Ablation {
        /// The number of the release
        number: u32,
        /// The ablation.json of `eosfed-trainer ensemble ablate`, or its folder
        file: PathBuf,
        /// The name under which it is shown [default: the name of the head]
        #[arg(long)]
        name: Option<String>,
    },
    /// Show a release, and what its specialists contribute to heads over it
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

/// A filter of releases.
#[derive(Debug, Clone, Args)]
pub struct ReleaseFilter {
    /// Releases created at this time or later: a time, a date (UTC) or how long ago, such as 2h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
    /// Releases with a specialist of this name, in any version
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub specialist: String,
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
