//! Files of polygons, which are labels: GeoJSON of any contents, brought to an image and filled into its tiles.

use eosfed_data::{Dataset, GeoReference, IGNORE, Limits, Raster, Split, Target, write_geotiff};

use crate::folder::file;
use crate::target::Seeds;

/// Sides of the image in pixels of 10 m.
const SIDE: usize = 24;
const CONFIG: &str = "task = \"segmentation\"\nbands = [\"red\"]\nclasses = [\"water\", \"forest\"]\n\
                      [polygons]\nattribute = \"cover\"\nbackground = \"forest\"\nother_values = \"unlabelled\"\n\
                      [layout]\nkind = \"scenes\"\nimages = [\"polygons.tif\"]\nmasks = [\"polygons.geojson\"]\ntile = 8\n\
                      [split]\nvalidation = 0.0\n";

/// Writes the image that the polygons lie over.
fn image() {
    let path = file("polygons.tif", b"");
    let reference = GeoReference {
        pixel_scale: vec![10.0, 10.0, 0.0],
        tie_point: vec![0.0, 0.0, 0.0, 500_000.0, 4_600_000.0, 0.0],
        keys: vec![1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32633],
        ..GeoReference::default()
    };
    let data = vec![1.0; SIDE * SIDE];
    write_geotiff(&path, &Raster { width: SIDE, height: SIDE, bands: 1, data, reference: Some(reference) })
        .unwrap();
}

thread_local! {
    static IMAGE: () = image();
}

/// A file of polygons. A tile has the classes of the data set, no others.
pub fn polygons(bytes: &[u8]) -> bool {
    IMAGE.with(|()| ());
    file("polygons.geojson", bytes);
    let limits = Limits { side: 64, bands: 4, bytes: 1 << 16 };
    let dataset = match Dataset::open(&file("dataset.toml", CONFIG.as_bytes()), &limits) {
        Ok(dataset) => dataset,
        Err(error) => {
            let said = error.to_string();
            let named = said.contains("polygons.geojson") || said.contains("dataset.toml");
            assert!(named, "it names the file: {said}");
            return false;
        }
    };
    let loaded = dataset.load(Split::Train, &["red".to_owned()]).unwrap();
    for sample in loaded.samples {
        let Target::Mask(mask) = sample.target else { panic!("a mask") };
        assert_eq!(mask.len(), sample.width * sample.height);
        assert!(mask.iter().all(|class| *class < 2 || *class == IGNORE), "{mask:?}");
    }
    true
}

fn collection(crs: &str, features: &str) -> Vec<u8> {
    format!(r#"{{"type":"FeatureCollection","name":"x",{crs}"features":[{features}]}}"#).into_bytes()
}

fn feature(value: &str, kind: &str, coordinates: &str) -> String {
    format!(
        r#"{{"type":"Feature","id":1,"properties":{{"other":[1,{{}}],"cover":{value}}},"geometry":{{"type":"{kind}","coordinates":{coordinates}}}}}"#
    )
}

pub(crate) fn seeds() -> Seeds {
    const METRES: &str = r#""crs":{"type":"name","properties":{"name":"urn:ogc:def:crs:EPSG::32633"}},"#;
    const SQUARE: &str =
        "[[500020,4599980],[500020,4599900],[500100,4599900],[500100,4599980],[500020,4599980]]";
    const HOLE: &str =
        "[[500040,4599960],[500060,4599960],[500060,4599940],[500040,4599940],[500040,4599960]]";
    const DEGREES: &str = "[[15.0002,41.551,7],[15.0002,41.5505],[15.0009,41.5505,7,8],[15.0002,41.551]]";
    let in_metres = feature("\"water\"", "Polygon", &format!("[{SQUARE},{HOLE}]"));
    let many = feature("\"snow\"", "MultiPolygon", &format!("[[{SQUARE}],[{HOLE}]]"));
    let empty = r#"{"type":"Feature","properties":null,"geometry":null}"#;
    let good = vec![
        collection(METRES, &in_metres),
        collection(METRES, &format!("{in_metres},{many},{empty}")),
        collection("", &feature("\"water\"", "Polygon", &format!("[{DEGREES}]"))),
    ];
    let far = SQUARE.replace("500100", "1e308").replace("4599900", "-1e308");
    let odd = vec![
        collection(METRES, &feature("\"water\"", "Polygon", &"[".repeat(20_000))),
        collection(METRES, &feature("\"water\"", "Polygon", &format!("[{far}]"))),
        collection(METRES, &feature("\"water\"", "Polygon", &format!("[{}]", "[0,0],".repeat(10_000)))),
        collection(METRES, &format!("{},", "{}").repeat(20_000)),
        // Edges of a quarter of the world, which are divided before they are projected.
        collection("", &feature("\"water\"", "Polygon", "[[[15,-89],[15,89],[16,-89],[15,-89]]]")),
    ];
    Seeds { good, odd }
}
