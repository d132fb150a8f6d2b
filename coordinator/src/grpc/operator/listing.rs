//! Paged lists.

use eosfed_common::clock::Timestamp;
use eosfed_common::identity::{Identity, Role};
use eosfed_common::printable::MAX_WORD;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_proto::v1;
use eosfed_transport::wire::{WireError, job_kind, job_state, member_state, parse, printable, role_of, task};

use super::Service;
use crate::domain::Member;
use crate::domain::listing::{JobFilter, MemberFilter, ReleaseFilter, SpecialistFilter};
use crate::domain::paging::{Key, Page, PageRequest, document};
use crate::domain::view;

/// Most values of one kind in a filter, such as states or bands.
const MAX_FILTER: usize = 32;

/// The requested page of a list, or the first one.
pub(super) fn read_page<K: Key>(page: Option<v1::PageRequest>) -> Result<PageRequest<K>, Refusal> {
    let v1::PageRequest { limit, token } = page.unwrap_or_default();
    PageRequest::read(limit, &token)
}

/// The beginning of a filter by time; 0 is none.
pub(super) fn moment(since: u64) -> Option<Timestamp> {
    (since > 0).then_some(Timestamp(since))
}

/// The documents of a page, and the token of the next page.
fn split(page: Page) -> (Vec<String>, Option<v1::PageResponse>) {
    let Page { documents, next, remaining } = page;
    (documents, Some(v1::PageResponse { next_token: next, remaining }))
}

/// The values of a filter, if they are not too many.
fn at_most<'a, T>(field: &'static str, values: &'a [T]) -> Result<&'a [T], Refusal> {
    if values.len() <= MAX_FILTER {
        return Ok(values);
    }
    let message = format!("field `{field}`: at most {MAX_FILTER} values, found {}", values.len());
    Err(Refusal::new(Reason::Malformed, message))
}

/// The values of a filter that are words of the protocol.
fn read_filter<T: PartialEq>(
    field: &'static str,
    values: &[i32],
    read: impl Fn(&'static str, i32) -> Result<T, WireError>,
) -> Result<Vec<T>, Refusal> {
    at_most(field, values)?.iter().map(|value| Ok(read(field, *value)?)).collect()
}

/// A filter of jobs.
pub(super) fn job_filter(states: &[i32], kinds: &[i32], since: u64) -> Result<JobFilter, Refusal> {
    Ok(JobFilter {
        states: read_filter("states", states, job_state)?,
        kinds: read_filter("kinds", kinds, job_kind)?,
        since: moment(since),
    })
}

/// A filter of members.
fn member_filter(name: String, states: &[i32]) -> Result<MemberFilter, Refusal> {
    printable("name", &name, 0..=MAX_WORD)?;
    Ok(MemberFilter { name, states: read_filter("states", states, member_state)? })
}

impl Service {
    pub(super) fn jobs(&self, request: v1::ListJobsRequest) -> Result<v1::ListJobsResponse, Refusal> {
        let v1::ListJobsRequest { page, states, kinds, since } = request;
        let filter = job_filter(&states, &kinds, since)?;
        let page = read_page(page)?;
        let (jobs_json, page) = split(self.0.engine.read(|state| state.list_jobs(&filter, &page))?);
        Ok(v1::ListJobsResponse { jobs_json, page })
    }

    pub(super) fn institutions(
        &self,
        request: v1::ListInstitutionsRequest,
    ) -> Result<v1::ListInstitutionsResponse, Refusal> {
        let v1::ListInstitutionsRequest { page, name, states } = request;
        let filter = member_filter(name, &states)?;
        let page = read_page(page)?;
        let page = self.0.engine.read(|state| {
            state.list_institutions(&filter, &page, |institution| {
                let identity = institution.identity();
                let (last_seen, received) = self.0.traffic.of(&identity);
                view::institution(institution, last_seen, self.0.traffic.version_of(&identity), received)
            })
        });
        let (institutions_json, page) = split(page?);
        Ok(v1::ListInstitutionsResponse { institutions_json, page })
    }

    pub(super) fn institution(
        &self,
        request: &v1::GetInstitutionRequest,
    ) -> Result<v1::GetInstitutionResponse, Refusal> {
        let name = parse("name", &request.name)?;
        let identity = Identity::institution(name);
        let (last_seen, received) = self.0.traffic.of(&identity);
        let institution_json = self.0.engine.read(|state| {
            let found = state.member(&identity)?;
            document(&view::institution(found, last_seen, self.0.traffic.version_of(&identity), received))
        })?;
        Ok(v1::GetInstitutionResponse { institution_json })
    }

    pub(super) fn people(&self, request: v1::ListPeopleRequest) -> Result<v1::ListPeopleResponse, Refusal> {
        let v1::ListPeopleRequest { role, page, name, states } = request;
        let role = role_of(role)?;
        if role == Role::Institution {
            let message = "field `role`: operator or reader; `ListInstitutions` lists institutions";
            return Err(Refusal::new(Reason::Malformed, message));
        }
        let filter = member_filter(name, &states)?;
        let page = read_page(page)?;
        let show = |one: &Member| view::person(one, self.0.traffic.of(&one.identity()).0);
        let page = self.0.engine.read(|state| state.list_people(role, &filter, &page, show));
        let (people_json, page) = split(page?);
        Ok(v1::ListPeopleResponse { people_json, page })
    }

    pub(super) fn specialists(
        &self,
        released: bool,
        request: v1::ListSpecialistsRequest,
    ) -> Result<v1::ListSpecialistsResponse, Refusal> {
        let v1::ListSpecialistsRequest { page, tasks, bands, institutions, since } = request;
        for band in at_most("bands", &bands)? {
            printable("bands", band, 1..=MAX_WORD)?;
        }
        let institutions = at_most("institutions", &institutions)?.iter();
        let institutions = institutions.map(|name| parse("institutions", name));
        let filter = SpecialistFilter {
            tasks: read_filter("tasks", &tasks, task)?,
            institutions: institutions.collect::<Result<_, _>>()?,
            since: moment(since),
            released,
            bands,
        };
        let page = read_page(page)?;
        let listed = self.0.engine.read(|state| state.list_specialists(&filter, &page));
        let (specialists_json, page) = split(listed?);
        Ok(v1::ListSpecialistsResponse { specialists_json, page })
    }

    pub(super) fn releases(
        &self,
        request: v1::ListReleasesRequest,
    ) -> Result<v1::ListReleasesResponse, Refusal> {
        let v1::ListReleasesRequest { page, since, specialist } = request;
        let specialist = (!specialist.is_empty()).then(|| parse("specialist", &specialist)).transpose()?;
        let filter = ReleaseFilter { since: moment(since), specialist };
        let page = read_page(page)?;
        let listed = self.0.engine.read(|state| state.list_releases(&filter, &page));
        let (releases_json, page) = split(listed?);
        Ok(v1::ListReleasesResponse { releases_json, page })
    }
}
