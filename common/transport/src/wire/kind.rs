//! Kinds and states of jobs, tasks, and strategies.

use eosfed_common::model::Task;
use eosfed_common::plan::{JobKind, StrategyName};
use eosfed_common::view::{JobState, MemberState};
use eosfed_common::weights::Encoding;
use eosfed_proto::v1;

use super::{WireError, specified, wrong};

/// The kind of a job.
///
/// # Errors
/// If this version does not know the value.
pub fn job_kind(field: &'static str, value: i32) -> Result<JobKind, WireError> {
    match specified(field, value)? {
        v1::JobKind::Unspecified => Err(wrong(field, "a specified value")),
        v1::JobKind::OneShot => Ok(JobKind::OneShot),
        v1::JobKind::Rounds => Ok(JobKind::Rounds),
        v1::JobKind::Downstream => Ok(JobKind::Downstream),
        v1::JobKind::Evaluation => Ok(JobKind::Evaluation),
        v1::JobKind::Statistics => Ok(JobKind::Statistics),
    }
}

/// The message of a kind of job.
#[must_use]
pub const fn job_kind_message(kind: JobKind) -> v1::JobKind {
    match kind {
        JobKind::OneShot => v1::JobKind::OneShot,
        JobKind::Rounds => v1::JobKind::Rounds,
        JobKind::Downstream => v1::JobKind::Downstream,
        JobKind::Evaluation => v1::JobKind::Evaluation,
        JobKind::Statistics => v1::JobKind::Statistics,
    }
}

/// The state of a job.
///
/// # Errors
/// If this version does not know the value.
pub fn job_state(field: &'static str, value: i32) -> Result<JobState, WireError> {
    match specified(field, value)? {
        v1::JobState::Unspecified => Err(wrong(field, "a specified value")),
        v1::JobState::Preparing => Ok(JobState::Preparing),
        v1::JobState::Running => Ok(JobState::Running),
        v1::JobState::Aggregating => Ok(JobState::Aggregating),
        v1::JobState::Paused => Ok(JobState::Paused),
        v1::JobState::Finished => Ok(JobState::Finished),
        v1::JobState::Cancelled => Ok(JobState::Cancelled),
    }
}

/// The message of a state of a job.
#[must_use]
pub const fn job_state_message(state: JobState) -> v1::JobState {
    match state {
        JobState::Preparing => v1::JobState::Preparing,
        JobState::Running => v1::JobState::Running,
        JobState::Aggregating => v1::JobState::Aggregating,
        JobState::Paused => v1::JobState::Paused,
        JobState::Finished => v1::JobState::Finished,
        JobState::Cancelled => v1::JobState::Cancelled,
    }
}

/// The state of a member.
///
/// # Errors
/// If this version does not know the value.
pub fn member_state(field: &'static str, value: i32) -> Result<MemberState, WireError> {
    match specified(field, value)? {
        v1::MemberState::Unspecified => Err(wrong(field, "a specified value")),
        v1::MemberState::Invited => Ok(MemberState::Invited),
        v1::MemberState::Joined => Ok(MemberState::Joined),
        v1::MemberState::Revoked => Ok(MemberState::Revoked),
    }
}

/// The message of a state of a member.
#[must_use]
pub const fn member_state_message(state: MemberState) -> v1::MemberState {
    match state {
        MemberState::Invited => v1::MemberState::Invited,
        MemberState::Joined => v1::MemberState::Joined,
        MemberState::Revoked => v1::MemberState::Revoked,
    }
}

/// A task.
///
/// # Errors
/// If the value is not one of this version's.
pub fn task(field: &'static str, value: i32) -> Result<Task, WireError> {
    match specified(field, value)? {
        v1::Task::Unspecified => Err(wrong(field, "a specified value")),
        v1::Task::Classification => Ok(Task::Classification),
        v1::Task::Segmentation => Ok(Task::Segmentation),
        v1::Task::Multilabel => Ok(Task::Multilabel),
        v1::Task::ChangeDetection => Ok(Task::ChangeDetection),
        v1::Task::Regression => Ok(Task::Regression),
    }
}

/// The message of a task.
#[must_use]
pub const fn task_message(task: Task) -> v1::Task {
    match task {
        Task::Classification => v1::Task::Classification,
        Task::Multilabel => v1::Task::Multilabel,
        Task::Segmentation => v1::Task::Segmentation,
        Task::ChangeDetection => v1::Task::ChangeDetection,
        Task::Regression => v1::Task::Regression,
    }
}

/// How an update is encoded.
pub(super) fn encoding(field: &'static str, value: i32) -> Result<Encoding, WireError> {
    Ok(match specified(field, value)? {
        v1::Encoding::Unspecified | v1::Encoding::F32 => Encoding::F32,
        v1::Encoding::Bf16 => Encoding::Bf16,
        v1::Encoding::Int8 => Encoding::Int8,
        v1::Encoding::TopK => Encoding::TopK,
        v1::Encoding::TopKBf16 => Encoding::TopKBf16,
    })
}

/// Its message.
pub(super) const fn encoding_message(encoding: Encoding) -> v1::Encoding {
    match encoding {
        Encoding::F32 => v1::Encoding::F32,
        Encoding::Bf16 => v1::Encoding::Bf16,
        Encoding::Int8 => v1::Encoding::Int8,
        Encoding::TopK => v1::Encoding::TopK,
        Encoding::TopKBf16 => v1::Encoding::TopKBf16,
    }
}

/// The name of a strategy.
pub(super) fn strategy(field: &'static str, value: i32) -> Result<StrategyName, WireError> {
    match specified(field, value)? {
        v1::Strategy::Unspecified => Err(wrong(field, "a specified value")),
        v1::Strategy::FedAvg => Ok(StrategyName::FedAvg),
        v1::Strategy::FedProx => Ok(StrategyName::FedProx),
        v1::Strategy::FedAvgM => Ok(StrategyName::FedAvgM),
        v1::Strategy::FedAdam => Ok(StrategyName::FedAdam),
        v1::Strategy::FedYogi => Ok(StrategyName::FedYogi),
        v1::Strategy::FedAdagrad => Ok(StrategyName::FedAdagrad),
        v1::Strategy::Median => Ok(StrategyName::Median),
        v1::Strategy::TrimmedMean => Ok(StrategyName::TrimmedMean),
        v1::Strategy::Krum => Ok(StrategyName::Krum),
        v1::Strategy::MultiKrum => Ok(StrategyName::MultiKrum),
        v1::Strategy::GeometricMedian => Ok(StrategyName::GeometricMedian),
        v1::Strategy::NormBoundedMean => Ok(StrategyName::NormBoundedMean),
    }
}

/// Its message.
pub(super) const fn strategy_message(strategy: StrategyName) -> v1::Strategy {
    match strategy {
        StrategyName::FedAvg => v1::Strategy::FedAvg,
        StrategyName::FedProx => v1::Strategy::FedProx,
        StrategyName::FedAvgM => v1::Strategy::FedAvgM,
        StrategyName::FedAdam => v1::Strategy::FedAdam,
        StrategyName::FedYogi => v1::Strategy::FedYogi,
        StrategyName::FedAdagrad => v1::Strategy::FedAdagrad,
        StrategyName::Median => v1::Strategy::Median,
        StrategyName::TrimmedMean => v1::Strategy::TrimmedMean,
        StrategyName::Krum => v1::Strategy::Krum,
        StrategyName::MultiKrum => v1::Strategy::MultiKrum,
        StrategyName::GeometricMedian => v1::Strategy::GeometricMedian,
        StrategyName::NormBoundedMean => v1::Strategy::NormBoundedMean,
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    #[test]
    fn every_kind_state_task_and_strategy_parses_back_from_its_message() {
        for known in Task::VARIANTS {
            assert_eq!(task("task", task_message(*known).into()), Ok(*known));
        }
        assert!(task("task", 0).is_err() && task("task", 99).is_err());
        for known in JobKind::VARIANTS {
            assert_eq!(job_kind("kind", job_kind_message(*known).into()), Ok(*known));
        }
        for known in JobState::VARIANTS {
            assert_eq!(job_state("state", job_state_message(*known).into()), Ok(*known));
        }
        for known in StrategyName::VARIANTS {
            assert_eq!(strategy("strategy", strategy_message(*known).into()), Ok(*known));
        }
        assert!(job_kind("kind", 0).is_err() && job_kind("kind", 99).is_err());
        assert!(job_state("state", 0).is_err() && job_state("state", 99).is_err());
        assert!(strategy("strategy", 0).is_err() && strategy("strategy", 99).is_err());
    }
}
