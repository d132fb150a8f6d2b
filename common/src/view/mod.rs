//! The views of the coordinator's records for people and scripts. They have no secrets and no fields that
//! only the coordinator needs. The coordinator makes them, `eosfed` prints them, and they are the schemas of
//! `--output json`.

mod job;
mod member;
mod progress;
mod round;
mod specialist;
mod summary;

pub use job::{ForkStep, JobState, JobView, Origin, TrainedHeadView, WholeJob};
pub use member::{InstitutionView, PersonView};
pub use progress::{JobProgress, ParticipantProgress, RoundProgress};
pub use round::{ParticipantState, ParticipantView, RoundKind, RoundPhase, RoundView};
pub use specialist::{EvaluationView, SpecialistView};
pub use summary::{
    JobSummary, MainMetric, OpenRoundSummary, ParticipantCounts, ReleaseSummary, SpecialistSummary,
};

#[cfg(test)]
mod tests;
