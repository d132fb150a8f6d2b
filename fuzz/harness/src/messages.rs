//! Every message of the protocol, in both directions: decoded, taken apart as its reader does, and, where
//! it becomes a value of this system's, turned back.

use std::fmt::Debug;

use eosfed_common::ablation::Ablation;
use eosfed_common::assignment::{
    Assignment, BlobRef, Directive, EvaluationSubmission, Lease, Offered, StatisticsSubmission,
    UpdateSubmission,
};
use eosfed_common::card::ReleaseManifest;
use eosfed_common::clock::Timestamp;
use eosfed_common::data_statement::{DataStatement, SignedDataStatement};
use eosfed_common::digest::Digest;
use eosfed_common::identity::{Identity, Role};
use eosfed_common::ids::{AssignmentId, IdempotencyKey, InstitutionName, JobId, LeaseToken, SpecialistName};
use eosfed_common::ledger::{Event, Verifier};
use eosfed_common::plan::{JobSpec, RoundsPlan};
use eosfed_common::policy_summary::{PolicySummary, SignedPolicySummary};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::signing::{CoordinatorKey, KeySignature};
use eosfed_common::view::{
    AblationView, EnergyView, InstitutionView, JobProgress, JobSummary, JobView, Overview, ParticipantView,
    PersonView, PruneView, ReleaseSummary, RoundView, SpecialistSummary, SpecialistView, StorageView,
};
use eosfed_coordinator::domain::listing::{InstitutionKey, JobKey, PersonKey, ReleaseKey, SpecialistKey};
use eosfed_coordinator::domain::paging::{Key, PageRequest};
use eosfed_coordinator::domain::view::{EnergyKey, StorageKey};
use eosfed_coordinator::domain::{JobRef, SpecialistRef};
use eosfed_proto::v1;
use eosfed_testkit::assignments::blob;
use eosfed_testkit::submissions::detailed_update;
use eosfed_testkit::{cards, data_statements, policy_summaries, releases, signing};
use eosfed_transport::compression::decompress;
use eosfed_transport::enrollment::signing_key_proof;
use eosfed_transport::status::{from_status, to_status};
use eosfed_transport::wire::{
    Heartbeat, Wire, WireError, coordinator_keys, event_filter, job_kind, job_state, member_state, parse,
    printable, role_of, sentence, task,
};
use prost::Message;

use crate::samples;
use crate::target::Seeds;

/// Decodes a message of one type; says whether it is one that its reader takes.
type Read = fn(&[u8]) -> bool;

/// A message that becomes a value: the value, written again, is read as the same.
fn value<T>(bytes: &[u8]) -> bool
where
    T: Wire<Message: Message + Default> + Clone + PartialEq + Debug,
{
    let message = T::Message::decode(bytes).ok();
    let Some(value) = message.and_then(|message| T::from_message(message).ok()) else {
        return false;
    };
    let again = value.clone().into_message().encode_to_vec();
    assert_eq!(T::from_message(T::Message::decode(&again[..]).unwrap()).unwrap(), value);
    true
}

/// A message whose fields are looked at one by one.
fn fields<M: Message + Default>(bytes: &[u8], look: fn(&M) -> Result<bool, WireError>) -> bool {
    M::decode(bytes).is_ok_and(|message| look(&message).unwrap_or(false))
}

/// The member that a message names.
fn member(found: Option<&v1::Member>) -> Result<bool, WireError> {
    found.cloned().map(Identity::from_message).transpose().map(|member| member.is_some())
}

/// A message without rules.
fn free<M: Message + Default>(bytes: &[u8]) -> bool {
    M::decode(bytes).is_ok()
}

/// A list of JSON documents.
fn all_json<T: serde::de::DeserializeOwned>(list: &[String]) -> bool {
    list.iter().all(|json| serde_json::from_str::<T>(json).is_ok())
}

macro_rules! table {
    ($($name:ident: $read:expr),+ $(,)?) => {
        /// Each message by its name, with its reader.
        pub const MESSAGES: &[(&str, Read)] = &[$((stringify!($name), |bytes| {
            let read: fn(&[u8]) -> bool = $read;
            read(bytes)
        })),+];
    };
}

table! {
    Assignment: value::<Assignment<Offered>>,
    HeartbeatRequest: value::<Heartbeat>,
    HeartbeatResponse: value::<Directive>,
    AcceptResponse: value::<Lease>,
    SubmitUpdateRequest: value::<UpdateSubmission>,
    SubmitStatisticsRequest: value::<StatisticsSubmission>,
    SubmitEvaluationRequest: value::<EvaluationSubmission>,
    StateDataRequest: value::<SignedDataStatement>,
    DataStatement: value::<DataStatement>,
    SharePolicyRequest: value::<SignedPolicySummary>,
    PolicySummary: value::<PolicySummary>,
    SharePolicyResponse: free::<v1::SharePolicyResponse>,
    StateDataResponse: free::<v1::StateDataResponse>,
    Blob: value::<BlobRef>,
    Refusal: |bytes| refusal(bytes) | value::<Refusal>(bytes),
    HelloRequest: |bytes| fields::<v1::HelloRequest>(bytes, |m| sentence("version", &m.version).map(|_| true)),
    HelloResponse: free::<v1::HelloResponse>,
    PollRequest: free::<v1::PollRequest>,
    PollResponse: |bytes| v1::PollResponse::decode(bytes)
        .is_ok_and(|m| m.assignments.into_iter().all(|one| Assignment::from_message(one).is_ok())),
    AcceptRequest: |bytes| fields::<v1::AcceptRequest>(bytes, |m| {
        parse::<AssignmentId>("assignment", &m.assignment).map(|_| true)
    }),
    RefuseRequest: |bytes| fields::<v1::RefuseRequest>(bytes, |m| {
        parse::<AssignmentId>("assignment", &m.assignment)?;
        m.refusal.clone().map(Refusal::from_message).transpose().map(|refusal| refusal.is_some())
    }),
    RefuseResponse: free::<v1::RefuseResponse>,
    SubmitResponse: free::<v1::SubmitResponse>,
    ReportFailureRequest: |bytes| fields::<v1::ReportFailureRequest>(bytes, |m| {
        parse::<AssignmentId>("assignment", &m.assignment)?;
        parse::<LeaseToken>("lease_token", &m.lease_token)?;
        sentence("message", &m.message).map(|_| true)
    }),
    ReportFailureResponse: free::<v1::ReportFailureResponse>,
    StatRequest: |bytes| fields::<v1::StatRequest>(bytes, |m| parse::<Digest>("digest", &m.digest).map(|_| true)),
    StatResponse: free::<v1::StatResponse>,
    DownloadRequest: |bytes| {
        fields::<v1::DownloadRequest>(bytes, |m| parse::<Digest>("digest", &m.digest).map(|_| true))
    },
    DownloadResponse: free::<v1::DownloadResponse>,
    UploadRequest: |bytes| fields::<v1::UploadRequest>(bytes, |m| match &m.part {
        Some(v1::upload_request::Part::Header(header)) => {
            parse::<Digest>("digest", &header.digest).map(|_| true)
        }
        Some(v1::upload_request::Part::Chunk(_)) => Ok(true),
        Some(v1::upload_request::Part::ZstdChunk(frame)) => Ok(decompress(frame).is_ok()),
        None => Ok(false),
    }),
    UploadResponse: free::<v1::UploadResponse>,
    EnrollRequest: |bytes| fields::<v1::EnrollRequest>(bytes, |m| {
        parse::<InstitutionName>("institution", &m.institution)?;
        parse::<KeySignature>("signing_key_proof", &m.signing_key_proof)?;
        parse::<String>("secret", &m.secret).map(|_| true)
    }),
    EnrollResponse: |bytes| v1::EnrollResponse::decode(bytes)
        .is_ok_and(|m| coordinator_keys(m.coordinator_keys).is_ok()),
    RenewRequest: |bytes| fields::<v1::RenewRequest>(bytes, |m| {
        parse::<KeySignature>("signing_key_proof", &m.signing_key_proof).map(|_| true)
    }),
    CoordinatorKey: value::<CoordinatorKey>,
    BackupRequest: free::<v1::BackupRequest>,
    BackupResponse: free::<v1::BackupResponse>,
    OperatorHelloRequest: free::<v1::OperatorHelloRequest>,
    OperatorHelloResponse: free::<v1::OperatorHelloResponse>,
    InviteInstitutionRequest: |bytes| fields::<v1::InviteInstitutionRequest>(bytes, |m| {
        parse::<InstitutionName>("name", &m.name).map(|_| true)
    }),
    InvitePersonRequest: |bytes| fields::<v1::InvitePersonRequest>(bytes, |m| member(m.person.as_ref())),
    ReEnrolRequest: |bytes| fields::<v1::ReEnrolRequest>(bytes, |m| member(m.member.as_ref())),
    RevokeRequest: |bytes| fields::<v1::RevokeRequest>(bytes, |m| {
        printable("reason", &m.reason, 0..=1024)?;
        member(m.member.as_ref())
    }),
    RevokeResponse: free::<v1::RevokeResponse>,
    InviteInstitutionResponse: free::<v1::InviteInstitutionResponse>,
    ListInstitutionsRequest: |bytes| fields::<v1::ListInstitutionsRequest>(bytes, |m| {
        printable("name", &m.name, 0..=256)?;
        let states = m.states.iter().try_for_each(|one| member_state("states", *one).map(drop));
        Ok(states.is_ok() && page::<InstitutionKey>(m.page.as_ref()))
    }),
    ListInstitutionsResponse: |bytes| fields::<v1::ListInstitutionsResponse>(bytes, |m| {
        Ok(all_json::<InstitutionView>(&m.institutions_json))
    }),
    GetInstitutionRequest: |bytes| fields::<v1::GetInstitutionRequest>(bytes, |m| {
        parse::<InstitutionName>("name", &m.name).map(|_| true)
    }),
    GetInstitutionResponse: |bytes| fields::<v1::GetInstitutionResponse>(bytes, |m| {
        Ok(serde_json::from_str::<InstitutionView>(&m.institution_json).is_ok())
    }),
    ListPeopleRequest: |bytes| fields::<v1::ListPeopleRequest>(bytes, |m| {
        let known = role_of(m.role)? != Role::Institution;
        printable("name", &m.name, 0..=256)?;
        let states = m.states.iter().try_for_each(|one| member_state("states", *one).map(drop));
        Ok(known && states.is_ok() && page::<PersonKey>(m.page.as_ref()))
    }),
    ListPeopleResponse: |bytes| fields::<v1::ListPeopleResponse>(bytes, |m| {
        Ok(all_json::<PersonView>(&m.people_json))
    }),
    SubmitJobRequest: |bytes| fields::<v1::SubmitJobRequest>(bytes, |m| {
        parse::<IdempotencyKey>("idempotency_key", &m.idempotency_key)?;
        Ok(JobSpec::parse(&m.plan_toml).is_ok())
    }),
    SubmitJobResponse: job::<v1::SubmitJobResponse>,
    ListJobsRequest: |bytes| fields::<v1::ListJobsRequest>(bytes, |m| {
        let states = m.states.iter().try_for_each(|state| job_state("states", *state).map(drop));
        let kinds = m.kinds.iter().try_for_each(|kind| job_kind("kinds", *kind).map(drop));
        states.and(kinds).map(|()| page::<JobKey>(m.page.as_ref()))
    }),
    ListJobsResponse: |bytes| fields::<v1::ListJobsResponse>(bytes, |m| Ok(all_json::<JobSummary>(&m.jobs_json))),
    GetJobRequest: reference::<v1::GetJobRequest>,
    GetJobResponse: |bytes| fields::<v1::GetJobResponse>(bytes, |m| {
        Ok(serde_json::from_str::<JobView>(&m.job_json).is_ok())
    }),
    ListRoundsRequest: |bytes| {
        fields::<v1::ListRoundsRequest>(bytes, |m| parse::<JobRef>("job", &m.job).map(|_| true))
    },
    GetRoundRequest: |bytes| {
        fields::<v1::GetRoundRequest>(bytes, |m| parse::<JobRef>("job", &m.job).map(|_| true))
    },
    RoundPart: |bytes| fields::<v1::RoundPart>(bytes, |m| {
        let participants = m.participants.iter().all(|one| {
            serde_json::from_str::<ParticipantView>(&one.participant_json).is_ok()
        });
        let round = m.round_json.is_empty() || serde_json::from_str::<RoundView>(&m.round_json).is_ok();
        Ok(participants && round)
    }),
    WatchJobRequest: |bytes| {
        fields::<v1::WatchJobRequest>(bytes, |m| parse::<JobRef>("job", &m.job).map(|_| true))
    },
    WatchJobResponse: |bytes| fields::<v1::WatchJobResponse>(bytes, |m| Ok(match &m.update {
        Some(v1::watch_job_response::Update::Event(line)) => serde_json::from_str::<Event>(line).is_ok(),
        Some(v1::watch_job_response::Update::ProgressJson(json)) => progress(json),
        None => false,
    })),
    ControlJobRequest: |bytes| fields::<v1::ControlJobRequest>(bytes, |m| {
        use v1::control_job_request::Action::{Cancel, Pause, Resume, Retry};
        parse::<JobRef>("job", &m.job)?;
        match &m.action {
            Some(Cancel(_) | Pause(_) | Resume(_)) => Ok(true),
            Some(Retry(retry)) => parse::<InstitutionName>("institution", &retry.institution).map(|_| true),
            None => Ok(false),
        }
    }),
    ControlJobResponse: job::<v1::ControlJobResponse>,
    ForkJobRequest: |bytes| fields::<v1::ForkJobRequest>(bytes, |m| {
        parse::<JobRef>("job", &m.job)?;
        parse::<IdempotencyKey>("idempotency_key", &m.idempotency_key)?;
        Ok(m.rounds_toml.is_empty() || RoundsPlan::parse(&m.rounds_toml).is_ok())
    }),
    ForkJobResponse: |bytes| fields::<v1::ForkJobResponse>(bytes, |m| {
        parse::<JobId>("job", &m.job)?;
        parse::<JobId>("origin", &m.origin).map(|_| true)
    }),
    ListEventsRequest: |bytes| fields::<v1::ListEventsRequest>(bytes, |m| Ok(event_filter(m).is_ok())),
    ListEventsResponse: |bytes| fields::<v1::ListEventsResponse>(bytes, |m| {
        let mut verifier = Verifier::default();
        Ok(m.lines.iter().all(|line| verifier.line(line).is_ok()))
    }),
    ListSpecialistsRequest: |bytes| fields::<v1::ListSpecialistsRequest>(bytes, |m| {
        let tasks = m.tasks.iter().try_for_each(|one| task("tasks", *one).map(drop));
        let institutions = m.institutions.iter();
        let institutions = institutions.map(|name| parse::<InstitutionName>("institutions", name));
        Ok(tasks.is_ok() && institutions.collect::<Result<Vec<_>, _>>().is_ok()
            && page::<SpecialistKey>(m.page.as_ref()))
    }),
    ListSpecialistsResponse: |bytes| fields::<v1::ListSpecialistsResponse>(bytes, |m| {
        Ok(all_json::<SpecialistSummary>(&m.specialists_json))
    }),
    GetSpecialistRequest: |bytes| fields::<v1::GetSpecialistRequest>(bytes, |m| {
        Ok(sentence("reference", &m.reference)?.parse::<SpecialistRef>().is_ok())
    }),
    GetSpecialistResponse: |bytes| fields::<v1::GetSpecialistResponse>(bytes, |m| {
        Ok(serde_json::from_str::<SpecialistView>(&m.specialist_json).is_ok())
    }),
    CreateReleaseRequest: |bytes| fields::<v1::CreateReleaseRequest>(bytes, |m| {
        parse::<IdempotencyKey>("idempotency_key", &m.idempotency_key)?;
        printable("note", &m.note, 0..=1024)?;
        Ok(m.specialists.iter().all(|reference| reference.parse::<SpecialistRef>().is_ok()))
    }),
    CreateReleaseResponse: |bytes| fields::<v1::CreateReleaseResponse>(bytes, |m| {
        Ok(serde_json::from_str::<ReleaseManifest>(&m.manifest_json).is_ok())
    }),
    ListReleasesRequest: |bytes| fields::<v1::ListReleasesRequest>(bytes, |m| {
        let known = m.specialist.is_empty() || parse::<SpecialistName>("specialist", &m.specialist).is_ok();
        Ok(known && page::<ReleaseKey>(m.page.as_ref()))
    }),
    ListReleasesResponse: |bytes| fields::<v1::ListReleasesResponse>(bytes, |m| {
        Ok(all_json::<ReleaseSummary>(&m.releases_json))
    }),
    GetOverviewRequest: free::<v1::GetOverviewRequest>,
    GetOverviewResponse: |bytes| fields::<v1::GetOverviewResponse>(bytes, |m| {
        Ok(serde_json::from_str::<Overview>(&m.overview_json).is_ok())
    }),
    GetEnergyRequest: |bytes| fields::<v1::GetEnergyRequest>(bytes, |m| {
        Ok(printable("name", &m.name, 0..=256).is_ok() && page::<EnergyKey>(m.page.as_ref()))
    }),
    GetEnergyResponse: |bytes| fields::<v1::GetEnergyResponse>(bytes, |m| {
        Ok(serde_json::from_str::<EnergyView>(&m.energy_json).is_ok())
    }),
    GetStorageRequest: |bytes| fields::<v1::GetStorageRequest>(bytes, |m| {
        let states = m.states.iter().try_for_each(|one| job_state("states", *one).map(drop));
        let kinds = m.kinds.iter().try_for_each(|one| job_kind("kinds", *one).map(drop));
        Ok(states.is_ok() && kinds.is_ok() && page::<StorageKey>(m.page.as_ref()))
    }),
    GetStorageResponse: |bytes| fields::<v1::GetStorageResponse>(bytes, |m| {
        Ok(serde_json::from_str::<StorageView>(&m.storage_json).is_ok())
    }),
    PruneStorageRequest: |bytes| fields::<v1::PruneStorageRequest>(bytes, |m| {
        Ok(m.job.is_empty() || parse::<JobRef>("job", &m.job).is_ok())
    }),
    PruneStorageResponse: |bytes| fields::<v1::PruneStorageResponse>(bytes, |m| {
        Ok(serde_json::from_str::<PruneView>(&m.pruned_json).is_ok())
    }),
    OpenDashboardRequest: free::<v1::OpenDashboardRequest>,
    OpenDashboardResponse: free::<v1::OpenDashboardResponse>,
    GetReleaseRequest: free::<v1::GetReleaseRequest>,
    GetReleaseResponse: |bytes| fields::<v1::GetReleaseResponse>(bytes, |m| {
        let release = serde_json::from_str::<ReleaseManifest>(&m.manifest_json).is_ok();
        Ok(release && all_json::<AblationView>(&m.ablations_json))
    }),
    RecordAblationRequest: value::<Ablation>,
    RecordAblationResponse: free::<v1::RecordAblationResponse>,
}

/// A change of a job's progress, applied to itself: nothing of it may be lost.
fn progress(json: &str) -> bool {
    let Ok(progress) = serde_json::from_str::<JobProgress>(json) else { return false };
    let mut applied = progress.clone();
    for part in progress.clone().split(2) {
        applied.apply(part);
    }
    assert_eq!(applied, progress);
    true
}

/// Which page of a list is wanted.
fn page<K: Key>(page: Option<&v1::PageRequest>) -> bool {
    let v1::PageRequest { limit, token } = page.cloned().unwrap_or_default();
    PageRequest::<K>::read(limit, &token).is_ok()
}

/// The messages that name a job in their first field and hold nothing else.
fn reference<M: Message + Default>(bytes: &[u8]) -> bool {
    let message = v1::GetJobRequest::decode(bytes);
    M::decode(bytes).is_ok() && message.is_ok_and(|message| parse::<JobRef>("job", &message.job).is_ok())
}

/// The messages that hold a job's id in their first field and nothing else.
fn job<M: Message + Default>(bytes: &[u8]) -> bool {
    let message = v1::GetJobRequest::decode(bytes);
    M::decode(bytes).is_ok() && message.is_ok_and(|message| parse::<JobId>("job", &message.job).is_ok())
}

/// The refusal in the metadata of a status.
fn refusal(bytes: &[u8]) -> bool {
    let mut status = tonic::Status::unavailable("x");
    let metadata = tonic::metadata::MetadataValue::from_bytes(bytes);
    status.metadata_mut().insert_bin("eosfed-refusal-bin", metadata);
    let refusal = from_status(&status);
    assert_eq!(from_status(&to_status(&refusal)), refusal);
    refusal.reason != Reason::Unavailable
}

/// A message: its number in [`MESSAGES`], then its bytes.
pub fn messages(bytes: &[u8]) -> bool {
    let Some((number, bytes)) = bytes.split_first() else { return false };
    MESSAGES[usize::from(*number) % MESSAGES.len()].1(bytes)
}

/// A message with its number before it.
fn numbered(name: &str, message: &[u8]) -> Vec<u8> {
    let number = MESSAGES.iter().position(|(known, _)| *known == name).unwrap();
    [&[u8::try_from(number).unwrap()], message].concat()
}

pub(crate) fn seeds() -> Seeds {
    let text = |field: u8, text: &str| {
        let length = u8::try_from(text.len()).unwrap();
        [&[field << 3 | 2, length], text.as_bytes()].concat()
    };
    let key = "0123456789abcdef0123456789abcdef";
    let refused = Refusal::new(Reason::RoundClosed, "closed").into_message();
    let stop = v1::HeartbeatResponse { expires_at: None, stop: Some(refused.clone()) };
    let assignment = "j-0a1b2c3d.1.2.west";
    let listed = SpecialistSummary::new(&cards::card(), None, false);
    let listed = serde_json::to_string(&listed).unwrap();
    let specialist = SpecialistView { card: cards::card(), evaluations: Vec::new(), excluded: None };
    let specialist = serde_json::to_string(&specialist).unwrap();
    let release = serde_json::to_string(&releases::release()).unwrap();
    let plan_toml = include_str!("../../../deploy/demo/eurosat/rounds.toml").to_owned();
    let digest = Digest::of(b"w").to_string();
    let west = signing::institution("west");
    let rotated = signing::coordinator().rotated(west.clone());
    let proof = signing_key_proof(&west, &"west".parse().unwrap(), "").to_string();
    let renew = v1::RenewRequest { signing_key_proof: proof.clone(), ..Default::default() };
    let enroll = v1::EnrollRequest {
        institution: "west".to_owned(),
        secret: key.to_owned(),
        signing_key_proof: proof,
        ..Default::default()
    };
    let frame = zstd::bulk::compress(b"chunk", 1).unwrap().into();
    let compressed = v1::UploadRequest { part: Some(v1::upload_request::Part::ZstdChunk(frame)) };
    let (further, partial) = (data_statements::further(2), true);
    let several = DataStatement { further, partial, ..data_statements::statement("west", 90) };
    let mut good = vec![
        numbered("HeartbeatRequest", &samples::heartbeat().into_message().encode_to_vec()),
        numbered("HeartbeatResponse", &Directive::Continue(Timestamp(7)).into_message().encode_to_vec()),
        numbered("HeartbeatResponse", &stop.encode_to_vec()),
        numbered("AcceptResponse", &[text(1, key), vec![16, 9]].concat()),
        numbered("SubmitUpdateRequest", &detailed_update().into_message().encode_to_vec()),
        numbered("SubmitStatisticsRequest", &samples::statistics_submission().into_message().encode_to_vec()),
        numbered("SubmitEvaluationRequest", &samples::evaluation().into_message().encode_to_vec()),
        numbered("StateDataRequest", &data_statements::signed("west", 90).into_message().encode_to_vec()),
        numbered("DataStatement", &data_statements::statement("west", 90).into_message().encode_to_vec()),
        numbered("DataStatement", &several.into_message().encode_to_vec()),
        numbered("SharePolicyRequest", &policy_summaries::signed("west", 90).into_message().encode_to_vec()),
        numbered("PolicySummary", &policy_summaries::summary("west", 90).into_message().encode_to_vec()),
        numbered("GetInstitutionRequest", &text(1, "west")),
        numbered("Blob", &blob().into_message().encode_to_vec()),
        numbered("Refusal", &refused.encode_to_vec()),
        numbered("AcceptRequest", &text(1, assignment)),
        numbered(
            "RefuseRequest",
            &v1::RefuseRequest { assignment: assignment.to_owned(), refusal: Some(refused) }.encode_to_vec(),
        ),
        numbered("ReportFailureRequest", &[text(1, assignment), text(2, key), text(3, "no room")].concat()),
        numbered("StatRequest", &text(1, &digest)),
        numbered("DownloadRequest", &[text(1, &digest), vec![16, 5]].concat()),
        numbered("UploadRequest", &text(2, "chunk")),
        numbered("UploadRequest", &compressed.encode_to_vec()),
        numbered("EnrollRequest", &enroll.encode_to_vec()),
        numbered("RenewRequest", &renew.encode_to_vec()),
        numbered("CoordinatorKey", &rotated.named()[1].clone().into_message().encode_to_vec()),
        numbered("InviteInstitutionRequest", &text(1, "west")),
        numbered(
            "SubmitJobRequest",
            &v1::SubmitJobRequest { plan_toml, idempotency_key: key.to_owned() }.encode_to_vec(),
        ),
        numbered("ControlJobRequest", &[text(1, "j-0a1b2c3d"), vec![18, 0]].concat()),
        numbered("ControlJobRequest", &[text(1, "j-0a1b2c3d"), vec![42, 6], text(1, "west")].concat()),
        numbered("ForkJobRequest", &[text(1, "j-0a1b2c3d"), text(4, key)].concat()),
        numbered("GetSpecialistRequest", &text(1, "west-red@2")),
        numbered(
            "GetSpecialistResponse",
            &v1::GetSpecialistResponse { specialist_json: specialist }.encode_to_vec(),
        ),
        numbered(
            "ListSpecialistsResponse",
            &v1::ListSpecialistsResponse { specialists_json: vec![listed; 2], page: None }.encode_to_vec(),
        ),
        numbered(
            "GetReleaseResponse",
            &v1::GetReleaseResponse { manifest_json: release, ablations_json: Vec::new() }.encode_to_vec(),
        ),
        numbered("RecordAblationRequest", &releases::ablation().into_message().encode_to_vec()),
        numbered("CreateReleaseRequest", &[text(1, "west-red"), text(2, "note"), text(3, key)].concat()),
    ];
    for assignment in samples::offers() {
        let message = assignment.into_message();
        good.push(numbered("Assignment", &message.encode_to_vec()));
        let poll = v1::PollResponse { revision: 3, assignments: vec![message; 2] };
        good.push(numbered("PollResponse", &poll.encode_to_vec()));
    }
    for job in ["GetJobRequest", "WatchJobRequest", "ControlJobResponse", "SubmitJobResponse"] {
        good.push(numbered(job, &text(1, "j-0a1b2c3d")));
    }
    let token = "[\"jobs\",[1795000000000,\"j-0a1b2c3d\"]]".to_owned();
    let page = Some(v1::PageRequest { limit: 7, token });
    let specialists = v1::ListSpecialistsRequest {
        page: None,
        tasks: vec![2],
        bands: vec!["red".to_owned()],
        institutions: vec!["west".to_owned()],
        since: 5,
    };
    good.push(numbered("ListSpecialistsRequest", &specialists.encode_to_vec()));
    let jobs = v1::ListJobsRequest { page, states: vec![2, 4], kinds: vec![1], since: 5 };
    good.push(numbered("ListJobsRequest", &jobs.encode_to_vec()));
    let members = v1::ListInstitutionsRequest { page: None, name: "we".to_owned(), states: vec![1, 3] };
    good.push(numbered("ListInstitutionsRequest", &members.encode_to_vec()));
    let people = v1::ListPeopleRequest { role: 2, page: None, name: "ad".to_owned(), states: vec![2] };
    good.push(numbered("ListPeopleRequest", &people.encode_to_vec()));
    let releases = v1::ListReleasesRequest { page: None, since: 5, specialist: "west-red".to_owned() };
    good.push(numbered("ListReleasesRequest", &releases.encode_to_vec()));
    let token = "[\"what jobs keep\",[7,\"j-0a1b2c3d\"]]".to_owned();
    let page = Some(v1::PageRequest { limit: 7, token });
    let storage = v1::GetStorageRequest { page, states: vec![2, 4], kinds: vec![1], since: 5 };
    good.push(numbered("GetStorageRequest", &storage.encode_to_vec()));
    // Lists of twenty thousand empty entries, and a length beyond the end.
    let odd = vec![
        numbered("HeartbeatRequest", &[42, 0].repeat(20_000)),
        numbered("SubmitUpdateRequest", &[50, 0].repeat(20_000)),
        numbered("PollResponse", &[18, 0].repeat(20_000)),
        numbered("Refusal", &[&[18, 0xff, 0xff, 0xff, 0x7f][..], &[b'x'; 100]].concat()),
        numbered("ListJobsResponse", &[10, 0].repeat(20_000)),
    ];
    Seeds { good, odd }
}
