//! A disk with less room than its stop level: uploads wait, and everything else goes on.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use bytes::Bytes;
use eosfed_common::assignment::BlobRef;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_proto::v1;
use eosfed_proto::v1::blobs_client::BlobsClient;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_proto::v1::upload_request::Part;
use eosfed_transport::status::from_status;
use server::{KEY, Server, plan};

/// Has west accept work and upload a few bytes for it, on a disk with this stop level.
async fn upload(stop_below_mb: &str) -> (Server, Result<(), Refusal>) {
    let level = format!("stop_below_mb = {stop_below_mb}");
    let server = Server::start_edited(|text| {
        assert!(text.contains("stop_below_mb = 500"));
        text.replace("stop_below_mb = 500", &level)
    });
    let server = server.await;
    let west = server.enrol("west").await;
    let submit = v1::SubmitJobRequest { plan_toml: plan(), idempotency_key: KEY.to_owned() };
    let job = OperatorClient::new(server.operator()).submit_job(submit).await.unwrap().into_inner().job;
    let accept = v1::AcceptRequest { assignment: format!("{job}.0.1.west") };
    ParticipantClient::new(west.clone()).accept(accept).await.unwrap();
    let bytes = b"weights";
    let blob = BlobRef::of(bytes);
    let header = v1::UploadHeader { digest: blob.digest.to_string(), size: blob.size, offset: 0 };
    let parts = [Part::Header(header), Part::Chunk(Bytes::from_static(bytes))];
    let parts = parts.map(|part| v1::UploadRequest { part: Some(part) });
    let answer = BlobsClient::new(west).upload(tokio_stream::iter(parts)).await;
    (server, answer.map(drop).map_err(|status| from_status(&status)))
}

#[tokio::test]
async fn uploads_are_refused_below_the_stop_level_and_the_ledger_goes_on() {
    let (server, uploaded) = upload("1000000000000").await;
    let refusal = uploaded.unwrap_err();
    assert_eq!(refusal.reason, Reason::StorageFull);
    assert!(refusal.reason.is_transient(), "clients wait and try again");
    assert!(refusal.message.contains("stop level of 1 EB"), "{refusal}");
    server.enrol("east").await;
    let (_server, uploaded) = upload("0").await;
    uploaded.unwrap();
}
