//! What operators can be told of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoEnumIterator as _, IntoStaticStr};

/// An event that operators can be told of.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    EnumIter,
    IntoStaticStr,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum NotifyEvent {
    /// The coordinator was started.
    CoordinatorStarted,
    /// A record could not be read back and was quarantined.
    RecordQuarantined,
    /// An institution has redeemed its invitation.
    InstitutionEnrolled,
    /// The access of an institution was revoked.
    InstitutionRevoked,
    /// An operator or a reader has redeemed an invitation.
    PersonEnrolled,
    /// The access of an operator or a reader was revoked.
    PersonRevoked,
    /// A plan was submitted as a job.
    JobSubmitted,
    /// A job was paused, by an operator or because it cannot go on.
    JobPaused,
    /// A job was cancelled.
    JobCancelled,
    /// A job has finished.
    JobFinished,
    /// A round was closed, with enough results or too few.
    RoundClosed,
    /// An institution has failed in a round: it said so, or its leases have expired.
    ParticipantFailed,
    /// Admission has rejected an update.
    UpdateRejected,
    /// A release was created.
    ReleaseCreated,
    /// A round has less than a tenth of its time left and too few results.
    RoundLate,
    /// An institution has not called for ten minutes.
    InstitutionSilent,
    /// The certificate of a member expires within seven days, and was not renewed.
    CertificateExpiring,
    /// The certificate of a member has expired.
    CertificateExpired,
    /// The certificate authority ends soon.
    AuthorityEnds,
    /// The disk of the blobs has less room than a level of `[disk]`.
    DiskLow,
    /// `eosfed-coordinator notify test` sends it; no receiver asks for it.
    Test,
}

impl NotifyEvent {
    /// Its name, as in settings and JSON.
    pub(super) fn name(self) -> &'static str {
        self.into()
    }

    /// All that a receiver can ask for.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Self::iter().filter(|event| *event != Self::Test)
    }
}
