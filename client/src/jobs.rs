//! The jobs that have asked for work here, from the offers that wait for an approval, the journal and the site
//! log.

use std::collections::BTreeMap;

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::JobId;
use eosfed_common::ledger::Event;

use crate::document::{ClientJob, ClientJobs, JobStatus};
use crate::journal::{Journal, SiteJournal};
use crate::site::{Site, SiteError};
use crate::site_log::{Entry, EntryKind, LogQuery, SiteLogError, page};

/// Most entries of the log that are looked at, from its end.
const MAX_ENTRIES: usize = 20_000;

/// Why the jobs cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum JobsError {
    /// The state folder.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The site log.
    #[error(transparent)]
    Log(#[from] SiteLogError),
}

/// Which jobs are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobsQuery {
    /// The beginning of their ids; empty: all.
    pub job: String,
    /// Those that stand so; empty: all.
    pub statuses: Vec<JobStatus>,
    /// Those that stand as they do since this time or later.
    pub since: Option<Timestamp>,
    /// Most jobs.
    pub most: usize,
}

impl JobsQuery {
    fn matches(&self, (since, job): &(Timestamp, ClientJob)) -> bool {
        job.job.as_str().starts_with(&self.job)
            && (self.statuses.is_empty() || self.statuses.contains(&job.status))
            && self.since.is_none_or(|wanted| *since >= wanted)
    }
}

/// The jobs: those that wait for an approval, then the others, the newest decision first.
///
/// # Errors
/// If the state folder or its log cannot be read.
pub fn read(site: &Site, query: &JobsQuery, now: Timestamp) -> Result<ClientJobs, JobsError> {
    let Decisions { mut of, mut names, older_entries } = decisions(site)?;
    let working = in_work(site, &mut of)?;
    let mut jobs = offered(site, &mut of, now)?;
    // The terms of a job stay here while it works, for its next rounds.
    jobs.retain(|(_, offered)| working.iter().all(|(_, one)| one.job != offered.job));
    jobs.extend(working);
    let mut rest: Vec<_> = of.into_iter().collect();
    rest.sort_by_key(|(job, decision)| (std::cmp::Reverse(decision.at), job.clone()));
    jobs.extend(rest.into_iter().map(|(job, Decision { at, status, now })| {
        let (since, name) = (at.to_string(), names.remove(&job));
        (at, ClientJob { job, name, status, now, since, terms: Vec::new(), data_set: None })
    }));
    jobs.retain(|job| query.matches(job));
    let more_jobs = jobs.len().saturating_sub(query.most) as u64;
    let jobs = jobs.into_iter().take(query.most).map(|(_, job)| job).collect();
    Ok(ClientJobs { jobs, more_jobs, older_entries })
}

/// The jobs whose terms were offered for an approval, those first that have none. Takes what was decided about
/// them.
fn offered(
    site: &Site,
    decided: &mut BTreeMap<JobId, Decision>,
    now: Timestamp,
) -> Result<Vec<(Timestamp, ClientJob)>, JobsError> {
    let mut jobs = Vec::new();
    for terms in site.offers()? {
        let at = decided.remove(&terms.job).map_or(now, |last| last.at);
        let (status, words) = match site.approval_until(&terms.digest(), now)? {
            None => (JobStatus::WaitsForApproval, "waits for an approval".to_owned()),
            Some(until) => (JobStatus::Approved, format!("approved until {until}; not started")),
        };
        let job = ClientJob {
            job: terms.job.clone(),
            name: Some(terms.job_name.clone()),
            status,
            now: words,
            since: at.to_string(),
            terms: terms.words(),
            data_set: terms.dataset,
        };
        jobs.push((at, job));
    }
    jobs.sort_by_key(|(_, job)| job.status != JobStatus::WaitsForApproval);
    Ok(jobs)
}

/// The jobs that are in work. Takes what was decided about them.
fn in_work(
    site: &Site,
    decided: &mut BTreeMap<JobId, Decision>,
) -> Result<Vec<(Timestamp, ClientJob)>, JobsError> {
    let states: Vec<_> = SiteJournal::all(site).iter().map(Journal::load).collect::<Result<_, _>>()?;
    let held = states.iter().filter_map(|state| Some((state, state.held()?)));
    let jobs = held.map(|(state, held)| {
        decided.remove(&held.assignment.id.job);
        let job = ClientJob {
            job: held.assignment.id.job.clone(),
            name: Some(held.assignment.job_name.clone()),
            status: JobStatus::InWork,
            now: format!("in work: {}", state.name()),
            since: held.since.to_string(),
            terms: Vec::new(),
            data_set: held.dataset.clone().or_else(|| held.assignment.dataset.clone()),
        };
        (held.since, job)
    });
    Ok(jobs.collect())
}

/// What was decided about a job last.
#[derive(Debug)]
struct Decision {
    at: Timestamp,
    status: JobStatus,
    /// In words.
    now: String,
}

/// The newest decision about each job.
#[derive(Debug)]
struct Decisions {
    of: BTreeMap<JobId, Decision>,
    /// The names of jobs that the log has.
    names: BTreeMap<JobId, String>,
    /// Whether the log has older entries that were not read.
    older_entries: bool,
}

fn decisions(site: &Site) -> Result<Decisions, SiteLogError> {
    let newest = LogQuery { from: 0, before: u64::MAX, most: MAX_ENTRIES };
    let page = page(&site.log(), newest, |_| true)?;
    let (mut of, mut names) = (BTreeMap::new(), BTreeMap::new());
    for (_, line) in page.lines {
        let Ok(event) = serde_json::from_str::<Event<Entry>>(&line) else { continue };
        let Event { at, entry, .. } = event;
        let Some(job) = entry.job else { continue };
        if let Some(name) = named(&entry.kind) {
            names.entry(job.clone()).or_insert_with(|| name.to_owned());
        }
        if let Some((status, now)) = decided(&entry.kind) {
            of.entry(job).or_insert(Decision { at, status, now });
        }
    }
    Ok(Decisions { of, names, older_entries: page.earlier.is_some() })
}

/// The display name of the job that an entry is about.
fn named(kind: &EntryKind) -> Option<&str> {
    match kind {
        EntryKind::Asked { name, .. } => name.as_deref(),
        EntryKind::NoiseAdded { update, .. } => update.as_ref().map(|update| update.job_name.as_str()),
        _ => None,
    }
}

/// What an entry says of how a job stands; `None` of entries that say nothing of it.
fn decided(kind: &EntryKind) -> Option<(JobStatus, String)> {
    Some(match kind {
        EntryKind::Asked { .. } => (JobStatus::Asked, "has asked".to_owned()),
        EntryKind::Accepted { .. } => (JobStatus::Accepted, "accepted".to_owned()),
        EntryKind::Approved(approved) => (JobStatus::Approved, format!("approved by {}", approved.by)),
        EntryKind::Refused(why) => (JobStatus::Refused, format!("refused: {}: {}", why.reason, why.message)),
        EntryKind::Failed(why) => (JobStatus::Failed, format!("failed: {}: {}", why.reason, why.message)),
        EntryKind::Waits { why } => (JobStatus::Waits, format!("waits: {why}")),
        EntryKind::Ended { how } => (JobStatus::Ended, format!("ended: {how}")),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eosfed_common::assignment::Lease;
    use eosfed_common::clock::ManualClock;
    use eosfed_common::plan::JobKind;
    use eosfed_common::refusal::{Reason, Refusal};

    use super::*;
    use crate::policy::{GivenApproval, Terms};
    use crate::site_log::{SiteLog, SiteLogSettings, Why};
    use crate::state::{HeldAssignment, State};
    use crate::testing::training;

    const ALL: JobsQuery = JobsQuery { job: String::new(), statuses: Vec::new(), since: None, most: 1000 };

    fn all(site: &Site, now: u64) -> Vec<ClientJob> {
        read(site, &ALL, Timestamp(now)).unwrap().jobs
    }

    /// Writes an entry into the site log at this time.
    fn noted(site: &Site, at: u64, entry: Entry) {
        let clock = Arc::new(ManualClock::new(Timestamp(at)));
        SiteLog::new(&site.log(), SiteLogSettings::default(), clock).record(entry).unwrap();
    }

    #[test]
    fn jobs_that_wait_for_an_approval_come_first_and_the_newest_decision_counts() {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::at(folder.path());
        assert_eq!(all(&site, 0), []);
        let other = |text: &str| format!("{text}.0.1.west").parse().unwrap();
        let refusal = Refusal::new(Reason::Policy, "no kind `krum`");
        noted(
            &site,
            1000,
            Entry::of(&other("j-00000001"), EntryKind::Accepted { approval: None, dataset: None }),
        );
        noted(&site, 2000, Entry::of(&other("j-00000002"), EntryKind::Waits { why: "the hours".to_owned() }));
        let why = Why::new(&refusal, &refusal);
        noted(&site, 3000, Entry::of(&other("j-00000001"), EntryKind::Refused(why)));
        let terms = Terms::of(&training(JobKind::Rounds));
        site.record_offer(&terms).unwrap();

        let jobs = all(&site, 5000);
        let found: Vec<_> = jobs.iter().map(|one| (one.job.as_str(), one.now.as_str())).collect();
        assert_eq!(found[0], (terms.job.as_str(), "waits for an approval"));
        assert_eq!(found[1].0, "j-00000001");
        assert!(found[1].1.starts_with("refused: POLICY: no kind"), "{found:?}");
        assert_eq!(found[2], ("j-00000002", "waits: the hours"));
        let waits = |job: &ClientJob| job.status == JobStatus::WaitsForApproval;
        assert!(waits(&jobs[0]) && jobs[0].name.is_some() && !jobs[0].terms.is_empty());

        let approve = |terms: &Terms| {
            site.approve(&GivenApproval {
                terms: terms.digest(),
                rounds: 1,
                until: Timestamp(9000),
                by: "ada".to_owned(),
                at: Timestamp(4000),
            })
            .unwrap();
        };
        // Its id comes first, and it waits for nothing.
        let approved = Terms { job: "j-00000000".parse().unwrap(), ..terms.clone() };
        site.record_offer(&approved).unwrap();
        approve(&approved);
        let jobs = all(&site, 5000);
        assert_eq!([&jobs[0].job, &jobs[1].job], [&terms.job, &approved.job]);
        approve(&terms);
        let at = |now| waits(&all(&site, now)[0]);
        assert!(!at(5000) && at(9000), "an approval ends");
    }

    #[test]
    fn a_job_keeps_its_name_after_it_was_refused_or_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::at(folder.path());
        let id = |job: &str| format!("{job}.0.1.west").parse().unwrap();
        let asked = |name: Option<&str>| EntryKind::Asked {
            name: name.map(str::to_owned),
            terms: Vec::new(),
            digest: None,
        };
        let refusal = Refusal::new(Reason::Policy, "no kind `krum`");
        for (at, job, kind) in [
            (1000, "j-00000001", asked(Some("crops"))),
            (2000, "j-00000001", EntryKind::Refused(Why::new(&refusal, &refusal))),
            (3000, "j-00000002", asked(Some("coast"))),
            (4000, "j-00000002", EntryKind::Ended { how: "done".to_owned() }),
            // As an earlier version has noted it.
            (5000, "j-00000003", asked(None)),
            (6000, "j-00000003", EntryKind::Ended { how: "done".to_owned() }),
        ] {
            noted(&site, at, Entry::of(&id(job), kind));
        }
        let names: Vec<_> = all(&site, 9000).into_iter().map(|job| (job.status, job.name)).collect();
        let named = |name: &str| Some(name.to_owned());
        let expected = [
            (JobStatus::Ended, None),
            (JobStatus::Ended, named("coast")),
            (JobStatus::Refused, named("crops")),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_job_in_work_is_listed_once() {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::at(folder.path());
        let assignment = training(JobKind::Rounds);
        site.record_offer(&Terms::of(&assignment)).unwrap();
        let held = HeldAssignment {
            lease: Lease { token: "0".repeat(32).parse().unwrap(), expires_at: Timestamp(100) },
            key: "1".repeat(32).parse().unwrap(),
            since: Timestamp(7),
            wait: None,
            dataset: None,
            assignment,
        };
        let state = State::Training { held: Box::new(held), crash_count: 0, process: None };
        SiteJournal::of(&site, 0).store(&state).unwrap();
        let jobs = all(&site, 5000);
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        assert_eq!((jobs[0].status, jobs[0].now.as_str()), (JobStatus::InWork, "in work: training"));
    }

    #[test]
    fn jobs_are_listed_by_id_status_and_time_and_what_is_left_out_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::at(folder.path());
        let other = |text: &str| format!("{text}.0.1.west").parse().unwrap();
        for (at, id) in [(1000, "j-0a000001"), (2000, "j-0a000002"), (3000, "j-0b000003")] {
            noted(&site, at, Entry::of(&other(id), EntryKind::Waits { why: "the hours".to_owned() }));
        }
        noted(&site, 4000, Entry::of(&other("j-0b000004"), EntryKind::Ended { how: "done".to_owned() }));
        let listed = |query: JobsQuery| {
            let found = read(&site, &query, Timestamp(9000)).unwrap();
            assert!(!found.older_entries);
            let last = |one: &ClientJob| one.job.as_str()[9..].to_owned();
            (found.jobs.iter().map(last).collect::<String>(), found.more_jobs)
        };
        for (query, ids, more) in [
            (ALL, "4321", 0),
            (JobsQuery { most: 3, ..ALL }, "432", 1),
            (JobsQuery { job: "j-0a".to_owned(), ..ALL }, "21", 0),
            (JobsQuery { statuses: vec![JobStatus::Ended, JobStatus::Failed], ..ALL }, "4", 0),
            (JobsQuery { since: Some(Timestamp(2000)), statuses: vec![JobStatus::Waits], ..ALL }, "32", 0),
            (JobsQuery { statuses: vec![JobStatus::Refused], ..ALL }, "", 0),
        ] {
            assert_eq!(listed(query.clone()), (ids.to_owned(), more), "{query:?}");
        }
    }
}
