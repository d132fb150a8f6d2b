//! Masks from GeoPackages and Shapefiles are those from the GeoJSON file with the same polygons.

use std::fs;
use std::path::Path;

use eosfed_data::{Content, Limits, formats};
use gdal::DriverManager;
use gdal::spatial_ref::SpatialRef;
use gdal::vector::{Feature, Geometry, LayerAccess as _, LayerOptions, OGRFieldType, OGRwkbGeometryType};
use serde_json::Value;

use super::{POLYGONS, SCENES, describe, golden, image, masks, of_gdal, open, scene};

const KINDS: [(&str, &str); 2] = [("GPKG", "p.gpkg"), ("ESRI Shapefile", "p.shp")];

/// A square with a hole, one that reaches over it, two squares of one feature, a triangle without a class, and one without
/// an area.
const DRAWN: [(Option<&str>, &str); 5] = [
    (
        Some("water"),
        "POLYGON ((500100 4599900,500100 4599700,500400 4599700,500400 4599900,500100 4599900),(500205 4599805,500255 4599805,\
         500255 4599755,500205 4599755,500205 4599805))",
    ),
    (Some("forest"), "POLYGON ((500300 4599850,500600 4599860,500610 4599620,500300 4599850))"),
    (
        Some("built-up"),
        "MULTIPOLYGON (((500650 4599990,500650 4599900,500750 4599900,500750 4599990,500650 4599990)),((500650 4599500,\
         500650 4599400,500750 4599400,500750 4599500,500650 4599500)))",
    ),
    (Some("snow"), "POLYGON ((500010 4599390,500110 4599390,500060 4599310,500010 4599390))"),
    (None, "POLYGON ((500700 4599700,500700 4599600,500800 4599600,500700 4599700))"),
];

#[test]
fn this_build_says_that_it_reads_them_as_labels() {
    let kinds = formats(&Limits::default()).gdal;
    let labels = kinds.iter().filter(|kind| kind.content == Content::Polygons);
    let said: Vec<_> =
        labels.map(|kind| (&*kind.drivers[0], &*kind.endings[0], kind.read, kind.lacking.as_ref())).collect();
    assert_eq!(said, [("GPKG", "gpkg", true, None), ("ESRI Shapefile", "shp", true, None)]);
}

/// A layer of a file.
struct Layer<'a> {
    name: &'a str,
    system: Option<u32>,
    attribute: &'a str,
}

impl Default for Layer<'_> {
    fn default() -> Self {
        Self { name: "p", system: Some(32633), attribute: "cover" }
    }
}

/// Writes the layers of a file, each with the same features.
fn write<T: AsRef<str>>(path: &Path, driver: &str, layers: &[Layer<'_>], features: &[(Option<&str>, T)]) {
    // The crate takes drivers away first, which must not be in use.
    let _prepared = formats(&Limits::default());
    let mut file = DriverManager::get_driver_by_name(driver).unwrap().create_vector_only(path).unwrap();
    for Layer { name, system, attribute } in layers {
        let system = system.map(|code| SpatialRef::from_epsg(code).unwrap());
        // A Shapefile holds polygons of both kinds.
        let ty =
            if driver == "GPKG" { OGRwkbGeometryType::wkbUnknown } else { OGRwkbGeometryType::wkbPolygon };
        // An index cannot hold numbers that are none.
        let plain = (driver == "GPKG").then_some(&["SPATIAL_INDEX=NO"][..]);
        let options = LayerOptions { name, srs: system.as_ref(), ty, options: plain };
        let layer = file.create_layer(options).unwrap();
        let fields = [(*attribute, OGRFieldType::OFTString), ("code", OGRFieldType::OFTReal)];
        layer.create_defn_fields(&fields).unwrap();
        for (value, wkt) in features {
            let mut feature = Feature::new(layer.defn()).unwrap();
            if !wkt.as_ref().is_empty() {
                feature.set_geometry(Geometry::from_wkt(wkt.as_ref()).unwrap()).unwrap();
            }
            if let Some(value) = value {
                feature.set_field_string(0, value).unwrap();
                feature.set_field_double(1, value.len() as f64).unwrap();
            }
            feature.create(&layer).unwrap();
        }
    }
    file.close().unwrap();
}

fn plain<T: AsRef<str>>(path: &Path, driver: &str, features: &[(Option<&str>, T)]) {
    write(path, driver, &[Layer::default()], features);
}

/// Coordinates of WKT as those of JSON.
fn geojson(features: &[(Option<&str>, &str)]) -> String {
    let feature = |(value, wkt): &(Option<&str>, &str)| {
        let (kind, lists) = wkt.split_once(' ').unwrap();
        let kind = if kind == "POLYGON" { "Polygon" } else { "MultiPolygon" };
        let spaced = lists.replace(", ", ",").replace('(', "[").replace(')', "]");
        let positions: Vec<String> = spaced
            .split(',')
            .map(|position| {
                let numbers = position.trim_matches(['[', ']']);
                position.replace(numbers, &format!("[{}]", numbers.replace(' ', ",")))
            })
            .collect();
        let value = value.map_or_else(|| "null".to_owned(), |value| format!("\"{value}\""));
        let code = value.trim_matches('"').len();
        format!(
            r#"{{"type":"Feature","properties":{{"cover":{value},"code":{code}.0}},"geometry":{{"type":"{kind}","coordinates":{}}}}}"#,
            positions.join(",")
        )
    };
    let features: Vec<String> = features.iter().map(feature).collect();
    let crs = r#"{"type":"name","properties":{"name":"urn:ogc:def:crs:EPSG::32633"}}"#;
    format!(r#"{{"type":"FeatureCollection","crs":{crs},"features":[{}]}}"#, features.join(","))
}

/// The features of a golden file, as WKT.
fn golden_features(name: &str) -> Vec<(Option<&'static str>, String)> {
    let text: Value = serde_json::from_slice(&fs::read(golden(name)).unwrap()).unwrap();
    let ring = |ring: &Value| {
        let position = |position: &Value| format!("{} {}", position[0], position[1]);
        format!("({})", ring.as_array().unwrap().iter().map(position).collect::<Vec<_>>().join(","))
    };
    let polygon = |polygon: &Value| {
        format!("({})", polygon.as_array().unwrap().iter().map(ring).collect::<Vec<_>>().join(","))
    };
    let feature = |feature: &Value| {
        let coordinates = &feature["geometry"]["coordinates"];
        let wkt = if feature["geometry"]["type"] == "Polygon" {
            format!("POLYGON {}", polygon(coordinates))
        } else {
            let all: Vec<String> = coordinates.as_array().unwrap().iter().map(polygon).collect();
            format!("MULTIPOLYGON ({})", all.join(","))
        };
        let known = ["water", "forest", "built-up"];
        let value = known.into_iter().find(|known| feature["properties"]["cover"] == *known);
        (value, wkt)
    };
    text["features"].as_array().unwrap().iter().map(feature).collect()
}

/// A folder with an image and a description whose polygons are in the file of this name.
fn folder(name: &str, polygons: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    image(&folder.path().join("a.tif"), Some(32633), 0.0);
    describe(folder.path(), polygons, &SCENES.replace("p.geojson", name));
    folder
}

#[test]
fn geopackages_and_shapefiles_have_the_masks_of_geojson() {
    let by_name = format!("{POLYGONS}other_values = \"unlabelled\"\n");
    let by_code = "[polygons]\nattribute = \"code\"\nvalues = { 5 = \"water\", 6 = \"forest\" }\n\
                   other_values = \"unlabelled\"\n";
    for polygons in [by_name.as_str(), by_code] {
        let of_json = folder("p.geojson", polygons);
        fs::write(of_json.path().join("p.geojson"), geojson(&DRAWN)).unwrap();
        let wanted = masks(&open(of_json.path()).unwrap());
        for class in [0, 1, 255] {
            assert!(wanted.contains(&class), "class {class}: {polygons}");
        }
        for (driver, name) in KINDS {
            let folder = folder(name, polygons);
            plain(&folder.path().join(name), driver, &DRAWN);
            assert_eq!(masks(&open(folder.path()).unwrap()), wanted, "{driver}: {polygons}");
        }
    }
    // Rings that cross themselves and each other, as GDAL fills them.
    for (name, system) in [("polygons.geojson", 32633), ("polygons-degrees.geojson", 4326)] {
        let folder = folder("p.gpkg", POLYGONS);
        let layer = Layer { system: Some(system), ..Layer::default() };
        write(&folder.path().join("p.gpkg"), "GPKG", &[layer], &golden_features(name));
        assert_eq!(masks(&open(folder.path()).unwrap()), of_gdal(), "{name}");
    }
}

#[test]
fn a_changed_shapefile_is_seen() {
    let folder = folder("p.shp", POLYGONS);
    let remembered = tempfile::tempdir().unwrap();
    let open = || {
        eosfed_data::Dataset::open_with(folder.path(), &Limits::default(), Some(remembered.path())).unwrap()
    };
    let path = folder.path().join("p.shp");
    plain(&path, "ESRI Shapefile", &DRAWN[..2]);
    let before = masks(&open());
    // The names of classes are in the file beside it.
    let table = path.with_extension("dbf");
    let text = fs::read(&table).unwrap();
    let at = text.windows(6).position(|part| part == b"forest").unwrap();
    fs::write(&table, [&text[..at], b"water ", &text[at + 6..]].concat()).unwrap();
    let wanted: Vec<u8> = before.iter().map(|class| if *class == 1 { 0 } else { *class }).collect();
    assert_ne!(before, wanted);
    assert_eq!(masks(&open()), wanted);
}

#[test]
fn what_would_give_wrong_labels_is_refused_as_in_geojson() {
    let square = "POLYGON ((500100 4599900,500100 4599700,500400 4599700,500100 4599900))";
    for (driver, name) in KINDS {
        let folder = folder(name, POLYGONS);
        let path = folder.path().join(name);
        let refused = |parts: &[&str]| {
            let said = open(folder.path()).err().expect("it is refused").to_string();
            parts.iter().for_each(|part| assert!(said.contains(part), "{driver}: {part}: {said}"));
        };
        let anew = |layer: Layer<'_>, features: &[(Option<&str>, &str)]| {
            for ending in ["gpkg", "shp", "shx", "dbf", "prj", "cpg"] {
                let _absent = fs::remove_file(path.with_extension(ending));
            }
            write(&path, driver, &[layer], features);
        };
        anew(Layer::default(), &DRAWN);
        refused(&[name, "each value of `cover` must have a class", "`snow` (1)", "no value (1)"]);
        anew(Layer { system: Some(32634), ..Layer::default() }, &[(Some("water"), square)]);
        refused(&[
            name,
            "must be `EPSG:32633` as the image's, found `EPSG:32634`",
            "ogr2ogr -t_srs EPSG:32633",
        ]);
        anew(Layer { system: None, ..Layer::default() }, &[(Some("water"), square)]);
        refused(&[name, "reference system"]);
        anew(Layer { attribute: "landuse", ..Layer::default() }, &[(Some("water"), square)]);
        refused(&[name, "must have the attribute `cover`", "landuse, code"]);
        anew(Layer::default(), &[(Some("water"), "POLYGON EMPTY")]);
        refused(&["dataset.toml"]);
        // Cut short, and no such file at all.
        anew(Layer::default(), &[(Some("water"), square)]);
        assert!(open(folder.path()).is_ok(), "{driver}");
        let whole = fs::read(&path).unwrap();
        for part in [0.3, 0.6, 0.9] {
            fs::write(&path, &whole[..(whole.len() as f64 * part) as usize]).unwrap();
            refused(&[name]);
        }
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        refused(&[name, "it is cut short"]);
        for bytes in [&b""[..], b"x", &[b'x'; 4096]] {
            fs::write(&path, bytes).unwrap();
            refused(&[name]);
        }
        fs::File::create(&path).unwrap().set_len((1 << 30) + 1).unwrap();
        refused(&[name, "may take 1073741824 bytes, found `1073741825`"]);
    }
}

#[test]
fn a_geopackage_has_one_layer_of_polygons_and_is_not_in_use() {
    let square = "POLYGON ((500100 4599900,500100 4599700,500400 4599700,500100 4599900))";
    let folder = folder("p.gpkg", POLYGONS);
    let path = folder.path().join("p.gpkg");
    let said = || open(folder.path()).err().expect("it is refused").to_string();
    let anew = |layers: &[Layer<'_>], features: &[(Option<&str>, &str)]| {
        let _absent = fs::remove_file(&path);
        write(&path, "GPKG", layers, features);
    };
    let two = ["west", "east"].map(|name| Layer { name, ..Layer::default() });
    anew(&two, &[(Some("water"), square)]);
    assert!(said().contains("must have one layer, found `2`: west, east"), "{}", said());
    for (wkt, part) in [
        ("POINT (500100 4599900)", "feature 2: must be a Polygon or a MultiPolygon, found `POINT`"),
        ("CURVEPOLYGON (CIRCULARSTRING (500100 4599900,500200 4599800,500100 4599900))", "CONVERT_TO_LINEAR"),
        ("POLYGON ((500100 4599900,500100 4599700,500400 4599700,500100 4599800))", "must be closed"),
        ("POLYGON ((500100 4599900,500100 4599700,500100 4599900))", "four positions or more, found 3"),
        ("POLYGON ((500100 4599900,500100 1e300,500400 4599700,500100 4599900))", "coordinates within 1e9"),
    ] {
        anew(&[Layer::default()], &[(Some("water"), square), (Some("water"), wkt)]);
        assert!(said().contains(part), "{wkt}: {}", said());
    }
    // A number that is none, which no program writes.
    anew(&[Layer::default()], &[(Some("water"), square)]);
    let bytes = fs::read(&path).unwrap();
    let number = 4_599_700.0_f64.to_le_bytes();
    let places: Vec<usize> = (0..bytes.len() - 8).filter(|at| bytes[*at..*at + 8] == number).collect();
    // The first ones are of the box of the polygon.
    let at = places[places.len() - 1];
    fs::write(&path, [&bytes[..at], &f64::NAN.to_le_bytes()[..], &bytes[at + 8..]].concat()).unwrap();
    assert!(said().contains("a position must be two numbers"), "{}", said());
    anew(&[Layer::default()], &[(Some("water"), square), (Some("water"), "")]);
    assert!(open(folder.path()).is_ok(), "a feature without a geometry");
    let changes = folder.path().join("p.gpkg-wal");
    fs::write(&changes, "x").unwrap();
    assert!(said().contains("p.gpkg-wal") && said().contains("close the programs"), "{}", said());
    fs::remove_file(&changes).unwrap();
    // A view is a program.
    let database = gdal::Dataset::open_ex(
        &path,
        gdal::DatasetOptions {
            open_flags: gdal::GdalOpenFlags::GDAL_OF_VECTOR | gdal::GdalOpenFlags::GDAL_OF_UPDATE,
            ..gdal::DatasetOptions::default()
        },
    )
    .unwrap();
    let view = "CREATE VIEW endless AS SELECT * FROM p";
    database.execute_sql(view, None, gdal::vector::sql::Dialect::DEFAULT).unwrap();
    database.close().unwrap();
    assert!(said().contains("found a view"), "{}", said());
}

/// The parts of a Shapefile lie beside it.
#[test]
fn a_shapefile_does_not_lead_elsewhere() {
    let folder = folder("p.shp", POLYGONS);
    let path = folder.path().join("p.shp");
    plain(&path, "ESRI Shapefile", &DRAWN[..2]);
    assert!(open(folder.path()).is_ok());
    let outside = scene("polygons.geojson", POLYGONS);
    let table = outside.path().join("other.dbf");
    fs::rename(path.with_extension("dbf"), &table).unwrap();
    std::os::unix::fs::symlink(&table, path.with_extension("dbf")).unwrap();
    let said = open(folder.path()).err().unwrap().to_string();
    assert!(said.contains("p.dbf") && said.contains("must lie in"), "{said}");
    fs::remove_file(path.with_extension("dbf")).unwrap();
    let said = open(folder.path()).err().unwrap().to_string();
    assert!(said.contains("p.shp") && said.contains("must have the attribute `cover`"), "{said}");
}
