//! The kinds of events. Names and members are the schema of `eosfed audit export`. Rounds are counted from 0
//! and attempts from 1, as in `eosfed job show --output json`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, VariantNames};

use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::ids::{JobId, ReleaseNumber};
use crate::refusal::Reason;
use crate::signing::PublicKey;
use crate::weights::Encoding;

use super::Actor;

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AsRefStr, VariantNames, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EventKind {
    /// The ledger was created. The event counts the records that the store had before.
    LedgerOpened {
        /// The schema of the store.
        schema: u32,
        /// The schema that the store was migrated from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        migrated_from: Option<u32>,
        /// Institutions.
        institutions: u64,
        /// Jobs.
        jobs: u64,
        /// Versions of specialists.
        specialists: u64,
        /// Releases.
        releases: u64,
    },
    /// The coordinator was started; leases and deadlines were extended.
    CoordinatorStarted {
        /// Its version.
        version: String,
    },
    /// The coordinator's authority was replaced by another one, beside which it still counts.
    AuthorityRotated {
        /// SHA-256 of the certificate of the authority before.
        before: Digest,
        /// SHA-256 of the certificate of the authority that signs from now on.
        now: Digest,
    },
    /// The authority before the present one counts no more.
    AuthorityRetired {
        /// SHA-256 of its certificate.
        authority: Digest,
    },
    /// A record could not be read back and was quarantined.
    RecordQuarantined {
        /// Its tree and key.
        record: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An institution was invited.
    InstitutionInvited {
        /// When the invitation expires.
        expires_at: Timestamp,
    },
    /// An institution has redeemed its invitation.
    InstitutionEnrolled {
        /// Digest of its certificate signing request.
        request: Digest,
        /// SHA-256 of its public key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Digest>,
    },
    /// The access of an institution was revoked.
    InstitutionRevoked {
        /// Why.
        reason: String,
        /// Whether lists leave it out.
        removed: bool,
    },
    /// The identity in the coordinator's own state folder has become the first operator.
    FirstOperator {
        /// The operator.
        person: Actor,
        /// SHA-256 of its public key.
        key: Digest,
    },
    /// An operator or a reader was invited.
    PersonInvited {
        /// Who.
        person: Actor,
        /// When the invitation expires.
        expires_at: Timestamp,
    },
    /// An operator or a reader has redeemed an invitation.
    PersonEnrolled {
        /// Digest of the certificate signing request.
        request: Digest,
        /// SHA-256 of the public key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Digest>,
    },
    /// The access of an operator or a reader was revoked.
    PersonRevoked {
        /// Whose.
        person: Actor,
        /// Why.
        reason: String,
        /// Whether lists leave them out.
        removed: bool,
    },
    /// A certificate was renewed.
    CertificateRenewed {
        /// When the new one expires.
        expires_at: Timestamp,
        /// SHA-256 of its public key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Digest>,
    },
    /// A key was used for the first time: of a renewed certificate, or the first that the coordinator has
    /// seen of an institution that had enrolled with an earlier version.
    KeyUsed {
        /// SHA-256 of the public key.
        key: Digest,
    },
    /// An institution has enrolled the key that it signs its submissions with.
    SigningKeyEnrolled {
        /// The public key.
        key: PublicKey,
    },
    /// An institution has stated what its data set is. The samples that it claims are bounded by it in rounds
    /// that open from now on.
    DataStated {
        /// The name of the data set.
        dataset: String,
        /// Samples of its training part.
        training: u64,
        /// Samples of its validation part.
        validation: u64,
        /// Samples of its test part.
        test: u64,
        /// Digest of the whole statement's canonical JSON.
        statement: Digest,
        /// Samples of the training part in the statement before, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        training_before: Option<u64>,
        /// Samples of the validation part in the statement before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        validation_before: Option<u64>,
    },
    /// An institution has shared a summary of its policy, or another one than before.
    PolicyShared {
        /// Digest of the summary's canonical JSON.
        summary: Digest,
    },
    /// A plan was submitted as a job.
    JobSubmitted {
        /// The name of the plan.
        name: String,
    },
    /// A job was forked from a round of another job.
    JobForked {
        /// The other job.
        origin: JobId,
        /// Index of its round.
        round: u32,
    },
    /// A job was paused.
    JobPaused {
        /// Why.
        reason: String,
    },
    /// A paused job was resumed.
    JobResumed,
    /// A job was cancelled.
    JobCancelled,
    /// A job has finished.
    JobFinished,
    /// An offer was repeated to an institution that had declined, failed or been rejected.
    InstitutionRetried {
        /// Index of the round.
        round: u32,
    },
    /// A round was opened, or another attempt at it.
    RoundOpened {
        /// Index of the round.
        round: u32,
        /// The attempt.
        attempt: u32,
        /// Its deadline.
        deadline: Timestamp,
    },
    /// A round was closed.
    RoundClosed {
        /// Index of the round.
        round: u32,
        /// The attempt.
        attempt: u32,
        /// Whether enough results were submitted.
        complete: bool,
        /// The number of results that count.
        submitted: u32,
    },
    /// An institution has accepted an assignment.
    AssignmentAccepted {
        /// Index of the round.
        round: u32,
        /// The attempt.
        attempt: u32,
    },
    /// An institution has declined an assignment.
    AssignmentRefused {
        /// Index of the round.
        round: u32,
        /// The reason's code.
        #[serde(with = "code")]
        #[schemars(with = "String")]
        reason: Reason,
        /// The message of the institution.
        message: String,
    },
    /// A lease expired. The work is offered again, or the institution has failed.
    LeaseExpired {
        /// Index of the round.
        round: u32,
        /// The number of its leases that have expired in this round.
        expiries: u32,
        /// Whether the institution has failed because of it.
        failed: bool,
    },
    /// An institution has reported that the work failed there.
    FailureReported {
        /// Index of the round.
        round: u32,
        /// The message of the institution.
        message: String,
    },
    /// An update was admitted and counts.
    UpdateSubmitted {
        /// Index of the round.
        round: u32,
        /// Its weights.
        weights: Digest,
        /// Its number of training samples.
        samples: u64,
        /// How its file is encoded.
        #[serde(default, skip_serializing_if = "Encoding::is_plain")]
        encoding: Encoding,
    },
    /// Admission has rejected an update.
    UpdateRejected {
        /// Index of the round.
        round: u32,
        /// Its weights.
        weights: Digest,
        /// The reason's code.
        #[serde(with = "code")]
        #[schemars(with = "String")]
        reason: Reason,
        /// What was found.
        message: String,
    },
    /// An update that was admitted was excluded from its round.
    UpdateExcluded {
        /// Index of the round.
        round: u32,
        /// Its weights.
        weights: Digest,
        /// What was found.
        message: String,
    },
    /// The part of an institution in the open round has ended, because its access was revoked.
    ParticipationEnded {
        /// Index of the round.
        round: u32,
        /// The weights of its update, if it had submitted one. It does not count.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        discarded: Option<Digest>,
    },
    /// Statistics were admitted and count.
    StatisticsSubmitted {
        /// Index of the round.
        round: u32,
    },
    /// Scores were admitted and count.
    EvaluationSubmitted {
        /// Index of the round.
        round: u32,
        /// Samples scored.
        samples: u64,
    },
    /// The first global model was generated.
    ModelInitialised {
        /// Its weights.
        weights: Digest,
    },
    /// A round is complete and its updates are being aggregated.
    AggregationStarted {
        /// Index of the round.
        round: u32,
        /// The attempt.
        attempt: u32,
        /// The number of updates.
        updates: u32,
    },
    /// The updates of a round were aggregated.
    RoundAggregated {
        /// Index of the round.
        round: u32,
        /// The new global model.
        weights: Digest,
    },
    /// A specialist was frozen.
    SpecialistFrozen {
        /// Its name and version, as `NAME@VERSION`.
        specialist: String,
        /// Its weights.
        weights: Digest,
    },
    /// A head was trained.
    HeadTrained {
        /// Its weights.
        weights: Digest,
    },
    /// A release was created.
    ReleaseCreated {
        /// Its number.
        release: ReleaseNumber,
        /// The number of its specialists.
        specialists: u64,
    },
    /// The ablation of a head over a release was handed in, or another one under the same name.
    AblationRecorded {
        /// The number of the release.
        release: ReleaseNumber,
        /// The name of the head.
        head: String,
        /// The metric.
        metric: String,
        /// Digest of the ablation's canonical JSON.
        ablation: Digest,
    },
    /// A snapshot for a backup was taken.
    SnapshotTaken,
    /// The updates and starting weights of a closed round were given up: those that nothing else needs are
    /// removed.
    RoundPruned {
        /// Index of the round.
        round: u32,
        /// The attempt.
        attempt: u32,
        /// The rule that it fell under. The actor says whose rule it was.
        rule: PruneRule,
        /// The removed weights. With very many of them, further events have the rest.
        weights: Vec<Digest>,
        /// The sum of their sizes.
        bytes: u64,
    },
    /// Blobs that are no longer needed were removed.
    BlobsRemoved {
        /// Their number.
        blobs: u64,
    },
    /// A person's call was refused.
    Refused {
        /// The call.
        action: String,
        /// The reason's code.
        #[serde(with = "code")]
        #[schemars(with = "String")]
        reason: Reason,
        /// The message, cut to a bounded length.
        message: String,
    },
    /// Calls were refused without an event of their own, because there were too many.
    RefusalsOmitted {
        /// Their number.
        refusals: u64,
    },
}

/// Why the weights of a closed round are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PruneRule {
    /// The round closed too long ago.
    Age,
    /// What is kept would be too large, and the round is among the oldest.
    Size,
}

/// Serializes a reason as its code, which is the same in all versions.
mod code {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::refusal::Reason;

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    pub(super) fn serialize<S: Serializer>(reason: &Reason, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(reason.code())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Reason, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

impl EventKind {
    /// Its name, as in JSON.
    #[must_use]
    pub fn name(&self) -> &str {
        self.as_ref()
    }

    /// Its members without its name, as JSON.
    #[must_use]
    pub fn details(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(members) = value.as_object_mut() {
            members.remove("kind");
        }
        value.to_string()
    }
}
