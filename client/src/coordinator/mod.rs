//! The calls that the daemon makes to a coordinator. One call is one try; the caller decides when to try
//! again. [`GrpcCoordinator`] is the real one.

mod grpc;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use eosfed_common::assignment::{
    Assignment, BlobRef, Directive, EvaluationSubmission, Lease, StatisticsSubmission, UpdateSubmission,
};
use eosfed_common::clock::Timestamp;
use eosfed_common::data_statement::SignedDataStatement;
use eosfed_common::ids::{AssignmentId, JobId, LeaseToken};
use eosfed_common::policy_summary::SignedPolicySummary;
use eosfed_common::refusal::Refusal;
use eosfed_common::signing::{CoordinatorKey, KeySignature};
use eosfed_transport::channel::ChannelError;
use eosfed_transport::wire::Heartbeat;

use crate::site::Credentials;

pub use grpc::GrpcCoordinator;

/// The assignments that the coordinator has for this client.
#[derive(Debug, Clone, PartialEq)]
pub struct Offers {
    /// Changes whenever the assignments do.
    pub revision: u64,
    /// The assignments.
    pub assignments: Vec<Assignment>,
    /// Assignments of a kind that this version does not know, each with the answer to it.
    pub unknown: Vec<(AssignmentId, Refusal)>,
}

/// The coordinator's answer to a greeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// The institution's name as the coordinator sees it.
    pub institution: String,
    /// The signing keys that the coordinator names.
    pub coordinator_keys: Vec<CoordinatorKey>,
    /// The coordinator's time; absent of earlier versions.
    pub now: Option<Timestamp>,
    /// Whether an update may bring the last points of the curve.
    pub takes_points: bool,
}

/// A new certificate from the authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub certificate_pem: String,
    /// The authority's.
    pub ca_pem: String,
    /// The signing keys that the coordinator names; none if its version has none.
    pub coordinator_keys: Vec<CoordinatorKey>,
}

/// Decides before each chunk of an upload, of so many bytes, whether it may be sent; a sentence says why not.
pub type UploadGuard = Arc<dyn Fn(u64) -> Result<(), String> + Send + Sync>;

/// Told of so many bytes of offers and of their documents: those of an offer when it has come, those of a
/// document before it is fetched. It says why an offer is not considered.
pub type OfferGuard = Arc<dyn Fn(&JobId, u64) -> Result<(), Refusal> + Send + Sync>;

/// The calls that the daemon makes to a coordinator. Each call is tried once.
pub trait Coordinator: Clone + Send + Sync + 'static {
    /// Exchanges versions.
    fn hello(&self) -> impl Future<Output = Result<Greeting, Refusal>> + Send;
    /// Waits up to `wait` for assignments other than those of revision `seen`. An offer that the guard
    /// forbids is declined, or the call fails, as the reason says.
    fn poll(
        &self,
        seen: u64,
        wait: Duration,
        guard: OfferGuard,
    ) -> impl Future<Output = Result<Offers, Refusal>> + Send;
    /// Takes an assignment, or takes it again.
    fn accept(&self, id: &AssignmentId) -> impl Future<Output = Result<Lease, Refusal>> + Send;
    /// Declines an assignment.
    fn decline(&self, id: &AssignmentId, why: Refusal) -> impl Future<Output = Result<(), Refusal>> + Send;
    /// Reports progress and renews the lease.
    fn heartbeat(&self, heartbeat: Heartbeat) -> impl Future<Output = Result<Directive, Refusal>> + Send;
    /// Downloads a blob into a file, from where an earlier try ended.
    fn download(&self, blob: BlobRef, path: &Path) -> impl Future<Output = Result<(), Refusal>> + Send;
    /// Sends a file, from where an earlier try ended. Asks the guard before each chunk; once it forbids
    /// one, the call is cut off and fails with `UNAVAILABLE`.
    fn upload(
        &self,
        path: &Path,
        blob: BlobRef,
        guard: UploadGuard,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;
    /// Submits an update; gives when it was first recorded.
    fn submit_update(
        &self,
        update: UpdateSubmission,
    ) -> impl Future<Output = Result<Timestamp, Refusal>> + Send;
    /// Submits statistics; gives when they were first recorded.
    fn submit_statistics(
        &self,
        statistics: StatisticsSubmission,
    ) -> impl Future<Output = Result<Timestamp, Refusal>> + Send;
    /// Submits scores; gives when they were first recorded.
    fn submit_evaluation(
        &self,
        scores: EvaluationSubmission,
    ) -> impl Future<Output = Result<Timestamp, Refusal>> + Send;
    /// Reports that an assignment has failed here and will not be repeated.
    fn report_failure(
        &self,
        id: &AssignmentId,
        token: &LeaseToken,
        why: &Refusal,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;
    /// States what the data set is.
    fn state_data(&self, signed: SignedDataStatement) -> impl Future<Output = Result<(), Refusal>> + Send;
    /// Shares what the policy lets be told of itself.
    fn share_policy(&self, signed: SignedPolicySummary) -> impl Future<Output = Result<(), Refusal>> + Send;
    /// Requests a new certificate, with the proof of the institution's signing key.
    fn renew(
        &self,
        request_pem: String,
        proof: KeySignature,
    ) -> impl Future<Output = Result<Issued, Refusal>> + Send;
    /// Uses other credentials for later calls; calls under way go on.
    ///
    /// # Errors
    /// If they cannot be used; the old ones then stay.
    fn replace(&self, credentials: &Credentials) -> Result<(), ChannelError>;
}
