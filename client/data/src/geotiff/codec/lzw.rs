//! LZW (TIFF 6.0, section 13).

use weezl::decode::Configuration;
use weezl::{BitOrder, LzwStatus};

use super::short;

pub(super) fn unpack(packed: &[u8], into: &mut [u8]) -> Result<(), String> {
    if let [0, second, ..] = packed
        && second & 1 == 1
    {
        return Err("its LZW codes are written lowest bit first, as before TIFF 6.0".to_owned());
    }
    // The end marker may be missing, and so may the room for what follows the last pixel.
    let mut decoder =
        Configuration::with_tiff_size_switch(BitOrder::Msb, 8).with_yield_on_full_buffer(true).build();
    let mut read = 0;
    let mut filled = 0;
    while filled < into.len() {
        let found = decoder.decode_bytes(&packed[read..], &mut into[filled..]);
        read += found.consumed_in;
        filled += found.consumed_out;
        match found.status {
            Ok(LzwStatus::Ok) if found.consumed_in + found.consumed_out > 0 => {}
            Ok(_) => break,
            Err(error) => return Err(error.to_string()),
        }
    }
    if filled < into.len() {
        return Err(short(into, filled));
    }
    Ok(())
}
