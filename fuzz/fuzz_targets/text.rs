//! Text that people and programs hand over: plans, join tokens, ids, trainer events, certificates.
#![no_main]

use eosfed_common::ids::AssignmentId;
use eosfed_common::net::identity::Identity;
use eosfed_common::net::join::JoinToken;
use eosfed_common::plan::Plan;
use eosfed_common::task::TrainerEvent;
use eosfed_common::weights::Digest;
use eosfed_data::DatasetConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Identity::of_certificate(bytes);
    let _ = serde_json::from_slice::<TrainerEvent>(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = toml::from_str::<DatasetConfig>(text);
    let _ = text.parse::<JoinToken>();
    let _ = text.parse::<Digest>();
    if let Ok(id) = text.parse::<AssignmentId>() {
        assert_eq!(id.to_string().parse::<AssignmentId>().as_ref(), Ok(&id));
    }
    if let Ok(plan) = Plan::parse(text) {
        let again = toml::to_string(&plan).expect("a plan is TOML");
        assert_eq!(Plan::parse(&again).expect("a plan that was written is a plan"), plan);
    }
});
