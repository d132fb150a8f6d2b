//! Messages of event filters.

use std::fmt::Display;
use std::str::FromStr;

use eosfed_common::clock::Timestamp;
use eosfed_common::ledger::Filter;
use eosfed_proto::v1;

use super::{WireError, parse};

/// The filter of a request for events, without its job. The caller may use a prefix of a job's id or
/// `latest`, which only the coordinator can resolve.
///
/// # Errors
/// If a part is not a valid actor, institution or kind of event.
pub fn event_filter(request: &v1::ListEventsRequest) -> Result<Filter, WireError> {
    let v1::ListEventsRequest { since, until, actor, job: _, institution, kind, newest: _ } = request;
    let time = |milliseconds: u64| (milliseconds > 0).then_some(Timestamp(milliseconds));
    Ok(Filter {
        since: time(*since),
        until: time(*until),
        actor: given("actor", actor)?,
        job: None,
        institution: given("institution", institution)?,
        kind: given("kind", kind)?,
    })
}

fn given<T: FromStr<Err: Display>>(field: &'static str, text: &str) -> Result<Option<T>, WireError> {
    if text.is_empty() { Ok(None) } else { parse(field, text).map(Some) }
}
