//! The updates that attackers send.

use eosfed_common::weights::Tensors;
use rand_chacha::ChaCha12Rng;
use rand_distr::{Distribution as _, StandardNormal};
use strum::{IntoStaticStr, VariantArray};

use crate::scene::{CLASSES, Pixel};

/// An attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
pub(crate) enum Attack {
    /// Honest training on labels in reversed order.
    #[strum(serialize = "label flip")]
    LabelFlip,
    /// The honest step with the opposite sign.
    #[strum(serialize = "sign flip")]
    SignFlip,
    /// The honest step, ten times as long.
    #[strum(serialize = "scaled by 10")]
    Scaled,
    /// Noise of deviation 1 on every weight.
    #[strum(serialize = "Gaussian noise")]
    Noise,
    /// All attackers send nearly the same update: 1.5 deviations below the mean of the honest ones (Baruch et
    /// al. 2019).
    #[strum(serialize = "a little is enough")]
    ALittle,
    /// Weights of NaN.
    #[strum(serialize = "NaN")]
    NotANumber,
    /// Weights of infinity.
    #[strum(serialize = "Inf")]
    Infinity,
    /// Subnormal numbers.
    #[strum(serialize = "denormals")]
    Denormals,
    /// Weights of zero.
    #[strum(serialize = "all zero")]
    Zeros,
}

impl Attack {
    /// The imagery that an attacker trains on.
    #[must_use]
    pub(crate) fn imagery(self, pixels: &[Pixel]) -> Vec<Pixel> {
        let flip = |pixel: &Pixel| Pixel { class: CLASSES - 1 - pixel.class, ..*pixel };
        if self == Self::LabelFlip { pixels.iter().map(flip).collect() } else { pixels.to_vec() }
    }

    /// The update of an attacker, whose honest update is `own` and who knows the updates of the others.
    #[must_use]
    pub(crate) fn spoil(
        self,
        now: &Tensors,
        own: &Tensors,
        honest: &[Tensors],
        rng: &mut ChaCha12Rng,
    ) -> Tensors {
        let each = |name: &String, values: &Vec<f32>, rng: &mut ChaCha12Rng| -> Vec<f32> {
            let spoilt = values.iter().enumerate().map(|(index, value)| {
                let now = now[name][index];
                match self {
                    Self::LabelFlip => *value,
                    Self::SignFlip => now - (value - now),
                    Self::Scaled => now + 10.0 * (value - now),
                    Self::Noise => {
                        let noise: f32 = StandardNormal.sample(rng);
                        now + noise
                    }
                    Self::ALittle => {
                        let others = honest.iter().map(|other| other[name][index]);
                        let mean = others.clone().sum::<f32>() / honest.len() as f32;
                        let squares = others.map(|other| (other - mean).powi(2)).sum::<f32>();
                        mean - 1.5 * (squares / honest.len() as f32).sqrt()
                    }
                    Self::NotANumber => f32::NAN,
                    Self::Infinity => f32::INFINITY,
                    // The updates differ, since the same bytes twice are refused as a replay.
                    Self::Denormals => f32::from_bits(1 + index as u32),
                    Self::Zeros => 0.0,
                }
            });
            spoilt.collect()
        };
        own.iter().map(|(name, values)| (name.clone(), each(name, values, rng))).collect()
    }
}
