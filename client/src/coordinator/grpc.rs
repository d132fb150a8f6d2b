//! A coordinator over gRPC.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use eosfed_common::assignment::{
    Assignment, BlobRef, Directive, EvaluationSubmission, Lease, StatisticsSubmission, UpdateSubmission,
};
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{AssignmentId, LeaseToken};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_proto::v1;
use eosfed_proto::v1::enrollment_client::EnrollmentClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_transport::channel::{ChannelError, Transport, Way, open_by};
use eosfed_transport::meter::Meter;
use eosfed_transport::protocol::{PROTOCOL, RELEASE, agree};
use eosfed_transport::status::from_status;
use eosfed_transport::transfer;
use eosfed_transport::wire::{Heartbeat, Wire as _, WireError};

use super::{Coordinator, Issued, Offers, UploadGuard};
use crate::site::Credentials;

/// The offers of an answer. A newer coordinator may ask for work of a kind that this version does not
/// know. That work is declined; the rest can be done.
///
/// # Errors
/// If an assignment has no id by which it could be declined.
fn read_offers(revision: u64, offers: Vec<v1::Assignment>) -> Result<Offers, Refusal> {
    let mut assignments = Vec::new();
    let mut unknown = Vec::new();
    for offer in offers {
        let id = offer.id.parse::<AssignmentId>();
        match (Assignment::from_message(offer), id) {
            (Ok(assignment), _) => assignments.push(assignment),
            (Err(error), Ok(id)) => {
                let message = format!(
                    "this client (version {RELEASE}) does not know this kind of work: {error}; update the client"
                );
                unknown.push((id, Refusal::new(Reason::Incompatible, message)));
            }
            (Err(error), Err(_)) => return Err(unreadable(&error)),
        }
    }
    Ok(Offers { revision, assignments, unknown })
}

/// A coordinator over gRPC.
#[derive(Debug, Clone)]
pub struct GrpcCoordinator {
    url: String,
    way: Way,
    transport: Arc<RwLock<Transport>>,
    meter: Meter,
}

impl GrpcCoordinator {
    /// Connects lazily as the holder of these credentials.
    ///
    /// # Errors
    /// If address or certificates cannot be used.
    pub fn new(url: &str, credentials: &Credentials, meter: Meter) -> Result<Self, ChannelError> {
        Self::by(Way::default(), url, credentials, meter)
    }

    /// Connects lazily, by this way, as the holder of these credentials.
    ///
    /// # Errors
    /// If address or certificates cannot be used.
    pub fn by(way: Way, url: &str, credentials: &Credentials, meter: Meter) -> Result<Self, ChannelError> {
        let transport = open_by(&way, url, &credentials.ca_pem, Some(&credentials.pair), meter.clone())?;
        Ok(Self { url: url.to_owned(), way, transport: Arc::new(RwLock::new(transport)), meter })
    }

    fn transport(&self) -> Transport {
        self.transport.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn participant(&self) -> ParticipantClient<Transport> {
        ParticipantClient::new(self.transport())
    }
}

/// How long to wait for an answer that takes the coordinator no time.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The answer to a call, or the refusal that it, or its absence, means.
async fn answer<T>(
    timeout: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, Refusal> {
    match tokio::time::timeout(timeout, call).await {
        Ok(answered) => answered.map(tonic::Response::into_inner).map_err(|status| from_status(&status)),
        Err(_) => {
            let message = format!("no answer within {} s", timeout.as_secs());
            Err(Refusal::new(Reason::Unavailable, message))
        }
    }
}

/// An answer that this version cannot read.
fn unreadable(error: &WireError) -> Refusal {
    Refusal::new(Reason::Incompatible, format!("the coordinator's answer cannot be read: {error}"))
}

impl Coordinator for GrpcCoordinator {
    async fn hello(&self) -> Result<String, Refusal> {
        let request = v1::HelloRequest { protocol: PROTOCOL.into(), release: RELEASE.to_owned() };
        let v1::HelloResponse { protocol, release, institution } =
            answer(CALL_TIMEOUT, self.participant().hello(request)).await?;
        agree("client", "coordinator", protocol, &release)?;
        Ok(institution)
    }

    async fn poll(&self, seen: u64, wait: Duration) -> Result<Offers, Refusal> {
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        let request = v1::PollRequest { seen_revision: seen, wait_ms };
        let v1::PollResponse { revision, assignments } =
            answer(wait + CALL_TIMEOUT, self.participant().poll(request)).await?;
        read_offers(revision, assignments)
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
        transfer::upload(self.transport(), path, blob, move || guard()).await
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
        // A refusal has a reason on the wire, a failure only a message.
        if matches!(why.reason, Reason::Policy | Reason::DataUnfit) {
            return self.decline(id, why.clone()).await;
        }
        // The refusal's conversion is where a text is cut to the length that the wire allows.
        let v1::Refusal { reason: _, message } = why.clone().into_message();
        let (assignment, lease_token) = (id.to_string(), token.to_string());
        let request = v1::ReportFailureRequest { assignment, lease_token, message };
        let v1::ReportFailureResponse {} =
            answer(CALL_TIMEOUT, self.participant().report_failure(request)).await?;
        Ok(())
    }

    async fn renew(&self, signing_request_pem: String) -> Result<Issued, Refusal> {
        let mut client = EnrollmentClient::new(self.transport());
        let request = v1::RenewRequest { signing_request_pem };
        let v1::EnrollResponse { certificate_pem, ca_pem, expires_at: _ } =
            answer(CALL_TIMEOUT, client.renew(request)).await?;
        Ok(Issued { certificate_pem, ca_pem })
    }

    fn replace(&self, credentials: &Credentials) -> Result<(), ChannelError> {
        let (pair, meter) = (Some(&credentials.pair), self.meter.clone());
        let fresh = open_by(&self.way, &self.url, &credentials.ca_pem, pair, meter)?;
        *self.transport.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}
