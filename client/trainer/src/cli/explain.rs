//! `eosfed-trainer ensemble explain`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use eosfed_common::outln;
use eosfed_data::{Dataset, Limits};
use eosfed_trainer::ensemble::{EncoderChoice, Release};

use super::arguments::BandsArgument;

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
}

/// Prints the bands of each encoder. Fails if an encoder cannot be used.
pub(super) fn explain(arguments: &ExplainArguments) -> anyhow::Result<ExitCode> {
    let release = Release::open(&arguments.release)?;
    let dataset = Dataset::open(&arguments.data, &Limits::default())?;
    let config = dataset.config();
    let bands = config.named_bands();
    outln!("the data have the bands {}", config.bands.join(", "));
    let mut usable = true;
    for card in release.cards(&arguments.encoders)? {
        let one = EncoderChoice::Named(vec![card.name.clone()]);
        match release.choose(&one, &bands, arguments.bands.into(), &[]) {
            Ok((encoders, notes)) => {
                let inputs: Vec<_> = encoders.iter().map(|encoder| inputs(&encoder.sources)).collect();
                outln!(
                    "{}: needs {}; gets {}",
                    card.name,
                    card.model.bands.join(", "),
                    inputs.join(" and, in a second copy, ")
                );
                notes.iter().for_each(|note| outln!("  {note}"));
            }
            Err(error) => {
                usable = false;
                outln!("{}: cannot be used: {error}", card.name);
            }
        }
    }
    Ok(if usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The bands that feed each input, such as `B04, mean(B05, B06)`.
fn inputs(sources: &[Vec<String>]) -> String {
    let one = |bands: &Vec<String>| match &bands[..] {
        [band] => band.clone(),
        several => format!("mean({})", several.join(", ")),
    };
    sources.iter().map(one).collect::<Vec<_>>().join(", ")
}
