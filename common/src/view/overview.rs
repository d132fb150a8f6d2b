//! The state of the whole federation on one page: what runs, what waits and for whom, and what is wrong.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::Display;

use super::summary::{JobSummary, ReleaseSummary};
use crate::clock::Timestamp;
use crate::ids::InstitutionName;

/// Most jobs under way that are listed.
pub const MAX_ACTIVE: usize = 20;
/// Most institutions that are named for one job.
pub const MAX_WAITED_FOR: usize = 10;
/// Most problems that are listed.
pub const MAX_PROBLEMS: usize = 50;

/// The state of the federation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Overview {
    /// The time that it describes.
    pub at: Timestamp,
    /// The version of the coordinator.
    pub version: String,
    /// When the coordinator was started.
    pub started_at: Timestamp,
    /// The numbers of institutions.
    pub institutions: InstitutionCounts,
    /// The numbers of jobs.
    pub jobs: JobCounts,
    /// The numbers of specialists.
    pub specialists: RefCounts,
    /// The number of releases.
    pub releases: u32,
    /// The latest release.
    pub latest_release: Option<ReleaseSummary>,
    /// The newest jobs that are under way or paused, at most [`MAX_ACTIVE`].
    pub active: Vec<ActiveJob>,
    /// How many more there are.
    pub more_active: u32,
    /// What somebody should look at, the worst first, at most [`MAX_PROBLEMS`].
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub more_problems: u32,
    /// The disk of the state folder, if its room is known.
    pub disk: Option<DiskView>,
}

/// The numbers of institutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct InstitutionCounts {
    /// Have enrolled and may call.
    pub enrolled: u32,
    /// Of these, have called within the last two minutes.
    pub online: u32,
    /// Are invited and have not enrolled.
    pub invited: u32,
    /// Have no access any more.
    pub revoked: u32,
}

/// The numbers of jobs in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct JobCounts {
    /// Under way: preparing, running or aggregating.
    pub running: u32,
    /// Paused.
    pub paused: u32,
    /// Finished.
    pub finished: u32,
    /// Cancelled.
    pub cancelled: u32,
}

/// The numbers of specialists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RefCounts {
    /// All versions.
    pub versions: u32,
    /// Of these, are in a release.
    pub released: u32,
}

/// A job that has not ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActiveJob {
    /// The job.
    #[serde(flatten)]
    pub job: JobSummary,
    /// Why it is paused.
    pub why: Option<String>,
    /// How many results its open round needs.
    pub needed: u32,
    /// The institutions of its open round that have not answered or are at work, at most
    /// [`MAX_WAITED_FOR`].
    pub waits_for: Vec<InstitutionName>,
    /// How many more there are.
    pub waits_for_more: u32,
}

/// Something that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// What kind of problem it is.
    pub kind: ProblemKind,
    /// What it is about: a job, an institution, a person or the disk.
    pub about: String,
    /// What is wrong, in words.
    pub message: String,
    /// Since when, or when it will be.
    pub at: Option<Timestamp>,
    /// The command that helps, if one does.
    pub command: Option<String>,
}

/// The kinds of problems, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Display, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ProblemKind {
    /// The disk of the state folder is nearly full.
    DiskLow,
    /// A certificate has expired.
    CertificateExpired,
    /// A job is paused.
    JobPaused,
    /// A round has less than a tenth of its time left and too few results.
    RoundLate,
    /// An institution has failed in an open round, or its result was rejected.
    ParticipantFailed,
    /// An institution has not called for ten minutes.
    InstitutionSilent,
    /// A certificate expires soon.
    CertificateExpiring,
}

/// The disk of the state folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskView {
    /// Bytes that the coordinator may still write.
    // Coordinators of before call it and the next one so.
    #[serde(alias = "free")]
    pub free_bytes: u64,
    /// Bytes in all.
    #[serde(alias = "total")]
    pub total_bytes: u64,
}
