//! `eosfed-client policy explain` and `eosfed-client approve`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use eosfed_client::document::{ExplainedAssignment, ExplainedPolicy};
use eosfed_client::policy::GivenApproval;
use eosfed_client::privacy::Spending;
use eosfed_client::report;
use eosfed_client::settings::load_policy;
use eosfed_client::site_log::{Approved, Entry, EntryKind};
use eosfed_client::spent::Spent;
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::counted::counted;
use eosfed_common::duration;
use eosfed_common::ids::{AssignmentId, JobId};
use eosfed_common::outln;
use eosfed_common::plan::JobSpec;
use nix::unistd::{User, getuid};

use super::shared::{Output, settings, site, site_log};

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
        /// The state folder, whose spent privacy is counted.
        #[arg(long)]
        state: Option<PathBuf>,
        /// Format of the answer.
        #[arg(long, value_enum, default_value = "text")]
        output: Output,
    },
}

impl PolicyCommand {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let Self::Explain { policy, plan, state, output } = self;
        let mut explained = report::policy(load_policy(&policy)?);
        if let Some(path) = plan {
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let spec = JobSpec::parse(&text).with_context(|| path.display().to_string())?;
            let spending = match state {
                Some(state) => Spent::new(&site(&state)?).spending()?,
                None => Spending::default(),
            };
            explained.plan = Some(report::plan(&explained.policy, &spec, &spending)?);
        }
        match output {
            Output::Json => outln!("{}", serde_json::to_string_pretty(&explained)?),
            Output::Text => sentences(&explained).iter().for_each(|line| outln!("{line}")),
        }
        let refused = explained.plan.is_some_and(|plan| plan.refused);
        Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn sentences(explained: &ExplainedPolicy) -> Vec<String> {
    let mut lines = explained.sentences.clone();
    let Some(plan) = &explained.plan else { return lines };
    lines.push(String::new());
    for ExplainedAssignment { assignment, objections } in &plan.assignments {
        lines.push(format!("{assignment}: {}", if objections.is_empty() { "allowed" } else { "refused" }));
        lines.extend(objections.iter().map(|objection| format!("  - {objection}")));
    }
    lines.extend(plan.privacy.as_ref().map(|update| {
        let verdict = if update.has_room { "within the budget" } else { "beyond the budget" };
        format!("each update: {verdict}: {}", update.sentence)
    }));
    lines
}

/// Approve a job where the policy says `approval = "manual"`. The approval is of the terms that the running
/// daemon was offered: other terms of the same job need another one.
#[derive(Debug, Args)]
pub(super) struct Approve {
    /// The job, such as `j-0a1b2c3d`, or one of its assignments.
    job: String,
    /// The state folder.
    #[arg(long)]
    state: PathBuf,
    /// Show the terms and approve nothing.
    #[arg(long)]
    show: bool,
    /// The most rounds that the approval covers.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// How long the approval lasts, such as 12h or 30d.
    #[arg(long = "for", value_name = "DURATION", default_value = "30d", value_parser = duration::parse)]
    lasts: Duration,
}

impl Approve {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let job = match self.job.parse::<AssignmentId>() {
            Ok(assignment) => assignment.job,
            Err(_) => self.job.parse::<JobId>()?,
        };
        let site = site(&self.state)?;
        site.check_joined()?;
        let Some(terms) = site.offer(&job)? else {
            let waiting: Vec<_> = site.offers()?.iter().map(|terms| terms.job.to_string()).collect();
            let waiting = if waiting.is_empty() { "none".to_owned() } else { waiting.join(", ") };
            bail!(
                "no work of job {job} waits for an approval; waiting: {waiting}. The running daemon notes the terms \
                 of what it is offered: `eosfed-client jobs --state {}` lists them",
                site.path().display()
            );
        };
        for line in terms.words() {
            outln!("{line}");
        }
        if let Some(privacy) = load_policy(&site.policy())?.privacy.filter(|_| terms.trains_with_others()) {
            outln!("each round: {}", privacy.next_update(&Spent::new(&site).spending()?));
        }
        if self.show {
            return Ok(ExitCode::SUCCESS);
        }
        let at = SystemClock.now();
        let until = at.plus(self.lasts);
        let by = login_name();
        let rounds = counted(self.rounds, "round");
        let approval =
            GivenApproval { terms: terms.digest(), rounds: self.rounds, until, by: by.clone(), at };
        let settings = settings(&site, None)?;
        let entry = EntryKind::Approved(Approved::from(&approval));
        site_log(&site, &settings).record(Entry::of_job(&job, entry))?;
        site.approve(&approval)?;
        outln!("{by} approves this for {rounds} until {until}; a running daemon sees it within seconds");
        Ok(ExitCode::SUCCESS)
    }
}

/// The login name of the person who runs this command, or their number.
fn login_name() -> String {
    let uid = getuid();
    let known = User::from_uid(uid).ok().flatten();
    known.map_or_else(|| uid.to_string(), |user| user.name)
}
