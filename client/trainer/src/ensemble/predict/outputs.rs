//! The outputs of a head for the pixels of windows.

use std::cell::Cell;

use eosfed_common::head::HeadFile;
use eosfed_common::model::Task;
use tch::{Device, Kind, Tensor};

use super::windows::Windows;
use crate::device::memory::contained;
use crate::ensemble::head_model::HeadModel;
use crate::parameters::to_vec;
use crate::train::resized;

/// A head that gives an output for each pixel of a window: the probability of each class, or a value in
/// the target's units. A head of patches gives all pixels of a window the same output.
pub(super) struct PixelOutputs<'a> {
    head: &'a HeadModel,
    windows: Windows,
    device: Device,
    /// Most windows in a forward pass; less where memory did not suffice.
    part: Cell<usize>,
}

impl<'a> PixelOutputs<'a> {
    pub(super) const fn new(head: &'a HeadModel, windows: Windows, device: Device) -> Self {
        Self { head, windows, device, part: Cell::new(windows.batch) }
    }

    /// Number of outputs per pixel.
    pub(super) fn channels(file: &HeadFile) -> usize {
        if file.target.is_some() { 1 } else { file.classes.len() }
    }

    /// Outputs `[channels, height, width]` of each window, whose values are
    /// `[dates * bands, height, width]` with NaN where there is no data. There, outputs are NaN too.
    pub(super) fn compute(&self, windows: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let size = self.windows.height * self.windows.width;
        let missing: Vec<Vec<bool>> = windows.iter().map(|values| without_data(values, size)).collect();
        let mut outputs = vec![vec![f32::NAN; size * Self::channels(&self.head.file)]; windows.len()];
        let has_data = |at: &usize| missing[*at].iter().any(|missing| !missing);
        let wanted: Vec<usize> = (0..windows.len()).filter(has_data).collect();
        if wanted.is_empty() {
            return outputs;
        }
        let found = in_parts(&self.part, &wanted, |part| {
            let images: Vec<Tensor> = part.iter().map(|at| self.image(&windows[*at])).collect();
            let found = self.forward(&Tensor::cat(&images, 0));
            (0..part.len() as i64).map(|row| to_vec(&found.get(row))).collect()
        });
        for (mut values, at) in found.into_iter().zip(wanted) {
            for (pixel, _) in missing[at].iter().enumerate().filter(|(_, missing)| **missing) {
                values.iter_mut().skip(pixel).step_by(size).for_each(|value| *value = f32::NAN);
            }
            outputs[at] = values;
        }
        outputs
    }

    /// `[1, dates * bands, height, width]`
    fn image(&self, values: &[f32]) -> Tensor {
        let Windows { height, width, .. } = self.windows;
        let channels = values.len() / (height * width);
        let shape = [1, channels, height, width].map(|n| n as i64);
        Tensor::from_slice(values).view(shape).to_device(self.device)
    }

    /// `[N, channels, height, width]`
    fn forward(&self, images: &Tensor) -> Tensor {
        let file = &self.head.file;
        let resized = match file.input_size {
            Some(side) => resized(images, [i64::from(side); 2], file.antialias),
            None => images.shallow_clone(),
        };
        let mut outputs = self.head.forward(&resized);
        if !file.task.is_dense() {
            outputs = outputs.unsqueeze(-1).unsqueeze(-1);
        }
        let size = [self.windows.height as i64, self.windows.width as i64];
        let outputs = outputs.upsample_bilinear2d(size, false, None, None);
        match &file.target {
            Some(target) => outputs * target.scale + target.offset,
            None if file.task == Task::Multilabel => outputs.to_kind(Kind::Float).sigmoid(),
            None => outputs.softmax(1, Kind::Float),
        }
    }
}

/// Does the work of all items, at most `part` at a time. Where memory does not suffice, that is halved, and
/// stays so.
fn in_parts<T>(part: &Cell<usize>, items: &[usize], work: impl Fn(&[usize]) -> Vec<T>) -> Vec<T> {
    let mut done: Vec<T> = Vec::with_capacity(items.len());
    while done.len() < items.len() {
        let rest = &items[done.len()..];
        let size = part.get().min(rest.len());
        match contained(|| work(&rest[..size])) {
            Ok(found) => done.extend(found),
            // With a single window, nothing is left to be tried.
            Err(problem) if size < 2 => problem.again(),
            Err(problem) => {
                part.set(size / 2);
                tracing::warn!(
                    windows = size / 2,
                    "{problem}. From here on, fewer windows are computed at once"
                );
            }
        }
    }
    done
}

/// For each pixel, whether any of its values is missing.
fn without_data(values: &[f32], size: usize) -> Vec<bool> {
    let mut missing = vec![false; size];
    for band in values.chunks_exact(size) {
        missing.iter_mut().zip(band).for_each(|(missing, value)| *missing |= !value.is_finite());
    }
    missing
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn where_memory_does_not_suffice_fewer_windows_are_computed_at_once() {
        let part = Cell::new(16);
        let sizes = RefCell::new(Vec::new());
        let work = |most: usize| {
            let sizes = &sizes;
            move |items: &[usize]| -> Vec<usize> {
                sizes.borrow_mut().push(items.len());
                assert!(items.len() <= most, "CUDA out of memory. Tried to allocate 2.00 GiB");
                items.iter().map(|at| at + 100).collect()
            }
        };
        let items: Vec<usize> = (0..11).collect();
        assert_eq!(in_parts(&part, &items, work(3)), (100..111).collect::<Vec<_>>());
        assert_eq!(sizes.take(), [11, 5, 2, 2, 2, 2, 2, 1]);
        // The next batch begins with what sufficed.
        assert_eq!((in_parts(&part, &items[..2], work(3)), sizes.take()), (vec![100, 101], vec![2]));
        let hopeless = std::panic::AssertUnwindSafe(|| in_parts(&part, &items, work(0)));
        assert!(contained(hopeless.0).unwrap_err().to_string().contains("2.00 GiB"));
    }
}
