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

/// Random starting weights.
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

/// The tensors as slices, looked up once and not for each number.
#[derive(Clone)]
struct Layers {
    hidden: Vec<f32>,
    hidden_bias: Vec<f32>,
    out: Vec<f32>,
    out_bias: Vec<f32>,
}

impl Layers {
    fn of(tensors: &Tensors) -> Self {
        let one = |name: &str| tensors[name].clone();
        let [hidden, hidden_bias, out, out_bias] =
            ["hidden.weight", "hidden.bias", "out.weight", "out.bias"].map(one);
        Self { hidden, hidden_bias, out, out_bias }
    }

    fn zeros() -> Self {
        let [hidden, hidden_bias] = [HIDDEN * FEATURES, HIDDEN].map(|length| vec![0.0; length]);
        let [out, out_bias] = [CLASSES * HIDDEN, CLASSES].map(|length| vec![0.0; length]);
        Self { hidden, hidden_bias, out, out_bias }
    }

    fn into_tensors(self) -> Tensors {
        let Self { hidden, hidden_bias, out, out_bias } = self;
        let named = [
            ("hidden.weight", hidden),
            ("hidden.bias", hidden_bias),
            ("out.weight", out),
            ("out.bias", out_bias),
        ];
        named.into_iter().map(|(name, values)| (name.to_owned(), values)).collect()
    }

    /// Subtracts `rate` times `steps`.
    fn descend(&mut self, steps: &Self, rate: f32) {
        let pairs = [
            (&mut self.hidden, &steps.hidden),
            (&mut self.hidden_bias, &steps.hidden_bias),
            (&mut self.out, &steps.out),
            (&mut self.out_bias, &steps.out_bias),
        ];
        for (values, steps) in pairs {
            values.iter_mut().zip(steps).for_each(|(value, step)| *value -= rate * step);
        }
    }

    /// The hidden layer, and the logits.
    fn forward(&self, pixel: &Pixel) -> ([f32; HIDDEN], [f32; CLASSES]) {
        let mut hidden = [0.0; HIDDEN];
        for (unit, hidden) in hidden.iter_mut().enumerate() {
            let row = &self.hidden[unit * FEATURES..][..FEATURES];
            let sum: f32 = row.iter().zip(&pixel.features).map(|(weight, feature)| weight * feature).sum();
            *hidden = (sum + self.hidden_bias[unit]).max(0.0);
        }
        let mut logits = [0.0; CLASSES];
        for (class, logit) in logits.iter_mut().enumerate() {
            let row = &self.out[class * HIDDEN..][..HIDDEN];
            let sum: f32 = row.iter().zip(&hidden).map(|(weight, hidden)| weight * hidden).sum();
            *logit = sum + self.out_bias[class];
        }
        (hidden, logits)
    }

    /// Adds the gradient of a pixel's cross-entropy to `steps`.
    fn backward(&self, pixel: &Pixel, steps: &mut Self) {
        let (hidden, logits) = self.forward(pixel);
        let most = logits.iter().copied().fold(f32::MIN, f32::max);
        let exponentials = logits.map(|logit| (logit - most).exp());
        let sum: f32 = exponentials.iter().sum();
        let mut error = exponentials.map(|one| one / sum);
        error[pixel.class] -= 1.0;
        let mut behind = [0.0; HIDDEN];
        for (class, error) in error.iter().enumerate() {
            steps.out_bias[class] += error;
            for unit in 0..HIDDEN {
                behind[unit] += error * self.out[class * HIDDEN + unit];
                steps.out[class * HIDDEN + unit] += error * hidden[unit];
            }
        }
        for unit in (0..HIDDEN).filter(|unit| hidden[*unit] > 0.0) {
            steps.hidden_bias[unit] += behind[unit];
            let row = &mut steps.hidden[unit * FEATURES..][..FEATURES];
            row.iter_mut().zip(&pixel.features).for_each(|(step, feature)| *step += behind[unit] * feature);
        }
    }
}

/// One pass over the pixels.
pub(crate) fn train(tensors: &mut Tensors, pixels: &[Pixel], rng: &mut ChaCha12Rng) {
    let mut order: Vec<usize> = (0..pixels.len()).collect();
    order.shuffle(rng);
    let mut layers = Layers::of(tensors);
    for batch in order.chunks(BATCH) {
        let mut steps = Layers::zeros();
        batch.iter().for_each(|index| layers.backward(&pixels[*index], &mut steps));
        layers.descend(&steps, RATE / batch.len() as f32);
    }
    *tensors = layers.into_tensors();
}

/// The share of pixels with the right class.
#[must_use]
pub(crate) fn accuracy(tensors: &Tensors, pixels: &[Pixel]) -> f64 {
    let layers = Layers::of(tensors);
    let right = pixels.iter().filter(|pixel| {
        let logits = layers.forward(pixel).1;
        let best = (0..CLASSES).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
        best == Some(pixel.class)
    });
    right.count() as f64 / pixels.len() as f64
}
