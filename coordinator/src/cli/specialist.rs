//! `eosfed specialist`.

use std::process::ExitCode;

use eosfed_common::card::Card;
use eosfed_proto::v1;

use super::arguments::{Output, Specialist};
use super::connection::{Connection, decode};
use super::print;

pub(super) async fn run(
    connection: &mut Connection,
    command: &Specialist,
    output: Output,
) -> anyhow::Result<ExitCode> {
    match command {
        Specialist::List => {
            let answer = connection.operator.list_specialists(v1::ListSpecialistsRequest {}).await;
            let cards = connection.answer(answer)?.cards_json;
            let cards = cards.iter().map(|json| decode(json)).collect::<anyhow::Result<Vec<Card>>>()?;
            match output {
                Output::Json => print::json(&cards)?,
                Output::Table => println!("{}", table(&cards)),
            }
        }
        Specialist::Show { reference } => {
            let request = v1::GetSpecialistRequest { reference: reference.clone() };
            let answer = connection.operator.get_specialist(request).await;
            let card: Card = decode(&connection.answer(answer)?.card_json)?;
            match output {
                Output::Json => print::json(&card)?,
                Output::Table => show(&card),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One line for each specialist.
pub(super) fn table(cards: &[Card]) -> comfy_table::Table {
    let mut table =
        print::table(&["specialist", "task", "bands", "from", "rounds", "samples", "validation", "size"]);
    for card in cards {
        let institutions: Vec<_> = card.provenance.institutions.iter().map(ToString::to_string).collect();
        table.add_row([
            format!("{}@{}", card.name, card.version),
            card.model.task.to_string(),
            card.model.bands.join(" "),
            institutions.join(" "),
            card.provenance.rounds.to_string(),
            card.provenance.samples.to_string(),
            print::metrics(&card.metrics),
            print::bytes(card.weights_bytes),
        ]);
    }
    table
}

fn show(card: &Card) {
    let Card { name, version, weights, weights_bytes, model, normalisation, .. } = card;
    println!("{name}@{version}");
    println!("  weights        {weights} ({})", print::bytes(*weights_bytes));
    println!("  network        {} for {}", model.backbone, model.task);
    println!("  bands          {}", model.bands.join(", "));
    println!("  classes        {}", model.classes.join(", "));
    if let Some(size) = card.input_size {
        println!("  input size     {size} px");
    }
    for entry in normalisation {
        println!("  normalisation  {}: mean {:.4}, std {:.4}", entry.band, entry.mean, entry.std);
    }
    let from = &card.provenance;
    let institutions: Vec<_> = from.institutions.iter().map(ToString::to_string).collect();
    println!("  made by        {} in job {} ({})", institutions.join(", "), from.job, from.mode);
    println!("  learned from   {} samples, {} rounds, seed {}", from.samples, from.rounds, from.seed);
    if let Some(initial) = &from.initial {
        println!("  started from   {} ({})", initial.file, initial.digest);
    }
    println!("  frozen         {} ({})", from.frozen_at, print::when(from.frozen_at));
    for (name, value) in &card.metrics {
        println!("  metric         {name} {value:.4}");
    }
    println!("  energy         {}", print::energy(&card.energy));
    println!("  licence        {}", card.licence);
}
