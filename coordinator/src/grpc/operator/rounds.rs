//! The rounds of a job, in parts of a bounded size.

use eosfed_common::ids::{InstitutionName, JobId};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::view::{ParticipantView, RoundView};
use eosfed_proto::v1;
use eosfed_transport::status::to_status;
use tokio::sync::mpsc;
use tonic::Status;

use crate::domain::Job;
use crate::domain::paging::{MAX_PAGE_BYTES, document};
use crate::domain::round::AttemptId;
use crate::domain::view;
use crate::engine::Handle;
use crate::grpc::batches::batches;

pub(super) type Sender = mpsc::Sender<Result<v1::RoundPart, Status>>;

/// What comes next of a job's rounds.
enum Next {
    /// An attempt that has closed.
    Closed(AttemptId),
    /// The open round, and the job at the same instant.
    Open(Box<Job>),
}

/// Sends the closed attempts of a job, then its open round and the job, unless nobody listens any more.
pub(super) async fn send_all(engine: Handle, wanted: v1::ListRoundsRequest, id: JobId, sender: Sender) {
    let v1::ListRoundsRequest { job: _, newest, curves } = wanted;
    let sent = async {
        let skip = match newest {
            0 => 0,
            newest => engine.with_job(&id, |job| job.closed.len().saturating_sub(newest as usize))?,
        };
        for place in skip.. {
            let next = engine.with_job(&id, |job| match job.closed.get(place) {
                Some(closed) => Next::Closed(closed.id),
                None => Next::Open(Box::new(job.clone())),
            });
            match next? {
                Next::Closed(attempt) => send(&sender, closed(&engine, &id, attempt, curves).await?).await?,
                Next::Open(job) => return send_open(&engine, &job, curves, &sender).await,
            }
            if sender.is_closed() {
                break;
            }
        }
        Ok(())
    };
    report(sent.await, &sender).await;
}

/// Sends one attempt at a round.
pub(super) async fn send_one(engine: Handle, wanted: v1::GetRoundRequest, id: JobId, sender: Sender) {
    let v1::GetRoundRequest { job: _, round, attempt, curves } = wanted;
    let sent = async {
        let next = engine.with_job(&id, |job| find(job, round, attempt))??;
        let view = match next {
            Next::Closed(attempt) => Some(closed(&engine, &id, attempt, curves).await?),
            Next::Open(job) => open(&engine, &job, curves).await?,
        };
        match view {
            Some(view) => send(&sender, view).await,
            None => Ok(()),
        }
    };
    report(sent.await, &sender).await;
}

/// The attempt at a round; the last one if `attempt` is 0.
fn find(job: &Job, round: u32, attempt: u32) -> Result<Next, Refusal> {
    let is_wanted = |found: AttemptId| found.round == round && (attempt == 0 || found.attempt == attempt);
    if job.current().is_some_and(|open| is_wanted(open.id())) {
        return Ok(Next::Open(Box::new(job.clone())));
    }
    let closed = job.closed.iter().rev().find(|closed| is_wanted(closed.id));
    closed.map(|closed| Next::Closed(closed.id)).ok_or_else(|| {
        let number = u64::from(round) + 1;
        let what = match attempt {
            0 => format!("round {number}"),
            attempt => format!("attempt {attempt} at round {number}"),
        };
        let message = format!("job {id} has no {what} yet; see `eosfed job show {id}`", id = job.id);
        Refusal::new(Reason::NotFound, message)
    })
}

async fn closed(engine: &Handle, id: &JobId, attempt: AttemptId, curves: bool) -> Result<RoundView, Refusal> {
    Ok(with_curves(engine.closed_round(id, attempt).await?, curves))
}

async fn open(engine: &Handle, job: &Job, curves: bool) -> Result<Option<RoundView>, Refusal> {
    Ok(engine.open_round(job).await?.map(|round| with_curves(round, curves)))
}

/// A round with its curves, or without them.
fn with_curves(mut round: RoundView, curves: bool) -> RoundView {
    if !curves {
        round.participants.values_mut().for_each(|one| one.curve.clear());
    }
    round
}

async fn send_open(engine: &Handle, job: &Job, curves: bool, sender: &Sender) -> Result<(), Refusal> {
    if let Some(round) = open(engine, job, curves).await? {
        send(sender, round).await?;
    }
    let job_json = document(&view::job(job))?;
    // If nobody listens any more, there is nobody to tell.
    let _ = sender.send(Ok(v1::RoundPart { job_json, ..Default::default() })).await;
    Ok(())
}

async fn send(sender: &Sender, round: RoundView) -> Result<(), Refusal> {
    for part in parts(round, MAX_PAGE_BYTES)? {
        if sender.send(Ok(part)).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn report(sent: Result<(), Refusal>, sender: &Sender) {
    if let Err(refusal) = sent {
        let _ = sender.send(Err(to_status(&refusal))).await;
    }
}

/// A round as parts of at most `most` bytes of documents, or of one participant.
fn parts(mut round: RoundView, most: usize) -> Result<Vec<v1::RoundPart>, Refusal> {
    let participants = std::mem::take(&mut round.participants).into_iter();
    let round_json = document(&round)?;
    let entry = |(institution, one): (InstitutionName, ParticipantView)| {
        let institution = institution.to_string();
        Ok(v1::ParticipantEntry { institution, participant_json: document(&one)? })
    };
    let entries = participants.map(entry).collect::<Result<Vec<_>, Refusal>>()?;
    let size = |entry: &v1::ParticipantEntry| entry.institution.len() + entry.participant_json.len();
    let batches = batches(entries, round_json.len(), most, size).into_iter();
    let mut parts: Vec<_> =
        batches.map(|participants| v1::RoundPart { participants, ..Default::default() }).collect();
    if let Some(first) = parts.first_mut() {
        first.round_json = round_json;
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use eosfed_common::assignment::CurvePoint;
    use eosfed_common::clock::Timestamp;
    use eosfed_common::finite::Finite;
    use eosfed_common::view::{ParticipantState, RoundKind, RoundPhase, RoundTotals};
    use prost::Message as _;

    use super::*;

    /// A round of so many institutions, each with so many points.
    fn round(institutions: u32, points: u64) -> RoundView {
        let point =
            |step| CurvePoint { step, loss: Finite::literal(0.123_456_789), metrics: BTreeMap::new() };
        let one = ParticipantView {
            state: ParticipantState::Submitted,
            step: points,
            steps: points,
            message: Some("x".repeat(1000)),
            lease_expiries: 0,
            loss: None,
            samples: Some(9),
            weights: None,
            scoring: None,
            metrics: BTreeMap::new(),
            start_metrics: BTreeMap::new(),
            energy: None,
            spent: None,
            norm: None,
            encoding: None,
            queued_behind: None,
            own_deadline: None,
            curve: (0..points).map(point).collect(),
        };
        let named = |number| (format!("site-{number:04}").parse().unwrap(), one.clone());
        RoundView {
            index: 3,
            attempt: 1,
            kind: RoundKind::Train(3),
            phase: RoundPhase::Complete,
            opened_at: Timestamp(1),
            deadline: Timestamp(2),
            closed_at: Some(Timestamp(2)),
            totals: RoundTotals::default(),
            participants: (0..institutions).map(named).collect(),
        }
    }

    #[test]
    fn a_round_of_a_thousand_institutions_is_sent_in_bounded_parts() {
        let round = round(1000, 400);
        let whole = serde_json::to_string(&round).unwrap().len();
        assert!(whole > 4 << 20, "{whole}");
        let parts = parts(round, MAX_PAGE_BYTES).unwrap();
        assert!(parts.len() > 4, "{}", parts.len());
        assert!(parts.iter().all(|part| part.encoded_len() < 2 * MAX_PAGE_BYTES));
        let rounds: Vec<_> = parts.iter().map(|part| !part.round_json.is_empty()).collect();
        assert!(rounds[0] && rounds[1..].iter().all(|first| !first), "{rounds:?}");
        let names = parts.iter().flat_map(|part| &part.participants).map(|one| &one.institution);
        let names: Vec<_> = names.collect();
        assert!(names.len() == 1000 && names.is_sorted());
    }

    #[test]
    fn curves_come_only_if_they_are_wanted() {
        let points = |curves| {
            let round = with_curves(round(2, 5), curves);
            round.participants.values().map(|one| one.curve.len()).sum::<usize>()
        };
        assert_eq!((points(true), points(false)), (10, 0));
    }

    #[test]
    fn a_participant_is_never_divided() {
        let parts = parts(round(3, 4), 10).unwrap();
        assert_eq!(parts.iter().map(|part| part.participants.len()).collect::<Vec<_>>(), [1, 1, 1]);
        assert_eq!(super::parts(round(0, 0), 10).unwrap().len(), 1);
    }
}
