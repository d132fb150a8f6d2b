//! When members were last seen, and when their certificates expire. The number of series is bounded.

use std::fmt;

use eosfed_common::clock::Timestamp;
use eosfed_common::identity::Identity;

use super::single;
use crate::domain::member::Member;
use crate::engine::Handle;
use crate::metrics::{Observer, Scrape, table};
use crate::traffic::Traffic;

/// Most members that have a series.
const MAX_MEMBERS: usize = 500;

/// The members of the federation.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) engine: Handle,
    pub(super) traffic: Traffic,
    pub(super) authority_ends: Timestamp,
}

impl Observer for Members {
    fn observe(&self, scrape: &mut Scrape<'_>) -> fmt::Result {
        let now = self.engine.now();
        let active: Vec<Identity> = self.engine.read(|state| {
            let active = state.institutions().filter(|one| one.is_active());
            active.take(MAX_MEMBERS).map(Member::identity).collect()
        });
        let seen = active.iter().map(|one| {
            let at = self.traffic.of(one).0.unwrap_or(Timestamp(0));
            ([one.name.to_string()], at.0 as f64 / 1000.0)
        });
        scrape.gauge(&table::LAST_SEEN, seen)?;
        let mut expiring: Vec<(Timestamp, Identity)> = self.engine.read(|state| {
            let active = state.members.values().filter(|one| one.is_active());
            active.filter_map(|one| Some((one.expires_at()?, one.identity()))).collect()
        });
        expiring.sort();
        let expiring = expiring.into_iter().take(MAX_MEMBERS);
        let series = expiring
            .map(|(at, Identity { role, name })| ([role.to_string(), name.to_string()], seconds(now, at)));
        scrape.gauge(&table::CERTIFICATE_EXPIRY, series)?;
        scrape.gauge(&table::AUTHORITY_EXPIRY, single(seconds(now, self.authority_ends)))
    }
}

/// Seconds from now to a time; negative if it is past.
pub(super) fn seconds(now: Timestamp, at: Timestamp) -> f64 {
    at.since(now).as_secs_f64() - now.since(at).as_secs_f64()
}
