//! What the numbers of a band are: their moments, their unit, and the range in which almost all of them lie.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::Display;

use crate::finite::Finite;

/// A unit in which bands are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ValueUnit {
    /// Reflectance, 0 to about 1.
    #[strum(serialize = "reflectance")]
    Reflectance,
    /// Reflectance times 10,000.
    #[strum(serialize = "reflectance x 10000")]
    TenThousandths,
    /// 8-bit numbers, 0 to 255.
    #[strum(serialize = "8-bit numbers")]
    EightBit,
    /// 16-bit numbers with a scale and an offset of their own.
    #[strum(serialize = "16-bit numbers")]
    SixteenBit,
    /// Radar backscatter in dB.
    #[strum(serialize = "dB")]
    Decibels,
    /// Radar backscatter as linear power.
    #[strum(serialize = "linear power")]
    LinearPower,
}

/// What the numbers of a band look like after the data set's scale and offset.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BandValues {
    /// Their unit, as far as it can be told from them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<ValueUnit>,
    /// The value that 1 % of the pixels do not exceed.
    pub low: Finite,
    /// The value that 99 % of the pixels do not exceed.
    pub high: Finite,
}

impl BandValues {
    /// Checks that the range has two ends.
    ///
    /// # Errors
    /// A sentence with the rule and the values found.
    pub fn check(&self) -> Result<(), String> {
        let Self { low, high, .. } = self;
        if low > high {
            return Err(format!("`low` must not be above `high`, found `{low}` and `{high}`"));
        }
        Ok(())
    }

    /// What is true of several: the unit that all have, and the widest range. `None` if one of them is unknown.
    #[must_use]
    pub fn shared(all: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        let all: Vec<Self> = all.into_iter().collect::<Option<_>>()?;
        let first = *all.first()?;
        let wider = |range: Self, one: &Self| Self {
            unit: range.unit.filter(|unit| one.unit == Some(*unit)),
            low: if one.low < range.low { one.low } else { range.low },
            high: if one.high > range.high { one.high } else { range.high },
        };
        Some(all.iter().fold(first, wider))
    }
}

/// Streaming moments of one band (Chan, Golub & LeVeque 1979).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BandMoments {
    /// The band's name.
    pub band: String,
    /// Valid pixels.
    pub count: u64,
    /// Their mean.
    pub mean: Finite,
    /// Sum of squared deviations from the mean.
    pub m2: Finite,
    /// What the numbers look like: unit and range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<BandValues>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(unit: Option<ValueUnit>, low: f64, high: f64) -> BandValues {
        BandValues { unit, low: Finite::literal(low), high: Finite::literal(high) }
    }

    #[test]
    fn several_share_the_unit_that_all_have_and_the_widest_range() {
        let unit = Some(ValueUnit::Reflectance);
        let (north, south) = (values(unit, 0.1, 0.3), values(unit, 0.0, 0.2));
        assert_eq!(BandValues::shared([Some(north), Some(south)]), Some(values(unit, 0.0, 0.3)));
        let other = values(Some(ValueUnit::EightBit), 3.0, 200.0);
        assert_eq!(BandValues::shared([Some(north), Some(other)]), Some(values(None, 0.1, 200.0)));
        assert_eq!(
            BandValues::shared([Some(north), None]),
            None,
            "what one does not tell is not known of all"
        );
        assert_eq!(BandValues::shared([]), None);
    }

    #[test]
    fn a_range_has_its_ends_in_order() {
        assert_eq!(values(None, 0.5, 0.5).check(), Ok(()));
        let said = values(None, 2.0, 1.0).check().unwrap_err();
        assert!(said.contains("`2`") && said.contains("`1`"), "{said}");
    }
}
