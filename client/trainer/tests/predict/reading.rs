//! Scenes are read by the words of `dataset.toml`: bands of cubes are picked, and complex numbers become amplitudes.

use std::fs;
use std::path::Path;

use eosfed_data::{Complex, FileBand, Limits, Raster, Reading, read_raster, write_geotiff};
use eosfed_trainer::ensemble::{PredictOptions, predict_scene};
use tch::Device;

use super::{head, image, whole};

/// The map of a scene with these options.
fn map(folder: &Path, options: PredictOptions) -> Result<Vec<u8>, String> {
    let options = PredictOptions { output: folder.join("map.tif"), preview: None, ..options };
    predict_scene(&options, Device::Cpu, &mut |_, _| ()).map_err(|error| error.to_string())?;
    Ok(fs::read(&options.output).unwrap())
}

/// A raster with bands of another in this order; those of no number are noise.
pub(super) fn with_bands(raster: &Raster, bands: &[Option<usize>]) -> Raster {
    let size = raster.width * raster.height;
    let band = |band: &Option<usize>| match band {
        Some(band) => raster.band(*band).to_vec(),
        None => (0..size).map(|at| (at * 7919 % 1009) as f32).collect(),
    };
    Raster { bands: bands.len(), data: bands.iter().flat_map(band).collect(), ..raster.clone() }
}

/// Replaces the value of a tag of two numbers of 16 bits, or of one of 32.
fn patch(bytes: &mut [u8], tag: u16, (kind, count): (u16, u32), from: u32, to: u32) {
    let entry = |value: u32| {
        let mut entry = [tag.to_ne_bytes(), kind.to_ne_bytes()].concat();
        entry.extend(count.to_ne_bytes());
        entry.extend(value.to_ne_bytes());
        entry
    };
    let at = bytes.windows(12).position(|part| part == entry(from)).unwrap();
    bytes[at..at + 12].copy_from_slice(&entry(to));
}

/// Writes complex numbers whose amplitudes are these values: half of them are real, the others imaginary.
pub(super) fn write_complex(path: &Path, raster: &Raster) {
    // Rows of twice as many floats are rows of complex numbers.
    let parts = raster.data.iter().enumerate();
    let parts = parts.flat_map(|(at, value)| if at % 2 == 0 { [*value, 0.0] } else { [0.0, -value] });
    write_geotiff(path, &Raster { width: 2 * raster.width, data: parts.collect(), ..raster.clone() })
        .unwrap();
    let mut bytes = fs::read(path).unwrap();
    let both = |number: u32| number << 16 | number;
    let width = raster.width as u32;
    patch(&mut bytes, 256, (4, 1), 2 * width, width);
    patch(&mut bytes, 258, (3, 2), both(32), both(64));
    patch(&mut bytes, 339, (3, 2), both(3), both(6));
    fs::write(path, bytes).unwrap();
}

#[test]
fn bands_of_cubes_and_complex_numbers_give_the_same_map() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let head = head(folder);
    image(&folder.join("scene.tif"), 150, 100);
    let plain = map(folder, whole(folder, &head)).unwrap();
    let scene = read_raster(&folder.join("scene.tif"), &Limits::default()).unwrap();

    // `nir` is the fifth band of all, in the second file, and `red` the second one, in the first file.
    write_geotiff(&folder.join("one.tif"), &with_bands(&scene, &[None, Some(1), None])).unwrap();
    write_geotiff(&folder.join("two.tif"), &with_bands(&scene, &[None, Some(0)])).unwrap();
    let two = vec![folder.join("one.tif"), folder.join("two.tif")];
    let plainly = || whole(folder, &head).reading;
    let picked = |bands: &[&str]| {
        let file_bands = bands.iter().map(|band| FileBand::from(*band)).collect();
        let reading = Reading { file_bands, ..plainly() };
        PredictOptions { images: vec![two.clone()], reading, ..whole(folder, &head) }
    };
    assert!(map(folder, picked(&["5", "2"])).unwrap() == plain);
    assert!(map(folder, picked(&["4", "1"])).unwrap() != plain, "noise");
    for (bands, parts) in [
        (&["5"][..], ["as in dataset.toml", "one for each of the 2 `bands`, found `1`"]),
        (&["5", "red"], ["one.tif", "no band has this description"]),
        (&["1", "2"], ["two.tif", "must take a band of each file"]),
        (&[], ["one.tif: the bands nir, red are declared, found `5` bands", "`--file-bands`"]),
    ] {
        let said = map(folder, picked(bands)).unwrap_err();
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }

    let slc = folder.join("slc.tif");
    write_complex(&slc, &scene);
    let radar = |complex, nodata, scale| {
        let reading = Reading { complex, nodata, scale, ..plainly() };
        PredictOptions { images: vec![vec![slc.clone()]], reading, ..whole(folder, &head) }
    };
    assert!(map(folder, radar(Some(Complex::Amplitude), None, 1.0)).unwrap() == plain);
    let said = map(folder, radar(None, None, 1.0)).unwrap_err();
    assert!(said.contains("slc.tif") && said.contains("`predict --complex decibels`"), "{said}");
    let said = map(folder, radar(Some(Complex::Decibels), Some(-9999.0), 1.0)).unwrap_err();
    assert!(said.contains("`nodata` must be 0 or absent beside `complex`, found `-9999`"), "{said}");
    // The same numbers in decibels: 20 times the logarithm.
    let decibels = |value: &f32| (20.0 * f64::from(*value).log10()) as f32;
    let logarithms = Raster { data: scene.data.iter().map(decibels).collect(), ..scene };
    write_geotiff(&folder.join("scene.tif"), &logarithms).unwrap();
    let wanted = map(folder, whole(folder, &head)).unwrap();
    assert!(map(folder, radar(Some(Complex::Decibels), None, 1.0)).unwrap() == wanted && wanted != plain);
}
