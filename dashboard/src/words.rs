//! What states and kinds mean, in words.

use std::fmt::Write as _;

use eosfed_common::ledger::{Actor, Event, EventKind};
use eosfed_common::view::{ProblemKind, RoundKind, RoundPhase, RoundView};

use crate::format::counted;

/// What is done in the round of a job with this index. Where it is the training round of the same number, the
/// number is not said again.
pub(crate) fn round_kind(kind: RoundKind, index: u32, candidates: &[String]) -> String {
    match kind {
        RoundKind::Train(same) if same == index => "training".to_owned(),
        RoundKind::Statistics => "band statistics".to_owned(),
        RoundKind::OneShot => "one-shot training".to_owned(),
        RoundKind::Train(index) => format!("training round {}", u64::from(index) + 1),
        RoundKind::Evaluate(index) => match candidates.get(index as usize) {
            Some(candidate) => format!("scores of {candidate}"),
            None => "scores".to_owned(),
        },
    }
}

/// What is done in a round, and how far it is, without saying `training` twice.
pub(crate) fn doing(round: &RoundView, candidates: &[String]) -> String {
    let kind = round_kind(round.kind, round.index, candidates);
    match round.phase {
        RoundPhase::Training if kind.contains("training") => kind,
        phase => format!("{kind}, {phase}"),
    }
}

/// The title of a kind of problem.
pub(crate) const fn problem(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::DiskLow => "Disk nearly full",
        ProblemKind::CertificateExpired => "Certificate expired",
        ProblemKind::JobPaused => "Job paused",
        ProblemKind::RoundLate => "Round about to miss its deadline",
        ProblemKind::ParticipantFailed => "Institution failed in a round",
        ProblemKind::InstitutionSilent => "Institution silent",
        ProblemKind::CertificateExpiring => "Certificate expires soon",
    }
}

/// The words of a name with underscores.
pub(crate) fn spaced(name: &str) -> String {
    name.replace('_', " ")
}

/// Who has acted.
pub(crate) fn actor(actor: &Actor) -> String {
    match actor {
        Actor::Operator(name) => format!("operator {name}"),
        Actor::Reader(name) => format!("reader {name}"),
        Actor::Institution(name) => format!("institution {name}"),
        Actor::Coordinator => "coordinator".to_owned(),
    }
}

/// What an event says besides its kind, actor, job and institution.
pub(crate) fn details(event: &Event) -> String {
    let round = |round: u32| u64::from(round) + 1;
    match &event.entry.kind {
        EventKind::JobSubmitted { name } => name.clone(),
        EventKind::JobPaused { reason } | EventKind::InstitutionRevoked { reason, .. } => reason.clone(),
        EventKind::RoundOpened { round: at, attempt, deadline } => {
            format!("round {}, attempt {attempt}, until {deadline}", round(*at))
        }
        EventKind::RoundClosed { round: at, attempt, complete, submitted } => {
            let enough = if *complete { "" } else { ", too few" };
            format!("round {}, attempt {attempt}: {}{enough}", round(*at), counted(*submitted, "result"))
        }
        EventKind::AssignmentAccepted { round: at, .. }
        | EventKind::InstitutionRetried { round: at }
        | EventKind::StatisticsSubmitted { round: at } => format!("round {}", round(*at)),
        EventKind::AssignmentRefused { round: at, message, .. }
        | EventKind::FailureReported { round: at, message }
        | EventKind::UpdateRejected { round: at, message, .. }
        | EventKind::UpdateExcluded { round: at, message, .. } => format!("round {}: {message}", round(*at)),
        EventKind::LeaseExpired { round: at, expiries, failed } => {
            let then = if *failed { ", and it has failed" } else { ", and it is asked again" };
            format!("round {}: {} expired{then}", round(*at), counted(*expiries, "lease"))
        }
        EventKind::UpdateSubmitted { round: at, samples, .. }
        | EventKind::EvaluationSubmitted { round: at, samples } => {
            format!("round {}: {}", round(*at), counted(*samples, "sample"))
        }
        EventKind::RoundPruned { round: at, attempt, rule, weights, bytes } => format!(
            "round {}, attempt {attempt}: {} removed, {} ({rule})",
            round(*at),
            counted(weights.len(), "file"),
            crate::format::bytes(*bytes)
        ),
        EventKind::SpecialistFrozen { specialist, .. } => specialist.clone(),
        EventKind::ReleaseCreated { release, specialists } => {
            format!("release {release} of {}", counted(*specialists, "specialist"))
        }
        EventKind::AblationRecorded { release, head, metric, .. } => {
            format!("{metric} of {head} over release {release}")
        }
        EventKind::Refused { action, message, .. } => format!("{action}: {message}"),
        EventKind::JobResumed
        | EventKind::JobCancelled
        | EventKind::JobFinished
        | EventKind::SnapshotTaken => String::new(),
        other => members(other),
    }
}

/// The members of an event as `name: value`.
fn members(kind: &EventKind) -> String {
    let mut text = String::new();
    if let Ok(serde_json::Value::Object(members)) = serde_json::from_str(&kind.details()) {
        for (name, value) in members {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let separator = if text.is_empty() { "" } else { "; " };
            // Writing into a text does not fail.
            let _ = write!(text, "{separator}{}: {value}", spaced(&name));
        }
    }
    text
}
