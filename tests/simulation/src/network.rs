//! The calls between a daemon and the coordinator, which can be carried out twice.

use eosfed_common::assignment::{
    Assignment, BlobRef, Directive, EvaluationSubmission, Lease, StatisticsSubmission, UpdateSubmission,
};
use eosfed_common::clock::Timestamp;
use eosfed_common::data_statement::SignedDataStatement;
use eosfed_common::ids::{AssignmentId, IdempotencyKey, InstitutionName, LeaseToken};
use eosfed_common::policy_summary::SignedPolicySummary;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_coordinator::domain::Target;
use eosfed_coordinator::engine::Core;
use eosfed_coordinator::storage::{Presence, ready};
use eosfed_transport::wire::Heartbeat;

/// A submitted result.
#[derive(Debug, Clone, PartialEq)]
pub enum Submission {
    /// Weights.
    Update(Box<UpdateSubmission>),
    /// Moments of bands.
    Statistics(StatisticsSubmission),
    /// Scores of a specialist.
    Scores(EvaluationSubmission),
}

impl Submission {
    /// The assignment.
    #[must_use]
    pub const fn assignment(&self) -> &AssignmentId {
        match self {
            Self::Update(update) => &update.assignment,
            Self::Statistics(statistics) => &statistics.assignment,
            Self::Scores(scores) => &scores.assignment,
        }
    }

    /// Its idempotency key.
    #[must_use]
    pub const fn key(&self) -> &IdempotencyKey {
        match self {
            Self::Update(update) => &update.key,
            Self::Statistics(statistics) => &statistics.key,
            Self::Scores(scores) => &scores.key,
        }
    }

    /// Its idempotency key, to be changed.
    pub const fn key_mut(&mut self) -> &mut IdempotencyKey {
        match self {
            Self::Update(update) => &mut update.key,
            Self::Statistics(statistics) => &mut statistics.key,
            Self::Scores(scores) => &mut scores.key,
        }
    }

    /// The same without points of the curve.
    #[must_use]
    pub fn without_points(mut self) -> Self {
        if let Self::Update(update) = &mut self {
            update.points.clear();
        }
        self
    }

    /// The same submission with another lease.
    #[must_use]
    pub fn under(mut self, lease: LeaseToken) -> Self {
        match &mut self {
            Self::Update(update) => update.token = lease,
            Self::Statistics(statistics) => statistics.token = lease,
            Self::Scores(scores) => scores.token = lease,
        }
        self
    }
}

/// A call, as it is sent.
#[derive(Debug, Clone)]
pub enum Call {
    /// The greeting.
    Hello,
    /// Poll for work.
    Poll,
    /// Take an assignment.
    Accept(AssignmentId),
    /// Decline an assignment.
    Decline(AssignmentId, Refusal),
    /// Renew a lease.
    Heartbeat(Heartbeat),
    /// Ask for the progress of an upload.
    Stat(BlobRef),
    /// Some bytes of an upload.
    Append(BlobRef, u64, Vec<u8>),
    /// The bytes of a blob.
    Download(BlobRef),
    /// Submit a result.
    Submit(Box<Submission>),
    /// State the data set.
    StateData(Box<SignedDataStatement>),
    /// Share a summary of the policy.
    SharePolicy(Box<SignedPolicySummary>),
    /// Report that the work failed.
    Fail(AssignmentId, LeaseToken, String),
}

impl Call {
    /// Its line in the trace.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Hello => "hello".to_owned(),
            Self::Poll => "poll".to_owned(),
            Self::Accept(id) => format!("accept {id}"),
            Self::Decline(id, why) => format!("decline {id}: {}", why.reason),
            Self::Heartbeat(heartbeat) => {
                format!("heartbeat {} at {}", heartbeat.assignment, heartbeat.progress.step)
            }
            Self::Stat(blob) => format!("stat {}", blob.digest),
            Self::Append(blob, offset, bytes) => {
                format!("append {} at {offset}, {}", blob.digest, bytes.len())
            }
            Self::Download(blob) => format!("download {}", blob.digest),
            Self::Submit(submission) => format!("submit {} {}", submission.assignment(), submission.key()),
            Self::StateData(signed) => format!("state {} samples", signed.statement.samples.training),
            Self::SharePolicy(_) => "share policy".to_owned(),
            Self::Fail(id, ..) => format!("fail {id}"),
        }
    }

    /// The assignment that its answer is final for.
    #[must_use]
    pub fn concludes(&self) -> Option<&AssignmentId> {
        match self {
            Self::Submit(submission) => Some(submission.assignment()),
            Self::Fail(id, ..) | Self::Decline(id, _) => Some(id),
            Self::Hello | Self::Poll | Self::Accept(_) | Self::Heartbeat(_) => None,
            Self::Stat(_)
            | Self::Append(..)
            | Self::Download(_)
            | Self::StateData(_)
            | Self::SharePolicy(_) => None,
        }
    }

    /// The assignment that a final refusal of it ends.
    #[must_use]
    pub fn may_end<'a>(&'a self, held: &'a AssignmentId) -> Option<&'a AssignmentId> {
        match self {
            Self::Accept(id) => Some(id),
            Self::Stat(_) | Self::Append(..) => Some(held),
            other => other.concludes(),
        }
    }
}

/// The answer to a call.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Assignments.
    Offers(Vec<Assignment<Target>>),
    /// A lease.
    Lease(Lease),
    /// The answer to a heartbeat.
    Directive(Directive),
    /// The progress of an upload.
    Stands(Presence),
    /// Bytes.
    Bytes(Vec<u8>),
    /// When the result was recorded.
    Recorded(Timestamp),
    /// It was done.
    Done,
}

/// Carries out a call, as the coordinator's services do after authentication.
///
/// # Errors
/// The engine's refusal.
pub fn carry_out(core: &Core, from: &InstitutionName, call: Call) -> Result<Answer, Refusal> {
    let blobs = core.blobs();
    Ok(match call {
        Call::Hello => Answer::Done,
        Call::Poll => Answer::Offers(core.assignments(from)),
        Call::Accept(id) => Answer::Lease(ready(core.accept(&id))?),
        Call::Decline(id, why) => {
            ready(core.refuse(&id, why))?;
            Answer::Done
        }
        Call::Heartbeat(Heartbeat { assignment, token, progress }) => {
            Answer::Directive(ready(core.heartbeat(&assignment, &token, progress))?)
        }
        Call::Stat(blob) => Answer::Stands(ready(core.uploaded(from, blob.digest))?),
        Call::Append(blob, offset, bytes) => {
            core.may_upload(from, blob.size)?;
            if let there @ Presence::Complete(_) = ready(core.uploaded(from, blob.digest))? {
                return Ok(Answer::Stands(there));
            }
            let token = core.begin_upload(from, blob, offset)?;
            let stands = ready(core.append_upload(from, &token, blob, offset, &bytes))?;
            if stands == blob.size {
                ready(core.finish_upload(from, &token, blob))?;
                return Ok(Answer::Stands(Presence::Complete(stands)));
            }
            Answer::Stands(Presence::Partial(stands))
        }
        Call::Download(blob) => {
            if !core.may_download(from, &blob.digest) {
                return Err(Refusal::new(Reason::NotFound, "this blob is not for this caller"));
            }
            Answer::Bytes(ready(blobs.read(blob.digest, 0, usize::MAX))?)
        }
        Call::Submit(submission) => Answer::Recorded(match *submission {
            Submission::Update(update) => ready(core.submit_update(&update))?,
            Submission::Statistics(statistics) => ready(core.submit_statistics(statistics))?,
            Submission::Scores(scores) => ready(core.submit_evaluation(scores))?,
        }),
        Call::StateData(signed) => {
            ready(core.state_data(from, *signed))?;
            Answer::Done
        }
        Call::SharePolicy(signed) => {
            ready(core.share_policy(from, *signed))?;
            Answer::Done
        }
        Call::Fail(id, token, why) => {
            ready(core.report_failure(&id, &token, why))?;
            Answer::Done
        }
    })
}
