//! The outputs of a head for the pixels of windows.

use eosfed_common::head::HeadFile;
use tch::{Device, Kind, Tensor};

use super::windows::Windows;
use crate::ensemble::head_model::HeadModel;
use crate::parameters::to_vec;

/// A head that gives an output for each pixel of a window: the probability of each class, or a value in
/// the target's units. A head of patches gives all pixels of a window the same output.
pub(super) struct PixelOutputs<'a> {
    head: &'a HeadModel,
    windows: Windows,
    device: Device,
}

impl<'a> PixelOutputs<'a> {
    pub(super) const fn new(head: &'a HeadModel, windows: Windows, device: Device) -> Self {
        Self { head, windows, device }
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
        let images: Vec<Tensor> = wanted.iter().map(|at| self.image(&windows[*at])).collect();
        let found = self.forward(&Tensor::cat(&images, 0));
        for (row, at) in (0..).zip(wanted) {
            let mut values = to_vec(&found.get(row));
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
            Some(side) => images.upsample_bilinear2d([i64::from(side); 2], false, None, None),
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
            None => outputs.softmax(1, Kind::Float),
        }
    }
}

/// For each pixel, whether any of its values is missing.
fn without_data(values: &[f32], size: usize) -> Vec<bool> {
    (0..size).map(|at| values.iter().skip(at).step_by(size).any(|value| !value.is_finite())).collect()
}
