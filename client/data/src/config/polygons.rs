//! How polygons become masks.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DatasetConfig;
use crate::files::are_polygons;
use crate::polygons::Classes;

/// How polygons become masks, where `layout` names files of them (`.geojson`, `.json`, `.gpkg`, `.shp`) in place of mask
/// rasters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolygonConfig {
    /// The property of a feature that says its class.
    #[schemars(extend("x-rule" = "1 to 80 printable bytes"))]
    pub attribute: String,
    /// The class of each value of the property; numbers are written as text, `"311"`. Several values can be one class. Default:
    /// values are names of classes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-rule" = "each a class of `classes`"))]
    pub values: BTreeMap<String, String>,
    /// The class of pixels whose centres lie in no polygon; default: they have no label.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-rule" = "a class of `classes`"))]
    pub background: Option<String>,
    /// What is done about features whose value has no class, or that have no value.
    #[serde(default)]
    pub other_values: OtherValues,
}

/// What is done about features whose value has no class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OtherValues {
    /// The file is refused, with the values and how often each occurs.
    #[default]
    Refuse,
    /// Pixels in them have no label.
    Unlabelled,
}

/// Whether a pattern of masks is one file of polygons for all samples.
pub(crate) fn one_for_all(mask: &str) -> bool {
    !mask.contains('{') && are_polygons(Path::new(mask))
}

impl DatasetConfig {
    /// The classes of polygons; `None` if the description does not say them.
    pub(crate) fn polygon_classes(&self) -> Option<Classes> {
        let config = self.polygons.as_ref()?;
        // Class numbers are bytes: more classes than that are refused before.
        let class = |name: &String| self.classes.iter().position(|class| class == name).map(|at| at as u8);
        let values: BTreeMap<String, u8> = if config.values.is_empty() {
            self.classes.iter().filter_map(|name| Some((name.clone(), class(name)?))).collect()
        } else {
            config.values.iter().filter_map(|(value, name)| Some((value.clone(), class(name)?))).collect()
        };
        Some(Classes {
            attribute: config.attribute.clone(),
            values,
            background: config.background.as_ref().and_then(class),
            refuse_others: config.other_values == OtherValues::Refuse,
        })
    }
}
