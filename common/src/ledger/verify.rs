//! Verification of a ledger from its lines alone. It does not depend on the kinds of events, so anyone with
//! an export can do it.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::hash_of;
use crate::canonical::canonical;
use crate::digest::Digest;

/// An event's sequence number and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRef {
    /// Its sequence number.
    pub sequence: u64,
    /// Its hash.
    pub hash: Digest,
}

/// The text is not a reference to an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not an event's number and hash: use NUMBER:sha256:HEX", .0.escape_debug())]
pub struct InvalidEventRef(String);

impl fmt::Display for EventRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, self.hash)
    }
}

impl FromStr for EventRef {
    type Err = InvalidEventRef;

    fn from_str(text: &str) -> Result<Self, InvalidEventRef> {
        let parts = text.split_once(':');
        let event_ref = parts.and_then(|(sequence, hash)| {
            Some(Self { sequence: sequence.parse().ok()?, hash: hash.parse().ok()? })
        });
        event_ref.ok_or_else(|| InvalidEventRef(text.chars().take(100).collect()))
    }
}

/// The first break of a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A line is not an event of an export.
    #[error("line {line} is not an event as it was exported: {reason}")]
    Line {
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// Events are missing, or in another order.
    #[error("event {found} follows event {last}; event {expected} is missing")]
    Gap {
        /// The event before the gap.
        last: u64,
        /// The event that should follow.
        expected: u64,
        /// The event that follows.
        found: u64,
    },
    /// The oldest events are missing.
    #[error("the oldest entry is {found}, and {from} to {} are missing", found - 1)]
    Missing {
        /// The first event that must be there.
        from: u64,
        /// The first event that is there.
        found: u64,
    },
    /// The first event refers to an earlier one.
    #[error("event 0 refers to an event before it")]
    Beginning,
    /// An event does not follow from the one before it.
    #[error("event {sequence} does not follow from event {last}: one of the two was changed or replaced")]
    Link {
        /// The event.
        sequence: u64,
        /// The event before it.
        last: u64,
    },
    /// An event does not have its stated hash.
    #[error("event {sequence} was changed: its hash is {expected}, its contents have {found}")]
    Changed {
        /// The event.
        sequence: u64,
        /// The hash that it states.
        expected: Digest,
        /// The hash of its contents.
        found: Digest,
    },
    /// An event that was noted elsewhere has another hash or is missing.
    #[error("event {} was noted as {}, and is not in this ledger", .0.sequence, .0.hash)]
    Rewritten(EventRef),
}

/// The result of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verified {
    /// The number of events.
    pub events: u64,
    /// The number of the first event.
    pub first: Option<u64>,
    /// The newest event.
    pub head: Option<EventRef>,
}

/// Verifies the lines of a ledger in order.
#[derive(Debug, Default)]
pub struct Verifier {
    done: Verified,
    expected: Option<EventRef>,
    seen: bool,
}

impl Verifier {
    /// A verifier that also looks for an event that was noted elsewhere.
    #[must_use]
    pub fn expecting(noted: Option<EventRef>) -> Self {
        Self { expected: noted, ..Self::default() }
    }

    /// Verifies the next line.
    ///
    /// # Errors
    /// If it is not valid or does not follow from the line before.
    pub fn line(&mut self, text: &str) -> Result<(), Broken> {
        let line = self.done.events + 1;
        let wrong = |reason: String| Broken::Line { line, reason };
        let mut event: Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if canonical(&event) != text {
            return Err(wrong("it is not canonical JSON".to_owned()));
        }
        let sequence = event.get("sequence").and_then(Value::as_u64);
        let sequence = sequence.ok_or_else(|| wrong("it has no `sequence`".to_owned()))?;
        let stated = digest(&event, "hash").ok_or_else(|| wrong("it has no `hash`".to_owned()))?;
        self.link(sequence, digest(&event, "previous"))?;
        let found = hash_of(&mut event);
        if found != stated {
            return Err(Broken::Changed { sequence, expected: stated, found });
        }
        let event_ref = EventRef { sequence, hash: stated };
        self.seen |= self.expected == Some(event_ref);
        self.done.first.get_or_insert(sequence);
        self.done = Verified { events: line, head: Some(event_ref), ..self.done };
        Ok(())
    }

    fn link(&self, sequence: u64, previous: Option<Digest>) -> Result<(), Broken> {
        let Some(last) = self.done.head else {
            return if sequence == 0 && previous.is_some() { Err(Broken::Beginning) } else { Ok(()) };
        };
        let expected = last.sequence + 1;
        if sequence != expected {
            return Err(Broken::Gap { last: last.sequence, expected, found: sequence });
        }
        if previous != Some(last.hash) {
            return Err(Broken::Link { sequence, last: last.sequence });
        }
        Ok(())
    }

    /// The result, after all lines.
    ///
    /// # Errors
    /// [`Broken::Rewritten`] if the event that was noted elsewhere was not among them.
    pub fn finish(self) -> Result<Verified, Broken> {
        match self.expected.filter(|_| !self.seen) {
            Some(noted) => Err(Broken::Rewritten(noted)),
            None => Ok(self.done),
        }
    }
}

fn digest(event: &Value, member: &str) -> Option<Digest> {
    event.get(member)?.as_str()?.parse().ok()
}
