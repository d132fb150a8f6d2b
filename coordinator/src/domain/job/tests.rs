use std::time::Duration;

use eosfed_common::assignment::{Assignment, CurvePoint, LEASE, Progress, UpdateSubmission, Work};
use eosfed_common::card::InitialFile;
use eosfed_common::digest::Digest;
use eosfed_common::finite::Finite;
use eosfed_common::head::{HeadFile, HeadOver, Imagery};
use eosfed_common::ids::AssignmentId;
use eosfed_common::ledger::Entry;
use eosfed_common::refusal::{Reason, Refusal};

use super::*;
use crate::domain::admission::{Reported, UpdateRules};
use crate::domain::round::ParticipantState;
use crate::domain::{Change, Federation, ScreenedUpdate};
use crate::storage::{MemoryStore, Store as _, ready};
use crate::testing::{
    DOWNSTREAM, NOW, ONE_SHOT, ROUNDS, STATISTICS, enrolled, finished_one_shot, key, name, screened,
    statistics, submit, token, try_submit, update, weights,
};

mod averages;
mod revoked;
mod told;

const DEADLINE: Duration = Duration::from_secs(30 * 60);

fn federation() -> Federation {
    let mut federation = Federation::default();
    federation.merge(enrolled(&["east", "west"]));
    federation
}

fn job(plan: &str) -> Job {
    submit(&federation(), plan).1.jobs.remove(0)
}

fn blob(text: &str) -> BlobRef {
    BlobRef { digest: Digest::of(text.as_bytes()), size: 9 }
}

/// A job of rounds with its first weights.
fn rounds() -> Job {
    job(ROUNDS).apply(Transition::Prepared(blob("initial")), NOW).unwrap().job
}

/// The job after its statistics round.
fn training() -> Job {
    let mut job = rounds();
    for (seed, institution) in (1..).zip(["west", "east"]) {
        let assignment = offered(&job, institution);
        let (after, lease) = job.accept(&assignment.id, token(seed), NOW).unwrap();
        job = after.job.submit_statistics(statistics(&assignment, &lease.token), NOW).unwrap().0.job;
    }
    job
}

fn offered(job: &Job, institution: &str) -> Assignment<Target> {
    job.assignment(&name(institution)).unwrap()
}

fn accepted(job: &Job, institution: &str, seed: u64) -> (Job, Assignment<Target>) {
    let assignment = offered(job, institution);
    let (outcome, _) = job.accept(&assignment.id, token(seed), NOW).unwrap();
    (outcome.job, assignment)
}

fn submitted(job: &Job, institution: &str, seed: u64) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let (job, assignment) = accepted(job, institution, seed);
    let (path, blob) = weights(folder.path(), &assignment, seed);
    let update = update(&assignment, &token(seed), blob);
    job.submit_update(screened(update, &assignment, &path), NOW).unwrap().0
}

fn state(job: &Job) -> &'static str {
    job.state.name()
}

#[test]
fn one_shot_freezes_each_specialist_with_a_complete_card() {
    let west = submitted(&job(ONE_SHOT), "west", 1);
    assert_eq!((state(&west.job), west.frozen.len()), ("running", 0));
    let both = submitted(&west.job, "east", 2);
    assert_eq!(state(&both.job), "finished");
    let names: Vec<_> = both.frozen.iter().map(|card| card.name.as_str()).collect();
    assert_eq!(names, ["east-nir", "west-rgb"]);
    let card = &both.frozen[0];
    assert_eq!(card.model.bands, ["nir", "swir"]);
    assert_eq!(card.provenance.institutions, [name("east")]);
    assert_eq!((card.provenance.samples, card.metrics["accuracy"].get()), (14, 0.5));
    let change = federation().settle(both, NOW).unwrap();
    assert_eq!(change.releases[0].manifest.specialists, change.specialists);
    assert_eq!(change.specialists[0].version, 1);
}

#[test]
fn a_card_says_which_file_a_specialist_started_from() {
    let folder = tempfile::tempdir().unwrap();
    let (job, assignment) = accepted(&job(ONE_SHOT), "west", 1);
    let (path, blob) = weights(folder.path(), &assignment, 1);
    let mut first = update(&assignment, &token(1), blob);
    first.report.initial =
        Some(InitialFile { file: "atto.safetensors".to_owned(), digest: Digest::of(b"timm's") });
    let initial = first.report.initial.clone();
    let west = job.submit_update(screened(first, &assignment, &path), NOW).unwrap().0;
    let both = submitted(&west.job, "east", 2);
    let found: Vec<_> = both.frozen.iter().map(|card| card.provenance.initial.clone()).collect();
    assert_eq!(found, [None, initial], "of east-nir and west-rgb");
}

#[test]
fn rounds_pool_statistics_then_train_then_freeze() {
    let job = job(ROUNDS);
    assert!(
        matches!(job.task(), Some(Task::Prepare(first)) if first.seed == 7 && first.start.is_none() && first.target.normalised() == ["red", "nir"])
    );
    assert_eq!(job.assignment(&name("west")), None);
    assert_eq!(offered(&rounds(), "west").work, Work::Statistics);

    let first = training();
    let normalisation = first.normalisation.clone().unwrap();
    assert_eq!((normalisation[1].mean.get(), normalisation[1].std.get()), (2.0, 2.0));
    let Work::Training(work) = offered(&first, "west").work else { panic!() };
    assert_eq!((work.base, work.schedule), (Some(blob("initial")), [0.0, 0.5]));
    assert_eq!(work.settings.proximal_mu, 0.01);
    let Work::Training(other) = offered(&first, "east").work else { panic!() };
    assert_ne!(work.seed, other.seed, "institutions must not shuffle in step");

    let full = submitted(&submitted(&first, "west", 1).job, "east", 2).job;
    let Some(Task::Aggregate(aggregation)) = full.task() else { panic!("{:?}", full.task()) };
    let Aggregation { updates, round: 1, .. } = *aggregation else { panic!("{aggregation:?}") };
    assert_eq!(updates.iter().map(|update| update.weight).collect::<Vec<_>>(), [14.0, 14.0]);
    let second = full.apply(Transition::Aggregated(1, blob("mean"), None), NOW).unwrap().job;
    let Work::Training(work) = offered(&second, "west").work else { panic!() };
    assert_eq!((work.base, work.schedule), (Some(blob("mean")), [0.5, 1.0]));
    let full = submitted(&submitted(&second, "west", 3).job, "east", 4).job;
    assert_eq!(
        full.apply(Transition::Aggregated(1, blob("stale"), None), NOW).unwrap_err().reason,
        Reason::WrongState
    );
    let done = full.apply(Transition::Aggregated(2, blob("final"), None), NOW).unwrap();
    assert_eq!((state(&done.job), done.frozen.len()), ("finished", 1));
    let card = &done.frozen[0];
    assert_eq!(
        (card.weights, card.provenance.rounds, card.provenance.samples),
        (blob("final").digest, 2, 28)
    );
    assert_eq!(card.provenance.institutions, [name("east"), name("west")]);
    assert_eq!(card.normalisation, *normalisation);
}

#[test]
fn a_statistics_job_pools_moments_in_one_round_and_ends() {
    let mut job = job(STATISTICS);
    assert_eq!(job.task(), None, "there are no weights to prepare");
    assert_eq!(federation().may_upload(&name("west"), 1).unwrap_err().reason, Reason::LeaseExpired);
    for (seed, institution) in (1..).zip(["west", "east"]) {
        assert_eq!((state(&job), job.normalisation.clone()), ("running", None));
        let assignment = offered(&job, institution);
        assert_eq!(assignment.training_target, Target::Bands(vec!["red".to_owned(), "nir".to_owned()]));
        assert_eq!((&assignment.work, assignment.min_institutions), (&Work::Statistics, 2));
        let (after, lease) = job.accept(&assignment.id, token(seed), NOW).unwrap();
        job = after.job.submit_statistics(statistics(&assignment, &lease.token), NOW).unwrap().0.job;
    }
    assert_eq!(state(&job), "finished");
    let mine = job.normalisation.clone().unwrap();
    let of_rounds = training().normalisation.unwrap();
    assert_eq!(mine, of_rounds, "the same moments give the same normalisation");
    assert_eq!((job.closed.len(), job.closed[0].complete), (1, true));
    assert_eq!((job.trained, job.produced.len(), job.release), (None, 0, None));
}

#[test]
fn a_job_that_is_cancelled_after_its_last_attempt_has_each_attempt_once() {
    let mut job = job(ONE_SHOT);
    let mut closed = Vec::new();
    let mut now = NOW;
    while state(&job) == "running" {
        now = now.plus(DEADLINE);
        let outcome = job.apply(Transition::Tick, now).unwrap();
        (job, closed) = (outcome.job, [closed, outcome.closed].concat());
    }
    assert_eq!((state(&job), closed.len()), ("paused", 3));
    let cancelled = job.apply(Transition::Cancel(name("admin")), now).unwrap();
    assert_eq!(state(&cancelled.job), "cancelled");
    let ids: Vec<_> = cancelled.job.closed.iter().map(|closed| closed.id).collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
}

#[test]
fn a_lease_token_is_valid_for_its_holder_only() {
    let (job, assignment) = accepted(&training(), "west", 1);
    let beat = |by: u64| job.heartbeat(&assignment.id, &token(by), &Progress::default(), NOW);
    assert_eq!(beat(2).unwrap_err().reason, Reason::LeaseMismatch);
    assert_eq!(beat(1).unwrap().1, NOW.plus(LEASE));
    let (_, again) = job.accept(&assignment.id, token(9), NOW).unwrap();
    assert_eq!(again.token, token(1), "accepting again gives the same lease");
    let other = AssignmentId { institution: name("south"), ..assignment.id };
    assert_eq!(job.accept(&other, token(3), NOW).unwrap_err().reason, Reason::NotFound);
}

#[test]
fn work_of_an_expired_lease_is_offered_again_until_the_limit() {
    let late = NOW.plus(LEASE);
    let (mut job, assignment) = accepted(&training(), "west", 1);
    job = job.apply(Transition::Tick, late).unwrap().job;
    let beat = job.heartbeat(&assignment.id, &token(1), &Progress::default(), late);
    assert_eq!(beat.unwrap_err().reason, Reason::LeaseExpired);
    job = accepted(&job, "west", 2).0;
    job = job.apply(Transition::Tick, late).unwrap().job;
    // The second expiry reaches the limit. Without west the round cannot succeed, so a new attempt starts.
    assert_eq!((job.current().unwrap().attempt, state(&job)), (2, "running"));
}

#[test]
fn leases_are_extended_by_the_downtime_of_the_coordinator() {
    let (job, _) = accepted(&training(), "west", 1);
    let back = NOW.plus(DEADLINE * 3);
    let job = job.apply(Transition::Restart, back).unwrap().job;
    let job = job.apply(Transition::Tick, back).unwrap().job;
    assert_eq!((job.current().unwrap().attempt, job.current().unwrap().participating()), (1, 1));
}

#[test]
fn a_clock_that_was_set_back_during_downtime_does_not_prolong_leases() {
    let (job, _) = accepted(&training(), "west", 1);
    let back = Timestamp(NOW.0 - 3 * 3_600_000);
    let job = job.apply(Transition::Restart, back).unwrap().job;
    let round = job.current().unwrap();
    assert_eq!((round.opened_at, round.deadline), (back, back.plus(DEADLINE)));
    let job = job.apply(Transition::Tick, back.plus(LEASE)).unwrap().job;
    assert_eq!(
        job.current().unwrap().participating(),
        0,
        "a silent institution loses its lease by the new clock"
    );
}

#[test]
fn late_and_repeated_updates_are_distinguished() {
    let folder = tempfile::tempdir().unwrap();
    let (job, west) = accepted(&training(), "west", 1);
    let (job, east) = accepted(&job, "east", 2);
    let (path, bytes) = weights(folder.path(), &west, 1);
    let update_of = |assignment: &Assignment<Target>, seed| update(assignment, &token(seed), bytes);
    let submit = |job: &Job, submission: &UpdateSubmission, at| {
        job.submit_update(screened(submission.clone(), &west, &path), at)
    };
    let first = update_of(&west, 1);
    let (outcome, at) = submit(&job, &first, NOW).unwrap();
    let (same, receipt) = submit(&outcome.job, &first, NOW.plus(LEASE)).unwrap();
    assert_eq!((receipt, &same.job), (at, &outcome.job), "counted once, answered twice");
    let other = UpdateSubmission { key: key(5), ..first.clone() };
    assert_eq!(submit(&outcome.job, &other, NOW).unwrap_err().reason, Reason::WrongState);
    assert_eq!(submit(&outcome.job, &update_of(&east, 2), NOW).unwrap_err().reason, Reason::Replayed);

    let full = submitted(&outcome.job, "east", 2).job;
    assert_eq!(state(&full), "aggregating");
    assert_eq!(submit(&full, &first, NOW.plus(LEASE)).unwrap().1, at, "the receipt outlives the round");
    let late = UpdateSubmission { key: key(6), ..first };
    assert_eq!(submit(&full, &late, NOW).unwrap_err().reason, Reason::RoundClosed);
}

/// Seed 40 of the simulation found this: a repeated offer dropped the excluded update and with it the receipt
/// of its institution.
#[test]
fn an_excluded_update_keeps_its_receipt_when_its_institution_is_asked_again() {
    let mut federation = Federation::default();
    federation.merge(enrolled(&["east", "north", "west"]));
    let plan = ROUNDS.replace("= 2\nmax = 2", "= 3\nmax = 3");
    let plan = plan.replace("[rounds]", "[admission]\nnorm_factor = 2.0\n[rounds]");
    let mut job = submit(&federation, &plan).1.jobs.remove(0);
    job = job.apply(Transition::Prepared(blob("initial")), NOW).unwrap().job;
    for (seed, institution) in (1..).zip(["east", "north", "west"]) {
        let (after, assignment) = accepted(&job, institution, seed);
        job = after.submit_statistics(statistics(&assignment, &token(seed)), NOW).unwrap().0.job;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut last = None;
    for (seed, institution, norm) in [(1, "east", 1.0), (2, "north", 1.0), (3, "west", 10.0)] {
        let (after, assignment) = accepted(&job, institution, seed);
        let (path, blob) = weights(folder.path(), &assignment, seed);
        let update = update(&assignment, &token(seed), blob);
        last = Some((assignment.id.clone(), update.key.clone()));
        let (_, verified) =
            eosfed_aggregation::WeightsReader::check(&path, &assignment.training_target.signature()).unwrap();
        let rules = UpdateRules::of(&job.spec, job.reported(&name(institution)), None);
        let screened =
            ScreenedUpdate::screen(update, rules, &assignment.training_target, verified, norm).unwrap();
        job = after.submit_update(screened, NOW).unwrap().0.job;
    }
    let (id, key) = last.unwrap();
    let round = job.collecting().unwrap();
    let west = &round.participants[&name("west")];
    assert_eq!((round.attempt, &west.state), (2, &ParticipantState::Offered), "it is asked again");
    assert_eq!(west.rejections().map(|one| one.refusal.reason).collect::<Vec<_>>(), [Reason::NormOutlier]);
    assert_eq!(job.receipt(&id, &key, &[]), Some(NOW), "and the receipt is still there");
}

/// The samples of an update are compared with what its institution has reported before.
#[test]
fn a_report_of_samples_fits_earlier_reports_of_the_same_institution() {
    let job = training();
    let said = |job: &Job, samples: u64| {
        let folder = tempfile::tempdir().unwrap();
        let (job, assignment) = accepted(job, "west", 1);
        let (path, blob) = weights(folder.path(), &assignment, 1);
        let mut update = update(&assignment, &token(1), blob);
        update.report.samples = samples;
        let target = &assignment.training_target;
        let (_, verified) = eosfed_aggregation::WeightsReader::check(&path, &target.signature()).unwrap();
        let rules = UpdateRules::of(&job.spec, job.reported(&name("west")), None);
        let screened = ScreenedUpdate::screen(update, rules, target, verified, 1.0);
        screened.map(drop).map_err(|refusal| refusal.message)
    };
    assert_eq!(said(&job, 400), Ok(()));
    let many = said(&job, 401).unwrap_err();
    assert!(many.contains("the 400 pixels") && many.contains("found `401`"), "{many}");
    let full = submitted(&submitted(&job, "west", 1).job, "east", 2).job;
    let second = full.apply(Transition::Aggregated(1, blob("mean"), None), NOW).unwrap().job;
    assert_eq!(said(&second, 28), Ok(()), "twice the 14 of the first round");
    let grown = said(&second, 29).unwrap_err();
    assert!(grown.contains("2 times the 14") && grown.contains("found `29`"), "{grown}");
}

/// A job whose plan says nothing of shares: who claims as much as a plan allows has half of the aggregate
/// at most, and not all of it.
#[test]
fn a_claim_of_samples_does_not_make_an_update_the_aggregate() {
    let mut federation = Federation::default();
    federation.merge(enrolled(&["east", "north", "west"]));
    let plan = ROUNDS.replace("= 2\nmax = 2", "= 3\nmax = 3");
    let mut job = submit(&federation, &plan).1.jobs.remove(0);
    job = job.apply(Transition::Prepared(blob("initial")), NOW).unwrap().job;
    for (seed, institution) in (1..).zip(["east", "north", "west"]) {
        let (after, assignment) = accepted(&job, institution, seed);
        job = after.submit_statistics(statistics(&assignment, &token(seed)), NOW).unwrap().0.job;
    }
    let folder = tempfile::tempdir().unwrap();
    for (seed, institution, samples) in [(1, "east", 20), (2, "north", 30), (3, "west", 10_000_000)] {
        let (after, assignment) = accepted(&job, institution, seed);
        let (path, blob) = weights(folder.path(), &assignment, seed);
        let mut update = update(&assignment, &token(seed), blob);
        let target = &assignment.training_target;
        let screen = |update: &UpdateSubmission| {
            let (_, verified) = eosfed_aggregation::WeightsReader::check(&path, &target.signature()).unwrap();
            ScreenedUpdate::screen(
                update.clone(),
                UpdateRules::of(&job.spec, Reported::default(), None),
                target,
                verified,
                1.0,
            )
        };
        update.report.samples = 1_000_000_000_000;
        let refused = screen(&update).unwrap_err();
        let words = ["10000000 (`admission.max_samples`)", "`1000000000000`"];
        assert!(words.iter().all(|word| refused.message.contains(word)), "{refused}");
        update.report.samples = samples;
        job = after.submit_update(screen(&update).unwrap(), NOW).unwrap().0.job;
    }
    let Some(Task::Aggregate(aggregation)) = job.task() else { panic!("{:?}", job.task()) };
    let weights: Vec<_> = aggregation.updates.iter().map(|update| update.weight).collect();
    assert_eq!(weights, [20.0, 30.0, 50.0]);
}

#[test]
fn statistics_are_not_accepted_as_an_update() {
    let (job, assignment) = accepted(&training(), "west", 1);
    let refusal = job.submit_statistics(statistics(&assignment, &token(1)), NOW).unwrap_err();
    assert_eq!(refusal.reason, Reason::WrongState);
}

#[test]
fn the_deadline_closes_with_enough_and_retries_with_too_few() {
    let enough =
        submitted(&job(ONE_SHOT), "west", 1).job.apply(Transition::Tick, NOW.plus(DEADLINE)).unwrap();
    assert_eq!((state(&enough.job), enough.frozen.len()), ("finished", 1));

    let one = submitted(&training(), "west", 1).job;
    let again = one.apply(Transition::Tick, NOW.plus(DEADLINE)).unwrap().job;
    let round = again.current().unwrap();
    assert_eq!((round.attempt, round.submitted()), (2, 1), "an acknowledged update still counts");
    let paused = again.apply(Transition::Tick, NOW.plus(DEADLINE * 2)).unwrap().job;
    let JobState::Paused { why, .. } = &paused.state else { panic!("{}", state(&paused)) };
    assert!(why.contains("got 1 of at least 2") && why.contains("eosfed job resume"), "{why}");
    let west = AssignmentId { job: paused.id.clone(), round: 1, attempt: 2, institution: name("west") };
    assert_eq!(paused.accept(&west, token(1), NOW).unwrap_err().reason, Reason::JobPaused);
    let resumed = paused.apply(Transition::Resume(name("admin")), NOW).unwrap().job;
    assert_eq!((state(&resumed), resumed.current().unwrap().last_attempt), ("running", 4));
    assert_eq!(state(&submitted(&resumed, "east", 2).job), "aggregating");
}

#[test]
fn a_round_that_cannot_succeed_does_not_wait_for_its_deadline() {
    let job = training();
    let refusal = Refusal::new(Reason::Policy, "not at night");
    let (outcome, ()) = job.refuse(&offered(&job, "west").id, refusal.clone(), NOW).unwrap();
    assert_eq!(outcome.job.current().unwrap().attempt, 2);
    let slot = &outcome.closed[0].round.participants[&name("west")].state;
    assert_eq!(*slot, ParticipantState::Refused { at: NOW, refusal });
}

#[test]
fn failures_are_recorded_and_a_lost_answer_does_no_harm() {
    let (job, assignment) = accepted(&job(ONE_SHOT), "west", 1);
    let report = |job: &Job| job.report_failure(&assignment.id, &token(1), "no GPU memory".to_owned(), NOW);
    let failed = report(&job).unwrap().0.job;
    assert_eq!(report(&failed).unwrap().0.job, failed);
}

#[test]
fn a_failed_task_pauses_the_job_which_resumes_at_the_same_step() {
    let full = submitted(&submitted(&training(), "west", 1).job, "east", 2).job;
    let paused = full.apply(Transition::TaskFailed("no space left".to_owned()), NOW).unwrap().job;
    assert_eq!((state(&paused), paused.task()), ("paused", None));
    let resumed = paused.apply(Transition::Resume(name("admin")), NOW).unwrap().job;
    assert_eq!(resumed.task(), full.task());
}

#[test]
fn cancelled_jobs_accept_nothing() {
    let (job, assignment) = accepted(&training(), "west", 1);
    let cancelled = job.apply(Transition::Cancel(name("admin")), NOW).unwrap().job;
    let beat = cancelled.heartbeat(&assignment.id, &token(1), &Progress::default(), NOW).unwrap_err();
    assert_eq!(beat.reason, Reason::JobEnded);
    for transition in [
        Transition::Cancel(name("admin")),
        Transition::Resume(name("admin")),
        Transition::Prepared(blob("x")),
    ] {
        assert_eq!(cancelled.apply(transition, NOW).unwrap_err().reason, Reason::WrongState);
    }
}

#[test]
fn a_heartbeat_changes_nothing_that_is_stored_unless_it_ends_the_round() {
    let (job, assignment) = accepted(&training(), "west", 1);
    let point = |step| CurvePoint { step, loss: Finite::literal(0.5), metrics: Default::default() };
    let progress = Progress { step: 7, steps: 70, points: vec![point(3), point(7)] };
    let (outcome, _) = job.heartbeat(&assignment.id, &token(1), &progress, NOW.plus(LEASE / 2)).unwrap();
    assert_eq!((&outcome.events, &outcome.closed), (&vec![], &vec![]));
    let west = &outcome.job.current().unwrap().participants[&name("west")].state;
    let ParticipantState::Leased { step: 7, steps: 70, loss: Some(loss), .. } = west else {
        panic!("{west:?}")
    };
    assert_eq!(*loss, 0.5);
    assert_ne!(outcome.job, job);
    assert_eq!(outcome.job.without_progress(), job.without_progress());
    // After the deadline, this heartbeat closes the round.
    let (late, _) = outcome.job.heartbeat(&assignment.id, &token(1), &progress, NOW.plus(DEADLINE)).unwrap();
    let kinds: Vec<_> = late.events.iter().map(|entry| entry.kind.name().to_owned()).collect();
    assert_eq!((kinds, late.closed.len()), (vec!["round_closed".to_owned(), "round_opened".to_owned()], 1));
}

#[test]
fn each_transition_has_an_event_with_its_actor() {
    let said = |outcome: &Outcome| -> Vec<String> {
        let line = |entry: &Entry| format!("{} {}", entry.actor, entry.kind.name());
        outcome.events.iter().map(line).collect()
    };
    let (job, assignment) = accepted(&training(), "west", 1);
    let again = job.accept(&assignment.id, token(2), NOW).unwrap().0;
    assert_eq!(said(&again), Vec::<String>::new(), "accepting again makes no event");
    let east = submitted(&job, "east", 2);
    assert_eq!(said(&east), ["institution:east update_submitted"]);
    let operators = [
        (Transition::Pause(name("anna")), "operator:anna job_paused"),
        (Transition::Cancel(name("admin")), "operator:admin job_cancelled"),
    ];
    for (transition, wanted) in operators {
        assert_eq!(said(&job.apply(transition, NOW).unwrap())[0], wanted);
    }
    let silent = job.apply(Transition::Tick, NOW.plus(LEASE)).unwrap();
    assert_eq!(said(&silent), ["coordinator lease_expired"]);
    let full = submitted(&submitted(&training(), "west", 1).job, "east", 2);
    assert_eq!(said(&full), ["institution:east update_submitted", "coordinator aggregation_started"]);
    let next = full.job.apply(Transition::Aggregated(1, blob("mean"), None), NOW).unwrap();
    let coordinator = ["round_aggregated", "round_closed", "round_opened"];
    assert_eq!(said(&next), coordinator.map(|kind| format!("coordinator {kind}")));
    assert!(next.events.iter().all(|entry| entry.job.as_ref() == Some(&job.id)));
}

#[test]
fn stored_jobs_read_back_unchanged() {
    for job in [job(ONE_SHOT), training(), submitted(&training(), "west", 1).job] {
        // Closed rounds are separate records.
        let job = Job { closed: Arc::default(), ..job };
        let store = MemoryStore::default();
        ready(store.commit(&Change { jobs: vec![job.clone()], ..Change::default() }, &[])).unwrap();
        assert_eq!(ready(store.load()).unwrap().federation.jobs[&job.id], job);
    }
}

/// A federation that has released the specialists of the one-shot job.
fn released() -> Federation {
    let mut federation = federation();
    let outcome = finished_one_shot(&federation);
    let change = federation.settle(outcome, NOW).unwrap();
    federation.merge(change);
    federation
}

#[test]
fn a_downstream_job_trains_a_head_over_the_release_at_its_submission() {
    let mut federation = released();
    let (_, change) = submit(&federation, DOWNSTREAM);
    federation.merge(change.clone());
    let job = &change.jobs[0];
    let reference = job.head.clone().unwrap();
    let [document] = &change.documents[..] else { panic!("one document") };
    assert_eq!(reference.document, BlobRef::of(document));
    let over = HeadOver::from_bytes(document).unwrap();
    assert_eq!((reference.release, &reference.signature), (over.release.number, &over.head.signature()));
    let (names, sources): (Vec<_>, Vec<_>) =
        over.head.encoders.iter().map(|one| (one.name.as_str(), one.sources.concat())).unzip();
    assert_eq!(names, ["east-nir", "west-rgb"]);
    assert_eq!(sources, [vec!["nir", "swir"], vec!["red"]]);
    let Some(Task::Prepare(first)) = job.task() else { panic!("{:?}", job.task()) };
    let Preparation { target: training_target, seed: 7, start: None } = *first else { panic!("{first:?}") };
    let signature = training_target.signature();
    assert!(signature.0.contains_key(HeadFile::SELECTION) && !signature.0.contains_key("stem.0.weight"));

    let document = reference.document.digest;
    assert!(
        federation.may_download(&name("west"), &document)
            && !federation.may_download(&name("south"), &document)
    );
    assert!(federation.needed().contains(&document));
    let job = job.apply(Transition::Prepared(blob("initial")), NOW).unwrap().job;
    let assignment = offered(&job, "west");
    assert_eq!(assignment.training_target, Target::Head(reference.clone()));
    assert!(matches!(&assignment.work, Work::Training(work) if work.normalisation.is_none()));
    let full = submitted(&submitted(&job, "west", 1).job, "east", 2).job;
    let done = full.apply(Transition::Aggregated(0, blob("mean"), None), NOW).unwrap();
    assert_eq!((state(&done.job), done.frozen.len()), ("finished", 0));
    let trained = done.job.trained.clone().unwrap();
    assert_eq!((trained.weights, trained.report.samples, trained.rounds), (blob("mean"), 28, 1));
    assert_eq!(trained.institutions, [name("east"), name("west")]);

    let change = federation.settle(done, NOW).unwrap();
    assert!(change.specialists.is_empty() && change.releases.is_empty(), "it makes no specialist");
    federation.merge(change);
    assert!(federation.published_blobs().any(|known| known == blob("mean")));
    assert!(federation.needed().contains(&blob("mean").digest));
    assert!(!federation.may_download(&name("west"), &blob("mean").digest));
    assert!(federation.published_blobs().any(|known| known == reference.document));
    assert!(!federation.may_download(&name("west"), &reference.document.digest), "the job has ended");
}

#[test]
fn a_head_knows_the_imagery_that_all_institutions_share() {
    let mut federation = released();
    let (_, change) = submit(&federation, DOWNSTREAM);
    federation.merge(change.clone());
    let job = change.jobs[0].apply(Transition::Prepared(blob("initial")), NOW).unwrap().job;
    let trained = |tiles: [u32; 2]| {
        let mut job = job.clone();
        for (seed, (institution, tile)) in (1..).zip(["west", "east"].into_iter().zip(tiles)) {
            let folder = tempfile::tempdir().unwrap();
            let (next, assignment) = accepted(&job, institution, seed);
            let (path, blob) = weights(folder.path(), &assignment, seed);
            let mut update = update(&assignment, &token(seed), blob);
            update.report.imagery = Imagery { tile: Some([tile; 2]), ground_sampling_distance: Some(10.0) };
            job = next.submit_update(screened(update, &assignment, &path), NOW).unwrap().0.job;
        }
        let done = job.apply(Transition::Aggregated(0, blob("mean"), None), NOW).unwrap().job;
        done.trained.as_ref().unwrap().report.imagery
    };
    let same = trained([64, 64]);
    assert_eq!((same.tile, same.ground_sampling_distance), (Some([64, 64]), Some(10.0)));
    assert_eq!(trained([64, 32]).tile, None, "`predict` asks for a window");
}

#[test]
fn an_impossible_head_is_refused_when_the_job_is_submitted() {
    let refusal = |federation: &Federation, from: &str, to: &str| {
        let plan = DOWNSTREAM.replace(from, to);
        assert_ne!(plan, DOWNSTREAM);
        try_submit(federation, &plan).unwrap_err()
    };
    let federation = released();
    for (from, to, reason, word) in [
        ("[head]", "[head]\nrelease = 9", Reason::NotFound, "release 9"),
        ("[head]", "[head]\nspecialists = [\"nobody\"]", Reason::NotFound, "east-nir, west-rgb"),
        ("\"swir\"]", "\"blue\"]", Reason::Malformed, "swir"),
        ("k = 1", "k = 3", Reason::Malformed, "`head.composition`"),
        ("[head]", "[head]\nmethod = \"router\"", Reason::Malformed, "same task and classes"),
    ] {
        let found = refusal(&federation, from, to);
        assert!(found.reason == reason && found.message.contains(word), "{to}: {found}");
    }
    let none = try_submit(&self::federation(), DOWNSTREAM).unwrap_err();
    assert!(none.message.contains("no release yet"), "{none}");
}
