//! Networks, normalisations and cards of specialists.

use eosfed_common::card::{BandNormalisation, Card};
use eosfed_common::finite::Finite;
use eosfed_common::model::{Backbone, ModelSpec, TargetScale, Task};

use crate::releases;

/// The smallest network for a task.
#[must_use]
pub fn model(task: Task, bands: &[&str], classes: &[&str]) -> ModelSpec {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let target = TargetScale { offset: 60.0, scale: 70.0, unit: "t/ha".to_owned() };
    ModelSpec {
        backbone: Backbone::Atto,
        task,
        bands: owned(bands),
        classes: owned(classes),
        target: (task == Task::Regression).then_some(target),
    }
}

/// The smallest network that tells `a` from `b` in red.
#[must_use]
pub fn classifier() -> ModelSpec {
    model(Task::Classification, &["red"], &["a", "b"])
}

/// The same normalisation of each of these bands.
#[must_use]
pub fn normalisation<B: ToString>(bands: &[B], mean: f64, std: f64) -> Vec<BandNormalisation> {
    let (mean, std) = (Finite::literal(mean), Finite::literal(std));
    bands.iter().map(|band| BandNormalisation { band: band.to_string(), mean, std, values: None }).collect()
}

/// The card of `west`, a specialist of red.
#[must_use]
pub fn card() -> Card {
    releases::release().specialists.remove(0)
}
