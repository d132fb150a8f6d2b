//! Encoding and decoding the step of one tensor. Pure.

use half::bf16;

use super::sparse::{check_mask, largest, mask_of, positions_in, spread};
use crate::weights::{BLOCK, LIMIT, StepCode, is_variance};

/// A weight after a step, in the arithmetic of every program.
#[must_use]
pub fn moved(base: f32, step: f64, tensor: &str) -> f32 {
    let weight = (f64::from(base) + step) as f32;
    if is_variance(tensor) { weight.max(0.0) } else { weight }
}

/// The step of a value of `bf16`, little-endian.
#[must_use]
pub fn step_of_bf16(bytes: [u8; 2]) -> f64 {
    f64::from(bf16::from_le_bytes(bytes))
}

/// The step of a value of `int8`.
#[must_use]
pub fn step_of_int8(value: i8, scale: f32) -> f64 {
    f64::from(value) * f64::from(scale)
}

impl StepCode {
    /// Encodes a step: the bytes of each tensor that holds it, in the order of [`StepCode::parts`].
    pub(super) fn encode(self, step: &[f64]) -> Vec<Vec<u8>> {
        match self {
            Self::Bf16 => vec![step.iter().flat_map(|value| nearest_bf16(*value).to_le_bytes()).collect()],
            Self::Int8 => {
                let scales: Vec<f32> = step.chunks(BLOCK).map(scale).collect();
                let quantise = |(block, scale): (&[f64], &f32)| {
                    block.iter().map(|value| quantised(*value, *scale) as u8).collect::<Vec<_>>()
                };
                vec![
                    step.chunks(BLOCK).zip(&scales).flat_map(quantise).collect(),
                    scales.iter().flat_map(|scale| scale.to_le_bytes()).collect(),
                ]
            }
            Self::TopK { .. } => {
                let positions = largest(step, self.kept(step.len()));
                let value = |position: &u32| finite(step[*position as usize]).to_le_bytes();
                vec![
                    positions.iter().flat_map(|position| position.to_le_bytes()).collect(),
                    positions.iter().flat_map(value).collect(),
                ]
            }
            Self::TopKBf16 { .. } => {
                let positions = largest(step, self.kept(step.len()));
                let value = |position: &u32| nearest_bf16(step[*position as usize]).to_le_bytes();
                vec![mask_of(&positions, step.len()), positions.iter().flat_map(value).collect()]
            }
        }
    }

    /// The step that these bytes hold, of `length` values.
    ///
    /// # Errors
    /// A sentence about the first value that the encoding does not have.
    pub(super) fn decode(self, parts: &[&[u8]], length: usize) -> Result<Vec<f64>, String> {
        match (self, parts) {
            (Self::Bf16, [values]) => {
                let steps: Vec<f64> = values.as_chunks().0.iter().map(|bytes| step_of_bf16(*bytes)).collect();
                all_finite(steps, "value")
            }
            (Self::Int8, [values, scales]) => {
                let scales: Vec<f32> = scales.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
                for (block, scale) in scales.iter().enumerate() {
                    if !(scale.is_finite() && *scale >= 0.0) {
                        return Err(format!(
                            "the scale of block {block} must be finite and at least 0, found {scale}"
                        ));
                    }
                }
                let mut steps = Vec::with_capacity(length);
                for (position, value) in values.iter().enumerate() {
                    let value = value.cast_signed();
                    if value < -LIMIT {
                        return Err(format!("value {position} must be at least -{LIMIT}, found {value}"));
                    }
                    steps.push(step_of_int8(value, scales[position / BLOCK]));
                }
                Ok(steps)
            }
            (Self::TopK { .. }, [positions, values]) => {
                let positions =
                    positions.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes) as usize);
                let values = values.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes)));
                spread(positions, values, length)
            }
            (Self::TopKBf16 { .. }, [mask, values]) => {
                check_mask(mask, self.kept(length), length)?;
                spread(
                    positions_in(mask),
                    values.as_chunks().0.iter().map(|bytes| step_of_bf16(*bytes)),
                    length,
                )
            }
            _ => unreachable!("callers give the parts of this code"),
        }
    }
}

fn all_finite(steps: Vec<f64>, what: &str) -> Result<Vec<f64>, String> {
    match steps.iter().enumerate().find(|(_, step)| !step.is_finite()) {
        Some((position, step)) => Err(format!("{what} {position} must be finite, found {step}")),
        None => Ok(steps),
    }
}

/// The nearest 32-bit float that is finite.
fn finite(value: f64) -> f32 {
    (value as f32).clamp(f32::MIN, f32::MAX)
}

fn nearest_bf16(value: f64) -> bf16 {
    bf16::from_f64(value).clamp(bf16::MIN, bf16::MAX)
}

/// The scale of a block: its largest magnitude becomes [`LIMIT`].
fn scale(block: &[f64]) -> f32 {
    let most = block.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    finite(most / f64::from(LIMIT))
}

fn quantised(value: f64, scale: f32) -> i8 {
    if scale == 0.0 {
        return 0;
    }
    (value / f64::from(scale)).round_ties_even().clamp(-f64::from(LIMIT), f64::from(LIMIT)) as i8
}
