//! What institutions can send to the coordinator: tested with the protocol's descriptors, and over real TLS.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use eosfed_common::assignment::BlobRef;
use eosfed_common::digest::Digest;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_proto::v1;
use eosfed_proto::v1::blobs_client::BlobsClient;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_proto::v1::upload_request::Part;
use eosfed_transport::protocol::PROTOCOL;
use eosfed_transport::status::from_status;
use eosfed_transport::transfer::{self, Start};
use eosfed_transport::wire::Wire as _;
use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};
use server::leased::Leased;
use server::{KEY, Server, plan, update_signature};
use tonic::Code;

/// The services that an institution can call.
const UPWARD: [&str; 3] = ["eosfed.v1.Participant", "eosfed.v1.Enrollment", "eosfed.v1.Blobs"];

/// Adds the names of all `bytes` fields below `message`.
fn byte_fields(message: &MessageDescriptor, seen: &mut BTreeSet<String>, found: &mut BTreeSet<String>) {
    if !seen.insert(message.full_name().to_owned()) {
        return;
    }
    for field in message.fields() {
        match field.kind() {
            Kind::Bytes => drop(found.insert(field.full_name().to_owned())),
            Kind::Message(inner) => byte_fields(&inner, seen, found),
            _ => {}
        }
    }
}

#[test]
fn chunks_of_blobs_are_the_only_bytes_that_institutions_can_send() {
    let pool = DescriptorPool::decode(eosfed_proto::DESCRIPTORS).unwrap();
    let mut seen = BTreeSet::new();
    let mut found = BTreeSet::new();
    let mut methods = 0;
    for name in UPWARD {
        for method in pool.get_service_by_name(name).unwrap().methods() {
            byte_fields(&method.input(), &mut seen, &mut found);
            methods += 1;
            // Only an upload is a stream: all other calls have one message.
            assert_eq!(method.is_client_streaming(), method.full_name() == "eosfed.v1.Blobs.Upload");
        }
    }
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        ["eosfed.v1.UploadRequest.chunk", "eosfed.v1.UploadRequest.zstd_chunk"]
    );
    assert_eq!(methods, 16, "a method was added: is it among those walked?");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_message_is_small() {
    let server = Server::start().await;
    let west = server.enrol("west").await;
    let bulk = "imagery ".repeat(20_000);
    let mut participant = ParticipantClient::new(west.clone());
    let mut refused = Vec::new();
    let hello = v1::HelloRequest { protocol: PROTOCOL.into(), version: bulk.clone() };
    refused.push(participant.hello(hello).await.unwrap_err());
    let beat = v1::HeartbeatRequest { assignment: bulk.clone(), ..Default::default() };
    refused.push(participant.heartbeat(beat).await.unwrap_err());
    let band = v1::BandMoments { band: bulk.clone(), count: 1, mean: 0.0, m2: 0.0, values: None };
    let statistics = v1::SubmitStatisticsRequest { bands: vec![band], ..Default::default() };
    refused.push(participant.submit_statistics(statistics).await.unwrap_err());
    let metric = v1::Metric { name: bulk.clone(), value: 0.0 };
    let report = v1::TrainingReport { metrics: vec![metric], ..Default::default() };
    let update = v1::SubmitUpdateRequest { report: Some(report), ..Default::default() };
    refused.push(participant.submit_update(update).await.unwrap_err());
    let failure = v1::ReportFailureRequest { message: bulk.clone(), ..Default::default() };
    refused.push(participant.report_failure(failure).await.unwrap_err());
    for status in refused {
        assert!(matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted), "{status:?}");
    }
    // Small enough for a message, but longer than any text of the protocol.
    let failure = v1::ReportFailureRequest {
        assignment: "j-00000000.0.1.west".to_owned(),
        lease_token: "0".repeat(32),
        message: "x".repeat(2000),
    };
    let status = participant.report_failure(failure).await.unwrap_err();
    assert_eq!(from_status(&status).reason, Reason::Malformed);
}

/// Uploads bytes under a digest, in chunks of a given size.
async fn upload(
    server: &Server,
    name: &str,
    blob: BlobRef,
    offset: u64,
    bytes: &[u8],
) -> Result<u64, Reason> {
    let chunks = bytes.chunks(700).map(|chunk| Part::Chunk(Bytes::copy_from_slice(chunk)));
    upload_parts(server, name, blob, offset, chunks).await.map_err(|refusal| refusal.reason)
}

async fn upload_parts(
    server: &Server,
    name: &str,
    blob: BlobRef,
    offset: u64,
    parts: impl IntoIterator<Item = Part>,
) -> Result<u64, Refusal> {
    let header = v1::UploadHeader { digest: blob.digest.to_string(), size: blob.size, offset };
    let parts = std::iter::once(Part::Header(header)).chain(parts);
    let parts: Vec<_> = parts.map(|part| v1::UploadRequest { part: Some(part) }).collect();
    let mut client = BlobsClient::new(server.client(name));
    match client.upload(tokio_stream::iter(parts)).await {
        Ok(answer) => Ok(answer.into_inner().bytes),
        Err(status) => Err(from_status(&status)),
    }
}

async fn stands(server: &Server, name: &str, blob: BlobRef) -> v1::StatResponse {
    let request = v1::StatRequest { digest: blob.digest.to_string() };
    BlobsClient::new(server.client(name)).stat(request).await.unwrap().into_inner()
}

/// Compressed chunks are stored, hashed and resumed as the bytes that they hold, and none holds more than a chunk may.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_may_be_compressed() {
    let leased = Leased::new().await;
    let (server, west) = (&leased.server, leased.west.clone());
    let bytes: Vec<u8> = (0..500_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 27) as u8).collect();
    let blob = BlobRef::of(&bytes);
    let frame = |content: &[u8]| Part::ZstdChunk(Bytes::from(zstd::bulk::compress(content, 1).unwrap()));

    let bomb = [frame(&bytes[..1000]), frame(&vec![0; (2 << 20) + 1])];
    let refused = upload_parts(server, "west", blob, 0, bomb).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Malformed);
    assert!(refused.message.contains("1 to 2097152 bytes, found 2097153"), "{refused}");
    assert_eq!(stands(server, "west", blob).await.bytes, 1000);
    let beyond = [frame(&vec![0; 500_000])];
    assert_eq!(upload_parts(server, "west", blob, 1000, beyond).await.unwrap_err().reason, Reason::TooLarge);

    // What institutions call continues after what has arrived, also where they begin without having asked, and says what
    // it sends.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let sent = AtomicU64::new(0);
    let count = |bytes| {
        sent.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    };
    let beginning = Start::AtTheBeginning { zstd: true };
    assert!(transfer::upload(west.clone(), file.path(), blob, beginning, count).await.unwrap());
    let sent = sent.into_inner();
    assert!(sent < 50_000, "{sent} of 499,000 bytes that repeat themselves");
    assert_eq!(
        stands(server, "west", blob).await,
        v1::StatResponse { complete: true, bytes: 500_000, zstd: true }
    );
    // Once it is there, none of it is sent again.
    let nothing = |bytes| Err(format!("{bytes} bytes"));
    transfer::upload(west.clone(), file.path(), blob, Start::WhereItStands, nothing).await.unwrap();

    let other = bytes.iter().rev().copied().collect::<Vec<u8>>();
    std::fs::write(file.path(), &other).unwrap();
    let blob = BlobRef::of(&other);
    transfer::upload(west, file.path(), blob, beginning, |_| Ok(())).await.unwrap();
    assert!(stands(server, "west", blob).await.complete, "one call without a question is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_not_a_model_is_not_kept() {
    let server = Server::start().await;
    let west = server.enrol("west").await;
    let imagery: Vec<u8> = (0..5000_u32).map(|at| (at * at % 251) as u8).collect();
    let blob = BlobRef { digest: Digest::of(&imagery), size: imagery.len() as u64 };
    assert_eq!(upload(&server, "west", blob, 0, &imagery).await, Err(Reason::LeaseExpired), "without work");

    let mut operator = OperatorClient::new(server.operator());
    let submit = v1::SubmitJobRequest { plan_toml: plan(), idempotency_key: KEY.to_owned() };
    let job = operator.submit_job(submit).await.unwrap().into_inner().job;
    let mut participant = ParticipantClient::new(west);
    let assignment = format!("{job}.0.1.west");
    let accept = v1::AcceptRequest { assignment: assignment.clone() };
    let lease = participant.accept(accept).await.unwrap().into_inner();

    let huge = BlobRef { size: 1 << 40, ..blob };
    assert_eq!(upload(&server, "west", huge, 0, b"").await, Err(Reason::TooLarge));
    let lie = BlobRef { digest: Digest::of(b"other"), size: 5 };
    assert_eq!(upload(&server, "west", lie, 0, b"wrong").await, Err(Reason::DigestMismatch));

    // An interrupted upload continues at its end and at no other offset.
    assert_eq!(upload(&server, "west", blob, 0, &imagery[..2100]).await, Ok(2100));
    assert_eq!(
        (stands(&server, "west", blob).await.bytes, stands(&server, "west", blob).await.complete),
        (2100, false)
    );
    assert_eq!(upload(&server, "west", blob, 700, &imagery[700..]).await, Err(Reason::OffsetMismatch));
    assert_eq!(upload(&server, "west", blob, 2100, &imagery[2100..]).await, Ok(5000));
    assert!(stands(&server, "west", blob).await.complete);

    let report = v1::TrainingReport {
        samples: 3,
        metrics: Vec::new(),
        scoring: None,
        normalisation: vec![v1::BandNormalisation {
            band: "red".to_owned(),
            mean: 0.0,
            std: 1.0,
            values: None,
        }],
        energy: Some(v1::Energy { kwh: 0.0, source: v1::EnergySource::Unavailable.into(), co2e_grams: None }),
        initial: None,
        imagery: None,
        encoding: v1::Encoding::F32.into(),
        spent: None,
    };
    let submission = v1::SubmitUpdateRequest {
        signature: update_signature("west", &assignment, blob, &report),
        assignment,
        lease_token: lease.lease_token,
        idempotency_key: KEY.to_owned(),
        weights: Some(blob.into_message()),
        report: Some(report),
        statistics: None,
        start_metrics: Vec::new(),
        points: Vec::new(),
    };
    let status = participant.submit_update(submission).await.unwrap_err();
    assert_eq!(from_status(&status).reason, Reason::WeightsMalformed, "{status:?}");
    assert!(!stands(&server, "west", blob).await.complete, "what admission refuses is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_institution_can_access_only_its_own_work() {
    let server = Server::start().await;
    let west = server.enrol("west").await;
    let east = server.enrol("east").await;
    let mut operator = OperatorClient::new(server.operator());
    let submit = v1::SubmitJobRequest { plan_toml: plan(), idempotency_key: KEY.to_owned() };
    let job = operator.submit_job(submit).await.unwrap().into_inner().job;
    let poll = v1::PollRequest { seen_revision: 0, wait_ms: 0 };
    let offered = ParticipantClient::new(west).poll(poll).await.unwrap().into_inner().assignments;
    assert_eq!(offered.len(), 1);
    let mut east = ParticipantClient::new(east);
    assert_eq!(east.poll(poll).await.unwrap().into_inner().assignments, []);
    let accept = v1::AcceptRequest { assignment: format!("{job}.0.1.west") };
    let status = east.accept(accept).await.unwrap_err();
    assert_eq!(from_status(&status).reason, Reason::Forbidden);
    let status = OperatorClient::new(server.client("east"))
        .list_jobs(v1::ListJobsRequest::default())
        .await
        .unwrap_err();
    assert_eq!(from_status(&status).reason, Reason::Forbidden);
    let nobody = ParticipantClient::new(server.stranger()).poll(poll).await.unwrap_err();
    assert_eq!(from_status(&nobody).reason, Reason::Unauthenticated);
    let hello = v1::HelloRequest { protocol: 9, version: "9.9.9".to_owned() };
    assert_eq!(from_status(&east.hello(hello).await.unwrap_err()).reason, Reason::Incompatible);
}
