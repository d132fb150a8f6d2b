//! The findings of the checks, as data and as sentences.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Contradicts the declared names of the bands.
    Contradiction,
    /// Unusual; a person should check it.
    Notice,
}

/// The rule that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A band must vary.
    Constant,
    /// A band must not be zero throughout some of the samples.
    ZeroFilled,
    /// Two bands must not be equal.
    Copy,
    /// A marker of missing data must not count as a value.
    NoData,
    /// All optical bands must be in one unit, and in a known one.
    Unit,
    /// The declared scale must give reflectance.
    Scale,
    /// Dark pixels must be near zero, not far above or below it.
    Offset,
    /// The cirrus band must be near zero, and no visible band may be.
    Cirrus,
    /// Bright surfaces must not be far brighter in red than in near infrared.
    Vegetation,
    /// No other order of the names may fit the pixels clearly better.
    Order,
    /// Radar backscatter must be in dB.
    RadarUnit,
    /// Like polarisations must return more than crossed ones.
    RadarOrder,
    /// Means of bands must be of the training's magnitude.
    MomentsScale,
    /// Means of bands must not all be shifted against the training's.
    MomentsOffset,
    /// No other order of the names may fit the training's moments clearly better.
    MomentsOrder,
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The declared names of its bands.
    pub bands: Vec<String>,
    /// Its severity.
    pub severity: Severity,
    /// The rule, the numbers found and what to do, for a person.
    pub message: String,
}

impl Finding {
    pub(super) fn contradiction(rule: Rule, bands: &[&str], message: String) -> Self {
        Self::new(rule, bands, Severity::Contradiction, message)
    }

    pub(super) fn notice(rule: Rule, bands: &[&str], message: String) -> Self {
        Self::new(rule, bands, Severity::Notice, message)
    }

    pub(super) fn new(rule: Rule, bands: &[&str], severity: Severity, message: String) -> Self {
        Self { rule, bands: bands.iter().map(|band| (*band).to_owned()).collect(), severity, message }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
