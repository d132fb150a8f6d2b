//! Refusals: why the coordinator (or an institution) says no, as a reason that machines key on and
//! a sentence for people. The one table of reasons; the client's retry table and the status codes
//! of the wire both follow from it.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// Why something is refused. The code is stable; it is used on the wire, in logs and in docs.
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
    /// The join token was never issued, or is for somebody else.
    TokenInvalid,
    /// The join token's time is over.
    TokenExpired,
    /// The join token has been used.
    TokenUsed,
    /// No certificate, or one of an unknown holder.
    Unauthenticated,
    /// The caller's role does not allow the call.
    Forbidden,
    /// Program or protocol versions do not fit together.
    Incompatible,
    /// No such job, specialist, release, institution, blob or assignment.
    NotFound,
    /// The name fits more than one job; the sentence lists them.
    Ambiguous,
    /// The name is taken.
    AlreadyExists,
    /// A message breaks a rule of its format.
    Malformed,
    /// The plan breaks its rules.
    PlanInvalid,
    /// The state of the job, release or assignment does not allow the call.
    WrongState,
    /// The round has closed; the update is no longer wanted.
    RoundClosed,
    /// The job has ended or was cancelled.
    JobEnded,
    /// The job is paused. After a resume the work is wanted again.
    JobPaused,
    /// The lease has run out and the work was given up.
    LeaseExpired,
    /// The token is not the token of the lease.
    LeaseMismatch,
    /// The institution's own policy forbids the job.
    Policy,
    /// The institution's data set cannot serve the job.
    DataUnfit,
    /// The weights are not a well-formed safetensors file.
    WeightsMalformed,
    /// A tensor is missing, or there is one too many.
    TensorSet,
    /// A tensor has the wrong shape.
    ShapeMismatch,
    /// A tensor has the wrong dtype.
    DtypeMismatch,
    /// A tensor holds NaN or an infinity.
    NotFinite,
    /// The update repeats the bytes of another institution or of an earlier update.
    Replayed,
    /// The update's step is far longer than the other steps of its round.
    NormOutlier,
    /// The specialist is worse than the plan demands.
    QualityFloor,
    /// More bytes, or more items, than allowed.
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
    /// A defect; the sentence holds only an opaque number, which the coordinator's log has too.
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

    /// Whether the same call may succeed later without any change by a person.
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

/// A refusal, with its reason and a sentence about what was found and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} ({reason})")]
pub struct Refusal {
    /// For machines.
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
    fn codes_are_distinct_and_survive_text() {
        for reason in Reason::ALL {
            assert_eq!(reason.code().parse(), Ok(*reason));
            assert_eq!(serde_json::to_string(reason).unwrap(), format!("\"{reason}\""));
        }
        assert!("NO_SUCH".parse::<Reason>().is_err());
    }
}
