//! Reports of trainings and of evaluations.

use eosfed_proto::v1;

use super::kind::{encoding, encoding_message};
use super::model::{bands, metric_messages, metrics};
use super::scoring::scoring;
use super::{Wire, WireError, finite, parse, printable, required, wrong};
use eosfed_common::assignment::MAX_TEXT;
use eosfed_common::card::{Energy, InitialFile};
use eosfed_common::head::Imagery;
use eosfed_common::report::{EvaluationReport, TrainingReport};
use eosfed_common::time_spent::TimeSpent;

impl Wire for TrainingReport {
    type Message = v1::TrainingReport;

    fn from_message(message: v1::TrainingReport) -> Result<Self, WireError> {
        let v1::TrainingReport {
            samples,
            metrics: list,
            scoring: of,
            normalisation,
            energy,
            initial,
            imagery,
            encoding: code,
            spent,
        } = message;
        let metrics = metrics(list)?;
        Ok(Self {
            samples,
            scoring: scoring(of, &metrics)?,
            metrics,
            normalisation: bands("normalisation", normalisation)?,
            energy: Energy::from_message(required("energy", energy)?)?,
            initial: initial.map(InitialFile::from_message).transpose()?,
            imagery: imagery.map(Imagery::from_message).transpose()?.unwrap_or_default(),
            encoding: encoding("encoding", code)?,
            spent: spent.map(TimeSpent::from_message).transpose()?.map(Box::new),
        })
    }

    fn into_message(self) -> v1::TrainingReport {
        let TrainingReport {
            samples,
            metrics,
            scoring,
            normalisation,
            energy,
            initial,
            imagery,
            encoding,
            spent,
        } = self;
        v1::TrainingReport {
            samples,
            metrics: metric_messages(metrics),
            scoring: scoring.map(|scoring| scoring.into_message()),
            normalisation: normalisation.into_iter().map(Wire::into_message).collect(),
            energy: Some(energy.into_message()),
            initial: initial.map(Wire::into_message),
            imagery: Some(imagery.into_message()),
            encoding: encoding_message(encoding).into(),
            spent: spent.map(|spent| spent.into_message()),
        }
    }
}

impl Wire for TimeSpent {
    type Message = v1::TimeSpent;

    fn from_message(message: v1::TimeSpent) -> Result<Self, WireError> {
        let v1::TimeSpent {
            starting_seconds,
            loading_seconds,
            training_seconds,
            validation_seconds,
            writing_seconds,
        } = message;
        let seconds = |value| finite("spent", value);
        let spent = Self {
            starting_seconds: seconds(starting_seconds)?,
            loading_seconds: seconds(loading_seconds)?,
            training_seconds: seconds(training_seconds)?,
            validation_seconds: seconds(validation_seconds)?,
            writing_seconds: seconds(writing_seconds)?,
        };
        spent.check().map_err(|rule| wrong("spent", rule))?;
        Ok(spent)
    }

    fn into_message(self) -> v1::TimeSpent {
        let Self { starting_seconds, loading_seconds, training_seconds, validation_seconds, writing_seconds } =
            self;
        v1::TimeSpent {
            starting_seconds: starting_seconds.get(),
            loading_seconds: loading_seconds.get(),
            training_seconds: training_seconds.get(),
            validation_seconds: validation_seconds.get(),
            writing_seconds: writing_seconds.get(),
        }
    }
}

impl Wire for Imagery {
    type Message = v1::Imagery;

    fn from_message(message: v1::Imagery) -> Result<Self, WireError> {
        let v1::Imagery { height, width, ground_sampling_distance } = message;
        let tile = Some([height, width]).filter(|tile| *tile != [0, 0]);
        let imagery = Self { tile, ground_sampling_distance };
        imagery.check().map_err(|rule| wrong("imagery", rule))?;
        Ok(imagery)
    }

    fn into_message(self) -> v1::Imagery {
        let Self { tile, ground_sampling_distance } = self;
        let [height, width] = tile.unwrap_or_default();
        v1::Imagery { height, width, ground_sampling_distance }
    }
}

impl Wire for InitialFile {
    type Message = v1::InitialFile;

    fn from_message(message: v1::InitialFile) -> Result<Self, WireError> {
        let v1::InitialFile { file, digest } = message;
        let initial =
            Self { file: printable("file", &file, 1..=MAX_TEXT)?, digest: parse("digest", &digest)? };
        initial.check().map_err(|rule| wrong("file", rule))?;
        Ok(initial)
    }

    fn into_message(self) -> v1::InitialFile {
        let InitialFile { file, digest } = self;
        v1::InitialFile { file, digest: digest.to_string() }
    }
}

impl Wire for EvaluationReport {
    type Message = v1::EvaluationReport;

    fn from_message(message: v1::EvaluationReport) -> Result<Self, WireError> {
        let v1::EvaluationReport { samples, metrics: list, energy, scoring: of } = message;
        let metrics = metrics(list)?;
        Ok(Self {
            samples,
            scoring: scoring(of, &metrics)?,
            metrics,
            energy: Energy::from_message(required("energy", energy)?)?,
        })
    }

    fn into_message(self) -> v1::EvaluationReport {
        let EvaluationReport { samples, metrics, scoring, energy } = self;
        v1::EvaluationReport {
            samples,
            metrics: metric_messages(metrics),
            scoring: scoring.map(|scoring| scoring.into_message()),
            energy: Some(energy.into_message()),
        }
    }
}
