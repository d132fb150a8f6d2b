//! The institution's own page: its state folder and its site log in a browser of the same machine. It reads files
//! only, so it works whether or not a daemon runs, and nothing can be changed there.

mod answer;
mod download;
mod kept;
mod pages;
mod read;
mod session;
mod watch;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use eosfed_common::clock::Clock;
use eosfed_dashboard::page::{path as shared, site::path};
use eosfed_web::answer::asset;
use eosfed_web::{Hosts, LIMITS, Sessions, Streams, guard};
use rand::Rng;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch as channel};

use crate::site::Site;
use session::Owner;

pub use session::COOKIE_NAME;

/// Most requests that read the state folder at a time; others wait for their turn.
const MAX_READERS: usize = 4;

/// What the pages are made from.
#[derive(Debug, Clone)]
pub struct SitePages {
    site: Site,
    clock: Arc<dyn Clock>,
    sessions: Sessions<Owner>,
    streams: Streams,
    readers: Arc<Semaphore>,
    changes: channel::Receiver<u64>,
}

impl SitePages {
    /// The pages of a state folder, and what watches it for changes until it is dropped.
    pub fn new(site: &Site, clock: Arc<dyn Clock>) -> (Self, impl Future<Output = ()> + use<>) {
        let (sender, changes) = channel::channel(0);
        let pages = Self {
            site: site.clone(),
            clock,
            sessions: Sessions::default(),
            streams: Streams::default(),
            readers: Arc::new(Semaphore::new(MAX_READERS)),
            changes,
        };
        (pages, watch::watch(site.clone(), sender))
    }

    /// The path and query of a link that begins a session, once.
    #[must_use]
    pub fn link(&self, rng: &mut impl Rng) -> String {
        format!("{}?token={}", shared::LOGIN, self.sessions.link(Owner, self.clock.now(), rng))
    }

    /// Everything that the listener serves.
    pub fn routes(self) -> Router {
        Router::new()
            .route(path::OVERVIEW, get(pages::overview))
            .route(path::DECISIONS, get(pages::decisions))
            .route(path::LEFT, get(pages::left))
            .route(path::BUDGETS, get(pages::budgets))
            .route(path::POLICY, get(pages::policy))
            .route(path::LOG, get(pages::log))
            .route(&format!("{}/{{number}}", path::LOG), get(pages::entry))
            .route(&format!("{}/{{number}}", path::KEPT), get(download::download))
            .route(shared::LIVE, get(session::live))
            .route(shared::LOGIN, get(session::login))
            .route(shared::LOGOUT, get(session::logout))
            .route("/assets/{file}", get(asset))
            .with_state(self)
            .fallback(async || (StatusCode::NOT_FOUND, "there is no such page; try /\n"))
            .layer(from_fn_with_state(Hosts::of_this_machine(), guard))
    }
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, pages: SitePages, watching: impl Future<Output = ()>) {
    let refused = || tracing::warn!("a connection was closed: there are too many");
    tokio::select! {
        () = eosfed_web::serve(listener, pages.routes(), refused, LIMITS) => {}
        () = watching => {}
    }
}

#[cfg(test)]
mod tests;
