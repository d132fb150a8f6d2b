//! `eosfed-coordinator ca`.

use std::path::PathBuf;

use clap::Subcommand;
use eosfed_common::clock::Timestamp;
use eosfed_common::outln;

use crate::ca::{self, Changed};
use crate::ca_request::{Signed, request, sign};
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
    /// `--ca-root` of `init`. Remove the folder from the medium when it is installed. With `ca request` and
    /// `ca sign` no key is carried.
    CreateIntermediate {
        /// The folder that `ca create-root` made
        #[arg(long, value_name = "DIR")]
        root: PathBuf,
        /// The folder to make, with mode 0700
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Make the key of an intermediate here, and a request to certify it, to carry to the root's machine
    ///
    /// The key lies in the state folder, `ca/requested.key`, and never leaves it. The folder is made if it is
    /// missing, before `init`. A repeated call asks for the same key, until that is installed.
    Request {
        /// The coordinator's state folder
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// The file for the request: PKCS#10, PEM
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Certify the key of a request as an intermediate, on the root's machine
    ///
    /// It needs no state folder and no network. Compare the key's fingerprint with the one that `ca request`
    /// has printed. The certificate is for a CA with no other below it (path length 0), valid for ten years or
    /// as long as the root; its name follows from the key, whatever the request asks for. Carry it, and the
    /// root's `certificate.pem` for `init`, to the coordinator.
    Sign {
        /// The folder that `ca create-root` made
        #[arg(long, value_name = "DIR")]
        root: PathBuf,
        /// The request
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        /// The file for the certificate, PEM
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Sign with another intermediate of the same root; the one before still counts
    ///
    /// Without `--ca-key`, the certificate must be for the key that `ca request` has made here. The
    /// coordinator must be stopped. Members renew onto it as after `ca rotate`; `ca retire` ends the
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
            Self::Request { state, out } => {
                let key = request(&state, &out)?;
                outln!("the request for the key {key} is in {}", out.display());
                outln!(
                    "on the root's machine: eosfed-coordinator ca sign --root DIR --request FILE --out FILE"
                );
            }
            Self::Sign { root, request, out } => {
                let Signed { asked, subject, key, fingerprint, until } = sign(&root, &request, &out, now)?;
                outln!("the request is signed with its own key, and asks for the name `{asked}`");
                outln!("key:         {key}; compare it with what `ca request` has printed");
                outln!("name:        {subject}");
                outln!("constraints: CA, path length 0, signs certificates, valid until {until}");
                outln!("the certificate {fingerprint} is in {}", out.display());
                outln!(
                    "on the coordinator's machine: eosfed-coordinator ca install --state DIR --ca-cert FILE"
                );
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
