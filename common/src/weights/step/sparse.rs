//! The values that `top-k` and `top-k-bf16` keep: which ones, and where they are. Pure.

use std::cmp::Reverse;

/// The positions of the values with the largest magnitudes, ascending. Of equal ones, the first count.
pub(super) fn largest(step: &[f64], kept: usize) -> Vec<u32> {
    let order = |position: &u32| {
        let magnitude = step[*position as usize].abs();
        (Reverse(magnitude.to_bits()), *position)
    };
    let mut positions: Vec<u32> = (0..step.len() as u32).collect();
    if kept < positions.len() && kept > 0 {
        positions.select_nth_unstable_by_key(kept - 1, order);
    }
    positions.truncate(kept);
    positions.sort_unstable();
    positions
}

/// The mask of these positions among `length`.
pub(super) fn mask_of(positions: &[u32], length: usize) -> Vec<u8> {
    let mut mask = vec![0; length.div_ceil(8)];
    for position in positions {
        mask[*position as usize / 8] |= 1 << (position % 8);
    }
    mask
}

/// The positions of the bits that are set in a mask, or in a part of one that begins with a whole byte, ascending.
pub fn positions_in(mask: &[u8]) -> impl Iterator<Item = usize> {
    mask.iter().enumerate().flat_map(|(at, byte)| {
        let mut left = *byte;
        std::iter::from_fn(move || {
            let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(8 * at + bit)
        })
    })
}

/// Checks that a mask of `length` positions has `kept` of them and no other bits.
///
/// # Errors
/// A sentence with the rule and what was found.
pub fn check_mask(mask: &[u8], kept: usize, length: usize) -> Result<(), String> {
    let of_last = length % 8;
    if let Some(last) = mask.last().filter(|last| of_last > 0 && **last >> of_last != 0) {
        let beyond = last & (u8::MAX << of_last);
        return Err(format!(
            "the mask must have no bits beyond position {}, found {beyond:#010b} in its last byte",
            length - 1
        ));
    }
    let found: usize = mask.iter().map(|byte| byte.count_ones() as usize).sum();
    if found != kept {
        return Err(format!("the mask must have {kept} bits, found {found}"));
    }
    Ok(())
}

/// The step of `length` values that has these at these positions, and 0 elsewhere.
pub(super) fn spread(
    positions: impl Iterator<Item = usize>,
    values: impl Iterator<Item = f64>,
    length: usize,
) -> Result<Vec<f64>, String> {
    let mut steps = vec![0.0; length];
    let mut least = 0;
    for (index, (position, value)) in positions.zip(values).enumerate() {
        if !(least..length).contains(&position) {
            return Err(format!(
                "position {index} must be above the one before it and below {length}, found {position}"
            ));
        }
        if !value.is_finite() {
            return Err(format!("value {index} must be finite, found {value}"));
        }
        steps[position] = value;
        least = position + 1;
    }
    Ok(steps)
}
