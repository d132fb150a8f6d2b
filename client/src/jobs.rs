//! The jobs that have asked for work here, from the offers that wait for an approval, the journal and the site
//! log.

use std::collections::BTreeMap;

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::JobId;
use eosfed_common::ledger::Event;

use crate::document::{ClientJob, ClientJobs};
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

/// The jobs: those that wait for an approval, then the others, the newest decision first.
///
/// # Errors
/// If the state folder or its log cannot be read.
pub fn read(site: &Site, now: Timestamp) -> Result<ClientJobs, JobsError> {
    let states: Vec<_> = SiteJournal::all(site).iter().map(Journal::load).collect::<Result<_, _>>()?;
    let mut decided = decisions(site)?;
    let mut jobs = Vec::new();
    for terms in site.offers()? {
        let last = decided.remove(&terms.job);
        let approved = site.approval_until(&terms.digest(), now)?;
        jobs.push(ClientJob {
            job: terms.job.clone(),
            name: Some(terms.job_name.clone()),
            waits_for_approval: approved.is_none(),
            now: match approved {
                None => "waits for an approval".to_owned(),
                Some(until) => format!("approved until {until}; not started"),
            },
            since: last.map_or_else(|| now.to_string(), |(at, _)| at.to_string()),
            terms: terms.words(),
        });
    }
    jobs.sort_by_key(|job| !job.waits_for_approval);
    for (state, held) in states.iter().filter_map(|state| Some((state, state.held()?))) {
        decided.remove(&held.assignment.id.job);
        jobs.push(ClientJob {
            job: held.assignment.id.job.clone(),
            name: Some(held.assignment.job_name.clone()),
            waits_for_approval: false,
            now: format!("in work: {}", state.name()),
            since: held.since.to_string(),
            terms: Vec::new(),
        });
    }
    let mut rest: Vec<_> = decided.into_iter().collect();
    rest.sort_by_key(|(job, (at, _))| (std::cmp::Reverse(*at), job.clone()));
    jobs.extend(rest.into_iter().map(|(job, (at, now))| ClientJob {
        job,
        name: None,
        waits_for_approval: false,
        now,
        since: at.to_string(),
        terms: Vec::new(),
    }));
    Ok(ClientJobs { jobs })
}

/// The newest decision about each job, in words.
fn decisions(site: &Site) -> Result<BTreeMap<JobId, (Timestamp, String)>, SiteLogError> {
    let newest = LogQuery { from: 0, before: u64::MAX, most: MAX_ENTRIES };
    let mut found = BTreeMap::new();
    for (_, line) in page(&site.log(), newest, |_| true)?.lines {
        let Ok(event) = serde_json::from_str::<Event<Entry>>(&line) else { continue };
        let (Some(job), Some(words)) = (event.entry.job, in_words(&event.entry.kind)) else { continue };
        found.entry(job).or_insert((event.at, words));
    }
    Ok(found)
}

/// What an entry says of how a job stands; `None` of entries that say nothing of it.
fn in_words(kind: &EntryKind) -> Option<String> {
    match kind {
        EntryKind::Asked { .. } => Some("has asked".to_owned()),
        EntryKind::Accepted { .. } => Some("accepted".to_owned()),
        EntryKind::Approved(approved) => Some(format!("approved by {}", approved.by)),
        EntryKind::Refused(why) => Some(format!("refused: {}: {}", why.reason, why.message)),
        EntryKind::Failed(why) => Some(format!("failed: {}: {}", why.reason, why.message)),
        EntryKind::Waits { why } => Some(format!("waits: {why}")),
        EntryKind::Ended { how } => Some(format!("ended: {how}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eosfed_common::clock::ManualClock;
    use eosfed_common::plan::JobKind;
    use eosfed_common::refusal::{Reason, Refusal};

    use super::*;
    use crate::policy::{GivenApproval, Terms};
    use crate::site_log::{SiteLog, SiteLogSettings, Why};
    use crate::testing::training;

    /// Writes an entry into the site log at this time.
    fn noted(site: &Site, at: u64, entry: Entry) {
        let clock = Arc::new(ManualClock::new(Timestamp(at)));
        SiteLog::new(&site.log(), SiteLogSettings::default(), clock).record(entry).unwrap();
    }

    #[test]
    fn jobs_that_wait_for_an_approval_come_first_and_the_newest_decision_counts() {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::at(folder.path());
        assert_eq!(read(&site, Timestamp(0)).unwrap().jobs, []);
        let other = |text: &str| format!("{text}.0.1.west").parse().unwrap();
        let refusal = Refusal::new(Reason::Policy, "no kind `krum`");
        noted(&site, 1000, Entry::of(&other("j-00000001"), EntryKind::Accepted { approval: None }));
        noted(&site, 2000, Entry::of(&other("j-00000002"), EntryKind::Waits { why: "the hours".to_owned() }));
        let why = Why::new(&refusal, &refusal);
        noted(&site, 3000, Entry::of(&other("j-00000001"), EntryKind::Refused(why)));
        let terms = Terms::of(&training(JobKind::Rounds));
        site.record_offer(&terms).unwrap();

        let jobs = read(&site, Timestamp(5000)).unwrap().jobs;
        let found: Vec<_> = jobs.iter().map(|one| (one.job.as_str(), one.now.as_str())).collect();
        assert_eq!(found[0], (terms.job.as_str(), "waits for an approval"));
        assert_eq!(found[1].0, "j-00000001");
        assert!(found[1].1.starts_with("refused: POLICY: no kind"), "{found:?}");
        assert_eq!(found[2], ("j-00000002", "waits: the hours"));
        assert!(jobs[0].waits_for_approval && jobs[0].name.is_some() && !jobs[0].terms.is_empty());

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
        let jobs = read(&site, Timestamp(5000)).unwrap().jobs;
        assert_eq!([&jobs[0].job, &jobs[1].job], [&terms.job, &approved.job]);
        approve(&terms);
        let at = |now| read(&site, Timestamp(now)).unwrap().jobs[0].waits_for_approval;
        assert!(!at(5000) && at(9000), "an approval ends");
    }
}
