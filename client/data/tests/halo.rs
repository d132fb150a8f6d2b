//! Edges of tiles that the network sees and that are not judged: which pixels count in which tile, and what no tile shows.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use eosfed_data::{
    Dataset, GeoReference, IGNORE, KeptPlace, Limits, Origin, Raster, Sample, SampleCache, SampleSource,
    Split, Target, summarise, write_geotiff,
};

/// The class of a pixel.
fn class(x: usize, y: usize) -> u8 {
    ((x / 3 + y / 5) % 3) as u8
}

/// A raster of one band whose first pixel lies at a column of a larger one, in pixels of ten metres.
fn write(path: &Path, size: [usize; 2], column: usize, of: impl Fn(usize, usize) -> f32) {
    let [width, height] = size;
    let data = (0..width * height).map(|at| of(at % width, at / width)).collect();
    let reference = Some(GeoReference {
        pixel_scale: vec![10.0, 10.0, 0.0],
        tie_point: vec![0.0, 0.0, 0.0, 500_000.0 + 10.0 * column as f64, 4_600_000.0, 0.0],
        keys: vec![1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32_633],
        ..GeoReference::default()
    });
    write_geotiff(path, &Raster { width, height, bands: 1, data, reference }).unwrap();
}

/// A scene whose pixels say by their values where they are, with a mask.
fn scene(folder: &Path, size: [usize; 2]) {
    write(&folder.join("a.tif"), size, 0, |x, y| (1 + y * size[0] + x) as f32);
    write(&folder.join("m.tif"), size, 0, |x, y| f32::from(class(x, y)));
}

/// What describes the scene; `layout` are lines of its layout.
fn describe(folder: &Path, layout: &str, split: &str) {
    let text = format!(
        "task = \"segmentation\"\nbands = [\"red\"]\nclasses = [\"a\", \"b\", \"c\"]\n[layout]\nkind = \"scenes\"\n\
         images = [\"a.tif\"]\nmasks = [\"m.tif\"]\n{layout}\n[split]\n{split}\n"
    );
    fs::write(folder.join("dataset.toml"), text).unwrap();
}

fn open(folder: &Path) -> Result<Arc<Dataset>, String> {
    Dataset::open(folder, &Limits::default()).map(Arc::new).map_err(|error| error.to_string())
}

fn red() -> Vec<String> {
    vec!["red".to_owned()]
}

fn load(dataset: &Dataset, part: Split) -> Vec<Sample> {
    if dataset.is_empty(part) { Vec::new() } else { dataset.load(part, &red()).unwrap().samples }
}

fn source(dataset: &Arc<Dataset>, part: Split, cache: Option<&SampleCache>) -> SampleSource {
    SampleSource::open(Arc::clone(dataset), part, &red(), cache).unwrap()
}

/// The first column and row of a tile, by its name.
fn corner(key: &str) -> [usize; 2] {
    let (_, corner) = key.split_once('@').unwrap();
    let [left, top] = corner.split(',').collect::<Vec<_>>()[..] else { panic!("a corner") };
    [left, top].map(|number| number.parse().unwrap())
}

/// Where the pixels of a tile with labels are in the scene, with each label.
fn judged(target: &Target, side: usize, [left, top]: [usize; 2]) -> BTreeMap<[usize; 2], u8> {
    let Target::Mask(mask) = target else { panic!("a mask") };
    assert_eq!(mask.len(), side * side);
    let known = mask.iter().enumerate().filter(|(_, class)| **class != IGNORE);
    known.map(|(at, class)| ([left + at % side, top + at / side], *class)).collect()
}

/// Where the pixels with data are that a tile shows, by their values.
fn shown(values: &[f32], width: usize) -> BTreeSet<[usize; 2]> {
    let pixels = values.iter().filter(|value| value.is_finite()).map(|value| *value as usize - 1);
    pixels.map(|at| [at % width, at / width]).collect()
}

/// The ranges that tiles judge along a length, by the rule: all of a tile but `halo` at each edge that is none of the scene.
fn ranges(length: usize, tile: usize, halo: usize, stride: usize) -> Vec<std::ops::Range<usize>> {
    let first = (0..=length - tile).step_by(stride);
    let range = |first: usize| {
        let from = if first == 0 { 0 } else { first + halo };
        from..if first + tile == length { length } else { first + tile - halo }
    };
    first.map(range).collect()
}

#[test]
fn a_small_scene_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    // The last tiles across end with the scene, those down two rows above its end.
    scene(folder.path(), [20, 14]);
    describe(folder.path(), "tile = 8\nhalo = 2", "validation = 0.0");
    let dataset = open(folder.path()).unwrap();
    let wanted = [
        ("a.tif@0,0", 0..6, 0..6),
        ("a.tif@4,0", 6..10, 0..6),
        ("a.tif@8,0", 10..14, 0..6),
        ("a.tif@12,0", 14..20, 0..6),
        ("a.tif@0,4", 0..6, 6..10),
        ("a.tif@4,4", 6..10, 6..10),
        ("a.tif@8,4", 10..14, 6..10),
        ("a.tif@12,4", 14..20, 6..10),
    ];
    let samples = load(&dataset, Split::Train);
    assert_eq!(samples.len(), wanted.len());
    for (key, columns, rows) in wanted {
        let sample = samples.iter().find(|sample| sample.key == key).unwrap();
        let [left, top] = corner(key);
        assert_eq!((sample.width, sample.height), (8, 8), "the network sees all of a tile");
        let square = (0..8).flat_map(|y| (0..8).map(move |x| [left + x, top + y]));
        assert_eq!(shown(&sample.image, 20), square.collect(), "{key}");
        let pixels = rows.flat_map(|y| columns.clone().map(move |x| ([x, y], class(x, y))));
        assert_eq!(judged(&sample.target, 8, [left, top]), pixels.collect(), "{key}");
    }
    // A tile that is its scene judges all of it.
    scene(folder.path(), [8, 8]);
    let samples = load(&open(folder.path()).unwrap(), Split::Train);
    assert_eq!((samples.len(), judged(&samples[0].target, 8, [0, 0]).len()), (1, 64));
}

#[test]
fn each_pixel_is_judged_once_and_no_part_sees_what_is_held_back_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let halves = "validation = 0.3\ntest = 0.2";
    let mut hidden = 0;
    for (size, tile, halo) in [([40, 40], 16, 4), ([64, 24], 8, 1), ([53, 47], 16, 5), ([33, 70], 9, 4)] {
        scene(folder.path(), size);
        let inner = tile - 2 * halo;
        for (stride, by, seed) in [inner, 1 + inner / 2]
            .into_iter()
            .flat_map(|stride| (0..6).map(move |seed| (stride, seed)))
            .flat_map(|(stride, seed)| ["location", "digest"].map(|by| (stride, by, seed)))
            .filter(|(stride, by, _)| *stride == inner || *by == "location")
        {
            let what = format!("{size:?}, tile {tile}, halo {halo}, stride {stride}, {by}, seed {seed}");
            let layout = format!("tile = {tile}\nhalo = {halo}\nstride = {stride}");
            describe(folder.path(), &layout, &format!("by = \"{by}\"\n{halves}\nseed = {seed}"));
            let dataset = open(folder.path()).unwrap();
            let parts = Split::ALL.map(|part| load(&dataset, part));
            let of = |samples: &[Sample]| {
                let each = samples.iter().map(|sample| judged(&sample.target, tile, corner(&sample.key)));
                let pixels: Vec<_> = each.flatten().collect();
                assert!(pixels.iter().all(|([x, y], found)| *found == class(*x, *y)), "{what}");
                pixels.into_iter().map(|(at, _)| at).collect::<Vec<_>>()
            };
            let pixels = parts.each_ref().map(|samples| of(samples));
            let sets = pixels.each_ref().map(|list| list.iter().copied().collect::<BTreeSet<_>>());
            for part in [1, 2] {
                assert_eq!(pixels[part].len(), sets[part].len(), "{what}: none counts twice");
            }
            for (one, other) in [(0, 1), (0, 2), (1, 2)] {
                assert!(sets[one].is_disjoint(&sets[other]), "{what}: {one} and {other} judge one pixel");
            }
            if stride == inner {
                let [columns, rows] = size.map(|length| ranges(length, tile, halo, inner));
                let all = rows
                    .into_iter()
                    .flatten()
                    .flat_map(|y| columns.iter().cloned().flatten().map(move |x| [x, y]).collect::<Vec<_>>());
                let all: Vec<_> = all.collect();
                assert_eq!(all.len(), pixels.iter().map(Vec::len).sum::<usize>(), "{what}");
                assert_eq!(
                    all.iter().copied().collect::<BTreeSet<_>>(),
                    sets.iter().flatten().copied().collect()
                );
                let even = size.iter().all(|length| (length - tile).is_multiple_of(inner));
                assert_eq!(all.len() == size[0] * size[1], even, "{what}");
            }
            for (part, samples) in parts.iter().enumerate() {
                let later: BTreeSet<_> = sets[part + 1..].iter().flatten().copied().collect();
                for sample in samples {
                    let [left, top] = corner(&sample.key);
                    let square = (0..tile).flat_map(|y| (0..tile).map(move |x| [left + x, top + y]));
                    let (held_back, seen): (BTreeSet<_>, BTreeSet<_>) =
                        square.partition(|at| later.contains(at));
                    assert_eq!(shown(&sample.image, size[0]), seen, "{what}: {}", sample.key);
                    hidden += held_back.len();
                }
            }
        }
    }
    assert!(hidden > 1000, "{hidden}");
}

#[test]
fn moments_and_numbers_of_classes_are_of_judged_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let size = [40, 40];
    scene(folder.path(), size);
    // Some pixels have no label, and some have no data.
    write(&folder.path().join("m.tif"), size, 0, |x, y| if x == 7 { 255.0 } else { f32::from(class(x, y)) });
    describe(folder.path(), "tile = 16\nhalo = 4", "validation = 0.3\nseed = 2");
    let text = fs::read_to_string(folder.path().join("dataset.toml")).unwrap();
    fs::write(folder.path().join("dataset.toml"), format!("nodata = 5\n{text}")).unwrap();
    let dataset = open(folder.path()).unwrap();
    let summary = summarise(&dataset).unwrap();
    let corners: Vec<_> = load(&dataset, Split::Train).iter().map(|sample| corner(&sample.key)).collect();
    assert!(corners.len() < 16 && corners.len() > 4, "{corners:?}");
    let mut values = Vec::new();
    let mut counts = [0; 3];
    for [left, top] in corners {
        let edge = |first: usize| {
            let from = if first == 0 { 0 } else { first + 4 };
            from..if first + 16 == 40 { 40 } else { first + 12 }
        };
        for (x, y) in edge(top).flat_map(|y| edge(left).map(move |x| (x, y))) {
            let value = 1 + y * 40 + x;
            if value != 5 {
                values.push(value as f64);
                counts[usize::from(class(x, y))] += u64::from(x != 7);
            }
        }
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    for found in [&summary.bands[0], &source(&dataset, Split::Train, None).facts().statistics[0]] {
        assert_eq!(found.count, values.len() as u64);
        assert!((found.mean - mean).abs() < 1e-6, "{} {mean}", found.mean);
    }
    let named: Vec<u64> = summary.classes["train"].values().copied().collect();
    assert_eq!((named, summary.halo), (counts.to_vec(), Some(4)));
    assert_eq!(source(&dataset, Split::Train, None).facts().labels, counts);
    // Edges that are not judged are no pixels of masks without a label, which would be warned of beside one class of two.
    write(&folder.path().join("m.tif"), size, 0, |_, _| 0.0);
    let path = folder.path().join("dataset.toml");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace("[\"a\", \"b\", \"c\"]", "[\"a\", \"b\"]").replace("nodata = 5\n", "");
    fs::write(&path, text).unwrap();
    let warnings = summarise(&open(folder.path()).unwrap()).unwrap().warnings;
    assert!(!warnings.iter().any(|warning| warning.contains("`mask_values")), "{warnings:?}");
    scene(folder.path(), size);
    describe(folder.path(), "tile = 16", "validation = 0.3\nseed = 2");
    let plain = serde_json::to_value(summarise(&open(folder.path()).unwrap()).unwrap()).unwrap();
    assert!(plain.get("halo").is_none(), "{plain}");
}

#[test]
fn only_what_a_tile_judges_makes_it_usable() {
    let folder = tempfile::tempdir().unwrap();
    let size = [40, 40];
    // Labels in one pixel of the square that the tile at 8,8 judges, and in one of its edge.
    let label = |at: [usize; 2]| {
        write(&folder.path().join("m.tif"), size, 0, |x, y| if [x, y] == at { 1.0 } else { 255.0 });
        load(&open(folder.path()).unwrap(), Split::Train)
            .into_iter()
            .map(|sample| sample.key)
            .collect::<Vec<_>>()
    };
    scene(folder.path(), size);
    describe(folder.path(), "tile = 16\nhalo = 4", "validation = 0.0");
    assert_eq!(
        (label([12, 19]), label([11, 19])),
        (vec!["a.tif@8,8".to_owned()], vec!["a.tif@0,8".to_owned()])
    );
    assert_eq!(
        (label([0, 0]), label([39, 39])),
        (vec!["a.tif@0,0".to_owned()], vec!["a.tif@24,24".to_owned()])
    );
    // Of what tiles judge, all have data in columns from 12 on: the first judge 12 columns and the second 8.
    scene(folder.path(), size);
    write(&folder.path().join("a.tif"), size, 0, |x, y| if x < 12 { 0.0 } else { (1 + y * 40 + x) as f32 });
    let text = fs::read_to_string(folder.path().join("dataset.toml")).unwrap();
    fs::write(folder.path().join("dataset.toml"), format!("nodata = 0\nmin_valid_share = 1.0\n{text}"))
        .unwrap();
    let dataset = open(folder.path()).unwrap();
    let lefts: BTreeSet<_> =
        load(&dataset, Split::Train).iter().map(|sample| corner(&sample.key)[0]).collect();
    assert_eq!(lefts, BTreeSet::from([8, 16, 24]), "{:?}", dataset.notes());
}

#[test]
fn tiles_at_random_places_follow_the_same_rule() {
    let folder = tempfile::tempdir().unwrap();
    let (size, tile, halo) = ([90, 75], 16, 4);
    scene(folder.path(), size);
    let (mut moved, mut hidden, mut edges) = (0, 0, [false; 4]);
    for (by, seed) in ["location", "digest"].into_iter().flat_map(|by| (0..4).map(move |seed| (by, seed))) {
        let layout = format!("tile = {tile}\nhalo = {halo}\nwindows = \"random\"");
        describe(
            folder.path(),
            &layout,
            &format!("by = \"{by}\"\nvalidation = 0.2\ntest = 0.1\nseed = {seed}"),
        );
        let dataset = open(folder.path()).unwrap();
        let held_back = [Split::Validation, Split::Test].map(|part| load(&dataset, part));
        let held_back = held_back.iter().flatten();
        let held_back =
            held_back.flat_map(|sample| judged(&sample.target, tile, corner(&sample.key)).into_keys());
        let held_back: BTreeSet<_> = held_back.collect();
        let source = source(&dataset, Split::Train, None);
        for (at, epoch) in (0..source.len()).flat_map(|at| (0..8).map(move |epoch| (at, epoch))) {
            let (packed, reason) = source.get_elsewhere(at, epoch).unwrap();
            assert!(reason.is_none() || reason == Some(KeptPlace::NoRoom), "{reason:?}");
            moved += usize::from(reason.is_none());
            let values = packed.values();
            let first = values.iter().position(|value| value.is_finite()).unwrap();
            let pixel = values[first] as usize - 1;
            let place = [pixel % size[0] - first % tile, pixel / size[0] - first / tile];
            let square = (0..tile).flat_map(|y| (0..tile).map(move |x| [place[0] + x, place[1] + y]));
            let (missing, seen): (BTreeSet<_>, BTreeSet<_>) = square.partition(|at| held_back.contains(at));
            assert_eq!(shown(&values, size[0]), seen, "{by} {seed} {place:?}");
            hidden += missing.len();
            let [columns, rows] = [0, 1].map(|axis| {
                let from = if place[axis] == 0 { 0 } else { place[axis] + halo };
                let end = place[axis] + tile;
                (from, if end == size[axis] { end } else { end - halo })
            });
            let pixels =
                (rows.0..rows.1).flat_map(|y| (columns.0..columns.1).map(move |x| ([x, y], class(x, y))));
            let found = judged(&packed.target, tile, place);
            assert_eq!(found, pixels.collect(), "{by} {seed} {place:?}");
            assert!(found.keys().all(|at| !held_back.contains(at)), "{by} {seed} {place:?}");
            let at_edge = [place[0] == 0, place[1] == 0, place[0] + tile == 90, place[1] + tile == 75];
            edges = [0, 1, 2, 3].map(|edge| edges[edge] || at_edge[edge] && reason.is_none());
        }
    }
    assert!(moved > 500 && hidden > 1000, "{moved} {hidden}");
    assert_eq!(edges, [true; 4], "every edge of the scene is reached");
}

#[test]
fn polygons_and_target_rasters_are_judged_by_the_same_pixels() {
    let folder = tempfile::tempdir().unwrap();
    scene(folder.path(), [20, 14]);
    let east = 500_000 + 110;
    let polygon = format!(
        "{{\"type\":\"FeatureCollection\",\"crs\":{{\"type\":\"name\",\"properties\":{{\"name\":\"EPSG:32633\"}}}},\"features\":[\
         {{\"type\":\"Feature\",\"properties\":{{\"cover\":\"c\"}},\"geometry\":{{\"type\":\"Polygon\",\"coordinates\":\
         [[[490000,4500000],[{east},4500000],[{east},4700000],[490000,4700000],[490000,4500000]]]}}}}]}}"
    );
    fs::write(folder.path().join("m.geojson"), polygon).unwrap();
    describe(folder.path(), "tile = 8\nhalo = 2", "validation = 0.0");
    let path = folder.path().join("dataset.toml");
    let text = fs::read_to_string(&path).unwrap();
    let polygons = text.replace("m.tif", "m.geojson");
    let polygons =
        polygons.replace("[layout]", "[polygons]\nattribute = \"cover\"\nbackground = \"b\"\n[layout]");
    fs::write(&path, polygons).unwrap();
    let tile = |key: &str| {
        let samples = load(&open(folder.path()).unwrap(), Split::Train);
        assert_eq!(samples.len(), 8);
        samples.into_iter().find(|sample| sample.key == key).unwrap().target
    };
    // The polygon ends amid the columns that the tile judges.
    let pixels = (6..10).flat_map(|y| (10..14).map(move |x| ([x, y], if x < 11 { 2 } else { 1 })));
    assert_eq!(judged(&tile("a.tif@8,4"), 8, [8, 4]), pixels.collect());
    let regression = text.replace("segmentation", "regression");
    fs::write(&path, regression.replace("[\"a\", \"b\", \"c\"]", "[\"height\"]")).unwrap();
    let Target::Values(values) = tile("a.tif@8,4") else { panic!("values") };
    for (at, value) in values.iter().enumerate() {
        let inside = (2..6).contains(&(at % 8)) && (2..6).contains(&(at / 8));
        let wanted = f32::from(class(8 + at % 8, 4 + at / 8));
        assert!(if inside { *value == wanted } else { value.is_nan() }, "{at}: {value}");
    }
}

#[test]
fn tiles_of_whole_images_have_edges_too() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["1.tif", "2.tif"] {
        for part in ["i", "m"] {
            fs::create_dir_all(folder.path().join(part)).unwrap();
            write(&folder.path().join(part).join(name), [20, 20], 0, |x, y| f32::from(class(x, y)));
        }
    }
    fs::write(folder.path().join("t.csv"), "i,m\ni/1.tif,m/1.tif\ni/2.tif,m/2.tif\n").unwrap();
    for layout in [
        "kind = \"pairs\"\nimages = \"i\"\nmasks = \"m\"",
        "kind = \"pattern\"\nimages = \"i/{name}.tif\"\nmasks = \"m/{name}.tif\"",
        "kind = \"table\"\nfile = \"t.csv\"\nimages = \"i\"\ntarget = \"m\"",
    ] {
        let text = format!(
            "task = \"segmentation\"\nbands = [\"red\"]\nclasses = [\"a\", \"b\", \"c\"]\n[layout]\n{layout}\ntile = 8\n\
             halo = 2\n[split]\nvalidation = 0.0\n"
        );
        fs::write(folder.path().join("dataset.toml"), text).unwrap();
        let summary = summarise(&open(folder.path()).unwrap()).unwrap();
        assert_eq!((summary.samples["train"], summary.bands[0].count), (2 * 16, 2 * 400), "{layout}");
    }
}

#[test]
fn decoded_samples_are_of_one_halo() {
    let folder = tempfile::tempdir().unwrap();
    scene(folder.path(), [40, 40]);
    let cache = SampleCache { folder: folder.path().join("cache"), bytes: 1 << 30 };
    for halo in [4, 2, 0] {
        describe(folder.path(), &format!("tile = 16\nstride = 8\nhalo = {halo}"), "validation = 0.0");
        let dataset = open(folder.path()).unwrap();
        for origin in [Origin::NewCache, Origin::Cache] {
            let found = source(&dataset, Split::Train, Some(&cache));
            assert_eq!((found.origin(), found.len()), (origin, 16));
            let place = (0..16).find(|at| found.key(*at) == Some("a.tif@8,8")).unwrap();
            let pixels = judged(&found.get(place).unwrap().target, 16, [8, 8]);
            assert_eq!(pixels.len(), (16 - 2 * halo) * (16 - 2 * halo));
        }
    }
}

#[test]
fn decoded_samples_are_not_used_where_something_else_is_hidden_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let cache = SampleCache { folder: folder.path().join("cache"), bytes: 1 << 30 };
    let (size, part) = ([160, 16], [16, 16]);
    scene(folder.path(), size);
    let mut found = 0;
    for (seed, column) in (0..60).flat_map(|seed| (24..128).step_by(8).map(move |column| (seed, column))) {
        // A second scene of a part of the same ground, with labels or without, has no training tile.
        let open_with = |label: f32| {
            write(&folder.path().join("b.tif"), part, column, |x, y| (9999 + x + 40 * y) as f32);
            write(&folder.path().join("n.tif"), part, column, |_, _| label);
            let split = format!("validation = 0.4\ntest = 0.3\nseed = {seed}");
            describe(folder.path(), "tile = 16\nhalo = 4", &split);
            let path = folder.path().join("dataset.toml");
            let text = fs::read_to_string(&path).unwrap();
            let text = text
                .replace("\"a.tif\"", "\"a.tif\", \"b.tif\"")
                .replace("\"m.tif\"", "\"m.tif\", \"n.tif\"");
            fs::write(&path, text).unwrap();
            open(folder.path()).unwrap()
        };
        let read = |dataset: &Arc<Dataset>| {
            let of =
                |sample: Sample| (sample.key, sample.image.into_iter().map(f32::to_bits).collect::<Vec<_>>());
            load(dataset, Split::Train).into_iter().map(of).collect::<Vec<_>>()
        };
        let without = open_with(255.0);
        let [before, after] = [read(&without), read(&open_with(0.0))];
        let names =
            |samples: &[(String, Vec<u32>)]| samples.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
        if names(&before) != names(&after) || before == after {
            continue;
        }
        // Validation tiles give way to the second scene, so that training tiles beside them show more.
        found += 1;
        for (label, wanted) in [(255.0, &before), (0.0, &after)] {
            let source = source(&open_with(label), Split::Train, Some(&cache));
            for (at, (key, bits)) in wanted.iter().enumerate() {
                let packed = source.get(at).unwrap();
                let values: Vec<u32> = packed.values().into_iter().map(f32::to_bits).collect();
                assert_eq!((source.key(at), &values), (Some(key.as_str()), bits), "{seed} {column}");
            }
        }
        if found == 3 {
            return;
        }
    }
    panic!("{found} of 3 cases were found");
}

#[test]
fn scenes_of_one_ground_show_nothing_that_is_held_back_in_another() {
    let folder = tempfile::tempdir().unwrap();
    let size = [64, 40];
    let value = |column: usize, x: usize, y: usize| (1 + y * 200 + column + x) as f32;
    for (name, column) in [("a", 0), ("b", 27)] {
        write(&folder.path().join(format!("{name}.tif")), size, column, |x, y| value(column, x, y));
        write(&folder.path().join(format!("{name}-m.tif")), size, column, |x, y| f32::from(class(x, y)));
    }
    let (mut train, mut left_out) = (0, 0);
    for (seed, windows) in (0..8).flat_map(|seed| ["grid", "random"].map(|windows| (seed, windows))) {
        let layout = format!("tile = 16\nhalo = 4\nwindows = \"{windows}\"");
        describe(folder.path(), &layout, &format!("validation = 0.2\ntest = 0.1\nseed = {seed}"));
        let path = folder.path().join("dataset.toml");
        let text = fs::read_to_string(&path).unwrap();
        let text = text
            .replace("\"a.tif\"", "\"a.tif\", \"b.tif\"")
            .replace("\"m.tif\"", "\"a-m.tif\", \"b-m.tif\"");
        fs::write(&path, text).unwrap();
        let dataset = open(folder.path()).unwrap();
        left_out += dataset.notes().iter().filter(|note| note.contains("tiles were left out")).count();
        // The ground that tiles judge, by the values of their pixels.
        let ground = |part| {
            let of = |sample: &Sample| {
                let judged = judged(&sample.target, 16, [0, 0]);
                judged.into_keys().map(|[x, y]| sample.image[y * 16 + x] as u32).collect::<Vec<_>>()
            };
            load(&dataset, part).iter().flat_map(of).collect::<BTreeSet<u32>>()
        };
        let [validation, test] = [Split::Validation, Split::Test].map(ground);
        let is_apart = |image: &[f32], from: &[&BTreeSet<u32>]| {
            let seen: BTreeSet<u32> = image.iter().filter(|v| v.is_finite()).map(|v| *v as u32).collect();
            from.iter().all(|pixels| pixels.is_disjoint(&seen))
        };
        assert!(load(&dataset, Split::Validation).iter().all(|sample| is_apart(&sample.image, &[&test])));
        let source = source(&dataset, Split::Train, None);
        for (at, epoch) in (0..source.len()).flat_map(|at| (0..4).map(move |epoch| (at, epoch))) {
            train += 1;
            let packed = if windows == "grid" {
                source.get(at)
            } else {
                Ok(source.get_elsewhere(at, epoch).unwrap().0)
            };
            assert!(is_apart(&packed.unwrap().values(), &[&validation, &test]), "{windows} {seed} {at}");
        }
    }
    assert!(train > 200 && left_out > 8, "{train} {left_out}");
}

#[test]
fn a_halo_that_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    scene(folder.path(), [40, 40]);
    let with = |layout: &str| {
        describe(folder.path(), layout, "validation = 0.0");
        open(folder.path()).err()
    };
    let refused = |layout: &str, parts: &[&str]| {
        let said = with(layout).unwrap();
        assert!(
            said.contains("dataset.toml") && parts.iter().all(|part| said.contains(part)),
            "{layout}: {said}"
        );
    };
    assert_eq!(with("tile = 16\nhalo = 7"), None);
    refused(
        "tile = 16\nhalo = 8",
        &["`layout.halo` must be less than half of `tile`, which is 16, found `8`"],
    );
    refused("tile = 16\nhalo = 4294967295", &["`layout.halo`", "found `4294967295`"]);
    refused("tile = 16\nhalo = 4294967296", &["4294967296"]);
    refused("tile = 16\nhalo = -1", &["`-1`"]);
    refused("tile = 16\nhalo = 1.5", &["1.5"]);
    refused("tile = 16\nhalo = \"4\"", &["string"]);
    let stride =
        "`layout.stride` must be between 1 and `tile` without twice `halo`, 8, so that every pixel is judged";
    refused("tile = 16\nhalo = 4\nstride = 9", &[stride, "found `9`"]);
    refused("tile = 16\nhalo = 4\nstride = 0", &[stride, "found `0`"]);
    assert_eq!(with("tile = 16\nhalo = 4\nstride = 8"), None);
    // Tiles that overlap by what they judge cannot be divided by digest, and those that do only by their edges can.
    describe(folder.path(), "tile = 16\nhalo = 4\nstride = 4", "by = \"digest\"\nvalidation = 0.4");
    let said = open(folder.path()).err().unwrap();
    assert!(said.contains("`stride = 4`, `halo = 4`") && said.contains("or `stride = 8`"), "{said}");

    let other = |task: &str, classes: &str, layout: &str| {
        let text = format!("task = \"{task}\"\nbands = [\"red\"]\nclasses = {classes}\n[layout]\n{layout}\n");
        fs::write(folder.path().join("dataset.toml"), text).unwrap();
        open(folder.path()).err().unwrap()
    };
    let classes = "[\"a\", \"b\"]";
    let table = "kind = \"table\"\nfile = \"t.csv\"\nimages = \"i\"\ntarget = \"c\"";
    let said = other("classification", classes, &format!("{table}\ntile = 16\nhalo = 4"));
    let reason = "`layout.halo` must be absent unless the task is of pixels, since one label of a whole tile is that of its edge too";
    assert!(said.contains(reason) && said.contains("found `4`"), "{said}");
    let said = other("segmentation", classes, &format!("{table}\nhalo = 4"));
    assert!(said.contains("`layout.halo` must be absent without `tile`, found `4`"), "{said}");
    let said = other("classification", classes, "kind = \"folders\"\nroot = \".\"\nhalo = 4");
    assert!(said.contains("unknown field `halo`"), "{said}");
}
