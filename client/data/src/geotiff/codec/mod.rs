//! What strips and tiles are compressed with. Each decoder fills memory of a known size, and allocates no more than
//! a small multiple of that, whatever its input says.

mod ccitt;
mod deflate;
mod lerc;
mod lzma;
mod lzw;
mod packbits;
mod webp;
mod zstd;

pub(super) use lerc::lerc;

use super::formats::Codec;

/// Width, height and bands of a strip or tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) samples: usize,
}

/// Fills `into` with what `packed` unpacks to. `most` bounds the memory of a decoder whose input says how much it
/// needs.
///
/// # Errors
/// If it is damaged or unpacks to too little.
pub(super) fn unpack(
    codec: Codec,
    packed: &[u8],
    into: &mut [u8],
    shape: Shape,
    most: u64,
) -> Result<(), String> {
    match codec {
        Codec::Lzw => lzw::unpack(packed, into),
        Codec::Deflate => deflate::unpack(packed, into),
        Codec::PackBits => packbits::unpack(packed, into),
        Codec::Zstd => zstd::unpack(packed, into),
        Codec::Lzma => lzma::unpack(packed, into, most),
        Codec::WebP => webp::unpack(packed, into, shape),
        Codec::Ccitt(coding) => ccitt::unpack(coding, packed, into, shape),
        // Read elsewhere: they give numbers, not bytes.
        Codec::None | Codec::Jpeg | Codec::Lerc => Err("it is not compressed bytes".to_owned()),
    }
}

/// The error of too little.
fn short(into: &[u8], found: usize) -> String {
    format!("it must unpack to {} bytes, found `{found}`; it is damaged", into.len())
}

/// Fills `into` from a stream, and reads on to its end, so that checksums count. Some writers fill up the last strip:
/// twice the bytes are allowed.
fn fill_from(mut stream: impl std::io::Read, into: &mut [u8]) -> Result<(), String> {
    let mut filled = 0;
    while filled < into.len() {
        match stream.read(&mut into[filled..]).map_err(|error| error.to_string())? {
            0 => return Err(short(into, filled)),
            more => filled += more,
        }
    }
    let allowed = into.len() as u64 + (64 << 10);
    let mut rest = [0; 4096];
    let mut more = 0;
    loop {
        match stream.read(&mut rest).map_err(|error| error.to_string())? {
            0 => return Ok(()),
            found => more += found as u64,
        }
        if more > allowed {
            return Err(format!("it must unpack to {} bytes, found more than twice that", into.len()));
        }
    }
}
