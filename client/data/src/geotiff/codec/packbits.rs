//! PackBits (TIFF 6.0, section 9).

use super::short;

pub(super) fn unpack(packed: &[u8], into: &mut [u8]) -> Result<(), String> {
    let mut rest = packed;
    let mut filled = 0;
    while filled < into.len() {
        let Some((length, after)) = rest.split_first() else { return Err(short(into, filled)) };
        let room = into.len() - filled;
        rest = match *length {
            128 => after,
            copied @ 0..128 => {
                let count = usize::from(copied) + 1;
                let Some((bytes, after)) = after.split_at_checked(count) else {
                    return Err(short(into, filled));
                };
                let taken = count.min(room);
                into[filled..filled + taken].copy_from_slice(&bytes[..taken]);
                filled += taken;
                after
            }
            repeated => {
                let Some((byte, after)) = after.split_first() else { return Err(short(into, filled)) };
                let taken = (257 - usize::from(repeated)).min(room);
                into[filled..filled + taken].fill(*byte);
                filled += taken;
                after
            }
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Apple's technical note 1023.
    #[test]
    fn the_published_example_is_unpacked_and_no_part_of_it_suffices() {
        let packed =
            [0xfe, 0xaa, 0x02, 0x80, 0x00, 0x2a, 0xfd, 0xaa, 0x03, 0x80, 0x00, 0x2a, 0x22, 0xf7, 0xaa];
        let wanted = [
            0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0xaa, 0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0x22, 0xaa, 0xaa,
            0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
        ];
        let mut found = [0; 24];
        unpack(&packed, &mut found).unwrap();
        assert_eq!(found, wanted);
        for length in 0..packed.len() {
            assert!(unpack(&packed[..length], &mut found).is_err(), "{length} bytes");
        }
        let mut fewer = [0; 20];
        unpack(&packed, &mut fewer).unwrap();
        assert_eq!(fewer, wanted[..20]);
    }
}
