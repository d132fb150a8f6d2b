//! The limits on jobs and days: at the offer, before a download, and before each chunk of an upload.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use eosfed_common::assignment::{Assignment, BlobRef, Work};
use eosfed_common::card::WEIGHTS_FILE;
use eosfed_common::ids::{AssignmentId, JobId};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::training_target::TrainingTarget;
use eosfed_transport::transfer;
use eosfed_transport::wire::message_bytes;

use super::environment::{DaemonError, Environment};
use super::run::Daemon;
use super::step::Event;
use crate::budgets::{Budgets, Demand, Direction, NotTaken, Spent};
use crate::condition::{ConditionKind, LocalCondition};
use crate::coordinator::OfferGuard;
use crate::egress::{EgressGate, WorkInHand};
use crate::policy::{Limits, PolicyStatus};

/// Most bytes of a report, of statistics or of scores that an offer is expected to lead to. What they have
/// indeed is counted when they are sent.
const REPORT: u64 = 64 << 10;

/// Remembers what has cut off an upload: a limit, or counts that cannot be written.
#[derive(Debug, Clone, Default)]
pub(super) struct CutOff(Arc<Mutex<Option<NotTaken>>>);

impl CutOff {
    /// What it was, once.
    pub(super) fn take(&self) -> Option<NotTaken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Counts bytes of a result before they go, if the policy lets them leave.
    ///
    /// # Errors
    /// A sentence that says why they must not.
    pub(super) fn admit(
        &self,
        budgets: &Budgets,
        gate: &EgressGate,
        work: &WorkInHand,
        bytes: u64,
    ) -> Result<(), String> {
        let limits = gate.limits_of_result(work)?;
        budgets.take(&limits, &work.assignment.id.job, Direction::Up, bytes).map_err(|why| {
            let said = why.to_string();
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
            said
        })
    }
}

impl<E: Environment> Daemon<E> {
    /// The refusal of an assignment that would exceed a limit.
    pub(super) fn over_limit(&self, limits: &Limits, assignment: &Assignment) -> Option<Refusal> {
        let spent = self.budgets.objections(limits, &assignment.id, self.demand(assignment));
        let spent: Vec<_> = spent.into_iter().map(|spent| spent.message).collect();
        (!spent.is_empty()).then(|| {
            let message = format!("the site policy does not allow this: {}", spent.join("; "));
            Refusal::new(Reason::Policy, message)
        })
    }

    /// What an assignment needs, as it declares.
    fn demand(&self, assignment: &Assignment) -> Demand {
        let target = &assignment.training_target;
        let weights = match assignment.work {
            Work::Training(_) => target.signature().max_file_bytes(),
            Work::Statistics | Work::Evaluation(_) => 0,
        };
        let up = weights.saturating_add(REPORT);
        let base = match &assignment.work {
            Work::Training(work) => work.base.map_or(0, |base| base.size),
            Work::Evaluation(work) => work.weights.size,
            Work::Statistics => 0,
        };
        let mut down = base;
        if let TrainingTarget::Head(over) = target {
            let folder = self.parts.site.release(&assignment.id.job);
            for card in over.cards() {
                let blob = BlobRef { digest: card.weights, size: card.weights_bytes };
                let file = folder.join(card.name.as_str()).join(WEIGHTS_FILE);
                down = down.saturating_add(missing_bytes(blob, &file));
            }
        }
        Demand { up, down }
    }

    /// Counts an assignment that is about to be accepted.
    pub(super) fn take_assignment(&self, id: &AssignmentId) -> Result<(), DaemonError> {
        Ok(self.budgets.take_assignment(id)?)
    }

    /// Counts offers and their documents. While the policy is not clear, the default limits hold for them.
    pub(super) fn offer_guard(&self) -> OfferGuard {
        let (gate, budgets) = (self.gate.clone(), self.budgets.clone());
        Arc::new(move |job, bytes| {
            budgets.take_of_offer(&gate.limits(None), job, Direction::Down, bytes).map_err(|why| match why {
                NotTaken::Spent(spent) => {
                    let message = format!("the site policy does not allow this: {}", spent.message);
                    Refusal::new(Reason::Policy, message)
                }
                NotTaken::Site(error) => Refusal::new(Reason::Unavailable, error.to_string()),
            })
        })
    }

    /// Counts what is left of a download, before its first byte. Gives what a limit means for the work.
    pub(super) fn take_download(&self, job: &JobId, bytes: u64) -> Result<Option<Event>, DaemonError> {
        let PolicyStatus::Settled(policy) = self.gate.policy_status(None) else {
            let message = "the site policy is not clear, so nothing is fetched";
            return Ok(Some(self.blocked(LocalCondition::new(ConditionKind::PolicyUnclear, message))));
        };
        let taken = self.budgets.take(&policy.limits, job, Direction::Down, bytes);
        taken.err().map(|why| self.not_taken(why)).transpose()
    }

    /// What it means for the work in hand that bytes may not go.
    ///
    /// # Errors
    /// If the counts cannot be written, as on a full disk, for which the daemon waits.
    pub(super) fn not_taken(&self, why: NotTaken) -> Result<Event, DaemonError> {
        match why {
            NotTaken::Spent(spent) => Ok(self.spent(spent)),
            NotTaken::Site(error) => Err(error.into()),
        }
    }

    /// What a limit that is reached means for the work in hand: that of a day is waited for, that of a job is
    /// final.
    fn spent(&self, spent: Spent) -> Event {
        let Spent { message, until } = spent;
        if until.is_none() {
            let message = format!("the site policy no longer allows this: {message}");
            return Event::PolicyDenied(Refusal::new(Reason::Policy, message));
        }
        match self.blocked(LocalCondition::new(ConditionKind::BudgetSpent, message)) {
            Event::Failed(refusal) => Event::PolicyDenied(refusal),
            event => event,
        }
    }
}

/// The bytes that tell the coordinator of a refusal or a failure.
pub(super) fn refusal_bytes(id: &AssignmentId, told: &Refusal) -> u64 {
    message_bytes(told.clone()) + id.to_string().len() as u64
}

/// The bytes of a blob that neither its file nor the part of an earlier try has.
pub(super) fn missing_bytes(blob: BlobRef, path: &Path) -> u64 {
    let length = |path: &Path| path.metadata().map_or(0, |file| file.len());
    blob.size.saturating_sub(length(path).max(length(&transfer::part_of(path))))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use eosfed_common::clock::SystemClock;
    use eosfed_common::plan::JobKind;

    use super::*;
    use crate::egress::{DataSetPolicies, PolicySource, Stage};
    use crate::policy::{Limit, Policy};
    use crate::site::Site;
    use crate::site_log::{SiteLog, SiteLogSettings};
    use crate::testing::{permissive, training};

    /// A policy that counts how often it is read.
    #[derive(Debug)]
    struct Counting(Policy, AtomicUsize);

    impl PolicySource for Counting {
        fn read(&self) -> Result<Policy, String> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Ok(self.0.clone())
        }
    }

    #[test]
    fn the_policy_is_read_once_for_each_chunk() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { upload_mb_per_job: Limit::AtMost(1), ..Limits::default() };
        let policy = Arc::new(Counting(Policy { limits, ..permissive() }, AtomicUsize::new(0)));
        let log = SiteLog::new(folder.path(), SiteLogSettings::default(), Arc::new(SystemClock));
        let gate = EgressGate::new(
            Arc::clone(&policy) as Arc<dyn PolicySource>,
            &DataSetPolicies::new(),
            Duration::ZERO,
            log,
        );
        let budgets = Budgets::open(&Site::at(folder.path()), Arc::new(SystemClock)).unwrap();
        let work =
            WorkInHand { assignment: training(JobKind::OneShot), stage: Stage::Unfinished, dataset: None };
        let cut_off = CutOff::default();
        let before = policy.1.load(Ordering::Relaxed);
        for _ in 0..4 {
            cut_off.admit(&budgets, &gate, &work, 250_000).unwrap();
        }
        assert_eq!(policy.1.load(Ordering::Relaxed) - before, 4);
        let said = cut_off.admit(&budgets, &gate, &work, 1).unwrap_err();
        assert!(said.contains("upload_mb_per_job"), "{said}");
        assert!(matches!(cut_off.take(), Some(NotTaken::Spent(_))) && cut_off.take().is_none());
    }
}
