//! Text that steers a terminal or forges a line of a log, in each string field that a caller can send, over
//! real TLS: each is refused, or harmless where it is shown. A string field that is not in the list fails the
//! test.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use std::collections::{BTreeMap, BTreeSet};

use eosfed_common::data_statement::{DataStatement, SignedDataStatement};
use eosfed_common::digest::Digest;
use eosfed_common::printable::is_printable;
use eosfed_common::refusal::Reason;
use eosfed_proto::v1;
use eosfed_proto::v1::blobs_client::BlobsClient;
use eosfed_proto::v1::enrollment_client::EnrollmentClient;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_testkit::{data_statements, policy_summaries, releases, signing};
use eosfed_transport::enrollment::signing_key_proof;
use eosfed_transport::protocol::PROTOCOL;
use eosfed_transport::status::from_status;
use eosfed_transport::wire::Wire as _;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor, ReflectMessage as _, Value};
use server::{KEY, Server, plan};
use tonic::Status;

/// What is added to each text: a line of its own, an escape sequence, a change of direction.
const HOSTILE: &str = "\nINFO all is well\u{1b}[2J\u{202e}";

/// What becomes of a text with such characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The call is refused because of it.
    Refused,
    /// The call goes on: what is kept or shown of the text is escaped.
    Escaped,
    /// The call goes on: nothing of the text is kept or shown.
    Unused,
}

/// Every string field of the requests.
const FIELDS: &[(&str, Fate)] = &[
    ("AcceptRequest.assignment", Fate::Refused),
    ("BandMoments.band", Fate::Refused),
    ("BandNormalisation.band", Fate::Refused),
    ("Blob.digest", Fate::Refused),
    ("ControlJobRequest.job", Fate::Refused),
    ("CreateReleaseRequest.idempotency_key", Fate::Refused),
    ("CreateReleaseRequest.note", Fate::Refused),
    ("CreateReleaseRequest.specialists", Fate::Refused),
    ("DataStatement.bands", Fate::Refused),
    ("DataStatement.classes", Fate::Refused),
    ("DataStatement.dataset", Fate::Refused),
    ("DataStatement.institution", Fate::Refused),
    ("DataStatement.inventory", Fate::Refused),
    ("DownloadRequest.digest", Fate::Refused),
    ("EnrollRequest.institution", Fate::Refused),
    ("EnrollRequest.secret", Fate::Refused),
    // Its key is what is used; what follows the request is not read.
    ("EnrollRequest.signing_key_proof", Fate::Refused),
    ("EnrollRequest.signing_request_pem", Fate::Unused),
    ("ForkJobRequest.idempotency_key", Fate::Refused),
    ("ForkJobRequest.job", Fate::Refused),
    ("ForkJobRequest.rounds_toml", Fate::Refused),
    ("GetEnergyRequest.name", Fate::Refused),
    ("GetInstitutionRequest.name", Fate::Refused),
    ("GetJobRequest.job", Fate::Refused),
    ("GetRoundRequest.job", Fate::Refused),
    ("GetSpecialistRequest.reference", Fate::Refused),
    ("HeartbeatRequest.assignment", Fate::Refused),
    ("HeartbeatRequest.lease_token", Fate::Refused),
    ("HelloRequest.version", Fate::Escaped),
    ("InitialFile.digest", Fate::Refused),
    ("InitialFile.file", Fate::Refused),
    ("Interval.name", Fate::Refused),
    ("InviteInstitutionRequest.name", Fate::Refused),
    ("ListEventsRequest.actor", Fate::Refused),
    ("ListEventsRequest.institution", Fate::Refused),
    ("ListEventsRequest.job", Fate::Refused),
    ("ListEventsRequest.kind", Fate::Refused),
    ("ListInstitutionsRequest.name", Fate::Refused),
    ("ListPeopleRequest.name", Fate::Refused),
    ("ListReleasesRequest.specialist", Fate::Refused),
    ("ListRoundsRequest.job", Fate::Refused),
    ("ListSpecialistsRequest.bands", Fate::Refused),
    ("ListSpecialistsRequest.institutions", Fate::Refused),
    ("Member.name", Fate::Refused),
    ("Metric.name", Fate::Refused),
    ("OperatorHelloRequest.version", Fate::Escaped),
    ("PageRequest.token", Fate::Refused),
    ("PolicySummary.backbones", Fate::Refused),
    ("PolicySummary.encodings", Fate::Refused),
    ("PolicySummary.institution", Fate::Refused),
    ("PolicySummary.job_kinds", Fate::Refused),
    ("PolicySummary.may_leave", Fate::Refused),
    ("PolicySummary.strategies", Fate::Refused),
    ("PolicySummary.tasks", Fate::Refused),
    ("PruneStorageRequest.job", Fate::Refused),
    ("RecordAblationRequest.head", Fate::Refused),
    ("RecordAblationRequest.metric", Fate::Refused),
    ("RecordAblationRequest.unit", Fate::Refused),
    ("Refusal.message", Fate::Escaped),
    ("Refusal.reason", Fate::Refused),
    ("RefuseRequest.assignment", Fate::Refused),
    ("RenewRequest.signing_key_proof", Fate::Refused),
    ("RenewRequest.signing_request_pem", Fate::Unused),
    ("ReportFailureRequest.assignment", Fate::Refused),
    ("ReportFailureRequest.lease_token", Fate::Refused),
    ("ReportFailureRequest.message", Fate::Escaped),
    ("RetryInstitution.institution", Fate::Refused),
    ("RevokeRequest.reason", Fate::Refused),
    ("ScoreWithout.weights", Fate::Refused),
    ("SharePolicyRequest.signature", Fate::Refused),
    ("SignedMoments.signature", Fate::Refused),
    ("StatRequest.digest", Fate::Refused),
    ("StateDataRequest.signature", Fate::Refused),
    ("StatedDataSet.bands", Fate::Refused),
    ("StatedDataSet.classes", Fate::Refused),
    ("StatedDataSet.dataset", Fate::Refused),
    ("StatedDataSet.inventory", Fate::Refused),
    ("SubmitEvaluationRequest.assignment", Fate::Refused),
    ("SubmitEvaluationRequest.idempotency_key", Fate::Refused),
    ("SubmitEvaluationRequest.lease_token", Fate::Refused),
    ("SubmitEvaluationRequest.signature", Fate::Refused),
    ("SubmitJobRequest.idempotency_key", Fate::Refused),
    ("SubmitJobRequest.plan_toml", Fate::Refused),
    ("SubmitStatisticsRequest.assignment", Fate::Refused),
    ("SubmitStatisticsRequest.idempotency_key", Fate::Refused),
    ("SubmitStatisticsRequest.lease_token", Fate::Refused),
    ("SubmitStatisticsRequest.signature", Fate::Refused),
    ("SubmitUpdateRequest.assignment", Fate::Refused),
    ("SubmitUpdateRequest.idempotency_key", Fate::Refused),
    ("SubmitUpdateRequest.lease_token", Fate::Refused),
    ("SubmitUpdateRequest.signature", Fate::Refused),
    ("UploadHeader.digest", Fate::Refused),
    ("WatchJobRequest.job", Fate::Refused),
];

fn short(full: &str) -> String {
    full.trim_start_matches("eosfed.v1.").to_owned()
}

/// Adds the names of all string fields below `message`.
fn string_fields(message: &MessageDescriptor, seen: &mut BTreeSet<String>, found: &mut BTreeSet<String>) {
    if !seen.insert(message.full_name().to_owned()) {
        return;
    }
    for field in message.fields() {
        match field.kind() {
            Kind::String => drop(found.insert(short(field.full_name()))),
            Kind::Message(inner) => string_fields(&inner, seen, found),
            _ => {}
        }
    }
}

/// A statement about two data sets.
fn several_data_sets() -> SignedDataStatement {
    let mut further = data_statements::further(1);
    further[0].classes = vec!["forest".to_owned()];
    let statement = DataStatement { further, ..data_statements::statement("west", 90) };
    SignedDataStatement::new(statement, &signing::institution("west"))
}

#[test]
fn every_string_field_of_a_request_is_listed() {
    let pool = DescriptorPool::decode(eosfed_proto::DESCRIPTORS).unwrap();
    let (mut seen, mut found) = (BTreeSet::new(), BTreeSet::new());
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        string_fields(&method.input(), &mut seen, &mut found);
    }
    let listed: BTreeSet<_> = FIELDS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, listed, "say here what becomes of hostile text in each string field");
}

/// For each string field that `message` has, the message with hostile text in it.
fn variants(message: &DynamicMessage) -> Vec<(String, DynamicMessage)> {
    let mut all = Vec::new();
    for field in message.descriptor().fields() {
        let (name, value) = (short(field.full_name()), message.get_field(&field));
        let mut put = |name: String, value: Value| {
            let mut changed = message.clone();
            changed.set_field(&field, value);
            all.push((name, changed));
        };
        match value.as_ref() {
            Value::String(text) if field.containing_oneof().is_none() || message.has_field(&field) => {
                put(name, Value::String(format!("{text}{HOSTILE}")));
            }
            Value::List(list) => match list.first() {
                Some(Value::String(text)) => {
                    put(name, Value::List(vec![Value::String(format!("{text}{HOSTILE}"))]));
                }
                Some(Value::Message(inner)) => {
                    for (name, changed) in variants(inner) {
                        put(name, Value::List(vec![Value::Message(changed)]));
                    }
                }
                _ => {}
            },
            Value::Message(inner) if message.has_field(&field) => {
                for (name, changed) in variants(inner) {
                    put(name, Value::Message(changed));
                }
            }
            _ => {}
        }
    }
    all
}

/// A request of each kind, with everything that it can hold, and who sends it.
struct Call {
    method: &'static str,
    request: Vec<u8>,
}

macro_rules! calls {
    ($($client:ident($who:ident).$method:ident($request:ty)),+ $(,)?) => {
        /// Sends a request as who may send it.
        async fn send(server: &Server, method: &str, bytes: &[u8]) -> Result<(), Status> {
            match method {
                $(stringify!($method) => {
                    let request = <$request>::decode(bytes).unwrap();
                    $client::new(calls!(@$who server)).$method(request).await.map(drop)
                })+
                "upload" => {
                    let request = v1::UploadRequest::decode(bytes).unwrap();
                    let client = BlobsClient::new(server.client("west"));
                    let mut client = client;
                    client.upload(tokio_stream::iter([request])).await.map(drop)
                }
                "operator_hello" => {
                    let request = v1::OperatorHelloRequest::decode(bytes).unwrap();
                    OperatorClient::new(server.operator()).hello(request).await.map(drop)
                }
                other => panic!("no call `{other}`"),
            }
        }
    };
    (@west $server:ident) => { $server.client("west") };
    (@stranger $server:ident) => { $server.stranger() };
    (@operator $server:ident) => { $server.operator() };
}

calls! {
    ParticipantClient(west).hello(v1::HelloRequest),
    ParticipantClient(west).accept(v1::AcceptRequest),
    ParticipantClient(west).refuse(v1::RefuseRequest),
    ParticipantClient(west).heartbeat(v1::HeartbeatRequest),
    ParticipantClient(west).submit_update(v1::SubmitUpdateRequest),
    ParticipantClient(west).submit_statistics(v1::SubmitStatisticsRequest),
    ParticipantClient(west).submit_evaluation(v1::SubmitEvaluationRequest),
    ParticipantClient(west).report_failure(v1::ReportFailureRequest),
    ParticipantClient(west).state_data(v1::StateDataRequest),
    ParticipantClient(west).share_policy(v1::SharePolicyRequest),
    BlobsClient(west).stat(v1::StatRequest),
    BlobsClient(west).download(v1::DownloadRequest),
    EnrollmentClient(stranger).enroll(v1::EnrollRequest),
    EnrollmentClient(west).renew(v1::RenewRequest),
    OperatorClient(operator).invite_institution(v1::InviteInstitutionRequest),
    OperatorClient(operator).re_enrol(v1::ReEnrolRequest),
    OperatorClient(operator).revoke(v1::RevokeRequest),
    OperatorClient(operator).list_institutions(v1::ListInstitutionsRequest),
    OperatorClient(operator).get_institution(v1::GetInstitutionRequest),
    OperatorClient(operator).list_people(v1::ListPeopleRequest),
    OperatorClient(operator).submit_job(v1::SubmitJobRequest),
    OperatorClient(operator).list_jobs(v1::ListJobsRequest),
    OperatorClient(operator).get_job(v1::GetJobRequest),
    OperatorClient(operator).list_rounds(v1::ListRoundsRequest),
    OperatorClient(operator).get_round(v1::GetRoundRequest),
    OperatorClient(operator).watch_job(v1::WatchJobRequest),
    OperatorClient(operator).control_job(v1::ControlJobRequest),
    OperatorClient(operator).fork_job(v1::ForkJobRequest),
    OperatorClient(operator).get_energy(v1::GetEnergyRequest),
    OperatorClient(operator).prune_storage(v1::PruneStorageRequest),
    OperatorClient(operator).list_specialists(v1::ListSpecialistsRequest),
    OperatorClient(operator).get_specialist(v1::GetSpecialistRequest),
    OperatorClient(operator).create_release(v1::CreateReleaseRequest),
    OperatorClient(operator).record_ablation(v1::RecordAblationRequest),
    OperatorClient(operator).list_releases(v1::ListReleasesRequest),
    OperatorClient(operator).list_events(v1::ListEventsRequest),
}

/// Good requests, about a job of which `west` holds the lease.
fn requests(job: &str, assignment: &str, token: &str) -> Vec<Call> {
    let (job, assignment, token) = (job.to_owned(), assignment.to_owned(), token.to_owned());
    let key = || KEY.replace('0', "7");
    let digest = Digest::of(b"weights").to_string();
    let blob = v1::Blob { digest: digest.clone(), size: 7 };
    let metrics = || vec![v1::Metric { name: "iou/water".to_owned(), value: 0.5 }];
    let scoring = || {
        Some(v1::Scoring {
            part: v1::ScoredPart::Test.into(),
            samples: 9,
            intervals: vec![v1::Interval { name: "iou/water".to_owned(), low: 0.25, high: 0.75 }],
            chosen_on: metrics(),
        })
    };
    let plain = || vec![v1::Metric { name: "accuracy".to_owned(), value: 0.5 }];
    let energy =
        || Some(v1::Energy { kwh: 0.0, source: v1::EnergySource::Unavailable.into(), co2e_grams: None });
    let report = v1::TrainingReport {
        samples: 9,
        metrics: metrics(),
        scoring: scoring(),
        normalisation: vec![v1::BandNormalisation {
            band: "red".to_owned(),
            mean: 0.0,
            std: 1.0,
            values: None,
        }],
        energy: energy(),
        initial: Some(v1::InitialFile { file: "atto.safetensors".to_owned(), digest: digest.clone() }),
        imagery: None,
        encoding: v1::Encoding::F32.into(),
        spent: None,
    };
    let scores =
        v1::EvaluationReport { samples: 9, metrics: metrics(), scoring: scoring(), energy: energy() };
    let moments =
        || vec![v1::BandMoments { band: "red".to_owned(), count: 1, mean: 0.0, m2: 0.0, values: None }];
    let member = || Some(v1::Member { role: v1::Role::Institution.into(), name: "north".to_owned() });
    let page = || Some(v1::PageRequest { limit: 1, token: String::new() });
    let pem = "-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n".to_owned();
    let proof =
        signing_key_proof(&signing::institution("north"), &"north".parse().unwrap(), &pem).to_string();
    let control = |action| v1::ControlJobRequest { job: job.clone(), action: Some(action) };
    let retry = v1::RetryInstitution { institution: "west".to_owned() };
    macro_rules! list {
        ($($method:literal: $request:expr),+ $(,)?) => {
            vec![$(Call { method: $method, request: $request.encode_to_vec() }),+]
        };
    }
    list! {
        "hello": v1::HelloRequest { protocol: PROTOCOL.into(), version: "0.1.0".to_owned() },
        "accept": v1::AcceptRequest { assignment: assignment.clone() },
        "heartbeat": v1::HeartbeatRequest {
            assignment: assignment.clone(), lease_token: token.clone(), step: 1, steps: 2,
            points: vec![v1::CurvePoint { step: 1, loss: 0.5, metrics: plain() }],
        },
        "submit_update": v1::SubmitUpdateRequest {
            assignment: assignment.clone(), lease_token: token.clone(), idempotency_key: key(),
            weights: Some(blob), report: Some(report), signature: proof.clone(),
            statistics: Some(v1::SignedMoments { bands: moments(), signature: proof.clone() }),
            start_metrics: plain(),
            points: vec![v1::CurvePoint { step: 1, loss: 0.5, metrics: plain() }],
        },
        "submit_statistics": v1::SubmitStatisticsRequest {
            assignment: assignment.clone(), lease_token: token.clone(), idempotency_key: key(),
            bands: moments(),
            signature: proof.clone(),
        },
        "submit_evaluation": v1::SubmitEvaluationRequest {
            assignment: assignment.clone(), lease_token: token.clone(), idempotency_key: key(),
            report: Some(scores), signature: proof.clone(),
        },
        "state_data": several_data_sets().into_message(),
        "share_policy": policy_summaries::signed("west", 90).into_message(),
        "stat": v1::StatRequest { digest: digest.clone() },
        "download": v1::DownloadRequest { digest: digest.clone(), offset: 0 },
        "upload": v1::UploadRequest {
            part: Some(v1::upload_request::Part::Header(v1::UploadHeader { digest, size: 7, offset: 0 })),
        },
        "enroll": v1::EnrollRequest {
            institution: "north".to_owned(), secret: "0".repeat(64), signing_request_pem: pem.clone(), role: 0,
            signing_key_proof: proof.clone(),
        },
        "renew": v1::RenewRequest { signing_request_pem: pem, signing_key_proof: proof },
        "operator_hello": v1::OperatorHelloRequest { protocol: PROTOCOL.into(), version: "0.1.0".to_owned() },
        "invite_institution": v1::InviteInstitutionRequest { name: "north".to_owned(), valid_for_seconds: 9 },
        "list_institutions": v1::ListInstitutionsRequest { page: page(), name: "we".to_owned(), states: vec![] },
        "list_people": v1::ListPeopleRequest {
            role: v1::Role::Operator.into(), page: page(), name: "ad".to_owned(), states: vec![],
        },
        "get_energy": v1::GetEnergyRequest { page: page(), name: "we".to_owned(), since: 0 },
        "list_jobs": v1::ListJobsRequest { page: page(), ..Default::default() },
        "list_specialists": v1::ListSpecialistsRequest {
            page: page(), bands: vec!["red".to_owned()], institutions: vec!["west".to_owned()],
            ..Default::default()
        },
        "re_enrol": v1::ReEnrolRequest { member: member(), valid_for_seconds: 9 },
        "revoke": v1::RevokeRequest { member: member(), reason: "a lost laptop".to_owned(), remove: false },
        "list_releases": v1::ListReleasesRequest { page: page(), since: 0, specialist: "west-rgb".to_owned() },
        "submit_job": v1::SubmitJobRequest { plan_toml: plan(), idempotency_key: key() },
        "get_job": v1::GetJobRequest { job: job.clone() },
        "get_institution": v1::GetInstitutionRequest { name: "west".to_owned() },
        "list_rounds": v1::ListRoundsRequest { job: job.clone(), newest: 0, curves: true },
        "get_round": v1::GetRoundRequest { job: job.clone(), round: 0, attempt: 1, curves: true },
        "watch_job": v1::WatchJobRequest { job: job.clone(), from_event: 0 },
        "prune_storage": v1::PruneStorageRequest {
            job: job.clone(), older_than_seconds: None, to_bytes: None, dry_run: true,
        },
        "control_job": control(v1::control_job_request::Action::Retry(retry)),
        "fork_job": v1::ForkJobRequest {
            job: job.clone(), round: 0, rounds_toml: "count = 1".to_owned(), idempotency_key: key(),
        },
        "get_specialist": v1::GetSpecialistRequest { reference: "west-red".to_owned() },
        "create_release": v1::CreateReleaseRequest {
            specialists: vec!["west-red".to_owned()], note: "spring".to_owned(), idempotency_key: key(),
        },
        "record_ablation": releases::ablation().into_message(),
        "list_events": v1::ListEventsRequest { newest: 1, ..Default::default() },
        // Last: they end the lease.
        "report_failure": v1::ReportFailureRequest {
            assignment: assignment.clone(), lease_token: token, message: "no disk".to_owned(),
        },
    }
}

fn descriptor(pool: &DescriptorPool, method: &str) -> MessageDescriptor {
    let camel: String = method.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
    let name = format!("eosfed.v1.{camel}Request");
    pool.get_message_by_name(&name).unwrap_or_else(|| panic!("no message {name}"))
}

/// Fails if a text has a character that people cannot be shown; line breaks are allowed where `lines`.
fn assert_harmless(what: &str, text: &str, lines: bool) {
    let allowed = |one: char| is_printable(one) || (lines && one == '\n');
    assert!(text.chars().all(allowed), "{what}: {text:?}");
}

fn assert_json_harmless(what: &str, value: &serde_json::Value) {
    match value {
        serde_json::Value::String(text) => assert_harmless(what, text, false),
        serde_json::Value::Array(list) => list.iter().for_each(|one| assert_json_harmless(what, one)),
        serde_json::Value::Object(map) => {
            for (key, one) in map {
                assert_harmless(what, key, false);
                assert_json_harmless(what, one);
            }
        }
        _ => {}
    }
}

/// A job with one institution, which holds its lease: the job, its assignment, the token.
async fn leased(server: &Server, key: &str) -> (String, String, String) {
    let submit = v1::SubmitJobRequest { plan_toml: plan(), idempotency_key: key.to_owned() };
    let job = OperatorClient::new(server.operator()).submit_job(submit).await.unwrap().into_inner().job;
    let assignment = format!("{job}.0.1.west");
    let accept = v1::AcceptRequest { assignment: assignment.clone() };
    let west = server.client("west");
    let token = ParticipantClient::new(west).accept(accept).await.unwrap().into_inner().lease_token;
    (job, assignment, token)
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_is_refused_or_escaped() {
    let server = Server::start().await;
    server.enrol("west").await;
    let pool = DescriptorPool::decode(eosfed_proto::DESCRIPTORS).unwrap();
    let fates: BTreeMap<&str, Fate> = FIELDS.iter().copied().collect();
    let (job, assignment, token) = leased(&server, KEY).await;
    let (_, second, _) = leased(&server, &KEY.replace('1', "2")).await;
    let mut calls = requests(&job, &assignment, &token);
    let refusal = v1::Refusal { reason: "POLICY".to_owned(), message: "no".to_owned() };
    let refuse = v1::RefuseRequest { assignment: second, refusal: Some(refusal) };
    calls.push(Call { method: "refuse", request: refuse.encode_to_vec() });
    let mut tried = BTreeSet::new();
    for Call { method, request } in calls {
        let message = DynamicMessage::decode(descriptor(&pool, method), request.as_slice()).unwrap();
        for (field, hostile) in variants(&message) {
            let answer = send(&server, method, &hostile.encode_to_vec()).await;
            let fate = fates[field.as_str()];
            let said = answer.as_ref().err().map(|status| {
                assert_harmless(&format!("{method}, {field}"), status.message(), true);
                from_status(status)
            });
            match (fate, &said) {
                (Fate::Refused, Some(refusal)) => assert!(
                    matches!(
                        refusal.reason,
                        Reason::Malformed | Reason::PlanInvalid | Reason::NotFound | Reason::TokenInvalid
                    ),
                    "{method}, {field}: refused for something else: {refusal}"
                ),
                (Fate::Escaped, None) | (Fate::Unused, _) => {}
                (Fate::Refused, None) | (Fate::Escaped, Some(_)) => panic!("{method}, {field}: {said:?}"),
            }
            tried.insert(field);
        }
    }
    let listed: BTreeSet<_> = FIELDS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(tried, listed, "a request lacks a part that can hold text");

    // What anybody sees afterwards.
    let mut operator = OperatorClient::new(server.operator());
    let mut rounds = operator
        .list_rounds(v1::ListRoundsRequest { job: job.clone(), newest: 0, curves: true })
        .await
        .unwrap()
        .into_inner();
    let mut shown = String::new();
    while let Some(part) = rounds.message().await.unwrap() {
        let participants = part.participants.into_iter().map(|one| one.participant_json);
        for json in
            [part.round_json, part.job_json].into_iter().chain(participants).filter(|one| !one.is_empty())
        {
            assert_json_harmless("rounds", &serde_json::from_str(&json).unwrap());
            shown.push_str(&json);
        }
    }
    let mut events = operator.list_events(v1::ListEventsRequest::default()).await.unwrap().into_inner();
    while let Some(page) = events.message().await.unwrap() {
        for line in page.lines {
            assert_harmless("a line of the ledger", &line, false);
            assert_json_harmless("events", &serde_json::from_str(&line).unwrap());
            shown.push_str(&line);
        }
    }
    assert!(shown.contains("no disk\\\\nINFO"), "what was escaped is there to be read: {shown}");
}
