//! What operators ask of jobs, over real TLS.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use eosfed_common::refusal::Reason;
use eosfed_proto::v1;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_transport::channel::Transport;
use eosfed_transport::status::from_status;
use server::{PLAN, Server};

async fn submit(operator: &mut OperatorClient<Transport>, number: u64) -> String {
    let idempotency_key = format!("{number:032x}");
    let request = v1::SubmitJobRequest { plan_toml: PLAN.to_owned(), idempotency_key };
    operator.submit_job(request).await.unwrap().into_inner().job
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coordinator_resolves_the_name_of_a_job() {
    let server = Server::start().await;
    server.enrol("west").await;
    let mut operator = OperatorClient::new(server.operator());
    let request = v1::GetJobRequest { job: "latest".to_owned() };
    let none = operator.get_job(request).await.unwrap_err();
    assert_eq!(from_status(&none).reason, Reason::NotFound);

    let first = submit(&mut operator, 1).await;
    let last = submit(&mut operator, 2).await;
    let paused = operator.pause_job(v1::PauseJobRequest { job: "latest".to_owned() }).await.unwrap();
    assert_eq!(paused.into_inner().job, last);
    let resumed = operator.resume_job(v1::ResumeJobRequest { job: last[..9].to_owned() }).await.unwrap();
    assert_eq!(resumed.into_inner().job, last);
    let cancelled = operator.cancel_job(v1::CancelJobRequest { job: first.clone() }).await.unwrap();
    assert_eq!(cancelled.into_inner().job, first);

    let ambiguous = operator.cancel_job(v1::CancelJobRequest { job: "j-".to_owned() }).await.unwrap_err();
    assert_eq!(from_status(&ambiguous).reason, Reason::Malformed);
    // Sixteen first digits: of seventeen jobs, two have the same.
    let mut jobs = vec![first, last];
    for number in 3..=17 {
        jobs.push(submit(&mut operator, number).await);
    }
    let twice = |prefix: &&str| jobs.iter().filter(|id| id.starts_with(*prefix)).count() > 1;
    let prefix = jobs.iter().map(|id| &id[..3]).find(twice).unwrap().to_owned();
    let request = v1::WatchJobRequest { job: prefix.clone() };
    let refusal = from_status(&operator.watch_job(request).await.unwrap_err());
    assert_eq!(refusal.reason, Reason::Ambiguous);
    let candidates: Vec<_> = jobs.iter().filter(|id| id.starts_with(&prefix)).collect();
    let listed = candidates.iter().filter(|id| refusal.message.contains(id.as_str())).count();
    assert_eq!(listed, candidates.len().min(5), "{refusal}");
}
