//! The traffic from each member: the time of the last message, and the bytes of each kind. Bytes are
//! counted where they arrive, independently of the client's own count.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use eosfed_common::clock::{Clock, Timestamp};
use eosfed_common::identity::Identity;
use eosfed_common::traffic::ByteCounts;
use eosfed_transport::meter::Meter;
use eosfed_transport::protocol::shown;

#[derive(Debug, Default)]
struct MemberTraffic {
    last_seen: Option<Timestamp>,
    version: Option<String>,
    meter: Meter,
}

/// The traffic since the coordinator was started. Clones share it.
#[derive(Debug, Clone)]
pub struct Traffic {
    clock: Arc<dyn Clock>,
    members: Arc<Mutex<BTreeMap<Identity, MemberTraffic>>>,
}

impl Traffic {
    /// A counter without traffic.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, members: Arc::default() }
    }

    /// The time of a member's last message, and the bytes that it has sent.
    #[must_use]
    pub fn of(&self, member: &Identity) -> (Option<Timestamp>, ByteCounts) {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members
            .get(member)
            .map_or_else(|| (None, ByteCounts::default()), |member| (member.last_seen, member.meter.sent()))
    }

    /// The version of a member's client, as it has said.
    #[must_use]
    pub fn version_of(&self, member: &Identity) -> Option<String> {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.get(member).and_then(|member| member.version.clone())
    }

    /// Notes the version that a client says it has.
    pub(crate) fn note_version(&self, member: &Identity, version: &str) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.entry(member.clone()).or_default().version = Some(shown(version));
    }

    /// The bytes that all members have sent.
    #[must_use]
    pub fn received(&self) -> ByteCounts {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.values().fold(ByteCounts::default(), |sum, one| sum.plus(one.meter.sent()))
    }

    /// Notes a message of a member; gives its counter.
    pub(crate) fn note(&self, member: &Identity) -> Meter {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let member = members.entry(member.clone()).or_default();
        member.last_seen = Some(self.clock.now());
        member.meter.clone()
    }
}
