//! A training in a folder: resumed from its checkpoint, continued epoch by epoch, and written out. The
//! same code serves specialists and heads.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use eosfed_common::band_values::BandMoments;
use eosfed_common::card::{BandNormalisation, Energy, InitialFile};
use eosfed_common::files::write_atomically;
use eosfed_common::finite::Finite;
use eosfed_common::head::Imagery;
use eosfed_common::metric::quantity;
use eosfed_common::model::Task;
use eosfed_common::report::TrainingReport;
use eosfed_common::scoring::Scoring;
use eosfed_common::task::{Keep, TrainTask, TrainerEvent};
use eosfed_common::time_spent::TimeSpent;
use eosfed_common::weights::Encoding;
use eosfed_common::weights::Signature;
use eosfed_data::{DataError, Origin, Split};
use eosfed_plot::{Across, Panel, Series, line_chart};
use tch::Device;

use super::checkpoint::{self, BEST, CheckpointState, HistoryEntry};
use super::error::TrainError;
use super::optimizer::AdamW;
use super::samples::ScoredData;
use super::scored::Scored;
use super::train_loop::{EpochReport, TrainLoop, TrainLoopError};
use crate::device;
use crate::energy::EnergyMeter;
use crate::parameters::{Parameters, read};

/// What is known when training starts, besides the task.
#[derive(Debug, Default)]
pub struct RunInfo {
    /// Number of training samples.
    pub samples: usize,
    /// Number of validation samples.
    pub validation: usize,
    /// The normalisation used; empty where encoders are frozen.
    pub normalisation: Vec<BandNormalisation>,
    /// Warnings about the data.
    pub warnings: Vec<String>,
    /// Which of timm's files the encoder started from, if any.
    pub initial: Option<InitialFile>,
    /// What the imagery of the training samples has in common.
    pub imagery: Imagery,
    /// Moments, unit and range of the bands of the training samples; empty for a specialist, whose normalisation has
    /// them.
    pub statistics: Vec<BandMoments>,
    /// How long it took until here.
    pub loading: Duration,
    /// Where the training samples come from, if they are not in memory.
    pub origin: Option<Origin>,
}

/// What the time of a training was spent on.
#[derive(Debug, Default, Clone, Copy)]
struct Spent {
    starting: Duration,
    training: Duration,
    validation: Duration,
    writing: Duration,
}

impl Spent {
    /// The same for the report.
    fn told(self, loading: Duration) -> TimeSpent {
        let seconds = |time: Duration| Finite::new(time.as_secs_f64()).unwrap_or_default();
        TimeSpent {
            starting_seconds: seconds(self.starting),
            loading_seconds: seconds(loading),
            training_seconds: seconds(self.training),
            validation_seconds: seconds(self.validation),
            writing_seconds: seconds(self.writing),
        }
    }

    fn event(self, loading: Duration, origin: Option<Origin>) -> TrainerEvent {
        TrainerEvent::Spent {
            starting: self.starting.as_secs_f64(),
            loading: loading.as_secs_f64(),
            training: self.training.as_secs_f64(),
            validation: self.validation.as_secs_f64(),
            writing: self.writing.as_secs_f64(),
            samples: origin.map(|origin| origin.name().to_owned()),
        }
    }
}

/// Scores by name, and what they are of.
type FinalScores = (BTreeMap<String, Finite>, Scoring);

/// A training at the position of its checkpoint.
#[derive(Debug)]
pub struct Session<'a> {
    task: &'a TrainTask,
    parameters: &'a Parameters,
    optimizer: AdamW,
    state: CheckpointState,
    meter: EnergyMeter,
}

impl<'a> Session<'a> {
    /// Resumes a training from the checkpoint in the task's folder, or starts it.
    #[must_use]
    pub fn open(
        task: &'a TrainTask,
        parameters: &'a Parameters,
        mut optimizer: AdamW,
        meter: EnergyMeter,
    ) -> Self {
        let state = resume(task, parameters, &mut optimizer);
        Self { task, parameters, optimizer, state, meter }
    }

    /// Epochs done.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.state.epoch
    }

    /// Trains to the end and writes the weights.
    ///
    /// # Errors
    /// If the loss diverges, a file cannot be written, or `stopped` returns true.
    pub fn run(
        mut self,
        train_loop: &TrainLoop<'_>,
        info: RunInfo,
        device: Device,
        emit: &mut dyn FnMut(TrainerEvent),
        stopped: &dyn Fn() -> bool,
    ) -> Result<(), TrainError> {
        let epochs = train_loop.settings.epochs;
        emit(TrainerEvent::Started {
            device: device::name(device),
            steps: train_loop.steps_per_epoch() * u64::from(epochs),
            resumed_at: self.state.step,
            training_samples: info.samples as u64,
            validation_samples: info.validation as u64,
            warnings: info.warnings,
        });
        let earlier = self.state.energy_kwh;
        if self.state.epoch == 0 {
            // A resumed training keeps the file of its first start, whatever is there now.
            self.state.initial = info.initial;
        }
        let starting = device::process_age().unwrap_or_default().saturating_sub(info.loading);
        let mut spent = Spent { starting, ..Spent::default() };
        spent.validation += self.score_start(train_loop)?;
        while self.state.epoch < epochs {
            let begun = Instant::now();
            let mut progress = |step, loss| emit(TrainerEvent::Progress { step, loss });
            let epoch = self.state.epoch + 1;
            let report = train_loop.epoch(epoch, &mut self.optimizer, &mut progress, stopped)?;
            self.state.energy_kwh = earlier + self.meter.energy().kwh.get();
            spent.training += begun.elapsed().saturating_sub(report.validation);
            spent.validation += report.validation;
            let writing = Instant::now();
            self.finish_epoch(&report)?;
            spent.writing += writing.elapsed();
            let EpochReport { epoch, step, loss, learning_rate, metrics, validation: _ } = report;
            emit(TrainerEvent::Epoch { epoch, step, loss, learning_rate, metrics });
        }
        let writing = Instant::now();
        self.write_results()?;
        spent.writing += writing.elapsed();
        let begun = Instant::now();
        let (metrics, scoring) = self.scores(train_loop)?.unzip();
        spent.validation += begun.elapsed();
        let energy = self.meter.energy();
        checkpoint::clear(&self.task.output, self.state.epoch);
        let report = TrainingReport {
            samples: info.samples as u64,
            metrics: metrics.unwrap_or_default(),
            scoring: scoring.map(Box::new),
            normalisation: info.normalisation,
            energy: Energy {
                kwh: Finite::new(earlier + energy.kwh.get()).unwrap_or(Finite::MAX),
                source: energy.source,
                co2e_g: None,
            },
            initial: self.state.initial,
            imagery: info.imagery,
            encoding: Encoding::F32,
            spent: Some(Box::new(spent.told(info.loading))),
        };
        emit(spent.event(info.loading, info.origin));
        emit(TrainerEvent::Finished {
            steps: self.state.step,
            report,
            statistics: info.statistics,
            start_metrics: self.state.start_metrics,
        });
        Ok(())
    }

    /// Scores the starting weights on the validation part before the first step, where the task asks for it, and gives the
    /// time that it took. A resumed training has the scores in its checkpoint.
    fn score_start(&mut self, train_loop: &TrainLoop<'_>) -> Result<Duration, TrainLoopError> {
        let begun = Instant::now();
        if let (0, true, Some(data)) = (self.state.epoch, self.task.scores_average(), train_loop.validation) {
            let finite = |(name, value)| Some((name, Finite::new(value)?));
            let scores = train_loop.evaluate(data)?.summary();
            tracing::info!(?scores, "scores of the average that this round starts from");
            self.state.start_metrics = scores.into_iter().filter_map(finite).collect();
        }
        Ok(begun.elapsed())
    }

    /// The scores of the weights that are kept: on the test part once everything is chosen, which is at the end of
    /// the schedule, and on the validation part before that or without a test part.
    fn scores(&self, train_loop: &TrainLoop<'_>) -> Result<Option<FinalScores>, DataError> {
        let classes = self.task.training_target.classes();
        let score = |part: &ScoredData<'_>| {
            Scored::of(part.forward, part.data, train_loop.metrics, train_loop.settings.batch_size)
        };
        let own = |data| ScoredData { forward: train_loop.forward, data };
        let validation = train_loop.validation.map(|data| score(&own(data))).transpose()?;
        let test = train_loop.test.as_ref().filter(|_| self.task.schedule[1] >= 1.0);
        let Some(test) = test.map(score).transpose()? else {
            let scored = |scored: Scored| (scored.metrics(classes), scored.scoring(Split::Validation));
            return Ok(validation.map(scored));
        };
        let chosen_on = validation.map(|scored| scored.metrics(&[])).unwrap_or_default();
        Ok(Some((test.metrics(classes), Scoring { chosen_on, ..test.scoring(Split::Test) })))
    }

    /// Stores the checkpoint of an epoch, and its weights if they are the best so far.
    fn finish_epoch(&mut self, report: &EpochReport) -> Result<(), TrainError> {
        let EpochReport { epoch, step, loss, learning_rate, metrics, validation: _ } = report.clone();
        let kind = self.task.training_target.task();
        let better = |score: f64, best: f64| {
            if kind.is_none_or(Task::larger_is_better) { score > best } else { score < best }
        };
        let score = kind.and_then(|kind| metrics.get(kind.main_metric()));
        if let Some(score) = score.filter(|score| self.state.best.is_none_or(|best| better(**score, best))) {
            self.state.best = Some(*score);
            if self.task.keep == Keep::Best {
                self.optimizer.exchange_average();
                let saved = self.parameters.save(&self.task.output.join(BEST));
                self.optimizer.exchange_average();
                saved?;
            }
        }
        self.state.epoch = epoch;
        self.state.step = step;
        self.state.history.push(HistoryEntry { epoch, step, loss, learning_rate, metrics });
        let (_, mut tensors) = self.optimizer.state(self.parameters.signature());
        let weights = self.parameters.values().into_iter();
        tensors.extend(weights.map(|(name, values)| (format!("w.{name}"), values)));
        let signature = checkpoint_signature(&self.optimizer, self.parameters.signature());
        Ok(checkpoint::save(&self.task.output, &self.state, &signature, &tensors)?)
    }

    /// Writes the weights that count, the history and its chart.
    fn write_results(&self) -> Result<(), TrainError> {
        if self.task.keep == Keep::Best && self.state.best.is_some() {
            let best = self.task.output.join(BEST);
            self.parameters.assign(&read(&best, self.parameters.signature())?);
        } else {
            self.optimizer.exchange_average();
        }
        self.parameters.save(&self.task.output.join(TrainTask::WEIGHTS))?;
        write_history(self.task, &self.state)
    }
}

/// Names and shapes in a checkpoint: weights as `w.NAME` beside the optimiser's state.
fn checkpoint_signature(optimizer: &AdamW, parameters: &Signature) -> Signature {
    let mut all = optimizer.state_signature(parameters).0;
    all.extend(parameters.0.iter().map(|(name, shape)| (format!("w.{name}"), shape.clone())));
    Signature(all)
}

/// Loads the checkpoint of this task, if there is one.
fn resume(task: &TrainTask, parameters: &Parameters, optimizer: &mut AdamW) -> CheckpointState {
    let digest = checkpoint::task_digest(task);
    let signature = checkpoint_signature(optimizer, parameters.signature());
    let Some((state, tensors)) = checkpoint::load(&task.output, digest, &signature) else {
        return CheckpointState::new(digest);
    };
    let weight =
        |(name, values): (&String, &Vec<f32>)| Some((name.strip_prefix("w.")?.to_owned(), values.clone()));
    parameters.assign(&tensors.iter().filter_map(weight).collect());
    optimizer.restore(&tensors, state.step);
    tracing::info!(epoch = state.epoch, step = state.step, "resuming from a checkpoint");
    state
}

fn write_history(task: &TrainTask, state: &CheckpointState) -> Result<(), TrainError> {
    let history = &state.history;
    let fail = |file: &str, reason: String| TrainError::Write { file: file.to_owned(), reason };
    let json = serde_json::to_vec_pretty(history).expect("history is plain data");
    write_atomically(&task.output.join("history.json"), &json)
        .map_err(|error| fail("history.json", error.to_string()))?;
    let across = Across { name: "step", whole: false };
    line_chart(&task.output.join("loss.png"), "training", across, &panels(task, state))
        .map_err(|error| fail("loss.png", error.to_string()))
}

/// The loss of each epoch, and the main metric of the validation part, if there is one. Its line begins with the score of
/// the starting weights, where they were scored.
fn panels(task: &TrainTask, state: &CheckpointState) -> Vec<Panel> {
    let history = &state.history;
    let kind = task.training_target.task();
    let losses = kind.map(|kind| task.training.losses(kind));
    let terms: Vec<_> = losses.iter().flatten().map(|term| term.name()).collect();
    let panel = |y: String, name: &str, points: Vec<_>| Panel { y, series: vec![Series::line(name, points)] };
    let loss = history.iter().map(|entry| (entry.step as f64, entry.loss)).collect();
    let mut panels = vec![panel(terms.join(" + "), "training loss", loss)];
    let metric = kind.map(Task::main_metric).unwrap_or_default();
    let start = state.start_metrics.get(metric).map(|score| (0.0, score.get()));
    let scores = history.iter().filter_map(|entry| Some((entry.step as f64, *entry.metrics.get(metric)?)));
    let scores: Vec<_> = start.into_iter().chain(scores).filter(|(_, score)| score.is_finite()).collect();
    if !scores.is_empty() {
        // An error is in the target's unit.
        let target =
            task.training_target.target().filter(|_| kind.is_some_and(|kind| !kind.larger_is_better()));
        let unit = target.map_or("", |target| target.unit.as_str());
        panels.push(panel(quantity(metric, unit), "validation part", scores));
    }
    panels
}
