//! The listener for monitoring: whether the coordinator lives and is ready, and its metrics, over plain HTTP
//! for programs of the same machine. It reads the engine and changes nothing.
//!
//! **Where further pages join.** Another set of pages is a module or crate with a function that gives an
//! [`axum::Router`] over an [`engine::Handle`](crate::engine::Handle). It is one more `.merge(...)` in
//! `routes`. The guard (methods, host names, headers of answers) and the limits of connections then hold for
//! its pages too, and it needs neither.

pub mod dashboard;
mod health;
mod ledger;
mod observed;
mod scrape;
mod secure;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use eosfed_common::clock::Timestamp;
use eosfed_web::{Hosts, LIMITS, REMOTE_LIMITS};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::disk::DiskGuard;
use crate::engine::Handle;
use crate::metrics::Metrics;
use crate::tls::{LiveConnections, ServerTls};
use crate::traffic::Traffic;
use dashboard::Dashboard;
use observed::{Sizes, sample};

/// What the pages show.
#[derive(Debug, Clone)]
pub struct Context {
    /// The engine.
    pub engine: Handle,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The traffic of members.
    pub traffic: Traffic,
    /// The connections of members.
    pub live: LiveConnections,
    /// When the certificate authority ends.
    pub authority_ends: Timestamp,
    /// The place in the ledger from which on its events are counted.
    pub events_from: u64,
    /// Watches over the room for uploads.
    pub disk: DiskGuard,
    /// The state folder, which has to be writable.
    pub state: PathBuf,
    /// The folder of the store.
    pub store: PathBuf,
    /// The folder of the blobs.
    pub blobs: PathBuf,
    /// The dashboard.
    pub dashboard: Dashboard,
    /// The names under which pages may be asked for.
    pub hosts: Hosts,
    /// TLS, where other machines can reach the listener.
    pub tls: Option<ServerTls>,
    /// Cancelled when the coordinator was told to stop.
    pub stopping: CancellationToken,
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, context: Context) {
    let metrics = Arc::clone(&context.metrics);
    let sizes = Arc::<Sizes>::default();
    observed::observe(&context, &sizes);
    let counting = ledger::follow(context.engine.clone(), Arc::clone(&metrics), context.events_from);
    let refused = move || {
        metrics.http_connections_refused.inc();
    };
    let (routes, tls) = (routes(context.clone()), context.tls.clone());
    let serving = async move {
        match tls {
            Some(tls) => {
                let accept =
                    move |stream, address| secure::accept(tls.clone(), stream, address, routes.clone());
                // Before a handshake there is nothing to say.
                let refused = move |_| refused();
                eosfed_web::serve_with(listener, accept, refused, REMOTE_LIMITS).await;
            }
            None => eosfed_web::serve(listener, routes, refused, LIMITS).await,
        }
    };
    let sampling = sample(sizes, context.engine.clone(), context.store.clone(), context.blobs.clone());
    tokio::select! {
        () = serving => {}
        () = counting => {}
        () = sampling => {}
    }
}

/// Everything that the listener serves.
fn routes(context: Context) -> Router {
    let hosts = context.hosts.clone();
    let dashboard = context.dashboard.clone();
    let mut for_programs =
        Router::new().merge(scrape::routes(Arc::clone(&context.metrics))).merge(health::routes(context));
    if dashboard.secure {
        for_programs = for_programs.layer(from_fn_with_state(dashboard.clone(), secure::members_only));
    }
    Router::new()
        .merge(for_programs)
        .merge(dashboard::routes(dashboard))
        .fallback(async || {
            (StatusCode::NOT_FOUND, "there is no such page; try /healthz, /readyz or /metrics\n")
        })
        .layer(from_fn_with_state(hosts, eosfed_web::guard))
}

/// Listens on this address.
///
/// # Errors
/// A sentence with the address, if it cannot be listened on.
pub fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    eosfed_web::listen(address)
        .with_context(|| format!("cannot listen on {address} for monitoring; change `listen` of `[http]`"))
}
