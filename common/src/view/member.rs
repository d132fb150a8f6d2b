//! Views of members: institutions, operators and readers.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use crate::clock::Timestamp;
use crate::data_statement::DataStatement;
use crate::ids::InstitutionName;
use crate::ledger::Actor;
use crate::policy_summary::PolicySummary;
use crate::signing::{KeySignature, PublicKey};
use crate::traffic::ByteCounts;

/// The state of a member, by which lists are filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum MemberState {
    /// It has a token that it has not used, and no access yet.
    Invited,
    /// It has joined, and its access was not revoked.
    Joined,
    /// Its access was revoked.
    Revoked,
}

/// The view of an institution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InstitutionView {
    /// Its name.
    pub name: InstitutionName,
    /// When it enrolled.
    pub enrolled_at: Option<Timestamp>,
    /// When an open invitation expires.
    pub invited_until: Option<Timestamp>,
    /// Who has invited it the last time, as far as it is known.
    #[serde(default)]
    pub invited_by: Option<Actor>,
    /// When its access was revoked.
    #[serde(default)]
    pub revoked_at: Option<Timestamp>,
    /// When the certificate that it uses expires, as far as it is known.
    #[serde(default)]
    pub certificate_expires_at: Option<Timestamp>,
    /// The key that it signs its submissions with.
    #[serde(default)]
    pub signing_key: Option<PublicKey>,
    /// What it has said of its data set.
    #[serde(default)]
    pub data: Option<StatedDataView>,
    /// What it shares of its policy.
    #[serde(default)]
    pub policy: Option<SharedPolicyView>,
    /// When it last called since the coordinator was started.
    pub last_seen: Option<Timestamp>,
    /// The version of its client, as it has said since the coordinator was started.
    #[serde(default)]
    pub version: Option<String>,
    /// Bytes received from it since the coordinator was started.
    pub received: ByteCounts,
}

/// Whether an institution is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It has called within [`ONLINE_WITHIN`].
    Online,
    /// It has not, but within [`SILENT_AFTER`].
    Away,
    /// It has not called for longer, or not since the coordinator was started.
    Silent,
    /// It has not enrolled; its invitation can be used.
    Invited,
    /// It has not enrolled, and its invitation has expired.
    InvitationExpired,
    /// It has no access any more.
    Revoked,
}

/// An institution that has called within this time is online. Clients call every half minute at least.
pub const ONLINE_WITHIN: Duration = Duration::from_secs(120);
/// An institution that has not called for this time is silent.
pub const SILENT_AFTER: Duration = Duration::from_secs(600);

impl InstitutionView {
    /// Whether it is here at the time `now`.
    #[must_use]
    pub fn presence(&self, now: Timestamp) -> Presence {
        let ago = self.last_seen.map(|at| now.since(at));
        match (self.revoked_at, self.enrolled_at, ago) {
            (Some(_), _, _) => Presence::Revoked,
            (None, None, _) if self.invited_until.is_some_and(|until| until > now) => Presence::Invited,
            (None, None, _) => Presence::InvitationExpired,
            (None, Some(_), Some(ago)) if ago <= ONLINE_WITHIN => Presence::Online,
            (None, Some(_), Some(ago)) if ago <= SILENT_AFTER => Presence::Away,
            (None, Some(_), _) => Presence::Silent,
        }
    }
}

/// The view of what an institution has said of its data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatedDataView {
    /// When it said so.
    pub stated_at: Timestamp,
    /// What it said.
    pub statement: DataStatement,
    /// Its signature of the statement.
    pub signature: KeySignature,
}

/// The view of what an institution shares of its policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SharedPolicyView {
    /// When it shared this. Its policy may have changed since, without its word to share that.
    pub shared_at: Timestamp,
    /// What it shares.
    pub summary: PolicySummary,
    /// Its signature of the summary.
    pub signature: KeySignature,
}

/// The view of an operator or a reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PersonView {
    /// The name.
    pub name: InstitutionName,
    /// When they enrolled.
    pub enrolled_at: Option<Timestamp>,
    /// When an open invitation expires.
    pub invited_until: Option<Timestamp>,
    /// Who has invited them the last time, as far as it is known.
    pub invited_by: Option<Actor>,
    /// When their access was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When the certificate that they use expires, as far as it is known.
    pub certificate_expires_at: Option<Timestamp>,
    /// When they last called since the coordinator was started.
    pub last_seen: Option<Timestamp>,
}
