//! What travels between a daemon and the coordinator: calls that can be carried out twice.

use eosfed_common::assignment::{Assignment, BlobRef, Directive, Lease, Progress, UpdateSubmission};
use eosfed_common::clock::Timestamp;
use eosfed_common::head::{HeadError, HeadOver, MAX_HEAD_BYTES};
use eosfed_common::ids::{AssignmentId, InstitutionName, LeaseToken};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::training_target::TrainingTarget;
use eosfed_coordinator::domain::Target;
use eosfed_coordinator::engine::Core;
use eosfed_coordinator::storage::{Presence, ready};

/// A call, as it lies on the wire.
#[derive(Debug, Clone)]
pub enum Call {
    /// What is there to do?
    Poll,
    /// I take it.
    Accept(AssignmentId),
    /// I do not want it.
    Refuse(AssignmentId),
    /// I am still at it.
    Heartbeat(AssignmentId, LeaseToken, Progress),
    /// How much of my upload is there?
    Stat(BlobRef),
    /// Some bytes of an upload.
    Append(BlobRef, u64, Vec<u8>),
    /// Some bytes of a blob.
    Download(BlobRef),
    /// Count this.
    Submit(Box<UpdateSubmission>),
    /// I cannot do it.
    Fail(AssignmentId, LeaseToken),
}

/// What comes back.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Assignments.
    Offers(Vec<Assignment>),
    /// A lease.
    Lease(Lease),
    /// What a heartbeat is told.
    Directive(Directive),
    /// How far an upload is.
    Stands(Presence),
    /// Bytes.
    Bytes(Vec<u8>),
    /// When it was recorded.
    Recorded(Timestamp),
    /// It was done.
    Done,
}

/// What is trained, as a client comes to know it.
fn training_target(core: &Core, target: &Target) -> Result<TrainingTarget, Refusal> {
    Ok(match target {
        Target::Specialist(model) => TrainingTarget::Specialist(model.clone()),
        Target::Bands(bands) => TrainingTarget::Bands(bands.clone()),
        Target::Head(head) => {
            let bytes = ready(core.blobs().read(head.document.digest, 0, MAX_HEAD_BYTES))?;
            let malformed = |error: HeadError| Refusal::new(Reason::Malformed, error.to_string());
            TrainingTarget::Head(Box::new(HeadOver::from_bytes(&bytes).map_err(malformed)?))
        }
    })
}

/// Carries a call out, as the coordinator's services do after they have made sure who calls.
///
/// # Errors
/// The engine's refusal.
pub fn carry_out(core: &Core, from: &InstitutionName, call: Call) -> Result<Answer, Refusal> {
    let blobs = core.blobs();
    Ok(match call {
        Call::Poll => {
            let offers = core.assignments(from).into_iter().map(|offer| {
                let training_target = training_target(core, &offer.training_target)?;
                Ok(offer.with(|_| training_target))
            });
            Answer::Offers(offers.collect::<Result<_, Refusal>>()?)
        }
        Call::Accept(id) => Answer::Lease(ready(core.accept(&id))?),
        Call::Refuse(id) => {
            ready(core.refuse(&id, Refusal::new(Reason::Policy, "not today")))?;
            Answer::Done
        }
        Call::Heartbeat(id, token, progress) => {
            Answer::Directive(ready(core.heartbeat(&id, &token, progress))?)
        }
        Call::Stat(blob) => Answer::Stands(ready(blobs.stat(from.as_str(), blob.digest))?),
        Call::Append(blob, offset, bytes) => {
            core.may_upload(from, blob.size)?;
            if let there @ Presence::Complete(_) = ready(blobs.stat(from.as_str(), blob.digest))? {
                return Ok(Answer::Stands(there));
            }
            let stands = ready(blobs.append(from.as_str(), blob, offset, &bytes))?;
            if stands == blob.size {
                ready(blobs.finish(from.as_str(), blob))?;
                return Ok(Answer::Stands(Presence::Complete(stands)));
            }
            Answer::Stands(Presence::Partial(stands))
        }
        Call::Download(blob) => {
            if !core.may_download(from, &blob.digest) {
                return Err(Refusal::new(Reason::NotFound, "not for you"));
            }
            Answer::Bytes(ready(blobs.read(blob.digest, 0, usize::MAX))?)
        }
        Call::Submit(submission) => Answer::Recorded(ready(core.submit_update(&submission))?),
        Call::Fail(id, token) => {
            ready(core.report_failure(&id, &token, "no more memory".to_owned()))?;
            Answer::Done
        }
    })
}
