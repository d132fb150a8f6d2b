//! Training curves of a job as a picture.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use eosfed_common::plan::{JobKind, JobSpec};
use eosfed_common::view::WholeJob;
use eosfed_plot::{Across, Emphasis, Panel, Series, line_chart};

use super::curves::curves;
use super::document::{CurvesAcross, DrawnCurves, DrawnPoint, InstitutionCurve, RoundMean};
use super::print::{self, Sheet};
use super::scores;

/// The line of the mean of the scores before the weights of a round are averaged.
const OF_OWN_WEIGHTS: &str = "each institution's own weights, mean";
/// The line of the scores after that. It says why it ends before the other.
const OF_AVERAGE: &str = "the average of their weights, scored in the next round";

/// Draws the training loss and the validation scores of each institution, round after round, and gives the numbers. For
/// an evaluation, it draws the scores.
pub(super) fn plot(whole: &WholeJob, path: &Path) -> anyhow::Result<Option<DrawnCurves>> {
    let job = &whole.job;
    if job.spec.kind() == JobKind::Evaluation {
        scores::plot(whole, path)?;
        return Ok(None);
    }
    let curves = curves(whole);
    let title = format!("{} ({})", job.spec.name(), job.id);
    let across = match curves.across {
        CurvesAcross::Rounds => Across {
            name: "rounds; at each whole number, the updates of that round are aggregated",
            whole: true,
        },
        CurvesAcross::Steps => Across { name: "optimiser steps", whole: false },
    };
    line_chart(path, &title, across, &panels(&curves, &job.spec))
        .with_context(|| format!("job {} has no curves to draw yet", job.id))?;
    Ok(Some(curves))
}

/// What a reader of the picture has to know.
pub(super) fn note(curves: &DrawnCurves) -> &'static str {
    match (&curves.metric, curves.across) {
        (Some(_), CurvesAcross::Rounds) if !curves.mean_after_aggregation.is_empty() => {
            "scores are of each institution's own validation part: of the weights that it has trained itself, and of the \
             average of the weights, which it scores as the next round begins, so that the last complete round has no score \
             of its average; a faint line leads over an aggregation to the first epoch after it"
        }
        (None, _) => {
            "no institution has told scores of its validation part after its epochs, so the chart has the training loss only"
        }
        (Some(_), CurvesAcross::Steps) => {
            "scores are of each institution's own validation part, after each epoch"
        }
        (Some(_), CurvesAcross::Rounds) => {
            "scores are of each institution's own validation part, of the weights that it has trained itself; no average has \
             a score yet: institutions score it as the next round begins, if their version does so, their policy has \
             `metrics` in `may_leave` and the plan does not have `training.score_average = false`; a faint line leads over \
             an aggregation to the first epoch after it"
        }
    }
}

/// The means of each round, before and after its updates were averaged; nothing where no average was scored.
pub(super) fn averages(curves: &DrawnCurves) -> Option<Sheet> {
    let after = &curves.mean_after_aggregation;
    let rounds: BTreeSet<u64> =
        curves.mean_before_aggregation.iter().chain(after).map(|mean| mean.round).collect();
    let metric = curves.metric.as_ref().filter(|_| !after.is_empty())?;
    let titles = ["of own weights", "of their average"].map(|of| format!("{metric} {of} (institutions)"));
    let mut sheet = print::table(&["round", &titles[0], &titles[1]]);
    let cell = |means: &[RoundMean], round: u64| match means.iter().find(|mean| mean.round == round) {
        Some(RoundMean { institutions, value, .. }) => format!("{value:.3} ({institutions})"),
        None => "–".to_owned(),
    };
    for round in rounds {
        let row = [round.to_string(), cell(&curves.mean_before_aggregation, round), cell(after, round)];
        sheet.add_row(row);
    }
    Some(sheet)
}

fn panels(curves: &DrawnCurves, spec: &JobSpec) -> Vec<Panel> {
    let lines = |curves_of: &[InstitutionCurve]| -> Vec<Series> {
        curves_of.iter().map(|one| series(one, curves.across)).collect()
    };
    let mut panels = vec![Panel { y: "training loss".to_owned(), series: lines(&curves.loss) }];
    let Some(metric) = &curves.metric else { return panels };
    let mut series = lines(&curves.validation);
    let several = series.len() > 1;
    // First, so that they are in the legend however many institutions there are.
    let means = [
        (OF_AVERAGE, Emphasis::Black, &curves.mean_after_aggregation, true),
        (OF_OWN_WEIGHTS, Emphasis::Grey, &curves.mean_before_aggregation, several),
    ];
    for (name, emphasis, means, drawn) in means {
        if drawn && !means.is_empty() {
            let points = means.iter().map(|mean| (mean.round as f64, mean.value.get())).collect();
            series.insert(0, Series { emphasis, ..Series::line(name, points) });
        }
    }
    panels.push(Panel { y: format!("{}, own validation part", spec.quantity(metric)), series });
    panels
}

/// The line of an institution: a piece for each round, since each round starts from other weights than those with which
/// the institution has ended the one before.
fn series(curve: &InstitutionCurve, across: CurvesAcross) -> Series {
    let pieces = curve.rounds.iter().map(|part| {
        let place = |point: &DrawnPoint| match across {
            CurvesAcross::Rounds => (part.round - 1) as f64 + point.step as f64 / part.steps as f64,
            CurvesAcross::Steps => point.step as f64,
        };
        part.points.iter().map(|point| (place(point), point.value.get())).collect()
    });
    Series { name: curve.institution.to_string(), pieces: pieces.collect(), emphasis: Emphasis::No }
}

#[cfg(test)]
mod tests {
    use eosfed_common::finite::Finite;
    use eosfed_testkit::plans::{Plan, ROUNDS};

    use super::super::curves::tests::{averaged, three_rounds};
    use super::*;

    #[test]
    fn each_round_is_a_piece_that_ends_where_it_is_aggregated() {
        let whole = three_rounds();
        let curves = curves(&whole);
        let panels = panels(&curves, &whole.job.spec);
        let [loss, validation] = &panels[..] else { panic!("{panels:?}") };
        assert_eq!((loss.y.as_str(), validation.y.as_str()), ("training loss", "miou, own validation part"));
        let names: Vec<_> = validation.series.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, [OF_OWN_WEIGHTS, "east", "north", "west"]);
        assert_eq!(validation.series[3].pieces, [vec![(1.5, 0.3), (2.0, 0.4)], vec![(2.5, 0.55)]]);
        assert_eq!(loss.series[2].pieces, [vec![(1.5, 1.0), (2.0, 0.8)], vec![(2.5, 0.7)]]);
        let [mean] = &validation.series[0].pieces[0][..] else { panic!("{validation:?}") };
        assert!(mean.0 == 2.0 && validation.series[0].emphasis == Emphasis::Grey);
        assert!(note(&curves).contains("no average has a score yet"));
        assert!(averages(&curves).is_none(), "there is nothing to compare");
    }

    #[test]
    fn the_average_stands_beside_the_weights_that_it_was_made_of() {
        let whole = averaged();
        let curves = curves(&whole);
        let validation = &panels(&curves, &whole.job.spec)[1];
        let means: Vec<_> = validation.series[..2]
            .iter()
            .map(|line| (line.name.as_str(), line.emphasis, line.pieces[0][0]))
            .collect();
        let [own, average] = &means[..] else { panic!("{means:?}") };
        assert_eq!((own.0, own.1, own.2.0), (OF_OWN_WEIGHTS, Emphasis::Grey, 2.0));
        assert_eq!((average.0, average.1, average.2.0), (OF_AVERAGE, Emphasis::Black, 2.0));
        assert!(own.2.1 < average.2.1, "{means:?}");
        let last = |at: usize| validation.series[at].pieces[0].last().unwrap().0;
        assert_eq!((last(0), last(1)), (3.0, 2.0), "the last average has no score");
        assert!(OF_AVERAGE.contains("scored in the next round"), "and the legend says why");
        assert!(note(&curves).contains("the last complete round has no score of its average"));
        let sheet = averages(&curves).unwrap().to_string();
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let rows: Vec<_> = sheet
            .lines()
            .map(words)
            .filter(|row| row.first().is_some_and(|first| first.parse::<u32>().is_ok()))
            .collect();
        assert_eq!(rows[0], ["2", "0.450", "(2)", "0.600", "(2)"], "{sheet}");
        assert_eq!(rows[1], ["3", "0.700", "(3)", "–"], "{sheet}");
    }

    #[test]
    fn one_institution_has_an_average_and_no_mean() {
        let mut whole = averaged();
        for round in &mut whole.history {
            round.participants.retain(|name, _| name.as_str() == "west");
        }
        let panels = panels(&curves(&whole), &whole.job.spec);
        let names: Vec<_> = panels[1].series.iter().map(|line| line.name.clone()).collect();
        assert_eq!(names, [OF_AVERAGE, "west"]);
    }

    #[test]
    fn errors_have_the_unit_of_the_target() {
        let mut whole = three_rounds();
        let target = "{ scale = 5.0, unit = \"m\" }";
        let plan = Plan::new(ROUNDS).set("model.task", "regression").set("model.classes", vec!["height"]);
        whole.job.spec = plan.set_toml("model.target", target).spec();
        for round in whole.history.iter_mut().chain(&mut whole.current) {
            let points = round.participants.values_mut().flat_map(|one| &mut one.curve);
            points.for_each(|point| point.metrics = [("rmse".to_owned(), Finite::literal(2.5))].into());
        }
        let panels = panels(&curves(&whole), &whole.job.spec);
        assert_eq!(panels[1].y, "rmse (m), own validation part");
    }

    #[test]
    fn the_picture_is_written_and_a_job_without_curves_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curves.png");
        let whole = three_rounds();
        assert!(plot(&whole, &path).unwrap().is_some());
        assert_eq!(&std::fs::read(&path).unwrap()[1..4], b"PNG");
        let empty = WholeJob { current: None, history: Vec::new(), ..whole };
        let said = plot(&empty, &path).unwrap_err().to_string();
        assert!(said.contains("has no curves to draw yet"), "{said}");
    }
}
