//! The decisions of the coordinator, without I/O: jobs and their rounds, leases, admission, the registry and
//! enrolment.
//!
//! Everything here is synchronous and pure: time and randomness are arguments, and each decision
//! gives a new value or a [`Refusal`](eosfed_common::refusal::Refusal). Storing, sending and
//! computing on weights happen elsewhere, after the decision is on disk.

pub mod ablation;
pub mod admission;
mod change;
pub mod closed;
pub mod curve;
mod downstream;
pub mod evaluation;
pub mod federation;
pub mod job;
pub mod job_ref;
pub mod listing;
pub mod member;
pub mod paging;
pub mod quota;
pub mod refusals;
pub mod registry;
pub mod retention;
pub mod round;
pub mod shared_policy;
pub mod spent;
pub mod start;
pub mod stated;
pub mod statistics;
pub mod target;
pub mod totals;
pub mod view;
pub mod weighting;

pub use admission::{ScreenedEvaluation, ScreenedStatistics, ScreenedUpdate};
pub use change::{Change, Damaged};
pub use closed::{ClosedRound, RoundSummary};
pub use evaluation::Evaluation;
pub use federation::{Federation, Submission};
pub use job::{Fork, Job, JobDefinition, JobState, Outcome, Transition};
pub use job_ref::JobRef;
pub use member::Member;
pub use registry::{Registry, Release, SpecialistRef};
pub use round::{Participant, ParticipantState, Round, RoundKind};
pub use target::{HeadRef, Target};
