//! Initial weights from a file: its encoder under a new head, with the first convolution adapted to the bands.
//!
//! The file is one of timm's, for red, green and blue, or the weights of a specialist with its card beside it,
//! as `eosfed release pull` writes them. Published ImageNet weights of ConvNeXtV2 have the licence CC BY-NC.
//! They are not part of this program; a user who names such a file is responsible for its licence.

use std::io::Read as _;
use std::path::Path;

use eosfed_common::card::{CARD_FILE, Card, InitialFile, WEIGHTS_FILE};
use eosfed_common::digest::Digest;
use eosfed_common::model::{
    ModelSpec, NamedBand, backbone_signature, named, signature, stem_words, warm_start,
};
use eosfed_common::weights::{Tensors, WeightsFile};

use super::error::TrainError;

/// The bands of timm's files, in their order.
const TIMM: [&str; 3] = ["red", "green", "blue"];
/// Longest card in bytes.
const MAX_CARD_BYTES: u64 = 1 << 20;

/// Weights to start from.
pub(super) struct Start {
    /// The encoder of the file, and a head from a seed.
    pub tensors: Tensors,
    /// Name and digest of the file.
    pub file: InitialFile,
    /// What was done for bands that the file does not have.
    pub notes: Vec<String>,
}

/// The encoder in `path` for the bands of `model`, with a head from `seed`.
///
/// # Errors
/// If the file or the card beside it cannot be read, they do not belong together, or the file does not hold
/// the encoder's tensors for its bands.
pub(super) fn pretrained(model: &ModelSpec, path: &Path, seed: u64) -> Result<Start, TrainError> {
    let file = WeightsFile::open(path)?;
    // The digest is of the bytes that were read, not of what is at the path later.
    let digest = Digest::of(file.bytes());
    let specialists = bands_of(path, digest)?;
    let bands = specialists.clone().unwrap_or_else(|| TIMM.map(NamedBand::of).to_vec());
    let found = file.check_part(&backbone_signature(&model.backbone.shape(), bands.len()))?;
    let tensors = warm_start(model, &bands, seed, |name| found.values(name).iter().collect());
    let words = stem_words(&bands, &named(&model.bands));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let assumed = specialists
        .is_none()
        .then(|| format!("no {CARD_FILE} belongs to it, so its bands are taken as {}", TIMM.join(", ")));
    let notes = assumed.into_iter().chain(words).map(|words| format!("start from {name}: {words}")).collect();
    Ok(Start { tensors, file: InitialFile { file: name, digest }, notes })
}

/// The encoder of the released specialist `of` whose weights are in `path`, for the bands of `model`, with a head
/// from `seed`; and what was done for bands that it does not have.
///
/// # Errors
/// If the file cannot be read or does not hold exactly the tensors of `of`.
pub(super) fn specialist(
    model: &ModelSpec,
    of: &ModelSpec,
    path: &Path,
    seed: u64,
) -> Result<(Tensors, Vec<String>), TrainError> {
    if of.backbone != model.backbone {
        let reason =
            format!("the specialist must have the backbone `{}`, found `{}`", model.backbone, of.backbone);
        return Err(TrainError::Start { path: path.to_owned(), reason });
    }
    let file = WeightsFile::open(path)?;
    let found = file.check(&signature(of))?;
    let bands = named(&of.bands);
    let tensors = warm_start(model, &bands, seed, |name| found.values(name).iter().collect());
    let words = stem_words(&bands, &named(&model.bands)).into_iter();
    Ok((tensors, words.map(|words| format!("start from a specialist: {words}")).collect()))
}

/// The bands of a specialist's weights, by the card beside them; `None` for other files.
fn bands_of(path: &Path, digest: Digest) -> Result<Option<Vec<NamedBand>>, TrainError> {
    let card = path.with_file_name(CARD_FILE);
    if path.file_name().is_none_or(|name| name != WEIGHTS_FILE) || !card.exists() {
        return Ok(None);
    }
    let read = read_card(&card).map_err(|reason| TrainError::Start { path: card.clone(), reason })?;
    if read.weights != digest {
        let stated = read.weights;
        let reason = format!(
            "the digest of the weights must be `{stated}`, found `{digest}` in {WEIGHTS_FILE} beside it; pull the \
             release again"
        );
        return Err(TrainError::Start { path: card, reason });
    }
    Ok(Some(read.model.bands.iter().map(|name| NamedBand::of(name)).collect()))
}

fn read_card(path: &Path) -> Result<Card, String> {
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_CARD_BYTES).read_to_end(&mut text).map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}
