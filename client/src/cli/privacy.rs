//! `eosfed-client privacy`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use eosfed_client::policy::Privacy;
use eosfed_client::privacy::{Spending, epsilon};
use eosfed_client::report::{self, DEFAULT_DELTA};
use eosfed_client::settings::load_policy;
use eosfed_client::site::Site;
use eosfed_client::site_log::{Entry, EntryKind};
use eosfed_client::spent::{Rebuilt, Spent};
use eosfed_common::counted::counted;
use eosfed_common::outln;

use super::shared::{Output, settings, site, site_log};

/// Characters of the bar.
const BAR: u32 = 50;

/// Show what the updates of this institution have spent of its privacy budget, by job. Reads the state folder
/// only. Fails if the site log has updates that the record lacks.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct PrivacyCommand {
    #[command(subcommand)]
    command: Option<Subcommands>,
    /// The state folder.
    #[arg(long, required = true)]
    state: Option<PathBuf>,
    /// Format of the answer.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Make the record of spent privacy (privacy.json) again from the site log, while no daemon runs. What
    /// the record has stays in it.
    Rebuild {
        /// The state folder.
        #[arg(long)]
        state: PathBuf,
        /// Do so from a log whose oldest files were removed too. What they held is not counted.
        #[arg(long)]
        incomplete: bool,
    },
}

impl PrivacyCommand {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        if let Some(Subcommands::Rebuild { state, incomplete }) = self.command {
            return rebuild(&site(&state)?, incomplete);
        }
        let Some(state) = &self.state else { bail!("`--state` is missing") };
        let site = site(state)?;
        let policy = load_policy(&site.policy())?;
        let spending = Spent::new(&site).spending()?;
        match self.output {
            Output::Json => {
                outln!("{}", serde_json::to_string_pretty(&report::privacy(policy.privacy, &spending))?);
            }
            Output::Text => {
                for line in text(policy.privacy, &spending) {
                    outln!("{line}");
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn rebuild(site: &Site, incomplete: bool) -> anyhow::Result<ExitCode> {
    let settings = settings(site, None)?;
    let _lock = site.lock()?;
    let Rebuilt { spending, added } = Spent::new(site).rebuild(incomplete)?;
    let updates = spending.updates().len();
    let kind = EntryKind::SpendingRebuilt { updates: updates as u64, added: added as u64 };
    site_log(site, &settings).record(Entry::new(kind))?;
    outln!("privacy.json has {}, of which {added} were missing", counted(updates, "update"));
    Ok(ExitCode::SUCCESS)
}

fn text(privacy: Option<Privacy>, spending: &Spending) -> Vec<String> {
    let delta = privacy.map_or(DEFAULT_DELTA, |privacy| privacy.delta);
    let spent = spending.epsilon(delta);
    let made = spending.updates().len();
    let mut lines = match privacy {
        None => vec![
            "the policy has no `privacy`: updates leave as they were trained".to_owned(),
            format!("epsilon spent by {} with noise: {spent:.2} at delta {delta:e}", counted(made, "update")),
        ],
        Some(privacy) => {
            let Privacy { clip, noise_multiplier, max_epsilon, .. } = privacy;
            vec![
                format!("spent epsilon {spent:.2} of {max_epsilon} at delta {delta:e}"),
                bar(spent / max_epsilon),
                format!(
                    "updates made: {made}; room for {} with clip {clip} and noise multiplier {noise_multiplier}",
                    privacy.updates_left(spending)
                ),
            ]
        }
    };
    let replaced = spending.epsilon_of_replacement(delta);
    lines.push(format!("epsilon {replaced:.2} if data are replaced by others instead of left out"));
    let data_sets = spending.by_data_set();
    if privacy.is_some() && !data_sets.is_empty() {
        lines.push("the budget is of the whole institution, for all its data sets together".to_owned());
    }
    for (name, (updates, divergence)) in data_sets {
        let alone = epsilon(divergence, delta);
        lines
            .push(format!("data set `{name}`: {}, epsilon {alone:.2} by itself", counted(updates, "update")));
    }
    if made > 0 {
        lines.push(String::new());
        lines.extend(jobs(spending, delta).to_string().lines().map(|line| line.trim_end().to_owned()));
    }
    lines
}

/// A bar of the part that is spent, with its percentage.
fn bar(part: f64) -> String {
    let full = (part.clamp(0.0, 1.0) * f64::from(BAR)).ceil() as usize;
    let empty = BAR as usize - full;
    format!("[{}{}] {:.0} %", "#".repeat(full), "-".repeat(empty), part * 100.0)
}

fn jobs(spending: &Spending, delta: f64) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["job", "name", "updates", "epsilon by itself"]);
    for (job, spent) in spending.by_job() {
        // A name may be long, and the table is for 80 columns.
        let name: String = spent.name.chars().take(30).collect();
        let alone = format!("{:.2}", epsilon(spent.divergence, delta));
        table.add_row([job.to_string(), name, spent.updates.to_string(), alone]);
    }
    table
}

#[cfg(test)]
mod tests {
    use eosfed_client::privacy::{Charge, Mechanism};
    use eosfed_common::clock::Timestamp;
    use eosfed_common::digest::Digest;
    use serde_json::json;

    use super::*;

    const PRIVACY: Privacy = Privacy { clip: 1.0, noise_multiplier: 2.0, max_epsilon: 8.0, delta: 1e-5 };

    fn spending() -> Spending {
        let mut spending = Spending::default();
        for assignment in ["j-0a1b2c3d.0.1.west", "j-0a1b2c3d.1.1.west", "j-00000001.0.1.west"] {
            spending.add(Charge {
                digest: Digest::of(assignment.as_bytes()),
                assignment: assignment.parse().unwrap(),
                job_name: "a name of a job that is far longer than any column".to_owned(),
                mechanism: Mechanism { clip: 1.0, noise_multiplier: 2.0 },
                at: Timestamp(0),
                dataset: assignment.starts_with("j-0a").then(|| "coast".parse().unwrap()),
            });
        }
        spending
    }

    #[test]
    fn what_is_spent_fits_into_80_columns() {
        let lines = text(Some(PRIVACY), &spending());
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        let said = lines.join("\n");
        for phrase in ["of 8 at delta 1e-5", "updates made: 3; room for", "j-0a1b2c3d", "j-00000001"] {
            assert!(said.contains(phrase), "{phrase}: {said}");
        }
        let alone = format!("data set `coast`: 2 updates, epsilon {:.2} by itself", epsilon(0.25, 1e-5));
        assert!(lines.contains(&alone), "{alone}: {said}");
        let together = "for all its data sets together";
        assert!(said.contains(together), "{said}");
        let none = text(None, &spending());
        assert!(none[0].contains("has no `privacy`") && !none.join("\n").contains(together), "{none:?}");
    }

    #[test]
    fn the_bar_shows_the_part_and_never_leaves_its_place() {
        assert_eq!(bar(0.0), format!("[{}] 0 %", "-".repeat(50)));
        assert_eq!(bar(0.5), format!("[{}{}] 50 %", "#".repeat(25), "-".repeat(25)));
        assert_eq!(bar(1.5), format!("[{}] 150 %", "#".repeat(50)));
    }

    #[test]
    fn the_report_has_the_numbers_of_the_accountant() {
        let report = serde_json::to_value(report::privacy(Some(PRIVACY), &spending())).unwrap();
        assert_eq!((&report["updates"], report["jobs"].as_array().unwrap().len()), (&json!(3), 2));
        assert_eq!(report["epsilon"], json!(spending().epsilon(1e-5)));
        let left = report["updates_left"].as_u64().unwrap();
        let spent = |updates: u64| epsilon((3 + updates) as f64 * 0.125, 1e-5);
        assert!(spent(left) <= 8.0 && spent(left + 1) > 8.0, "{left}");
    }
}
