//! What GDAL reads, in a build with the feature `gdal`: it agrees with what this crate reads itself, and what could be
//! wrong in silence is refused. `make gdal-test` runs these tests.
#![cfg(feature = "gdal")]
#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod gdal_made;

use std::fs;
use std::path::{Path, PathBuf};

use eosfed_data::{Dataset, ImageFile, Limits, Raster, Reading, Split, formats, read_labels, read_raster};
use gdal::raster::ColorInterpretation;
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

#[test]
fn netcdf_hdf5_and_envi_are_the_geotiff_that_they_were_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let tiff = folder.path().join("scene.tif");
    image(&tiff, "GTiff", &Settings { made: Made::F32, nodata: Some(9.0), ..Settings::default() });
    let own = read(&tiff);
    for (driver, name, options) in
        [("netCDF", "scene.nc", &["FORMAT=NC4", "COMPRESS=DEFLATE"][..]), ("ENVI", "scene.img", &[])]
    {
        if !reads(driver) {
            continue;
        }
        let other = read(&copy(&tiff, driver, name, options));
        same(&own, &other);
        assert_eq!(placed(&own), placed(&other), "{driver}");
        assert!(own.grid().compared(&other.grid()).is_ok(), "{driver}");
    }
}

#[test]
fn a_data_set_of_jpeg_2000_is_that_of_the_geotiffs() {
    if !reads("JP2OpenJPEG") {
        return;
    }
    const CONFIG: &str = "task = \"classification\"\nbands = [\"red\"]\nclasses = [\"a\", \"b\"]\nnodata = 3\n\
                          max_corrupt_share = 0.0\n[layout]\nkind = \"folders\"\nroot = \".\"\n";
    let samples = |jp2: bool| {
        let folder = tempfile::tempdir().unwrap();
        for class in ["a", "b"] {
            fs::create_dir(folder.path().join(class)).unwrap();
            let tiff = folder.path().join(class).join("one.tif");
            image(&tiff, "GTiff", &Settings { made: Made::U16, ..Settings::default() });
            if jp2 {
                copy(&tiff, "JP2OpenJPEG", "one.jp2", &["REVERSIBLE=YES", "QUALITY=100"]);
                fs::remove_file(&tiff).unwrap();
            }
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
    let own = samples(false);
    assert_eq!(own.len(), 2);
    assert!(own[0].iter().any(|bits| f32::from_bits(*bits).is_nan()), "the data set's nodata is there");
    assert_eq!(own, samples(true));
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
        }
    }
}

#[test]
fn what_no_build_reads_is_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let tiff = folder.path().join("scene.tif");
    image(&tiff, "GTiff", &Settings { made: Made::F32, ..Settings::default() });
    if reads("netCDF") {
        let classic = copy(&tiff, "netCDF", "scene.nc", &["FORMAT=NC"]);
        let said = refusal(&classic);
        assert!(said.contains("netCDF classic") && said.contains("gdal_translate"), "{said}");
    }
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
    let place = |name: &str| {
        let [width, height] = SIZE;
        let rect = format!("xOff=\"0\" yOff=\"0\" xSize=\"{width}\" ySize=\"{height}\"");
        format!(
            "<VRTDataset rasterXSize=\"{width}\" rasterYSize=\"{height}\"><VRTRasterBand dataType=\"Float32\" band=\"1\">\
             <SimpleSource><SourceFilename relativeToVRT=\"1\">{name}</SourceFilename><SourceBand>1</SourceBand>\
             <SrcRect {rect} /><DstRect {rect} /></SimpleSource></VRTRasterBand></VRTDataset>"
        )
    };
    fs::write(&vrt, place("NETCDF:\"scene.nc\":Band2")).unwrap();
    let own = read(&tiff);
    // The variable declares a value of missing pixels, and the VRT names none: no pixel here has it.
    assert_eq!(read(&vrt).data, own.band(1));
    for (name, part) in [
        ("NETCDF:\"/etc/passwd\":Band2", "must name files in its folder"),
        ("NETCDF:\"scene.tif\":Band2", "netCDF-4 or HDF5"),
        ("HDF5:scene.nc", "the name of an image"),
    ] {
        fs::write(&vrt, place(name)).unwrap();
        let said = refusal(&vrt);
        assert!(said.contains(part), "{name}: {said}");
    }
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
