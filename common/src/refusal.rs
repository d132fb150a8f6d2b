//! Refusals: why the coordinator (or an institution) says no, as a reason that machines key on and
//! a sentence for people. The one table of reasons; the client's retry table and the status codes
//! of the wire both follow from it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)+) => {
        /// Why something is refused. Stable: the code travels on the wire and stands in logs and docs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[$doc])* #[serde(rename = $code)] $name,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable code.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }
        }
    };
}

reasons! {
    /// The join token was never issued, or is for somebody else.
    TokenInvalid = "TOKEN_INVALID",
    /// The join token's time is over.
    TokenExpired = "TOKEN_EXPIRED",
    /// The join token has been used.
    TokenUsed = "TOKEN_USED",
    /// No certificate, or one of nobody we know.
    Unauthenticated = "UNAUTHENTICATED",
    /// The caller's role does not allow the call.
    Forbidden = "FORBIDDEN",
    /// Program or protocol versions do not fit together.
    Incompatible = "INCOMPATIBLE",
    /// No such job, specialist, release, institution, blob or assignment.
    NotFound = "NOT_FOUND",
    /// The name fits more than one job; the sentence lists them.
    Ambiguous = "AMBIGUOUS",
    /// The name is taken.
    AlreadyExists = "ALREADY_EXISTS",
    /// A message breaks a rule of its format.
    Malformed = "MALFORMED",
    /// The plan breaks its rules.
    PlanInvalid = "PLAN_INVALID",
    /// The thing is not in a state in which this can be done.
    WrongState = "WRONG_STATE",
    /// The round has closed; the update is no longer wanted.
    RoundClosed = "ROUND_CLOSED",
    /// The job has ended or was cancelled.
    JobEnded = "JOB_ENDED",
    /// The job is paused; it may be resumed, and then the work is wanted again.
    JobPaused = "JOB_PAUSED",
    /// The lease has run out and the work was given up.
    LeaseExpired = "LEASE_EXPIRED",
    /// The token is not the lease's.
    LeaseMismatch = "LEASE_MISMATCH",
    /// The institution's own policy forbids the job.
    Policy = "POLICY",
    /// The institution's data set cannot serve the job.
    DataUnfit = "DATA_UNFIT",
    /// The weights are not a well-formed safetensors file.
    WeightsMalformed = "WEIGHTS_MALFORMED",
    /// A tensor is missing or one too many.
    TensorSet = "TENSOR_SET",
    /// A tensor has the wrong shape.
    ShapeMismatch = "SHAPE_MISMATCH",
    /// A tensor has the wrong dtype.
    DtypeMismatch = "DTYPE_MISMATCH",
    /// A tensor holds NaN or an infinity.
    NotFinite = "NOT_FINITE",
    /// The update repeats another institution's, or an earlier one's, bytes.
    Replayed = "REPLAYED",
    /// The update's step is far longer than the others' of its round.
    NormOutlier = "NORM_OUTLIER",
    /// The specialist is not as good as the plan demands.
    QualityFloor = "QUALITY_FLOOR",
    /// More bytes, or more of anything, than allowed.
    TooLarge = "TOO_LARGE",
    /// The bytes are not those that the digest names.
    DigestMismatch = "DIGEST_MISMATCH",
    /// The upload does not go on where the coordinator stands; ask again where that is.
    OffsetMismatch = "OFFSET_MISMATCH",
    /// The blob named has not been uploaded.
    BlobMissing = "BLOB_MISSING",
    /// The disk of the coordinator is full.
    StorageFull = "STORAGE_FULL",
    /// The coordinator is starting, stopping or out of reach.
    Unavailable = "UNAVAILABLE",
    /// A defect; the sentence holds only an opaque number that stands in the coordinator's log.
    Internal = "INTERNAL",
}

impl Reason {
    /// Whether the same call may succeed later without anybody changing anything but time.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::StorageFull | Self::Unavailable | Self::Internal | Self::OffsetMismatch | Self::JobPaused
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

/// The text is no reason of this release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown refusal reason")]
pub struct UnknownReason;

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        Self::ALL.iter().copied().find(|reason| reason.code() == text).ok_or(UnknownReason)
    }
}

/// A no, with its reason and a sentence that says what was found and what to do.
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
