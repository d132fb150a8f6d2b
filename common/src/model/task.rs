//! The five tasks and their properties.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumCount, EnumString, IntoStaticStr, VariantArray};

/// What a specialist is trained to do.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumCount,
    EnumString,
    IntoStaticStr,
    VariantArray,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Task {
    /// One class for each image.
    Classification,
    /// Any number of classes for each image.
    Multilabel,
    /// One class for each pixel.
    Segmentation,
    /// One class for each pixel of an area at two dates.
    ChangeDetection,
    /// One number for each pixel.
    Regression,
}

impl Task {
    /// Every task.
    pub const ALL: [Self; Self::COUNT] = *Self::VARIANTS.as_array().expect("as many as there are variants");

    /// Its name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether it predicts for each pixel.
    #[must_use]
    pub const fn is_dense(self) -> bool {
        match self {
            Self::Classification | Self::Multilabel => false,
            Self::Segmentation | Self::ChangeDetection | Self::Regression => true,
        }
    }

    /// Number of images (dates) in a sample.
    #[must_use]
    pub const fn dates(self) -> usize {
        match self {
            Self::ChangeDetection => 2,
            Self::Classification | Self::Multilabel | Self::Segmentation | Self::Regression => 1,
        }
    }

    /// Fewest and most names in `classes`.
    #[must_use]
    pub const fn classes(self) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::Classification | Self::Segmentation | Self::ChangeDetection => 2..=super::MAX_CLASSES,
            Self::Multilabel => 1..=super::MAX_CLASSES,
            Self::Regression => 1..=1,
        }
    }

    /// The metric that selects the best epoch and is shown first in tables. Metrics of classes give rare
    /// classes the same weight.
    #[must_use]
    pub const fn main_metric(self) -> &'static str {
        match self {
            Self::Classification => "macro_f1",
            Self::Multilabel => "map",
            Self::Segmentation | Self::ChangeDetection => "miou",
            Self::Regression => "rmse",
        }
    }

    /// Whether a larger value of [`Task::main_metric`] is better.
    #[must_use]
    pub const fn larger_is_better(self) -> bool {
        !matches!(self, Self::Regression)
    }
}

/// How a regression network's output becomes a value: `output * scale + offset`. Networks learn best
/// near zero and one; all institutions of a job use the same scale, so it is part of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetScale {
    /// The added value, in the target's units; about the target's mean.
    #[serde(default)]
    pub offset: f64,
    /// The factor, positive; about the target's standard deviation.
    #[serde(default = "one")]
    pub scale: f64,
    /// The displayed unit of the target.
    #[serde(default)]
    pub unit: String,
}

const fn one() -> f64 {
    1.0
}

impl Default for TargetScale {
    fn default() -> Self {
        Self { offset: 0.0, scale: 1.0, unit: String::new() }
    }
}
