//! Values that several unit tests start from.

use eosfed_common::assignment::{Assignment, TrainingWork, Work};
use eosfed_common::clock::Timestamp;
use eosfed_common::model::{Backbone, ModelSpec, Task};
use eosfed_common::plan::{JobKind, StrategyName, Training};
use eosfed_common::task::Keep;
use eosfed_common::training_target::TrainingTarget;

use crate::policy::{Allow, Approval, Egress, Policy};

pub(crate) fn permissive() -> Policy {
    Policy {
        allow: Allow {
            job_kinds: vec![JobKind::OneShot, JobKind::Rounds],
            tasks: vec![Task::Classification, Task::Segmentation],
            backbones: Backbone::ALL.to_vec(),
            strategies: vec![StrategyName::FedAvg],
        },
        may_leave: vec![Egress::FrozenWeights, Egress::Updates, Egress::Metrics, Egress::Statistics],
        min_institutions: 2,
        max_epochs: 10,
        hours: None,
        approval: Approval::Automatic,
    }
}

pub(crate) fn training(kind: JobKind) -> Assignment {
    let settings: Training = toml::from_str("epochs = 2\nbatch_size = 4\nlearning_rate = 0.001").unwrap();
    let work = TrainingWork {
        strategy: (kind != JobKind::OneShot).then_some(StrategyName::FedAvg),
        base: None,
        initial_seed: 1,
        normalisation: None,
        seed: 2,
        schedule: [0.0, 1.0],
        keep: Keep::Best,
        settings,
    };
    Assignment { kind, work: Work::Training(Box::new(work)), ..statistics() }
}

pub(crate) fn statistics() -> Assignment {
    Assignment {
        id: "j-0a1b2c3d.0.1.west".parse().unwrap(),
        job_name: "shared".to_owned(),
        kind: JobKind::Rounds,
        training_target: TrainingTarget::Specialist(ModelSpec {
            backbone: Backbone::Atto,
            task: Task::Classification,
            bands: vec!["red".to_owned()],
            classes: vec!["a".to_owned(), "b".to_owned()],
            target: None,
        }),
        deadline: Timestamp(u64::MAX),
        min_institutions: 2,
        accepted: false,
        work: Work::Statistics,
    }
}

/// One round of training a head over a specialist of this system's smallest kind.
pub(crate) fn head() -> Assignment {
    let over = serde_json::json!({
        "head": {
            "name": "cover", "release": 1, "task": "classification", "classes": ["a", "b"],
            "encoders": [{
                "name": "west", "backbone": "convnextv2_atto", "weights": null, "random_seed": 1,
                "normalisation": [{ "band": "red", "mean": 0.0, "std": 1.0 }], "sources": [["red"]]
            }],
            "input_size": null, "samples": 0, "training": null
        },
        "release": { "number": 1, "created_at": 5, "note": "", "specialists": [] }
    });
    let training_target = TrainingTarget::Head(serde_json::from_value(over).unwrap());
    Assignment { training_target, ..training(JobKind::Downstream) }
}
