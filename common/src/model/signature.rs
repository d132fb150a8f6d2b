//! Names and shapes of a model's tensors: timm's for the encoder (`features_only` without its renaming) and
//! the classifier, and this system's names under `decoder.` for UPerNet.
//!
//! Sources: timm `convnext.py`; Xiao et al. 2018, "Unified Perceptual Parsing", as mmsegmentation
//! lays it out, with group instead of batch normalisation: running statistics of institutions with
//! different data do not average (Hsieh et al. 2020).

use std::collections::BTreeMap;

use super::{BackboneShape, DecoderChannels, ModelSpec, Task};
use crate::weights::Signature;

/// Output sizes of the pyramid pooling module.
pub const POOL_SCALES: [usize; 4] = [1, 2, 3, 6];

#[derive(Default)]
struct Builder(BTreeMap<String, Vec<usize>>);

impl Builder {
    fn add(&mut self, name: impl Into<String>, shape: &[usize]) {
        self.0.insert(name.into(), shape.to_vec());
    }

    /// A tensor of the given shape and a bias as long as its first dimension.
    fn with_bias(&mut self, name: &str, shape: &[usize]) {
        self.add(format!("{name}.weight"), shape);
        self.add(format!("{name}.bias"), &shape[..1]);
    }

    /// A convolution without bias, then a group normalisation.
    fn conv_norm(&mut self, name: &str, output: usize, input: usize, kernel: usize) {
        self.add(format!("{name}.conv.weight"), &[output, input, kernel, kernel]);
        self.with_bias(&format!("{name}.norm"), &[output]);
    }
}

/// The encoder's tensors for `bands` input channels, without head.
#[must_use]
pub fn backbone_signature(shape: &BackboneShape, bands: usize) -> Signature {
    let BackboneShape { depths, dims, conv_mlp } = *shape;
    let mut tensors = Builder::default();
    tensors.with_bias("stem.0", &[dims[0], bands, 4, 4]);
    tensors.with_bias("stem.1", &[dims[0]]);
    for stage in 0..4 {
        if stage > 0 {
            tensors.with_bias(&format!("stages.{stage}.downsample.0"), &[dims[stage - 1]]);
            tensors.with_bias(&format!("stages.{stage}.downsample.1"), &[dims[stage], dims[stage - 1], 2, 2]);
        }
        for block in 0..depths[stage] {
            block_tensors(&mut tensors, &format!("stages.{stage}.blocks.{block}"), dims[stage], conv_mlp);
        }
    }
    Signature(tensors.0)
}

fn block_tensors(tensors: &mut Builder, name: &str, dim: usize, conv_mlp: bool) {
    let linear = |out, input| if conv_mlp { vec![out, input, 1, 1] } else { vec![out, input] };
    tensors.with_bias(&format!("{name}.conv_dw"), &[dim, 1, 7, 7]);
    tensors.with_bias(&format!("{name}.norm"), &[dim]);
    tensors.with_bias(&format!("{name}.mlp.fc1"), &linear(4 * dim, dim));
    tensors.with_bias(&format!("{name}.mlp.grn"), &[4 * dim]);
    tensors.with_bias(&format!("{name}.mlp.fc2"), &linear(dim, 4 * dim));
}

/// A head for `task` over four feature maps of `dims` channels: timm's classifier over the last
/// map, or UPerNet with these channels over all four. Change detection concatenates the maps of its two dates.
#[must_use]
pub fn head_signature(task: Task, dims: &[usize; 4], classes: usize, decoder: DecoderChannels) -> Signature {
    let mut tensors = Builder::default();
    let decoder = decoder.get();
    let dims = &dims.map(|dim| dim * task.dates());
    match task {
        Task::Classification | Task::Multilabel => {
            tensors.with_bias("head.norm", &[dims[3]]);
            tensors.with_bias("head.fc", &[classes, dims[3]]);
        }
        Task::Segmentation | Task::ChangeDetection | Task::Regression => {
            for index in 0..POOL_SCALES.len() {
                tensors.conv_norm(&format!("decoder.ppm.{index}"), decoder, dims[3], 1);
            }
            tensors.conv_norm("decoder.bottleneck", decoder, dims[3] + POOL_SCALES.len() * decoder, 3);
            for (level, dim) in dims.iter().take(3).enumerate() {
                tensors.conv_norm(&format!("decoder.lateral.{level}"), decoder, *dim, 1);
                tensors.conv_norm(&format!("decoder.fpn.{level}"), decoder, decoder, 3);
            }
            tensors.conv_norm("decoder.fuse", decoder, 4 * decoder, 3);
            tensors.with_bias("decoder.classify", &[classes, decoder, 1, 1]);
        }
    }
    Signature(tensors.0)
}

/// All tensors of a model: encoder and head.
#[must_use]
pub fn signature(spec: &ModelSpec) -> Signature {
    let shape = spec.backbone.shape();
    let mut tensors = backbone_signature(&shape, spec.bands.len()).0;
    let head = head_signature(spec.task, &shape.dims, spec.classes.len(), DecoderChannels::DEFAULT);
    tensors.extend(head.0);
    Signature(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Backbone;

    fn imagenet(backbone: Backbone) -> ModelSpec {
        ModelSpec {
            backbone,
            task: Task::Classification,
            bands: ["red", "green", "blue"].map(str::to_owned).to_vec(),
            classes: (0..1000).map(|class| class.to_string()).collect(),
            target: None,
        }
    }

    /// Counts printed by timm 1.0.31 for `create_model(name)` with 1,000 classes.
    #[test]
    fn parameter_counts_equal_those_of_timm() {
        let counts = [3_708_400, 5_233_240, 9_066_280, 15_623_800, 28_635_496, 88_717_800];
        for (backbone, count) in Backbone::ALL.into_iter().zip(counts) {
            assert_eq!(signature(&imagenet(backbone)).parameters(), count, "{backbone}");
        }
        let atto = signature(&imagenet(Backbone::Atto));
        let classifier = |name: &&String| name.starts_with("head.fc");
        let classifier: usize = atto
            .0
            .iter()
            .filter(|(name, _)| classifier(name))
            .map(|(_, s)| s.iter().product::<usize>())
            .sum();
        assert_eq!(atto.parameters() - classifier, 3_387_400);
    }

    #[test]
    fn variants_differ_in_how_linear_layers_are_stored() {
        let fc1 = |backbone: Backbone| {
            backbone_signature(&backbone.shape(), 6).0["stages.0.blocks.0.mlp.fc1.weight"].clone()
        };
        assert_eq!(fc1(Backbone::Atto), [160, 40, 1, 1]);
        assert_eq!(fc1(Backbone::Tiny), [384, 96]);
        assert_eq!(backbone_signature(&Backbone::Atto.shape(), 6).0["stem.0.weight"], [40, 6, 4, 4]);
    }

    #[test]
    fn change_detection_has_the_maps_of_two_dates_at_every_level() {
        let heads = |task| head_signature(task, &[8, 16, 24, 32], 2, DecoderChannels::DEFAULT).0;
        let one = heads(Task::Segmentation);
        let two = heads(Task::ChangeDetection);
        assert_eq!(one["decoder.lateral.0.conv.weight"], [128, 8, 1, 1]);
        assert_eq!(two["decoder.lateral.0.conv.weight"], [128, 16, 1, 1]);
        assert_eq!(two["decoder.bottleneck.conv.weight"], [128, 64 + 512, 3, 3]);
    }
}
