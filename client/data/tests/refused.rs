//! Image files that are not known to be read rightly are refused by name, and nothing else is.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use common::{Directory, Folder, Jpeg, SIZE, Tiff, Value};
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

fn read(path: &std::path::Path) -> Result<Raster, DataError> {
    read_raster(path, &Limits::default())
}

/// Checks that a file is refused whichever way it is read, with its name, these words and a command.
fn assert_refused(path: &std::path::Path, words: &[&str]) {
    let limits = Limits::default();
    let window =
        || GeoTiff::open(path, &limits).and_then(|mut file| file.window(0, 0, WIDTH, HEIGHT).map(|_| ()));
    let tiff = path.extension().is_some_and(|end| end == "tif");
    let errors = [
        read_raster(path, &limits).err(),
        read_labels(path, &limits).err(),
        if tiff { window().err() } else { read_raster(path, &limits).err() },
    ];
    let name = path.file_name().unwrap().to_str().unwrap();
    for error in errors {
        let said = error.unwrap_or_else(|| panic!("{words:?} is read")).to_string();
        if said.contains("a mask must not be in JPEG") {
            continue;
        }
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
    for (value, name) in [(4, "mask"), (5, "CMYK"), (6, "YCbCr"), (8, "L*a*b*"), (77, "")] {
        let found = format!("`{value}`");
        let said = ["tag 262 (PhotometricInterpretation)", &found, name];
        refused(&grey().tag(Tag::PhotometricInterpretation, &[value]), &said);
        let many = colours(4).tag(Tag::PhotometricInterpretation, &[value]);
        refused(&many, &said);
        refused(&many.tag(Tag::ChromaSubsampling, &[1, 1]), &said);
    }
}

#[test]
fn numbers_are_given_as_they_are_stored_whatever_they_mean() {
    let folder = Folder::new();
    let white = grey().tag(Tag::PhotometricInterpretation, &[0]);
    assert_eq!(read(&folder.tiff(&white)).unwrap().data[..3], [0.0, 7.0, 14.0]);
    let marked = read(&folder.tiff(&white.text_nodata("7"))).unwrap().data;
    assert!(marked[0] == 0.0 && marked[1].is_nan());
    let unsaid = grey().without(Tag::PhotometricInterpretation);
    assert_eq!(read(&folder.tiff(&unsaid)).unwrap().data[1], 7.0);
}

/// The index of a colour is neither a band nor a quantity.
#[test]
fn a_palette_is_a_mask_and_no_image() {
    let folder = Folder::new();
    let path = folder.tiff(&grey().tag(Tag::PhotometricInterpretation, &[3]));
    let limits = Limits::default();
    for said in [read(&path).err(), GeoTiff::open(&path, &limits).err()] {
        let said = said.unwrap().to_string();
        assert!(said.contains("`3` (palette") && said.contains("-expand rgb"), "{said}");
    }
    assert_eq!(read_labels(&path, &limits).unwrap().data[1], 7.0);
    assert_eq!(GeoTiff::open_labels(&path, &limits).unwrap().window(1, 0, 1, 1).unwrap(), [7.0]);
}

#[test]
fn bits_formats_and_orders_other_than_those_known_are_refused() {
    for bits in [0, 17, 24, 31, 65] {
        let found = format!("`{bits}`");
        refused(&grey().tag(Tag::BitsPerSample, &[bits]), &["tag 258 (BitsPerSample)", &found]);
    }
    for (format, bits) in [(2, 7), (2, 12), (3, 8), (3, 24)] {
        let found = format!("`{bits}`");
        let narrow = grey().tag(Tag::BitsPerSample, &[bits]).tag(Tag::SampleFormat, &[format]);
        refused(&narrow, &["tag 258 (BitsPerSample) of", &found]);
    }
    refused(&colours(3).tag(Tag::BitsPerSample, &[8, 16, 8]), &["tag 258", "`8, 16, 8`"]);
    let undefined = grey().tag(Tag::BitsPerSample, &[32]).tag(Tag::SampleFormat, &[4]);
    refused(&undefined, &["tag 339 (SampleFormat)", "undefined"]);
    let deflated = grey().tag(Tag::Compression, &[8]).tag(Tag::FillOrder, &[2]);
    refused(&deflated, &["tag 266 (FillOrder)", "`2`", "lowest bit first"]);
    refused(&grey().tag(Tag::FillOrder, &[3]), &["tag 266 (FillOrder)", "`3`"]);
    refused(&grey().tag(Tag::PlanarConfiguration, &[3]), &["tag 284 (PlanarConfiguration)", "`3`"]);
}

#[test]
fn compressions_and_predictors_other_than_those_known_are_refused() {
    for (value, name) in [(6, "JPEG"), (34712, "JPEG 2000"), (50002, "JPEG XL")] {
        let found = format!("`{value}` ({name}");
        refused(&grey().tag(Tag::Compression, &[value]), &["tag 259 (Compression)", &found]);
    }
    // A decoder that undid the differences of values that have none would give wrong pixels.
    refused(&grey().tag(Tag::Predictor, &[2]), &["tag 317 (Predictor)", "`2` under compression 1"]);
    let packed = grey().tag(Tag::Compression, &[32773]);
    refused(&packed.tag(Tag::Predictor, &[2]), &["tag 317", "`2` under compression 32773"]);
    let deflated = grey().tag(Tag::Compression, &[8]);
    refused(&deflated.tag(Tag::Predictor, &[3]), &["tag 317", "`3`"]);
    let narrow = grey().tag(Tag::Compression, &[8]).tag(Tag::BitsPerSample, &[4]);
    refused(&narrow.tag(Tag::Predictor, &[2]), &["tag 317", "`2` under compression 8 and 4 bits"]);
    // What a compression cannot hold.
    let under = |compression: u32, file: Tiff| file.tag(Tag::Compression, &[compression]);
    for compression in [2, 3, 4] {
        refused(&under(compression, grey()), &["tag 259", "(CCITT)", "found 1 of 8 bits"]);
    }
    for (compression, tag, options) in [(3, 292, 2), (3, 292, 8), (4, 293, 2)] {
        let narrow = under(compression, grey().tag(Tag::BitsPerSample, &[1]));
        let found = format!("`{options}`");
        refused(&narrow.tag(Tag::Unknown(tag), &[options]), &[&format!("tag {tag} (T"), &found]);
    }
    refused(&under(50001, grey()), &["tag 259", "50001 (WebP)", "found 1 of 8 bits"]);
    let half = grey().tag(Tag::BitsPerSample, &[16]).tag(Tag::SampleFormat, &[3]);
    refused(&under(34887, half), &["tag 259", "34887 (LERC)", "found 1 of 16 bits"]);
}

#[test]
fn every_band_beside_the_colours_is_read() {
    let folder = Folder::new();
    for (bands, kinds) in [(4, &[][..]), (4, &[0]), (4, &[1]), (4, &[2]), (5, &[2, 0]), (5, &[0, 0])] {
        let interleaved = colours(bands).tag(Tag::ExtraSamples, kinds);
        let interleaved = if kinds.is_empty() { colours(bands) } else { interleaved };
        let raster = read(&folder.tiff(&interleaved)).unwrap();
        let wanted: Vec<f32> =
            pixels(WIDTH * HEIGHT * bands).chunks(bands).map(|pixel| f32::from(pixel[bands - 1])).collect();
        assert_eq!((raster.bands, raster.band(bands - 1)), (bands, &wanted[..]), "{kinds:?}");
        let plane = |band: usize| Some(vec![band as u8; WIDTH * HEIGHT]);
        let planes = interleaved.tag(Tag::PlanarConfiguration, &[2]);
        let planes = planes.strips(HEIGHT as u32, (0..bands).map(plane).collect());
        assert_eq!(read(&folder.tiff(&planes)).unwrap().band(bands - 1)[1], bands as f32 - 1.0);
    }
}

#[test]
fn a_scene_that_is_read_in_windows_may_be_larger_than_an_image_that_is_read_whole() {
    const TILE: u32 = 16_384;
    let folder = Folder::new();
    let sized = |width: u32, height: u32| {
        let tiles =
            width.min(Limits::SCENE_SIDE).div_ceil(TILE) * height.min(Limits::SCENE_SIDE).div_ceil(TILE);
        let file = grey().tiles(TILE, vec![None; tiles.max(1) as usize]);
        folder.tiff(&file.tag(Tag::ImageWidth, &[width]).tag(Tag::ImageLength, &[height]))
    };
    let side = Limits::SCENE_SIDE;
    let path = sized(side, side);
    let mut scene = GeoTiff::open(&path, &Limits::of_scene()).unwrap();
    let corner = scene.window(side as usize - 2, side as usize - 1, 3, 2).unwrap();
    assert_eq!((corner[..2].to_vec(), corner[2].is_nan(), corner[3].is_nan()), (vec![0.0; 2], true, true));
    let cut = "cut it into parts, as `gdal_translate -srcwin LEFT TOP WIDTH HEIGHT` does";
    let said =
        |path: &std::path::Path, limits: &Limits| GeoTiff::open(path, limits).err().unwrap().to_string();
    for (width, height, limits, most) in [
        (side + 1, 64, Limits::of_scene(), "1000000"),
        (64, u32::MAX, Limits::of_scene(), "1000000"),
        (33_000, 64, Limits::default(), "32768"),
    ] {
        let said = said(&sized(width, height), &limits);
        let parts = [format!("1 to {most} pixels"), format!("found `{width}x{height}`"), cut.to_owned()];
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
    assert!(said(&sized(0, 64), &Limits::of_scene()).contains("found `0x64`; it is damaged"));
    // What is read whole keeps its limits, also under those of a scene.
    let whole = read_raster(&sized(33_000, 33_000), &Limits::of_scene()).unwrap_err().to_string();
    assert!(whole.contains("in memory"), "{whole}");
}

#[test]
fn what_a_sparse_file_leaves_out_is_missing_or_zero() {
    let tile = || Some(pixels(64));
    let four = |tiles: Vec<Option<Vec<u8>>>| grey().tiles(8, tiles);
    let folder = Folder::new();
    let whole = read(&folder.tiff(&four(vec![tile(); 4]))).unwrap();
    assert_eq!((whole.data[0], whole.data[8], whole.data[1]), (0.0, 0.0, 7.0));
    let sparse = four(vec![tile(), None, tile(), tile()]);
    let part = |file: &Tiff| read(&folder.tiff(file)).unwrap().data[7..12].to_vec();
    assert_eq!(part(&sparse), [49.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(part(&sparse.clone().text_nodata("-1")), [49.0, 0.0, 0.0, 0.0, 0.0]);
    let missing = part(&sparse.clone().text_nodata("9"));
    assert!(missing[0] == 49.0 && missing[1..].iter().all(|value| value.is_nan()));
    // Half a position is no position.
    refused(&sparse.clone().lengths(&[64, 64, 64, 64]), &["tag 324 (TileOffsets)", "offset `0`", "tile 1"]);
    let strip = || Some(pixels(WIDTH * 4));
    let strips = grey().strips(4, vec![strip(), strip(), strip()]);
    refused(&strips.clone().lengths(&[64, 64, 0]), &["tag 279 (StripByteCounts)", "length `0`", "strip 2"]);
    // For a strip that is too short, a decoder would read pixels of the next one.
    refused(&strips.lengths(&[64, 60, 64]), &["tag 279", "at least 64 bytes", "strip 1", "`60`"]);
    // The length of a single strip follows from the image.
    assert_eq!(read(&folder.tiff(&grey().lengths(&[0]))).unwrap().data[1], 7.0);
    // A table that is too short.
    refused(&four(vec![tile(); 3]), &["tag 324 (TileOffsets) must hold 4 numbers, found `3`"]);
}

/// A mask of bytes whose first pixel is hidden.
#[test]
fn what_a_mask_inside_a_file_hides_is_missing() {
    let folder = Folder::new();
    let mask = Directory::mask();
    for file in [
        grey().directory(mask),
        grey().directory(mask).nested(),
        // After an overview and before its mask.
        grey().directory(Directory::of(1, 1)).directory(mask).directory(Directory::of(5, 4)),
    ] {
        let data = read(&folder.tiff(&file)).unwrap().data;
        assert!(data[0].is_nan() && data[1] == 7.0, "{:?}", &data[..3]);
        assert_eq!(data.iter().filter(|value| value.is_nan()).count(), 1);
    }
    let said = ["tag 254 (NewSubfileType)", "mask"];
    refused(&grey().directory(mask).directory(mask), &said);
    refused(&grey().directory(Directory::of(0, 4)), &said);
    refused(&grey().text_nodata("7").directory(mask), &["tag 42113 (GDAL_NODATA)", "mask"]);
    let other = Directory { size: [8, 1], ..mask };
    assert_refused(&folder.tiff(&grey().directory(other)), &["the mask inside it", "16x12", "`8x1`"]);
    for other in [
        grey().directory(Directory::of(1, 1)).directory(Directory::of(1, 1)),
        grey().directory(Directory::of(2, 1)),
        grey().directory(Directory::of(1, 1)).nested(),
    ] {
        assert_eq!(read(&folder.tiff(&other)).unwrap().data[0], 0.0, "overviews and pages are no masks");
    }
}

#[test]
fn nodata_that_is_no_number_is_refused() {
    for text in ["none", "0 0 0", "-9999,5", " "] {
        refused(&grey().text_nodata(text), &["tag 42113 (GDAL_NODATA)", text, "-a_nodata"]);
    }
    refused(&grey().value(Tag::GdalNodata, Value::Double(-9999.0)), &["tag 42113", "DOUBLE"]);
    let folder = Folder::new();
    for text in ["7", " 7 ", "7\n", "7.0", "7e0"] {
        let data = read(&folder.tiff(&grey().text_nodata(text))).unwrap().data;
        assert!(data[1].is_nan() && data[0] == 0.0, "{text:?}");
    }
    // GDAL takes 7 for it.
    refused(
        &grey().text_nodata("7.5"),
        &["tag 42113", "whole number where pixels are", "`7.5`", "-a_nodata"],
    );
    for text in ["", "nan", "-9999"] {
        assert_eq!(read(&folder.tiff(&grey().text_nodata(text))).unwrap().data[1], 7.0, "{text:?}");
    }
}

#[test]
fn a_tag_that_is_there_twice_is_refused_unless_both_say_the_same() {
    const OTHER: u16 = 65_000;
    let folder = Folder::new();
    let twice = |value: u32| {
        let path = folder.tiff(&grey().tag(Tag::Unknown(OTHER), &[value]));
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(2).rposition(|pair| pair == OTHER.to_le_bytes()).unwrap();
        bytes[at..at + 2].copy_from_slice(&Tag::BitsPerSample.to_u16().to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        path
    };
    assert_eq!(read(&twice(8)).unwrap().data[1], 7.0);
    assert_refused(&twice(4), &["tag 258 with two values", "damaged"]);
}

#[test]
fn numbers_that_mark_missing_pixels_only_together_are_refused() {
    let items = "<GDALMetadata><Item name=\"NODATA_VALUES\">0 7 14</Item></GDALMetadata>";
    let marked = colours(3).value(Tag::Unknown(42_112), Value::Text(items.to_owned()));
    refused(&marked, &["NODATA_VALUES `0 7 14`", "tag 42112", "-mask mask"]);
}

/// GDAL puts a mask behind the stream: compressed bits, and where they begin.
#[test]
fn a_jpeg_file_with_a_mask_behind_its_stream_is_refused() {
    let folder = Folder::new();
    let stream = Jpeg::new(&[90, 128, 128]).stream();
    let begin = |at: usize| u32::try_from(at).unwrap().to_le_bytes();
    let with_mask = [&stream[..], &[0x78, 0x9c, 3, 0, 0, 0, 0, 1], &begin(stream.len())].concat();
    assert_refused(&folder.jpeg(&with_mask), &["mask of missing pixels", "GDAL_TIFF_INTERNAL_MASK"]);
    for harmless in [stream.len() - 1, stream.len() + 8, usize::MAX >> 32] {
        let other = [&stream[..], &[0x78, 0x9c, 3, 0, 0, 0, 0, 1], &begin(harmless)].concat();
        assert!(read(&folder.jpeg(&other)).is_ok(), "{harmless}");
    }
}

/// A grey PNG file of few bits gives its numbers, as GDAL reads it, as an image and as a mask.
#[test]
fn grey_png_files_of_few_bits_give_their_numbers() {
    let folder = Folder::new();
    let path = folder.0.path().join("case.png");
    for (depth, most) in [(png::BitDepth::One, 1), (png::BitDepth::Two, 3), (png::BitDepth::Four, 15)] {
        for transparent in [None, Some(1u8)] {
            let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), 3, 1);
            encoder.set_color(png::ColorType::Grayscale);
            encoder.set_depth(depth);
            if let Some(grey) = transparent {
                encoder.set_trns(vec![0, grey]);
            }
            let bits = depth as u32;
            let packed =
                [most, 0, 1].iter().fold(0u32, |all, number| all << bits | number) << (24 - 3 * bits);
            let row = &packed.to_be_bytes()[1..1 + (3 * bits as usize).div_ceil(8)];
            encoder.write_header().unwrap().write_image_data(row).unwrap();
            let expected = [most as f32, 0.0, 1.0];
            assert_eq!(read_labels(&path, &Limits::default()).unwrap().data, expected, "{depth:?}");
            let image = read(&path).unwrap();
            assert_eq!(image.bands, 1);
            for (found, expected) in image.data.iter().zip(expected) {
                let missing = transparent.is_some() && expected == 1.0;
                assert!(
                    if missing { found.is_nan() } else { *found == expected },
                    "{depth:?}: {:?}",
                    image.data
                );
            }
        }
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
    let words = ["`16777217`", "give the classes smaller numbers, since the command rounds", "-ot Float32"];
    refused(&file(16_777_217), &words);
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
    refused(&jpeg_tile(3, Jpeg::new(&[90]).stream()), &["3 components", "`1`"]);
    let ycbcr = jpeg_tile(3, Jpeg::new(&[90, 20, 200]).stream());
    let planar = ycbcr.clone().tag(Tag::PlanarConfiguration, &[2]).tag(Tag::PhotometricInterpretation, &[6]);
    refused(&planar, &["tag 259", "YCbCr", "found 1 of 8 bits"]);
    let rgb = read(&folder.tiff(&ycbcr.tag(Tag::PhotometricInterpretation, &[6]))).unwrap();
    // T.871: R = Y + 1.402 (Cr - 128), G = Y - 0.344136 (Cb - 128) - 0.714136 (Cr - 128), B = Y + 1.772 (Cb - 128).
    let wanted = [90.0 + 1.402 * 72.0, 90.0 + 0.344_136 * 108.0 - 0.714_136 * 72.0, 0.0];
    for (band, wanted) in wanted.iter().enumerate() {
        assert!((rgb.band(band)[5] - wanted).abs() < 1.0, "band {band}: {} for {wanted}", rgb.band(band)[5]);
    }
    let whole = read(&folder.tiff(&jpeg_tile(3, Jpeg::new(&[90, 20, 200]).stream()))).unwrap();
    let apart = Jpeg { interleaved: false, ..Jpeg::new(&[90, 20, 200]) }.stream();
    assert_eq!(read(&folder.tiff(&jpeg_tile(3, apart))).unwrap(), whole);
    let stream = Jpeg::new(&[90]).stream();
    let cut = jpeg_tile(1, stream[..stream.len() - 3].to_vec());
    assert_refused(&folder.tiff(&cut), &["tile 0", "cut short"]);
}

#[test]
fn jpeg_files_are_read_however_their_components_lie() {
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
    let whole = read(&folder.jpeg(&Jpeg::new(&[90, 20, 200]).stream())).unwrap();
    let apart = Jpeg { interleaved: false, ..Jpeg::new(&[90, 20, 200]) };
    assert_eq!(read(&folder.jpeg(&apart.stream())).unwrap(), whole);
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
    // Zeros between two segments are skipped, as other programs do. Others are left of a segment without its marker.
    let padded = [&whole[..2], &[0; 9], &whole[2..]].concat();
    assert_eq!(read(&folder.jpeg(&padded)).unwrap(), read(&folder.jpeg(&whole)).unwrap());
    let padded = [&whole[..2], &[0, 0, 7, 0], &whole[2..]].concat();
    assert_refused(&folder.jpeg(&padded), &["marker after each segment", "`0x07` at 4", "damaged"]);
}

/// Numbers at edges of classes are other classes.
#[test]
fn masks_in_jpeg_are_refused() {
    let folder = Folder::new();
    let limits = Limits::default();
    let file = folder.jpeg(&Jpeg::new(&[90]).stream());
    let inside = folder.tiff(&jpeg_tile(1, Jpeg::new(&[90]).stream()));
    for path in [file, inside] {
        assert!(read(&path).is_ok());
        let said = read_labels(&path, &limits).unwrap_err().to_string();
        assert!(said.contains("a mask must not be in JPEG") && !said.contains("gdal_translate"), "{said}");
    }
}

/// Kinds that a build with GDAL reads. Their names have other endings on purpose: the first bytes decide.
#[cfg(not(feature = "gdal"))]
#[test]
fn kinds_that_another_build_reads_are_refused_with_both_remedies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("B02.dat");
    for (head, name) in [
        (&b"\0\0\0\x0cjP  \r\n\x87\n"[..], "JPEG 2000"),
        (b"\xff\x4f\xff\x51", "JPEG 2000"),
        (b"<VRTDataset rasterXSize=\"1\">", "VRT"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"CDF\x01", "netCDF classic"),
        (b"\x0e\x03\x13\x01", "HDF4"),
    ] {
        std::fs::write(&path, head).unwrap();
        let remedies = ["a build with the feature `gdal`", "gdal_translate", "B02.dat"];
        for said in [read(&path).err(), eosfed_data::ImageFile::open(&path, &Limits::default()).err()] {
            let said = said.unwrap().to_string();
            assert!([&remedies[..], &[name]].concat().iter().all(|part| said.contains(part)), "{said}");
        }
    }
    let kinds = eosfed_data::formats(&Limits::default()).gdal;
    let read = kinds.iter().filter(|kind| kind.read).count();
    assert_eq!(read, 0);
    assert!(kinds[0].name == "JPEG 2000" && kinds[0].lacking.as_ref().unwrap().contains("feature `gdal`"));
    let labels = kinds.iter().filter(|kind| kind.content == eosfed_data::Content::Polygons);
    let lacking: Vec<_> = labels
        .map(|kind| (&*kind.name, kind.lacking.clone().unwrap(), kind.note.contains("ogr2ogr")))
        .collect();
    let said = "it is read with a build with the feature `gdal`".to_owned();
    assert_eq!(lacking, [("GeoPackage", said.clone(), true), ("Shapefile", said, true)]);
}

/// Kinds that no build reads.
#[test]
fn kinds_that_no_build_reads_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = folder.path().join("MTD_MSIL2A.xml");
    std::fs::write(&metadata, "<?xml version=\"1.0\"?>\n<n1:Level-2A_User_Product xmlns:n1=\"x\">").unwrap();
    let product = folder.path().join("S2A_MSIL2A_20220203T101231.SAFE");
    std::fs::create_dir(&product).unwrap();
    for path in [metadata, product] {
        let said = read(&path).unwrap_err().to_string();
        for part in ["Sentinel-2 SAFE", "_B02_10m.jp2", "gdalbuildvrt -separate", "gdal_translate"] {
            assert!(said.contains(part) && !said.contains("feature"), "{part}: {said}");
        }
    }
}
