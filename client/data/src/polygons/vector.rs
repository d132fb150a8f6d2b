//! Polygons of GeoPackages and Shapefiles, which a build with GDAL reads: the same polygons as those of GeoJSON, within the same
//! bounds.

use std::path::Path;

use super::classes::Classes;
use super::document::Document;
#[cfg(feature = "gdal")]
use super::document::{Feature, MOST_BYTES, Reader, Ring, closed};
use super::system;
use crate::error::DataError;
use crate::gdal_file::VectorFact;
#[cfg(feature = "gdal")]
use crate::gdal_file::{Shapes, each_shape};

/// Reads a file of a kind for images of a reference system, which is given by its EPSG code.
///
/// # Errors
/// If this build does not read the kind; if it cannot be read, exceeds a bound, or is not of polygons.
#[cfg_attr(not(feature = "gdal"), allow(unused_variables, reason = "no file is read"))]
pub(super) fn read(
    path: &Path,
    kind: &VectorFact,
    classes: &Classes,
    system: u16,
) -> Result<Document, DataError> {
    let lacking = match kind.lacking() {
        #[cfg(feature = "gdal")]
        None => return read_shapes(path, classes, system),
        lacking => lacking.unwrap_or_default(),
    };
    let reason = format!("its kind, {}, is read {lacking}; use one", kind.name);
    Err(DataError::file(path, system::remedy(path, &reason, system)))
}

#[cfg(feature = "gdal")]
fn read_shapes(path: &Path, classes: &Classes, system: u16) -> Result<Document, DataError> {
    let fail = |reason: String| DataError::file(path, reason);
    let mut collected = Collected { reader: Reader::new(classes), features: Vec::new() };
    let name = each_shape(path, &classes.attribute, MOST_BYTES, &mut collected)?;
    let own = system::code(&name).ok_or_else(|| {
        let reason = format!("its reference system must have an EPSG code, found `{}`", name.escape_debug());
        fail(system::remedy(path, &reason, system))
    })?;
    Ok(collected.reader.finish(own, collected.features))
}

/// What has been read so far.
#[cfg(feature = "gdal")]
struct Collected<'a> {
    reader: Reader<'a>,
    features: Vec<Feature>,
}

#[cfg(feature = "gdal")]
impl Shapes for Collected<'_> {
    fn begin(&mut self) -> Result<(), String> {
        self.reader.begin()
    }

    fn expect(&mut self, positions: usize) -> Result<(), String> {
        self.reader.expect(positions)
    }

    fn add(&mut self, value: Option<&str>, polygons: Vec<Vec<Ring>>) -> Result<(), String> {
        let closed = |rings: Vec<Ring>| rings.into_iter().map(closed).collect::<Result<Vec<Ring>, String>>();
        let polygons = polygons.into_iter().map(closed).collect::<Result<_, _>>()?;
        let class = self.reader.class(value);
        self.features.push(Feature { class, polygons });
        Ok(())
    }
}
