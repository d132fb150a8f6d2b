//! The entries of the site log. Plain data: names and members are the format of `eosfed-client log --output json`.

use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::ids::{AssignmentId, DataSetName, JobId};
use eosfed_common::printable::{MAX_NAME, Printable};
use eosfed_common::refusal::{Reason, Refusal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, VariantNames};

use crate::policy::GivenApproval;

/// Longest text of an entry, in bytes.
const MAX_TEXT: usize = 4096;
/// Most texts in a list of an entry.
const MAX_LINES: usize = 64;

/// One entry, before it has its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// The job that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// The assignment that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<AssignmentId>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EntryKind,
}

/// What happened.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, AsRefStr, VariantNames, JsonSchema,
)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EntryKind {
    /// A daemon was started.
    Started {
        /// Its version.
        version: String,
        /// The site policy in words.
        policy: Vec<String>,
    },
    /// The daemon has ended in order. After a crash, there is no such entry.
    Stopped,
    /// The coordinator has offered an assignment.
    Asked {
        /// The job's display name; absent for work that this version does not know, and in logs of earlier versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// What it asks for, in words.
        terms: Vec<String>,
        /// Digest of the terms, which approvals are of; absent for work that this version does not know.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<Digest>,
    },
    /// The work will be done.
    Accepted {
        /// Who has approved it, if the policy wants an approval.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approval: Option<Approved>,
        /// The data set that it reads, where the site has several with names.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dataset: Option<DataSetName>,
    },
    /// The work will not be done.
    Refused(Why),
    /// The work has failed here.
    Failed(Why),
    /// The work waits.
    Waits {
        /// For what.
        why: String,
    },
    /// Further offers of this day are refused and postponed without entries of their own.
    NotNoted {
        /// The number of offers that were noted on this day.
        offers: u64,
    },
    /// A person has approved the work of a job.
    Approved(Approved),
    /// An update was clipped and got noise, which is charged to the privacy budget.
    NoiseAdded {
        /// The digest of the file with noise.
        digest: Digest,
        /// The clipping, the noise and the spent epsilon, in words.
        spending: String,
        /// What the budget is charged with; absent in logs of earlier versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        update: Option<NoisedUpdate>,
    },
    /// The record of spent privacy was made again from this log.
    SpendingRebuilt {
        /// The updates in it.
        updates: u64,
        /// Those of them that were missing from it before.
        added: u64,
    },
    /// A record begins to be sent.
    Sending(Sending),
    /// A record has arrived.
    Sent(Sending),
    /// The work has ended.
    Ended {
        /// How.
        how: String,
    },
    /// The site policy was changed, or cannot be read.
    PolicyChanged {
        /// The change, and what it means for the work in hand.
        change: String,
    },
    /// The certificate was renewed.
    Renewed {
        /// The end of the new one.
        until: Timestamp,
    },
    /// An incomplete last line was cut, which a crash had left.
    Mended {
        /// Its bytes.
        bytes: u64,
    },
    /// A new file was begun, and the oldest were removed.
    Rotated {
        /// The first entry that is kept.
        oldest: u64,
    },
}

/// An update with noise, from which its charge can be made again. Entries have no floats, so the numbers are
/// texts, which read as the same 64-bit floats.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct NoisedUpdate {
    /// The job's display name.
    pub job_name: String,
    /// Greatest L2 norm of the step.
    pub clip: String,
    /// Standard deviation of the noise, in units of `clip`.
    pub noise_multiplier: String,
    /// The data set of several that it was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DataSetName>,
}

/// Why work is not done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Why {
    /// The reason.
    #[schemars(with = "String")]
    pub reason: Reason,
    /// Every objection, as it is known here.
    pub message: String,
    /// What the coordinator is told instead of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
}

impl Why {
    /// A refusal or a failure, and what the coordinator is told of it.
    #[must_use]
    pub fn new(why: &Refusal, told: &Refusal) -> Self {
        let told = (told != why).then(|| text(&told.message));
        Self { reason: why.reason, message: text(&why.message), told }
    }
}

/// An approval.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Approved {
    /// The login name of the person.
    pub by: String,
    /// When it was given.
    pub given: Timestamp,
    /// Digest of the terms.
    pub terms: Digest,
    /// The most rounds that it covers.
    pub rounds: u32,
    /// The end of it.
    pub until: Timestamp,
}

impl From<&GivenApproval> for Approved {
    fn from(approval: &GivenApproval) -> Self {
        let GivenApproval { terms, rounds, until, by, at } = approval;
        Self { by: text(by), given: *at, terms: *terms, rounds: *rounds, until: *until }
    }
}

/// A kind of record that leaves.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Record {
    /// The file of weights.
    Weights,
    /// What is said of the training of weights.
    TrainingReport,
    /// Moments of bands.
    Statistics,
    /// Scores of a specialist.
    Scores,
    /// Points of a training curve.
    Curve,
    /// The number of steps.
    Progress,
    /// What is said of the data set.
    DataStatement,
    /// What is shared of the policy.
    PolicySummary,
}

/// A record that leaves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Sending {
    /// Its kind.
    pub record: Record,
    /// A few words about it.
    pub what: String,
    /// Its bytes; absent where it is a part of many messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Digest of the weights that it is or belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Digest>,
    /// The words of `may_leave` that cover it.
    pub words: Vec<String>,
}

impl Entry {
    /// An entry about no job.
    #[must_use]
    pub const fn new(kind: EntryKind) -> Self {
        Self { job: None, assignment: None, kind }
    }

    /// An entry about a job.
    #[must_use]
    pub fn of_job(job: &JobId, kind: EntryKind) -> Self {
        Self { job: Some(job.clone()), assignment: None, kind }
    }

    /// An entry about an assignment.
    #[must_use]
    pub fn of(assignment: &AssignmentId, kind: EntryKind) -> Self {
        Self { job: Some(assignment.job.clone()), assignment: Some(assignment.clone()), kind }
    }
}

/// A text for an entry: one line, of a bounded length, that can be shown.
pub(crate) fn text(text: &str) -> String {
    Printable::escaped(text, MAX_TEXT).into()
}

/// The display name of a job for an entry.
pub(crate) fn name(name: &str) -> String {
    Printable::escaped(name, MAX_NAME).into()
}

/// Texts for an entry.
pub(crate) fn lines(lines: impl IntoIterator<Item = String>) -> Vec<String> {
    lines.into_iter().take(MAX_LINES).map(|line| text(&line)).collect()
}
