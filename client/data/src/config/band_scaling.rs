//! What is done to the values of single bands. Files of several instruments are stacked, and one scale does not fit
//! all of them: reflectance in ten-thousandths, radar in dB.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DatasetConfig;
use crate::bandcheck::{BandScaling, Scaling};

/// A scale and an offset of one band. What is not given is that of all bands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnScaling {
    /// The factor of its values; default: `scale`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-rule" = "finite, not 0"))]
    pub scale: Option<f64>,
    /// The value that is added after scaling; default: `offset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-rule" = "finite"))]
    pub offset: Option<f64>,
}

/// Scales and offsets of single bands, by name.
pub type OwnScalings = BTreeMap<String, OwnScaling>;

impl OwnScaling {
    /// Completed by what all bands have.
    fn beside(self, common: Scaling) -> Scaling {
        Scaling { scale: self.scale.unwrap_or(common.scale), offset: self.offset.unwrap_or(common.offset) }
    }
}

/// What is done to each of these bands.
pub(super) fn of_bands(bands: &[String], common: Scaling, own: &OwnScalings) -> BandScaling {
    let of = |band: &String| own.get(band).map_or(common, |own| own.beside(common));
    BandScaling::new(bands.iter().map(of).collect())
}

impl DatasetConfig {
    /// What is done to the values of each of `bands` in the files.
    #[must_use]
    pub(crate) fn scaling(&self, bands: &[String]) -> BandScaling {
        let common = Scaling { scale: self.scale, offset: self.offset };
        of_bands(bands, common, &self.band_scaling)
    }
}
