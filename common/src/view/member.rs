//! Views of members: institutions, operators and readers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::InstitutionName;
use crate::ledger::Actor;
use crate::signing::PublicKey;
use crate::traffic::ByteCounts;

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
    /// When it last called since the coordinator was started.
    pub last_seen: Option<Timestamp>,
    /// Bytes received from it since the coordinator was started.
    pub received: ByteCounts,
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
