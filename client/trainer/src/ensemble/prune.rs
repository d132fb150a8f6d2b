//! From a learned selection to a smaller ensemble: keeps the encoders with the largest weights, and of equal ones those
//! without which the head is worst, trains the head again over them with the same settings, and scores both.

mod tie;

use std::path::{Path, PathBuf};

use eosfed_common::files::write_atomically;
use eosfed_common::head::{HeadEncoder, HeadFile, Strongest};
use eosfed_common::model::{BandRule, Composition, Method, Selection};
use eosfed_common::task::DecodedSamples;
use eosfed_data::Split;
use serde::Serialize;
use tch::Device;

use super::error::EnsembleError;
use super::feature_source::DEFAULT_CACHE;
use super::fit::{FitOptions, fit};
use super::head_model::{read_head, release_folder};
use super::release::{EncoderChoice, Release};
use super::score::{ScoringData, score};
use crate::parameters::read;

use tie::break_tie;
pub use tie::{TieBreaker, TieReport, TiedEncoder};

/// What to prune, and the data to score it on.
#[derive(Debug, Clone)]
pub struct PruneOptions {
    /// A head with a learned selection.
    pub head: PathBuf,
    /// Folder of its release; `None`: the folder that the head was trained with.
    pub release: Option<PathBuf>,
    /// Number of encoders to keep.
    pub top_k: usize,
    /// The labelled data that the head was trained on.
    pub train: PathBuf,
    /// Data that both heads are scored on.
    pub data: PathBuf,
    /// Part of the data.
    pub split: Split,
    /// Where decoded samples are kept, if they are.
    pub samples: Option<DecodedSamples>,
    /// Folder for the smaller head.
    pub output: PathBuf,
}

/// A head before or after pruning.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PruneSide {
    /// The specialists under it as `NAME@VERSION`.
    pub encoders: Vec<String>,
    /// Size of their weights files.
    pub bytes: u64,
    /// Parameters of the head.
    pub head_parameters: usize,
    /// Time from file to output per sample.
    pub milliseconds: f64,
    /// The main metric.
    pub score: f64,
}

/// Gain and cost of pruning; `prune.json` in the folder of the smaller head.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PruneReport {
    /// Number of the release that was pruned.
    pub release: u32,
    /// Name of the metric.
    pub metric: String,
    /// With all encoders.
    pub before: PruneSide,
    /// With the kept encoders.
    pub after: PruneSide,
    /// How encoders with equal weights were told apart. Absent if the weights have decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tie: Option<TieReport>,
}

/// Prunes a head.
///
/// # Errors
/// If the head has no learned selection, `top_k` is not between 1 and the number of its encoders, or
/// training or scoring fails.
pub fn prune(
    options: &PruneOptions,
    device: Device,
    stopped: &dyn Fn() -> bool,
) -> Result<PruneReport, EnsembleError> {
    let file = read_head(&options.head)?;
    let Chosen { strongest, weights } = choose(&file, options)?;
    let folder = release_folder(&options.head, &file, options.release.as_deref())?;
    let Some(training) = file.training.clone() else {
        return Err(EnsembleError::file(
            &options.head,
            "the head does not say how it was trained; train it again with `eosfed-trainer fit --select`",
        ));
    };
    let release = Release::open(&folder)?;
    let names: Vec<String> = file.encoders.iter().map(|one| name(one, &release)).collect::<Result<_, _>>()?;
    let (kept, tie) = if strongest.tied.is_empty() {
        (strongest.sure, None)
    } else {
        let (kept, tie) = break_tie(options, &folder, &strongest, (&names, &weights), device)?;
        (kept, Some(tie))
    };
    let smaller = FitOptions {
        name: format!("{} (top {})", file.name, options.top_k),
        release: folder.clone(),
        data: options.train.clone(),
        encoders: EncoderChoice::Given(kept.iter().map(|at| file.encoders[*at].clone()).collect()),
        band_rule: BandRule::ByName,
        method: Method::Fusion,
        composition: Composition { selection: Selection::All, ..file.composition },
        decoder_channels: file.decoder_channels,
        output: options.output.clone(),
        training,
        input_size: file.input_size,
        antialias: file.antialias,
        cache: DEFAULT_CACHE,
        samples: options.samples.clone(),
    };
    fit(&smaller, device, &mut |_, _, _| (), stopped)?;
    let report = PruneReport {
        release: release.manifest().number.0,
        metric: file.task.main_metric().to_owned(),
        before: side(&options.head, &folder, options, device)?,
        after: side(&options.output, &folder, options, device)?,
        tie,
    };
    let path = options.output.join("prune.json");
    let json = serde_json::to_vec_pretty(&report).expect("a report is plain data");
    write_atomically(&path, &json).map_err(|error| EnsembleError::file(&path, error))?;
    Ok(report)
}

/// What the learned weights say.
struct Chosen {
    strongest: Strongest,
    /// The weight of each encoder.
    weights: Vec<f32>,
}

fn choose(file: &HeadFile, options: &PruneOptions) -> Result<Chosen, EnsembleError> {
    let learned = read(&options.head.join(HeadFile::WEIGHTS), &file.signature())?;
    let selection = learned.get(HeadFile::SELECTION).map(Vec::as_slice);
    let strongest = file
        .strongest(selection, options.top_k)
        .map_err(|reason| EnsembleError::file(&options.head, reason))?;
    let weights = file.selection_weights(selection.unwrap_or_default());
    Ok(Chosen { strongest, weights: weights.into_iter().map(|(_, weight)| weight).collect() })
}

/// An encoder as `NAME@VERSION`; one with random weights by its name and seed.
fn name(encoder: &HeadEncoder, release: &Release) -> Result<String, EnsembleError> {
    match encoder.weights {
        Some(digest) => Ok(release.card(&encoder.name, digest)?.reference().to_string()),
        None => Ok(format!("{}:{}", encoder.name, encoder.random_seed.unwrap_or_default())),
    }
}

fn side(
    folder: &Path,
    release: &Path,
    options: &PruneOptions,
    device: Device,
) -> Result<PruneSide, EnsembleError> {
    let file = read_head(folder)?;
    let release = Release::open(release)?;
    let samples = options.samples.as_ref();
    let data = ScoringData { samples, ..ScoringData::of(&options.data, options.split) };
    let row = score(folder, Some(release.folder()), data, device)?;
    let mut encoders = Vec::new();
    let mut bytes = 0;
    for encoder in &file.encoders {
        if let Some(digest) = encoder.weights {
            let card = release.card(&encoder.name, digest)?;
            encoders.push(card.reference().to_string());
            bytes += card.weights_bytes;
        }
    }
    Ok(PruneSide {
        encoders,
        bytes,
        head_parameters: row.head_parameters,
        milliseconds: row.seconds * 1000.0 / row.samples.max(1) as f64,
        score: row.metrics[file.task.main_metric()],
    })
}
