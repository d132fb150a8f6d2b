//! Messages of institutions and of the coordinator: decoded, then converted.
#![no_main]

use eosfed_common::assignment::{Assignment, Directive, Lease, StatisticsSubmission, UpdateSubmission};
use eosfed_common::wire::Heartbeat;
use eosfed_proto::v1;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

fuzz_target!(|bytes: &[u8]| {
    let _ = v1::HeartbeatRequest::decode(bytes).map(Heartbeat::try_from);
    let _ = v1::SubmitUpdateRequest::decode(bytes).map(UpdateSubmission::try_from);
    let _ = v1::SubmitStatisticsRequest::decode(bytes).map(StatisticsSubmission::try_from);
    let _ = v1::Assignment::decode(bytes).map(Assignment::try_from);
    let _ = v1::AcceptResponse::decode(bytes).map(Lease::try_from);
    let _ = v1::HeartbeatResponse::decode(bytes).map(Directive::try_from);
});
