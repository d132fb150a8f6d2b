//! What GDAL reads, in a build with the feature `gdal`: it agrees with what this crate reads itself, and what could be
//! wrong in silence is refused. `make gdal-test` runs these tests.
#![cfg(feature = "gdal")]
#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod gdal_made;

use std::fs;
use std::path::{Path, PathBuf};

use eosfed_data::{Dataset, ImageFile, Limits, Raster, Reading, Split, formats, read_labels, read_raster};
use gdal::DriverManager;
use gdal::raster::{Buffer, ColorInterpretation};
use gdal_made::{CORNER, Made, SIZE, Settings, copy, image, utm};

/// Whether the library reads this kind; a line says so where it does not.
fn reads(driver: &str) -> bool {
    let formats = formats(&Limits::default()).gdal;
    let read = formats.iter().filter(|format| format.read);
    let there = read.flat_map(|format| &format.drivers).any(|name| name == driver);
    if !there {
        println!("skipped: GDAL's driver {driver} is not on this machine");
    }
    there
}

fn read(path: &Path) -> Raster {
    read_raster(path, &Limits::default()).unwrap()
}

fn refusal(path: &Path) -> String {
    read_raster(path, &Limits::default()).unwrap_err().to_string()
}

/// Equal values, and NaN in the same places.
fn same(one: &Raster, other: &Raster) {
    assert_eq!([one.width, one.height, one.bands], [other.width, other.height, other.bands]);
    let differ = one.data.iter().zip(&other.data).position(|(a, b)| a.to_bits() != b.to_bits());
    assert_eq!(differ, None, "the first pixel that differs");
}

fn placed(raster: &Raster) -> [f64; 6] {
    raster.reference.as_ref().unwrap().geotransform().unwrap()
}

/// A VRT of a GeoTIFF is the same pixels, read by GDAL's reader of GeoTIFF and by this crate's.
#[test]
fn a_geotiff_that_both_read_has_equal_pixels_nodata_and_georeference() {
    if !reads("VRT") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (number, settings) in Settings::all().into_iter().enumerate() {
        let name = format!("{number}.tif");
        let tiff = folder.path().join(&name);
        image(&tiff, "GTiff", &settings);
        let vrt = copy(&tiff, "VRT", &format!("{number}.vrt"), &[]);
        let (own, gdals) = (read(&tiff), read(&vrt));
        println!("{settings:?}");
        same(&own, &gdals);
        assert_eq!(own.reference, gdals.reference, "{settings:?}");
        assert_eq!(own.data.iter().filter(|value| value.is_nan()).count(), settings.missing());
        let windows = |path: &Path| {
            let mut file = ImageFile::open(path, &Limits::default()).unwrap();
            [[0, 0, 1, 1], [7, 5, 30, 20], [60, 40, 30, 30], [500, 500, 2, 2]]
                .map(|[left, top, width, height]| file.window(left, top, width, height).unwrap())
                .map(|values| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>())
        };
        assert_eq!(windows(&tiff), windows(&vrt), "{settings:?}");
    }
}

#[test]
fn jpeg_2000_without_loss_is_the_geotiff_that_it_was_made_of() {
    if !reads("JP2OpenJPEG") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tiff = folder.path().join("scene.tif");
    for made in [Made::U8, Made::U16, Made::I16] {
        image(&tiff, "GTiff", &Settings { made, bands: 3, ..Settings::default() });
        let options =
            ["REVERSIBLE=YES", "QUALITY=100", "YCBCR420=NO", "YCC=NO", "BLOCKXSIZE=64", "BLOCKYSIZE=64"];
        let jp2 = copy(&tiff, "JP2OpenJPEG", "scene.jp2", &options);
        let (own, gdals) = (read(&tiff), read(&jp2));
        same(&own, &gdals);
        assert_eq!(placed(&own), placed(&gdals));
        assert_eq!(placed(&gdals), [10.0, 0.0, CORNER[0], 0.0, -10.0, CORNER[1]]);
        let grids = [&own, &gdals].map(Raster::grid);
        assert!(grids[0].compared(&grids[1]).is_ok(), "{made:?}");
        fs::remove_file(&jp2).unwrap();
    }
}

/// A SAFE product is folders of JPEG 2000 files, of several sizes of pixels, whose names say tile, date and band. Patterns
/// stack them, and the product's name says its processing baseline.
#[test]
fn products_of_sentinel_2_are_read_by_patterns() {
    if !reads("JP2OpenJPEG") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let product =
        |baseline: &str| format!("S2A_MSIL2A_20220203T101231_{baseline}_R022_T32UQD_20220203T130000.SAFE");
    let safe = folder.path().join(product("N0400"));
    let images = safe.join("GRANULE/L2A_T32UQD_A034/IMG_DATA");
    for (name, side, pixel, number) in [
        ("R10m/T32UQD_20220203T101231_B02_10m", 32, 10.0, 1200),
        ("R10m/T32UQD_20220203T101231_B04_10m", 32, 10.0, 1400),
        ("R10m/T32UQD_20220203T101231_TCI_10m", 32, 10.0, 90),
        ("R20m/T32UQD_20220203T101231_B11_20m", 16, 20.0, 2100),
    ] {
        square(&images.join(format!("{name}.jp2")), side, pixel, number);
    }
    square(&folder.path().join("masks/T32UQD_20220203T101231.tif"), 32, 10.0, 1);
    let head = "task = \"segmentation\"\nclasses = [\"land\", \"water\"]\nmask_values = [0, 1]\nbands = [\"B02\", \"B04\", \"B11\"]\n\
                scale = 0.0001\nbaseline_offset = \"remove\"\nmax_corrupt_share = 0.0\n[split]\nvalidation = 0.0\n";
    let data = "{product}.SAFE/GRANULE/{granule}/IMG_DATA";
    let images = ["R10m/{tile}_{date}_B02_10m", "R10m/{tile}_{date}_B04_10m", "R20m/{tile}_{date}_B11_20m"]
        .map(|file| format!("{data}/{file}.jp2"));
    let layout = format!(
        "[layout]\nkind = \"pattern\"\nmasks = \"masks/{{tile}}_{{date}}.tif\"\nimages = {images:?}\n"
    );
    fs::write(folder.path().join("dataset.toml"), format!("{head}{layout}")).unwrap();
    let dataset = Dataset::open(folder.path(), &Limits::default()).unwrap();
    let loaded = dataset.load(Split::Train, &dataset.config().bands).unwrap();
    let [sample] = &loaded.samples[..] else { panic!("{:?}", loaded.samples.len()) };
    assert_eq!(sample.image.len(), 3 * 32 * 32);
    let bands: Vec<_> = sample.image.chunks(32 * 32).map(|band| (band[0] * 10_000.0).round()).collect();
    assert_eq!(bands, [200.0, 400.0, 1100.0], "1000 less each, and the coarse band on the fine grid");
}

/// A square of one number, with a georeference. JPEG 2000 is written without loss.
fn square(path: &Path, side: usize, pixel: f64, number: u16) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let tiff = path.with_extension("tif");
    let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
    let mut made = driver.create_with_band_type::<u16, _>(&tiff, side, side, 1).unwrap();
    made.set_geo_transform(&[CORNER[0], pixel, 0.0, CORNER[1], 0.0, -pixel]).unwrap();
    made.set_spatial_ref(&utm()).unwrap();
    let mut pixels = Buffer::new((side, side), vec![number; side * side]);
    made.rasterband(1).unwrap().write((0, 0), (side, side), &mut pixels).unwrap();
    made.close().unwrap();
    if path != tiff {
        let name = path.file_name().unwrap().to_str().unwrap();
        copy(&tiff, "JP2OpenJPEG", name, &["REVERSIBLE=YES", "QUALITY=100"]);
        fs::remove_file(tiff).unwrap();
    }
}

#[test]
fn netcdf_zarr_and_envi_are_the_geotiff_that_they_were_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let tiff = folder.path().join("scene.tif");
    image(&tiff, "GTiff", &Settings { made: Made::F32, nodata: Some(9.0), ..Settings::default() });
    let own = read(&tiff);
    assert!(own.data.iter().any(|value| value.is_nan()));
    for (driver, name, options) in [
        ("netCDF", "scene.nc", &["FORMAT=NC4", "COMPRESS=DEFLATE"][..]),
        ("netCDF", "classic.nc", &["FORMAT=NC"]),
        ("netCDF", "offsets.nc", &["FORMAT=NC2"]),
        ("Zarr", "scene.zarr", &[]),
        ("Zarr", "chunks.zarr", &["COMPRESS=ZLIB", "BLOCKSIZE=16,32"]),
        ("Zarr", "folders.zarr", &["BLOCKSIZE=16,32", "DIM_SEPARATOR=/"]),
        ("ENVI", "scene.img", &[]),
    ] {
        if !reads(driver) {
            continue;
        }
        println!("{name}");
        let other = read(&copy(&tiff, driver, name, options));
        same(&own, &other);
        assert_eq!(placed(&own), placed(&other), "{driver}");
        assert!(own.grid().compared(&other.grid()).is_ok(), "{driver}");
    }
}

/// What GDAL may read wrongly of HDF4 is refused: signed bytes, bands along a guessed dimension, a scale that is applied.
#[test]
fn hdf4_is_the_geotiff_that_it_was_made_of_or_refused() {
    if !reads("HDF4Image") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tiff = folder.path().join("scene.tif");
    for made in [Made::U16, Made::I16, Made::I32, Made::F32] {
        image(&tiff, "GTiff", &Settings { made, ..Settings::default() });
        let (own, other) = (read(&tiff), read(&copy(&tiff, "HDF4Image", "scene.hdf", &["RANK=2"])));
        same(&own, &other);
        assert_eq!(placed(&own), placed(&other), "{made:?}");
        assert!(own.grid().compared(&other.grid()).is_ok(), "{made:?}");
    }
    image(&tiff, "GTiff", &Settings::default());
    let said = refusal(&copy(&tiff, "HDF4Image", "bytes.hdf", &["RANK=2"]));
    assert!(said.contains("bytes.hdf") && said.contains("whether they are signed"), "{said}");
    image(&tiff, "GTiff", &Settings { made: Made::U16, bands: 3, ..Settings::default() });
    let said = refusal(&copy(&tiff, "HDF4Image", "bands.hdf", &["RANK=3"]));
    assert!(said.contains("must have one band, found `3`"), "{said}");
}

/// A chunk that is not there is missing pixels or an error, and never other numbers.
#[test]
fn a_zarr_folder_has_all_its_chunks_and_no_links() {
    if !reads("Zarr") || !reads("VRT") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tiff = folder.path().join("scene.tif");
    let zarr = |name: &str, nodata| {
        image(&tiff, "GTiff", &Settings { made: Made::U16, nodata, ..Settings::default() });
        copy(&tiff, "Zarr", name, &["BLOCKSIZE=16,32"])
    };
    let marked = zarr("marked.zarr", Some(9.0));
    let own = read(&tiff);
    fs::remove_file(marked.join("marked/1.1")).unwrap();
    let found = read(&marked);
    for (at, (own, found)) in own.data.iter().zip(&found.data).enumerate() {
        let [column, row] = [at % SIZE[0], at / SIZE[0]];
        let lost = (32..64).contains(&column) && (16..32).contains(&row);
        assert!(if lost { found.is_nan() } else { own.to_bits() == found.to_bits() }, "{column}, {row}");
    }
    let plain = zarr("plain.zarr", None);
    let chunk = plain.join("plain/1.1");
    let bytes = fs::read(&chunk).unwrap();
    fs::write(&chunk, &bytes[..bytes.len() - 2]).unwrap();
    assert!(refusal(&plain).contains("plain.zarr"), "{}", refusal(&plain));
    fs::remove_file(&chunk).unwrap();
    let said = refusal(&plain);
    assert!(said.contains("plain.zarr") && said.contains("its chunk `1.1` is not there"), "{said}");
    let outside = folder.path().join("outside");
    fs::write(&outside, &bytes).unwrap();
    std::os::unix::fs::symlink(&outside, &chunk).unwrap();
    assert!(refusal(&plain).contains("found a link"), "{}", refusal(&plain));
    fs::remove_file(&chunk).unwrap();
    fs::write(&chunk, &bytes).unwrap();
    same(&read(&tiff), &read(&plain));
    // Metadata that says other things than the arrays do.
    let consolidated = plain.join(".zmetadata");
    let text = fs::read_to_string(&consolidated).unwrap();
    fs::write(&consolidated, text.replace("\"<u2\"", "\"<i2\"")).unwrap();
    assert!(refusal(&plain).contains("`.zmetadata`"), "{}", refusal(&plain));
    // Of several, a VRT beside it names one.
    image(&tiff, "GTiff", &Settings { made: Made::U16, bands: 2, ..Settings::default() });
    let both = copy(&tiff, "Zarr", "both.zarr", &[]);
    let said = refusal(&both);
    assert!(said.contains("found `4`") && said.contains(":/Band2") && said.contains("-of VRT"), "{said}");
    let vrt = folder.path().join("two.vrt");
    let name = |array: &str| format!("ZARR:\"{}\":{array}", both.canonicalize().unwrap().display());
    fs::write(&vrt, placed_by_vrt(&name("/Band2"), false, "UInt16", "")).unwrap();
    assert_eq!(read(&vrt).data, read(&tiff).band(1));
    fs::remove_file(both.join("Band1/0.0")).unwrap();
    assert!(refusal(&vrt).contains("`0.0` is not there"), "{}", refusal(&vrt));
}

#[test]
fn data_sets_of_jpeg_2000_and_of_zarr_are_those_of_the_geotiffs() {
    let made_by = |driver| if reads(driver) { Some(driver) } else { None };
    const CONFIG: &str = "task = \"classification\"\nbands = [\"red\"]\nclasses = [\"a\", \"b\"]\nnodata = 3\n\
                          max_corrupt_share = 0.0\n[layout]\nkind = \"folders\"\nroot = \".\"\n";
    let samples = |other: Option<&str>| {
        let folder = tempfile::tempdir().unwrap();
        for class in ["a", "b"] {
            fs::create_dir(folder.path().join(class)).unwrap();
            let tiff = folder.path().join(class).join("one.tif");
            image(&tiff, "GTiff", &Settings { made: Made::U16, ..Settings::default() });
            match other {
                Some("Zarr") => drop(copy(&tiff, "Zarr", "one.zarr", &["BLOCKSIZE=16,32"])),
                Some(driver) => drop(copy(&tiff, driver, "one.jp2", &["REVERSIBLE=YES", "QUALITY=100"])),
                None => continue,
            }
            fs::remove_file(&tiff).unwrap();
        }
        fs::write(folder.path().join("dataset.toml"), CONFIG).unwrap();
        let dataset = Dataset::open(folder.path(), &Limits::default()).unwrap();
        let parts = [Split::Train, Split::Validation, Split::Test];
        let parts = parts.into_iter().filter(|part| !dataset.is_empty(*part));
        let mut values = Vec::new();
        for part in parts {
            for sample in dataset.load(part, &["red".to_owned()]).unwrap().samples {
                values.push(sample.image.iter().map(|value| value.to_bits()).collect::<Vec<_>>());
            }
        }
        values
    };
    let own = samples(None);
    assert_eq!(own.len(), 2);
    assert!(own[0].iter().any(|bits| f32::from_bits(*bits).is_nan()), "the data set's nodata is there");
    for driver in ["JP2OpenJPEG", "Zarr"].into_iter().filter_map(made_by) {
        assert_eq!(own, samples(Some(driver)), "{driver}");
    }
}

#[test]
fn a_file_that_was_cut_short_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tiff = folder.path().join("scene.tif");
    image(&tiff, "GTiff", &Settings { made: Made::U16, ..Settings::default() });
    for (driver, name, options) in [
        (
            "JP2OpenJPEG",
            "scene.jp2",
            &["REVERSIBLE=YES", "QUALITY=100", "BLOCKXSIZE=64", "BLOCKYSIZE=64"][..],
        ),
        ("netCDF", "scene.nc", &["FORMAT=NC4"]),
        ("netCDF", "classic.nc", &["FORMAT=NC"]),
        ("netCDF", "offsets.nc", &["FORMAT=NC2"]),
        ("HDF4Image", "scene.hdf", &["RANK=2"]),
        ("ENVI", "scene.img", &[]),
    ] {
        if !reads(driver) {
            continue;
        }
        let whole = copy(&tiff, driver, name, options);
        let bytes = fs::read(&whole).unwrap();
        for part in [0.3, 0.6, 0.9, 0.999] {
            fs::write(&whole, &bytes[..(bytes.len() as f64 * part) as usize]).unwrap();
            let said = refusal(&whole);
            assert!(said.contains(name), "{said}");
            // The library need not notice, or not for these reasons.
            let own = part > 0.5 && ["classic.nc", "offsets.nc", "scene.hdf", "scene.img"].contains(&name);
            assert!(!own || said.contains("it is cut short"), "{said}");
        }
    }
}

#[test]
fn what_no_build_reads_is_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let tiff = folder.path().join("scene.tif");
    image(&tiff, "GTiff", &Settings { made: Made::F32, ..Settings::default() });
    let product = folder.path().join("S2B_MSIL1C.SAFE");
    fs::create_dir(&product).unwrap();
    let said = refusal(&product);
    assert!(said.contains("Sentinel-2 SAFE") && said.contains("gdalbuildvrt -separate"), "{said}");
    // A GeoTIFF that this crate refuses is not given to GDAL, which would read it.
    let bytes = fs::read(&tiff).unwrap();
    fs::write(&tiff, &bytes[..bytes.len() - 8]).unwrap();
    assert!(!refusal(&tiff).contains("GDAL says"));
}

#[test]
fn of_several_images_in_a_file_a_vrt_names_one() {
    if !reads("netCDF") || !reads("VRT") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tiff = folder.path().join("scene.tif");
    image(&tiff, "GTiff", &Settings { made: Made::F32, bands: 2, ..Settings::default() });
    let both = copy(&tiff, "netCDF", "scene.nc", &["FORMAT=NC4"]);
    let said = refusal(&both);
    assert!(said.contains("found `2`") && said.contains("Band2") && said.contains("-of VRT"), "{said}");
    let vrt = folder.path().join("two.vrt");
    let place =
        |name: &str| placed_by_vrt(name, true, "Float32", "<NoDataValue>9.969209968386869e+36</NoDataValue>");
    for options in [["FORMAT=NC4"], ["FORMAT=NC"]] {
        copy(&tiff, "netCDF", "scene.nc", &options);
        fs::write(&vrt, place("NETCDF:\"scene.nc\":Band2")).unwrap();
        assert_eq!(read(&vrt).data, read(&tiff).band(1));
        // The variable declares a value of missing pixels.
        fs::write(&vrt, placed_by_vrt("NETCDF:\"scene.nc\":Band2", true, "Float32", "")).unwrap();
        assert!(refusal(&vrt).contains("marks missing pixels, and the VRT does not"), "{}", refusal(&vrt));
    }
    let classic = fs::read(&both).unwrap();
    fs::write(&both, &classic[..classic.len() - 40]).unwrap();
    fs::write(&vrt, place("NETCDF:\"scene.nc\":Band2")).unwrap();
    assert!(refusal(&vrt).contains("it is cut short"), "{}", refusal(&vrt));
    for (name, part) in [
        ("NETCDF:\"/etc/passwd\":Band2", "must name files in its folder"),
        ("NETCDF:\"scene.tif\":Band2", "netCDF, HDF4, HDF5 or Zarr"),
        ("HDF5:scene.nc", "the name of an image"),
        ("NETCDF:\"scene.nc\":a\"b", "must name files in its folder"),
        ("ZARR:\"scene.nc\":Band2", "netCDF, HDF4, HDF5 or Zarr"),
        ("HDF4_SDS:UNKNOWN:\"../scene.hdf\":0", "scene.hdf"),
    ] {
        fs::write(&vrt, place(name)).unwrap();
        let said = refusal(&vrt);
        assert!(said.contains(part), "{name}: {said}");
    }
}

/// Whole, and as the image of a VRT.
#[test]
fn hdf5_that_names_other_files_is_refused_before_gdal_opens_it() {
    if !reads("HDF5Image") || !reads("VRT") {
        return;
    }
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/hdf5");
    let folder = tempfile::tempdir().unwrap();
    let vrt = folder.path().join("one.vrt");
    for (name, image, part) in [
        ("old-link.h5", "//group/elsewhere", "into another file, `other.h5`"),
        ("new-storage.h5", "//group/pixels", "external storage"),
        ("old-virtual.h5", "//group/pixels", "put together from others"),
    ] {
        for ending in ["h5", "nc"] {
            let path = folder.path().join(name).with_extension(ending);
            fs::copy(goldens.join(name), &path).unwrap();
            let said = refusal(&path);
            assert!(said.contains(part) && !said.contains("GDAL says"), "{name}: {said}");
        }
        fs::write(&vrt, placed_by_vrt(&format!("HDF5:\"{name}\":{image}"), true, "Float32", "")).unwrap();
        let said = refusal(&vrt);
        assert!(said.contains("it names a file that is not read") && said.contains(part), "{name}: {said}");
    }
    // One of them that names none goes on to the library, which finds two images.
    fs::copy(goldens.join("new-own.h5"), folder.path().join("own.h5")).unwrap();
    let said = refusal(&folder.path().join("own.h5"));
    assert!(said.contains("found `2`") && said.contains("//group/hard"), "{said}");
}

/// A VRT of one band that is a whole image of this name.
fn placed_by_vrt(name: &str, relative: bool, numbers: &str, nodata: &str) -> String {
    let [width, height] = SIZE;
    let relative = u8::from(relative);
    let rect = format!("xOff=\"0\" yOff=\"0\" xSize=\"{width}\" ySize=\"{height}\"");
    format!(
        "<VRTDataset rasterXSize=\"{width}\" rasterYSize=\"{height}\"><VRTRasterBand dataType=\"{numbers}\" band=\"1\">\
         {nodata}<SimpleSource><SourceFilename relativeToVRT=\"{relative}\">{name}</SourceFilename>\
         <SourceBand>1</SourceBand><SrcRect {rect} /><DstRect {rect} /></SimpleSource></VRTRasterBand></VRTDataset>"
    )
}

/// A VRT can name any file and address, compute, and resample.
#[test]
fn a_vrt_names_files_in_its_folder_and_places_whole_pixels() {
    if !reads("VRT") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let tiff = inner.join("scene.tif");
    image(&tiff, "GTiff", &Settings::default());
    fs::copy(&tiff, folder.path().join("outside.tif")).unwrap();
    let vrt = copy(&tiff, "VRT", "scene.vrt", &[]);
    let text = fs::read_to_string(&vrt).unwrap().replace(" shared=\"0\"", "");
    same(&read(&tiff), &read(&vrt));
    let sized = format!("<DstRect xOff=\"0\" yOff=\"0\" xSize=\"{}\" ySize=\"{}\"", SIZE[0], SIZE[1]);
    assert!(text.contains(&sized), "{text}");
    std::os::unix::fs::symlink(folder.path().join("outside.tif"), inner.join("link.tif")).unwrap();
    let absolute = folder.path().join("outside.tif");
    let absolute = format!("relativeToVRT=\"0\">{}", absolute.display());
    let long = format!("relativeToVRT=\"1\">{}", "x".repeat(5000));
    const NAME: &str = "relativeToVRT=\"1\">scene.tif";
    for (from, to, part) in [
        (NAME, "relativeToVRT=\"1\">../outside.tif", "must name files in its folder"),
        (NAME, "relativeToVRT=\"1\">link.tif", "must name files in its folder"),
        (NAME, absolute.as_str(), "must name files in its folder"),
        (NAME, "relativeToVRT=\"0\">scene.tif", "relative to itself"),
        (NAME, "relativeToVRT=\"0\">/vsicurl/http://127.0.0.1:1/a.tif", "relative to itself"),
        (NAME, "relativeToVRT=\"0\">http://127.0.0.1:1/a.tif", "relative to itself"),
        (NAME, "relativeToVRT=\"1\">", "relative to itself"),
        (NAME, "relativeToVRT=\"1\">none.tif", "none.tif"),
        (NAME, long.as_str(), "relative to itself"),
        (NAME, "relativeToVRT=\"1\">scene.vrt", "must not name another one"),
        (sized.as_str(), "<DstRect xOff=\"0\" yOff=\"0\" xSize=\"20\" ySize=\"10\"", "at their own size"),
        (sized.as_str(), "<DstRect xOff=\"nan\" yOff=\"0\" xSize=\"70\" ySize=\"50\"", "must be a number"),
        ("<VRTRasterBand ", "<VRTRasterBand subClass=\"VRTDerivedRasterBand\" ", "VRTDerivedRasterBand"),
        ("<VRTRasterBand ", "<VRTRasterBand subClass=\"VRTRawRasterBand\" ", "VRTRawRasterBand"),
        ("<VRTDataset ", "<VRTDataset subClass=\"VRTWarpedDataset\" ", "VRTWarpedDataset"),
        ("<VRTRasterBand ", "<VRTRasterBand SUBCLASS=\"VRTRawRasterBand\" ", "SUBCLASS"),
        ("<VRTRasterBand ", "<VRTRasterBand SourceFilename=\"/etc/passwd\" ", "/etc/passwd"),
        ("<SimpleSource>", "<SimpleSource resampling=\"cubic\">", "resampling"),
        ("<SourceFilename", "<sourcefilename", "must be XML"),
        (NAME, "relativeToVRT=\"1\">scene.tif<!-- -->x", "relative to itself"),
        (NAME, "relativeToVRT=\"1\"> scene.tif", "relative to itself"),
        ("<SourceBand>", "<OpenOptions/><SourceBand>", "OpenOptions"),
        ("<SourceBand>", "<PixelFunctionCode/><SourceBand>", "PixelFunctionCode"),
        ("<VRTDataset ", "<!DOCTYPE a [<!ENTITY b \"c\">]><VRTDataset ", "must be XML"),
        ("</VRTDataset>", "", "must be XML"),
    ] {
        fs::write(&vrt, text.replace(from, to)).unwrap();
        let said = refusal(&vrt);
        assert!(said.contains(part), "{to}: {said}");
    }
    // What the file that it names states must not be lost.
    fs::write(&vrt, &text).unwrap();
    image(&tiff, "GTiff", &Settings { nodata: Some(9.0), ..Settings::default() });
    assert!(refusal(&vrt).contains("marks missing pixels, and the VRT does not"));
    image(&tiff, "GTiff", &Settings { scale: Some([0.5, 1.0]), ..Settings::default() });
    assert!(refusal(&vrt).contains("states a scale"));
    fs::remove_file(&tiff).unwrap();
    assert!(refusal(&vrt).contains("scene.tif"));
}

#[test]
fn what_the_mask_of_a_vrt_hides_is_missing() {
    if !reads("VRT") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [tiff, mask] = ["scene.tif", "mask.tif"].map(|name| folder.path().join(name));
    image(&tiff, "GTiff", &Settings { made: Made::U16, ..Settings::default() });
    image(&mask, "GTiff", &Settings::default());
    let plain = placed_by_vrt("scene.tif", true, "UInt16", "");
    let of_mask = placed_by_vrt("mask.tif", true, "Byte", "").replace(" band=\"1\"", "");
    let band = &of_mask[of_mask.find("<VRTRasterBand").unwrap()..of_mask.find("</VRTDataset>").unwrap()];
    let vrt = folder.path().join("masked.vrt");
    fs::write(&vrt, plain.replace("</VRTDataset>", &format!("<MaskBand>{band}</MaskBand></VRTDataset>")))
        .unwrap();
    let (own, shown, found) = (read(&tiff), read(&mask), read(&vrt));
    assert!(shown.data.contains(&0.0));
    for ((own, shown), found) in own.data.iter().zip(&shown.data).zip(&found.data) {
        assert!(if *shown == 0.0 { found.is_nan() } else { own == found }, "{own} {shown} {found}");
    }
}

/// What is decided about the numbers of a GeoTIFF is decided about these too.
#[test]
fn numbers_that_may_be_wrong_are_refused_as_in_a_geotiff() {
    let folder = tempfile::tempdir().unwrap();
    let tiff = folder.path().join("scene.tif");
    if reads("ENVI") {
        image(&tiff, "GTiff", &Settings { made: Made::U32Large, ..Settings::default() });
        let envi = copy(&tiff, "ENVI", "large.img", &[]);
        for path in [&tiff, &envi] {
            let said = refusal(path);
            assert!(said.contains("32-bit floats hold exactly") && said.contains("16777217"), "{said}");
        }
        image(&tiff, "GTiff", &Settings { made: Made::F64Large, ..Settings::default() });
        let envi = copy(&tiff, "ENVI", "wide.img", &[]);
        assert!(refusal(&envi).contains("1e300"), "{}", refusal(&envi));
    }
    if reads("netCDF") {
        image(&tiff, "GTiff", &Settings { made: Made::I16, scale: Some([0.5, 1.0]), ..Settings::default() });
        let scaled = copy(&tiff, "netCDF", "scaled.nc", &["FORMAT=NC4"]);
        let said = refusal(&scaled);
        assert!(
            said.contains("a scale of `0.5` and an offset of `1`") && said.contains("file_scaling"),
            "{said}"
        );
        let mut reading = Reading::stored(vec!["red".to_owned()]);
        reading.file_scaling = Some(eosfed_data::FileScaling::Apply);
        let values = |path: &PathBuf| {
            let mut file = reading.open(path, &Limits::default()).unwrap();
            file.window(0, 0, SIZE[0], SIZE[1]).unwrap()
        };
        assert_eq!(values(&tiff), values(&scaled));
    }
    if reads("JP2OpenJPEG") {
        image(
            &tiff,
            "GTiff",
            &Settings { colour: Some(ColorInterpretation::PaletteIndex), ..Settings::default() },
        );
        let vrt = copy(&tiff, "VRT", "palette.vrt", &[]);
        for path in [&tiff, &vrt] {
            assert!(refusal(path).contains("palette"), "{}", refusal(path));
            assert_eq!(read_labels(path, &Limits::default()).unwrap().bands, 1);
        }
    }
}

#[test]
fn what_lies_beside_a_file_and_its_limits_count() {
    if !reads("JP2OpenJPEG") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tiff = folder.path().join("scene.tif");
    image(&tiff, "GTiff", &Settings::default());
    let jp2 = copy(&tiff, "JP2OpenJPEG", "scene.jp2", &["REVERSIBLE=YES", "QUALITY=100"]);
    let small = Limits { side: 69, ..Limits::default() };
    assert!(read_raster(&jp2, &small).unwrap_err().to_string().contains("`70x50`"));
    let few = Limits { bytes: 100, ..Limits::default() };
    assert!(read_raster(&jp2, &few).unwrap_err().to_string().contains("may take 100 bytes"));
    let beside = folder.path().join("scene.jp2.aux.xml");
    let stated =
        "<PAMDataset><PAMRasterBand band=\"1\"><NoDataValue>7</NoDataValue></PAMRasterBand></PAMDataset>";
    fs::write(&beside, stated).unwrap();
    assert!(refusal(&jp2).contains("NoDataValue"), "{}", refusal(&jp2));
    fs::remove_file(&beside).unwrap();
    // Another place beside it does not count.
    fs::write(folder.path().join("scene.j2w"), "1\n0\n0\n-1\n0\n0\n").unwrap();
    assert_eq!(placed(&read(&jp2))[2], CORNER[0]);
    assert_eq!(utm().auth_code().unwrap(), 32633);
}
