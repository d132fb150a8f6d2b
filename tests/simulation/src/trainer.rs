//! The parts of an institution's machine besides its daemon: the trainer, the imagery, the disk, the site
//! policy and the journal. All take simulated time, and fail according to the institution's behaviour.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eosfed_client::condition::{ConditionKind, LocalCondition};
use eosfed_client::daemon::DiskSpace;
use eosfed_client::data_description::DataDescription;
use eosfed_client::egress::PolicySource;
use eosfed_client::imagery::{Imagery, NotChosen, Serving};
use eosfed_client::journal::Journal;
use eosfed_client::policy::Policy;
use eosfed_client::site::SiteError;
use eosfed_client::state::{Process, State};
use eosfed_client::trainer::{RunningTrainer, StartError, Task, Trainer};
use eosfed_common::assignment::{Assignment, BandMoments};
use eosfed_common::data_statement::PartSizes;
use eosfed_common::digest::Digest;
use eosfed_common::ids::DataSetName;
use eosfed_common::model::Task as ModelTask;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::report::TrainingReport;
use eosfed_common::task::{DeviceChoice, InitialWeights, TrainTask, TrainerEvent};
use eosfed_common::training_target::TrainingTarget;
use eosfed_common::weights::write;
use eosfed_testkit::cards::normalisation;
use eosfed_testkit::submissions::{moments, report, scores};
use eosfed_testkit::training::{epoch, started, trained};
use tokio::time::sleep;

use crate::plan::policy;
use crate::site::{Behaviour, Planted};
use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);

/// An institution's machine. Clones share it.
#[derive(Clone)]
pub struct Machine {
    /// The world that it is in.
    pub world: Arc<World>,
    /// The institution.
    pub index: usize,
    /// Its state folder.
    pub folder: PathBuf,
    journal: Arc<Mutex<Option<String>>>,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Machine({})", self.index)
    }
}

impl Machine {
    /// A machine with an empty journal.
    #[must_use]
    pub fn new(world: Arc<World>, index: usize, folder: PathBuf) -> Self {
        Self { world, index, folder, journal: Arc::default() }
    }

    /// Records the next state of the journal.
    fn note_state(&self, state: &State) {
        let Some(held) = state.held() else { return };
        let mut world = self.world.lock();
        let site = world.site_mut(self.index);
        site.keys.insert(held.key.clone());
        if matches!(state, State::Submitting { outcome, .. } if outcome.is_result()) {
            let verdict = site.has_result(&held.assignment.id, &held.key);
            verdict.unwrap_or_else(|why| world.fail(why));
        }
    }

    /// Whether a fault with probability 1/`times` occurs, at institutions with this behaviour.
    fn suffers(&self, behaviour: Behaviour, times: u32) -> bool {
        let mut world = self.world.lock();
        world.site_mut(self.index).behaviour == behaviour && world.strikes(times)
    }
}

impl Journal for Machine {
    fn load(&self) -> Result<State, SiteError> {
        if self.world.lock().planted == Some(Planted::ForgottenJournal) {
            return Ok(State::default());
        }
        let text = self.journal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(text.map_or_else(State::default, |text| serde_json::from_str(&text).unwrap()))
    }

    /// The machine may die before and after each write.
    fn store(&self, state: &State) -> Result<(), SiteError> {
        let text = serde_json::to_string(state).unwrap();
        self.world.maybe_kill_daemon();
        self.note_state(state);
        *self.journal.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        self.world.maybe_kill_daemon();
        Ok(())
    }
}

impl PolicySource for Machine {
    fn read(&self) -> Result<Policy, String> {
        Ok(policy(self.world.lock().withdrawn(self.index)))
    }
}

impl DiskSpace for Machine {
    fn free(&self, _: &Path) -> u64 {
        if self.suffers(Behaviour::Unreliable, 20) { 0 } else { u64::MAX }
    }
}

impl Machine {
    fn described(&self) -> DataDescription {
        DataDescription {
            name: "simulated".to_owned(),
            task: ModelTask::Classification,
            bands: vec!["red".to_owned()],
            classes: Vec::new(),
            samples: PartSizes { training: 1000, validation: 1000, test: 0 },
            inventory: Digest::of(b"simulated"),
        }
    }
}

impl Imagery for Machine {
    async fn choose(&self, _: &Assignment) -> Result<Option<DataSetName>, NotChosen> {
        Ok(None)
    }

    async fn missing(&self, _: Option<&DataSetName>) -> Option<LocalCondition> {
        let away = || LocalCondition::new(ConditionKind::DataMissing, "the disk is not mounted");
        self.suffers(Behaviour::Unreliable, 20).then(away)
    }

    async fn check(&self, _: Option<&DataSetName>, _: &Assignment) -> Result<Serving, Refusal> {
        if self.suffers(Behaviour::Unreliable, 12) {
            return Err(Refusal::new(Reason::DataUnfit, "no band of this name"));
        }
        Ok(Serving { samples: 1000, data: self.described() })
    }

    async fn describe(&self, _: Option<&DataSetName>) -> Result<DataDescription, Refusal> {
        Ok(self.described())
    }

    async fn moments(&self, _: Option<&DataSetName>, bands: &[String]) -> Result<Vec<BandMoments>, Refusal> {
        let minutes = self.world.lock().draw(1..=10);
        sleep(MINUTE * u32::try_from(minutes).unwrap()).await;
        let name = self.world.lock().site_mut(self.index).name.to_string();
        let of = |band: &String| {
            let number = u64::from(Digest::of(format!("{name} {band}").as_bytes()).to_hex().as_bytes()[0]);
            let count = 100 * number;
            moments(&[band], count, number as f64 / 7.0, count as f64)
        };
        Ok(bands.iter().flat_map(of).collect())
    }
}

impl Trainer for Machine {
    type Running = Running;

    fn ready(&self) -> Result<(), LocalCondition> {
        Ok(())
    }

    async fn room(&self, _: DeviceChoice, _: &Path) -> Result<(), LocalCondition> {
        Ok(())
    }

    fn start(&self, task: &Task, folder: &Path, _: u8) -> Result<Running, StartError> {
        let mut world = self.world.lock();
        world.starts_trainer(self.index);
        let minutes = if world.strikes(40) { world.draw(60..=300) } else { world.draw(1..=20) };
        let half = MINUTE * u32::try_from(minutes).unwrap() / 2;
        let behaviour = world.site_mut(self.index).behaviour;
        let mut events = VecDeque::from([Ok(started()), Ok(epoch())]);
        if world.strikes(20) {
            events.push_back(Err("it was ended by signal 9".to_owned()));
        } else if behaviour == Behaviour::Unreliable && world.strikes(20) {
            events.push_back(Ok(TrainerEvent::Failed { reason: "the data set is damaged".to_owned() }));
        } else {
            events.push_back(Ok(finished(task)));
        }
        let diverges = behaviour == Behaviour::Diverges;
        Ok(Running { events, half, task: task.clone(), folder: folder.to_owned(), diverges, ended: Ok(()) })
    }

    async fn reap(&self, _: Process) {
        sleep(Duration::from_millis(100)).await;
    }
}

/// A running trainer.
pub struct Running {
    events: VecDeque<Result<TrainerEvent, String>>,
    half: Duration,
    task: Task,
    folder: PathBuf,
    diverges: bool,
    ended: Result<(), String>,
}

impl RunningTrainer for Running {
    fn process(&self) -> Process {
        Process { pid: 1, start_ticks: 1 }
    }

    async fn next(&mut self) -> Option<Result<TrainerEvent, String>> {
        let event = match self.events.pop_front()? {
            Ok(event) => event,
            Err(why) => {
                sleep(self.half).await;
                self.ended = Err(why);
                return None;
            }
        };
        match (&event, &self.task) {
            (TrainerEvent::Started { .. }, _) => {}
            (TrainerEvent::Finished { .. }, Task::Train(task)) => {
                sleep(self.half).await;
                write_weights(task, &self.folder, self.diverges);
            }
            _ => sleep(self.half).await,
        }
        Some(Ok(event))
    }

    async fn end(&mut self) -> Result<(), String> {
        self.ended.clone()
    }

    async fn stop(self) {}
}

fn finished(task: &Task) -> TrainerEvent {
    let seed = match task {
        Task::Train(task) => task.seed,
        Task::Evaluate(task) => last_of(&task.weights),
    };
    // The coordinator refuses more than twice the samples of the first round.
    let scores = scores(50 + seed % 50, (seed % 101) as f64 / 100.0);
    let Task::Train(task) = task else { return TrainerEvent::Scored { report: scores } };
    // Without a normalisation in the task, an institution computes its own.
    let own = || normalisation(task.training_target.normalised(), 0.0, 1.0);
    let normalisation = task.normalisation.clone().unwrap_or_else(own);
    let report = TrainingReport { metrics: scores.metrics, ..report(scores.samples, normalisation) };
    let statistics = match &task.training_target {
        TrainingTarget::Head(over) => moments(&over.head.bands(), 100 + seed % 50, 0.25, 1.0),
        TrainingTarget::Specialist(_) | TrainingTarget::Bands(_) => Vec::new(),
    };
    let start_metrics = if task.scores_average() { report.metrics.clone() } else { BTreeMap::new() };
    TrainerEvent::Finished { steps: 2, report, statistics, start_metrics }
}

/// A number that follows from the weights in a file.
fn last_of(path: &Path) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    u64::from(bytes[bytes.len() - 3])
}

fn write_weights(task: &TrainTask, folder: &Path, diverges: bool) {
    let base = match &task.initial {
        InitialWeights::File(path) | InitialWeights::Specialist { file: path, .. } => {
            Some(Digest::of(&std::fs::read(path).unwrap()))
        }
        InitialWeights::Seed(_) | InitialWeights::Pretrained { .. } => None,
    };
    let signature = task.training_target.signature();
    let mut tensors = trained(&signature, task.seed, base);
    if diverges {
        tensors.values_mut().next().unwrap()[0] = f32::NAN;
    }
    write(&folder.join(TrainTask::WEIGHTS), &signature, &tensors).unwrap();
}
