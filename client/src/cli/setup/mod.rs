//! `eosfed-client setup`: asks, checks each answer, joins and starts the daemon.

mod apply;
mod gather;
mod service;
mod terminal;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use eosfed_client::policy::explain;
use eosfed_client::setup::{FileRespondent, Key, Question, Respondent, settle, yes_or_no};
use eosfed_common::outln;

use self::gather::{Plan, Present};
use self::service::Unit;
use self::terminal::{Terminal, wrapped};
use super::check::{check, print};
use super::shared::site;

/// Set up an institution: asks for the join token, the data folder and what the institution wants to do, and
/// says what each answer means for the site. Checks the data and the connection, joins, writes settings and
/// policy, and says how to start the daemon. Nothing is written before you confirm. What is there already is
/// kept, so that an interrupted setup goes on where it was.
#[derive(Debug, Args)]
pub(super) struct Setup {
    /// The state folder, such as /var/lib/eosfed/client/NAME for the unit eosfed-client@NAME. It is made if it
    /// is missing.
    #[arg(long)]
    state: PathBuf,
    /// A file with the answers (docs/reference/answers.md). Nothing is asked then.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Start the daemon with systemd, now and at every boot, without asking.
    #[arg(long)]
    enable: bool,
}

impl Setup {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let site = site(&self.state)?;
        let mut respondent: Box<dyn Respondent> = match &self.answers {
            Some(path) => Box::new(FileRespondent::open(path)?),
            None => Box::new(Terminal::new()),
        };
        let respondent = respondent.as_mut();
        let present = Present::read(&site)?;
        present.print(&site);
        let plan = Plan::gather(respondent, &present)?;
        if !plan.is_empty() {
            print_plan(&plan);
            if !settle(respondent, &Question::with_default(Key::Confirm, "no"), yes_or_no)? {
                outln!("nothing was changed");
                return Ok(ExitCode::FAILURE);
            }
            apply::apply(&site, &plan, &present)?;
        }
        outln!("\nThe check of everything that the daemon needs:");
        let report = check(&site)?;
        print(&report);
        if !report.ok {
            outln!("\nCorrect what is named above, then run this command again; what is done stays done.");
            return Ok(ExitCode::FAILURE);
        }
        self.start(respondent, &Unit::of(&site)?)
    }

    /// Starts the daemon's unit, or says how to start it.
    fn start(&self, respondent: &mut dyn Respondent, unit: &Unit) -> anyhow::Result<ExitCode> {
        let able = unit.why_not();
        let enable = self.enable
            || (self.answers.is_some() || able.is_none())
                && settle(respondent, &Question::with_default(Key::Enable, "no"), yes_or_no)?;
        match (enable, able) {
            (true, None) => unit.enable()?,
            (true, Some(why)) => anyhow::bail!("cannot start {}: {why}; {}", unit.name(), unit.advice()),
            (false, _) => outln!("\nnext: {}", unit.advice()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What confirming does.
fn print_plan(plan: &Plan) {
    outln!("\nThis is going to happen:");
    if let Some(token) = &plan.token {
        outln!("  join {} as `{}`", token.url, token.institution);
    }
    if let Some(dataset) = &plan.dataset {
        outln!("  the daemon reads {dataset}");
    }
    if let Some(proxy) = &plan.proxy {
        outln!("  it connects through {}", proxy.url);
    }
    if let Some(policy) = &plan.policy {
        outln!("  the site policy says:");
        for sentence in explain(&policy.parsed) {
            for (at, line) in wrapped(&sentence).iter().enumerate() {
                outln!("    {} {line}", if at == 0 { "-" } else { " " });
            }
        }
    }
}

/// An absolute path: a relative one would mean something else to the daemon.
fn absolute(path: &str) -> Result<PathBuf, String> {
    if path.is_empty() {
        return Err("expected a path, found nothing".to_owned());
    }
    std::path::absolute(path).with_context(|| path.to_owned()).map_err(|error| format!("{error:#}"))
}
