//! The dashboard: pages of [`eosfed_dashboard`] from the same views that the calls of operators and readers
//! answer with, for whoever has a session. Nothing can be changed here.

mod answer;
mod events;
mod jobs;
mod live;
mod login;
mod overview;
mod registry;
mod selection;
mod visitor;

use axum::Router;
use axum::routing::get;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_dashboard::page::{Pager, path};
use eosfed_web::{Streams, answer::asset};
use serde::de::DeserializeOwned;

use crate::domain::paging::Page;
use crate::engine::Handle;
use crate::overview::Overviews;
use crate::sessions::Sessions;
use crate::traffic::Traffic;

/// Entries of a page of a list.
const PAGE: u32 = 50;

/// What the pages are made from.
#[derive(Debug, Clone)]
pub struct Dashboard {
    /// The engine.
    pub engine: Handle,
    /// When members called last.
    pub traffic: Traffic,
    /// Who may look.
    pub sessions: Sessions,
    /// The state of the whole federation.
    pub overviews: Overviews,
    /// The streams that are open.
    pub streams: Streams,
    /// Whether the listener has TLS.
    pub secure: bool,
}

impl Dashboard {
    /// A dashboard on which the whole number of streams is free.
    #[must_use]
    pub fn new(engine: Handle, traffic: Traffic, sessions: Sessions, overviews: Overviews) -> Self {
        Self { engine, traffic, sessions, overviews, streams: Streams::default(), secure: false }
    }
}

pub(super) use visitor::turned_away;

/// All pages.
pub(super) fn routes(dashboard: Dashboard) -> Router {
    let job = format!("{}/{{job}}", path::JOBS);
    let with = |base: &str, rest: &str| format!("{base}/{{{rest}}}");
    Router::new()
        .route(path::OVERVIEW, get(overview::overview))
        .route(path::INSTITUTIONS, get(overview::institutions))
        .route(&with(path::INSTITUTIONS, "name"), get(overview::institution))
        .route(path::STORAGE, get(overview::storage))
        .route(path::JOBS, get(jobs::jobs))
        .route(&job, get(jobs::job))
        .route(&format!("{job}/rounds/{{round}}"), get(jobs::round))
        .route(path::ENERGY, get(jobs::energy))
        .route(path::SPECIALISTS, get(registry::specialists))
        .route(&with(path::SPECIALISTS, "reference"), get(registry::specialist))
        .route(path::SCORES, get(registry::scores))
        .route(path::LINEAGE, get(registry::lineage))
        .route(path::RELEASES, get(registry::releases))
        .route(&with(path::RELEASES, "number"), get(registry::release))
        .route(path::EVENTS, get(events::events))
        .route(path::LIVE, get(live::live))
        .route(path::LOGIN, get(login::login))
        .route(path::LOGOUT, get(login::logout))
        .route("/assets/{file}", get(asset))
        .with_state(dashboard)
}

/// The entries of a page of a list, and where the next page is.
fn read<T: DeserializeOwned>(page: Page, address: &str, is_first: bool) -> Result<(Vec<T>, Pager), Refusal> {
    let Page { documents, next, remaining } = page;
    let entry = |text: &String| {
        serde_json::from_str(text).map_err(|error| Refusal::new(Reason::Internal, error.to_string()))
    };
    let entries = documents.iter().map(entry).collect::<Result<_, _>>()?;
    Ok((entries, pager(address, is_first, &next, remaining)))
}

/// The links of a list at an address, of which a page is shown.
fn pager(address: &str, is_first: bool, next: &str, remaining: u64) -> Pager {
    Pager {
        first: (!is_first).then(|| address.to_owned()),
        next: (!next.is_empty()).then(|| with_query(address, "after", next)),
        remaining,
    }
}

/// An address with one more parameter.
fn with_query(address: &str, name: &str, value: &str) -> String {
    let query = serde_urlencoded::to_string([(name, value)]).unwrap_or_default();
    let separator = if address.contains('?') { '&' } else { '?' };
    format!("{address}{separator}{query}")
}

#[cfg(test)]
mod tests;
