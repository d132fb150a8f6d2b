//! Messages of progress and results, from an institution to the coordinator.

use eosfed_common::assignment::{
    BlobRef, CurvePoint, Directive, EvaluationSubmission, Lease, MAX_POINTS, Progress, SignedMoments,
    StatisticsSubmission, UpdateSubmission,
};
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{AssignmentId, LeaseToken};
use eosfed_common::refusal::Refusal;
use eosfed_common::report::{EvaluationReport, TrainingReport};
use eosfed_proto::v1;

use super::model::{bands, metric_messages, metrics};
use super::{Wire, WireError, at_most, parse, required, wrong};

/// A parsed heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// The assignment.
    pub assignment: AssignmentId,
    /// Proof of holding the lease.
    pub token: LeaseToken,
    /// Its progress.
    pub progress: Progress,
}

/// The points of a curve that one message may have.
fn curve_points(points: Vec<v1::CurvePoint>) -> Result<Vec<CurvePoint>, WireError> {
    at_most("points", MAX_POINTS, points)?.into_iter().map(CurvePoint::from_message).collect()
}

fn curve_point_messages(points: Vec<CurvePoint>) -> Vec<v1::CurvePoint> {
    points.into_iter().map(Wire::into_message).collect()
}

impl Wire for Heartbeat {
    type Message = v1::HeartbeatRequest;

    fn from_message(message: v1::HeartbeatRequest) -> Result<Self, WireError> {
        let v1::HeartbeatRequest { assignment, lease_token, step, steps, points } = message;
        Ok(Self {
            assignment: parse("assignment", &assignment)?,
            token: parse("lease_token", &lease_token)?,
            progress: Progress { step, steps, points: curve_points(points)? },
        })
    }

    fn into_message(self) -> v1::HeartbeatRequest {
        let Heartbeat { assignment, token, progress: Progress { step, steps, points } } = self;
        v1::HeartbeatRequest {
            assignment: assignment.to_string(),
            lease_token: token.expose().to_owned(),
            step,
            steps,
            points: curve_point_messages(points),
        }
    }
}

impl Wire for Directive {
    type Message = v1::HeartbeatResponse;

    fn from_message(message: v1::HeartbeatResponse) -> Result<Self, WireError> {
        let v1::HeartbeatResponse { expires_at, stop } = message;
        match expires_at {
            Some(expires_at) => Ok(Self::Continue(Timestamp(expires_at))),
            None => Ok(Self::Stop(Refusal::from_message(required("stop", stop)?)?)),
        }
    }

    fn into_message(self) -> v1::HeartbeatResponse {
        match self {
            Directive::Continue(expires_at) => {
                v1::HeartbeatResponse { expires_at: Some(expires_at.0), stop: None }
            }
            Directive::Stop(refusal) => {
                v1::HeartbeatResponse { expires_at: None, stop: Some(refusal.into_message()) }
            }
        }
    }
}

impl Wire for Lease {
    type Message = v1::AcceptResponse;

    fn from_message(message: v1::AcceptResponse) -> Result<Self, WireError> {
        let v1::AcceptResponse { lease_token, expires_at } = message;
        Ok(Self { token: parse("lease_token", &lease_token)?, expires_at: Timestamp(expires_at) })
    }

    fn into_message(self) -> v1::AcceptResponse {
        let Lease { token, expires_at } = self;
        v1::AcceptResponse { lease_token: token.expose().to_owned(), expires_at: expires_at.0 }
    }
}

impl Wire for UpdateSubmission {
    type Message = v1::SubmitUpdateRequest;

    fn from_message(message: v1::SubmitUpdateRequest) -> Result<Self, WireError> {
        let v1::SubmitUpdateRequest {
            assignment,
            lease_token,
            idempotency_key,
            weights,
            report,
            signature,
            statistics,
            start_metrics,
            points,
        } = message;
        Ok(Self {
            assignment: parse("assignment", &assignment)?,
            token: parse("lease_token", &lease_token)?,
            key: parse("idempotency_key", &idempotency_key)?,
            weights: BlobRef::from_message(required("weights", weights)?)?,
            report: TrainingReport::from_message(required("report", report)?)?,
            signature: parse("signature", &signature)?,
            statistics: statistics.map(SignedMoments::from_message).transpose()?.map(Box::new),
            start_metrics: metrics(start_metrics)?,
            points: curve_points(points)?,
        })
    }

    fn into_message(self) -> v1::SubmitUpdateRequest {
        let UpdateSubmission {
            assignment,
            token,
            key,
            weights,
            report,
            signature,
            statistics,
            start_metrics,
            points,
        } = self;
        v1::SubmitUpdateRequest {
            assignment: assignment.to_string(),
            lease_token: token.expose().to_owned(),
            idempotency_key: key.into(),
            weights: Some(weights.into_message()),
            report: Some(report.into_message()),
            signature: signature.to_string(),
            statistics: statistics.map(|statistics| statistics.into_message()),
            start_metrics: metric_messages(start_metrics),
            points: curve_point_messages(points),
        }
    }
}

impl Wire for SignedMoments {
    type Message = v1::SignedMoments;

    fn from_message(message: v1::SignedMoments) -> Result<Self, WireError> {
        let v1::SignedMoments { bands: list, signature } = message;
        if list.is_empty() {
            return Err(wrong("statistics.bands", "one or more, or `statistics` absent"));
        }
        Ok(Self {
            bands: bands("statistics.bands", list)?,
            signature: parse("statistics.signature", &signature)?,
        })
    }

    fn into_message(self) -> v1::SignedMoments {
        let SignedMoments { bands, signature } = self;
        v1::SignedMoments {
            bands: bands.into_iter().map(Wire::into_message).collect(),
            signature: signature.to_string(),
        }
    }
}

impl Wire for StatisticsSubmission {
    type Message = v1::SubmitStatisticsRequest;

    fn from_message(message: v1::SubmitStatisticsRequest) -> Result<Self, WireError> {
        let v1::SubmitStatisticsRequest { assignment, lease_token, idempotency_key, bands: list, signature } =
            message;
        Ok(Self {
            assignment: parse("assignment", &assignment)?,
            token: parse("lease_token", &lease_token)?,
            key: parse("idempotency_key", &idempotency_key)?,
            bands: bands("bands", list)?,
            signature: parse("signature", &signature)?,
        })
    }

    fn into_message(self) -> v1::SubmitStatisticsRequest {
        let StatisticsSubmission { assignment, token, key, bands, signature } = self;
        v1::SubmitStatisticsRequest {
            assignment: assignment.to_string(),
            lease_token: token.expose().to_owned(),
            idempotency_key: key.into(),
            bands: bands.into_iter().map(Wire::into_message).collect(),
            signature: signature.to_string(),
        }
    }
}

impl Wire for EvaluationSubmission {
    type Message = v1::SubmitEvaluationRequest;

    fn from_message(message: v1::SubmitEvaluationRequest) -> Result<Self, WireError> {
        let v1::SubmitEvaluationRequest { assignment, lease_token, idempotency_key, report, signature } =
            message;
        Ok(Self {
            assignment: parse("assignment", &assignment)?,
            token: parse("lease_token", &lease_token)?,
            key: parse("idempotency_key", &idempotency_key)?,
            report: EvaluationReport::from_message(required("report", report)?)?,
            signature: parse("signature", &signature)?,
        })
    }

    fn into_message(self) -> v1::SubmitEvaluationRequest {
        let EvaluationSubmission { assignment, token, key, report, signature } = self;
        v1::SubmitEvaluationRequest {
            assignment: assignment.to_string(),
            lease_token: token.expose().to_owned(),
            idempotency_key: key.into(),
            report: Some(report.into_message()),
            signature: signature.to_string(),
        }
    }
}
