//! A job: a plan under way, as a state machine whose every transition is a method that gives the
//! next job and the answer to whoever asked, or a refusal.
//!
//! ```text
//!              prepared             complete              aggregated, last round
//!  Preparing -----------> Collecting ---------> Aggregating -----------------------> Finished
//!                          ^   |  ^  \____________ |  ^                                 ^
//!                          |   |  |   next round     /                                  |
//!          too few, again  |___|   \________________/     one-shot complete ___________/
//! ```
//!
//! From each state that is not an end, too many attempts or a failure on the coordinator's side
//! lead to `Paused`, from which an operator resumes; and an operator can cancel. What the
//! coordinator itself must compute follows from the state ([`Job::task`]), so that after a restart
//! it is simply computed again.

mod freeze;
mod offer;

use eosfed_common::assignment::{BlobRef, Lease, Progress};
use eosfed_common::card::{BandNormalisation, Card};
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{
    AssignmentId, IdempotencyKey, InstitutionName, JobId, LeaseToken, ReleaseNumber, SpecialistName,
};
use eosfed_common::model::ModelSpec;
use eosfed_common::plan::{Mode, Normalisation, Plan};
use eosfed_common::refusal::{Reason, Refusal};
use serde::{Deserialize, Serialize};

use super::admission::{ScreenedStatistics, ScreenedUpdate};
use super::round::{Contribution, Purpose, Round, Slot, Verdict};
use super::statistics::pool;

/// Where a paused job goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Writing the first global weights.
    Prepare,
    /// Another attempt at this round.
    Collect(Round),
    /// Aggregating this round.
    Aggregate(Round),
}

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// The coordinator writes the first global weights.
    Preparing,
    /// Institutions are at work.
    Collecting(Round),
    /// The coordinator combines what they have sent; nothing more is taken.
    Aggregating(Round),
    /// It waits for `eosfed job resume`.
    Paused {
        /// Since when.
        at: Timestamp,
        /// Why.
        why: String,
        /// Where it goes on.
        next: Next,
    },
    /// It has made what it was to make.
    Finished {
        /// When.
        at: Timestamp,
    },
    /// Somebody has cancelled it.
    Cancelled {
        /// When.
        at: Timestamp,
        /// Who.
        by: InstitutionName,
    },
}

/// An attempt at a round that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClosedRound {
    /// The attempt, as it ended.
    pub round: Round,
    /// When it was over.
    pub at: Timestamp,
    /// Whether enough was submitted.
    pub complete: bool,
    /// The weights that it started from.
    pub base: Option<BlobRef>,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The key of the call that submitted it.
    pub key: IdempotencyKey,
    /// What it is to do.
    pub plan: Plan,
    /// Who is asked to take part.
    pub roster: Vec<InstitutionName>,
    /// The operator who submitted it.
    pub submitted_by: InstitutionName,
    /// When.
    pub submitted_at: Timestamp,
    /// Where it stands.
    pub state: JobState,
    /// Attempts at rounds that are over, in order.
    pub history: Vec<ClosedRound>,
    /// The weights that the next training round starts from.
    pub global: Option<BlobRef>,
    /// The normalisation that all use; absent while unknown or when each uses its own.
    pub normalisation: Option<Vec<BandNormalisation>>,
    /// What it has made: names and versions.
    pub produced: Vec<(SpecialistName, u32)>,
    /// The release that it has cut.
    pub release: Option<ReleaseNumber>,
}

/// A job after a transition, and the specialists that the transition has frozen: complete but for
/// their version, which is 0 until the registry numbers them.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The job.
    pub job: Job,
    /// Its new specialists.
    pub frozen: Vec<Card>,
}

/// What can happen to a job besides what institutions do.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// The coordinator has been away: everybody gets that time back.
    Restart,
    /// The first global weights are stored.
    Prepared(BlobRef),
    /// The weights combined from the round of this index are stored.
    Aggregated(u32, BlobRef),
    /// The coordinator could not compute what the state asks for.
    TaskFailed(String),
    /// An operator stops it for good.
    Cancel(InstitutionName),
    /// An operator lets a paused job go on.
    Resume,
}

/// What the coordinator itself has to compute in a state. Doing it twice gives the same bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// Write starting weights of this model by this seed.
    Prepare(ModelSpec, u64),
    /// Average updates: each with its samples, in the order of the institutions' names.
    Aggregate {
        /// The model that they are of.
        model: ModelSpec,
        /// Index of their round.
        round: u32,
        /// The updates.
        updates: Vec<(BlobRef, u64)>,
    },
}

impl Job {
    /// A job that has just been submitted.
    #[must_use]
    pub fn submit(
        id: JobId,
        key: IdempotencyKey,
        plan: Plan,
        roster: Vec<InstitutionName>,
        by: InstitutionName,
        now: Timestamp,
    ) -> Self {
        let mut job = Self {
            id,
            key,
            plan,
            roster,
            submitted_by: by,
            submitted_at: now,
            state: JobState::Preparing,
            history: Vec::new(),
            global: None,
            normalisation: None,
            produced: Vec::new(),
            release: None,
        };
        if let (Mode::Rounds, Normalisation::Given { bands }) = (job.plan.mode, &job.plan.normalisation) {
            job.normalisation = Some(offer::in_order(bands, &job.plan.specialists[0].bands));
        }
        if job.plan.mode == Mode::OneShot {
            job.open(0, now);
        }
        job
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self.state, JobState::Finished { .. } | JobState::Cancelled { .. })
    }

    /// The round in which institutions are at work.
    #[must_use]
    pub const fn collecting(&self) -> Option<&Round> {
        match &self.state {
            JobState::Collecting(round) => Some(round),
            JobState::Preparing
            | JobState::Aggregating(_)
            | JobState::Paused { .. }
            | JobState::Finished { .. }
            | JobState::Cancelled { .. } => None,
        }
    }

    /// The round that the job is at, in whatever state.
    #[must_use]
    pub const fn current(&self) -> Option<&Round> {
        match &self.state {
            JobState::Collecting(round)
            | JobState::Aggregating(round)
            | JobState::Paused { next: Next::Collect(round) | Next::Aggregate(round), .. } => Some(round),
            JobState::Preparing
            | JobState::Paused { next: Next::Prepare, .. }
            | JobState::Finished { .. }
            | JobState::Cancelled { .. } => None,
        }
    }

    /// What the coordinator has to compute now.
    #[must_use]
    pub fn task(&self) -> Option<Task> {
        match &self.state {
            JobState::Preparing => Some(Task::Prepare(self.shared_model(), self.plan.seed)),
            JobState::Aggregating(round) => {
                let updates = round.contributions().filter_map(|(_, contribution)| match contribution {
                    Contribution::Update { weights, samples, .. } => Some((*weights, *samples)),
                    Contribution::Statistics(_) => None,
                });
                let (model, updates) = (self.shared_model(), updates.collect());
                Some(Task::Aggregate { model, round: round.index, updates })
            }
            JobState::Collecting(_)
            | JobState::Paused { .. }
            | JobState::Finished { .. }
            | JobState::Cancelled { .. } => None,
        }
    }

    /// The model that all train in a job of rounds.
    fn shared_model(&self) -> ModelSpec {
        self.plan.model_of(&self.plan.specialists[0])
    }

    /// Lends an assignment.
    ///
    /// # Errors
    /// If the round is over, or the institution has answered already.
    pub fn accept(
        &self,
        id: &AssignmentId,
        token: LeaseToken,
        now: Timestamp,
    ) -> Result<(Outcome, Lease), Refusal> {
        self.in_round(id, now, |round| round.accept(&id.institution, token, now))
    }

    /// Notes that an institution does not want an assignment.
    ///
    /// # Errors
    /// If the round is over, or the institution has answered already.
    pub fn refuse(
        &self,
        id: &AssignmentId,
        refusal: Refusal,
        now: Timestamp,
    ) -> Result<(Outcome, ()), Refusal> {
        self.in_round(id, now, |round| round.refuse(&id.institution, refusal, now))
    }

    /// Renews a lease and notes progress; gives the lease's new end.
    ///
    /// # Errors
    /// If the round is over or the token not the lease's.
    pub fn heartbeat(
        &self,
        id: &AssignmentId,
        token: &LeaseToken,
        progress: Progress,
        now: Timestamp,
    ) -> Result<(Outcome, Timestamp), Refusal> {
        self.in_round(id, now, |round| round.heartbeat(&id.institution, token, progress, now))
    }

    /// Counts an update; gives when it was recorded. Repeating the call gives the first answer.
    ///
    /// # Errors
    /// If the round is over, the token not the lease's, or the bytes are not new.
    pub fn submit_update(
        &self,
        update: ScreenedUpdate,
        now: Timestamp,
    ) -> Result<(Outcome, Timestamp), Refusal> {
        let update = update.into_inner();
        if self.global.is_some_and(|base| base.digest == update.weights.digest) {
            let message = "the update has the bytes of the weights it started from";
            return Err(Refusal::new(Reason::Replayed, message));
        }
        let contribution = Contribution::Update {
            weights: update.weights,
            samples: update.samples,
            metrics: update.metrics,
            normalisation: update.normalisation,
            energy: update.energy,
        };
        self.submit_contribution(&update.assignment, &update.token, update.key, contribution, now)
    }

    /// Counts statistics; gives when they were recorded. Repeating the call gives the first answer.
    ///
    /// # Errors
    /// If the round is over or the token not the lease's.
    pub fn submit_statistics(
        &self,
        statistics: ScreenedStatistics,
        now: Timestamp,
    ) -> Result<(Outcome, Timestamp), Refusal> {
        let statistics = statistics.into_inner();
        let contribution = Contribution::Statistics(statistics.bands);
        self.submit_contribution(&statistics.assignment, &statistics.token, statistics.key, contribution, now)
    }

    fn submit_contribution(
        &self,
        id: &AssignmentId,
        token: &LeaseToken,
        key: IdempotencyKey,
        contribution: Contribution,
        now: Timestamp,
    ) -> Result<(Outcome, Timestamp), Refusal> {
        if let Some(at) = self.receipt(id, &key) {
            return Ok((Outcome { job: self.clone(), frozen: Vec::new() }, at));
        }
        let fits = match (self.collecting().map(|round| round.purpose), &contribution) {
            (Some(Purpose::Statistics), Contribution::Update { .. })
            | (Some(Purpose::OneShot | Purpose::Train(_)), Contribution::Statistics(_)) => false,
            (Some(Purpose::Statistics), Contribution::Statistics(_))
            | (Some(Purpose::OneShot | Purpose::Train(_)), Contribution::Update { .. })
            | (None, _) => true,
        };
        if !fits {
            let message = format!("assignment {id} asks for something else");
            return Err(Refusal::new(Reason::WrongState, message));
        }
        self.in_round(id, now, |round| {
            round.submit(&id.institution, token, key, contribution, now).map(|()| now)
        })
    }

    /// When a submission with this key was recorded, if it was: also after its round has closed, so
    /// that an answer that got lost can be asked for again.
    #[must_use]
    pub fn receipt(&self, id: &AssignmentId, key: &IdempotencyKey) -> Option<Timestamp> {
        let rounds = self.history.iter().map(|closed| &closed.round).chain(self.current());
        let rounds = rounds.filter(|round| round.index == id.round);
        rounds.filter_map(|round| round.participants.get(&id.institution)).find_map(|participant| {
            match &participant.slot {
                Slot::Submitted { at, key: known, .. } if known == key => Some(*at),
                Slot::Submitted { .. }
                | Slot::Offered
                | Slot::Leased { .. }
                | Slot::Refused { .. }
                | Slot::Failed { .. } => None,
            }
        })
    }

    /// Notes that the work failed at an institution for good.
    ///
    /// # Errors
    /// If the round is over or the token not the lease's.
    pub fn report_failure(
        &self,
        id: &AssignmentId,
        token: &LeaseToken,
        message: String,
        now: Timestamp,
    ) -> Result<(Outcome, ()), Refusal> {
        self.in_round(id, now, |round| round.fail(&id.institution, token, message, now))
    }

    /// Checks that the caller holds the lease of an assignment that is still wanted.
    ///
    /// # Errors
    /// As the calls that need it.
    pub fn check_lease(&self, id: &AssignmentId, token: &LeaseToken) -> Result<(), Refusal> {
        self.round_of(id)?.clone().holder(&id.institution, token).map(|_| ())
    }

    /// The open round of an assignment.
    fn round_of(&self, id: &AssignmentId) -> Result<&Round, Refusal> {
        let closed = || {
            let message = format!("round {} (attempt {}) of job {} has closed", id.round, id.attempt, id.job);
            Refusal::new(Reason::RoundClosed, message)
        };
        let ended = |how: &str| Refusal::new(Reason::JobEnded, format!("job {} {how}", self.id));
        match &self.state {
            JobState::Collecting(round) if (round.index, round.attempt) == (id.round, id.attempt) => {
                Ok(round)
            }
            JobState::Collecting(_) | JobState::Preparing | JobState::Aggregating(_) => Err(closed()),
            JobState::Paused { .. } => Err(ended("is paused")),
            JobState::Finished { .. } => Err(ended("has finished")),
            JobState::Cancelled { .. } => Err(ended("was cancelled")),
        }
    }

    /// A transition inside the open round, and what follows from it.
    fn in_round<T>(
        &self,
        id: &AssignmentId,
        now: Timestamp,
        change: impl FnOnce(&mut Round) -> Result<T, Refusal>,
    ) -> Result<(Outcome, T), Refusal> {
        let mut round = self.round_of(id)?.clone();
        let answer = change(&mut round)?;
        Ok((Self { state: JobState::Collecting(round), ..self.clone() }.settle(now), answer))
    }

    /// The job after an event.
    ///
    /// # Errors
    /// [`Reason::WrongState`] if the event means nothing in this state.
    pub fn apply(&self, event: Event, now: Timestamp) -> Result<Outcome, Refusal> {
        let mut job = self.clone();
        match event {
            Event::Tick => {
                if let JobState::Collecting(round) = &mut job.state {
                    round.lapse(&self.plan.participation, now);
                }
            }
            Event::Restart => {
                if let JobState::Collecting(round) = &mut job.state {
                    round.extend(now);
                }
            }
            Event::Prepared(weights) => job.prepared(weights, now)?,
            Event::Aggregated(index, weights) => return job.aggregated(index, weights, now),
            Event::TaskFailed(why) => job.task_failed(why, now)?,
            Event::Cancel(by) => job.cancel(by, now)?,
            Event::Resume => job.resume(now)?,
        }
        Ok(job.settle(now))
    }

    fn wrong_state(&self, what: &str) -> Refusal {
        let state = self.state.name();
        Refusal::new(Reason::WrongState, format!("job {} is {state}; it cannot be {what}", self.id))
    }

    fn prepared(&mut self, weights: BlobRef, now: Timestamp) -> Result<(), Refusal> {
        if self.state != JobState::Preparing {
            return Err(self.wrong_state("prepared"));
        }
        self.global = Some(weights);
        self.open(0, now);
        Ok(())
    }

    fn aggregated(mut self, index: u32, weights: BlobRef, now: Timestamp) -> Result<Outcome, Refusal> {
        let round = match &self.state {
            JobState::Aggregating(round) if round.index == index => round.clone(),
            JobState::Aggregating(_)
            | JobState::Preparing
            | JobState::Collecting(_)
            | JobState::Paused { .. }
            | JobState::Finished { .. }
            | JobState::Cancelled { .. } => return Err(self.wrong_state("aggregated")),
        };
        self.close(round.clone(), true, now);
        self.global = Some(weights);
        if round.purpose != Purpose::Train(self.plan.training_rounds() - 1) {
            self.open(index + 1, now);
            return Ok(Outcome { job: self, frozen: Vec::new() });
        }
        let frozen = vec![self.freeze_shared(&round, weights, now)];
        self.state = JobState::Finished { at: now };
        Ok(Outcome { job: self, frozen })
    }

    fn task_failed(&mut self, why: String, now: Timestamp) -> Result<(), Refusal> {
        let next = match &self.state {
            JobState::Preparing => Next::Prepare,
            JobState::Aggregating(round) => Next::Aggregate(round.clone()),
            JobState::Collecting(_)
            | JobState::Paused { .. }
            | JobState::Finished { .. }
            | JobState::Cancelled { .. } => return Err(self.wrong_state("paused")),
        };
        self.state = JobState::Paused { at: now, why, next };
        Ok(())
    }

    fn cancel(&mut self, by: InstitutionName, now: Timestamp) -> Result<(), Refusal> {
        if self.has_ended() {
            return Err(self.wrong_state("cancelled"));
        }
        if let Some(round) = self.current().cloned() {
            self.close(round, false, now);
        }
        self.state = JobState::Cancelled { at: now, by };
        Ok(())
    }

    fn resume(&mut self, now: Timestamp) -> Result<(), Refusal> {
        let JobState::Paused { next, .. } = &self.state else { return Err(self.wrong_state("resumed")) };
        let rules = &self.plan.participation;
        self.state = match next {
            Next::Prepare => JobState::Preparing,
            Next::Aggregate(round) => JobState::Aggregating(round.clone()),
            Next::Collect(round) => {
                let mut round = round.again(rules, now);
                round.last_attempt = round.attempt + rules.attempts - 1;
                JobState::Collecting(round)
            }
        };
        Ok(())
    }

    /// What a round of this index is for.
    fn purpose(&self, index: u32) -> Purpose {
        match (self.plan.mode, &self.plan.normalisation) {
            (Mode::OneShot, _) => Purpose::OneShot,
            (Mode::Rounds, Normalisation::Federated) if index == 0 => Purpose::Statistics,
            (Mode::Rounds, Normalisation::Federated) => Purpose::Train(index - 1),
            (Mode::Rounds, Normalisation::Local | Normalisation::Given { .. }) => Purpose::Train(index),
        }
    }

    fn open(&mut self, index: u32, now: Timestamp) {
        let (purpose, rules) = (self.purpose(index), &self.plan.participation);
        self.state = JobState::Collecting(Round::open(index, purpose, &self.roster, rules, now));
    }

    fn close(&mut self, mut round: Round, complete: bool, now: Timestamp) {
        round.thin_curves();
        self.history.push(ClosedRound { round, at: now, complete, base: self.global });
    }

    /// Draws the consequences of the open round's verdict.
    fn settle(mut self, now: Timestamp) -> Outcome {
        let JobState::Collecting(round) = &self.state else {
            return Outcome { job: self, frozen: Vec::new() };
        };
        let round = round.clone();
        match round.verdict(&self.plan.participation, now) {
            Verdict::Open => Outcome { job: self, frozen: Vec::new() },
            Verdict::Complete => self.complete(round, now),
            Verdict::TooFew => {
                self.retry(round, now);
                Outcome { job: self, frozen: Vec::new() }
            }
        }
    }

    fn complete(mut self, round: Round, now: Timestamp) -> Outcome {
        match round.purpose {
            Purpose::Train(_) => {
                self.state = JobState::Aggregating(round);
                Outcome { job: self, frozen: Vec::new() }
            }
            Purpose::Statistics => {
                let sites = round.contributions().filter_map(|(_, contribution)| match contribution {
                    Contribution::Statistics(bands) => Some(bands),
                    Contribution::Update { .. } => None,
                });
                self.normalisation = Some(pool(sites));
                let next = round.index + 1;
                self.close(round, true, now);
                self.open(next, now);
                Outcome { job: self, frozen: Vec::new() }
            }
            Purpose::OneShot => {
                let frozen = self.freeze_each(&round, now);
                self.close(round, true, now);
                self.state = JobState::Finished { at: now };
                Outcome { job: self, frozen }
            }
        }
    }

    /// Tries a round again that got too few answers, or pauses.
    fn retry(&mut self, round: Round, now: Timestamp) {
        let rules = &self.plan.participation;
        self.state = if round.attempt < round.last_attempt {
            JobState::Collecting(round.again(rules, now))
        } else {
            let (got, min, attempts) = (round.submitted(), rules.min, round.attempt);
            let why = format!(
                "round {} got {got} of at least {min} results in {attempts} attempts; see why with `eosfed job \
                 show {id}`, then `eosfed job resume {id}` or `eosfed job cancel {id}`",
                round.index,
                id = self.id
            );
            JobState::Paused { at: now, why, next: Next::Collect(round.clone()) }
        };
        self.close(round, false, now);
    }
}

impl JobState {
    /// Its name for people and in JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Collecting(_) => "running",
            Self::Aggregating(_) => "aggregating",
            Self::Paused { .. } => "paused",
            Self::Finished { .. } => "finished",
            Self::Cancelled { .. } => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests;
