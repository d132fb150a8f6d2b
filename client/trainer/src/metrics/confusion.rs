//! Scores from a confusion matrix: overall accuracy, and the means of IoU and F1 over the classes that
//! occur in the labels or the predictions.

use tch::{Device, Kind, Tensor};

use super::mean;

/// Counts of pairs of label (row) and prediction (column).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    counts: Vec<u64>,
}

impl Confusion {
    /// An empty matrix.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// Counts labels and predictions; labels outside the classes (255) are ignored.
    pub fn add(&mut self, labels: &Tensor, predictions: &Tensor) {
        let sums = self.sums(labels, predictions).to_device(Device::Cpu).to_kind(Kind::Double);
        let sums: Vec<f64> = Vec::try_from(sums).expect("counts are a flat tensor");
        self.add_sums(&sums);
    }

    /// Counts of a batch, `[classes * classes]`, as 64-bit integers on its device.
    pub(super) fn sums(&self, labels: &Tensor, predictions: &Tensor) -> Tensor {
        let classes = self.classes as i64;
        let labels = labels.reshape([-1]);
        let pairs = &labels * classes + predictions.reshape([-1]);
        // What has no label is counted behind all pairs, and left out.
        let none = pairs.full_like(classes * classes);
        let pairs = pairs.where_self(&labels.lt(classes), &none);
        let counts = Tensor::zeros([classes * classes + 1], (Kind::Int64, pairs.device()));
        counts.index_add(0, &pairs, &pairs.ones_like()).narrow(0, 0, classes * classes)
    }

    /// Adds what [`Self::sums`] has counted; below 2^53, 64-bit floats hold such counts exactly.
    pub(super) fn add_sums(&mut self, sums: &[f64]) {
        self.counts.iter_mut().zip(sums).for_each(|(total, count)| *total += *count as u64);
    }

    fn true_positives(&self, class: usize) -> f64 {
        self.counts[class * self.classes + class] as f64
    }

    fn truth(&self, class: usize) -> f64 {
        self.counts[class * self.classes..(class + 1) * self.classes].iter().sum::<u64>() as f64
    }

    fn predicted(&self, class: usize) -> f64 {
        self.counts.iter().skip(class).step_by(self.classes).sum::<u64>() as f64
    }

    /// Share of correct labels; 0 without labels.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let total = self.counts.iter().sum::<u64>() as f64;
        (0..self.classes).map(|class| self.true_positives(class)).sum::<f64>() / total.max(1.0)
    }

    /// Intersection over union of each class; `None` for classes that do not occur.
    #[must_use]
    pub fn iou(&self) -> Vec<Option<f64>> {
        self.each(|tp, truth, predicted| tp / (truth + predicted - tp))
    }

    /// F1 of each class; `None` for classes that do not occur.
    #[must_use]
    pub fn f1(&self) -> Vec<Option<f64>> {
        self.each(|tp, truth, predicted| 2.0 * tp / (truth + predicted))
    }

    fn each(&self, score: impl Fn(f64, f64, f64) -> f64) -> Vec<Option<f64>> {
        let of = |class| {
            let tp = self.true_positives(class);
            let truth = self.truth(class);
            let predicted = self.predicted(class);
            (truth + predicted > 0.0).then(|| score(tp, truth, predicted))
        };
        (0..self.classes).map(of).collect()
    }

    pub(super) fn summary(&self) -> Vec<(&'static str, f64)> {
        vec![("accuracy", self.accuracy()), ("miou", mean(&self.iou())), ("macro_f1", mean(&self.f1()))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_match_those_computed_by_hand() {
        let mut confusion = Confusion::new(4);
        let labels = Tensor::from_slice(&[0_i64, 0, 0, 1, 1, 255, 2]);
        let predictions = Tensor::from_slice(&[0_i64, 0, 1, 1, 1, 0, 1]);
        confusion.add(&labels, &predictions);
        assert_eq!(confusion.accuracy(), 4.0 / 6.0);
        assert_eq!(confusion.iou(), [Some(2.0 / 3.0), Some(0.5), Some(0.0), None]);
        assert_eq!(confusion.f1(), [Some(0.8), Some(2.0 * 2.0 / 6.0), Some(0.0), None]);
        let summary = confusion.summary();
        assert!((summary[1].1 - (2.0 / 3.0 + 0.5) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn an_empty_matrix_has_scores_of_zero_not_nan() {
        assert!(Confusion::new(3).summary().iter().all(|(_, value)| *value == 0.0));
    }
}
