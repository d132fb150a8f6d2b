//! Mixup (Zhang et al. 2018) and cutmix (Yun et al. 2019) as timm's `Mixup` does them in the mode `batch`: all
//! images of a batch are mixed with those of the batch in reversed order, at one weight.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution as _};
use tch::Tensor;

use super::loss::LossSettings;

/// The alphas of a training; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MixSettings {
    /// Of mixup.
    pub mixup: f64,
    /// Of cutmix.
    pub cutmix: f64,
}

/// The labels of mixed images.
#[derive(Debug)]
pub(super) struct Mixed {
    /// Weight of an image's own label.
    own: f64,
    /// The labels of the images that they were mixed with, which have the rest.
    others: Tensor,
}

impl Mixed {
    /// The loss of outputs by both labels; `from` is the first of the labels. Cross-entropy is linear in its
    /// labels, so this is timm's `SoftTargetCrossEntropy` of `mixup_target`.
    pub(super) fn loss(&self, loss: &LossSettings, outputs: &Tensor, labels: &Tensor, from: usize) -> Tensor {
        let others = self.others.narrow(0, from as i64, labels.size()[0]);
        loss.of_labelled(outputs, labels) * self.own + loss.of_labelled(outputs, &others) * (1.0 - self.own)
    }
}

/// Rows and columns of a box, the first ones and those after the last.
type Area = [i64; 4];

/// Draws for one epoch.
#[derive(Debug)]
pub(super) struct Mixer {
    settings: MixSettings,
    rng: ChaCha8Rng,
}

impl Mixer {
    /// The draws of a seed; `None` if nothing is mixed.
    pub(super) fn new(settings: MixSettings, seed: u64) -> Option<Self> {
        let mixes = settings.mixup > 0.0 || settings.cutmix > 0.0;
        // The order of the samples is drawn from the seed itself.
        mixes.then(|| Self { settings, rng: ChaCha8Rng::seed_from_u64(!seed) })
    }

    /// Mixes the images `[N, C, H, W]` of a batch.
    pub(super) fn mix(&mut self, images: &Tensor, labels: &Tensor) -> (Tensor, Mixed) {
        let MixSettings { mixup, cutmix } = self.settings;
        let cuts = cutmix > 0.0 && (mixup == 0.0 || self.rng.random());
        let own = self.beta(if cuts { cutmix } else { mixup });
        let others = labels.flip([0]);
        if !cuts {
            return (mixed(images, own), Mixed { own, others });
        }
        let size = images.size();
        let centre = [size[2], size[3]].map(|side| self.rng.random_range(0..side));
        let (area, own) = cut_box([size[2], size[3]], own, centre);
        (cut(images, area), Mixed { own, others })
    }

    fn beta(&mut self, alpha: f64) -> f64 {
        // Only alphas above 0 are drawn from.
        Beta::new(alpha, alpha).map_or(1.0, |beta| beta.sample(&mut self.rng))
    }
}

/// Each image at this weight, and the image in reversed order at the rest.
fn mixed(images: &Tensor, own: f64) -> Tensor {
    images * own + images.flip([0]) * (1.0 - own)
}

/// Each image with a box of the image in reversed order.
fn cut(images: &Tensor, [top, bottom, left, right]: Area) -> Tensor {
    let mixed = images.copy();
    let part = |tensor: &Tensor| tensor.narrow(2, top, bottom - top).narrow(3, left, right - left);
    part(&mixed).copy_(&part(&images.flip([0])));
    mixed
}

/// The box around a centre that leaves about this share of an image of height and width, and the share that it
/// leaves after it was clipped to the image.
fn cut_box([height, width]: [i64; 2], own: f64, centre: [i64; 2]) -> (Area, f64) {
    let ratio = (1.0 - own).sqrt();
    let ends = |side: i64, centre: i64| {
        let length = (side as f64 * ratio) as i64;
        [(centre - length / 2).clamp(0, side), (centre + (length + 1) / 2).clamp(0, side)]
    };
    let [top, bottom] = ends(height, centre[0]);
    let [left, right] = ends(width, centre[1]);
    let area = ((bottom - top) * (right - left)) as f64;
    ([top, bottom, left, right], 1.0 - area / (height * width) as f64)
}

#[cfg(test)]
mod tests {
    use eosfed_common::model::Task;
    use eosfed_common::plan::Loss;
    use serde::Deserialize;
    use tch::{Device, Kind};

    use super::*;

    /// timm's results (`goldens/generate_training.py`).
    #[derive(Deserialize)]
    struct Golden {
        shape: [i64; 4],
        images: Vec<f32>,
        labels: Vec<i64>,
        logits: Vec<f32>,
        classes: i64,
        smoothing: f64,
        mixes: Vec<GoldenMix>,
    }

    #[derive(Deserialize)]
    struct GoldenMix {
        cuts: bool,
        drawn: f64,
        centre: [i64; 2],
        own: f64,
        images: Vec<f32>,
        loss: f64,
    }

    fn golden() -> Golden {
        let all: serde_json::Value =
            serde_json::from_str(include_str!("../../goldens/training.json")).unwrap();
        serde_json::from_value(all["mixing"].clone()).unwrap()
    }

    #[test]
    fn images_and_loss_are_those_of_timm() {
        let golden = golden();
        let images = Tensor::from_slice(&golden.images).view(golden.shape);
        let labels = Tensor::from_slice(&golden.labels);
        let outputs = Tensor::from_slice(&golden.logits).view([-1, golden.classes]);
        let loss = LossSettings {
            task: Task::Classification,
            terms: vec![Loss::CrossEntropy],
            class_weights: None,
            label_smoothing: golden.smoothing,
        };
        assert!(golden.mixes.iter().any(|mix| mix.cuts) && golden.mixes.iter().any(|mix| !mix.cuts));
        for mix in &golden.mixes {
            let (found, own) = if mix.cuts {
                let (area, own) = cut_box([golden.shape[2], golden.shape[3]], mix.drawn, mix.centre);
                (cut(&images, area), own)
            } else {
                (mixed(&images, mix.drawn), mix.drawn)
            };
            assert!((own - mix.own).abs() < 1e-12, "{own} and {}", mix.own);
            let expected = Tensor::from_slice(&mix.images).view(golden.shape);
            assert!((&found - expected).abs().max().double_value(&[]) < 1e-6);
            let labelled = Mixed { own, others: labels.flip([0]) };
            let value = labelled.loss(&loss, &outputs, &labels, 0).double_value(&[]);
            assert!((value - mix.loss).abs() < 1e-5, "{value} and {}", mix.loss);
        }
    }

    #[test]
    fn parts_of_a_batch_have_the_labels_of_their_images() {
        let labels = Tensor::from_slice(&[0_i64, 1, 2, 0]);
        let outputs = Tensor::randn([4, 3], (Kind::Float, Device::Cpu));
        let loss = LossSettings {
            task: Task::Classification,
            terms: vec![Loss::CrossEntropy],
            class_weights: None,
            label_smoothing: 0.0,
        };
        let mixed = Mixed { own: 0.7, others: labels.flip([0]) };
        let whole = mixed.loss(&loss, &outputs, &labels, 0).double_value(&[]);
        let part = |from: i64, size| {
            let take = |tensor: &Tensor| tensor.narrow(0, from, size);
            mixed.loss(&loss, &take(&outputs), &take(&labels), from as usize).double_value(&[]) * size as f64
        };
        assert!(((part(0, 3) + part(3, 1)) / 4.0 - whole).abs() < 1e-6);
    }

    #[test]
    fn draws_follow_from_the_seed_and_both_kinds_occur() {
        let images = Tensor::arange(4 * 64, (Kind::Float, Device::Cpu)).view([4, 1, 8, 8]);
        let labels = Tensor::from_slice(&[0_i64, 1, 2, 3]);
        let all = |mixup, cutmix, seed| {
            let mut mixer = Mixer::new(MixSettings { mixup, cutmix }, seed).unwrap();
            (0..20)
                .map(|_| mixer.mix(&images, &labels))
                .map(|(images, mixed)| (images, mixed.own))
                .collect::<Vec<_>>()
        };
        assert!(Mixer::new(MixSettings::default(), 1).is_none());
        assert!(all(0.8, 1.0, 1).iter().zip(all(0.8, 1.0, 1)).all(|(a, b)| a.0 == b.0 && a.1 == b.1));
        assert!(all(0.8, 1.0, 1).iter().zip(all(0.8, 1.0, 2)).any(|(a, b)| a.1 != b.1));
        // Whole numbers stay whole where boxes are cut.
        let cuts = |mixes: Vec<(Tensor, f64)>| {
            mixes.iter().filter(|(images, _)| images.frac().abs().max() == Tensor::from(0.0_f32)).count()
        };
        assert_eq!((cuts(all(0.0, 1.0, 3)), cuts(all(0.8, 0.0, 3))), (20, 0));
        assert!((3..=17).contains(&cuts(all(0.8, 1.0, 3))));
    }
}
