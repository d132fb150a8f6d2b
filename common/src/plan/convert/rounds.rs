//! `kind = "rounds"`.

use super::{federated, licence};
use crate::model::MAX_BANDS;
use crate::plan::raw::{RawPlan, RawSpecialist};
use crate::plan::report::Report;
use crate::plan::rules::words::words;
use crate::plan::rules::{network, normalisation, participation};
use crate::plan::{RoundsSpec, SharedSpecialist};

pub(super) fn convert(raw: RawPlan, report: &mut Report) -> Option<RoundsSpec> {
    let RawPlan {
        version: _,
        name,
        kind: _,
        seed,
        licence: licence_text,
        release,
        model,
        specialists,
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
    report.absent("head", head.as_ref(), "in a job of rounds");
    report.absent("evaluation", evaluation.as_ref(), "in a job of rounds");
    let specialist = specialist(specialists, report);
    report.absent("statistics", statistics.as_ref(), "in a job of rounds");
    let (institutions, participation) = participation::institutions(&raw_participation, report);
    let attempts = participation::attempts(&raw_participation, report);
    let bands = specialist.as_ref().map_or(&[][..], |specialist| &specialist.bands);
    let normalisation = normalisation::shared(normalisation, bands, report);
    let task = network.as_ref().map(|network| network.output.task);
    let federated = federated(rounds, participation.min, admission, training, task, report);
    Some(RoundsSpec {
        name,
        seed: seed.unwrap_or_default(),
        licence,
        release: release.unwrap_or_default(),
        network: network?,
        specialist: specialist?,
        institutions,
        participation,
        attempts,
        normalisation: normalisation?,
        federated: federated?,
    })
}

fn specialist(raw: Vec<RawSpecialist>, report: &mut Report) -> Option<SharedSpecialist> {
    report.rule(raw.len() == 1, "specialist (number of entries)", "1 in a job of rounds", raw.len());
    for (index, RawSpecialist { name: _, institution, bands, start_from: _ }) in raw.iter().enumerate() {
        words(format!("specialist[{index}].bands"), bands, &(1..=MAX_BANDS), report);
        if let Some(institution) = institution {
            let rule = "absent in a job of rounds; list the institutions in `participation.institutions`";
            report.rule(false, format!("specialist[{index}].institution"), rule, institution);
        }
    }
    let shared = |RawSpecialist { name, institution: _, bands, start_from }| SharedSpecialist {
        name,
        bands,
        start_from,
    };
    raw.into_iter().next().map(shared)
}
