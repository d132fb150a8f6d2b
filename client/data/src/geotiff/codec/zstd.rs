//! Zstandard (RFC 8878).

use zstd::bulk::decompress_to_buffer;
use zstd::stream::read::Decoder;

use super::{fill_from, short};

/// The largest window of a stream that unpacks to more than it should: 8 MiB, as the RFC recommends to support.
const WINDOW_LOG: u32 = 23;
/// The start of the message of too little room (`ZSTD_error_dstSize_tooSmall`).
const NO_ROOM: &str = "Destination buffer is too small";

/// How many bytes of `into` were filled, which may be fewer than all.
pub(super) fn unpack_some(packed: &[u8], into: &mut [u8]) -> Result<usize, String> {
    match decompress_to_buffer(packed, into) {
        Ok(found) => Ok(found),
        Err(error) if error.to_string().starts_with(NO_ROOM) => {
            let mut stream = Decoder::with_buffer(packed).map_err(|error| error.to_string())?;
            stream.window_log_max(WINDOW_LOG).map_err(|error| error.to_string())?;
            fill_from(stream, into).map(|()| into.len())
        }
        Err(error) => Err(format!("its ZSTD stream is damaged: {error}")),
    }
}

pub(super) fn unpack(packed: &[u8], into: &mut [u8]) -> Result<(), String> {
    match unpack_some(packed, into)? {
        found if found == into.len() => Ok(()),
        found => Err(short(into, found)),
    }
}
