//! A file that GDAL reads, with the rules by which this crate reads a GeoTIFF.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use gdal::raster::{ColorInterpretation, RasterBand};
use gdal::{Dataset, DatasetOptions, GdalOpenFlags, Metadata as _};

use super::kinds::{FileKind, GdalKind};
use super::library::{call, call_for_pixels, prepare};
use super::numbers::{BandNumbers, read};
use super::vrt::Source;
use super::{guard, reference, vrt};
use crate::bandcheck::Scaling;
use crate::error::DataError;
use crate::georeference::GeoReference;
use crate::geotiff::{
    BandName, Baseline, Complex, FileScaling, GREY, GeoTiff, INDICES, Metadata, Nodata, Numbers, REWRITE,
    Refused, Role, Rows, check_beside, hide, unheld,
};
use crate::raster::Limits;

/// An opened file.
pub(crate) struct GdalFile {
    /// One thread at a time may use it.
    dataset: Mutex<Dataset>,
    path: PathBuf,
    size: [usize; 2],
    /// Width and height of what is decoded together.
    block: [usize; 2],
    bands: Vec<Band>,
    /// The value of missing pixels that a catalogue states, where the file has none.
    stated_nodata: Option<Nodata>,
    reference: Option<GeoReference>,
    /// What is applied to each band; nothing if it is empty.
    scaling: Vec<Scaling>,
    baseline: Option<Baseline>,
    names: Vec<BandName>,
    numbers: Numbers,
}

/// A band that is read.
#[derive(Debug, Clone, Copy)]
struct Band {
    /// Its place in the file, from 1.
    number: usize,
    numbers: BandNumbers,
    nodata: Option<Nodata>,
    /// Whether it has a mask that is neither its nodata nor another of the bands.
    masked: bool,
}

impl GdalFile {
    /// Opens a file of a kind.
    ///
    /// # Errors
    /// If this build does not read the kind, if the file cannot be read, is damaged or exceeds the limits, or if it is
    /// unclear what its numbers mean.
    pub(crate) fn open(
        kind: GdalKind,
        role: Role,
        path: &Path,
        limits: &Limits,
        numbers: Numbers,
    ) -> Result<Self, DataError> {
        let fail = |reason: String| DataError::file(path, reason);
        kind.check_read(path)?;
        check_beside(path)?;
        let place = guard::place(path)?;
        guard::check(kind, &place)?;
        let marked = match kind {
            GdalKind::Vrt => {
                vrt::check(&place, |kind, source| marks_missing(kind, role, source, limits, &numbers))?
            }
            _ => None,
        };
        let file = Self::named(kind, role, &place, path, limits, numbers)?;
        let unmarked =
            !file.bands.iter().any(|band| band.masked) && file.bands.iter().any(|band| band.nodata.is_none());
        if let Some(marked) = marked.filter(|_| unmarked) {
            return Err(fail(format!(
                "`{}` marks missing pixels, and the VRT does not; write it anew with `gdalbuildvrt`",
                marked.display()
            )));
        }
        if kind == GdalKind::Envi {
            file.check_length(&place).map_err(fail)?;
        }
        Ok(file)
    }

    /// Opens what has this name for the library. Sentences call it `path`.
    fn named(
        kind: GdalKind,
        role: Role,
        name: &Path,
        path: &Path,
        limits: &Limits,
        numbers: Numbers,
    ) -> Result<Self, DataError> {
        let fail = |reason: String| DataError::file(path, reason);
        let refuse = |refused: Refused| DataError::file(path, refused.about(path));
        prepare().map_err(fail)?;
        let dataset = open(kind, name).map_err(fail)?;
        let count = dataset.raster_count();
        if count == 0 {
            return Err(fail(several(&dataset)));
        }
        let (width, height) = dataset.raster_size();
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        limits.check_shape(path, narrow(width), narrow(height), narrow(count))?;
        let mut bands = Vec::with_capacity(count);
        let mut metadata = Metadata { baseline: baseline(&dataset, path), ..Metadata::default() };
        let mut block = [1, 1];
        for number in 1..=count {
            let band = call(|| dataset.rasterband(number)).map_err(fail)?;
            let (across, down) = band.block_size();
            block = [block[0].max(across), block[1].max(down)];
            bands.push(Band::of(number, &band, role).map_err(refuse)?);
            metadata.scaling.push(scaling(&band).map_err(fail)?);
            metadata.names.push(band_name(&band, &dataset));
        }
        let together = if kind == GdalKind::Jpeg2000 { narrow(count) } else { 1 };
        let bytes = bands.iter().map(|band| band.numbers.kind().bytes().max(4)).max().unwrap_or(4);
        limits.check_chunk(path, block.map(narrow), together, bytes as u64)?;
        if kind == GdalKind::Hdf4 {
            check_hdf4(&bands, &metadata.scaling, numbers.file_scaling).map_err(refuse)?;
        }
        let masked = bands.iter().any(|band| band.masked);
        if masked && bands.iter().any(|band| band.nodata.is_some()) {
            let reason = "its bands must have a mask or a value of missing pixels, found both, and it is unclear which of them \
                          counts";
            return Err(fail(reason.to_owned()));
        }
        metadata.drop_unsaid();
        let scaling = numbers.scaling_of_file(&metadata, count, path)?;
        let stated_nodata = stated_nodata(&numbers, &bands, masked).map_err(fail)?;
        let reference = reference::of(&dataset, path)?;
        Ok(Self {
            dataset: Mutex::new(dataset),
            path: path.to_owned(),
            size: [width, height],
            block,
            bands,
            stated_nodata,
            reference,
            scaling,
            baseline: metadata.baseline,
            names: metadata.names,
            numbers,
        })
    }

    /// Refuses an ENVI file that ends before its last pixel, of which the library reads zeros.
    fn check_length(&self, place: &Path) -> Result<(), String> {
        let dataset = self.dataset.lock().unwrap_or_else(PoisonError::into_inner);
        let item = |key: &str| dataset.metadata_item(key, "ENVI").unwrap_or_default();
        let compressed = item("file_compression");
        if !matches!(compressed.trim(), "" | "0") {
            return Err(format!(
                "an ENVI file must not be compressed, found file compression `{}`",
                compressed.escape_debug()
            ));
        }
        let offset = item("header_offset");
        let offset: u64 = match offset.trim() {
            "" => 0,
            text => text.parse().map_err(|_| {
                format!("header offset must be a whole number, found `{}`", offset.escape_debug())
            })?,
        };
        let pixel: usize = self.bands.iter().map(|band| band.numbers.kind().bytes()).sum();
        let needed = offset.saturating_add((self.size[0] as u64) * (self.size[1] as u64) * pixel as u64);
        let found = place.metadata().map_err(|error| error.to_string())?.len();
        if found < needed {
            return Err(format!(
                "by its header it must have {needed} bytes, found `{found}`; it is cut short"
            ));
        }
        Ok(())
    }

    pub(crate) const fn width(&self) -> usize {
        self.size[0]
    }

    pub(crate) const fn height(&self) -> usize {
        self.size[1]
    }

    pub(crate) fn bands(&self) -> usize {
        self.bands.len()
    }

    pub(crate) fn names(&self) -> &[BandName] {
        &self.names
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn reference(&self) -> Option<&GeoReference> {
        self.reference.as_ref()
    }

    pub(crate) const fn baseline(&self) -> Option<Baseline> {
        self.baseline
    }

    /// Reads these of its bands only, in this order; they must be there.
    pub(crate) fn choose(&mut self, bands: &[usize]) {
        if !self.scaling.is_empty() {
            self.scaling = bands.iter().map(|band| self.scaling[*band]).collect();
        }
        self.bands = bands.iter().map(|band| self.bands[*band]).collect();
    }

    /// Whether it says of pixels that they have no data.
    fn marks_missing(&self) -> bool {
        self.bands.iter().any(|band| band.masked || band.nodata.is_some())
    }

    /// Whether every pixel has data in every band by what the file says of itself.
    pub(crate) fn is_complete(&self) -> bool {
        let floats = self.bands.iter().any(|band| band.numbers.kind().is_float());
        let stated = self.stated_nodata.is_some() || self.numbers.nodata.is_some();
        !floats && !stated && !self.marks_missing()
    }

    /// Width and height in pixels of what is decoded together.
    pub(crate) const fn chunk(&self) -> [usize; 2] {
        self.block
    }

    /// The values inside a window, in the order band, row, column. Pixels outside the file, pixels with its value of
    /// missing data and pixels that its mask hides are NaN.
    ///
    /// # Errors
    /// If the file is damaged there, or has numbers that 32-bit floats cannot hold.
    pub(crate) fn window(
        &mut self,
        left: usize,
        top: usize,
        width: usize,
        height: usize,
    ) -> Result<Vec<f32>, DataError> {
        let mut data = vec![f32::NAN; self.bands.len() * width * height];
        let right = left.saturating_add(width).min(self.size[0]);
        let bottom = top.saturating_add(height).min(self.size[1]);
        if left < right && top < bottom {
            let dataset = self.dataset.get_mut().unwrap_or_else(PoisonError::into_inner);
            let size = [right - left, bottom - top];
            for (band, target) in self.bands.iter().zip(data.chunks_exact_mut(width * height)) {
                let mut rows = Rows {
                    samples: 1,
                    bands: &[0],
                    stride: size[0],
                    from: [0, 0],
                    size,
                    target,
                    start: 0,
                    target_stride: width,
                    target_band: width * height,
                };
                band.copy(dataset, &self.path, self.stated_nodata, [left, top], &mut rows)?;
            }
        }
        self.numbers.finish(&mut data, width * height, &self.scaling);
        Ok(data)
    }
}

impl Band {
    fn of(number: usize, band: &RasterBand<'_>, role: Role) -> Result<Self, Refused> {
        let numbers = BandNumbers::of(band).map_err(|found| {
            let sentence = format!("band {number} must have integers or floats, found {found}");
            Refused::new(sentence, "-ot Float32")
        })?;
        check_colours(number, &band.color_interpretation(), role)?;
        let nodata = numbers.nodata(band).map_err(|found| {
            let sentence = format!("the nodata of band {number} must be one number, found `{found}`");
            Refused::new(sentence, "-a_nodata VALUE")
        })?;
        let flags = band.mask_flags().map_err(|error| Refused::new(error.to_string(), REWRITE))?;
        // Opacity is a band like any other, as in a GeoTIFF.
        let own = flags.is_per_dataset() || !(flags.is_all_valid() || flags.is_nodata());
        Ok(Self { number, numbers, nodata, masked: own && !flags.is_alpha() })
    }

    /// Copies a part of the band, and marks the pixels without data.
    fn copy(
        &self,
        dataset: &Dataset,
        path: &Path,
        stated: Option<Nodata>,
        from: [usize; 2],
        rows: &mut Rows<'_>,
    ) -> Result<(), DataError> {
        let size = rows.size;
        let damaged = |reason: String| {
            let what = format!("band {}, {}x{} pixels at {from:?}", self.number, size[0], size[1]);
            DataError::file(path, format!("{what}: {reason}"))
        };
        let values = call_for_pixels(|| self.numbers.read(&dataset.rasterband(self.number)?, from, size));
        let values = values.map_err(damaged)?;
        let copied = values.floats(self.nodata.or(stated), Complex::Amplitude, rows);
        copied.map_err(|value| DataError::file(path, unheld(&value).about(path)))?;
        if self.masked {
            let mask = call_for_pixels(|| {
                read::<u8>(&dataset.rasterband(self.number)?.open_mask_band()?, from, size)
            });
            let stride = rows.target_stride;
            let mask = mask.map_err(damaged)?;
            mask.chunks_exact(size[0])
                .zip(rows.target.chunks_mut(stride))
                .for_each(|(row, target)| hide(target, row));
        }
        Ok(())
    }
}

/// Whether a file that a VRT names says of pixels that they have no data. It must be one that is read, without a scale. What is
/// stated of one of several images in a file, the VRT states again.
fn marks_missing(
    kind: FileKind,
    role: Role,
    source: &Source,
    limits: &Limits,
    of_vrt: &Numbers,
) -> Result<bool, DataError> {
    match (kind, source) {
        (FileKind::Gdal(kind), Source::Inside { place, name, .. }) => {
            let applied = kind == GdalKind::Hdf4 && of_vrt.file_scaling == Some(FileScaling::Apply);
            let file_scaling = Some(if applied { FileScaling::Apply } else { FileScaling::Ignore });
            let numbers = Numbers { file_scaling, ..Numbers::default() };
            Ok(GdalFile::named(kind, role, Path::new(name), place, limits, numbers)?.marks_missing())
        }
        (FileKind::Gdal(kind), Source::Whole(place)) => {
            Ok(GdalFile::open(kind, role, place, limits, Numbers::default())?.marks_missing())
        }
        (_, source) => {
            Ok(GeoTiff::open_as(role, source.place(), limits, Numbers::default())?.marks_missing())
        }
    }
}

/// Refuses what the library may read wrongly of HDF4: it takes signed bytes for unsigned ones, guesses which of three
/// dimensions is that of the bands, and multiplies by a scale by which some producers divide.
fn check_hdf4(bands: &[Band], scaling: &[Scaling], applied: Option<FileScaling>) -> Result<(), Refused> {
    let refuse = |sentence: &str, options| Err(Refused::new(sentence.to_owned(), options));
    if bands.len() > 1 {
        let found = bands.len();
        let sentence = format!(
            "an image of HDF4 must have one band, found `{found}`: which dimension they lie along is a guess"
        );
        return refuse(&sentence, "-b 1");
    }
    if bands.iter().any(|band| matches!(band.numbers, BandNumbers::U8 | BandNumbers::SignedByte)) {
        let sentence = "an image of HDF4 must have numbers of 16 bits or more, found bytes, of which GDAL does not say whether \
                        they are signed (`ncdump -h` or `hdp dumpsds -h` says it; for unsigned ones, the command)";
        return refuse(sentence, REWRITE);
    }
    if applied == Some(FileScaling::Apply) && scaling.iter().any(|scaling| *scaling != Scaling::default()) {
        let sentence = "the scale of HDF4 must not be applied, since some producers multiply by it and others divide; write \
                        `file_scaling = \"ignore\"` for the stored numbers, or scale them into a GeoTIFF";
        return refuse(sentence, REWRITE);
    }
    Ok(())
}

fn open(kind: GdalKind, place: &Path) -> Result<Dataset, String> {
    let options: &[&str] = match kind {
        // The stored numbers, and not those of a picture.
        GdalKind::Jpeg2000 => &["1BIT_ALPHA_PROMOTION=NO"],
        _ => &[],
    };
    let options = DatasetOptions {
        open_flags: GdalOpenFlags::GDAL_OF_RASTER | GdalOpenFlags::GDAL_OF_VERBOSE_ERROR,
        allowed_drivers: Some(kind.fact().drivers),
        open_options: Some(options),
        sibling_files: None,
    };
    call(|| Dataset::open_ex(place, options))
}

/// Refuses a file of several images, or of none.
fn several(dataset: &Dataset) -> String {
    const SHOWN: usize = 20;
    let items = dataset.metadata_domain("SUBDATASETS").unwrap_or_default();
    let names: Vec<&str> = items
        .iter()
        .filter_map(|item| {
            item.split_once('=').filter(|(key, _)| key.ends_with("_NAME")).map(|(_, name)| name)
        })
        .collect();
    let Some(first) = names.first() else { return "must have an image, found none".to_owned() };
    let mut listed: String =
        names.iter().take(SHOWN).map(|name| format!("\n  - {}", name.escape_debug())).collect();
    if names.len() > SHOWN {
        listed.push_str(&format!("\n  - and {} more", names.len() - SHOWN));
    }
    format!(
        "must have one image, found `{}`; write a VRT of one into its folder, `gdal_translate -of VRT '{}' one.vrt`:{listed}",
        names.len(),
        first.escape_debug()
    )
}

/// Refuses indices where colours are needed, and colours other than red, green and blue.
fn check_colours(number: usize, found: &ColorInterpretation, role: Role) -> Result<(), Refused> {
    use ColorInterpretation as Is;
    let (found, options) = match found {
        Is::PaletteIndex if role == Role::Image => ("indices of a palette", INDICES),
        Is::HueBand | Is::SaturationBand | Is::LightnessBand => ("hue, saturation or lightness", GREY),
        Is::CyanBand | Is::MagentaBand | Is::YellowBand | Is::BlackBand => ("CMYK", GREY),
        Is::YCbCrSpaceYBand | Is::YCbCrSpaceCbBand | Is::YCbCrSpaceCrBand => ("YCbCr", GREY),
        _ => return Ok(()),
    };
    let sentence = format!(
        "band {number} must be numbers, red, green, blue or opacity, or indices of a palette in a mask or map of classes, \
         found {found}; the command gives the stored numbers"
    );
    Err(Refused::new(sentence, options))
}

fn baseline(dataset: &Dataset, path: &Path) -> Option<Baseline> {
    let item = dataset.metadata_item("PROCESSING_BASELINE", "");
    item.and_then(|text| Baseline::of_text(&text)).or_else(|| Baseline::of_name(path))
}

fn scaling(band: &RasterBand<'_>) -> Result<Scaling, String> {
    let unchanged = Scaling::default();
    let found = Scaling {
        scale: band.scale().unwrap_or(unchanged.scale),
        offset: band.offset().unwrap_or(unchanged.offset),
    };
    if found.scale.is_finite() && found.offset.is_finite() {
        return Ok(found);
    }
    Err(format!(
        "it must state scales and offsets that are numbers, found `{}` and `{}`",
        found.scale, found.offset
    ))
}

fn band_name(band: &RasterBand<'_>, dataset: &Dataset) -> BandName {
    let description = band.description().ok().filter(|text| !text.is_empty());
    let item = |key: &str| band.metadata_item(key, "");
    let central = band.metadata_item("CENTRAL_WAVELENGTH_UM", "IMAGERY");
    let unit = item("wavelength_units").or_else(|| dataset.metadata_item("wavelength_units", ""));
    BandName::of_words(
        description.as_deref(),
        central.as_deref(),
        item("wavelength").as_deref(),
        unit.as_deref(),
    )
}

/// What a catalogue says of missing pixels.
fn stated_nodata(numbers: &Numbers, bands: &[Band], masked: bool) -> Result<Option<Nodata>, String> {
    let Some(stated) = &numbers.stated else { return Ok(None) };
    let own = bands[0].nodata;
    if bands.iter().any(|band| band.nodata != own) {
        return Err(format!(
            "its bands have different values of missing pixels, and {} states one; make one of them",
            stated.place
        ));
    }
    stated.nodata(own, masked, bands.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_hdf4_bytes_bands_and_a_scale_that_is_applied_are_refused() {
        let band = |numbers| Band { number: 1, numbers, nodata: None, masked: false };
        let plain = [band(BandNumbers::I16)];
        let scaled = [Scaling { scale: 10_000.0, offset: 0.0 }];
        let said = |bands: &[Band], scaling: &[Scaling], applied| {
            let refused = check_hdf4(bands, scaling, applied);
            refused.map_or_else(|refused| refused.about(Path::new("a.hdf")), |()| String::new())
        };
        assert_eq!(said(&plain, &scaled, Some(FileScaling::Ignore)), "");
        assert_eq!(said(&plain, &[Scaling::default()], Some(FileScaling::Apply)), "");
        assert!(said(&plain, &scaled, Some(FileScaling::Apply)).contains("others divide"));
        assert!(said(&[band(BandNumbers::U8)], &[], None).contains("whether they are signed"));
        assert!(said(&[plain[0]; 2], &[], None).contains("must have one band, found `2`"));
    }
}
