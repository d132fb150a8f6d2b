//! A coordinator over gRPC.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use eosfed_common::assignment::{
    Assignment, BlobRef, Directive, EvaluationSubmission, Lease, Offered, StatisticsSubmission,
    UpdateSubmission, Work,
};
use eosfed_common::card::{Card, ReleaseManifest};
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::head::{HeadOver, MAX_HEAD_BYTES};
use eosfed_common::ids::{AssignmentId, LeaseToken};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::signing::{KeySignature, PinnedKeys};
use eosfed_common::statements::AssignmentStatement;
use eosfed_common::training_target::TrainingTarget;
use eosfed_proto::v1;
use eosfed_proto::v1::enrollment_client::EnrollmentClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_transport::channel::{ChannelError, ChannelOptions, Transport, open_with};
use eosfed_transport::meter::Meter;
use eosfed_transport::protocol::{PROTOCOL, VERSION, agree};
use eosfed_transport::status::from_status;
use eosfed_transport::transfer;
use eosfed_transport::wire::{Heartbeat, Wire as _, WireError, coordinator_keys};

use super::{Coordinator, Greeting, Issued, Offers, UploadGuard};
use crate::site::Credentials;

/// What an offer has become.
enum Read {
    /// It can be considered.
    Known(Box<Assignment<Offered>>),
    /// This version does not know the work. Holds the reason.
    Unknown(AssignmentId, Refusal),
}

/// Checks the coordinator's signature of an offer.
///
/// # Errors
/// With what a person can do.
fn check_signature(offer: &Assignment<Offered>, signature: &str, keys: &PinnedKeys) -> Result<(), Refusal> {
    let refused = |why: &dyn fmt::Display| {
        let message = format!(
            "the assignment is not signed as it must be: {why}; ask the coordinator's operator who has changed \
             the assignment or the signing key"
        );
        Refusal::new(Reason::NotSigned, message)
    };
    if keys.0.is_empty() {
        let message = "the coordinator has named no signing key; it must be updated";
        return Err(Refusal::new(Reason::NotSigned, message));
    }
    if signature.is_empty() {
        return Err(refused(&"it has no signature"));
    }
    let signature: KeySignature = signature.parse().map_err(|error| refused(&error))?;
    signature.verify(&AssignmentStatement(offer), &keys.0).map_err(|error| refused(&error))
}

/// Checks that a release is signed, and lists the base of a one-shot job.
///
/// # Errors
/// With the rule and what was found.
fn check_base(release: &[u8], base: BlobRef, keys: &PinnedKeys) -> Result<(), Refusal> {
    let refused =
        |why: &dyn fmt::Display| Refusal::new(Reason::NotSigned, format!("the weights to start from: {why}"));
    let release: ReleaseManifest = serde_json::from_slice(release).map_err(|error| refused(&error))?;
    release.verify_signature(&keys.0).map_err(|error| refused(&error))?;
    let is_base = |card: &Card| (card.weights, card.weights_bytes) == (base.digest, base.size);
    if release.specialists.iter().any(is_base) {
        return Ok(());
    }
    Err(refused(&format!(
        "release {} has no specialist of {} and {} bytes",
        release.number, base.digest, base.size
    )))
}

/// Reads an offer. A newer coordinator may ask for work of a kind that this version does not know. That
/// work is declined; the rest can be done.
///
/// # Errors
/// If the offer has no id by which it could be declined.
fn read_offer(offer: v1::Assignment) -> Result<Read, Refusal> {
    let id = offer.id.parse::<AssignmentId>();
    match (Assignment::from_message(offer), id) {
        (Ok(assignment), _) => Ok(Read::Known(Box::new(assignment))),
        (Err(error), Ok(id)) => Ok(Read::Unknown(id, unknown(&error))),
        (Err(error), Err(_)) => Err(unreadable(&error)),
    }
}

fn unknown(error: &dyn fmt::Display) -> Refusal {
    let message = format!(
        "this client (version {VERSION}) does not know this kind of work: {error}; update the client"
    );
    Refusal::new(Reason::Incompatible, message)
}

/// A coordinator over gRPC.
#[derive(Debug, Clone)]
pub struct GrpcCoordinator {
    url: String,
    options: ChannelOptions,
    transport: Arc<RwLock<Transport>>,
    meter: Meter,
    /// The heads of the newest offers, by the digest of their document.
    heads: Arc<Mutex<Heads>>,
    /// The coordinator's signing keys.
    keys: Arc<RwLock<PinnedKeys>>,
}

type Heads = BTreeMap<Digest, Arc<HeadOver>>;

impl GrpcCoordinator {
    /// Connects on first use with these credentials.
    ///
    /// # Errors
    /// If address or certificates cannot be used.
    pub fn new(url: &str, credentials: &Credentials, meter: Meter) -> Result<Self, ChannelError> {
        Self::with_options(ChannelOptions::default(), url, credentials, meter)
    }

    /// Connects on first use with these options and credentials.
    ///
    /// # Errors
    /// If address or certificates cannot be used.
    pub fn with_options(
        options: ChannelOptions,
        url: &str,
        credentials: &Credentials,
        meter: Meter,
    ) -> Result<Self, ChannelError> {
        let transport =
            open_with(&options, url, &credentials.ca_pem, Some(&credentials.pair), meter.clone())?;
        let transport = Arc::new(RwLock::new(transport));
        let heads = Arc::default();
        let keys = Arc::new(RwLock::new(credentials.pinned.clone()));
        Ok(Self { url: url.to_owned(), options, transport, meter, heads, keys })
    }

    fn transport(&self) -> Transport {
        self.transport.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keys(&self) -> PinnedKeys {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn participant(&self) -> ParticipantClient<Transport> {
        ParticipantClient::new(self.transport())
    }

    /// The offers of an answer, each with its head. An offer whose head cannot be downloaded or parsed is
    /// declined.
    ///
    /// # Errors
    /// If a head did not arrive and may arrive at the next try.
    async fn offers(&self, revision: u64, offers: Vec<v1::Assignment>) -> Result<Offers, Refusal> {
        let mut heads = Heads::new();
        let mut assignments = Vec::new();
        let mut unknown = Vec::new();
        let keys = self.keys();
        for offer in offers {
            let signature = offer.signature.clone();
            let assignment = match read_offer(offer)? {
                Read::Known(assignment) => *assignment,
                Read::Unknown(id, why) => {
                    unknown.push((id, why));
                    continue;
                }
            };
            if let Err(why) = self.verify(&assignment, &signature, &keys).await {
                if why.reason.is_transient() {
                    return Err(why);
                }
                unknown.push((assignment.id, why));
                continue;
            }
            match self.training_target(&assignment.training_target, &mut heads).await {
                Ok(training_target) => assignments.push(assignment.with(|_| training_target)),
                Err(refusal) if refusal.reason.is_transient() => return Err(refusal),
                Err(refusal) => unknown.push((assignment.id, refusal)),
            }
        }
        *self.heads.lock().unwrap_or_else(PoisonError::into_inner) = heads;
        Ok(Offers { revision, assignments, unknown })
    }

    /// Checks the signature of an offer, and that of the release that lists its base, if it names one.
    async fn verify(
        &self,
        offer: &Assignment<Offered>,
        signature: &str,
        keys: &PinnedKeys,
    ) -> Result<(), Refusal> {
        check_signature(offer, signature, keys)?;
        let Work::Training(work) = &offer.work else { return Ok(()) };
        let (Some(base), Some(release)) = (work.base, work.base_release) else { return Ok(()) };
        check_base(&self.document(release).await?, base, keys)
    }

    /// Downloads a document.
    async fn document(&self, document: BlobRef) -> Result<Vec<u8>, Refusal> {
        let fetched = transfer::fetch_document(self.transport(), document, MAX_HEAD_BYTES as u64);
        tokio::time::timeout(CALL_TIMEOUT, fetched).await.unwrap_or_else(|_| late(CALL_TIMEOUT))
    }

    /// The training target. The document of a head is downloaded once, as long as it is offered.
    async fn training_target(&self, offered: &Offered, heads: &mut Heads) -> Result<TrainingTarget, Refusal> {
        let document = match offered {
            Offered::Specialist(model) => return Ok(TrainingTarget::Specialist(model.clone())),
            Offered::Bands(bands) => return Ok(TrainingTarget::Bands(bands.clone())),
            Offered::Head(document) => *document,
        };
        let known = self.heads.lock().unwrap_or_else(PoisonError::into_inner).get(&document.digest).cloned();
        let over = match known.or_else(|| heads.get(&document.digest).cloned()) {
            Some(over) => over,
            None => {
                let bytes = self.document(document).await?;
                let over = HeadOver::from_bytes(&bytes).map_err(|error| unknown(&error))?;
                over.release.verify_signature(&self.keys().0).map_err(|error| {
                    let message = format!("{error}; let the operator make a new release");
                    Refusal::new(Reason::NotSigned, message)
                })?;
                Arc::new(over)
            }
        };
        heads.insert(document.digest, Arc::clone(&over));
        Ok(TrainingTarget::Head(Box::new(HeadOver::clone(&over))))
    }
}

/// Timeout of a call that the coordinator answers at once.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The answer to a call, or the refusal for its status or for a missing answer.
async fn answer<T>(
    timeout: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, Refusal> {
    match tokio::time::timeout(timeout, call).await {
        Ok(answered) => answered.map(tonic::Response::into_inner).map_err(|status| from_status(&status)),
        Err(_) => late(timeout),
    }
}

fn late<T>(timeout: Duration) -> Result<T, Refusal> {
    Err(Refusal::new(Reason::Unavailable, format!("no answer within {} s", timeout.as_secs())))
}

/// An answer that this version cannot read.
fn unreadable(error: &WireError) -> Refusal {
    Refusal::new(Reason::Incompatible, format!("the coordinator's answer cannot be read: {error}"))
}

impl Coordinator for GrpcCoordinator {
    async fn hello(&self) -> Result<Greeting, Refusal> {
        let request = v1::HelloRequest { protocol: PROTOCOL.into(), version: VERSION.to_owned() };
        let v1::HelloResponse { protocol, version, institution, coordinator_keys: keys } =
            answer(CALL_TIMEOUT, self.participant().hello(request)).await?;
        agree("client", "coordinator", protocol, &version)?;
        let coordinator_keys = coordinator_keys(keys).map_err(|error| unreadable(&error))?;
        Ok(Greeting { institution, coordinator_keys })
    }

    async fn poll(&self, seen: u64, wait: Duration) -> Result<Offers, Refusal> {
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        let request = v1::PollRequest { seen_revision: seen, wait_ms };
        let v1::PollResponse { revision, assignments } =
            answer(wait + CALL_TIMEOUT, self.participant().poll(request)).await?;
        self.offers(revision, assignments).await
    }

    async fn accept(&self, id: &AssignmentId) -> Result<Lease, Refusal> {
        let request = v1::AcceptRequest { assignment: id.to_string() };
        let lease = answer(CALL_TIMEOUT, self.participant().accept(request)).await?;
        Lease::from_message(lease).map_err(|error| unreadable(&error))
    }

    async fn decline(&self, id: &AssignmentId, why: Refusal) -> Result<(), Refusal> {
        let request = v1::RefuseRequest { assignment: id.to_string(), refusal: Some(why.into_message()) };
        let v1::RefuseResponse {} = answer(CALL_TIMEOUT, self.participant().refuse(request)).await?;
        Ok(())
    }

    async fn heartbeat(&self, heartbeat: Heartbeat) -> Result<Directive, Refusal> {
        let request = heartbeat.into_message();
        let response = answer(CALL_TIMEOUT, self.participant().heartbeat(request)).await?;
        Directive::from_message(response).map_err(|error| unreadable(&error))
    }

    async fn download(&self, blob: BlobRef, path: &Path) -> Result<(), Refusal> {
        transfer::download(self.transport(), blob, path).await
    }

    async fn upload(&self, path: &Path, blob: BlobRef, guard: UploadGuard) -> Result<(), Refusal> {
        transfer::upload(self.transport(), path, blob, move |bytes| guard(bytes)).await
    }

    async fn submit_update(&self, update: UpdateSubmission) -> Result<Timestamp, Refusal> {
        let request = update.into_message();
        let v1::SubmitResponse { recorded_at } =
            answer(CALL_TIMEOUT, self.participant().submit_update(request)).await?;
        Ok(Timestamp(recorded_at))
    }

    async fn submit_statistics(&self, statistics: StatisticsSubmission) -> Result<Timestamp, Refusal> {
        let request = statistics.into_message();
        let v1::SubmitResponse { recorded_at } =
            answer(CALL_TIMEOUT, self.participant().submit_statistics(request)).await?;
        Ok(Timestamp(recorded_at))
    }

    async fn submit_evaluation(&self, scores: EvaluationSubmission) -> Result<Timestamp, Refusal> {
        let request = scores.into_message();
        let v1::SubmitResponse { recorded_at } =
            answer(CALL_TIMEOUT, self.participant().submit_evaluation(request)).await?;
        Ok(Timestamp(recorded_at))
    }

    async fn report_failure(
        &self,
        id: &AssignmentId,
        token: &LeaseToken,
        why: &Refusal,
    ) -> Result<(), Refusal> {
        // The conversion of the refusal cuts the text to the limit of messages.
        let v1::Refusal { reason: _, message } = why.clone().into_message();
        let assignment = id.to_string();
        let lease_token = token.expose().to_owned();
        let request = v1::ReportFailureRequest { assignment, lease_token, message };
        let v1::ReportFailureResponse {} =
            answer(CALL_TIMEOUT, self.participant().report_failure(request)).await?;
        Ok(())
    }

    async fn renew(&self, signing_request_pem: String, proof: KeySignature) -> Result<Issued, Refusal> {
        let mut client = EnrollmentClient::new(self.transport());
        let request = v1::RenewRequest { signing_request_pem, signing_key_proof: proof.to_string() };
        let v1::EnrollResponse { certificate_pem, ca_pem, expires_at: _, coordinator_keys: keys } =
            answer(CALL_TIMEOUT, client.renew(request)).await?;
        let coordinator_keys = coordinator_keys(keys).map_err(|error| unreadable(&error))?;
        Ok(Issued { certificate_pem, ca_pem, coordinator_keys })
    }

    fn replace(&self, credentials: &Credentials) -> Result<(), ChannelError> {
        let pair = Some(&credentials.pair);
        let meter = self.meter.clone();
        let fresh = open_with(&self.options, &self.url, &credentials.ca_pem, pair, meter)?;
        *self.transport.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = credentials.pinned.clone();
        Ok(())
    }
}
