use std::collections::BTreeMap;

use super::*;

fn classes() -> Classes {
    Classes {
        attribute: "cover".to_owned(),
        values: BTreeMap::from([("water".to_owned(), 0), ("311".to_owned(), 1), ("true".to_owned(), 2)]),
        background: None,
        refuse_others: false,
    }
}

fn read(text: &str) -> Result<Document, String> {
    parse(text.as_bytes(), &classes())
}

const SQUARE: &str = "[[0,0],[1,0],[1,1.5],[0,0]]";

fn feature(value: &str, geometry: &str) -> String {
    format!(
        r#"{{"type":"Feature","id":7,"properties":{{"x":[1,{{}}],"cover":{value}}},"geometry":{geometry}}}"#
    )
}

fn collection(features: &[String]) -> String {
    format!(r#"{{"name":"x","features":[{}],"type":"FeatureCollection"}}"#, features.join(","))
}

fn of_geometry(geometry: &str) -> Result<Document, String> {
    read(&collection(&[feature("\"water\"", geometry)]))
}

fn polygon(coordinates: &str) -> String {
    format!(r#"{{"coordinates":{coordinates},"type":"Polygon"}}"#)
}

#[test]
fn polygons_and_their_classes_are_read() {
    let square = polygon(&format!("[{SQUARE}]"));
    let with_height = polygon("[[[0,0,5],[1,0,5],[1,1.5,5,8],[0,0,5]],[[0,0],[1,0],[1,1],[0,0]]]");
    let many = format!(r#"{{"type":"MultiPolygon","coordinates":[[{SQUARE}],[{SQUARE},{SQUARE}]]}}"#);
    let values = ["\"water\"", "311", "311.0", "\"311\"", "true", "\"Water\"", "null", "[1]", "3.5"];
    let mut all: Vec<String> = values.iter().map(|value| feature(value, &square)).collect();
    all.extend([feature("\"water\"", &with_height), feature("\"water\"", &many)]);
    all.push(r#"{"type":"Feature","properties":null,"geometry":null}"#.to_owned());
    all.push(feature("\"water\"", &polygon("[]")));
    let found = read(&collection(&all)).unwrap();
    assert_eq!(found.system, 4326);
    let found_classes: Vec<u8> = found.features.iter().map(|feature| feature.class).collect();
    assert_eq!(found_classes, [0, 1, 1, 1, 2, 255, 255, 255, 255, 0, 0, 255, 0]);
    let of = |name: &str| found.others.iter().find(|(other, _)| other == name).map(|(_, count)| *count);
    assert_eq!(
        [of("`Water`"), of("no value"), of("`[a list]`"), of("`3.5`")],
        [Some(1), Some(2), Some(1), Some(1)]
    );
    let rings: Vec<Vec<usize>> =
        found.features.iter().map(|feature| feature.polygons.iter().map(Vec::len).collect()).collect();
    assert_eq!(rings[9..], [vec![2], vec![1, 2], vec![], vec![]]);
    assert_eq!(found.features[0].polygons[0][0], [[0.0, 0.0], [1.0, 0.0], [1.0, 1.5], [0.0, 0.0]]);
}

#[test]
fn wrong_rings_are_refused_with_the_feature_and_what_was_found() {
    for (coordinates, said) in [
        (
            "[[[0,0],[1,0],[1,1],[0,1]]]",
            "must be closed, its last position its first, found [0.0, 1.0] after [0.0, 0.0]",
        ),
        ("[[[0,0],[1,0],[0,0]]]", "four positions or more, found 3"),
        ("[[]]", "four positions or more, found 0"),
        ("[[[0],[1,0],[1,1],[0]]]", "a position has two numbers, found one"),
        ("[[[0,null],[1,0],[1,1],[0,0]]]", "null"),
        ("[[[null,0],[1,0],[1,1],[0,0]]]", "null"),
        ("[[[\"0\",0],[1,0],[1,1],[0,0]]]", "invalid type: string \"0\""),
        ("[[[NaN,0],[1,0],[1,1],[0,0]]]", "expected value"),
        ("[[[1e999,0],[1,0],[1,1],[0,0]]]", "number out of range"),
        ("[[[0,0],[1,0],[1,1],0]]", "positions or numbers, found both"),
        ("[[[[[0,0]]]]]", "4 lists at most, found more"),
        (
            "[[[[0,0],[1,0],[1,1],[0,0]]]]",
            "feature 1: a ring must be a list of positions, found a list of lists",
        ),
        ("[[0,0],[1,0],[1,1],[0,0]]", "feature 1: a ring must be a list of positions, found a position"),
        ("[0,0]", "feature 1: a polygon must be a list of rings"),
        ("7", "a list of coordinates"),
        ("null", "a list of coordinates"),
    ] {
        let found = of_geometry(&polygon(coordinates)).unwrap_err();
        assert!(
            found.starts_with("must be GeoJSON of polygons: ") && found.contains(said),
            "{coordinates}: {found}"
        );
        assert!(found.contains("line 1 column"), "{found}");
    }
}

#[test]
fn other_geometries_are_refused_by_name() {
    for (geometry, said) in [
        (
            r#"{"type":"Point","coordinates":[1,2]}"#,
            "feature 1: must be a Polygon or a MultiPolygon, found `Point`",
        ),
        (r#"{"type":"LineString","coordinates":[[1,2],[3,4]]}"#, "found `LineString`"),
        (
            r#"{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[1,2]}]}"#,
            "found `GeometryCollection`",
        ),
        (r#"{"coordinates":[1,2]}"#, "missing field `type`"),
        (r#"{"type":"Polygon"}"#, "a Polygon must have lists of `coordinates`"),
        (r#"{"type":"MultiPolygon","coordinates":[1,2]}"#, "a MultiPolygon must have lists of `coordinates`"),
        (r#"{"type":"MultiPolygon","coordinates":[[1,2]]}"#, "a polygon must be a list of rings"),
        (r#"{"type":7}"#, "invalid type"),
        ("[1]", "a geometry, or null"),
    ] {
        let found = of_geometry(geometry).unwrap_err();
        assert!(found.contains(said), "{geometry}: {found}");
    }
    let found = read(r#"{"type":"FeatureCollection","features":[{"type":"Polygon"}]}"#).unwrap_err();
    assert!(found.contains("feature 1: its `type` must be `Feature`"), "{found}");
}

#[test]
fn what_is_no_collection_is_refused() {
    let square = feature("1", &polygon(&format!("[{SQUARE}]")));
    for (text, said) in [
        ("", "EOF"),
        ("[]", "an object with `type` and `features`"),
        ("{}", "found `nothing`"),
        (square.as_str(), "must be `FeatureCollection` beside `features`, found `Feature`"),
        (r#"{"type":"Topology","features":[]}"#, "found `Topology`"),
        (r#"{"type":"FeatureCollection"}"#, "beside `features`"),
        (r#"{"type":"FeatureCollection","features":{}}"#, "a list of features"),
        (r#"{"type":"FeatureCollection","features":[],"features":[]}"#, "duplicate field `features`"),
        (r#"{"type":"FeatureCollection","features":[]} {}"#, "trailing characters"),
        (r#"{"type":"FeatureCollection","features":[{"#, "EOF"),
    ] {
        let found = read(text).unwrap_err();
        assert!(found.contains(said), "{text}: {found}");
    }
    assert!(read(&collection(&[])).unwrap().features.is_empty());
}

#[test]
fn the_reference_system_is_the_one_that_the_file_names() {
    let with = |crs: &str| {
        read(&format!(r#"{{"type":"FeatureCollection","crs":{crs},"features":[]}}"#))
            .map(|found| found.system)
    };
    let name = |name: &str| format!(r#"{{"type":"name","properties":{{"name":"{name}"}}}}"#);
    assert_eq!(with(&name("urn:ogc:def:crs:EPSG::32633")), Ok(32633));
    assert_eq!(with(&name("urn:ogc:def:crs:OGC:1.3:CRS84")), Ok(4326));
    for crs in [
        "null",
        "{}",
        r#"{"type":"link","properties":{"href":"http://x"}}"#,
        r#"{"properties":{"name":null}}"#,
    ] {
        assert!(with(crs).unwrap_err().contains("must name a reference system, found none"), "{crs}");
    }
    let found = with(&name("ESRI:54009")).unwrap_err();
    assert!(found.contains("found `ESRI:54009`") && found.contains("ogr2ogr -t_srs"), "{found}");
    assert!(with("7").is_err());
}

#[test]
fn deep_and_hostile_text_is_refused_without_harm() {
    for open in ["[", "{\"a\":"] {
        let deep = open.repeat(200_000);
        assert!(read(&deep).is_err());
        assert!(read(&format!(r#"{{"type":"FeatureCollection","features":[],"x":{deep}"#)).is_err());
        assert!(of_geometry(&polygon(&deep)).is_err());
    }
    // Values without a class are told apart up to a bound, and all are counted.
    let square = polygon(&format!("[{SQUARE}]"));
    let all: Vec<String> = (0..3000).map(|at| feature(&format!("\"v{at}\""), &square)).collect();
    let others = read(&collection(&all)).unwrap().others;
    assert!(others.len() <= 1001, "{}", others.len());
    assert_eq!(others.iter().map(|(_, count)| count).sum::<u64>(), 3000);
    let long = format!("\"{}\"", "x".repeat(100_000));
    let others = read(&collection(&[feature(&long, &square)])).unwrap().others;
    assert!(others[0].0.chars().count() < 100, "{}", others[0].0.len());
}

/// A file with a byte changed, taken out or repeated is read or refused.
#[test]
fn damaged_files_do_no_harm() {
    let many = format!(r#"{{"type":"MultiPolygon","coordinates":[[{SQUARE}],[{SQUARE},{SQUARE}]]}}"#);
    let crs = r#"{"type":"name","properties":{"name":"EPSG:4326"}}"#;
    let good = collection(&[feature("\"water\"", &many)]).replacen(
        "{\"name\"",
        &format!("{{\"crs\":{crs},\"name\""),
        1,
    );
    assert!(read(&good).is_ok());
    let mut refused = 0;
    for at in 0..good.len() {
        let (before, rest) = good.as_bytes().split_at(at);
        for between in [&b""[..], b"[", b"]", b"\"", b"9", b"e", b"-", b"\xff", &[rest[0]; 2]] {
            let text = [before, between, &rest[1..]].concat();
            refused += usize::from(parse(&text[..], &classes()).is_err());
        }
    }
    assert!(refused > good.len(), "{refused}");
}

#[test]
fn bounds_hold() {
    assert!(check_vertices(MOST_VERTICES).is_ok());
    let said = check_vertices(MOST_VERTICES + 1).unwrap_err();
    assert!(said.contains("20000000") && said.contains("20000001"), "{said}");
    #[cfg(feature = "gdal")]
    {
        let classes = classes();
        let mut reader = Reader::new(&classes);
        assert!(reader.expect(MOST_VERTICES).is_ok());
        assert_eq!(reader.expect(1).unwrap_err(), said);
        assert!(reader.expect(usize::MAX).is_err());
    }
    // A bound that is reached within a file.
    let mut reader =
        Reader { classes: &classes(), others: Others::default(), features: 0, vertices: MOST_VERTICES - 2 };
    let text = collection(&[feature("1", &polygon(&format!("[{SQUARE}]")))]);
    let read = Collection(&mut reader).deserialize(&mut serde_json::Deserializer::from_str(&text));
    assert!(read.unwrap_err().to_string().contains("rings may have 20000000 positions in all"));
    let mut reader =
        Reader { classes: &classes(), others: Others::default(), features: MOST_FEATURES, vertices: 0 };
    let read = Collection(&mut reader).deserialize(&mut serde_json::Deserializer::from_str(&text));
    assert!(read.unwrap_err().to_string().contains("a file may have 1000000 features"));
    // A file of this length has no contents on the disk.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.geojson");
    std::fs::File::create(&path).unwrap().set_len(MOST_BYTES + 1).unwrap();
    let said = super::read(&path, &classes()).unwrap_err().to_string();
    assert!(said.contains("x.geojson") && said.contains("1073741824 bytes, found `1073741825`"), "{said}");
}
