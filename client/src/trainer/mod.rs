//! The interface of a training program. [`TrainerCommand`] runs it as a child process.

mod output;
mod probe;
mod process;
mod room;

use std::io;
use std::path::{Path, PathBuf};

use eosfed_common::task::{DeviceChoice, EvaluationTask, TrainTask, TrainerEvent};

use crate::condition::LocalCondition;
use crate::state::Process;

pub use process::{ChildTrainer, LOG, TrainerCommand};

/// What the trainer is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// Train.
    Train(Box<TrainTask>),
    /// Score a frozen specialist.
    Evaluate(Box<EvaluationTask>),
}

impl Task {
    /// The trainer's command for it.
    #[must_use]
    pub const fn command(&self) -> &'static str {
        match self {
            Self::Train(_) => "train",
            Self::Evaluate(_) => "evaluate",
        }
    }

    /// Where to compute.
    #[must_use]
    pub const fn device(&self) -> DeviceChoice {
        match self {
            Self::Train(task) => task.device,
            Self::Evaluate(task) => task.device,
        }
    }

    /// Its file.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        let json = match self {
            Self::Train(task) => serde_json::to_vec_pretty(task),
            Self::Evaluate(task) => serde_json::to_vec_pretty(task),
        };
        json.expect("a task is plain data")
    }
}

/// Why a trainer was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The launcher or the program cannot be started.
    #[error(transparent)]
    Condition(#[from] LocalCondition),
    /// A file beside its work cannot be written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Starts trainers, and ends those that an earlier daemon has left.
pub trait Trainer: Send + Sync + 'static {
    /// A trainer that was started.
    type Running: RunningTrainer;

    /// Checks beforehand, as far as possible, that one can be started.
    ///
    /// # Errors
    /// What is missing.
    fn ready(&self) -> Result<(), LocalCondition>;

    /// Whether the device of a task has the free memory that the settings ask for.
    ///
    /// # Errors
    /// The rule, the value found and what to do.
    fn room(
        &self,
        device: DeviceChoice,
        folder: &Path,
    ) -> impl Future<Output = Result<(), LocalCondition>> + Send;

    /// Starts one on a task, with its log in `folder`. Its tensors may use so many percent of a GPU's memory.
    ///
    /// # Errors
    /// The reason why it cannot be started.
    fn start(&self, task: &Task, folder: &Path, gpu_percent: u8) -> Result<Self::Running, StartError>;

    /// Ends one that an earlier daemon has left running, if it still runs.
    fn reap(&self, process: Process) -> impl Future<Output = ()> + Send;
}

/// A running trainer. Dropping it leaves it running, as a killed daemon would.
pub trait RunningTrainer: Send {
    /// Its identification.
    fn process(&self) -> Process;

    /// Its next event; `None` once it has closed its output. A sentence if a line is not an event.
    fn next(&mut self) -> impl Future<Output = Option<Result<TrainerEvent, String>>> + Send;

    /// Waits a short time for its end, since it has closed its output. If it did not succeed, a sentence about
    /// how it ended.
    fn end(&mut self) -> impl Future<Output = Result<(), String>> + Send;

    /// Asks it to end, which keeps its checkpoint, and kills it if it does not.
    fn stop(self) -> impl Future<Output = ()> + Send;
}
