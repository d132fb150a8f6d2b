//! Calls of operators on jobs, over real TLS.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::view::{JobState, JobView};
use eosfed_proto::v1;
use eosfed_proto::v1::control_job_request::Action;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_transport::channel::Transport;
use eosfed_transport::status::from_status;
use server::{Server, plan};

async fn submit(operator: &mut OperatorClient<Transport>, number: u64) -> String {
    let idempotency_key = format!("{number:032x}");
    let request = v1::SubmitJobRequest { plan_toml: plan(), idempotency_key };
    operator.submit_job(request).await.unwrap().into_inner().job
}

async fn control(
    operator: &mut OperatorClient<Transport>,
    job: &str,
    action: Option<Action>,
) -> Result<String, Refusal> {
    let answer = operator.control_job(v1::ControlJobRequest { job: job.to_owned(), action }).await;
    answer.map(|answer| answer.into_inner().job).map_err(|status| from_status(&status))
}

fn pause() -> Option<Action> {
    Some(Action::Pause(v1::PauseJob {}))
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
    assert_eq!(control(&mut operator, "latest", pause()).await.unwrap(), last);
    let resume = Some(Action::Resume(v1::ResumeJob {}));
    assert_eq!(control(&mut operator, &last[..9], resume).await.unwrap(), last);
    let cancel = Some(Action::Cancel(v1::CancelJob {}));
    assert_eq!(control(&mut operator, &first, cancel.clone()).await.unwrap(), first);
    let no_name = control(&mut operator, "j-", cancel).await.unwrap_err();
    assert_eq!(no_name.reason, Reason::Malformed);

    // There are sixteen first digits, so two of seventeen jobs share one.
    let mut jobs = vec![first, last];
    for number in 3..=17 {
        jobs.push(submit(&mut operator, number).await);
    }
    let twice = |prefix: &&str| jobs.iter().filter(|id| id.starts_with(*prefix)).count() > 1;
    let prefix = jobs.iter().map(|id| &id[..3]).find(twice).unwrap().to_owned();
    let request = v1::WatchJobRequest { job: prefix.clone(), from_event: 0 };
    let refusal = from_status(&operator.watch_job(request).await.unwrap_err());
    assert_eq!(refusal.reason, Reason::Ambiguous);
    let candidates: Vec<_> = jobs.iter().filter(|id| id.starts_with(&prefix)).collect();
    let listed = candidates.iter().filter(|id| refusal.message.contains(id.as_str())).count();
    assert_eq!(listed, candidates.len().min(5), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_controlled_by_one_call() {
    let server = Server::start().await;
    server.enrol("west").await;
    let mut operator = OperatorClient::new(server.operator());
    let job = submit(&mut operator, 1).await;

    let nothing = control(&mut operator, &job, None).await.unwrap_err();
    assert_eq!(nothing.reason, Reason::Malformed, "{nothing}");
    let odd = Some(Action::Retry(v1::RetryInstitution { institution: "../etc".to_owned() }));
    assert_eq!(control(&mut operator, &job, odd).await.unwrap_err().reason, Reason::Malformed);
    // West has not answered yet, so the offer cannot be repeated.
    let early = Some(Action::Retry(v1::RetryInstitution { institution: "west".to_owned() }));
    assert_eq!(control(&mut operator, &job, early).await.unwrap_err().reason, Reason::WrongState);

    control(&mut operator, &job, pause()).await.unwrap();
    let twice = control(&mut operator, &job, pause()).await.unwrap_err();
    assert_eq!(twice.reason, Reason::WrongState, "{twice}");
    let shown = operator.get_job(v1::GetJobRequest { job }).await.unwrap().into_inner();
    assert_eq!(serde_json::from_str::<JobView>(&shown.job_json).unwrap().state, JobState::Paused);

    // Neither an institution nor a caller without a certificate can control a job.
    let mut institution = OperatorClient::new(server.enrol("east").await);
    let refusal = control(&mut institution, "latest", pause()).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::Forbidden);
}
