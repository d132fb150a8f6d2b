//! The interface between the client daemon and its child process, the trainer: a task as a JSON file, and
//! events as JSON lines on the trainer's standard output.
//!
//! The trainer is a separate program because libtorch can abort its process. A site may also start it on
//! another machine through a launcher prefix, so the interface needs only files and a pipe. To cancel, the
//! daemon sends SIGTERM; the trainer leaves its last checkpoint and ends with [`exit_code::CANCELLED`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::band_values::BandMoments;
use crate::card::BandNormalisation;
pub use crate::device_choice::DeviceChoice;
use crate::finite::Finite;
use crate::model::ModelSpec;
use crate::plan::Training;
use crate::report::{EvaluationReport, TrainingReport};
use crate::training_target::TrainingTarget;

/// Exit codes of `eosfed-trainer`.
pub mod exit_code {
    /// The task is done.
    pub const DONE: i32 = 0;
    /// The task failed. The last event has the reason.
    pub const FAILED: i32 = 1;
    /// The command line or the task file is wrong.
    pub const USAGE: i32 = 64;
    /// The task was cancelled by SIGTERM or SIGINT.
    pub const CANCELLED: i32 = 143;
}

/// The starting weights of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitialWeights {
    /// [`crate::model::initial_weights`] of this seed.
    Seed(u64),
    /// A safetensors file that holds exactly the signature of what is trained.
    File(PathBuf),
    /// The encoder of a released specialist, with its first convolution adapted to the bands, and a head from a
    /// seed.
    Specialist {
        /// Its weights: a safetensors file of exactly the signature of its network.
        file: PathBuf,
        /// Its network. The backbone is that of what is trained.
        model: ModelSpec,
        /// Seed of the head.
        seed: u64,
    },
    /// The encoder from a safetensors file of timm, made for three channels, with a head from a seed.
    Pretrained {
        /// The file.
        file: PathBuf,
        /// Seed of the head.
        seed: u64,
    },
}

/// Which weights are the result of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Those of the epoch with the best validation metric (one-shot).
    Best,
    /// Those of the last epoch (rounds: the aggregate needs every institution's full step).
    Last,
}

/// Where decoded samples are kept from task to task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecodedSamples {
    /// The folder. The trainer may write to it.
    pub folder: PathBuf,
    /// Most bytes of all decoded samples in it.
    pub bytes: u64,
}

/// One training task, as the daemon writes it to `task.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainTask {
    /// What is trained.
    #[serde(alias = "trainee")]
    pub training_target: TrainingTarget,
    /// Folder of a head's release, as `eosfed release pull` makes it. Absent for specialists.
    #[serde(default)]
    pub release: Option<PathBuf>,
    /// How to train it.
    pub training: Training,
    /// The institution's `dataset.toml`.
    pub dataset: PathBuf,
    /// The starting weights of a training.
    pub initial: InitialWeights,
    /// Per-band normalisation in the order of the specialist's bands. `None`: it is computed from the
    /// training part.
    pub normalisation: Option<Vec<BandNormalisation>>,
    /// Seed of shuffling, augmentation and drop path.
    pub seed: u64,
    /// The part of the learning-rate schedule that this task covers, as fractions of the whole: `[0.0, 1.0]`
    /// for one-shot, `[r / n, (r + 1) / n]` for round `r` of `n`.
    pub schedule: [f64; 2],
    /// Which weights to keep.
    pub keep: Keep,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Threads for computing and decoding. `None`: one for each processor.
    pub threads: Option<u32>,
    /// Where decoded samples are kept. Absent: they are read from the files of the data set each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<DecodedSamples>,
    /// Existing folder for checkpoints, `weights.safetensors` and `history.json`. Training resumes from a
    /// checkpoint in it if that belongs to this task.
    pub output: PathBuf,
}

impl TrainTask {
    /// File name of the finished weights in the output folder.
    pub const WEIGHTS: &'static str = "weights.safetensors";

    /// Whether the starting weights are scored: they are an average of institutions where the task begins after the start
    /// of the schedule, and the plan may leave it out.
    #[must_use]
    pub fn scores_average(&self) -> bool {
        self.training.score_average && self.schedule[0] > 0.0
    }

    /// Checks that the task is possible. The rules of plans are checked when plans are read.
    ///
    /// # Errors
    /// A sentence with the key, the rule and the value found.
    pub fn check(&self) -> Result<(), String> {
        let Training { epochs, batch_size, accumulate, .. } = self.training;
        for (key, found) in [("epochs", epochs), ("batch_size", batch_size), ("accumulate", accumulate)] {
            if found == 0 {
                return Err(format!("`training.{key}` must be at least 1, found `0`"));
            }
        }
        let [start, end] = self.schedule;
        if !(0.0 <= start && start < end && end <= 1.0) {
            return Err(format!("`schedule` must be 0 <= start < end <= 1, found `{:?}`", self.schedule));
        }
        match (&self.training_target, &self.release) {
            (TrainingTarget::Specialist(_), _) => Ok(()),
            (TrainingTarget::Head(over), Some(_)) => over.check(),
            (TrainingTarget::Head(_), None) => {
                Err("`release` must be the folder of the head's release, found nothing".to_owned())
            }
            (TrainingTarget::Bands(_), _) => {
                Err("`training_target` must be a specialist or a head, found `bands`".to_owned())
            }
        }
    }
}

/// One evaluation of a specialist, as the daemon writes it to `task.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationTask {
    /// The specialist's network.
    pub model: ModelSpec,
    /// Its weights, a safetensors file of exactly its signature.
    pub weights: PathBuf,
    /// Its normalisation, in the order of its bands.
    pub normalisation: Vec<BandNormalisation>,
    /// Width and height in pixels that tiles are resized to, if they are resized.
    pub input_size: Option<u32>,
    /// Whether they are filtered as they are resized.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub antialias: bool,
    /// The institution's `dataset.toml`.
    pub dataset: PathBuf,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Threads for computing and decoding. `None`: one for each processor.
    pub threads: Option<u32>,
    /// Where decoded samples are kept. Absent: they are read from the files of the data set each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<DecodedSamples>,
}

/// A line that the trainer prints. Unknown events are an error, since both programs have the same version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum TrainerEvent {
    /// The data were opened and the model was built.
    Started {
        /// `cpu` or `cuda:0`.
        device: String,
        /// Number of optimizer steps of the task.
        steps: u64,
        /// The first step, above 0 after resuming.
        resumed_at: u64,
        /// Samples to train on.
        training_samples: u64,
        /// Samples to validate on.
        validation_samples: u64,
        /// Notes for people, such as skipped files or classes without samples.
        warnings: Vec<String>,
    },
    /// Progress, at least once a second during training.
    Progress {
        /// Steps done.
        step: u64,
        /// Mean training loss since the last progress line.
        loss: f64,
    },
    /// An epoch was finished, validated and checkpointed.
    Epoch {
        /// The epoch, from 1.
        epoch: u32,
        /// Steps done.
        step: u64,
        /// Mean training loss over the epoch.
        loss: f64,
        /// Learning rate at the end of the epoch.
        learning_rate: f64,
        /// Validation metrics by name; empty without validation samples.
        metrics: BTreeMap<String, f64>,
    },
    /// What the time of a training was spent on, in seconds of this process. It comes before `finished`.
    Spent {
        /// From the start of the process until it reads the data: loading the program and libtorch.
        #[serde(default)]
        starting: f64,
        /// Until the first step: opening the data, decoding it where that is necessary, building the model, and for a
        /// head the features that are kept in memory.
        loading: f64,
        /// Steps.
        training: f64,
        /// Validation.
        validation: f64,
        /// Checkpoints and results.
        writing: f64,
        /// Where the training samples came from: `cache`, `new_cache` or `files`.
        samples: Option<String>,
    },
    /// The training has finished and the weights are on disk.
    Finished {
        /// Steps done.
        steps: u64,
        /// The report of the training. Its energy is that of this process.
        report: TrainingReport,
        /// Moments, unit and range of the bands that a head was trained on, in the order of the head. Empty for a
        /// specialist, and where a band has no pixel with a value.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        statistics: Vec<BandMoments>,
        /// Scores of the starting weights on the validation part, where they are an average of institutions: in tasks
        /// that begin after the start of their schedule. None of single classes.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        start_metrics: BTreeMap<String, Finite>,
    },
    /// The evaluation has finished.
    Scored {
        /// The scores.
        report: EvaluationReport,
    },
    /// The task has failed, and a repetition with the same input would fail too.
    Failed {
        /// The reason, as a sentence.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_one_line_and_parses_back() {
        let event = TrainerEvent::Epoch {
            epoch: 3,
            step: 30,
            loss: 0.5,
            learning_rate: 1e-3,
            metrics: [("miou".to_owned(), 0.34)].into(),
        };
        let line = serde_json::to_string(&event).unwrap();
        assert!(line.starts_with(r#"{"event":"epoch","#) && !line.contains('\n'), "{line}");
        assert_eq!(serde_json::from_str::<TrainerEvent>(&line).unwrap(), event);
        assert!(serde_json::from_str::<TrainerEvent>(r#"{"event":"lunch"}"#).is_err());
    }
}
