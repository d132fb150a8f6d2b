//! `kind = "one-shot"`.

use std::collections::BTreeSet;

use super::licence;
use crate::model::MAX_BANDS;
use crate::plan::raw::{RawPlan, RawSpecialist};
use crate::plan::report::Report;
use crate::plan::rules::words::words;
use crate::plan::rules::{admission, network, normalisation, participation, training};
use crate::plan::{OneShotSpec, OneShotSpecialist};

/// Most specialists in a job.
const MAX_SPECIALISTS: usize = 1000;

pub(super) fn convert(raw: RawPlan, report: &mut Report) -> Option<OneShotSpec> {
    let RawPlan {
        version: _,
        name,
        kind: _,
        seed,
        licence: licence_text,
        release,
        model,
        specialists: raw_specialists,
        head,
        evaluation,
        statistics,
        participation: raw_participation,
        rounds,
        admission,
        normalisation,
        training,
    } = raw;
    let licence = licence(licence_text, report);
    let network = network::network(model, report);
    report.absent("head", head.as_ref(), "in a one-shot job");
    report.absent("evaluation", evaluation.as_ref(), "in a one-shot job");
    report.absent("statistics", statistics.as_ref(), "in a one-shot job");
    let bands: Vec<String> = raw_specialists.iter().flat_map(|one| one.bands.clone()).collect();
    let count = raw_specialists.len();
    let specialists = specialists(raw_specialists, report);
    let asked = Some((count, "specialists"));
    let rule = "absent in a one-shot job, where each specialist names its institution";
    let named = &raw_participation.institutions;
    report.rule(named.is_empty(), "participation.institutions", rule, named.len());
    let participation = participation::participation(&raw_participation, asked, report);
    let attempts = participation::attempts(&raw_participation, report);
    report.absent("rounds", rounds.as_ref(), "in a one-shot job");
    let admission = admission::one_shot(admission, report);
    let normalisation = normalisation::one_shot(normalisation, &bands, report);
    let task = network.as_ref().map(|network| network.output.task);
    let training = training::training(training, task, report);
    Some(OneShotSpec {
        name,
        seed: seed.unwrap_or_default(),
        licence,
        release: release.unwrap_or_default(),
        network: network?,
        specialists: specialists?,
        participation,
        attempts,
        admission,
        normalisation: normalisation?,
        training: training?,
    })
}

fn specialists(raw: Vec<RawSpecialist>, report: &mut Report) -> Option<Vec<OneShotSpecialist>> {
    report.range("specialist (number of entries)", 1..=MAX_SPECIALISTS, raw.len());
    let mut names = BTreeSet::new();
    let mut institutions = BTreeSet::new();
    let mut specialists = Vec::new();
    for (index, RawSpecialist { name, institution, bands, start_from }) in raw.into_iter().enumerate() {
        let key = |field: &str| format!("specialist[{index}].{field}");
        report.rule(names.insert(name.clone()), key("name"), "used once", &name);
        words(key("bands"), &bands, &(1..=MAX_BANDS), report);
        let institution = report.given(key("institution"), institution, "in a one-shot job");
        if let Some(institution) = &institution {
            let is_new = institutions.insert(institution.clone());
            report.rule(is_new, key("institution"), "used once", institution);
        }
        let specialist = |institution| OneShotSpecialist { name, institution, bands, start_from };
        specialists.push(institution.map(specialist));
    }
    specialists.into_iter().collect()
}
