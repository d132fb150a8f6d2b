//! What each institution of a round does, or why it does nothing.

use std::time::Duration;

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::JobId;
use eosfed_common::view::{InstitutionView, JobView, ParticipantState, ParticipantView, Presence, RoundView};

use super::super::document::ExplainedInstitution;
use super::super::print;
use super::Known;
use super::round::when;

/// All institutions of a round but those whose results count.
pub(super) fn all(
    round: &RoundView,
    job: &JobView,
    known: &Known,
    now: Timestamp,
) -> Vec<ExplainedInstitution> {
    let time = job.spec.participation().deadline;
    let others = round.participants.iter().filter(|(_, one)| one.state != ParticipantState::Submitted);
    others
        .map(|(name, one)| ExplainedInstitution {
            institution: name.clone(),
            what: what(one, known.get(name), time, now),
            awaited: matches!(one.state, ParticipantState::Offered | ParticipantState::Working),
            can_be_retried: one.state.can_be_retried(),
        })
        .collect()
}

/// `time` is what the plan gives each institution for its answer.
fn what(one: &ParticipantView, known: Option<&InstitutionView>, time: Duration, now: Timestamp) -> String {
    let said = one.message.as_deref().unwrap_or("no reason is on record");
    match one.state {
        ParticipantState::Offered => match &one.queued_behind {
            Some(job) => queued(job, one.own_deadline, time, now),
            None => format!("it has not answered; {}{}", presence(known, now), later(one, now)),
        },
        ParticipantState::Working => format!("{}{}", working(one, known, now), later(one, now)),
        ParticipantState::Submitted => "its result counts".to_owned(),
        ParticipantState::Refused => format!("its client has declined: {said}"),
        ParticipantState::Rejected => format!("its result was rejected: {said}"),
        ParticipantState::Failed => format!("its work has failed: {said}"),
    }
}

/// Why an institution cannot begin, and what its time does meanwhile: it ends at `end`, a whole `time` after the
/// other work ends at the latest.
fn queued(behind: &JobId, end: Option<Timestamp>, time: Duration, now: Timestamp) -> String {
    let Some(end) = end else {
        return format!("it is queued: it is at work for {behind}, and answers when that has ended");
    };
    let most = end.since(now).saturating_sub(time);
    if most.is_zero() {
        return format!(
            "it is queued: it is at work for {behind}, beyond the time that it has for that; its time here ends {}",
            when(end, now)
        );
    }
    format!(
        "it is queued: its time does not run while it is at work for {behind} ({} at most); it has {} from then",
        print::span(most.as_secs()),
        print::span(time.as_secs())
    )
}

/// The end of an institution's time, if it ends later than that of the others.
fn later(one: &ParticipantView, now: Timestamp) -> String {
    let end = one
        .own_deadline
        .map(|end| format!("; it was at work for another job, and its time ends {}", when(end, now)));
    end.unwrap_or_default()
}

fn working(one: &ParticipantView, known: Option<&InstitutionView>, now: Timestamp) -> String {
    let progress = match one.steps {
        0 => "it is at work".to_owned(),
        steps => format!("it is at work, step {} of {steps}", one.step),
    };
    let expiries = match one.lease_expiries {
        0 => String::new(),
        1 => "; its lease has expired once".to_owned(),
        times => format!("; its lease has expired {times} times"),
    };
    let online = known.is_some_and(|known| known.presence(now) == Presence::Online);
    let silence = if online { String::new() } else { format!("; {}", presence(known, now)) };
    format!("{progress}{expiries}{silence}")
}

/// Whether the institution is here, and what to do if not.
fn presence(known: Option<&InstitutionView>, now: Timestamp) -> String {
    let Some(known) = known else { return "it is not enrolled here any more".to_owned() };
    if let Some(at) = known.certificate_expires_at
        && at <= now
        && known.revoked_at.is_none()
    {
        let name = &known.name;
        return format!(
            "its certificate has expired {}: `eosfed institution re-enrol {name}`",
            when(at, now)
        );
    }
    match (known.presence(now), known.last_seen) {
        (Presence::Online, _) => "it is online, and asks for work every half minute".to_owned(),
        (Presence::Revoked, _) => "its access is revoked".to_owned(),
        (Presence::Invited, _) => "it is invited and has not joined".to_owned(),
        (Presence::InvitationExpired, _) => {
            format!("its invitation has expired: `eosfed institution invite {}`", known.name)
        }
        (Presence::Away | Presence::Silent, Some(at)) => {
            format!("it has last called {}; is its client running?", when(at, now))
        }
        (Presence::Away | Presence::Silent, None) => {
            "it has not called since the coordinator was started; is its client running?".to_owned()
        }
    }
}
