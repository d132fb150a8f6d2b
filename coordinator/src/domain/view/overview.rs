//! The state of the whole federation on one page.

use std::time::Duration;

use eosfed_common::clock::Timestamp;
use eosfed_common::identity::{Identity, Role};
use eosfed_common::ids::InstitutionName;
use eosfed_common::quantity::bytes;
use eosfed_common::traffic::ByteCounts;
use eosfed_common::view::{
    ActiveJob, DiskView, InstitutionCounts, JobCounts, JobState, MAX_ACTIVE, MAX_PROBLEMS, MAX_WAITED_FOR,
    Overview, Presence, Problem, ProblemKind, RefCounts,
};

use super::{institution, job_summary, release_summary, state, why};
use crate::domain::Federation;
use crate::domain::job::Job;
use crate::domain::round::{ParticipantState, Round};

/// A certificate that expires within this time is a problem.
const EXPIRING: Duration = Duration::from_secs(7 * 86_400);
/// A disk is nearly full below this part of it.
const DISK_LOW: u64 = 10;

/// What the state of the federation does not say.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The present time.
    pub now: Timestamp,
    /// When the coordinator was started.
    pub started_at: Timestamp,
    /// Its version.
    pub version: String,
    /// The disk of the state folder.
    pub disk: Option<DiskView>,
}

/// The state of the federation; `seen` says when a member last called.
#[must_use]
pub fn overview(
    federation: &Federation,
    around: Surroundings,
    seen: impl Fn(&Identity) -> Option<Timestamp>,
) -> Overview {
    let Surroundings { now, started_at, version, disk } = around;
    let mut institutions = InstitutionCounts::default();
    let mut problems: Vec<Problem> = disk.and_then(disk_problem).into_iter().collect();
    for member in federation.institutions().filter(|one| one.is_listed()) {
        let view = institution(member, seen(&member.identity()), None, ByteCounts::default());
        let presence = view.presence(now);
        count(&mut institutions, presence);
    }
    problems.extend(silences(federation, now, started_at, seen));
    problems.extend(certificates(federation, now).map(|(_, problem)| problem));
    let mut jobs: Vec<&Job> = federation.jobs.values().filter(|job| !job.has_ended()).collect();
    jobs.sort_by_key(|job| std::cmp::Reverse((job.submitted_at, &job.id)));
    problems.extend(jobs.iter().flat_map(|job| job_problems(job, now)));
    problems.sort_by(|a, b| (a.kind, &a.about).cmp(&(b.kind, &b.about)));
    let more = |all: usize, most: usize| u32::try_from(all.saturating_sub(most)).unwrap_or(u32::MAX);
    let more_problems = more(problems.len(), MAX_PROBLEMS);
    problems.truncate(MAX_PROBLEMS);
    Overview {
        at: now,
        version,
        started_at,
        institutions,
        jobs: job_counts(federation),
        specialists: specialists(federation),
        releases: u32::try_from(federation.registry.releases.len()).unwrap_or(u32::MAX),
        latest_release: federation
            .registry
            .releases
            .values()
            .next_back()
            .map(|one| release_summary(&one.manifest)),
        more_active: more(jobs.len(), MAX_ACTIVE),
        active: jobs.into_iter().take(MAX_ACTIVE).map(active).collect(),
        problems,
        more_problems,
        disk,
    }
}

const fn count(counts: &mut InstitutionCounts, presence: Presence) {
    match presence {
        Presence::Online => {
            counts.enrolled += 1;
            counts.online += 1;
        }
        Presence::Away | Presence::Silent => counts.enrolled += 1,
        Presence::Invited | Presence::InvitationExpired => counts.invited += 1,
        Presence::Revoked => counts.revoked += 1,
    }
}

fn job_counts(federation: &Federation) -> JobCounts {
    let mut counts = JobCounts::default();
    for job in federation.jobs.values() {
        match state(&job.state) {
            JobState::Preparing | JobState::Running | JobState::Aggregating => counts.running += 1,
            JobState::Paused => counts.paused += 1,
            JobState::Finished => counts.finished += 1,
            JobState::Cancelled => counts.cancelled += 1,
        }
    }
    counts
}

fn specialists(federation: &Federation) -> RefCounts {
    let registry = &federation.registry;
    let released = registry.specialists.values().filter(|card| registry.is_released(card)).count();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    RefCounts { versions: number(registry.specialists.len()), released: number(released) }
}

fn active(job: &Job) -> ActiveJob {
    let waits: Vec<&InstitutionName> = job.current().map(waited_for).unwrap_or_default();
    let more = waits.len().saturating_sub(MAX_WAITED_FOR);
    ActiveJob {
        job: job_summary(job),
        why: why(&job.state),
        needed: job.spec.participation().min,
        waits_for: waits.into_iter().take(MAX_WAITED_FOR).cloned().collect(),
        waits_for_more: u32::try_from(more).unwrap_or(u32::MAX),
    }
}

/// The institutions that have not given their answer.
fn waited_for(round: &Round) -> Vec<&InstitutionName> {
    let open = round.participants.iter().filter(|(_, one)| !one.state.is_final());
    open.map(|(name, _)| name).collect()
}

fn problem(kind: ProblemKind, about: &str, message: impl Into<String>) -> Problem {
    Problem { kind, about: about.to_owned(), message: message.into(), at: None, command: None }
}

fn disk_problem(disk: DiskView) -> Option<Problem> {
    if disk.free_bytes >= disk.total_bytes / DISK_LOW {
        return None;
    }
    let message = format!(
        "{} of {} are free, less than a tenth; a coordinator whose disk is full stores nothing",
        bytes(disk.free_bytes),
        bytes(disk.total_bytes)
    );
    Some(problem(ProblemKind::DiskLow, "disk of the state folder", message))
}

/// Institutions that have not called for long.
pub(crate) fn silences(
    federation: &Federation,
    now: Timestamp,
    started_at: Timestamp,
    seen: impl Fn(&Identity) -> Option<Timestamp>,
) -> Vec<Problem> {
    let silent = federation.institutions().filter(|one| one.is_listed()).filter_map(|member| {
        let view = institution(member, seen(&member.identity()), None, ByteCounts::default());
        // Right after a start, nobody has called yet.
        let since = view.last_seen.unwrap_or(started_at);
        let long = now.since(since) > eosfed_common::view::SILENT_AFTER;
        (view.presence(now) == Presence::Silent && long).then(|| silent(&view.name, view.last_seen, since))
    });
    silent.collect()
}

fn silent(name: &InstitutionName, last_seen: Option<Timestamp>, since: Timestamp) -> Problem {
    let message = match last_seen {
        Some(_) => "Its client has not called for more than ten minutes.",
        None => "Its client has not called since the coordinator was started.",
    };
    Problem { at: Some(since), ..problem(ProblemKind::InstitutionSilent, name.as_str(), message) }
}

/// Certificates of members that have expired or expire soon.
pub(crate) fn certificates(
    federation: &Federation,
    now: Timestamp,
) -> impl Iterator<Item = (Identity, Problem)> {
    federation.expiring(EXPIRING, now).map(move |(identity, at)| {
        let Identity { role, name } = &identity;
        let (kind, word) = if at <= now {
            (ProblemKind::CertificateExpired, "has expired")
        } else {
            (ProblemKind::CertificateExpiring, "expires soon, and has not been renewed")
        };
        let group = match role {
            Role::Institution => "institution",
            Role::Operator => "operator",
            Role::Reader => "reader",
        };
        let command = format!("eosfed {group} re-enrol {name} --token-file {name}.token");
        let message = format!("The certificate of {group} {name} {word}.");
        let found = Problem { at: Some(at), command: Some(command), ..problem(kind, name.as_str(), message) };
        (identity, found)
    })
}

/// The open round of a job, if it is late.
pub(crate) fn late_round(job: &Job, now: Timestamp) -> Option<Problem> {
    let round = job.collecting()?;
    let rules = job.spec.participation();
    let needed = rules.min as usize;
    let end = round.ends_at(rules);
    if round.submitted() >= needed || end.since(now) >= rules.deadline / 10 {
        return None;
    }
    let message = format!("Its round has {} of {needed} results.", round.submitted());
    Some(Problem { at: Some(end), ..problem(ProblemKind::RoundLate, job.id.as_str(), message) })
}

fn job_problems(job: &Job, now: Timestamp) -> Vec<Problem> {
    let mut found = Vec::new();
    if let Some(why) = why(&job.state) {
        let command = Some(format!("eosfed job resume {}", job.id));
        found.push(Problem { command, ..problem(ProblemKind::JobPaused, job.id.as_str(), why) });
    }
    let Some(round) = job.collecting() else { return found };
    found.extend(late_round(job, now));
    for (name, one) in &round.participants {
        let message = match &one.state {
            ParticipantState::Failed { message, .. } => format!("{name} has failed: {message}"),
            ParticipantState::Rejected(rejection) => {
                format!("the update of {name} was rejected: {}", rejection.refusal)
            }
            ParticipantState::Offered
            | ParticipantState::Leased { .. }
            | ParticipantState::Submitted { .. }
            | ParticipantState::Refused { .. } => continue,
        };
        let command = Some(format!("eosfed job retry {} {name}", job.id));
        found.push(Problem { command, ..problem(ProblemKind::ParticipantFailed, job.id.as_str(), message) });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, ONE_SHOT, enrolled, name, submit, token};

    fn around(now: Timestamp, free: u64) -> Surroundings {
        let disk = Some(DiskView { free_bytes: free, total_bytes: 1000 });
        Surroundings { now, started_at: NOW, version: "0.1.0".to_owned(), disk }
    }

    #[test]
    fn an_overview_says_what_runs_and_for_whom_it_waits() {
        let mut federation = Federation::default();
        federation.merge(enrolled(&["west", "east"]));
        federation.merge(submit(&federation, ONE_SHOT).1);
        let seen = |member: &Identity| (member.name == name("west")).then_some(NOW);
        let shown = overview(&federation, around(NOW, 900), seen);
        assert_eq!((shown.institutions.enrolled, shown.institutions.online), (2, 1));
        assert_eq!((shown.jobs.running, shown.active.len()), (1, 1));
        assert_eq!(shown.active[0].waits_for, [name("east"), name("west")]);
        assert!(shown.problems.is_empty(), "{:?}", shown.problems);
    }

    #[test]
    fn silence_a_full_disk_and_a_late_round_are_problems_the_worst_first() {
        let mut federation = Federation::default();
        federation.merge(enrolled(&["west", "east"]));
        let (id, change) = submit(&federation, ONE_SHOT);
        federation.merge(change);
        let job = federation.job(&id).unwrap();
        let (outcome, _) = job.accept(&job.assignment(&name("west")).unwrap().id, token(1), NOW).unwrap();
        let late = Timestamp(outcome.job.current().unwrap().deadline.0 - 1);
        federation.merge(federation.settle(outcome, NOW).unwrap());
        let shown = overview(&federation, around(late, 99), |_| None);
        let kinds: Vec<_> = shown.problems.iter().map(|problem| problem.kind).collect();
        use ProblemKind::{DiskLow, InstitutionSilent, RoundLate};
        assert_eq!(kinds, [DiskLow, RoundLate, InstitutionSilent, InstitutionSilent]);
        assert_eq!(shown.active[0].waits_for, [name("east"), name("west")]);
        assert_eq!(shown.problems[2].at, Some(NOW));
    }
}
