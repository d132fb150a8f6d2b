//! The views of the coordinator's records for people and scripts. They have no secrets and no fields that
//! only the coordinator needs. The coordinator makes them, `eosfed` prints them, and they are the schemas of
//! `--output json`.

mod energy;
mod job;
mod member;
mod overview;
mod progress;
mod release;
mod round;
mod specialist;
mod storage;
mod summary;

pub use energy::{EnergyView, InstitutionEnergy};
pub use job::{ForkStep, JobState, JobView, Origin, TrainedHeadView, WholeJob};
pub use member::{
    InstitutionView, MemberState, ONLINE_WITHIN, PersonView, Presence, SILENT_AFTER, SharedPolicyView,
    StatedDataView,
};
pub use overview::{
    ActiveJob, DiskView, InstitutionCounts, JobCounts, MAX_ACTIVE, MAX_PROBLEMS, MAX_WAITED_FOR, Overview,
    Problem, ProblemKind, RefCounts,
};
pub use progress::{JobProgress, ParticipantProgress, RoundProgress};
pub use release::{AblationView, ReleaseView, WithoutView};
pub use round::{
    ParticipantCounts, ParticipantState, ParticipantView, RoundKind, RoundPhase, RoundSummary, RoundTotals,
    RoundView,
};
pub use specialist::{EvaluationView, SpecialistView};
pub use storage::{
    BackupsView, JobStorage, KeptFor, MAX_PRUNED, PruneView, PrunedRound, StorageView, StoredKind,
};
pub use summary::{JobSummary, MainMetric, OpenRoundSummary, ReleaseSummary, SpecialistSummary};

#[cfg(test)]
mod tests;
