//! The ground sampling distance of a raster: metres on the ground from one pixel to the next.

use super::{GeoReference, keys};

/// Metres in a degree of latitude, and in a degree of longitude at the equator.
const DEGREE: f64 = 111_320.0;
/// Radius of the sphere of web Mercator in metres.
const MERCATOR_RADIUS: f64 = 6_378_137.0;

// Ids and values of GeoTIFF 1.1, sections 7.4 and 7.5.
const MODEL_TYPE: u16 = 1024;
const ANGULAR_UNITS: u16 = 2054;
const PROJECTED_SYSTEM: u16 = 3072;
const LINEAR_UNITS: u16 = 3076;
const PROJECTED: u16 = 1;
const GEOGRAPHIC: u16 = 2;
const DEGREES: [u16; 2] = [9102, 9122];
const WEB_MERCATOR: u16 = 3857;

impl GeoReference {
    /// The ground sampling distance in metres in the middle of an image of so many columns and rows: the side of a square as
    /// large as a pixel. Nothing where the file does not say the units of its coordinates.
    #[must_use]
    pub fn ground_sampling_distance(&self, size: [usize; 2]) -> Option<f64> {
        let [a, b, _, d, e, _] = self.geotransform()?;
        let y = self.middle(size)?;
        let side = (a * e - b * d).abs().sqrt();
        let metres = match keys::code(self, MODEL_TYPE)? {
            PROJECTED => side * self.metres_per_unit()? * self.projection_scale(y),
            GEOGRAPHIC if keys::code(self, ANGULAR_UNITS).is_none_or(|units| DEGREES.contains(&units)) => {
                // A degree of longitude shrinks with the latitude, one of latitude does not.
                side * DEGREE * y.to_radians().cos().abs().sqrt()
            }
            _ => return None,
        };
        (metres.is_finite() && metres > 0.0).then_some(metres)
    }

    /// Metres on the ground from one column to the next in the middle of an image of so many columns and rows, as a scale bar
    /// of a picture has them. Nothing where the file does not say the units of its coordinates.
    #[must_use]
    pub fn pixel_width(&self, size: [usize; 2]) -> Option<f64> {
        let [a, _, _, d, _, _] = self.geotransform()?;
        let y = self.middle(size)?;
        let metres = match keys::code(self, MODEL_TYPE)? {
            PROJECTED => a.hypot(d) * self.metres_per_unit()? * self.projection_scale(y),
            GEOGRAPHIC if keys::code(self, ANGULAR_UNITS).is_none_or(|units| DEGREES.contains(&units)) => {
                (a * y.to_radians().cos()).hypot(d) * DEGREE
            }
            _ => return None,
        };
        (metres.is_finite() && metres > 0.0).then_some(metres)
    }

    /// The second coordinate of the middle of an image: its latitude, in a geographic system.
    fn middle(&self, [columns, rows]: [usize; 2]) -> Option<f64> {
        let [_, _, _, d, e, y] = self.geotransform()?;
        Some(y + (d * columns as f64 + e * rows as f64) / 2.0)
    }

    fn metres_per_unit(&self) -> Option<f64> {
        match keys::code(self, LINEAR_UNITS)? {
            9001 => Some(1.0),
            9002 => Some(0.3048),
            9003 => Some(1200.0 / 3937.0),
            9036 => Some(1000.0),
            _ => None,
        }
    }

    /// Web Mercator stretches by the reciprocal of the latitude's cosine; other projections in use
    /// are true to within a few parts in a thousand.
    fn projection_scale(&self, y: f64) -> f64 {
        match keys::code(self, PROJECTED_SYSTEM) {
            Some(WEB_MERCATOR) => 1.0 / (y / MERCATOR_RADIUS).cosh(),
            _ => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(scale: f64, origin: [f64; 2], keys: &[(u16, u16)]) -> GeoReference {
        let entries = keys.iter().flat_map(|(id, value)| [*id, 0, 1, *value]);
        GeoReference {
            pixel_scale: vec![scale, scale, 0.0],
            tie_point: vec![0.0, 0.0, 0.0, origin[0], origin[1], 0.0],
            keys: [1, 1, 0, keys.len() as u16].into_iter().chain(entries).collect(),
            ..GeoReference::default()
        }
    }

    fn metres(reference: &GeoReference) -> Option<f64> {
        reference.ground_sampling_distance([0, 0]).map(|metres| (metres * 1000.0).round() / 1000.0)
    }

    #[test]
    fn metres_follow_from_the_units_of_the_reference_system() {
        let projected = |units| [(MODEL_TYPE, PROJECTED), (LINEAR_UNITS, units)];
        let utm = reference(28.5, [630_000.0, 230_000.0], &projected(9001));
        assert_eq!(metres(&utm), Some(28.5));
        assert_eq!(metres(&reference(10.0, [0.0, 0.0], &projected(9002))), Some(3.048));
        // Half a degree of longitude is half as wide at 60 degrees north; a pixel covers half the area.
        let degrees = reference(0.001, [7.0, 60.0], &[(MODEL_TYPE, GEOGRAPHIC)]);
        assert_eq!(metres(&degrees), Some((111.32 * 0.5_f64.sqrt() * 1000.0).round() / 1000.0));
        let mercator = [(MODEL_TYPE, PROJECTED), (PROJECTED_SYSTEM, WEB_MERCATOR), (LINEAR_UNITS, 9001)];
        assert_eq!(metres(&reference(10.0, [0.0, 8_399_737.89], &mercator)), Some(5.0));
    }

    #[test]
    fn a_scale_bar_has_the_width_of_pixels() {
        let width = |reference: &GeoReference| {
            reference.pixel_width([0, 0]).map(|metres| (metres * 1e3).round() / 1e3)
        };
        let projected = [(MODEL_TYPE, PROJECTED), (LINEAR_UNITS, 9001)];
        let mut utm = reference(28.5, [630_000.0, 230_000.0], &projected);
        assert_eq!(width(&utm), Some(28.5));
        // Pixels of half the height are as wide as before.
        utm.pixel_scale[1] = 14.25;
        assert_eq!((width(&utm), metres(&utm)), (Some(28.5), Some(20.153)));
        let degrees = reference(0.001, [7.0, 60.0], &[(MODEL_TYPE, GEOGRAPHIC)]);
        assert_eq!(width(&degrees), Some(55.66));
        assert_eq!(width(&reference(10.0, [0.0, 0.0], &[])), None);
    }

    #[test]
    fn distances_are_those_in_the_middle_of_an_image() {
        let degrees = reference(0.001, [7.0, 60.5], &[(MODEL_TYPE, GEOGRAPHIC)]);
        let middle = reference(0.001, [7.0, 60.0], &[(MODEL_TYPE, GEOGRAPHIC)]);
        let tall = [400, 1000];
        assert_eq!(degrees.ground_sampling_distance(tall), middle.ground_sampling_distance([0, 0]));
        assert_eq!(degrees.pixel_width(tall), middle.pixel_width([0, 0]));
        assert!(degrees.pixel_width([0, 0]) < degrees.pixel_width(tall));
        let metres = [(MODEL_TYPE, PROJECTED), (LINEAR_UNITS, 9001)];
        assert_eq!(reference(10.0, [0.0, 9e6], &metres).ground_sampling_distance(tall), Some(10.0));
        let mercator = [(MODEL_TYPE, PROJECTED), (PROJECTED_SYSTEM, WEB_MERCATOR), (LINEAR_UNITS, 9001)];
        let north = reference(10.0, [0.0, 8_399_737.89 + 5000.0], &mercator);
        assert_eq!(north.ground_sampling_distance([4, 1000]).map(f64::round), Some(5.0));
        assert!(north.ground_sampling_distance([0, 0]) < north.ground_sampling_distance([4, 1000]));
    }

    #[test]
    fn turned_pixels_keep_their_area() {
        let (sin, cos) = 0.5_f64.sin_cos();
        let mut turned = reference(1.0, [0.0, 0.0], &[(MODEL_TYPE, PROJECTED), (LINEAR_UNITS, 9001)]);
        turned.pixel_scale.clear();
        turned.transformation = vec![0.0; 16];
        turned.transformation[..6].copy_from_slice(&[
            20.0 * cos,
            20.0 * sin,
            0.0,
            0.0,
            20.0 * sin,
            -20.0 * cos,
        ]);
        assert_eq!(metres(&turned), Some(20.0));
    }

    #[test]
    fn a_raster_without_units_has_no_ground_sampling_distance() {
        let unknown: [&[(u16, u16)]; 4] = [
            &[],
            &[(MODEL_TYPE, PROJECTED)],
            &[(MODEL_TYPE, 3)],
            &[(MODEL_TYPE, GEOGRAPHIC), (ANGULAR_UNITS, 9101)],
        ];
        for keys in unknown {
            assert_eq!(metres(&reference(10.0, [0.0, 0.0], keys)), None, "{keys:?}");
        }
        assert_eq!(
            metres(&reference(0.0, [0.0, 0.0], &[(MODEL_TYPE, PROJECTED), (LINEAR_UNITS, 9001)])),
            None
        );
        assert_eq!(
            GeoReference { pixel_scale: vec![1.0], ..GeoReference::default() }
                .ground_sampling_distance([0, 0]),
            None
        );
    }
}
