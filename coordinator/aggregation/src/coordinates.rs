//! Rules for each coordinate separately: the median and the trimmed mean. Both are the mean of the values
//! that remain after `cut` values are removed at each end.

use eosfed_common::weights::WeightsError;

use crate::weights_reader::WeightsReader;

/// Coordinates that are sorted at a time. This number of values of every update is in memory.
const STRIPE: usize = 1 << 10;

pub(crate) fn piece(
    updates: &[&WeightsReader],
    cut: usize,
    name: &str,
    start: usize,
    combined: &mut [f64],
) -> Result<(), WeightsError> {
    let count = updates.len();
    let mut column = vec![0.0_f32; count];
    for (stripe, combined) in combined.chunks_mut(STRIPE).enumerate() {
        let mut rows = vec![vec![0.0_f32; combined.len()]; count];
        for (reader, row) in updates.iter().zip(&mut rows) {
            reader.read(name, start + stripe * STRIPE, row)?;
        }
        for (index, combined) in combined.iter_mut().enumerate() {
            for (value, row) in column.iter_mut().zip(&rows) {
                *value = row[index];
            }
            column.sort_unstable_by(f32::total_cmp);
            let kept = &column[cut..count - cut];
            *combined = kept.iter().map(|value| f64::from(*value)).sum::<f64>() / kept.len() as f64;
        }
    }
    Ok(())
}
