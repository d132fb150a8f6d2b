//! What people and their scripts see of jobs and institutions: the records as they are, less
//! secrets and less what only the coordinator needs. These are the schemas of `--output json`.

use std::collections::BTreeMap;

use eosfed_common::assignment::CurvePoint;
use eosfed_common::card::{BandNormalisation, Energy};
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{InstitutionName, JobId, ReleaseNumber};
use eosfed_common::net::meter::Sent;
use eosfed_common::plan::{JobKind, Normalisation, Plan};
use eosfed_common::weights::Digest;
use serde::{Deserialize, Serialize};

use super::institution::Institution;
use super::job::{ClosedRound, Job, JobState, Next, Origin, TrainedHead};
use super::round::{Contribution, Participant, Purpose, Rejection, Round, Slot};

/// A job as people see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// `preparing`, `running`, `aggregating`, `paused`, `finished` or `cancelled`.
    pub state: String,
    /// Why it is paused, or who has cancelled it.
    pub why: Option<String>,
    /// The job that it goes on from.
    pub origin: Option<Origin>,
    /// The operator who submitted it.
    pub submitted_by: InstitutionName,
    /// When.
    pub submitted_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The round that it is at.
    pub current: Option<RoundView>,
    /// Attempts at rounds that are over.
    pub history: Vec<RoundView>,
    /// Rounds in all, a statistics round included.
    pub rounds: u32,
    /// Normalisation that all use, once it is known.
    pub normalisation: Option<Vec<BandNormalisation>>,
    /// Specialists scored, a round each, as `NAME@VERSION`.
    #[serde(default)]
    pub candidates: Vec<String>,
    /// Specialists made, as `NAME@VERSION`.
    pub produced: Vec<String>,
    /// The release cut.
    pub release: Option<ReleaseNumber>,
    /// The head trained.
    pub trained: Option<TrainedHead>,
    /// The plan.
    pub plan: Plan,
}

/// One attempt at a round as people see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundView {
    /// Its place in the job, from 0.
    pub index: u32,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// What it is for.
    pub purpose: Purpose,
    /// `recruiting`, `training`, `aggregating`, `paused`, `complete` or `incomplete`.
    pub phase: String,
    /// When it began.
    pub opened_at: Timestamp,
    /// When it ends at the latest.
    pub deadline: Timestamp,
    /// When it was over.
    pub closed_at: Option<Timestamp>,
    /// Everybody who was asked.
    pub participants: BTreeMap<InstitutionName, ParticipantView>,
}

/// One institution's part in a round as people see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParticipantView {
    /// `offered`, `working`, `submitted`, `refused`, `rejected` or `failed`.
    pub state: String,
    /// Steps done.
    pub step: u64,
    /// Steps in all; 0 while unknown.
    pub steps: u64,
    /// Why it has refused or failed, or was rejected.
    pub message: Option<String>,
    /// Leases that ran out.
    pub lapses: u32,
    /// Samples that its update has learned from, or that it has scored.
    pub samples: Option<u64>,
    /// Digest of its update, counted or rejected.
    pub weights: Option<Digest>,
    /// Its validation metrics.
    pub metrics: BTreeMap<String, f64>,
    /// Energy spent.
    pub energy: Option<Energy>,
    /// The L2 norm of its update's step.
    pub norm: Option<f64>,
    /// Its training curve.
    pub curve: Vec<CurvePoint>,
}

/// An institution as people see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstitutionView {
    /// Its name.
    pub name: InstitutionName,
    /// Since when it is enrolled.
    pub enrolled_at: Option<Timestamp>,
    /// Until when an open invitation can be redeemed.
    pub invited_until: Option<Timestamp>,
    /// When it last called, since the coordinator was started.
    pub last_seen: Option<Timestamp>,
    /// Bytes received from it since the coordinator was started.
    pub received: Sent,
}

impl InstitutionView {
    /// The view of an institution.
    #[must_use]
    pub fn of(institution: &Institution, last_seen: Option<Timestamp>, received: Sent) -> Self {
        Self {
            name: institution.name.clone(),
            enrolled_at: institution.enrolment.as_ref().map(|enrolment| enrolment.at),
            invited_until: institution.invitation.as_ref().map(|invitation| invitation.expires_at),
            last_seen,
            received,
        }
    }
}

impl JobView {
    /// The view of a job.
    #[must_use]
    pub fn of(job: &Job) -> Self {
        let (why, ended_at) = match &job.state {
            JobState::Paused { why, .. } => (Some(why.clone()), None),
            JobState::Cancelled { at, by } => (Some(format!("cancelled by {by}")), Some(*at)),
            JobState::Finished { at } => (None, Some(*at)),
            JobState::Preparing | JobState::Collecting(_) | JobState::Aggregating(_) => (None, None),
        };
        let statistics = u32::from(job.plan.normalisation == Normalisation::Federated);
        Self {
            id: job.id.clone(),
            state: job.state.name().to_owned(),
            why,
            origin: job.origin.clone(),
            submitted_by: job.submitted_by.clone(),
            submitted_at: job.submitted_at,
            ended_at,
            current: current(job),
            history: job.history.iter().map(closed).collect(),
            rounds: match job.plan.kind {
                JobKind::Evaluation => u32::try_from(job.candidates.len()).unwrap_or(u32::MAX),
                JobKind::Specialist | JobKind::Downstream => job.plan.training_rounds() + statistics,
            },
            normalisation: job.normalisation.clone(),
            candidates: job.candidates.iter().map(|card| format!("{}@{}", card.name, card.version)).collect(),
            produced: job.produced.iter().map(|(name, version)| format!("{name}@{version}")).collect(),
            release: job.release,
            trained: job.trained.as_deref().cloned(),
            plan: job.plan.clone(),
        }
    }

    /// Whether nothing more happens without an operator.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        matches!(self.state.as_str(), "finished" | "cancelled" | "paused")
    }
}

fn current(job: &Job) -> Option<RoundView> {
    match &job.state {
        JobState::Collecting(round) => {
            let recruited = round.engaged() >= job.plan.participation.min as usize;
            Some(view(round, if recruited { "training" } else { "recruiting" }, None))
        }
        JobState::Aggregating(round) => Some(view(round, "aggregating", None)),
        JobState::Paused { next: Next::Collect(round) | Next::Aggregate(round), .. } => {
            Some(view(round, "paused", None))
        }
        JobState::Preparing
        | JobState::Paused { .. }
        | JobState::Finished { .. }
        | JobState::Cancelled { .. } => None,
    }
}

fn closed(closed: &ClosedRound) -> RoundView {
    view(&closed.round, if closed.complete { "complete" } else { "incomplete" }, Some(closed.at))
}

fn view(round: &Round, phase: &str, closed_at: Option<Timestamp>) -> RoundView {
    let participants = round.participants.iter();
    RoundView {
        index: round.index,
        attempt: round.attempt,
        purpose: round.purpose,
        phase: phase.to_owned(),
        opened_at: round.opened_at,
        deadline: round.deadline,
        closed_at,
        participants: participants.map(|(name, one)| (name.clone(), participant(one))).collect(),
    }
}

fn participant(participant: &Participant) -> ParticipantView {
    let mut view = ParticipantView {
        state: String::new(),
        step: participant.curve.last().map_or(0, |point| point.step),
        steps: 0,
        message: None,
        lapses: participant.lapses,
        samples: None,
        weights: None,
        metrics: BTreeMap::new(),
        energy: None,
        norm: None,
        curve: participant.curve.clone(),
    };
    view.state = match &participant.slot {
        Slot::Offered => "offered",
        Slot::Leased { lease: _, since: _, step, steps } => {
            (view.step, view.steps) = (*step, *steps);
            "working"
        }
        Slot::Submitted { at: _, key: _, contribution } => {
            match contribution {
                Contribution::Update { weights, samples, metrics, energy, norm, .. } => {
                    view.norm = Some(*norm);
                    (view.samples, view.weights) = (Some(*samples), Some(weights.digest));
                    (view.metrics, view.energy) = (metrics.clone(), Some(*energy));
                }
                Contribution::Evaluation { samples, metrics, energy } => {
                    view.samples = Some(*samples);
                    (view.metrics, view.energy) = (metrics.clone(), Some(*energy));
                }
                Contribution::Statistics(_) => {}
            }
            "submitted"
        }
        Slot::Refused { at: _, refusal } => {
            view.message = Some(refusal.to_string());
            "refused"
        }
        Slot::Rejected(Rejection { at: _, key: _, refusal, weights }) => {
            (view.message, view.weights) = (Some(refusal.to_string()), Some(weights.digest));
            "rejected"
        }
        Slot::Failed { at: _, message } => {
            view.message = Some(message.clone());
            "failed"
        }
    }
    .to_owned();
    view
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Federation;
    use crate::testing::{NOW, ONE_SHOT, enrolled, name, submit, token};

    #[test]
    fn lease_tokens_are_nobodys_business() {
        let mut federation = Federation::default();
        federation.merge(enrolled(&["west", "east"]));
        let job = submit(&federation, ONE_SHOT).1.jobs.remove(0);
        let id = job.assignment(&name("west")).unwrap().id;
        let (outcome, lease) = job.accept(&id, token(1), NOW).unwrap();
        let text = serde_json::to_string(&JobView::of(&outcome.job)).unwrap();
        assert!(!text.contains(lease.token.as_str()) && text.contains("\"working\""), "{text}");
        assert_eq!(serde_json::from_str::<JobView>(&text).unwrap(), JobView::of(&outcome.job));
    }
}
