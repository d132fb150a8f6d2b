//! Blending of overlapping windows: the rows that later windows can still change.

use super::windows::Windows;

/// The rows of a panel that windows still add to.
pub(super) struct BlendBuffer {
    left: usize,
    width: usize,
    /// The first row in the buffer.
    pub(super) top: usize,
    /// Outputs of a pixel.
    pub(super) channels: usize,
    windows: Windows,
    /// Height of the scene.
    height: usize,
    /// For each row and pixel: weighted sums of outputs, and the sum of weights.
    sums: Vec<Vec<f32>>,
}

impl BlendBuffer {
    /// The empty rows of a panel that starts at column `left`, of a scene of this height.
    pub(super) const fn new(
        left: usize,
        width: usize,
        channels: usize,
        windows: Windows,
        height: usize,
    ) -> Self {
        Self { left, width, top: 0, channels, windows, height, sums: Vec::new() }
    }

    /// Removes the first rows.
    pub(super) fn take(&mut self, count: usize) -> Vec<Vec<f32>> {
        self.top += count;
        self.sums.drain(..count).collect()
    }

    /// Adds a window's outputs `[channels, height, width]`. Pixels near the centre of the window have more
    /// weight than pixels near its border.
    pub(super) fn add(&mut self, outputs: &[f32], left: usize, top: usize) {
        let Windows { height, width, overlap, .. } = self.windows;
        let cells = self.channels + 1;
        let bottom = (top + height).min(self.height);
        while self.sums.len() < bottom - self.top {
            self.sums.push(vec![0.0; self.width * cells]);
        }
        let ramp = |at: usize, side: usize| (at + 1).min(side - at).min(overlap + 1) as f32;
        for y in 0..bottom - top {
            let row = &mut self.sums[top + y - self.top];
            for x in left.max(self.left)..(left + width).min(self.left + self.width) {
                let at = y * width + (x - left);
                if outputs[at].is_nan() {
                    continue;
                }
                let weight = ramp(y, height) * ramp(x - left, width);
                let pixel = &mut row[(x - self.left) * cells..(x - self.left + 1) * cells];
                let values = outputs[at..].iter().step_by(height * width);
                let sums = pixel.iter_mut().zip(values).take(self.channels);
                sums.for_each(|(sum, value)| *sum += weight * value);
                pixel[self.channels] += weight;
            }
        }
    }
}
