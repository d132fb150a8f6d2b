//! An institution's machine: the daemon's own decisions, and activities that take simulated time.

use std::collections::BTreeSet;
use std::path::PathBuf;

use eosfed_client::daemon::step::{Action, Ending, Event, resume, step};
use eosfed_client::retry::{Recovery, recovery};
use eosfed_client::state::{HeldAssignment, Outcome, Process, State, Update};
use eosfed_common::assignment::{BlobRef, Directive, Progress, UpdateSubmission, Work};
use eosfed_common::card::{BandNormalisation, Energy};
use eosfed_common::clock::Timestamp;
use eosfed_common::finite::Finite;
use eosfed_common::ids::{IdempotencyKey, InstitutionName};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::report::TrainingReport;
use eosfed_common::weights::{Tensors, write};
use eosfed_coordinator::storage::Presence;
use rand::RngExt as _;
use rand_chacha::ChaCha12Rng;

use crate::network::{Answer, Call};
use crate::plan::trained;

/// How an institution behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// As it should.
    Honest,
    /// Its updates hold NaN.
    NotFinite,
    /// Its updates are a thousand times too large.
    Huge,
    /// Its updates lack a tensor.
    Misshapen,
    /// It refuses or fails every other time.
    Unreliable,
}

/// A receipt: the coordinator has said that it counts this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Index of the round.
    pub round: u32,
    /// The call's key.
    pub key: IdempotencyKey,
    /// The update.
    pub weights: BlobRef,
    /// When it was recorded.
    pub at: Timestamp,
}

/// The machine.
pub struct Site {
    /// The institution.
    pub name: InstitutionName,
    /// Whether the daemon runs.
    pub up: bool,
    /// How it behaves.
    pub nature: Nature,
    /// What the coordinator has acknowledged.
    pub receipts: Vec<Receipt>,
    /// The keys of all that it ever had to hand in.
    pub keys: BTreeSet<IdempotencyKey>,
    /// Why work was dropped, for the trace.
    pub dropped: Vec<Refusal>,
    journal: State,
    state: State,
    actions: Vec<Action>,
    training_until: Option<Timestamp>,
    folder: PathBuf,
    rng: ChaCha12Rng,
    deadly: u32,
}

/// What a daemon sees of the world.
pub trait World {
    /// Sends a call and waits for its answer, which may not come.
    ///
    /// # Errors
    /// The coordinator's refusal, or that nothing came.
    fn call(&mut self, from: &InstitutionName, call: Call) -> Result<Answer, Refusal>;
    /// The time.
    fn now(&self) -> Timestamp;
}

/// The machine has died in the middle of something.
struct Dead;

impl Site {
    /// A machine that is up, with an empty journal.
    #[must_use]
    pub fn new(
        name: InstitutionName,
        nature: Nature,
        folder: PathBuf,
        rng: ChaCha12Rng,
        deadly: u32,
    ) -> Self {
        let state = State::default();
        let (journal, actions) = (State::default(), resume(&state));
        let (receipts, dropped, training_until) = (Vec::new(), Vec::new(), None);
        let keys = BTreeSet::new();
        Self {
            name,
            up: true,
            nature,
            receipts,
            keys,
            dropped,
            journal,
            state,
            actions,
            training_until,
            folder,
            rng,
            deadly,
        }
    }

    /// Ends it, as a power cut does: all but the journal and the files is gone.
    pub fn kill(&mut self) {
        self.up = false;
        self.state = State::default();
        self.actions.clear();
        self.training_until = None;
    }

    /// Starts it from its journal.
    pub fn start(&mut self) {
        if self.up {
            return;
        }
        self.up = true;
        self.state = self.journal.clone();
        self.actions = resume(&self.state);
    }

    /// No more power cuts.
    pub fn calm(&mut self) {
        self.deadly = 0;
    }

    /// Does what comes next; gives how many milliseconds until it wants to go on.
    pub fn act(&mut self, world: &mut dyn World) -> u64 {
        if !self.up {
            return 60_000;
        }
        match self.advance(world) {
            Ok(pause) => pause,
            Err(Dead) => {
                self.kill();
                60_000
            }
        }
    }

    fn maybe_die(&mut self) -> Result<(), Dead> {
        if self.deadly > 0 && self.rng.random_ratio(1, self.deadly) { Err(Dead) } else { Ok(()) }
    }

    /// Takes the step that an event asks for, journal first; it may die before and after.
    fn apply(&mut self, event: Event, now: Timestamp) -> Result<(), Dead> {
        let (state, actions) = step(self.state.clone(), event, now);
        self.maybe_die()?;
        let text = serde_json::to_vec(&state).unwrap();
        self.journal = serde_json::from_slice(&text).unwrap();
        self.maybe_die()?;
        self.state = state;
        self.actions.extend(actions);
        Ok(())
    }

    fn advance(&mut self, world: &mut dyn World) -> Result<u64, Dead> {
        let Some(action) = self.actions.first().cloned() else { return Ok(30_000) };
        let before = self.actions.len();
        let pause = match action {
            Action::PollForWork => self.seek(world)?,
            Action::Fetch => self.fetch(world)?,
            Action::Train(_) => self.train(world)?,
            Action::Submit => self.submit(world)?,
            Action::ComputeStatistics => panic!("no statistics are asked for"),
            Action::Wait(_) => panic!("no condition is found"),
            Action::Reap(_) => Some(100),
            Action::Discard(id) => {
                let _ = std::fs::remove_file(self.folder.join(id.to_string()));
                Some(1)
            }
            Action::Report(ending) => {
                if let Ending::Dropped(refusal) = ending {
                    self.dropped.push(refusal);
                }
                Some(1)
            }
            Action::Halt(refusal) => panic!("{}: the coordinator does not want it: {refusal}", self.name),
        };
        match pause {
            // It is done, and others have come or will come behind it.
            Some(pause) => {
                debug_assert!(self.actions.len() >= before);
                self.actions.remove(0);
                Ok(pause)
            }
            None => Ok(self.rng.random_range(5_000..60_000)),
        }
    }

    fn held(&self) -> HeldAssignment {
        self.state.held().cloned().unwrap()
    }

    fn seek(&mut self, world: &mut dyn World) -> Result<Option<u64>, Dead> {
        let Ok(Answer::Offers(mut offers)) = world.call(&self.name, Call::Poll) else { return Ok(None) };
        offers.sort_by_key(|offer| (!offer.accepted, offer.deadline));
        let Some(offer) = offers.into_iter().next() else { return Ok(None) };
        if self.nature == Nature::Unreliable && self.rng.random_ratio(1, 6) {
            let _ = world.call(&self.name, Call::Refuse(offer.id));
            return Ok(None);
        }
        let Ok(Answer::Lease(lease)) = world.call(&self.name, Call::Accept(offer.id.clone())) else {
            return Ok(None);
        };
        let key = IdempotencyKey::random(&mut self.rng);
        self.keys.insert(key.clone());
        self.apply(Event::Accepted(Box::new(offer), lease, key), world.now())?;
        Ok(Some(10))
    }

    fn fetch(&mut self, world: &mut dyn World) -> Result<Option<u64>, Dead> {
        let held = self.held();
        let Work::Training(work) = &held.assignment.work else { panic!("no statistics are asked for") };
        let base = work.base.unwrap();
        match world.call(&self.name, Call::Download(base)) {
            Ok(_) => {
                self.apply(Event::Fetched, world.now())?;
                Ok(Some(100))
            }
            Err(refusal) => self.lost(&held, refusal, Event::Rejected, world),
        }
    }

    fn train(&mut self, world: &mut dyn World) -> Result<Option<u64>, Dead> {
        let (held, now) = (self.held(), world.now());
        let Some(until) = self.training_until else {
            let minutes = self.rng.random_range(1..20);
            self.training_until = Some(Timestamp(now.0 + minutes * 60_000));
            self.apply(Event::TrainerStarted(Process { pid: 1, start_ticks: now.0 }), now)?;
            return Ok(None);
        };
        if now < until {
            let progress = Progress { step: 1, steps: 2, points: Vec::new() };
            let beat = Call::Heartbeat(held.assignment.id.clone(), held.lease.token.clone(), progress);
            let (Ok(Answer::Directive(Directive::Stop(refusal))) | Err(refusal)) =
                world.call(&self.name, beat)
            else {
                return Ok(None);
            };
            let given_up = self.lost(&held, refusal, Event::Stopped, world)?;
            if given_up.is_some() {
                self.training_until = None;
            }
            return Ok(given_up);
        }
        self.training_until = None;
        let event = match self.rng.random_range(0..20) {
            0 => Event::TrainerCrashed("it was out of memory".to_owned()),
            1 if self.nature == Nature::Unreliable => {
                Event::Failed(Refusal::new(Reason::Internal, "the data has gone"))
            }
            _ => Event::Finished(Box::new(self.make(&held))),
        };
        self.apply(event, now)?;
        Ok(Some(100))
    }

    /// The update, as a file and what is said of it.
    fn make(&self, held: &HeldAssignment) -> Update {
        let Work::Training(work) = &held.assignment.work else { panic!("no statistics are asked for") };
        let training_target = &held.assignment.training_target;
        let (mut signature, mut tensors) =
            (training_target.signature(), trained(&held.assignment, work.seed, work.base));
        spoil(self.nature, &mut signature, &mut tensors);
        let file = self.folder.join(held.assignment.id.to_string());
        let digest = write(&file, &signature, &tensors).unwrap();
        let size = std::fs::metadata(&file).unwrap().len();
        let (mean, std) = (Finite::ZERO, Finite::literal(1.0));
        let normal = |band: &String| BandNormalisation { band: band.clone(), mean, std };
        Update {
            file,
            weights: BlobRef { digest, size },
            report: TrainingReport {
                samples: 10 + work.seed % 90,
                metrics: [("accuracy".to_owned(), Finite::literal(0.5))].into(),
                normalisation: training_target.normalised().iter().map(normal).collect(),
                energy: Energy::default(),
                initial: None,
                imagery: Default::default(),
            },
        }
    }

    fn submit(&mut self, world: &mut dyn World) -> Result<Option<u64>, Dead> {
        let State::Submitting { held, outcome } = self.state.clone() else { return Ok(Some(1)) };
        let answered = match &outcome {
            Outcome::Update(update) => self.hand_in(&held, update, world),
            Outcome::Failure(_) | Outcome::Withheld(_) => {
                let call = Call::Fail(held.assignment.id.clone(), held.lease.token.clone());
                world.call(&self.name, call).map(|_| world.now())
            }
            Outcome::Statistics(_) | Outcome::Scores(_) => panic!("nothing of the kind is asked for"),
        };
        match answered {
            Ok(at) => {
                if let Outcome::Update(update) = &outcome {
                    let (round, key, weights) = (held.assignment.id.round, held.key.clone(), update.weights);
                    self.receipts.push(Receipt { round, key, weights, at });
                }
                self.apply(Event::Acknowledged(at), world.now())?;
                Ok(Some(10))
            }
            Err(refusal) => self.lost(&held, refusal, Event::Rejected, world),
        }
    }

    fn hand_in(
        &self,
        held: &HeldAssignment,
        update: &Update,
        world: &mut dyn World,
    ) -> Result<Timestamp, Refusal> {
        let bytes = std::fs::read(&update.file).unwrap();
        let blob = update.weights;
        let mut stands = match world.call(&self.name, Call::Stat(blob))? {
            Answer::Stands(Presence::Complete(_)) => blob.size,
            Answer::Stands(Presence::Partial(stands)) => stands,
            _ => panic!("a question has another answer"),
        };
        while stands < blob.size {
            let end = (stands + 3000).min(blob.size);
            let chunk = bytes[stands as usize..end as usize].to_vec();
            stands = match world.call(&self.name, Call::Append(blob, stands, chunk))? {
                Answer::Stands(Presence::Complete(_)) => blob.size,
                Answer::Stands(Presence::Partial(stands)) => stands,
                _ => panic!("an upload has another answer"),
            };
        }
        let submission = UpdateSubmission {
            assignment: held.assignment.id.clone(),
            token: held.lease.token.clone(),
            key: held.key.clone(),
            weights: blob,
            report: update.report.clone(),
        };
        match world.call(&self.name, Call::Submit(Box::new(submission)))? {
            Answer::Recorded(at) => Ok(at),
            _ => panic!("a submission has another answer"),
        }
    }

    /// What a refusal means for the assignment in hand, as the daemon has it: a pause if it is over.
    fn lost(
        &mut self,
        held: &HeldAssignment,
        refusal: Refusal,
        end: fn(Refusal) -> Event,
        world: &mut dyn World,
    ) -> Result<Option<u64>, Dead> {
        let event = match recovery(refusal.reason) {
            Recovery::Retry => return Ok(None),
            Recovery::Halt => Event::Banned(refusal),
            Recovery::Abandon => end(refusal),
            Recovery::Reaccept => match world.call(&self.name, Call::Accept(held.assignment.id.clone())) {
                Ok(Answer::Lease(lease)) => {
                    self.apply(Event::Leased(lease), world.now())?;
                    return Ok(None);
                }
                Ok(_) => panic!("an acceptance has another answer"),
                Err(refusal) => match recovery(refusal.reason) {
                    Recovery::Retry => return Ok(None),
                    Recovery::Halt => Event::Banned(refusal),
                    Recovery::Abandon | Recovery::Reaccept => end(refusal),
                },
            },
        };
        self.apply(event, world.now())?;
        Ok(Some(10))
    }
}

fn spoil(nature: Nature, signature: &mut eosfed_common::weights::Signature, tensors: &mut Tensors) {
    let first = signature.0.keys().next().unwrap().clone();
    match nature {
        Nature::Honest | Nature::Unreliable => {}
        Nature::NotFinite => tensors.get_mut(&first).unwrap()[0] = f32::NAN,
        Nature::Huge => tensors.values_mut().flatten().for_each(|value| *value = (*value + 0.1) * 1000.0),
        Nature::Misshapen => {
            signature.0.remove(&first);
            tensors.remove(&first);
        }
    }
}

/// A refusal for an answer that never came.
#[must_use]
pub fn nothing_came() -> Refusal {
    Refusal::new(Reason::Unavailable, "no answer came")
}
