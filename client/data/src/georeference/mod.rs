//! The georeference of a raster, and whether several rasters are on one grid.

mod distance;
mod grid;
mod keys;
mod place_file;

pub use grid::{Agreement, Difference, Grid, TOLERANCE};
pub use place_file::unread_place_file;
pub(crate) use place_file::{METADATA_ENDING, contradicted_place, is_place_file, of_metadata};

/// The tags of the georeference of a raster (OGC GeoTIFF 1.1, section 7), unchanged.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GeoReference {
    /// Pixel size in units of the reference system: x, y, z.
    pub pixel_scale: Vec<f64>,
    /// Pixel coordinates and their model coordinates, six numbers a point.
    pub tie_point: Vec<f64>,
    /// Affine transformation, 16 numbers; instead of the two above.
    pub transformation: Vec<f64>,
    /// Keys of the reference system.
    pub keys: Vec<u16>,
    /// Floating-point parameters of the keys.
    pub doubles: Vec<f64>,
    /// Text parameters of the keys.
    pub text: String,
}

impl GeoReference {
    /// The reference of a window whose upper left pixel is (`left`, `top`).
    #[must_use]
    pub fn shifted(&self, left: f64, top: f64) -> Self {
        let mut moved = self.clone();
        for point in moved.tie_point.chunks_exact_mut(6) {
            point[0] -= left;
            point[1] -= top;
        }
        if let [a, b, _, tx, e, f, _, ty, ..] = &mut moved.transformation[..] {
            *tx += *a * left + *b * top;
            *ty += *e * left + *f * top;
        }
        moved
    }

    /// What it says of its reference system: equal texts are one system, others may be.
    pub(crate) fn system_text(&self) -> String {
        format!("{:?} {:?} {}", self.keys, self.doubles, self.text)
    }

    /// From columns and rows, counted from the upper left corner of the upper left pixel, to coordinates of
    /// the reference system: `x = t[0] * column + t[1] * row + t[2]`, `y = t[3] * column + t[4] * row + t[5]`.
    /// As in GDAL, a pixel scale counts before a transformation, rows of a pixel scale go south, and a file
    /// whose coordinates are those of pixel centres is moved by half a pixel. `None` if the file has neither,
    /// as with ground control points, or if a number is not finite.
    #[must_use]
    pub fn geotransform(&self) -> Option<[f64; 6]> {
        let corner = match (&self.pixel_scale[..], &self.tie_point[..], &self.transformation[..]) {
            ([across, down, ..], [column, row, _, x, y, ..], _) if *across != 0.0 && *down != 0.0 => {
                let down = -down.abs();
                [*across, 0.0, x - column * across, 0.0, down, y - row * down]
            }
            (_, _, [a, b, _, x, d, e, _, y, ..]) => [*a, *b, *x, *d, *e, *y],
            _ => return None,
        };
        let [a, b, c, d, e, f] = corner;
        let half = if keys::counts_from_centres(self) { 0.5 } else { 0.0 };
        let moved = [a, b, c - half * (a + b), d, e, f - half * (d + e)];
        moved.iter().all(|number| number.is_finite()).then_some(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_geotransform_is_that_of_gdal() {
        let scaled = GeoReference {
            pixel_scale: vec![10.0, 20.0, 0.0],
            tie_point: vec![2.0, 1.0, 0.0, 500_000.0, 4_600_000.0, 0.0],
            ..GeoReference::default()
        };
        let expected = [10.0, 0.0, 499_980.0, 0.0, -20.0, 4_600_020.0];
        assert_eq!(scaled.geotransform(), Some(expected));
        let centres = GeoReference { keys: vec![1, 1, 0, 1, 1025, 0, 1, 2], ..scaled.clone() };
        assert_eq!(centres.geotransform(), Some([10.0, 0.0, 499_975.0, 0.0, -20.0, 4_600_030.0]));
        let affine = |e: f64| GeoReference {
            transformation: [vec![10.0, 1.0, 0.0, 7.0, 2.0, e, 0.0, 9.0], vec![0.0; 8]].concat(),
            ..GeoReference::default()
        };
        assert_eq!(affine(10.0).geotransform(), Some([10.0, 1.0, 7.0, 2.0, 10.0, 9.0]));
        assert_eq!(affine(f64::NAN).geotransform(), None);
        // Ground control points alone.
        let points = GeoReference { pixel_scale: Vec::new(), ..scaled };
        assert_eq!(points.geotransform(), None);
    }
}
