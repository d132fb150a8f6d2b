//! Changes to valid inputs of the kinds that break parsers. The same generator gives the same change.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// Longest input.
const MOST: usize = 64 << 10;
/// Values at which lengths and counts go wrong.
const EDGES: [u64; 14] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x10_0000,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 40,
    i64::MAX as u64,
    u64::MAX,
];
/// Pieces of text at which people's formats go wrong.
const WORDS: [&str; 22] = [
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "=",
    ":",
    ",",
    "\n",
    "\0",
    "\\u0000",
    "\u{202e}",
    "é",
    "null",
    "-1",
    "0",
    "1e400",
    "nan",
    "99999999999999999999",
    "4294967296",
    "../",
];

/// An input made from `seeds`.
pub(crate) fn mutated(seeds: &[Vec<u8>], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = seeds[rng.random_range(0..seeds.len())].clone();
    for _ in 0..1 << rng.random_range(0..4) {
        change(&mut bytes, seeds, rng);
        bytes.truncate(MOST);
    }
    if bytes.starts_with(b"\x89PNG") && rng.random_bool(0.7) {
        fix_checksums(&mut bytes);
    }
    bytes
}

/// A stretch of `bytes`.
fn stretch(bytes: &[u8], rng: &mut ChaCha8Rng) -> std::ops::Range<usize> {
    if bytes.is_empty() {
        return 0..0;
    }
    let start = rng.random_range(0..bytes.len());
    let most = (bytes.len() - start).min(if rng.random_bool(0.8) { 32 } else { MOST });
    start..start + rng.random_range(0..=most)
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], rng: &mut ChaCha8Rng) {
    let at = rng.random_range(0..=bytes.len());
    match rng.random_range(0..12) {
        0 | 1 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
        2 if at < bytes.len() => bytes[at] = rng.random(),
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(stretch(bytes, rng))),
        // A stretch again and again.
        5 => {
            let piece = bytes[stretch(bytes, rng)].to_vec();
            let times = 1 << rng.random_range(0..12);
            let room = (MOST - bytes.len().min(MOST)) / piece.len().max(1);
            let many = piece.repeat(times.min(room));
            bytes.splice(at..at, many);
        }
        // The end, or a stretch, of another input.
        6 => {
            let other = &seeds[rng.random_range(0..seeds.len())];
            bytes.truncate(at);
            bytes.extend_from_slice(&other[rng.random_range(0..=other.len())..]);
        }
        7 => {
            let other = &seeds[rng.random_range(0..seeds.len())];
            let piece = other[stretch(other, rng)].to_vec();
            bytes.splice(at..at, piece);
        }
        8 | 9 => length(bytes, at, rng),
        10 => decimal(bytes, at, rng),
        _ => {
            let word = WORDS[rng.random_range(0..WORDS.len())];
            let times = if rng.random_bool(0.05) { 3000 } else { 1 };
            bytes.splice(at..at, word.repeat(times).into_bytes());
        }
    }
}

/// Writes an edge value, or one near the input's own length, as a number of 1 to 8 bytes.
fn length(bytes: &mut [u8], at: usize, rng: &mut ChaCha8Rng) {
    let value = if rng.random_bool(0.2) {
        (bytes.len() as u64).wrapping_add_signed(rng.random_range(-9..=9))
    } else {
        EDGES[rng.random_range(0..EDGES.len())]
    };
    let width = 1 << rng.random_range(0..4);
    let at = if rng.random_bool(0.5) { at & !1 } else { at };
    let Some(field) = bytes.get_mut(at..at + width) else { return };
    if rng.random_bool(0.5) {
        field.copy_from_slice(&value.to_le_bytes()[..width]);
    } else {
        field.copy_from_slice(&value.to_be_bytes()[8 - width..]);
    }
}

/// Puts another number in the place of the next one in a text.
fn decimal(bytes: &mut Vec<u8>, at: usize, rng: &mut ChaCha8Rng) {
    let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|found| at + found) else { return };
    let end = bytes[start..]
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .map_or(bytes.len(), |found| start + found);
    let value = EDGES[rng.random_range(0..EDGES.len())];
    bytes.splice(start..end, value.to_string().into_bytes());
}

/// Makes the chunks of a PNG file fit their checksums again, or changes would get no further than these.
fn fix_checksums(bytes: &mut [u8]) {
    let mut at = 8;
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(end) = (at + 8).checked_add(length).filter(|end| end + 4 <= bytes.len()) else { return };
        let mut sum = flate2::Crc::new();
        sum.update(&bytes[at + 4..end]);
        bytes[end..end + 4].copy_from_slice(&sum.sum().to_be_bytes());
        at = end + 4;
    }
}
