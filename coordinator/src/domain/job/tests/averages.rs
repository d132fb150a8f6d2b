//! The scores of the average that a round starts from.

use std::collections::BTreeMap;

use eosfed_aggregation::WeightsReader;
use eosfed_testkit::plans::Plan;

use super::*;
use crate::domain::totals::totals;

fn scores(entries: &[(&str, f64)]) -> BTreeMap<String, Finite> {
    entries.iter().map(|(name, value)| ((*name).to_owned(), Finite::literal(*value))).collect()
}

/// An update that tells these scores of the weights that it started from, as admission sees it.
fn screen(
    assignment: &Assignment<Target>,
    seed: u64,
    start_metrics: BTreeMap<String, Finite>,
) -> Result<ScreenedUpdate, Refusal> {
    let folder = tempfile::tempdir().unwrap();
    let (path, blob) = weights(folder.path(), assignment, seed);
    let update = UpdateSubmission { start_metrics, ..update(assignment, &token(seed), blob) };
    let target = &assignment.training_target;
    let (_, verified) = WeightsReader::check(&path, &target.signature()).unwrap();
    ScreenedUpdate::screen(update, UpdateRules::default(), target, verified, 1.0)
}

fn telling_start(job: &Job, institution: &str, seed: u64, entries: &[(&str, f64)]) -> Job {
    let (job, assignment) = accepted(job, institution, seed);
    let update = screen(&assignment, seed, scores(entries)).unwrap();
    job.submit_update(update, NOW).unwrap().0.job
}

/// The job after its first round of training, in which west told scores of the first weights.
fn second_round() -> Job {
    let first = telling_start(&training(), "west", 1, &[("accuracy", 0.25)]);
    assert!(totals(first.open_round().unwrap()).start_metrics.is_empty(), "nothing was averaged before");
    let full = submitted(&first, "east", 2).job;
    full.apply(Transition::Aggregated(1, blob("mean"), None), NOW).unwrap().job
}

#[test]
fn what_institutions_score_of_the_average_is_combined_by_their_samples() {
    let second = second_round();
    let west = telling_start(&second, "west", 3, &[("accuracy", 0.5), ("miou", 0.5)]);
    let round = west.open_round().unwrap();
    assert_eq!(totals(round).start_metrics, scores(&[("accuracy", 0.5), ("miou", 0.5)]));
    let both = telling_start(&west, "east", 4, &[("accuracy", 0.75)]);
    // Both have the same number of samples, and only west has told the other score.
    let combined = totals(both.current().unwrap()).start_metrics;
    assert_eq!(combined, scores(&[("accuracy", 0.625), ("miou", 0.5)]));
}

#[test]
fn institutions_of_before_tell_nothing_and_are_no_error() {
    let west = submitted(&second_round(), "west", 3).job;
    let round = west.open_round().unwrap();
    assert!(totals(round).start_metrics.is_empty());
    // A record of before reads as it was written.
    let record = serde_json::to_string(round).unwrap();
    assert!(!record.contains("start_metrics"), "{record}");
    assert_eq!(serde_json::from_str::<Round>(&record).unwrap(), *round);
}

#[test]
fn scores_out_of_their_range_and_of_single_classes_are_refused() {
    let assignment = offered(&second_round(), "west");
    for (name, value, rule) in [
        ("accuracy", 1.5, "must be between 0.0 and 1.0"),
        ("miou", -0.25, "must be between 0.0 and 1.0"),
        ("rmse", 1e31, "must be between"),
        ("recall", 0.5, "is unknown"),
        ("iou/water", 0.5, "no metrics of single classes"),
    ] {
        let refused = screen(&assignment, 3, scores(&[(name, value)])).unwrap_err();
        assert_eq!(refused.reason, Reason::Malformed);
        let said = &refused.message;
        assert!(said.contains("`start_metrics`") && said.contains(rule) && said.contains(name), "{said}");
    }
    screen(&assignment, 3, scores(&[("accuracy", 0.0), ("r2", -3.0)])).unwrap();
}

#[test]
fn late_work_of_an_asynchronous_round_says_nothing_of_the_average_of_this_one() {
    let plan = Plan::new(ROUNDS).participants(1, 1).rounds(3, "{ name = \"fed-avg\" }");
    let job = job(&plan.set("rounds.asynchronous.max_staleness", 3).text());
    let job = job.apply(Transition::Prepared(blob("initial")), NOW).unwrap().job;
    let assignment = offered(&job, "west");
    let (after, lease) = job.accept(&assignment.id, token(1), NOW).unwrap();
    let first = after.job.submit_statistics(statistics(&assignment, &lease.token), NOW).unwrap().0.job;
    let (first, late) = accepted(&first, "east", 5);
    let full = submitted(&first, "west", 1).job;
    let second = full.apply(Transition::Aggregated(1, blob("mean"), None), NOW).unwrap().job;
    let update = screen(&late, 5, scores(&[("accuracy", 0.5)])).unwrap();
    let full = second.submit_update(update, NOW).unwrap().0.job;
    let round = full.current().unwrap();
    assert_eq!((round.index, late.id.round, round.submitted()), (2, 1, 1));
    assert!(totals(round).start_metrics.is_empty(), "{round:?}");
}
