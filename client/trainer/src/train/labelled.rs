//! Which samples have a label. It is looked up once, so that a step need not ask the device whether its batch
//! has one: a batch without any has no loss.

use eosfed_common::model::Task;
use tch::Tensor;

use super::batches::Window;
use super::tensors::IGNORE_INDEX;
use crate::device::reading::{flags, numbers};

/// Where the labels of a data set are.
#[derive(Debug)]
pub(super) struct Labelled {
    /// Whether each label is one, row-major; absent if all are.
    known: Option<Vec<bool>>,
    /// Labels in a sample: height and width, or 1 and the number of classes.
    shape: (usize, usize),
}

/// Which labels are known: a tensor of flags of the same shape.
pub(super) fn known(task: Task, labels: &Tensor) -> Tensor {
    match task {
        Task::Classification | Task::Segmentation | Task::ChangeDetection => labels.ne(IGNORE_INDEX),
        Task::Multilabel | Task::Regression => labels.isfinite(),
    }
}

impl Labelled {
    /// Looks at the labels of a data set. Reads from their device.
    pub(super) fn of(task: Task, labels: &Tensor) -> Self {
        let known = known(task, labels);
        let all = numbers(&known.all()) == [1.0];
        let shape = match labels.size()[..] {
            [_, height, width] => (height as usize, width as usize),
            [_, classes] => (1, classes as usize),
            _ => (1, 1),
        };
        Self { known: (!all).then(|| flags(&known)), shape }
    }

    /// Whether any of these samples, or of these parts of them, has a label.
    pub(super) fn any(&self, windows: &[Window]) -> bool {
        let Some(known) = &self.known else { return !windows.is_empty() };
        let (height, width) = self.shape;
        windows.iter().any(|window| {
            let sample = &known[window.sample * height * width..][..height * width];
            match window.crop {
                Some([top, left, side]) if height > 1 => {
                    (top..top + side).any(|row| sample[row * width + left..][..side].contains(&true))
                }
                _ => sample.contains(&true),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crop_may_have_no_label_where_its_sample_has_one() {
        let mut mask = vec![IGNORE_INDEX; 2 * 4 * 4];
        mask[16 + 5] = 1; // Sample 1, row 1, column 1.
        let labels = Tensor::from_slice(&mask).view([2, 4, 4]);
        let labelled = Labelled::of(Task::Segmentation, &labels);
        let window = |sample, crop| Window { sample, crop };
        assert!(!labelled.any(&[window(0, None)]) && labelled.any(&[window(0, None), window(1, None)]));
        assert!(labelled.any(&[window(1, Some([0, 0, 2]))]) && labelled.any(&[window(1, Some([1, 1, 2]))]));
        assert!(!labelled.any(&[window(1, Some([2, 1, 2]))]) && !labelled.any(&[window(1, Some([1, 2, 2]))]));
    }

    #[test]
    fn labels_of_whole_images_do_not_depend_on_the_crop() {
        let labelled = Labelled::of(Task::Classification, &Tensor::from_slice(&[3_i64, IGNORE_INDEX]));
        let crop = Some([5, 6, 32]);
        assert!(labelled.any(&[Window { sample: 0, crop }]) && !labelled.any(&[Window { sample: 1, crop }]));
        let all = Labelled::of(Task::Classification, &Tensor::from_slice(&[3_i64, 2]));
        assert!(all.any(&[Window { sample: 1, crop }]) && !all.any(&[]));
    }
}
