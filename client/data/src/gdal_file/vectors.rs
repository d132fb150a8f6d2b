//! Polygons of GeoPackages and Shapefiles.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use gdal::vector::{
    Feature, FieldValue, Geometry, LayerAccess as _, OGRwkbGeometryType, geometry_type_flatten,
};
use gdal::{Dataset, DatasetOptions, GdalOpenFlags};

use super::guard;
use super::kinds::{beside_vectors, vectors_of};
use super::library::{call, prepare};
use crate::error::DataError;
use crate::open::{beside, open_regular, stays_inside};

/// A closed line.
pub(crate) type Ring = Vec<[f64; 2]>;

/// What takes the features of a file, in its order, and holds the bounds.
pub(crate) trait Shapes {
    /// A feature begins.
    ///
    /// # Errors
    /// If there are too many.
    fn begin(&mut self) -> Result<(), String>;

    /// So many positions are read next.
    ///
    /// # Errors
    /// If there are too many.
    fn expect(&mut self, positions: usize) -> Result<(), String>;

    /// A feature with the value of the attribute, and the rings of each of its polygons.
    ///
    /// # Errors
    /// If they are not what they must be.
    fn add(&mut self, value: Option<&str>, polygons: Vec<Vec<Ring>>) -> Result<(), String>;
}

/// The first bytes of an SQLite database, and of a Shapefile.
const SQLITE: &[u8] = b"SQLite format 3\0";
const SHAPEFILE: &[u8] = &[0, 0, 0x27, 0x0a];
/// Bytes of the header of either.
const HEADER: usize = 100;
/// Files beside a database that a program has open, with changes that are not in it.
const UNFINISHED: [&str; 2] = ["-wal", "-journal"];

/// Hands the features of a file of at most so many bytes to `shapes`. Gives the name of its reference system, like
/// `EPSG:32633`.
///
/// # Errors
/// If it cannot be read, is damaged, has not one layer with the attribute and a reference system, or `shapes` refuses.
pub(crate) fn each_shape(
    path: &Path,
    attribute: &str,
    most_bytes: u64,
    shapes: &mut impl Shapes,
) -> Result<String, DataError> {
    let fail = |reason: String| DataError::file(path, reason);
    let Some(fact) = vectors_of(path) else {
        return Err(fail("must be a GeoPackage or a Shapefile, by its ending".to_owned()));
    };
    let place = guard::place(path)?;
    check_files(&place, most_bytes)?;
    prepare().map_err(fail)?;
    let dataset = open(fact.driver, &place).map_err(fail)?;
    read(&dataset, attribute, shapes).map_err(fail)
}

/// Checks the files themselves: whole, not too large, beside each other, and not in use.
fn check_files(place: &Path, most_bytes: u64) -> Result<(), DataError> {
    let folder = place.parent().unwrap_or_else(|| Path::new("."));
    for part in std::iter::once(place.to_owned()).chain(beside_vectors(place)) {
        stays_inside(folder, &part)?;
        let file = open_regular(&part)?;
        let length = file.metadata().map_err(|error| DataError::file(&part, error))?.len();
        if length > most_bytes {
            let reason = format!(
                "a file of polygons may take {most_bytes} bytes, found `{length}`; divide it by `ogr2ogr -clipsrc`"
            );
            return Err(DataError::file(&part, reason));
        }
        let is_index = part.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("shx"));
        if part == *place || is_index {
            check_header(&file, length).map_err(|reason| DataError::file(&part, reason))?;
        }
    }
    for ending in UNFINISHED {
        let beside = beside(place, ending);
        if beside.metadata().is_ok_and(|found| found.len() > 0) {
            let reason = "has changes that are not in the file yet; close the programs that have it open";
            return Err(DataError::file(&beside, reason));
        }
    }
    Ok(())
}

/// Checks that a file has the bytes that its header says.
fn check_header(file: &File, length: u64) -> Result<(), String> {
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0).map_err(|error| format!("its header cannot be read: {error}"))?;
    let number = |at: usize| {
        u64::from(u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]))
    };
    let needed = if header.starts_with(SQLITE) {
        // A page of 65536 bytes is written as 1, and the number of pages counts if it was written with the last change.
        let page = u64::from(u16::from_be_bytes([header[16], header[17]]));
        let page = if page == 1 { 1 << 16 } else { page };
        if number(24) == number(92) { page * number(28) } else { 0 }
    } else if header.starts_with(SHAPEFILE) {
        2 * number(24)
    } else {
        return Err("must begin as a GeoPackage or a Shapefile does, found others".to_owned());
    };
    if length < needed {
        return Err(format!("by its header it must have {needed} bytes, found `{length}`; it is cut short"));
    }
    Ok(())
}

fn open(driver: &str, place: &Path) -> Result<Dataset, String> {
    // Nothing is written beside the file.
    let options: &[&str] = if driver == "GPKG" { &["IMMUTABLE=YES", "LIST_ALL_TABLES=NO"] } else { &[] };
    let drivers = [driver];
    let options = DatasetOptions {
        open_flags: GdalOpenFlags::GDAL_OF_VECTOR | GdalOpenFlags::GDAL_OF_VERBOSE_ERROR,
        allowed_drivers: Some(&drivers),
        open_options: Some(options),
        sibling_files: None,
    };
    let dataset = call(|| Dataset::open_ex(place, options))?;
    if driver == "GPKG" {
        check_tables(&dataset)?;
    }
    Ok(dataset)
}

/// Refuses a database with views, which are programs.
fn check_tables(dataset: &Dataset) -> Result<(), String> {
    const VIEWS: &str = "SELECT name FROM sqlite_master WHERE type = 'view'";
    let views = call(|| {
        let found = dataset.execute_sql(VIEWS, None, gdal::vector::sql::Dialect::DEFAULT)?;
        Ok(found.is_some_and(|mut found| found.features().next().is_some()))
    })?;
    if views {
        return Err(
            "must have tables only, found a view; write its layer anew, `ogr2ogr one.gpkg FILE LAYER`"
                .to_owned(),
        );
    }
    Ok(())
}

fn read(dataset: &Dataset, attribute: &str, shapes: &mut impl Shapes) -> Result<String, String> {
    let count = dataset.layer_count();
    let layer = |at| call(|| dataset.layer(at));
    if count != 1 {
        const SHOWN: usize = 20;
        let names: Result<Vec<String>, String> =
            (0..count.min(SHOWN)).map(|at| Ok(layer(at)?.name().escape_debug().to_string())).collect();
        return Err(format!(
            "must have one layer, found `{count}`: {}; write one into a file, `ogr2ogr one.gpkg FILE LAYER`",
            names?.join(", ")
        ));
    }
    let mut layer = layer(0)?;
    let system = layer.spatial_ref().and_then(|system| system.authority().ok());
    let Some(system) = system else {
        return Err("must have a reference system with a code, found none; `ogr2ogr -a_srs EPSG:…` gives a file its own"
            .to_owned());
    };
    let fields: Vec<String> = layer.defn().fields().map(|field| field.name()).collect();
    let Some(field) = fields.iter().position(|name| name == attribute) else {
        let found = fields.join(", ").chars().take(400).collect::<String>();
        return Err(format!(
            "must have the attribute `{}` (a Shapefile keeps 10 letters of a name), found {}",
            attribute.escape_debug(),
            if found.is_empty() { "none".to_owned() } else { found.escape_debug().to_string() }
        ));
    };
    let mut features = layer.features();
    let mut number = 0_u64;
    while let Some(feature) = call(|| Ok(features.next()))? {
        number += 1;
        let about = |reason: String| format!("feature {number}: {reason}");
        shapes.begin()?;
        let value = value(&feature, field).map_err(about)?;
        // Of a feature without a geometry, the binding gives an empty one.
        let polygons = match feature.geometry().filter(|geometry| !geometry.is_empty()) {
            Some(geometry) => polygons(geometry, shapes).map_err(about)?,
            None => Vec::new(),
        };
        shapes.add(value.as_deref(), polygons).map_err(about)?;
    }
    Ok(system)
}

/// A value as text, as one of GeoJSON is: whole numbers without a point.
fn value(feature: &Feature<'_>, field: usize) -> Result<Option<String>, String> {
    let found = call(|| feature.field(field))?;
    Ok(match found {
        None => None,
        Some(FieldValue::IntegerValue(value)) => Some(value.to_string()),
        Some(FieldValue::Integer64Value(value)) => Some(value.to_string()),
        Some(FieldValue::RealValue(value)) => Some((value + 0.0).to_string()),
        Some(FieldValue::StringValue(value)) => Some(value),
        Some(_) => call(|| feature.field_as_string(field))?,
    })
}

/// The rings of each polygon of a geometry.
fn polygons(geometry: &Geometry, shapes: &mut impl Shapes) -> Result<Vec<Vec<Ring>>, String> {
    let polygons: Result<Vec<Vec<Ring>>, String> = match geometry_type_flatten(geometry.geometry_type()) {
        OGRwkbGeometryType::wkbPolygon => rings(geometry, shapes).map(|rings| vec![rings]),
        OGRwkbGeometryType::wkbMultiPolygon => {
            (0..geometry.geometry_count()).map(|at| rings(&geometry.get_geometry(at), shapes)).collect()
        }
        _ => Err(format!(
            "must be a Polygon or a MultiPolygon, found `{}`; leave it out, or draw its outline (curves become lines by \
             `ogr2ogr -nlt CONVERT_TO_LINEAR`)",
            geometry.geometry_name().escape_debug()
        )),
    };
    // An empty polygon has no ring.
    Ok(polygons?.into_iter().filter(|rings| !rings.is_empty()).collect())
}

fn rings(polygon: &Geometry, shapes: &mut impl Shapes) -> Result<Vec<Ring>, String> {
    let mut all = Vec::new();
    for at in 0..polygon.geometry_count() {
        let ring = polygon.get_geometry(at);
        let count = ring.point_count();
        shapes.expect(count)?;
        let mut positions = Vec::with_capacity(count);
        for at in 0..count {
            let (x, y, _) = ring.get_point(i32::try_from(at).unwrap_or(i32::MAX));
            if !x.is_finite() || !y.is_finite() {
                return Err(format!("a position must be two numbers, found `{x}` and `{y}`"));
            }
            positions.push([x, y]);
        }
        all.push(positions);
    }
    Ok(all)
}
