//! Assignments: from the coordinator to an institution.

use eosfed_proto::v1;

use super::model::bands;
use super::{WireError, finite, limited, parse, required, specified, wrong};
use crate::assignment::{Assignment, BlobRef, EvaluationWork, TrainingWork, Work};
use crate::clock::Timestamp;
use crate::head::{HeadOver, MAX_HEAD_BYTES};
use crate::model::ModelSpec;
use crate::plan::Mode;
use crate::task::Keep;
use crate::trainee::Trainee;

impl TryFrom<v1::Assignment> for Assignment {
    type Error = WireError;

    fn try_from(message: v1::Assignment) -> Result<Self, WireError> {
        let v1::Assignment { id, job_name, trainee, deadline, min_institutions, accepted, work } = message;
        let work = match required("work", work)? {
            v1::assignment::Work::Statistics(v1::StatisticsWork {}) => Work::Statistics,
            v1::assignment::Work::Training(training) => Work::Training(Box::new(training.try_into()?)),
            v1::assignment::Work::Evaluation(evaluation) => {
                Work::Evaluation(Box::new(evaluation.try_into()?))
            }
        };
        Ok(Self {
            id: parse("id", &id)?,
            job_name: limited("job_name", &job_name)?.to_owned(),
            trainee: required("trainee", trainee)?.try_into()?,
            deadline: Timestamp(deadline),
            min_institutions,
            accepted,
            work,
        })
    }
}

impl From<Assignment> for v1::Assignment {
    fn from(assignment: Assignment) -> Self {
        let Assignment { id, job_name, trainee, deadline, min_institutions, accepted, work } = assignment;
        let work = match work {
            Work::Statistics => v1::assignment::Work::Statistics(v1::StatisticsWork {}),
            Work::Training(training) => v1::assignment::Work::Training((*training).into()),
            Work::Evaluation(evaluation) => v1::assignment::Work::Evaluation((*evaluation).into()),
        };
        Self {
            id: id.to_string(),
            job_name,
            trainee: Some(trainee.into()),
            deadline: deadline.0,
            min_institutions,
            accepted,
            work: Some(work),
        }
    }
}

impl TryFrom<v1::assignment::Trainee> for Trainee {
    type Error = WireError;

    fn try_from(message: v1::assignment::Trainee) -> Result<Self, WireError> {
        match message {
            v1::assignment::Trainee::Specialist(model) => Ok(Self::Specialist(ModelSpec::try_from(model)?)),
            v1::assignment::Trainee::Head(v1::Head { over_json }) => {
                if over_json.len() > MAX_HEAD_BYTES {
                    let rule = format!("at most {MAX_HEAD_BYTES} bytes, found `{}`", over_json.len());
                    return Err(wrong("over_json", rule));
                }
                let over: HeadOver =
                    serde_json::from_str(&over_json).map_err(|error| wrong("over_json", error))?;
                over.check().map_err(|rule| wrong("over_json", rule))?;
                Ok(Self::Head(Box::new(over)))
            }
        }
    }
}

impl From<Trainee> for v1::assignment::Trainee {
    fn from(trainee: Trainee) -> Self {
        match trainee {
            Trainee::Specialist(model) => Self::Specialist(model.into()),
            Trainee::Head(over) => {
                let over_json = serde_json::to_string(&over).expect("a head and its release are plain data");
                Self::Head(v1::Head { over_json })
            }
        }
    }
}

impl TryFrom<v1::EvaluationWork> for EvaluationWork {
    type Error = WireError;

    fn try_from(message: v1::EvaluationWork) -> Result<Self, WireError> {
        let v1::EvaluationWork { weights, normalisation, input_size } = message;
        Ok(Self {
            weights: required("weights", weights)?.try_into()?,
            normalisation: bands("normalisation", normalisation)?,
            input_size: Some(input_size).filter(|size| *size > 0),
        })
    }
}

impl From<EvaluationWork> for v1::EvaluationWork {
    fn from(work: EvaluationWork) -> Self {
        let EvaluationWork { weights, normalisation, input_size } = work;
        Self {
            weights: Some(weights.into()),
            normalisation: normalisation.into_iter().map(Into::into).collect(),
            input_size: input_size.unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::TrainingWork> for TrainingWork {
    type Error = WireError;

    fn try_from(message: v1::TrainingWork) -> Result<Self, WireError> {
        let v1::TrainingWork {
            mode,
            strategy,
            base,
            initial_seed,
            normalisation,
            seed,
            schedule_start,
            schedule_end,
            keep,
            settings,
        } = message;
        let mode = match specified("mode", mode)? {
            v1::Mode::Unspecified => return Err(wrong("mode", "a specified value")),
            v1::Mode::OneShot => Mode::OneShot,
            v1::Mode::Rounds => Mode::Rounds,
        };
        let keep = match specified("keep", keep)? {
            v1::Keep::Unspecified => return Err(wrong("keep", "a specified value")),
            v1::Keep::Best => Keep::Best,
            v1::Keep::Last => Keep::Last,
        };
        let strategy = limited("strategy", &strategy)?.to_owned();
        let normalisation = bands("normalisation", normalisation)?;
        let schedule = [finite("schedule_start", schedule_start)?, finite("schedule_end", schedule_end)?];
        if !(0.0 <= schedule[0] && schedule[0] < schedule[1] && schedule[1] <= 1.0) {
            return Err(wrong("schedule", format!("0 <= start < end <= 1, found `{schedule:?}`")));
        }
        Ok(Self {
            mode,
            strategy: Some(strategy).filter(|name| !name.is_empty()),
            base: base.map(BlobRef::try_from).transpose()?,
            initial_seed,
            normalisation: Some(normalisation).filter(|list| !list.is_empty()),
            seed,
            schedule,
            keep,
            settings: required("settings", settings)?.try_into()?,
        })
    }
}

impl From<TrainingWork> for v1::TrainingWork {
    fn from(work: TrainingWork) -> Self {
        let TrainingWork {
            mode,
            strategy,
            base,
            initial_seed,
            normalisation,
            seed,
            schedule,
            keep,
            settings,
        } = work;
        let mode = match mode {
            Mode::OneShot => v1::Mode::OneShot,
            Mode::Rounds => v1::Mode::Rounds,
        };
        let keep = match keep {
            Keep::Best => v1::Keep::Best,
            Keep::Last => v1::Keep::Last,
        };
        Self {
            mode: mode.into(),
            strategy: strategy.unwrap_or_default(),
            base: base.map(Into::into),
            initial_seed,
            normalisation: normalisation.unwrap_or_default().into_iter().map(Into::into).collect(),
            seed,
            schedule_start: schedule[0],
            schedule_end: schedule[1],
            keep: keep.into(),
            settings: Some(settings.into()),
        }
    }
}
