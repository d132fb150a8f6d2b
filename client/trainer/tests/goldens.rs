//! The network compared with timm. `goldens/generate.py` has stored timm's outputs for tiny random
//! variants.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::path::PathBuf;

use eosfed_common::model::{BackboneShape, DecoderChannels, Task, backbone_signature, head_signature};
use eosfed_common::weights::{Signature, Tensors, WeightsFile};
use eosfed_trainer::net::{ComputePrecision, ConvNeXt, Head};
use eosfed_trainer::parameters::Parameters;
use tch::{Device, Kind, Tensor};

const CLASSES: usize = 5;
const SIZE: [i64; 2] = [64, 96];

struct Golden {
    shape: BackboneShape,
    bands: usize,
    file: &'static str,
}

const GOLDENS: [Golden; 2] = [
    Golden {
        shape: BackboneShape { depths: [1, 1, 2, 1], dims: [8, 16, 24, 32], conv_mlp: true },
        bands: 3,
        file: "conv_mlp_3_bands.safetensors",
    },
    Golden {
        shape: BackboneShape { depths: [2, 1, 1, 1], dims: [8, 12, 16, 24], conv_mlp: false },
        bands: 6,
        file: "linear_mlp_6_bands.safetensors",
    },
];

fn model_signature(golden: &Golden) -> Signature {
    let mut tensors = backbone_signature(&golden.shape, golden.bands).0;
    tensors.extend(
        head_signature(Task::Classification, &golden.shape.dims, CLASSES, DecoderChannels::DEFAULT).0,
    );
    Signature(tensors)
}

/// Everything in the file: weights under `w.`, the image, the four maps and the logits. The check of
/// this signature shows that our names and shapes are timm's.
fn file_signature(golden: &Golden) -> Signature {
    let mut all: Signature = Signature::default();
    all.0.extend(model_signature(golden).0.into_iter().map(|(name, shape)| (format!("w.{name}"), shape)));
    all.0.insert("image".to_owned(), vec![2, golden.bands, 64, 96]);
    all.0.insert("logits".to_owned(), vec![2, CLASSES]);
    for (level, dim) in golden.shape.dims.iter().enumerate() {
        let stride = 4 << level;
        all.0.insert(format!("map.{level}"), vec![2, *dim, 64 / stride, 96 / stride]);
    }
    all
}

/// What a golden's file holds: the weights, the image, and the rest by name.
struct Stored {
    weights: Tensors,
    image: Tensor,
    values: Tensors,
}

fn stored(golden: &Golden) -> Stored {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("goldens").join(golden.file);
    let file = WeightsFile::open(&path).unwrap();
    let checked = file.check(&file_signature(golden)).unwrap();
    let names = file_signature(golden).0.into_keys();
    let values: Tensors = names.map(|name| (name.clone(), checked.values(&name).iter().collect())).collect();
    let weights = model_signature(golden)
        .0
        .into_keys()
        .map(|name| (name.clone(), values[&format!("w.{name}")].clone()));
    let image = Tensor::from_slice(&values["image"]).reshape([2, golden.bands as i64, SIZE[0], SIZE[1]]);
    Stored { weights: weights.collect(), image, values }
}

fn assert_close(found: &Tensor, expected: &[f32], what: &str) {
    let expected = Tensor::from_slice(expected).reshape(found.size());
    let difference = (found - &expected).abs().max().double_value(&[]);
    let scale = expected.abs().max().double_value(&[]);
    assert!(scale > 0.01, "{what}: a golden of zeros proves nothing");
    assert!(difference <= 1e-5 * scale.max(1.0), "{what}: differs by {difference} at a scale of {scale}");
}

#[test]
fn maps_and_logits_match_timm() {
    for golden in &GOLDENS {
        let Stored { weights, image, values } = stored(golden);
        let parameters = Parameters::new(model_signature(golden), &weights, Device::Cpu);
        assert!(values["w.stages.0.blocks.0.mlp.grn.weight"].iter().all(|value| *value != 0.0));
        let maps =
            ConvNeXt::new(&golden.shape, &parameters, 0.0, ComputePrecision::FULL).forward(&image, false);
        for (level, map) in maps.iter().enumerate() {
            assert_close(map, &values[&format!("map.{level}")], &format!("{} map {level}", golden.file));
        }
        let logits = Head::new(Task::Classification, &parameters, ComputePrecision::FULL).forward(&maps);
        assert_close(&logits, &values["logits"], golden.file);
    }
}

/// The Python package exports encoders for a program that does not normalise its images: it folds the
/// normalisation into the first convolution (`python/src/eosfed/eosfm.py`). Here both sides are
/// computed by this crate's encoder. Padding in that convolution would make them differ.
#[test]
fn a_normalisation_that_is_folded_into_the_stem_gives_the_same_maps() {
    for golden in &GOLDENS {
        let Stored { mut weights, image, .. } = stored(golden);
        let bands = golden.bands;
        let mean: Vec<f64> = (0..bands).map(|band| 1500.0 + 100.0 * band as f64).collect();
        let std: Vec<f64> = (0..bands).map(|band| 900.0 - 50.0 * band as f64).collect();
        let along = |values: &[f64]| Tensor::from_slice(values).view([1, bands as i64, 1, 1]);
        let forward = |weights: &Tensors, images: &Tensor| {
            let parameters = Parameters::new(model_signature(golden), weights, Device::Cpu);
            ConvNeXt::new(&golden.shape, &parameters, 0.0, ComputePrecision::FULL).forward(images, false)
        };
        let raw = (&image * along(&std) + along(&mean)).to_kind(Kind::Float);
        let normalised = ((&raw - along(&mean)) / along(&std)).to_kind(Kind::Float);
        let expected = forward(&weights, &normalised);
        fold(&mut weights, &mean, &std);
        for (level, (map, expected)) in forward(&weights, &raw).iter().zip(&expected).enumerate() {
            let largest = expected.abs().max().double_value(&[]);
            let error = (map - expected).abs().max().double_value(&[]) / largest;
            println!("{}, level {level}: largest error {error:.1e} of the largest value", golden.file);
            assert!(error < 1e-5, "{}, level {level}: {error}", golden.file);
        }
    }
}

/// `w / std` and `b - sum(w * mean / std)` over the input channels and the kernel.
fn fold(weights: &mut Tensors, mean: &[f64], std: &[f64]) {
    const KERNEL: usize = 16;
    let filters = weights["stem.0.weight"].clone();
    let inputs = mean.len() * KERNEL;
    let scaled: Vec<f64> =
        filters.iter().enumerate().map(|(at, w)| f64::from(*w) / std[at % inputs / KERNEL]).collect();
    let bias = scaled.chunks_exact(inputs).zip(&weights["stem.0.bias"]).map(|(filter, bias)| {
        let means = filter.iter().enumerate().map(|(at, w)| w * mean[at / KERNEL]);
        (f64::from(*bias) - means.sum::<f64>()) as f32
    });
    let bias = bias.collect();
    weights.insert("stem.0.bias".to_owned(), bias);
    weights.insert("stem.0.weight".to_owned(), scaled.iter().map(|w| *w as f32).collect());
}
