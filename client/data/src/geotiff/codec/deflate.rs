//! DEFLATE in the zlib format (RFC 1950 and 1951).

use flate2::read::ZlibDecoder;
use libdeflater::{DecompressionError, Decompressor};

use super::{fill_from, short};

/// How many bytes of `into` were filled, which may be fewer than all.
pub(super) fn unpack_some(packed: &[u8], into: &mut [u8]) -> Result<usize, String> {
    match Decompressor::new().zlib_decompress(packed, into) {
        Ok(found) => Ok(found),
        Err(DecompressionError::BadData) => {
            Err("its deflate stream is cut short or damaged, or fails its checksum".to_owned())
        }
        Err(DecompressionError::InsufficientSpace) => {
            fill_from(ZlibDecoder::new(packed), into).map(|()| into.len())
        }
    }
}

pub(super) fn unpack(packed: &[u8], into: &mut [u8]) -> Result<(), String> {
    match unpack_some(packed, into)? {
        found if found == into.len() => Ok(()),
        found => Err(short(into, found)),
    }
}
