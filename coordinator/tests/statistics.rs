//! A job of kind `statistics` over real TLS: institutions get the bands and send moments, and an operator
//! reads the pooled normalisation.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use eosfed_common::assignment::{Assignment, Offered, Work};
use eosfed_common::refusal::Reason;
use eosfed_common::view::{JobState, JobView};
use eosfed_proto::v1;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_testkit::plans::STATISTICS;
use eosfed_testkit::submissions::{moments, statistics};
use eosfed_transport::channel::Transport;
use eosfed_transport::status::from_status;
use eosfed_transport::wire::Wire as _;
use server::{KEY, Server};

/// The institution's only assignment.
async fn offered(institution: &Transport) -> Assignment<Offered> {
    let poll = v1::PollRequest { seen_revision: 0, wait_ms: 0 };
    let answer = ParticipantClient::new(institution.clone()).poll(poll).await.unwrap().into_inner();
    let [offer] = <[v1::Assignment; 1]>::try_from(answer.assignments).unwrap();
    Assignment::from_message(offer).unwrap()
}

/// Accepts the assignment and submits moments of these bands, each of four pixels with this mean.
async fn submit(institution: &Transport, bands: &[&str], mean: f64) -> Result<(), Reason> {
    let assignment = offered(institution).await;
    let mut participant = ParticipantClient::new(institution.clone());
    let accept = v1::AcceptRequest { assignment: assignment.id.to_string() };
    let lease = participant.accept(accept).await.unwrap().into_inner();
    let token = lease.lease_token.parse().unwrap();
    let submission = statistics(&assignment.id, &token, moments(bands, 4, mean, 0.0));
    let submitted = participant.submit_statistics(submission.into_message()).await;
    submitted.map(drop).map_err(|status| from_status(&status).reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn moments_are_pooled_across_institutions_and_the_job_ends() {
    let server = Server::start().await;
    let west = server.enrol("west").await;
    let east = server.enrol("east").await;
    let north = server.enrol("north").await;
    let mut operator = OperatorClient::new(server.operator());
    let request = v1::SubmitJobRequest { plan_toml: STATISTICS.to_owned(), idempotency_key: KEY.to_owned() };
    let job = operator.submit_job(request).await.unwrap().into_inner().job;

    let offer = offered(&west).await;
    assert_eq!(offer.training_target, Offered::Bands(vec!["red".to_owned(), "nir".to_owned()]));
    assert_eq!((&offer.work, offer.min_institutions), (&Work::Statistics, 2));
    let refused = submit(&north, &["nir", "red"], 1.0).await;
    assert_eq!(refused, Err(Reason::Malformed), "the bands are in another order");
    let poll = v1::PollRequest { seen_revision: 0, wait_ms: 0 };
    let left = ParticipantClient::new(north).poll(poll).await.unwrap().into_inner().assignments;
    assert!(left.is_empty(), "the same work would give the same numbers: {left:?}");
    submit(&west, &["red", "nir"], 1.0).await.unwrap();
    submit(&east, &["red", "nir"], 3.0).await.unwrap();

    let answer = operator.get_job(v1::GetJobRequest { job }).await.unwrap().into_inner();
    let view: JobView = serde_json::from_str(&answer.job_json).unwrap();
    assert_eq!((view.state, view.rounds), (JobState::Finished, 1));
    let pooled = view.normalisation.unwrap();
    let pooled: Vec<_> =
        pooled.iter().map(|one| (one.band.as_str(), one.mean.get(), one.std.get())).collect();
    // Four pixels of 1 and four of 3 at each band: mean 2, deviation 1.
    assert_eq!(pooled, [("red", 2.0, 1.0), ("nir", 2.0, 1.0)]);
}
