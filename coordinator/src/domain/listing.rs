//! Lists of what the coordinator knows, as pages of summaries. No entry grows with the rounds of a job.

mod members;

use std::cmp::Reverse;

use eosfed_common::bands::known;
use eosfed_common::card::{Card, ReleaseManifest};
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{InstitutionName, JobId, ReleaseNumber, SpecialistName};
use eosfed_common::model::Task;
use eosfed_common::plan::JobKind;
use eosfed_common::refusal::Refusal;
use eosfed_common::view::{JobState as StateView, JobSummary, SpecialistSummary};
use serde::{Deserialize, Serialize};

use super::federation::Federation;
use super::job::Job;
use super::paging::{Key, Page, PageRequest, document};
use super::view::{self, StorageKey};
pub use members::{InstitutionKey, MemberFilter, PersonKey};

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
    /// Whether a job is listed.
    #[must_use]
    pub fn matches(&self, job: &Job) -> bool {
        let state = view::state(&job.state);
        (self.states.is_empty() || self.states.contains(&state))
            && (self.kinds.is_empty() || self.kinds.contains(&job.spec.kind()))
            && self.since.is_none_or(|since| job.submitted_at >= since)
    }
}

/// Which jobs are listed with what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredJobs {
    /// Their filter.
    pub filter: JobFilter,
    /// The page of their list.
    pub page: PageRequest<StorageKey>,
}

/// Which specialists are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpecialistFilter {
    /// For one of these tasks; empty: for any.
    pub tasks: Vec<Task>,
    /// That take all of these bands, each by its name or by its STAC common name.
    pub bands: Vec<String>,
    /// That have learned from one of these institutions; empty: from any.
    pub institutions: Vec<InstitutionName>,
    /// Frozen at this time or later.
    pub since: Option<Timestamp>,
    /// Only those that are in a release.
    pub released: bool,
}

impl SpecialistFilter {
    fn matches(&self, card: &Card) -> bool {
        let Card { model, provenance, .. } = card;
        let learned_from = |name| provenance.institutions.contains(name);
        (self.tasks.is_empty() || self.tasks.contains(&model.task))
            && self.bands.iter().all(|wanted| model.bands.iter().any(|band| is_band(band, wanted)))
            && (self.institutions.is_empty() || self.institutions.iter().any(learned_from))
            && self.since.is_none_or(|since| provenance.frozen_at >= since)
    }
}

/// Whether a band is meant: by its name, or by its STAC common name.
fn is_band(band: &str, wanted: &str) -> bool {
    band == wanted || known(band).is_some_and(|info| info.common_name.as_deref() == Some(wanted))
}

impl Job {
    /// Its entry in a list.
    #[must_use]
    pub fn summary(&self) -> JobSummary {
        view::job_summary(self)
    }
}

/// Which releases are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReleaseFilter {
    /// Created at this time or later.
    pub since: Option<Timestamp>,
    /// With a specialist of this name.
    pub specialist: Option<SpecialistName>,
}

impl ReleaseFilter {
    fn matches(&self, release: &ReleaseManifest) -> bool {
        let has = |name: &SpecialistName| release.specialists.iter().any(|card| card.name == *name);
        self.since.is_none_or(|since| release.created_at >= since) && self.specialist.as_ref().is_none_or(has)
    }
}

/// Jobs are listed newest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobKey(Reverse<(Timestamp, JobId)>);

impl Key for JobKey {
    const LIST: &'static str = "jobs";
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

    /// A page of the summaries of specialists, by name and version.
    ///
    /// # Errors
    /// If an entry does not fit a message.
    pub fn list_specialists(
        &self,
        filter: &SpecialistFilter,
        page: &PageRequest<SpecialistKey>,
    ) -> Result<Page, Refusal> {
        let specialists = self.registry.specialists.iter().filter(|(_, card)| {
            filter.matches(card) && (!filter.released || self.registry.is_released(card))
        });
        let specialists =
            specialists.map(|((name, version), card)| (SpecialistKey(name.clone(), *version), card));
        page.cut(specialists, |card| {
            let release = self.registry.newest_release_with(card);
            document(&SpecialistSummary::new(card, release, self.excluded(card).is_some()))
        })
    }

    /// A page of the summaries of releases, newest first.
    ///
    /// # Errors
    /// If an entry does not fit a message.
    pub fn list_releases(
        &self,
        filter: &ReleaseFilter,
        page: &PageRequest<ReleaseKey>,
    ) -> Result<Page, Refusal> {
        let releases = self.registry.releases.iter().rev();
        let releases = releases.filter(|(_, release)| filter.matches(&release.manifest));
        let releases = releases.map(|(number, release)| (ReleaseKey(Reverse(*number)), release));
        page.cut(releases, |release| document(&view::release_summary(&release.manifest)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eosfed_common::view::{JobSummary, ReleaseSummary};

    use super::*;
    use crate::domain::registry::Release;
    use crate::domain::{JobDefinition, JobState};
    use crate::testing::{NOW, ONE_SHOT, enrolled, finished, name, submit};

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

    /// `west-rgb@1` and `east-nir@1` of a job, in release 1, and beside them more of each, a second apart.
    fn with_specialists() -> Federation {
        let mut federation = Federation::default();
        federation.merge(enrolled(&["west", "east"]));
        let outcome = finished(&federation, ONE_SHOT);
        let change = federation.settle(outcome, NOW).unwrap();
        federation.merge(change);
        let first: Vec<Card> = federation.registry.specialists.values().cloned().collect();
        for (card, version) in first.iter().flat_map(|card| (2..=4).map(move |version| (card, version))) {
            let mut card = card.clone();
            card.version = version;
            card.provenance.frozen_at = Timestamp(NOW.0 + u64::from(version) * 1000);
            card.model.task = if version == 4 { Task::Segmentation } else { card.model.task };
            federation.registry.specialists.insert((card.name.clone(), version), card);
        }
        federation
    }

    fn specialists(page: &Page) -> Vec<SpecialistSummary> {
        page.documents.iter().map(|json| serde_json::from_str(json).unwrap()).collect()
    }

    #[test]
    fn a_list_of_specialists_has_summaries_and_no_cards() {
        let federation = with_specialists();
        let first = PageRequest::read(3, "").unwrap();
        let page = federation.list_specialists(&SpecialistFilter::default(), &first).unwrap();
        let next = PageRequest::read(100, &page.next).unwrap();
        let rest = federation.list_specialists(&SpecialistFilter::default(), &next).unwrap();
        let listed = [specialists(&page), specialists(&rest)].concat();
        let names: Vec<_> = listed.iter().map(|one| format!("{}@{}", one.name, one.version)).collect();
        let east = ["east-nir@1", "east-nir@2", "east-nir@3", "east-nir@4"];
        assert_eq!(names, [east, ["west-rgb@1", "west-rgb@2", "west-rgb@3", "west-rgb@4"]].concat());
        let card = federation.registry.specialist(&"east-nir@1".parse().unwrap()).unwrap();
        let one = &listed[0];
        assert_eq!((one.release, one.excluded), (Some(ReleaseNumber(1)), false));
        assert_eq!((one.institutions, one.classes, &one.bands), (1, 2, &card.model.bands));
        assert_eq!((one.weights, one.samples), (card.weights, card.provenance.samples));
        assert!(listed.iter().all(|one| one.release.is_some() == (one.version == 1)), "{listed:?}");
        assert!(page.documents.iter().all(|json| !json.contains("normalisation")), "{page:?}");
    }

    #[test]
    fn specialists_are_filtered_by_task_band_institution_and_time() {
        let federation = with_specialists();
        let all = PageRequest::read(0, "").unwrap();
        let found = |filter: &SpecialistFilter| {
            let page = federation.list_specialists(filter, &all).unwrap();
            let listed = specialists(&page).into_iter();
            listed.map(|one| format!("{}@{}", &one.name.as_str()[..4], one.version)).collect::<String>()
        };
        let any = SpecialistFilter::default;
        let bands = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        assert_eq!(found(&SpecialistFilter { tasks: vec![Task::Segmentation], ..any() }), "east@4west@4");
        assert_eq!(found(&SpecialistFilter { tasks: vec![Task::Regression], ..any() }), "");
        let red = SpecialistFilter { bands: bands(&["red"]), ..any() };
        assert_eq!(found(&red), "west@1west@2west@3west@4");
        assert_eq!(
            found(&SpecialistFilter { bands: bands(&["swir", "nir"]), ..any() }).matches("east").count(),
            4
        );
        assert_eq!(found(&SpecialistFilter { bands: bands(&["nir", "red"]), ..any() }), "", "all of them");
        let east = SpecialistFilter { institutions: vec![name("east")], ..any() };
        assert_eq!(found(&east), "east@1east@2east@3east@4");
        let since = Some(Timestamp(NOW.0 + 3000));
        assert_eq!(found(&SpecialistFilter { since, ..any() }), "east@3east@4west@3west@4");
        assert_eq!(found(&SpecialistFilter { since, ..east }), "east@3east@4");
    }

    #[test]
    fn releases_are_filtered_by_time_and_specialist() {
        let mut federation = with_specialists();
        let first = federation.registry.releases[&ReleaseNumber(1)].clone();
        let mut manifest = ReleaseManifest::clone(&first.manifest);
        manifest.number = ReleaseNumber(2);
        manifest.created_at = first.manifest.created_at.plus(std::time::Duration::from_secs(1));
        manifest.specialists.retain(|card| card.name.as_str() == "west-rgb");
        let second = Release { manifest, ..first.clone() };
        federation.registry.releases.insert(ReleaseNumber(2), second);
        let found = |since: Option<Timestamp>, specialist: Option<&str>| {
            let specialist = specialist.map(|name| name.parse().unwrap());
            let page = PageRequest::read(0, "").unwrap();
            let listed = federation.list_releases(&ReleaseFilter { since, specialist }, &page).unwrap();
            let number = |json: &String| serde_json::from_str::<ReleaseSummary>(json).unwrap().number.0;
            listed.documents.iter().map(number).collect::<Vec<_>>()
        };
        let at = first.manifest.created_at;
        assert_eq!(found(None, None), [2, 1]);
        assert_eq!((found(Some(at), None), found(Some(Timestamp(at.0 + 1)), None)), (vec![2, 1], vec![2]));
        assert_eq!((found(None, Some("west-rgb")), found(None, Some("east-nir"))), (vec![2, 1], vec![1]));
        assert_eq!(found(None, Some("nobody")), [0; 0]);
    }

    #[test]
    fn a_band_is_found_by_its_name_and_by_its_common_name() {
        assert!(
            is_band("B04", "B04") && is_band("B04", "red") && is_band("red", "red") && is_band("odd", "odd")
        );
        assert!(!is_band("red", "B04") && !is_band("B04", "B4") && !is_band("odd", "red"));
    }
}
