//! The table `[model]`: the networks of specialists, and what a head predicts.

use super::words::{is_printable, words};
use crate::model::{Backbone, TargetScale, Task};
use crate::plan::raw::RawModel;
use crate::plan::report::Report;
use crate::plan::{NetworkPlan, OutputPlan};
use crate::printable::MAX_WORD;

/// The network of specialists.
pub(in crate::plan) fn network(model: Option<RawModel>, report: &mut Report) -> Option<NetworkPlan> {
    let model = report.given("model", model, "in a job that trains specialists")?;
    let (backbone, output) = parts(model, report);
    let backbone = report.given("model.backbone", backbone, "in a job that trains specialists");
    Some(NetworkPlan { backbone: backbone?, output })
}

/// What a head predicts.
pub(in crate::plan) fn output(model: Option<RawModel>, report: &mut Report) -> Option<OutputPlan> {
    let model = report.given("model", model, "in a downstream job")?;
    let (backbone, output) = parts(model, report);
    let rule = "in a downstream job, which uses the encoders of the release";
    report.absent("model.backbone", backbone.as_ref(), rule);
    Some(output)
}

fn parts(model: RawModel, report: &mut Report) -> (Option<Backbone>, OutputPlan) {
    let RawModel { backbone, task, classes, target } = model;
    predicted(task, &classes, target.as_ref(), report);
    (backbone, OutputPlan { task, classes, target })
}

/// The rules of what a network predicts.
pub(in crate::plan) fn predicted(
    task: Task,
    classes: &[String],
    target: Option<&TargetScale>,
    report: &mut Report,
) {
    words("model.classes", classes, &task.classes(), report);
    if let Some(target) = target {
        target_scale(task, target, report);
    }
}

fn target_scale(task: Task, target: &TargetScale, report: &mut Report) {
    let TargetScale { offset, scale, unit } = target;
    let rule = "absent unless the task is `regression`";
    report.rule(task == Task::Regression, "model.target", rule, format!("a table, for {task}"));
    report.rule(offset.is_finite(), "model.target.offset", "a finite number", offset);
    report.rule(scale.is_finite() && *scale > 0.0, "model.target.scale", "above 0", scale);
    let rule = format!("at most {MAX_WORD} printable characters");
    report.rule(is_printable(unit, 0..=MAX_WORD), "model.target.unit", rule, unit.escape_debug());
}
