//! The documents that `eosfed-client` prints with `--output json`, each with the command that prints it.
//! `docs/reference/schemas` is made from the table below.

use std::path::PathBuf;

use eosfed_common::ids::{AssignmentId, DataSetName, InstitutionName, JobId};
use eosfed_common::ledger::Event;
use eosfed_common::plan::JobKind;
use eosfed_common::published::Published;
use eosfed_common::signing::PublicKey;
use eosfed_common::task::DeviceChoice;
use eosfed_common::traffic::ByteCounts;
use eosfed_data::{CropReport, Formats, Summary};
use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use strum::{EnumString, IntoStaticStr, VariantNames};

use crate::budgets::Used;
use crate::condition::ConditionKind;
use crate::policy::{Limits, Policy, Privacy};
use crate::site_log::Entry;

/// Every document.
#[must_use]
pub fn published() -> Vec<Published> {
    vec![
        Published { name: "client-status", commands: &["status"], schema: schema_for!(Status) },
        Published { name: "client-privacy", commands: &["privacy"], schema: schema_for!(PrivacyReport) },
        Published { name: "data-summary", commands: &["data inspect DATASET"], schema: schema_for!(Summary) },
        Published { name: "data-formats", commands: &["data formats"], schema: schema_for!(Formats) },
        Published { name: "site-log-entry", commands: &["log"], schema: schema_for!(Event<Entry>) },
        Published {
            name: "explained-policy",
            commands: &["policy explain"],
            schema: schema_for!(ExplainedPolicy),
        },
        Published { name: "client-jobs", commands: &["jobs"], schema: schema_for!(ClientJobs) },
        Published { name: "client-check", commands: &["check"], schema: schema_for!(CheckReport) },
        Published { name: "client-health", commands: &["health"], schema: schema_for!(HealthReport) },
        Published { name: "verified-log", commands: &["log verify"], schema: schema_for!(VerifiedLog) },
        Published { name: "data-init", commands: &["data init FOLDER"], schema: schema_for!(ProposedData) },
        Published {
            name: "data-crop",
            commands: &["data crop --format json"],
            schema: schema_for!(Vec<CropReport>),
        },
    ]
}

/// The institution and its present work. Points in time are texts (RFC 3339, UTC).
#[derive(Debug, Serialize, JsonSchema)]
pub struct Status {
    /// The name of the institution.
    pub institution: InstitutionName,
    /// The end of its certificate.
    pub certificate_ends: String,
    /// The key that it signs with; absent until the first renewal, where an earlier version has joined.
    pub signing_key: Option<PublicKey>,
    /// The coordinator's signing keys that it knows.
    pub coordinator_keys: Vec<PublicKey>,
    /// `running` or `not running`.
    pub daemon: String,
    /// The phase of the present work; `idle` without any.
    pub phase: String,
    /// The assignment in hand.
    pub assignment: Option<AssignmentId>,
    /// The display name of its job.
    pub job: Option<String>,
    /// The data set of several that it reads.
    pub data_set: Option<DataSetName>,
    /// When it was accepted.
    pub since: Option<String>,
    /// What the daemon waits for.
    pub waiting_for: Option<Waiting>,
    /// The data sets of the settings; empty where client.toml cannot be read.
    pub data_sets: Vec<DataSetStatus>,
    /// Where there are several devices: the present work on each; else empty.
    pub devices: Vec<DeviceStatus>,
    /// Why further offers wait, where all of several devices are at work.
    pub queue: Option<String>,
    /// Bytes sent since the state folder was made.
    pub sent_bytes: ByteCounts,
    /// The limits of the policy and what is used of them; absent where the policy cannot be read.
    pub limits: Option<LimitsReport>,
}

/// A data set of the settings.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DataSetStatus {
    /// Its name; absent if it is the only one, by its path.
    pub name: Option<DataSetName>,
    /// Its `dataset.toml`, or the folder of that.
    pub path: PathBuf,
    /// The file of a policy of its own.
    pub policy: Option<PathBuf>,
    /// Why no policy is in force for it, if its file or the site's cannot be read.
    pub problem: Option<String>,
}

/// The present work on one of several devices.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DeviceStatus {
    /// The device, as `trainer.devices` names it. Absent where the settings have fewer devices than before.
    pub device: Option<DeviceChoice>,
    /// The phase of the present work; `idle` without any.
    pub phase: String,
    /// The assignment in hand.
    pub assignment: Option<AssignmentId>,
    /// The display name of its job.
    pub job: Option<String>,
    /// The data set of several that it reads.
    pub data_set: Option<DataSetName>,
    /// When it was accepted.
    pub since: Option<String>,
    /// What its work waits for.
    pub waiting_for: Option<Waiting>,
}

/// The limits of the policy and what is used of them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LimitsReport {
    /// The table `limits` of the policy.
    pub policy: Limits,
    /// What is used.
    pub used: Used,
}

/// A condition of this machine that the daemon waits for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Waiting {
    /// Its kind.
    pub condition: ConditionKind,
    /// What was found, and what to do.
    pub message: String,
    /// When it was found first.
    pub since: String,
    /// How often it has been found.
    pub tries: u32,
}

/// What the updates of this institution have spent.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PrivacyReport {
    /// The table `privacy` of the policy, if it has one.
    pub policy: Option<Privacy>,
    /// The delta that every epsilon here is for.
    pub delta: f64,
    /// The epsilon of all updates.
    pub epsilon: f64,
    /// The same if the data of an update are replaced by any others instead of being left out.
    pub epsilon_of_replacement: f64,
    /// Number of updates.
    pub updates: u64,
    /// How many more the budget is enough for, up to a million; absent without a budget.
    pub updates_left: Option<u64>,
    /// What each job has spent by itself.
    pub jobs: Vec<JobSpent>,
    /// What each of several data sets has spent by itself: the budget is for all of them together. Empty of a site
    /// that has one without a name.
    pub data_sets: Vec<DataSetSpent>,
}

/// What the updates that were trained on one of several data sets have spent.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DataSetSpent {
    /// Its name.
    pub name: DataSetName,
    /// Number of updates.
    pub updates: u64,
    /// Their epsilon.
    pub epsilon: f64,
}

/// What one job has spent.
#[derive(Debug, Serialize, JsonSchema)]
pub struct JobSpent {
    /// The job.
    pub job: JobId,
    /// Its display name.
    pub name: String,
    /// Number of updates.
    pub updates: u64,
    /// Their epsilon.
    pub epsilon: f64,
}

/// What a policy allows and, for a plan, what it would refuse.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExplainedPolicy {
    /// The policy, with defaults for what its file does not say.
    pub policy: Policy,
    /// What it allows, in sentences.
    pub sentences: Vec<String>,
    /// What it would refuse of the plan, if one was given.
    pub plan: Option<ExplainedPlan>,
}

/// What a policy would refuse of a plan.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExplainedPlan {
    /// The display name of the job.
    pub name: String,
    /// Its kind.
    pub kind: JobKind,
    /// Whether anything of it would be refused.
    pub refused: bool,
    /// Each kind of assignment that the job would make.
    pub assignments: Vec<ExplainedAssignment>,
    /// Whether the budget of the table `privacy` has room for an update; absent where none would be spent.
    pub privacy: Option<ExplainedUpdate>,
}

/// What a policy would refuse of a kind of assignment.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExplainedAssignment {
    /// The assignment, in words.
    pub assignment: String,
    /// Everything in it that the policy refuses; empty if it is allowed.
    pub objections: Vec<String>,
}

/// What an update of a job would spend.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExplainedUpdate {
    /// Whether the budget has room for it.
    pub has_room: bool,
    /// What it would spend, in words.
    pub sentence: String,
}

/// The jobs that have asked for work here.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ClientJobs {
    /// Those that wait for an approval first, then the others, the newest decision first.
    pub jobs: Vec<ClientJob>,
    /// How many more match, which `--limit` leaves out.
    pub more_jobs: u64,
    /// Whether the site log has older entries that were not read, so that older jobs may be missing.
    pub older_entries: bool,
}

/// How a job stands at this site.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema, EnumString, IntoStaticStr, VariantNames,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum JobStatus {
    /// A person has to approve it.
    WaitsForApproval,
    /// It is approved, and has not started.
    Approved,
    /// It is in work.
    InWork,
    /// It has asked, and nothing is decided.
    Asked,
    /// Its work was accepted.
    Accepted,
    /// It waits for something, such as the hours of the policy.
    Waits,
    /// The policy refuses it.
    Refused,
    /// Its work has failed.
    Failed,
    /// Its work has ended.
    Ended,
}

/// A job that has asked for work here. Points in time are texts (RFC 3339, UTC).
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ClientJob {
    /// The job.
    pub job: JobId,
    /// Its display name, where the offers, the journal or the site log have it.
    pub name: Option<String>,
    /// How it stands.
    pub status: JobStatus,
    /// How it stands, in words.
    pub now: String,
    /// Since when.
    pub since: String,
    /// The terms that wait for an approval, in words; empty otherwise.
    pub terms: Vec<String>,
    /// The data set that it reads, where it waits for an approval or is in work: the one that the plan asks for, or
    /// that was chosen of several. Absent where the site has one without a name.
    pub data_set: Option<DataSetName>,
}

/// Whether what `run` needs is in order.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckReport {
    /// Whether everything is.
    pub ok: bool,
    /// What was looked at.
    pub findings: Vec<CheckFinding>,
}

/// One thing that `run` needs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckFinding {
    /// The thing, such as `data set`.
    pub what: String,
    /// Whether it is in order.
    pub ok: bool,
    /// What was found or what is wrong, and what to do.
    pub message: String,
}

/// Whether a daemon runs on a state folder and could work.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HealthReport {
    /// Whether it does.
    pub ok: bool,
    /// The state folder.
    pub state: PathBuf,
    /// The name of the institution; absent if its identity cannot be read.
    pub institution: Option<InstitutionName>,
    /// What is wrong; absent if nothing is.
    pub problem: Option<String>,
}

/// A site log was verified: each entry is unchanged and follows from the one before it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VerifiedLog {
    /// How many entries.
    pub entries: u64,
    /// The number of the first entry; above 0, older files were removed by `site_log.files`.
    pub first: Option<u64>,
    /// The first entry that must be there, as the log itself says.
    pub oldest: u64,
    /// The newest entry, as `NUMBER:sha256:HEX`, for `--noted`.
    pub newest: Option<String>,
}

/// A first `dataset.toml` was written.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProposedData {
    /// Its path.
    pub file: PathBuf,
    /// What the images do not say, which a person has to answer in it.
    pub questions: Vec<String>,
}
