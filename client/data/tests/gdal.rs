//! Files that GDAL's own programs make are read as GDAL reads them, where those programs are there; otherwise the tests
//! report by name that they are skipped.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::path::Path;
use std::process::Command;

use eosfed_data::{
    DataError, Dataset, Limits, MAP_TILE, MapBand, MapKind, MapLayout, Raster, Split, read_labels,
    write_geotiff, write_map,
};

const SIZE: [usize; 2] = [45, 37];
const PIXELS: usize = SIZE[0] * SIZE[1];

fn is_there(test: &str) -> bool {
    let found =
        Command::new("gdal_translate").arg("--version").output().is_ok_and(|done| done.status.success());
    if !found {
        println!("skipped: {test}: no gdal_translate on the path");
    }
    found
}

/// Whether GDAL can write such a file.
fn translate(folder: &Path, options: &str, from: &str, to: &str) -> bool {
    let mut command = Command::new("gdal_translate");
    let words = options.split_whitespace().chain([from, to]);
    command.current_dir(folder).arg("-q").args(words).output().unwrap().status.success()
}

fn read(folder: &Path, name: &str) -> Raster {
    read_labels(&folder.join(name), &Limits::default()).unwrap()
}

/// A virtual raster of one band that a function of GDAL's makes of bands of a file.
fn derived(folder: &Path, name: &str, function: &str, of: &str, bands: usize) {
    let source = |band: usize| {
        format!(
            "<SimpleSource><SourceFilename relativeToVRT=\"1\">{of}</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource>"
        )
    };
    let complex = function == "complex";
    let kind = if complex { "CFloat64" } else { "Float64" };
    let [width, height] = SIZE;
    let text = format!(
        "<VRTDataset rasterXSize=\"{width}\" rasterYSize=\"{height}\"><VRTRasterBand dataType=\"{kind}\" band=\"1\" \
         subClass=\"VRTDerivedRasterBand\"><SourceTransferType>{}</SourceTransferType><PixelFunctionType>{function}\
         </PixelFunctionType>{}</VRTRasterBand></VRTDataset>",
        if complex { "Float64" } else { "CFloat64" },
        (1..=bands).map(source).collect::<String>()
    );
    std::fs::write(folder.join(name), text).unwrap();
}

/// The values of the only image of a data set that says what complex numbers become.
fn as_asked(folder: &Path, name: &str, complex: &str) -> Vec<f32> {
    let data = folder.join("data");
    std::fs::create_dir_all(data.join("a")).unwrap();
    std::fs::create_dir_all(data.join("b")).unwrap();
    std::fs::copy(folder.join(name), data.join("a/x.tif")).unwrap();
    let text = format!(
        "task = \"classification\"\nbands = [\"one\"]\nclasses = [\"a\", \"b\"]\nmax_corrupt_share = 0.0\ncomplex = \
         \"{complex}\"\n[layout]\nkind = \"folders\"\nroot = \".\"\n[split]\nvalidation = 0.0\n"
    );
    std::fs::write(data.join("dataset.toml"), text).unwrap();
    let dataset = Dataset::open(&data, &Limits::default()).unwrap();
    dataset.load(Split::Train, &["one".to_owned()]).unwrap().samples[0].image.clone()
}

fn differ(found: &[f32], wanted: &[f32]) -> usize {
    let alike = |(a, b): (&f32, &f32)| (a.is_nan() && b.is_nan()) || (a - b).abs() <= b.abs() * 1e-6;
    assert_eq!(found.len(), wanted.len());
    found.iter().zip(wanted).filter(|pair| !alike(*pair)).count()
}

#[test]
fn complex_files_of_gdal_have_its_amplitudes_decibels_and_missing_pixels() {
    const PLAIN: &str = "";
    const TURNED: &str = "-co ENDIANNESS=BIG -co COMPRESS=DEFLATE";
    const DIFFERENCES: &str = "-co COMPRESS=LZW -co PREDICTOR=2";
    const TILES: &str = "-co COMPRESS=ZSTD -co TILED=YES -co BLOCKXSIZE=16 -co BLOCKYSIZE=32 -a_nodata -163";
    if !is_there("complex_files_of_gdal_have_its_amplitudes_decibels_and_missing_pixels") {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let part = |at: usize, turn: usize| ((at * 37 + turn * 11) % 401) as f32 - 200.0;
    let data: Vec<f32> = (0..PIXELS).map(|at| part(at, 0)).chain((0..PIXELS).map(|at| part(at, 1))).collect();
    let parts = Raster { width: SIZE[0], height: SIZE[1], bands: 2, data, reference: None };
    write_geotiff(&folder.join("parts.tif"), &parts).unwrap();
    derived(folder, "complex.vrt", "complex", "parts.tif", 2);
    derived(folder, "amplitude.vrt", "mod", "made.tif", 1);
    for (kind, all) in [
        ("CInt16", &[PLAIN, TURNED, DIFFERENCES, TILES][..]),
        ("CInt32", &[TURNED, TILES]),
        ("CFloat32", &[DIFFERENCES, TILES]),
        ("CFloat64", &[TURNED, TILES]),
    ] {
        for options in all {
            assert!(
                translate(folder, &format!("-ot {kind} {options}"), "complex.vrt", "made.tif"),
                "{kind} {options}"
            );
            assert!(translate(folder, "", "amplitude.vrt", "amplitude.tif"));
            assert!(translate(folder, "-b mask -ot Byte", "made.tif", "mask.tif"));
            let mask = read(folder, "mask.tif").data;
            let mut wanted = read(folder, "amplitude.tif").data;
            wanted.iter_mut().zip(&mask).filter(|(_, shown)| **shown == 0.0).for_each(|(v, _)| *v = f32::NAN);
            let missing = wanted.iter().filter(|value| value.is_nan()).count();
            assert_eq!(missing > 0, options.contains("nodata"), "{missing} pixels of {kind} {options}");
            assert_eq!(differ(&as_asked(folder, "made.tif", "amplitude"), &wanted), 0, "{kind} {options}");
            let decibels: Vec<f32> = wanted
                .iter()
                .map(|value| if *value == 0.0 { f32::NAN } else { (20.0 * f64::from(*value).log10()) as f32 })
                .collect();
            let found = as_asked(folder, "made.tif", "decibels");
            let far = found.iter().zip(&decibels).filter(|(a, b)| (*a - *b).abs() > 1e-4).count();
            assert_eq!(
                (far, found.iter().filter(|v| v.is_nan()).count()),
                (0, decibels.iter().filter(|v| v.is_nan()).count())
            );
        }
    }
}

#[test]
fn lossy_webp_of_gdal_has_its_pixels() {
    if !is_there("lossy_webp_of_gdal_has_its_pixels") {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    for bands in [3, 4] {
        let value = |at: usize| (at * at / 7 % 256) as f32 * 0.5 + (at % 97) as f32;
        let data: Vec<f32> = (0..bands * PIXELS).map(value).collect();
        let source = Raster { width: SIZE[0], height: SIZE[1], bands, data, reference: None };
        write_geotiff(&folder.join("source.tif"), &source).unwrap();
        let shape = "-co TILED=YES -co BLOCKXSIZE=32 -co BLOCKYSIZE=16";
        let options = format!("-ot Byte -a_nodata none -co COMPRESS=WEBP -co WEBP_LEVEL=40 {shape}");
        if !translate(folder, &options, "source.tif", "made.tif") {
            println!("skipped: lossy_webp_of_gdal_has_its_pixels: this GDAL has no WebP");
            return;
        }
        assert!(translate(folder, "-co COMPRESS=NONE", "made.tif", "plain.tif"));
        let found = read(folder, "made.tif").data;
        assert!(found != source.data, "it is lossy");
        assert!(found == read(folder, "plain.tif").data, "{bands} bands");
    }
}

/// All pixels of JPEG, in TIFF and alone, are those of GDAL's libjpeg-turbo to one level, and no band's mean is shifted.
#[test]
fn jpeg_files_of_gdal_have_its_pixels() {
    if !is_there("jpeg_files_of_gdal_have_its_pixels") {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let value = |at: usize| ((at % SIZE[0]) * 5 + at / SIZE[0] * 3 + at * at % 23) as f32 % 256.0;
    for bands in [1, 3] {
        let data: Vec<f32> = (0..bands * PIXELS).map(value).collect();
        let source = Raster { width: SIZE[0], height: SIZE[1], bands, data, reference: None };
        write_geotiff(&folder.join("source.tif"), &source).unwrap();
        for (options, name) in [
            ("-co COMPRESS=JPEG -co JPEG_QUALITY=60", "made.tif"),
            ("-co COMPRESS=JPEG -co PHOTOMETRIC=YCBCR", "made.tif"),
            ("-co COMPRESS=JPEG -co TILED=YES -co BLOCKXSIZE=32 -co BLOCKYSIZE=16", "made.tif"),
            ("-of JPEG -co QUALITY=50", "made.jpg"),
            ("-of JPEG -co PROGRESSIVE=ON", "made.jpg"),
        ] {
            if bands == 1 && options.contains("YCBCR") {
                continue;
            }
            let options = format!("-ot Byte -a_nodata none {options}");
            assert!(translate(folder, &options, "source.tif", name), "{options}");
            assert!(translate(folder, "-co COMPRESS=NONE", name, "plain.tif"));
            let [found, wanted] = [read(folder, name), read(folder, "plain.tif")];
            assert_eq!(found.bands, bands, "{options}");
            let off = found.data.iter().zip(&wanted.data).map(|(a, b)| f64::from(a - b));
            let (far, sum) = off.fold((0.0_f64, 0.0), |(far, sum), by| (far.max(by.abs()), sum + by));
            let shift = sum / found.data.len() as f64;
            assert!(far <= 1.0 && shift.abs() < 0.01, "{options}: {far} levels at most, {shift} on average");
        }
    }
}

#[test]
fn ccitt_files_of_gdal_have_its_pixels() {
    if !is_there("ccitt_files_of_gdal_have_its_pixels") {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let blocks = |at: usize| (at % SIZE[0] / 5 + at / SIZE[0] / 3) % 2;
    let noise = |at: usize| at * at * 31 % 7 / 4;
    for (name, black) in
        [("blocks", &blocks as &dyn Fn(usize) -> usize), ("noise", &noise), ("white", &|_| 0)]
    {
        let data: Vec<f32> = (0..PIXELS).map(|at| black(at) as f32).collect();
        let source = Raster { width: SIZE[0], height: SIZE[1], bands: 1, data, reference: None };
        write_geotiff(&folder.join("source.tif"), &source).unwrap();
        for compression in ["CCITTRLE", "CCITTFAX3", "CCITTFAX4"] {
            for shape in ["", "-co BLOCKYSIZE=7", "-co TILED=YES -co BLOCKXSIZE=16 -co BLOCKYSIZE=32"] {
                let options =
                    format!("-ot Byte -a_nodata none -co NBITS=1 -co COMPRESS={compression} {shape}");
                assert!(translate(folder, &options, "source.tif", "made.tif"), "{options}");
                assert!(read(folder, "made.tif").data == source.data, "{name} {options}");
            }
        }
    }
}

/// GDAL takes what a map says of its own order, and reads its pixels and those of its smaller copies.
#[test]
fn maps_are_cloud_optimized_geotiffs_to_gdal() {
    if !is_there("maps_are_cloud_optimized_geotiffs_to_gdal") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let kinds = [
        MapKind::Classes(vec![[255, 0, 0], [0, 0, 255]]),
        MapKind::Values(MapBand::default()),
        MapKind::Percents(["a", "b"].map(str::to_owned).to_vec()),
    ];
    for (bands, kind) in [1, 1, 2].into_iter().zip(kinds) {
        let layout = MapLayout { width: 700, height: 300, kind, reference: None };
        // The lower half is of one class or value.
        let value = |row: usize, at: usize| if row == 1 { 1.0 } else { (at / MAP_TILE % 2) as f32 };
        let tile = |row: usize| -> Vec<f32> {
            (0..bands).flat_map(|_| (0..MAP_TILE * MAP_TILE).map(|at| value(row, at))).collect()
        };
        write_map::<DataError>(&folder.path().join("map.tif"), &layout, |put| {
            (0..6).rev().try_for_each(|at| put(at % 3, at / 3, &tile(at / 3)))
        })
        .unwrap()
        .keep()
        .unwrap();
        let said = Command::new("gdalinfo").current_dir(folder.path()).arg("map.tif").output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(said.contains("LAYOUT=COG") && said.contains("Overviews: 350x150, 175x75"), "{said}");
        assert!(translate(folder.path(), "-co COMPRESS=NONE", "map.tif", "plain.tif"));
        let [ours, gdals] = ["map.tif", "plain.tif"].map(|name| read(folder.path(), name));
        assert!(ours.data == gdals.data && ours.data.len() == bands * 700 * 300);
        assert!(translate(folder.path(), "-ovr 1 -co COMPRESS=NONE", "map.tif", "small.tif"));
        let small = read(folder.path(), "small.tif");
        assert_eq!((small.width, small.height, small.bands), (175, 75, bands));
        assert!(small.data.chunks(175).skip(64).take(11).all(|row| row.iter().all(|value| *value == 1.0)));
    }
}
