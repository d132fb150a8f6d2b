//! Arguments that several commands have.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use eosfed_common::model::{BandRule, STRIDE};
use eosfed_common::task::{DecodedSamples, DeviceChoice};
use eosfed_data::Split;
use eosfed_trainer::ensemble::ScoringData;
use tch::Device;

/// Where and with how many threads to compute.
#[derive(Args)]
pub(super) struct ComputeArguments {
    /// Number of threads. Default: one for each processor.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    threads: Option<u32>,
    /// Device to compute on: auto, cpu, cuda or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
}

impl ComputeArguments {
    /// Sets the number of threads and chooses the device.
    pub(super) fn set_up(&self) -> anyhow::Result<Device> {
        Ok(eosfed_trainer::device::set_up(self.device, self.threads)?)
    }
}

/// Where decoded samples are kept.
#[derive(Args)]
pub(super) struct SamplesArguments {
    /// Folder in which decoded samples are kept for the next call, as private data. Default: none, and each
    /// pass reads the files again.
    #[arg(long)]
    samples: Option<PathBuf>,
    /// Most GiB of decoded samples in that folder. What was used longest ago is removed first.
    #[arg(long, default_value_t = 16, requires = "samples", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    samples_gib: u32,
}

impl SamplesArguments {
    /// The folder and its size, if samples are kept.
    pub(super) fn kept(&self) -> Option<DecodedSamples> {
        let bytes = u64::from(self.samples_gib) << 30;
        self.samples.clone().map(|folder| DecodedSamples { folder, bytes })
    }
}

/// The data on which heads are scored.
#[derive(Args)]
pub(super) struct ScoringArguments {
    /// Data set: a dataset.toml or its folder.
    #[arg(long)]
    pub(super) data: PathBuf,
    /// Part of the data set to score on.
    #[arg(long, value_enum, default_value_t)]
    pub(super) split: SplitArgument,
    /// Folder of the release. Default: the folder that the head was trained with.
    #[arg(long)]
    pub(super) release: Option<PathBuf>,
    /// Format in which the scores are printed.
    #[arg(long = "format", value_enum, default_value_t)]
    pub(super) format: Format,
    #[command(flatten)]
    pub(super) samples: SamplesArguments,
    #[command(flatten)]
    pub(super) compute: ComputeArguments,
}

impl ScoringArguments {
    /// What is scored.
    pub(super) fn data<'a>(&'a self, samples: Option<&'a DecodedSamples>) -> ScoringData<'a> {
        ScoringData { samples, ..ScoringData::of(&self.data, self.split.into()) }
    }
}

/// A part of a data set.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(super) enum SplitArgument {
    Train,
    Validation,
    #[default]
    Test,
}

impl From<SplitArgument> for Split {
    fn from(argument: SplitArgument) -> Self {
        match argument {
            SplitArgument::Train => Self::Train,
            SplitArgument::Validation => Self::Validation,
            SplitArgument::Test => Self::Test,
        }
    }
}

/// How results are printed.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(super) enum Format {
    /// Text for people.
    #[default]
    Table,
    /// JSON for programs.
    Json,
}

/// How an encoder's input bands are found among the bands of the data.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(super) enum BandsArgument {
    /// By their names and wavelengths.
    #[default]
    ByName,
    /// By their names and wavelengths; where nothing fits, the nearest band is used again.
    ByNameOrRepeat,
    /// By the number of bands, as the reference implementation of EoS-FM does.
    Eosfm,
}

impl From<BandsArgument> for BandRule {
    fn from(argument: BandsArgument) -> Self {
        match argument {
            BandsArgument::ByName => Self::ByName,
            BandsArgument::ByNameOrRepeat => Self::ByNameOrRepeat,
            BandsArgument::Eosfm => Self::Eosfm,
        }
    }
}

/// Reads `--output`, a place for files. With other programs the option says how to print, which is no place.
pub(super) fn place(text: &str) -> Result<PathBuf, String> {
    if let Ok(format) = Format::from_str(text, true) {
        let (name, print) = match format {
            Format::Json => ("json", "`--format json` prints JSON"),
            Format::Table => ("table", "`--format table` prints text"),
        };
        return Err(format!("it names a place for files; {print}, and `./{name}` is a place of that name"));
    }
    Ok(PathBuf::from(text))
}

/// Reads `--input-size`: a side that the encoders can take.
pub(super) fn input_size(text: &str) -> Result<u32, String> {
    const LARGEST: u32 = 4096;
    match text.parse::<u32>() {
        Ok(side) if (STRIDE..=LARGEST).contains(&side) && side.is_multiple_of(STRIDE) => Ok(side),
        _ => {
            Err(format!("the side must be a multiple of {STRIDE} from {STRIDE} to {LARGEST}, found `{text}`"))
        }
    }
}

/// Reads a number that is above zero.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err(format!("the number must be finite and above 0, found `{text}`")),
    }
}

/// Reads a number that is not below zero.
pub(super) fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err(format!("the number must be finite and at least 0, found `{text}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_no_place_for_files() {
        for (format, advice) in
            [("json", "`--format json`"), ("JSON", "`./json`"), ("table", "`--format table`")]
        {
            assert!(place(format).is_err_and(|said| said.contains(advice)), "{format}");
        }
        for folder in ["./json", "json/", "maps", "scores.json"] {
            assert_eq!(place(folder), Ok(PathBuf::from(folder)));
        }
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!((input_size("64"), input_size("4096")), (Ok(64), Ok(4096)));
        for bad in ["0", "40", "4128", "-32", "x"] {
            assert!(input_size(bad).unwrap_err().contains(&format!("found `{bad}`")));
        }
        assert_eq!((positive("1e-3"), not_negative("0")), (Ok(1e-3), Ok(0.0)));
        for bad in ["nan", "inf", "-1", "x"] {
            assert!(positive(bad).is_err() && not_negative(bad).is_err(), "{bad}");
        }
        assert!(positive("0").is_err());
    }
}
