//! Lists of what the coordinator knows, as pages of summaries. No entry grows with the rounds of a job.

use std::cmp::Reverse;

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{InstitutionName, JobId, ReleaseNumber, SpecialistName};
use eosfed_common::plan::JobKind;
use eosfed_common::refusal::Refusal;
use eosfed_common::view::{InstitutionView, JobState as StateView};
use serde::{Deserialize, Serialize};

use super::federation::Federation;
use super::institution::Institution;
use super::job::Job;
use super::paging::{Key, Page, PageRequest, document};
use super::view;

/// Which jobs are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobFilter {
    /// In one of these states; empty: in any.
    pub states: Vec<StateView>,
    /// Of one of these kinds; empty: of any.
    pub kinds: Vec<JobKind>,
    /// Submitted at this time or later.
    pub since: Option<Timestamp>,
}

impl JobFilter {
    fn matches(&self, job: &Job) -> bool {
        let state = view::state(&job.state);
        (self.states.is_empty() || self.states.contains(&state))
            && (self.kinds.is_empty() || self.kinds.contains(&job.spec.kind()))
            && self.since.is_none_or(|since| job.submitted_at >= since)
    }
}

/// Jobs are listed newest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobKey(Reverse<(Timestamp, JobId)>);

impl Key for JobKey {
    const LIST: &'static str = "jobs";
}

/// Institutions are listed by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstitutionKey(InstitutionName);

impl Key for InstitutionKey {
    const LIST: &'static str = "institutions";
}

/// Specialists are listed by name and version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SpecialistKey(SpecialistName, u32);

impl Key for SpecialistKey {
    const LIST: &'static str = "specialists";
}

/// Releases are listed newest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseKey(Reverse<ReleaseNumber>);

impl Key for ReleaseKey {
    const LIST: &'static str = "releases";
}

impl Federation {
    /// A page of the summaries of jobs, newest first.
    ///
    /// # Errors
    /// If an entry does not fit a message.
    pub fn list_jobs(&self, filter: &JobFilter, page: &PageRequest<JobKey>) -> Result<Page, Refusal> {
        let jobs = self.jobs.values().filter(|job| filter.matches(job));
        let mut jobs: Vec<_> =
            jobs.map(|job| (JobKey(Reverse((job.submitted_at, job.id.clone()))), job)).collect();
        jobs.sort_by(|(a, _), (b, _)| a.cmp(b));
        page.cut(jobs, |job| document(&view::job_summary(job)))
    }

    /// A page of institutions by name; `show` gives the view of one.
    ///
    /// # Errors
    /// If an entry does not fit a message.
    pub fn list_institutions(
        &self,
        page: &PageRequest<InstitutionKey>,
        show: impl Fn(&Institution) -> InstitutionView,
    ) -> Result<Page, Refusal> {
        let institutions = self.institutions.iter();
        let institutions =
            institutions.map(|(name, institution)| (InstitutionKey(name.clone()), institution));
        page.cut(institutions, |institution| document(&show(institution)))
    }

    /// A page of the cards of specialists by name and version.
    ///
    /// # Errors
    /// If an entry does not fit a message.
    pub fn list_specialists(&self, page: &PageRequest<SpecialistKey>) -> Result<Page, Refusal> {
        let specialists = self.registry.specialists.iter();
        let specialists =
            specialists.map(|((name, version), card)| (SpecialistKey(name.clone(), *version), card));
        page.cut(specialists, document)
    }

    /// A page of the summaries of releases, newest first.
    ///
    /// # Errors
    /// If an entry does not fit a message.
    pub fn list_releases(&self, page: &PageRequest<ReleaseKey>) -> Result<Page, Refusal> {
        let releases = self.registry.releases.iter().rev();
        let releases = releases.map(|(number, release)| (ReleaseKey(Reverse(*number)), release));
        page.cut(releases, |release| document(&view::release_summary(&release.manifest)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eosfed_common::view::JobSummary;

    use super::*;
    use crate::domain::{JobDefinition, JobState};
    use crate::testing::{NOW, ONE_SHOT, enrolled, name, submit};

    /// So many jobs, a second between two of them; every third is cancelled.
    fn federation(jobs: u64) -> Federation {
        let mut federation = Federation::default();
        federation.merge(enrolled(&["west", "east"]));
        let job = submit(&federation, ONE_SHOT).1.jobs.remove(0);
        for place in 0..jobs {
            let id: JobId = format!("j-{:08x}", place * 7_919 % 100_003).parse().unwrap();
            let submitted_at = Timestamp(NOW.0 + place * 1000);
            let definition =
                JobDefinition { id: id.clone(), submitted_at, ..JobDefinition::clone(&job.definition) };
            let state = match place % 3 {
                0 => JobState::Cancelled { at: submitted_at, by: name("admin") },
                _ => job.state.clone(),
            };
            federation.jobs.insert(id, Job { definition: Arc::new(definition), state, ..job.clone() });
        }
        federation
    }

    fn read(page: &Page) -> Vec<JobSummary> {
        page.documents.iter().map(|json| serde_json::from_str(json).unwrap()).collect()
    }

    fn first_page() -> PageRequest<JobKey> {
        PageRequest::read(0, "").unwrap()
    }

    #[test]
    fn jobs_are_listed_newest_first_in_pages() {
        let federation = federation(120);
        let mut seen = Vec::new();
        let mut page = federation.list_jobs(&JobFilter::default(), &first_page()).unwrap();
        loop {
            seen.extend(read(&page));
            if page.next.is_empty() {
                break;
            }
            let wanted = PageRequest::read(50, &page.next).unwrap();
            page = federation.list_jobs(&JobFilter::default(), &wanted).unwrap();
        }
        assert_eq!(seen.len(), 120);
        assert!(seen.is_sorted_by(|a, b| a.submitted_at > b.submitted_at));
    }

    #[test]
    fn jobs_are_filtered_by_state_kind_and_time() {
        let federation = federation(30);
        let count = |filter: &JobFilter| federation.list_jobs(filter, &first_page()).unwrap().documents.len();
        assert_eq!(count(&JobFilter::default()), 30);
        let cancelled = JobFilter { states: vec![StateView::Cancelled], ..JobFilter::default() };
        assert_eq!(count(&cancelled), 10);
        let both = vec![StateView::Cancelled, StateView::Running];
        assert_eq!(count(&JobFilter { states: both, ..JobFilter::default() }), 30);
        assert_eq!(count(&JobFilter { kinds: vec![JobKind::Rounds], ..JobFilter::default() }), 0);
        assert_eq!(count(&JobFilter { kinds: vec![JobKind::OneShot], ..JobFilter::default() }), 30);
        let since = Some(Timestamp(NOW.0 + 20_000));
        assert_eq!(count(&JobFilter { since, ..JobFilter::default() }), 10);
        assert_eq!(count(&JobFilter { since, ..cancelled }), 3);
    }

    #[test]
    fn a_summary_says_how_far_the_open_round_is() {
        let federation = federation(2);
        let page = federation.list_jobs(&JobFilter::default(), &first_page()).unwrap();
        let [running, cancelled] = &read(&page)[..] else { panic!("{page:?}") };
        let round = running.current.as_ref().unwrap();
        assert_eq!((round.index, round.participants.asked(), round.participants.submitted), (0, 2, 0));
        assert_eq!((running.rounds, running.complete_rounds, cancelled.current.as_ref()), (1, 0, None));
        assert!(page.documents.iter().all(|json| json.len() < 1024), "{page:?}");
    }

    #[test]
    fn institutions_are_listed_by_name() {
        let federation = federation(0);
        let page = PageRequest::read(1, "").unwrap();
        let show =
            |one: &Institution| view::institution(one, None, eosfed_common::traffic::ByteCounts::default());
        let first = federation.list_institutions(&page, show).unwrap();
        assert!(first.documents[0].contains("\"east\"") && first.remaining == 1, "{first:?}");
        let next = PageRequest::read(1, &first.next).unwrap();
        let second = federation.list_institutions(&next, show).unwrap();
        assert!(second.documents[0].contains("\"west\"") && second.next.is_empty(), "{second:?}");
        let wrong = PageRequest::<JobKey>::read(1, &first.next).unwrap_err();
        assert!(wrong.message.contains("list of jobs"), "{wrong}");
    }
}
