//! Training curves of a job as a picture.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use eosfed_common::plan::JobKind;
use eosfed_common::view::{RoundPhase, RoundView, WholeJob};
use eosfed_plot::{Series, line_chart};

use super::scores;

/// Draws the training loss of each institution over its steps, round after round. For an evaluation, it draws
/// the scores.
pub(super) fn plot(whole: &WholeJob, path: &Path) -> anyhow::Result<()> {
    let job = &whole.job;
    if job.spec.kind() == JobKind::Evaluation {
        return scores::plot(whole, path);
    }
    let complete = whole.history.iter().filter(|round| round.phase == RoundPhase::Complete);
    let rounds = complete.chain(&whole.current);
    let series = series(rounds);
    let title = format!("{} ({})", job.spec.name(), job.id);
    line_chart(path, &title, "optimiser steps", "training loss", &series)
        .with_context(|| format!("job {} has no curves to draw yet", job.id))
}

fn series<'a>(rounds: impl Iterator<Item = &'a RoundView>) -> Vec<Series> {
    let mut lines: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for round in rounds {
        for (name, one) in &round.participants {
            let line = lines.entry(name.to_string()).or_default();
            let start = line.last().map_or(0.0, |(step, _)| *step);
            line.extend(one.curve.iter().map(|point| (start + point.step as f64, point.loss.get())));
        }
    }
    lines.retain(|_, points| !points.is_empty());
    lines.into_iter().map(|(name, points)| Series { name, points }).collect()
}
