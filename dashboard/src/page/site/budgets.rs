//! What is used of the institution's budgets: privacy, and the limits on jobs and days.

use maud::{Markup, html};

use super::path;
use crate::format::{bytes, count, counted, value};
use crate::layout::{Content, Shell};
use crate::parts::{facts, heading, maybe, numbers, panel, said, shell_command, table, words};

/// What was used of one limit.
#[derive(Debug, Clone)]
pub struct LimitUse {
    /// The key of the policy, such as `upload_mb_per_day`.
    pub limit: &'static str,
    /// What is used: a number, or bytes where the limit is of megabytes.
    pub used: u64,
    /// The most that is allowed, in the same unit; absent where it is unlimited.
    pub most: Option<u64>,
    /// Whether it is of bytes.
    pub bytes: bool,
}

/// What a job has used.
#[derive(Debug, Clone)]
pub struct JobUse {
    /// The job.
    pub job: String,
    /// Its rounds.
    pub rounds: u64,
    /// Its assignments.
    pub assignments: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Bytes fetched.
    pub fetched: u64,
}

/// What the updates of a job have spent.
#[derive(Debug, Clone)]
pub struct PrivacyJob {
    /// The job.
    pub job: String,
    /// Its display name.
    pub name: String,
    /// Number of updates.
    pub updates: u64,
    /// Their epsilon by itself.
    pub epsilon: f64,
}

/// What the updates that were trained on one of several data sets have spent.
#[derive(Debug, Clone)]
pub struct PrivacyDataSet {
    /// Its name.
    pub name: String,
    /// Number of updates.
    pub updates: u64,
    /// Their epsilon by itself.
    pub epsilon: f64,
}

/// What all updates have spent.
#[derive(Debug, Clone)]
pub struct PrivacyUse {
    /// The most epsilon that the policy allows; absent where it has no `privacy`.
    pub max_epsilon: Option<f64>,
    /// The delta.
    pub delta: f64,
    /// The epsilon that is spent.
    pub epsilon: f64,
    /// The same if data are replaced instead of left out.
    pub epsilon_of_replacement: f64,
    /// Number of updates.
    pub updates: u64,
    /// How many more there is room for.
    pub updates_left: Option<u64>,
    /// By job.
    pub jobs: Vec<PrivacyJob>,
    /// By data set, of those with names.
    pub data_sets: Vec<PrivacyDataSet>,
}

/// What the page of budgets shows.
#[derive(Debug)]
pub struct BudgetsPage<'a> {
    /// The names of the data sets; empty where there is one without a name.
    pub data_sets: &'a [String],
    /// The privacy budget, or why it is not known.
    pub privacy: Result<&'a PrivacyUse, &'a str>,
    /// The limits on a day, or why they are not known.
    pub today: Result<&'a [LimitUse], &'a str>,
    /// Jobs, those that changed last first.
    pub jobs: &'a [JobUse],
    /// Jobs that are not listed.
    pub further_jobs: u64,
}

/// The page of budgets.
#[must_use]
pub fn budgets(shell: &Shell, page: &BudgetsPage<'_>) -> String {
    let body = html! {
        (heading(&html! { "Budgets" }, &html! {}, &html! {}))
        @if let Some(sentence) = shared_by(page.data_sets) { p { (said(&sentence)) } }
        (panel("privacy", "Privacy of updates", &privacy(page.privacy)))
        (panel("today", "Limits of a day (UTC)", &today(page.today)))
        (panel("jobs", "Used by jobs", &jobs(page.jobs, page.further_jobs)))
        (panel("commands", "The same as numbers", &shell_command(
            "eosfed-client privacy --state STATE --output json\neosfed-client status --state STATE --output json"
        )))
    };
    shell.document(&Content { title: "Budgets".to_owned(), section: path::BUDGETS, body })
}

/// Whose budgets they are, where there are data sets with names.
fn shared_by(data_sets: &[String]) -> Option<String> {
    let (last, rest) = data_sets.split_last()?;
    Some(match rest {
        [] => format!("These budgets are of the whole institution, whose data set is {last}."),
        rest => format!(
            "These budgets are of the whole institution: its data sets {} and {last} have them together.",
            rest.join(", ")
        ),
    })
}

fn privacy(privacy: Result<&PrivacyUse, &str>) -> Markup {
    let spent = match privacy {
        Ok(spent) => spent,
        Err(why) => return html! { p.error role="alert" { (said(why)) } },
    };
    let columns = [words("Job"), words("Name"), numbers("Updates"), numbers("Epsilon by itself")];
    let rows: Vec<Vec<Markup>> = spent.jobs.iter().map(privacy_row).collect();
    html! {
        @match spent.max_epsilon {
            Some(most) => {
                p.lead { "Spent epsilon " (value(spent.epsilon)) " of " (value(most)) " at delta " (value(spent.delta)) "." }
                (share(spent.epsilon, most))
            },
            None => p.lead { "The policy has no " code { "privacy" } ": updates leave as they were trained." },
        }
        (facts(&[
            ("Updates with noise", html! { (count(spent.updates)) }),
            ("Room for", maybe(spent.updates_left, |left| html! { (counted(left, "more update")) })),
            ("Epsilon if data are replaced", html! { (value(spent.epsilon_of_replacement)) }),
        ]))
        @if !rows.is_empty() { (table("Spent by jobs", &columns, &rows)) }
        @if !spent.data_sets.is_empty() { (by_data_sets(&spent.data_sets)) }
    }
}

fn by_data_sets(data_sets: &[PrivacyDataSet]) -> Markup {
    let columns = [words("Data set"), numbers("Updates"), numbers("Epsilon by itself")];
    let row = |PrivacyDataSet { name, updates, epsilon }: &PrivacyDataSet| {
        vec![said(name), html! { (count(*updates)) }, html! { (value(*epsilon)) }]
    };
    let rows: Vec<Vec<Markup>> = data_sets.iter().map(row).collect();
    table("Spent by data sets", &columns, &rows)
}

fn privacy_row(job: &PrivacyJob) -> Vec<Markup> {
    vec![
        html! { span.id { (job.job) } },
        said(&job.name),
        html! { (count(job.updates)) },
        html! { (value(job.epsilon)) },
    ]
}

/// A bar of the part that is used.
fn share(used: f64, most: f64) -> Markup {
    let part = if most > 0.0 { (used / most).clamp(0.0, 1.0) } else { 1.0 };
    html! {
        span.progress {
            progress value=(format!("{part:.4}")) max="1" aria-label="Part that is spent" {}
            span.of { (format!("{:.0}", part * 100.0)) " %" }
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a bar is shown")]
fn today(today: Result<&[LimitUse], &str>) -> Markup {
    let limits = match today {
        Ok(limits) => limits,
        Err(why) => return html! { p.error role="alert" { (said(why)) } },
    };
    let shown = |one: &LimitUse, number: u64| if one.bytes { bytes(number) } else { count(number) };
    let columns = [words("Limit"), numbers("Used today"), numbers("Most"), words("Part")];
    let rows: Vec<Vec<Markup>> = limits
        .iter()
        .map(|one| {
            vec![
                html! { code { (one.limit) } },
                html! { (shown(one, one.used)) },
                one.most.map_or_else(|| html! { "unlimited" }, |most| html! { (shown(one, most)) }),
                maybe(one.most, |most| share(one.used as f64, most as f64)),
            ]
        })
        .collect();
    table("Limits of a day", &columns, &rows)
}

fn jobs(jobs: &[JobUse], further: u64) -> Markup {
    if jobs.is_empty() {
        return html! { p.quiet { "No work has been accepted yet." } };
    }
    let columns =
        [words("Job"), numbers("Rounds"), numbers("Assignments"), numbers("Sent"), numbers("Fetched")];
    let rows: Vec<Vec<Markup>> = jobs
        .iter()
        .map(|one| {
            vec![
                html! { span.id { (one.job) } },
                html! { (count(one.rounds)) },
                html! { (count(one.assignments)) },
                html! { (bytes(one.sent)) },
                html! { (bytes(one.fetched)) },
            ]
        })
        .collect();
    html! {
        (table("Used by jobs", &columns, &rows))
        @if further > 0 { p.quiet { "and " (counted(further, "job")) " before these" } }
    }
}
