//! The network against timm, whose outputs for tiny random variants `goldens/generate.py` has kept.

use std::path::PathBuf;

use eosfed_common::model::{BackboneShape, Task, backbone_signature, head_signature};
use eosfed_common::weights::{Signature, WeightsFile};
use eosfed_trainer::net::{Compute, ConvNeXt, Head};
use eosfed_trainer::parameters::Parameters;
use tch::{Device, Tensor};

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
    tensors.extend(head_signature(Task::Classification, &golden.shape.dims, CLASSES).0);
    Signature(tensors)
}

/// Everything in the file: weights under `w.`, the image, the four maps and the logits. That the check
/// passes says already that our names and shapes are timm's.
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

fn assert_close(found: &Tensor, expected: &[f32], what: &str) {
    let expected = Tensor::from_slice(expected).reshape(found.size());
    let difference = (found - &expected).abs().max().double_value(&[]);
    let scale = expected.abs().max().double_value(&[]);
    assert!(scale > 0.01, "{what}: a golden of zeros proves nothing");
    assert!(difference <= 1e-5 * scale.max(1.0), "{what}: differs by {difference} at a scale of {scale}");
}

#[test]
fn maps_and_logits_are_timms() {
    for golden in &GOLDENS {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("goldens").join(golden.file);
        let file = WeightsFile::open(&path).unwrap();
        let checked = file.check(&file_signature(golden)).unwrap();
        let values = |name: &str| checked.values(name).iter().collect::<Vec<f32>>();
        let signature = model_signature(golden);
        let weights = signature.0.keys().map(|name| (name.clone(), values(&format!("w.{name}")))).collect();
        let parameters = Parameters::new(signature, &weights, Device::Cpu);
        assert!(values("w.stages.0.blocks.0.mlp.grn.weight").iter().all(|value| *value != 0.0));
        let image = Tensor::from_slice(&values("image")).reshape([2, golden.bands as i64, SIZE[0], SIZE[1]]);
        let maps = ConvNeXt::new(&golden.shape, &parameters, 0.0, Compute::FULL).forward(&image, false);
        for (level, map) in maps.iter().enumerate() {
            assert_close(map, &values(&format!("map.{level}")), &format!("{} map {level}", golden.file));
        }
        let logits = Head::new(Task::Classification, &parameters, Compute::FULL).forward(&maps);
        assert_close(&logits, &values("logits"), golden.file);
    }
}
