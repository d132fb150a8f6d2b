//! Where the samples of folders, pairs and tables lie: by the coordinates of an index or a table, or by the
//! georeference of their first image.

use std::path::Path;

use rayon::prelude::*;

use super::place::{Division, Spot, divide, divide_by_class};
use super::strata::classes;
use super::{Dataset, Item};
use crate::config::SplitBy;
use crate::error::DataError;
use crate::files::has_ending;
use crate::gdal_file::has_gdal_ending;
use crate::geotiff::{Numbers, Role};
use crate::image_file::ImageFile;
use crate::split::Split;

/// Sides of cells in degrees, largest first: 55 km to 600 m on a meridian.
const DEGREES: [f64; 7] = [0.5, 0.25, 0.1, 0.05, 0.025, 0.01, 0.005];
/// Sides of cells in images, largest first.
const IMAGES: [f64; 5] = [16.0, 8.0, 4.0, 2.0, 1.0];

/// Where an image lies.
struct Lies {
    /// Width and height in pixels.
    size: [f64; 2],
    geotransform: [f64; 6],
    system: String,
}

impl Dataset {
    /// Gives samples the parts that their places belong to, if the split is by location. Returns notes.
    ///
    /// # Errors
    /// If a sample has no place.
    pub(super) fn split_by_place(&self, items: &mut [Item]) -> Result<Vec<String>, DataError> {
        if !self.config.split_by().uses_places() {
            return Ok(self.advice(items));
        }
        let (spots, sides) = self.spots(items)?;
        let Division { parts, side, empty } = if self.config.split_by() == SplitBy::ClassLocation {
            let classes: Vec<Vec<usize>> = items.iter().map(|item| classes(&item.label)).collect();
            divide_by_class(&spots, &classes, &sides, &self.config.split)
        } else {
            divide(&spots, &sides, &self.config.split)
        };
        items.iter_mut().zip(parts).for_each(|(item, part)| item.part = part);
        let note = |part: &Split| {
            format!(
                "the {} part is empty: the samples lie in too few places (cells of {side}) to set one aside for \
                 it; add samples of another place, or write `by = \"digest\"` under `[split]`",
                part.name()
            )
        };
        Ok(empty.iter().map(note).collect())
    }

    /// The place of each sample, and the sides of cells that fit places, largest first.
    fn spots(&self, items: &[Item]) -> Result<(Vec<Spot>, Vec<f64>), DataError> {
        if items.iter().all(|item| item.position.is_some()) {
            let system = "longitude, latitude";
            let spot = |item: &Item| Some(Spot { system: system.to_owned(), at: item.position? });
            return Ok((items.iter().filter_map(spot).collect(), DEGREES.to_vec()));
        }
        let found: Vec<(Spot, f64)> =
            items.par_iter().map(|item| self.centre(item)).collect::<Result<_, _>>()?;
        let side = found.iter().map(|(_, side)| *side).fold(0.0, f64::max);
        let spots = found.into_iter().map(|(spot, _)| spot).collect();
        Ok((spots, IMAGES.map(|images| images * side).to_vec()))
    }

    /// Centre and longer side of the first image of a sample, in the units of its reference system.
    fn centre(&self, item: &Item) -> Result<(Spot, f64), DataError> {
        let path = &item.images[0][0];
        let none = || {
            DataError::file(
                path,
                "must have a georeference where samples are divided by place and no coordinates are given, found \
                 none; give an index or columns of coordinates, or write `by = \"digest\"` under `[split]`",
            )
        };
        let Lies { size: [width, height], geotransform, system } = self.reference(path)?.ok_or_else(none)?;
        let [a, b, x, d, e, y] = geotransform;
        let [column, row] = [width / 2.0, height / 2.0];
        let at = [a * column + b * row + x, d * column + e * row + y];
        let side = (a.hypot(d) * width).max(b.hypot(e) * height);
        if !side.is_finite() || side <= 0.0 || !at.iter().all(|value| value.is_finite()) {
            return Err(none());
        }
        Ok((Spot { system, at }, side))
    }

    /// Size, geotransform and reference system of an image, without its pixels.
    fn reference(&self, path: &Path) -> Result<Option<Lies>, DataError> {
        if !has_ending(path, &["tif", "tiff"]) && !has_gdal_ending(path) {
            return Ok(None);
        }
        let file = ImageFile::open_as(Role::Image, path, &self.limits, Numbers::STORED)?;
        let size = [file.width() as f64, file.height() as f64];
        let found = file.reference().and_then(|reference| {
            Some(Lies { size, geotransform: reference.geotransform()?, system: reference.system_text() })
        });
        Ok(found)
    }

    /// A note if the images say where they are, and the split does not use it.
    fn advice(&self, items: &[Item]) -> Vec<String> {
        let first = items.first().filter(|_| self.config.split.by.is_none() && self.config.divides());
        let placed = first.is_some_and(|item| self.centre(item).is_ok());
        let advice = "samples are divided at random, although their files say where they lie: scores are too good \
                      where neighbours are alike. Write `by = \"location\"` under `[split]` to divide them by place";
        placed.then(|| advice.to_owned()).into_iter().collect()
    }
}
