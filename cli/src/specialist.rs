//! `eosfed specialist`.

use std::process::ExitCode;

use eosfed_common::card::{Card, Parent};
use eosfed_common::counted::counted;
use eosfed_common::outln;
use eosfed_common::scoring::Scoring;
use eosfed_common::view::{EvaluationView, SpecialistSummary, SpecialistView};
use eosfed_proto::v1;
use eosfed_transport::wire::task_message;

use super::arguments::{Extent, Output, Specialist, SpecialistFilter};
use super::connection::{Connection, decode};
use super::{pages, print};

pub(super) async fn run(
    connection: &mut Connection,
    command: &Specialist,
    output: Output,
) -> anyhow::Result<ExitCode> {
    match command {
        // It needs no connection, so it does not come here.
        Specialist::Verify { .. } => {}
        Specialist::List { filter, extent } => list(connection, filter, extent, output).await?,
        Specialist::Show { reference } => {
            let request = v1::GetSpecialistRequest { reference: reference.clone() };
            let answer = connection.operator.get_specialist(request).await;
            let specialist = decode(&connection.answer(answer)?.specialist_json)?;
            match output {
                Output::Json => print::json(&specialist)?,
                Output::Table => show(&specialist),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(
    connection: &mut Connection,
    filter: &SpecialistFilter,
    extent: &Extent,
    output: Output,
) -> anyhow::Result<()> {
    let SpecialistFilter { tasks, bands, institutions, since } = filter;
    let request = v1::ListSpecialistsRequest {
        page: None,
        tasks: tasks.iter().map(|task| task_message(*task).into()).collect(),
        bands: bands.clone(),
        institutions: institutions.iter().map(ToString::to_string).collect(),
        since: since.map_or(0, |since| since.0),
    };
    let listed = pages::list(extent, async |page| {
        let request = v1::ListSpecialistsRequest { page: Some(page), ..request.clone() };
        let answer = connection.operator.list_specialists(request).await;
        let v1::ListSpecialistsResponse { specialists_json, page } = connection.answer(answer)?;
        Ok((specialists_json, page))
    });
    let listed = listed.await?;
    match output {
        Output::Json => print::json(&listed.entries)?,
        Output::Table => outln!("{}", summaries(&listed.entries)),
    }
    listed.report_rest();
    Ok(())
}

/// One line for each specialist of a list.
fn summaries(list: &[SpecialistSummary]) -> print::Sheet {
    let mut table = print::table(&[
        "specialist",
        "task",
        "backbone",
        "bands",
        "institutions",
        "samples",
        "scores",
        "frozen",
        "release",
    ]);
    for one in list {
        let metric = one.metric.as_ref();
        let metric = metric.map(|metric| format!("{} {:.3}", metric.name, metric.value));
        table.add_row([
            format!("{}@{}", one.name, one.version),
            one.task.to_string(),
            one.backbone.to_string(),
            one.bands.join(" "),
            one.institutions.to_string(),
            one.samples.to_string(),
            metric.unwrap_or_else(|| "–".to_owned()),
            print::when(one.frozen_at),
            release(one),
        ]);
    }
    table
}

/// The newest release that has a specialist, or why there is none.
fn release(one: &SpecialistSummary) -> String {
    let number = one.release.map(|number| number.to_string());
    match (number, one.excluded) {
        (Some(number), true) => format!("{number}, now excluded"),
        (Some(number), false) => number,
        (None, true) => "excluded".to_owned(),
        (None, false) => "–".to_owned(),
    }
}

/// One line for each specialist of a release.
pub(super) fn table(cards: &[Card]) -> print::Sheet {
    let mut table =
        print::table(&["specialist", "task", "bands", "from", "rounds", "samples", "scores", "size"]);
    for card in cards {
        let institutions: Vec<_> = card.provenance.institutions.iter().map(ToString::to_string).collect();
        table.add_row([
            card.reference().to_string(),
            card.model.task.to_string(),
            card.model.bands.join(" "),
            institutions.join(" "),
            card.provenance.rounds.to_string(),
            card.provenance.samples.to_string(),
            print::scores(&card.metrics, card.scoring.as_ref()),
            print::bytes(card.weights_bytes),
        ]);
    }
    table
}

fn show(specialist: &SpecialistView) {
    let SpecialistView { card, evaluations, excluded } = specialist;
    let Card { name, version, weights, weights_bytes, model, normalisation, .. } = card;
    outln!("{name}@{version}");
    outln!("  weights        {weights} ({})", print::bytes(*weights_bytes));
    outln!("  network        {} for {}", model.backbone, model.task);
    outln!("  bands          {}", model.bands.join(", "));
    outln!("  classes        {}", model.classes.join(", "));
    if let Some(size) = card.input_size {
        outln!("  input size     {size} px{}", if card.antialias { ", antialiased" } else { "" });
    }
    if !card.imagery.is_unknown() {
        outln!("  imagery        {}", card.imagery);
    }
    for entry in normalisation {
        outln!("  normalisation  {}: mean {:.4}, std {:.4}", entry.band, entry.mean, entry.std);
    }
    let from = &card.provenance;
    let institutions: Vec<_> = from.institutions.iter().map(ToString::to_string).collect();
    outln!("  made by        {} in job {} ({})", institutions.join(", "), from.job, from.mode);
    let (samples, rounds) = (counted(from.samples, "sample"), counted(from.rounds, "round"));
    outln!("  learned from   {samples}, {rounds}, seed {}", from.seed);
    if let Some(initial) = &from.initial {
        outln!("  started from   {} ({})", initial.file, initial.digest);
    }
    if let Some(parent) = &from.parent {
        let Parent { name, version, weights, release, adapted } = parent;
        outln!("  started from   {name}@{version} of release {release} ({weights})");
        for words in adapted {
            outln!("                 {words}");
        }
    }
    outln!("  frozen         {} ({})", from.frozen_at, print::when(from.frozen_at));
    for (name, value) in &card.metrics {
        outln!("  metric         {name} {}", Scoring::shown(card.scoring.as_ref(), name, *value));
    }
    if let Some(scoring) = &card.scoring {
        outln!("  scored on      {}", scoring.words());
        if !scoring.chosen_on.is_empty() {
            outln!("  chosen on      validation part: {}", print::scores(&scoring.chosen_on, None));
        }
    }
    outln!("  energy         {}", print::energy(&card.energy));
    outln!("  licence        {}", card.licence);
    let signed = card.signature.map_or_else(|| "no".to_owned(), |signature| signature.key.to_string());
    outln!("  signed by      {signed}");
    for EvaluationView { institution, job, at, samples, metrics, scoring } in evaluations {
        let scores = print::scores(metrics, scoring.as_ref());
        outln!(
            "  scored at      {institution}: {scores} ({}, job {job}, {})",
            counted(*samples, "sample"),
            print::when(*at)
        );
    }
    if let Some(why) = excluded {
        outln!("  excluded       {why}");
    }
}
