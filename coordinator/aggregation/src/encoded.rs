//! An update that was sent as an encoded step, read as the weights that follow from it. It is decoded where it is
//! read: the file stays as small as it was sent, and no second one is kept.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eosfed_common::weights::{
    BLOCK, PartOffsets, Signature, StepCode, StepFile, WeightsError, check_mask, moved, positions_in,
    step_of_bf16, step_of_int8,
};

use crate::plain::PlainReader;
use crate::span::{PIECE, Span};
use crate::vectorised::Stored;

/// A file of a step, and the weights that it starts from.
#[derive(Debug)]
pub(crate) struct EncodedReader {
    pub(crate) path: PathBuf,
    file: File,
    code: StepCode,
    base: Arc<PlainReader>,
    /// In the order of the signature.
    tensors: Vec<EncodedTensor>,
}

#[derive(Debug)]
struct EncodedTensor {
    name: String,
    offsets: PartOffsets,
    /// Of `top-k` and `top-k-bf16`: how many of the values that are kept lie before each multiple of [`PIECE`], and
    /// their number at the end.
    before: Vec<usize>,
}

impl EncodedTensor {
    /// The values that are kept in the pieces of a span: the first one's place, and their number.
    fn kept(&self, span: Span) -> (usize, usize) {
        let from = self.before[span.start / PIECE];
        (from, self.before[(span.start + span.length).div_ceil(PIECE)] - from)
    }
}

impl EncodedReader {
    /// Opens a file that was checked before against the same base.
    pub(crate) fn open(
        path: &Path,
        signature: &Signature,
        code: StepCode,
        base: Arc<PlainReader>,
    ) -> Result<Self, WeightsError> {
        let mapped = StepFile::open(path, code)?;
        let layout = mapped.check_layout(signature)?;
        let tensor = |(name, offsets): (String, PartOffsets)| {
            let length = signature.0[&name].iter().product();
            let part = |bytes: usize| &mapped.bytes()[offsets[0]..][..bytes];
            let before = match code {
                StepCode::TopK { .. } => places(part(4 * code.kept(length)).as_chunks().0, length),
                StepCode::TopKBf16 { .. } => {
                    let mask = part(length.div_ceil(8));
                    // Values are read by these counts, so they must be those of the file on a damaged disk too.
                    check_mask(mask, code.kept(length), length).map_err(|reason| {
                        let (path, tensor) = (path.to_owned(), name.clone());
                        WeightsError::Step { path, tensor, reason }
                    })?;
                    places_in(mask)
                }
                StepCode::Bf16 | StepCode::Int8 => Vec::new(),
            };
            Ok::<_, WeightsError>(EncodedTensor { name, offsets, before })
        };
        let tensors = layout.into_iter().map(tensor).collect::<Result<_, _>>()?;
        let file = File::open(path).map_err(|source| WeightsError::Io { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file, code, base, tensors })
    }

    /// Reads the weights of a span; gives the name of its tensor. They may be not finite, if the disk has damaged
    /// the file.
    pub(crate) fn read(&self, span: Span, values: &mut [Stored]) -> Result<&str, WeightsError> {
        self.base.read(span, values)?;
        let tensor = &self.tensors[span.tensor];
        let Span { start, length, .. } = span;
        let part = |index: usize, from: usize, bytes: usize| {
            let mut read = vec![0; bytes];
            self.file
                .read_exact_at(&mut read, (tensor.offsets[index] + from) as u64)
                .map_err(|source| WeightsError::Io { path: self.path.clone(), source })?;
            Ok::<_, WeightsError>(read)
        };
        let add = |value: &mut Stored, step: f64| {
            *value = moved(f32::from_le_bytes(*value), step, &tensor.name).to_le_bytes();
        };
        match self.code {
            StepCode::Bf16 => {
                let steps = part(0, 2 * start, 2 * length)?;
                values
                    .iter_mut()
                    .zip(steps.as_chunks().0)
                    .for_each(|(value, step)| add(value, step_of_bf16(*step)));
            }
            StepCode::Int8 => {
                let steps = part(0, start, length)?;
                let first = start / BLOCK;
                let scales = part(1, 4 * first, 4 * ((start + length).div_ceil(BLOCK) - first))?;
                let scales: Vec<f32> =
                    scales.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
                for (index, (value, step)) in values.iter_mut().zip(&steps).enumerate() {
                    let scale = scales[(start + index) / BLOCK - first];
                    add(value, step_of_int8(step.cast_signed(), scale));
                }
            }
            StepCode::TopK { .. } => {
                let (from, kept) = tensor.kept(span);
                let (positions, steps) = (part(0, 4 * from, 4 * kept)?, part(1, 4 * from, 4 * kept)?);
                let positions =
                    positions.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes) as usize);
                let steps = steps.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes)));
                spread(
                    values,
                    positions.zip(steps).map(|(position, step)| (position.wrapping_sub(start), step)),
                    add,
                );
            }
            StepCode::TopKBf16 { .. } => {
                let (from, kept) = tensor.kept(span);
                let first = start / PIECE * PIECE;
                let mask = part(0, first / 8, (start + length).div_ceil(8) - first / 8)?;
                let steps = part(1, 2 * from, 2 * kept)?;
                let positions = positions_in(&mask).map(|position| (first + position).wrapping_sub(start));
                spread(
                    values,
                    positions.zip(steps.as_chunks().0.iter().map(|bytes| step_of_bf16(*bytes))),
                    add,
                );
            }
        }
        Ok(&tensor.name)
    }
}

/// For each multiple of [`PIECE`] up to `length`, the number of positions below it.
fn places(positions: &[[u8; 4]], length: usize) -> Vec<usize> {
    let below =
        |end: usize| positions.partition_point(|position| (u32::from_le_bytes(*position) as usize) < end);
    (0..=length.div_ceil(PIECE)).map(|piece| below(piece * PIECE)).collect()
}

/// The same for a mask, of which a piece has whole bytes.
fn places_in(mask: &[u8]) -> Vec<usize> {
    let counts =
        mask.chunks(PIECE / 8).map(|piece| piece.iter().map(|byte| byte.count_ones() as usize).sum());
    let mut before = vec![0];
    before.extend(counts.scan(0, |sum, count: usize| {
        *sum += count;
        Some(*sum)
    }));
    before
}

/// Adds steps to the values at their positions; what lies outside is of another span.
fn spread(values: &mut [Stored], steps: impl Iterator<Item = (usize, f64)>, add: impl Fn(&mut Stored, f64)) {
    for (position, step) in steps {
        if let Some(value) = values.get_mut(position) {
            add(value, step);
        }
    }
    // The others move by nothing, which makes negative variances of a base 0 too.
    values.iter_mut().for_each(|value| add(value, 0.0));
}
