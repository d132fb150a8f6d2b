//! `eosfed-coordinator ca`.

use std::path::PathBuf;

use clap::Subcommand;
use eosfed_common::clock::Timestamp;
use eosfed_common::outln;

use crate::ca::{self, Changed};
use crate::external_ca::{Made, NewIntermediate, create_intermediate, create_root};

/// What is done with an authority.
#[derive(Subcommand)]
pub enum Ca {
    /// Make a root on an offline machine, valid for twenty years: members pin it
    ///
    /// The folder gets `key.pem`, which stays there, and `certificate.pem`. Use a root for one federation
    /// only: whoever has an intermediate of it can pose as the coordinator to its members.
    CreateRoot {
        /// The folder to make, with mode 0700
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Make an intermediate on the root's machine, for ten years or less, to carry to the coordinator's
    ///
    /// The folder gets `certificate.pem`, `key.pem` and `root.pem`, for `--ca-cert`, `--ca-key` and
    /// `--ca-root` of `init`. There is no command for signing requests: one step makes all that is carried.
    /// Remove the folder from the medium when it is installed.
    CreateIntermediate {
        /// The folder that `ca create-root` made
        #[arg(long, value_name = "DIR")]
        root: PathBuf,
        /// The folder to make, with mode 0700
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Sign with another intermediate of the same root; the one before still counts
    ///
    /// The coordinator must be stopped. Members renew onto it as after `ca rotate`; `ca retire` ends the
    /// overlap.
    Install {
        /// The coordinator's state folder
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// The new intermediate
        #[command(flatten)]
        files: NewIntermediate,
    },
    /// Make a new authority, which signs from then on; the one before still counts
    ///
    /// The coordinator must be stopped. After its next start, members with certificates of the authority
    /// before connect as always and get certificates of the new one when they renew. The key of the authority
    /// before is removed. `ca retire` ends the overlap, within a year.
    Rotate {
        /// The coordinator's state folder
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
    },
    /// End the overlap: certificates of the authority before are refused
    ///
    /// The coordinator must be stopped.
    Retire {
        /// The coordinator's state folder
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// Also while members still use such certificates; they have to join again
        #[arg(long)]
        force: bool,
    },
}

impl Ca {
    /// Does it, and prints what was done.
    ///
    /// # Errors
    /// If it cannot be done, with what to do instead.
    pub async fn run(self, now: Timestamp) -> anyhow::Result<()> {
        match self {
            Self::CreateRoot { out } => {
                let Made { fingerprint, until } = create_root(&out, now)?;
                outln!("the root {fingerprint} is in {}, valid until {until}", out.display());
                outln!(
                    "keep `key.pem` offline; next: eosfed-coordinator ca create-intermediate --root DIR --out DIR"
                );
            }
            Self::CreateIntermediate { root, out } => {
                let Made { fingerprint, until } = create_intermediate(&root, &out, now)?;
                outln!("the intermediate {fingerprint} is in {}, valid until {until}", out.display());
            }
            Self::Install { state, files } => {
                let Changed { before, now } = ca::install(&state, &files, now).await?;
                outln!("the authority {now} signs from now on; {before} still counts");
                outln!("start the coordinator; when all have renewed, stop it and run `ca retire`");
            }
            Self::Rotate { state } => {
                let Changed { before, now } = ca::rotate(&state, now).await?;
                outln!("the authority {now} signs from now on; {before} still counts");
                outln!("start the coordinator; when all have renewed, stop it and run `ca retire`");
            }
            Self::Retire { state, force } => {
                let Changed { before, now } = ca::retire(&state, force, now).await?;
                outln!("certificates of the authority {before} are refused from now on; {now} stays");
            }
        }
        Ok(())
    }
}
