//! Windows over a scene, blended where they overlap: where they start, and the rows that later ones
//! can still change.

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
    pub(super) channels: usize,
    /// For each held row, for each pixel: weighted sums of outputs, and of weights.
    sums: Vec<Vec<f32>>,
}

impl Rows {
    /// Nothing yet of a panel of this place and width, whose pixels have `channels` outputs.
    pub(super) const fn new(left: usize, width: usize, channels: usize) -> Self {
        Self { left, width, top: 0, channels, sums: Vec::new() }
    }

    /// Takes the first rows out.
    pub(super) fn take(&mut self, count: usize) -> Vec<Vec<f32>> {
        self.top += count;
        self.sums.drain(..count).collect()
    }

    /// Adds a window's outputs, weighed by how far a pixel lies from the window's border.
    pub(super) fn add(
        &mut self,
        outputs: &[f32],
        left: usize,
        top: usize,
        side: usize,
        (overlap, height): (usize, usize),
    ) {
        let width = self.channels + 1;
        while self.sums.len() < (top + side).min(height) - self.top {
            self.sums.push(vec![0.0; self.width * width]);
        }
        let ramp = |at: usize| (at + 1).min(side - at).min(overlap + 1) as f32;
        for y in 0..side.min(height - top) {
            let row = &mut self.sums[top + y - self.top];
            let (from, to) = (left.max(self.left), (left + side).min(self.left + self.width));
            for x in from..to {
                let at = y * side + (x - left);
                if outputs[at].is_nan() {
                    continue;
                }
                let weight = ramp(y) * ramp(x - left);
                let pixel = &mut row[(x - self.left) * width..(x - self.left + 1) * width];
                let values = outputs[at..].iter().step_by(side * side);
                pixel
                    .iter_mut()
                    .zip(values)
                    .take(self.channels)
                    .for_each(|(sum, value)| *sum += weight * value);
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
