//! Reading the ledger over gRPC: permissions, filters and verification.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use eosfed_common::ledger::{Verified, Verifier};
use eosfed_common::refusal::Reason;
use eosfed_proto::v1;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_transport::channel::Transport;
use eosfed_transport::status::from_status;
use serde_json::Value;
use server::{KEY, Server, plan};

async fn lines(transport: Transport, request: v1::ListEventsRequest) -> Result<Vec<String>, Reason> {
    let reason = |status| from_status(&status).reason;
    let mut messages =
        OperatorClient::new(transport).list_events(request).await.map_err(reason)?.into_inner();
    let mut lines = Vec::new();
    while let Some(message) = messages.message().await.map_err(reason)? {
        lines.extend(message.lines);
    }
    Ok(lines)
}

fn member<'a>(lines: &'a [Value], name: &str) -> Vec<&'a str> {
    lines.iter().map(|event| event[name].as_str().unwrap_or("")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_operators_read_the_ledger_filtered_or_complete() {
    let server = Server::start().await;
    let west = server.enrol("west").await;
    let mut operator = OperatorClient::new(server.operator());
    let submit = v1::SubmitJobRequest { plan_toml: plan(), idempotency_key: KEY.to_owned() };
    let job = operator.submit_job(submit).await.unwrap().into_inner().job;
    // A refused call of an institution is recorded.
    let invite = v1::InviteInstitutionRequest { name: "mallory".to_owned(), valid_for_seconds: 60 };
    OperatorClient::new(west.clone()).invite_institution(invite).await.unwrap_err();

    let ask = async |request: v1::ListEventsRequest| {
        let lines = lines(server.operator(), request).await.unwrap();
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let all = lines(server.operator(), v1::ListEventsRequest::default()).await.unwrap();
    let mut verifier = Verifier::default();
    for line in &all {
        verifier.line(line).unwrap();
    }
    let Verified { events, first, .. } = verifier.finish().unwrap();
    assert_eq!((events, first), (all.len() as u64, Some(0)));

    let of_job = ask(v1::ListEventsRequest { job: "latest".to_owned(), ..Default::default() }).await;
    assert_eq!(member(&of_job, "kind"), ["job_submitted", "round_opened"]);
    assert!(member(&of_job, "job").into_iter().all(|found| found == job));
    let refused = ask(v1::ListEventsRequest { kind: "refused".to_owned(), ..Default::default() }).await;
    assert_eq!(member(&refused, "actor"), ["institution:west"]);
    assert_eq!(member(&refused, "action"), ["InviteInstitution"]);
    let newest = ask(v1::ListEventsRequest { newest: 2, ..Default::default() }).await;
    let last: Vec<Value> =
        all[all.len() - 2..].iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(newest, last);
    let future = v1::ListEventsRequest { since: u64::MAX, ..Default::default() };
    assert!(ask(future).await.is_empty());

    assert_eq!(lines(west, v1::ListEventsRequest::default()).await, Err(Reason::Forbidden));
    assert_eq!(
        lines(server.stranger(), v1::ListEventsRequest::default()).await,
        Err(Reason::Unauthenticated)
    );
    let unknown = v1::ListEventsRequest { kind: "job_canceled".to_owned(), ..Default::default() };
    assert_eq!(lines(server.operator(), unknown).await, Err(Reason::Malformed));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_events_that_match_are_found_beyond_a_page() {
    let server = Server::start().await;
    let mut operator = OperatorClient::new(server.operator());
    for number in 0..1_100 {
        let invite = v1::InviteInstitutionRequest { name: format!("i-{number}"), valid_for_seconds: 60 };
        operator.invite_institution(invite).await.unwrap();
    }
    let ask = |institution: &str, newest| v1::ListEventsRequest {
        institution: institution.to_owned(),
        newest,
        ..Default::default()
    };
    // The first of them is three pages back.
    assert_eq!(lines(server.operator(), ask("i-0", 5)).await.unwrap().len(), 1);
    let newest = lines(server.operator(), ask("", 1_050)).await.unwrap();
    assert_eq!(newest.len(), 1_050);
    let all = lines(server.operator(), ask("", 0)).await.unwrap();
    assert_eq!(newest, all[all.len() - 1_050..]);
}
