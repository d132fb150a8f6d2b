//! The rules of `[participation]`: the institutions of a round, and its deadline.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::words::distinct;
use crate::duration;
use crate::ids::InstitutionName;
use crate::plan::Participation;
use crate::plan::raw::RawParticipation;
use crate::plan::report::Report;

/// The default number of attempts at a round.
const ATTEMPTS: u32 = 3;
/// The default number of lease expiries after which an institution counts as failed.
const LEASE_EXPIRIES: u32 = 3;
/// Most institutions in a round.
const MAX_INSTITUTIONS: u32 = 100_000;
/// Most attempts at a round, and most lease expiries.
const MAX_TRIES: u32 = 20;
/// Shortest and longest deadline.
const DEADLINES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30 * 86_400);

/// The rules of a round. `asked` is the number of institutions that are asked, if the plan tells, and the key
/// that tells it.
pub(in crate::plan) fn participation(
    raw: &RawParticipation,
    asked: Option<(usize, &str)>,
    report: &mut Report,
) -> Participation {
    let RawParticipation { institutions: _, min, max, deadline, attempts: _, lease_expiries, dataset } = raw;
    report.range("participation.min", 1..=MAX_INSTITUTIONS, *min);
    report.rule(max >= min, "participation.max", "at least `participation.min`", max);
    if let Some((asked, key)) = asked {
        let rule = format!("at most the number of {key}, {asked}");
        report.rule(*max as usize <= asked, "participation.max", rule, max);
    }
    let found = duration::format(*deadline);
    report.rule(DEADLINES.contains(deadline), "participation.deadline", "between 1s and 30d", found);
    let lease_expiries = lease_expiries.unwrap_or(LEASE_EXPIRIES);
    report.range("participation.lease_expiries", 1..=MAX_TRIES, lease_expiries);
    Participation { min: *min, max: *max, deadline: *deadline, lease_expiries, dataset: dataset.clone() }
}

/// The attempts at a round.
pub(in crate::plan) fn attempts(raw: &RawParticipation, report: &mut Report) -> u32 {
    let attempts = raw.attempts.unwrap_or(ATTEMPTS);
    report.range("participation.attempts", 1..=MAX_TRIES, attempts);
    attempts
}

/// The institutions that are asked. None: every enrolled one.
pub(in crate::plan) fn institutions(
    raw: &RawParticipation,
    report: &mut Report,
) -> (Vec<InstitutionName>, Participation) {
    let named = &raw.institutions;
    distinct("participation.institutions", named, report);
    let asked = Some((named.len(), "`participation.institutions`")).filter(|_| !named.is_empty());
    (named.clone(), participation(raw, asked, report))
}
