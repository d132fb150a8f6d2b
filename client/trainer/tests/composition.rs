//! UPerNet, normalisation, selection, fusion and scores, compared with PyTorch and torchmetrics
//! (`goldens/generate_composition.py`, `goldens/generate_metrics.py`).

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use eosfed_common::model::{
    Composition, DecoderChannels, FeatureNorm, Fusion, MapDims, Selection, Task, head_signature,
};
use eosfed_common::weights::Tensors;
use eosfed_trainer::metrics::MetricSpec;
use eosfed_trainer::net::{Composer, ComputePrecision, Maps, StepCounter, UperNet};
use eosfed_trainer::parameters::{Parameters, to_vec};
use tch::{Device, Kind, Tensor};

const DIMS: MapDims = [8, 12, 16, 20];
const ENCODERS: [MapDims; 3] = [DIMS; 3];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens").join(name)
}

/// Every tensor of the file, by name.
fn tensors() -> BTreeMap<String, Tensor> {
    Tensor::read_safetensors(golden("composition.safetensors")).unwrap().into_iter().collect()
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    assert!(scale > 0.01, "{what}: a golden of zeros proves nothing");
    let difference = found.iter().zip(expected).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(difference <= 2e-5 * scale.max(1.0), "{what}: differs by {difference} at a scale of {scale}");
}

fn maps(tensors: &BTreeMap<String, Tensor>, encoder: usize) -> Maps {
    [0, 1, 2, 3].map(|level: usize| tensors[&format!("map.{encoder}.{level}")].shallow_clone())
}

#[test]
fn upernet_matches_pytorch() {
    let golden = tensors();
    let signature = head_signature(Task::Segmentation, &DIMS, 3, DecoderChannels::DEFAULT);
    // The generator's sine over the index of a value, with the tensor's rank among the names as phase.
    let wave = |(phase, (name, shape)): (usize, (&String, &Vec<usize>))| {
        let value = |at: usize| (at as f64 * 0.7312 + phase as f64).sin();
        let scaled = |value: f64| if shape.len() == 1 { 1.0 + 0.3 * value } else { 0.1 * value };
        (name.clone(), (0..shape.iter().product()).map(|at| scaled(value(at)) as f32).collect())
    };
    let values: Tensors = signature.0.iter().enumerate().map(wave).collect();
    let parameters = Parameters::new(signature, &values, Device::Cpu);
    let found = UperNet::new(&parameters, ComputePrecision::FULL).forward(&maps(&golden, 0), 0.0);
    assert_eq!(found.size(), [2, 3, 24, 32]);
    assert_close(&to_vec(&found), &to_vec(&golden["upernet"]), "upernet");
}

/// A composer whose parameters have the golden values.
fn composer(golden: &BTreeMap<String, Tensor>, composition: Composition) -> Composer {
    let signature = composition.signature(&ENCODERS);
    let kind = match composition.fusion {
        Fusion::Mlp { .. } => "mlp",
        _ => "conv",
    };
    let value = |name: &String| {
        let place = if name.starts_with("fuse.") { kind } else { "w" };
        match name.rsplit('.').next() {
            Some(moment @ ("mean" | "var")) if name.starts_with("norm.0.2.") => {
                to_vec(&golden[&format!("moments.{moment}")])
            }
            Some("mean" | "var") => vec![1.0; signature.0[name][0]],
            _ => to_vec(&golden[&format!("{place}.{name}")]),
        }
    };
    let values = signature.0.keys().map(|name| (name.clone(), value(name))).collect();
    Composer::new(
        composition,
        &ENCODERS,
        &Parameters::new(signature, &values, Device::Cpu),
        StepCounter::default(),
    )
}

#[test]
fn normalisations_match_pytorch() {
    let golden = tensors();
    let all: Vec<Maps> = (0..3).map(|encoder| maps(&golden, encoder)).collect();
    for (norm, name) in
        [(FeatureNorm::Batch, "batch"), (FeatureNorm::Layer, "layer"), (FeatureNorm::Pixel, "pixel")]
    {
        let composition = Composition { norm, ..Composition::default() };
        let fused = composer(&golden, composition).forward(&all, false);
        let first = fused[2].narrow(1, 0, 16);
        assert_close(&to_vec(&first), &to_vec(&golden[&format!("norm.{name}")]), name);
    }
}

#[test]
fn selections_and_fusions_match_their_formulas() {
    let golden = tensors();
    let all: Vec<Maps> = (0..3).map(|encoder| maps(&golden, encoder)).collect();
    let selections = [
        ("top2", Selection::TopK { k: 2, scale: false }),
        ("top2-scaled", Selection::TopK { k: 2, scale: true }),
        ("smooth", Selection::Smooth { penalty: 0.0, scale: false }),
        ("smooth-scaled", Selection::Smooth { penalty: 0.0, scale: true }),
    ];
    let fusions = [
        ("concatenate", Fusion::Concatenate),
        ("sum", Fusion::Sum),
        ("product", Fusion::Product),
        ("conv", Fusion::Conv1x1 { multiple: 2 }),
        ("mlp", Fusion::Mlp { multiple: 1 }),
    ];
    for (chosen, selection) in selections {
        for (way, fusion) in fusions {
            let composition = Composition { norm: FeatureNorm::None, projection: true, selection, fusion };
            let with_all = composer(&golden, composition);
            // An encoder that is not chosen gives no maps, and nothing changes.
            let counted = with_all.chosen();
            assert_eq!(counted.len(), if chosen.starts_with("top2") { 2 } else { 3 });
            let part: Vec<Maps> = counted.iter().map(|encoder| maps(&golden, *encoder)).collect();
            let with_chosen = composer(&golden, composition).given(counted);
            let fused = [with_all.forward(&all, false), with_chosen.forward(&part, false)];
            for (level, map) in fused.iter().flat_map(|maps| maps.iter().enumerate()) {
                let what = format!("out.{chosen}.{way}.{level}");
                let found: Vec<f32> = to_vec(map).into_iter().step_by(7).collect();
                assert_close(&found, &to_vec(&golden[&what]), &what);
            }
        }
    }
}

#[test]
fn scores_match_torchmetrics() {
    let json: serde_json::Value = serde_json::from_slice(&fs::read(golden("metrics.json")).unwrap()).unwrap();
    let numbers = |list: &serde_json::Value| -> Vec<f32> {
        list.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
    };
    for (kind, task) in
        [("classes", Task::Classification), ("labels", Task::Multilabel), ("values", Task::Regression)]
    {
        for case in json[kind].as_array().unwrap() {
            let classes = case["classes"].as_u64().unwrap_or(1) as i64;
            let labels = Tensor::from_slice(&numbers(&case["labels"]));
            let outputs = Tensor::from_slice(&numbers(&case["outputs"])).view([-1, classes]);
            let labels = match task {
                Task::Classification => labels.to_kind(Kind::Int64),
                Task::Multilabel => labels.view([-1, classes]),
                _ => labels,
            };
            // Two batches, as in a real evaluation.
            let mut scores = MetricSpec::new(task, classes as usize, None).scores();
            let half = labels.size()[0] / 2;
            for (start, length) in [(0, half), (half, labels.size()[0] - half)] {
                scores.add(&labels.narrow(0, start, length), &outputs.narrow(0, start, length));
            }
            for (name, expected) in case["scores"].as_object().unwrap() {
                let found = scores.summary()[name];
                let expected = expected.as_f64().unwrap();
                assert!((found - expected).abs() < 1e-6, "{kind} {name}: {found}, torchmetrics {expected}");
            }
        }
    }
}
