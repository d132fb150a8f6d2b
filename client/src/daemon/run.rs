//! The loop: perform an action, take the step that follows, perform the next action.

use std::collections::VecDeque;
use std::path::PathBuf;

use eosfed_common::ids::AssignmentId;
use eosfed_common::task::{TrainTask, TrainerEvent};
use eosfed_common::traffic::ByteCounts;
use tokio_util::sync::CancellationToken;

use super::data_memory::DataMemory;
use super::environment::{DaemonError, Environment, Parts};
use super::heartbeat::{HeartbeatTask, Reporter};
use super::lanes::Lane;
use super::offer_memory::OfferMemory;
use super::progress::ProgressTracker;
use super::step::{Action, Ending, Event, resume, step};
use super::traces::Phases;
use crate::budgets::{Budgets, Direction};
use crate::egress::{EgressGate, Stage, WorkInHand};
use crate::journal::Journal as _;
use crate::policy::{Egress, PolicyStatus};
use crate::site_log::{Entry, EntryKind, text};
use crate::spent::Spent;
use crate::state::{HeldAssignment, Outcome, State};
use crate::trainer::Trainer as _;

/// The daemon.
pub struct Daemon<E: Environment> {
    pub(super) parts: Parts<E>,
    pub(super) cancel: CancellationToken,
    pub(super) gate: EgressGate,
    pub(super) budgets: Budgets,
    pub(super) spent: Spent,
    pub(super) state: State,
    pub(super) progress: ProgressTracker,
    pub(super) offers: OfferMemory,
    pub(super) data: DataMemory,
    pub(super) lane: Lane,
    phases: Phases,
    sent_before: ByteCounts,
    /// The assignment that was in hand last.
    ended: Option<AssignmentId>,
    pub(super) ended_assignments: u32,
}

/// How an action has ended.
pub(super) enum Flow {
    /// The state stays as it is.
    Continue,
    /// This has happened.
    Event(Event),
    /// The daemon is to end.
    Exit,
}

impl<E: Environment> Daemon<E> {
    /// A daemon that continues from the journal. It ends when `cancel` is cancelled.
    ///
    /// # Errors
    /// If the journal holds something else.
    pub fn new(parts: Parts<E>, cancel: CancellationToken) -> Result<Self, DaemonError> {
        let settle = parts.intervals.policy_settle;
        let gate = EgressGate::new(parts.policy.clone(), &parts.data_set_policies, settle, parts.log.clone());
        let budgets = Budgets::open(&parts.site, parts.clock.clone())?;
        let sent_before = parts.site.sent()?;
        Self::of_lane(parts, cancel, Lane::default(), (gate, budgets, sent_before))
    }

    /// Another lane of this daemon, of this number, whose parts have a journal of their own and share the state
    /// folder, the connection and the meter. With `ends`, it takes no work, and ends what its journal holds.
    ///
    /// # Errors
    /// If the journal holds something else.
    pub fn beside(&self, parts: Parts<E>, number: usize, ends: bool) -> Result<Self, DaemonError> {
        let lane = Lane { number, ends, lanes: self.lane.lanes.clone() };
        let shared = (self.gate.clone(), self.budgets.clone(), self.sent_before);
        Self::of_lane(parts, self.cancel.clone(), lane, shared)
    }

    fn of_lane(
        parts: Parts<E>,
        cancel: CancellationToken,
        lane: Lane,
        (gate, budgets, sent_before): (EgressGate, Budgets, ByteCounts),
    ) -> Result<Self, DaemonError> {
        let state = parts.journal.load()?;
        lane.lanes.hold(lane.number, state.held().map(|held| &held.assignment));
        lane.lanes.begins();
        let spent = Spent::new(&parts.site);
        let progress = ProgressTracker::default();
        let offers = OfferMemory::default();
        Ok(Self {
            parts,
            cancel,
            gate,
            budgets,
            spent,
            state,
            progress,
            offers,
            data: DataMemory::default(),
            lane,
            phases: Phases::default(),
            sent_before,
            ended: None,
            ended_assignments: 0,
        })
    }

    /// Works until it is cancelled; with `once`, until one assignment has ended.
    ///
    /// # Errors
    /// If the state folder cannot be used, or the coordinator does not accept this client.
    pub async fn run(mut self) -> Result<(), DaemonError> {
        if let Some(held) = self.state.held() {
            tracing::info!(assignment = %held.assignment.id, phase = self.state.name(), "continuing from the journal");
            self.parts.watcher.doing(&format!(
                "continues with {}: {}",
                held.assignment.id,
                self.state.name()
            ));
        }
        // All lanes keep the same rules: the first one notes them.
        if self.lane.number == 0 {
            self.note_start();
        }
        self.trace_phase();
        self.sweep()?;
        let mut actions = VecDeque::from(resume(&self.state));
        let mut result = Ok(());
        let mut tries = 0;
        while let Some(action) = actions.pop_front() {
            self.parts.watcher.progressed();
            match self.act(action).await {
                Ok(Some(more)) => {
                    tries = if more.is_empty() { tries } else { 0 };
                    actions.extend(more);
                }
                Ok(None) => break,
                // The state is still the one in the journal: continue from it as after a restart.
                Err(error) if error.is_full_disk() => {
                    tries += 1;
                    if !self.wait_for_disk(&error, tries).await {
                        break;
                    }
                    actions = resume(&self.state).into();
                }
                Err(DaemonError::SiteLog(error)) => {
                    tries += 1;
                    if !self.wait_for_log(&error, tries).await? {
                        break;
                    }
                    actions = resume(&self.state).into();
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        if self.lane.lanes.ends() {
            self.parts.log.note(Entry::new(EntryKind::Stopped));
        }
        self.record_sent_if_space()?;
        result
    }

    /// Performs an action and takes the step that follows. Returns the next actions, or nothing when the
    /// daemon is to end. An event is not lost when the journal's disk is full.
    async fn act(&mut self, action: Action) -> Result<Option<Vec<Action>>, DaemonError> {
        let event = match self.perform(action).await? {
            Flow::Continue => return Ok(Some(Vec::new())),
            Flow::Exit => return Ok(None),
            Flow::Event(event) => event,
        };
        let mut tries = 0;
        loop {
            match self.apply(event.clone()) {
                Err(error) if error.is_full_disk() => {
                    tries += 1;
                    if !self.wait_for_disk(&error, tries).await {
                        return Ok(None);
                    }
                }
                done => return done.map(Some),
            }
        }
    }

    /// Takes the step that an event asks for, journal first. Nothing has happened if that fails.
    pub(super) fn apply(&mut self, event: Event) -> Result<Vec<Action>, DaemonError> {
        let now = self.parts.clock.now();
        let (state, actions) = step(self.state.clone(), event, now);
        self.parts.journal.store(&state)?;
        if let Some(held) = self.state.held() {
            self.ended = Some(held.assignment.id.clone());
        }
        self.state = state;
        self.lane.lanes.hold(self.lane.number, self.state.held().map(|held| &held.assignment));
        self.trace_phase();
        self.record_sent_if_space()?;
        Ok(actions)
    }

    /// Whether spans may leave now.
    fn may_trace(&self) -> bool {
        if !self.parts.traces.daemon.is_on() {
            return false;
        }
        let work = self.state.held().map(|held| self.work_in_hand(held));
        match self.gate.policy_status(work.as_ref()) {
            PolicyStatus::Settled(policy) => policy.allows(Egress::Traces),
            PolicyStatus::Unreadable(_) | PolicyStatus::Unsettled => false,
        }
    }

    /// Exports the span of a phase that has ended, and sets where calls and the trainer belong.
    fn trace_phase(&mut self) {
        let present = self.state.held().map(|held| (&held.assignment.id, self.state.name()));
        let ended = self.phases.see(present, self.parts.clock.now());
        let allowed = self.may_trace();
        self.parts.traces.place.set(self.phases.place().filter(|_| allowed));
        if let Some(span) = ended.filter(|_| allowed) {
            self.parts.traces.daemon.send(span);
        }
    }

    /// Exports the span of an epoch that has ended.
    pub(super) fn trace_trainer(&mut self, event: &TrainerEvent) {
        let now = self.parts.clock.now();
        match event {
            TrainerEvent::Started { .. } => self.phases.training_began(now),
            TrainerEvent::Epoch { epoch, .. } => {
                let span = self.phases.epoch_ended(u64::from(*epoch), now);
                if let Some(span) = span.filter(|_| self.may_trace()) {
                    self.parts.traces.trainer.send(span);
                }
            }
            _ => {}
        }
    }

    async fn perform(&mut self, action: Action) -> Result<Flow, DaemonError> {
        match action {
            Action::PollForWork => Box::pin(self.poll_for_work()).await,
            Action::Fetch => Box::pin(self.fetch()).await,
            Action::Reap(process) => {
                self.parts.trainer.reap(process).await;
                Ok(Flow::Continue)
            }
            Action::Train(crash_count) => Box::pin(self.train(crash_count)).await,
            Action::ComputeStatistics => Box::pin(self.compute_statistics()).await,
            Action::Submit => Box::pin(self.submit()).await,
            Action::Wait(tries) => Box::pin(self.wait_for_condition(tries)).await,
            Action::Discard(_) => self.sweep().map(|()| Flow::Continue),
            Action::Report(ending) => {
                let kind = EntryKind::Ended { how: text(&report(&ending)) };
                let ended = self.ended.take();
                if let Some(AssignmentId { job, .. }) = &ended {
                    self.budgets.settle(job, Direction::Up)?;
                    self.budgets.settle(job, Direction::Down)?;
                }
                let entry = ended.map(|id| Entry::of(&id, kind.clone()));
                self.parts.log.note(entry.unwrap_or_else(|| Entry::new(kind)));
                self.ended_assignments += 1;
                Ok(Flow::Continue)
            }
            Action::Halt(refusal) => Err(DaemonError::Refused(refusal)),
        }
    }

    /// Removes the folders of assignments that no lane has in hand.
    fn sweep(&self) -> Result<(), DaemonError> {
        let held = self.lane.lanes.held();
        let keep: Vec<PathBuf> = held.iter().map(|one| self.parts.site.folder(&one.id)).collect();
        let Ok(entries) = std::fs::read_dir(self.parts.site.work()) else { return Ok(()) };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            if !keep.contains(&path) {
                std::fs::remove_dir_all(&path).map_err(DaemonError::io(&path))?;
            }
        }
        Ok(())
    }

    /// Records the bytes sent. If the disk is full, they are recorded the next time, and the event that was
    /// handled is kept.
    pub(super) fn record_sent_if_space(&self) -> Result<(), DaemonError> {
        let sent = self.sent_before.plus(self.parts.meter.sent());
        match self.parts.site.record_sent(&sent).map_err(DaemonError::from) {
            Err(error) if error.is_full_disk() => Ok(()),
            done => done,
        }
    }

    /// The assignment in hand. Only activities of states that hold one call this.
    pub(super) fn held(&self) -> HeldAssignment {
        self.state.held().cloned().expect("actions on an assignment come from states that hold one")
    }

    /// The folder of the assignment in hand, made if need be.
    pub(super) fn folder(&self, held: &HeldAssignment) -> Result<PathBuf, DaemonError> {
        let folder = self.parts.site.folder(&held.assignment.id);
        std::fs::create_dir_all(&folder).map_err(DaemonError::io(&folder))?;
        Ok(folder)
    }

    /// Where the finished weights of an assignment are.
    pub(super) fn finished_weights(&self, held: &HeldAssignment) -> PathBuf {
        self.parts.site.folder(&held.assignment.id).join(TrainTask::WEIGHTS)
    }

    /// The work in hand, as the policy sees it.
    pub(super) fn work_in_hand(&self, held: &HeldAssignment) -> WorkInHand {
        let stage = match &self.state {
            State::Submitting { outcome: Outcome::Update(update), .. } => Stage::Weights {
                kept: self.parts.site.withheld(&held.assignment.id),
                mechanism: update.mechanism,
            },
            State::Submitting { outcome: Outcome::Statistics(_) | Outcome::Scores(_), .. } => Stage::Numbers,
            State::Submitting { outcome: Outcome::Failure(_) | Outcome::Withheld(_), .. } => Stage::Failed,
            State::Idle { .. }
            | State::Fetching { .. }
            | State::Training { .. }
            | State::ComputingStatistics { .. } => Stage::Unfinished,
        };
        WorkInHand { assignment: held.assignment.clone(), stage, dataset: held.dataset.clone() }
    }

    /// Reports the progress of the assignment in hand.
    pub(super) fn reporter(&self, held: &HeldAssignment) -> Reporter<E::Coordinator> {
        Reporter::new(
            self.parts.coordinator.clone(),
            self.gate.clone(),
            self.parts.log.clone(),
            self.budgets.clone(),
            self.work_in_hand(held),
            self.progress.clone(),
        )
    }

    /// Starts the heartbeats of the assignment in hand.
    pub(super) fn heartbeats(&self, held: &HeldAssignment) -> HeartbeatTask {
        let token = held.lease.token.clone();
        HeartbeatTask::start(self.reporter(held), token, self.parts.intervals.heartbeat)
    }
}

/// Logs how an assignment ended, and says it in a sentence.
fn report(ending: &Ending) -> String {
    match ending {
        Ending::Recorded(at) => {
            tracing::info!(recorded_at = %at, "the coordinator has recorded the result");
            format!("the coordinator has recorded the result at {at}, as it says")
        }
        Ending::FailureReported => {
            tracing::info!("the coordinator knows that the work failed here");
            "the coordinator knows that the work failed here".to_owned()
        }
        Ending::Dropped(refusal) => {
            tracing::warn!(%refusal, "the work is dropped: the coordinator no longer wants it");
            format!("the coordinator no longer wants the work: {refusal}")
        }
    }
}
