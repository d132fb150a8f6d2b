//! Learning rates that fall from the head to the first layers, so that layers which were trained before change
//! less (Clark et al. 2020). The layers are those of timm's `param_groups_layer_decay` for ConvNeXt: the stem,
//! each block with the downsampling before it, and everything else, which has the full rate.

use eosfed_common::model::BackboneShape;

/// The factor of the learning rate of the tensor `name` at this decay from one layer to the one before it.
pub(super) fn rate_factor(shape: &BackboneShape, decay: f64, name: &str) -> f64 {
    let blocks: usize = shape.depths.iter().sum();
    let last = blocks + 1;
    let layer = layer(shape, name).unwrap_or(last);
    decay.powi((last - layer) as i32)
}

/// 0 for the stem, then the number of the block from 1; `None` for what is no part of the encoder.
fn layer(shape: &BackboneShape, name: &str) -> Option<usize> {
    if name.starts_with("stem.") {
        return Some(0);
    }
    let (stage, rest) = name.strip_prefix("stages.")?.split_once('.')?;
    let stage: usize = stage.parse().ok()?;
    let block = match rest.strip_prefix("blocks.") {
        Some(rest) => rest.split_once('.')?.0.parse().ok()?,
        None => 0,
    };
    Some(1 + shape.depths.iter().take(stage).sum::<usize>() + block)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        depths: [usize; 4],
        decay: f64,
        scales: BTreeMap<String, f64>,
    }

    /// timm's `param_groups_layer_decay` (`goldens/generate_training.py`).
    #[test]
    fn factors_are_those_of_timm() {
        let all: serde_json::Value =
            serde_json::from_str(include_str!("../../goldens/training.json")).unwrap();
        let golden: Golden = serde_json::from_value(all["layers"].clone()).unwrap();
        let shape = BackboneShape { depths: golden.depths, dims: [8; 4], conv_mlp: true };
        assert!(golden.scales.len() > 50);
        for (name, scale) in &golden.scales {
            let found = rate_factor(&shape, golden.decay, name);
            assert!((found - scale).abs() < 1e-12, "{name}: {found} and {scale}");
        }
        assert_eq!(rate_factor(&shape, golden.decay, "decoder.fuse.conv.weight"), 1.0);
    }
}
