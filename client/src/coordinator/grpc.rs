//! A coordinator over gRPC.

mod offers;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use eosfed_common::assignment::{
    Assignment, BlobRef, Directive, EvaluationSubmission, Lease, Offered, StatisticsSubmission,
    UpdateSubmission, Work,
};
use eosfed_common::clock::Timestamp;
use eosfed_common::data_statement::SignedDataStatement;
use eosfed_common::digest::Digest;
use eosfed_common::head::{HeadOver, MAX_HEAD_BYTES};
use eosfed_common::ids::{AssignmentId, JobId, LeaseToken};
use eosfed_common::policy_summary::SignedPolicySummary;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::signing::{KeySignature, PinnedKeys};
use eosfed_common::training_target::TrainingTarget;
use eosfed_proto::v1;
use eosfed_proto::v1::enrollment_client::EnrollmentClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_transport::channel::{ChannelError, ChannelOptions, Transport, open_with};
use eosfed_transport::meter::Meter;
use eosfed_transport::protocol::{PROTOCOL, VERSION, agree};
use eosfed_transport::status::from_status;
use eosfed_transport::transfer::{self, Start};
use eosfed_transport::wire::{Heartbeat, Wire as _, WireError, bytes_of, coordinator_keys};

use self::offers::{Read, check_base, check_signature, read_offer, unknown};
use super::{Coordinator, Greeting, Issued, OfferGuard, Offers, UploadGuard};
use crate::site::Credentials;

/// A coordinator over gRPC.
#[derive(Debug, Clone)]
pub struct GrpcCoordinator {
    url: String,
    options: ChannelOptions,
    transport: Arc<RwLock<Transport>>,
    meter: Meter,
    /// The documents of the newest offers.
    documents: Arc<Mutex<Documents>>,
    uploads: Arc<Mutex<Uploads>>,
    /// The coordinator's signing keys.
    keys: Arc<RwLock<PinnedKeys>>,
}

/// The documents of offers, by their digest. Each is fetched once, as long as it is offered.
#[derive(Debug, Default)]
struct Documents {
    heads: BTreeMap<Digest, Arc<HeadOver>>,
    /// Releases that list the base of a job.
    releases: BTreeMap<Digest, Arc<[u8]>>,
}

/// What is known of uploads since the coordinator was greeted: so the first try of one does not have to ask.
#[derive(Debug, Default)]
struct Uploads {
    /// Whether the coordinator takes compressed chunks.
    zstd: Option<bool>,
    /// The blob that was tried last.
    tried: Option<Digest>,
}

impl Uploads {
    /// Where the next try of a blob starts.
    fn start(&mut self, digest: Digest) -> Start {
        let again = self.tried.replace(digest) == Some(digest);
        match self.zstd {
            Some(zstd) if !again => Start::AtTheBeginning { zstd },
            _ => Start::WhereItStands,
        }
    }
}

/// For whom documents are fetched.
#[derive(Clone, Copy)]
struct Fetcher<'a> {
    guard: &'a OfferGuard,
    job: &'a JobId,
}

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
        let (documents, uploads) = Default::default();
        let keys = Arc::new(RwLock::new(credentials.pinned.clone()));
        Ok(Self { url: url.to_owned(), options, transport, meter, documents, uploads, keys })
    }

    fn transport(&self) -> Transport {
        self.transport.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keys(&self) -> PinnedKeys {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn uploads(&self) -> MutexGuard<'_, Uploads> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn participant(&self) -> ParticipantClient<Transport> {
        ParticipantClient::new(self.transport())
    }

    /// The offers of an answer, each with its head. An offer whose head cannot be downloaded or parsed is
    /// declined.
    ///
    /// # Errors
    /// If a document did not arrive and may arrive at the next try.
    async fn offers(
        &self,
        revision: u64,
        offers: Vec<v1::Assignment>,
        guard: &OfferGuard,
    ) -> Result<Offers, Refusal> {
        let mut documents = Documents::default();
        let mut assignments = Vec::new();
        let mut unknown = Vec::new();
        for offer in offers {
            let (bytes, signature) = (bytes_of(&offer), offer.signature.clone());
            let read = read_offer(offer)?;
            let id = read.id().clone();
            let considered = match guard(&id.job, bytes) {
                Ok(()) => self.consider(read, &signature, &mut documents, guard).await,
                Err(why) => Err(why),
            };
            match considered {
                Ok(assignment) => assignments.push(assignment),
                Err(why) if why.reason.is_transient() => return Err(why),
                Err(why) => unknown.push((id, why)),
            }
        }
        *self.documents.lock().unwrap_or_else(PoisonError::into_inner) = documents;
        Ok(Offers { revision, assignments, unknown })
    }

    /// One offer, verified and with its head.
    async fn consider(
        &self,
        read: Read,
        signature: &str,
        documents: &mut Documents,
        guard: &OfferGuard,
    ) -> Result<Assignment, Refusal> {
        let offer = match read {
            Read::Known(assignment) => *assignment,
            Read::Unknown(_, why) => return Err(why),
        };
        let job = offer.id.job.clone();
        let fetcher = Fetcher { guard, job: &job };
        self.verify(&offer, signature, documents, fetcher).await?;
        let training_target = self.training_target(&offer.training_target, documents, fetcher).await?;
        Ok(offer.with(|_| training_target))
    }

    /// Checks the signature of an offer, and that of the release that lists its base, if it names one.
    async fn verify(
        &self,
        offer: &Assignment<Offered>,
        signature: &str,
        documents: &mut Documents,
        fetcher: Fetcher<'_>,
    ) -> Result<(), Refusal> {
        let keys = self.keys();
        check_signature(offer, signature, &keys)?;
        let Work::Training(work) = &offer.work else { return Ok(()) };
        let (Some(base), Some(release)) = (work.base, work.base_release) else { return Ok(()) };
        let known = self.known(|known| known.releases.get(&release.digest).cloned());
        let bytes = match known.or_else(|| documents.releases.get(&release.digest).cloned()) {
            Some(bytes) => bytes,
            None => self.document(release, fetcher).await?.into(),
        };
        check_base(&bytes, base, work.base_model.as_deref(), &keys)?;
        documents.releases.insert(release.digest, bytes);
        Ok(())
    }

    fn known<T>(&self, find: impl FnOnce(&Documents) -> Option<T>) -> Option<T> {
        find(&self.documents.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Downloads a document.
    async fn document(&self, document: BlobRef, fetcher: Fetcher<'_>) -> Result<Vec<u8>, Refusal> {
        if document.size <= MAX_HEAD_BYTES as u64 {
            (fetcher.guard)(fetcher.job, document.size)?;
        }
        let fetched = transfer::fetch_document(self.transport(), document, MAX_HEAD_BYTES as u64);
        tokio::time::timeout(CALL_TIMEOUT, fetched).await.unwrap_or_else(|_| late(CALL_TIMEOUT))
    }

    /// The training target. The document of a head is downloaded once, as long as it is offered.
    async fn training_target(
        &self,
        offered: &Offered,
        documents: &mut Documents,
        fetcher: Fetcher<'_>,
    ) -> Result<TrainingTarget, Refusal> {
        let document = match offered {
            Offered::Specialist(model) => return Ok(TrainingTarget::Specialist(model.clone())),
            Offered::Bands(bands) => return Ok(TrainingTarget::Bands(bands.clone())),
            Offered::Head(document) => *document,
        };
        let known = self.known(|known| known.heads.get(&document.digest).cloned());
        let over = match known.or_else(|| documents.heads.get(&document.digest).cloned()) {
            Some(over) => over,
            None => {
                let bytes = self.document(document, fetcher).await?;
                let over = HeadOver::from_bytes(&bytes).map_err(|error| unknown(&error))?;
                over.release.verify_signature(&self.keys().0).map_err(|error| {
                    let message = format!("{error}; let the operator make a new release");
                    Refusal::new(Reason::NotSigned, message)
                })?;
                Arc::new(over)
            }
        };
        documents.heads.insert(document.digest, Arc::clone(&over));
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
        let v1::HelloResponse {
            protocol,
            version,
            institution,
            coordinator_keys: keys,
            now_ms,
            takes_points,
        } = answer(CALL_TIMEOUT, self.participant().hello(request)).await?;
        agree("client", "coordinator", protocol, &version)?;
        *self.uploads() = Uploads::default();
        let coordinator_keys = coordinator_keys(keys).map_err(|error| unreadable(&error))?;
        let now = (now_ms > 0).then_some(Timestamp(now_ms));
        Ok(Greeting { institution, coordinator_keys, now, takes_points })
    }

    async fn poll(&self, seen: u64, wait: Duration, guard: OfferGuard) -> Result<Offers, Refusal> {
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        let request = v1::PollRequest { seen_revision: seen, wait_ms };
        let v1::PollResponse { revision, assignments } =
            answer(wait + CALL_TIMEOUT, self.participant().poll(request)).await?;
        self.offers(revision, assignments, &guard).await
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
        let start = self.uploads().start(blob.digest);
        let zstd = transfer::upload(self.transport(), path, blob, start, move |bytes| guard(bytes)).await?;
        self.uploads().zstd = Some(zstd);
        Ok(())
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

    async fn state_data(&self, signed: SignedDataStatement) -> Result<(), Refusal> {
        let request = signed.into_message();
        let v1::StateDataResponse { recorded_at: _ } =
            answer(CALL_TIMEOUT, self.participant().state_data(request)).await?;
        Ok(())
    }

    async fn share_policy(&self, signed: SignedPolicySummary) -> Result<(), Refusal> {
        let request = signed.into_message();
        let v1::SharePolicyResponse { recorded_at: _ } =
            answer(CALL_TIMEOUT, self.participant().share_policy(request)).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_try_of_an_upload_begins_without_a_question() {
        let mut uploads = Uploads::default();
        let [one, other] = [b"one", b"two"].map(|bytes| Digest::of(bytes));
        assert_eq!(uploads.start(one), Start::WhereItStands, "nothing is known of the coordinator");
        uploads.zstd = Some(true);
        assert_eq!(uploads.start(one), Start::WhereItStands, "it was tried before");
        assert_eq!(uploads.start(other), Start::AtTheBeginning { zstd: true });
        assert_eq!(uploads.start(other), Start::WhereItStands);
        uploads = Uploads::default();
        assert_eq!(uploads.start(one), Start::WhereItStands);
    }
}
