//! Plan files, and the table of rounds by which an operator forks a job.

use std::sync::LazyLock;

use eosfed_client::policy::{self, Policy, explain_job};
use eosfed_common::model::{ModelSpec, signature};
use eosfed_common::plan::{JobSpec, MAX_PLAN_BYTES, RawPlan, RoundsPlan};

use crate::target::Seeds;

static POLICY: LazyLock<Policy> = LazyLock::new(|| toml::from_str(policy::SAMPLE).unwrap());

/// A plan, or rounds. What a good plan leads to must be possible too.
pub fn plans(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    let rounds = RoundsPlan::parse(text).is_ok();
    let spec = match JobSpec::parse(text) {
        Ok(spec) => spec,
        Err(error) => {
            // What people read of a bad plan is shorter than a screenful of screens.
            assert!(error.to_string().len() < 16 * MAX_PLAN_BYTES);
            return rounds;
        }
    };
    let again = toml::to_string(&RawPlan::read(text).unwrap()).unwrap();
    assert_eq!(JobSpec::parse(&again).unwrap(), spec);
    let stored = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<JobSpec>(&stored).unwrap(), spec);
    for model in models(&spec) {
        let bytes = signature(&model).max_file_bytes();
        assert!(bytes < 4 << 30, "a model of {bytes} bytes");
    }
    assert!(spec.attempts() >= 1 && spec.participation().min >= 1);
    assert!(spec.federated().is_none_or(|federated| federated.rounds.count >= 1));
    assert!(!explain_job(&POLICY, &spec).unwrap().is_empty());
    true
}

/// The networks that a job trains.
fn models(spec: &JobSpec) -> Vec<ModelSpec> {
    match spec {
        JobSpec::OneShot(spec) => spec.specialists.iter().map(|one| spec.network.on(&one.bands)).collect(),
        JobSpec::Rounds(spec) => vec![spec.model()],
        JobSpec::Downstream(_) | JobSpec::Evaluation(_) | JobSpec::Statistics(_) => Vec::new(),
    }
}

pub(crate) fn seeds() -> Seeds {
    let good = [
        include_str!("../../../deploy/demo/eurosat/one-shot.toml"),
        include_str!("../../../deploy/demo/eurosat/rounds.toml"),
        include_str!("../../../deploy/demo/eurosat/downstream.toml"),
        include_str!("../../../deploy/demo/landsat/one-shot.toml"),
        include_str!("../../../deploy/demo/landsat/rounds.toml"),
        include_str!("../../../deploy/demo/tour/plan.toml"),
        eosfed_testkit::plans::EVALUATION,
        eosfed_testkit::plans::STATISTICS,
        "count = 3\nstrategy = { name = \"trimmed-mean\", trim = 0.1 }\n",
    ];
    let good = good.map(|text| text.as_bytes().to_vec()).into();
    let deep = |open: &str, close: &str| format!("version = {}1{}", open.repeat(3000), close.repeat(3000));
    let odd = vec![
        deep("[", "]").into_bytes(),
        deep("{a=", "}").into_bytes(),
        format!("[{}]", vec!["a"; 3000].join(".")).into_bytes(),
        format!("version = 1{}", "0".repeat(9000)).into_bytes(),
        vec![b'#'; MAX_PLAN_BYTES + 1],
    ];
    Seeds { good, odd }
}
