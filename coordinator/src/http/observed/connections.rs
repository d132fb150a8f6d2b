//! Connections and the bytes on them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::single;
use crate::metrics::{Observer, Scrape, table};
use crate::tls::{LiveConnections, TurnedAway};
use crate::traffic::Traffic;

/// The listener of members.
#[derive(Debug)]
pub(super) struct Connections {
    pub(super) traffic: Traffic,
    pub(super) live: LiveConnections,
}

impl Observer for Connections {
    fn observe(&self, scrape: &mut Scrape<'_>) -> fmt::Result {
        let received = self.traffic.received();
        let kinds =
            [("weights", received.weights), ("metrics", received.metrics), ("control", received.control)];
        scrape
            .counter(&table::RECEIVED_BYTES, kinds.map(|(kind, bytes)| ([kind.to_owned()], bytes as f64)))?;
        let [members, anonymous] = self.live.count();
        let open = [("member", members), ("anonymous", anonymous)];
        scrape.gauge(&table::CONNECTIONS, open.map(|(caller, count)| ([caller.to_owned()], count as f64)))?;
        let TurnedAway { members, anonymous, handshakes, failed } = self.live.turned_away();
        let refused = [("member", members), ("anonymous", anonymous), ("handshakes", handshakes)];
        let refused = refused.map(|(limit, count)| ([limit.to_owned()], read(count)));
        scrape.counter(&table::CONNECTIONS_REFUSED, refused)?;
        scrape.counter(&table::HANDSHAKES_FAILED, single(read(failed)))
    }
}

fn read(count: &AtomicU64) -> f64 {
    count.load(Ordering::Relaxed) as f64
}
