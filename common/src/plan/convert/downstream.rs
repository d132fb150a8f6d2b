//! `kind = "downstream"`.

use super::{federated, licence};
use crate::plan::DownstreamSpec;
use crate::plan::raw::RawPlan;
use crate::plan::report::Report;
use crate::plan::rules::{head, network, participation, training};

pub(super) fn convert(raw: RawPlan, report: &mut Report) -> Option<DownstreamSpec> {
    let RawPlan {
        version: _,
        name,
        kind: _,
        seed,
        licence: licence_text,
        release,
        model,
        specialists,
        head: raw_head,
        evaluation,
        statistics,
        participation: raw_participation,
        rounds,
        admission,
        normalisation,
        training: raw_training,
    } = raw;
    let licence = licence(licence_text, report);
    report.absent("release", release.as_ref(), "in a downstream job, which produces no specialist");
    let output = network::output(model, report);
    let rule = "0 in a downstream job";
    report.rule(specialists.is_empty(), "specialist (number of entries)", rule, specialists.len());
    let head = head::head(raw_head, output.as_ref(), report);
    report.absent("evaluation", evaluation.as_ref(), "in a downstream job");
    report.absent("statistics", statistics.as_ref(), "in a downstream job");
    let (institutions, participation) = participation::institutions(&raw_participation, report);
    let attempts = participation::attempts(&raw_participation, report);
    let rule = "in a downstream job: frozen specialists keep their own";
    report.absent("normalisation", normalisation.as_ref(), rule);
    if let Some(settings) = &raw_training {
        training::of_a_head(settings, report);
    }
    let task = output.as_ref().map(|output| output.task);
    let federated = federated(rounds, participation.min, admission, raw_training, task, report);
    Some(DownstreamSpec {
        name,
        seed: seed.unwrap_or_default(),
        licence,
        output: output?,
        head: head?,
        institutions,
        participation,
        attempts,
        federated: federated?,
    })
}
