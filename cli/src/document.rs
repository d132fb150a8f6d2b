//! The documents that `--output json` prints, each with the commands that print it. What is not in the
//! table below cannot be printed as JSON; `docs/reference/schemas` is made from the table.

mod curves;
mod explained;

use std::path::{Path, PathBuf};

use eosfed_common::card::ReleaseManifest;
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::ids::{InstitutionName, JobId, ReleaseNumber, SpecialistName};
use eosfed_common::ledger::Event;
use eosfed_common::plan::JobSpec;
use eosfed_common::printed;
pub use eosfed_common::published::Published;
use eosfed_common::signing::PublicKey;
use eosfed_common::view::{
    EnergyView, InstitutionView, JobSummary, Overview, PersonView, PruneView, ReleaseSummary, ReleaseView,
    RoundView, SpecialistSummary, SpecialistView, StorageView, WholeJob,
};
use schemars::JsonSchema;
use serde::{Deserialize as _, Serialize};
use serde_json::{Map, Value};

pub(super) use curves::{CurveInRound, CurvesAcross, DrawnCurves, DrawnPoint, InstitutionCurve, RoundMean};
pub(super) use explained::{ExplainedInstitution, ExplainedRound, Explanation};

/// A value that a command prints with `--output json`.
pub(super) trait Document: Serialize {}

/// Commands that print no document: their output is for a shell.
pub const WITHOUT_DOCUMENT: [&str; 1] = ["completions"];

macro_rules! documents {
    ($($name:literal $document:ty: $($command:literal),+;)+) => {
        $(impl Document for $document {})+

        /// Every document.
        #[must_use]
        pub fn published() -> Vec<Published> {
            vec![$(Published { name: $name, commands: &[$($command),+], schema: printed::schema::<$document>() }),+]
        }
    };
}

documents! {
    "job" WholeJob: "job show JOB", "job watch JOB", "job submit PLAN --watch";
    "explanation" Explanation: "job explain JOB";
    "round" RoundView: "job show JOB --round N";
    "jobs" Vec<JobSummary>: "job list";
    "plan" JobSpec: "job check PLAN";
    "submitted-job" SubmittedJob: "job submit PLAN";
    "controlled-job" ControlledJob:
        "job pause JOB", "job resume JOB", "job cancel JOB", "job retry JOB INSTITUTION";
    "forked-job" ForkedJob: "job fork JOB";
    "plotted-job" PlottedJob<'_>: "job plot JOB";
    "pulled-head" PulledHead<'_>: "job head JOB";
    "institution" InstitutionView: "institution show NAME";
    "institutions" Vec<InstitutionView>: "institution list";
    "people" Vec<PersonView>: "operator list", "reader list";
    "invitation" Invitation:
        "institution invite NAME", "institution re-enrol NAME", "operator invite NAME",
        "operator re-enrol NAME", "reader invite NAME", "reader re-enrol NAME";
    "revocation" Revocation:
        "institution revoke NAME", "institution remove NAME", "operator revoke NAME",
        "operator remove NAME", "reader revoke NAME", "reader remove NAME";
    "joined" Joined: "join";
    "identity" IdentityShown: "identity show", "identity renew";
    "specialist" SpecialistView: "specialist show REF";
    "specialists" Vec<SpecialistSummary>: "specialist list";
    "release" ReleaseManifest: "release create", "release prune";
    "release-with-ablations" ReleaseView: "release show", "release ablation NUMBER FILE";
    "releases" Vec<ReleaseSummary>: "release list";
    "pulled-release" PulledRelease<'_>: "release pull";
    "verified-release" VerifiedRelease: "release verify DIR";
    "verified-specialist" VerifiedSpecialist: "specialist verify DIR";
    "events" Events: "audit list";
    "overview" Overview: "status";
    "energy" EnergyView: "energy";
    "watched" Watched: "watch";
    "storage" StorageView: "storage show";
    "pruned" PruneView: "storage prune";
    "dashboard-link" DashboardLink: "dashboard open";
    "exported-events" ExportedEvents<'_>: "audit export FILE";
    "verified-events" VerifiedEvents: "audit verify";
}

/// One look at the institutions and the open rounds.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Watched {
    /// What runs, what waits and for whom, and what is wrong.
    pub(super) overview: Overview,
    /// All institutions.
    pub(super) institutions: Vec<InstitutionView>,
    /// The open rounds of the jobs in the overview.
    pub(super) rounds: Vec<WatchedRound>,
}

/// An open round.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct WatchedRound {
    /// The job.
    pub(super) job: JobId,
    /// Its open round, without curves.
    pub(super) round: RoundView,
}

/// A way into the dashboard.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DashboardLink {
    /// The address to open in a browser, with a secret that begins a session once.
    pub(super) url: String,
    /// Until when it can be used.
    pub(super) expires_at: Timestamp,
}

/// A job was submitted.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SubmittedJob {
    /// Its id.
    pub(super) job: JobId,
}

/// A job was paused, resumed or cancelled, or one of its institutions is asked again.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ControlledJob {
    /// Its id.
    pub(super) job: JobId,
    /// What was done, in words.
    pub(super) done: String,
}

/// A job was started from a round of another.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ForkedJob {
    /// The id of the new job.
    pub(super) job: JobId,
    /// The other job.
    pub(super) origin: JobId,
    /// Index of its round, from 0.
    pub(super) round: u32,
}

/// A picture of a job was drawn.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PlottedJob<'a> {
    /// The job.
    pub(super) job: JobId,
    /// The PNG file.
    pub(super) file: &'a Path,
    /// The numbers in it. Absent for an evaluation, whose scores `job show` has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) curves: Option<DrawnCurves>,
}

/// The head that a job has trained was downloaded.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PulledHead<'a> {
    /// Its folder.
    pub(super) folder: &'a Path,
    /// The job.
    pub(super) job: JobId,
    /// The release under the head.
    pub(super) release: ReleaseNumber,
    /// Size of its weights in bytes.
    pub(super) bytes: u64,
}

/// An identity folder was made.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Joined {
    /// `operator` or `reader`.
    pub(super) role: String,
    /// The name.
    pub(super) name: String,
    /// When the certificate expires.
    pub(super) expires_at: Timestamp,
}

/// The identity that commands use.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct IdentityShown {
    /// `operator` or `reader`.
    pub(super) role: String,
    /// The name.
    pub(super) name: String,
    /// The address of the coordinator.
    pub(super) coordinator: String,
    /// SHA-256 of the public key, as events of the ledger have it.
    pub(super) key: Digest,
    /// When the certificate expires.
    pub(super) expires_at: Timestamp,
    /// SHA-256 of each certificate of the authority that is trusted.
    pub(super) authorities: Vec<Digest>,
    /// Its folder.
    pub(super) folder: PathBuf,
}

/// The access of a member was revoked.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Revocation {
    /// `institution`, `operator` or `reader`.
    pub(super) role: String,
    /// Its name.
    pub(super) name: String,
    /// Whether lists leave it out.
    pub(super) removed: bool,
}

/// An institution was invited.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Invitation {
    /// Its name.
    pub(super) institution: String,
    /// The join token, a secret, unless it was written to a file.
    pub(super) token: Option<String>,
    /// The file that the token was written to.
    pub(super) token_file: Option<PathBuf>,
    /// Until when the token can be used.
    pub(super) expires_at: Timestamp,
    /// Whether the institution had a certificate before, which the new one will replace.
    pub(super) enrolled_before: bool,
}

/// A release was downloaded.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PulledRelease<'a> {
    /// Its folder.
    pub(super) folder: &'a Path,
    /// Its number.
    pub(super) release: ReleaseNumber,
    /// Size of all weights in bytes.
    pub(super) bytes: u64,
}

/// A pulled release was verified.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct VerifiedRelease {
    /// Its number.
    pub(super) release: ReleaseNumber,
    /// How many specialists it has.
    pub(super) specialists: u64,
    /// The coordinator's key that has signed it; absent with `--allow-unsigned` only.
    pub(super) signed_by: Option<PublicKey>,
    /// The newest event of the ledger when it was created, as `NUMBER:sha256:HEX`.
    pub(super) ledger: Option<String>,
}

/// A specialist of a pulled release was verified.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct VerifiedSpecialist {
    /// Its name.
    pub(super) name: SpecialistName,
    /// Its version.
    pub(super) version: u32,
    /// The coordinator's key that has signed it; absent with `--allow-unsigned` only.
    pub(super) signed_by: Option<PublicKey>,
    /// The institutions whose signed updates are on the card.
    pub(super) institutions: Vec<InstitutionName>,
}

/// Events of the ledger. Their hashes are of the lines of `audit export`, in which points in time are milliseconds.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Events(#[schemars(with = "Vec<Event>")] pub(super) Vec<ShownEvent>);

/// An event. A coordinator of a later version may have kinds of events, or members of them, that this version does
/// not know; they are shown all the same, as the ledger holds them.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum ShownEvent {
    /// One of a kind that is known.
    Known(Box<Event>),
    /// Another one.
    Later(Box<Event<Map<String, Value>>>),
}

impl ShownEvent {
    /// The event with this JSON.
    pub(super) fn of(event: Value) -> serde_json::Result<Self> {
        let known = Event::deserialize(&event);
        let whole = known.ok().filter(|known| serde_json::to_value(known).is_ok_and(|again| again == event));
        match whole {
            Some(known) => Ok(Self::Known(Box::new(known))),
            None => serde_json::from_value(event).map(|later| Self::Later(Box::new(later))),
        }
    }
}

/// Events were written to a file.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ExportedEvents<'a> {
    /// The file.
    pub(super) file: &'a Path,
    /// How many events.
    pub(super) events: u64,
    /// Whether the ledger was exported without a filter, so that the file can be verified.
    pub(super) whole: bool,
}

/// A ledger, or an export of it, was verified.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct VerifiedEvents {
    /// How many events.
    pub(super) events: u64,
    /// The place of the first event, from 0; above 0, nothing is known about the events before it.
    pub(super) first: Option<u64>,
    /// The newest event, as `NUMBER:sha256:HEX`, for `--noted`.
    pub(super) newest: Option<String>,
}
