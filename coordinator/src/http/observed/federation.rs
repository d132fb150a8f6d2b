//! How many of everything there are.

use std::collections::BTreeMap;
use std::fmt;

use eosfed_common::clock::Timestamp;

use super::single;
use crate::domain::Federation;
use crate::domain::member::Member;
use crate::engine::Handle;
use crate::metrics::{Observer, Scrape, table};

/// Counts of the state.
#[derive(Debug)]
pub(super) struct Counts(pub(super) Handle);

impl Observer for Counts {
    fn observe(&self, scrape: &mut Scrape<'_>) -> fmt::Result {
        let now = self.0.now();
        // The lock of the state is not held while the text is written.
        let (institutions, jobs) = self.0.read(|state| (institutions(state, now), jobs(state)));
        let [specialists, releases, quarantined] = self.0.read(|state| {
            [state.registry.specialists.len(), state.registry.releases.len(), state.quarantined.len()]
        });
        scrape.gauge(&table::BUILD_INFO, [([env!("CARGO_PKG_VERSION").to_owned()], 1.0)])?;
        let institutions = institutions.map(|(state, count)| ([state.to_owned()], count as f64));
        scrape.gauge(&table::INSTITUTIONS, institutions)?;
        scrape.gauge(&table::JOBS, jobs.into_iter().map(|(labels, count)| (labels, count as f64)))?;
        scrape.gauge(&table::SPECIALISTS, single(specialists as f64))?;
        scrape.gauge(&table::RELEASES, single(releases as f64))?;
        scrape.gauge(&table::QUARANTINED, single(quarantined as f64))
    }
}

fn jobs(state: &Federation) -> BTreeMap<[String; 2], usize> {
    let mut jobs = BTreeMap::new();
    for job in state.jobs.values() {
        let summary = job.summary();
        *jobs.entry([summary.kind.to_string(), summary.state.to_string()]).or_default() += 1;
    }
    jobs
}

const STATES: [&str; 4] = ["invited", "active", "expired", "revoked"];

fn institutions(state: &Federation, now: Timestamp) -> [(&'static str, usize); 4] {
    STATES.map(|name| (name, state.institutions().filter(|one| state_of(one, now) == name).count()))
}

/// One of [`STATES`].
fn state_of(member: &Member, now: Timestamp) -> &'static str {
    match member {
        _ if member.revoked.is_some() => "revoked",
        _ if member.enrolment.is_none() => "invited",
        _ if !member.has_access(now) => "expired",
        _ => "active",
    }
}
