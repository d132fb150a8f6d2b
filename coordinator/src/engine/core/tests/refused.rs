//! Statistics and scores that admission refuses: a failure of their sender's own assignment, and of nobody else's.

use eosfed_common::assignment::{EvaluationSubmission, MAX_TEXT, StatisticsSubmission};
use eosfed_common::finite::Finite;
use eosfed_common::refusal::Reason;
use eosfed_testkit::plans::Plan;
use eosfed_testkit::submissions;

use super::*;
use crate::domain::round::ParticipantState;

impl Bench {
    /// An engine with the released specialists of the one-shot job.
    pub(super) fn with_release() -> Self {
        let (folder, store) = (tempfile::tempdir().unwrap(), released());
        let retention = Limits { keep_for: Some(Duration::ZERO), ..Limits::default() };
        let core = Self::open(folder.path(), store.clone(), Duration::ZERO, retention.clone());
        Self { folder, store, core, retention }
    }

    /// Why an institution has failed in the open round, if it has.
    fn failure(&self, job: &JobId, institution: &str) -> Option<String> {
        let job = self.core.job(job).unwrap();
        match &job.current()?.participants[&name(institution)].state {
            ParticipantState::Failed { message, .. } => Some(message.clone()),
            _ => None,
        }
    }

    fn has_work(&self, institution: &str) -> bool {
        !self.core.assignments(&name(institution)).is_empty()
    }

    /// Failures in the ledger.
    fn failures(&self) -> usize {
        let events = ready(self.core.events(0, usize::MAX)).unwrap();
        events.iter().filter(|line| line.contains("\"failure_reported\"")).count()
    }
}

/// Moments of which the first mean cannot be pooled.
fn impossible(assignment: &Assignment<Target>, token: &LeaseToken) -> StatisticsSubmission {
    let mut bands = testing::statistics(assignment, token).into_inner().bands;
    bands[0].mean = Finite::literal(1e200);
    submissions::statistics(&assignment.id, token, bands)
}

/// A job of rounds that needs `min` of west and east, and the work of west in its round of statistics.
fn begin(bench: &Bench, min: usize) -> (JobId, Assignment<Target>, LeaseToken) {
    let job = bench.submit(&Plan::new(ROUNDS).participants(min, 2).text());
    assert_eq!(ready(bench.core.perform(&job)), TaskOutcome::Recorded);
    let (west, token) = bench.work("west");
    assert_eq!(west.work, Work::Statistics);
    (job, west, token)
}

#[test]
fn refused_statistics_fail_the_assignment_of_the_holder_of_its_lease() {
    let bench = Bench::new();
    let (job, west, token) = begin(&bench, 1);
    let wrong = impossible(&west, &token);

    // Without the token of the lease, or the institution's signature, nothing happens to the assignment.
    let stolen = StatisticsSubmission { token: LeaseToken::random(&mut rng(9)), ..wrong.clone() };
    assert_eq!(ready(bench.core.submit_statistics(stolen)).unwrap_err().reason, Reason::LeaseMismatch);
    let signature = signing::institution("east").sign(&wrong.statement());
    let forged = StatisticsSubmission { signature, ..wrong.clone() };
    assert_eq!(ready(bench.core.submit_statistics(forged)).unwrap_err().reason, Reason::NotSigned);
    assert_eq!((bench.failure(&job, "west"), bench.failures()), (None, 0));
    assert!(bench.core.job(&job).unwrap().lease_of(&name("west")).is_some());

    let refusal = ready(bench.core.submit_statistics(wrong.clone())).unwrap_err();
    assert!(refusal.message.contains("1e200"), "{refusal}");
    assert_eq!((bench.failure(&job, "west"), bench.failures()), (Some(refusal.to_string()), 1));
    assert!(!bench.has_work("west") && bench.has_work("east"));
    // The answer may have been lost. The same again changes nothing, and the right numbers come too late.
    let again = ready(bench.core.submit_statistics(wrong)).unwrap_err();
    assert_eq!((again.reason, bench.failures()), (Reason::WrongState, 1));
    let right = testing::statistics(&west, &token).into_inner();
    assert_eq!(ready(bench.core.submit_statistics(right)).unwrap_err().reason, Reason::WrongState);
    // The next round asks again.
    assert_eq!(bench.take_part("east", 0), None);
    assert!(bench.core.assignments(&name("west"))[0].work != Work::Statistics, "the training has begun");
}

/// A round that fails with it is tried again, as after any failure, and then the job pauses with the reason.
#[test]
fn refused_statistics_use_up_an_attempt_where_everybody_is_needed() {
    let bench = Bench::new();
    let (job, west, token) = begin(&bench, 2);
    ready(bench.core.submit_statistics(impossible(&west, &token))).unwrap_err();
    assert_eq!((bench.core.job(&job).unwrap().current().unwrap().attempt, bench.failures()), (2, 1));
    let (again, token) = bench.work("west");
    ready(bench.core.submit_statistics(impossible(&again, &token))).unwrap_err();
    assert_eq!((bench.core.job(&job).unwrap().state.name(), bench.failures()), ("paused", 2));
    assert!(!bench.has_work("west"));
}

#[test]
fn refused_scores_fail_the_assignment() {
    let bench = Bench::with_release();
    let job = bench.submit(testing::EVALUATION);
    let (west, token) = bench.work("west");
    let none = submissions::evaluation(&west.id, &token, submissions::scores(0, 0.5));
    let stolen = EvaluationSubmission { token: LeaseToken::random(&mut rng(9)), ..none.clone() };
    assert_eq!(ready(bench.core.submit_evaluation(stolen)).unwrap_err().reason, Reason::LeaseMismatch);
    assert_eq!(bench.failures(), 0);
    let refusal = ready(bench.core.submit_evaluation(none)).unwrap_err();
    assert!(refusal.message.contains("`samples`"), "{refusal}");
    assert_eq!((bench.failure(&job, "west"), bench.failures()), (Some(refusal.to_string()), 1));
    assert!(!bench.has_work("west") && bench.has_work("east"));
}

/// A refusal quotes what was sent, and what is recorded of it is bounded.
#[test]
fn what_is_recorded_of_refused_numbers_is_short() {
    let bench = Bench::new();
    let (job, west, token) = begin(&bench, 1);
    let bands = submissions::moments(&["\u{202e}é".repeat(9000)], 4, 0.0, 1.0);
    let wrong = submissions::statistics(&west.id, &token, bands);
    let refusal = ready(bench.core.submit_statistics(wrong)).unwrap_err();
    assert!(refusal.message.len() > 9000);
    let recorded = bench.failure(&job, "west").unwrap();
    assert!(recorded.len() <= MAX_TEXT, "{}", recorded.len());
}
