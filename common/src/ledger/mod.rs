//! The ledger: who did what, and when. It has one event for each accepted change and for refused calls of
//! people, in the order of the commits.
//!
//! Events are chained. The hash of an event is the SHA-256 of its canonical JSON without the member `hash`;
//! the member `previous` holds the hash of the event before it. Canonical JSON is that of RFC 8785: members
//! in the order of their names, no white space, and only the escapes that JSON requires. Events hold no
//! floats and no number above 2^53, so this Python verifies a line of an export:
//!
//! ```python
//! event = json.loads(line)
//! found = event.pop("hash")
//! text = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
//! assert found == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
//! ```
//!
//! The chain reveals every later change with one exception: a person who can write the store can drop the
//! last events or rebuild the whole chain. Keep a note of the newest event elsewhere (`eosfed audit verify`
//! prints it), and compare it.

mod filter;
mod kind;
mod verify;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical::canonical;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::ids::{InstitutionName, JobId};

pub use filter::{ActorFilter, Filter, InvalidActorFilter, InvalidKindFilter, KindFilter};
pub use kind::{EventKind, PruneRule};
pub use verify::{Broken, EventRef, InvalidEventRef, Verified, Verifier};

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum Actor {
    /// An operator.
    Operator(InstitutionName),
    /// A user of releases.
    Reader(InstitutionName),
    /// An institution.
    Institution(InstitutionName),
    /// The coordinator itself, for changes that follow from time or from other events.
    Coordinator,
}

/// The text is not an actor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not an actor: use `coordinator`, `operator:NAME`, `institution:NAME` or `reader:NAME`",
    .0.escape_debug()
)]
pub struct InvalidActor(String);

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(name) => f.pad(&format!("operator:{name}")),
            Self::Reader(name) => f.pad(&format!("reader:{name}")),
            Self::Institution(name) => f.pad(&format!("institution:{name}")),
            Self::Coordinator => f.pad("coordinator"),
        }
    }
}

impl FromStr for Actor {
    type Err = InvalidActor;

    fn from_str(text: &str) -> Result<Self, InvalidActor> {
        if text == "coordinator" {
            return Ok(Self::Coordinator);
        }
        let invalid = || InvalidActor(text.chars().take(80).collect());
        let (role, name) = text.split_once(':').ok_or_else(invalid)?;
        let name = name.parse().map_err(|_| invalid())?;
        match role {
            "operator" => Ok(Self::Operator(name)),
            "reader" => Ok(Self::Reader(name)),
            "institution" => Ok(Self::Institution(name)),
            _ => Err(invalid()),
        }
    }
}

impl TryFrom<String> for Actor {
    type Error = InvalidActor;

    fn try_from(text: String) -> Result<Self, InvalidActor> {
        text.parse()
    }
}

impl From<Actor> for String {
    fn from(actor: Actor) -> Self {
        actor.to_string()
    }
}

/// An event before it has its sequence number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Who did it.
    pub actor: Actor,
    /// The job that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// The institution that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub institution: Option<InstitutionName>,
    /// The kind of event.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Entry {
    /// An event about no job and no institution.
    #[must_use]
    pub const fn new(actor: Actor, kind: EventKind) -> Self {
        Self { actor, job: None, institution: None, kind }
    }

    /// About this job.
    #[must_use]
    pub fn of(self, job: &JobId) -> Self {
        Self { job: Some(job.clone()), ..self }
    }

    /// About this institution.
    #[must_use]
    pub fn at(self, institution: &InstitutionName) -> Self {
        Self { institution: Some(institution.clone()), ..self }
    }
}

/// One event of a chain: of the ledger, or of another log with entries of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Event")]
pub struct Event<T = Entry> {
    /// Its sequence number, from 0 without gaps.
    pub sequence: u64,
    /// When it was decided, by the coordinator's clock.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub entry: T,
    /// The hash of the event before it; absent in the first.
    pub previous: Option<Digest>,
    /// Its own hash.
    pub hash: Digest,
}

impl<T: Serialize> Event<T> {
    /// The event that follows `last`, or the first of a chain. Entries become JSON objects without floats.
    #[must_use]
    pub fn follow(last: Option<EventRef>, at: Timestamp, entry: T) -> Self {
        let sequence = last.map_or(0, |last| last.sequence + 1);
        let previous = last.map(|last| last.hash);
        let mut event = Self { sequence, at, entry, previous, hash: Digest::of(b"") };
        event.hash = hash_of(&mut event.value());
        event
    }

    /// Its sequence number and its hash, which the next event refers to.
    #[must_use]
    pub const fn event_ref(&self) -> EventRef {
        EventRef { sequence: self.sequence, hash: self.hash }
    }

    /// The event as a line of an export: canonical JSON, without the end of the line.
    #[must_use]
    pub fn to_line(&self) -> String {
        canonical(&self.value())
    }

    fn value(&self) -> Value {
        serde_json::to_value(self).expect("an event is plain data")
    }
}

/// The hash of an event without its member `hash`.
fn hash_of(event: &mut Value) -> Digest {
    if let Some(members) = event.as_object_mut() {
        members.remove("hash");
    }
    Digest::of(canonical(event).as_bytes())
}

#[cfg(test)]
mod tests;
