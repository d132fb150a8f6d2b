//! What a coordinator stores, and what it gives up next.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::Display;

use super::overview::DiskView;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::ids::JobId;
use crate::ledger::PruneRule;

/// Most rounds in a [`PruneView`].
pub const MAX_PRUNED: usize = 100;

/// What a coordinator stores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StorageView {
    /// The time that it describes.
    pub at: Timestamp,
    /// Weights by what they are kept for. Each file counts once, for the first reason that applies.
    pub kinds: Vec<StoredKind>,
    /// The number of all files of weights.
    pub files: u64,
    /// The sum of their sizes in bytes.
    pub bytes: u64,
    /// Jobs whose closed rounds keep bytes, those first that keep most: as many as were asked for, by default
    /// [`DEFAULT_LIMIT`](crate::paging::DEFAULT_LIMIT).
    pub jobs: Vec<JobStorage>,
    /// How many more such jobs there are.
    pub more_jobs: u32,
    /// For how many seconds closed rounds keep their weights; absent: for ever.
    // Coordinators of before call it so.
    #[serde(alias = "keep_updates_for")]
    pub keep_updates_for_seconds: Option<u64>,
    /// Most bytes that closed rounds keep; absent: any number.
    pub keep_updates_bytes: Option<u64>,
    /// What the next look at retention gives up.
    pub next: PruneView,
    /// The number of events of the ledger.
    pub events: u64,
    /// Bytes of the store with the ledger and all other records, if they are known.
    pub store_bytes: Option<u64>,
    /// Whole backups in the folder of the settings, if there is one that can be read.
    pub backups: Option<BackupsView>,
    /// The disk of the state folder, if its room is known.
    pub disk: Option<DiskView>,
}

/// Weights that are kept for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoredKind {
    /// The reason.
    pub kind: KeptFor,
    /// The number of files.
    pub files: u64,
    /// The sum of their sizes in bytes.
    pub bytes: u64,
    /// The time of the oldest, if there is one whose time is known.
    pub oldest: Option<Timestamp>,
}

/// What weights are kept for.
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
    Display,
    JsonSchema,
    strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum KeptFor {
    /// Specialists in a release. Never removed.
    ReleasedSpecialists,
    /// Other specialists. Never removed.
    Specialists,
    /// Trained heads, and the descriptions of all heads. Never removed.
    Heads,
    /// Jobs that have not ended: global weights, and the updates of open rounds.
    OpenJobs,
    /// Updates of closed rounds.
    Updates,
    /// The global weights, and the optimizer's states, that closed rounds started from.
    GlobalWeights,
    /// Uploads that were not submitted yet, and what the next sweep removes.
    Other,
}

/// What the closed rounds of a job keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobStorage {
    /// The job.
    pub job: JobId,
    /// Its name.
    pub name: String,
    /// Whether it has ended.
    pub ended: bool,
    /// The number of closed rounds and attempts that keep their weights.
    pub rounds: u32,
    /// The number of updates.
    pub updates: u64,
    /// The sum of their sizes in bytes.
    pub update_bytes: u64,
    /// The sum of the sizes of the global weights and optimizer's states that they started from.
    pub global_bytes: u64,
    /// When the oldest of them closed.
    pub oldest: Option<Timestamp>,
}

/// Whole backups in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupsView {
    /// The folder.
    pub folder: String,
    /// Their number.
    pub number: u32,
    /// The sum of the sizes of their files in bytes.
    pub bytes: u64,
    /// The name of the oldest, which is its time.
    pub oldest: Option<String>,
    /// The name of the newest.
    pub newest: Option<String>,
}

/// Closed rounds whose weights are given up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PruneView {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Whether the files are still there: an aggregate is being computed, and the next sweep removes them.
    pub deferred: bool,
    /// The number of rounds and attempts.
    pub rounds: u32,
    /// The number of files that nothing else needs.
    pub files: u64,
    /// The sum of their sizes in bytes.
    pub bytes: u64,
    /// The oldest of these rounds, at most [`MAX_PRUNED`].
    pub oldest: Vec<PrunedRound>,
    /// How many more there are.
    pub more: u32,
}

/// A closed round whose weights are given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrunedRound {
    /// The job.
    pub job: JobId,
    /// Index of the round.
    pub round: u32,
    /// The attempt.
    pub attempt: u32,
    /// When it closed.
    pub closed_at: Timestamp,
    /// The rule that it falls under.
    pub rule: PruneRule,
    /// The digests of the files that nothing else needs; the ledger has them too.
    pub weights: Vec<Digest>,
    /// The sum of their sizes in bytes.
    pub bytes: u64,
}
