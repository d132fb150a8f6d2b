//! A perceptron with one hidden layer, trained by plain stochastic gradient descent.

use eosfed_common::weights::{Signature, Tensors};
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha12Rng;

use crate::scene::{CLASSES, FEATURES, Pixel};

const HIDDEN: usize = 24;
const RATE: f32 = 0.05;
const BATCH: usize = 32;

/// Names and shapes of its tensors.
#[must_use]
pub(crate) fn signature() -> Signature {
    let shapes = [
        ("hidden.weight", vec![HIDDEN, FEATURES]),
        ("hidden.bias", vec![HIDDEN]),
        ("out.weight", vec![CLASSES, HIDDEN]),
        ("out.bias", vec![CLASSES]),
    ];
    Signature(shapes.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect())
}

/// Random weights to begin with.
#[must_use]
pub(crate) fn initial(rng: &mut ChaCha12Rng) -> Tensors {
    let mut tensors = Tensors::new();
    for (name, shape) in signature().0 {
        let reach = if shape.len() == 2 { (3.0 / shape[1] as f32).sqrt() } else { 0.0 };
        let values = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0_f32) * reach);
        tensors.insert(name, values.collect());
    }
    tensors
}

/// The hidden layer, and the logits.
fn forward(tensors: &Tensors, pixel: &Pixel) -> ([f32; HIDDEN], [f32; CLASSES]) {
    let (weight, bias) = (&tensors["hidden.weight"], &tensors["hidden.bias"]);
    let mut hidden = [0.0; HIDDEN];
    for (unit, hidden) in hidden.iter_mut().enumerate() {
        let row = &weight[unit * FEATURES..][..FEATURES];
        let sum: f32 = row.iter().zip(&pixel.features).map(|(weight, feature)| weight * feature).sum();
        *hidden = (sum + bias[unit]).max(0.0);
    }
    let (weight, bias) = (&tensors["out.weight"], &tensors["out.bias"]);
    let mut logits = [0.0; CLASSES];
    for (class, logit) in logits.iter_mut().enumerate() {
        let row = &weight[class * HIDDEN..][..HIDDEN];
        *logit = row.iter().zip(&hidden).map(|(weight, hidden)| weight * hidden).sum::<f32>() + bias[class];
    }
    (hidden, logits)
}

/// One pass over the pixels.
pub(crate) fn train(tensors: &mut Tensors, pixels: &[Pixel], rng: &mut ChaCha12Rng) {
    let mut order: Vec<usize> = (0..pixels.len()).collect();
    order.shuffle(rng);
    for batch in order.chunks(BATCH) {
        let mut steps: Tensors =
            tensors.iter().map(|(name, values)| (name.clone(), vec![0.0; values.len()])).collect();
        for index in batch {
            backward(tensors, &pixels[*index], &mut steps);
        }
        for (name, values) in tensors.iter_mut() {
            for (value, step) in values.iter_mut().zip(&steps[name]) {
                *value -= RATE * step / batch.len() as f32;
            }
        }
    }
}

fn backward(tensors: &Tensors, pixel: &Pixel, steps: &mut Tensors) {
    let (hidden, logits) = forward(tensors, pixel);
    let most = logits.iter().copied().fold(f32::MIN, f32::max);
    let exponentials = logits.map(|logit| (logit - most).exp());
    let sum: f32 = exponentials.iter().sum();
    let mut error = exponentials.map(|one| one / sum);
    error[pixel.class] -= 1.0;
    let weight = &tensors["out.weight"];
    let mut behind = [0.0; HIDDEN];
    for (class, error) in error.iter().enumerate() {
        for unit in 0..HIDDEN {
            behind[unit] += error * weight[class * HIDDEN + unit];
        }
    }
    let mut add = |name: &str, index: usize, value: f32| {
        if let Some(values) = steps.get_mut(name) {
            values[index] += value;
        }
    };
    for (class, error) in error.iter().enumerate() {
        add("out.bias", class, *error);
        for (unit, hidden) in hidden.iter().enumerate() {
            add("out.weight", class * HIDDEN + unit, error * hidden);
        }
    }
    for unit in (0..HIDDEN).filter(|unit| hidden[*unit] > 0.0) {
        add("hidden.bias", unit, behind[unit]);
        for (feature, value) in pixel.features.iter().enumerate() {
            add("hidden.weight", unit * FEATURES + feature, behind[unit] * value);
        }
    }
}

/// The share of pixels whose class is found.
#[must_use]
pub(crate) fn accuracy(tensors: &Tensors, pixels: &[Pixel]) -> f64 {
    let right = pixels.iter().filter(|pixel| {
        let logits = forward(tensors, pixel).1;
        let best = (0..CLASSES).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
        best == Some(pixel.class)
    });
    right.count() as f64 / pixels.len() as f64
}
