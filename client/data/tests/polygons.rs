//! Masks from polygons, in every layout, held to GDAL's.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

#[cfg(feature = "gdal")]
mod vectors;

use std::fs;
use std::path::{Path, PathBuf};

use eosfed_data::{
    DataError, Dataset, GeoReference, Limits, Raster, Split, Target, read_labels, summarise, write_geotiff,
};

const SIZE: [usize; 2] = [90, 70];
const BACKGROUND: u8 = 3;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens").join(name)
}

/// Writes an image of 10 m pixels, from so many pixels east of the goldens' corner on.
fn image(path: &Path, system: Option<u16>, east: f64) {
    let [width, height] = SIZE;
    let reference = system.map(|code| GeoReference {
        pixel_scale: vec![10.0, 10.0, 0.0],
        tie_point: vec![0.0, 0.0, 0.0, 500_000.0 + east * 10.0, 4_600_000.0, 0.0],
        keys: vec![1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, code],
        ..GeoReference::default()
    });
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let data = (0..width * height).map(|at| (at % 251) as f32).collect();
    write_geotiff(path, &Raster { width, height, bands: 1, data, reference }).unwrap();
}

const POLYGONS: &str = "[polygons]\nattribute = \"cover\"\nbackground = \"other\"\n";
const SCENES: &str = "kind = \"scenes\"\nimages = [\"a.tif\"]\nmasks = [\"p.geojson\"]\ntile = 10";

fn describe(folder: &Path, polygons: &str, layout: &str) {
    let text = format!(
        "task = \"segmentation\"\nbands = [\"red\"]\nclasses = [\"water\", \"forest\", \"built-up\", \"other\"]\n{polygons}\
         [layout]\n{layout}\n[split]\nvalidation = 0.0\n"
    );
    fs::write(folder.join("dataset.toml"), text).unwrap();
}

fn open(folder: &Path) -> Result<Dataset, DataError> {
    Dataset::open(folder, &Limits::default())
}

/// A folder with an image, the golden polygons, and a description.
fn scene(golden_name: &str, polygons: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    image(&folder.path().join("a.tif"), Some(32633), 0.0);
    fs::copy(golden(golden_name), folder.path().join("p.geojson")).unwrap();
    describe(folder.path(), polygons, SCENES);
    folder
}

/// The mask of an image, put together from its tiles or taken as a whole.
fn masks(dataset: &Dataset) -> Vec<u8> {
    let [width, height] = SIZE;
    let mut whole = vec![255; width * height];
    for sample in dataset.load(Split::Train, &["red".to_owned()]).unwrap().samples {
        let Target::Mask(mask) = sample.target else { panic!("a mask") };
        let corner = sample.key.split_once('@').map_or_else(
            || vec![0, 0],
            |(_, at)| at.split(',').map(|number| number.parse::<usize>().unwrap()).collect(),
        );
        for (row, classes) in mask.chunks_exact(sample.width).enumerate() {
            let start = (corner[1] + row) * width + corner[0];
            whole[start..][..sample.width].copy_from_slice(classes);
        }
    }
    whole
}

fn of_gdal() -> Vec<u8> {
    let mask = read_labels(&golden("polygons.png"), &Limits::default()).unwrap();
    mask.data.into_iter().map(|value| value as u8).collect()
}

#[test]
fn masks_are_those_of_gdal_from_metres_and_from_degrees() {
    let wanted = of_gdal();
    for class in 0..=BACKGROUND {
        assert!(wanted.iter().filter(|found| **found == class).count() > 100, "class {class}");
    }
    for name in ["polygons.geojson", "polygons-degrees.geojson"] {
        let folder = scene(name, POLYGONS);
        assert_eq!(masks(&open(folder.path()).unwrap()), wanted, "{name}");
    }
}

#[test]
fn values_become_classes_and_no_background_is_no_label() {
    let values =
        "[polygons]\nattribute = \"number\"\nvalues = { 0 = \"water\", 1 = \"forest\", 2 = \"forest\" }\n";
    let folder = scene("polygons.geojson", values);
    let wanted: Vec<u8> = of_gdal().into_iter().map(|class| [0, 1, 1, 255][usize::from(class)]).collect();
    assert_eq!(masks(&open(folder.path()).unwrap()), wanted);
}

#[test]
fn each_layout_takes_polygons() {
    let table = "kind = \"table\"\nfile = \"t.csv\"\nimages = \"image\"\ntarget = \"mask\"";
    for (layout, images, mask) in [
        ("kind = \"pairs\"\nimages = \"i\"\nmasks = \"m\"", "i/a.tif", "m/a.geojson"),
        ("kind = \"pairs\"\nimages = \"i\"\nmasks = \"m\"\ntile = 10", "i/a.tif", "m/a.geojson"),
        ("kind = \"pairs\"\nimages = \"i\"\nmasks = \"all.geojson\"", "i/a.tif", "all.geojson"),
        ("kind = \"pattern\"\nimages = \"{s}/i.tif\"\nmasks = \"{s}/m.geojson\"", "a/i.tif", "a/m.geojson"),
        ("kind = \"pattern\"\nimages = \"{s}/i.tif\"\nmasks = \"m.json\"", "a/i.tif", "m.json"),
        (table, "a.tif", "m.geojson"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        image(&at(images), Some(32633), 0.0);
        fs::create_dir_all(at(mask).parent().unwrap()).unwrap();
        fs::copy(golden("polygons.geojson"), at(mask)).unwrap();
        fs::write(at("t.csv"), format!("image,mask\n{images},{mask}\n")).unwrap();
        describe(folder.path(), POLYGONS, layout);
        let dataset = open(folder.path()).unwrap();
        assert_eq!(masks(&dataset), of_gdal(), "{layout}");
        let unused: Vec<String> =
            summarise(&dataset).unwrap().unused.into_iter().map(|unused| unused.file).collect();
        assert!(!unused.iter().any(|file| file.ends_with("json")), "{layout}: {unused:?}");
    }
}

#[test]
fn one_file_can_be_for_all_scenes_and_the_report_counts_features() {
    let folder = scene("polygons.geojson", POLYGONS);
    let at = |name: &str| folder.path().join(name);
    image(&at("b.tif"), Some(32633), 90.0);
    let two = SCENES.replace("[\"a.tif\"]", "[\"a.tif\", \"b.tif\"]");
    describe(folder.path(), POLYGONS, &two);
    let text = fs::read_to_string(at("p.geojson")).unwrap();
    let far = r#""features":[{"type":"Feature","properties":{"cover":"water"},"geometry":{"type":"Polygon","coordinates":[[[0,0],[0,9],[9,9],[0,0]]]}},{"type":"Feature","properties":{"cover":"water"},"geometry":null},{"type":"Feature","properties":{"cover":"snow"},"geometry":{"type":"Polygon","coordinates":[[[500000,4600000],[500000,4599990],[500010,4599990],[500000,4600000]]]}},"#;
    fs::write(at("p.geojson"), text.replacen("\"features\":[", far, 1)).unwrap();
    let said = open(folder.path()).err().unwrap().to_string();
    assert!(said.contains("`snow` (1)"), "{said}");
    describe(folder.path(), &format!("{POLYGONS}other_values = \"unlabelled\"\n"), &two);
    let dataset = open(folder.path()).unwrap();
    let summary = summarise(&dataset).unwrap();
    let report = summary.polygons.unwrap();
    assert_eq!((report.files, report.features, report.outside, report.empty), (1, 68, 3, 1), "{report:?}");
    assert_eq!(report.used, 64);
    assert_eq!(report.other_values.get("`snow`"), Some(&1), "{report:?}");
    let note = "of 68 features of polygons, 3 lie outside of all images; 1 have no area; these have no class and their \
                pixels no label: `snow` (1)";
    assert!(summary.warnings.iter().any(|warning| warning == note), "{:?}", summary.warnings);
}

#[test]
fn what_would_give_wrong_labels_is_refused() {
    let folder = scene("polygons.geojson", POLYGONS);
    let refused = |parts: &[&str]| {
        let said = open(folder.path()).err().expect("it is refused").to_string();
        parts.iter().for_each(|part| assert!(said.contains(part), "{part}: {said}"));
    };
    let at = |name: &str| folder.path().join(name);
    // Another place: all pixels would be background.
    image(&at("a.tif"), Some(32633), 10_000.0);
    refused(&["dataset.toml", "must lie in the images", "none of 65 features", "p.geojson", "gdalinfo"]);
    image(&at("a.tif"), Some(32634), 0.0);
    refused(&[
        "p.geojson",
        "must be `EPSG:32634` as the image's, found `EPSG:32633`",
        "ogr2ogr -t_srs EPSG:32634",
    ]);
    image(&at("a.tif"), None, 0.0);
    refused(&["a.tif", "a geotransform and a reference system", "p.geojson", "gdalwarp"]);
    image(&at("a.tif"), Some(32633), 0.0);
    describe(folder.path(), "", SCENES);
    refused(&["p.geojson", "`[polygons]`", "`attribute`"]);
    describe(folder.path(), &POLYGONS.replace("cover", "landuse"), SCENES);
    refused(&["each value of `landuse` must have a class", "no value (65)"]);
    describe(folder.path(), "[polygons]\nattribute = \"cover\"\n", SCENES);
    fs::write(at("p.geojson"), r#"{"type":"FeatureCollection","features":[]}"#).unwrap();
    refused(&["dataset.toml", "no pixel has both data and a label", "ogrinfo"]);
}

#[test]
fn polygons_without_use_are_refused() {
    let folder = scene("polygons.geojson", POLYGONS);
    let mask = folder.path().join("m.tif");
    image(&mask, Some(32633), 0.0);
    let raster = read_labels(&mask, &Limits::default()).unwrap();
    write_geotiff(&mask, &Raster { data: raster.data.iter().map(|value| value % 4.0).collect(), ..raster })
        .unwrap();
    describe(folder.path(), POLYGONS, &SCENES.replace("p.geojson", "m.tif"));
    let said = open(folder.path()).err().unwrap().to_string();
    assert!(said.contains("`[polygons]` must be absent where no mask is a file of polygons"), "{said}");
}

#[test]
fn the_description_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    for (polygons, said) in [
        ("[polygons]\nattribute = \"\"\n", "`polygons.attribute`"),
        (
            "[polygons]\nattribute = \"a\"\nbackground = \"sky\"\n",
            "`polygons.background` must be of water, forest",
        ),
        (
            "[polygons]\nattribute = \"a\"\nvalues = { 1 = \"sky\" }\n",
            "`polygons.values` must be of water, forest",
        ),
        ("[polygons]\nattribute = \"a\"\nother_values = \"skip\"\n", "unknown variant `skip`"),
        ("[polygons]\nattribute = \"a\"\nbackgruond = \"water\"\n", "unknown field `backgruond`"),
        ("[polygons]\nbackground = \"water\"\n", "missing field `attribute`"),
    ] {
        describe(folder.path(), polygons, SCENES);
        let found = open(folder.path()).err().unwrap().to_string();
        assert!(found.contains(said) && found.contains("dataset.toml"), "{polygons}: {found}");
    }
    describe(folder.path(), POLYGONS, &SCENES.replace("[\"p.geojson\"]", "[\"p.geojson\", \"q.geojson\"]"));
    let found = open(folder.path()).err().unwrap().to_string();
    assert!(
        found.contains("`layout.masks` must be 1 files, one an image; or one file of polygons for all"),
        "{found}"
    );
    let text = fs::read_to_string(folder.path().join("dataset.toml")).unwrap();
    let regression = text.replace("segmentation", "regression");
    fs::write(folder.path().join("dataset.toml"), regression).unwrap();
    let found = open(folder.path()).err().unwrap().to_string();
    assert!(found.contains("`polygons` must be absent unless the labels are masks"), "{found}");
}

#[test]
fn an_image_has_one_mask_and_stray_json_files_are_no_masks_unless_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    image(&at("i/a.tif"), Some(32633), 0.0);
    image(&at("m/a.tif"), Some(32633), 0.0);
    let raster = read_labels(&at("m/a.tif"), &Limits::default()).unwrap();
    write_geotiff(
        &at("m/a.tif"),
        &Raster { data: raster.data.iter().map(|value| value % 4.0).collect(), ..raster },
    )
    .unwrap();
    fs::write(at("m/a.json"), "{}").unwrap();
    let pairs = "kind = \"pairs\"\nimages = \"i\"\nmasks = \"m\"";
    describe(folder.path(), "", pairs);
    assert_eq!(open(folder.path()).unwrap().len(Split::Train), 1);
    describe(folder.path(), POLYGONS, pairs);
    let said = open(folder.path()).err().unwrap().to_string();
    assert!(said.contains("an image must have one mask") && said.contains("a.json"), "{said}");
}

/// A scene that is decoded once and read again has the labels of the polygons as they are now.
#[test]
fn changed_polygons_are_seen() {
    let folder = scene("polygons.geojson", POLYGONS);
    let remembered = tempfile::tempdir().unwrap();
    let open = || Dataset::open_with(folder.path(), &Limits::default(), Some(remembered.path())).unwrap();
    assert_eq!(masks(&open()), of_gdal());
    let path = folder.path().join("p.geojson");
    let text = fs::read_to_string(&path).unwrap().replace("\"forest\"", "\"water\"");
    fs::write(&path, text).unwrap();
    let wanted: Vec<u8> = of_gdal().into_iter().map(|class| if class == 1 { 0 } else { class }).collect();
    assert_eq!(masks(&open()), wanted);
}

/// A build without GDAL names the line that makes GeoJSON of the file.
#[cfg(not(feature = "gdal"))]
#[test]
fn geopackages_and_shapefiles_are_refused_with_both_remedies() {
    for (name, kind) in [("p.gpkg", "GeoPackage"), ("p.shp", "Shapefile")] {
        let folder = scene("polygons.geojson", POLYGONS);
        fs::rename(folder.path().join("p.geojson"), folder.path().join(name)).unwrap();
        describe(folder.path(), POLYGONS, &SCENES.replace("p.geojson", name));
        let said = open(folder.path()).err().unwrap().to_string();
        for part in
            [name, kind, "a build with the feature `gdal`", "ogr2ogr -t_srs EPSG:32633", "p.32633.geojson"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

#[test]
fn how_much_of_polygons_is_used_is_remembered_until_a_file_changes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, east) in [("i/1.tif", 0.0), ("i/2.tif", 1e4)] {
        image(&at(name), Some(32633), east);
    }
    fs::copy(golden("polygons.geojson"), at("p.geojson")).unwrap();
    describe(folder.path(), POLYGONS, "kind = \"pairs\"\nimages = \"i\"\nmasks = \"p.geojson\"");
    let remembered = at("remembered");
    fs::create_dir(&remembered).unwrap();
    let report = || {
        let found = Dataset::open_with(folder.path(), &Limits::default(), Some(&remembered)).unwrap();
        (found.polygons().unwrap().clone(), found.notes().to_vec())
    };
    let (first, notes) = report();
    assert_eq!((first.used, &report()), (63, &(first.clone(), notes)));
    // What is remembered is what is said, so no head was read again.
    let file = fs::read_dir(&remembered).unwrap().next().unwrap().unwrap().path();
    let forge = || {
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("\"used\":63", "\"used\":62")).unwrap();
    };
    forge();
    assert_eq!(report().0.used, 62);
    for (changed, east) in [("i/2.tif", 2e4), ("i/1.tif", 0.0)] {
        image(&at(changed), Some(32633), east);
        assert_eq!(report().0, first, "{changed}");
        forge();
    }
    let text = fs::read_to_string(at("p.geojson")).unwrap();
    fs::write(at("p.geojson"), format!("{text}\n")).unwrap();
    assert_eq!(report().0, first);
    // A report that is none is not believed.
    forge();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"used\":62", "\"used\":-1")).unwrap();
    assert_eq!(report().0, first);
}
