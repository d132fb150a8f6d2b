//! Initial weights from a file of timm's: its encoder under a new head. The first convolution is
//! adapted to the bands in the way of timm.
//!
//! Published ImageNet weights of ConvNeXtV2 have the licence CC BY-NC. They are not part of this
//! program; a user who names such a file is responsible for its licence.

use std::path::Path;

use eosfed_common::card::InitialFile;
use eosfed_common::digest::Digest;
use eosfed_common::model::{ModelSpec, backbone_signature, initial_weights};
use eosfed_common::weights::{Tensors, WeightsError, WeightsFile};

/// Input channels of the file: red, green, blue.
const CHANNELS: usize = 3;
const STEM: &str = "stem.0.weight";

/// The encoder in `path` for the bands of `model` with a head from `seed`, and the name and digest of
/// the file.
///
/// # Errors
/// If the file cannot be read or does not hold the encoder's tensors for three channels.
pub(super) fn pretrained(
    model: &ModelSpec,
    path: &Path,
    seed: u64,
) -> Result<(Tensors, InitialFile), WeightsError> {
    let signature = backbone_signature(&model.backbone.shape(), CHANNELS);
    let file = WeightsFile::open(path)?;
    let encoder = file.check_part(&signature)?;
    let mut tensors = initial_weights(model, seed);
    for name in signature.0.keys() {
        let values: Vec<f32> = encoder.values(name).iter().collect();
        let adapted = if name == STEM { adapt(&values, model.bands.len()) } else { values };
        tensors.insert(name.clone(), adapted);
    }
    // The digest is of the bytes that were read, not of what is at the path later.
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((tensors, InitialFile { file: name, digest: Digest::of(file.bytes()) }))
}

/// A convolution `[out, 3, 4, 4]` for another number of input channels, as timm's `adapt_input_conv`
/// makes it: for one channel the sum over the three; otherwise the three in turn, scaled so that
/// outputs keep their size.
fn adapt(values: &[f32], bands: usize) -> Vec<f32> {
    const KERNEL: usize = 16;
    let filters = values.chunks_exact(CHANNELS * KERNEL);
    if bands == 1 {
        let sum = |filter: &[f32], at: usize| filter.iter().skip(at).step_by(KERNEL).sum();
        return filters.flat_map(|filter| (0..KERNEL).map(move |at| sum(filter, at))).collect();
    }
    let scale = if bands == CHANNELS { 1.0 } else { CHANNELS as f32 / bands as f32 };
    let channel = |filter: &[f32], band: usize| -> Vec<f32> {
        let start = band % CHANNELS * KERNEL;
        filter[start..start + KERNEL].iter().map(|value| value * scale).collect()
    };
    filters.flat_map(|filter| (0..bands).flat_map(move |band| channel(filter, band))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// timm 1.0.31: `adapt_input_conv` of a filter whose three channels are all 1, 2 and 4.
    #[test]
    fn the_first_convolution_is_adapted_like_timms() {
        let filter: Vec<f32> = [1.0, 2.0, 4.0].iter().flat_map(|value| [*value; 16]).collect();
        let first = |bands| adapt(&filter, bands).into_iter().step_by(16).collect::<Vec<_>>();
        assert_eq!(first(1), [7.0]);
        assert_eq!(first(2), [1.5, 3.0]);
        assert_eq!(first(3), [1.0, 2.0, 4.0]);
        assert_eq!(first(5), [0.6, 1.2, 2.4, 0.6, 1.2]);
        assert_eq!(adapt(&filter, 5).len(), 5 * 16);
    }
}
