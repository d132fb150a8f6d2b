//! The views of jobs, institutions and evaluations of [`eosfed_common::view`], which are shown to people and
//! scripts. They are made from the records here only.

mod energy;
mod list;
mod overview;
mod progress;
mod release;
mod storage;

use std::collections::BTreeMap;

use eosfed_common::assignment::CurvePoint;
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::InstitutionName;
use eosfed_common::plan::{JobSpec, SharedNormalisation};
use eosfed_common::report::TrainingReport;
use eosfed_common::traffic::ByteCounts;
use eosfed_common::view::{
    EvaluationView, InstitutionView, JobState as StateView, JobView,
    ParticipantState as ParticipantStateView, ParticipantView, PersonView, RoundPhase, RoundSummary,
    RoundView, SharedPolicyView, StatedDataView, TrainedHeadView,
};

use super::closed::ClosedRound;
use super::curve::Curve;
use super::evaluation::Evaluation;
use super::job::{Job, JobState, Next, TrainedHead};
use super::member::Member;
use super::round::{Contribution, Participant, ParticipantState, Rejection, Round};
use super::target::HeadRef;
use super::totals::totals;

pub use energy::{EnergyFilter, EnergyKey, EnergyPage, energy};
pub(super) use list::{job_summary, release_summary};
pub use overview::{Surroundings, overview};
pub(crate) use overview::{certificates, late_round, silences};
pub use progress::progress;
pub use release::release;
pub use storage::{StorageKey, StoragePage, Stored, known_blobs, prune, storage};

/// The view of an institution.
#[must_use]
pub fn institution(
    institution: &Member,
    last_seen: Option<Timestamp>,
    version: Option<String>,
    received: ByteCounts,
) -> InstitutionView {
    InstitutionView {
        name: institution.name.clone(),
        enrolled_at: institution.enrolment.as_ref().map(|enrolment| enrolment.at),
        invited_until: institution.invitation.as_ref().map(|invitation| invitation.expires_at),
        invited_by: institution.invited_by().cloned(),
        revoked_at: institution.revoked.as_ref().map(|revoked| revoked.at),
        certificate_expires_at: institution.expires_at(),
        signing_key: institution.signing_key(),
        data: institution.stated().map(|stated| StatedDataView {
            stated_at: stated.at,
            statement: stated.signed.statement.clone(),
            signature: stated.signed.signature,
        }),
        policy: institution.shared_policy().map(|shared| SharedPolicyView {
            shared_at: shared.at,
            summary: shared.signed.summary.clone(),
            signature: shared.signed.signature,
        }),
        last_seen,
        version,
        received,
    }
}

/// The view of an operator or a reader.
#[must_use]
pub fn person(person: &Member, last_seen: Option<Timestamp>) -> PersonView {
    PersonView {
        name: person.name.clone(),
        enrolled_at: person.enrolment.as_ref().map(|enrolment| enrolment.at),
        invited_until: person.invitation.as_ref().map(|invitation| invitation.expires_at),
        invited_by: person.invited_by().cloned(),
        revoked_at: person.revoked.as_ref().map(|revoked| revoked.at),
        certificate_expires_at: person.expires_at(),
        last_seen,
    }
}

/// The view of a specialist's scores at one institution.
#[must_use]
pub fn evaluation(evaluation: Evaluation) -> EvaluationView {
    let Evaluation { institution, job, at, samples, metrics, scoring } = evaluation;
    EvaluationView { institution, job, at, samples, metrics, scoring }
}

/// The view of a job without its rounds.
#[must_use]
pub fn job(job: &Job) -> JobView {
    JobView {
        id: job.id.clone(),
        state: state(&job.state),
        why: why(&job.state),
        origin: job.origin.clone(),
        submitted_by: job.submitted_by.clone(),
        submitted_at: job.submitted_at,
        ended_at: ended_at(&job.state),
        rounds: rounds(job),
        closed_rounds: u32::try_from(job.closed.len()).unwrap_or(u32::MAX),
        normalisation: job.normalisation.as_deref().cloned(),
        candidates: job.candidates.iter().map(|card| card.reference().to_string()).collect(),
        produced: job.produced.iter().map(|(name, version)| format!("{name}@{version}")).collect(),
        release: job.release,
        trained: job.trained.as_deref().and_then(|head| trained(job, head)),
        energy: job.energy_spent(),
        spec: job.spec.clone(),
    }
}

/// Why a job is paused, or who cancelled it.
fn why(state: &JobState) -> Option<String> {
    match state {
        JobState::Paused { why, .. } => Some(why.clone()),
        JobState::Cancelled { by, .. } => Some(format!("cancelled by {by}")),
        JobState::Preparing
        | JobState::Collecting(_)
        | JobState::Aggregating(_)
        | JobState::Finished { .. } => None,
    }
}

const fn ended_at(state: &JobState) -> Option<Timestamp> {
    match state {
        JobState::Cancelled { at, .. } | JobState::Finished { at } => Some(*at),
        JobState::Preparing
        | JobState::Collecting(_)
        | JobState::Aggregating(_)
        | JobState::Paused { .. } => None,
    }
}

fn rounds(job: &Job) -> u32 {
    match &job.spec {
        JobSpec::OneShot(_) | JobSpec::Statistics(_) => 1,
        JobSpec::Rounds(spec) => {
            let statistics = u32::from(spec.normalisation == SharedNormalisation::Federated);
            spec.federated.rounds.count + statistics
        }
        JobSpec::Downstream(spec) => spec.federated.rounds.count,
        JobSpec::Evaluation(_) => u32::try_from(job.candidates.len()).unwrap_or(u32::MAX),
    }
}

/// The shown state of a job.
pub(super) const fn state(state: &JobState) -> StateView {
    match state {
        JobState::Preparing => StateView::Preparing,
        JobState::Collecting(_) => StateView::Running,
        JobState::Aggregating(_) => StateView::Aggregating,
        JobState::Paused { .. } => StateView::Paused,
        JobState::Finished { .. } => StateView::Finished,
        JobState::Cancelled { .. } => StateView::Cancelled,
    }
}

fn trained(job: &Job, trained: &TrainedHead) -> Option<TrainedHeadView> {
    let HeadRef { document, release, signature: _, bands: _ } = job.head.clone()?;
    let TrainedHead { weights, institutions, rounds, report, statistics, statistics_from } = trained.clone();
    let TrainingReport {
        samples,
        metrics,
        scoring,
        normalisation: _,
        energy,
        initial: _,
        imagery,
        encoding: _,
        spent: _,
    } = report;
    Some(TrainedHeadView {
        document,
        release,
        weights,
        institutions,
        rounds,
        samples,
        imagery,
        statistics,
        statistics_from,
        metrics,
        scoring: scoring.map(|scoring| *scoring),
        energy,
    })
}

/// The view of a job's open round, with its curves.
#[must_use]
pub fn open_round(job: &Job, curves: &[Curve]) -> Option<RoundView> {
    let round = job.current()?;
    let deadline = round.ends_at(job.spec.participation());
    Some(RoundView { deadline, ..view(round, open_phase(job)?, None, curves) })
}

/// The progress of the open round of a job.
fn open_phase(job: &Job) -> Option<RoundPhase> {
    match &job.state {
        JobState::Collecting(round) => {
            let recruited = round.participating() >= job.spec.participation().min as usize;
            Some(if recruited { RoundPhase::Training } else { RoundPhase::Recruiting })
        }
        JobState::Aggregating(_) => Some(RoundPhase::Aggregating),
        JobState::Paused { next: Next::Collect(_) | Next::Aggregate(_), .. } => Some(RoundPhase::Paused),
        JobState::Preparing
        | JobState::Paused { .. }
        | JobState::Finished { .. }
        | JobState::Cancelled { .. } => None,
    }
}

/// The view of a closed round, with its curves.
#[must_use]
pub fn closed_round(closed: &ClosedRound, curves: &[Curve]) -> RoundView {
    let phase = if closed.complete { RoundPhase::Complete } else { RoundPhase::Incomplete };
    view(&closed.round, phase, Some(closed.at), curves)
}

/// The closed attempts of a job in a list, oldest first.
pub fn closed_rounds(job: &Job) -> impl DoubleEndedIterator<Item = RoundSummary> + ExactSizeIterator {
    job.closed.iter().map(|closed| RoundSummary {
        index: closed.id.round,
        attempt: closed.id.attempt,
        kind: closed.kind,
        phase: if closed.complete { RoundPhase::Complete } else { RoundPhase::Incomplete },
        opened_at: closed.opened_at,
        closed_at: Some(closed.at),
        totals: closed.totals.clone(),
    })
}

fn view(round: &Round, phase: RoundPhase, closed_at: Option<Timestamp>, curves: &[Curve]) -> RoundView {
    let curve = |name: &InstitutionName| {
        let found = curves.iter().find(|curve| curve.id.institution == *name);
        found.map_or_else(Vec::new, |curve| curve.points.clone())
    };
    let participants = round.participants.iter();
    let participants = participants.map(|(name, one)| (name.clone(), participant(one, curve(name))));
    RoundView {
        index: round.index,
        attempt: round.attempt,
        kind: round.kind,
        phase,
        opened_at: round.opened_at,
        deadline: round.deadline,
        closed_at,
        totals: totals(round),
        participants: participants.collect(),
    }
}

fn participant(participant: &Participant, curve: Vec<CurvePoint>) -> ParticipantView {
    let mut view = ParticipantView {
        state: ParticipantStateView::Offered,
        step: curve.last().map_or(0, |point| point.step),
        steps: 0,
        message: None,
        lease_expiries: participant.lease_expiries,
        loss: curve.last().map(|point| point.loss),
        samples: None,
        weights: None,
        metrics: BTreeMap::new(),
        scoring: None,
        start_metrics: BTreeMap::new(),
        energy: None,
        spent: None,
        norm: None,
        encoding: None,
        queued_behind: None,
        own_deadline: participant.own_deadline.filter(|_| !participant.state.is_final()),
        curve,
    };
    view.state = match &participant.state {
        ParticipantState::Offered => ParticipantStateView::Offered,
        ParticipantState::Leased { lease: _, since: _, step, steps, loss } => {
            view.step = *step;
            view.steps = *steps;
            view.loss = loss.or(view.loss);
            ParticipantStateView::Working
        }
        ParticipantState::Submitted { at: _, key: _, contribution } => {
            contributed(&mut view, contribution);
            ParticipantStateView::Submitted
        }
        ParticipantState::Refused { at: _, refusal } => {
            view.message = Some(refusal.to_string());
            ParticipantStateView::Refused
        }
        ParticipantState::Rejected(Rejection { at: _, key: _, refusal, weights }) => {
            view.message = Some(refusal.to_string());
            view.weights = Some(weights.digest);
            ParticipantStateView::Rejected
        }
        ParticipantState::Failed { at: _, message } => {
            view.message = Some(message.clone());
            ParticipantStateView::Failed
        }
    };
    view
}

fn contributed(view: &mut ParticipantView, contribution: &Contribution) {
    match contribution {
        Contribution::Update { weights, report, norm, since: _, signed: _, statistics: _, start_metrics } => {
            view.start_metrics.clone_from(start_metrics);
            view.norm = Some(*norm);
            view.encoding = Some(report.encoding);
            view.samples = Some(report.samples);
            view.weights = Some(weights.digest);
            view.metrics.clone_from(&report.metrics);
            view.scoring = report.scoring.as_deref().cloned();
            view.energy = Some(report.energy);
            view.spent = report.spent.as_deref().copied();
        }
        Contribution::Evaluation(report) => {
            view.samples = Some(report.samples);
            view.metrics.clone_from(&report.metrics);
            view.scoring = report.scoring.as_deref().cloned();
            view.energy = Some(report.energy);
        }
        Contribution::Statistics(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::view::{JobProgress, WholeJob};

    use super::*;
    use crate::domain::Federation;
    use crate::testing::{NOW, ONE_SHOT, enrolled, name, submit, token};

    #[test]
    fn a_lease_token_is_not_shown() {
        let mut federation = Federation::default();
        federation.merge(enrolled(&["west", "east"]));
        let submitted = submit(&federation, ONE_SHOT).1.jobs.remove(0);
        let id = submitted.assignment(&name("west")).unwrap().id;
        let (outcome, lease) = submitted.accept(&id, token(1), NOW).unwrap();
        let whole =
            WholeJob { job: job(&outcome.job), current: open_round(&outcome.job, &[]), history: Vec::new() };
        let text = serde_json::to_string(&(&whole, progress(&outcome.job, |_| {}))).unwrap();
        assert!(!text.contains(lease.token.expose()), "{text}");
        assert_eq!(text.matches("\"state\":\"working\"").count(), 2, "{text}");
        let read: (WholeJob, JobProgress) = serde_json::from_str(&text).unwrap();
        assert_eq!(read, (whole, progress(&outcome.job, |_| {})));
    }
}
