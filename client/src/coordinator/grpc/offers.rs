//! Reading an offer and checking what signs it.

use std::fmt;

use eosfed_common::assignment::{Assignment, BlobRef, Offered};
use eosfed_common::card::{Card, ReleaseManifest};
use eosfed_common::ids::AssignmentId;
use eosfed_common::model::ModelSpec;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::signing::{KeySignature, PinnedKeys};
use eosfed_common::statements::AssignmentStatement;
use eosfed_proto::v1;
use eosfed_transport::protocol::VERSION;
use eosfed_transport::wire::Wire as _;

use super::unreadable;

/// What an offer has become.
pub(super) enum Read {
    /// It can be considered.
    Known(Box<Assignment<Offered>>),
    /// This version does not know the work. Holds the reason.
    Unknown(AssignmentId, Refusal),
}

impl Read {
    pub(super) const fn id(&self) -> &AssignmentId {
        match self {
            Self::Known(assignment) => &assignment.id,
            Self::Unknown(id, _) => id,
        }
    }
}

/// Checks the coordinator's signature of an offer.
///
/// # Errors
/// With what a person can do.
pub(super) fn check_signature(
    offer: &Assignment<Offered>,
    signature: &str,
    keys: &PinnedKeys,
) -> Result<(), Refusal> {
    let refused = |why: &dyn fmt::Display| {
        let message = format!(
            "the assignment is not signed as it must be: {why}; ask the coordinator's operator who has changed \
             the assignment or the signing key"
        );
        Refusal::new(Reason::NotSigned, message)
    };
    if keys.0.is_empty() {
        let message = "the coordinator has named no signing key; it must be updated";
        return Err(Refusal::new(Reason::NotSigned, message));
    }
    if signature.is_empty() {
        return Err(refused(&"it has no signature"));
    }
    let signature: KeySignature = signature.parse().map_err(|error| refused(&error))?;
    signature.verify(&AssignmentStatement(offer), &keys.0).map_err(|error| refused(&error))
}

/// Checks that a release is signed, and lists the base of a one-shot job, with the network that the offer says it
/// has.
///
/// # Errors
/// With the rule and what was found.
pub(super) fn check_base(
    release: &[u8],
    base: BlobRef,
    network: Option<&ModelSpec>,
    keys: &PinnedKeys,
) -> Result<(), Refusal> {
    let refused =
        |why: &dyn fmt::Display| Refusal::new(Reason::NotSigned, format!("the weights to start from: {why}"));
    let release: ReleaseManifest = serde_json::from_slice(release).map_err(|error| refused(&error))?;
    release.verify_signature(&keys.0).map_err(|error| refused(&error))?;
    let is_base = |card: &Card| (card.weights, card.weights_bytes) == (base.digest, base.size);
    let Some(card) = release.specialists.iter().find(|card| is_base(card)) else {
        return Err(refused(&format!(
            "release {} has no specialist of {} and {} bytes",
            release.number, base.digest, base.size
        )));
    };
    match network {
        Some(said) if *said != card.model => Err(refused(&format!(
            "specialist `{}` of release {} has another network than the assignment says",
            card.reference(),
            release.number
        ))),
        _ => Ok(()),
    }
}

/// Reads an offer. A newer coordinator may ask for work of a kind that this version does not know. That
/// work is declined; the rest can be done.
///
/// # Errors
/// If the offer has no id by which it could be declined.
pub(super) fn read_offer(offer: v1::Assignment) -> Result<Read, Refusal> {
    let id = offer.id.parse::<AssignmentId>();
    match (Assignment::from_message(offer), id) {
        (Ok(assignment), _) => Ok(Read::Known(Box::new(assignment))),
        (Err(error), Ok(id)) => Ok(Read::Unknown(id, unknown(&error))),
        (Err(error), Err(_)) => Err(unreadable(&error)),
    }
}

pub(super) fn unknown(error: &dyn fmt::Display) -> Refusal {
    let message = format!(
        "this client (version {VERSION}) does not know this kind of work: {error}; update the client"
    );
    Refusal::new(Reason::Incompatible, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client meets a job whose encodings are newer than it is: that job is declined with what to do, others go on.
    #[test]
    fn work_with_an_encoding_of_a_later_version_is_declined() {
        let known = eosfed_testkit::assignments::offered(
            eosfed_testkit::assignments::training(eosfed_common::plan::JobKind::Rounds),
            BlobRef::of(b"document"),
        );
        let mut offer = known.clone().into_message();
        assert!(matches!(read_offer(offer.clone()).unwrap(), Read::Known(found) if *found == known));
        let Some(v1::assignment::Work::Training(work)) = &mut offer.work else { panic!("not of training") };
        work.encodings = vec![1000, v1::Encoding::F32.into()];
        let Read::Unknown(id, why) = read_offer(offer).unwrap() else { panic!("it is known") };
        assert_eq!((&id, why.reason), (&known.id, Reason::Incompatible));
        assert!(why.message.contains("`encodings`") && why.message.contains("update the client"), "{why}");
    }
}
