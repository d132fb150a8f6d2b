//! The services of the lying coordinator. It accepts everything, and keeps what it gets.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eosfed_common::assignment::BlobRef;
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::digest::Digest;
use eosfed_common::identity::Identity;
use eosfed_common::model::{initial_weights, signature};
use eosfed_common::weights::write;
use eosfed_coordinator::tls::Authority;
use eosfed_proto::v1;
use eosfed_proto::v1::blobs_server::Blobs;
use eosfed_proto::v1::enrollment_server::Enrollment;
use eosfed_proto::v1::participant_server::Participant;
use eosfed_testkit::signing;
use eosfed_transport::wire::coordinator_keys_message;
use serde_json::{Value, json};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::lies::{Lie, model};
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
}

/// A lying coordinator; clones are the same.
#[derive(Clone)]
pub(super) struct Liar {
    authority: Arc<Authority>,
    base: BlobRef,
    inner: Arc<Mutex<Inner>>,
}

impl Liar {
    pub(super) fn new(authority: Authority, lies: Vec<Lie>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("base");
        write(&path, &signature(&model()), &initial_weights(&model(), SEED))?;
        let bytes = std::fs::read(&path)?;
        let base = BlobRef::of(&bytes);
        let blobs = [(base.digest.to_string(), bytes)].into();
        let inner = Inner { lies, at: 0, blobs, beats: 0 };
        Ok(Self { authority: Arc::new(authority), base, inner: Arc::new(Mutex::new(inner)) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offer(&self) -> Option<v1::Assignment> {
        let inner = self.lock();
        inner.lies.get(inner.at).map(|lie| lie.offer(inner.at, self.base))
    }

    /// The present offer has come to an end in this way: prints it, and goes to the next.
    fn ended(&self, how: &str, mut details: Value) {
        let mut inner = self.lock();
        let Some(lie) = inner.lies.get(inner.at).copied() else { return };
        details["lie"] = json!(lie);
        details["end"] = json!(how);
        details["heartbeats"] = json!(inner.beats);
        println!("{details}");
        inner.at += 1;
        inner.beats = 0;
    }
}

#[tonic::async_trait]
impl Enrollment for Liar {
    async fn enroll(
        &self,
        request: Request<v1::EnrollRequest>,
    ) -> Result<Response<v1::EnrollResponse>, Status> {
        let identity = Identity::institution(VICTIM.parse().map_err(|_| Status::internal("a name"))?);
        let now = SystemClock.now();
        let request = request.into_inner().signing_request_pem;
        let certified = self.authority.certify(&request, &identity, now, DAY);
        let certificate_pem = certified.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let ca_pem = self.authority.certificate_pem().to_owned();
        let expires_at = now.plus(DAY).0;
        let coordinator_keys = coordinator_keys_message(signing::coordinator().named());
        Ok(Response::new(v1::EnrollResponse { certificate_pem, ca_pem, expires_at, coordinator_keys }))
    }

    async fn renew(&self, _: Request<v1::RenewRequest>) -> Result<Response<v1::EnrollResponse>, Status> {
        Err(Status::unavailable("not now"))
    }
}

#[tonic::async_trait]
impl Participant for Liar {
    async fn hello(&self, _: Request<v1::HelloRequest>) -> Result<Response<v1::HelloResponse>, Status> {
        Ok(Response::new(v1::HelloResponse {
            protocol: v1::ProtocolVersion::ProtocolVersion2.into(),
            version: "0.1.0".to_owned(),
            institution: VICTIM.to_owned(),
            coordinator_keys: coordinator_keys_message(signing::coordinator().named()),
        }))
    }

    async fn poll(&self, request: Request<v1::PollRequest>) -> Result<Response<v1::PollResponse>, Status> {
        // A revision for each offer; the first is 1.
        let revision = || self.lock().at as u64 + 1;
        let v1::PollRequest { seen_revision, wait_ms } = request.into_inner();
        for _ in 0..u64::from(wait_ms) / LOOK.as_millis() as u64 {
            if revision() != seen_revision {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        let assignments = self.offer().into_iter().collect();
        Ok(Response::new(v1::PollResponse { revision: revision(), assignments }))
    }

    async fn accept(&self, _: Request<v1::AcceptRequest>) -> Result<Response<v1::AcceptResponse>, Status> {
        let expires_at = SystemClock.now().plus(DAY).0;
        Ok(Response::new(v1::AcceptResponse { lease_token: TOKEN.to_owned(), expires_at }))
    }

    async fn refuse(
        &self,
        request: Request<v1::RefuseRequest>,
    ) -> Result<Response<v1::RefuseResponse>, Status> {
        let v1::Refusal { reason, message } = request.into_inner().refusal.unwrap_or_default();
        self.ended("refused", json!({ "reason": reason, "message": message }));
        Ok(Response::new(v1::RefuseResponse {}))
    }

    async fn heartbeat(
        &self,
        _: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatResponse>, Status> {
        self.lock().beats += 1;
        let expires_at = Some(SystemClock.now().plus(DAY).0);
        Ok(Response::new(v1::HeartbeatResponse { expires_at, stop: None }))
    }

    async fn submit_update(
        &self,
        request: Request<v1::SubmitUpdateRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        let v1::SubmitUpdateRequest { weights, report, .. } = request.into_inner();
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
        _: Request<v1::SubmitStatisticsRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        self.ended("statistics", json!({}));
        Ok(Response::new(v1::SubmitResponse { recorded_at: SystemClock.now().0 }))
    }

    async fn submit_evaluation(
        &self,
        _: Request<v1::SubmitEvaluationRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        self.ended("evaluation", json!({}));
        Ok(Response::new(v1::SubmitResponse { recorded_at: SystemClock.now().0 }))
    }

    async fn report_failure(
        &self,
        request: Request<v1::ReportFailureRequest>,
    ) -> Result<Response<v1::ReportFailureResponse>, Status> {
        self.ended("failed", json!({ "message": request.into_inner().message }));
        Ok(Response::new(v1::ReportFailureResponse {}))
    }
}

#[tonic::async_trait]
impl Blobs for Liar {
    type DownloadStream = Pin<Box<dyn Stream<Item = Result<v1::DownloadResponse, Status>> + Send>>;

    async fn stat(&self, request: Request<v1::StatRequest>) -> Result<Response<v1::StatResponse>, Status> {
        let found = self.lock().blobs.get(&request.into_inner().digest).map(Vec::len);
        let bytes = found.unwrap_or_default() as u64;
        Ok(Response::new(v1::StatResponse { complete: found.is_some(), bytes }))
    }

    async fn download(
        &self,
        request: Request<v1::DownloadRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        let v1::DownloadRequest { digest, offset } = request.into_inner();
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
        while let Some(v1::UploadRequest { part }) = stream.message().await? {
            if let Some(v1::upload_request::Part::Chunk(chunk)) = part {
                bytes.extend_from_slice(&chunk);
            }
        }
        let size = bytes.len() as u64;
        self.lock().blobs.insert(Digest::of(&bytes).to_string(), bytes);
        Ok(Response::new(v1::UploadResponse { bytes: size }))
    }
}
