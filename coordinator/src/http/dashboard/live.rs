//! The stream of changes of the federation, for whoever has a session.

use axum::extract::State;
use axum::response::Response;

use super::Dashboard;
use super::answer::Trouble;
use super::visitor::Visitor;

/// Opens a stream, which ends with the session.
pub(super) async fn live(State(dashboard): State<Dashboard>, visitor: Visitor) -> Result<Response, Trouble> {
    let changes = dashboard.engine.changes();
    let streams = dashboard.streams.clone();
    let may_look = move || visitor.may_look(&dashboard);
    streams.open(changes, may_look).ok_or(Trouble::TooMany)
}
