//! The network of a specialist: backbone, bands, task and head. The names, shapes and starting values of its
//! weights follow from them.
//!
//! The coordinator has no libtorch, yet it must know exactly which tensors an update may hold and must hand
//! out the first global weights; so the signature and the initialisation are here, in plain Rust, and the
//! trainer is tested against them. The arithmetic of the network is in the trainer.

mod adaptation;
mod composition;
mod decoder;
mod init;
mod signature;
mod stem;
mod task;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumCount, IntoStaticStr, VariantArray};

pub use adaptation::{Adaptation, BandRule, NamedBand, adapt};
pub use composition::{Composition, FeatureNorm, Fusion, MapDims, Method, Selection};
pub use decoder::DecoderChannels;
pub use init::{initial_tensor, initial_tensors, initial_weights};
pub use signature::{POOL_SCALES, backbone_signature, head_signature, signature};
pub use stem::{named, stem_words, warm_start, warm_tensor};
pub use task::{TargetScale, Task};

/// The encoders' largest stride: the sides of the images that they take are multiples of it.
pub const STRIDE: u32 = 32;
/// Most input bands of a model.
pub const MAX_BANDS: usize = 64;
/// Most classes of a model.
pub const MAX_CLASSES: usize = 254;

/// A ConvNeXtV2 variant, under timm's name.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    Display,
    EnumCount,
    IntoStaticStr,
    VariantArray,
    JsonSchema,
)]
#[strum(prefix = "convnextv2_", serialize_all = "snake_case")]
pub enum Backbone {
    /// 3.4 million parameters.
    #[serde(rename = "convnextv2_atto")]
    Atto,
    /// 4.8 million parameters.
    #[serde(rename = "convnextv2_femto")]
    Femto,
    /// 8.6 million parameters.
    #[serde(rename = "convnextv2_pico")]
    Pico,
    /// 15 million parameters.
    #[serde(rename = "convnextv2_nano")]
    Nano,
    /// 28 million parameters.
    #[serde(rename = "convnextv2_tiny")]
    Tiny,
    /// 88 million parameters.
    #[serde(rename = "convnextv2_base")]
    Base,
}

/// The sizes that make one ConvNeXtV2 variant (Woo et al. 2023, appendix A; timm `convnext.py`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackboneShape {
    /// Blocks in each of the four stages.
    pub depths: [usize; 4],
    /// Channels of each of the four stages.
    pub dims: [usize; 4],
    /// Whether the block's two linear layers are stored as 1x1 convolutions (`[out, in, 1, 1]`).
    pub conv_mlp: bool,
}

impl Backbone {
    /// Every variant, smallest first.
    pub const ALL: [Self; Self::COUNT] = *Self::VARIANTS.as_array().expect("as many as there are variants");

    /// timm's name of the variant.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The variant's sizes.
    #[must_use]
    pub const fn shape(self) -> BackboneShape {
        let (depths, dims, conv_mlp) = match self {
            Self::Atto => ([2, 2, 6, 2], [40, 80, 160, 320], true),
            Self::Femto => ([2, 2, 6, 2], [48, 96, 192, 384], true),
            Self::Pico => ([2, 2, 6, 2], [64, 128, 256, 512], true),
            Self::Nano => ([2, 2, 8, 2], [80, 160, 320, 640], true),
            Self::Tiny => ([3, 3, 9, 3], [96, 192, 384, 768], false),
            Self::Base => ([3, 3, 27, 3], [128, 256, 512, 1024], false),
        };
        BackboneShape { depths, dims, conv_mlp }
    }
}

/// A network. The names and shapes of all its tensors follow from this description.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// The encoder.
    pub backbone: Backbone,
    /// What the head predicts.
    pub task: Task,
    /// Names of the input channels, in order.
    pub bands: Vec<String>,
    /// Names of the classes, in the order of their indices; in regression the target's name alone.
    pub classes: Vec<String>,
    /// What the output means in the target's units; regression only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetScale>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_in_files_and_in_tables() {
        for backbone in Backbone::ALL {
            assert_eq!(serde_json::to_value(backbone).unwrap(), backbone.name());
        }
        for task in Task::ALL {
            assert_eq!(serde_json::to_value(task).unwrap(), task.name());
        }
    }
}
