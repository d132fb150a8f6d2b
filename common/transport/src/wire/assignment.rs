//! Messages of assignments, from the coordinator to an institution.

use eosfed_common::assignment::{Assignment, BlobRef, EvaluationWork, Offered, TrainingWork, Work};
use eosfed_common::clock::Timestamp;
use eosfed_common::head::MAX_HEAD_BYTES;
use eosfed_common::model::{MAX_BANDS, ModelSpec};
use eosfed_common::plan::{Problem, Training};
use eosfed_common::printable::{MAX_NAME, MAX_WORD};
use eosfed_common::signing::SigningKey;
use eosfed_common::statements::AssignmentStatement;
use eosfed_common::task::Keep;
use eosfed_common::weights::{DEFAULT_TOP_K_SHARE, Encoding};
use eosfed_proto::v1;

use super::kind::{
    encoding, encoding_message, job_kind, job_kind_message, strategy as strategy_name, strategy_message,
};
use super::model::bands;
use super::{Wire, WireError, at_most, finite, parse, printable, required, specified, wrong};

impl Wire for Assignment<Offered> {
    type Message = v1::Assignment;

    fn from_message(message: v1::Assignment) -> Result<Self, WireError> {
        let v1::Assignment {
            id,
            job_name,
            training_target,
            deadline,
            min_institutions,
            accepted,
            kind,
            work,
            dataset,
            signature: _,
        } = message;
        let work = match required("work", work)? {
            v1::assignment::Work::Statistics(v1::StatisticsWork {}) => Work::Statistics,
            v1::assignment::Work::Training(training) => {
                Work::Training(Box::new(TrainingWork::from_message(training)?))
            }
            v1::assignment::Work::Evaluation(evaluation) => {
                Work::Evaluation(Box::new(EvaluationWork::from_message(evaluation)?))
            }
        };
        let assignment = Self {
            id: parse("id", &id)?,
            job_name: printable("job_name", &job_name, 1..=MAX_NAME)?,
            kind: job_kind("kind", kind)?,
            training_target: Offered::from_message(required("training_target", training_target)?)?,
            deadline: Timestamp(deadline),
            min_institutions,
            accepted,
            dataset: dataset.map(|name| parse("dataset", &name)).transpose()?,
            work,
        };
        assignment.check().map_err(|rule| wrong("kind", rule))?;
        assignment.check_rules().map_err(|problems| wrong("work", rules(&problems)))?;
        Ok(assignment)
    }

    fn into_message(self) -> v1::Assignment {
        let Assignment {
            id,
            job_name,
            kind,
            training_target,
            deadline,
            min_institutions,
            accepted,
            dataset,
            work,
        } = self;
        let work = match work {
            Work::Statistics => v1::assignment::Work::Statistics(v1::StatisticsWork {}),
            Work::Training(training) => v1::assignment::Work::Training(training.into_message()),
            Work::Evaluation(evaluation) => v1::assignment::Work::Evaluation(evaluation.into_message()),
        };
        v1::Assignment {
            id: id.to_string(),
            job_name,
            training_target: Some(training_target.into_message()),
            deadline: deadline.0,
            min_institutions,
            accepted,
            kind: job_kind_message(kind).into(),
            work: Some(work),
            dataset: dataset.map(String::from),
            signature: String::new(),
        }
    }
}

/// The message of an assignment with the coordinator's signature.
#[must_use]
pub fn signed_assignment(assignment: Assignment<Offered>, key: &SigningKey) -> v1::Assignment {
    let signature = key.sign(&AssignmentStatement(&assignment)).to_string();
    v1::Assignment { signature, ..assignment.into_message() }
}

/// The rules of plans that an assignment breaks.
fn rules(problems: &[Problem]) -> String {
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    format!("possible: {}", problems.join("; "))
}

impl Wire for Offered {
    type Message = v1::assignment::TrainingTarget;

    fn from_message(message: v1::assignment::TrainingTarget) -> Result<Self, WireError> {
        match message {
            v1::assignment::TrainingTarget::Specialist(model) => {
                Ok(Self::Specialist(ModelSpec::from_message(model)?))
            }
            v1::assignment::TrainingTarget::Head(v1::Head { document }) => {
                let document = BlobRef::from_message(required("document", document)?)?;
                if document.size > MAX_HEAD_BYTES as u64 {
                    let rule = format!("at most {MAX_HEAD_BYTES} bytes, found `{}`", document.size);
                    return Err(wrong("document", rule));
                }
                Ok(Self::Head(document))
            }
            v1::assignment::TrainingTarget::Bands(v1::Bands { names }) => {
                for name in &names {
                    printable("names", name, 1..=MAX_WORD)?;
                }
                Ok(Self::Bands(at_most("names", MAX_BANDS, names)?))
            }
        }
    }

    fn into_message(self) -> v1::assignment::TrainingTarget {
        match self {
            Offered::Specialist(model) => v1::assignment::TrainingTarget::Specialist(model.into_message()),
            Offered::Head(document) => {
                v1::assignment::TrainingTarget::Head(v1::Head { document: Some(document.into_message()) })
            }
            Offered::Bands(names) => v1::assignment::TrainingTarget::Bands(v1::Bands { names }),
        }
    }
}

impl Wire for EvaluationWork {
    type Message = v1::EvaluationWork;

    fn from_message(message: v1::EvaluationWork) -> Result<Self, WireError> {
        let v1::EvaluationWork { weights, normalisation, input_size, antialias } = message;
        Ok(Self {
            weights: BlobRef::from_message(required("weights", weights)?)?,
            normalisation: bands("normalisation", normalisation)?,
            input_size: Some(input_size).filter(|size| *size > 0),
            antialias,
        })
    }

    fn into_message(self) -> v1::EvaluationWork {
        let EvaluationWork { weights, normalisation, input_size, antialias } = self;
        v1::EvaluationWork {
            weights: Some(weights.into_message()),
            normalisation: normalisation.into_iter().map(Wire::into_message).collect(),
            input_size: input_size.unwrap_or_default(),
            antialias,
        }
    }
}

impl Wire for TrainingWork {
    type Message = v1::TrainingWork;

    fn from_message(message: v1::TrainingWork) -> Result<Self, WireError> {
        let v1::TrainingWork {
            strategy,
            base,
            initial_seed,
            normalisation,
            seed,
            schedule_start,
            schedule_end,
            keep,
            settings,
            base_release,
            base_model,
            encodings,
            top_k_share,
        } = message;
        let base_release = base_release.map(BlobRef::from_message).transpose()?;
        if let Some(BlobRef { size, .. }) = base_release
            && size > MAX_HEAD_BYTES as u64
        {
            return Err(wrong("base_release", format!("at most {MAX_HEAD_BYTES} bytes, found `{size}`")));
        }
        let keep = match specified("keep", keep)? {
            v1::Keep::Unspecified => return Err(wrong("keep", "a specified value")),
            v1::Keep::Best => Keep::Best,
            v1::Keep::Last => Keep::Last,
        };
        let normalisation = bands("normalisation", normalisation)?;
        let schedule =
            [finite("schedule_start", schedule_start)?.get(), finite("schedule_end", schedule_end)?.get()];
        if !(0.0 <= schedule[0] && schedule[0] < schedule[1] && schedule[1] <= 1.0) {
            return Err(wrong("schedule", format!("0 <= start < end <= 1, found `{schedule:?}`")));
        }
        Ok(Self {
            strategy: strategy.map(|value| strategy_name("strategy", value)).transpose()?,
            base: base.map(BlobRef::from_message).transpose()?,
            base_release,
            base_model: base_model.map(ModelSpec::from_message).transpose()?.map(Box::new),
            initial_seed,
            normalisation: Some(normalisation).filter(|list| !list.is_empty()),
            seed,
            schedule,
            keep,
            settings: Training::from_message(required("settings", settings)?)?,
            encodings: accepted(encodings)?,
            top_k_share: share(top_k_share)?,
        })
    }

    fn into_message(self) -> v1::TrainingWork {
        let TrainingWork {
            strategy,
            base,
            base_release,
            base_model,
            initial_seed,
            normalisation,
            seed,
            schedule,
            keep,
            settings,
            encodings,
            top_k_share,
        } = self;
        let keep = match keep {
            Keep::Best => v1::Keep::Best,
            Keep::Last => v1::Keep::Last,
        };
        v1::TrainingWork {
            strategy: strategy.map(|name| strategy_message(name).into()),
            base: base.map(Wire::into_message),
            initial_seed,
            normalisation: normalisation.unwrap_or_default().into_iter().map(Wire::into_message).collect(),
            seed,
            schedule_start: schedule[0],
            schedule_end: schedule[1],
            keep: keep.into(),
            settings: Some(settings.into_message()),
            base_release: base_release.map(Wire::into_message),
            base_model: base_model.map(|model| model.into_message()),
            top_k_share: Some(top_k_share).filter(|share| *share != DEFAULT_TOP_K_SHARE),
            encodings: encodings.into_iter().map(|name| encoding_message(name).into()).collect(),
        }
    }
}

/// Most encodings that an assignment accepts.
const MAX_ENCODINGS: usize = Encoding::ALL.len();

fn accepted(encodings: Vec<i32>) -> Result<Vec<Encoding>, WireError> {
    if encodings.len() > MAX_ENCODINGS {
        return Err(wrong("encodings", format!("at most {MAX_ENCODINGS}, found `{}`", encodings.len())));
    }
    encodings.into_iter().map(|name| encoding("encodings", name)).collect()
}

fn share(top_k_share: Option<f64>) -> Result<f64, WireError> {
    match top_k_share {
        None => Ok(DEFAULT_TOP_K_SHARE),
        Some(share) if share > 0.0 && share <= 1.0 => Ok(share),
        Some(share) => Err(wrong("top_k_share", format!("above 0 and at most 1, found `{share}`"))),
    }
}
