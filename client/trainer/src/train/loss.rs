//! Cross-entropy on images or pixels, with class weights, label smoothing and ignored labels.

use eosfed_common::plan::ClassWeights;
use tch::{Device, Kind, Reduction, Tensor};

use super::batches::{IGNORED, Prepared};

/// How the loss is computed.
#[derive(Debug)]
pub struct LossSettings {
    /// One weight a class, if they differ.
    pub class_weights: Option<Tensor>,
    /// Share of the label's probability that is spread over all classes.
    pub label_smoothing: f64,
}

impl LossSettings {
    /// Mean loss over labelled images or pixels; `None` if nothing in the batch is labelled.
    #[must_use]
    pub fn loss(&self, logits: &Tensor, labels: &Tensor) -> Option<Tensor> {
        let labelled = labels.ne(IGNORED).any().int64_value(&[]) != 0;
        labelled.then(|| {
            let logits = at_label_size(logits, labels);
            let weights = self.class_weights.as_ref();
            logits.cross_entropy_loss(labels, weights, Reduction::Mean, IGNORED, self.label_smoothing)
        })
    }
}

/// Dense logits brought to the height and width of the labels (bilinear); others as they are.
pub(crate) fn at_label_size(logits: &Tensor, labels: &Tensor) -> Tensor {
    let size = labels.size();
    if size.len() == 1 || logits.size()[2..] == size[1..] {
        return logits.shallow_clone();
    }
    logits.upsample_bilinear2d(&size[1..], false, None, None)
}

/// Weights by inverse square root of frequency with mean 1 over the classes that occur.
#[must_use]
pub fn class_weights(kind: ClassWeights, data: &Prepared, classes: usize, device: Device) -> Option<Tensor> {
    match kind {
        ClassWeights::None => None,
        ClassWeights::Balanced => {
            let labels = data.labels.view([-1]);
            let known = labels.masked_select(&labels.ne(IGNORED)).to_device(Device::Cpu);
            let counts = known.bincount(None::<Tensor>, classes as i64).to_kind(Kind::Double);
            let counts: Vec<f64> = Vec::try_from(counts).expect("counts are a flat tensor");
            let raw: Vec<f64> =
                counts.iter().map(|n| if *n > 0.0 { n.sqrt().recip() } else { 0.0 }).collect();
            let present = raw.iter().filter(|weight| **weight > 0.0).count().max(1) as f64;
            let mean = raw.iter().sum::<f64>() / present;
            let scaled: Vec<f32> = raw.iter().map(|weight| (weight / mean.max(1e-12)) as f32).collect();
            Some(Tensor::from_slice(&scaled).to_device(device))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: LossSettings = LossSettings { class_weights: None, label_smoothing: 0.0 };

    #[test]
    fn ignored_pixels_count_for_nothing() {
        let logits = Tensor::from_slice(&[2.0_f32, 0.0, 0.0, 1.0]).reshape([1, 2, 1, 2]);
        let labels = Tensor::from_slice(&[0_i64, 255]).reshape([1, 1, 2]);
        let loss = PLAIN.loss(&logits, &labels).unwrap().double_value(&[]);
        assert!((loss - (1.0 + (-2.0_f64).exp()).ln()).abs() < 1e-6, "{loss}");
        assert!(PLAIN.loss(&logits, &Tensor::from_slice(&[255_i64, 255]).reshape([1, 1, 2])).is_none());
    }

    #[test]
    fn rare_classes_weigh_more_and_absent_ones_nothing() {
        let labels = Tensor::from_slice(&[0_i64, 0, 0, 0, 1, 255]);
        let data = Prepared { images: Tensor::zeros([6, 1, 32, 32], (Kind::Float, Device::Cpu)), labels };
        let weights = class_weights(ClassWeights::Balanced, &data, 3, Device::Cpu).unwrap();
        let weights: Vec<f32> = Vec::try_from(weights).unwrap();
        assert!((weights[1] / weights[0] - 2.0).abs() < 1e-5 && weights[2] == 0.0, "{weights:?}");
        assert!((weights[0] + weights[1] - 2.0).abs() < 1e-5);
    }
}
