//! A coordinator of a few lines: one assignment, real TLS, and switches for what can go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use eosfed_common::assignment::{Assignment, BlobRef, Directive, Offered, Work};
use eosfed_common::digest::Digest;
use eosfed_common::model::ModelSpec;
use eosfed_common::plan::JobKind;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::signing::SigningKey;
use eosfed_common::training_target::TrainingTarget;
use eosfed_proto::v1;
use eosfed_proto::v1::blobs_server::Blobs;
use eosfed_proto::v1::enrollment_server::Enrollment;
use eosfed_proto::v1::participant_server::Participant;
use eosfed_testkit::cards::classifier;
use eosfed_testkit::{assignments, releases, signing};
use eosfed_transport::status::to_status;
use eosfed_transport::wire::{Wire, coordinator_keys_message, signed_assignment};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

/// What the coordinator knows, and its switches.
#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) assignment: Option<Assignment>,
    pub(crate) updates: BTreeMap<String, v1::SubmitUpdateRequest>,
    pub(crate) statistics: Vec<v1::SubmitStatisticsRequest>,
    pub(crate) scores: Vec<v1::SubmitEvaluationRequest>,
    pub(crate) failures: Vec<String>,
    pub(crate) statements: Vec<v1::StateDataRequest>,
    pub(crate) policies: Vec<v1::SharePolicyRequest>,
    /// Data statements are not known, as in earlier versions.
    pub(crate) no_statements: bool,
    pub(crate) refusals: Vec<v1::Refusal>,
    pub(crate) points: Vec<v1::CurvePoint>,
    pub(crate) beats: usize,
    /// How often it was greeted.
    pub(crate) greetings: usize,
    /// Steps done and in all, as heartbeats have told.
    pub(crate) steps: BTreeSet<(u64, u64)>,
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    /// What has arrived of uploads.
    pub(crate) partial: BTreeMap<String, Vec<u8>>,
    /// Where uploads began.
    pub(crate) offsets: Vec<u64>,
    pub(crate) tokens: BTreeSet<String>,
    /// Nothing is answered.
    pub(crate) down: bool,
    /// Downloads end in the middle.
    pub(crate) hold_downloads: bool,
    /// Downloads do not begin.
    pub(crate) no_downloads: bool,
    /// Submissions are recorded, but the answer is lost.
    pub(crate) lose_answers: bool,
    /// How long each chunk of an upload takes.
    pub(crate) upload_pause: Duration,
    /// Results are not taken now.
    pub(crate) hold_results: bool,
    /// Acceptances wait.
    pub(crate) hold_accept: bool,
    /// How many have been asked for.
    pub(crate) accepting: usize,
    /// Heartbeats are told to stop.
    pub(crate) stop: bool,
    /// The protocol that it says it speaks, where that is not this version's.
    pub(crate) protocol: Option<i32>,
    /// Beside the assignment, work of a kind that this version does not know is offered.
    pub(crate) news: bool,
    /// The document of a head does not describe one.
    pub(crate) bad_head: bool,
    /// The certificate that a renewal is answered with, made of the request.
    pub(crate) issue: Option<Issue>,
    /// The key that signs assignments, where it is not the coordinator's.
    pub(crate) signer: Option<SigningKey>,
    /// What changes an assignment after it was signed.
    pub(crate) lie: Option<Lie>,
    /// Whether a base comes without the release that lists it.
    pub(crate) bare_base: bool,
    /// Whether the releases of heads are not signed.
    pub(crate) unsigned_heads: bool,
    /// How many renewals have been asked for.
    pub(crate) renewals: usize,
    /// An earlier version, which does not read points of an update.
    pub(crate) earlier: bool,
}

/// A signed release that lists a base, as a document of the coordinator.
pub(crate) fn release_of(base: BlobRef, key: &SigningKey) -> (BlobRef, Vec<u8>) {
    released(base, classifier(), key)
}

/// The same, whose specialist has this network.
pub(crate) fn released(base: BlobRef, model: ModelSpec, key: &SigningKey) -> (BlobRef, Vec<u8>) {
    let mut release = releases::release();
    release.specialists[0].model = model;
    release.specialists[0].weights = base.digest;
    release.specialists[0].weights_bytes = base.size;
    release.sign(None, key);
    let bytes = serde_json::to_vec(&release).unwrap();
    (BlobRef::of(&bytes), bytes)
}

/// Changes an assignment after it was signed.
pub(crate) struct Lie(pub(crate) Box<dyn Fn(&mut v1::Assignment) + Send>);

impl fmt::Debug for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lie")
    }
}

/// Makes the certificate that answers a request.
pub(crate) struct Issue(pub(crate) Box<dyn Fn(&str) -> v1::EnrollResponse + Send>);

impl fmt::Debug for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Issue")
    }
}

#[tonic::async_trait]
impl Enrollment for Fake {
    async fn enroll(&self, _: Request<v1::EnrollRequest>) -> Result<Response<v1::EnrollResponse>, Status> {
        Err(Status::unimplemented("nobody joins here"))
    }

    async fn renew(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::EnrollResponse>, Status> {
        let mut inner = self.up()?;
        inner.renewals += 1;
        let Some(Issue(issue)) = &inner.issue else { return Err(Status::unavailable("not now")) };
        Ok(Response::new(issue(&request.into_inner().signing_request_pem)))
    }
}

impl Inner {
    /// The assignment as it is offered; the document of a head becomes a blob.
    fn offers(&mut self) -> Option<Assignment<Offered>> {
        let mut assignment = self.assignment.clone()?;
        if let Work::Training(work) = &mut assignment.work
            && let (JobKind::OneShot, Some(base), None) = (assignment.kind, work.base, work.base_release)
            && !self.bare_base
        {
            let (release, bytes) = release_of(base, signing::coordinator().key());
            self.blobs.insert(release.digest.to_string(), bytes);
            work.base_release = Some(release);
        }
        let mut document = assignments::blob();
        if let TrainingTarget::Head(over) = &assignment.training_target {
            let mut over = over.clone();
            if !self.unsigned_heads {
                over.release.sign(None, signing::coordinator().key());
            }
            let bytes = if self.bad_head { b"{}".to_vec() } else { over.to_bytes().unwrap() };
            document = BlobRef::of(&bytes);
            self.blobs.insert(document.digest.to_string(), bytes);
        }
        Some(assignments::offered(assignment, document))
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<Inner>>);

impl Fake {
    pub(crate) fn offering(assignment: Assignment) -> Self {
        let fake = Self::default();
        fake.get().assignment = Some(assignment);
        fake
    }

    pub(crate) fn get(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    fn up(&self) -> Result<MutexGuard<'_, Inner>, Status> {
        let inner = self.get();
        if inner.down { Err(Status::unavailable("switched off")) } else { Ok(inner) }
    }

    fn holder(&self, token: &str) -> Result<MutexGuard<'_, Inner>, Status> {
        let inner = self.up()?;
        if inner.tokens.contains(token) {
            return Ok(inner);
        }
        Err(to_status(&Refusal::new(Reason::LeaseMismatch, "not the lease")))
    }
}

#[tonic::async_trait]
impl Participant for Fake {
    async fn hello(&self, _: Request<v1::HelloRequest>) -> Result<Response<v1::HelloResponse>, Status> {
        let mut inner = self.up()?;
        inner.greetings += 1;
        let protocol = inner.protocol.unwrap_or_else(|| v1::ProtocolVersion::ProtocolVersion2.into());
        let version = "0".to_owned();
        let institution = "west".to_owned();
        let coordinator_keys = coordinator_keys_message(signing::coordinator().named());
        let takes_points = !inner.earlier;
        Ok(Response::new(v1::HelloResponse {
            protocol,
            version,
            institution,
            coordinator_keys,
            now_ms: 0,
            takes_points,
        }))
    }

    async fn poll(&self, request: Request<v1::PollRequest>) -> Result<Response<v1::PollResponse>, Status> {
        if request.get_ref().seen_revision == 1 {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        let mut assignments: Vec<v1::Assignment> = {
            let mut inner = self.up()?;
            let key = inner.signer.clone().unwrap_or_else(|| signing::coordinator().key().clone());
            let offer = inner.offers();
            let mut signed: Vec<_> = offer.into_iter().map(|offer| signed_assignment(offer, &key)).collect();
            if let (Some(Lie(lie)), Some(message)) = (&inner.lie, signed.first_mut()) {
                lie(message);
            }
            signed
        };
        if self.get().news
            && let Some(known) = assignments.first().cloned()
        {
            let id = known.id.replacen("j-0", "j-f", 1);
            assignments.insert(0, v1::Assignment { id, work: None, ..known });
        }
        Ok(Response::new(v1::PollResponse { revision: 1, assignments }))
    }

    async fn accept(
        &self,
        request: Request<v1::AcceptRequest>,
    ) -> Result<Response<v1::AcceptResponse>, Status> {
        self.up()?.accepting += 1;
        while self.get().hold_accept {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut inner = self.up()?;
        let wanted = inner.assignment.as_ref().map(|offer| offer.id.to_string());
        if wanted != Some(request.into_inner().assignment) {
            return Err(to_status(&Refusal::new(Reason::RoundClosed, "closed")));
        }
        let lease_token = format!("{:032x}", inner.tokens.len());
        inner.tokens.insert(lease_token.clone());
        Ok(Response::new(v1::AcceptResponse { lease_token, expires_at: u64::MAX }))
    }

    async fn refuse(
        &self,
        request: Request<v1::RefuseRequest>,
    ) -> Result<Response<v1::RefuseResponse>, Status> {
        let mut inner = self.up()?;
        let request = request.into_inner();
        inner.refusals.extend(request.refusal);
        // Refusing work in hand ends it.
        if !inner.tokens.is_empty()
            && inner.assignment.as_ref().is_some_and(|it| it.id.to_string() == request.assignment)
        {
            inner.assignment = None;
        }
        Ok(Response::new(v1::RefuseResponse {}))
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatResponse>, Status> {
        let request = request.into_inner();
        let mut inner = self.holder(&request.lease_token)?;
        inner.beats += 1;
        inner.points.extend(request.points);
        inner.steps.insert((request.step, request.steps));
        let directive = if inner.stop {
            inner.assignment = None;
            Directive::Stop(Refusal::new(Reason::JobEnded, "cancelled"))
        } else {
            Directive::Continue(eosfed_common::clock::Timestamp(u64::MAX))
        };
        Ok(Response::new(directive.into_message()))
    }

    async fn submit_update(
        &self,
        request: Request<v1::SubmitUpdateRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        let request = request.into_inner();
        let mut inner = self.holder(&request.lease_token)?;
        let digest = request.weights.clone().unwrap_or_default().digest;
        if !inner.blobs.contains_key(&digest) {
            return Err(to_status(&Refusal::new(Reason::BlobMissing, "upload first")));
        }
        if !inner.earlier {
            inner.points.extend(request.points.iter().cloned());
        }
        inner.updates.insert(request.idempotency_key.clone(), request);
        if inner.lose_answers {
            return Err(Status::unavailable("lost"));
        }
        inner.assignment = None;
        Ok(Response::new(v1::SubmitResponse { recorded_at: 1 }))
    }

    async fn submit_statistics(
        &self,
        request: Request<v1::SubmitStatisticsRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        let request = request.into_inner();
        let mut inner = self.holder(&request.lease_token)?;
        if inner.hold_results {
            return Err(Status::unavailable("not now"));
        }
        inner.statistics.push(request);
        inner.assignment = None;
        Ok(Response::new(v1::SubmitResponse { recorded_at: 1 }))
    }

    async fn submit_evaluation(
        &self,
        request: Request<v1::SubmitEvaluationRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        let request = request.into_inner();
        let mut inner = self.holder(&request.lease_token)?;
        if inner.hold_results {
            return Err(Status::unavailable("not now"));
        }
        inner.scores.push(request);
        inner.assignment = None;
        Ok(Response::new(v1::SubmitResponse { recorded_at: 1 }))
    }

    async fn report_failure(
        &self,
        request: Request<v1::ReportFailureRequest>,
    ) -> Result<Response<v1::ReportFailureResponse>, Status> {
        let request = request.into_inner();
        let mut inner = self.holder(&request.lease_token)?;
        inner.failures.push(request.message);
        inner.assignment = None;
        Ok(Response::new(v1::ReportFailureResponse {}))
    }

    async fn state_data(
        &self,
        request: Request<v1::StateDataRequest>,
    ) -> Result<Response<v1::StateDataResponse>, Status> {
        let mut inner = self.up()?;
        if inner.no_statements {
            return Err(Status::unimplemented("an earlier version"));
        }
        inner.statements.push(request.into_inner());
        Ok(Response::new(v1::StateDataResponse { recorded_at: 1 }))
    }

    async fn share_policy(
        &self,
        request: Request<v1::SharePolicyRequest>,
    ) -> Result<Response<v1::SharePolicyResponse>, Status> {
        let mut inner = self.up()?;
        if inner.no_statements {
            return Err(Status::unimplemented("an earlier version"));
        }
        inner.policies.push(request.into_inner());
        Ok(Response::new(v1::SharePolicyResponse { recorded_at: 1 }))
    }
}

#[tonic::async_trait]
impl Blobs for Fake {
    type DownloadStream = Pin<Box<dyn Stream<Item = Result<v1::DownloadResponse, Status>> + Send>>;

    async fn stat(&self, request: Request<v1::StatRequest>) -> Result<Response<v1::StatResponse>, Status> {
        let inner = self.up()?;
        let found = inner.blobs.get(&request.get_ref().digest);
        let there = found.or_else(|| inner.partial.get(&request.get_ref().digest));
        let bytes = there.map_or(0, |blob| blob.len() as u64);
        Ok(Response::new(v1::StatResponse { complete: found.is_some(), bytes, zstd: false }))
    }

    async fn download(
        &self,
        request: Request<v1::DownloadRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        let v1::DownloadRequest { digest, offset } = request.into_inner();
        let inner = self.up()?;
        if inner.no_downloads {
            return Err(Status::unavailable("not now"));
        }
        let blob = inner.blobs.get(&digest).ok_or_else(|| Status::not_found(digest))?;
        let rest = &blob[usize::try_from(offset).unwrap()..];
        let mut parts: Vec<Result<v1::DownloadResponse, Status>> = rest
            .chunks(1 << 20)
            .map(|chunk| Ok(v1::DownloadResponse { chunk: chunk.to_vec().into() }))
            .collect();
        // Documents of one part arrive.
        if inner.hold_downloads && parts.len() > 1 {
            parts.truncate(1);
            parts.push(Err(Status::unavailable("cut")));
        }
        Ok(Response::new(Box::pin(tokio_stream::iter(parts))))
    }

    async fn upload(
        &self,
        request: Request<Streaming<v1::UploadRequest>>,
    ) -> Result<Response<v1::UploadResponse>, Status> {
        drop(self.up()?);
        let mut stream = request.into_inner();
        let first = stream.message().await?.and_then(|message| message.part);
        let Some(v1::upload_request::Part::Header(header)) = first else {
            return Err(Status::invalid_argument("no header"));
        };
        let v1::UploadHeader { digest, size: _, offset } = header;
        self.up()?.offsets.push(offset);
        while let Some(v1::UploadRequest { part }) = stream.message().await? {
            if let Some(v1::upload_request::Part::Chunk(chunk)) = part {
                let pause = self.up()?.upload_pause;
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                self.up()?.partial.entry(digest.clone()).or_default().extend_from_slice(&chunk);
            }
        }
        let mut inner = self.up()?;
        let bytes = inner.partial.remove(&digest).unwrap_or_default();
        let size = bytes.len() as u64;
        inner.blobs.insert(Digest::of(&bytes).to_string(), bytes);
        Ok(Response::new(v1::UploadResponse { bytes: size }))
    }
}
