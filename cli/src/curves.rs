//! The curves of a job: the training loss and the scores of each institution, round by round.

use std::collections::BTreeMap;

use eosfed_common::assignment::CurvePoint;
use eosfed_common::finite::Finite;
use eosfed_common::ids::InstitutionName;
use eosfed_common::metric::main_of;
use eosfed_common::view::{ParticipantState, ParticipantView, RoundKind, RoundPhase, RoundView, WholeJob};

use super::document::{CurveInRound, CurvesAcross, DrawnCurves, DrawnPoint, InstitutionCurve, RoundMean};

/// The curves of the complete rounds of a job and of its open one.
pub(super) fn curves(whole: &WholeJob) -> DrawnCurves {
    let complete = whole.history.iter().filter(|round| round.phase == RoundPhase::Complete);
    let rounds: Vec<&RoundView> = complete.chain(&whole.current).collect();
    let in_rounds = rounds.iter().any(|round| matches!(round.kind, RoundKind::Train(_)));
    let participants = rounds.iter().flat_map(|round| round.participants.values());
    let metric = participants.flat_map(|one| &one.curve).find_map(|point| main_of(&point.metrics));
    let score = |point: &CurvePoint| point.metrics.get(metric?).copied();
    let trained = rounds.iter().filter(|round| matches!(round.kind, RoundKind::Train(_)));
    let means = |mean: &dyn Fn(&RoundView) -> Option<RoundMean>| {
        trained.clone().filter_map(|round| mean(round)).collect()
    };
    DrawnCurves {
        across: if in_rounds { CurvesAcross::Rounds } else { CurvesAcross::Steps },
        metric: metric.map(str::to_owned),
        loss: of_each(&rounds, |point| Some(point.loss)),
        validation: of_each(&rounds, score),
        mean_before_aggregation: means(&|round| before(round, score)),
        mean_after_aggregation: means(&|round| after(round, metric?)),
    }
}

/// The number of a round as people see it.
fn number(round: &RoundView) -> u64 {
    u64::from(round.index) + 1
}

/// The curve of each institution that has points.
fn of_each(rounds: &[&RoundView], value: impl Fn(&CurvePoint) -> Option<Finite>) -> Vec<InstitutionCurve> {
    let mut curves: BTreeMap<&InstitutionName, Vec<CurveInRound>> = BTreeMap::new();
    for round in rounds {
        for (name, one) in &round.participants {
            let point = |point: &CurvePoint| Some(DrawnPoint { step: point.step, value: value(point)? });
            let points: Vec<_> = one.curve.iter().filter_map(point).collect();
            if !points.is_empty() {
                let part = CurveInRound { round: number(round), steps: steps(one), points };
                curves.entry(name).or_default().push(part);
            }
        }
    }
    let curve =
        |(name, rounds): (&InstitutionName, _)| InstitutionCurve { institution: name.clone(), rounds };
    curves.into_iter().map(curve).collect()
}

/// The steps of an institution in a round: as it has said, or where that is not known any more as many as it has done.
fn steps(one: &ParticipantView) -> u64 {
    let done = one.curve.last().map_or(0, |point| point.step);
    one.steps.max(done).max(1)
}

/// The mean of the last scores in a round of the weights that each institution has trained itself.
fn before(round: &RoundView, score: impl Fn(&CurvePoint) -> Option<Finite>) -> Option<RoundMean> {
    mean(round, number(round), |one| score(one.curve.last()?))
}

/// The mean of the scores of the aggregate of the round before, which institutions measure as this one begins.
fn after(round: &RoundView, metric: &str) -> Option<RoundMean> {
    match round.kind {
        RoundKind::Train(1..) => {
            mean(round, u64::from(round.index), |one| one.start_metrics.get(metric).copied())
        }
        RoundKind::Train(0) | RoundKind::Statistics | RoundKind::OneShot | RoundKind::Evaluate(_) => None,
    }
}

/// The mean, for the round of this number, of what the institutions whose results count have told in a complete round,
/// weighted by their training samples.
fn mean(round: &RoundView, of: u64, value: impl Fn(&ParticipantView) -> Option<Finite>) -> Option<RoundMean> {
    if round.phase != RoundPhase::Complete {
        return None;
    }
    let counted = round.participants.values().filter(|one| one.state == ParticipantState::Submitted);
    let told: Vec<(f64, f64)> =
        counted.filter_map(|one| Some((value(one)?.get(), weight(one.samples?)))).collect();
    let sum: f64 = told.iter().map(|(value, weight)| value * weight).sum();
    let mean = Finite::new(sum / told.iter().map(|(_, weight)| weight).sum::<f64>())?;
    Some(RoundMean { round: of, institutions: told.len(), value: mean })
}

#[allow(clippy::cast_precision_loss, reason = "a weight of a mean for people")]
const fn weight(samples: u64) -> f64 {
    samples as f64
}

#[cfg(test)]
pub(super) mod tests {
    use eosfed_common::plan::JobSpec;
    use eosfed_testkit::plans::{Plan, ROUNDS};
    use serde_json::{Value, json};

    use super::*;

    fn participant(state: &str, samples: u64, curve: &Value) -> Value {
        json!({
            "state": state, "step": 0, "steps": 0, "message": null, "lease_expiries": 0, "loss": null,
            "samples": samples, "weights": null, "metrics": {}, "energy": null, "norm": null, "curve": curve,
        })
    }

    fn point(step: u64, loss: f64, miou: f64) -> Value {
        json!({ "step": step, "loss": loss, "metrics": { "accuracy": 0.9, "miou": miou, "iou/a": 0.1 } })
    }

    fn round(index: u32, phase: &str, kind: &Value, participants: &Value) -> Value {
        json!({
            "index": index, "attempt": 1, "kind": kind, "phase": phase, "opened_at": 1, "deadline": 2,
            "closed_at": null, "participants": participants,
        })
    }

    /// A job with these closed rounds and this open one.
    pub(crate) fn job(history: &[Value], current: &Value) -> WholeJob {
        let spec = JobSpec::parse(&Plan::new(ROUNDS).text()).unwrap();
        let job = json!({
            "id": "j-0a1b2c3d", "state": "running", "why": null, "origin": null, "submitted_by": "ada",
            "submitted_at": 1, "ended_at": null, "rounds": 3, "closed_rounds": 2, "normalisation": null,
            "produced": [], "release": null, "trained": null, "spec": spec, "current": current,
            "history": history,
        });
        serde_json::from_value(job).unwrap()
    }

    /// Statistics, an attempt with too few results, a complete round of two epochs, and one under way.
    pub(crate) fn three_rounds() -> WholeJob {
        let none = participant("submitted", 0, &json!([]));
        let lost = participant("submitted", 100, &json!([point(1, 9.0, 0.1)]));
        let mut west = participant("submitted", 300, &json!([point(10, 1.0, 0.3), point(20, 0.8, 0.4)]));
        // Nothing was averaged before the first round, whatever an institution tells.
        west["start_metrics"] = json!({ "miou": 0.01 });
        let east = participant("submitted", 100, &json!([point(5, 1.5, 0.5), point(10, 1.2, 0.6)]));
        let north = participant("rejected", 100, &json!([point(5, 7.0, 0.9)]));
        let mut now = participant("working", 0, &json!([point(10, 0.7, 0.55)]));
        now["steps"] = json!(20);
        let train = json!({ "train": 0 });
        let history = [
            round(0, "complete", &json!("statistics"), &json!({ "west": none })),
            round(1, "incomplete", &train, &json!({ "west": lost })),
            round(1, "complete", &train, &json!({ "west": west, "east": east, "north": north })),
        ];
        job(&history, &round(2, "training", &json!({ "train": 1 }), &json!({ "west": now })))
    }

    #[test]
    fn rounds_are_counted_from_one_and_complete_ones_have_a_mean_of_what_counts() {
        let curves = curves(&three_rounds());
        assert_eq!((curves.across, curves.metric.as_deref()), (CurvesAcross::Rounds, Some("miou")));
        let names = |list: &[InstitutionCurve]| {
            list.iter().map(|one| one.institution.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(&curves.loss), ["east", "north", "west"]);
        assert_eq!(names(&curves.validation), ["east", "north", "west"]);
        let west = &curves.validation[2].rounds;
        let shown: Vec<_> = west.iter().map(|part| (part.round, part.steps, part.points.len())).collect();
        assert_eq!(shown, [(2, 20, 2), (3, 20, 1)], "the attempt with too few results is left out");
        assert_eq!((west[0].points[1].step, west[0].points[1].value.get()), (20, 0.4));
        let [mean] = &curves.mean_before_aggregation[..] else { panic!("{curves:?}") };
        assert_eq!((mean.round, mean.institutions), (2, 2), "what was rejected does not count");
        assert!((mean.value.get() - (0.4 * 300.0 + 0.6 * 100.0) / 400.0).abs() < 1e-12, "{mean:?}");
    }

    /// The same, with the round under way completed by three institutions, of which one does not score the average.
    pub(crate) fn averaged() -> WholeJob {
        let mut whole = three_rounds();
        let of = |samples, start: Option<f64>| {
            let mut one = participant("submitted", samples, &json!([point(10, 0.7, 0.7)]));
            one["start_metrics"] =
                start.map_or_else(|| json!({}), |score| json!({ "accuracy": 0.1, "miou": score }));
            one
        };
        let mut rejected = of(900, Some(0.0));
        rejected["state"] = json!("rejected");
        let told = json!({
            "west": of(300, Some(0.5)), "east": of(100, Some(0.9)), "south": of(50, None), "north": rejected,
        });
        let closed = round(2, "complete", &json!({ "train": 1 }), &told);
        whole.history.push(serde_json::from_value(closed).unwrap());
        whole.current = None;
        whole
    }

    #[test]
    fn the_average_of_a_round_has_the_scores_with_which_the_next_one_begins() {
        let curves = curves(&averaged());
        let [after] = &curves.mean_after_aggregation[..] else { panic!("{curves:?}") };
        assert_eq!((after.round, after.institutions), (2, 2), "the last round has none");
        assert!((after.value.get() - (0.5 * 300.0 + 0.9 * 100.0) / 400.0).abs() < 1e-12, "{after:?}");
        let before: Vec<_> = curves.mean_before_aggregation.iter().map(|mean| mean.round).collect();
        assert_eq!(before, [2, 3]);
        // While the next round is open, those who have answered are too few to speak for all.
        let mut open = averaged();
        open.current = open.history.pop();
        open.current.as_mut().unwrap().phase = RoundPhase::Training;
        assert_eq!(super::curves(&open).mean_after_aggregation, []);
    }

    #[test]
    fn institutions_of_before_tell_no_scores_of_the_average() {
        assert_eq!(curves(&three_rounds()).mean_after_aggregation, []);
    }

    #[test]
    fn scores_that_nobody_has_told_are_not_made_up() {
        let silent = json!([{ "step": 4, "loss": 1.0, "metrics": {} }]);
        let train = json!({ "train": 0 });
        let told = json!({ "west": participant("submitted", 9, &silent) });
        let curves = curves(&job(&[round(0, "complete", &train, &told)], &Value::Null));
        assert_eq!((curves.metric, curves.loss.len(), curves.validation.len()), (None, 1, 0));
        assert!(curves.mean_before_aggregation.is_empty());
        // A mean over no samples is none.
        let empty = json!({ "west": participant("submitted", 0, &json!([point(1, 1.0, 0.5)])) });
        let curves = super::curves(&job(&[round(0, "complete", &train, &empty)], &Value::Null));
        assert_eq!((curves.validation.len(), curves.mean_before_aggregation.len()), (1, 0));
    }

    #[test]
    fn a_training_without_rounds_runs_over_steps_and_aggregates_nothing() {
        let one_shot = json!({ "west": participant("submitted", 9, &json!([point(1, 1.0, 0.5)])) });
        let curves = curves(&job(&[round(0, "complete", &json!("one_shot"), &one_shot)], &Value::Null));
        assert_eq!((curves.across, curves.mean_before_aggregation.len()), (CurvesAcross::Steps, 0));
        assert_eq!(curves.validation.len(), 1);
    }
}
