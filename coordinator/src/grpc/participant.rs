//! The service for the daemons of institutions.

use std::time::Duration;

use eosfed_common::assignment::{Assignment, EvaluationSubmission, StatisticsSubmission, UpdateSubmission};
use eosfed_common::data_statement::SignedDataStatement;
use eosfed_common::digest::Digest;
use eosfed_common::identity::{Identity, Role};
use eosfed_common::ids::{AssignmentId, InstitutionName};
use eosfed_common::policy_summary::SignedPolicySummary;
use eosfed_common::refusal::Refusal;
use eosfed_common::signing::SigningKey;
use eosfed_proto::v1;
use eosfed_proto::v1::participant_server::Participant;
use eosfed_transport::wire::{Heartbeat, Wire, coordinator_keys_message, parse, sentence, signed_assignment};
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::{Context, access, agree, reply};
use crate::domain::Target;
use crate::engine::Core;

/// Longest wait of a poll for a change, whatever the caller asks for.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// Most bytes of assignments in an answer, well below gRPC's limit of 4 MiB for a message.
const MAX_POLL_BYTES: usize = 3 << 20;
/// Delay between a change and the check of its effect on waiting callers. Changes come in bursts, and without
/// the delay each change would wake every caller.
const COALESCE_INTERVAL: Duration = Duration::from_millis(50);

pub(super) struct Service(pub(super) Context);

impl Service {
    /// The caller's name and message.
    fn open<T>(&self, request: Request<T>) -> Result<(InstitutionName, T), Refusal> {
        let caller = access::name(&request)?;
        Ok((caller, request.into_inner()))
    }

    async fn poll(&self, request: Request<v1::PollRequest>) -> Result<v1::PollResponse, Refusal> {
        let (caller, v1::PollRequest { seen_revision, wait_ms }) = self.open(request)?;
        let wait = Duration::from_millis(u64::from(wait_ms)).min(MAX_WAIT);
        let mut changes = self.0.engine.changes();
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            changes.mark_unchanged();
            let response = poll_response(self.0.engine.assignments(&caller), self.0.signing.key());
            if response.revision != seen_revision {
                return Ok(response);
            }
            tokio::select! {
                changed = tokio::time::timeout_at(deadline, changes.changed()) => match changed {
                    Ok(Ok(())) => tokio::time::sleep(COALESCE_INTERVAL).await,
                    Ok(Err(_)) | Err(_) => return Ok(response),
                },
                // The caller asks again, and finds the coordinator that is started next.
                () = self.0.stopping.cancelled() => return Ok(response),
            }
        }
    }

    async fn accept(&self, request: Request<v1::AcceptRequest>) -> Result<v1::AcceptResponse, Refusal> {
        let (caller, v1::AcceptRequest { assignment }) = self.open(request)?;
        let id: AssignmentId = parse("assignment", &assignment)?;
        access::own(&id, &caller)?;
        let lease = self.0.engine.call(async move |core: &Core| core.accept(&id).await).await?;
        Ok(lease.into_message())
    }

    async fn refuse(&self, request: Request<v1::RefuseRequest>) -> Result<v1::RefuseResponse, Refusal> {
        let (caller, v1::RefuseRequest { assignment, refusal }) = self.open(request)?;
        let id: AssignmentId = parse("assignment", &assignment)?;
        access::own(&id, &caller)?;
        let refusal = Refusal::from_message(refusal.unwrap_or_default())?;
        self.0.engine.call(async move |core: &Core| core.refuse(&id, refusal).await).await?;
        Ok(v1::RefuseResponse {})
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Result<v1::HeartbeatResponse, Refusal> {
        let (caller, message) = self.open(request)?;
        let Heartbeat { assignment, token, progress } = Heartbeat::from_message(message)?;
        access::own(&assignment, &caller)?;
        let beat = async move |core: &Core| core.heartbeat(&assignment, &token, progress).await;
        Ok(self.0.engine.call(beat).await?.into_message())
    }

    async fn submit_update(
        &self,
        request: Request<v1::SubmitUpdateRequest>,
    ) -> Result<v1::SubmitResponse, Refusal> {
        let (caller, message) = self.open(request)?;
        let submission = UpdateSubmission::from_message(message)?;
        access::own(&submission.assignment, &caller)?;
        let submit = async move |core: &Core| core.submit_update(&submission).await;
        let recorded_at = self.0.engine.call(submit).await?.0;
        Ok(v1::SubmitResponse { recorded_at })
    }

    async fn submit_statistics(
        &self,
        request: Request<v1::SubmitStatisticsRequest>,
    ) -> Result<v1::SubmitResponse, Refusal> {
        let (caller, message) = self.open(request)?;
        let submission = StatisticsSubmission::from_message(message)?;
        access::own(&submission.assignment, &caller)?;
        let submit = async move |core: &Core| core.submit_statistics(submission).await;
        let recorded_at = self.0.engine.call(submit).await?.0;
        Ok(v1::SubmitResponse { recorded_at })
    }

    async fn submit_evaluation(
        &self,
        request: Request<v1::SubmitEvaluationRequest>,
    ) -> Result<v1::SubmitResponse, Refusal> {
        let (caller, message) = self.open(request)?;
        let submission = EvaluationSubmission::from_message(message)?;
        access::own(&submission.assignment, &caller)?;
        let submit = async move |core: &Core| core.submit_evaluation(submission).await;
        let recorded_at = self.0.engine.call(submit).await?.0;
        Ok(v1::SubmitResponse { recorded_at })
    }

    async fn report_failure(
        &self,
        request: Request<v1::ReportFailureRequest>,
    ) -> Result<v1::ReportFailureResponse, Refusal> {
        let (caller, v1::ReportFailureRequest { assignment, lease_token, message }) = self.open(request)?;
        let id: AssignmentId = parse("assignment", &assignment)?;
        access::own(&id, &caller)?;
        let token = parse("lease_token", &lease_token)?;
        let message = sentence("message", &message)?;
        let report = async move |core: &Core| core.report_failure(&id, &token, message).await;
        self.0.engine.call(report).await?;
        Ok(v1::ReportFailureResponse {})
    }

    async fn state_data(
        &self,
        request: Request<v1::StateDataRequest>,
    ) -> Result<v1::StateDataResponse, Refusal> {
        let (caller, message) = self.open(request)?;
        let signed = SignedDataStatement::from_message(message)?;
        let state = async move |core: &Core| core.state_data(&caller, signed).await;
        let recorded_at = self.0.engine.call(state).await?.0;
        Ok(v1::StateDataResponse { recorded_at })
    }

    async fn share_policy(
        &self,
        request: Request<v1::SharePolicyRequest>,
    ) -> Result<v1::SharePolicyResponse, Refusal> {
        let (caller, message) = self.open(request)?;
        let signed = SignedPolicySummary::from_message(message)?;
        let share = async move |core: &Core| core.share_policy(&caller, signed).await;
        let recorded_at = self.0.engine.call(share).await?.0;
        Ok(v1::SharePolicyResponse { recorded_at })
    }
}

/// Assignments, with a revision that is computed from them: it is the same after a restart, and differs if
/// they differ. Assignments beyond [`MAX_POLL_BYTES`] are offered after earlier ones are done.
fn poll_response(assignments: Vec<Assignment<Target>>, key: &SigningKey) -> v1::PollResponse {
    let all = assignments.len();
    let mut bytes = 0;
    let messages =
        assignments.into_iter().map(|assignment| signed_assignment(assignment.with(Target::offered), key));
    let fits = |message: &v1::Assignment| {
        bytes += message.encoded_len();
        bytes <= MAX_POLL_BYTES
    };
    let assignments: Vec<_> = messages.take_while(fits).collect();
    if assignments.len() < all {
        tracing::warn!(
            all,
            offered = assignments.len(),
            "too many assignments for one message; the oldest are offered"
        );
    }
    let mut response = v1::PollResponse { revision: 0, assignments };
    let digest = Digest::of(&response.encode_to_vec()).to_hex();
    response.revision = u64::from_str_radix(&digest[..16], 16).unwrap_or(1).max(1);
    response
}

#[tonic::async_trait]
impl Participant for Service {
    async fn hello(&self, request: Request<v1::HelloRequest>) -> Result<Response<v1::HelloResponse>, Status> {
        reply(self.open(request).and_then(|(caller, v1::HelloRequest { protocol, version })| {
            self.0
                .traffic
                .note_version(&Identity { role: Role::Institution, name: caller.clone() }, &version);
            let protocol = agree("client", protocol, &version)?.into();
            let version = env!("CARGO_PKG_VERSION").to_owned();
            let coordinator_keys = coordinator_keys_message(self.0.signing.named());
            let now_ms = self.0.engine.now().0;
            Ok(v1::HelloResponse {
                protocol,
                version,
                institution: caller.to_string(),
                coordinator_keys,
                now_ms,
                takes_points: true,
            })
        }))
    }

    async fn poll(&self, request: Request<v1::PollRequest>) -> Result<Response<v1::PollResponse>, Status> {
        reply(Self::poll(self, request).await)
    }

    async fn accept(
        &self,
        request: Request<v1::AcceptRequest>,
    ) -> Result<Response<v1::AcceptResponse>, Status> {
        reply(Self::accept(self, request).await)
    }

    async fn refuse(
        &self,
        request: Request<v1::RefuseRequest>,
    ) -> Result<Response<v1::RefuseResponse>, Status> {
        reply(Self::refuse(self, request).await)
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatResponse>, Status> {
        reply(Self::heartbeat(self, request).await)
    }

    async fn submit_update(
        &self,
        request: Request<v1::SubmitUpdateRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        reply(Self::submit_update(self, request).await)
    }

    async fn submit_statistics(
        &self,
        request: Request<v1::SubmitStatisticsRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        reply(Self::submit_statistics(self, request).await)
    }

    async fn submit_evaluation(
        &self,
        request: Request<v1::SubmitEvaluationRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        reply(Self::submit_evaluation(self, request).await)
    }

    async fn report_failure(
        &self,
        request: Request<v1::ReportFailureRequest>,
    ) -> Result<Response<v1::ReportFailureResponse>, Status> {
        reply(Self::report_failure(self, request).await)
    }

    async fn state_data(
        &self,
        request: Request<v1::StateDataRequest>,
    ) -> Result<Response<v1::StateDataResponse>, Status> {
        reply(Self::state_data(self, request).await)
    }

    async fn share_policy(
        &self,
        request: Request<v1::SharePolicyRequest>,
    ) -> Result<Response<v1::SharePolicyResponse>, Status> {
        reply(Self::share_policy(self, request).await)
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::plan::JobKind;
    use eosfed_testkit::{assignments, signing};

    use super::*;

    fn assignment(round: u32, bytes: usize) -> Assignment<Target> {
        let mut assignment = assignments::statistics().with(|_| Target::Bands(vec!["b".repeat(bytes)]));
        assignment.kind = JobKind::Statistics;
        assignment.id = format!("j-00000000.{round}.1.west").parse().unwrap();
        assignment
    }

    #[test]
    fn a_poll_answers_with_the_oldest_work_that_fits_a_message() {
        let key = signing::coordinator().key().clone();
        let small = poll_response((0..9).map(|round| assignment(round, 10)).collect(), &key);
        assert_eq!(small.assignments.len(), 9);
        let large = poll_response((0..9).map(|round| assignment(round, 1 << 20)).collect(), &key);
        let ids: Vec<_> = large.assignments.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["j-00000000.0.1.west", "j-00000000.1.1.west"], "three would be above 3 MiB");
        assert!(large.encoded_len() <= MAX_POLL_BYTES);
        assert_ne!(small.revision, large.revision);
    }
}
