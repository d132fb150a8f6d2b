//! Combines the maps of several frozen encoders into the four maps of one head: normalised, weighted by a
//! learned selection, fused. This module defines the tensors; the trainer has the arithmetic.
//!
//! Source: EoS-FM (arXiv 2511.21523) and its published encoder. Two things differ on purpose. A
//! selection without scaling passes gradients to its weights (straight-through; there, a hard top-k
//! passes none and so never learns the choice), and `pixel` is the usual normalisation, since one that
//! looks at a whole map makes the answer for a pixel depend on how a scene was cut into windows.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::weights::Signature;

/// Channels of the four maps of an encoder.
pub type MapDims = [usize; 4];

/// How each map of each encoder is normalised, without learned scale or shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeatureNorm {
    /// Over the channels of each position.
    #[default]
    Pixel,
    /// Over all channels and positions of an image's map.
    Layer,
    /// Each channel by its mean and variance over the training part.
    Batch,
    /// Not at all.
    None,
}

/// Which encoders are used, with which weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Selection {
    /// All with equal weight; nothing is learned.
    #[default]
    All,
    /// The `k` with the largest learned weights.
    TopK {
        /// The number of encoders.
        k: usize,
        /// Whether the maps of the chosen encoders are multiplied by their weights.
        scale: bool,
    },
    /// All encoders, each multiplied by a learned number.
    Smooth {
        /// The factor of the mean weight in the loss, which reduces the weights of useless encoders.
        penalty: f64,
        /// Whether the learned number is the weight. Otherwise the weight is its sigmoid.
        scale: bool,
    },
}

/// How the maps of one level are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fusion {
    /// Concatenated along the channels.
    #[default]
    Concatenate,
    /// Concatenated, then a 1x1 convolution to `multiple` times the channels of the first encoder.
    Conv1x1 {
        /// Factor of the output channels.
        multiple: usize,
    },
    /// Concatenated, then two 1x1 convolutions with a ReLU between, 1.25 times as wide inside.
    Mlp {
        /// Factor of the output channels.
        multiple: usize,
    },
    /// Added; all encoders have the same channels.
    Sum,
    /// Multiplied; all encoders have the same channels. An encoder that is not chosen counts as 1.
    Product,
}

/// How a head computes its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The encoders' maps are fused and a new head is learned over them.
    #[default]
    Fusion,
    /// The mean of the specialists' own outputs; nothing is learned.
    MeanLogits,
    /// The specialists' own outputs, weighted by a learned router that sees all of them.
    Router,
}

/// All steps from the encoders' maps to the combined maps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Composition {
    /// How maps are normalised.
    pub norm: FeatureNorm,
    /// Whether each normalised map passes through its own 1x1 convolution and leaky ReLU.
    pub projection: bool,
    /// Which encoders are used.
    pub selection: Selection,
    /// How maps are combined.
    pub fusion: Fusion,
}

impl Composition {
    /// Checks that it is possible for encoders with maps of these channels.
    ///
    /// # Errors
    /// A sentence with the rule and the value found.
    pub fn check(&self, encoders: &[MapDims]) -> Result<(), String> {
        let count = encoders.len();
        if count == 0 {
            return Err("at least one encoder is needed, found `0`".to_owned());
        }
        match self.selection {
            Selection::TopK { k, .. } if !(1..=count).contains(&k) => {
                return Err(format!(
                    "the number of encoders to choose must be between 1 and {count}, found `{k}`"
                ));
            }
            Selection::Smooth { penalty, .. } if !(penalty.is_finite() && penalty >= 0.0) => {
                return Err(format!(
                    "the penalty of a smooth selection must be at least 0, found `{penalty}`"
                ));
            }
            Selection::All | Selection::TopK { .. } | Selection::Smooth { .. } => {}
        }
        match self.fusion {
            Fusion::Sum | Fusion::Product if encoders.iter().any(|dims| *dims != encoders[0]) => Err(
                "to add or multiply maps, all encoders must have the same channels; concatenate them instead"
                    .to_owned(),
            ),
            Fusion::Conv1x1 { multiple } | Fusion::Mlp { multiple } if !(1..=16).contains(&multiple) => Err(
                format!("the multiple of the output channels must be between 1 and 16, found `{multiple}`"),
            ),
            Fusion::Concatenate
            | Fusion::Conv1x1 { .. }
            | Fusion::Mlp { .. }
            | Fusion::Sum
            | Fusion::Product => Ok(()),
        }
    }

    /// Channels of the four combined maps.
    #[must_use]
    pub fn output_dims(&self, encoders: &[MapDims]) -> MapDims {
        match self.fusion {
            Fusion::Concatenate => joined(encoders),
            Fusion::Conv1x1 { multiple } | Fusion::Mlp { multiple } => encoders[0].map(|dim| dim * multiple),
            Fusion::Sum | Fusion::Product => encoders[0],
        }
    }

    /// Names and shapes of its learned and stored tensors.
    #[must_use]
    pub fn signature(&self, encoders: &[MapDims]) -> Signature {
        let mut tensors = BTreeMap::new();
        let mut add = |name: String, shape: &[usize]| tensors.insert(name, shape.to_vec());
        for (encoder, dims) in encoders.iter().enumerate() {
            for (level, dim) in dims.iter().enumerate() {
                if self.norm == FeatureNorm::Batch {
                    add(format!("norm.{encoder}.{level}.mean"), &[*dim]);
                    add(format!("norm.{encoder}.{level}.var"), &[*dim]);
                }
                if self.projection {
                    add(format!("project.{encoder}.{level}.weight"), &[*dim, *dim, 1, 1]);
                    add(format!("project.{encoder}.{level}.bias"), &[*dim]);
                }
            }
        }
        match self.selection {
            Selection::All => {}
            Selection::TopK { .. } | Selection::Smooth { .. } => {
                add("select.weight".to_owned(), &[encoders.len()]);
            }
        }
        let mut conv = |name: String, output: usize, input: usize| {
            add(format!("{name}.weight"), &[output, input, 1, 1]);
            add(format!("{name}.bias"), &[output]);
        };
        for (level, (output, input)) in
            self.output_dims(encoders).into_iter().zip(joined(encoders)).enumerate()
        {
            match self.fusion {
                Fusion::Conv1x1 { .. } => conv(format!("fuse.{level}"), output, input),
                Fusion::Mlp { .. } => {
                    let inside = input * 5 / 4;
                    conv(format!("fuse.{level}.fc1"), inside, input);
                    conv(format!("fuse.{level}.fc2"), output, inside);
                }
                Fusion::Concatenate | Fusion::Sum | Fusion::Product => {}
            }
        }
        Signature(tensors)
    }
}

/// Channels of the concatenated maps.
fn joined(encoders: &[MapDims]) -> MapDims {
    [0, 1, 2, 3].map(|level: usize| encoders.iter().map(|dims| dims[level]).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTO: MapDims = [40, 80, 160, 320];
    const PICO: MapDims = [64, 128, 256, 512];

    fn shape(composition: Composition, name: &str) -> Vec<usize> {
        composition.signature(&[ATTO, PICO]).0[name].clone()
    }

    #[test]
    fn each_part_adds_exactly_its_tensors() {
        assert!(Composition::default().signature(&[ATTO, PICO]).0.is_empty());
        let batch = Composition { norm: FeatureNorm::Batch, ..Composition::default() };
        assert_eq!(batch.signature(&[ATTO, PICO]).0.len(), 2 * 4 * 2);
        assert_eq!(shape(batch, "norm.1.3.var"), [512]);
        let project = Composition { projection: true, ..Composition::default() };
        assert_eq!(shape(project, "project.0.1.weight"), [80, 80, 1, 1]);
        let select =
            Composition { selection: Selection::TopK { k: 1, scale: false }, ..Composition::default() };
        assert_eq!(shape(select, "select.weight"), [2]);
        let conv = Composition { fusion: Fusion::Conv1x1 { multiple: 2 }, ..Composition::default() };
        assert_eq!(shape(conv, "fuse.0.weight"), [80, 104, 1, 1]);
        let mlp = Composition { fusion: Fusion::Mlp { multiple: 1 }, ..Composition::default() };
        assert_eq!(shape(mlp, "fuse.0.fc1.weight"), [130, 104, 1, 1]);
        assert_eq!(shape(mlp, "fuse.3.fc2.weight"), [320, 1040, 1, 1]);
    }

    #[test]
    fn impossible_compositions_are_refused_with_the_rule() {
        let check = |composition: Composition| composition.check(&[ATTO, PICO]);
        let select = |selection| Composition { selection, ..Composition::default() };
        let fuse = |fusion| Composition { fusion, ..Composition::default() };
        assert!(check(Composition::default()).is_ok());
        assert!(check(select(Selection::TopK { k: 3, scale: false })).unwrap_err().contains("found `3`"));
        assert!(check(select(Selection::TopK { k: 0, scale: true })).is_err());
        assert!(check(select(Selection::Smooth { penalty: f64::NAN, scale: true })).is_err());
        assert!(check(fuse(Fusion::Sum)).unwrap_err().contains("same channels"));
        assert!(fuse(Fusion::Product).check(&[ATTO, ATTO]).is_ok());
        assert!(check(fuse(Fusion::Mlp { multiple: 0 })).is_err());
        assert!(Composition::default().check(&[]).is_err());
    }
}
