//! Complex numbers are read as what a data set asks for, and refused where it does not ask.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::io::Write as _;
use std::path::Path;

use common::{Folder, SIZE, Tiff};
use eosfed_data::{
    Complex, DataError, Dataset, GeoTiff, Limits, Reading, Split, propose, read_labels, read_raster,
};
use tiff::tags::Tag;

const PIXELS: usize = SIZE[0] * SIZE[1];

/// Both parts of a pixel of a band. The first three pixels are 3+4i, 0 and 0+7i.
fn number(at: usize, band: usize) -> [i32; 2] {
    match at {
        0 => [3, 4],
        1 => [0, 0],
        2 => [0, 7],
        _ => [(at * 7 + band * 100) as i32 % 501 - 250, -((at * 5) as i32 % 301)],
    }
}

/// The stored bytes of both parts.
type Store = fn([i32; 2]) -> Vec<u8>;

const STORED: [(u32, u32, Store); 4] = [
    (5, 32, |parts| parts.into_iter().flat_map(|part| (part as i16).to_le_bytes()).collect()),
    (5, 64, |parts| parts.into_iter().flat_map(i32::to_le_bytes).collect()),
    (6, 64, |parts| parts.into_iter().flat_map(|part| (part as f32).to_le_bytes()).collect()),
    (6, 128, |parts| parts.into_iter().flat_map(|part| f64::from(part).to_le_bytes()).collect()),
];

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Two bands, interleaved or planar.
fn image((format, bits, store): (u32, u32, Store), planar: bool) -> Tiff {
    let file = Tiff::new(Vec::new())
        .tag(Tag::SamplesPerPixel, &[2])
        .tag(Tag::BitsPerSample, &[bits; 2])
        .tag(Tag::SampleFormat, &[format; 2])
        .tag(Tag::Compression, &[8]);
    let rows = SIZE[1] as u32;
    let plane =
        |band: usize| deflate(&(0..PIXELS).flat_map(|at| store(number(at, band))).collect::<Vec<_>>());
    if planar {
        return file.tag(Tag::PlanarConfiguration, &[2]).strips(rows, vec![Some(plane(0)), Some(plane(1))]);
    }
    let pixels = (0..PIXELS).flat_map(|at| [number(at, 0), number(at, 1)]);
    file.strips(rows, vec![Some(deflate(&pixels.flat_map(store).collect::<Vec<_>>()))])
}

/// A data set of one image that says these lines, with all values of its bands one after the other.
fn loaded(file: &Tiff, lines: &str) -> Result<Vec<f32>, DataError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("a")).unwrap();
    std::fs::create_dir(folder.path().join("b")).unwrap();
    file.write(&folder.path().join("a/case.tif"));
    let text = format!(
        "task = \"classification\"\nbands = [\"one\", \"two\"]\nclasses = [\"a\", \"b\"]\nmax_corrupt_share = 0.0\n{lines}\n\
         [layout]\nkind = \"folders\"\nroot = \".\"\n[split]\nvalidation = 0.0\n"
    );
    std::fs::write(folder.path().join("dataset.toml"), text).unwrap();
    let dataset = Dataset::open(folder.path(), &Limits::default())?;
    let loaded = dataset.load(Split::Train, &["one".to_owned(), "two".to_owned()])?;
    Ok(loaded.samples[0].image.clone())
}

fn expected(of: impl Fn([f64; 2]) -> f64) -> Vec<f32> {
    let band = |band: usize| (0..PIXELS).map(move |at| number(at, band).map(f64::from));
    band(0).chain(band(1)).map(|parts| of(parts) as f32).collect()
}

fn amplitude([real, imaginary]: [f64; 2]) -> f64 {
    (real * real + imaginary * imaginary).sqrt()
}

fn alike(found: &[f32], wanted: &[f32]) -> bool {
    let near = |(a, b): (&f32, &f32)| (a.is_nan() && b.is_nan()) || (a - b).abs() <= b.abs() * 1e-6;
    found.len() == wanted.len() && found.iter().zip(wanted).all(near)
}

#[test]
fn every_kind_becomes_amplitudes_or_decibels() {
    for stored in STORED {
        for planar in [false, true] {
            let file = image(stored, planar);
            let found = loaded(&file, "complex = \"amplitude\"").unwrap();
            assert!(alike(&found, &expected(amplitude)), "{} of {} bits", stored.0, stored.1);
            assert_eq!(found[..3], [5.0, 0.0, 7.0]);
            // A pixel that is missing in one band counts in none; pixel 1 is 0 in both.
            let found = loaded(&file, "complex = \"decibels\"").unwrap();
            let wanted = expected(|parts| match amplitude(parts) {
                0.0 => f64::NAN,
                found => 20.0 * found.log10(),
            });
            assert!(alike(&found, &wanted) && found[1].is_nan(), "{} of {} bits", stored.0, stored.1);
        }
    }
}

#[test]
fn scale_and_offset_are_applied_to_the_result() {
    let scaled =
        loaded(&image(STORED[0], false), "complex = \"amplitude\"\nscale = 2.0\noffset = -1.0").unwrap();
    assert_eq!(scaled[..3], [9.0, -1.0, 13.0]);
    let metadata = |file: Tiff| {
        let item = |band: usize| format!("<Item name=\"SCALE\" sample=\"{band}\" role=\"scale\">2</Item>");
        let text = format!("<GDALMetadata>{}{}</GDALMetadata>", item(0), item(1));
        file.value(Tag::Unknown(42112), common::Value::Text(text))
    };
    let file = metadata(image(STORED[2], true));
    for lines in ["complex = \"amplitude\"\nfile_scaling = \"apply\"", "complex = \"amplitude\"\nscale = 2.0"]
    {
        // A factor of complex numbers is one of amplitudes, but an offset is not: neither is guessed.
        let said = loaded(&file, lines).err().map(|error| error.to_string());
        assert_eq!(said.is_some(), lines.contains("apply"), "{said:?}");
        assert!(said.is_none_or(|said| said.contains("file_scaling = \"ignore\"")));
    }
}

/// As GDAL does, the real part is compared with the file's value before anything is converted.
#[test]
fn missing_pixels_are_known_by_the_real_part_before_the_conversion() {
    for stored in STORED {
        let marked = image(stored, false).text_nodata("3");
        for complex in ["amplitude", "decibels"] {
            let found = loaded(&marked, &format!("complex = \"{complex}\"")).unwrap();
            assert!(found[0].is_nan() && found[PIXELS].is_nan(), "3+4i is missing");
            assert!(found[2].is_finite(), "0+7i is not");
        }
        let zero = loaded(&image(stored, false).text_nodata("0"), "complex = \"amplitude\"").unwrap();
        assert!(zero[1].is_nan() && zero[2].is_nan(), "0+7i has the real part of the marker");
        // 5 is an amplitude there, and not a real part.
        let five = loaded(&image(stored, false).text_nodata("5"), "complex = \"amplitude\"").unwrap();
        assert_eq!(five[0], 5.0);
        let own = loaded(&image(stored, false), "complex = \"amplitude\"\nnodata = 0").unwrap();
        assert!(own[1].is_nan() && own[2] == 7.0, "the data set's marker is an amplitude of 0");
        let decibels = loaded(&image(stored, false), "complex = \"decibels\"\nnodata = 0").unwrap();
        assert!(decibels[1].is_nan() && decibels[2].is_finite());
    }
    let said =
        loaded(&image(STORED[0], false), "complex = \"decibels\"\nnodata = -9999").unwrap_err().to_string();
    assert!(said.contains("`nodata` must be 0 or absent beside `complex`"), "{said}");
}

#[test]
fn without_a_word_they_are_refused_with_both_ways_out() {
    let folder = Folder::new();
    for stored in STORED {
        let file = image(stored, false);
        let path = folder.tiff(&file);
        let limits = Limits::default();
        let errors = [
            read_raster(&path, &limits).err(),
            read_labels(&path, &limits).err(),
            GeoTiff::open(&path, &limits).err(),
            loaded(&file, "").err(),
        ];
        for error in errors {
            let said = error.unwrap().to_string();
            let words =
                ["case.tif", "tag 339 (SampleFormat)", "complex", "`complex = \"decibels\"`", "gdal_calc.py"];
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
            // That command gives real parts.
            assert!(!said.contains("gdal_translate"), "{said}");
        }
    }
}

#[test]
fn other_bits_predictors_and_numbers_that_are_too_large_are_refused() {
    let ask = "complex = \"amplitude\"";
    for (format, bits) in [(5, 16), (5, 128), (6, 32), (6, 256)] {
        let said = loaded(&image((format, bits, STORED[0].2), false), ask).unwrap_err().to_string();
        assert!(said.contains(&format!("found `{bits}`")), "{said}");
    }
    for (at, predictor) in [(3, 2), (2, 3), (3, 3)] {
        let file = image(STORED[at], false).tag(Tag::Predictor, &[predictor]);
        assert!(loaded(&file, ask).unwrap_err().to_string().contains("tag 317 (Predictor)"), "{predictor}");
    }
    let huge: Store = |_| [3e38_f64, 3e38].into_iter().flat_map(f64::to_le_bytes).collect();
    let said = loaded(&image((6, 128, huge), false), ask).unwrap_err().to_string();
    assert!(said.contains("found `3e38+3e38i`"), "{said}");
    // A strip that unpacks to half of what is declared.
    let said = loaded(&image((6, 128, STORED[2].2), false), ask).unwrap_err().to_string();
    assert!(said.contains("must unpack to"), "{said}");
}

/// The limit of bytes counts the 16 bytes of a number.
#[test]
fn a_strip_that_is_declared_too_large_is_refused_before_it_is_read() {
    let path = Folder::new();
    let path = path.tiff(&image(STORED[3], false));
    let bytes = (PIXELS * 2 * 16) as u64;
    for (bytes, large) in [(bytes, false), (bytes - 1, true)] {
        let limits = Limits { bytes, ..Limits::default() };
        let said = read_raster(&path, &limits).unwrap_err().to_string();
        // What is refused first is that nothing says what complex numbers become.
        assert!(said.contains("`complex"), "{said}");
        let found = open_large(&path, &limits);
        assert_eq!(found.is_some_and(|said| said.contains("a strip or tile may take")), large);
    }
}

fn open_large(path: &Path, limits: &Limits) -> Option<String> {
    let folder = path.parent().unwrap();
    std::fs::create_dir_all(folder.join("a")).unwrap();
    std::fs::create_dir_all(folder.join("b")).unwrap();
    std::fs::copy(path, folder.join("a/case.tif")).unwrap();
    let text = "task = \"classification\"\nbands = [\"one\", \"two\"]\nclasses = [\"a\", \"b\"]\nmax_corrupt_share = 0.0\n\
                complex = \"amplitude\"\n[layout]\nkind = \"folders\"\nroot = \".\"\n[split]\nvalidation = 0.0\n";
    std::fs::write(folder.join("dataset.toml"), text).unwrap();
    let dataset = Dataset::open(folder, limits).unwrap();
    let bands = ["one".to_owned(), "two".to_owned()];
    dataset.load(Split::Train, &bands).err().map(|error| error.to_string())
}

#[test]
fn data_init_asks_what_they_are_to_become() {
    let folder = tempfile::tempdir().unwrap();
    for class in ["ice", "water"] {
        std::fs::create_dir(folder.path().join(class)).unwrap();
        for at in 0..3 {
            image(STORED[0], false).write(&folder.path().join(format!("{class}/{at}.tif")));
        }
    }
    let proposal = propose(folder.path(), &Limits::default()).unwrap();
    assert!(proposal.text.contains("\ncomplex = \"amplitude\"\n"), "{}", proposal.text);
    assert!(proposal.questions.iter().any(|question| question.contains("`decibels`")));
    std::fs::write(folder.path().join("dataset.toml"), &proposal.text).unwrap();
    let dataset = Dataset::open(folder.path(), &Limits::default()).unwrap();
    assert_eq!(Split::ALL.into_iter().map(|split| dataset.len(split)).sum::<usize>(), 6);
}

/// As `predict` does, which has no dataset.toml.
#[test]
fn an_image_that_no_data_set_describes_is_read_by_the_same_words() {
    let folder = Folder::new();
    let said = |complex, nodata, scale| {
        let bands = ["VV", "VH"].map(str::to_owned).to_vec();
        Reading { complex, nodata, scale, ..Reading::stored(bands) }
    };
    for stored in STORED {
        let path = folder.tiff(&image(stored, true));
        let read = |complex, nodata, scale| {
            let mut file = said(complex, nodata, scale).open(&path, &Limits::default()).unwrap();
            file.window(0, 0, SIZE[0], SIZE[1]).unwrap()
        };
        let found = read(Some(Complex::Amplitude), Some(0.0), 1.0);
        assert!(found[0] == 5.0 && found[1].is_nan() && found[2] == 7.0, "the amplitude of 0 is missing");
        // The scale is for whoever reads it, so the values are not scaled here.
        assert!(alike(&read(Some(Complex::Amplitude), None, 2.0), &expected(amplitude)));
        let found = read(Some(Complex::Decibels), Some(0.0), 1.0);
        let wanted = expected(|parts| match amplitude(parts) {
            0.0 => f64::NAN,
            found => 20.0 * found.log10(),
        });
        assert!(alike(&found, &wanted), "0 dB is a number");
        assert!(said(None, None, 1.0).open(&path, &Limits::default()).is_err());
    }
    let broken = said(Some(Complex::Decibels), Some(-9999.0), 1.0).broken_rules();
    assert_eq!(broken, ["`nodata` must be 0 or absent beside `complex`, found `-9999`"]);
    assert!(said(None, Some(-9999.0), 1.0).broken_rules().is_empty());
}
