//! Every compression, predictor and number of bits is read to the exact values; damaged ones are errors.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;
#[path = "common/fax_rows.rs"]
mod fax_rows;

use std::io::Write as _;
use std::path::Path;

use common::{Folder, SIZE, Tiff, Value};
use eosfed_data::{DataError, GeoTiff, Limits, Raster, read_labels};
use tiff::tags::Tag;

const WIDTH: usize = SIZE[0];
const HEIGHT: usize = SIZE[1];
/// Tiles reach over the right and the lower edge of the image.
const TILE: usize = 10;

fn read(path: &Path) -> Result<Raster, DataError> {
    read_labels(path, &Limits { bytes: 1 << 24, ..Limits::default() })
}

/// The number of a pixel: slow change, and a little noise.
fn number(x: usize, y: usize, band: usize) -> u16 {
    (100 * band + 37 * x + 11 * y + x * y % 5) as u16
}

fn expected(bands: usize, number: impl Fn(usize, usize, usize) -> f32) -> Vec<f32> {
    let number = &number;
    let row = |band: usize, y: usize| (0..WIDTH).map(move |x| number(x, y, band));
    (0..bands).flat_map(|band| (0..HEIGHT).flat_map(move |y| row(band, y))).collect()
}

/// The numbers of each tile, those of a pixel together.
fn tiles<T>(bands: usize, number: impl Fn(usize, usize, usize) -> T) -> Vec<Vec<T>> {
    let across = WIDTH.div_ceil(TILE);
    let one = |tile: usize| {
        let [left, top] = [tile % across * TILE, tile / across * TILE];
        let pixels = (0..TILE * TILE).map(|at| (left + at % TILE, top + at / TILE));
        pixels
            .flat_map(|(x, y)| (0..bands).map(move |band| (x, y, band)))
            .map(|(x, y, b)| number(x, y, b))
            .collect()
    };
    (0..across * HEIGHT.div_ceil(TILE)).map(one).collect()
}

/// A file of tiles.
fn tiled(compression: u32, bits: u32, bands: usize, packed: Vec<Vec<u8>>) -> Tiff {
    Tiff::new(Vec::new())
        .tag(Tag::Compression, &[compression])
        .tag(Tag::SamplesPerPixel, &[bands as u32])
        .tag(Tag::BitsPerSample, &vec![bits; bands])
        .tiles(TILE as u32, packed.into_iter().map(Some).collect())
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn lzw(bytes: &[u8]) -> Vec<u8> {
    weezl::encode::Encoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8).encode(bytes).unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::bulk::compress(bytes, 3).unwrap()
}

fn lzma(bytes: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(1);
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Copies of up to 128 bytes.
fn pack_bits(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(128).flat_map(|part| [&[part.len() as u8 - 1], part].concat()).collect()
}

type Pack = fn(&[u8]) -> Vec<u8>;

const GENERAL: [(u32, Pack); 6] =
    [(5, lzw), (8, deflate), (32946, deflate), (50000, zstd), (34925, lzma), (32773, pack_bits)];

/// Differences to the pixel on the left.
fn horizontal(tile: &[u16], bands: usize) -> Vec<u16> {
    let row = TILE * bands;
    let before = |at: usize| if at % row < bands { 0 } else { tile[at - bands] };
    tile.iter().enumerate().map(|(at, value)| value.wrapping_sub(before(at))).collect()
}

fn little(tile: &[u16]) -> Vec<u8> {
    tile.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Rows of planes of bytes, the highest first, as differences.
fn planes(tile: &[f32], bands: usize) -> Vec<u8> {
    let row = |row: &[f32]| {
        let plane = |byte: usize| row.iter().map(move |value| value.to_be_bytes()[byte]);
        let planes: Vec<u8> = (0..4).flat_map(plane).collect();
        let before = |at: usize| if at < bands { 0 } else { planes[at - bands] };
        planes.iter().enumerate().map(|(at, byte)| byte.wrapping_sub(before(at))).collect::<Vec<_>>()
    };
    tile.chunks(TILE * bands).flat_map(row).collect()
}

fn float(x: usize, y: usize, band: usize) -> f32 {
    f32::from(number(x, y, band)) / 3.0 - 70.0
}

#[test]
fn general_compressions_are_read_with_each_predictor_also_over_the_edge() {
    let folder = Folder::new();
    for (compression, pack) in GENERAL {
        for bands in [1, 2, 3, 4] {
            let stored = tiles(bands, number);
            let wanted = expected(bands, |x, y, band| number(x, y, band).into());
            let plain = stored.iter().map(|tile| pack(&little(tile))).collect();
            let plain = tiled(compression, 16, bands, plain);
            assert_eq!(read(&folder.tiff(&plain)).unwrap().data, wanted, "{compression}, {bands} bands");
            if compression == 32773 {
                continue;
            }
            let packed = stored.iter().map(|tile| pack(&little(&horizontal(tile, bands)))).collect();
            let differences = tiled(compression, 16, bands, packed).tag(Tag::Predictor, &[2]);
            let found = read(&folder.tiff(&differences)).unwrap().data;
            assert_eq!(found, wanted, "{compression}, {bands} bands, horizontal");
            let packed = tiles(bands, float).iter().map(|tile| pack(&planes(tile, bands))).collect();
            let floats = tiled(compression, 32, bands, packed).tag(Tag::Predictor, &[3]);
            let floats = floats.tag(Tag::SampleFormat, &vec![3; bands]);
            let found = read(&folder.tiff(&floats)).unwrap().data;
            assert_eq!(found, expected(bands, float), "{compression}, {bands} bands, floats");
        }
    }
}

#[test]
fn lerc_alone_and_compressed_once_more_gives_the_exact_numbers() {
    let folder = Folder::new();
    let side = TILE as u32;
    let packs: [(u32, Pack); 3] = [(0, <[u8]>::to_vec), (1, deflate), (2, zstd)];
    for (more, pack) in packs {
        let parameters = |file: Tiff| file.tag(Tag::Unknown(50674), &[4, more]);
        let blob =
            |tile: &Vec<u16>| pack(&lerc::encode_slice(side, side, tile, lerc::Precision::Lossless).unwrap());
        let file = parameters(tiled(34887, 16, 1, tiles(1, number).iter().map(blob).collect()));
        let wanted = expected(1, |x, y, band| number(x, y, band).into());
        assert_eq!(read(&folder.tiff(&file)).unwrap().data, wanted, "{more}");
        let blob =
            |tile: &Vec<f32>| pack(&lerc::encode_slice(side, side, tile, lerc::Precision::Lossless).unwrap());
        let file = parameters(tiled(34887, 32, 1, tiles(1, float).iter().map(blob).collect()));
        let file = file.tag(Tag::SampleFormat, &[3]);
        assert_eq!(read(&folder.tiff(&file)).unwrap().data, expected(1, float), "{more}");
    }
}

#[test]
fn lerc_gives_floats_without_a_value_as_missing_and_refuses_other_shapes() {
    let folder = Folder::new();
    let side = TILE as u32;
    let mut mask = lerc::bitmask::BitMask::all_valid(TILE * TILE);
    mask.set_invalid(3);
    let blob = |tile: &Vec<f32>| {
        lerc::encode_slice_masked(side, side, tile, &mask, lerc::Precision::Lossless).unwrap()
    };
    let packed: Vec<_> = tiles(1, float).iter().map(blob).collect();
    let file = tiled(34887, 32, 1, packed.clone()).tag(Tag::SampleFormat, &[3]);
    let data = read(&folder.tiff(&file)).unwrap().data;
    assert!(data[3].is_nan() && data[2] == float(2, 0, 0));
    let said = |file: &Tiff| read(&folder.tiff(file)).unwrap_err().to_string();
    let wrong = tiled(34887, 16, 1, packed);
    assert!(said(&wrong).contains("tile 0: its LERC blob"), "{}", said(&wrong));
    let small = |tile: Vec<u16>| lerc::encode_slice(5, 20, &tile, lerc::Precision::Lossless).unwrap();
    let wrong = tiled(34887, 16, 1, tiles(1, number).into_iter().map(small).collect());
    assert!(said(&wrong).contains("must have 10x10 pixels of 1 numbers, found `5x20`"), "{}", said(&wrong));
}

#[test]
fn webp_without_loss_is_read_and_its_shape_must_be_that_of_the_tile() {
    use image_webp::{ColorType, WebPEncoder};
    let folder = Folder::new();
    let byte = |x: usize, y: usize, band: usize| (number(x, y, band) % 251) as u8;
    let pack = |tile: &Vec<u8>, side: u32, colours| {
        let mut packed = Vec::new();
        WebPEncoder::new(&mut packed).encode(tile, side, side, colours).unwrap();
        packed
    };
    for (bands, colours) in [(3, ColorType::Rgb8), (4, ColorType::Rgba8)] {
        let packed = tiles(bands, byte).iter().map(|tile| pack(tile, TILE as u32, colours)).collect();
        let data = read(&folder.tiff(&tiled(50001, 8, bands, packed))).unwrap().data;
        assert_eq!(data, expected(bands, |x, y, band| byte(x, y, band).into()));
    }
    // Opacity that is full everywhere is left out of the stream.
    let packed = tiles(3, byte).iter().map(|tile| pack(tile, TILE as u32, ColorType::Rgb8)).collect();
    let opaque = read(&folder.tiff(&tiled(50001, 8, 4, packed))).unwrap();
    assert_eq!((opaque.band(2)[1], opaque.band(3)), (byte(1, 0, 2).into(), &[255.0; WIDTH * HEIGHT][..]));
    let packed = vec![pack(&vec![7; 3 * 64], 8, ColorType::Rgb8); 4];
    let said = read(&folder.tiff(&tiled(50001, 8, 3, packed))).unwrap_err().to_string();
    assert!(said.contains("10x10 pixels and 3 bands, found `8x8`"), "{said}");
}

/// A colour gradient of 10x10 pixels that libwebp 1.6.0 has written at quality 60.
const LOSSY: [u8; 82] = *include_bytes!("../goldens/lossy.webp");

/// The expected numbers are libwebp's.
#[test]
fn lossy_webp_has_the_pixels_of_libwebp() {
    let folder = Folder::new();
    let read = |stream: Vec<u8>| read(&folder.tiff(&tiled(50001, 8, 3, vec![stream; 4])));
    let raster = read(LOSSY.to_vec()).unwrap();
    let first: Vec<f32> = (0..3).flat_map(|band| raster.band(band)[..5].to_vec()).collect();
    let wanted = [[0, 12, 39, 63, 75], [0, 2, 9, 11, 0], [197, 201, 206, 204, 185]];
    assert_eq!(first, wanted.concat().into_iter().map(|v| v as f32).collect::<Vec<_>>());
    let sums: Vec<f32> = (0..3)
        .map(|band| (0..TILE).flat_map(|y| raster.band(band)[y * WIDTH..][..TILE].to_vec()).sum())
        .collect();
    assert_eq!(sums, [10261.0, 4028.0, 13409.0]);
    // A frame may say that it is larger than its stream; nothing is decoded then.
    let mut large = LOSSY.to_vec();
    large[26..30].copy_from_slice(&[0xff, 0x3f, 0xff, 0x3f]);
    let extended = [&b"RIFF\x5c\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x09\0\0\x09\0\0"[..], &large[12..]].concat();
    for stream in [large, extended] {
        let said = read(stream).unwrap_err().to_string();
        assert!(said.contains("frames of 10x10 pixels, found `16383x16383`"), "{said}");
    }
    for length in 0..LOSSY.len() - 24 {
        assert!(read(LOSSY[..length].to_vec()).is_err(), "{length} bytes of {}", LOSSY.len());
    }
}

/// Each of CCITT's codings of a tile of black (1) and white pixels: compression, options of T.4, and the bytes.
fn ccitt(tile: &[u8]) -> [(u32, u32, Vec<u8>); 5] {
    let rows = || tile.chunks(TILE);
    [
        (2, 0, fax_rows::rle(rows())),
        (3, 0, fax_rows::t4(rows(), false)),
        (3, 4, fax_rows::t4(rows(), true)),
        (3, 1, fax_rows::two_dimensions(rows())),
        (4, 0, fax_rows::t6(rows())),
    ]
}

#[test]
fn ccitt_is_read_in_every_coding_and_both_orders_of_bits() {
    let folder = Folder::new();
    // Rows that are all white, all black, begin with black, are like the one before, and are unlike it.
    let patterns: [fn(usize, usize, usize) -> u8; 5] = [
        |x, y, _| u8::from((x / 3 + y).is_multiple_of(3)),
        |_, y, _| u8::from(y % 2 == 0),
        |x, y, _| u8::from(x < 2 + y / 3),
        |x, y, _| u8::from((x * 7 + y * 13) % 5 < 2),
        |_, _, _| 0,
    ];
    for (number, black) in patterns.into_iter().enumerate() {
        let wanted = expected(1, |x, y, band| black(x, y, band).into());
        let packed: Vec<_> = tiles(1, black).iter().map(|tile| ccitt(tile)).collect();
        for coding in 0..5 {
            let (compression, options, _) = packed[0][coding];
            let stored: Vec<Vec<u8>> = packed.iter().map(|tile| tile[coding].2.clone()).collect();
            let options = |file: Tiff| match compression {
                3 => file.tag(Tag::Unknown(292), &[options]),
                _ => file,
            };
            let file = options(tiled(compression, 1, 1, stored.clone()));
            let found = read(&folder.tiff(&file)).unwrap().data;
            assert_eq!(found, wanted, "coding {coding} of pattern {number}");
            let reversed: Vec<Vec<u8>> =
                stored.iter().map(|tile| tile.iter().map(|byte| byte.reverse_bits()).collect()).collect();
            let file = options(tiled(compression, 1, 1, reversed)).tag(Tag::FillOrder, &[2]);
            assert_eq!(read(&folder.tiff(&file)).unwrap().data, wanted, "coding {coding}, reversed");
            // Cut short: the end marks of T.4 and T.6 are not needed.
            let lengths = if number == 3 { stored[0].len().saturating_sub(10) } else { 0 };
            for length in 1..lengths {
                let mut cut = stored.clone();
                cut[0].truncate(length);
                let said =
                    read(&folder.tiff(&options(tiled(compression, 1, 1, cut)))).unwrap_err().to_string();
                assert!(said.contains("its CCITT stream must have 10 rows"), "coding {coding}: {said}");
            }
        }
    }
}

/// Long runs have makeup codes, of which those over 2,560 are repeated.
#[test]
fn long_runs_of_ccitt_are_read() {
    const LONG: usize = 6000;
    let folder = Folder::new();
    let black = |x: usize| u8::from(!(100..5300).contains(&x));
    let row: Vec<u8> = (0..LONG).map(black).collect();
    let rows = || std::iter::repeat_n(&row[..], HEIGHT);
    for (compression, bytes) in
        [(2, fax_rows::rle(rows())), (3, fax_rows::t4(rows(), false)), (4, fax_rows::t6(rows()))]
    {
        let file = Tiff::new(bytes).tag(Tag::Compression, &[compression]).tag(Tag::BitsPerSample, &[1]);
        let found = read(&folder.tiff(&file.tag(Tag::ImageWidth, &[LONG as u32]))).unwrap();
        let wanted: Vec<f32> = rows().flatten().map(|bit| f32::from(*bit)).collect();
        assert!(found.data == wanted, "{compression}");
    }
}

/// Whatever the bits are, memory is that of the rows, and every row has its width or is an error.
#[test]
fn damaged_ccitt_never_panics() {
    let folder = Folder::new();
    let black = |x: usize, y: usize, _: usize| u8::from((x * 7 + y * 13) % 5 < 2);
    let tile = &tiles(1, black)[0];
    for (compression, options, bytes) in ccitt(tile) {
        for at in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            let file = tiled(compression, 1, 1, vec![damaged; 4]).tag(Tag::Unknown(292), &[options]);
            if let Ok(found) = read(&folder.tiff(&file)) {
                assert_eq!(found.data.len(), WIDTH * HEIGHT);
            }
        }
    }
}

/// Numbers of a few bits, the first one in the highest bits; each row begins at a byte.
fn narrow(tile: &[u16], bits: usize, in_row: usize) -> Vec<u8> {
    let row = |row: &[u16]| {
        let mut digits: String = row.iter().map(|value| format!("{value:0bits$b}")).collect();
        while !digits.len().is_multiple_of(8) {
            digits.push('1');
        }
        (0..digits.len() / 8)
            .map(|at| u8::from_str_radix(&digits[at * 8..][..8], 2).unwrap())
            .collect::<Vec<_>>()
    };
    tile.chunks(in_row).flat_map(row).collect()
}

#[test]
fn numbers_of_one_to_sixteen_bits_are_read_in_both_orders_of_bits() {
    let folder = Folder::new();
    for bits in 1..=15 {
        for bands in [1, 3] {
            let few = |x: usize, y: usize, band: usize| number(x, y, band) & ((1 << bits) - 1);
            let stored: Vec<_> =
                tiles(bands, few).iter().map(|tile| narrow(tile, bits, TILE * bands)).collect();
            if bits == 8 {
                continue;
            }
            let wanted = expected(bands, |x, y, band| few(x, y, band).into());
            let file = tiled(1, bits as u32, bands, stored.clone());
            assert_eq!(read(&folder.tiff(&file)).unwrap().data, wanted, "{bits} bits, {bands} bands");
            let reversed = stored.iter().map(|tile| tile.iter().map(|byte| byte.reverse_bits()).collect());
            let file = tiled(1, bits as u32, bands, reversed.collect()).tag(Tag::FillOrder, &[2]);
            assert_eq!(read(&folder.tiff(&file)).unwrap().data, wanted, "{bits} bits, reversed");
            let packed = stored.iter().map(|tile| deflate(tile)).collect();
            let file = tiled(8, bits as u32, bands, packed);
            assert_eq!(read(&folder.tiff(&file)).unwrap().data, wanted, "{bits} bits, deflated");
        }
    }
}

/// One pixel in a row, so that a row is a byte of which a few bits count.
#[test]
fn narrow_numbers_of_an_image_of_one_column_are_read() {
    let folder = Folder::new();
    for (bits, wanted) in [(1, 1.0), (2, 2.0), (4, 10.0)] {
        let file =
            Tiff::new(vec![0b1010_0101; HEIGHT]).tag(Tag::ImageWidth, &[1]).tag(Tag::BitsPerSample, &[bits]);
        assert_eq!(read(&folder.tiff(&file)).unwrap().data, [wanted; HEIGHT], "{bits} bits");
    }
}

/// Files of every compression, for damaging.
fn all() -> Vec<(u32, Tiff)> {
    let mut files: Vec<(u32, Tiff)> = Vec::new();
    for (compression, pack) in GENERAL {
        let packed = tiles(2, number).iter().map(|tile| pack(&little(tile))).collect();
        files.push((compression, tiled(compression, 16, 2, packed)));
    }
    let side = TILE as u32;
    let blob = |tile: &Vec<u16>| lerc::encode_slice(side, side, tile, lerc::Precision::Lossless).unwrap();
    files.push((34887, tiled(34887, 16, 1, tiles(1, number).iter().map(blob).collect())));
    let colours = |tile: &Vec<u8>| {
        let mut packed = Vec::new();
        let encoder = image_webp::WebPEncoder::new(&mut packed);
        encoder.encode(tile, side, side, image_webp::ColorType::Rgb8).unwrap();
        packed
    };
    let byte = |x: usize, y: usize, band: usize| (number(x, y, band) % 251) as u8;
    files.push((50001, tiled(50001, 8, 3, tiles(3, byte).iter().map(colours).collect())));
    files
}

/// Bytes of the compressed tiles, which come first in the file.
fn compressed(path: &Path) -> usize {
    let whole = std::fs::read(path).unwrap();
    u32::from_le_bytes(whole[4..8].try_into().unwrap()) as usize
}

#[test]
fn damaged_tiles_are_errors_where_a_checksum_tells_and_never_panic() {
    let folder = Folder::new();
    for (compression, file) in all() {
        let path = folder.tiff(&file);
        let whole = std::fs::read(&path).unwrap();
        let right = read(&path).unwrap();
        let end = compressed(&path);
        // zlib, XZ and LERC have checksums.
        let checked = [8, 32946, 34925, 34887].contains(&compression);
        for at in 8..end {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            std::fs::write(&path, damaged).unwrap();
            if let Ok(found) = read(&path) {
                assert_eq!(found.data.len(), right.data.len());
                assert!(
                    !checked || found == right,
                    "{compression}: byte {at} of {end} changes pixels in silence"
                );
            }
        }
    }
}

#[test]
fn tiles_cut_short_are_errors() {
    let folder = Folder::new();
    for (compression, pack) in GENERAL {
        let packed: Vec<Vec<u8>> = tiles(2, number).iter().map(|tile| pack(&little(tile))).collect();
        for cut in [1, 2, 8, packed[1].len() / 2, packed[1].len() - 1] {
            let mut shorter = packed.clone();
            let length = shorter[1].len() - cut;
            shorter[1].truncate(length);
            let found = read(&folder.tiff(&tiled(compression, 16, 2, shorter)));
            // The end marker of LZW is not needed.
            if compression == 5 && cut < 3 {
                continue;
            }
            let said = found.err().unwrap_or_else(|| panic!("{compression}: {cut} bytes fewer")).to_string();
            assert!(said.contains("tile 1: ") && said.contains("gdal_translate"), "{said}");
        }
    }
}

/// A strip that unpacks to more than its pixels: what it has is read if it is at most twice that.
#[test]
fn what_unpacks_to_more_is_read_or_refused_but_not_kept() {
    let folder = Folder::new();
    let wanted: Vec<u8> = (0..WIDTH * HEIGHT).map(|at| (at % 251) as u8).collect();
    for (compression, pack) in GENERAL {
        let file = |more: usize| {
            let packed = pack(&[&wanted[..], &vec![0; more]].concat());
            Tiff::new(packed).tag(Tag::Compression, &[compression])
        };
        let data = read(&folder.tiff(&file(40))).unwrap().data;
        assert!(data.iter().zip(&wanted).all(|(a, b)| *a == f32::from(*b)), "{compression}");
        let far = read(&folder.tiff(&file(10 << 20)));
        // LZW and PackBits have no checksum behind what follows.
        assert_eq!(far.is_ok(), [5, 32773].contains(&compression), "{compression}");
    }
}

/// The header of an XZ stream says how much memory its decoder needs.
#[test]
fn a_decoder_that_needs_more_memory_than_a_file_may_take_is_refused() {
    let folder = Folder::new();
    let mut options = lzma_rust2::XzOptions::with_preset(1);
    options.lzma_options.dict_size = 64 << 20;
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    encoder.write_all(&[7; WIDTH * HEIGHT]).unwrap();
    let file = Tiff::new(encoder.finish().unwrap()).tag(Tag::Compression, &[34925]);
    let path = folder.tiff(&file);
    let said = read(&path).unwrap_err().to_string();
    assert!(said.contains("strip 0: its XZ stream"), "{said}");
    assert_eq!(read_labels(&path, &Limits::default()).unwrap().data, [7.0; WIDTH * HEIGHT]);
}

#[test]
fn old_lzw_is_refused_by_name() {
    let folder = Folder::new();
    let file = Tiff::new(vec![0, 1, 2, 3]).tag(Tag::Compression, &[5]);
    let said = read(&folder.tiff(&file)).unwrap_err().to_string();
    assert!(said.contains("before TIFF 6.0") && said.contains("gdal_translate"), "{said}");
}

#[test]
fn windows_of_tiles_are_parts_of_the_whole() {
    let folder = Folder::new();
    let packed = tiles(3, number).iter().map(|tile| deflate(&little(&horizontal(tile, 3)))).collect();
    let file =
        tiled(8, 16, 3, packed).tag(Tag::Predictor, &[2]).value(Tag::GdalNodata, Value::Text("137".into()));
    let path = folder.tiff(&file);
    let whole = read(&path).unwrap();
    let mut tiff = GeoTiff::open(&path, &Limits::default()).unwrap();
    for (left, top) in [(0, 0), (3, 2), (9, 9), (12, 8), (15, 11)] {
        let window = tiff.window(left, top, 5, 4).unwrap();
        for (at, value) in window.iter().enumerate() {
            let [band, y, x] = [at / 20, top + at / 5 % 4, left + at % 5];
            let inside = x < WIDTH && y < HEIGHT;
            let wanted = if inside { whole.band(band)[y * WIDTH + x] } else { f32::NAN };
            assert!(*value == wanted || (value.is_nan() && wanted.is_nan()), "band {band}, {x}, {y}");
        }
    }
    assert!(whole.data.iter().any(|value| value.is_nan()), "137 marks missing data");
}
