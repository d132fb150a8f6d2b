//! Bands by name: the names of a sensor's bands, their wavelengths and their synonyms.
//!
//! Wrong band order is the commonest silent error with multispectral models, so bands are
//! matched by name: data sets and specialists name them, and this table defines the names. A
//! Sentinel-2 band goes by the mission's name (`B04`, `B8A`), a Sentinel-1 one by its polarisation
//! (`VV`), and everything else by its STAC common name (`red`, `nir08`): Landsat's `B4` is near
//! infrared on Landsat 7 and red on Landsat 8, so Landsat's own names count only beside their sensor.
//!
//! Sources: the STAC electro-optical extension 2.0 (common names); ESA's Sentinel-2 user handbook and
//! USGS's tables of Landsat 7 ETM+ and Landsat 8/9 OLI and TIRS (centres, resolutions).

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumCount, IntoStaticStr, VariantArray};

/// The properties of one band.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BandInfo {
    /// STAC common name, such as `red` or `swir16`.
    pub common_name: Option<String>,
    /// Centre wavelength in micrometres; absent for radar.
    pub wavelength_um: Option<f64>,
    /// Ground sampling distance in metres.
    pub gsd_m: Option<f64>,
}

/// The names of bands in this system, with their properties.
struct Known {
    name: &'static str,
    common: Option<&'static str>,
    wavelength_um: Option<f64>,
    gsd_m: Option<f64>,
}

const fn optical(name: &'static str, common: &'static str, wavelength_um: f64, gsd_m: f64) -> Known {
    Known { name, common: Some(common), wavelength_um: Some(wavelength_um), gsd_m: Some(gsd_m) }
}

/// A common name. Its resolution depends on the sensor.
const fn common(name: &'static str, wavelength_um: f64) -> Known {
    Known { name, common: Some(name), wavelength_um: Some(wavelength_um), gsd_m: None }
}

const fn radar(name: &'static str) -> Known {
    Known { name, common: None, wavelength_um: None, gsd_m: Some(10.0) }
}

const TABLE: [Known; 35] = [
    optical("B01", "coastal", 0.443, 60.0),
    optical("B02", "blue", 0.490, 10.0),
    optical("B03", "green", 0.560, 10.0),
    optical("B04", "red", 0.665, 10.0),
    optical("B05", "rededge071", 0.705, 20.0),
    optical("B06", "rededge075", 0.740, 20.0),
    optical("B07", "rededge078", 0.783, 20.0),
    optical("B08", "nir", 0.842, 10.0),
    optical("B8A", "nir08", 0.865, 20.0),
    optical("B09", "nir09", 0.945, 60.0),
    optical("B10", "cirrus", 1.375, 60.0),
    optical("B11", "swir16", 1.610, 20.0),
    optical("B12", "swir22", 2.190, 20.0),
    common("coastal", 0.443),
    common("blue", 0.482),
    common("green", 0.562),
    common("yellow", 0.605),
    common("red", 0.655),
    common("rededge071", 0.705),
    common("rededge075", 0.740),
    common("rededge078", 0.783),
    common("nir", 0.842),
    common("nir08", 0.865),
    common("nir09", 0.945),
    common("cirrus", 1.374),
    common("swir16", 1.610),
    common("swir22", 2.200),
    common("lwir", 11.45),
    common("lwir11", 10.90),
    common("lwir12", 12.00),
    common("pan", 0.590),
    radar("VV"),
    radar("VH"),
    radar("HH"),
    radar("HV"),
];

/// The entry of a band's name, or `None` if the table does not have it.
#[must_use]
pub fn known(name: &str) -> Option<BandInfo> {
    TABLE.iter().find(|known| known.name == name).map(|known| BandInfo {
        common_name: known.common.map(str::to_owned),
        wavelength_um: known.wavelength_um,
        gsd_m: known.gsd_m,
    })
}

/// A product whose bands come in a known order.
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
    IntoStaticStr,
    VariantArray,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Sensor {
    /// Red, green, blue.
    Rgb,
    /// Sentinel-2 top-of-atmosphere reflectance: all 13 bands.
    Sentinel2L1c,
    /// Sentinel-2 surface reflectance: 12 bands, no cirrus.
    Sentinel2L2a,
    /// The 10 land bands of Sentinel-2, without the three of 60 m.
    Sentinel2Land,
    /// Sentinel-1 backscatter in dB: VV, VH.
    Sentinel1,
    /// Landsat 7 ETM+.
    Landsat7,
    /// Landsat 8 OLI and TIRS.
    Landsat8,
    /// Landsat 9 OLI-2 and TIRS-2.
    Landsat9,
}

impl Sensor {
    /// Every sensor.
    pub const ALL: [Self; Self::COUNT] = *Self::VARIANTS.as_array().expect("as many as there are variants");

    /// Its name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The names of its bands, in the product's order.
    #[must_use]
    pub const fn bands(self) -> &'static [&'static str] {
        match self {
            Self::Rgb => &["red", "green", "blue"],
            Self::Sentinel2L1c => {
                &["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]
            }
            Self::Sentinel2L2a => {
                &["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]
            }
            Self::Sentinel2Land => &["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"],
            Self::Sentinel1 => &["VV", "VH"],
            Self::Landsat7 => &["blue", "green", "red", "nir08", "swir16", "lwir", "swir22", "pan"],
            Self::Landsat8 | Self::Landsat9 => &[
                "coastal", "blue", "green", "red", "nir08", "swir16", "swir22", "pan", "cirrus", "lwir11",
                "lwir12",
            ],
        }
    }

    /// This system's name of a band that the mission calls `own`, such as `B4` of Landsat 7.
    #[must_use]
    pub fn canonical(self, own: &str) -> Option<&'static str> {
        if let Some(name) = self.bands().iter().find(|name| **name == own) {
            return Some(name);
        }
        match self {
            Self::Landsat7 | Self::Landsat8 | Self::Landsat9 => {
                let number: usize = own.strip_prefix('B')?.parse().ok()?;
                self.bands().get(number.checked_sub(1)?).copied()
            }
            Self::Rgb => match own {
                "R" | "r" => Some("red"),
                "G" | "g" => Some("green"),
                "B" | "b" => Some("blue"),
                _ => None,
            },
            Self::Sentinel2L1c | Self::Sentinel2L2a | Self::Sentinel2Land => {
                let number: usize = own.strip_prefix('B')?.parse().ok()?;
                let padded = format!("B{number:02}");
                self.bands().iter().find(|name| **name == padded).copied()
            }
            Self::Sentinel1 => {
                let upper = own.to_ascii_uppercase();
                self.bands().iter().find(|name| **name == upper).copied()
            }
        }
    }
}

impl FromStr for Sensor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|sensor| sensor.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no sensor `{text}`; known are {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_band_of_every_sensor_is_in_the_table() {
        for sensor in Sensor::ALL {
            for band in sensor.bands() {
                assert!(known(band).is_some(), "{sensor}: {band}");
            }
            assert_eq!(sensor.name().parse(), Ok(sensor));
            assert_eq!(serde_json::to_value(sensor).unwrap(), sensor.name());
        }
        let names: std::collections::BTreeSet<_> = TABLE.iter().map(|known| known.name).collect();
        assert_eq!(names.len(), TABLE.len(), "a name occurs twice");
    }

    #[test]
    fn optical_bands_of_a_sensor_are_ordered_by_wavelength_except_as_documented() {
        let sentinel: Vec<f64> =
            Sensor::Sentinel2L1c.bands().iter().map(|b| known(b).unwrap().wavelength_um.unwrap()).collect();
        assert!(sentinel.is_sorted(), "{sentinel:?}");
    }

    #[test]
    fn landsat_band_numbers_depend_on_the_satellite() {
        assert_eq!(Sensor::Landsat7.canonical("B4"), Some("nir08"));
        assert_eq!(Sensor::Landsat8.canonical("B4"), Some("red"));
        assert_eq!(known("B4"), None);
        assert_eq!(Sensor::Sentinel2L2a.canonical("B2"), Some("B02"));
        assert_eq!(Sensor::Sentinel2L2a.canonical("B10"), None);
        assert_eq!(Sensor::Sentinel1.canonical("vv"), Some("VV"));
        assert!("sentinel3".parse::<Sensor>().unwrap_err().contains("landsat9"));
    }
}
