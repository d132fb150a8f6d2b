//! Scores of many batches: added up on the device of the predictions, and read once.

use tch::Tensor;

use crate::device::reading::numbers;
use crate::metrics::{MetricSpec, Scores};

/// The scores of the batches so far.
#[derive(Debug)]
pub(super) struct Tally {
    scores: Scores,
    sums: Option<Tensor>,
    /// Labels and outputs of single images, where scores need them all.
    rows: Vec<(Tensor, Tensor)>,
}

impl Tally {
    /// No batch yet.
    pub(super) fn new(spec: MetricSpec) -> Self {
        Self { scores: spec.scores(), sums: None, rows: Vec::new() }
    }

    /// Adds a batch, as [`Scores::add`] takes it. Does not wait for the device.
    pub(super) fn add(&mut self, labels: &Tensor, outputs: &Tensor) {
        match self.scores.sums(labels, outputs) {
            Some(sums) => {
                self.sums = Some(match self.sums.take() {
                    Some(before) => before + sums,
                    None => sums,
                });
            }
            None => self.rows.push((labels.shallow_clone(), outputs.detach())),
        }
    }

    /// Reads the scores.
    pub(super) fn finish(mut self) -> Scores {
        if let Some(sums) = &self.sums {
            self.scores.add_sums(&numbers(sums));
        }
        if !self.rows.is_empty() {
            let (labels, outputs): (Vec<_>, Vec<_>) = self.rows.into_iter().unzip();
            self.scores.add(&Tensor::cat(&labels, 0), &Tensor::cat(&outputs, 0));
        }
        self.scores
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::model::Task;
    use tch::{Device, Kind};

    use super::*;
    use crate::device::reading::reads;

    #[test]
    fn batches_that_are_added_up_score_as_one_and_are_read_once() {
        tch::manual_seed(5);
        let outputs = Tensor::randn([12, 3, 4, 4], (Kind::Float, Device::Cpu));
        let masks = Tensor::randint(4, [12, 4, 4], (Kind::Int64, Device::Cpu));
        // The fourth is no class: it stands for pixels without a label.
        let masks = masks.where_self(&masks.lt(3), &Tensor::from(255_i64));
        let values = Tensor::randn([12, 4, 4], (Kind::Float, Device::Cpu));
        let holes = values.where_self(&values.lt(1.0), &Tensor::from(f32::NAN));
        let rows = outputs.narrow(2, 0, 1).reshape([12, 12]).narrow(1, 0, 3);
        let several = rows.gt(0.5).to_kind(Kind::Float);
        for (task, labels, outputs) in [
            (Task::Segmentation, &masks, &outputs),
            (Task::Regression, &holes, &outputs.narrow(1, 0, 1)),
            (Task::Multilabel, &several, &rows),
        ] {
            let spec = MetricSpec::new(task, 3, None);
            let mut whole = spec.scores();
            whole.add(labels, outputs);
            let mut tally = Tally::new(spec);
            let before = reads();
            for start in [0, 5, 10] {
                let part = |tensor: &Tensor| tensor.narrow(0, start, 5.min(12 - start));
                tally.add(&part(labels), &part(outputs));
            }
            assert_eq!(reads(), before);
            let parts = tally.finish();
            assert!(reads() - before <= 1);
            for (name, value) in whole.summary() {
                assert!((value - parts.summary()[&name]).abs() < 1e-9, "{name}");
            }
        }
    }
}
