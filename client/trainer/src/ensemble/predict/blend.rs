//! Windows over a scene, blended where they overlap: where they start, and the rows that later ones
//! can still change.

use super::windows::Windows;

/// Where windows start along one side: evenly, the last one flush with the end.
pub(super) fn starts(length: usize, window: usize, overlap: usize) -> Vec<usize> {
    let last = length.saturating_sub(window);
    let mut starts: Vec<usize> = (0..last).step_by(window - overlap).collect();
    starts.push(last);
    starts
}

/// The rows of a panel that windows still add to.
pub(super) struct Rows {
    left: usize,
    width: usize,
    /// The first row held.
    pub(super) top: usize,
    /// Outputs of a pixel.
    pub(super) channels: usize,
    windows: Windows,
    /// Height of the scene.
    height: usize,
    /// For each held row, for each pixel: weighted sums of outputs, and the sum of weights.
    sums: Vec<Vec<f32>>,
}

impl Rows {
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

    /// Takes the first rows out.
    pub(super) fn take(&mut self, count: usize) -> Vec<Vec<f32>> {
        self.top += count;
        self.sums.drain(..count).collect()
    }

    /// Adds a window's outputs `[channels, height, width]`. A pixel weighs more, the farther it lies
    /// from the border of the window.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_a_side_and_never_leave_it() {
        assert_eq!(starts(100, 64, 16), [0, 36]);
        assert_eq!(starts(64, 64, 16), [0]);
        assert_eq!(starts(20, 64, 16), [0]);
        assert_eq!(starts(160, 64, 16), [0, 48, 96]);
    }
}
