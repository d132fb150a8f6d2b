//! Values that several unit tests start from.

use eosfed_common::assignment::Assignment;
use eosfed_common::model::{Backbone, Task};
use eosfed_common::plan::{JobKind, StrategyName};
use eosfed_common::weights::Encoding;
pub(crate) use eosfed_testkit::assignments::{statistics, training};

use crate::policy::{Allow, Approval, Egress, Limits, Policy};

pub(crate) fn permissive() -> Policy {
    Policy {
        allow: Allow {
            job_kinds: vec![JobKind::OneShot, JobKind::Rounds],
            tasks: vec![Task::Classification, Task::Segmentation],
            backbones: Backbone::ALL.to_vec(),
            strategies: vec![StrategyName::FedAvg],
            encodings: vec![Encoding::F32],
            individual_updates: false,
            warm_start: false,
        },
        may_leave: vec![
            Egress::FrozenWeights,
            Egress::Updates,
            Egress::Metrics,
            Egress::Statistics,
            Egress::Provenance,
            Egress::Failures,
        ],
        min_institutions: 2,
        max_epochs: 10,
        min_samples: 1,
        min_steps: 1,
        max_gpu_memory_percent: 100,
        limits: Limits::default(),
        hours: None,
        approval: Approval::Automatic,
        privacy: None,
    }
}

/// One round of training a head.
pub(crate) fn head() -> Assignment {
    training(JobKind::Downstream)
}
