//! The grid of pixels that a raster lies on, and whether two rasters lie on the same one.

use std::fmt;

use super::GeoReference;
use super::keys::{Comparison, ReferenceSystem};

/// How far the corners of two rasters on one grid may lie apart, in pixels of the finer one. Rounding of
/// coordinates moves a corner by far less, another grid by far more.
pub const TOLERANCE: f64 = 0.05;

/// Size and georeference of a raster.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    size: [f64; 2],
    referenced: bool,
    geotransform: Option<[f64; 6]>,
    system: Option<ReferenceSystem>,
}

/// How far two rasters could be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Agreement {
    /// They lie on one grid, or neither says where it lies.
    Full,
    /// One of them has no georeference: only their sizes could be compared.
    SizeOnly,
    /// One of them lies on ground control points: only their sizes and reference systems could be compared.
    NoGeotransform,
    /// Their geotransforms agree; their reference systems are defined in ways that cannot be compared.
    UnknownSystem,
}

/// What differs where two rasters lie at different places.
const GEOTRANSFORM: &str = "geotransform";

/// A difference of two rasters, with both values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    what: &'static str,
    first: String,
    second: String,
}

impl Difference {
    /// As a sentence about the second raster.
    #[must_use]
    pub fn sentence(&self, first: impl fmt::Display) -> String {
        let Self { what, first: expected, second: found } = self;
        format!(
            "does not lie on the same grid as {first}: its {what} must be `{expected}` as there, found `{found}`; \
             bring both onto one grid, for example with `gdalwarp`"
        )
    }

    /// What is true of many pairs of files: the sentence without the name of the first raster, and without the numbers of
    /// their places, which are others for each pair; then these numbers.
    #[must_use]
    pub(crate) fn general(&self) -> (String, String) {
        const OTHER: &str = "the file that it is compared with";
        let Self { what, first, second } = self;
        if *what != GEOTRANSFORM {
            return (self.sentence(OTHER), String::new());
        }
        let sentence = format!(
            "does not lie on the same grid as {OTHER}: its {what} must be that of it; bring both onto one grid, for example \
             with `gdalwarp`"
        );
        (sentence, format!("`{second}`, not `{first}`"))
    }
}

impl Grid {
    /// The grid of a raster of this size.
    #[must_use]
    pub fn new(width: usize, height: usize, reference: Option<&GeoReference>) -> Self {
        Self {
            size: [width as f64, height as f64],
            referenced: reference.is_some(),
            geotransform: reference.and_then(GeoReference::geotransform),
            system: reference.and_then(ReferenceSystem::of),
        }
    }

    /// Width and height in pixels.
    #[must_use]
    pub fn size(&self) -> [usize; 2] {
        self.size.map(|length| length as usize)
    }

    /// Whether it says which reference system its coordinates are of.
    #[must_use]
    pub(crate) const fn has_system(&self) -> bool {
        self.system.is_some()
    }

    /// The EPSG code of its reference system, if that has one.
    #[must_use]
    pub(crate) fn system_code(&self) -> Option<u16> {
        self.system.as_ref()?.code()
    }

    /// Whether its pixels have positions in a reference system.
    #[must_use]
    pub(crate) const fn is_placed(&self) -> bool {
        self.geotransform.is_some()
    }

    /// Column and row of a position, counted from the upper left corner of the upper left pixel.
    #[must_use]
    pub(crate) fn pixel_of(&self, position: [f64; 2]) -> Option<[f64; 2]> {
        pixel(self.geotransform?, position)
    }

    /// Compares another raster with this one: reference system, orientation and geotransform. Of rasters of
    /// different size, `other` may be the coarser one, and must cover the same ground to within one of its
    /// pixels. Properties that only one of them has are not compared: a PNG mask has no georeference.
    ///
    /// # Errors
    /// If they differ by more than [`TOLERANCE`].
    pub fn compared(&self, other: &Self) -> Result<Agreement, Difference> {
        if self.referenced != other.referenced {
            return Ok(Agreement::SizeOnly);
        }
        let known = self.compare_systems(other)?;
        match (self.geotransform, other.geotransform) {
            (Some(mine), Some(theirs)) => self.compare_geotransforms(other, mine, theirs)?,
            (None, None) if known => return Ok(Agreement::Full),
            _ => return Ok(Agreement::NoGeotransform),
        }
        Ok(if known { Agreement::Full } else { Agreement::UnknownSystem })
    }

    /// Whether both are known to have one reference system, or to have none.
    fn compare_systems(&self, other: &Self) -> Result<bool, Difference> {
        match (&self.system, &other.system) {
            (Some(mine), Some(theirs)) => match mine.compared(theirs) {
                Comparison::Equal => Ok(true),
                Comparison::Unknown => Ok(false),
                Comparison::Different(first, second) => {
                    Err(Difference { what: "reference system", first, second })
                }
            },
            (None, None) => Ok(true),
            (Some(_), None) | (None, Some(_)) => Ok(false),
        }
    }

    fn compare_geotransforms(
        &self,
        other: &Self,
        mine: [f64; 6],
        theirs: [f64; 6],
    ) -> Result<(), Difference> {
        if self.apart(other, mine, theirs).is_some_and(|apart| apart <= TOLERANCE) {
            return Ok(());
        }
        let [first, second] = [mine, theirs].map(|numbers| format!("{numbers:?}, {}", orientation(numbers)));
        Err(Difference { what: GEOTRANSFORM, first, second })
    }

    /// How far the corners of the other raster lie from where they should, in pixels of this one. A coarser
    /// raster may cover up to one of its pixels more or less at the far corners, since its size is a whole
    /// number of pixels.
    fn apart(&self, other: &Self, mine: [f64; 6], theirs: [f64; 6]) -> Option<f64> {
        let place = |[x, y]: [f64; 2]| {
            let [a, b, c, d, e, f] = theirs;
            pixel(mine, [a * x + b * y + c, d * x + e * y + f])
        };
        let mut most = 0_f64;
        for corner in [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]] {
            let found = place([0, 1].map(|axis| corner[axis] * other.size[axis]))?;
            for axis in [0, 1] {
                let ratio = self.size[axis] / other.size[axis];
                let spare = if corner[axis] > 0.0 && self.size != other.size { ratio } else { 0.0 };
                most = most.max((found[axis] - corner[axis] * self.size[axis]).abs() - spare);
            }
        }
        Some(most)
    }

    /// Whether coordinates of both rasters can be compared: both have a geotransform and one reference system.
    #[must_use]
    pub(crate) fn shares_coordinates(&self, other: &Self) -> bool {
        let placed = self.geotransform.is_some() && other.geotransform.is_some();
        placed && self.compare_systems(other) == Ok(true)
    }

    /// How many pixels of the coarser raster this one covers, across and down: by their geotransforms, or
    /// else all of them.
    #[must_use]
    pub(crate) fn pixels_of(&self, coarser: &Self) -> [f64; 2] {
        let (Some(mine), Some(theirs)) = (self.geotransform, coarser.geotransform) else {
            return coarser.size;
        };
        let length = |[a, b, _, d, e, _]: [f64; 6]| [a.hypot(d), b.hypot(e)];
        let fine = length(mine);
        let coarse = length(theirs);
        [0, 1].map(|axis| {
            let covered = self.size[axis] * fine[axis] / coarse[axis];
            // A whole number but for rounding.
            if (covered - coarser.size[axis]).abs() <= TOLERANCE { coarser.size[axis] } else { covered }
        })
    }

    /// The smallest box around a window (left, top, right and bottom in pixels) in coordinates of the
    /// reference system: smallest x and y, largest x and y.
    #[must_use]
    pub(crate) fn bounds(&self, window: [f64; 4]) -> Option<[[f64; 2]; 2]> {
        let [a, b, c, d, e, f] = self.geotransform?;
        let [left, top, right, bottom] = window;
        let corners = [[left, top], [right, top], [left, bottom], [right, bottom]];
        let at = |[x, y]: [f64; 2]| [a * x + b * y + c, d * x + e * y + f];
        let [one, others @ ..] = corners.map(at);
        let low = others.iter().fold(one, |low, point| [0, 1].map(|axis| low[axis].min(point[axis])));
        let high = others.iter().fold(one, |high, point| [0, 1].map(|axis| high[axis].max(point[axis])));
        Some([low, high])
    }
}

/// Column and row of a position; `None` if the geotransform has no inverse.
fn pixel([a, b, c, d, e, f]: [f64; 6], [x, y]: [f64; 2]) -> Option<[f64; 2]> {
    let area = a * e - b * d;
    let x = x - c;
    let y = y - f;
    let found = [(e * x - b * y) / area, (a * y - d * x) / area];
    found.iter().all(|number| number.is_finite()).then_some(found)
}

/// How the columns and rows of a raster run. In most, columns go east and rows go south.
fn orientation([a, b, _, d, e, _]: [f64; 6]) -> &'static str {
    const ROUNDING: f64 = 1e-9;
    let straight = d.abs() <= ROUNDING * a.abs() && b.abs() <= ROUNDING * e.abs();
    let mirrored = a * e - b * d >= 0.0;
    match (straight, a > 0.0, mirrored) {
        (true, true, false) => "north-up",
        (true, true, true) => "south-up",
        (true, false, true) => "mirrored: columns go west",
        (true, false, false) => "upside down: columns go west and rows go north",
        (false, _, false) => "turned",
        (false, _, true) => "turned and mirrored",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixels of `side` units whose upper left corner is at (`x`, `y`).
    fn grid(size: [usize; 2], side: f64, [x, y]: [f64; 2]) -> Grid {
        let reference = GeoReference {
            pixel_scale: vec![side, side, 0.0],
            tie_point: vec![0.0, 0.0, 0.0, x, y, 0.0],
            keys: vec![1, 1, 0, 1, 3072, 0, 1, 32633],
            ..GeoReference::default()
        };
        Grid::new(size[0], size[1], Some(&reference))
    }

    const CORNER: [f64; 2] = [500_000.0, 4_600_000.0];

    #[test]
    fn rounding_is_tolerated_and_a_shift_is_not() {
        let first = grid([1000, 800], 10.0, CORNER);
        assert_eq!(first.compared(&first), Ok(Agreement::Full));
        // Half a millimetre, and a pixel size that has gone through 32 bits.
        let rounded = grid([1000, 800], f64::from(10.000_001_f32), [CORNER[0] + 5e-4, CORNER[1]]);
        assert_eq!(first.compared(&rounded), Ok(Agreement::Full));
        let below = grid([1000, 800], 10.0, [CORNER[0] + 10.0 * (TOLERANCE - 0.01), CORNER[1]]);
        assert_eq!(first.compared(&below), Ok(Agreement::Full));
        for moved in [
            grid([1000, 800], 10.0, [CORNER[0] + 10.0 * (TOLERANCE + 0.01), CORNER[1]]),
            grid([1000, 800], 10.0, [CORNER[0], CORNER[1] - 5.0]),
            grid([1000, 800], 10.001, CORNER),
        ] {
            let said = first.compared(&moved).unwrap_err().sentence("a.tif");
            assert!(
                said.contains("a.tif") && said.contains("500000.0") && said.contains("north-up"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_raster_upside_down_is_another_grid() {
        let first = grid([8, 8], 10.0, CORNER);
        let transformation =
            [vec![10.0, 0.0, 0.0, CORNER[0], 0.0, 10.0, 0.0, CORNER[1] - 80.0], vec![0.0; 8]];
        let keys = vec![1, 1, 0, 1, 3072, 0, 1, 32633];
        let turned =
            GeoReference { transformation: transformation.concat(), keys, ..GeoReference::default() };
        let said = first.compared(&Grid::new(8, 8, Some(&turned))).unwrap_err().sentence("a.tif");
        assert!(said.contains("north-up` as there") && said.contains("south-up`"), "{said}");
    }

    #[test]
    fn the_way_of_columns_and_rows_has_its_name() {
        let of = |a: f64, b: f64, d: f64, e: f64| orientation([a, b, 7.0, d, e, 9.0]);
        assert_eq!(of(10.0, 0.0, 0.0, -10.0), "north-up");
        assert_eq!(of(10.0, 0.0, 0.0, 10.0), "south-up");
        assert_eq!(of(-10.0, 0.0, 0.0, -10.0), "mirrored: columns go west");
        assert_eq!(of(-10.0, 0.0, 0.0, 10.0), "upside down: columns go west and rows go north");
        assert_eq!(of(10.0, 1e-12, 1e-12, -10.0), "north-up", "rounding");
        assert_eq!(of(7.0, 7.0, 7.0, -7.0), "turned");
        assert_eq!(of(0.0, 10.0, 10.0, 0.0), "turned", "columns go north and rows go east");
        assert_eq!(of(0.0, 10.0, -10.0, 0.0), "turned and mirrored");
    }

    /// Of many pairs, the reference systems are the same two, and the places are not.
    #[test]
    fn a_difference_is_said_of_many_pairs_without_their_names_and_places() {
        let system = |code: u16| {
            let keys = vec![1, 1, 0, 1, 3072, 0, 1, code];
            Grid::new(8, 8, Some(&GeoReference { keys, ..GeoReference::default() }))
        };
        let (said, numbers) = system(32633).compared(&system(32634)).unwrap_err().general();
        assert!(said.contains("EPSG:32633") && said.contains("EPSG:32634") && numbers.is_empty(), "{said}");
        let moved = |x: f64| {
            let placed = grid([8, 8], 10.0, [x, 0.0]).compared(&grid([8, 8], 10.0, [x + 5.0, 0.0]));
            placed.unwrap_err().general()
        };
        let [(one, here), (other, there)] = [moved(0.0), moved(80.0)];
        assert_eq!(one, other);
        assert!(here.contains("5.0") && here != there, "{here}");
    }

    #[test]
    fn a_coarser_raster_covers_the_same_ground_to_within_one_of_its_pixels() {
        let fine = grid([443, 489], 10.0, CORNER);
        let coarse = grid([222, 245], 20.0, CORNER);
        assert_eq!(fine.compared(&coarse), Ok(Agreement::Full));
        assert_eq!(fine.pixels_of(&coarse), [221.5, 244.5]);
        assert_eq!(grid([440, 480], 10.0, CORNER).pixels_of(&grid([220, 240], 20.0, CORNER)), [220.0, 240.0]);
        let moved = grid([222, 245], 20.0, [CORNER[0] + 5.0, CORNER[1]]);
        assert!(fine.compared(&moved).is_err(), "another corner");
        assert!(fine.compared(&grid([222, 245], 20.2, CORNER)).is_err(), "two pixels more");
    }

    #[test]
    fn properties_of_only_one_raster_are_not_compared() {
        let placed = grid([8, 8], 10.0, CORNER);
        let bare = Grid::new(8, 8, None);
        assert_eq!(placed.compared(&bare), Ok(Agreement::SizeOnly));
        assert_eq!(bare.compared(&bare), Ok(Agreement::Full));
        let keys = vec![1, 1, 0, 1, 3072, 0, 1, 32633];
        let points = Grid::new(8, 8, Some(&GeoReference { keys, ..GeoReference::default() }));
        assert_eq!(placed.compared(&points), Ok(Agreement::NoGeotransform));
        let keys = vec![1, 1, 0, 1, 3072, 0, 1, 32634];
        let elsewhere = Grid::new(8, 8, Some(&GeoReference { keys, ..GeoReference::default() }));
        assert!(placed.compared(&elsewhere).unwrap_err().sentence("a.tif").contains("EPSG:32634"));
    }

    #[test]
    fn bounds_hold_all_corners() {
        let turned = GeoReference {
            transformation: [vec![0.0, 10.0, 0.0, 100.0, 20.0, 0.0, 0.0, 7.0], vec![0.0; 8]].concat(),
            ..GeoReference::default()
        };
        let grid = Grid::new(8, 8, Some(&turned));
        assert_eq!(grid.bounds([1.0, 2.0, 3.0, 4.0]), Some([[120.0, 27.0], [140.0, 67.0]]));
    }
}
