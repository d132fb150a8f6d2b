//! Masks from polygons: GeoJSON files, and in a build with GDAL GeoPackages and Shapefiles, are read within bounds, brought
//! into the reference system of an image, and filled into windows of its pixels.
//!
//! A pixel belongs to a polygon when its centre lies inside, as with GDAL's `gdal_rasterize`. Later features of a file lie
//! over earlier ones.

mod boxes;
mod classes;
mod document;
mod fill;
mod system;
mod vector;

use std::path::Path;

use boxes::{Bounds, Boxes};
pub(crate) use classes::{Classes, said};
use document::{Document, Feature};
use fill::Canvas;
use system::Way;

use crate::error::DataError;
use crate::gdal_file::vectors_of;
use crate::georeference::Grid;
use crate::sample::IGNORE;

/// A polygon of a feature, with its holes.
struct Part {
    /// The number of its feature in the file.
    feature: usize,
    /// Its class, or [`IGNORE`].
    class: u8,
    /// Closed: the last position is the first.
    rings: Vec<Vec<[f64; 2]>>,
}

/// The polygons of a file in the reference system of an image.
pub(crate) struct Polygons {
    parts: Vec<Part>,
    boxes: Boxes,
    /// The class of pixels in none.
    background: u8,
    features: usize,
    /// Features without an area.
    empty: usize,
    others: Vec<(String, u64)>,
    vertices: usize,
}

impl Polygons {
    /// Reads a file for images of a reference system, which is given by its EPSG code.
    ///
    /// # Errors
    /// If it cannot be read, exceeds a bound, is not of polygons, has values without a class where these are refused,
    /// or is of a reference system that cannot be brought into that of the images.
    pub(crate) fn read(path: &Path, classes: &Classes, system: u16) -> Result<Self, DataError> {
        let read = match vectors_of(path) {
            Some(kind) => vector::read(path, kind, classes, system),
            None => document::read(path, classes),
        };
        let Document { system: own, features, others } = read?;
        if classes.refuse_others && !others.is_empty() {
            return Err(DataError::file(path, classes.refused(&others)));
        }
        let fail = |reason| DataError::file(path, reason);
        let way = Way::between(own, system).map_err(|reason| fail(system::remedy(path, &reason, system)))?;
        let count = features.len();
        let empty = features.iter().filter(|feature| feature.polygons.is_empty()).count();
        let mut parts = Vec::new();
        let mut vertices = 0;
        for (feature, Feature { class, polygons }) in features.into_iter().enumerate() {
            for rings in polygons {
                let bounds = Bounds::of(rings.iter().flatten());
                let place = |reason: String| {
                    fail(system::remedy(path, &format!("feature {}: {reason}", feature + 1), system))
                };
                way.check(bounds).map_err(place)?;
                if !way.reaches(bounds).map_err(place)? {
                    continue;
                }
                // Before they are projected: an edge can be divided into thousands.
                vertices += rings.iter().map(|ring| way.positions(ring)).sum::<usize>();
                document::check_vertices(vertices).map_err(fail)?;
                let rings: Vec<_> =
                    rings.into_iter().map(|ring| way.ring(ring)).collect::<Result<_, _>>().map_err(place)?;
                parts.push(Part { feature, class, rings });
            }
        }
        let boxes = Boxes::new(parts.iter().map(|part| Bounds::of(part.rings.iter().flatten())).collect());
        let background = classes.background.unwrap_or(IGNORE);
        Ok(Self { parts, boxes, background, features: count, empty, others, vertices })
    }

    /// The class of each pixel of a window of an image, [`IGNORE`] where there is none. `grid` is that of the whole image, so
    /// that a pixel has the same class in each window.
    ///
    /// # Errors
    /// If the image has no place.
    pub(crate) fn mask(&self, grid: &Grid, corner: [usize; 2], size: [usize; 2]) -> Result<Vec<u8>, String> {
        let mut canvas = Canvas::new(corner, size, self.background);
        for part in self.meeting(bounds(grid, corner, size)?) {
            let Part { class, rings, .. } = &self.parts[part];
            for ring in rings {
                let mut last: Option<[f64; 2]> = None;
                for position in ring {
                    let pixel = grid.pixel_of(*position).ok_or(NO_PLACE)?;
                    if let Some(last) = last {
                        canvas.edge(last, pixel);
                    }
                    last = Some(pixel);
                }
            }
            canvas.fill(*class);
        }
        Ok(canvas.pixels())
    }

    /// Marks the features whose boxes meet that of an image.
    ///
    /// # Errors
    /// If the image has no place.
    pub(crate) fn mark_used(&self, grid: &Grid, used: &mut [bool]) -> Result<(), String> {
        let parts = self.meeting(bounds(grid, [0, 0], grid.size())?);
        for part in parts {
            if let Some(used) = used.get_mut(self.parts[part].feature) {
                *used = true;
            }
        }
        Ok(())
    }

    /// The parts whose boxes meet a box, in the order of the file.
    fn meeting(&self, bounds: Bounds) -> Vec<usize> {
        self.boxes.meeting(bounds)
    }

    /// Features of the file.
    pub(crate) const fn features(&self) -> usize {
        self.features
    }

    /// Features without an area.
    pub(crate) const fn empty(&self) -> usize {
        self.empty
    }

    /// Values without a class, and how many features have each.
    pub(crate) fn others(&self) -> &[(String, u64)] {
        &self.others
    }

    /// Positions of all rings, which its memory follows.
    pub(crate) const fn vertices(&self) -> usize {
        self.vertices
    }
}

const NO_PLACE: &str = "must have a geotransform with an inverse, found none";

/// The box of a window of an image.
fn bounds(grid: &Grid, [left, top]: [usize; 2], [width, height]: [usize; 2]) -> Result<Bounds, String> {
    let window = [left, top, left + width, top + height].map(|pixel| pixel as f64);
    let [low, high] = grid.bounds(window).ok_or(NO_PLACE)?;
    Ok(Bounds { low, high })
}

#[cfg(test)]
mod tests;
