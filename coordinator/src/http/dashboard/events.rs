//! The event log.

use axum::extract::{Query, State};
use eosfed_common::ledger::Filter;
use eosfed_common::refusal::Refusal;
use eosfed_dashboard::page::{self, EventFilter, EventLine, EventsPage, Pager, path};
use eosfed_web::answer::Html;
use serde::Deserialize;

use super::answer::Trouble;
use super::visitor::OperatorVisitor;
use super::{Dashboard, with_query};
use crate::engine::Core;

/// Events on a page.
const EVENTS: usize = 50;
/// Events that are read from the store at once.
const CHUNK: u64 = 500;
/// Most events that one request looks at. A rare one is found by going to the next page.
const MOST_READ: u64 = 10_000;

/// What was found, newest first.
pub(super) struct Found {
    pub(super) events: Vec<EventLine>,
    /// Where to go on: the events before this one have not been looked at.
    before: u64,
}

/// The newest events before `end` that match, at most `most`.
pub(super) async fn newest(
    dashboard: &Dashboard,
    filter: &Filter,
    end: u64,
    most: usize,
) -> Result<Found, Refusal> {
    let mut events = Vec::new();
    let mut before = end;
    while before > 0 && events.len() < most && end - before < MOST_READ {
        let from = before.saturating_sub(CHUNK);
        let number = usize::try_from(before - from).unwrap_or(0);
        let lines = dashboard.engine.call(async move |core: &Core| core.events(from, number).await).await?;
        for line in lines.iter().rev() {
            if events.len() == most {
                return Ok(Found { events, before });
            }
            before -= 1;
            if filter.matches(line) {
                events.push(EventLine::read(line));
            }
        }
        before = before.min(from);
    }
    Ok(Found { events, before })
}

/// The filter and the place.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    job: String,
    institution: String,
    actor: String,
    kind: String,
    before: Option<u64>,
}

/// A field of the filter, if it is given.
fn field<T: std::str::FromStr>(text: &str) -> Result<Option<T>, String>
where
    T::Err: std::fmt::Display,
{
    match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|error: T::Err| error.to_string()),
    }
}

impl Wanted {
    fn filter(&self, dashboard: &Dashboard) -> Result<Filter, String> {
        let job = match self.job.trim() {
            "" => None,
            name => Some(dashboard.engine.resolve_job(name).map_err(|refusal| refusal.message)?),
        };
        Ok(Filter {
            job,
            institution: field(&self.institution)?,
            actor: field(&self.actor)?,
            kind: field(&self.kind)?,
            ..Filter::default()
        })
    }

    /// The address of this filter.
    fn address(&self) -> String {
        let Self { job, institution, actor, kind, before: _ } = self;
        let fields = [("job", job), ("institution", institution), ("actor", actor), ("kind", kind)];
        let given = fields.into_iter().filter(|(_, value)| !value.is_empty());
        given.fold(path::EVENTS.to_owned(), |address, (name, value)| with_query(&address, name, value))
    }
}

/// A page of events.
pub(super) async fn events(
    State(dashboard): State<Dashboard>,
    OperatorVisitor(visitor): OperatorVisitor,
    Query(wanted): Query<Wanted>,
) -> Result<Html, Trouble> {
    let head = dashboard.engine.call(async |core: &Core| Ok(core.ledger_head().await)).await?;
    let all = head.map_or(0, |head| head.sequence + 1);
    let end = wanted.before.unwrap_or(all).min(all);
    let filter = wanted.filter(&dashboard);
    let found = match &filter {
        Ok(filter) => newest(&dashboard, filter, end, EVENTS).await?,
        Err(_) => Found { events: Vec::new(), before: 0 },
    };
    let address = wanted.address();
    let pager = Pager {
        first: wanted.before.is_some().then(|| address.clone()),
        next: (found.before > 0).then(|| with_query(&address, "before", &found.before.to_string())),
        remaining: if address == path::EVENTS { found.before } else { 0 },
    };
    let cut = |text: &str| text.chars().take(80).collect();
    let shown = EventFilter {
        job: cut(&wanted.job),
        institution: cut(&wanted.institution),
        actor: cut(&wanted.actor),
        kind: cut(&wanted.kind),
    };
    let error = filter.err();
    let page = EventsPage { events: &found.events, filter: &shown, error: error.as_deref(), all, pager };
    Ok(Html(page::events(&visitor.shell, &page)))
}
