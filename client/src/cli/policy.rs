//! `eosfed-client policy explain` and `eosfed-client approve`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use eosfed_client::policy::{explain, explain_job};
use eosfed_client::settings::load_policy;
use eosfed_common::ids::{AssignmentId, JobId};
use eosfed_common::outln;
use eosfed_common::plan::JobSpec;

use super::shared::site;

/// Explain a site policy.
#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Explain what a policy allows and, for a plan, what it would refuse and why.
    Explain {
        /// The policy's file.
        #[arg(long)]
        policy: PathBuf,
        /// A plan's file. Exit code 1 when something in it would be refused.
        #[arg(long)]
        plan: Option<PathBuf>,
    },
}

impl PolicyCommand {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let Self::Explain { policy, plan } = self;
        let policy = load_policy(&policy)?;
        for line in explain(&policy) {
            outln!("{line}");
        }
        let Some(path) = plan else { return Ok(ExitCode::SUCCESS) };
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let spec = JobSpec::parse(&text).with_context(|| path.display().to_string())?;
        let mut refused = false;
        outln!();
        for (what, objections) in explain_job(&policy, &spec)? {
            refused |= !objections.is_empty();
            outln!("{what}: {}", if objections.is_empty() { "allowed" } else { "refused" });
            for objection in objections {
                outln!("  - {objection}");
            }
        }
        Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// Approve a job where the policy says `approval = "manual"`.
#[derive(Debug, Args)]
pub(super) struct Approve {
    /// The job, such as `j-0a1b2c3d`, or one of its assignments.
    job: String,
    /// The state folder.
    #[arg(long)]
    state: PathBuf,
}

impl Approve {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let job = match self.job.parse::<AssignmentId>() {
            Ok(assignment) => assignment.job,
            Err(_) => self.job.parse::<JobId>()?,
        };
        let site = site(&self.state)?;
        if !site.is_joined() {
            bail!("{} is not a state folder; `eosfed-client join` makes one", site.path().display());
        }
        site.approve(&job)?;
        outln!("approved {job}; a running daemon sees it within seconds");
        Ok(ExitCode::SUCCESS)
    }
}
