//! Undoes the differences that some files store instead of numbers (TIFF 6.0, section 14, and Adobe's technical
//! note 3 for floats).

use super::formats::Predictor;

/// Undoes the differences within each row of `row` pixels of `samples` numbers of `wide` bytes, which are in this
/// machine's byte order; those of floats are planes of bytes, the highest first.
pub(super) fn undo(predictor: Predictor, bytes: &mut [u8], row: usize, samples: usize, wide: usize) {
    match predictor {
        Predictor::None => {}
        Predictor::Horizontal => match wide {
            1 => rows(bytes, row * samples, samples),
            2 => rows(bytemuck::cast_slice_mut::<u8, u16>(bytes), row * samples, samples),
            4 => rows(bytemuck::cast_slice_mut::<u8, u32>(bytes), row * samples, samples),
            _ => rows(bytemuck::cast_slice_mut::<u8, u64>(bytes), row * samples, samples),
        },
        Predictor::Float => {
            let mut planes = Vec::new();
            for row in bytes.chunks_exact_mut(row * samples * wide) {
                sum(row, samples);
                planes.clear();
                planes.extend_from_slice(row);
                join(&planes, row, wide);
            }
        }
    }
}

/// A number that is added without overflow.
trait Wrapping: Copy + Default {
    fn add(self, other: Self) -> Self;
}

macro_rules! wrapping {
    ($($kind:ty),*) => {
        $(impl Wrapping for $kind {
            fn add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
        })*
    };
}
wrapping!(u8, u16, u32, u64);

fn rows<T: Wrapping>(values: &mut [T], row: usize, samples: usize) {
    values.chunks_exact_mut(row).for_each(|row| sum(row, samples));
}

fn sum<T: Wrapping>(row: &mut [T], samples: usize) {
    // The most frequent numbers of bands keep their sums in registers.
    match samples {
        1 => sum_of::<T, 1>(row),
        3 => sum_of::<T, 3>(row),
        4 => sum_of::<T, 4>(row),
        _ => (samples..row.len()).for_each(|at| row[at] = row[at].add(row[at - samples])),
    }
}

fn sum_of<T: Wrapping, const SAMPLES: usize>(row: &mut [T]) {
    let mut sums = [T::default(); SAMPLES];
    for pixel in row.as_chunks_mut::<SAMPLES>().0 {
        for (value, sum) in pixel.iter_mut().zip(&mut sums) {
            *sum = sum.add(*value);
            *value = *sum;
        }
    }
}

/// Makes numbers of planes of bytes.
fn join(planes: &[u8], row: &mut [u8], wide: usize) {
    let count = row.len() / wide;
    for (at, number) in row.chunks_exact_mut(wide).enumerate() {
        for (plane, byte) in number.iter_mut().rev().enumerate() {
            *byte = planes[plane * count + at];
        }
        if cfg!(target_endian = "big") {
            number.reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differences<T: Copy>(values: &[T], row: usize, samples: usize, minus: impl Fn(T, T) -> T) -> Vec<T> {
        let previous = |at: usize| (at % row >= samples).then(|| values[at - samples]);
        values.iter().enumerate().map(|(at, v)| previous(at).map_or(*v, |p| minus(*v, p))).collect()
    }

    #[test]
    fn horizontal_differences_of_every_width_and_number_of_bands_are_undone() {
        for samples in [1, 2, 3, 4, 5] {
            let row = 7 * samples;
            let numbers: Vec<u64> =
                (0..3 * row as u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
            macro_rules! check {
                ($kind:ty) => {
                    let values: Vec<$kind> = numbers.iter().map(|v| *v as $kind).collect();
                    let mut found = differences(&values, row, samples, |a: $kind, b| a.wrapping_sub(b));
                    let wide = size_of::<$kind>();
                    undo(Predictor::Horizontal, bytemuck::cast_slice_mut(&mut found), 7, samples, wide);
                    assert_eq!(found, values, "{samples} bands of {wide} bytes");
                };
            }
            check!(u8);
            check!(u16);
            check!(u32);
            check!(u64);
        }
    }

    #[test]
    fn differences_of_planes_of_floats_are_undone() {
        for samples in [1, 3] {
            let row = 5 * samples;
            let values: Vec<f32> = (0..2 * row).map(|at| (at as f32 * 0.37).sin() * 1e3).collect();
            let mut stored = Vec::new();
            for row in values.chunks_exact(row) {
                let plane = |byte: usize| row.iter().map(move |v| v.to_be_bytes()[byte]);
                let planes: Vec<u8> = (0..4).flat_map(plane).collect();
                stored.extend(differences(&planes, planes.len(), samples, u8::wrapping_sub));
            }
            undo(Predictor::Float, &mut stored, 5, samples, 4);
            let found: Vec<f32> = bytemuck::pod_collect_to_vec(&stored);
            assert_eq!(found, values, "{samples} bands");
        }
    }
}
