//! The table `[training]`: how a network or a head is trained.

use super::words::distinct;
use crate::model::{STRIDE, Task};
use crate::plan::report::Report;
use crate::plan::{ClassWeights, Loss, Precision, Training};

/// The training settings, for `task` if it is known.
pub(in crate::plan) fn training(
    training: Option<Training>,
    task: Option<Task>,
    report: &mut Report,
) -> Option<Training> {
    let training = report.given("training", training, "in a job that trains")?;
    settings(&training, task, report);
    let mu = training.proximal_mu;
    report.rule(mu == 0.0, "training.proximal_mu", "absent; use `rounds.strategy.mu`", mu);
    Some(training)
}

/// The rules of settings wherever they come from: a plan, or the coordinator's message.
pub(in crate::plan) fn settings(training: &Training, task: Option<Task>, report: &mut Report) {
    schedule(training, report);
    sizes(training, report);
    losses(training, task, report);
    mixing(training, task, report);
    distinct("training.augment", training.augment.iter().map(|change| format!("{change:?}")), report);
}

fn schedule(training: &Training, report: &mut Report) {
    report.range("training.epochs", 1..=10_000, training.epochs);
    report.range("training.batch_size", 1..=4096, training.batch_size);
    let rate = training.learning_rate;
    report.rule(rate > 0.0 && rate <= 1.0, "training.learning_rate", "above 0 and at most 1", rate);
    report.range("training.weight_decay", 0.0..=1.0, training.weight_decay);
    report.range("training.warmup", 0.0..=1.0, training.warmup);
    report.range("training.drop_path", 0.0..=0.9, training.drop_path);
    report.range("training.label_smoothing", 0.0..=0.9, training.label_smoothing);
    report.range("training.head_dropout", 0.0..=0.9, training.head_dropout);
    report.range("training.ema", 0.0..=0.99999, training.ema);
    report.range("training.layer_decay", 0.1..=1.0, training.layer_decay);
    report.range("training.accumulate", 1..=1024, training.accumulate);
    report.range("training.clip_norm", 0.0..=1e6, training.clip_norm);
}

fn sizes(training: &Training, report: &mut Report) {
    side_length("training.input_size", training.input_size, report);
    side_length("training.crop", training.crop, report);
    let resized = training.input_size.is_some() || !training.antialias;
    report.rule(resized, "training.antialias", "false without `training.input_size`", training.antialias);
    if let Some(side) = training.crop {
        let size = training.input_size.unwrap_or(side);
        report.rule(side <= size, "training.crop", format!("at most `training.input_size`, {size}"), side);
    }
}

/// The side of tiles, if it is given.
pub(in crate::plan) fn side_length(key: &str, side: Option<u32>, report: &mut Report) {
    if let Some(side) = side {
        let fits = (STRIDE..=1024).contains(&side) && side.is_multiple_of(STRIDE);
        report.rule(fits, key, format!("a multiple of {STRIDE} between {STRIDE} and 1024"), side);
    }
}

fn losses(training: &Training, task: Option<Task>, report: &mut Report) {
    if let Some(task) = task {
        let fitting: Vec<_> = Loss::of(task).iter().map(|loss| loss.name()).collect();
        for loss in &training.loss {
            let rule = format!("one of those for {task}: {}", fitting.join(", "));
            report.rule(Loss::of(task).contains(loss), "training.loss", rule, loss.name());
        }
    }
    distinct("training.loss", training.loss.iter().map(|loss| loss.name()), report);
}

/// Mixed images have mixed classes, which other losses and labels of pixels do not.
fn mixing(training: &Training, task: Option<Task>, report: &mut Report) {
    for (key, alpha) in [("training.mixup", training.mixup), ("training.cutmix", training.cutmix)] {
        report.range(key, 0.0..=10.0, alpha);
        if alpha == 0.0 {
            continue;
        }
        if let Some(task) = task {
            let rule = format!("0 for {task}: only the classes of images can be mixed");
            report.rule(task == Task::Classification, key, rule, alpha);
        }
        let plain = training.loss.iter().all(|loss| *loss == Loss::CrossEntropy);
        report.rule(plain, key, "0 with another loss than the cross-entropy", alpha);
        let equal = training.class_weights == ClassWeights::None;
        report.rule(equal, key, "0 with weights of classes, of which mixed images have two", alpha);
    }
}

/// The settings that have no meaning if only a head is trained.
pub(in crate::plan) fn of_a_head(training: &Training, report: &mut Report) {
    let rule = "absent in a downstream job, whose epochs use every sample in all eight orientations";
    report.rule(training.augment.is_empty(), "training.augment", rule, training.augment.len());
    report.rule(training.crop.is_none(), "training.crop", rule, training.crop.unwrap_or_default());
    let rule = "absent in a downstream job, whose encoders are frozen";
    report.rule(training.drop_path == 0.0, "training.drop_path", rule, training.drop_path);
    report.rule(training.layer_decay == 1.0, "training.layer_decay", rule, training.layer_decay);
    let rule = "0 in a downstream job, which trains on features";
    for (key, value) in [
        ("training.head_dropout", training.head_dropout),
        ("training.mixup", training.mixup),
        ("training.cutmix", training.cutmix),
    ] {
        report.rule(value == 0.0, key, rule, value);
    }
    let rule = "absent in a downstream job, whose encoders are frozen";
    report.rule(training.precision == Precision::Full, "training.precision", rule, "bf16");
}
