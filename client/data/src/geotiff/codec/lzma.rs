//! LZMA in the XZ format, as libtiff writes it.

use lzma_rust2::XzReader;

use super::fill_from;

/// Most memory of a decoder in KiB. libtiff's highest preset asks for 64 MiB and a little more.
const MOST_KIB: u32 = 80 << 10;

pub(super) fn unpack(packed: &[u8], into: &mut [u8]) -> Result<(), String> {
    let stream = XzReader::new_mem_limit(packed, false, MOST_KIB);
    fill_from(stream, into).map_err(|error| format!("its XZ stream: {error}"))
}
