//! Conversion of refusals to gRPC status and back, with the table of codes. The reason is sent as metadata,
//! so a client never parses the text.

use eosfed_common::causes::with_causes_after;
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::printable::escape_but_lines;
use eosfed_common::refusal::{Reason, Refusal};
use prost::Message as _;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::protocol::VERSION;
use crate::validity;

const METADATA: &str = "eosfed-refusal-bin";

/// The gRPC code of a reason.
#[must_use]
pub const fn code(reason: Reason) -> Code {
    use Reason as R;
    match reason {
        R::Unauthenticated | R::TokenInvalid | R::TokenExpired | R::TokenUsed => Code::Unauthenticated,
        R::Forbidden | R::Policy => Code::PermissionDenied,
        R::NotFound | R::BlobMissing => Code::NotFound,
        R::AlreadyExists => Code::AlreadyExists,
        R::Ambiguous
        | R::Malformed
        | R::PlanInvalid
        | R::WeightsMalformed
        | R::TensorSet
        | R::ShapeMismatch
        | R::DtypeMismatch
        | R::NotFinite
        | R::Replayed
        | R::NormOutlier
        | R::NotSigned
        | R::QualityFloor
        | R::DigestMismatch => Code::InvalidArgument,
        R::Incompatible
        | R::WrongState
        | R::RoundClosed
        | R::JobEnded
        | R::LeaseExpired
        | R::LeaseMismatch
        | R::DataUnfit => Code::FailedPrecondition,
        R::TooLarge | R::StorageFull => Code::ResourceExhausted,
        R::OffsetMismatch => Code::Aborted,
        R::Unavailable | R::JobPaused => Code::Unavailable,
        R::Internal => Code::Internal,
    }
}

/// A refusal as a gRPC status.
#[must_use]
pub fn to_status(refusal: &Refusal) -> Status {
    // Sentences may repeat what the caller has said.
    let sentence = escape_but_lines(&refusal.message);
    let message =
        eosfed_proto::v1::Refusal { reason: refusal.reason.code().to_owned(), message: sentence.clone() };
    let mut status = Status::new(code(refusal.reason), sentence);
    status.metadata_mut().insert_bin(METADATA, MetadataValue::from_bytes(&message.encode_to_vec()));
    status
}

/// The refusal of a status. If the peer did not send a reason, it is the nearest reason to the code.
#[must_use]
pub fn from_status(status: &Status) -> Refusal {
    carried(status).unwrap_or_else(|| {
        let reason = match status.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Aborted => {
                Reason::Unavailable
            }
            Code::Unauthenticated => Reason::Unauthenticated,
            Code::PermissionDenied => Reason::Forbidden,
            Code::Unimplemented => Reason::Incompatible,
            Code::NotFound => Reason::NotFound,
            Code::AlreadyExists => Reason::AlreadyExists,
            Code::InvalidArgument | Code::OutOfRange => Reason::Malformed,
            Code::ResourceExhausted => Reason::TooLarge,
            Code::FailedPrecondition => Reason::WrongState,
            Code::Ok | Code::Internal | Code::DataLoss => Reason::Internal,
        };
        let said = escape_but_lines(&describe(status));
        if reason == Reason::Incompatible {
            let message = format!(
                "the peer does not know this call, so it has an older version than this program ({VERSION}); \
                 update it ({said})"
            );
            return Refusal::new(reason, message);
        }
        let now = SystemClock.now();
        let wrong_clock = validity::explain(status, now).or_else(|| validity::explain_text(&said, now));
        let message = match (wrong_clock, advice(&said)) {
            (Some(why), _) => format!("{why} ({said})"),
            (None, Some(advice)) => format!("{said}; {advice}"),
            (None, None) => said,
        };
        Refusal::new(reason, message)
    })
}

fn carried(status: &Status) -> Option<Refusal> {
    let bytes = status.metadata().get_bin(METADATA)?.to_bytes().ok()?;
    let eosfed_proto::v1::Refusal { reason, message } = eosfed_proto::v1::Refusal::decode(bytes).ok()?;
    Some(Refusal::new(reason.parse().ok()?, escape_but_lines(&message)))
}

/// The text of the status and its causes, which tell what went wrong with the connection.
fn describe(status: &Status) -> String {
    with_causes_after(status.message().to_owned(), status)
}

/// What to do about a connection that TLS has ended, by the text of its error.
fn advice(said: &str) -> Option<&'static str> {
    if said.contains("UnknownIssuer") {
        return Some(
            "the coordinator's certificate is not from the authority of `ca.pem`; this identity is for another \
             coordinator, or this coordinator was set up anew",
        );
    }
    // By TLS 1.3 a peer says only after the handshake that it refuses a certificate; its alert may come too late.
    ["connection closed", "received fatal alert"].iter().any(|text| said.contains(text)).then_some(
        "if it is running and this repeats, it does not accept the certificate of this identity, which may be for \
         another coordinator",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_preserved_in_a_status() {
        for reason in Reason::ALL {
            let refusal = Refusal::new(*reason, "what was found, and `why`; ünïcode too");
            assert_eq!(from_status(&to_status(&refusal)), refusal);
        }
    }

    #[test]
    fn neither_end_lets_the_other_steer_a_terminal() {
        let refusal = Refusal::new(Reason::PlanInvalid, "two\nlines \u{1b}[2J\u{202e}");
        assert_eq!(to_status(&refusal).message(), "two\nlines \\u{1b}[2J\\u{202e}");
        let message = eosfed_proto::v1::Refusal {
            reason: refusal.reason.code().to_owned(),
            message: refusal.message.clone(),
        };
        let mut hostile = Status::unknown("\u{1b}]0;title");
        assert!(from_status(&hostile).message.contains("\\u{1b}]0;title"));
        hostile.metadata_mut().insert_bin(METADATA, MetadataValue::from_bytes(&message.encode_to_vec()));
        assert_eq!(from_status(&hostile).message, "two\nlines \\u{1b}[2J\\u{202e}");
    }

    #[test]
    fn a_status_without_a_reason_gets_one_from_its_code() {
        assert_eq!(from_status(&Status::unavailable("down")).reason, Reason::Unavailable);
        let unknown = from_status(&Status::unimplemented("no"));
        assert_eq!(unknown.reason, Reason::Incompatible);
        assert!(unknown.message.contains("older version") && unknown.message.contains("update"), "{unknown}");
    }
}
