//! A backup of a serving coordinator during writes, and the coordinator that is restored from it.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use eosfed_common::assignment::{Assignment, BlobRef, Offered};
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::ids::LeaseToken;
use eosfed_common::refusal::Reason;
use eosfed_common::weights::write;
use eosfed_coordinator::backup::{Backup, ReportProgress, backup, restore};
use eosfed_coordinator::domain::Target;
use eosfed_proto::v1;
use eosfed_proto::v1::blobs_client::BlobsClient;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_proto::v1::upload_request::Part;
use eosfed_testkit::cards::normalisation;
use eosfed_testkit::submissions::{report, update};
use eosfed_transport::channel::Transport;
use eosfed_transport::status::from_status;
use eosfed_transport::wire::Wire as _;
use server::{Server, plan};

const QUIET: ReportProgress<'static> = &|_, _| {};

async fn submit(server: &Server, number: u64) -> String {
    let key = format!("{number:032x}");
    let request = v1::SubmitJobRequest { plan_toml: plan(), idempotency_key: key };
    OperatorClient::new(server.operator()).submit_job(request).await.unwrap().into_inner().job
}

async fn jobs(server: &Server) -> BTreeSet<String> {
    let list =
        OperatorClient::new(server.operator()).list_jobs(v1::ListJobsRequest::default()).await.unwrap();
    let id = |json: &String| {
        serde_json::from_str::<serde_json::Value>(json).unwrap()["id"].as_str().unwrap().to_owned()
    };
    list.into_inner().jobs_json.iter().map(id).collect()
}

async fn made(server: &Server, to: &Path) -> Backup {
    let state = server.state();
    backup(&state, to, &[], &state.operator(), SystemClock.now(), QUIET).await.unwrap()
}

/// West's oldest assignment, accepted, with the lease's token.
async fn at_work(west: Transport) -> (Assignment<Offered>, LeaseToken) {
    let mut participant = ParticipantClient::new(west);
    let poll = v1::PollRequest { seen_revision: 0, wait_ms: 0 };
    let offers = participant.poll(poll).await.unwrap().into_inner().assignments;
    let offer = Assignment::from_message(offers.into_iter().next().unwrap()).unwrap();
    let accept = v1::AcceptRequest { assignment: offer.id.to_string() };
    let lease = participant.accept(accept).await.unwrap().into_inner();
    (offer, lease.lease_token.parse().unwrap())
}

/// Uploads and submits west's result.
async fn hand_in(west: Transport, folder: &Path, work: &Assignment<Offered>, token: &LeaseToken) {
    let path = folder.join("weights");
    let Offered::Specialist(model) = work.training_target.clone() else { panic!("west trains a specialist") };
    let model = Target::Specialist(model);
    let digest = write(&path, &model.signature(), &model.initial_weights(5)).unwrap();
    let bytes = fs::read(&path).unwrap();
    let weights = BlobRef { digest, size: bytes.len() as u64 };
    let header = v1::UploadHeader { digest: digest.to_string(), size: weights.size, offset: 0 };
    let chunks = bytes.chunks(1 << 20).map(|chunk| Part::Chunk(Bytes::copy_from_slice(chunk)));
    let parts = std::iter::once(Part::Header(header)).chain(chunks);
    let parts: Vec<_> = parts.map(|part| v1::UploadRequest { part: Some(part) }).collect();
    BlobsClient::new(west.clone()).upload(tokio_stream::iter(parts)).await.unwrap();
    let report = report(10, normalisation(model.normalised(), 1.0, 2.0));
    let update = update(&work.id, token, weights, report);
    ParticipantClient::new(west).submit_update(update.into_message()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_made_while_serving_restores_the_same_coordinator() {
    let server = Arc::new(Server::start().await);
    let west = server.enrol("west").await;
    let first = submit(&server, 0).await;
    let (work, token) = at_work(west).await;
    assert_eq!(work.id.job.to_string(), first);

    // Jobs come one after the other while the backup is made.
    let over = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let server = Arc::clone(&server);
        let over = Arc::clone(&over);
        async move {
            let mut submitted = Vec::new();
            while !over.load(Ordering::Relaxed) {
                submitted.push(submit(&server, 1 + submitted.len() as u64).await);
            }
            submitted
        }
    });
    let elsewhere = tempfile::tempdir().unwrap();
    let mut backups = Vec::new();
    for name in ["one", "two"] {
        while jobs(&server).await.len() < 3 * (backups.len() + 1) {
            tokio::task::yield_now().await;
        }
        backups.push((name, made(&server, &elsewhere.path().join(name)).await));
    }
    over.store(true, Ordering::Relaxed);
    let mut submitted = writer.await.unwrap();
    submitted.insert(0, first);
    let left: Vec<_> = fs::read_dir(server.state().blobs().join("staging")).unwrap().collect();
    assert!(left.is_empty(), "the snapshots are gone: {left:?}");

    // The disk is lost. The backup is the state of one instant: a prefix of the jobs.
    let clients = Arc::into_inner(server).unwrap().lose().await;
    let (name, backup) = backups.pop().unwrap();
    assert!(backup.serving && backup.counts.institutions == 1 && backup.missing.is_empty(), "{backup:?}");
    let folder = tempfile::tempdir().unwrap();
    restore(&elsewhere.path().join(name), None, &folder.path().join("state"), QUIET).unwrap();
    let server = Server::serve(folder, clients).await;
    let there = jobs(&server).await;
    assert_eq!(there.len() as u64, backup.counts.jobs);
    assert!(there.len() >= 6, "{there:?}");
    assert_eq!(there, submitted[..there.len()].iter().cloned().collect());

    // West connects with its earlier certificate, and submits with its earlier lease.
    hand_in(server.client("west"), elsewhere.path(), &work, &token).await;
    let release = v1::GetReleaseRequest { number: 0 };
    let specialists = v1::ListSpecialistsRequest::default();
    let mut operator = OperatorClient::new(server.operator());
    let listed = operator.list_specialists(specialists).await.unwrap().into_inner();
    assert_eq!(listed.specialists_json.len(), 1);
    let status = operator.get_release(release).await.unwrap_err();
    assert_eq!(from_status(&status).reason, Reason::NotFound, "the plan cuts none by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_operators_take_snapshots_and_only_their_own_folder_is_copied() {
    let server = Server::start().await;
    let west = server.enrol("west").await;
    let status = OperatorClient::new(west).backup(v1::BackupRequest {}).await.unwrap_err();
    assert_eq!(from_status(&status).reason, Reason::Forbidden);

    // With another coordinator's identity, the snapshot is not in this folder.
    let other = Server::start().await;
    let to = tempfile::tempdir().unwrap();
    let state = server.state();
    let to = to.path().join("backup");
    let error =
        backup(&state, &to, &[], &other.state().operator(), SystemClock.now(), QUIET).await.unwrap_err();
    assert!(error.to_string().contains("another state folder"), "{error}");
    assert!(!to.join("backup.json").exists());
}
