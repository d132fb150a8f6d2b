use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::*;
use crate::georeference::GeoReference;

/// An image of 10 m pixels in UTM zone 33.
fn grid(width: usize, height: usize) -> Grid {
    let reference = GeoReference {
        pixel_scale: vec![10.0, 10.0, 0.0],
        tie_point: vec![0.0, 0.0, 0.0, 500_000.0, 4_600_000.0, 0.0],
        keys: vec![1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32633],
        ..GeoReference::default()
    };
    Grid::new(width, height, Some(&reference))
}

fn classes() -> Classes {
    Classes {
        attribute: "c".to_owned(),
        values: BTreeMap::from([("a".to_owned(), 0), ("b".to_owned(), 1)]),
        background: None,
        refuse_others: true,
    }
}

/// A square of so many pixels, from a column and a row on.
fn square(value: &str, [column, row, side]: [f64; 3]) -> String {
    let [west, north] = [500_000.0 + column * 10.0, 4_600_000.0 - row * 10.0];
    let [east, south] = [west + side * 10.0, north - side * 10.0];
    format!(
        r#"{{"type":"Feature","properties":{{"c":"{value}"}},"geometry":{{"type":"Polygon","coordinates":[[[{west},{north}],[{west},{south}],[{east},{south}],[{east},{north}],[{west},{north}]]]}}}}"#
    )
}

fn file(features: &[String]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.geojson");
    let crs = r#"{"type":"name","properties":{"name":"urn:ogc:def:crs:EPSG::32633"}}"#;
    let text = format!(r#"{{"type":"FeatureCollection","crs":{crs},"features":[{}]}}"#, features.join(","));
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn later_features_lie_over_earlier_ones_and_the_rest_is_background() {
    let (_folder, path) = file(&[square("a", [0.0, 0.0, 2.0]), square("b", [1.0, 1.0, 2.0])]);
    let mask = |background| {
        let classes = Classes { background, ..classes() };
        Polygons::read(&path, &classes, 32633).unwrap().mask(&grid(4, 3), [0, 0], [4, 3]).unwrap()
    };
    assert_eq!(mask(None), [0, 0, 255, 255, 0, 1, 1, 255, 255, 1, 1, 255]);
    assert_eq!(mask(Some(1)), [0, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1]);
}

#[test]
fn values_without_a_class_are_refused_with_counts_or_have_no_label() {
    let drawn = [square("a", [0.0, 0.0, 2.0]), square("x", [1.0, 0.0, 1.0]), square("x", [9.0, 9.0, 1.0])];
    let (_folder, path) = file(&drawn);
    let said = Polygons::read(&path, &classes(), 32633).err().unwrap().to_string();
    for part in
        ["x.geojson", "each value of `c` must have a class", "`x` (2)", "known are a, b", "`polygons.values`"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Not the background, and not the class that lies below.
    let classes = Classes { refuse_others: false, background: Some(1), ..classes() };
    let found = Polygons::read(&path, &classes, 32633).unwrap();
    assert_eq!(found.mask(&grid(3, 1), [0, 0], [3, 1]).unwrap(), [0, 255, 1]);
    assert_eq!(found.others(), [("`x`".to_owned(), 2)]);
}

#[test]
fn another_reference_system_is_refused_with_the_command_that_mends_it() {
    let (_folder, path) = file(&[square("a", [0.0, 0.0, 2.0])]);
    let said = Polygons::read(&path, &classes(), 32634).err().unwrap().to_string();
    for part in [
        "must be `EPSG:32634` as the image's, found `EPSG:32633`",
        "`ogr2ogr -t_srs EPSG:32634",
        "x.32634.geojson",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let text = std::fs::read_to_string(&path).unwrap().replace("32633", "4326");
    std::fs::write(&path, text).unwrap();
    let said = Polygons::read(&path, &classes(), 32633).err().unwrap().to_string();
    for part in ["feature 1: must have longitudes within 180", "found 500000 to 500020", "-s_srs"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn an_image_without_a_place_is_refused() {
    let (_folder, path) = file(&[square("a", [0.0, 0.0, 2.0])]);
    let found = Polygons::read(&path, &classes(), 32633).unwrap();
    let placeless = Grid::new(4, 4, None);
    assert!(found.mask(&placeless, [0, 0], [4, 4]).unwrap_err().contains("geotransform"));
    assert!(found.mark_used(&placeless, &mut [false]).is_err());
}

#[test]
fn many_features_are_found_for_a_window() {
    const SIDE: usize = 316;
    let mut drawn = Vec::new();
    for row in 0..SIDE {
        for column in 0..SIDE {
            let value = if (row + column).is_multiple_of(2) { "a" } else { "b" };
            drawn.push(square(value, [column as f64, row as f64, 1.0]));
        }
    }
    let (_folder, path) = file(&drawn);
    let found = Polygons::read(&path, &classes(), 32633).unwrap();
    assert_eq!(found.features(), SIDE * SIDE);
    let whole = grid(SIDE, SIDE);
    let mask = found.mask(&whole, [100, 200], [5, 1]).unwrap();
    assert_eq!(mask, [0, 1, 0, 1, 0]);
    let looked_at = found.meeting(bounds(&whole, [100, 200], [5, 1]).unwrap()).len();
    assert!(looked_at <= 21, "{looked_at} of {}", drawn.len());
    let mut used = vec![false; SIDE * SIDE];
    found.mark_used(&grid(10, 10), &mut used).unwrap();
    // Those that only touch the image count as used.
    assert_eq!(used.iter().filter(|used| **used).count(), 121);
}

#[test]
fn large_rings_cost_no_more_than_their_positions() {
    let mut ring = String::new();
    for at in 0..200_000_u32 {
        let angle = f64::from(at) / 200_000.0 * std::f64::consts::TAU;
        let _ = write!(ring, "[{},{}],", 500_500.0 + 400.0 * angle.cos(), 4_599_500.0 + 400.0 * angle.sin());
    }
    let feature = format!(
        r#"{{"type":"Feature","properties":{{"c":"b"}},"geometry":{{"type":"Polygon","coordinates":[[{ring}[500900,4599500]]]}}}}"#
    );
    let (_folder, path) = file(&[feature]);
    let found = Polygons::read(&path, &classes(), 32633).unwrap();
    let mask = found.mask(&grid(100, 100), [0, 0], [100, 100]).unwrap();
    let inside = mask.iter().filter(|class| **class == 1).count() as f64;
    assert!((inside - std::f64::consts::PI * 1600.0).abs() < 40.0, "{inside}");
}

/// A long edge in degrees is divided into thousands, so that a small file could take much memory.
#[test]
fn positions_are_counted_before_edges_are_divided() {
    let mut ring = "[15,-89.9],[15,89.9],".repeat(1200);
    ring.push_str("[15,-89.9]");
    let feature = format!(
        r#"{{"type":"Feature","properties":{{"c":"b"}},"geometry":{{"type":"Polygon","coordinates":[[{ring}]]}}}}"#
    );
    let (_folder, path) = file(&[feature]);
    let text = std::fs::read_to_string(&path).unwrap().replace("EPSG::32633", "EPSG::4326");
    std::fs::write(&path, text).unwrap();
    let said = Polygons::read(&path, &classes(), 32633).err().unwrap().to_string();
    assert!(said.contains("rings may have 20000000 positions in all, found 215"), "{said}");
}
