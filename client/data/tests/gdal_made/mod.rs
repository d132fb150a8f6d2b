//! Images for tests, written by GDAL.

use std::path::{Path, PathBuf};

use gdal::raster::{Buffer, ColorInterpretation, GdalType, RasterCreationOptions};
use gdal::spatial_ref::SpatialRef;
use gdal::{Dataset, DriverManager};

pub(crate) const SIZE: [usize; 2] = [70, 50];
pub(crate) const CORNER: [f64; 2] = [500_000.0, 4_600_000.0];

/// The numbers of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    U8,
    U16,
    I16,
    I32,
    F32,
    F64,
    /// With one that 32-bit floats do not hold.
    U32Large,
    /// With one beyond the largest 32-bit float.
    F64Large,
}

#[derive(Debug)]
pub(crate) struct Settings {
    pub made: Made,
    pub bands: usize,
    pub nodata: Option<f64>,
    pub scale: Option<[f64; 2]>,
    pub colour: Option<ColorInterpretation>,
    /// Whether the rows go north.
    pub south_up: bool,
    /// Whether it says where it lies.
    pub placed: bool,
    /// Options of GDAL's GeoTIFF driver.
    pub options: &'static [(&'static str, &'static str)],
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            made: Made::U8,
            bands: 1,
            nodata: None,
            scale: None,
            colour: None,
            south_up: false,
            placed: true,
            options: &[],
        }
    }
}

impl Settings {
    /// Every kind that both read.
    pub(crate) fn all() -> Vec<Self> {
        let kinds = [Made::U8, Made::U16, Made::I16, Made::I32, Made::F32, Made::F64];
        let plain = kinds.map(|made| Self { made, bands: 3, ..Self::default() });
        let missing = kinds.map(|made| Self { made, bands: 2, nodata: Some(9.0), ..Self::default() });
        let mut all = Vec::from(plain);
        all.extend(missing);
        all.extend([
            Self { made: Made::F32, nodata: Some(f64::NAN), ..Self::default() },
            Self { south_up: true, ..Self::default() },
            Self { placed: false, ..Self::default() },
            Self {
                options: &[("TILED", "YES"), ("BLOCKXSIZE", "16"), ("BLOCKYSIZE", "32")],
                ..Self::default()
            },
            Self {
                made: Made::U16,
                options: &[("COMPRESS", "DEFLATE"), ("PREDICTOR", "2")],
                ..Self::default()
            },
            Self { made: Made::F32, options: &[("COMPRESS", "LZW"), ("PREDICTOR", "3")], ..Self::default() },
            Self {
                bands: 3,
                options: &[("INTERLEAVE", "BAND"), ("COMPRESS", "PACKBITS")],
                ..Self::default()
            },
            Self { bands: 3, options: &[("COMPRESS", "JPEG"), ("PHOTOMETRIC", "YCBCR")], ..Self::default() },
            Self { bands: 4, options: &[("PHOTOMETRIC", "RGB"), ("ALPHA", "YES")], ..Self::default() },
            Self {
                options: &[("BIGTIFF", "YES"), ("ENDIANNESS", "BIG")],
                made: Made::U16,
                ..Self::default()
            },
            Self { options: &[("SPARSE_OK", "YES")], nodata: Some(9.0), ..Self::default() },
        ]);
        all
    }

    /// How many values are no number.
    pub(crate) fn missing(&self) -> usize {
        match self.nodata {
            None => 0,
            Some(_) if self.made == Made::F32 && self.nodata.is_some_and(f64::is_nan) => 0,
            Some(nodata) => {
                let values = (0..SIZE[0] * SIZE[1] * self.bands).map(|at| value(at, self.bands));
                values.filter(|value| f64::from(*value) == nodata).count()
            }
        }
    }
}

/// Whole numbers from 0 to 250, different in each band.
fn value(at: usize, bands: usize) -> u8 {
    ((at * 7 + at / 251 + at % bands) % 251) as u8
}

pub(crate) fn utm() -> SpatialRef {
    SpatialRef::from_epsg(32633).unwrap()
}

/// Lets the crate prepare the library first: it takes drivers away, which must not be in use.
fn prepare() {
    let _prepared = eosfed_data::formats(&eosfed_data::Limits::default());
}

/// Writes an image.
pub(crate) fn image(path: &Path, driver: &str, settings: &Settings) {
    match settings.made {
        Made::U8 => write(path, driver, settings, |value| value),
        Made::U16 => write(path, driver, settings, u16::from),
        Made::I16 => write(path, driver, settings, i16::from),
        Made::I32 => write(path, driver, settings, i32::from),
        Made::F32 => write(path, driver, settings, f32::from),
        Made::F64 => write(path, driver, settings, f64::from),
        Made::U32Large => write(path, driver, settings, |value| 16_777_217 * u32::from(value == 1)),
        Made::F64Large => write(path, driver, settings, |value| 1e300 * f64::from(u8::from(value == 1))),
    }
}

fn write<T: GdalType + Copy>(path: &Path, driver: &str, settings: &Settings, number: impl Fn(u8) -> T) {
    prepare();
    let driver = DriverManager::get_driver_by_name(driver).unwrap();
    let options: Vec<String> = settings.options.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let options = RasterCreationOptions::from_iter(options.iter().map(String::as_str));
    let [width, height] = SIZE;
    let bands = settings.bands;
    let mut dataset =
        driver.create_with_band_type_with_options::<T, _>(path, width, height, bands, &options).unwrap();
    if settings.placed {
        let down = if settings.south_up { 10.0 } else { -10.0 };
        dataset.set_geo_transform(&[CORNER[0], 10.0, 0.0, CORNER[1], 0.0, down]).unwrap();
        dataset.set_spatial_ref(&utm()).unwrap();
    }
    for band in 0..bands {
        let mut target = dataset.rasterband(band + 1).unwrap();
        target.set_no_data_value(settings.nodata).ok();
        if let Some([scale, offset]) = settings.scale {
            target.set_scale(scale).unwrap();
            target.set_offset(offset).unwrap();
        }
        if settings.colour == Some(ColorInterpretation::PaletteIndex) {
            let mut colours = gdal::raster::ColorTable::new(gdal::raster::PaletteInterpretation::Rgba);
            colours.set_color_entry(250, &gdal::raster::ColorEntry::rgba(1, 2, 3, 255));
            target.set_color_table(&colours);
        }
        let pixels = (0..width * height).map(|at| number(value(band * width * height + at, bands))).collect();
        target.write((0, 0), SIZE.into(), &mut Buffer::new(SIZE.into(), pixels)).unwrap();
    }
    dataset.close().unwrap();
}

/// Copies an image beside it with another driver.
pub(crate) fn copy(from: &Path, driver: &str, name: &str, options: &[&str]) -> PathBuf {
    let path = from.with_file_name(name);
    let driver = DriverManager::get_driver_by_name(driver).unwrap();
    let options = RasterCreationOptions::from_iter(options.iter().copied());
    // A VRT looks at it until it is closed.
    let original = Dataset::open(from).unwrap();
    original.create_copy(&driver, &path, &options).unwrap().close().unwrap();
    original.close().unwrap();
    path
}
