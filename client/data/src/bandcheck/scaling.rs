//! What a data set has applied to the values of its files, band by band.

use super::{NamedBand, Scaling};

/// What was applied to each of some bands, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct BandScaling(Vec<Scaling>);

impl From<Scaling> for BandScaling {
    /// The same for all bands.
    fn from(scaling: Scaling) -> Self {
        Self(vec![scaling])
    }
}

impl BandScaling {
    /// Of so many bands.
    pub(crate) const fn new(bands: Vec<Scaling>) -> Self {
        Self(bands)
    }

    /// That of a band. After the last one the first comes again, as the bands do at a second date.
    #[must_use]
    pub fn of(&self, band: usize) -> Scaling {
        self.0.get(band % self.0.len().max(1)).copied().unwrap_or_default()
    }

    /// That of all bands, if it is the same.
    #[must_use]
    pub fn of_all(&self) -> Option<Scaling> {
        let first = self.of(0);
        self.0.iter().all(|scaling| *scaling == first).then_some(first)
    }

    /// That of the bands of reflected light, if it is the same.
    pub(super) fn of_light(&self, bands: &[NamedBand]) -> Option<Scaling> {
        let light = bands.iter().enumerate().filter(|(_, band)| band.is_reflective());
        let all: Vec<Scaling> = light.map(|(at, _)| self.of(at)).collect();
        let first = *all.first()?;
        all.iter().all(|scaling| *scaling == first).then_some(first)
    }

    /// Scales the values of a stack of bands of so many pixels each in place. Pixels without data, which are NaN,
    /// stay so.
    pub fn apply(&self, values: &mut [f32], pixels: usize) {
        for (at, band) in values.chunks_exact_mut(pixels.max(1)).enumerate() {
            let Scaling { scale, offset } = self.of(at);
            let (scale, offset) = (scale as f32, offset as f32);
            band.iter_mut().for_each(|value| *value = *value * scale + offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bandcheck::testing::bands;

    const LIGHT: Scaling = Scaling { scale: 0.5, offset: -1.0 };
    const RADAR: Scaling = Scaling { scale: 1.0, offset: 0.0 };

    #[test]
    fn each_band_of_each_date_has_its_own() {
        let scaling = BandScaling::new(vec![LIGHT, RADAR]);
        let mut values = [2.0, 4.0, 2.0, 4.0, f32::NAN, 8.0, 6.0, 8.0];
        scaling.apply(&mut values, 2);
        assert!(values[4].is_nan());
        values[4] = 0.0;
        assert_eq!(values, [0.0, 1.0, 2.0, 4.0, 0.0, 3.0, 6.0, 8.0]);
        let mut all = [2.0, 4.0];
        BandScaling::from(LIGHT).apply(&mut all, 1);
        assert_eq!(all, [0.0, 1.0]);
        BandScaling::new(Vec::new()).apply(&mut all, 0);
        assert_eq!(all, [0.0, 1.0], "no band, no change");
    }

    #[test]
    fn what_bands_have_in_common_is_known() {
        let mixed = BandScaling::new(vec![LIGHT, LIGHT, RADAR]);
        assert_eq!(mixed.of_all(), None);
        assert_eq!(mixed.of_light(&bands("red nir VV")), Some(LIGHT));
        assert_eq!(mixed.of_light(&bands("red VV nir")), None, "bands of light differ");
        assert_eq!(mixed.of_light(&bands("VV VH HH")), None, "no light");
        assert_eq!(BandScaling::from(LIGHT).of_all(), Some(LIGHT));
    }
}
