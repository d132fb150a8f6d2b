//! What time, operators and the coordinator's own computations do to a job, and what follows from a
//! round that is over.

use eosfed_common::assignment::BlobRef;
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::InstitutionName;
use eosfed_common::plan::{JobSpec, RoundsPlan, SharedNormalisation};
use eosfed_common::refusal::{Reason, Refusal};

use super::{ClosedRound, Event, Job, JobState, Next, Outcome};
use crate::domain::round::{Contribution, Purpose, Round, Verdict};
use crate::domain::statistics::pool;

impl Job {
    /// The job after an event.
    ///
    /// # Errors
    /// [`Reason::WrongState`] if the event means nothing in this state.
    pub fn apply(&self, event: Event, now: Timestamp) -> Result<Outcome, Refusal> {
        let mut job = self.clone();
        match event {
            Event::Tick => {
                if let JobState::Collecting(round) = &mut job.state {
                    round.lapse(self.spec.participation(), now);
                }
            }
            Event::Restart => {
                if let JobState::Collecting(round) = &mut job.state {
                    round.extend(now);
                }
            }
            Event::Prepared(weights) => job.prepared(weights, now)?,
            Event::Aggregated(index, weights, memory) => return job.aggregated(index, weights, memory, now),
            Event::TaskFailed(why) => job.task_failed(why, now)?,
            Event::Cancel(by) => job.cancel(by, now)?,
            Event::Pause(by) => job.pause(&by, now)?,
            Event::Resume => job.resume(now)?,
            Event::Retry(institution) => job.retry_with(&institution)?,
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

    fn aggregated(
        mut self,
        index: u32,
        weights: BlobRef,
        memory: Option<BlobRef>,
        now: Timestamp,
    ) -> Result<Outcome, Refusal> {
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
        self.memory = memory;
        let is_last = |rounds: &RoundsPlan| round.purpose == Purpose::Train(rounds.count - 1);
        if !self.spec.federated().is_some_and(|federated| is_last(&federated.rounds)) {
            self.open(index + 1, now);
            self.carry(&round, now);
            return Ok(Outcome { job: self, frozen: Vec::new() });
        }
        let frozen = self.freeze_shared(&round, weights, now).into_iter().collect();
        self.trained = self.freeze_head(&round, weights).map(Box::new);
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

    /// In asynchronous jobs, who is at work goes on beyond the round.
    fn carry(&mut self, last: &Round, now: Timestamp) {
        if let (Some(rules), JobState::Collecting(round)) = (self.asynchronous(), &mut self.state) {
            round.carry(last, rules.max_staleness);
            round.extend(now);
        }
    }

    fn pause(&mut self, by: &InstitutionName, now: Timestamp) -> Result<(), Refusal> {
        let next = match &self.state {
            JobState::Preparing => Next::Prepare,
            JobState::Collecting(round) => Next::Collect(round.clone()),
            JobState::Aggregating(round) => Next::Aggregate(round.clone()),
            JobState::Paused { .. } | JobState::Finished { .. } | JobState::Cancelled { .. } => {
                return Err(self.wrong_state("paused"));
            }
        };
        self.state = JobState::Paused { at: now, why: format!("paused by {by}"), next };
        Ok(())
    }

    fn retry_with(&mut self, institution: &InstitutionName) -> Result<(), Refusal> {
        match &mut self.state {
            JobState::Collecting(round) | JobState::Paused { next: Next::Collect(round), .. } => {
                round.ask_again(institution)
            }
            JobState::Preparing
            | JobState::Aggregating(_)
            | JobState::Paused { .. }
            | JobState::Finished { .. }
            | JobState::Cancelled { .. } => Err(self.wrong_state("asked anything")),
        }
    }

    fn resume(&mut self, now: Timestamp) -> Result<(), Refusal> {
        let JobState::Paused { at, next, .. } = &self.state else { return Err(self.wrong_state("resumed")) };
        let rules = self.spec.participation();
        self.state = match next {
            Next::Prepare => JobState::Preparing,
            Next::Aggregate(round) => JobState::Aggregating(round.clone()),
            Next::Collect(round) => {
                // Paused for want of answers: its attempts are used up, and it gets as many again.
                let exhausted = self.history.last().is_some_and(|closed| {
                    (closed.round.index, closed.round.attempt) == (round.index, round.attempt)
                });
                let mut round = if exhausted { round.again(rules, now) } else { round.clone() };
                if exhausted {
                    round.last_attempt = round.attempt + self.spec.attempts() - 1;
                }
                round.deadline = round.deadline.max(round.deadline.plus(now.since(*at)));
                round.extend(now);
                JobState::Collecting(round)
            }
        };
        Ok(())
    }

    /// What a round of this index is for.
    pub(super) const fn purpose(&self, index: u32) -> Purpose {
        match &self.spec {
            JobSpec::OneShot(_) => Purpose::OneShot,
            JobSpec::Rounds(spec) => match spec.normalisation {
                SharedNormalisation::Federated if index == 0 => Purpose::Statistics,
                SharedNormalisation::Federated => Purpose::Train(index - 1),
                SharedNormalisation::Given { .. } => Purpose::Train(index),
            },
            JobSpec::Downstream(_) => Purpose::Train(index),
            JobSpec::Evaluation(_) => Purpose::Evaluate(index),
        }
    }

    pub(super) fn open(&mut self, index: u32, now: Timestamp) {
        let purpose = self.purpose(index);
        self.state = JobState::Collecting(Round::open(index, purpose, &self.roster, &self.spec, now));
    }

    fn close(&mut self, mut round: Round, complete: bool, now: Timestamp) {
        round.thin_curves();
        self.history.push(ClosedRound { round, at: now, complete, base: self.global, memory: self.memory });
    }

    /// Draws the consequences of the open round's verdict.
    pub(super) fn settle(mut self, now: Timestamp) -> Outcome {
        let JobState::Collecting(round) = &self.state else {
            return Outcome { job: self, frozen: Vec::new() };
        };
        let mut round = round.clone();
        let rules = self.spec.participation();
        let mut verdict = round.verdict(rules, now);
        let norm_factor = self.spec.federated().and_then(|federated| federated.admission.norm_factor);
        if let (Verdict::Complete, Some(factor)) = (verdict, norm_factor)
            && round.set_outliers_aside(factor) > 0
        {
            verdict = round.verdict(rules, now);
            self.state = JobState::Collecting(round.clone());
        }
        match verdict {
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
                    Contribution::Update { .. } | Contribution::Evaluation { .. } => None,
                });
                match pool(sites) {
                    Ok(pooled) => {
                        self.normalisation = Some(pooled);
                        let next = round.index + 1;
                        self.close(round, true, now);
                        self.open(next, now);
                    }
                    Err(error) => {
                        let why = format!("the pooled statistics must be {error}; cancel the job");
                        self.state = JobState::Paused { at: now, why, next: Next::Collect(round) };
                    }
                }
                Outcome { job: self, frozen: Vec::new() }
            }
            Purpose::OneShot => {
                let frozen = self.freeze_each(&round, now);
                self.close(round, true, now);
                self.state = JobState::Finished { at: now };
                Outcome { job: self, frozen }
            }
            Purpose::Evaluate(_) => {
                self.pass_on(round, true, now);
                Outcome { job: self, frozen: Vec::new() }
            }
        }
    }

    /// Closes the round of one candidate and opens that of the next.
    fn pass_on(&mut self, round: Round, complete: bool, now: Timestamp) {
        let next = round.index + 1;
        self.close(round, complete, now);
        if (next as usize) < self.candidates.len() {
            self.open(next, now);
        } else {
            self.state = JobState::Finished { at: now };
        }
    }

    /// Tries a round again that got too few answers, or pauses. A candidate that nobody can score is
    /// passed over: the others are not to wait for it.
    fn retry(&mut self, round: Round, now: Timestamp) {
        if let Purpose::Evaluate(_) = round.purpose {
            return self.pass_on(round, false, now);
        }
        let rules = self.spec.participation();
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
