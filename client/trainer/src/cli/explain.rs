//! `eosfed-trainer ensemble explain`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use eosfed_common::ids::SpecialistName;
use eosfed_common::outln;
use eosfed_data::{Dataset, Limits};
use eosfed_trainer::ensemble::{EncoderChoice, Release};
use serde::Serialize;

use super::arguments::{BandsArgument, Format};
use super::output::print_json;

/// Explain which bands of the data each encoder of a release would get.
///
/// Example: eosfed-trainer ensemble explain --release release-2 --data labelled/dataset.toml
#[derive(Args)]
pub(super) struct ExplainArguments {
    /// Folder of a release.
    #[arg(long)]
    release: PathBuf,
    /// Data set: a dataset.toml or its folder.
    #[arg(long)]
    data: PathBuf,
    /// Encoders: `all`, or names joined by commas.
    #[arg(long, default_value = "all")]
    encoders: EncoderChoice,
    /// How an encoder's input bands are found among the bands of the data.
    #[arg(long, value_enum, default_value_t)]
    bands: BandsArgument,
    /// Format in which the answer is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Which bands of the data each encoder would get.
#[derive(Debug, Serialize)]
struct Explained {
    /// The bands of the data.
    bands: Vec<String>,
    encoders: Vec<ExplainedEncoder>,
}

/// What an encoder of a release would get.
#[derive(Debug, Serialize)]
struct ExplainedEncoder {
    name: SpecialistName,
    /// The bands that it was trained on.
    needs: Vec<String>,
    /// For each copy of it and each of its inputs, the bands of the data whose mean it gets; empty if it cannot be used.
    gets: Vec<Vec<Vec<String>>>,
    notes: Vec<String>,
    /// Why it cannot be used.
    problem: Option<String>,
}

/// Prints the bands of each encoder. Fails if an encoder cannot be used.
pub(super) fn explain(arguments: &ExplainArguments) -> anyhow::Result<ExitCode> {
    let release = Release::open(&arguments.release)?;
    let dataset = Dataset::open(&arguments.data, &Limits::default())?;
    let config = dataset.config();
    let bands = config.named_bands();
    let cards = release.cards(&arguments.encoders)?;
    let encoders = cards.into_iter().map(|card| {
        let one = EncoderChoice::Named(vec![card.name.clone()]);
        let (name, needs) = (card.name.clone(), card.model.bands.clone());
        match release.choose(&one, &bands, arguments.bands.into(), &[]) {
            Ok((copies, notes)) => {
                let gets = copies.into_iter().map(|encoder| encoder.sources).collect();
                ExplainedEncoder { name, needs, gets, notes, problem: None }
            }
            Err(error) => {
                let problem = Some(error.to_string());
                ExplainedEncoder { name, needs, gets: Vec::new(), notes: Vec::new(), problem }
            }
        }
    });
    let explained = Explained { bands: config.bands.clone(), encoders: encoders.collect() };
    match arguments.format {
        Format::Table => print(&explained),
        Format::Json => print_json(&explained)?,
    }
    let usable = explained.encoders.iter().all(|encoder| encoder.problem.is_none());
    Ok(if usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(Explained { bands, encoders }: &Explained) {
    outln!("the data have the bands {}", bands.join(", "));
    for ExplainedEncoder { name, needs, gets, notes, problem } in encoders {
        match problem {
            Some(problem) => outln!("{name}: cannot be used: {problem}"),
            None => {
                let gets = gets.iter().map(|sources| inputs(sources)).collect::<Vec<_>>();
                outln!("{name}: needs {}; gets {}", needs.join(", "), gets.join(" and, in a second copy, "));
                notes.iter().for_each(|note| outln!("  {note}"));
            }
        }
    }
}

/// The bands that feed each input, such as `B04, mean(B05, B06)`.
fn inputs(sources: &[Vec<String>]) -> String {
    let one = |bands: &Vec<String>| match &bands[..] {
        [band] => band.clone(),
        several => format!("mean({})", several.join(", ")),
    };
    sources.iter().map(one).collect::<Vec<_>>().join(", ")
}
