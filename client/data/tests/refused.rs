//! Image files that are not known to be read rightly are refused by name, and nothing else is.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::path::PathBuf;

use common::{Jpeg, SIZE, Tiff, Value};
use eosfed_data::{DataError, GeoTiff, Limits, Raster, read_labels, read_raster};
use tiff::tags::Tag;

const WIDTH: usize = SIZE[0];
const HEIGHT: usize = SIZE[1];

fn pixels(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at * 7 % 251) as u8).collect()
}

fn grey() -> Tiff {
    Tiff::new(pixels(WIDTH * HEIGHT))
}

/// Interleaved red, green, blue and so on.
fn colours(bands: usize) -> Tiff {
    let rgb = Tiff::new(pixels(WIDTH * HEIGHT * bands)).tag(Tag::PhotometricInterpretation, &[2]);
    rgb.bands(bands as u32)
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn tiff(&self, file: &Tiff) -> PathBuf {
        let path = self.0.path().join("case.tif");
        file.write(&path);
        path
    }

    fn jpeg(&self, stream: &[u8]) -> PathBuf {
        let path = self.0.path().join("case.jpg");
        std::fs::write(&path, stream).unwrap();
        path
    }
}

fn read(path: &std::path::Path) -> Result<Raster, DataError> {
    read_raster(path, &Limits::default())
}

/// Checks that a file is refused whichever way it is read, with its name, these words and a command.
fn assert_refused(path: &std::path::Path, words: &[&str]) {
    let limits = Limits::default();
    let window = || GeoTiff::open(path, &limits).and_then(|mut file| file.window(0, 0, 4, 4).map(|_| ()));
    let tiff = path.extension().is_some_and(|end| end == "tif");
    let errors = [
        read_raster(path, &limits).err(),
        read_labels(path, &limits).err(),
        if tiff { window().err() } else { read_raster(path, &limits).err() },
    ];
    let name = path.file_name().unwrap().to_str().unwrap();
    for error in errors {
        let said = error.unwrap_or_else(|| panic!("{words:?} is read")).to_string();
        let mut all = words.iter().copied().chain([name]);
        assert!(all.all(|word| said.contains(word)), "{words:?}: {said}");
    }
}

fn refused(file: &Tiff, words: &[&str]) {
    let folder = Folder::new();
    let words: Vec<&str> = words.iter().copied().chain(["gdal_translate"]).collect();
    assert_refused(&folder.tiff(file), &words);
}

#[test]
fn other_photometric_interpretations_are_refused() {
    for (value, name) in
        [(0, "MinIsWhite"), (3, "palette"), (4, "mask"), (5, "CMYK"), (6, "YCbCr"), (8, "L*a*b*")]
    {
        let found = format!("`{value}`");
        let said = ["tag 262 (PhotometricInterpretation)", &found, name];
        refused(&grey().tag(Tag::PhotometricInterpretation, &[value]), &said);
        let many = colours(4).tag(Tag::PhotometricInterpretation, &[value]);
        refused(&many, &said);
        refused(&many.tag(Tag::ChromaSubsampling, &[1, 1]), &said);
    }
    refused(&grey().tag(Tag::PhotometricInterpretation, &[0]).text_nodata("0"), &["MinIsWhite"]);
    refused(&grey().without(Tag::PhotometricInterpretation), &["tag 262", "found nothing"]);
}

#[test]
fn bits_formats_and_orders_other_than_those_known_are_refused() {
    for bits in [1, 2, 4, 10, 12, 24] {
        let found = format!("`{bits}`");
        refused(&grey().tag(Tag::BitsPerSample, &[bits]), &["tag 258 (BitsPerSample)", &found]);
        // With one pixel in a row, a packed byte has the size of a pixel.
        let narrow = grey().tag(Tag::ImageWidth, &[1]).tag(Tag::BitsPerSample, &[bits]);
        refused(&narrow, &["tag 258", &found]);
    }
    refused(&grey().without(Tag::BitsPerSample), &["tag 258", "nothing, which means 1"]);
    refused(&colours(3).tag(Tag::BitsPerSample, &[8, 16, 8]), &["tag 258", "`8, 16, 8`"]);
    for (format, name) in [(4, "undefined"), (5, "complex integers"), (6, "complex floats")] {
        let wide = grey().tag(Tag::BitsPerSample, &[32]);
        refused(&wide.tag(Tag::SampleFormat, &[format]), &["tag 339 (SampleFormat)", name]);
    }
    refused(&grey().tag(Tag::SampleFormat, &[3]), &["tag 339", "of 8 bits"]);
    refused(&grey().tag(Tag::FillOrder, &[2]), &["tag 266 (FillOrder)", "`2`", "lowest bit first"]);
    refused(&grey().tag(Tag::PlanarConfiguration, &[3]), &["tag 284 (PlanarConfiguration)", "`3`"]);
}

#[test]
fn compressions_and_predictors_other_than_those_known_are_refused() {
    for (value, name) in
        [(4, "CCITT T.6"), (6, "JPEG"), (34887, "LERC"), (34925, "LZMA"), (50000, "ZSTD"), (50001, "WebP")]
    {
        let found = format!("`{value}` ({name}");
        refused(&grey().tag(Tag::Compression, &[value]), &["tag 259 (Compression)", &found]);
    }
    // A decoder that undid the differences of values that have none would give wrong pixels.
    refused(&grey().tag(Tag::Predictor, &[2]), &["tag 317 (Predictor)", "`2` under compression 1"]);
    let packed = grey().tag(Tag::Compression, &[32773]);
    refused(&packed.tag(Tag::Predictor, &[2]), &["tag 317", "`2` under compression 32773"]);
    let deflated = grey().tag(Tag::Compression, &[8]);
    refused(&deflated.tag(Tag::Predictor, &[3]), &["tag 317", "`3`"]);
}

#[test]
fn bands_that_the_decoder_leaves_out_are_refused() {
    let extra = |bands: usize, kinds: &[u32]| colours(bands).tag(Tag::ExtraSamples, kinds);
    for (bands, kinds) in [(4, &[0][..]), (5, &[2, 0]), (5, &[0, 0]), (3, &[1])] {
        refused(&extra(bands, kinds), &["tag 338 (ExtraSamples)", "INTERLEAVE=BAND"]);
    }
    let folder = Folder::new();
    for (bands, kinds) in [(4, &[1][..]), (4, &[2])] {
        let raster = read(&folder.tiff(&extra(bands, kinds))).unwrap();
        assert_eq!((raster.bands, raster.band(3)[1]), (4, f32::from(pixels(8)[7])), "{kinds:?}");
    }
    assert_eq!(read(&folder.tiff(&colours(4))).unwrap().bands, 4);
    // Grey with anything beside it.
    let many = extra(5, &[0, 0, 0, 0]).tag(Tag::PhotometricInterpretation, &[1]);
    assert_eq!(read(&folder.tiff(&many)).unwrap().band(4)[0], f32::from(pixels(5)[4]));
    // Band by band everything is read.
    let plane = || Some(pixels(WIDTH * HEIGHT));
    let planes =
        extra(5, &[2, 0]).tag(Tag::PlanarConfiguration, &[2]).strips(HEIGHT as u32, vec![plane(); 5]);
    assert_eq!(read(&folder.tiff(&planes)).unwrap().band(4)[1], 7.0);
}

#[test]
fn sparse_files_are_refused() {
    let tile = || Some(pixels(64));
    let four = |tiles: Vec<Option<Vec<u8>>>| grey().tiles(8, tiles);
    let folder = Folder::new();
    let whole = read(&folder.tiff(&four(vec![tile(); 4]))).unwrap();
    assert_eq!((whole.data[0], whole.data[8], whole.data[1]), (0.0, 0.0, 7.0));
    let sparse = four(vec![tile(), None, tile(), tile()]);
    refused(&sparse, &["tag 325 (TileByteCounts)", "`0`", "tile 1", "sparse"]);
    refused(&sparse.clone().text_nodata("9"), &["tag 325", "sparse"]);
    for compression in [5, 8, 32773] {
        refused(&sparse.clone().tag(Tag::Compression, &[compression]), &["tile 1", "sparse"]);
    }
    refused(&sparse.clone().lengths(&[64, 64, 64, 64]), &["tag 324 (TileOffsets)", "tile 1"]);
    let strip = || Some(pixels(WIDTH * 4));
    refused(&grey().strips(4, vec![strip(), strip(), None]), &["tag 279 (StripByteCounts)", "strip 2"]);
    // For a strip that is too short, the decoder would read pixels of the next one.
    let short = grey().strips(4, vec![strip(), strip(), strip()]).lengths(&[64, 60, 64]);
    refused(&short, &["tag 279", "at least 64 bytes", "strip 1", "`60`"]);
    // The length of a single strip follows from the image.
    assert_eq!(read(&folder.tiff(&grey().lengths(&[0]))).unwrap().data[1], 7.0);
}

#[test]
fn masks_inside_a_file_are_refused() {
    let said = ["tag 254 (NewSubfileType)", "mask", "gdalwarp"];
    refused(&grey().directory(4, 4), &said);
    refused(&grey().directory(4, 1), &said);
    refused(&grey().directory(0, 4), &said);
    // The mask of an overview, after the overview.
    refused(&grey().directory(1, 1).directory(5, 4), &said);
    refused(&grey().directory(4, 4).nested(), &said);
    let folder = Folder::new();
    for other in
        [grey().directory(1, 1).directory(1, 1), grey().directory(2, 1), grey().directory(1, 1).nested()]
    {
        assert_eq!(read(&folder.tiff(&other)).unwrap().data[1], 7.0, "overviews and pages are no masks");
    }
}

#[test]
fn nodata_that_is_no_number_is_refused() {
    for text in ["-1.#INF", "1.#QNAN", "none", "0 0 0", "-9999,5"] {
        refused(&grey().text_nodata(text), &["tag 42113 (GDAL_NODATA)", text, "-a_nodata"]);
    }
    refused(&grey().value(Tag::GdalNodata, Value::Double(-9999.0)), &["tag 42113", "DOUBLE"]);
    let folder = Folder::new();
    for text in ["7", " 7 ", "7\n", "7.0", "7e0"] {
        let data = read(&folder.tiff(&grey().text_nodata(text))).unwrap().data;
        assert!(data[1].is_nan() && data[0] == 0.0, "{text:?}");
    }
    for text in ["", " ", "nan", "-9999", "7.5"] {
        assert_eq!(read(&folder.tiff(&grey().text_nodata(text))).unwrap().data[1], 7.0, "{text:?}");
    }
}

#[test]
fn whole_numbers_that_floats_cannot_hold_are_refused() {
    let file = |last: u32| {
        let mut values: Vec<u32> = (0..(WIDTH * HEIGHT) as u32).collect();
        *values.last_mut().unwrap() = last;
        let bytes = values.into_iter().flat_map(u32::to_le_bytes).collect();
        Tiff::new(bytes).tag(Tag::BitsPerSample, &[32])
    };
    refused(&file(16_777_217), &["`16777217`", "-ot Float32"]);
    let folder = Folder::new();
    assert_eq!(read(&folder.tiff(&file(16_777_218))).unwrap().data.last(), Some(&16_777_218.0));
    let marked = read(&folder.tiff(&file(u32::MAX).text_nodata("4294967295"))).unwrap();
    assert!(marked.data.last().unwrap().is_nan());
    refused(&file(u32::MAX - 1).text_nodata("4294967295"), &["`4294967294`"]);
}

/// A TIFF file of 8x8 pixels, `bands` interleaved, in one tile of JPEG.
fn jpeg_tile(bands: u32, stream: Vec<u8>) -> Tiff {
    let photometric = if bands == 3 { 2 } else { 1 };
    Tiff::new(Vec::new())
        .tag(Tag::ImageWidth, &[8])
        .tag(Tag::ImageLength, &[8])
        .bands(bands)
        .tag(Tag::Compression, &[7])
        .tag(Tag::PhotometricInterpretation, &[photometric])
        .tiles(8, vec![Some(stream)])
}

#[test]
fn jpeg_inside_a_tiff_is_read_if_it_has_the_shape_of_its_tile() {
    let folder = Folder::new();
    for levels in [&[90][..], &[90, 20, 200], &[90, 20, 200, 7]] {
        let bands = levels.len() as u32;
        let stream = Jpeg::new(levels).stream();
        let raster = read(&folder.tiff(&jpeg_tile(bands, stream.clone()))).unwrap();
        for (band, level) in levels.iter().enumerate() {
            assert_eq!(raster.band(band), [f32::from(*level); 64], "band {band} of {bands}");
        }
        // The quantisers, in a tag of their own.
        let tables = [&stream[..71], &[0xff, 0xd9]].concat();
        let rest = [&stream[..2], &stream[71..]].concat();
        let apart = jpeg_tile(bands, rest).value(Tag::JPEGTables, Value::Bytes(tables));
        assert_eq!(read(&folder.tiff(&apart)).unwrap(), raster, "shared tables change nothing");
    }
    refused(&jpeg_tile(2, Jpeg::new(&[90, 20]).stream()), &["tag 259", "found 2 of 8 bits"]);
    let of = |size| Jpeg { size, ..Jpeg::new(&[90]) }.stream();
    for size in [[16, 4], [4, 8], [8, 16], [16, 16]] {
        let found = format!("{}x{}", size[0], size[1]);
        refused(&jpeg_tile(1, of(size)), &["tile 0", "8x8 pixels", &found]);
    }
    refused(&jpeg_tile(3, Jpeg::new(&[90]).stream()), &["3 component(s)", "`1`"]);
    let ycbcr = jpeg_tile(3, Jpeg::new(&[90, 20, 200]).stream());
    refused(&ycbcr.tag(Tag::PhotometricInterpretation, &[6]), &["tag 262", "YCbCr"]);
    let apart = Jpeg { interleaved: false, ..Jpeg::new(&[90, 20, 200]) }.stream();
    refused(&jpeg_tile(3, apart), &["tile 0", "interleaved"]);
    let stream = Jpeg::new(&[90]).stream();
    let cut = jpeg_tile(1, stream[..stream.len() - 3].to_vec());
    assert_refused(&folder.tiff(&cut), &["tile 0", "cut short"]);
}

#[test]
fn jpeg_files_are_read_only_if_they_are_whole_and_interleaved() {
    let folder = Folder::new();
    let grey = read(&folder.jpeg(&Jpeg::new(&[90]).stream())).unwrap();
    assert_eq!((grey.bands, grey.data), (1, vec![90.0; 64]));
    // Brightness alone.
    let neutral = read(&folder.jpeg(&Jpeg::new(&[90, 128, 128]).stream())).unwrap();
    assert_eq!((neutral.bands, neutral.data), (3, vec![90.0; 192]));
    let refused = |jpeg: &Jpeg, words: &[&str]| {
        let words: Vec<&str> = words.iter().copied().chain(["gdal_translate"]).collect();
        assert_refused(&folder.jpeg(&jpeg.stream()), &words);
    };
    refused(&Jpeg::new(&[90, 20]), &["marker SOF", "`2`"]);
    refused(&Jpeg { interleaved: false, ..Jpeg::new(&[90, 20, 200]) }, &["marker SOS", "interleaved", "`1`"]);
    let fine = Jpeg { sampling: vec![0x11, 0x22, 0x22], ..Jpeg::new(&[90, 20, 200]) };
    refused(&fine, &["marker SOF", "sampling factor", "`1x1, 2x2, 2x2`"]);
}

#[test]
fn a_jpeg_file_cut_short_at_any_byte_is_refused() {
    let folder = Folder::new();
    let picture =
        image::RgbImage::from_fn(40, 24, |x, y| image::Rgb([(x * 6) as u8, (y * 9) as u8, (x * y) as u8]));
    let path = folder.0.path().join("case.jpg");
    picture.save(&path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    assert!(read(&path).is_ok());
    for length in (3..whole.len() - 1).step_by(7) {
        let cut = folder.jpeg(&whole[..length]);
        assert_refused(&cut, &["cut short"]);
    }
    // Bytes after the end do not belong to the image.
    let longer = [&whole[..], &[0, 1, 2, 3]].concat();
    assert_eq!(read(&folder.jpeg(&longer)).unwrap().bands, 3);
    // Bytes between two segments are skipped, as other programs do.
    let padded = [&whole[..2], &[0; 9], &whole[2..]].concat();
    assert_eq!(read(&folder.jpeg(&padded)).unwrap(), read(&folder.jpeg(&whole)).unwrap());
}
