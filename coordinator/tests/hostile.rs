//! What a dishonest institution tries, over real TLS against the real server: each attack as it was found,
//! and what it meets.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use std::time::{Duration, Instant};

use eosfed_common::assignment::{BlobRef, MAX_POINTS};
use eosfed_common::digest::Digest;
use eosfed_common::refusal::Reason;
use eosfed_proto::v1;
use eosfed_proto::v1::blobs_client::BlobsClient;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_transport::channel::Transport;
use eosfed_transport::status::from_status;
use eosfed_transport::wire::Wire as _;
use server::leased::{Leased, bytes_below, metric, report};
use server::{KEY, plan, update_signature};

fn point(step: u64, metrics: Vec<v1::Metric>) -> v1::CurvePoint {
    v1::CurvePoint { step, loss: 0.5, metrics }
}

/// Attack 5: heartbeats with 64 metrics of long names and hundreds of points filled store and memory.
#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_cannot_fill_the_store() {
    let leased = Leased::new().await;
    let long = |at: usize| metric(&format!("m{at:0>1023}"), 0.5);
    assert!(leased.heartbeat(vec![point(1, (0..64).map(long).collect()); 400]).await.is_err());
    let long = |at: usize| metric(&format!("m{at:0>127}"), 0.5);
    let found = leased.heartbeat(vec![point(1, (0..64).map(long).collect())]).await.unwrap_err();
    assert!(found.reason == Reason::Malformed && found.message.contains("is unknown"), "{found}");
    let classes = |at: usize| metric(&format!("iou/{at}"), 0.5);
    let found = leased.heartbeat(vec![point(1, (0..64).map(classes).collect())]).await.unwrap_err();
    assert!(found.message.contains("no metrics of single classes"), "{found}");
    for (name, value) in [("accuracy", -1e9), ("miou", 1e308), ("loss", -1.0)] {
        let found = leased.heartbeat(vec![point(1, vec![metric(name, value)])]).await.unwrap_err();
        assert!(found.reason == Reason::Malformed && found.message.contains(name), "{found}");
    }
    let lost = v1::CurvePoint { step: 1, loss: 1e300, metrics: Vec::new() };
    assert!(leased.heartbeat(vec![lost]).await.unwrap_err().message.contains("`loss`"));

    // What is right in each message, without end.
    let metrics = ["accuracy", "miou", "macro_f1", "map", "rmse", "mae", "r2", "loss"];
    let metrics: Vec<_> = metrics.iter().map(|name| metric(name, 0.5)).collect();
    let mut step = 0;
    let refused = loop {
        let points = (0..MAX_POINTS as u64).map(|at| point(step + at, metrics.clone())).collect();
        step += MAX_POINTS as u64;
        if let Err(refused) = leased.heartbeat(points).await {
            break refused;
        }
        assert!(step < 1_000_000);
    };
    assert_eq!(refused.reason, Reason::TooLarge, "{refused}");
    assert!(refused.message.contains("a lease"), "{refused}");
    let stored = bytes_below(&leased.server.state().0);
    assert!(stored < 64 << 20, "{stored}");
}

/// An update may bring the last points of the curve, under the rules for those of heartbeats.
#[tokio::test(flavor = "multi_thread")]
async fn points_of_an_update_have_the_bounds_of_those_of_heartbeats() {
    let leased = Leased::new().await;
    leased.heartbeat(vec![point(1, Vec::new())]).await.unwrap();
    let weights = leased.upload(&leased.weights()).await.unwrap();
    let many = vec![point(2, Vec::new()); MAX_POINTS + 1];
    let refused = leased.submit_telling(weights, many).await.unwrap_err();
    assert!(refused.reason == Reason::Malformed && refused.message.contains("points"), "{refused}");
    assert_eq!(leased.curve().await, [1]);
    // A step that is there already came with a heartbeat whose answer was lost.
    let points = vec![point(1, Vec::new()), point(2, vec![metric("accuracy", 0.5)]), point(3, Vec::new())];
    leased.submit_telling(weights, points.clone()).await.unwrap();
    assert_eq!(leased.curve().await, [1, 2, 3]);
    leased.submit_telling(weights, points).await.unwrap();
    assert_eq!(leased.curve().await, [1, 2, 3], "the answer was lost");

    for wrong in [metric("accuracy", -1e9), metric("iou/1", 0.5), metric("colour", 0.5)] {
        let leased = Leased::new().await;
        let weights = leased.upload(&leased.weights()).await.unwrap();
        let refused = leased.submit_telling(weights, vec![point(7, vec![wrong])]).await.unwrap_err();
        assert!(refused.reason == Reason::Malformed && refused.message.contains("step 7"), "{refused}");
        assert!(leased.curve().await.is_empty());
    }
}

/// Attack 6: one lease, 40 uploads of random bytes, which all stayed on the disk.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_one_lease_are_few_and_leave_nothing() {
    let leased = Leased::new().await;
    let before = leased.stored();
    let junk = |seed: u8| -> Vec<u8> { (0..1_000_000_u32).map(|at| (at >> 8) as u8 ^ seed).collect() };
    let mut refusals = Vec::new();
    for seed in 0..40 {
        match leased.upload(&junk(seed)).await {
            Ok(_) => assert_eq!(leased.stored() - before, 1_000_000, "one of them at a time"),
            Err(refusal) => refusals.push(refusal),
        }
    }
    assert_eq!(refusals.len(), 40 - 8, "eight were let in");
    for refusal in &refusals {
        assert!(refusal.reason == Reason::TooLarge && refusal.message.contains("8 uploads"), "{refusal}");
    }
    // The lease ends, and with it the last of them.
    let cancel = v1::ControlJobRequest {
        job: leased.job.clone(),
        action: Some(v1::control_job_request::Action::Cancel(v1::CancelJob {})),
    };
    OperatorClient::new(leased.server.operator()).control_job(cancel).await.unwrap();
    let since = Instant::now();
    while leased.stored() > before {
        assert!(since.elapsed() < Duration::from_secs(5), "{} bytes are left", leased.stored());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(leased.upload(&junk(99)).await.unwrap_err().reason, Reason::LeaseExpired);
}

/// Attack 6, with files of the greatest size: three of them, whatever they hold.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_one_lease_have_a_budget_of_bytes() {
    let leased = Leased::new().await;
    let mut bytes = leased.weights();
    let end = bytes.len() - 1;
    let mut let_in = 0;
    let refusal = loop {
        bytes[end] = bytes[end].wrapping_add(1);
        match leased.upload(&bytes).await {
            Ok(_) => let_in += 1,
            Err(refusal) => break refusal,
        }
    };
    assert_eq!((let_in, refusal.reason), (3, Reason::TooLarge), "{refusal}");
}

/// Attacks 7 and 8: an update that claims 1e12 samples or an accuracy of 1e308 under a plan that says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn claims_beyond_what_can_be_are_refused() {
    for (samples, metrics, words) in [
        (1_000_000_000_000, vec![], ["`samples`", "10000000", "`1000000000000`"]),
        (9, vec![metric("accuracy", 1e308)], ["`accuracy`", "between 0.0 and 1.0", "`1e308`"]),
        (9, vec![metric("beauty", 0.5)], ["`beauty`", "is unknown", "`miou`"]),
    ] {
        let leased = Leased::new().await;
        let blob = leased.upload(&leased.weights()).await.unwrap();
        let found = leased.submit(blob, report(samples, metrics)).await.unwrap_err();
        assert_eq!(found.reason, Reason::Malformed, "{found}");
        assert!(words.iter().all(|word| found.message.contains(word)), "{found}");
    }
    let leased = Leased::new().await;
    let blob = leased.upload(&leased.weights()).await.unwrap();
    let honest = vec![metric("accuracy", 0.8), metric("iou/forest", 0.5)];
    leased.submit(blob, report(9, honest)).await.unwrap();
    assert_eq!(Digest::of(&leased.weights()), blob.digest);
}

/// Attack 16: whoever knows the digest of what another institution has sent asks whether it is here, fetches
/// it, and hands it in as its own.
#[tokio::test(flavor = "multi_thread")]
async fn to_know_a_digest_gives_no_right_to_the_bytes() {
    let leased = Leased::new().await;
    let stolen = leased.upload(&leased.weights()).await.unwrap();
    let server = &leased.server;
    server.enrol("mallory").await;
    let mallory = server.client("mallory");
    let ask = |transport: Transport| async move {
        let request = v1::StatRequest { digest: stolen.digest.to_string() };
        BlobsClient::new(transport).stat(request).await.unwrap().into_inner()
    };
    assert!(ask(leased.west.clone()).await.complete, "its own upload");
    assert_eq!(ask(mallory.clone()).await, v1::StatResponse { complete: false, bytes: 0, zstd: true });
    let fetch = |transport: Transport| async move {
        let request = v1::DownloadRequest { digest: stolen.digest.to_string(), offset: 0 };
        let answer = BlobsClient::new(transport).download(request).await;
        answer.map(drop).map_err(|status| from_status(&status).reason)
    };
    assert_eq!(fetch(mallory.clone()).await, Err(Reason::NotFound));

    // With a lease of its own, for the same model.
    let plan = plan().replace("west-red", "mallory-red").replace("\"west\"", "\"mallory\"");
    let key = "fedcba9876543210fedcba9876543210".to_owned();
    let submit = v1::SubmitJobRequest { plan_toml: plan, idempotency_key: key };
    let job = OperatorClient::new(server.operator()).submit_job(submit).await.unwrap().into_inner().job;
    let assignment = format!("{job}.0.1.mallory");
    let accept = v1::AcceptRequest { assignment: assignment.clone() };
    let lease = ParticipantClient::new(mallory.clone()).accept(accept).await.unwrap().into_inner();
    let submission = v1::SubmitUpdateRequest {
        signature: update_signature("mallory", &assignment, stolen, &report(3, Vec::new())),
        assignment,
        lease_token: lease.lease_token,
        idempotency_key: KEY.to_owned(),
        weights: Some(stolen.into_message()),
        report: Some(report(3, Vec::new())),
        statistics: None,
        start_metrics: Vec::new(),
        points: Vec::new(),
    };
    let refused = ParticipantClient::new(mallory.clone()).submit_update(submission).await.unwrap_err();
    assert_eq!(from_status(&refused).reason, Reason::BlobMissing, "{refused:?}");

    // It becomes a specialist that nobody has released.
    leased.submit(stolen, report(3, Vec::new())).await.unwrap();
    let list = v1::ListSpecialistsRequest::default();
    let mut operator = OperatorClient::new(server.operator());
    let mut listed = 0;
    for _ in 0..100 {
        listed = operator.list_specialists(list.clone()).await.unwrap().into_inner().specialists_json.len();
        if listed > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(listed, 1);
    assert_eq!(fetch(mallory.clone()).await, Err(Reason::NotFound));
    let reader = server.enrol_reader("anna").await;
    let by_digest = stolen.digest.to_string();
    for reference in ["west-red", "west-red@1", &by_digest] {
        assert_eq!(card(reader.clone(), reference).await, Err(Reason::NotFound), "{reference}");
    }
    let listed = OperatorClient::new(reader.clone()).list_specialists(list.clone()).await.unwrap();
    assert_eq!(listed.into_inner().specialists_json.len(), 0, "nothing is released");
    let create = v1::CreateReleaseRequest {
        specialists: vec!["west-red".to_owned()],
        note: String::new(),
        idempotency_key: KEY.to_owned(),
    };
    operator.create_release(create).await.unwrap();
    assert_eq!(fetch(mallory).await, Ok(()), "what is released is for all");
    for reference in ["west-red", "west-red@1", &by_digest] {
        assert_eq!(card(reader.clone(), reference).await, Ok(()), "{reference}");
    }
    let listed = OperatorClient::new(reader).list_specialists(list).await.unwrap();
    assert_eq!(listed.into_inner().specialists_json.len(), 1);
}

/// Asks for the card of a specialist.
async fn card(transport: Transport, reference: &str) -> Result<(), Reason> {
    let request = v1::GetSpecialistRequest { reference: reference.to_owned() };
    let answer = OperatorClient::new(transport).get_specialist(request).await;
    answer.map(drop).map_err(|status| from_status(&status).reason)
}

/// A result without a signature, or with one of another institution, of another assignment, of other weights
/// or of another report, is not recorded: the right one counts afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_result_counts_with_the_signature_of_its_institution_only() {
    let leased = Leased::new().await;
    drop(leased.server.enrol("east").await);
    let weights = leased.upload(&leased.weights()).await.unwrap();
    let told = report(9, Vec::new());
    let id = leased.assignment.as_str();
    let unsigned = leased.submit_signed(weights, told.clone(), String::new()).await.unwrap_err();
    assert!(unsigned.message.contains("`signature`"), "{unsigned}");
    let other_round = id.replace(".0.1.", ".1.1.");
    for (what, signature) in [
        ("another institution", update_signature("east", id, weights, &told)),
        ("another assignment", update_signature("west", &other_round, weights, &told)),
        ("other weights", update_signature("west", id, BlobRef { size: 1, ..weights }, &told)),
        ("another report", update_signature("west", id, weights, &report(10, Vec::new()))),
    ] {
        let refused = leased.submit_signed(weights, told.clone(), signature).await.unwrap_err();
        assert_eq!(refused.reason, Reason::NotSigned, "{what}: {refused}");
        assert!(refused.message.contains("institution `west` under its update"), "{what}: {refused}");
    }
    leased.submit(weights, told).await.unwrap();
}
