//! LZMA in the XZ format, as libtiff writes it.

use lzma_rust2::XzReader;

use super::fill_from;

/// Most memory of a decoder in KiB. libtiff's highest preset asks for 64 MiB and a little more.
const MOST_KIB: u64 = 80 << 10;

pub(super) fn unpack(packed: &[u8], into: &mut [u8], most: u64) -> Result<(), String> {
    let most = (most >> 10).min(MOST_KIB) as u32;
    let stream = XzReader::new_mem_limit(packed, false, most);
    fill_from(stream, into).map_err(|error| format!("its XZ stream: {error}"))
}
