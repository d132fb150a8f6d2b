//! The services of the lying coordinator. It accepts everything, and keeps what it gets.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eosfed_common::assignment::BlobRef;
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::digest::Digest;
use eosfed_common::model::{initial_weights, signature};
use eosfed_common::weights::write;
use eosfed_coordinator::tls::Authority;
use eosfed_proto::v1;
use eosfed_proto::v1::blobs_server::Blobs;
use eosfed_proto::v1::enrollment_server::Enrollment;
use eosfed_proto::v1::participant_server::Participant;
use eosfed_testkit::signing;
use eosfed_transport::compression::decompress;
use eosfed_transport::wire::coordinator_keys_message;
use prost::Message;
use serde_json::{Value, json};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::lies::{Lie, model};
use super::record::{Reader, Record};
use super::renewals::{Answer, due};
use super::{DAY, VICTIM};

/// Seed of the starting weights.
const SEED: u64 = 1;
/// The token of every lease.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Time between two looks at what is offered.
const LOOK: Duration = Duration::from_millis(50);

/// What it offers and what it has got.
struct Inner {
    lies: Vec<Lie>,
    /// Index of what is offered.
    at: usize,
    blobs: BTreeMap<String, Vec<u8>>,
    /// Heartbeats of the present offer.
    beats: usize,
    /// What has come since the last offer ended.
    record: Record,
    /// Bytes uploaded since then.
    uploaded: usize,
    /// The answers to renewals that are left, the last one first.
    renewals: Vec<Answer>,
    /// Renewals answered.
    renewed: u64,
}

/// A lying coordinator; clones are the same.
#[derive(Clone)]
pub(super) struct Liar {
    authority: Arc<Authority>,
    base: BlobRef,
    reader: Reader,
    /// Whether a certificate is due for renewal when it is new.
    short: bool,
    inner: Arc<Mutex<Inner>>,
}

impl Liar {
    pub(super) fn new(
        authority: Authority,
        lies: Vec<Lie>,
        mut renewals: Vec<Answer>,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("base");
        write(&path, &signature(&model()), &initial_weights(&model(), SEED))?;
        let bytes = std::fs::read(&path)?;
        let base = BlobRef::of(&bytes);
        let blobs = [(base.digest.to_string(), bytes)].into();
        let short = !renewals.is_empty();
        renewals.reverse();
        let record = Record::default();
        let inner = Inner { lies, at: 0, blobs, beats: 0, record, uploaded: 0, renewals, renewed: 0 };
        let (authority, inner) = (Arc::new(authority), Arc::new(Mutex::new(inner)));
        Ok(Self { authority, base, reader: Reader::new()?, short, inner })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offer(&self) -> Option<v1::Assignment> {
        let inner = self.lock();
        let lie = inner.lies.get(inner.at).filter(|lie| **lie != Lie::Nothing);
        lie.map(|lie| lie.offer(inner.at, self.base))
    }

    fn issued(&self, certificate: anyhow::Result<String>) -> Result<Response<v1::EnrollResponse>, Status> {
        let certificate_pem = certificate.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let ca_pem = self.authority.certificate_pem().to_owned();
        let expires_at = SystemClock.now().plus(DAY).0;
        let coordinator_keys = coordinator_keys_message(signing::coordinator().named());
        Ok(Response::new(v1::EnrollResponse { certificate_pem, ca_pem, expires_at, coordinator_keys }))
    }

    /// Withdraws the present offer.
    pub(super) fn withdraw(&self) {
        self.ended("withdrawn", json!({}));
    }

    /// Keeps a request, and gives its message, which is called `name` in the protocol.
    fn noted<M: Message>(&self, name: &str, request: Request<M>) -> Result<M, Status> {
        let message = request.into_inner();
        self.note(name, &message)?;
        Ok(message)
    }

    fn note(&self, name: &str, message: &impl Message) -> Result<(), Status> {
        let noted = self.reader.note(&mut self.lock().record, name, message);
        noted.map_err(|error| Status::internal(error.to_string()))
    }

    /// The present offer has come to an end in this way: prints it, and goes to the next.
    fn ended(&self, how: &str, mut details: Value) {
        let mut inner = self.lock();
        let Some(lie) = inner.lies.get(inner.at).copied() else { return };
        details["lie"] = json!(lie);
        details["end"] = json!(how);
        details["heartbeats"] = json!(inner.beats);
        details["uploaded"] = json!(inner.uploaded);
        details["seen"] = json!(inner.record);
        println!("{details}");
        inner.at += 1;
        inner.beats = 0;
        inner.uploaded = 0;
        inner.record = Record::default();
    }
}

#[tonic::async_trait]
impl Enrollment for Liar {
    async fn enroll(
        &self,
        request: Request<v1::EnrollRequest>,
    ) -> Result<Response<v1::EnrollResponse>, Status> {
        let request = self.noted("EnrollRequest", request)?.signing_request_pem;
        let certified = if self.short {
            due(&self.authority, &request)
        } else {
            Answer::Right.certificate(&self.authority, &request)
        };
        self.issued(certified)
    }

    async fn renew(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::EnrollResponse>, Status> {
        let request = self.noted("RenewRequest", request)?.signing_request_pem;
        let answer = self.lock().renewals.pop().ok_or_else(|| Status::unavailable("not now"))?;
        println!("{}", json!({ "renewal": answer }));
        self.lock().renewed += 1;
        self.issued(answer.certificate(&self.authority, &request))
    }
}

#[tonic::async_trait]
impl Participant for Liar {
    async fn hello(&self, request: Request<v1::HelloRequest>) -> Result<Response<v1::HelloResponse>, Status> {
        self.noted("HelloRequest", request)?;
        Ok(Response::new(v1::HelloResponse {
            protocol: v1::ProtocolVersion::ProtocolVersion2.into(),
            version: "0.1.0".to_owned(),
            institution: VICTIM.to_owned(),
            coordinator_keys: coordinator_keys_message(signing::coordinator().named()),
            now_ms: 0,
            takes_points: true,
        }))
    }

    async fn poll(&self, request: Request<v1::PollRequest>) -> Result<Response<v1::PollResponse>, Status> {
        // A revision for each offer and renewal; the first is 1.
        let revision = || {
            let inner = self.lock();
            inner.at as u64 + inner.renewed + 1
        };
        let v1::PollRequest { seen_revision, wait_ms } = self.noted("PollRequest", request)?;
        for _ in 0..u64::from(wait_ms) / LOOK.as_millis() as u64 {
            if revision() != seen_revision {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        let assignments = self.offer().into_iter().collect();
        Ok(Response::new(v1::PollResponse { revision: revision(), assignments }))
    }

    async fn accept(
        &self,
        request: Request<v1::AcceptRequest>,
    ) -> Result<Response<v1::AcceptResponse>, Status> {
        self.noted("AcceptRequest", request)?;
        let expires_at = SystemClock.now().plus(DAY).0;
        Ok(Response::new(v1::AcceptResponse { lease_token: TOKEN.to_owned(), expires_at }))
    }

    async fn refuse(
        &self,
        request: Request<v1::RefuseRequest>,
    ) -> Result<Response<v1::RefuseResponse>, Status> {
        let v1::Refusal { reason, message } =
            self.noted("RefuseRequest", request)?.refusal.unwrap_or_default();
        self.ended("refused", json!({ "reason": reason, "message": message }));
        Ok(Response::new(v1::RefuseResponse {}))
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatResponse>, Status> {
        self.noted("HeartbeatRequest", request)?;
        self.lock().beats += 1;
        let expires_at = Some(SystemClock.now().plus(DAY).0);
        Ok(Response::new(v1::HeartbeatResponse { expires_at, stop: None }))
    }

    async fn submit_update(
        &self,
        request: Request<v1::SubmitUpdateRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        let v1::SubmitUpdateRequest { weights, report, .. } = self.noted("SubmitUpdateRequest", request)?;
        let report = report.unwrap_or_default();
        let metrics: Vec<_> = report.metrics.iter().map(|metric| metric.name.clone()).collect();
        let details = json!({
            "weights": weights.unwrap_or_default().digest,
            "samples": report.samples,
            "metrics": metrics,
            "kwh": report.energy.unwrap_or_default().kwh,
            "tiles": report.imagery.is_some_and(|imagery| imagery.width > 0),
        });
        self.ended("submitted", details);
        Ok(Response::new(v1::SubmitResponse { recorded_at: SystemClock.now().0 }))
    }

    async fn submit_statistics(
        &self,
        request: Request<v1::SubmitStatisticsRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        self.noted("SubmitStatisticsRequest", request)?;
        self.ended("statistics", json!({}));
        Ok(Response::new(v1::SubmitResponse { recorded_at: SystemClock.now().0 }))
    }

    async fn submit_evaluation(
        &self,
        request: Request<v1::SubmitEvaluationRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        self.noted("SubmitEvaluationRequest", request)?;
        self.ended("evaluation", json!({}));
        Ok(Response::new(v1::SubmitResponse { recorded_at: SystemClock.now().0 }))
    }

    async fn report_failure(
        &self,
        request: Request<v1::ReportFailureRequest>,
    ) -> Result<Response<v1::ReportFailureResponse>, Status> {
        let message = self.noted("ReportFailureRequest", request)?.message;
        self.ended("failed", json!({ "message": message }));
        Ok(Response::new(v1::ReportFailureResponse {}))
    }

    async fn state_data(
        &self,
        request: Request<v1::StateDataRequest>,
    ) -> Result<Response<v1::StateDataResponse>, Status> {
        self.noted("StateDataRequest", request)?;
        Ok(Response::new(v1::StateDataResponse { recorded_at: SystemClock.now().0 }))
    }

    async fn share_policy(
        &self,
        request: Request<v1::SharePolicyRequest>,
    ) -> Result<Response<v1::SharePolicyResponse>, Status> {
        self.noted("SharePolicyRequest", request)?;
        Ok(Response::new(v1::SharePolicyResponse { recorded_at: SystemClock.now().0 }))
    }
}

#[tonic::async_trait]
impl Blobs for Liar {
    type DownloadStream = Pin<Box<dyn Stream<Item = Result<v1::DownloadResponse, Status>> + Send>>;

    async fn stat(&self, request: Request<v1::StatRequest>) -> Result<Response<v1::StatResponse>, Status> {
        let digest = self.noted("StatRequest", request)?.digest;
        let found = self.lock().blobs.get(&digest).map(Vec::len);
        let bytes = found.unwrap_or_default() as u64;
        Ok(Response::new(v1::StatResponse { complete: found.is_some(), bytes, zstd: true }))
    }

    async fn download(
        &self,
        request: Request<v1::DownloadRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        let v1::DownloadRequest { digest, offset } = self.noted("DownloadRequest", request)?;
        let blob = self.lock().blobs.get(&digest).cloned().ok_or_else(|| Status::not_found(digest))?;
        let rest = blob.get(offset as usize..).ok_or_else(|| Status::out_of_range("offset"))?;
        let parts: Vec<_> = rest
            .chunks(1 << 20)
            .map(|chunk| Ok(v1::DownloadResponse { chunk: chunk.to_vec().into() }))
            .collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(parts))))
    }

    async fn upload(
        &self,
        request: Request<Streaming<v1::UploadRequest>>,
    ) -> Result<Response<v1::UploadResponse>, Status> {
        let mut stream = request.into_inner();
        let mut bytes = Vec::new();
        while let Some(message) = stream.message().await? {
            self.note("UploadRequest", &message)?;
            let v1::UploadRequest { part } = message;
            let chunk = match part {
                Some(v1::upload_request::Part::Chunk(chunk)) => chunk,
                Some(v1::upload_request::Part::ZstdChunk(frame)) => {
                    decompress(&frame).map_err(Status::invalid_argument)?.into()
                }
                Some(v1::upload_request::Part::Header(_)) | None => continue,
            };
            self.lock().uploaded += chunk.len();
            bytes.extend_from_slice(&chunk);
        }
        let size = bytes.len() as u64;
        self.lock().blobs.insert(Digest::of(&bytes).to_string(), bytes);
        Ok(Response::new(v1::UploadResponse { bytes: size }))
    }
}
