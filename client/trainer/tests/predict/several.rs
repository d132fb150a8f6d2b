//! Maps of heads for several classes: the probability of each class, as direct computation over the tiles gives it.

use std::fs;
use std::path::{Path, PathBuf};

use eosfed_data::{GeoReference, Limits, Raster, read_raster, write_geotiff};
use eosfed_trainer::ensemble::{HeadModel, PredictOptions, Scenes, predict_scene, predict_scenes};
use tch::{Device, Kind, Tensor};

use crate::common::release;
use crate::{fitted_in, metres, whole};

/// Side of the tiles of the training.
const TILE: usize = 32;
/// Names that are no ASCII and no XML.
const CLASSES: [&str; 2] = ["bright", "été & <striped>"];

fn value(has: [bool; 2], band: usize, x: usize, y: usize) -> f32 {
    let noise = ((y * 128 + x) * 7919 + band * 104_729) % 97;
    let light = if has[0] && band == 0 { 2.0 } else { 0.0 };
    let stripes = if has[1] && x % 8 < 4 { 2.0 } else { 0.0 };
    noise as f32 / 97.0 + light + stripes
}

/// A head for tiles that are bright, striped, both or neither, in `folder/head`.
fn head(folder: &Path) -> PathBuf {
    tch::set_num_threads(1);
    let release = release(&folder.join("release"));
    let data = folder.join("tiles");
    fs::create_dir_all(&data).unwrap();
    let mut rows = "image,labels\n".to_owned();
    for at in 0..24_usize {
        let has = [at % 2 == 0, (at / 2) % 2 == 0];
        let places = (0..2).flat_map(|band| (0..TILE * TILE).map(move |at| (band, at % TILE, at / TILE)));
        let data_of = places.map(|(band, x, y)| value(has, band, x + 40 * at, y)).collect();
        let raster = Raster { width: TILE, height: TILE, bands: 2, data: data_of, reference: None };
        write_geotiff(&data.join(format!("{at}.tif")), &raster).unwrap();
        let labels: Vec<&str> =
            CLASSES.iter().zip(has).filter(|(_, has)| *has).map(|(name, _)| *name).collect();
        rows.push_str(&format!("{at}.tif,{}\n", labels.join(";")));
    }
    fs::write(data.join("labels.csv"), rows).unwrap();
    let text = format!(
        "task = \"multilabel\"\nbands = [\"red\", \"nir\"]\nclasses = [\"{}\", \"{}\"]\n[layout]\nkind = \"table\"\n\
         file = \"labels.csv\"\nimages = \"image\"\ntarget = \"labels\"\n[split]\nvalidation = 0.0\n",
        CLASSES[0], CLASSES[1]
    );
    fs::write(data.join("dataset.toml"), text).unwrap();
    fitted_in(folder, (&release, &data), "all", 4)
}

/// Whether a place of the scene lies in the hole without data.
fn hole(x: usize, y: usize) -> bool {
    (40..52).contains(&x) && (20..27).contains(&y)
}

/// The value of a pixel of the scene: both classes in quarters of their own, with a hole in the second of its bands.
fn ground(width: usize, height: usize) -> impl Fn(usize, usize, usize) -> f32 + Copy {
    move |band, x, y| {
        if band == 1 && hole(x, y) {
            return f32::NAN;
        }
        value([x < width / 2, y < height / 2], band, x, y)
    }
}

/// A scene of another size than windows make, with its bands in another order.
fn write_scene(path: &Path, width: usize, height: usize) {
    let ground = ground(width, height);
    let places = (0..2).flat_map(|band| (0..height).flat_map(move |y| (0..width).map(move |x| (band, x, y))));
    let data = places.map(|(band, x, y)| ground(1 - band, x, y)).collect();
    let raster = Raster { width, height, bands: 2, data, reference: Some(metres(10.0)) };
    write_geotiff(path, &raster).unwrap();
}

/// Where windows start: at even distances, and the last one at the end.
fn starts(length: usize, step: usize) -> Vec<usize> {
    let last = length - TILE;
    (0..last).step_by(step).chain([last]).collect()
}

/// The probability of each class in each pixel, `[classes, height, width]`, computed window by window by the head.
fn direct(head: &HeadModel, width: usize, height: usize, overlap: usize) -> Vec<f64> {
    let ground = ground(width, height);
    let size = width * height;
    let mut sums = vec![0.0; 2 * size];
    let mut weights = vec![0.0; size];
    let ramp = |at: usize| (at + 1).min(TILE - at).min(overlap + 1) as f64;
    for top in starts(height, TILE - overlap) {
        for left in starts(width, TILE - overlap) {
            // The head asks for its bands by name.
            let band = |name: &String| usize::from(name == "nir");
            let values: Vec<f32> = head
                .bands()
                .iter()
                .flat_map(|name| {
                    (0..TILE * TILE).map(move |at| ground(band(name), left + at % TILE, top + at / TILE))
                })
                .collect();
            let images =
                Tensor::from_slice(&values).view([1, head.bands().len() as i64, TILE as i64, TILE as i64]);
            let found = head.forward(&images).sigmoid().to_kind(Kind::Double).view([-1]);
            let found = Vec::<f64>::try_from(found).unwrap();
            for (x, y) in (0..TILE * TILE).map(|at| (at % TILE, at / TILE)) {
                let weight = ramp(x) * ramp(y);
                let place = (top + y) * width + left + x;
                weights[place] += weight;
                (0..2).for_each(|class| sums[class * size + place] += weight * found[class]);
            }
        }
    }
    sums.iter().enumerate().map(|(at, sum)| sum / weights[at % size]).collect()
}

/// Compares a map with direct computation; returns how many pixels reach one half for each class, and for none.
fn compare(map: &Raster, expected: &[f64], is_hole: impl Fn(usize, usize) -> bool) -> ([u64; 2], u64) {
    let size = map.width * map.height;
    let (mut counts, mut none) = ([0; 2], 0);
    for place in 0..size {
        let (x, y) = (place % map.width, place / map.width);
        let found = [0, 1].map(|class| map.data[class * size + place]);
        if is_hole(x, y) {
            assert!(found.iter().all(|value| value.is_nan()), "{x},{y}: {found:?}");
            continue;
        }
        for (class, found) in found.into_iter().enumerate() {
            let percent = 100.0 * expected[class * size + place];
            // Whole percent, rounded down, of a sum in another order.
            assert!(found.fract() == 0.0 && (0.0..=100.0).contains(&found), "{x},{y}: {found}");
            let floor = f64::from(found);
            assert!(
                (floor - 0.001..floor + 1.001).contains(&percent),
                "{x},{y}, {class}: {found} for {percent}"
            );
        }
        (0..2).filter(|class| found[*class] >= 50.0).for_each(|class| counts[class] += 1);
        none += u64::from(found.iter().all(|value| *value < 50.0));
    }
    (counts, none)
}

#[test]
fn each_class_has_a_band_with_its_probability() {
    let folder = tempfile::tempdir().unwrap();
    let head = head(folder.path());
    let opened = HeadModel::open(&head, None, Device::Cpu).unwrap();
    let (width, height) = (150, 90);
    write_scene(&folder.path().join("scene.tif"), width, height);
    // What an earlier map of another head had beside it would name classes of its own.
    fs::write(folder.path().join("map.tif.aux.xml"), "<PAMDataset/>").unwrap();
    for overlap in [0, 20] {
        let options = PredictOptions { window: None, overlap: Some(overlap), ..whole(folder.path(), &head) };
        let report = predict_scene(&options, Device::Cpu, &mut |_, _| ()).unwrap();
        assert_eq!((report.size, report.window), ([width, height], [TILE, overlap]));
        let map = read_raster(&folder.path().join("map.tif"), &Limits::default()).unwrap();
        assert_eq!((map.width, map.height, map.bands), (width, height, 2));
        assert_eq!(map.reference, Some(metres(10.0)));
        let (counts, none) = compare(&map, &direct(&opened, width, height, overlap), hole);
        // The table is the map's, at the threshold of the scores.
        let named: Vec<_> = CLASSES.map(str::to_owned).into_iter().zip(counts).collect();
        assert_eq!(report.classes, named);
        let several = report.several.unwrap();
        assert_eq!((several.threshold_percent, several.none), (50, none));
        assert_eq!((report.no_data, report.pixel_square_metres), (12 * 7, Some(100.0)));
        // The head has learned something: away from borders, classes are where they are true.
        let is_right = |class: usize, x: usize, y: usize| {
            let found = map.data[class * width * height + y * width + x] >= 50.0;
            found == [x < width / 2, y < height / 2][class]
        };
        let quarters = [(16, 10), (130, 10), (16, 75), (130, 75)];
        let right = quarters.iter().flat_map(|(x, y)| [0, 1].map(|class| is_right(class, *x, *y)));
        assert!(right.filter(|right| *right).count() >= 7, "{counts:?}");
    }
    assert!(!folder.path().join("map.tif.aux.xml").exists());
    let bytes = fs::read(folder.path().join("map.tif")).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(
        text.contains("role=\"description\">&amp;#233;t&amp;#233; &amp;amp; &amp;lt;striped&amp;gt;</Item>")
    );
    assert!(text.contains("sample=\"1\" role=\"unittype\">%</Item>"));
    assert_eq!(&fs::read(folder.path().join("map.png")).unwrap()[1..4], b"PNG");
    let options = PredictOptions { confidence: true, ..whole(folder.path(), &head) };
    let error = predict_scene(&options, Device::Cpu, &mut |_, _| ()).unwrap_err().to_string();
    assert!(error.contains("has the probability of each class; leave `--confidence` out"), "{error}");
}

#[test]
fn maps_of_several_classes_have_overviews_and_are_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let head = head(folder.path());
    let scenes = folder.path().join("scenes");
    fs::create_dir(&scenes).unwrap();
    // Wider than a panel, so that windows of both sides meet in it; and smaller than a window.
    write_scene(&scenes.join("wide.tif"), 2090, 40);
    let data = (0..2 * 20 * 9).map(|at| (at % 7) as f32).collect();
    let reference = Some(GeoReference { ..metres(10.0) });
    let tiny = Raster { width: 20, height: 9, bands: 2, data, reference };
    write_geotiff(&scenes.join("tiny.tif"), &tiny).unwrap();
    let maps = folder.path().join("maps");
    let options = PredictOptions {
        images: Vec::new(),
        output: maps.clone(),
        preview: None,
        window: None,
        overlap: Some(0),
        ..whole(folder.path(), &head)
    };
    let run = || {
        let found = Scenes::find(&scenes).unwrap();
        predict_scenes(&options, found, Device::Cpu, &mut |_, _, _| (), &mut |_| ()).unwrap()
    };
    let report = run();
    assert!(report.failed.is_empty() && report.maps.len() == 2, "{:?}", report.failed);
    let tiny = read_raster(&maps.join("tiny.tif"), &Limits::default()).unwrap();
    assert!(
        (tiny.width, tiny.height, tiny.bands) == (20, 9, 2)
            && tiny.data.iter().all(|value| value.is_finite())
    );
    let map = read_raster(&maps.join("wide.tif"), &Limits::default()).unwrap();
    let opened = HeadModel::open(&head, None, Device::Cpu).unwrap();
    compare(&map, &direct(&opened, 2090, 40, 0), hole);
    // Overviews: of half the side until a tile holds the map (1045, 523, 262, 131), each with both bands.
    let bytes = fs::read(maps.join("wide.tif")).unwrap();
    let reduced = bytes.windows(12).filter(|entry| entry == &[254, 0, 4, 0, 1, 0, 0, 0, 1, 0, 0, 0]).count();
    assert_eq!(reduced, 4);

    fs::remove_file(maps.join("tiny.tif")).unwrap();
    let again = run();
    let present: Vec<_> = again.present.iter().map(|map| map.output.clone()).collect();
    assert_eq!((again.maps.len(), present), (1, vec![maps.join("wide.tif")]));
    assert_eq!(fs::read(maps.join("wide.tif")).unwrap(), bytes);
}
