//! What a receiver is told: a JSON object, made from an event of the ledger or from a condition.

use eosfed_common::clock::Timestamp;
use eosfed_common::counted::counted;
use eosfed_common::ids::{InstitutionName, JobId};
use eosfed_common::ledger::{Actor, Entry, Event, EventKind};
use eosfed_common::printable::Printable;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions::Condition;
use super::event::NotifyEvent;

/// Longest message, in bytes. Reasons in the ledger are shorter, but for those of earlier versions.
const MAX_MESSAGE: usize = 2000;

/// A notification. `id` is the same each time that it is sent, so that a receiver can leave out what it has
/// had. Points in time are milliseconds since the Unix epoch, UTC; rounds are counted from 0 in `details` and
/// from 1 in `message`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Notification {
    /// Names this notification, also when it is sent again.
    pub id: String,
    /// What has happened.
    pub event: NotifyEvent,
    /// When it happened, by the coordinator's clock.
    pub at: Timestamp,
    /// The address of the coordinator, as institutions know it.
    pub coordinator: String,
    /// The job that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// The name of that job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_name: Option<String>,
    /// The institution that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub institution: Option<InstitutionName>,
    /// What has happened, as one line for people.
    pub message: String,
    /// The command that helps or shows more, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The number of the event in the ledger, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The kind and the members of the event in the ledger, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<EventKind>,
}

impl Notification {
    /// Of an event of the ledger; nothing if operators cannot be told of it. `name_of` says what a job is
    /// called.
    pub(super) fn of_event(
        event: &Event,
        coordinator: &str,
        name_of: impl FnOnce(&JobId) -> Option<String>,
    ) -> Option<Self> {
        let Event { sequence, at, entry, hash, .. } = event;
        let (kind, text) = sentence(entry)?;
        let job = entry.job.clone();
        Some(Self {
            // The hash tells ledgers apart: a restored backup counts on from an earlier number.
            id: format!("event-{sequence}-{}", short(&hash.to_string())),
            event: kind,
            at: *at,
            coordinator: coordinator.to_owned(),
            job_name: job.as_ref().and_then(name_of),
            command: job.as_ref().map(|id| command(kind, id)),
            institution: entry.institution.clone(),
            message: line(&text),
            sequence: Some(*sequence),
            details: Some(entry.kind.clone()),
            job,
        })
    }

    /// Of a condition that has come at the time `now`.
    pub(super) fn of_condition(condition: Condition, coordinator: &str, now: Timestamp) -> Self {
        let Condition { key, message, command, job, institution } = condition;
        Self {
            id: format!("condition-{}-{}-{}", key.event.name(), key.about.replace(' ', "-"), now.0),
            event: key.event,
            at: now,
            coordinator: coordinator.to_owned(),
            job,
            job_name: None,
            institution,
            message: line(&message),
            command,
            sequence: None,
            details: None,
        }
    }

    /// For trying a receiver.
    pub(super) fn test(coordinator: &str, now: Timestamp) -> Self {
        Self {
            id: format!("test-{}", now.0),
            event: NotifyEvent::Test,
            at: now,
            coordinator: coordinator.to_owned(),
            job: None,
            job_name: None,
            institution: None,
            message: "A test notification of an EoS-Fed coordinator. Nothing has happened.".to_owned(),
            command: None,
            sequence: None,
            details: None,
        }
    }

    /// The bytes that are sent and signed.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The first digits of a digest, without the name of its algorithm.
fn short(digest: &str) -> String {
    digest.rsplit(':').next().unwrap_or_default().chars().take(12).collect()
}

fn line(text: &str) -> String {
    Printable::escaped(text, MAX_MESSAGE).to_string()
}

fn command(event: NotifyEvent, job: &JobId) -> String {
    match event {
        NotifyEvent::JobPaused => format!("eosfed job explain {job}"),
        _ => format!("eosfed job show {job}"),
    }
}

/// What an event is to operators, and the sentence for it.
fn sentence(entry: &Entry) -> Option<(NotifyEvent, String)> {
    use NotifyEvent as To;
    let Entry { actor, job, institution, kind } = entry;
    let job = job.as_ref().map_or("a job", |id| id.as_str());
    let institution = institution.as_ref().map_or("an institution", |name| name.as_str());
    Some(match kind {
        EventKind::CoordinatorStarted { version } => {
            (To::CoordinatorStarted, format!("The coordinator was started, version {version}."))
        }
        EventKind::RecordQuarantined { record, reason } => {
            (To::RecordQuarantined, format!("The record {record} is damaged and quarantined: {reason}"))
        }
        EventKind::InstitutionEnrolled { .. } => {
            (To::InstitutionEnrolled, format!("{institution} has enrolled."))
        }
        EventKind::InstitutionRevoked { reason, .. } => {
            (To::InstitutionRevoked, format!("{actor} has revoked the access of {institution}: {reason}"))
        }
        EventKind::PersonEnrolled { .. } => (To::PersonEnrolled, format!("{actor} has enrolled.")),
        EventKind::PersonRevoked { person, reason, .. } => {
            (To::PersonRevoked, format!("{actor} has revoked the access of {person}: {reason}"))
        }
        EventKind::FailureReported { .. }
        | EventKind::LeaseExpired { failed: true, .. }
        | EventKind::UpdateRejected { .. } => participant(kind, job, institution)?,
        EventKind::ReleaseCreated { release, specialists } => (
            To::ReleaseCreated,
            format!("{actor} has created release {release} of {}.", counted(*specialists, "specialist")),
        ),
        _ => of_job(kind, actor, job)?,
    })
}

fn participant(kind: &EventKind, job: &str, institution: &str) -> Option<(NotifyEvent, String)> {
    use NotifyEvent as To;
    Some(match kind {
        EventKind::FailureReported { round, message } => (
            To::ParticipantFailed,
            format!("{institution} has failed in round {} of {job}: {message}", round + 1),
        ),
        EventKind::LeaseExpired { round, expiries, .. } => (
            To::ParticipantFailed,
            format!(
                "{institution} has failed in round {} of {job}: {} expired",
                round + 1,
                counted(*expiries, "lease")
            ),
        ),
        EventKind::UpdateRejected { round, message, .. } => (
            To::UpdateRejected,
            format!("The update of {institution} in round {} of {job} was rejected: {message}", round + 1),
        ),
        _ => return None,
    })
}

fn of_job(kind: &EventKind, actor: &Actor, job: &str) -> Option<(NotifyEvent, String)> {
    use NotifyEvent as To;
    Some(match kind {
        EventKind::JobSubmitted { name } => {
            (To::JobSubmitted, format!("{actor} has submitted {name} as {job}."))
        }
        EventKind::JobPaused { reason } => (To::JobPaused, format!("{job} is paused: {reason}")),
        EventKind::JobCancelled => (To::JobCancelled, format!("{actor} has cancelled {job}.")),
        EventKind::JobFinished => (To::JobFinished, format!("{job} has finished.")),
        EventKind::RoundClosed { round, attempt, complete, submitted } => {
            let enough = if *complete { "" } else { ", too few" };
            let text = format!(
                "Round {} of {job} has closed at attempt {attempt} with {}{enough}.",
                round + 1,
                counted(*submitted, "result")
            );
            (To::RoundClosed, text)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use eosfed_common::ledger::Entry;

    use super::*;
    use crate::testing::name;

    fn told(entry: Entry) -> Option<Notification> {
        let event = Event::follow(None, Timestamp(7), entry);
        Notification::of_event(&event, "https://eo.example.org", |_| Some("plan".to_owned()))
    }

    #[test]
    fn a_paused_job_is_told_with_its_reason_and_the_command_that_explains_it() {
        let job: JobId = "j-00c0ffee".parse().unwrap();
        let kind = EventKind::JobPaused { reason: "1 of 2 needed\u{1b}[2J results".to_owned() };
        let one = told(Entry::new(Actor::Coordinator, kind).of(&job)).unwrap();
        assert_eq!(one.event, NotifyEvent::JobPaused);
        assert_eq!(one.message, "j-00c0ffee is paused: 1 of 2 needed\\u{1b}[2J results");
        assert_eq!(one.command.as_deref(), Some("eosfed job explain j-00c0ffee"));
        assert_eq!((one.job_name.as_deref(), one.sequence), (Some("plan"), Some(0)));
        assert!(one.id.starts_with("event-0-") && one.id.len() == "event-0-".len() + 12, "{}", one.id);
        let back: Notification = serde_json::from_slice(&one.to_bytes()).unwrap();
        assert_eq!(back, one);
    }

    #[test]
    fn a_lease_that_expires_is_told_only_if_the_institution_has_failed() {
        let expired = |failed| {
            let kind = EventKind::LeaseExpired { round: 0, expiries: 3, failed };
            told(Entry::new(Actor::Coordinator, kind).at(&name("east")))
        };
        assert_eq!(expired(false), None);
        let failed = expired(true).unwrap();
        assert_eq!(failed.message, "east has failed in round 1 of a job: 3 leases expired");
        assert_eq!(failed.institution, Some(name("east")));
    }

    #[test]
    fn a_long_message_is_cut() {
        let kind = EventKind::JobPaused { reason: "x".repeat(100_000) };
        let one = told(Entry::new(Actor::Coordinator, kind)).unwrap();
        assert!(one.message.len() <= MAX_MESSAGE, "{}", one.message.len());
    }
}
