//! The pages: each reads the state folder anew.

use std::path::PathBuf;

use axum::extract::{Path, Query, State};
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{AssignmentId, DataSetName};
use eosfed_dashboard::Shell;
use eosfed_dashboard::page::Pager;
use eosfed_dashboard::page::site::{
    self as views, BudgetsPage, DataSetLine, DataSetPolicy, DeviceWork, EntriesPage, EntryFilter, EntryPage,
    JobUse, LeftPage, LimitUse, PolicyPage, PrivacyDataSet, PrivacyJob, PrivacyUse, SiteOverview, WorkInHand,
    path,
};
use eosfed_web::answer::Html;
use serde::Deserialize;
use strum::VariantNames as _;

use super::SitePages;
use super::answer::Trouble;
use super::read::{self, DECISIONS, Lines, Records};
use super::session::{LIVE_AND_LOGOUT, Visitor};
use crate::document::{DataSetSpent, DataSetStatus, DeviceStatus, LimitsReport, PrivacyReport, Status};
use crate::policy::{Limit, explain};
use crate::report;
use crate::settings::{Settings, load_policies, load_policy};
use crate::site::Site;
use crate::site_log::{EntryKind, LogQuery, page};
use crate::spent::Spent;

/// Entries of a page.
const PAGE: usize = 40;
/// Entries of each kind on the first page.
const NEWEST: usize = 6;

/// Reads the state folder where that may take its time, a few at once.
pub(super) async fn blocking<T: Send + 'static>(
    pages: &SitePages,
    read: impl FnOnce(&Site) -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    let turn = pages.readers.acquire().await;
    let site = pages.site.clone();
    let done = tokio::task::spawn_blocking(move || read(&site)).await;
    drop(turn);
    done.unwrap_or_else(|_| Err(Trouble::Unreadable("the page could not be made".to_owned())))
}

/// The frame of a page.
fn shell(site: &Site, now: Timestamp) -> Result<Shell, Trouble> {
    let (live, logout) = LIVE_AND_LOGOUT;
    Ok(Shell {
        brand: site.credentials()?.institution.to_string(),
        viewer: "this machine".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now,
        nav: views::nav(),
        live: Some(live),
        logout: Some(logout),
    })
}

/// The number of an entry in an address.
pub(super) fn number_of(text: &str) -> Result<u64, Trouble> {
    text.parse().map_err(|_| Trouble::Malformed("An entry of the site log is named by its number."))
}

/// What a page of the log was asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    before: Option<u64>,
    job: String,
    kind: String,
}

impl Asked {
    fn query(&self, most: usize) -> LogQuery {
        LogQuery { from: 0, before: self.before.unwrap_or(u64::MAX), most }
    }

    /// Where the other pages are. The filter is checked before, so that it needs no escaping.
    fn pager(&self, address: &str, earlier: Option<u64>) -> Pager {
        let mut filter = Vec::new();
        for (name, value) in [("job", &self.job), ("kind", &self.kind)] {
            if !value.is_empty() {
                filter.push(format!("{name}={value}"));
            }
        }
        let with = |more: Option<String>| {
            let all: Vec<String> = filter.iter().cloned().chain(more).collect();
            if all.is_empty() { address.to_owned() } else { format!("{address}?{}", all.join("&")) }
        };
        Pager {
            first: self.before.map(|_| with(None)),
            next: earlier.map(|before| with(Some(format!("before={before}")))),
            remaining: 0,
        }
    }
}

/// The first page.
pub(super) async fn overview(State(pages): State<SitePages>, _visitor: Visitor) -> Result<Html, Trouble> {
    let now = pages.clock.now();
    blocking(&pages, move |site| {
        let status = report::status(site, now)?;
        let newest = Asked::default().query(NEWEST);
        let filter = EntryFilter::default();
        let mut problems: Vec<String> =
            load_policy(&site.policy()).err().map(|error| error.to_string()).into_iter().collect();
        let decisions = read::lines(site, newest, Some(&DECISIONS), &filter);
        let left = read::left(site, newest);
        problems.extend(decisions.as_ref().err().map(ToString::to_string));
        let decisions = decisions.map_or_else(|_| Vec::new(), |found| found.lines);
        let left = left.map_or_else(|_| Vec::new(), |found| found.records);
        let Status { institution, phase, waiting_for, sent_bytes, devices, queue, data_sets, .. } = status;
        let devices: Vec<_> = devices.into_iter().map(device).collect();
        let data_sets: Vec<_> = data_sets.into_iter().filter_map(data_set).collect();
        let work = in_hand(status.assignment, status.job, status.since, status.data_set);
        let page = SiteOverview {
            institution: institution.as_str(),
            running: site.is_locked()?,
            phase: &phase,
            work,
            waits: waiting_for.as_ref().map(|wait| &*wait.message),
            devices: &devices,
            queue: queue.as_deref(),
            data_sets: &data_sets,
            certificate_ends: site.credentials()?.not_after,
            sent: sent_bytes,
            problems: &problems,
            decisions: &decisions,
            left: &left,
        };
        Ok(Html(views::overview(&shell(site, now)?, &page)))
    })
    .await
}

fn in_hand(
    assignment: Option<AssignmentId>,
    job: Option<String>,
    since: Option<String>,
    data_set: Option<DataSetName>,
) -> Option<WorkInHand> {
    let ((assignment, job), since) = assignment.zip(job).zip(since)?;
    let data_set = data_set.map(|name| name.to_string());
    Some(WorkInHand { assignment: assignment.to_string(), job, since, data_set })
}

/// A line for a data set with a name: of one by its path alone there is nothing to choose.
fn data_set(status: DataSetStatus) -> Option<DataSetLine> {
    let DataSetStatus { name, path, policy, problem } = status;
    let shown = |path: PathBuf| path.display().to_string();
    Some(DataSetLine { name: name?.to_string(), path: shown(path), policy: policy.map(shown), problem })
}

fn device(status: DeviceStatus) -> DeviceWork {
    let DeviceStatus { device, phase, assignment, job, data_set, since, waiting_for } = status;
    DeviceWork {
        device: device.map_or_else(|| "no longer in the settings".to_owned(), |device| device.to_string()),
        phase,
        work: in_hand(assignment, job, since, data_set),
        waits: waiting_for.map(|wait| wait.message),
    }
}

/// What was asked and decided.
pub(super) async fn decisions(
    State(pages): State<SitePages>,
    _visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Html, Trouble> {
    entries(&pages, asked, path::DECISIONS, &DECISIONS).await
}

/// The whole log.
pub(super) async fn log(
    State(pages): State<SitePages>,
    _visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Html, Trouble> {
    entries(&pages, asked, path::LOG, EntryKind::VARIANTS).await
}

async fn entries(
    pages: &SitePages,
    asked: Asked,
    address: &'static str,
    kinds: &'static [&'static str],
) -> Result<Html, Trouble> {
    let now = pages.clock.now();
    blocking(pages, move |site| {
        let filter = EntryFilter { job: asked.job.clone(), kind: asked.kind.clone() };
        let only = (address == path::DECISIONS).then_some(kinds);
        let found = read::checked(&filter, kinds).and_then(|()| {
            read::lines(site, asked.query(PAGE), only, &filter).map_err(|error| error.to_string())
        });
        let (found, error) = match found {
            Ok(found) => (found, None),
            Err(error) => (Lines { lines: Vec::new(), earlier: None, cut: false }, Some(error)),
        };
        let page = EntriesPage {
            lines: &found.lines,
            filter: &filter,
            kinds,
            error: error.as_deref(),
            cut: found.cut,
            pager: asked.pager(address, found.earlier),
        };
        let make = if address == path::DECISIONS { views::decisions } else { views::log };
        Ok(Html(make(&shell(site, now)?, &page)))
    })
    .await
}

/// One entry.
pub(super) async fn entry(
    State(pages): State<SitePages>,
    _visitor: Visitor,
    Path(number): Path<String>,
) -> Result<Html, Trouble> {
    let now = pages.clock.now();
    let number = number_of(&number)?;
    blocking(&pages, move |site| {
        let query = LogQuery { from: number, before: number.saturating_add(1), most: 1 };
        let found = page(&site.log(), query, |_| true)?;
        let (_, stored) = found.lines.first().ok_or_else(|| {
            Trouble::NotFound(format!(
                "The site log has no entry {number}; old files of it may have been removed."
            ))
        })?;
        let line = read::in_words(stored);
        Ok(Html(views::entry(&shell(site, now)?, &EntryPage { number, line: &line, stored })))
    })
    .await
}

/// What has left.
pub(super) async fn left(
    State(pages): State<SitePages>,
    _visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Html, Trouble> {
    let now = pages.clock.now();
    blocking(&pages, move |site| {
        let found = read::left(site, asked.query(PAGE)).map_err(|error| error.to_string());
        let (found, error) = match found {
            Ok(found) => (found, None),
            Err(error) => (Records { records: Vec::new(), earlier: None, cut: false }, Some(error)),
        };
        let asked = Asked { before: asked.before, ..Asked::default() };
        let page = LeftPage {
            records: &found.records,
            sent: site.sent()?,
            error: error.as_deref(),
            cut: found.cut,
            pager: asked.pager(path::LEFT, found.earlier),
        };
        Ok(Html(views::left(&shell(site, now)?, &page)))
    })
    .await
}

/// The policy.
pub(super) async fn policy(State(pages): State<SitePages>, _visitor: Visitor) -> Result<Html, Trouble> {
    let now = pages.clock.now();
    blocking(&pages, move |site| {
        let path = site.policy();
        let sentences = load_policy(&path).map(|policy| explain(&policy)).map_err(|error| error.to_string());
        let sentences = sentences.as_deref().map_err(|error| &**error);
        let of_data_sets = policies_of_data_sets(site);
        let page = PolicyPage { file: &path.display().to_string(), sentences, data_sets: &of_data_sets };
        Ok(Html(views::policy(&shell(site, now)?, &page)))
    })
    .await
}

/// What counts for each data set with a policy of its own. Settings that cannot be read have none.
fn policies_of_data_sets(site: &Site) -> Vec<DataSetPolicy> {
    let Ok(settings) = Settings::load(&site.settings()) else { return Vec::new() };
    let of = |(name, own): (&DataSetName, &std::path::Path)| DataSetPolicy {
        name: name.to_string(),
        file: own.display().to_string(),
        sentences: load_policies(&site.policy(), own)
            .map(|policy| explain(&policy))
            .map_err(|error| error.to_string()),
    };
    settings.dataset.policies().map(of).collect()
}

/// What is used of the budgets.
pub(super) async fn budgets(State(pages): State<SitePages>, _visitor: Visitor) -> Result<Html, Trouble> {
    let now = pages.clock.now();
    blocking(&pages, move |site| {
        let policy = load_policy(&site.policy()).map_err(|error| error.to_string());
        let privacy = policy.as_ref().map_err(Clone::clone).and_then(|policy| {
            let spending = Spent::new(site).spending().map_err(|error| error.to_string())?;
            Ok(spent(report::privacy(policy.privacy, &spending)))
        });
        let limits =
            policy.and_then(|policy| report::limits(site, &policy, now).map_err(|error| error.to_string()));
        let today = limits.as_ref().map(today).map_err(|error| &**error);
        let jobs: Vec<JobUse> = limits.as_ref().map_or_else(|_| Vec::new(), jobs);
        let page = BudgetsPage {
            data_sets: &names_of_data_sets(site),
            privacy: privacy.as_ref().map_err(|error| &**error),
            today: today.as_deref().map_err(|error| *error),
            jobs: &jobs,
            further_jobs: limits.as_ref().map_or(0, |limits| limits.used.further_jobs),
        };
        Ok(Html(views::budgets(&shell(site, now)?, &page)))
    })
    .await
}

/// The names of several data sets. Settings that cannot be read have none; the first page says so.
fn names_of_data_sets(site: &Site) -> Vec<String> {
    let Ok(settings) = Settings::load(&site.settings()) else { return Vec::new() };
    settings.dataset.several().iter().map(|one| one.name.to_string()).collect()
}

fn spent(report: PrivacyReport) -> PrivacyUse {
    let data_set = |one: DataSetSpent| PrivacyDataSet {
        name: one.name.to_string(),
        updates: one.updates,
        epsilon: one.epsilon,
    };
    let job = |job: crate::document::JobSpent| PrivacyJob {
        job: job.job.to_string(),
        name: job.name,
        updates: job.updates,
        epsilon: job.epsilon,
    };
    PrivacyUse {
        max_epsilon: report.policy.map(|privacy| privacy.max_epsilon),
        delta: report.delta,
        epsilon: report.epsilon,
        epsilon_of_replacement: report.epsilon_of_replacement,
        updates: report.updates,
        updates_left: report.updates_left,
        jobs: report.jobs.into_iter().map(job).collect(),
        data_sets: report.data_sets.into_iter().map(data_set).collect(),
    }
}

fn most(limit: Limit) -> Option<u64> {
    match limit {
        Limit::AtMost(most) => Some(most),
        Limit::Unlimited => None,
    }
}

fn today(report: &LimitsReport) -> Vec<LimitUse> {
    let (limits, used) = (&report.policy, report.used.today);
    let megabytes =
        |limit, used, allowed: Limit| LimitUse { limit, used, most: most(allowed.megabytes()), bytes: true };
    vec![
        LimitUse {
            limit: "assignments_per_day",
            used: used.assignments,
            most: most(limits.assignments_per_day),
            bytes: false,
        },
        megabytes("upload_mb_per_day", used.sent_bytes, limits.upload_mb_per_day),
        megabytes("download_mb_per_day", used.fetched_bytes, limits.download_mb_per_day),
    ]
}

fn jobs(report: &LimitsReport) -> Vec<JobUse> {
    let job = |one: &crate::budgets::UsedByJob| JobUse {
        job: one.job.to_string(),
        rounds: one.rounds,
        assignments: one.used.assignments,
        sent: one.used.sent_bytes,
        fetched: one.used.fetched_bytes,
    };
    report.used.jobs.iter().map(job).collect()
}
