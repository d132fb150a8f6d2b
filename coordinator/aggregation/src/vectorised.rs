//! Loops that the compiler makes of the processor's widest vectors, whichever it has at run time. Each gives
//! the same bits on every processor: no operation is fused or put into another order.

use pulp::{Arch, NullaryFnOnce};

/// The bits of a 32-bit float's exponent. All are set in infinities and NaN only.
const EXPONENT: u32 = 0x7f80_0000;

/// Runs a loop with the vectors of this processor.
pub(crate) fn with_vectors<R>(work: impl NullaryFnOnce<Output = R>) -> R {
    Arch::new().dispatch(work)
}

/// Turns values as they are in a file into values of this machine.
pub(crate) fn from_little_endian(values: &mut [f32]) {
    if cfg!(target_endian = "big") {
        for value in values {
            *value = f32::from_bits(value.to_bits().swap_bytes());
        }
    }
}

/// The index of the first infinity or NaN.
pub(crate) fn first_not_finite(values: &[f32]) -> Option<usize> {
    // No early end of the loop: most often there is none, and so it is a loop of vectors.
    let any = with_vectors(|| {
        values.iter().fold(false, |any, value| any | (value.to_bits() & EXPONENT == EXPONENT))
    });
    any.then(|| values.iter().position(|value| !value.is_finite())).flatten()
}

/// Adds `weight * values` to `sums`, each product rounded to an f64 before it is added.
pub(crate) fn add_weighted(sums: &mut [f64], weight: f64, values: &[f32]) {
    with_vectors(|| {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += weight * f64::from(*value);
        }
    });
}

/// Divides `sums` by `total`.
pub(crate) fn divide(sums: &mut [f64], total: f64) {
    with_vectors(|| {
        for sum in sums {
            *sum /= total;
        }
    });
}

/// Rounds each value to an f32.
pub(crate) fn round(values: &[f64], rounded: &mut [f32]) {
    with_vectors(|| {
        for (rounded, value) in rounded.iter_mut().zip(values) {
            *rounded = *value as f32;
        }
    });
}
