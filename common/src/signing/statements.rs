//! What institutions sign, and the succession of a coordinator's keys. What the coordinator signs is in
//! [`crate::statements`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BadSignature, KeySignature, PublicKey, SigningKey, Statement};
use crate::canonical::digest_of;
use crate::digest::Digest;
use crate::ids::{AssignmentId, InstitutionName};

macro_rules! statement {
    ($type:ty, $kind:literal) => {
        impl Statement for $type {
            const KIND: &'static str = $kind;

            fn content(&self) -> Value {
                serde_json::to_value(self).expect("a statement is plain data")
            }
        }
    };
}

/// An institution enrols its signing key: the signature proves that it has the private half.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnrolmentStatement {
    /// The institution.
    pub institution: InstitutionName,
    /// Digest of the signing request of the certificate that is asked for with it.
    pub request: Digest,
}

/// An institution has made an update, or a specialist in a one-shot job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateStatement {
    /// The assignment: job, round, attempt and institution.
    pub assignment: AssignmentId,
    /// Digest of the weights.
    pub weights: Digest,
    /// Size of the weights in bytes.
    pub weights_bytes: u64,
    /// Digest of the report's canonical JSON.
    pub report: Digest,
}

impl UpdateStatement {
    /// Of weights of this digest and size, with the report of their training.
    #[must_use]
    pub fn of<R: Serialize>(
        assignment: &AssignmentId,
        (weights, weights_bytes): (Digest, u64),
        report: &R,
    ) -> Self {
        Self { assignment: assignment.clone(), weights, weights_bytes, report: digest_of(report) }
    }
}

/// An institution has measured its bands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatisticsStatement {
    /// The assignment.
    pub assignment: AssignmentId,
    /// Digest of the moments' canonical JSON.
    pub bands: Digest,
}

impl StatisticsStatement {
    /// Of these moments.
    #[must_use]
    pub fn of<B: Serialize>(assignment: &AssignmentId, bands: &B) -> Self {
        Self { assignment: assignment.clone(), bands: digest_of(bands) }
    }
}

/// An institution has scored a specialist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EvaluationStatement {
    /// The assignment.
    pub assignment: AssignmentId,
    /// Digest of the report's canonical JSON.
    pub report: Digest,
}

impl EvaluationStatement {
    /// Of this report.
    #[must_use]
    pub fn of<R: Serialize>(assignment: &AssignmentId, report: &R) -> Self {
        Self { assignment: assignment.clone(), report: digest_of(report) }
    }
}

/// A coordinator replaces its signing key; the old key signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SuccessionStatement {
    /// The new key.
    pub key: PublicKey,
}

statement!(EnrolmentStatement, "enrolment");
statement!(UpdateStatement, "update");
statement!(StatisticsStatement, "statistics");
statement!(EvaluationStatement, "evaluation");
statement!(SuccessionStatement, "succession");

/// An institution's statement about an update, with its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedUpdate {
    /// The statement.
    pub statement: UpdateStatement,
    /// The institution's signature.
    pub signature: KeySignature,
}

impl SignedUpdate {
    /// Signs a statement.
    #[must_use]
    pub fn new(statement: UpdateStatement, key: &SigningKey) -> Self {
        let signature = key.sign(&statement);
        Self { statement, signature }
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// If it does not belong to the statement, or was made with none of these keys.
    pub fn verify(&self, keys: &[PublicKey]) -> Result<(), BadSignature> {
        self.signature.verify(&self.statement, keys)
    }
}
