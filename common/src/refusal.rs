//! Refusals of the coordinator or of an institution: a reason for programs and a message for people. This is
//! the only table of reasons. The client's retry table and the gRPC status codes follow from it.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// The reason of a refusal. Its code is stable and used in messages, logs and documentation.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(
    serialize_all = "SCREAMING_SNAKE_CASE",
    parse_err_ty = UnknownReason,
    parse_err_fn = unknown
)]
pub enum Reason {
    /// The join token was never issued, or is for another institution.
    TokenInvalid,
    /// The join token has expired.
    TokenExpired,
    /// The join token has been used.
    TokenUsed,
    /// There is no certificate, or its holder is unknown.
    Unauthenticated,
    /// The caller's role does not allow the call.
    Forbidden,
    /// The versions of the programs or of the protocol are not compatible.
    Incompatible,
    /// There is no such job, specialist, release, institution, blob or assignment.
    NotFound,
    /// The name matches more than one job. The message lists them.
    Ambiguous,
    /// The name is taken.
    AlreadyExists,
    /// A message breaks a rule of its format.
    Malformed,
    /// The plan breaks its rules.
    PlanInvalid,
    /// The state of the job, release or assignment does not allow the call.
    WrongState,
    /// The round has closed, so the update cannot count.
    RoundClosed,
    /// The job has ended or was cancelled.
    JobEnded,
    /// The job is paused. The work can continue after a resume.
    JobPaused,
    /// The lease has expired.
    LeaseExpired,
    /// The token does not belong to the lease.
    LeaseMismatch,
    /// The institution's own policy forbids the job.
    Policy,
    /// The institution's data set cannot serve the job.
    DataUnfit,
    /// The weights are not a well-formed safetensors file.
    WeightsMalformed,
    /// A tensor is missing, or there is an unexpected one.
    TensorSet,
    /// A tensor has the wrong shape.
    ShapeMismatch,
    /// A tensor has the wrong dtype.
    DtypeMismatch,
    /// A tensor holds NaN or an infinity.
    NotFinite,
    /// The update repeats the bytes of another institution or of an earlier update.
    Replayed,
    /// A signature is missing or false, or is by another key than the one that counts.
    NotSigned,
    /// The update's step is far longer than the other steps of its round.
    NormOutlier,
    /// The specialist is below the floor of the plan.
    QualityFloor,
    /// There are more bytes or more items than allowed.
    TooLarge,
    /// The bytes do not have the given digest.
    DigestMismatch,
    /// The upload continues at another offset than the coordinator has; ask for its offset again.
    OffsetMismatch,
    /// The named blob has not been uploaded.
    BlobMissing,
    /// The disk of the coordinator is full.
    StorageFull,
    /// The coordinator is starting or stopping, or cannot be reached.
    Unavailable,
    /// An internal error. The message has only a number, which is also in the coordinator's log.
    Internal,
}

impl Reason {
    /// Every reason.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.into()
    }

    /// Whether the same call may succeed later without a change by a person.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::StorageFull | Self::Unavailable | Self::Internal | Self::OffsetMismatch | Self::JobPaused
        )
    }
}

/// The text is not a reason of this version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown refusal reason")]
pub struct UnknownReason;

const fn unknown(_: &str) -> UnknownReason {
    UnknownReason
}

/// A refusal, with its reason and a message about what was found and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} ({reason})")]
pub struct Refusal {
    /// The reason, for programs.
    pub reason: Reason,
    /// For people.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_parse_back() {
        for reason in Reason::ALL {
            assert_eq!(reason.code().parse(), Ok(*reason));
            assert_eq!(serde_json::to_string(reason).unwrap(), format!("\"{reason}\""));
        }
        assert!("NO_SUCH".parse::<Reason>().is_err());
    }
}
