//! The look at the state for conditions that follow from time.

use std::sync::Arc;

use eosfed_common::clock::Timestamp;
use eosfed_common::identity::Identity;
use eosfed_common::view::{Problem, ProblemKind, SILENT_AFTER};
use eosfed_transport::authority::LEAST_TIME_LEFT;

use super::conditions::{Condition, ConditionKey, Seen};
use super::event::NotifyEvent;
use crate::disk::DiskGuard;
use crate::domain::member::Member;
use crate::domain::view;
use crate::engine::Handle;
use crate::traffic::Traffic;

/// What notifications follow from.
#[derive(Debug, Clone)]
pub struct Around {
    /// The engine.
    pub engine: Handle,
    /// When members have called.
    pub traffic: Traffic,
    /// Watches over the disk of the blobs.
    pub disk: DiskGuard,
    /// When the certificate authority ends.
    pub authority_ends: Timestamp,
    /// When the coordinator was started.
    pub started_at: Timestamp,
    /// The address of the coordinator, as institutions know it.
    pub coordinator: Arc<str>,
}

impl Around {
    /// Looks at the state.
    pub(super) fn look(&self) -> Seen {
        let now = self.engine.now();
        let seen = |member: &Identity| self.traffic.of(member).0;
        let mut present: Vec<Condition> = self.engine.read(|state| {
            let silent = view::silences(state, now, self.started_at, seen).into_iter();
            let late = state.jobs.values().filter_map(|job| view::late_round(job, now));
            let simple = silent.chain(late).filter_map(|problem| {
                let about = problem.about.clone();
                of_problem(problem, about)
            });
            let certificates =
                view::certificates(state, now).filter_map(|(Identity { role, name }, problem)| {
                    of_problem(problem, format!("{role} {name}"))
                });
            simple.chain(certificates).collect()
        });
        present.extend(self.authority(now));
        present.extend(self.disk.low().map(|message| plain(NotifyEvent::DiskLow, "disk", message)));
        Seen { present, unknown: self.unknown(now) }
    }

    fn authority(&self, now: Timestamp) -> Option<Condition> {
        if self.authority_ends.since(now) >= LEAST_TIME_LEFT {
            return None;
        }
        let message = format!("The certificate authority ends at {}; see `ca --help`.", self.authority_ends);
        Some(plain(NotifyEvent::AuthorityEnds, "authority", message))
    }

    /// Institutions that have not called since a start that was a short time ago: they may be silent or not.
    fn unknown(&self, now: Timestamp) -> Vec<ConditionKey> {
        if now.since(self.started_at) > SILENT_AFTER {
            return Vec::new();
        }
        let listed: Vec<Identity> = self.engine.read(|state| {
            let listed = state.institutions().filter(|one| one.is_active() && one.is_listed());
            listed.map(Member::identity).collect()
        });
        let unseen = listed.into_iter().filter(|member| self.traffic.of(member).0.is_none());
        let key = |about: String| ConditionKey { event: NotifyEvent::InstitutionSilent, about };
        unseen.map(|member| key(member.name.to_string())).collect()
    }
}

fn plain(event: NotifyEvent, about: &str, message: String) -> Condition {
    let key = ConditionKey { event, about: about.to_owned() };
    Condition { key, message, command: None, job: None, institution: None }
}

/// The condition of a problem, if operators are told of it so. Of the others the ledger tells.
fn of_problem(problem: Problem, about: String) -> Option<Condition> {
    let Problem { kind, about: name, message, command, at: _ } = problem;
    let event = match kind {
        ProblemKind::RoundLate => NotifyEvent::RoundLate,
        ProblemKind::InstitutionSilent => NotifyEvent::InstitutionSilent,
        ProblemKind::CertificateExpiring => NotifyEvent::CertificateExpiring,
        ProblemKind::CertificateExpired => NotifyEvent::CertificateExpired,
        ProblemKind::DiskLow | ProblemKind::JobPaused | ProblemKind::ParticipantFailed => return None,
    };
    let job = name.parse().ok();
    let institution = match event {
        NotifyEvent::InstitutionSilent => name.parse().ok(),
        _ => about.strip_prefix("institution ").and_then(|name| name.parse().ok()),
    };
    let message = match event {
        NotifyEvent::InstitutionSilent | NotifyEvent::RoundLate => format!("{name}: {message}"),
        _ => message,
    };
    Some(Condition { key: ConditionKey { event, about }, message, command, job, institution })
}
