//! The first convolution of an encoder for other bands than it was trained on.
//!
//! Each band takes the filter of the same band; otherwise of the band of the same common name, or of the
//! nearest wavelength, or the mean of the two on either side of it; otherwise the mean of all filters. All
//! filters are scaled by the number of bands before over that after, so that outputs keep their size, as in
//! timm's `adapt_input_conv`. That function knows no names: it repeats filters in their order, which puts the
//! filter of red on blue where the order of the bands is blue, green, red.

use std::convert::Infallible;

use super::ModelSpec;
use super::adaptation::{NamedBand, source_of};
use super::init::initial_tensor;
use super::signature::{backbone_signature, signature};
use crate::weights::Tensors;

/// The name of the first convolution's filters, `[out, bands, 4, 4]`.
const STEM: &str = "stem.0.weight";
/// Values of a filter for one band.
const KERNEL: usize = 16;

/// The filters of the first convolution, changed from the bands `from` to the bands `to`.
fn adapt_stem(filters: &[f32], from: &[NamedBand], to: &[NamedBand]) -> Vec<f32> {
    let sources: Vec<Source> = to.iter().map(|band| source(band, from)).collect();
    let scale = from.len() as f32 / to.len() as f32;
    filters
        .chunks_exact(from.len() * KERNEL)
        .flat_map(|filter| adapt_filter(filter, &sources, scale))
        .collect()
}

/// The first weights of `model`: the encoder of another network for the bands `from`, with its first convolution
/// changed to the bands of `model`, under a head from `seed`. `other` gives the values of a tensor of that network
/// by name. The same input gives the same bytes.
pub fn warm_start(
    model: &ModelSpec,
    from: &[NamedBand],
    seed: u64,
    other: impl Fn(&str) -> Vec<f32>,
) -> Tensors {
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let Ok(values) =
            warm_tensor(model, from, seed, (&name, &shape), |name| Ok::<_, Infallible>(other(name)));
        (name, values)
    };
    signature(model).0.into_iter().map(tensor).collect()
}

/// The tensor of [`warm_start`] with this name and shape.
///
/// # Errors
/// As `other`.
pub fn warm_tensor<E>(
    model: &ModelSpec,
    from: &[NamedBand],
    seed: u64,
    (name, shape): (&str, &[usize]),
    other: impl FnOnce(&str) -> Result<Vec<f32>, E>,
) -> Result<Vec<f32>, E> {
    if !backbone_signature(&model.backbone.shape(), from.len()).0.contains_key(name) {
        return Ok(initial_tensor(name, shape, seed));
    }
    let values = other(name)?;
    Ok(if name == STEM { adapt_stem(&values, from, &named(&model.bands)) } else { values })
}

/// What `adapt_stem` does to change the bands `from` to the bands `to`: a sentence for each band whose filter is
/// not its own.
#[must_use]
pub fn stem_words(from: &[NamedBand], to: &[NamedBand]) -> Vec<String> {
    to.iter().filter_map(|band| source(band, from).words).collect()
}

/// Bands by their names.
#[must_use]
pub fn named(bands: &[String]) -> Vec<NamedBand> {
    bands.iter().map(|name| NamedBand::of(name)).collect()
}

/// Where the filter of a band comes from.
struct Source {
    /// Positions of the filters of which it is the mean.
    filters: Vec<usize>,
    words: Option<String>,
}

fn source(band: &NamedBand, from: &[NamedBand]) -> Source {
    let Ok((names, words)) = source_of(band, from, false) else {
        let words = format!("{} is the mean of all: none is near", band.name);
        return Source { filters: (0..from.len()).collect(), words: Some(words) };
    };
    let at = |name: &String| from.iter().position(|there| there.name == *name);
    Source { filters: names.iter().filter_map(at).collect(), words }
}

fn adapt_filter(filter: &[f32], sources: &[Source], scale: f32) -> Vec<f32> {
    let value = |source: &Source, at: usize| {
        let sum: f32 = source.filters.iter().map(|band| filter[band * KERNEL + at]).sum();
        sum / source.filters.len() as f32 * scale
    };
    sources.iter().flat_map(|source| (0..KERNEL).map(move |at| value(source, at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Backbone, Task, initial_weights};

    fn bands(names: &[&str]) -> Vec<NamedBand> {
        names.iter().map(|name| NamedBand::of(name)).collect()
    }

    /// The value of each band's filter in an encoder for red, green and blue, whose filters are 1, 2 and 4.
    fn adapted(to: &[&str]) -> (Vec<f32>, Vec<String>) {
        let filter: Vec<f32> = [1.0, 2.0, 4.0].iter().flat_map(|value| [*value; KERNEL]).collect();
        let (from, to) = (bands(&["red", "green", "blue"]), bands(to));
        let values = adapt_stem(&[filter.clone(), filter].concat(), &from, &to);
        let words = stem_words(&from, &to);
        assert_eq!(values.len(), 2 * to.len() * KERNEL);
        let (first, second) = values.split_at(to.len() * KERNEL);
        assert_eq!(first, second);
        (first.iter().copied().step_by(KERNEL).collect(), words)
    }

    #[test]
    fn a_filter_follows_its_band_whatever_the_order() {
        assert_eq!(adapted(&["red", "green", "blue"]), (vec![1.0, 2.0, 4.0], Vec::new()));
        assert_eq!(adapted(&["blue", "green", "red"]), (vec![4.0, 2.0, 1.0], Vec::new()));
        // Sentinel-2's names, by the common ones.
        let (filters, words) = adapted(&["B02", "B03", "B04"]);
        assert_eq!((filters, words.len()), (vec![4.0, 2.0, 1.0], 3));
    }

    #[test]
    fn then_wavelengths_then_the_mean_of_all() {
        let (filters, words) = adapted(&["blue", "red", "pan", "swir16", "VV", "mystery"]);
        let mean = 7.0 / 3.0;
        assert_eq!(filters, [4.0, 1.0, 1.5, mean, mean, mean].map(|value: f32| value * 0.5));
        assert!(words[0].contains("pan (0.59 um) is the mean of green and red"), "{words:?}");
        assert_eq!(words[2], "VV is the mean of all: none is near");
    }

    #[test]
    fn a_warm_start_has_the_encoder_of_the_other_network_under_a_head_from_the_seed() {
        let model = |bands: &[&str], classes: &[&str]| ModelSpec {
            backbone: Backbone::Atto,
            task: Task::Classification,
            bands: bands.iter().map(|&band| band.to_owned()).collect(),
            classes: classes.iter().map(|&class| class.to_owned()).collect(),
            target: None,
        };
        let (old, new) = (model(&["red", "nir"], &["a", "b"]), model(&["B08", "swir16", "red"], &["x"]));
        let there = initial_weights(&old, 3);
        let start = |seed| warm_start(&new, &named(&old.bands), seed, |name| there[name].clone());
        let (warm, cold) = (start(9), initial_weights(&new, 9));
        assert_eq!(warm, start(9), "the same bytes each time");
        let shapes = |tensors: &Tensors| {
            tensors.iter().map(|(name, values)| (name.clone(), values.len())).collect::<Vec<_>>()
        };
        assert_eq!(shapes(&warm), shapes(&cold), "exactly the tensors of the new network");
        let same = |name: &str, as_there: &Tensors| warm[name] == as_there[name];
        assert!(same("stages.3.blocks.1.mlp.fc1.weight", &there) && same("head.fc.weight", &cold));
        // The first filter, by its bands: B08 is nir, swir16 the mean of both, red its own; two bands become three.
        let band = |tensors: &Tensors, band: usize| tensors[STEM][band * KERNEL];
        let (red, nir) = (band(&there, 0), band(&there, 1));
        let expected = [nir, f32::midpoint(red, nir), red].map(|value| value * (2.0 / 3.0));
        for (at, expected) in expected.iter().enumerate() {
            assert!((band(&warm, at) - expected).abs() < 1e-7, "{at}");
        }
        assert_eq!(start(10)["stem.0.weight"], warm["stem.0.weight"]);
        assert_ne!(start(10)["head.fc.weight"], warm["head.fc.weight"]);
    }

    /// timm 1.0.31: `adapt_input_conv` of the same filters to 1, 2 and 3 channels.
    #[test]
    fn outputs_keep_their_size_as_timms_do() {
        assert_eq!(adapted(&["swir16"]).0, [7.0]);
        assert_eq!(adapted(&["red", "green"]).0, [1.5, 3.0]);
        assert_eq!(adapted(&["red", "green", "blue"]).0, [1.0, 2.0, 4.0]);
        // In timm, six channels repeat red, green and blue; by their sum they are as large here.
        let unknown = adapted(&["a", "b", "c", "d", "e", "f"]).0;
        assert!((unknown.iter().sum::<f32>() - 7.0).abs() < 1e-6);
    }
}
