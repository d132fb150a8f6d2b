//! Filters for events of the ledger.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use strum::VariantNames as _;

use super::{Actor, EventKind};
use crate::clock::Timestamp;
use crate::ids::{InstitutionName, JobId};

/// The roles of actors, as written in their text.
const ROLES: [&str; 4] = ["coordinator", "operator", "institution", "reader"];

/// One actor, or all actors of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorFilter(String);

/// The text is neither an actor nor a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not an actor: use `coordinator`, a role (`operator`, `institution`, `reader`) or ROLE:NAME",
    .0.escape_debug()
)]
pub struct InvalidActorFilter(String);

impl ActorFilter {
    /// Whether an actor's text matches.
    fn matches(&self, actor: &str) -> bool {
        let rest = actor.strip_prefix(self.0.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    }
}

impl fmt::Display for ActorFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ActorFilter {
    type Err = InvalidActorFilter;

    fn from_str(text: &str) -> Result<Self, InvalidActorFilter> {
        if ROLES.contains(&text) || text.parse::<Actor>().is_ok() {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidActorFilter(text.chars().take(80).collect()))
    }
}

/// The name of a kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindFilter(&'static str);

/// The text is not a kind of event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a kind of event: use one of {}", .0.escape_debug(), EventKind::VARIANTS.join(", "))]
pub struct InvalidKindFilter(String);

impl fmt::Display for KindFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl FromStr for KindFilter {
    type Err = InvalidKindFilter;

    fn from_str(text: &str) -> Result<Self, InvalidKindFilter> {
        let known = EventKind::VARIANTS.iter().find(|name| **name == text);
        known.map(|name| Self(name)).ok_or_else(|| InvalidKindFilter(text.chars().take(80).collect()))
    }
}

/// A filter: an event must match every given part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Events at this time or later.
    pub since: Option<Timestamp>,
    /// Events before this time.
    pub until: Option<Timestamp>,
    /// Events of this actor.
    pub actor: Option<ActorFilter>,
    /// Events about this job.
    pub job: Option<JobId>,
    /// Events about this institution.
    pub institution: Option<InstitutionName>,
    /// Events of this kind.
    pub kind: Option<KindFilter>,
}

/// The members of an event that a filter reads.
///
/// This is not an [`super::Event`], since a filter also reads events of kinds from other versions.
#[derive(Deserialize)]
struct Members {
    at: Timestamp,
    actor: String,
    job: Option<String>,
    institution: Option<String>,
    kind: String,
}

impl Filter {
    /// Whether an event matches. `line` is the event as the ledger stores it. Text that is not an event
    /// matches too, so that damage is seen.
    #[must_use]
    pub fn matches(&self, line: &str) -> bool {
        if *self == Self::default() {
            return true;
        }
        serde_json::from_str::<Members>(line).is_ok_and(|event| self.wants(&event))
    }

    fn wants(&self, event: &Members) -> bool {
        let same = |wanted: Option<&str>, found: Option<&str>| wanted.is_none_or(|text| found == Some(text));
        self.since.is_none_or(|since| event.at >= since)
            && self.until.is_none_or(|until| event.at < until)
            && self.actor.as_ref().is_none_or(|actor| actor.matches(&event.actor))
            && same(self.job.as_ref().map(JobId::as_str), event.job.as_deref())
            && same(self.institution.as_ref().map(InstitutionName::as_str), event.institution.as_deref())
            && same(self.kind.map(|kind| kind.0), Some(&event.kind))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Entry, Event};
    use super::*;

    fn line(actor: &str, at: u64, job: &str) -> String {
        let entry = Entry::new(actor.parse().unwrap(), EventKind::JobCancelled).of(&job.parse().unwrap());
        Event::follow(None, Timestamp(at), entry).to_line()
    }

    #[test]
    fn a_filter_keeps_events_that_match_every_part() {
        let line = line("operator:ada", 50, "j-0a1b2c3d");
        let all = Filter::default();
        let with = |change: fn(&mut Filter)| {
            let mut filter = all.clone();
            change(&mut filter);
            filter
        };
        let wanted: [fn(&mut Filter); 7] = [
            |f| f.since = Some(Timestamp(50)),
            |f| f.until = Some(Timestamp(51)),
            |f| f.actor = Some("operator".parse().unwrap()),
            |f| f.actor = Some("operator:ada".parse().unwrap()),
            |f| f.job = Some("j-0a1b2c3d".parse().unwrap()),
            |f| f.kind = Some("job_cancelled".parse().unwrap()),
            |_| {},
        ];
        let unwanted: [fn(&mut Filter); 7] = [
            |f| f.since = Some(Timestamp(51)),
            |f| f.until = Some(Timestamp(50)),
            |f| f.actor = Some("institution".parse().unwrap()),
            |f| f.actor = Some("operator:ad".parse().unwrap()),
            |f| f.job = Some("j-0a1b2c3e".parse().unwrap()),
            |f| f.institution = Some("west".parse().unwrap()),
            |f| f.kind = Some("job_paused".parse().unwrap()),
        ];
        assert!(wanted.into_iter().all(|change| with(change).matches(&line)));
        assert!(!unwanted.into_iter().any(|change| with(change).matches(&line)));
    }

    #[test]
    fn a_filter_that_can_match_nothing_is_refused() {
        assert!("admin".parse::<ActorFilter>().is_err());
        assert!("operator:".parse::<ActorFilter>().is_err());
        let refused = "job_canceled".parse::<KindFilter>().unwrap_err().to_string();
        assert!(refused.contains("job_cancelled"), "{refused}");
    }
}
