//! Progress and results: from an institution to the coordinator.

use eosfed_proto::v1;

use super::model::{bands, metric_messages, metrics};
use super::{WireError, at_most, limited, parse, required, wrong};
use crate::assignment::{
    BlobRef, CurvePoint, Directive, EvaluationSubmission, Lease, MAX_POINTS, Progress, StatisticsSubmission,
    UpdateSubmission,
};
use crate::card::{Energy, InitialFile};
use crate::clock::Timestamp;
use crate::ids::{AssignmentId, LeaseToken};
use crate::refusal::Refusal;

/// A heartbeat, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// Whose work.
    pub assignment: AssignmentId,
    /// Proof of holding the lease.
    pub token: LeaseToken,
    /// How far it is.
    pub progress: Progress,
}

impl TryFrom<v1::HeartbeatRequest> for Heartbeat {
    type Error = WireError;

    fn try_from(message: v1::HeartbeatRequest) -> Result<Self, WireError> {
        let v1::HeartbeatRequest { assignment, lease_token, step, steps, points } = message;
        let points = at_most("points", MAX_POINTS, points)?;
        let points = points.into_iter().map(CurvePoint::try_from).collect::<Result<_, _>>()?;
        Ok(Self {
            assignment: parse("assignment", &assignment)?,
            token: parse("lease_token", &lease_token)?,
            progress: Progress { step, steps, points },
        })
    }
}

impl From<Heartbeat> for v1::HeartbeatRequest {
    fn from(heartbeat: Heartbeat) -> Self {
        let Heartbeat { assignment, token, progress: Progress { step, steps, points } } = heartbeat;
        Self {
            assignment: assignment.to_string(),
            lease_token: token.into(),
            step,
            steps,
            points: points.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::HeartbeatResponse> for Directive {
    type Error = WireError;

    fn try_from(message: v1::HeartbeatResponse) -> Result<Self, WireError> {
        let v1::HeartbeatResponse { expires_at, stop } = message;
        match expires_at {
            Some(expires_at) => Ok(Self::Continue(Timestamp(expires_at))),
            None => Ok(Self::Stop(Refusal::try_from(required("stop", stop)?)?)),
        }
    }
}

impl From<Directive> for v1::HeartbeatResponse {
    fn from(directive: Directive) -> Self {
        match directive {
            Directive::Continue(expires_at) => Self { expires_at: Some(expires_at.0), stop: None },
            Directive::Stop(refusal) => Self { expires_at: None, stop: Some(refusal.into()) },
        }
    }
}

impl TryFrom<v1::AcceptResponse> for Lease {
    type Error = WireError;

    fn try_from(message: v1::AcceptResponse) -> Result<Self, WireError> {
        let v1::AcceptResponse { lease_token, expires_at } = message;
        Ok(Self { token: parse("lease_token", &lease_token)?, expires_at: Timestamp(expires_at) })
    }
}

impl From<Lease> for v1::AcceptResponse {
    fn from(lease: Lease) -> Self {
        let Lease { token, expires_at } = lease;
        Self { lease_token: token.into(), expires_at: expires_at.0 }
    }
}

impl TryFrom<v1::SubmitUpdateRequest> for UpdateSubmission {
    type Error = WireError;

    fn try_from(message: v1::SubmitUpdateRequest) -> Result<Self, WireError> {
        let v1::SubmitUpdateRequest {
            assignment,
            lease_token,
            idempotency_key,
            weights,
            samples,
            metrics: list,
            normalisation,
            energy,
            initial,
        } = message;
        Ok(Self {
            assignment: parse("assignment", &assignment)?,
            token: parse("lease_token", &lease_token)?,
            key: parse("idempotency_key", &idempotency_key)?,
            weights: BlobRef::try_from(required("weights", weights)?)?,
            samples,
            metrics: metrics(list)?,
            normalisation: bands("normalisation", normalisation)?,
            energy: Energy::try_from(required("energy", energy)?)?,
            initial: initial.map(InitialFile::try_from).transpose()?,
        })
    }
}

impl From<UpdateSubmission> for v1::SubmitUpdateRequest {
    fn from(submission: UpdateSubmission) -> Self {
        let UpdateSubmission {
            assignment,
            token,
            key,
            weights,
            samples,
            metrics,
            normalisation,
            energy,
            initial,
        } = submission;
        Self {
            assignment: assignment.to_string(),
            lease_token: token.into(),
            idempotency_key: key.into(),
            weights: Some(weights.into()),
            samples,
            metrics: metric_messages(metrics),
            normalisation: normalisation.into_iter().map(Into::into).collect(),
            energy: Some(energy.into()),
            initial: initial.map(Into::into),
        }
    }
}

impl TryFrom<v1::InitialFile> for InitialFile {
    type Error = WireError;

    fn try_from(message: v1::InitialFile) -> Result<Self, WireError> {
        let v1::InitialFile { file, digest } = message;
        let initial = Self { file: limited("file", &file)?.to_owned(), digest: parse("digest", &digest)? };
        initial.check().map_err(|rule| wrong("file", rule))?;
        Ok(initial)
    }
}

impl From<InitialFile> for v1::InitialFile {
    fn from(initial: InitialFile) -> Self {
        let InitialFile { file, digest } = initial;
        Self { file, digest: digest.to_string() }
    }
}

impl TryFrom<v1::SubmitStatisticsRequest> for StatisticsSubmission {
    type Error = WireError;

    fn try_from(message: v1::SubmitStatisticsRequest) -> Result<Self, WireError> {
        let v1::SubmitStatisticsRequest { assignment, lease_token, idempotency_key, bands: list } = message;
        Ok(Self {
            assignment: parse("assignment", &assignment)?,
            token: parse("lease_token", &lease_token)?,
            key: parse("idempotency_key", &idempotency_key)?,
            bands: bands("bands", list)?,
        })
    }
}

impl From<StatisticsSubmission> for v1::SubmitStatisticsRequest {
    fn from(submission: StatisticsSubmission) -> Self {
        let StatisticsSubmission { assignment, token, key, bands } = submission;
        Self {
            assignment: assignment.to_string(),
            lease_token: token.into(),
            idempotency_key: key.into(),
            bands: bands.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::SubmitEvaluationRequest> for EvaluationSubmission {
    type Error = WireError;

    fn try_from(message: v1::SubmitEvaluationRequest) -> Result<Self, WireError> {
        let v1::SubmitEvaluationRequest {
            assignment,
            lease_token,
            idempotency_key,
            samples,
            metrics: list,
            energy,
        } = message;
        Ok(Self {
            assignment: parse("assignment", &assignment)?,
            token: parse("lease_token", &lease_token)?,
            key: parse("idempotency_key", &idempotency_key)?,
            samples,
            metrics: metrics(list)?,
            energy: Energy::try_from(required("energy", energy)?)?,
        })
    }
}

impl From<EvaluationSubmission> for v1::SubmitEvaluationRequest {
    fn from(submission: EvaluationSubmission) -> Self {
        let EvaluationSubmission { assignment, token, key, samples, metrics, energy } = submission;
        Self {
            assignment: assignment.to_string(),
            lease_token: token.into(),
            idempotency_key: key.into(),
            samples,
            metrics: metric_messages(metrics),
            energy: Some(energy.into()),
        }
    }
}
