//! Lists, their filters and their pages, over real TLS.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::view::{InstitutionView, JobState, JobSummary, MemberState};
use eosfed_proto::v1;
use eosfed_proto::v1::control_job_request::Action;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_transport::channel::Transport;
use eosfed_transport::status::from_status;
use eosfed_transport::wire::{job_state_message, member_state_message};
use server::{Server, plan};

type Operator = OperatorClient<Transport>;

async fn jobs(
    operator: &mut Operator,
    request: v1::ListJobsRequest,
) -> Result<(Vec<JobSummary>, v1::PageResponse), Refusal> {
    let answer = operator.list_jobs(request).await.map_err(|status| from_status(&status))?.into_inner();
    let jobs = answer.jobs_json.iter().map(|json| serde_json::from_str(json).unwrap()).collect();
    Ok((jobs, answer.page.unwrap()))
}

fn page(limit: u32, token: &str) -> Option<v1::PageRequest> {
    Some(v1::PageRequest { limit, token: token.to_owned() })
}

/// Submits this number of jobs. Gives their ids, oldest first.
async fn submit(operator: &mut Operator, count: u64) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let idempotency_key = format!("{number:032x}");
        let request = v1::SubmitJobRequest { plan_toml: plan(), idempotency_key };
        ids.push(operator.submit_job(request).await.unwrap().into_inner().job);
        // The times of two submissions differ.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_newest_first_in_pages() {
    let server = Server::start().await;
    server.enrol("west").await;
    let mut operator = OperatorClient::new(server.operator());
    let mut ids = submit(&mut operator, 7).await;
    ids.reverse();

    let mut token = String::new();
    let mut seen: Vec<String> = Vec::new();
    let mut rest = Vec::new();
    loop {
        let request = v1::ListJobsRequest { page: page(3, &token), ..Default::default() };
        let (found, next) = jobs(&mut operator, request).await.unwrap();
        seen.extend(found.iter().map(|job| job.id.to_string()));
        rest.push(next.remaining);
        token = next.next_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((seen, rest), (ids, vec![4, 1, 0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_filtered_by_the_coordinator() {
    let server = Server::start().await;
    server.enrol("west").await;
    let mut operator = OperatorClient::new(server.operator());
    let ids = submit(&mut operator, 4).await;
    let action = Some(Action::Cancel(v1::CancelJob {}));
    operator.control_job(v1::ControlJobRequest { job: ids[1].clone(), action }).await.unwrap();

    let cancelled = v1::ListJobsRequest {
        states: vec![job_state_message(JobState::Cancelled).into()],
        ..Default::default()
    };
    let (found, next) = jobs(&mut operator, cancelled).await.unwrap();
    assert_eq!(found.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), [&ids[1]]);
    assert!(next.next_token.is_empty() && found[0].ended_at.is_some() && found[0].current.is_none());
    let rounds = v1::ListJobsRequest { kinds: vec![v1::JobKind::Rounds.into()], ..Default::default() };
    assert_eq!(jobs(&mut operator, rounds).await.unwrap().0, []);

    let (all, _) = jobs(&mut operator, v1::ListJobsRequest::default()).await.unwrap();
    let since = v1::ListJobsRequest { since: all[1].submitted_at.0, ..Default::default() };
    assert_eq!(jobs(&mut operator, since).await.unwrap().0, all[..2], "that time included");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_page_or_filter_is_refused_with_the_rule() {
    let server = Server::start().await;
    for name in ["east", "north", "west"] {
        server.enrol(name).await;
    }
    let mut operator = OperatorClient::new(server.operator());
    let request = v1::ListInstitutionsRequest { page: page(2, ""), ..Default::default() };
    let first = operator.list_institutions(request).await.unwrap().into_inner();
    let names =
        first.institutions_json.iter().map(|json| serde_json::from_str::<InstitutionView>(json).unwrap());
    assert_eq!(names.map(|one| one.name.to_string()).collect::<Vec<_>>(), ["east", "north"]);
    let token = first.page.unwrap().next_token;

    let wrong = |wrong: v1::ListJobsRequest, says: &'static str| (wrong, says);
    for (request, says) in [
        wrong(v1::ListJobsRequest { page: page(501, ""), ..Default::default() }, "at most 500"),
        wrong(v1::ListJobsRequest { page: page(1, "next"), ..Default::default() }, "list of jobs"),
        wrong(v1::ListJobsRequest { page: page(1, &token), ..Default::default() }, "list of jobs"),
        wrong(v1::ListJobsRequest { states: vec![77], ..Default::default() }, "states"),
        wrong(v1::ListJobsRequest { kinds: vec![0], ..Default::default() }, "kinds"),
        wrong(v1::ListJobsRequest { kinds: vec![1; 1000], ..Default::default() }, "found 1000"),
    ] {
        let refusal = jobs(&mut operator, request).await.unwrap_err();
        assert_eq!(refusal.reason, Reason::Malformed, "{refusal}");
        assert!(refusal.message.contains(says), "{refusal}");
    }
    let mut institution = OperatorClient::new(server.client("west"));
    let refusal = jobs(&mut institution, v1::ListJobsRequest::default()).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::Forbidden);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_of_specialists_is_checked() {
    let server = Server::start().await;
    let mut operator = OperatorClient::new(server.operator());
    let known = v1::ListSpecialistsRequest {
        tasks: vec![v1::Task::Segmentation.into()],
        bands: vec!["red".to_owned()],
        institutions: vec!["west".to_owned()],
        since: 5,
        page: page(500, ""),
    };
    let answer = operator.list_specialists(known.clone()).await.unwrap().into_inner();
    assert_eq!((answer.specialists_json.len(), answer.page.unwrap().remaining), (0, 0));
    for (request, says) in [
        (v1::ListSpecialistsRequest { tasks: vec![0], ..known.clone() }, "tasks"),
        (v1::ListSpecialistsRequest { tasks: vec![1; 33], ..known.clone() }, "found 33"),
        (v1::ListSpecialistsRequest { bands: vec!["x".repeat(1 << 16)], ..known.clone() }, "bands"),
        (v1::ListSpecialistsRequest { bands: vec![String::new(); 33], ..known.clone() }, "found 33"),
        (
            v1::ListSpecialistsRequest { institutions: vec!["West".to_owned()], ..known.clone() },
            "institutions",
        ),
        (v1::ListSpecialistsRequest { page: page(501, ""), ..known.clone() }, "at most 500"),
    ] {
        let refusal = from_status(&operator.list_specialists(request).await.unwrap_err());
        assert_eq!(refusal.reason, Reason::Malformed, "{refusal}");
        assert!(refusal.message.contains(says), "{refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_releases_and_what_jobs_keep_are_filtered_and_checked() {
    let server = Server::start().await;
    for name in ["east", "north", "west"] {
        server.enrol(name).await;
    }
    let mut operator = OperatorClient::new(server.operator());
    let joined = i32::from(member_state_message(MemberState::Joined));
    let any = v1::ListInstitutionsRequest { page: page(1, ""), name: "st".to_owned(), states: vec![joined] };
    let first = operator.list_institutions(any.clone()).await.unwrap().into_inner();
    let token = first.page.unwrap().next_token;
    let next = v1::ListInstitutionsRequest { page: page(1, &token), ..any.clone() };
    let second = operator.list_institutions(next).await.unwrap().into_inner();
    let names = [first.institutions_json, second.institutions_json].concat();
    let names =
        names.iter().map(|json| serde_json::from_str::<InstitutionView>(json).unwrap().name.to_string());
    assert_eq!(names.collect::<Vec<_>>(), ["east", "west"], "each once, without `north`");
    assert_eq!(second.page.unwrap().next_token, "");

    let operators = v1::ListPeopleRequest {
        role: v1::Role::Operator.into(),
        name: "ad".to_owned(),
        states: vec![joined],
        page: None,
    };
    let count = async |operator: &mut Operator, request| {
        operator.list_people(request).await.map(|answer| answer.into_inner().people_json.len())
    };
    assert_eq!(count(&mut operator, operators.clone()).await.unwrap(), 1);
    let other = v1::ListPeopleRequest { name: "nobody".to_owned(), ..operators.clone() };
    assert_eq!(count(&mut operator, other).await.unwrap(), 0);
    let revoked = v1::ListPeopleRequest { states: vec![3], ..operators.clone() };
    assert_eq!(count(&mut operator, revoked).await.unwrap(), 0);

    let long = v1::ListInstitutionsRequest { name: "x".repeat(1 << 16), ..any.clone() };
    let unknown = v1::ListPeopleRequest { states: vec![4], ..operators.clone() };
    let many = v1::ListPeopleRequest { states: vec![1; 33], ..operators };
    let odd = v1::ListReleasesRequest { specialist: "A b".to_owned(), ..Default::default() };
    let storage = v1::GetStorageRequest { states: vec![0], ..Default::default() };
    let elsewhere = v1::GetStorageRequest { page: page(1, &token), ..Default::default() };
    let of = |name: &str, token: &str| v1::GetEnergyRequest {
        name: name.to_owned(),
        page: page(1, token),
        ..Default::default()
    };
    for (status, says) in [
        (operator.get_energy(of(&"x".repeat(65), "")).await.unwrap_err(), "name"),
        (operator.get_energy(of("st", &token)).await.unwrap_err(), "list of what institutions have spent"),
        (operator.list_institutions(long).await.unwrap_err(), "name"),
        (operator.list_people(unknown).await.unwrap_err(), "states"),
        (operator.list_people(many).await.unwrap_err(), "found 33"),
        (operator.list_releases(odd).await.unwrap_err(), "specialist"),
        (operator.get_storage(storage).await.unwrap_err(), "states"),
        (operator.get_storage(elsewhere).await.unwrap_err(), "list of what jobs keep"),
    ] {
        let refusal = from_status(&status);
        assert_eq!(refusal.reason, Reason::Malformed, "{refusal}");
        assert!(refusal.message.contains(says), "{refusal}");
    }
}
