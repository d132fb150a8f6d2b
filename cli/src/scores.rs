//! The scores of an evaluation job: each specialist on the imagery of each institution.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use eosfed_common::ids::InstitutionName;
use eosfed_common::metric::main_of;
use eosfed_common::view::{ParticipantState, ParticipantView, RoundKind, RoundView, WholeJob};
use eosfed_plot::heat_map;

use super::print;

/// The rounds of an evaluation, each with its specialist.
fn rounds(whole: &WholeJob) -> Vec<(&str, &RoundView)> {
    let about = |round: &RoundView| match round.kind {
        RoundKind::Evaluate(index) => whole.job.candidates.get(index as usize),
        RoundKind::Statistics | RoundKind::OneShot | RoundKind::Train(_) => None,
    };
    whole.rounds().filter_map(|round| Some((about(round)?.as_str(), round))).collect()
}

fn institutions(whole: &WholeJob) -> Vec<&InstitutionName> {
    let asked = rounds(whole).into_iter().flat_map(|(_, round)| round.participants.keys());
    asked.collect::<BTreeSet<_>>().into_iter().collect()
}

/// A table with a line for each specialist and a column for each institution. Nothing for other jobs.
pub(super) fn matrix(whole: &WholeJob) -> Option<print::Sheet> {
    let rounds = rounds(whole);
    let institutions = institutions(whole);
    if rounds.is_empty() {
        return None;
    }
    let mut titles = vec!["scores of"];
    titles.extend(institutions.iter().map(|name| name.as_str()));
    let mut table = print::table(&titles);
    let cell = |one: &ParticipantView| match one.state {
        ParticipantState::Submitted => print::scores(&one.metrics, one.scoring.as_ref()),
        other => other.to_string(),
    };
    for (candidate, round) in rounds {
        let at = |name: &&InstitutionName| round.participants.get(*name).map_or_else(|| "–".to_owned(), cell);
        let mut row = vec![candidate.to_owned()];
        row.extend(institutions.iter().map(at));
        table.add_row(row);
    }
    Some(table)
}

/// Draws the matrix of the main metric as a heat map.
pub(super) fn plot(whole: &WholeJob, path: &Path) -> anyhow::Result<()> {
    let rounds = rounds(whole);
    let institutions = institutions(whole);
    let told = rounds.iter().flat_map(|(_, round)| round.participants.values());
    let metric = told.into_iter().find_map(|one| main_of(&one.metrics));
    let metric = metric.with_context(|| format!("job {} has no scores to draw yet", whole.job.id))?;
    let value = |round: &RoundView, name: &InstitutionName| {
        round.participants.get(name).and_then(|one| one.metrics.get(metric)).map(|value| value.get())
    };
    let values: Vec<Vec<_>> = rounds
        .iter()
        .map(|(_, round)| institutions.iter().map(|name| value(round, name)).collect())
        .collect();
    let rows: Vec<_> = rounds.iter().map(|(candidate, _)| (*candidate).to_owned()).collect();
    let columns: Vec<_> = institutions.iter().map(ToString::to_string).collect();
    let title = format!("{} ({}): {metric}", whole.job.spec.name(), whole.job.id);
    Ok(heat_map(path, &title, &rows, &columns, &values)?)
}
