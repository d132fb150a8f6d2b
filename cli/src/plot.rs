//! Training curves of a job as a picture.

use std::path::Path;

use anyhow::Context as _;
use eosfed_common::plan::JobKind;
use eosfed_common::view::WholeJob;
use eosfed_plot::{Across, Panel, Series, line_chart};

use super::curves::curves;
use super::document::{CurvesAcross, DrawnCurves, DrawnPoint, InstitutionCurve};
use super::scores;

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
    line_chart(path, &title, across, &panels(&curves))
        .with_context(|| format!("job {} has no curves to draw yet", job.id))?;
    Ok(Some(curves))
}

/// What a reader of the picture has to know.
pub(super) fn note(curves: &DrawnCurves) -> &'static str {
    match (&curves.metric, curves.across) {
        (None, _) => {
            "no institution has told scores of its validation part after its epochs, so the chart has the training loss only"
        }
        (Some(_), CurvesAcross::Steps) => {
            "scores are of each institution's own validation part, after each epoch"
        }
        (Some(_), CurvesAcross::Rounds) => {
            "scores are of each institution's own validation part, of the weights that it has trained itself; a faint line \
             leads over an aggregation to the first epoch after it"
        }
    }
}

fn panels(curves: &DrawnCurves) -> Vec<Panel> {
    let lines = |curves_of: &[InstitutionCurve]| -> Vec<Series> {
        curves_of.iter().map(|one| series(one, curves.across)).collect()
    };
    let mut panels = vec![Panel { y: "training loss".to_owned(), series: lines(&curves.loss) }];
    let Some(metric) = &curves.metric else { return panels };
    let mut series = lines(&curves.validation);
    if series.len() > 1 && !curves.mean_before_aggregation.is_empty() {
        let means = curves.mean_before_aggregation.iter();
        let points = means.map(|mean| (mean.round as f64, mean.value.get())).collect();
        // First, so that it is in the legend however many institutions there are.
        series.insert(0, Series { strong: true, ..Series::line("mean before aggregation", points) });
    }
    panels.push(Panel { y: format!("{metric}, own validation part"), series });
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
    Series { name: curve.institution.to_string(), pieces: pieces.collect(), strong: false }
}

#[cfg(test)]
mod tests {
    use super::super::curves::tests::three_rounds;
    use super::*;

    #[test]
    fn each_round_is_a_piece_that_ends_where_it_is_aggregated() {
        let curves = curves(&three_rounds());
        let panels = panels(&curves);
        let [loss, validation] = &panels[..] else { panic!("{panels:?}") };
        assert_eq!((loss.y.as_str(), validation.y.as_str()), ("training loss", "miou, own validation part"));
        let names: Vec<_> = validation.series.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["mean before aggregation", "east", "north", "west"]);
        assert_eq!(validation.series[3].pieces, [vec![(1.5, 0.3), (2.0, 0.4)], vec![(2.5, 0.55)]]);
        assert_eq!(loss.series[2].pieces, [vec![(1.5, 1.0), (2.0, 0.8)], vec![(2.5, 0.7)]]);
        let [mean] = &validation.series[0].pieces[0][..] else { panic!("{validation:?}") };
        assert!(mean.0 == 2.0 && validation.series[0].strong);
        assert!(note(&curves).contains("faint line"));
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
