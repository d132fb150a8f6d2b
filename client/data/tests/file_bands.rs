//! Some of the bands of files are taken: imaging spectrometers have more than a model can have.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::io::Write as _;

use common::{SIZE, Tiff, Value};
use eosfed_data::{
    DataError, Dataset, FileBand, ImageFile, Limits, Reading, Sample, Split, choose_bands, propose,
};
use tiff::tags::Tag;

const BANDS: usize = 242;
const PIXELS: usize = SIZE[0] * SIZE[1];
const GDAL_METADATA: Tag = Tag::Unknown(42112);

fn value(at: usize, band: usize) -> u16 {
    (band * 100 + at % 97) as u16
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The middle of a band in nanometres: 420 to 2456, as of an imaging spectrometer.
fn middle(band: usize) -> f64 {
    420.0 + 8.45 * band as f64
}

/// A cube whose bands say their wavelengths, with these bands in this order.
fn cube(bands: &[usize], planar: bool) -> Tiff {
    let count = bands.len();
    let bytes = |at: usize, band: usize| value(at, band).to_le_bytes();
    let file = Tiff::new(Vec::new())
        .tag(Tag::SamplesPerPixel, &[count as u32])
        .tag(Tag::BitsPerSample, &vec![16; count])
        .tag(Tag::Compression, &[8]);
    let items: String = bands
        .iter()
        .enumerate()
        .map(|(at, band)| {
            format!(
                "<Item name=\"DESCRIPTION\" sample=\"{at}\" role=\"description\">channel {band}</Item>\
                 <Item name=\"wavelength\" sample=\"{at}\">{}</Item>\
                 <Item name=\"wavelength_units\" sample=\"{at}\">Nanometers</Item>",
                middle(*band)
            )
        })
        .collect();
    let file = file.value(GDAL_METADATA, Value::Text(format!("<GDALMetadata>{items}</GDALMetadata>")));
    if planar {
        let plane = |band: &usize| deflate(&(0..PIXELS).flat_map(|at| bytes(at, *band)).collect::<Vec<_>>());
        let planes = bands.iter().map(|band| Some(plane(band))).collect();
        return file.tag(Tag::PlanarConfiguration, &[2]).strips(SIZE[1] as u32, planes);
    }
    let pixels = (0..PIXELS).flat_map(|at| bands.iter().map(move |band| (at, *band)));
    let all: Vec<u8> = pixels.flat_map(|(at, band)| bytes(at, band)).collect();
    file.strips(SIZE[1] as u32, vec![Some(deflate(&all))])
}

fn all() -> Vec<usize> {
    (0..BANDS).collect()
}

struct Case(tempfile::TempDir);

impl Case {
    fn new(files: &[(&str, Tiff)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, file) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            file.write(&path);
        }
        std::fs::create_dir_all(folder.path().join("b")).unwrap();
        Self(folder)
    }

    fn open(&self, bands: &str, chosen: &str, layout: &str, limits: &Limits) -> Result<Dataset, DataError> {
        let text = format!(
            "task = \"classification\"\nbands = {bands}\nfile_bands = {chosen}\nclasses = [\"a\", \"b\"]\n\
             max_corrupt_share = 0.0\n[layout]\n{layout}\n[split]\nvalidation = 0.0\n"
        );
        std::fs::write(self.0.path().join("dataset.toml"), text).unwrap();
        Dataset::open(self.0.path(), limits)
    }

    fn samples(&self, bands: &str, chosen: &str, limits: &Limits) -> Result<Vec<Sample>, DataError> {
        let dataset = self.open(bands, chosen, "kind = \"folders\"\nroot = \".\"", limits)?;
        let names = dataset.config().bands.clone();
        Ok(dataset.load(Split::Train, &names)?.samples)
    }
}

const THREE: &str = "[\"red\", \"nir\", \"swir16\"]";

/// The values of these bands of the cube.
fn wanted(bands: &[usize]) -> Vec<f32> {
    bands.iter().flat_map(|band| (0..PIXELS).map(|at| value(at, *band).into())).collect()
}

#[test]
fn bands_are_taken_by_number_description_and_wavelength_of_interleaved_and_planar_files() {
    for planar in [false, true] {
        // The second file has half of the bands, the last one first.
        let half: Vec<usize> = (0..BANDS).rev().filter(|band| band % 2 == 1).collect();
        let case = Case::new(&[("a/1.tif", cube(&all(), planar)), ("a/2.tif", cube(&half, planar))]);
        let limits = Limits::default();
        // 665 nm is nearest to band 29 (of 665.05), 842 nm to 50 and 49 (842.5 and 834.05).
        let samples = case.samples(THREE, "[\"665 nm\", \"0.8345 um\", \"channel 141\"]", &limits).unwrap();
        for sample in &samples {
            assert_eq!(sample.image, wanted(&[29, 49, 141]), "{}, planar {planar}", sample.key);
        }
        let samples = case.samples(THREE, "[10, 2, 1]", &limits).unwrap();
        assert_eq!(samples[0].image, wanted(&[9, 1, 0]), "planar {planar}");
        assert_eq!(samples[1].image, wanted(&[half[9], half[1], half[0]]), "planar {planar}");
    }
}

/// Of a planar file no other band is decoded, and the limit of an image counts the bands that are taken.
#[test]
fn memory_is_that_of_the_bands_that_are_taken() {
    let case = Case::new(&[("a/1.tif", cube(&all(), true))]);
    let limits = Limits { bytes: (3 * PIXELS * 4) as u64, ..Limits::default() };
    // The tables of 242 strips count too, so that the limit is that of three bands and no less than those.
    let limits = Limits { bytes: limits.bytes.max(BANDS as u64 * 16), ..limits };
    assert!(limits.bytes < (BANDS * PIXELS * 4) as u64 / 10);
    assert_eq!(case.samples(THREE, "[30, 2, 1]", &limits).unwrap()[0].image, wanted(&[29, 1, 0]));
    // A damaged band that is not taken does not matter.
    let path = case.0.path().join("a/1.tif");
    let mut bytes = std::fs::read(&path).unwrap();
    let first = 8;
    bytes[first..first + 20].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(case.samples(THREE, "[30, 2, 3]", &limits).unwrap()[0].image, wanted(&[29, 1, 2]));
    let said = case.samples(THREE, "[30, 2, 1]", &limits).unwrap_err().to_string();
    assert!(said.contains("strip 0"), "{said}");
}

#[test]
fn windows_of_scenes_have_the_same_bands_and_numbers_count_through_stacked_files() {
    let case = Case::new(&[
        ("one/x.tif", cube(&[0, 1, 2, 3], false)),
        ("two/x.tif", cube(&[10, 11], true)),
        ("masks/x.tif", Tiff::new(vec![1; PIXELS])),
    ]);
    let layout = "kind = \"pairs\"\nimages = [\"one\", \"two\"]\nmasks = \"masks\"";
    for (tile, side) in [("", SIZE), ("\ntile = 8", [8, 8])] {
        let text = format!(
            "task = \"segmentation\"\nbands = {THREE}\nfile_bands = [6, \"channel 2\", 5]\nclasses = [\"a\", \"b\"]\n\
             [layout]\n{layout}{tile}\n[split]\nvalidation = 0.0\n"
        );
        std::fs::write(case.0.path().join("dataset.toml"), text).unwrap();
        let dataset = Dataset::open(case.0.path(), &Limits::default()).unwrap();
        let names = dataset.config().bands.clone();
        let loaded = dataset.load(Split::Train, &names).unwrap();
        let image = &loaded.samples.last().unwrap().image;
        let left = if tile.is_empty() { 0 } else { 8 };
        for (at, band) in [11, 2, 10].into_iter().enumerate() {
            let found = image[at * side[0] * side[1] + side[0] + 1];
            assert_eq!(
                found,
                f32::from(value(SIZE[0] + left + 1, band)),
                "band {at} of {}",
                loaded.samples.len()
            );
        }
    }
    // A file of which nothing is taken need not be there.
    let text = format!(
        "task = \"segmentation\"\nbands = [\"red\"]\nfile_bands = [6]\nclasses = [\"a\", \"b\"]\n[layout]\n{layout}\n[split]\nvalidation = 0.0\n"
    );
    std::fs::write(case.0.path().join("dataset.toml"), text).unwrap();
    let dataset = Dataset::open(case.0.path(), &Limits::default()).unwrap();
    let said = dataset.load(Split::Train, &["red".to_owned()]).unwrap_err().to_string();
    assert!(said.contains("one/x.tif") && said.contains("a band of each file"), "{said}");
}

#[test]
fn what_cannot_be_taken_is_refused_with_what_there_is() {
    let case = Case::new(&[("a/1.tif", cube(&all(), false))]);
    let said =
        |bands: &str, chosen: &str| case.samples(bands, chosen, &Limits::default()).unwrap_err().to_string();
    assert!(said(THREE, "[1, 2]").contains("`file_bands` must be one for each of the 3 `bands`, found `2`"));
    assert!(said(THREE, "[1, 2, 2]").contains("`file_bands` must be without repetition, found `2`"));
    assert!(said("[\"red\"]", "[-1]").contains("file_bands"));
    for (chosen, words) in [
        ("[243]", "there are 242 bands"),
        ("[\"3000 nm\"]", "is of 2456.45 nm, more than 10 nm away"),
        ("[\"red edge\"]", "there are `channel 0`, `channel 1`"),
    ] {
        let said = said("[\"red\"]", chosen);
        assert!(said.contains("a/1.tif") && said.contains(words), "{said}");
    }
    let dataset =
        case.open("[\"red\"]", "[]", "kind = \"folders\"\nroot = \".\"", &Limits::default()).unwrap();
    let said = dataset.load(Split::Train, &["red".to_owned()]).unwrap_err().to_string();
    assert!(said.contains("declares 1 band, found `242`") && said.contains("`file_bands`"), "{said}");
}

#[test]
fn data_init_proposes_some_bands_of_many() {
    for (bands, written) in [
        (all(), "file_bands = [\"490 nm\", \"560 nm\", \"665 nm\", \"842 nm\", \"1610 nm\", \"2200 nm\"]"),
        ((0..70).collect(), "file_bands = [\"490 nm\", \"560 nm\", \"665 nm\", \"842 nm\"]"),
    ] {
        let case = Case::new(&[("a/1.tif", cube(&bands, true)), ("b/2.tif", cube(&bands, true))]);
        let proposal = propose(case.0.path(), &Limits::default()).unwrap();
        assert!(proposal.text.contains(written), "{}", proposal.text);
        assert!(
            proposal.questions.iter().any(|text| text.contains(&format!("of the {} bands", bands.len())))
        );
        std::fs::write(case.0.path().join("dataset.toml"), &proposal.text).unwrap();
        let dataset = Dataset::open(case.0.path(), &Limits::default()).unwrap();
        let part = if dataset.is_empty(Split::Train) { Split::Validation } else { Split::Train };
        let names = dataset.config().bands.clone();
        let sample = &dataset.load(part, &names).unwrap().samples[0];
        assert_eq!(sample.image[0], f32::from(value(0, 8)), "490 nm is nearest to band 8 of 487.6");
    }
}

/// As `predict` does, which has no dataset.toml.
#[test]
fn bands_of_files_that_no_data_set_describes_are_chosen_by_the_same_words() {
    let case = Case::new(&[("one.tif", cube(&[7, 30, 100], false)), ("two.tif", cube(&[5, 200], true))]);
    let open = |name: &str| ImageFile::open(&case.0.path().join(name), &Limits::default()).unwrap();
    let chosen = |wanted: &[FileBand]| {
        let mut files = [open("one.tif"), open("two.tif")];
        let places = choose_bands(wanted, &mut files)?;
        let mut first = Vec::new();
        for file in &mut files {
            let [width, height] = SIZE;
            first.extend(file.window(0, 0, width, height)?.chunks(PIXELS).map(|band| band[1]));
        }
        Ok::<_, DataError>(places.into_iter().map(|place| first[place]).collect::<Vec<_>>())
    };
    let text = |text: &str| FileBand::from(text);
    let near = format!("{} nm", middle(30) + 3.0);
    // The second band of the second file, the third and the second one of the first file.
    let found = chosen(&[text("5"), text("channel 100"), text(&near)]).unwrap();
    assert_eq!(found, [200, 100, 30].map(|band| f32::from(value(1, band))));
    for (wanted, parts) in [
        (vec![text("6"), text("1")], ["one.tif", "there are 5 bands"]),
        (vec![text("1"), text("2")], ["two.tif", "must take a band of each file"]),
        (vec![text("1"), text("channel 7"), text("4")], ["one.tif", "which are both its band 1"]),
    ] {
        let said = chosen(&wanted).unwrap_err().to_string();
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
    let bands = ["a", "b", "c"].map(str::to_owned).to_vec();
    let file_bands = vec![text("2"), text("2")];
    let broken = Reading { file_bands, nodata: Some(7.0), ..Reading::stored(bands) }.broken_rules();
    let rules = ["`file_bands` must be one for each of the 3 `bands`, found `2`", "without repetition"];
    assert!(
        broken.len() == 2 && rules.iter().zip(&broken).all(|(rule, said)| said.contains(rule)),
        "{broken:?}"
    );
}
