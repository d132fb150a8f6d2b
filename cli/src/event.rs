//! Events of a job as sentences, for people who watch it.

use eosfed_common::counted::counted;
use eosfed_common::ledger::{Actor, Event, EventKind};

use super::print;

/// The sentence of an event that the progress of a job does not show. Nothing for other events.
pub(super) fn sentence(event: &Event) -> Option<String> {
    let actor = &event.entry.actor;
    let institution = event.entry.institution.as_ref().map_or("an institution", |name| name.as_str());
    let text = match &event.entry.kind {
        EventKind::JobPaused { reason } => match actor {
            Actor::Coordinator => format!("the job is paused: {reason}"),
            _ => format!("{actor} has paused the job"),
        },
        EventKind::JobResumed => format!("{actor} has resumed the job"),
        EventKind::JobCancelled => format!("{actor} has cancelled the job"),
        EventKind::InstitutionRetried { round } => {
            format!("{actor} has asked {institution} again in round {}", round + 1)
        }
        EventKind::LeaseExpired { round, expiries, failed: false } => {
            format!("a lease of {institution} has expired in round {}, number {expiries}", round + 1)
        }
        EventKind::LeaseExpired { round, expiries, failed: true } => {
            let expired = counted(*expiries, "lease");
            format!("{institution} has failed in round {}: {expired} expired", round + 1)
        }
        EventKind::UpdateRejected { round, message, .. } => {
            format!("the update of {institution} in round {} was rejected: {message}", round + 1)
        }
        EventKind::UpdateExcluded { round, message, .. } => {
            format!("the update of {institution} was excluded from round {}: {message}", round + 1)
        }
        EventKind::ParticipationEnded { round, discarded } => {
            let update = if discarded.is_some() { "; its update does not count" } else { "" };
            format!("{institution} left round {}: its access was revoked{update}", round + 1)
        }
        EventKind::RoundClosed { round, attempt, complete: false, submitted } => {
            format!(
                "attempt {attempt} at round {} has closed with {}, too few",
                round + 1,
                counted(*submitted, "result")
            )
        }
        EventKind::SpecialistFrozen { specialist, .. } => format!("{specialist} was frozen"),
        EventKind::ReleaseCreated { release, .. } => format!("release {release} was created"),
        EventKind::AblationRecorded { release, head, .. } => {
            format!("{actor} has handed in the ablation of {head} over release {release}")
        }
        EventKind::Refused { action, message, .. } => format!("{action} of {actor} was refused: {message}"),
        _ => return None,
    };
    Some(print::printable(&text))
}

#[cfg(test)]
mod tests {
    use eosfed_common::clock::Timestamp;
    use eosfed_common::ledger::Entry;

    use super::*;

    fn said(kind: EventKind) -> Option<String> {
        said_of(Actor::Operator("admin".parse().unwrap()), kind)
    }

    fn said_of(actor: Actor, kind: EventKind) -> Option<String> {
        let entry = Entry::new(actor, kind);
        let entry = entry.at(&"west".parse().unwrap());
        sentence(&Event::follow(None, Timestamp(7), entry))
    }

    #[test]
    fn actions_of_people_and_failures_become_sentences() {
        assert_eq!(said(EventKind::JobResumed).unwrap(), "operator:admin has resumed the job");
        let retried = said(EventKind::InstitutionRetried { round: 2 }).unwrap();
        assert_eq!(retried, "operator:admin has asked west again in round 3");
        let deadline = Timestamp(9);
        assert_eq!(said(EventKind::RoundOpened { round: 0, attempt: 1, deadline }), None);
    }

    #[test]
    fn outside_text_cannot_control_a_terminal() {
        let paused = EventKind::JobPaused { reason: "\u{1b}[2Jgone\nnew line".to_owned() };
        assert_eq!(said(paused.clone()).unwrap(), "operator:admin has paused the job");
        let paused = said_of(Actor::Coordinator, paused).unwrap();
        assert!(!paused.contains(char::is_control) && paused.contains("gone"), "{paused:?}");
    }
}
