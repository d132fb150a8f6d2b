//! Loops that the compiler makes of the processor's widest vectors, whichever it has at run time. Each gives
//! the same bits on every processor: no operation is fused or put into another order.

use pulp::{Arch, NullaryFnOnce};

/// The bits of a 32-bit float's exponent. All are set in infinities and NaN only.
const EXPONENT: u32 = 0x7f80_0000;

/// Runs a loop with the vectors of this processor. The loop has to be inlined into the function that the compiler makes for
/// them: what is not keeps the instructions that every processor has. So is each function that it calls
/// `#[inline(always)]`.
macro_rules! with_vectors {
    ($work:expr) => {{
        let once = $crate::vectorised::Once;
        $crate::vectorised::dispatch(
            #[inline(always)]
            || {
                once.call();
                $work
            },
        )
    }};
}
pub(crate) use with_vectors;

/// A value that is used up, so that a closure can be called once only. Others are called through a function of the
/// compiler's own, which it need not inline.
pub(crate) struct Once;

impl Once {
    #[inline(always)]
    pub(crate) fn call(self) {}
}

/// What [`with_vectors`] calls.
#[inline(always)]
pub(crate) fn dispatch<R>(work: impl NullaryFnOnce<Output = R>) -> R {
    Arch::new().dispatch(work)
}

/// A 32-bit float as it is stored: little-endian, at any address.
pub(crate) type Stored = [u8; 4];

/// A stored value.
#[inline(always)]
pub(crate) fn value(stored: Stored) -> f64 {
    f64::from(f32::from_le_bytes(stored))
}

/// The index of the first infinity or NaN.
pub(crate) fn first_not_finite(values: &[Stored]) -> Option<usize> {
    // No early end of the loop: most often there is none, and so it is a loop of vectors.
    let any = with_vectors!({
        values.iter().fold(0, |any, value| any | u32::from(u32::from_le_bytes(*value) & EXPONENT == EXPONENT))
    });
    (any != 0).then(|| values.iter().position(|value| !f32::from_le_bytes(*value).is_finite())).flatten()
}

/// Rows that [`add_weighted`] takes at a time, so that sums are loaded and stored less often.
pub(crate) const ROWS: usize = 2;

/// Adds `weight * value` of one row after the other to `sums`, each product rounded to an f64 before it is
/// added.
pub(crate) fn add_weighted(sums: &mut [f64], rows: &[(&[Stored], f64)]) {
    with_vectors!({
        let (pairs, rest) = rows.as_chunks::<ROWS>();
        for [(first, a), (second, b)] in pairs {
            for ((sum, first), second) in sums.iter_mut().zip(*first).zip(*second) {
                *sum += a * value(*first);
                *sum += b * value(*second);
            }
        }
        for (row, weight) in rest {
            for (sum, stored) in sums.iter_mut().zip(*row) {
                *sum += weight * value(*stored);
            }
        }
    });
}

/// Divides `sums` by `total`.
pub(crate) fn divide(sums: &mut [f64], total: f64) {
    with_vectors!({
        for sum in sums {
            *sum /= total;
        }
    });
}

/// Rounds each value to an f32.
pub(crate) fn round(values: &[f64], rounded: &mut [f32]) {
    with_vectors!({
        for (rounded, value) in rounded.iter_mut().zip(values) {
            *rounded = *value as f32;
        }
    });
}
